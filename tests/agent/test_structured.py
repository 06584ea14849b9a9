"""Answers of a wanted type: by schema, tool or words; checked, asked again, and partial while they stream."""

from __future__ import annotations

import asyncio
import json
import pickle
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import pytest
from pydantic import BaseModel, Field
from typing_extensions import TypedDict

from headrace import ConfigurationError, InvalidOutputError, ProviderError
from headrace.testing import Simulator
from support.harness import agent_at

if TYPE_CHECKING:
    from pathlib import Path


class Place(BaseModel):
    city: str
    country: str | None = None


class Weather(BaseModel):
    place: Place
    degrees: float = Field(ge=-90, le=60)
    words: list[str] = []


@dataclass
class Point:
    x: int
    y: int = 0


class Row(TypedDict):
    name: str
    count: int


GOOD = '{"place": {"city": "Oslo"}, "degrees": -3.5, "words": ["cold", "clear"]}'
OSLO = Weather(place=Place(city="Oslo"), degrees=-3.5, words=["cold", "clear"])


def bodies(simulator: Simulator) -> list[dict[str, Any]]:
    return [request["body"] for request in simulator.report()["requests"]]


def test_a_model_is_asked_for_by_schema_and_returned() -> None:
    with Simulator(turns=[{"text": GOOD}]) as simulator:
        agent = agent_at(simulator, output_type=Weather)
        assert agent.run("Oslo?") == OSLO
        wanted = bodies(simulator)[0]["response_format"]
    assert wanted["type"] == "json_schema"
    assert wanted["json_schema"]["name"] == "Weather"
    assert wanted["json_schema"]["strict"] is True
    assert wanted["json_schema"]["schema"]["additionalProperties"] is False


def test_the_async_lane_and_one_run_alone_do_the_same() -> None:
    with Simulator(turns=[{"text": GOOD}]) as simulator:
        agent = agent_at(simulator)
        assert asyncio.run(agent.arun("Oslo?", output_type=Weather)) == OSLO
        assert agent.run("Oslo?", output_type=Weather).place.city == "Oslo"
        assert agent.run("Oslo?") == GOOD


@pytest.mark.parametrize(
    ("kind", "text", "value"),
    [
        (Point, '{"x": 1, "y": 2}', Point(1, 2)),
        (Row, '{"name": "a", "count": 2}', {"name": "a", "count": 2}),
        (list[Point], '{"value": [{"x": 1}, {"x": 2, "y": 3}]}', [Point(1), Point(2, 3)]),
        (list[int], "[1, 2]", [1, 2]),
        (int, '{"value": 7}', 7),
        (Literal["yes", "no"], '{"value": "no"}', "no"),
        (Place | Point, '{"value": {"x": 3}}', Point(3)),
        (dict[str, int], '{"a": 1}', {"a": 1}),
        (Weather, f"Here it is:\n```json\n{GOOD}\n```\nBye.", OSLO),
        (Place, '{"city": "Oslo", "country": null}', Place(city="Oslo")),
    ],
)
def test_every_kind_of_type_is_read(kind: Any, text: str, value: Any) -> None:
    with Simulator(turns=[{"text": text}]) as simulator:
        assert agent_at(simulator, output_type=kind, output_retries=0).run("Go.") == value


def test_partial_answers_grow_while_they_stream() -> None:
    tokens = ['{"place": {"ci', 'ty": "Os', 'lo"}, "degr', 'ees": -3.5, "words": ["co', 'ld", "clear"]}']
    with Simulator(turns=[{"text": tokens}]) as simulator:
        stream = agent_at(simulator, output_type=Weather).run_stream("Oslo?")
        assert stream.partial is None
        seen = [stream.partial for _ in stream]
    assert all(isinstance(each, Weather) for each in seen)
    assert stream.output == OSLO == stream.partial


@pytest.mark.parametrize(
    ("begin", "city", "degrees", "words"),
    [
        ('{"place": {"ci', None, None, []),
        ('{"place": {"city": "Os', "Os", None, []),
        ('{"place": {"city": "Oslo"}, "degrees": -3.5, "words": ["co', "Oslo", -3.5, ["co"]),
    ],
)
def test_a_partial_answer_has_what_has_come(
    begin: str, city: str | None, degrees: float | None, words: list[str]
) -> None:
    with Simulator(turns=[{"text": [begin, "never"], "fault": {"kind": "stall", "after": 1}}]) as simulator:
        stream = agent_at(simulator, output_type=Weather).run_stream("Oslo?")
        next(stream)
        partial = stream.partial
        stream.close()
    assert isinstance(partial, Weather)
    assert (partial.place and partial.place.city, partial.degrees, partial.words) == (city, degrees, words)


@pytest.mark.parametrize("kind", [Point, list[Row], Row])
def test_partial_answers_have_the_type(kind: Any) -> None:
    text = '{"x": 5, "y"' if kind is Point else '{"name": "a' if kind is Row else '{"value": [{"name": "a'
    with Simulator(turns=[{"text": [text, "x"], "fault": {"kind": "stall", "after": 1}}]) as simulator:
        stream = agent_at(simulator, output_type=kind, output_retries=0).run_stream("Go.")
        next(stream)
        partial = stream.partial
        stream.close()
    assert partial == (Point(5) if kind is Point else {"name": "a"} if kind is Row else [{"name": "a"}])


