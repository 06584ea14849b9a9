"""What is secret in settings, so that a pickle does not contain it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final, cast
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

__all__ = ["headers_without_secrets", "is_secret", "settings_without_secrets", "url_without_secrets"]

_NAME: Final = re.compile(
    r"api[_-]?key|access[_-]?key|private|secret|passw|credential|authorization|(?:^|[_-])(?:key|pat|token)$",
    re.IGNORECASE,
)
"""Names of settings and variables with secret values; not ``max_tokens``, nor ``prompt_cache_key``."""

_NO_SECRET: Final = frozenset({"prompt_cache_key"})

_HEADER: Final = re.compile(r"auth|key|token|secret|cookie|session|signature|credential", re.IGNORECASE)
_VALUE: Final = re.compile(r"(?:Bearer|Basic|Token) |sk-", re.IGNORECASE)
_URL: Final = re.compile(r"https?://", re.IGNORECASE)


def is_secret(name: str) -> bool:
    """Whether a setting or an environment variable of that name has a secret value."""
    return name not in _NO_SECRET and _NAME.search(name) is not None


def headers_without_secrets(headers: Mapping[str, str]) -> dict[str, str]:
    """The headers that carry no credential, by their names and values."""
    return {
        name: value
        for name, value in headers.items()
        if not _HEADER.search(str(name)) and not _VALUE.match(str(value).strip())
    }


def url_without_secrets(url: str) -> str:
    """A URL without user, password and parameters of the query that are credentials."""
    try:
        parts = urlsplit(url)
        if "@" not in parts.netloc and not parts.query:
            return url
        query = [(name, value) for name, value in parse_qsl(parts.query, True) if not _HEADER.search(name)]
        kept = parts.query if len(query) == len(parse_qsl(parts.query, True)) else urlencode(query)
        return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2], query=kept))
    except ValueError:
        return ""  # It cannot be told what in it is secret, and no request can be sent to it.


def settings_without_secrets(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Settings, and settings within them, without the secret ones. Numbers are never secret."""
    kept: dict[str, Any] = {}
    for name, value in settings.items():
        if isinstance(value, Mapping) and str(name).endswith("headers"):
            kept[name] = headers_without_secrets(cast("Mapping[str, str]", value))
        elif is_secret(str(name)) and not isinstance(value, bool | int | float):
            continue
        elif isinstance(value, Mapping):
            kept[name] = settings_without_secrets(cast("Mapping[str, Any]", value))
        elif isinstance(value, str) and _URL.match(value):
            kept[name] = url_without_secrets(value)
        else:
            kept[name] = value
    return kept
