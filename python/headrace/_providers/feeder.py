"""The fallback lane: an answer that Python has to read goes through the same channel as all others.

A thread of its own reads it and feeds it to the native stream as OpenAI chat chunks, so that decoding, stamps, limits
of time, backpressure and closing are those of every stream.
"""

from __future__ import annotations

import contextlib
import contextvars
import copy
import inspect
import json
import socket
import sys
import threading
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final, TypeAlias, cast

from headrace._conversation.reasoning import sent
from headrace.errors import ConfigurationError

from .requests import FedRequest

if TYPE_CHECKING:
    from collections.abc import AsyncIterable, Callable, Iterable, Sequence

    from headrace import _native
    from headrace.types import Message, ModelCall

__all__ = ["Watch", "from_llm", "from_stream"]

Watch: TypeAlias = "Callable[[Callable[[Any], object]], None]"
"""Has a function called with each response that is received in this context."""

_DONE: Final = b"data: [DONE]\n\n"


def from_stream(
    name: str,
    start: Callable[[], Any],
    translate: Callable[[BaseException], BaseException],
    provider: str | None,
    watch: Watch | None = None,
) -> FedRequest:
    """A request for what a function returns: text, or an iterable of text or of chunks; async ones too.

    Args:
        name: Where it comes from, for messages.
        start: Makes it, in the thread that reads it.
        translate: Makes our exception of one that it raises.
        provider: Who answers.
        watch: Calls a function with each response of httpx that the answer is read from, for answers that give no hold
            of it: it is ended with the stream.
    """

    def feed(source: _native.Source) -> Callable[[], None]:
        feeder = _Feeder(source, start, translate, watch)
        # Whoever is asked sees the caller's context variables.
        run = contextvars.copy_context().run
        threading.Thread(target=run, args=(feeder.run,), name=f"headrace {name}", daemon=True).start()
        return feeder.stop

    return FedRequest(name, feed, provider)


def from_llm(llm: Any, call: ModelCall) -> FedRequest:
    """A request for what the caller's own model says.

    Args:
        llm: A callable, or an object with a method ``run``. What its first parameter is annotated with, or called, says
            what it gets: the prompt as one string (``str``; ``task``, ``prompt``, ``text``, ``query``), or else the
            messages as OpenAI writes them. It gets the tools too, if it has a parameter ``tools``.
        call: The conversation.
    """
    ask = llm if callable(llm) else getattr(llm, "run", None)
    if not callable(ask):
        raise ConfigurationError(
            f"llm must be callable, or have a method run, but is {type(llm).__name__}: "
            "give a function of the prompt or of the messages"
        )
    # Its own copies: what it does to them does not change the conversation.
    messages = copy.deepcopy(sent(call.messages, "openai_chat"))
    given: list[Any] = [_prompt(messages) if _wants_text(ask) else messages]
    named: dict[str, Any] = {"tools": copy.deepcopy(list(call.tools))} if "tools" in _parameters(ask) else {}
    return from_stream("llm", lambda: ask(*given, **named), lambda error: error, None)


def _parameters(ask: Callable[..., Any]) -> Mapping[str, inspect.Parameter]:
    try:
        if sys.version_info >= (3, 14):
            from annotationlib import Format

            # Annotations may name what exists for type checkers only.
            return inspect.signature(ask, annotation_format=Format.FORWARDREF).parameters
        return inspect.signature(ask).parameters
    except (TypeError, ValueError):
        return {}


def _wants_text(ask: Callable[..., Any]) -> bool:
    first = next(iter(_parameters(ask).values()), None)
    if first is None:
        return False
    if first.annotation is not inspect.Parameter.empty:
        return first.annotation in {str, "str"}
    return first.name in {"task", "prompt", "text", "query"}


def _prompt(messages: Sequence[Message]) -> str:
    """A conversation as one text; of one that is a single message, its words alone."""
    texts = [(message["role"], _text(message.get("content"))) for message in messages]
    if len(texts) == 1:
        return texts[0][1]
    return "\n\n".join(f"{role}: {text}" for role, text in texts if text)


def _text(content: Any) -> str:
    if isinstance(content, str):
        return content
    parts: list[dict[str, Any]] = content or []
    return "\n".join(part["text"] for part in parts if "text" in part)


