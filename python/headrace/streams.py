"""What ``Agent.run_stream`` and ``Agent.arun_stream`` return."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Generic, TypeVar, cast

from . import _native
from ._concurrency.wakeups import running_loop
from ._run.drive import adrive, drive
from ._run.run import Run
from ._run.streams import AsyncStream, Stream, StreamInfo

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from ._run.read import Item
    from ._run.run import Incomplete
    from ._run.streams import AsyncTokenIterator, TokenIterator
    from .types import Timing

__all__ = ["AsyncRunStream", "RunStream"]

T = TypeVar("T")


class _AgentStreamInfo(StreamInfo[Run]):
    """What only the streams of an agent have."""

    __slots__ = ()

    @property
    def timing(self) -> Timing | None:
        """The timing of the current turn, or of the last one; None before the first.

        Example:
            >>> stream = agent.run_stream("Greet me.")
            >>> stream.timing is None
            True
            >>> tokens = list(stream)
            >>> stream.timing.ttft > 0  # seconds
            True
        """
        timings = self._run.timings
        return timings[-1] if timings else None

    @property
    def has_output(self) -> bool:
        """Whether the answer is to be a value of a type (``output_type``), rather than text."""
        return self._run.answer is not None

    @property
    def output(self) -> Any:
        """The answer as a value of the type that ``output_type`` names; None until the run has ended, or for text.

        Example:
            >>> from headrace.testing import Simulator
            >>> with Simulator(turns=[{"text": '{"value": [1, 2]}'}]) as simulator:
            ...     counting = Agent(model_name="openai/sim", llm_base_url=simulator.base_url, output_type=list[int])
            ...     stream = counting.run_stream("Count.")
            ...     text = "".join(stream)
            >>> stream.output
            [1, 2]
        """
        return self._run.value

    @property
    def partial(self) -> Any:
        """What has come of such an answer, while it streams. Nothing is validated.

        Members of a model or a dataclass that have not come are None, or their defaults; what is begun is cut where the
        tokens end. None before anything has come.
        """
        return self._run.partial

    @property
    def incomplete(self) -> Incomplete | None:
        """Why the answer is short, although the run is complete; None if it is not short, or before the end.

        ``"length"``: the model's limit of tokens (``max_tokens``). ``"content_filter"``: the provider's filter.
        ``"max_loops"``: the model called tools in its last turn, and could not read their results any more. With
        ``Agent(strict_end=True)`` such a run fails with an ``IncompleteAnswerError`` after its last token.
        """
        return self._run.incomplete

    @property
    def metadata(self) -> Mapping[str, Any]:
        """The notes about the run that it was started with."""
        return self._run.metadata

    def steer(self, message: str) -> None:
        """Adds a message of the user before the next turn. May be called from any thread.

        If the run would end after the current turn, it gets another turn, within ``max_loops``.

        Args:
            message: The message.
        """
        self._run.inbox.append(message)


class RunStream(_AgentStreamInfo, Stream[Run, T], Generic[T]):
    """Yields the tokens of a run (or its events), in order, each as soon as it arrives.

    The first request is sent when the first token is read. ``close()``, the end of a ``with`` block and dropping the
    last reference to the stream close its connection at once. If you break out of a ``for`` loop and still have a
    reference to the stream, you can read on, also after a ``KeyboardInterrupt`` while a token was awaited. Tokens that
    arrived before an error are yielded before the error. Only one thread may read at a time.

    Async tools run on an event loop that belongs to this run, so objects that they keep between calls, such as an HTTP
    client, work in all turns. Its thread starts with the first tool call and ends with the stream.

    Raises:
        StreamError: While it is read: the run did not end complete. The subclass says how.
        StreamClosedError: While it is read: the stream was closed.
        StreamInUseError: While it is read: another thread is reading it.
        ConfigurationError: Before the first token: the request cannot be built.

    Example:
        >>> with agent.run_stream("Greet me.") as stream:
        ...     for token in stream:
        ...         print(repr(token))
        'Hello'
        ', '
        'world.'
        >>> stream.state, stream.text
        ('complete', 'Hello, world.')
    """

    __slots__ = ()

    def __init__(self, run: Run) -> None:
        super().__init__(run, cast("TokenIterator[T]", _native.TokenIterator(drive(run), run.check_open)))


class AsyncRunStream(_AgentStreamInfo, AsyncStream[Run, T], Generic[T]):
    """Yields the tokens of a run (or its events), in order, each as soon as it arrives; for ``async for``.

    It needs no thread of its own. Otherwise it behaves like :class:`RunStream`.

    A read of a token that is cancelled, as by ``asyncio.wait_for(anext(stream), 5)``, loses nothing: read on. If the
    task ends instead, the connection is closed. A cancelled read of an event, or while tools run, closes the stream,
    and reading on raises ``StreamClosedError``. Only one task may read at a time.

    Raises:
        StreamError: While it is read: the run did not end complete. The subclass says how.
        StreamClosedError: While it is read: the stream was closed.
        StreamInUseError: While it is read: another task is reading it.
        ConfigurationError: Before the first token: the request cannot be built.

    Example:
        >>> import asyncio
        >>> async def main():
        ...     async with agent.arun_stream("Greet me.") as stream:
        ...         return [token async for token in stream]
        >>> asyncio.run(main())
        ['Hello', ', ', 'world.']
    """

    __slots__ = ()

    def __init__(self, run: Run) -> None:
        items = _native.AsyncTokenIterator(adrive(run), run, running_loop)
        super().__init__(run, cast("AsyncTokenIterator[T]", items))

    async def relay_to(self, exchange: _native.Exchange, tell: Callable[[list[Item]], None]) -> None:
        """Reads the stream to its end, for the client of a server, without entering Python for each token.

        For ``headrace.serve``. It cannot be read in another way then.

        Args:
            exchange: Where the text goes.
            tell: Called with the events that :meth:`with_notices` asks for.

        Raises:
            StreamError: The run did not end complete.
            StreamClosedError: The stream was closed, or the client has left.
        """
        from ._run.relay import relay_drive

        await relay_drive(self._run, exchange, tell)

    async def _wait_closed(self) -> None:
        await self._run.work.released()
