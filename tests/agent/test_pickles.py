"""Pickles and deep copies of an agent: they work, and hold no key."""

from __future__ import annotations

import copy
import functools
import pickle
import sys
from typing import TYPE_CHECKING, Any

import pytest

from headrace import Agent, as_tool
from headrace.tools import Tool
from support.harness import KEY, Simulate, agent_at, receive_request, run_python, serving

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable
    from pathlib import Path


def look(where: str) -> str:
    """Looks somewhere."""
    return f"seen {where}"


@as_tool
def listen(to: str) -> str:
    """Listens."""
    return f"heard {to}"


def by_schema(arguments: dict[str, Any]) -> str:
    return f"schema {arguments['at']}"


def stop(text: str) -> bool:
    return "STOP" in text


def pickled(agent: Agent) -> Agent:
    again: Agent = pickle.loads(pickle.dumps(agent))
    return again


COPIES: dict[str, Callable[[Agent], Agent]] = {"pickled": pickled, "deep": copy.deepcopy}
each_way = pytest.mark.parametrize("again", COPIES.values(), ids=COPIES.keys())

SECRET_OPTIONS: dict[str, dict[str, Any]] = {
    "key": {"llm_api_key": KEY},
    "authorization": {"llm_args": {"extra_headers": {"AUTHORIZATION": f"Bearer {KEY}"}}},
    "header": {"llm_args": {"extra_headers": {"x-api-key": KEY, "Cookie": KEY, "x-amz-security-token": KEY}}},
    "value": {"llm_args": {"extra_headers": {"x-mine": f"Bearer {KEY}"}}},
    "copied": {"llm_api_key": KEY, "llm_args": {"extra_body": {"who": f"is {KEY}"}, "user": KEY}},
    "argument": {"llm_args": {"api_key": KEY, "aws_secret_access_key": KEY, "vertex_credentials": {"a": KEY}}},
    "token": {"llm_args": {"azure_ad_token": KEY, "headers": {"authorization": KEY}}},
    "user": {"llm_base_url": f"http://me:{KEY}@127.0.0.1:1/v1"},
    "query": {"llm_base_url": f"http://127.0.0.1:1/v1?api-version=1&key={KEY}"},
    "mcp header": {"mcp_config": {"a": {"url": "http://127.0.0.1:1/mcp", "headers": {"Authorization": KEY}}}},
    "mcp token": {"mcp_config": {"a": {"url": "http://127.0.0.1:1/mcp", "authorization_token": KEY}}},
    "mcp url": {"mcp_url": f"http://127.0.0.1:1/mcp?token={KEY}"},
    "mcp environment": {"mcp_config": {"a": {"command": "true", "env": {"GITHUB_TOKEN": KEY, "A_KEY": KEY}}}},
}


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize("options", SECRET_OPTIONS.values(), ids=SECRET_OPTIONS.keys())
def test_a_pickle_holds_no_secret(options: dict[str, Any], protocol: int) -> None:
    agent = agent_at("http://127.0.0.1:1/v1", **{"llm_base_url": "http://127.0.0.1:1/v1", **options})
    for what in (agent, copy.deepcopy(agent)):
        assert KEY[:12].encode() not in pickle.dumps(what, protocol)
    other = agent_at("http://127.0.0.1:1/v1", handoffs=[agent])
    assert KEY[:12].encode() not in pickle.dumps(other, protocol)


@pytest.mark.parametrize("options", SECRET_OPTIONS.values(), ids=SECRET_OPTIONS.keys())
def test_a_pickled_agent_keeps_its_own_secrets(options: dict[str, Any]) -> None:
    agent = agent_at("http://127.0.0.1:1/v1", **options)
    before = dict(vars(agent))
    pickle.dumps(agent)
    copy.deepcopy(agent)
    assert vars(agent) == before


@each_way
def test_a_copy_holds_no_key_in_its_attributes(again: Callable[[Agent], Agent]) -> None:
    headers = {"X-Api-Key": KEY, "x-team": "blue"}
    agent = agent_at("http://127.0.0.1:1/v1", llm_api_key=KEY, llm_args={"seed": 1, "extra_headers": headers})
    other = again(agent)
    assert other.llm_api_key is None
    assert other.llm_args == {"seed": 1, "extra_headers": {"x-team": "blue"}}
    assert (agent.llm_api_key, agent.llm_args["extra_headers"]) == (KEY, headers)


@each_way
def test_what_is_no_secret_stays(again: Callable[[Agent], Agent]) -> None:
    llm_args = {"max_completion_tokens": 5, "prompt_cache_key": "a", "logit_bias": {"5": 1}, "stop": ["x"], "n": 1}
    agent = agent_at("http://127.0.0.1:1/v1?api-version=1", llm_args=llm_args, max_tokens=7, system_prompt="Be brief.")
    other = again(agent)
    assert other.llm_args == llm_args
    assert other.llm_base_url == agent.llm_base_url
    assert (other.max_tokens, other.system_prompt, repr(other)) == (7, "Be brief.", repr(agent))