class _Feeder:
    """Reads an answer, and feeds it to its stream."""

    def __init__(
        self,
        source: _native.Source,
        start: Callable[[], Any],
        translate: Callable[[BaseException], BaseException],
        watch: Watch | None,
    ) -> None:
        self._source = source
        self._start = start
        self._translate = translate
        self._watch = watch
        self._lock = threading.Lock()
        self._stopped = False
        self._close: Callable[[], object] | None = None
        self._response: Any = None  # what it comes from, if it comes over the wire
        self._reason_told = False
        self._truncated = False
        self._finished = False
        self._calls = False

    def run(self) -> None:
        """Reads until there is no more, or nobody wants more."""
        try:
            if self._watch is not None:
                self._watch(self._reads_from)
            self._read(self._start())
        except BaseException as error:  # noqa: BLE001 — the reader gets it, in its own thread
            self._source.fail(self._translate(error))
        else:
            self._source.end()
        finally:
            if self._response is not None:
                # Left half read, it would be closed by the garbage collector, in whatever thread: even one that holds
                # the lock of the connection's pool, which would then wait for itself.
                self._response.close()

    def stop(self) -> None:
        """Stops it, as far as what is read can be stopped. May be called from any thread, and again."""
        with self._lock:
            self._stopped = True
            close = self._close
        if close is not None:
            close()

    def _reads_from(self, response: Any) -> None:
        self._response = response
        self._closes_with(lambda: _cut(response))

    def _closes_with(self, close: Callable[[], object] | None) -> None:
        with self._lock:
            self._close = close
            stopped = self._stopped
        if stopped and close is not None:
            close()

    def _read(self, answer: Any) -> None:
        # What can be read either way, as litellm's streams seem to be, is read in the way that it was made.
        if hasattr(answer, "__await__") or (hasattr(answer, "__aiter__") and not hasattr(answer, "__iter__")):
            self._read_async(answer)
        else:
            self._read_iterable(_chunks(answer))
        self._finish()

    def _read_iterable(self, chunks: Iterable[Any]) -> None:
        response = getattr(chunks, "response", None)
        if response is not None:
            # A stream of OpenAI's library, or of Anthropic's.
            self._reads_from(response)
        try:
            for chunk in chunks:
                if self._is_made_up(chunks, chunk):
                    self._truncated = True
                    break
                if not self._feed(chunk):
                    break
        finally:
            self._closes_with(None)
            close = getattr(chunks, "close", None)
            if close is not None:
                close()

    def _is_made_up(self, stream: Any, chunk: Any) -> bool:
        """Whether a chunk of litellm's says that the answer is whole only because no more of it came over the wire."""
        if self._response is None or not hasattr(stream, "received_finish_reason"):
            return False
        told = stream.received_finish_reason or getattr(stream, "intermittent_finish_reason", None)
        self._reason_told = self._reason_told or told is not None
        return not self._reason_told and any(choice.finish_reason for choice in chunk.choices)

    def _read_async(self, answer: Any) -> None:
        import asyncio

        async def read() -> None:
            task = asyncio.current_task()
            loop = asyncio.get_running_loop()
            if task is not None:
                self._closes_with(lambda: loop.call_soon_threadsafe(task.cancel))
            try:
                said = await answer if hasattr(answer, "__await__") else answer
                if hasattr(said, "__aiter__"):
                    await self._read_async_iterable(said)
                else:
                    for chunk in _chunks(said):
                        self._feed(chunk)
            finally:
                self._closes_with(None)

        try:
            asyncio.run(read())
        except asyncio.CancelledError:
            if not self._stopped:
                raise

    async def _read_async_iterable(self, chunks: AsyncIterable[Any]) -> None:
        try:
            async for chunk in chunks:
                # It may wait, and with it this loop, which is this answer's alone.
                if not self._feed(chunk):
                    break
        finally:
            close = getattr(chunks, "aclose", None)
            if close is not None:
                await close()

    def _feed(self, chunk: Any) -> bool:
        document = _document(chunk)
        choices: list[dict[str, Any]] = document.get("choices") or []
        for choice in choices:
            self._finished = self._finished or bool(choice.get("finish_reason"))
            delta: dict[str, Any] = choice.get("delta") or {}
            self._calls = self._calls or bool(delta.get("tool_calls"))
        return self._send(document)

    def _finish(self) -> None:
        if self._truncated:
            return
        # Nobody knows whether calls without a finish reason are all: the arguments of each must show it.
        if not self._finished and not self._calls:
            self._send({"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]})
        self._source.feed(_DONE)

    def _send(self, document: Mapping[str, Any]) -> bool:
        return self._source.feed(b"data: " + json.dumps(document, default=str).encode() + b"\n\n")


def _chunks(answer: Any) -> Iterable[Any]:
    """The chunks of an answer, which may be one by itself."""
    is_one = (
        isinstance(answer, str | bytes | bytearray | Mapping)
        or hasattr(answer, "model_dump")
        or not hasattr(answer, "__iter__")
    )
    return [cast("Any", answer)] if is_one else cast("Iterable[Any]", answer)


def _document(chunk: Any) -> dict[str, Any]:
    """A chunk as OpenAI writes it."""
    if isinstance(chunk, str):
        return {"choices": [{"index": 0, "delta": {"content": chunk}}]}
    dump = getattr(chunk, "model_dump", None)
    document: Any = dump(exclude_none=True) if dump is not None else chunk
    if not isinstance(document, Mapping):
        raise TypeError(
            f"a model's answer is made of strings, or of chunks as OpenAI writes them, not of {type(chunk).__name__}"
        )
    told = dict(cast("Mapping[str, Any]", document))
    if "choices" in told or "usage" in told or "error" in told:
        return {"choices": [], **told}
    # A delta by itself.
    return {"choices": [{"index": 0, "delta": told}]}


def _cut(response: Any) -> None:
    """Ends a response of httpx that another thread may be waiting for. Only its socket wakes that thread.

    A response that was read to its end is left alone, since its connection may be another's by now. So is one of
    HTTP/2, whose connection is shared.
    """
    extensions: Mapping[str, Any] = getattr(response, "extensions", {})
    network = extensions.get("network_stream")
    connection = None if network is None else network.get_extra_info("socket")
    if connection is None or response.is_closed or extensions.get("http_version") == b"HTTP/2":
        return
    with contextlib.suppress(OSError):
        connection.shutdown(socket.SHUT_RDWR)
