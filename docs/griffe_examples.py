"""For `make docs`: a docstring's ``Example:`` is a block of code, as Google's style has it for ``Examples:``."""

from __future__ import annotations

import re
from typing import Any

import griffe


class Examples(griffe.Extension):
    """Renames the section, and reads no stubs of the native part: its wrappers are documented."""

    def on_object(self, *, obj: griffe.Object, **_options: Any) -> None:
        """Renames the section in a docstring."""
        if obj.docstring is not None:
            obj.docstring.value = re.sub(r"^(\s*)Example:$", r"\1Examples:", obj.docstring.value, flags=re.MULTILINE)