@each_way
def test_a_copy_looks_for_its_key_in_the_environment(
    again: Callable[[Agent], Agent], monkeypatch: pytest.MonkeyPatch
) -> None:
    heads: list[str] = []

    def answer(connection: socket.socket) -> None:
        heads.append(receive_request(connection).decode())
        body = 'data: {"choices":[{"index":0,"delta":{"content":"Hi."},"finish_reason":"stop"}]}\n\ndata: [DONE]\n\n'
        connection.sendall(f"HTTP/1.1 200 OK\r\ncontent-length: {len(body)}\r\nconnection: close\r\n\r\n".encode())
        connection.sendall(body.encode())

    monkeypatch.setenv("OPENAI_API_KEY", "sk-of-the-environment")
    with serving(answer) as port:
        assert again(agent_at(f"http://127.0.0.1:{port}/v1", llm_api_key=KEY)).run("Go.") == "Hi."
    assert "authorization: Bearer sk-of-the-environment" in heads[0]


@each_way
def test_a_copy_runs_its_tools(again: Callable[[Agent], Agent], simulate: Simulate) -> None:
    calls = [
        {"name": "look", "arguments": {"where": "up"}},
        {"name": "listen", "arguments": {"to": "me"}},
        {"name": "partial", "arguments": {}},
        {"name": "schema", "arguments": {"at": "B"}},
    ]
    simulator = simulate(turns=[{"when": {"role": "tool"}, "text": "Done."}, {"text": "", "tool_calls": calls}])
    tools: list[Any] = [
        look,
        listen,
        as_tool(functools.partial(look, where="down"), name="partial", timeout=9.0),
        Tool.from_schema("schema", "By schema.", {"properties": {"at": {"type": "string"}}}, by_schema),
    ]
    agent = agent_at(simulator, tools=tools, max_loops=2, stopping_func=stop, tool_timeout=5.0)
    other = again(agent)
    assert other.run("Go.") == "Done."
    results = [message["content"] for message in simulator.report()["requests"][-1]["body"]["messages"][-4:]]
    assert results == ["seen up", "heard me", "seen down", "schema B"]
    assert other.toolbox.schemas == agent.toolbox.schemas


def test_tools_are_pickled_by_reference() -> None:
    agent = pickled(agent_at("http://127.0.0.1:1/v1", tools=[listen]))
    assert pickle.loads(pickle.dumps(listen)) is listen
    assert agent.toolbox.names == ("listen",)


def test_a_tool_without_a_name_of_its_own_cannot_be_pickled_but_copied() -> None:
    def local() -> str:
        return "x"

    agent = agent_at("http://127.0.0.1:1/v1", tools=[local])
    with pytest.raises((pickle.PicklingError, AttributeError), match="local"):
        pickle.dumps(agent)
    assert copy.deepcopy(agent).toolbox.names == ("local",)


@each_way
def test_agents_that_hand_over_in_a_circle(again: Callable[[Agent], Agent]) -> None:
    first = agent_at("http://127.0.0.1:1/v1", agent_name="first", llm_api_key=KEY)
    second = agent_at("http://127.0.0.1:1/v1", agent_name="second", handoffs=[first], llm_api_key=KEY)
    first.handoffs = (second,)
    other = again(first)
    assert other.handoffs[0].handoffs[0] is other
    assert other.handoffs[0] is not second
    assert other.handoffs[0].llm_api_key is None


@each_way
def test_a_copy_has_the_same_memory(again: Callable[[Agent], Agent], simulate: Simulate, tmp_path: Path) -> None:
    simulator = simulate("Done.")
    agent = agent_at(simulator, agent_name="A", persistent_memory=True, memory_path=tmp_path / "m.sqlite3")
    agent.run("First.")
    other = again(agent)
    other.run("Second.")
    assert agent.memory is not None
    assert [message["content"] for message in agent.memory.read()] == ["First.", "Done.", "Second.", "Done."]


def test_a_deep_copy_shares_connections_and_the_callers_own_objects() -> None:
    def llm(task: str) -> str:
        return task

    agent = Agent(llm=llm, mcp_url="http://127.0.0.1:1/mcp", print_on=False)
    other = copy.deepcopy(agent)
    assert other.llm is llm
    assert other.mcp is agent.mcp


def test_a_plain_copy_has_the_key() -> None:
    agent = agent_at("http://127.0.0.1:1/v1", llm_api_key=KEY)
    assert copy.copy(agent).llm_api_key == KEY


def test_a_pickle_is_read_by_another_process(simulate: Simulate, tmp_path: Path) -> None:
    simulator = simulate("Done.")
    config = {"a": {"command": "true", "env": {"A_KEY": KEY, "PLAIN": "1"}}}
    agent = agent_at(simulator, llm_api_key=KEY, tools=[look], mcp_config=config)
    (tmp_path / "agent").write_bytes(pickle.dumps(agent))
    run = run_python(
        """
        import pickle, sys
        sys.path[:0] = eval(sys.argv[2])
        agent = pickle.load(open(sys.argv[1], "rb"))
        [server] = agent.mcp._servers
        agent.mcp = None
        print(agent.run("Go."), agent.toolbox.names, dict(server.env))
        """,
        str(tmp_path / "agent"),
        repr(sys.path),
        environment={"A_KEY": "from here"},
    )
    assert (run.stdout, run.stderr) == ("Done. ('look',) {'PLAIN': '1', 'A_KEY': 'from here'}\n", "")