def test_an_answer_that_does_not_fit_is_sent_back_with_what_is_wrong() -> None:
    bad = '{"place": {"city": "Oslo"}, "degrees": 900}'
    turns = [{"when": {"turn": 0}, "text": bad}, {"when": {"turn": 1}, "text": GOOD}]
    with Simulator(turns=turns) as simulator:
        stream = agent_at(simulator, output_type=Weather).run_stream("Oslo?")
        text = "".join(stream)
        asked = bodies(simulator)
    assert stream.output == OSLO
    assert text.endswith(GOOD)
    correction = asked[1]["messages"][-1]
    assert correction["role"] == "user"
    assert "degrees: Input should be less than or equal to 60" in correction["content"]
    assert '"properties"' in correction["content"]
    assert [message["role"] for message in stream.messages] == ["user", "assistant", "user", "assistant"]


def test_what_never_fits_is_an_error_with_the_text() -> None:
    with Simulator(turns=[{"text": "It is cold."}]) as simulator:
        agent = agent_at(simulator, output_type=Weather, output_retries=2)
        with pytest.raises(InvalidOutputError, match=r"not of the wanted type \(Weather\): it is no JSON") as caught:
            agent.run("Oslo?")
        assert len(bodies(simulator)) == 3
    assert (caught.value.reason, caught.value.text, caught.value.state) == ("invalid", "It is cold.", "failed")
    again = pickle.loads(pickle.dumps(caught.value))
    assert (again.reason, again.text, str(again)) == ("invalid", "It is cold.", str(caught.value))


@pytest.mark.parametrize(
    ("turn", "reason"),
    [
        ({"refusal": "I will not."}, "refused"),
        ({"text": '{"place"', "finish_reason": "length"}, "cut"),
    ],
)
def test_a_refusal_or_a_cut_is_not_asked_again(turn: dict[str, Any], reason: str) -> None:
    with Simulator(turns=[turn]) as simulator:
        with pytest.raises(InvalidOutputError) as caught:
            agent_at(simulator, output_type=Weather).run("Oslo?")
        assert len(bodies(simulator)) == 1
    assert caught.value.reason == reason


def refusing(message: str) -> dict[str, Any]:
    return {"kind": "status", "status": 400, "body": {"error": {"message": message}}}


def test_a_provider_without_schemas_is_asked_by_a_tool() -> None:
    call = {"tool_calls": [{"name": "final_answer", "arguments": json.loads(GOOD)}]}
    refused = {"when": {"tools": False}, "text": "x", "fault": refusing("response_format is not supported")}
    with Simulator(turns=[refused, {"when": {"tools": True}, **call}]) as simulator:
        agent = agent_at(simulator, output_type=Weather, model_name="openai/without-schemas")
        stream = agent.run_stream("Oslo?")
        assert list(stream) == []
        assert stream.output == OSLO
        assert json.loads(stream.final) == json.loads(GOOD)
        assert stream.messages[-1]["role"] == "assistant"
        assert "tool_calls" not in stream.messages[-1]
        assert agent.run("Oslo?") == OSLO
        asked = bodies(simulator)
    # Learned once: the second run begins with the tool.
    assert ["tools" in body for body in asked] == [False, True, True]
    assert asked[1]["tool_choice"] == {"type": "function", "function": {"name": "final_answer"}}


def test_a_provider_without_tools_is_asked_by_words() -> None:
    turns = [
        {"when": {"tools": True}, "text": "x", "fault": refusing("tools are not supported")},
        {"when": {"contains": "only words"}, "text": GOOD},
        {"text": "x", "fault": refusing("unknown field response_format")},
    ]

    def answer(messages: list[dict[str, Any]]) -> str:
        assert "JSON schema" in messages[0]["content"]
        return GOOD

    with Simulator(turns=turns) as simulator:
        agent = agent_at(simulator, llm=answer, output_type=Weather)
        assert agent.run("Oslo?") == OSLO
        assert bodies(simulator) == []


def test_a_request_that_is_wrong_otherwise_is_its_own_error() -> None:
    with Simulator(turns=[{"text": "x", "fault": refusing("the prompt is too rude")}]) as simulator:
        with pytest.raises(ProviderError, match="too rude"):
            agent_at(simulator, output_type=Weather).run("Oslo?")
        assert len(bodies(simulator)) == 1


def test_tools_are_called_before_the_answer() -> None:
    def weather(city: str) -> str:
        """Weather of a city."""
        return f"-3.5 in {city}"

    turns = [
        {"when": {"role": "tool"}, "text": GOOD},
        {"tool_calls": [{"name": "weather", "arguments": {"city": "Oslo"}}]},
    ]
    with Simulator(turns=turns) as simulator:
        agent = agent_at(simulator, tools=[weather], max_loops=3, output_type=Weather)
        assert agent.run("Oslo?") == OSLO
        with pytest.raises(InvalidOutputError, match="more max_loops") as caught:
            agent_at(simulator, tools=[weather], max_loops=1, output_type=Weather, output_retries=0).run("Oslo?")
    assert caught.value.reason == "missing"


def test_the_conversation_is_remembered(tmp_path: Path) -> None:
    with Simulator(turns=[{"text": GOOD}]) as simulator:
        agent = agent_at(simulator, output_type=Weather, persistent_memory=True, memory_path=tmp_path / "m.db")
        agent.run("Oslo?")
        agent.run("And now?")
        second = bodies(simulator)[1]["messages"]
    assert [message["content"] for message in second] == ["Oslo?", GOOD, "And now?"]


@pytest.mark.parametrize("kind", [print, lambda: 1, Simulator])
def test_a_type_without_a_schema_is_refused(kind: Any) -> None:
    with pytest.raises(ConfigurationError, match="output_type"):
        agent_at("http://127.0.0.1:1/v1", output_type=kind).run_stream("Go.")


def test_a_form_is_of_the_agent_and_not_of_one_run() -> None:
    with pytest.raises(ConfigurationError, match="is of the agent"):
        agent_at("http://127.0.0.1:1/v1").run_stream("Go.", output_type="dict")
