"""Whatever the model wrote, the next request is one that a strict provider takes."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from headrace import Agent, Memory
from headrace.errors import ProviderError
from support import strict
from support.conversations import ADDS, add, bodies, calling, conversation
from support.dialects import SERVICES, agent_on
from support.strict import RULES, StrictEndpoint

if TYPE_CHECKING:
    from pathlib import Path

    from support.harness import Reader, Simulate

NAMES = ("get weather", "functions.bash:0", "größe", "x" * 70, "add")
IDS = ("call 1", "same", "same", "y" * 60, "functions.bash:0")
ARGUMENTS = ("{}", "[1]", '{"a": NaN}', '{"a": 1', '{"a": 1e999, "b": "\\ud800"}')

WILD = [calling(name, text, id=call_id) for name, call_id, text in zip(NAMES, IDS, ARGUMENTS, strict=True)]
"""Calls that no provider takes back as they are."""


def agent_at(endpoint: StrictEndpoint, model: str, **options: Any) -> Agent:
    return Agent(model_name=model, llm_base_url=endpoint.base_url, print_on=False, tools=[add], max_loops=4, **options)


@pytest.mark.parametrize(
    ("model", "rules"),
    [
        ("openai/sim", "compatible"),
        ("groq/sim", "openai"),
        ("groq/sim", "groq"),
        ("mistral/sim", "mistral"),
        ("openai/mistralai/Devstral-Small-2", "mistral"),
        ("deepseek/sim", "deepseek"),
        ("moonshot/sim", "deepseek"),
    ],
)
@pytest.mark.parametrize("reasoning", ["Hm.", ""])
def test_what_goes_back_is_taken(simulate: Simulate, reader: Reader, model: str, rules: str, reasoning: str) -> None:
    if rules == "deepseek" and not reasoning:
        pytest.skip("the rule is that of its thinking mode")
    turns = conversation(
        {"reasoning": reasoning, "text": "I look.", "tool_calls": WILD},
        {"tool_calls": WILD[-2:]},
        {"reasoning": reasoning, **ADDS},
        {"text": "Done."},
    )
    with StrictEndpoint(simulate(turns=turns), RULES[rules]) as endpoint:
        result = reader.read(agent_at(endpoint, model))
    assert endpoint.refusals == []
    assert (result.error, result.stream.final) == (None, "Done.")


@pytest.mark.parametrize("name", ["anthropic", "gemini", "openai_responses", "bedrock_converse"])
def test_what_goes_back_is_taken_in_other_dialects(simulate: Simulate, reader: Reader, name: str) -> None:
    wild = [calling(each, {"city": "Oslo"}, id=call_id) for each, call_id in zip(NAMES, IDS, strict=True)]
    turns = conversation({"text": "I look.", "tool_calls": wild}, {"tool_calls": wild}, {"text": "Done."})
    with StrictEndpoint(
        simulate(turns=turns), RULES[name.removeprefix("openai_").removesuffix("_converse")]
    ) as endpoint:
        agent = agent_on(SERVICES[name], endpoint)
        result = reader.read(agent)
    assert endpoint.refusals == []
    assert (result.error, result.stream.final) == (None, "Done.")


def asked(*calls: tuple[Any, Any, Any]) -> dict[str, Any]:
    made = [{"id": each, "function": {"name": name, "arguments": arguments}} for each, name, arguments in calls]
    return {"role": "assistant", "content": None, "tool_calls": made}


OLD: list[dict[str, Any]] = [
    {"role": "user", "content": "Go."},
    asked(("call 1", "get weather", "{bad"), ("c", "add", {"a": 1}), ("c", "add", "null"), (None, None, None)),
    {"role": "tool", "tool_call_id": "call 1", "name": "get weather", "content": "wrong"},
    {"role": "tool", "tool_call_id": "c", "content": None},
    {"role": "tool", "tool_call_id": "gone", "content": "whose?"},
    {"role": "user", "content": "And?"},
    {"role": "assistant", "content": None, "tool_calls": []},
    asked(("c", "add", '"{}"')),
]


@pytest.mark.parametrize(("model", "rules"), [("openai/sim", "openai"), ("mistral/sim", "mistral")])
def test_an_old_memory_does_not_break_later_runs(
    simulate: Simulate, reader: Reader, tmp_path: Path, model: str, rules: str
) -> None:
    path = tmp_path / "memory.db"
    Memory("old", path).append(OLD)
    with StrictEndpoint(simulate(turns=[{"text": "Fine."}]), RULES[rules]) as endpoint:
        agent = agent_at(endpoint, model, agent_name="old", persistent_memory=True, memory_path=path)
        for task in ("Again.", "And again."):
            result = reader.read(agent, task)
            assert (result.error, result.stream.final) == (None, "Fine.")
    assert endpoint.refusals == []


def test_reasoning_reaches_only_those_who_take_it(simulate: Simulate, reader: Reader) -> None:
    for model, given in (("deepseek/sim", "Hm."), ("openai/sim", "Hm."), ("groq/sim", None), ("mistral/sim", None)):
        simulator = simulate(turns=conversation({"reasoning": "Hm.", **ADDS}, {"text": "42"}))
        with StrictEndpoint(simulator, strict.compatible) as endpoint:
            assert reader.read(agent_at(endpoint, model)).error is None
        [_, request] = bodies(simulator)
        assert request["messages"][1].get("reasoning_content") == given


# --- the endpoint itself ---------------------------------------------------------------------------------------------


def body(*messages: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": "Go."}, *messages], **more}


def answered(call_id: str = "123456789", name: str = "add", arguments: str = "{}") -> list[dict[str, Any]]:
    call = {"id": call_id, "type": "function", "function": {"name": name, "arguments": arguments}}
    result = {"role": "tool", "tool_call_id": call_id, "content": ""}
    return [{"role": "assistant", "content": None, "tool_calls": [call]}, result]


@pytest.mark.parametrize(
    ("rules", "request_body", "words"),
    [
        ("openai", {"messages": []}, "too short"),
        ("openai", body(*answered(name="a b")), "does not match pattern"),
        ("openai", body(*answered("x" * 41)), "too long"),
        ("openai", body(*answered(arguments="[]")), "JSON format"),
        ("openai", body(*answered(), *answered()), "Duplicate"),
        ("openai", body(answered()[0]), "must be followed"),
        ("openai", body(answered()[1]), "must be a response"),
        ("openai", body({"role": "assistant", "content": None}), "expected a string"),
        ("openai", body({"role": "user", "content": []}), "empty array"),
        ("openai", body({"role": "assistant", "content": "", "reasoning_content": "Hm."}), "Additional properties"),
        ("openai", body(tools=[]), "too short"),
        ("openai", body(tool_choice="auto"), "only allowed"),
        ("openai", body({"role": "robot", "content": ""}), "Invalid value"),
        ("mistral", body(*answered("call_1")), "length of 9"),
        ("mistral", body(*answered(), {"role": "user", "content": "?"}), "Unexpected role"),
        ("mistral", body({"role": "assistant", "content": ""}), "either content"),
        ("deepseek", body(*answered()), "Missing `reasoning_content`"),
        ("groq", body({"role": "assistant", "content": "", "reasoning_content": "Hm."}), "unsupported"),
        ("anthropic", {"messages": [{"role": "user", "content": ""}]}, "non-empty"),
        ("gemini", {"contents": [{"role": "user", "parts": []}]}, "empty parts"),
    ],
)
def test_a_strict_endpoint_refuses(rules: str, request_body: Any, words: str) -> None:
    with pytest.raises(strict.RefusedError, match=words) as caught:
        RULES[rules](json.loads(json.dumps(request_body)))
    assert caught.value.source


def test_a_refusal_reaches_the_caller_in_the_providers_words(simulate: Simulate, reader: Reader) -> None:
    with StrictEndpoint(simulate("Hi."), RULES["openai"]) as endpoint:
        agent = agent_at(endpoint, "openai/sim", llm_args={"messages": []})
        error = reader.read(agent).error
    assert isinstance(error, ProviderError)
    assert "too short" in str(error)
