"""``headrace.decode``: recorded bodies."""

from __future__ import annotations

import array
import io
import json
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import headrace
from headrace import (
    AuthenticationError,
    BadRequestError,
    ConfigurationError,
    EventTooLargeError,
    OverloadedError,
    ProtocolError,
    ProviderError,
    RateLimitError,
    Response,
    ServerError,
    ToolCall,
    TruncatedError,
    Usage,
    decode,
)
from headrace.decoding import (
    Choice,
    ErrorDelta,
    FinishDelta,
    ReasoningDelta,
    ResponseDelta,
    SignatureDelta,
    TextDelta,
    ToolCallArgumentsDelta,
    ToolCallEndDelta,
    ToolCallStartDelta,
    UsageDelta,
)

if TYPE_CHECKING:
    from collections.abc import Iterator


def sse(*events: Any) -> bytes:
    return b"".join(b"data: " + json.dumps(event).encode() + b"\n\n" for event in events)


def chunk(delta: dict[str, Any], finish_reason: str | None = None, index: int = 0) -> dict[str, Any]:
    choice = {"index": index, "delta": delta, "finish_reason": finish_reason}
    return {"id": "c1", "object": "chat.completion.chunk", "model": "m", "choices": [choice]}


ANTHROPIC = sse(
    {"type": "message_start", "message": {"id": "msg_1", "model": "claude", "usage": {"input_tokens": 5}}},
    {"type": "content_block_start", "index": 0, "content_block": {"type": "thinking", "thinking": ""}},
    {"type": "content_block_delta", "index": 0, "delta": {"type": "thinking_delta", "thinking": "Hm."}},
    {"type": "content_block_delta", "index": 0, "delta": {"type": "signature_delta", "signature": "c2ln"}},
    {"type": "content_block_stop", "index": 0},
    {"type": "content_block_start", "index": 1, "content_block": {"type": "text", "text": ""}},
    {"type": "content_block_delta", "index": 1, "delta": {"type": "text_delta", "text": "Hi"}},
    {"type": "content_block_stop", "index": 1},
    {"type": "content_block_start", "index": 2, "content_block": {"type": "tool_use", "id": "t1", "name": "add"}},
    {"type": "content_block_delta", "index": 2, "delta": {"type": "input_json_delta", "partial_json": '{"a":1}'}},
    {"type": "content_block_stop", "index": 2},
    {
        "type": "message_delta",
        "delta": {"stop_reason": "tool_use"},
        "usage": {"output_tokens": 7, "cache_creation_input_tokens": 3, "cache_read_input_tokens": 2},
    },
    {"type": "message_stop"},
)
OPEN_AI = sse(chunk({"content": "Hi"}), chunk({"content": " you"}), chunk({}, "stop")) + b"data: [DONE]\n\n"
COMPLETION = json.dumps(
    {
        "id": "c1",
        "object": "chat.completion",
        "model": "m",
        "choices": [{"index": 0, "message": {"role": "assistant", "content": "Hi you"}, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 7},
    },
    indent=1,
).encode()


def test_the_response_of_a_stream() -> None:
    answer = decode(ANTHROPIC)
    assert (answer.state, answer.error, answer.dialect) == ("complete", None, "anthropic")
    assert (answer.id, answer.model) == ("msg_1", "claude")
    assert (answer.reasoning, answer.text, answer.refusal) == ("Hm.", "Hi", "")
    assert answer.tool_calls == (ToolCall("t1", "add", '{"a":1}'),)
    assert (answer.finish_reason, answer.finish_reason_raw) == ("tool_calls", "tool_use")
    assert answer.usage == Usage(5, 7, None, 2, None, 3)
    assert answer.usage.raw == {
        "input_tokens": 5,
        "output_tokens": 7,
        "cache_creation_input_tokens": 3,
        "cache_read_input_tokens": 2,
    }
    assert answer.choices == (Choice(0, "Hi", "Hm.", "", answer.tool_calls, "tool_calls", "tool_use"),)


def test_the_deltas_of_a_stream() -> None:
    assert decode(ANTHROPIC).deltas == (
        ResponseDelta("msg_1", "claude"),
        UsageDelta(Usage(5)),
        ReasoningDelta("Hm."),
        SignatureDelta("signed", "c2ln", None, None),
        TextDelta("Hi"),
        ToolCallStartDelta(0, "t1", "add"),
        ToolCallArgumentsDelta(0, '{"a":1}'),
        ToolCallEndDelta(0),
        FinishDelta("tool_calls", "tool_use"),
        UsageDelta(Usage(5, 7, None, 2, None, 3)),
    )


def test_deltas_work_in_a_match_statement() -> None:
    seen: list[object] = []
    for delta in decode(ANTHROPIC).deltas:
        match delta:
            case TextDelta(text) | ReasoningDelta(text):
                seen.append((delta.type, text))
            case ToolCallStartDelta(index, id, name):
                seen.append((index, id, name))
            case FinishDelta(reason, raw):
                seen.append((reason, raw))
            case _:
                pass
    assert seen == [("reasoning", "Hm."), ("text", "Hi"), (0, "t1", "add"), ("tool_calls", "tool_use")]


def test_every_choice_is_kept() -> None:
    body = sse(chunk({"content": "a"}), chunk({"content": "b"}, index=1), chunk({}, "stop", 1), chunk({}, "length"))
    answer = decode(body)
    assert [(choice.index, choice.text, choice.finish_reason) for choice in answer.choices] == [
        (0, "a", "length"),
        (1, "b", "stop"),
    ]
    assert answer.text == "a"
    assert TextDelta("b", choice=1) in answer.deltas


def test_the_properties_are_empty_if_the_first_choice_has_no_content() -> None:
    answer = decode(sse(chunk({"content": "b"}, "stop", 1)))
    assert [choice.index for choice in answer.choices] == [1]
    assert (answer.text, answer.finish_reason, answer.first) == ("", None, Choice())


def test_a_call_without_an_id_has_none() -> None:
    call = {"index": 0, "function": {"name": "add", "arguments": "{}"}}
    assert decode(sse(chunk({"tool_calls": [call]}, "tool_calls"))).tool_calls == (ToolCall(None, "add", "{}"),)


# --- what can be decoded ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "data",
    [
        bytearray(OPEN_AI),
        memoryview(OPEN_AI),
        memoryview(bytes(reversed(OPEN_AI)))[::-1],
        array.array("B", OPEN_AI),
        [OPEN_AI],
        (OPEN_AI[:50], b"", memoryview(OPEN_AI[50:])),
        (OPEN_AI[at : at + 1] for at in range(len(OPEN_AI))),
        io.BytesIO(OPEN_AI),
    ],
    ids=lambda data: type(data).__name__,
)
def test_data_may_be_any_kind_of_bytes(data: Any) -> None:
    answer = decode(data)
    assert (answer.text, answer.state) == ("Hi you", "complete")
    assert answer == decode(OPEN_AI)


