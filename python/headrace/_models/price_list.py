"""Reads litellm's price list, and finds the entry of a model.

The list is a file of the installed litellm package. It is read without importing litellm, which takes seconds. If the
program has imported litellm, the list in its memory has priority, because users add their own models to it.
"""

from __future__ import annotations

import json
import os
import re
import sys
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeAlias, cast

from .catalog import canonical, provider_named

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["Entry", "Listed", "facts", "find", "is_installed"]

Entry: TypeAlias = Mapping[str, Any]
"""The entry of one model in the list, in litellm's format."""

_FILE: Final = "model_prices_and_context_window_backup.json"
_NOT_MODELS: Final = {"sample_spec", "fallback_generalizations"}
_MODES_OF_RULES: Final = {"chat", "responses"}

_BEDROCK_ROUTE: Final = re.compile(
    r"(?:bedrock|chat_completions|converse|converse_like|invoke|openai|mantle|[a-z]{2}(?:-[a-z]+)+-\d+)/"
)
_BEDROCK_GEO: Final = re.compile(r"^(?:global|us|eu|apac|jp|au|us-gov)\.")
_BEDROCK_THROUGHPUT: Final = re.compile(r"(?<=:\d):\d+k$")
_VERSION: Final = re.compile(r"-\d+$")
_SNAPSHOT: Final = re.compile(r"-\d{4}-\d\d-\d\d$")
_FINE_TUNE: Final = re.compile(r"(?::[^:]*){3}$")


@dataclass(frozen=True, slots=True)
class Listed:
    """A model that is in the list.

    Attributes:
        name: Its name in the list.
        provider: The provider that serves it: the one in the model's name, else the one in the list.
        entry: Its entry.
    """

    name: str
    provider: str
    entry: Entry


def find(model: str) -> Listed | None:
    """Finds a model by the names that litellm would try: the whole name, then more and more general names.

    Args:
        model: The model's name, with or without its provider in front.

    Returns:
        The first match; None if there is no match, or no list.
    """
    prefix, slash, name = model.partition("/")
    if (found := _look_up(model)) is not None:
        provider = canonical(found[1]["litellm_provider"])
        return Listed(found[0], prefix if slash and _is_same(provider, prefix) else provider, found[1])
    for candidate in _more_general(prefix, name) if slash else _more_general("", model):
        found = _look_up(candidate)
        if found is not None and (not slash or _serves(prefix, found[1]["litellm_provider"])):
            return Listed(found[0], prefix if slash else canonical(found[1]["litellm_provider"]), found[1])
    return None


def facts(listed: Listed) -> Entry:
    """The entry of a model, completed by the list's general rules for names."""
    found: dict[str, Any] = {}
    if listed.entry.get("mode", "chat") in _MODES_OF_RULES:
        for rule in _bundled().get("fallback_generalizations", {}).get("rules", ()):
            providers = rule.get("fill_missing_for_providers", ())
            if listed.entry["litellm_provider"] in providers and re.search(rule["pattern"], listed.name, re.IGNORECASE):
                found |= rule["model_info"]
    return {**found, **listed.entry}


def is_installed() -> bool:
    """Whether there is a list, which is whether litellm is installed."""
    return bool(_bundled())


def _more_general(prefix: str, name: str) -> Iterator[str]:
    provider = canonical(prefix)
    if prefix:
        yield name
    if provider == "bedrock":
        model = _without_route(name)
        for known_as in (model, _BEDROCK_THROUGHPUT.sub("", model)):
            yield from (f"{prefix}/{known_as}", known_as, _BEDROCK_GEO.sub("", known_as))
        return
    front = f"{provider}/" if provider else ""
    if "ft:" in name:
        general = _FINE_TUNE.sub("", name)
    elif provider in {"gemini", "vertex_ai", "databricks"}:
        general = _VERSION.sub("", name)
    else:
        general = _SNAPSHOT.sub("", name).removeprefix("responses/" if prefix else "")
    yield from (f"{front}{name}", f"{front}{general}", general)
    if provider == "vertex_ai":
        yield from (f"{front}meta/{name}", f"{front}{name}@latest")
    elif provider == "fireworks_ai":
        yield f"{front}accounts/fireworks/models/{name}"
    elif provider == "perplexity":
        yield f"{front}{front}{name}"


def _without_route(name: str) -> str:
    """Bedrock's own name of a model, without API, region and ARN."""
    while (route := _BEDROCK_ROUTE.match(name)) is not None:
        name = name[route.end() :]
    return name.rpartition("/")[2] if name.startswith("arn:") else name


def _is_same(provider: str, prefix: str) -> bool:
    return provider == canonical(prefix)


def _serves(prefix: str, provider: str) -> bool:
    """Whether an entry of that provider is valid for a model's name with this prefix."""
    if provider_named(prefix).is_gateway or (prefix == "azure_ai" and provider in {"azure", "openai"}):
        return True
    return _is_same(canonical(provider), prefix)


# --- the lists ---------------------------------------------------------------------------------------------------


def _look_up(name: str) -> tuple[str, Entry] | None:
    """The name as the list has it, and its entry. Case is ignored, as in litellm."""
    if name in _NOT_MODELS:
        return None
    # The attribute may be missing: another thread may be importing litellm at this moment.
    live: object = getattr(sys.modules.get("litellm"), "model_cost", None)
    bundled = _bundled()
    listed = name if name in bundled else _lower_case().get(name.lower(), name)
    for table, key in ((live, name), (live, listed), (bundled, listed)):
        entry = cast("Entry", cast("Mapping[str, object]", table).get(key)) if isinstance(table, Mapping) else None
        if isinstance(entry, Mapping) and isinstance(entry.get("litellm_provider"), str):
            return key, entry
    return None


class _State:
    """The list from the file; None until it has been read."""

    bundled: dict[str, Any] | None = None
    lower_case: dict[str, str] | None = None


_state = _State()
_reading = threading.Lock()
if hasattr(os, "register_at_fork"):
    # A fork waits for the end of reading: the child would inherit the lock, but not the thread that releases it.
    os.register_at_fork(before=_reading.acquire, after_in_parent=_reading.release, after_in_child=_reading.release)


def _bundled() -> dict[str, Any]:
    if _state.bundled is None:
        with _reading:
            if _state.bundled is None:
                _state.bundled = _read_file()
    return _state.bundled


def _lower_case() -> dict[str, str]:
    if _state.lower_case is None:
        # Without the lock: if two threads do it at the same time, the results are equal.
        _state.lower_case = {name.lower(): name for name in _bundled()}
    return _state.lower_case


def _read_file() -> dict[str, Any]:
    """The list of the installed litellm; empty if there is none."""
    try:
        spec = find_spec("litellm")
        folders = spec.submodule_search_locations if spec is not None else None
        if not folders:
            return {}
        read: object = json.loads((Path(folders[0]) / _FILE).read_bytes())
    except (OSError, ValueError):  # find_spec raises ValueError for a module that has no spec
        return {}
    return cast("dict[str, Any]", read) if isinstance(read, dict) else {}
