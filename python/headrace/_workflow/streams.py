"""What a workflow's ``run_stream`` and ``arun_stream`` return, and their two drivers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Generic, TypeVar, cast

from headrace import _native
from headrace._concurrency.wakeups import running_loop
from headrace._run.streams import AsyncStream, Stream, StreamInfo

from .readers import ParallelReader, ParallelReaderInThread, SingleReader
from .run import WorkflowRun

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Generator, Sequence

    from headrace._run.read import Item
    from headrace._run.streams import AsyncTokenIterator, TokenIterator

    from .run import Member

__all__ = ["AsyncWorkflowStream", "WorkflowStream"]

T = TypeVar("T")


def _drive(run: WorkflowRun) -> Generator[Item, None, None]:
    """Drives a run. Blocks the calling thread while it waits."""
    with run:
        yield from run.begun()
        for members in run.steps():
            with _reader(run, members) as reader:
                run.begin_reading(reader)
                yield from run.step_begun(members)
                while (batch := reader.take()) is not None:
                    yield from run.items_of(batch)
                run.status.check_open()
        yield from run.ended()
        run.status.raise_error()


def _reader(run: WorkflowRun, members: Sequence[Member]) -> SingleReader | ParallelReaderInThread:
    # A single agent is read in the caller's thread.
    return (
        SingleReader(members[0], events=run.output.yields_events)
        if len(members) == 1
        else ParallelReaderInThread(_parallel_reader(run, members))
    )


async def _adrive(run: WorkflowRun) -> AsyncGenerator[Item, None]:
    """Drives a run on the running event loop."""
    with run:
        for item in run.begun():
            yield item
        for members in run.steps():
            async with _parallel_reader(run, members) as reader:
                run.begin_reading(reader)
                for item in run.step_begun(members):
                    yield item
                while (batch := await reader.take()) is not None:
                    for item in run.items_of(batch):
                        yield item
                run.status.check_open()
        for item in run.ended():
            yield item
        run.status.raise_error()


def _parallel_reader(run: WorkflowRun, members: Sequence[Member]) -> ParallelReader:
    output = run.output
    return ParallelReader(
        members,
        events=output.yields_events,
        notices=output.tells,
        reasons=output.reasons,
        stop_on_error=run.stop_on_error,
    )


class _WorkflowStreamInfo(StreamInfo[WorkflowRun]):
    """What only the streams of a workflow have."""

    __slots__ = ()

    @property
    def outputs(self) -> dict[str, str]:
        """The latest answer of each agent by name, the latest last; within a step in the order of its agents."""
        return self._run.outputs

    @property
    def errors(self) -> dict[str, BaseException]:
        """The errors of the agents that failed, by name."""
        return dict(self._run.errors)


class WorkflowStream(_WorkflowStreamInfo, Stream[WorkflowRun, T], Generic[T]):
    """Yields the tokens of a workflow's agents (or events), each as soon as it arrives; parallel agents interleaved.

    The first request is sent when the first token is read. ``close()``, the end of a ``with`` block and dropping the
    last reference to the stream close the connections of all agents at once. A slow caller slows all agents: each is
    only a bounded number of tokens ahead. Tokens that arrived before an error are yielded before the error.

    An agent that is alone in its step is read in the caller's thread. Parallel agents are read in one other thread,
    which ends with the step or the stream; their callbacks are called there.

    Raises:
        StreamError: While it is read: an agent's run did not end complete. The subclass says how.
        StreamClosedError: While it is read: the stream was closed.
        ConfigurationError: While it is read: an agent's request cannot be built.
    """

    __slots__ = ()

    def __init__(self, run: WorkflowRun) -> None:
        super().__init__(run, cast("TokenIterator[T]", _native.TokenIterator(_drive(run), run.check_open)))


class AsyncWorkflowStream(_WorkflowStreamInfo, AsyncStream[WorkflowRun, T], Generic[T]):
    """Yields the tokens of a workflow's agents (or events), each as soon as it arrives; for ``async for``.

    Each agent is a task of the running event loop; there is no other thread. Cancelling the task that reads closes
    all connections at once. Otherwise it behaves like :class:`WorkflowStream`.

    Raises:
        StreamError: While it is read: an agent's run did not end complete. The subclass says how.
        StreamClosedError: While it is read: the stream was closed.
        ConfigurationError: While it is read: an agent's request cannot be built.
    """

    __slots__ = ()

    def __init__(self, run: WorkflowRun) -> None:
        items = _native.AsyncTokenIterator(_adrive(run), run, running_loop)
        super().__init__(run, cast("AsyncTokenIterator[T]", items))

    async def _wait_closed(self) -> None:
        if isinstance(self._run.reader, ParallelReader):
            await self._run.reader.wait_closed()
