"""The fed lane: Python reads an answer, and feeds it into a native stream.

Each answer is read by a thread of its own, which feeds it in as chunks of OpenAI's chat dialect. Decoding, timing,
timeouts, backpressure and closing are therefore the same as in the native lane.
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

from headrace._conversation.legal import legal_messages
from headrace._conversation.reasoning import with_reasoning_for
from headrace.errors import ConfigurationError

from .requests import FedRequest

if TYPE_CHECKING:
    from collections.abc import AsyncIterable, Callable, Iterable, Sequence

    from headrace import _native
    from headrace.types import Message, ModelCall

__all__ = ["Watch", "from_llm", "from_stream"]

Watch: TypeAlias = "Callable[[Callable[[Any], object]], None]"
"""Makes a function be called with each HTTP response that is received in this context; see ``litellm/capture``."""

_DONE: Final = b"data: [DONE]\n\n"


def from_stream(
    name: str,
    start: Callable[[], Any],
    translate: Callable[[BaseException], BaseException],
    provider: str | None,
    watch: Watch | None = None,
) -> FedRequest:
    """A request whose answer a function returns: text, or an iterable of text or of chunks, sync or async.

    Args:
        name: Where the answer comes from, for error messages.
        start: Returns the answer. Called in the thread that reads it.
        translate: Turns an exception of ``start`` or of the answer into the one that the stream raises.
        provider: Who answers.
        watch: Calls a function with each httpx response, for an answer that does not give access to the response it is
            read from: closing the stream has to end that response.
    """

    def feed(source: _native.Source) -> Callable[[], None]:
        feeder = _Feeder(source, start, translate, watch)
        # `start` sees the caller's context variables.
        run = contextvars.copy_context().run
        threading.Thread(target=run, args=(feeder.run,), name=f"headrace {name}", daemon=True).start()
        return feeder.stop

    return FedRequest(name, feed, provider)


def from_llm(llm: Any, call: ModelCall) -> FedRequest:
    """A request that the caller's own model answers.

    Args:
        llm: A callable, or an object with a method ``run``. It gets the prompt as one string if its first parameter is
            annotated ``str``, or has no annotation and is called ``task``, ``prompt``, ``text`` or ``query``; otherwise
            it gets the messages in OpenAI's form. It gets the tools too, if it has a parameter ``tools``.
        call: The conversation.
    """
    ask = llm if callable(llm) else getattr(llm, "run", None)
    if not callable(ask):
        raise ConfigurationError(
            f"llm must be callable, or have a method run, but is {type(llm).__name__}: "
            "pass a function of the prompt or of the messages"
        )
    messages = with_reasoning_for(call.messages, "openai_chat", plain=True)
    # Copies, so that the llm cannot change the conversation.
    messages = copy.deepcopy(legal_messages(messages))
    prompt: Any = _prompt(messages) if _wants_text(ask) else messages
    tools: dict[str, Any] = {"tools": copy.deepcopy(list(call.tools))} if "tools" in _parameters(ask) else {}
    return from_stream("llm", lambda: ask(prompt, **tools), lambda error: error, None)


def _parameters(ask: Callable[..., Any]) -> Mapping[str, inspect.Parameter]:
    try:
        if sys.version_info >= (3, 14):
            from annotationlib import Format

            # Annotations may have names that exist for type checkers only.
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
    """A conversation as one text. A single message is given without its role."""
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
    """Reads an answer, and feeds it into its stream."""

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
        self._response: Any = None  # the HTTP response that the answer is read from, if there is one
        self._has_finish_reason = False
        self._truncated = False
        self._finished = False
        self._has_tool_calls = False

    def run(self) -> None:
        """Reads to the end of the answer, or until the stream is closed."""
        try:
            if self._watch is not None:
                self._watch(self._set_response)
            self._read(self._start())
        except BaseException as error:  # noqa: BLE001 — the stream raises it
            self._source.fail(self._translate(error))
        else:
            self._source.end()
        finally:
            if self._response is not None:
                # Otherwise the garbage collector would close a response that was read in part. It may do so in any
                # thread, even in one that holds the lock of the connection pool: a deadlock.
                self._response.close()

    def stop(self) -> None:
        """Stops reading, if what is read can be stopped. May be called from any thread, and again."""
        with self._lock:
            self._stopped = True
            close = self._close
        if close is not None:
            close()

    def _set_response(self, response: Any) -> None:
        self._response = response
        self._set_close(lambda: _disconnect(response))

    def _set_close(self, close: Callable[[], object] | None) -> None:
        """Sets what `stop` calls, and calls it if `stop` was called before."""
        with self._lock:
            self._close = close
            stopped = self._stopped
        if stopped and close is not None:
            close()

    def _read(self, answer: Any) -> None:
        # litellm's streams have both __iter__ and __aiter__: the ones we make are sync.
        if hasattr(answer, "__await__") or (hasattr(answer, "__aiter__") and not hasattr(answer, "__iter__")):
            self._read_async(answer)
        else:
            self._read_iterable(_chunks(answer))
        self._finish()

    def _read_iterable(self, chunks: Iterable[Any]) -> None:
        response = getattr(chunks, "response", None)
        if response is not None:
            # A stream of OpenAI's or Anthropic's library.
            self._set_response(response)
        try:
            for chunk in chunks:
                if self._has_invented_reason(chunks, chunk):
                    self._truncated = True
                    break
                if not self._feed(chunk):
                    break
        finally:
            self._set_close(None)
            close = getattr(chunks, "close", None)
            if close is not None:
                close()

    def _has_invented_reason(self, stream: Any, chunk: Any) -> bool:
        """Whether litellm invented this chunk's finish reason: it does so where the provider sent none.

        The answer is then truncated.
        """
        if self._response is None or not hasattr(stream, "received_finish_reason"):
            return False
        received = stream.received_finish_reason or getattr(stream, "intermittent_finish_reason", None)
        self._has_finish_reason = self._has_finish_reason or received is not None
        return not self._has_finish_reason and any(choice.finish_reason for choice in chunk.choices)

    def _read_async(self, answer: Any) -> None:
        import asyncio

        async def read() -> None:
            task = asyncio.current_task()
            event_loop = asyncio.get_running_loop()

            def cancel() -> None:
                # `stop` may call this when the answer has just ended, and the event loop with it.
                with contextlib.suppress(RuntimeError):
                    if task is not None:
                        event_loop.call_soon_threadsafe(task.cancel)

            self._set_close(cancel)
            try:
                awaited = await answer if hasattr(answer, "__await__") else answer
                if hasattr(awaited, "__aiter__"):
                    await self._read_async_iterable(awaited)
                else:
                    self._read_iterable(_chunks(awaited))
            finally:
                self._set_close(None)

        try:
            asyncio.run(read())
        except asyncio.CancelledError:
            if not self._stopped:
                raise

    async def _read_async_iterable(self, chunks: AsyncIterable[Any]) -> None:
        try:
            async for chunk in chunks:
                # This may block the event loop, which nothing but this answer uses.
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
            self._has_tool_calls = self._has_tool_calls or bool(delta.get("tool_calls"))
        return self._send(document)

    def _finish(self) -> None:
        if self._truncated:
            return
        # Without a finish reason, only the arguments of each tool call show whether it is complete.
        if not self._finished and not self._has_tool_calls:
            self._send({"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]})
        self._source.feed(_DONE)

    def _send(self, document: Mapping[str, Any]) -> bool:
        return self._source.feed(b"data: " + json.dumps(document, default=str).encode() + b"\n\n")


def _chunks(answer: Any) -> Iterable[Any]:
    """The chunks of an answer, which may itself be a single chunk."""
    is_one = (
        isinstance(answer, str | bytes | bytearray | Mapping)
        or hasattr(answer, "model_dump")
        or not hasattr(answer, "__iter__")
    )
    return [cast("Any", answer)] if is_one else cast("Iterable[Any]", answer)


def _document(chunk: Any) -> dict[str, Any]:
    """A chunk in OpenAI's form."""
    if isinstance(chunk, str):
        return {"choices": [{"index": 0, "delta": {"content": chunk}}]}
    dump = getattr(chunk, "model_dump", None)
    document: Any = dump(exclude_none=True) if dump is not None else chunk
    if not isinstance(document, Mapping):
        raise TypeError(
            f"a model's answer must consist of strings or of chunks in OpenAI's form, not of {type(chunk).__name__}"
        )
    members = dict(cast("Mapping[str, Any]", document))
    if "choices" in members or "usage" in members or "error" in members:
        return {"choices": [], **members}
    # A delta without the chunk around it.
    return {"choices": [{"index": 0, "delta": members}]}


def _disconnect(response: Any) -> None:
    """Ends an httpx response that another thread may be waiting for. Only shutting its socket down wakes that thread.

    It does nothing to a response that was read to its end, because another request may be using the connection by now;
    and nothing to one of HTTP/2, where requests share the connection.
    """
    extensions: Mapping[str, Any] = getattr(response, "extensions", {})
    network = extensions.get("network_stream")
    connection = None if network is None else network.get_extra_info("socket")
    if connection is None or response.is_closed or extensions.get("http_version") == b"HTTP/2":
        return
    with contextlib.suppress(OSError):
        connection.shutdown(socket.SHUT_RDWR)
