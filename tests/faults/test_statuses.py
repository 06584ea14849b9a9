"""Error statuses, as providers and the proxies before them send them."""

from __future__ import annotations

import email.utils
import time
from typing import Any

import pytest

from headrace import (
    AuthenticationError,
    BadRequestError,
    NotFoundError,
    OverloadedError,
    PermissionDeniedError,
    ProviderError,
    RateLimitError,
    ServerError,
)
from support.harness import Reader, Simulate, agent_at, the_request

CLASSES = {
    400: BadRequestError,
    401: AuthenticationError,
    402: ProviderError,
    403: PermissionDeniedError,
    404: NotFoundError,
    408: ServerError,
    409: ServerError,
    422: BadRequestError,
    425: ServerError,
    429: RateLimitError,
    500: ServerError,
    502: ServerError,
    503: OverloadedError,
    529: OverloadedError,
}

PAGE = "<html><head><title>502 Bad Gateway</title></head><body><center>nginx</center></body></html>"


def rejected(simulate: Simulate, reader: Reader, status: int, **fault: Any) -> ProviderError:
    """The error of a request that is answered with this status."""
    simulator = simulate(fault={"kind": "status", "status": status, **fault})
    result = reader.read(agent_at(simulator))
    assert result.tokens == []
    assert isinstance(result.error, ProviderError)
    assert (result.error.status, result.error.model) == (status, "openai/sim")
    # An error is told once, and not tried again behind the caller's back.
    assert the_request(simulator)["status"] == status
    return result.error


@pytest.mark.parametrize("status", [307, 400, 429, 500])
def test_a_request_that_was_refused_is_rejected(simulate: Simulate, reader: Reader, status: int) -> None:
    result = reader.read(agent_at(simulate(fault={"kind": "status", "status": status})))
    assert isinstance(result.error, ProviderError)
    assert (result.error.state, result.stream.state) == ("rejected", "rejected")


@pytest.mark.parametrize("status", CLASSES)
def test_a_status_with_an_explanation_in_json(simulate: Simulate, reader: Reader, status: int) -> None:
    body = {"error": {"message": "Not like this.", "type": "some_error", "param": None, "code": "some_code"}}
    error = rejected(simulate, reader, status, body=body)
    assert type(error) is CLASSES[status]
    assert "Not like this." in str(error)
    assert f"HTTP {status} " in str(error)
    assert "unknown" not in str(error)
    assert error.code == "some_code"
    assert error.body is not None
    assert '"Not like this."' in error.body


@pytest.mark.parametrize("status", CLASSES)
def test_a_status_with_a_web_page(simulate: Simulate, reader: Reader, status: int) -> None:
    error = rejected(simulate, reader, status, body=PAGE, headers={"content-type": "text/html"})
    assert type(error) is CLASSES[status]
    assert "502 Bad Gateway" in str(error)
    assert "<html>" not in str(error)
    assert (error.code, error.body) == (None, PAGE)


@pytest.mark.parametrize(
    ("body", "message", "code"),
    [
        ({"error": {"message": "m", "type": "t"}}, "m", "t"),
        ({"error": {"message": "m", "code": 42}}, "m", "42"),
        ({"error": "m"}, "m", None),
        ({"message": "m"}, "m", None),
        ({"detail": "m"}, "m", None),
        ([{"error": {"message": "m", "status": "INVALID"}}], "m", "INVALID"),
        ("plain m", "plain m", None),
        ("", "without an explanation", None),
        ("{broken", "{broken", None),
        ("<p>no title, m", "no title, m", None),
    ],
)
def test_explanations_of_all_kinds(
    simulate: Simulate, reader: Reader, body: object, message: str, code: str | None
) -> None:
    error = rejected(simulate, reader, 400, body=body)
    assert message in str(error)
    assert error.code == code


def test_an_explanation_that_is_no_utf8(simulate: Simulate, reader: Reader) -> None:
    raw = {"kind": "raw", "body_base64": "/w==", "status": 500, "content_type": "text/plain"}
    error = reader.read(agent_at(simulate(fault=raw))).error
    assert isinstance(error, ServerError)
    assert error.body == "\ufffd"


def test_a_long_explanation_is_kept_in_part(simulate: Simulate, reader: Reader) -> None:
    error = rejected(simulate, reader, 500, body="x" * 200_000)
    assert error.body == "x" * 65536
    assert len(str(error)) < 1000


def test_the_providers_id_of_the_request_is_told(simulate: Simulate, reader: Reader) -> None:
    assert rejected(simulate, reader, 500).request_id == "req-0"


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"retry-after": "7"}, 7),
        ({"retry-after": "0"}, 0),
        ({"retry-after": "1.5"}, 1.5),
        ({"retry-after-ms": "250"}, 0.25),
        ({"retry-after-ms": "250", "retry-after": "7"}, 0.25),
        ({"retry-after": "Wed, 21 Oct 2015 07:28:00 GMT"}, 0),
        ({"retry-after": "soon"}, None),
        ({"retry-after": "-1"}, None),
        ({"retry-after": "nan"}, None),
        ({"retry-after": "inf"}, None),
        ({"retry-after-ms": "soon", "retry-after": "7"}, 7),
        ({"retry-after-ms": "-1", "retry-after": "7"}, 7),
        ({"retry-after": "20s"}, 20),
        ({"retry-after": "1m30s"}, 90),
        ({"retry-after": "2015-10-21T07:28:00Z"}, 0),
        ({}, None),
    ],
)
@pytest.mark.parametrize("status", [429, 503])
def test_how_long_to_wait(
    simulate: Simulate, reader: Reader, status: int, headers: dict[str, str], seconds: float | None
) -> None:
    assert rejected(simulate, reader, status, headers=headers).retry_after == seconds


