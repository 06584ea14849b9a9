"""The state of a run, of an agent or of a workflow: pending, streaming, or one of the end states."""

from __future__ import annotations

import time
from typing import Final

from headrace.errors import StreamClosedError, StreamError

__all__ = ["RunState", "end_state"]

_NS: Final = 1e-9


def end_state(error: BaseException | None) -> str:
    """The state of a run that ended with this error; see ``RunStream.state``.

    Args:
        error: The error; None if there was none.
    """
    if error is None:
        return "complete"
    if isinstance(error, StreamError):
        return error.state
    if isinstance(error, Exception) and not isinstance(error, StreamClosedError):
        return "failed"
    # The caller left: it closed the stream, broke out of its `for` loop, pressed Ctrl-C, or its task was cancelled.
    return "cancelled"


class RunState:
    """The state of a run.

    Attributes:
        name: The state; see ``RunStream.state``.
        closed: Whether the caller has closed the stream.
        error: The error that the run ended with. It is raised after the last event.
    """

    __slots__ = ("_began_ns", "_left", "closed", "error", "name")

    def __init__(self) -> None:
        self.name = "pending"
        self.closed = False
        self.error: BaseException | None = None
        self._began_ns = 0
        self._left = False

    def begin(self) -> None:
        """The run begins.

        Raises:
            StreamClosedError: The stream was closed before it was read.
        """
        self.check_open()
        self.name = "streaming"
        self._began_ns = time.monotonic_ns()

    def end(self, error: BaseException | None) -> None:
        """The run has ended, with this error if there was one."""
        self.name = end_state(error)
        # The reader has left. Without the mark, reading on would look like the end of an answer.
        self._left = self.name == "cancelled"

    def close(self) -> bool:
        """The caller closes the stream.

        Returns:
            False if the run had already ended; then nothing changes.
        """
        if self.name not in {"pending", "streaming"}:
            return False
        self.closed = True
        self.name = "cancelled"
        return True

    def leave(self) -> bool:
        """The reader has left without closing the stream: its read was cancelled, and it did not read on.

        Returns:
            False if the run had already ended; then nothing changes.
        """
        if self.name not in {"pending", "streaming"}:
            return False
        self.name = "cancelled"
        self._left = True
        return True

    def check_open(self) -> None:
        """Raises ``StreamClosedError`` if the stream was closed."""
        if self.closed:
            raise StreamClosedError("the stream was closed by its reader: start a new run to read more")
        if self._left:
            raise StreamClosedError(
                "a read of this stream was interrupted or cancelled, which closed it: start a new run to read more"
            )

    def raise_error(self) -> None:
        """Raises the error that the run ended with, if there was one.

        Only once: the error is removed here, because a run that keeps it would be a reference cycle.
        """
        error, self.error = self.error, None
        try:
            if error is not None:
                raise error
        finally:
            # The traceback refers to this frame, so the frame must not refer to the error.
            del error

    @property
    def seconds(self) -> float:
        """Seconds since the run began."""
        return (time.monotonic_ns() - self._began_ns) * _NS
