"""``headrace.sse``: the decoder by itself."""

from __future__ import annotations

import array
import asyncio
import json
from typing import TYPE_CHECKING

import pytest

from headrace import EventTooLargeError
from headrace.sse import ServerSentEvent, SSEDecoder, adecode, decode

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


def events_of(*pieces: bytes) -> list[ServerSentEvent]:
    return list(decode(pieces))


def test_an_event_has_a_type_data_and_an_id() -> None:
    [event] = events_of(b"event: greeting\nid: 7\ndata: Hello,\ndata: world.\n\n")
    assert (event.event, event.data, event.id, event.retry) == ("greeting", "Hello,\nworld.", "7", None)


def test_an_event_is_returned_as_soon_as_it_is_complete() -> None:
    decoder = SSEDecoder()
    assert decoder.feed(b"data: a\n\ndata: b") != []
    assert decoder.mid_event
    assert [event.data for event in decoder.feed(b"\n\n")] == ["b"]
    assert not decoder.mid_event


def test_an_event_parses_its_json() -> None:
    [event, broken] = events_of(b'data: {"a": [1, null]}\n\ndata: {\n\n')
    assert event.json() == {"a": [1, None]}
    with pytest.raises(json.JSONDecodeError):
        broken.json()


def test_events_compare_and_hash_by_value() -> None:
    one, other, third = events_of(b"data: a\n\ndata: a\n\ndata: b\n\n")
    assert one == other
    assert hash(one) == hash(other)
    assert one != third
    assert one != "a"
    match one:
        case ServerSentEvent(kind, data):
            assert (kind, data) == ("message", "a")


def test_an_event_cannot_be_changed() -> None:
    [event] = events_of(b"data: a\n\n")
    with pytest.raises(AttributeError):
        event.data = "b"  # type: ignore[misc]


def test_the_repr_shows_everything() -> None:
    [event] = events_of(b"retry: 5\n\n", b'id: 1\ndata: it\'s "so"\n\n')
    assert repr(event) == "ServerSentEvent(event='message', data='it\\'s \"so\"', id='1', retry=5)"


def test_an_event_has_the_retry_set_before_it_for_any_cuts() -> None:
    body = b"data: a\n\nretry: 5\ndata: b\n\nretry: 6\n\ndata: c\n\n"
    for cut in range(len(body) + 1):
        assert [event.retry for event in events_of(body[:cut], body[cut:])] == [None, 5, 6]


def test_a_decoder_has_the_values_for_a_reconnection() -> None:
    decoder = SSEDecoder()
    decoder.feed(b": ping\nid: 7\nretry: 250\ndata: a\n\n: ping\n\n")
    assert (decoder.last_event_id, decoder.retry, decoder.comments) == ("7", 250, 2)


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview, lambda data: array.array("B", data)])
def test_feed_takes_any_bytes_like_object(kind: type[bytes]) -> None:
    assert [event.data for event in SSEDecoder().feed(kind(b"data: a\n\n"))] == ["a"]


def test_feed_takes_a_memoryview_with_a_step() -> None:
    data = memoryview(b"d-a-t-a-:- -a-\n-\n-")[::2]
    assert [event.data for event in SSEDecoder().feed(data)] == ["a"]


@pytest.mark.parametrize("wrong", ["data: a\n\n", None, 7, ["data"]])
def test_data_that_is_not_bytes_is_refused(wrong: object) -> None:
    with pytest.raises(TypeError, match="bytes-like object"):
        SSEDecoder().feed(wrong)  # type: ignore[arg-type]


def test_the_error_for_text_says_what_to_do() -> None:
    with pytest.raises(TypeError, match="not str; encode text as UTF-8 first"):
        SSEDecoder().feed("data: a\n\n")  # type: ignore[arg-type]


# --- the size limit --------------------------------------------------------------------------------------------


def test_events_before_one_that_is_too_large_are_returned_first() -> None:
    decoder = SSEDecoder(max_event_bytes=16)
    assert [event.data for event in decoder.feed(b"data: a\n\ndata: b\n\ndata: " + b"c" * 32)] == ["a", "b"]
    with pytest.raises(EventTooLargeError, match="16"):
        decoder.feed(b"")


def test_a_decoder_that_failed_stays_failed() -> None:
    decoder = SSEDecoder(max_event_bytes=16)
    for _ in range(3):
        with pytest.raises(EventTooLargeError):
            decoder.feed(b"data: " + b"c" * 32)
    with pytest.raises(EventTooLargeError):
        decoder.close()


def test_close_raises_for_an_event_that_was_too_large() -> None:
    decoder = SSEDecoder(max_event_bytes=16)
    decoder.feed(b"data: a\n\ndata: " + b"c" * 32)
    with pytest.raises(EventTooLargeError):
        decoder.close()


def test_decode_yields_the_events_before_one_that_is_too_large() -> None:
    events = decode([b"data: a\n\ndata: " + b"c" * 32], max_event_bytes=16)
    assert next(events).data == "a"
    with pytest.raises(EventTooLargeError):
        next(events)


def test_adecode_yields_the_events_before_one_that_is_too_large() -> None:
    async def main() -> None:
        async def chunks() -> AsyncIterator[bytes]:
            yield b"data: a\n\nda"
            yield b"ta: " + b"c" * 32

        events = adecode(chunks(), max_event_bytes=16)
        assert (await anext(events)).data == "a"
        with pytest.raises(EventTooLargeError):
            await anext(events)

    asyncio.run(main())


def test_many_small_events_are_not_one_large_one() -> None:
    decoder = SSEDecoder(max_event_bytes=16)
    assert len(decoder.feed(b"data: a\n\n" * 1000)) == 1000


def test_a_long_line_in_many_pieces_takes_linear_time() -> None:
    # A decoder that scans the whole line again for each piece would scan 32 GB, and this test would not end.
    decoder = SSEDecoder()
    assert decoder.feed(b"data: ") == []
    for _ in range(8192):
        decoder.feed(b"x" * 1024)
    [event] = decoder.feed(b"\n\n")
    assert len(event.data) == 8 * 1024 * 1024


# --- sources ---------------------------------------------------------------------------------------------------


def test_decode_reads_only_the_chunks_that_it_needs() -> None:
    read: list[int] = []

    def chunks() -> object:
        for number in range(3):
            read.append(number)
            yield b"data: %d\n\n" % number

    events = decode(chunks())  # type: ignore[arg-type]
    assert read == []
    assert next(events).data == "0"
    assert read == [0]


def test_an_event_without_its_blank_line_is_discarded() -> None:
    assert [event.data for event in events_of(b"data: a\n\ndata: b\n")] == ["a"]