def test_how_long_to_wait_until_a_date(simulate: Simulate, reader: Reader) -> None:
    date = email.utils.formatdate(time.time() + 1000, usegmt=True)
    error = rejected(simulate, reader, 429, headers={"Retry-After": date})
    assert error.retry_after is not None
    assert 900 < error.retry_after <= 1001


@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_a_redirect_is_an_error_that_says_where_to(simulate: Simulate, reader: Reader, status: int) -> None:
    elsewhere = simulate()
    location = f"{elsewhere.base_url}/chat/completions"
    simulator = simulate(fault={"kind": "redirect", "status": status, "location": location})
    error = reader.read(agent_at(simulator)).error
    assert type(error) is ProviderError
    assert error.status == status
    assert location in str(error)
    # The key would have gone along.
    assert elsewhere.report()["connections"]["accepted"] == 0


def test_an_error_is_about_its_own_request(simulate: Simulate, reader: Reader) -> None:
    simulator = simulate("fine", fault={"kind": "status", "status": 503, "times": 1})
    agent = agent_at(simulator)
    assert isinstance(reader.read(agent).error, OverloadedError)
    assert reader.read(agent).tokens == ["fine"]


@pytest.mark.parametrize("status", [204, 201])
def test_a_success_without_a_stream_is_no_complete_answer(simulate: Simulate, reader: Reader, status: int) -> None:
    result = reader.read(agent_at(simulate(fault={"kind": "status", "status": status, "body": ""})))
    assert result.error is not None
    assert result.stream.state == "truncated"


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"x-ratelimit-reset-requests": "1m30s"}, 90),
        ({"x-ratelimit-reset-requests": "1s", "x-ratelimit-reset-tokens": "6m0s"}, 360),
        (
            {
                "x-ratelimit-reset-requests": "1s",
                "x-ratelimit-reset-tokens": "6m0s",
                "x-ratelimit-remaining-requests": "0",
                "x-ratelimit-remaining-tokens": "1000",
            },
            1,
        ),
        ({"x-ratelimit-reset-requests": "1s", "retry-after": "7"}, 7),
        ({"anthropic-ratelimit-tokens-reset": "2015-10-21T07:28:00Z"}, 0),
    ],
)
def test_a_rate_limit_that_tells_when_it_is_reset(
    simulate: Simulate, reader: Reader, headers: dict[str, str], seconds: float
) -> None:
    assert rejected(simulate, reader, 429, headers=headers).retry_after == seconds
    # Any other error may have those headers too, and is not about them.
    if "retry-after" not in headers:
        assert rejected(simulate, reader, 500, headers=headers).retry_after is None


@pytest.mark.parametrize(
    ("body", "seconds"),
    [
        ({"error": {"message": "Rate limit reached. Please try again in 11s."}}, 11),
        ({"error": {"code": 429, "message": "quota", "details": [{"retryDelay": "34s"}]}}, 34),
        ({"error": {"message": "no"}}, None),
    ],
)
def test_how_long_to_wait_by_the_body(simulate: Simulate, reader: Reader, body: object, seconds: float | None) -> None:
    assert rejected(simulate, reader, 429, body=body).retry_after == seconds
    headers = {"retry-after": "7"}
    assert rejected(simulate, reader, 429, body=body, headers=headers).retry_after == 7


@pytest.mark.parametrize(
    ("status", "says", "requests"), [(500, "false", 1), (400, "true", 2), (500, "", 2), (400, "", 1)]
)
def test_the_provider_says_whether_to_try_again(
    simulate: Simulate, reader: Reader, status: int, says: str, requests: int
) -> None:
    headers = {"x-should-retry": says} if says else {}
    simulator = simulate("Hi", fault={"kind": "status", "status": status, "headers": headers, "times": 1})
    result = reader.read(agent_at(simulator, retry_attempts=1, retry_interval=0.01))
    assert len(simulator.report()["requests"]) == requests
    assert (result.error is None) is (requests == 2)
    if isinstance(result.error, ProviderError):
        assert result.error.should_retry == ({"true": True, "false": False}.get(says))


@pytest.mark.parametrize("status", [408, 409, 425])
def test_statuses_that_pass_are_tried_again(simulate: Simulate, reader: Reader, status: int) -> None:
    simulator = simulate("Hi", fault={"kind": "status", "status": status, "times": 1})
    result = reader.read(agent_at(simulator, retry_attempts=1, retry_interval=0.01))
    assert (result.tokens, result.error) == (["Hi"], None)
