"""What is sent to the model, and over which connection."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest

from headrace import Agent, AuthenticationError
from support.harness import KEY, PATIENCE, Reader, Simulate, agent_at, collect, connections_to, needs_proc, the_request


def body_of(simulate: Simulate, reader: Reader, **options: Any) -> dict[str, Any]:
    """The body that an agent with these options sends."""
    simulator = simulate()
    assert reader.read(agent_at(simulator, **options), "Say hello.").error is None
    body = the_request(simulator)["body"]
    assert isinstance(body, dict)
    return body


def test_an_agent_sends_its_task_and_only_the_parameters_that_were_set(simulate: Simulate, reader: Reader) -> None:
    assert body_of(simulate, reader) == {
        "model": "sim",
        "messages": [{"role": "user", "content": "Say hello."}],
        "stream": True,
        "stream_options": {"include_usage": True},
    }


def test_the_system_prompt_comes_first(simulate: Simulate, reader: Reader) -> None:
    body = body_of(simulate, reader, system_prompt="You are brief.")
    assert body["messages"] == [
        {"role": "system", "content": "You are brief."},
        {"role": "user", "content": "Say hello."},
    ]


@pytest.mark.parametrize(
    ("name", "value"),
    [("temperature", 0), ("temperature", 0.7), ("max_tokens", 12), ("top_p", 0.5)],
)
def test_a_parameter_is_sent_as_given(simulate: Simulate, reader: Reader, name: str, value: float) -> None:
    assert body_of(simulate, reader, **{name: value})[name] == value


def test_llm_args_are_members_of_the_body(simulate: Simulate, reader: Reader) -> None:
    arguments = {"seed": 1, "stop": ["\n"], "response_format": {"type": "text"}, "max_tokens": 7}
    body = body_of(simulate, reader, llm_args=arguments, max_tokens=5)
    assert {name: body[name] for name in arguments} == arguments


def test_llm_args_may_replace_the_stream_options(simulate: Simulate, reader: Reader) -> None:
    simulator = simulate()
    result = reader.read(agent_at(simulator, llm_args={"stream_options": {"include_usage": False}}))
    assert result.stream.usage is not None
    assert result.stream.usage.estimated
    assert the_request(simulator)["body"]["stream_options"] == {"include_usage": False}


def test_extra_headers_are_headers_and_not_in_the_body(simulate: Simulate, reader: Reader) -> None:
    simulator = simulate()
    reader.read(agent_at(simulator, llm_args={"extra_headers": {"X-Team": "blue", "User-Agent": "mine/1"}}))
    request = the_request(simulator)
    assert (request["headers"]["x-team"], request["headers"]["user-agent"]) == ("blue", "mine/1")
    assert "extra_headers" not in request["body"]


def test_the_callers_llm_args_are_not_changed(simulate: Simulate, reader: Reader) -> None:
    arguments = {"seed": 1, "extra_headers": {"x-a": "b"}}
    agent = agent_at(simulate(), llm_args=arguments)
    for _ in range(2):
        reader.read(agent)
    assert arguments == {"seed": 1, "extra_headers": {"x-a": "b"}}


def test_every_request_has_the_usual_headers(simulate: Simulate, reader: Reader) -> None:
    simulator = simulate()
    reader.read(agent_at(simulator))
    request = the_request(simulator)
    assert (request["method"], request["path"]) == ("POST", "/v1/chat/completions")
    assert request["headers"]["content-type"] == "application/json"
    assert request["headers"]["accept"] == "text/event-stream"
    assert request["headers"]["user-agent"].startswith("headrace/")
    assert "authorization" not in request["headers"]


@pytest.mark.parametrize("task", ["Grüß Gott 🦜", 'a "quote" \\ and\na line', "\u2028\x00\x7f", "x" * 300_000])
def test_the_task_arrives_as_it_is(simulate: Simulate, reader: Reader, task: str) -> None:
    simulator = simulate()
    assert reader.read(agent_at(simulator), task).error is None
    assert the_request(simulator)["body"]["messages"][0]["content"] == task


@pytest.mark.parametrize("slash", ["", "/", "//"])
def test_the_base_url_may_end_with_a_slash(simulate: Simulate, reader: Reader, slash: str) -> None:
    simulator = simulate()
    reader.read(agent_at(f"{simulator.base_url}{slash}"))
    assert the_request(simulator)["path"] == "/v1/chat/completions"


def test_the_query_of_the_base_url_stays_after_the_path(simulate: Simulate, reader: Reader) -> None:
    simulator = simulate()
    reader.read(agent_at(f"{simulator.base_url}?api-version=1"))
    assert the_request(simulator)["path"] == "/v1/chat/completions?api-version=1"


def test_the_scheme_of_the_base_url_may_be_in_upper_case(simulate: Simulate, reader: Reader) -> None:
    assert reader.read(agent_at(simulate().base_url.replace("http", "HTTP"))).error is None


@pytest.mark.parametrize(
    ("name", "sent"),
    [
        ("openai/gpt-9", "gpt-9"),
        ("gpt-9", "gpt-9"),
        ("meta-llama/Llama-9", "meta-llama/Llama-9"),
        ("local/x", "local/x"),
    ],
)
def test_only_the_prefix_openai_is_removed_from_the_models_name(
    simulate: Simulate, reader: Reader, name: str, sent: str
) -> None:
    assert body_of(simulate, reader, model_name=name)["model"] == sent


# --- the key ---------------------------------------------------------------------------------------------------


def test_the_key_is_sent_as_a_bearer_token(simulate: Simulate, reader: Reader) -> None:
    simulator = simulate(api_key=KEY)
    assert reader.read(agent_at(simulator, llm_api_key=KEY)).error is None


def test_the_key_may_be_in_the_environment(simulate: Simulate, reader: Reader, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    assert reader.read(agent_at(simulate(api_key=KEY))).error is None


def test_the_agents_key_has_priority_over_that_of_the_environment(
    simulate: Simulate, reader: Reader, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "not the key")
    assert reader.read(agent_at(simulate(api_key=KEY), llm_api_key=KEY)).error is None


def test_a_wrong_key_is_refused(simulate: Simulate, reader: Reader) -> None:
    error = reader.read(agent_at(simulate(api_key=KEY), llm_api_key="wrong")).error
    assert isinstance(error, AuthenticationError)


def test_the_base_url_may_be_in_the_environment(
    simulate: Simulate, reader: Reader, monkeypatch: pytest.MonkeyPatch
) -> None:
    simulator = simulate(["a", "b"])
    monkeypatch.setenv("OPENAI_BASE_URL", simulator.base_url)
    assert reader.read(Agent(model_name="openai/sim", print_on=False)).tokens == ["a", "b"]


def test_headrace_model_names_the_model(
    simulate: Simulate, reader: Reader, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    simulator = simulate()
    monkeypatch.setenv("HEADRACE_MODEL", "openai/from-the-environment")
    agent = Agent(llm_base_url=simulator.base_url, print_on=False)
    assert agent.model_name == "openai/from-the-environment"
    reader.read(agent)
    assert the_request(simulator)["body"]["model"] == "from-the-environment"
    assert capsys.readouterr().err == ""


def test_without_any_model_the_local_one_is_used_with_a_notice(capsys: pytest.CaptureFixture[str]) -> None:
    assert Agent().model_name == "local/smollm2-135m"
    assert "this uses local/smollm2-135m on this machine" in capsys.readouterr().err


# --- connections -----------------------------------------------------------------------------------------------

# A request that follows immediately may come before the last connection is free again.
AT_ONCE = 2


def test_streams_one_after_the_other_share_a_connection(simulate: Simulate, reader: Reader) -> None:
    simulator = simulate()
    for _ in range(20):
        # Another agent each time: the connections belong to the process.
        assert reader.read(agent_at(simulator)).error is None
    assert simulator.report()["connections"]["accepted"] <= AT_ONCE


def test_sync_and_async_streams_use_the_same_connection(simulate: Simulate) -> None:
    simulator = simulate()
    agent = agent_at(simulator)
    for _ in range(10):
        agent.run("Go.")
        asyncio.run(collect(agent.arun_stream("Go.")))
    assert simulator.report()["connections"]["accepted"] <= AT_ONCE


def test_a_connection_is_used_again_after_an_error_status(simulate: Simulate, reader: Reader) -> None:
    simulator = simulate(fault={"kind": "status", "status": 500, "times": 19})
    agent = agent_at(simulator)
    errors = [reader.read(agent).error for _ in range(20)]
    assert [error is None for error in errors] == [False] * 19 + [True]
    assert simulator.report()["connections"]["accepted"] <= AT_ONCE


@needs_proc
def test_a_connection_that_the_server_has_closed_meanwhile_is_not_used_again(
    simulate: Simulate, reader: Reader
) -> None:
    first = simulate()
    port = int(first.base_url.split(":")[2].split("/")[0])
    agent = agent_at(first)
    assert reader.read(agent).error is None
    first.stop()
    deadline = time.monotonic() + PATIENCE
    while connections_to(port):
        assert time.monotonic() < deadline, "the connection was kept although the server had closed it"
        time.sleep(0.001)
    second = simulate(["back"], port=port)
    assert reader.read(agent).tokens == ["back"]
    assert second.report()["connections"]["accepted"] == 1
