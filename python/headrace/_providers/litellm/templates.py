"""Requests that litellm has built, with the texts cut out: a warm call fills them in, and does not enter litellm.

A frame serves calls that differ in the words of their messages and in nothing else: same model, settings and tools, the
same roles in the same order, and plain text in each. What else a request depends on, stands in its key as well: the
environment, where keys and URLs may change, and litellm's own settings. Requests with a credential that came from
anywhere else (an OAuth token that expires, a signature) are never framed.

How a frame is learnt: a call of a shape that was seen before is built twice, with its own texts and with marks in their
place. The marks show where the texts go, and have in them what is written in other ways in other places. The frame
holds only if it gives back, filled, what litellm built.
"""

from __future__ import annotations

import functools
import json
import os
import re
import sys
import threading
from collections import OrderedDict
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import parse_qsl, urlsplit

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Mapping

    from headrace._providers.requests import PreparedRequest
    from headrace.types import ModelCall, ModelSettings

__all__ = ["Frame", "filled", "forget", "learn"]

_KEPT: Final = 256
"""How many frames are kept; the one that was used longest ago goes first."""

_MARK: Final = 'hE"aD\\rA\tcE<&>\n\u00e9{}sLoT'

_SECRET: Final = re.compile(r"auth|key|token|secret|cookie|session|signature|credential")
"""What the name of a header or of a part of the URL has in it whose value may be a secret."""

_READ: Final = re.compile("[\ud800-\udfff]|think(?:ing)?>")
"""Texts that are not sent as they are: some requests cannot hold them, or reasoning is taken out of them (Ollama)."""


@dataclass(frozen=True, slots=True)
class Frame:
    """A request without its texts.

    Attributes:
        request: The request, whose body does not count.
        pieces: The body, cut where the texts go.
        order: The numbers of the texts in the order in which they stand there: some put the system's last.
    """

    request: PreparedRequest
    pieces: tuple[str, ...] = field(repr=False)
    order: tuple[int, ...]

    def fill(self, texts: tuple[str, ...]) -> PreparedRequest:
        """The request for these texts."""
        parts = [self.pieces[0]]
        for number, piece in zip(self.order, self.pieces[1:], strict=True):
            parts += (json.dumps(texts[number])[1:-1], piece)
        return replace(self.request, body="".join(parts).encode())


_lock = threading.Lock()
_frames: OrderedDict[Hashable, Frame | None] = OrderedDict()


def filled(call: ModelCall) -> PreparedRequest | None:
    """The request for a call, if a frame is known for it."""
    texts = _texts(call)
    if texts is None or "litellm" not in sys.modules:
        return None
    key = _key(call)
    if key is None:
        return None
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
    if texts is None or not _is_static(built, call.settings):
        return
    key = _key(call)
    if key is None:
        return
    with _lock:
        seen = key in _frames
        if not seen:
            _keep(key, None)
    if not seen:
        return
    frame = _frame(call, texts, built, build)
    with _lock:
        _keep(key, frame)


def forget() -> None:
    """Forgets all frames."""
    with _lock:
        _frames.clear()


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
    cut = _cut(request.body.decode(), marks)
    if cut is None:
        return None
    frame = Frame(replace(request, body=b""), *cut)
    again = frame.fill(texts)
    same = replace(again, body=b"") == replace(built, body=b"") and json.loads(again.body) == json.loads(built.body)
    return frame if same else None


def _cut(body: str, marks: tuple[str, ...]) -> tuple[tuple[str, ...], tuple[int, ...]] | None:
    """The body, cut at the marks, and their order; None unless each stands there once."""
    for ascii_only in (True, False):
        written = [json.dumps(mark, ensure_ascii=ascii_only)[1:-1] for mark in marks]
        if all(body.count(mark) == 1 for mark in written):
            break
    else:
        return None
    order = sorted(range(len(marks)), key=lambda number: body.index(written[number]))
    pieces: list[str] = []
    for number in order:
        piece, _, body = body.partition(written[number])
        pieces.append(piece)
    return (*pieces, body), tuple(order)


def _texts(call: ModelCall) -> tuple[str, ...] | None:
    """The texts of a conversation that is plain text. Blank ends are left alone: litellm strips some."""
    texts: list[str] = []
    for message in call.messages:
        content = message.get("content")
        if set(message) != {"role", "content"} or not isinstance(content, str):
            return None
        if not content or content != content.strip() or _READ.search(content) is not None:
            return None
        texts.append(content)
    return tuple(texts)


def _key(call: ModelCall) -> Hashable:
    """All that a request depends on besides the texts; None where that cannot be told."""
    litellm = vars(sys.modules["litellm"])
    if litellm.get("pre_call_rules"):
        return None  # They look at the texts.
    settings = call.settings
    try:
        asked = json.dumps([settings.parameters, call.tools, call.tool_choice])
    except (TypeError, ValueError):
        return None
    return (
        settings.model,
        settings.base_url,
        settings.api_key,
        settings.prompt_caching,
        tuple(settings.headers.items()),
        asked,
        tuple(message["role"] for message in call.messages),
        hash(frozenset(os.environ.items())),
        _litellm_settings(litellm),
    )


def _litellm_settings(litellm: Mapping[str, Any]) -> int:
    """A digest of litellm's settings, which are variables of its module: some request or other depends on most."""
    plain, containers = _setting_names()
    values = tuple(map(litellm.get, plain))
    filled = [repr(value) for value in map(litellm.get, containers) if value]
    try:
        return hash((values, *filled))
    except TypeError:
        return hash((repr(values), *filled))


@functools.cache
def _setting_names() -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The names of litellm's settings: of plain values, and of lists and mappings that are empty until they are set."""
    variables = vars(sys.modules["litellm"]).items()
    # Into error_logs it writes about every call.
    public = {name: value for name, value in variables if not name.startswith("_") and name != "error_logs"}
    plain = tuple(name for name, value in public.items() if isinstance(value, (bool, int, float, str, type(None))))
    return plain, tuple(name for name, value in public.items() if value in ([], {}))


def _is_static(request: PreparedRequest, settings: ModelSettings) -> bool:
    """Whether all credentials of a request are ones that a change of would be noticed."""
    litellm = vars(sys.modules["litellm"])
    known = {settings.api_key, *os.environ.values(), *settings.headers.values()}
    known.update(value for value in map(litellm.get, _setting_names()[0]) if isinstance(value, str))
    told = [*request.headers, *parse_qsl(urlsplit(request.url).query)]
    return not any(
        name.startswith("x-amz-") or (_SECRET.search(name) and value.removeprefix("Bearer ") not in known)
        for name, value in told
    )
