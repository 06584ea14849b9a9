"""The faults of a provider, and what a caller gets: a table that the tests check and ``docs/reliability.md`` shows."""

from __future__ import annotations

from typing import Any, Final, NamedTuple

__all__ = ["DOCUMENT", "FAULTS", "TOKENS", "Fault", "document"]

TOKENS: Final = ["one", " two", " three", " four"]
DOCUMENT: Final = "docs/reliability.md"


class Fault(NamedTuple):
    """A fault, and what comes of it.

    Attributes:
        what: What happens, in words.
        script: The fault for the simulator, or other members of its turn.
        error: The class of the error; None if there is none.
        state: The end state of the stream.
        tokens: How many tokens the caller gets before that.
        limit: The setting that bounds how long it takes; None if it is known at once.
        retried: Whether it is retried with ``retry_attempts``, if the caller has seen no token.
    """

    what: str
    script: dict[str, Any]
    error: str | None
    state: str
    tokens: int = 0
    limit: str | None = None
    retried: bool = False


def _status(status: int, error: str, *, retried: bool = False) -> Fault:
    return Fault(f"HTTP {status}", {"kind": "status", "status": status}, error, "rejected", retried=retried)


FAULTS: Final = (
    _status(400, "BadRequestError"),
    _status(401, "AuthenticationError"),
    _status(403, "PermissionDeniedError"),
    _status(404, "NotFoundError"),
    _status(408, "ServerError", retried=True),
    _status(409, "ServerError", retried=True),
    _status(413, "BadRequestError"),
    _status(422, "BadRequestError"),
    _status(429, "RateLimitError", retried=True),
    _status(500, "ServerError", retried=True),
    _status(502, "ServerError", retried=True),
    _status(503, "OverloadedError", retried=True),
    _status(529, "OverloadedError", retried=True),
    Fault("a redirect", {"kind": "redirect", "location": "/elsewhere"}, "ProviderError", "rejected"),
    Fault("a web page with status 200", {"kind": "html"}, "ProtocolError", "protocol"),
    Fault("nothing at all", {"kind": "silent"}, "FirstTokenTimeoutError", "timeout", 0, "first_token", retried=True),
    Fault(
        "silence after the head", {"kind": "stall"}, "FirstTokenTimeoutError", "timeout", 0, "first_token", retried=True
    ),
    Fault("silence in mid-answer", {"kind": "stall", "after": 2}, "IdleTimeoutError", "timeout", 2, "idle"),
    Fault(
        "the connection is reset before the first token",
        {"kind": "reset"},
        "ConnectionFailedError",
        "transport",
        retried=True,
    ),
    Fault(
        "the connection is reset in mid-answer", {"kind": "reset", "after": 2}, "ConnectionFailedError", "transport", 2
    ),
    Fault(
        "the connection is closed before the first token",
        {"kind": "close"},
        "ConnectionFailedError",
        "transport",
        retried=True,
    ),
    Fault(
        "the connection is closed in mid-answer", {"kind": "close", "after": 2}, "ConnectionFailedError", "transport", 2
    ),
    Fault("the body ends before the first token", {"kind": "end"}, "TruncatedError", "truncated", retried=True),
    Fault("the body ends in mid-answer", {"kind": "end", "after": 2}, "TruncatedError", "truncated", 2),
    Fault("no end marker after the finish reason", {"kind": "no_done"}, None, "complete", 4),
    Fault(
        "an error before the first token",
        {"kind": "error", "error": {"message": "No.", "type": "server_error"}},
        "ServerError",
        "error",
        retried=True,
    ),
    Fault(
        "an error in mid-answer",
        {"kind": "error", "after": 2, "error": {"message": "No.", "type": "server_error"}},
        "ServerError",
        "error",
        2,
    ),
    Fault(
        "an overload in mid-answer",
        {"kind": "error", "after": 2, "error": {"message": "No.", "type": "overloaded_error"}},
        "OverloadedError",
        "error",
        2,
    ),
    Fault("broken JSON in mid-answer", {"kind": "malformed", "after": 2}, "ProtocolError", "protocol", 2),
    Fault(
        "one event over `max_event_bytes`",
        {"kind": "huge", "after": 2, "bytes": 17_000_000},
        "EventTooLargeError",
        "protocol",
        2,
    ),
    Fault(
        "bytes that come in small pieces", {"kind": "cut", "sizes": [1, 7, 3], "interval_ms": 1}, None, "complete", 4
    ),
)

_HEAD: Final = """\
# What a fault costs

This page is made from `tests/support/fault_matrix.py`, each row of which is a test: `tests/faults/test_matrix.py`
plays the fault on a real socket, for `run_stream` and `arun_stream`, and checks what stands here. Make it anew with
`python tests/support/fault_matrix.py`.

*Tokens* are those of an answer of four that the caller gets before the error. *Until*: known at once, or when this
limit of `Timeouts` is reached. *Retried*: with `retry_attempts`, as long as the caller has seen no token; after that
only with `resume_on_error`. What is left: nothing. The connection is closed, and the agent can run again at once;
each test does that.

| what happens | the caller gets | `stream.state` | tokens | until | retried |
|---|---|---|---|---|---|
"""

_TAIL: Final = """
Beyond this table: an answer cut by its output limit is complete, and a tool call in it that was cut is not run; an
answer that says nothing is an `EmptyAnswerError`; one that was withheld is a `ContentPolicyViolationError`. A host
without address, a port that refuses, a certificate that is not trusted and a connection that is not made in time are
in `tests/faults/test_connecting.py`.
"""


def document() -> str:
    """The page."""
    return _HEAD + "".join(map(_row, FAULTS)) + _TAIL


def _row(fault: Fault) -> str:
    cells = (
        fault.what,
        f"`{fault.error}`" if fault.error else "the whole answer",
        f"`{fault.state}`",
        str(fault.tokens),
        f"`{fault.limit}`" if fault.limit else "at once",
        "–" if fault.error is None else "yes" if fault.retried else "no",
    )
    return f"| {' | '.join(cells)} |\n"


if __name__ == "__main__":
    from pathlib import Path

    Path(__file__).parents[2].joinpath(DOCUMENT).write_text(document(), encoding="utf-8")
