"""What a workflow's ``run_stream`` and ``arun_stream`` return, and the two drivers behind them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import TYPE_CHECKING, Generic, TypeVar, cast

from ._flow_read import Alone, Together, TogetherInThread

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Generator, Sequence
    from types import TracebackType

    from typing_extensions import Self

    from ._flow import Flow, Member
    from ._read import Item
    from .types import Message, Timing, Turn, Usage

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
                flow.check_open()
        yield from flow.ended()
        flow.raise_error()


def _reader(flow: Flow, members: Sequence[Member]) -> Alone | TogetherInThread:
    """An agent alone needs no thread."""
    return Alone(members[0], events=flow.events) if len(members) == 1 else TogetherInThread(_together(flow, members))


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
                flow.check_open()
        for item in flow.ended():
            yield item
        flow.raise_error()


def _together(flow: Flow, members: Sequence[Member]) -> Together:
    return Together(members, events=flow.events, stop_on_error=flow.stop_on_error)


class _Told:
    """What a stream tells about its run, while it runs and after."""

    __slots__ = ("_flow",)

    def __init__(self, flow: Flow) -> None:
        self._flow = flow

    @property
    def state(self) -> str:
        """How the run stands.

        ``"pending"`` (nothing was sent), ``"streaming"``, ``"complete"``, ``"cancelled"`` (the reader left), or how
        the agent failed that ended it; see ``RunStream.state``. With ``on_error="continue"`` a run is complete if any
        agent has answered; ``errors`` tells of the others.
        """
        return self._flow.state

    @property
    def text(self) -> str:
        """What all agents have said so far: agent after agent, also where their tokens came in turns."""
        return self._flow.text

    @property
    def final(self) -> str:
        """What the newest step came to: the answer of its agent, or the answers of several under their names."""
        return self._flow.final

    @property
    def outputs(self) -> dict[str, str]:
        """The newest answer of each agent by its name, the newest last; those of one step in the order of the flow."""
        return self._flow.outputs

    @property
    def errors(self) -> dict[str, BaseException]:
        """The errors of the agents that failed, by their names."""
        return dict(self._flow.errors)

    @property
    def messages(self) -> tuple[Message, ...]:
        """The task and all answers as messages, whose roles are the agents' names."""
        return self._flow.messages

    @property
    def usage(self) -> Usage | None:
        """The token counts of all agents together; None where no provider told any."""
        return self._flow.usage

    @property
    def turns(self) -> tuple[Turn, ...]:
        """What the models said in each turn, agent after agent."""
        return self._flow.turns

    @property
    def timings(self) -> tuple[Timing, ...]:
        """What the stamps of each turn say, agent after agent."""
        return self._flow.timings

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.state}, {len(self.text)} characters>"


class WorkflowStream(_Told, Iterator[T], Generic[T]):
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

    __slots__ = ("_items",)

    def __init__(self, flow: Flow) -> None:
        super().__init__(flow)
        self._items = cast("Iterator[T]", _drive(flow))

    def __iter__(self) -> Iterator[T]:
        # The generator itself: a `for` loop then pays nothing for this object, token by token.
        self._flow.check_open()
        return self._items

    def __next__(self) -> T:
        self._flow.check_open()
        return next(self._items)

    def close(self) -> None:
        """Closes the stream and all connections. May be called from any thread, and again.

        A loop that is reading gets ``StreamClosedError``. Closing a stream that has been read to its end does nothing.
        """
        self._flow.close()

    def __enter__(self) -> Self:
        self._flow.check_open()
        return self

    def __exit__(
        self, _type: type[BaseException] | None, _error: BaseException | None, _traceback: TracebackType | None
    ) -> None:
        self.close()


class AsyncWorkflowStream(_Told, AsyncIterator[T], Generic[T]):
    """The tokens of a workflow's agents (or the events), each as soon as it arrived; for ``async for``.

    Each agent is a task of the running event loop, and there is no thread. Cancelling the task that reads closes all
    connections at once. Otherwise it behaves as :class:`WorkflowStream` does.

    Raises:
        StreamError: From the iteration: an agent's run did not end complete. The subclass says how.
        StreamClosedError: From the iteration: the stream was closed.
        ConfigurationError: From the iteration: an agent's request could not be built.
    """

    __slots__ = ("_items",)

    def __init__(self, flow: Flow) -> None:
        super().__init__(flow)
        self._items = cast("AsyncIterator[T]", _adrive(flow))

    def __aiter__(self) -> AsyncIterator[T]:
        self._flow.check_open()
        return self._items

    async def __anext__(self) -> T:
        self._flow.check_open()
        return await anext(self._items)

    async def aclose(self) -> None:
        """Closes the stream, and returns when all connections are gone. May be called from any task, and again.

        A loop that is reading gets ``StreamClosedError``. Closing a stream that has been read to its end does nothing.
        """
        self._flow.close()
        if isinstance(self._flow.reader, Together):
            await self._flow.reader.closed()

    async def __aenter__(self) -> Self:
        self._flow.check_open()
        return self

    async def __aexit__(
        self, _type: type[BaseException] | None, _error: BaseException | None, _traceback: TracebackType | None
    ) -> None:
        await self.aclose()