@pytest.mark.parametrize(
    ("data", "words"),
    [
        ("data: {}", "not str"),
        (["data: {}"], "not str"),
        ([1, 2], "not int"),
        (None, "not NoneType"),
        (7, "not int"),
        (array.array("i", [1]), "not array"),
    ],
)
def test_data_that_is_not_bytes_is_refused(data: Any, words: str) -> None:
    with pytest.raises(TypeError, match=words):
        decode(data)


def test_a_dialect_that_does_not_exist_is_refused() -> None:
    with pytest.raises(ConfigurationError, match=r'no dialect "openai"; there are: openai_chat, .*bedrock'):
        decode(OPEN_AI, "openai")


def test_an_exception_of_the_iterable_is_raised() -> None:
    def broken() -> Iterator[bytes]:
        yield OPEN_AI
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        decode(broken())


@pytest.mark.parametrize("dialect", ["auto", "openai_chat"])
@pytest.mark.parametrize("head", [b"", b"\xef\xbb\xbf", b"\n\r\n  ", b"\xef\xbb\xbf\n"])
def test_a_document(dialect: str, head: bytes) -> None:
    body = head + COMPLETION
    answer = decode((body[at : at + 1] for at in range(len(body))), dialect)
    assert (answer.state, answer.text, answer.dialect) == ("complete", "Hi you", "openai_chat")
    assert answer.usage == Usage(3, 4, 7)
    assert answer == decode(body, dialect)


