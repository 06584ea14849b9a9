"""What clients of OpenAI's and Anthropic's protocols get of a served agent."""

from __future__ import annotations

from typing import Any

import anthropic
import httpx
import openai
import pytest

from headrace import Agent, SequentialWorkflow, Timeouts
from support.conversations import add, bodies, calling, refusing
from support.harness import Simulate, agent_at, asking
from support.serving import GO, Running, openai_at, serving_agents, streamed

TEXT = ["Water", " turns", " the", " wheel."]


def anthropic_at(running: Running) -> anthropic.Anthropic:
    client = anthropic.Anthropic(base_url=running.url, api_key="none", max_retries=0, timeout=60)
    return running.clients.enter_context(client)


def text_of(chunks: list[Any]) -> str:
    return "".join(choice.delta.content or "" for chunk in chunks for choice in chunk.choices)


# --- OpenAI ----------------------------------------------------------------------------------------------------


def test_the_openai_sdk_streams(simulate: Simulate) -> None:
    with serving_agents(agent_at(simulate(turns=[{"text": TEXT}]))) as running:
        chunks = streamed(running, stream_options={"include_usage": True})
    assert text_of(chunks) == "".join(TEXT)
    assert chunks[0].choices[0].delta.role == "assistant"
    assert [choice.finish_reason for chunk in chunks for choice in chunk.choices][-1] == "stop"
    assert {chunk.id for chunk in chunks} == {chunks[0].id}
    assert {chunk.model for chunk in chunks} == {"headrace-agent"}
    assert chunks[-1].usage.completion_tokens == 4


def test_token_counts_are_only_for_those_who_ask(simulate: Simulate) -> None:
    with serving_agents(agent_at(simulate(turns=[{"text": TEXT}]))) as running:
        assert not any(chunk.usage for chunk in streamed(running))


def test_the_openai_sdk_gets_a_whole_answer(simulate: Simulate) -> None:
    with serving_agents(agent_at(simulate(turns=[{"text": TEXT, "reasoning": "Hm."}]))) as running:
        answer = openai_at(running).chat.completions.create(model="headrace-agent", messages=GO)
    message: Any = answer.choices[0].message
    assert message.content == "".join(TEXT)
    assert message.reasoning_content == "Hm."
    assert answer.choices[0].finish_reason == "stop"
    assert answer.usage is not None
    assert answer.usage.completion_tokens == 5


def test_the_models_are_the_agents(simulate: Simulate) -> None:
    simulator = simulate(turns=[{"text": TEXT}])
    agents = {name: agent_at(simulator) for name in ("miller", "poet")}
    with serving_agents(agents) as running:
        assert [model.id for model in openai_at(running).models.list()] == ["miller", "poet"]


def test_the_agent_gets_the_whole_conversation(simulate: Simulate) -> None:
    simulator = simulate(turns=[{"text": TEXT}])
    given = [
        {"role": "system", "content": "Be short."},
        {"role": "user", "content": "I am Ann."},
        {"role": "assistant", "content": "Hello, Ann."},
        {"role": "user", "content": [{"type": "text", "text": "Who am I?"}]},
    ]
    with serving_agents(agent_at(simulator, system_prompt="You greet.")) as running:
        streamed(running, messages=given, temperature=0.25, user="ann")
    [body] = bodies(simulator)
    assert body["messages"] == [{"role": "system", "content": "You greet.\n\nBe short."}, *given[1:]]
    assert body["temperature"] == 0.25


@pytest.mark.parametrize("stream", [True, False])
def test_the_agents_own_tools_run_and_are_not_shown(simulate: Simulate, stream: bool) -> None:
    first = {"text": "I add. ", "tool_calls": [calling("add", {"a": 1, "b": 2})]}
    simulator = simulate(turns=[{"when": {"role": "tool"}, "text": "It is 3."}, first])
    agent = agent_at(simulator, tools=[add], max_loops=3)
    agent.turn_separator = "\n\n"
    with serving_agents(agent) as running:
        if stream:
            chunks = streamed(running)
            assert text_of(chunks) == "I add. \n\nIt is 3."
            assert not any(choice.delta.tool_calls for chunk in chunks for choice in chunk.choices)
            reasons = [choice.finish_reason for chunk in chunks for choice in chunk.choices]
            assert [reason for reason in reasons if reason] == ["stop"]
        else:
            answer = openai_at(running).chat.completions.create(model="headrace-agent", messages=GO)
            assert answer.choices[0].message.content == "I add. \n\nIt is 3."
            assert not answer.choices[0].message.tool_calls


