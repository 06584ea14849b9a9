"""The file of a batch's results, so that a batch that was broken off goes on where it was."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from headrace.batches import TaskResult
from headrace.errors import ConfigurationError
from headrace.types import Usage

from .on_demand import structured

if TYPE_CHECKING:
    from types import TracebackType

    from typing_extensions import Self

__all__ = ["Journal"]


class Journal:
    """Results as lines of JSON. Each is written when its task is done; failed ones are asked again the next time.

    Args:
        path: The file; it is made if it is not there.

    Raises:
        ConfigurationError: The file cannot be read, or is none of ours.
    """

    def __init__(self, path: str | Path) -> None:
        self._path = Path(path)
        self._kept = dict[int, dict[str, Any]]()
        self._file: IO[str] | None = None
        self._length = 0
        if self._path.exists():
            self._read()

    def _read(self) -> None:
        try:
            text = self._path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigurationError(f"resume: {self._path} cannot be read: {error}") from None
        # A line without its end was being written when the process ended.
        whole = text[: text.rfind("\n") + 1]
        self._length = len(whole.encode())
        for number, line in enumerate(whole.splitlines(), start=1):
            try:
                entry: dict[str, Any] = json.loads(line)
                index, digest = entry["index"], entry["task_sha256"]
            except (ValueError, KeyError, TypeError):
                raise ConfigurationError(f"resume: line {number} of {self._path} is no result of a batch") from None
            if entry["error"] is None and digest:
                self._kept[index] = entry

    def kept(self, index: int, task: Any, agent: Any) -> TaskResult | None:
        """The result of a task that was done before; None if it was not.

        Raises:
            ConfigurationError: The file is of other tasks.
        """
        entry = self._kept.get(index)
        if entry is None:
            return None
        if entry["task_sha256"] != _digest(task):
            raise ConfigurationError(
                f"resume: task {index} is another one than in {self._path}: take another file, or the same tasks"
            )
        usage = entry["usage"]
        kind = structured(agent.output_type)
        return TaskResult(
            index,
            task,
            output=entry["output"] if kind is None else kind.restored(entry["output"]),
            text=entry["text"],
            state=entry["state"],
            usage=None if usage is None else Usage(**usage),
            cost=entry["cost"],
            ttft=entry["ttft"],
            duration=entry["duration"],
            attempts=entry["attempts"],
        )

    def add(self, result: TaskResult) -> None:
        """Writes a result."""
        if self._file is not None:
            entry = {**result.to_dict(), "task_sha256": _digest(result.task)}
            self._file.write(json.dumps(entry, ensure_ascii=False) + "\n")
            self._file.flush()

    def __enter__(self) -> Self:
        try:
            self._file = self._path.open("a", encoding="utf-8")
            self._file.truncate(self._length)
        except OSError as error:
            raise ConfigurationError(f"resume: {self._path} cannot be written: {error}") from None
        return self

    def __exit__(
        self, _type: type[BaseException] | None, _error: BaseException | None, _traceback: TracebackType | None
    ) -> None:
        if self._file is not None:
            self._file.close()


def _digest(task: Any) -> str:
    text = json.dumps(task, ensure_ascii=False, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()