@given(cuts=st.lists(st.integers(0, len(ANTHROPIC)), max_size=30).map(sorted))
def test_the_result_does_not_depend_on_the_cuts(cuts: list[int]) -> None:
    pieces = [ANTHROPIC[start:end] for start, end in zip([0, *cuts], [*cuts, len(ANTHROPIC)], strict=True)]
    assert decode(pieces) == decode(ANTHROPIC)


# --- how it ends ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("cut", range(0, len(OPEN_AI) - 30, 7))
def test_a_stream_that_is_cut_off_is_truncated_and_keeps_its_deltas(cut: int) -> None:
    answer = decode(OPEN_AI[:cut])
    finished = any(isinstance(delta, FinishDelta) for delta in answer.deltas)
    assert answer.state == ("complete" if finished else "truncated")
    if not finished:
        assert type(answer.error) is TruncatedError
        assert (answer.error.state, answer.error.model) == ("truncated", answer.model)
        assert answer.error.delivered == bool(answer.text)
    assert "Hi you".startswith(answer.text)


@pytest.mark.parametrize(
    "data", [b"", b"\n\n", b" ", b"\xef\xbb", b"\xef\xbb\xbf", b": ping\n\n: ping\n\n", b"\0\0", b"dat"]
)
def test_an_empty_body_is_truncated(data: bytes) -> None:
    answer = decode(data)
    assert (answer.state, answer.dialect, answer.text, answer.deltas) == ("truncated", None, "", ())
    assert type(answer.error) is TruncatedError
    assert decode([], "anthropic").state == "truncated"


@pytest.mark.parametrize("cut", [1, 20, 60, len(COMPLETION) - 1])
@pytest.mark.parametrize("dialect", ["auto", "openai_chat"])
def test_half_a_document_is_truncated(dialect: str, cut: int) -> None:
    assert decode(COMPLETION[:cut], dialect).state == "truncated"


OVERLOADED = {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}


@pytest.mark.parametrize(
    ("body", "dialect", "of_class", "code"),
    [
        (sse(OVERLOADED), "anthropic", OverloadedError, "overloaded_error"),
        (json.dumps(OVERLOADED).encode(), "anthropic", OverloadedError, "overloaded_error"),
        (b'{"error":{"message":"m","type":"t","code":"rate_limit_exceeded"}}', "openai_chat", RateLimitError, None),
        (b'{"error":{"message":"m","code":"invalid_api_key"}}', "openai_chat", AuthenticationError, None),
        (b'{"error":{"message":"m","code":418}}', "openai_chat", ProviderError, "418"),
        (b'[{"error":{"code":429,"message":"m","status":"RESOURCE_EXHAUSTED"}}]', "gemini", RateLimitError, "429"),
        (b'{"error":{"code":503,"message":"m","status":"UNAVAILABLE"}}', "gemini", OverloadedError, "503"),
        (b'{"error":"model not found"}', "ollama", ProviderError, None),
        (b'{"error":"m"}\n', "ollama", ProviderError, None),
        (
            sse({"type": "error", "code": "server_error", "message": "m"}),
            "openai_responses",
            headrace.ServerError,
            None,
        ),
        (b'event: error\ndata: {"error":"m","error_type":"overloaded"}\n\n', "openai_chat", ProviderError, None),
        (b'{"object":"error","message":"m","type":"BadRequestError","code":400}', None, BadRequestError, "400"),
        (b'{"detail":"Not Found"}', None, ProviderError, None),
        (b'{"message":"no such model"}', None, ProviderError, None),
    ],
)
def test_an_error_of_the_provider_is_in_the_response(
    body: bytes, dialect: str | None, of_class: type[ProviderError], code: str | None
) -> None:
    answer = decode(body)
    assert (answer.state, answer.dialect, type(answer.error)) == ("error", dialect, of_class)
    assert answer.error is not None
    assert answer.error.state == "error"
    assert code is None or answer.error.code == code
    [delta] = [delta for delta in answer.deltas if isinstance(delta, ErrorDelta)]
    assert delta.message == str(answer.error)
    assert decode([body[at : at + 1] for at in range(len(body))]) == answer


def test_deltas_before_an_error_are_kept() -> None:
    answer = decode(sse(chunk({"content": "Hi"}), {"error": {"message": "gone", "code": 500}}))
    assert (answer.state, answer.text, type(answer.error)) == ("error", "Hi", headrace.ServerError)
    assert answer.error is not None
    assert (answer.error.delivered, answer.error.status, answer.error.model) == (True, 500, "m")


