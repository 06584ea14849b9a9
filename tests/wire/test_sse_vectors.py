"""Every vector of ``tests/conformance/sse``, whole and cut at every position: the result never depends on the cut."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace import EventTooLargeError
from headrace.sse import SSEDecoder, decode
from support.vectors import Vector, read_vectors

if TYPE_CHECKING:
    from collections.abc import Iterable

VECTORS = read_vectors("sse")
DEFAULT_LIMIT = 16 * 1024 * 1024


@dataclass(frozen=True)
class Outcome:
    events: list[dict[str, str]]
    failed: bool
    # The other values are not compared after an error.
    retry: int | None = None
    last_event_id: str = ""
    truncated_tail: bool = False


def decode_pieces(pieces: Iterable[bytes], limit: int) -> Outcome:
    decoder = SSEDecoder(max_event_bytes=limit)
    events: list[dict[str, str]] = []
    try:
        for piece in pieces:
            events += [{"type": event.event, "data": event.data, "id": event.id} for event in decoder.feed(piece)]
        decoder.close()
    except EventTooLargeError:
        return Outcome(events, failed=True)
    return Outcome(events, False, decoder.retry, decoder.last_event_id, decoder.mid_event)


def limit_of(vector: Vector) -> int:
    limit = vector.expected.get("max_event_bytes", DEFAULT_LIMIT)
    assert isinstance(limit, int)
    return limit


def expected_of(vector: Vector) -> Outcome:
    expected = vector.expected
    if expected.get("error"):
        return Outcome(expected["events"], failed=True)
    return Outcome(expected["events"], False, expected["retry"], expected["last_event_id"], expected["truncated_tail"])


def test_there_are_vectors() -> None:
    assert len(VECTORS) >= 50


@pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: vector.name)
def test_a_vector_at_every_cut(vector: Vector) -> None:
    body, limit, expected = vector.body, limit_of(vector), expected_of(vector)
    assert decode_pieces([body], limit) == expected
    # For a line of 70 KB, cutting at every 97th byte finds the same faults as cutting at every byte.
    for cut in range(0, len(body) + 1, 97 if len(body) > 8 * 1024 else 1):
        assert decode_pieces([body[:cut], body[cut:]], limit) == expected, f"cut at {cut}"
    assert decode_pieces((body[at : at + 1] for at in range(len(body))), limit) == expected, "byte by byte"


@pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: vector.name)
def test_a_vector_through_decode(vector: Vector) -> None:
    expected = expected_of(vector)
    events = []
    failed = False
    try:
        for event in decode([vector.body], max_event_bytes=limit_of(vector)):
            events.append({"type": event.event, "data": event.data, "id": event.id})  # noqa: PERF401
    except EventTooLargeError:
        failed = True
    assert (events, failed) == (expected.events, expected.failed)


PARTS = st.sampled_from(
    [
        b"data",
        b"event",
        b"id",
        b"retry",
        b":",
        b" ",
        b"\n",
        b"\r",
        b"\r\n",
        b"\n\n",
        b"42",
        b"\xef\xbb\xbf",
        b"\0",
        b"\xff",
    ]
)


@given(
    parts=st.lists(PARTS, max_size=40), cuts=st.lists(st.integers(1, 9), min_size=1), limit=st.sampled_from([24, 4096])
)
def test_no_result_depends_on_the_cuts(parts: list[bytes], cuts: list[int], limit: int) -> None:
    body = b"".join(parts)
    pieces: list[bytes] = []
    at = 0
    while at < len(body):
        size = cuts[len(pieces) % len(cuts)]
        pieces.append(body[at : at + size])
        at += size
    assert decode_pieces(pieces, limit) == decode_pieces([body], limit)
