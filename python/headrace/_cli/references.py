"""References to the user's own objects, as ``module:name``."""

from __future__ import annotations

import importlib
import sys
from typing import Any

from headrace.errors import ConfigurationError

__all__ = ["load"]


def load(reference: str, what: str) -> Any:
    """Imports an object.

    Args:
        reference: ``module:name``. The module may be in the working directory.
        what: What it is, for errors.

    Returns:
        The object.

    Raises:
        ConfigurationError: There is no such module or object.
    """
    module, colon, name = reference.partition(":")
    if not (module and colon and name):
        raise ConfigurationError(f"{what} must be module:name, not {reference!r}")
    if "" not in sys.path:
        sys.path.insert(0, "")
    try:
        return getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError) as error:
        raise ConfigurationError(f"{what} {reference!r} cannot be imported: {error}") from error
