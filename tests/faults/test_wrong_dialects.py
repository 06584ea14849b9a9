"""A server that answers in another dialect, from the start or from the middle on: always an error."""

from __future__ import annotations

import base64
import itertools
from typing import TYPE_CHECKING

import httpx
import pytest

from headrace import ServerError, StreamError
from support.dialects import SERVICES, Service, agent_on
from support.harness import PATIENCE

if TYPE_CHECKING:
    from collections.abc import Iterable

    from headrace.testing import Simulator
    from support.harness import Reader, Simulate

ONE_OF_EACH = {name: SERVICES[name] for name in SERVICES if name not in {"azure", "bedrock_invoke"}}
TEXTUAL = {name: service for name, service in ONE_OF_EACH.items() if service.dialect != "bedrock"}


def pairs(names: Iterable[str]) -> list[tuple[str, str]]:
    """All pairs of an expected dialect and another one that the server uses."""
    return list(itertools.permutations(names, 2))


def answering(simulate: Simulate, body: bytes, content_type: str = "text/event-stream") -> Simulator:
    """A server that sends this answer to every request."""
    encoded = base64.b64encode(body).decode()
    return simulate(fault={"kind": "raw", "body_base64": encoded, "content_type": content_type})


def answer_of(service: Service, simulate: Simulate) -> bytes:
    """The bytes of an answer in a service's dialect: ``one``, `` two``."""
    simulator = simulate(["one", " two"])
    agent_on(service, simulator, tools=[], max_loops=1).run("Go.")
    [request] = simulator.report()["requests"]
    return httpx.post(
        simulator.base_url.removesuffix("/v1") + request["path"], json=request["body"], timeout=PATIENCE
    ).content


def first_half(body: bytes) -> bytes:
    """An answer up to the end of the frame of its first token."""
    start = body.index(b"one")
    mark = next(mark for mark in (b"\r\n\r\n", b"\n\n", b"\n") if mark in body[start:])
    return body[: body.index(mark, start) + len(mark)]


def read(reader: Reader, service: Service, simulator: Simulator) -> tuple[list[str], StreamError]:
    result = reader.read(agent_on(service, simulator, tools=[], max_loops=1))
    assert isinstance(result.error, StreamError), f"{result.tokens} was taken for a whole answer"
    assert result.stream.state == result.error.state != "complete"
    return result.tokens, result.error


@pytest.mark.parametrize(("asked", "spoken"), pairs(ONE_OF_EACH))
def test_another_dialect_from_the_start_is_an_error(
    simulate: Simulate, reader: Reader, asked: str, spoken: str
) -> None:
    body = answer_of(ONE_OF_EACH[spoken], simulate)
    tokens, _ = read(reader, ONE_OF_EACH[asked], answering(simulate, body))
    assert tokens == []


@pytest.mark.parametrize(("asked", "spoken"), pairs(TEXTUAL))
def test_another_dialect_from_the_middle_on_is_an_error(
    simulate: Simulate, reader: Reader, asked: str, spoken: str
) -> None:
    body = first_half(answer_of(TEXTUAL[asked], simulate)) + answer_of(TEXTUAL[spoken], simulate)
    tokens, _ = read(reader, TEXTUAL[asked], answering(simulate, body))
    assert tokens == ["one"]


@pytest.mark.parametrize("name", TEXTUAL)
def test_a_web_page_in_the_middle_is_the_error_of_a_proxy(simulate: Simulate, reader: Reader, name: str) -> None:
    service = TEXTUAL[name]
    body = first_half(answer_of(service, simulate)) + b"<html><title>502 Bad Gateway</title></html>\n\n"
    tokens, error = read(reader, service, answering(simulate, body))
    assert tokens == ["one"]
    assert type(error) is ServerError
    assert "502 Bad Gateway" in str(error)


@pytest.mark.parametrize("name", ["anthropic", "cohere", "gemini", "openai_chat", "openai_responses"])
def test_openais_error_in_the_middle_is_an_error_in_every_dialect(
    simulate: Simulate, reader: Reader, name: str
) -> None:
    # Gateways send such an error in streams of any dialect.
    service = TEXTUAL[name]
    error = b'data: {"error":{"message":"The gateway lost it.","type":"server_error"}}\n\n'
    tokens, raised = read(reader, service, answering(simulate, first_half(answer_of(service, simulate)) + error))
    assert tokens == ["one"]
    assert type(raised) is ServerError
    assert "The gateway lost it." in str(raised)


@pytest.mark.parametrize("name", ONE_OF_EACH)
def test_a_json_document_of_another_kind_is_no_answer(simulate: Simulate, reader: Reader, name: str) -> None:
    simulator = answering(simulate, b'{"status":"ok","version":"1.2.3"}', "application/json")
    tokens, _ = read(reader, ONE_OF_EACH[name], simulator)
    assert tokens == []
