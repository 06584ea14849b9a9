"""What a workflow's ``run_stream`` and ``arun_stream`` return, and the two drivers behind them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Generic, TypeVar, cast

from headrace._run.streams import AsyncStream, Stream, Told

from .readers import Alone, Together, TogetherInThread
from .run import Flow

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Generator, Iterator, Sequence

    from headrace._run.read import Item

    from .run import Member

__all__ = ["AsyncWorkflowStream", "WorkflowStream"]

T = TypeVar("T")


def _drive(flow: Flow) -> Generator[Item, None, None]:
    """Drives a run, waiting in this thread."""
    with flow:
        yield from flow.begun()
        for members in flow.steps():
            with _reader(flow, members) as reader:
                flow.read_by(reader)
                yield from flow.step_begun(members)
                while (batch := reader.take()) is not None:
                    yield from flow.shown(batch)
                flow.status.check_open()
        yield from flow.ended()
        flow.status.raise_error()


def _reader(flow: Flow, members: Sequence[Member]) -> Alone | TogetherInThread:
    """An agent alone needs no thread."""
    return (
        Alone(members[0], events=flow.output.wants_events)
        if len(members) == 1
        else TogetherInThread(_together(flow, members))
    )


async def _adrive(flow: Flow) -> AsyncGenerator[Item, None]:
    """Drives a run, waiting on the running event loop."""
    with flow:
        for item in flow.begun():
            yield item
        for members in flow.steps():
            async with _together(flow, members) as reader:
                flow.read_by(reader)
                for item in flow.step_begun(members):
                    yield item
                while (batch := await reader.take()) is not None:
                    for item in flow.shown(batch):
                        yield item
                flow.status.check_open()
        for item in flow.ended():
            yield item
        flow.status.raise_error()


def _together(flow: Flow, members: Sequence[Member]) -> Together:
    return Together(members, events=flow.output.wants_events, stop_on_error=flow.stop_on_error)


class _OfAgents(Told[Flow]):
    """What only the stream of a workflow has."""

    __slots__ = ()

    @property
    def outputs(self) -> dict[str, str]:
        """The newest answer of each agent by its name, the newest last; those of one step in the order of the flow."""
        return self._run.outputs

    @property
    def errors(self) -> dict[str, BaseException]:
        """The errors of the agents that failed, by their names."""
        return dict(self._run.errors)


class WorkflowStream(_OfAgents, Stream[Flow, T], Generic[T]):
    """The tokens of a workflow's agents (or the events), each as soon as it arrived, those of parallel agents in turns.

    Nothing is sent before the first token is asked for. ``close()``, the end of a ``with`` block and dropping the
    stream close the connections of all agents at once. A caller that is slow slows all of them: each agent is only a
    bounded number of tokens ahead. Tokens that arrived before an error come before the error.

    Agents that run alone are read in the caller's thread. Those that run at the same time are read in one thread
    beside it, which is gone when the step or the stream has ended; their callbacks are called there.

    Raises:
        StreamError: From the iteration: an agent's run did not end complete. The subclass says how.
        StreamClosedError: From the iteration: the stream was closed.
        ConfigurationError: From the iteration: an agent's request could not be built.
    """

    __slots__ = ()

    def __init__(self, flow: Flow) -> None:
        super().__init__(flow, cast("Iterator[T]", _drive(flow)))


class AsyncWorkflowStream(_OfAgents, AsyncStream[Flow, T], Generic[T]):
    """The tokens of a workflow's agents (or the events), each as soon as it arrived; for ``async for``.

    Each agent is a task of the running event loop, and there is no thread. Cancelling the task that reads closes all
    connections at once. Otherwise it behaves as :class:`WorkflowStream` does.

    Raises:
        StreamError: From the iteration: an agent's run did not end complete. The subclass says how.
        StreamClosedError: From the iteration: the stream was closed.
        ConfigurationError: From the iteration: an agent's request could not be built.
    """

    __slots__ = ()

    def __init__(self, flow: Flow) -> None:
        super().__init__(flow, cast("AsyncIterator[T]", _adrive(flow)))

    async def _wait_closed(self) -> None:
        if isinstance(self._run.reader, Together):
            await self._run.reader.closed()
