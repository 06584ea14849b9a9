"""Requests that litellm has built, with the texts cut out: a warm call fills them in, and does not enter litellm.

A frame serves calls that differ in the words of their messages and in nothing else: same model, settings and tools, the
same roles in the same order, and plain text in each. What else a request depends on, stands in its key as well: the
environment, where keys and URLs may change, and litellm's own settings. Requests with a credential that came from
anywhere else (an OAuth token that expires, a signature) are never framed.

How a frame is learnt: a call of a shape that was seen before is built twice, with its own texts and with marks in their
place. The marks show where the texts go. The frame holds only if it gives back, filled, what litellm built.
"""

from __future__ import annotations

import functools
import json
import os
import sys
import threading
from collections import OrderedDict
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable

    from ._requests import PreparedRequest
    from .types import ModelCall

__all__ = ["Frame", "filled", "learn"]

_KEPT: Final = 256
"""How many frames are kept; the one that was used longest ago goes first."""

_MARK: Final = "hEaDrAcE{}sLoT"

_SETTINGS: Final = ("_key", "api_base", "api_version", "_params", "headers", "organization")
"""The ends of the names of litellm's own settings that a request may depend on."""


@dataclass(frozen=True, slots=True)
class Frame:
    """A request without its texts.

    Attributes:
        request: The request, whose body does not count.
        pieces: The body, cut where the texts go.
    """

    request: PreparedRequest
    pieces: tuple[str, ...] = field(repr=False)

    def fill(self, texts: tuple[str, ...]) -> PreparedRequest:
        """The request for these texts."""
        parts = [self.pieces[0]]
        for text, piece in zip(texts, self.pieces[1:], strict=True):
            parts += (json.dumps(text)[1:-1], piece)
        return replace(self.request, body="".join(parts).encode())


_lock = threading.Lock()
_frames: OrderedDict[Hashable, Frame | None] = OrderedDict()


def filled(call: ModelCall) -> PreparedRequest | None:
    """The request for a call, if a frame is known for it."""
    texts = _texts(call)
    if texts is None or "litellm" not in sys.modules:
        return None
    key = _key(call)
    with _lock:
        frame = _frames.get(key)
        if frame is None:
            return None
        _frames.move_to_end(key)
    return frame.fill(texts)


def learn(call: ModelCall, built: PreparedRequest, build: Callable[[ModelCall], PreparedRequest | None]) -> None:
    """Learns a frame from a request that was built, the second time that one of its shape is.

    Args:
        call: What was asked.
        built: The request for it.
        build: Builds another; None where it cannot.
    """
    texts = _texts(call)
    if texts is None or not _is_static(built, call.settings.api_key):
        return
    key = _key(call)
    with _lock:
        seen = key in _frames
        if not seen:
            _keep(key, None)
    if not seen:
        return
    frame = _frame(call, texts, built, build)
    with _lock:
        _keep(key, frame)


def _keep(key: Hashable, frame: Frame | None) -> None:
    _frames[key] = frame
    _frames.move_to_end(key)
    while len(_frames) > _KEPT:
        _frames.popitem(last=False)


def _frame(
    call: ModelCall,
    texts: tuple[str, ...],
    built: PreparedRequest,
    build: Callable[[ModelCall], PreparedRequest | None],
) -> Frame | None:
    marks = tuple(_MARK.format(number) for number in range(len(texts)))
    marked = tuple({**message, "content": mark} for message, mark in zip(call.messages, marks, strict=True))
    request = build(replace(call, messages=marked))
    if request is None:
        return None
    pieces = _cut(request.body.decode(), marks)
    if pieces is None:
        return None
    frame = Frame(replace(request, body=b""), pieces)
    again = frame.fill(texts)
    same = replace(again, body=b"") == replace(built, body=b"") and json.loads(again.body) == json.loads(built.body)
    return frame if same else None


def _cut(body: str, marks: tuple[str, ...]) -> tuple[str, ...] | None:
    """The body, cut at the marks; None unless each stands there once, and in order."""
    pieces: list[str] = []
    rest = body
    for mark in marks:
        piece, found, rest = rest.partition(mark)
        if not found:
            return None
        pieces.append(piece)
    pieces.append(rest)
    return None if any(mark in piece for mark in marks for piece in pieces) else tuple(pieces)


def _texts(call: ModelCall) -> tuple[str, ...] | None:
    """The texts of a conversation that is plain text. Blank ends are left alone: litellm strips some."""
    texts: list[str] = []
    for message in call.messages:
        content = message.get("content")
        if len(message) != 2 or not isinstance(content, str) or not content or content != content.strip():  # noqa: PLR2004
            return None
        texts.append(content)
    return tuple(texts)


def _key(call: ModelCall) -> Hashable:
    settings = call.settings
    return (
        settings.model,
        settings.base_url,
        settings.api_key,
        settings.prompt_caching,
        tuple(settings.headers.items()),
        json.dumps([settings.parameters, call.tools, call.tool_choice], default=repr),
        tuple(message["role"] for message in call.messages),
        hash(frozenset(os.environ.items())),
        _litellm_settings(),
    )


def _litellm_settings() -> tuple[object, ...]:
    """What of litellm's module-level settings a request may depend on."""
    settings: dict[str, Any] = vars(sys.modules["litellm"])
    values = (settings.get(name) for name in _setting_names())
    return tuple(repr(value) if value else None for value in values)


@functools.cache
def _setting_names() -> tuple[str, ...]:
    return tuple(name for name in vars(sys.modules["litellm"]) if name.endswith(_SETTINGS))


def _is_static(request: PreparedRequest, api_key: str | None) -> bool:
    """Whether all credentials of a request are ones that a change of would be noticed."""
    known = {api_key, *os.environ.values()} - {None, ""}
    for name, value in request.headers:
        if name in {"authorization", "x-api-key", "api-key", "x-goog-api-key"}:
            secret = value.removeprefix("Bearer ")
            if secret not in known:
                return False
        elif name.startswith("x-amz-"):
            return False
    return True