def kinds(simulate: Simulate) -> dict[str, Agent | SequentialWorkflow]:
    """An agent of each kind that the general driver serves, and what its function would be."""
    simulator = simulate(turns=[{"text": TEXT}] * 9)

    def answering(_prompt: str) -> list[str]:
        return TEXT

    return {
        "function": asking(answering),
        "callback": agent_at(simulator, streaming_callback=lambda _token: None),
        "workflow": SequentialWorkflow(agents=[agent_at(simulator, agent_name="only")]),
    }


@pytest.mark.parametrize("kind", ["function", "callback", "workflow"])
def test_every_kind_of_agent_is_served(simulate: Simulate, kind: str) -> None:
    with serving_agents({"headrace-agent": kinds(simulate)[kind]}) as running:
        assert text_of(streamed(running)) == "".join(TEXT)


@pytest.mark.parametrize("kind", ["callback", "workflow", "autonomous"])
def test_reasoning_of_every_kind_is_in_its_place(simulate: Simulate, kind: str) -> None:
    turn = {"reasoning": "Hm.", "text": TEXT}
    simulator = simulate(turns=[turn] * 9)
    agents: dict[str, Any] = {
        "callback": lambda: agent_at(simulator, streaming_callback=lambda _token: None),
        "workflow": lambda: SequentialWorkflow(agents=[agent_at(simulator, agent_name="only")]),
        "autonomous": lambda: agent_at(simulator, max_loops="auto", max_plan_attempts=1, max_subtask_loops=1),
    }
    with serving_agents({"headrace-agent": agents[kind]()}) as running:
        chunks = streamed(running)
    reasoning = [
        choice.delta.model_extra.get("reasoning_content") or "" for chunk in chunks for choice in chunk.choices
    ]
    assert "Hm." in "".join(reasoning)
    assert "Hm." not in text_of(chunks)
    assert "".join(TEXT) in text_of(chunks)


def test_an_autonomous_agent_is_served(simulate: Simulate) -> None:
    turns = [
        {
            "when": {"contains": "make a plan"},
            "tool_calls": [calling("create_plan", {"subtasks": [{"id": "1", "task": "Turn."}]})],
        },
        {"tool_calls": [calling("complete_task", {"summary": "The wheel turned."})]},
    ]
    with serving_agents(agent_at(simulate(turns=turns), max_loops="auto")) as running:
        assert "The wheel turned." in text_of(streamed(running))


@pytest.mark.parametrize("wanted", [True, False])
def test_log_probabilities_are_passed_on_to_who_asks(wanted: bool) -> None:
    logprobs = {"content": [{"token": "Yes", "logprob": -0.5, "bytes": None, "top_logprobs": []}]}
    choice = {"index": 0, "delta": {"content": "Yes"}, "logprobs": logprobs}
    answer = [{"choices": [choice]}, {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}]

    def answering(_prompt: str) -> list[dict[str, Any]]:
        return answer

    with serving_agents(asking(answering)) as running:
        chunks = streamed(running, logprobs=wanted)
    found = [
        token.logprob for chunk in chunks for each in chunk.choices if each.logprobs for token in each.logprobs.content
    ]
    assert text_of(chunks) == "Yes"
    assert found == ([-0.5] if wanted else [])


# --- Anthropic -------------------------------------------------------------------------------------------------


def test_the_anthropic_sdk_streams(simulate: Simulate) -> None:
    agent = agent_at(simulate(turns=[{"text": TEXT}]))
    with (
        serving_agents(agent) as running,
        anthropic_at(running).messages.stream(model="headrace-agent", max_tokens=9, messages=GO) as stream,
    ):
        assert list(stream.text_stream) == TEXT
        message = stream.get_final_message()
    assert (message.stop_reason, message.usage.output_tokens) == ("end_turn", 4)


def test_the_anthropic_sdk_gets_a_whole_answer(simulate: Simulate) -> None:
    simulator = simulate(turns=[{"text": TEXT}])
    with serving_agents(agent_at(simulator)) as running:
        message = anthropic_at(running).messages.create(
            model="headrace-agent", max_tokens=9, system="Be short.", messages=GO
        )
    assert message.content[0].type == "text"
    assert message.content[0].text == "".join(TEXT)
    assert bodies(simulator)[0]["messages"][0] == {"role": "system", "content": "Be short."}


# --- errors ----------------------------------------------------------------------------------------------------


