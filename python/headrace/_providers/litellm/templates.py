"""Templates: requests that litellm has built, with their texts cut out.

If a template fits a call, we fill the call's texts in and do not enter litellm.

A template fits calls that differ in the texts of their messages and in nothing else: same model, settings and tools,
the same roles in the same order, and plain text in each message. Its key also contains everything else that a request
depends on: the environment, where keys and URLs may change, and litellm's own settings. A request with a credential
from anywhere else (an OAuth token that expires, a signature) never becomes a template.

How a template is learned: the second time that a call with the same key is built, it is built twice, once with its own
texts and once with placeholders. The placeholders show where the texts go. They contain the characters that JSON
encoders write in different ways, so that we see how this one writes them. The template is kept only if filling it with
the original texts gives the request that litellm built.
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

__all__ = ["Template", "fill", "forget", "learn"]

_MAX_TEMPLATES: Final = 256
"""How many templates are kept. If there are more, the least recently used is dropped."""

_PLACEHOLDER: Final = 'hE"aD\\rA\tcE<&>\n\u00e9{}sLoT'

_SECRET_NAME: Final = re.compile(r"auth|key|token|secret|cookie|session|signature|credential")
"""Words in the name of a header or URL parameter whose value may be a secret."""

_NOT_SENT_VERBATIM: Final = re.compile("[\ud800-\udfff]|think(?:ing)?>")
"""In texts that litellm may not send as they are: some requests cannot contain lone surrogates, and for Ollama litellm
takes reasoning out of the text."""


@dataclass(frozen=True, slots=True)
class Template:
    """A request without its texts.

    Attributes:
        request: The request, with an empty body.
        parts: The body without the texts: what comes before, between and after them.
        order: The indices of the texts in the order of the body: some providers want the system prompt last.
    """

    request: PreparedRequest
    parts: tuple[str, ...] = field(repr=False)
    order: tuple[int, ...]

    def fill(self, texts: tuple[str, ...]) -> PreparedRequest:
        """The request with these texts."""
        body = [self.parts[0]]
        for index, part in zip(self.order, self.parts[1:], strict=True):
            body += (json.dumps(texts[index])[1:-1], part)
        return replace(self.request, body="".join(body).encode())


_lock = threading.Lock()
_templates: OrderedDict[Hashable, Template | None] = OrderedDict()
"""By key. None if a request with this key was built once, or if no template fits."""


def fill(call: ModelCall) -> PreparedRequest | None:
    """The request for a call; None if there is no template for it."""
    texts = _texts(call)
    if texts is None or "litellm" not in sys.modules:
        return None
    key = _key(call)
    if key is None:
        return None
    with _lock:
        template = _templates.get(key)
        if template is None:
            return None
        _templates.move_to_end(key)
    return template.fill(texts)


def learn(call: ModelCall, built: PreparedRequest, build: Callable[[ModelCall], PreparedRequest | None]) -> None:
    """Learns a template from a request, if one with the same key was built before.

    Args:
        call: The call.
        built: The request that was built for it.
        build: Builds the request for another call; returns None if it cannot.
    """
    texts = _texts(call)
    if texts is None or not _is_static(built, call.settings):
        return
    key = _key(call)
    if key is None:
        return
    with _lock:
        is_first = key not in _templates
        if is_first:
            _keep(key, None)
    if is_first:
        return
    template = _template(call, texts, built, build)
    with _lock:
        _keep(key, template)


def forget() -> None:
    """Forgets all templates."""
    with _lock:
        _templates.clear()


def _keep(key: Hashable, template: Template | None) -> None:
    _templates[key] = template
    _templates.move_to_end(key)
    while len(_templates) > _MAX_TEMPLATES:
        _templates.popitem(last=False)


def _template(
    call: ModelCall,
    texts: tuple[str, ...],
    built: PreparedRequest,
    build: Callable[[ModelCall], PreparedRequest | None],
) -> Template | None:
    placeholders = tuple(_PLACEHOLDER.format(index) for index in range(len(texts)))
    messages = tuple({**message, "content": text} for message, text in zip(call.messages, placeholders, strict=True))
    request = build(replace(call, messages=messages))
    if request is None:
        return None
    cut = _cut(request.body.decode(), placeholders)
    if cut is None:
        return None
    template = Template(replace(request, body=b""), *cut)
    again = template.fill(texts)
    same = replace(again, body=b"") == replace(built, body=b"") and json.loads(again.body) == json.loads(built.body)
    return template if same else None


def _cut(body: str, placeholders: tuple[str, ...]) -> tuple[tuple[str, ...], tuple[int, ...]] | None:
    """The parts of a body around the placeholders, and their order; None unless the body has each exactly once."""
    for ascii_only in (True, False):
        written = [json.dumps(placeholder, ensure_ascii=ascii_only)[1:-1] for placeholder in placeholders]
        if all(body.count(placeholder) == 1 for placeholder in written):
            break
    else:
        return None
    order = sorted(range(len(placeholders)), key=lambda index: body.index(written[index]))
    parts: list[str] = []
    for index in order:
        part, _, body = body.partition(written[index])
        parts.append(part)
    return (*parts, body), tuple(order)


def _texts(call: ModelCall) -> tuple[str, ...] | None:
    """The texts of the messages; None unless all of them are plain text that litellm sends as it is.

    A text that begins or ends with whitespace does not count: litellm strips some of them.
    """
    texts: list[str] = []
    for message in call.messages:
        content = message.get("content")
        if set(message) != {"role", "content"} or not isinstance(content, str):
            return None
        if not content or content != content.strip() or _NOT_SENT_VERBATIM.search(content) is not None:
            return None
        texts.append(content)
    return tuple(texts)


def _key(call: ModelCall) -> Hashable:
    """All that a request depends on besides the texts; None if we cannot know all of it."""
    litellm = vars(sys.modules["litellm"])
    if litellm.get("pre_call_rules"):
        return None  # They may depend on the texts.
    settings = call.settings
    try:
        options = json.dumps([settings.parameters, call.tools, call.tool_choice])
    except (TypeError, ValueError):
        return None
    return (
        settings.model,
        settings.base_url,
        settings.api_key,
        settings.prompt_caching,
        tuple(settings.headers.items()),
        options,
        tuple(message["role"] for message in call.messages),
        hash(frozenset(os.environ.items())),
        _litellm_settings(litellm),
    )


def _litellm_settings(litellm: Mapping[str, Any]) -> int:
    """A hash of litellm's settings: variables of its module, nearly all of which some request depends on."""
    plain, containers = _setting_names()
    values = tuple(map(litellm.get, plain))
    non_empty = [repr(value) for value in map(litellm.get, containers) if value]
    try:
        return hash((values, *non_empty))
    except TypeError:
        return hash((repr(values), *non_empty))


@functools.cache
def _setting_names() -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The names of litellm's settings: those with plain values, and those with lists and mappings that start empty."""
    variables = vars(sys.modules["litellm"]).items()
    # error_logs is no setting: litellm writes to it at every call.
    public = {name: value for name, value in variables if not name.startswith("_") and name != "error_logs"}
    plain = tuple(name for name, value in public.items() if isinstance(value, (bool, int, float, str, type(None))))
    return plain, tuple(name for name, value in public.items() if value in ([], {}))


def _is_static(request: PreparedRequest, settings: ModelSettings) -> bool:
    """Whether we would notice if a credential of a request changed: all of them are in the key of the template."""
    litellm = vars(sys.modules["litellm"])
    known = {settings.api_key, *os.environ.values(), *settings.headers.values()}
    known.update(value for value in map(litellm.get, _setting_names()[0]) if isinstance(value, str))
    named_values = [*request.headers, *parse_qsl(urlsplit(request.url).query)]
    return not any(
        name.startswith("x-amz-") or (_SECRET_NAME.search(name) and value.removeprefix("Bearer ") not in known)
        for name, value in named_values
    )