def test_deltas_before_a_malformed_event_are_kept() -> None:
    answer = decode(sse(chunk({"content": "Hi"})) + b"data: {oops\n\n" + sse(chunk({"content": "no"})))
    assert (answer.state, answer.text, type(answer.error)) == ("protocol", "Hi", ProtocolError)
    assert "{oops" in str(answer.error)


@pytest.mark.parametrize("dialect", ["auto", "openai_chat", "ollama", "bedrock"])
def test_the_error_says_that_the_body_is_a_web_page(dialect: str) -> None:
    page = b"\n<!doctype html><title>Welcome</title>" + b"<p>" * 1000
    answer = decode(page, dialect)
    assert (answer.state, type(answer.error), answer.deltas) == ("protocol", ProtocolError, ())
    assert "web page" in str(answer.error)
    assert "Welcome" in str(answer.error)
    assert str(decode([page[at : at + 1] for at in range(len(page))], dialect).error) == str(answer.error)


@pytest.mark.parametrize("dialect", ["auto", "openai_chat", "ollama", "bedrock"])
def test_a_web_page_of_a_proxy_is_its_error(dialect: str) -> None:
    page = b"\n<!doctype html><title>502 Bad Gateway</title>" + b"<p>" * 2000
    answer = decode(page, dialect)
    assert (answer.state, type(answer.error), str(answer.error)) == ("error", ServerError, "502 Bad Gateway")
    assert decode([page[at : at + 1] for at in range(len(page))], dialect) == answer


def test_plain_words_of_a_proxy_are_its_error() -> None:
    answer = decode(b"error code: 1015\n")
    assert (answer.state, answer.dialect, type(answer.error)) == ("error", None, RateLimitError)
    assert str(answer.error) == "error code: 1015"


@pytest.mark.parametrize(("magic", "name"), [(b"\x1f\x8b\x08", "gzip"), (b"\x28\xb5\x2f\xfd", "zstd")])
@pytest.mark.parametrize("dialect", ["auto", "openai_chat", "ollama", "bedrock"])
def test_the_error_names_the_compression(magic: bytes, name: str, dialect: str) -> None:
    body = magic + b"\0" * 40
    answer = decode(body, dialect)
    assert (answer.state, type(answer.error)) == ("protocol", ProtocolError)
    assert name in str(answer.error)
    assert str(decode([body[at : at + 1] for at in range(len(body))], dialect).error) == str(answer.error)


@pytest.mark.parametrize(
    "body",
    [
        b"hello",
        b'data: {"x":1}\n\n',
        b'{"x":1}',
        b"[1, 2]",
        b"\x89PNG\r\n\x1a\n\xff",
        b"event: a\ndata: b\n\n",
    ],
)
def test_the_error_shows_a_body_whose_dialect_is_unknown(body: bytes) -> None:
    answer = decode(body)
    assert (answer.state, answer.dialect, type(answer.error)) == ("protocol", None, ProtocolError)
    words = str(answer.error)
    assert "openai_chat, openai_responses, anthropic, gemini, cohere, ollama, bedrock" in words
    assert body.split(b"\r")[0].decode(errors="backslashreplace").strip() in words
    assert str(decode([body[at : at + 1] for at in range(len(body))]).error) == words


def test_an_event_that_is_too_large() -> None:
    body = sse(chunk({"content": "Hi"})) + b"data: " + b"x" * 5000
    for pieces in ([body], [body[at : at + 7] for at in range(0, len(body), 7)]):
        answer = decode(pieces, max_event_bytes=1000)
        assert (answer.state, answer.text, type(answer.error)) == ("protocol", "Hi", EventTooLargeError)


def test_a_body_whose_dialect_stays_unknown_is_not_buffered_without_limit() -> None:
    answer = decode([b": ping\n"] * 1000, max_event_bytes=1000)
    assert (answer.state, answer.dialect) == ("protocol", None)


def test_responses_compare_by_value_and_are_frozen() -> None:
    assert decode(OPEN_AI) == decode([OPEN_AI])
    assert decode(OPEN_AI) != decode(ANTHROPIC)
    assert isinstance(decode(OPEN_AI), Response)
    with pytest.raises(AttributeError):
        decode(OPEN_AI).state = "error"  # type: ignore[misc]
