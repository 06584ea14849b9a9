"""No key appears in an error, whatever a server sends back."""

from __future__ import annotations

from typing import Any

import pytest

from headrace import StreamError
from support.harness import KEY, Reader, Simulate, agent_at, assert_no_key_in


def failed(simulate: Simulate, reader: Reader, fault: dict[str, Any], **options: Any) -> StreamError:
    error = reader.read(agent_at(simulate(fault=fault), **{"llm_api_key": KEY, **options})).error
    assert isinstance(error, StreamError)
    return error


BODIES = {
    "message": {"error": {"message": f"Incorrect API key provided: {KEY}.", "code": "invalid_api_key"}},
    "text": f"Authorization: Bearer {KEY}",
    "page": f"<title>{KEY}</title>{KEY}",
    "twice": f"{KEY}{KEY}",
}


@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES.keys())
def test_a_key_in_the_explanation_of_a_status(simulate: Simulate, reader: Reader, body: object) -> None:
    error = failed(simulate, reader, {"kind": "status", "status": 401, "body": body})
    assert_no_key_in(error)
    assert error.body is not None
    assert "***" in error.body


def test_a_key_in_the_code_of_an_error(simulate: Simulate, reader: Reader) -> None:
    body = {"error": {"message": "no", "code": f"bad key {KEY}"}}
    assert_no_key_in(failed(simulate, reader, {"kind": "status", "status": 401, "body": body}))


def test_a_key_in_an_error_inside_the_stream(simulate: Simulate, reader: Reader) -> None:
    error = {"message": f"the key {KEY} has no credit left", "type": "billing"}
    assert_no_key_in(failed(simulate, reader, {"kind": "error", "after": 1, "error": error}))


def test_a_key_in_a_redirect(simulate: Simulate, reader: Reader) -> None:
    fault = {"kind": "redirect", "location": f"http://127.0.0.1:1/?api_key={KEY}"}
    assert_no_key_in(failed(simulate, reader, fault))


def test_a_key_in_a_page_instead_of_a_stream(simulate: Simulate, reader: Reader) -> None:
    fault = {"kind": "raw", "content_type": "text/html", "body": f"<p>{KEY}"}
    assert_no_key_in(failed(simulate, reader, fault))


def test_a_key_in_malformed_json(simulate: Simulate, reader: Reader) -> None:
    assert_no_key_in(failed(simulate, reader, {"kind": "raw", "body": f'data: {{"{KEY}":\n\n'}))


@pytest.mark.parametrize("length", [200 - len(KEY) // 2, 200 - len(KEY) + 1])
def test_a_key_where_an_excerpt_is_cut(simulate: Simulate, reader: Reader, length: int) -> None:
    body = "x" * length + KEY
    assert_no_key_in(failed(simulate, reader, {"kind": "status", "status": 500, "body": body}))


def test_a_key_where_a_body_is_cut(simulate: Simulate, reader: Reader) -> None:
    body = "x" * (65536 - len(KEY) + 1) + KEY
    assert_no_key_in(failed(simulate, reader, {"kind": "status", "status": 500, "body": body}))


def test_a_key_that_is_escaped_in_json(simulate: Simulate, reader: Reader) -> None:
    key = "sk/0123456789/abcdef"
    body = '{"error":{"message":"bad key ' + key.replace("/", "\\/") + '"}}'
    error = failed(simulate, reader, {"kind": "status", "status": 401, "body": body}, llm_api_key=key)
    assert_no_key_in(error, key)
    assert_no_key_in(error, key.replace("/", "\\/"))


@pytest.mark.parametrize("name", ["x-api-key", "api-key", "Proxy-Authorization", "Cookie", "X-Goog-Api-Key"])
def test_a_key_in_a_header_of_the_callers_own(simulate: Simulate, reader: Reader, name: str) -> None:
    options = {"llm_api_key": None, "llm_args": {"extra_headers": {name: KEY}}}
    error = failed(simulate, reader, {"kind": "status", "status": 401, "body": f"no: {KEY}"}, **options)
    assert_no_key_in(error)


def test_a_key_in_the_environment(simulate: Simulate, reader: Reader, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    error = failed(simulate, reader, {"kind": "status", "status": 401, "body": f"no: {KEY}"}, llm_api_key=None)
    assert_no_key_in(error)


def test_a_word_that_is_not_a_secret_is_not_masked(simulate: Simulate, reader: Reader) -> None:
    options = {"llm_args": {"extra_headers": {"x-team": "blueberry"}}}
    error = failed(simulate, reader, {"kind": "status", "status": 400, "body": "no blueberry"}, **options)
    assert error.body == "no blueberry"


@pytest.mark.parametrize("name", ["key", "api-key", "code", "sig", "access_token"])
def test_a_key_in_the_url(simulate: Simulate, reader: Reader, name: str) -> None:
    secret = "s3cr3t/+value"
    said = f"no such resource: /v1/chat/completions?{name}=s3cr3t%2F%2Bvalue ({secret})"
    faults: list[dict[str, Any]] = [
        {"kind": "status", "status": 400, "body": {"error": {"message": said}}},
        {"kind": "error", "after": 1, "error": {"message": said, "type": "x"}},
        {"kind": "raw", "body": f"data: {said}\n\n"},
    ]
    for fault in faults:
        simulator = simulate(fault=fault)
        error = reader.read(agent_at(f"{simulator.base_url}?{name}=s3cr3t%2F%2Bvalue")).error
        assert isinstance(error, StreamError)
        text = f"{error} {error.body}"
        assert "s3cr3t" not in text
        assert "***" in text