def test_an_unknown_model_is_named(simulate: Simulate) -> None:
    with serving_agents(agent_at(simulate(turns=[{"text": TEXT}]))) as running:
        with pytest.raises(openai.NotFoundError, match=r"there is no model .*gpt-4o"):
            streamed(running, model="gpt-4o")
        with pytest.raises(anthropic.NotFoundError, match="gpt-4o"):
            anthropic_at(running).messages.create(model="gpt-4o", max_tokens=9, messages=GO)


@pytest.mark.parametrize(
    ("messages", "error"),
    [([], "no message of the user"), ([{"role": "bot", "content": "Hi."}], r"messages\[0\] has the role 'bot'")],
)
def test_a_wrong_conversation_is_a_bad_request(simulate: Simulate, messages: list[Any], error: str) -> None:
    agent = agent_at(simulate(turns=[{"text": TEXT}]))
    with serving_agents(agent) as running, pytest.raises(openai.BadRequestError, match=error):
        streamed(running, messages=messages)


def test_a_rate_limit_of_the_provider_is_passed_on(simulate: Simulate) -> None:
    simulator = simulate(turns=[{"text": TEXT, "fault": refusing(429, None, headers={"retry-after": "7"})}])
    with serving_agents(agent_at(simulator)) as running, pytest.raises(openai.RateLimitError) as caught:
        streamed(running)
    assert caught.value.response.headers["retry-after"] == "7"


def test_a_failure_of_the_provider_is_a_bad_gateway(simulate: Simulate) -> None:
    agent = agent_at(simulate(turns=[{"text": TEXT, "fault": refusing(500, None)}]))
    with serving_agents(agent) as running, pytest.raises(openai.InternalServerError) as caught:
        streamed(running)
    assert caught.value.status_code == 502


def test_a_silent_provider_is_a_gateway_timeout(simulate: Simulate) -> None:
    simulator = simulate(turns=[{"text": TEXT, "fault": {"kind": "stall", "after": 0}}])
    agent = agent_at(simulator, timeouts=Timeouts(first_token=0.05))
    with serving_agents(agent) as running, pytest.raises(openai.InternalServerError) as caught:
        streamed(running)
    assert caught.value.status_code == 504


def test_a_key_that_the_server_lacks_is_no_fault_of_the_client(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OPENAI_API_KEY", "OPENAI_BASE_URL"):
        monkeypatch.delenv(name, raising=False)
    agent = Agent(model_name="openai/gpt-4o", print_on=False)
    with serving_agents(agent) as running, pytest.raises(openai.InternalServerError) as caught:
        streamed(running)
    assert caught.value.status_code == 500


def test_an_error_within_the_stream_comes_after_its_tokens(simulate: Simulate) -> None:
    simulator = simulate(turns=[{"text": TEXT, "fault": {"kind": "end", "after": 2}}])
    got: list[str] = []
    with serving_agents(agent_at(simulator)) as running:
        stream = openai_at(running).chat.completions.create(model="headrace-agent", messages=GO, stream=True)
        with pytest.raises(openai.APIError, match="before its end marker"):
            got.extend(chunk.choices[0].delta.content or "" for chunk in stream)
    assert "".join(got) == "".join(TEXT[:2])


def test_an_agent_that_fails_tells_the_client_no_details(caplog: pytest.LogCaptureFixture) -> None:
    def failing(_prompt: str) -> str:
        raise RuntimeError("the secret of the mill")

    with serving_agents(asking(failing)) as running, pytest.raises(openai.InternalServerError) as caught:
        streamed(running)
    assert "the secret of the mill" not in str(caught.value)
    assert "RuntimeError" in str(caught.value)
    assert "the secret of the mill" in caplog.text


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/v1/chat/completions", 405),
        ("POST", "/v1/models", 405),
        ("GET", "/elsewhere", 404),
        ("GET", "/health/live", 200),
        ("GET", "/health/ready", 200),
    ],
)
def test_paths_and_methods(simulate: Simulate, method: str, path: str, status: int) -> None:
    with serving_agents(agent_at(simulate(turns=[{"text": TEXT}]))) as running:
        response = httpx.request(method, f"{running.url}{path}")
    assert response.status_code == status
    assert response.headers["content-type"] == "application/json"
    assert ("allow" in response.headers) == (status == 405)


def test_a_body_that_is_not_json_is_refused_with_the_place(simulate: Simulate) -> None:
    with serving_agents(agent_at(simulate(turns=[{"text": TEXT}]))) as running:
        response = httpx.post(f"{running.url}/v1/chat/completions", content=b"{")
    assert response.status_code == 400
    assert "line 1" in response.json()["error"]["message"]
