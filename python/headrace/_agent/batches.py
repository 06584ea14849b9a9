"""Runs many tasks on one event loop: never more at a time than asked, and fewer if the provider asks for it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterable, Iterable, Mapping
from contextlib import aclosing, contextmanager, nullcontext, suppress
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias, cast

from headrace._concurrency.event_loop_thread import EventLoopThread
from headrace._concurrency.threads import StopProgramError, contained
from headrace.batches import TaskResult
from headrace.errors import ConfigurationError, OverloadedError, RateLimitError

from .arguments import check_type
from .config import check_task
from .resume import Journal

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Generator
    from pathlib import Path

__all__ = ["Batch", "OnError", "Tasks", "blocking", "shown"]

Tasks: TypeAlias = "Iterable[Any] | AsyncIterable[Any]"
"""Tasks: strings, or dicts of the arguments of ``run_stream``."""

OnError: TypeAlias = Literal["keep", "raise"]
"""What to do with a task that failed: keep it as a result, or raise its error."""

_LIMITED: Final = (RateLimitError, OverloadedError)
_MOST_ATTEMPTS: Final = 8
_FIRST_WAIT: Final = 1.0
_LONGEST_WAIT: Final = 60.0
_AHEAD: Final = 4
"""How many times the concurrency results may wait for one before them."""


class _Gate:
    """How many tasks may run at a time, and when the next may begin.

    A provider that says "too many" halves the number, and stops all beginnings for as long as it asks; each round of
    tasks that were done adds one again. So the rate follows the provider's limit without knowing it.
    """

    def __init__(self, concurrency: int, rate: float | None) -> None:
        self._most = self._now = float(concurrency)
        self._interval = 0.0 if rate is None else 1 / rate
        self._next_start = self._closed_until = 0.0
        self._running = 0
        self._changed = asyncio.Condition()

    async def enter(self) -> None:
        """Waits until a task may begin."""
        async with self._changed:
            await self._changed.wait_for(lambda: self._running < max(1, int(self._now)))
            self._running += 1
        while True:
            now = time.monotonic()
            begin = max(self._next_start, self._closed_until, now)
            if begin <= now:
                self._next_start = now + self._interval
                return
            if self._closed_until <= self._next_start and self._interval:
                self._next_start += self._interval  # this one has its turn; the next waits for the turn after
                await asyncio.sleep(begin - now)
                if self._closed_until <= time.monotonic():
                    return
            else:
                await asyncio.sleep(begin - now)

    async def leave(self) -> None:
        """A task has ended."""
        async with self._changed:
            self._running -= 1
            self._changed.notify()

    def succeeded(self) -> None:
        """The provider has answered."""
        self._now = min(self._most, self._now + 1 / self._now)

    def limited(self, wait: float) -> None:
        """The provider wants fewer requests."""
        if self._closed_until < time.monotonic():  # the tasks that were under way say the same
            self._now = max(1.0, self._now / 2)
        self._closed_until = max(self._closed_until, time.monotonic() + wait)


class Batch:
    """Many tasks, and how they are to run.

    Args:
        agent: Runs them.
        concurrency: How many at a time.
        rate: How many may begin in a second; None for no limit.
        on_error: What to do with a task that failed.
        ordered: Whether results come in the order of the tasks, or as they come.
        resume: The file of the results so far; None for none.
        options: Arguments of ``run_stream`` for all tasks.

    Raises:
        ConfigurationError: A value cannot work.
    """

    def __init__(
        self,
        agent: Any,
        *,
        concurrency: int,
        rate: float | None,
        on_error: OnError,
        ordered: bool,
        resume: str | Path | None,
        options: Mapping[str, Any],
    ) -> None:
        if isinstance(concurrency, bool) or not isinstance(cast("object", concurrency), int) or concurrency < 1:
            raise ConfigurationError(f"concurrency must be a whole number from 1, not {concurrency!r}")
        check_type("rate", rate, int | float, "a number of tasks a second")
        if rate is not None and not 0 < rate < float("inf"):
            raise ConfigurationError(f"rate must be above 0, or None, not {rate!r}")
        if on_error not in ("keep", "raise"):
            raise ConfigurationError(f"on_error must be 'keep' or 'raise', not {on_error!r}")
        self._agent, self._concurrency, self._rate = agent, concurrency, rate
        self._raises, self._ordered, self._options = on_error == "raise", ordered, options
        self._journal = None if resume is None else Journal(resume)
        self.total: int | None = None
        self.done = self.failed = 0

    async def results(self, tasks: Tasks) -> AsyncGenerator[TaskResult, None]:
        """Runs the tasks, and yields what came of each."""
        if hasattr(tasks, "__len__"):
            self.total = len(cast("list[Any]", tasks))
        with self._journal or nullcontext():
            # A generator that is not read to its end would be closed only when the garbage collector finds it.
            async with aclosing(self._results(tasks)) as results:
                async for result in results:
                    yield result

    async def _results(self, tasks: Tasks) -> AsyncGenerator[TaskResult, None]:
        gate = _Gate(self._concurrency, self._rate)
        room = asyncio.Semaphore(self._concurrency * (1 if not self._ordered else _AHEAD))
        queue: asyncio.Queue[TaskResult | BaseException | None] = asyncio.Queue()
        feeding = asyncio.create_task(self._feed(tasks, gate, room, queue))
        waiting = dict[int, TaskResult]()
        following = 0
        try:
            while (item := await queue.get()) is not None:
                if isinstance(item, StopProgramError):
                    raise item.stop from None
                if isinstance(item, BaseException):
                    raise item
                waiting[item.index] = item
                ready = [following] if self._ordered else [item.index]
                while ready and ready[0] in waiting:
                    result = waiting.pop(ready[0])
                    room.release()
                    self.done += 1
                    self.failed += result.error is not None
                    if self._raises and result.error is not None:
                        raise result.error
                    yield result
                    following += 1
                    ready = [following] if self._ordered else []
        finally:
            feeding.cancel()
            await asyncio.gather(feeding, return_exceptions=True)
            await asyncio.sleep(0)  # the event loop closes the drivers of cancelled runs in its next round

    async def _feed(
        self,
        tasks: Tasks,
        gate: _Gate,
        room: asyncio.Semaphore,
        queue: asyncio.Queue[TaskResult | BaseException | None],
    ) -> None:
        running = set[asyncio.Task[None]]()
        index = 0
        try:
            async with aclosing(_each(tasks)) as each:
                async for task in each:
                    await room.acquire()
                    kept = None if self._journal is None else self._journal.kept(index, task, self._agent)
                    if kept is not None:
                        queue.put_nowait(kept)
                    else:
                        await gate.enter()
                        one = asyncio.create_task(self._one(index, task, gate, queue))
                        running.add(one)
                        one.add_done_callback(running.discard)
                    index += 1
            await asyncio.gather(*running)
            queue.put_nowait(None)
        except Exception as error:  # noqa: BLE001 - the reader of the queue raises it
            queue.put_nowait(error)
        finally:
            for one in running:
                one.cancel()
            await asyncio.gather(*running, return_exceptions=True)

    async def _one(
        self, index: int, task: Any, gate: _Gate, queue: asyncio.Queue[TaskResult | BaseException | None]
    ) -> None:
        try:
            result = await contained(self._attempts(index, task, gate))
        except (StopProgramError, ConfigurationError) as error:
            await gate.leave()
            queue.put_nowait(error)  # no other task would fare better
            return
        await gate.leave()
        if self._journal is not None:
            self._journal.add(result)
        queue.put_nowait(result)

    async def _attempts(self, index: int, task: Any, gate: _Gate) -> TaskResult:
        for attempt in range(1, _MOST_ATTEMPTS + 1):
            result = await self._attempt(index, task, attempt)
            error = result.error
            if not isinstance(error, _LIMITED) or error.delivered or attempt == _MOST_ATTEMPTS:
                if error is None:
                    gate.succeeded()
                return result
            wait = min(_LONGEST_WAIT, _FIRST_WAIT * 2 ** (attempt - 1))
            if error.retry_after is not None:
                wait = error.retry_after
            gate.limited(wait)
            await gate.leave()
            await gate.enter()
        raise AssertionError  # the last attempt returns

    async def _attempt(self, index: int, task: Any, attempt: int) -> TaskResult:
        began = time.monotonic()
        given: dict[str, Any] = {**self._options, **(task if isinstance(task, Mapping) else {"task": task})}
        stream = self._agent.arun_stream(**given)
        error: Exception | None = None
        try:
            async with stream:
                async for _token in stream:
                    pass
        except ConfigurationError:
            raise
        except Exception as caught:  # noqa: BLE001 - it is a part of the result
            error = caught
        timings = stream.timings
        return TaskResult(
            index,
            task,
            output=None if error is not None else self._agent._output(stream),  # noqa: SLF001 - the agent's own batch
            text=stream.text,
            state=stream.state,
            usage=stream.usage,
            cost=stream.cost,
            ttft=timings[0].ttft if timings else None,
            duration=time.monotonic() - began,
            attempts=attempt,
            error=error,
            timings=timings,
        )


def blocking(batch: Batch, tasks: Tasks) -> Generator[TaskResult, None, None]:
    """Yields the results of a batch to code without an event loop. The batch runs in a thread of its own."""
    thread = EventLoopThread("headrace-map")
    results = batch.results(tasks)
    try:
        while (result := thread.run(lambda: anext(results, None))) is not None:
            yield result
    finally:
        with suppress(Exception):
            thread.run(results.aclose)
        thread.close()


@contextmanager
def shown(batch: Batch, *, progress: bool) -> Generator[Callable[[], object]]:
    """Shows how far a batch is, on a terminal or in a notebook.

    Args:
        batch: The batch.
        progress: Whether to show anything.

    Yields:
        A function to call after each result.
    """
    if not progress:
        yield lambda: None
        return
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, TimeRemainingColumn(), console=Console(stderr=True)) as bar:
        shown_task = bar.add_task("tasks", total=None)

        def update() -> None:
            failed = f", {batch.failed} failed" if batch.failed else ""
            bar.update(shown_task, description=f"tasks{failed}", completed=batch.done, total=batch.total)

        yield update


async def _each(tasks: Tasks) -> AsyncGenerator[Any, None]:
    if isinstance(tasks, AsyncIterable):
        async for task in tasks:
            yield _checked(task)
        return
    if isinstance(tasks, str | bytes | Mapping) or not isinstance(cast("object", tasks), Iterable):
        kind = type(cast("object", tasks)).__name__
        raise ConfigurationError(f"tasks must be a list of strings, not one {kind}; put it into [ ]")
    for number, task in enumerate(tasks):
        yield _checked(task)
        if number % 64 == 63:  # noqa: PLR2004 - a generator of tasks must not keep the loop from running them
            await asyncio.sleep(0)


def _checked(task: Any) -> Any:
    if not isinstance(task, Mapping):
        check_task(task)
        return task
    given = cast("Mapping[str, Any]", task)
    if given.keys().isdisjoint({"task", "messages"}):
        raise ConfigurationError("a task that is a dict has the arguments of run_stream: 'task' or 'messages' at least")
    return given
