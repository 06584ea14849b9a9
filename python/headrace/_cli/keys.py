"""``headrace keys``: makes the keys of a server."""

from __future__ import annotations

import hashlib
import json
import os
import secrets
from typing import TYPE_CHECKING

from headrace.errors import ConfigurationError

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["new_key"]


def new_key(
    name: str,
    file: Path,
    *,
    streams: int | None = None,
    requests_per_minute: int | None = None,
    tokens_per_minute: int | None = None,
    models: tuple[str, ...] = (),
) -> str:
    """Makes a key, and adds its hash to a file. The key itself is nowhere.

    Args:
        name: Whose key it is.
        file: The file; made if it is not there, for its owner only.
        streams: How many answers it may have at a time; None for any number.
        requests_per_minute: How many requests it may make in a minute.
        tokens_per_minute: How many tokens it may use in a minute.
        models: The models that it may ask; all if there are none.

    Returns:
        The key.

    Raises:
        ConfigurationError: The file has a key of this name, or cannot be written.
    """
    key = f"hr-{secrets.token_urlsafe(32)}"
    limits = {"streams": streams, "requests_per_minute": requests_per_minute, "tokens_per_minute": tokens_per_minute}
    # A JSON string is a TOML string.
    lines = ["[[key]]", f"name = {json.dumps(name, ensure_ascii=False)}"]
    lines.append(f'sha256 = "{hashlib.sha256(key.encode()).hexdigest()}"')
    lines += [f"{limit} = {value}" for limit, value in limits.items() if value is not None]
    if models:
        lines.append(f"models = {json.dumps(models, ensure_ascii=False)}")
    try:
        before = file.read_text("utf-8") if file.exists() else ""
        if lines[1] in before.splitlines():
            raise ConfigurationError(f"{file} has a key of the name {name!r} already")
        # Written as a whole and then moved, so that a running server never reads half of it.
        part = file.with_name(f".{file.name}.part")
        with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as out:
            out.write(before + ("\n" if before else "") + "\n".join(lines) + "\n")
        part.replace(file)
    except OSError as error:
        raise ConfigurationError(f"the key cannot be written: {error}") from error
    return key
