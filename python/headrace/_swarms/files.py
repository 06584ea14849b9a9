"""The tools for files and the shell that swarms' autonomous agents have: off unless they are named, in one folder."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING, Any, Final

from headrace.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

__all__ = ["FILE_TOOLS", "file_tools"]

FILE_TOOLS: Final = ("create_file", "update_file", "read_file", "list_directory", "delete_file", "run_bash")
"""Their names."""

_PATIENCE: Final = 60.0
_MOST: Final = 100_000


def file_tools(names: list[str], folder: Path) -> list[Callable[..., str]]:
    """Tools that work in a folder, and nowhere else.

    Args:
        names: Which of :data:`FILE_TOOLS`.
        folder: The folder; it is made when the first tool needs it. The shell of ``run_bash`` begins there, but a
            command may of course go anywhere: approve such calls, or run the program in a container.

    Returns:
        The functions.

    Raises:
        ConfigurationError: There is no such tool.
    """
    place = _Folder(folder)
    known: dict[str, Any] = {name: getattr(place, name) for name in FILE_TOOLS}
    unknown = [name for name in names if name not in known]
    if unknown:
        raise ConfigurationError(
            f"there are no tools {unknown}; for files and the shell there are {', '.join(FILE_TOOLS)}"
        )
    return [known[name] for name in names]


class _Folder:
    def __init__(self, folder: Path) -> None:
        self._root = folder.resolve()

    def _path(self, file_path: str) -> Path:
        self._root.mkdir(parents=True, exist_ok=True)
        path = (self._root / file_path).resolve()  # links, too
        if path != self._root and self._root not in path.parents:
            raise ValueError(f"{file_path!r} is outside of the working folder")
        return path

    def create_file(self, file_path: str, content: str) -> str:
        """Creates a file in the working folder, or replaces it.

        Args:
            file_path: Its path in the working folder.
            content: Its text.
        """
        path = self._path(file_path)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content, encoding="utf-8")
        return f"{file_path} has {len(content)} characters now"

    def update_file(self, file_path: str, content: str, mode: str = "replace") -> str:
        """Changes a file of the working folder.

        Args:
            file_path: Its path in the working folder.
            content: The text.
            mode: "replace" for a new text, "append" to add to its end.
        """
        path = self._path(file_path)
        if not path.is_file():
            raise FileNotFoundError(f"there is no file {file_path!r}")
        text = path.read_text(encoding="utf-8") + content if mode == "append" else content
        path.write_text(text, encoding="utf-8")
        return f"{file_path} has {len(text)} characters now"

    def read_file(self, file_path: str) -> str:
        """Reads a file of the working folder.

        Args:
            file_path: Its path in the working folder.
        """
        return self._path(file_path).read_text(encoding="utf-8", errors="replace")[:_MOST]

    def list_directory(self, directory_path: str = ".") -> str:
        """Lists a folder of the working folder.

        Args:
            directory_path: Its path in the working folder.
        """
        names = sorted(f"{each.name}/" if each.is_dir() else each.name for each in self._path(directory_path).iterdir())
        return "\n".join(names) or "(empty)"

    def delete_file(self, file_path: str) -> str:
        """Deletes a file of the working folder.

        Args:
            file_path: Its path in the working folder.
        """
        self._path(file_path).unlink()
        return f"{file_path} is deleted"

    def run_bash(self, command: str) -> str:
        """Runs a command of the shell in the working folder.

        Args:
            command: The command.
        """
        folder = self._path(".")
        done = subprocess.run(  # noqa: S602 - the user named this tool
            command, shell=True, cwd=folder, capture_output=True, text=True, timeout=_PATIENCE, check=False
        )
        return f"{done.stdout}{done.stderr}"[:_MOST] + (f"\n(exit code {done.returncode})" if done.returncode else "")
