"""User messages with images."""

from __future__ import annotations

import base64
import binascii
import os
from pathlib import Path
from typing import TYPE_CHECKING, Final

from headrace.errors import ConfigurationError

if TYPE_CHECKING:
    from headrace.types import Message

__all__ = ["user_message"]

# The first bytes of each image format that providers accept. WebP is checked separately.
_MAGIC: Final = (
    (b"\x89PNG\r\n\x1a\n", "image/png"),
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"GIF87a", "image/gif"),
    (b"GIF89a", "image/gif"),
)


_LONGEST_PATH: Final = 4096


def user_message(task: str, images: list[str]) -> Message:
    """Makes a user message of a task and images.

    Args:
        task: The text.
        images: Paths, URLs, data URIs, or base64 text of images.

    Returns:
        A message with the text and the images.

    Raises:
        ConfigurationError: An image is none of these, or its format is not PNG, JPEG, GIF or WebP.
    """
    parts = [{"type": "image_url", "image_url": {"url": _url(image)}} for image in images]
    return {"role": "user", "content": [{"type": "text", "text": task}, *parts]}


def _url(image: str | os.PathLike[str]) -> str:
    image = os.fspath(image)
    if image.startswith(("http://", "https://", "data:")):
        return image
    data = _file(image) or _base64(image)
    if data is None:
        raise ConfigurationError(f"{_shown(image)} is no file, URL, data URI or base64 text of an image")
    return f"data:{_format(data, image)};base64,{base64.b64encode(data).decode()}"


def _file(image: str) -> bytes | None:
    try:
        return Path(image).expanduser().read_bytes()
    except (OSError, ValueError, RuntimeError):
        # The text is base64: too long for a path, or not the name of a file.
        return None


def _base64(image: str) -> bytes | None:
    try:
        # Remove line breaks: encoders break lines at 76 characters.
        return base64.b64decode("".join(image.split()), validate=True)
    except binascii.Error:
        return None


def _format(data: bytes, image: str) -> str:
    for magic, name in _MAGIC:
        if data.startswith(magic):
            return name
    if data.startswith(b"RIFF") and data[8:12] == b"WEBP":
        return "image/webp"
    raise ConfigurationError(f"{_shown(image)} is not a PNG, JPEG, GIF or WebP image")


def _shown(image: str) -> str:
    """The image for an error message: a path in full, base64 text cut."""
    return repr(image) if len(image) <= _LONGEST_PATH else f"{image[:80]!r}…"
