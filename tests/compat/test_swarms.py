"""``headrace.compat.swarms``: programs of swarms after a change of one import line."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import warnings
from typing import TYPE_CHECKING, Any

import pytest

import headrace
from headrace import ConfigurationError, ServerError
from headrace.compat import swarms
from headrace.compat.swarms import (
    KEYWORDS,
    MISSING,
    Agent,
    AgentRearrange,
    ConcurrentWorkflow,
    Conversation,
    SequentialWorkflow,
    SwarmsCompatWarning,
    history_output_formatter,
    rearrange,
)
from headrace.testing import Simulator

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
PNG = f"data:image/png;base64,{PIXEL}"


@pytest.fixture
def simulator() -> Iterator[Simulator]:
    """Answers with two tokens."""
    with Simulator(turns=[{"text": ["Hello", ", world."]}]) as running:
        yield running


def made(simulator: Simulator, name: str = "Greeter", **options: Any) -> Agent:
    given = {"model_name": "openai/sim", "llm_base_url": simulator.base_url, "print_on": False, **options}
    return Agent(agent_name=name, **given)


def weather(city: str) -> str:
    """Weather of a city."""
    return f"cold in {city}"


def bodies(simulator: Simulator) -> list[dict[str, Any]]:
    return [request["body"] for request in simulator.report()["requests"]]


# --- keywords -----------------------------------------------------------------------------------------------------


def test_every_keyword_of_swarms_is_taken_at_its_default(simulator: Simulator) -> None:
    options = {name: keyword.default for name, keyword in KEYWORDS.items()}
    at = {"model_name": "openai/sim", "llm_base_url": simulator.base_url, "print_on": False}
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        agent = Agent(**{**options, **at})
    assert agent.run("Hello.") == "Hello, world."
    # Not swarms' temperature of 0.5 and its 16000 tokens: a program that says nothing gets the provider's own.
    assert bodies(simulator)[0].keys().isdisjoint({"temperature", "max_tokens", "reasoning_effort", "thinking"})


def test_options_without_effect_are_named_in_one_warning(simulator: Simulator) -> None:
    with pytest.warns(SwarmsCompatWarning) as caught:
        made(simulator, dashboard=True, autosave=True, dynamic_temperature_enabled=True, temperature=0.5, unheard_of=1)
    assert len(caught) == 1
    text = str(caught[0].message)
    assert all(name in text for name in ("dashboard", "autosave", "dynamic_temperature_enabled", "unheard_of"))
    assert "temperature (" not in text.replace("dynamic_temperature_enabled (", "")
    assert caught[0].filename == __file__


def test_options_that_work_reach_the_model(simulator: Simulator) -> None:
    agent = made(
        simulator,
        system_prompt="Be kind.",
        rules="Never shout.",
        sop_list=["First", "then"],
        temperature=0.25,
        top_p=0.5,
    )
    agent.run("Hello.")
    body = bodies(simulator)[0]
    assert body["messages"][0] == {"role": "system", "content": "Be kind.\n\nNever shout.\n\nFirst\n\nthen"}
    assert (body["temperature"], body["top_p"]) == (0.25, 0.5)


def test_swarms_own_names_for_what_exists(simulator: Simulator) -> None:
    agent = Agent(
        name="Ann",
        description="Knows.",
        max_planning_attempts=2,
        max_subtask_iterations=4,
        model_name="openai/sim",
        llm_base_url=simulator.base_url,
        timeouts=headrace.Timeouts(total=60),
        max_loops=None,
        tools=None,
        fallback_models=None,
    )
    assert (agent.name, agent.agent_name, agent.agent_description) == ("Ann", "Ann", "Knows.")
    assert (agent.max_plan_attempts, agent.max_subtask_loops, agent.max_loops) == (2, 4, 1)
    assert Agent(dynamic_loops=True, llm=lambda _task: "x", print_on=False).max_loops == "auto"


def test_wrong_values_are_errors(simulator: Simulator) -> None:
    with pytest.raises(ConfigurationError, match="no output_type"):
        made(simulator, output_type="poem")
    with pytest.raises(ConfigurationError, match="max_loops"):
        made(simulator, max_loops=-1)


# --- an agent -----------------------------------------------------------------------------------------------------


def test_a_second_run_remembers_the_first(simulator: Simulator) -> None:
    agent = made(simulator, system_prompt="Be kind.")
    assert agent.run("I am Ann.") == "Hello, world."
    assert agent.run("Who am I?") == "Hello, world.\nWho am I?\nHello, world."
    assert [message["content"] for message in bodies(simulator)[1]["messages"]] == [
        *("Be kind.", "I am Ann.", "Hello, world.", "Who am I?")
    ]
    assert agent.short_memory.return_messages_as_list() == [
        *("System: Be kind.", "Human: I am Ann.", "Greeter: Hello, world."),
        *("Human: Who am I?", "Greeter: Hello, world."),
    ]
    agent.reset()
    assert agent.run("Again.") == "Hello, world."


def test_what_is_added_by_hand_is_read_by_the_model(simulator: Simulator) -> None:
    agent = made(simulator)
    agent.short_memory.add("Weather Service", "It rains.")
    agent.add_memory("I said so.")
    agent.run("And?")
    assert [(each["role"], each["content"]) for each in bodies(simulator)[0]["messages"]] == [
        ("user", "Weather Service: It rains."),
        ("assistant", "I said so."),
        ("user", "And?"),
    ]


@pytest.mark.parametrize(
    ("form", "value"),
    [
        ("final", "Hello, world."),
        ("last", "Hello, world."),
        ("str", "System: \n\nHuman: Hi.\n\nGreeter: Hello, world."),
        ("list", ["System: ", "Human: Hi.", "Greeter: Hello, world."]),
        ("list-final", ["Hello, world."]),
        ("dict-all-except-first", [{"role": "Greeter", "content": "Hello, world."}]),
        ("str-all-except-first", "Hello, world."),
        ("xml", None),
        ("json", None),
    ],
)
def test_run_returns_what_swarms_does(simulator: Simulator, form: str, value: Any) -> None:
    result = made(simulator, output_type=form).run("Hi.")
    assert value is None or result == value
    if form == "json":
        assert json.loads(result)[-1] == {"role": "Greeter", "content": "Hello, world."}


def test_tokens_stream_in_both_lanes_and_are_remembered(simulator: Simulator) -> None:
    agent = made(simulator)
    assert list(agent.run_stream("Hi.")) == ["Hello", ", world."]

    async def main() -> list[str]:
        return [token async for token in agent.arun_stream("Hi again.")]

    assert asyncio.run(main()) == ["Hello", ", world."]
    assert len(agent.short_memory.conversation_history) == 5
    seen: list[str] = []
    agent.run("More.", streaming_callback=seen.append)
    assert seen == ["Hello", ", world."]
    assert asyncio.run(agent.arun("More.")).endswith("Hello, world.")


def test_the_other_ways_to_run(simulator: Simulator) -> None:
    def fresh() -> Agent:
        return made(simulator, output_type="final")

    assert fresh()("Hi.") == "Hello, world."
    assert fresh().run_batched(["a", "b"]) == ["Hello, world."] * 2
    assert fresh().bulk_run([{"task": "a"}, {"task": "b"}]) == ["Hello, world."] * 2
    assert fresh().run_concurrent_tasks(["a", "b"]) == ["Hello, world."] * 2
    assert asyncio.run(fresh().run_concurrent("a")) == "Hello, world."
    assert fresh().run("a", n=2) == ["Hello, world."] * 2
    assert fresh().run({"question": 1}) == "Hello, world."
    assert fresh().run("look", imgs=[PNG, PNG]) == ["Hello, world."] * 2
    assert fresh().talk_to(fresh(), "Hi.") == "Hello, world."
    assert fresh().receive_message("Bob", "Hi.") == "Hello, world."
    assert "Bob" in bodies(simulator)[-1]["messages"][-1]["content"]


def test_calls_of_raw_tools_come_back_from_run() -> None:
    schema = {"type": "function", "function": {"name": "book", "parameters": {"type": "object", "properties": {}}}}
    with Simulator(turns=[{"tool_calls": [{"name": "book", "arguments": {"seat": 1}}]}]) as simulator:
        [call] = made(simulator, tools_list_dictionary=[schema], output_type="final").run("Book.")
    assert call["function"]["name"] == "book"
    assert json.loads(call["function"]["arguments"]) == {"seat": 1}


def test_tools_are_called_and_turns_are_lines() -> None:
    def look(place: str) -> str:
        """Looks."""
        return f"much in {place}"

    turns = [
        {"when": {"role": "tool"}, "text": "I see."},
        {"text": "Wait.", "tool_calls": [{"name": "look", "arguments": {"place": "Oslo"}}]},
    ]
    with Simulator(turns=turns) as simulator:
        agent = made(simulator, tools=[look], max_loops=2)
        assert "".join(agent.run_stream("Look.")) == "Wait.\nI see."
        assert "Tool Executor: much in Oslo" in agent.short_memory.get_str()
        agent.remove_tool(look)
        assert agent.tools == []
        agent.add_tool(look)
        assert agent.run("Look.").endswith("I see.")


def test_an_agent_is_saved_and_loaded_without_its_key(simulator: Simulator, tmp_path: Path) -> None:
    agent = made(simulator, system_prompt="Be kind.", llm_api_key="sk-secret", tags=["a"], tools=[weather])
    agent.run("Hi.")
    agent.save(str(tmp_path / "state.json"))
    assert "sk-secret" not in (tmp_path / "state.json").read_text(encoding="utf-8")
    other = made(simulator, name="Other", load_state_path=str(tmp_path / "state.json"))
    assert (other.name, other.system_prompt) == ("Greeter", "Be kind.")
    other.run("Again.")
    assert [each["content"] for each in bodies(simulator)[-1]["messages"]] == [
        "Be kind.",
        "Hi.",
        "Hello, world.",
        "Again.",
    ]
    assert agent.to_dict()["tags"] == ["a"]
    with pytest.raises(ConfigurationError, match="cannot be loaded"):
        agent.load(str(tmp_path / "none.json"))


def test_memory_on_disk_is_the_conversation_of_the_next_process(
    simulator: Simulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    made(simulator, persistent_memory=True).run("I am Ann.")
    again = made(simulator, persistent_memory=True)
    assert again.short_memory.return_messages_as_list()[1:] == ["Human: I am Ann.", "Greeter: Hello, world."]
    again.run("Who am I?")
    assert len(bodies(simulator)[-1]["messages"]) == 3


def test_an_output_cleaner_is_called(simulator: Simulator) -> None:
    assert made(simulator, output_cleaner=str.upper).run("Hi.") == "HELLO, WORLD."


# --- tools for files ----------------------------------------------------------------------------------------------


def plan_then(*calls: dict[str, Any]) -> list[dict[str, Any]]:
    step = {"step_id": "s", "description": "do", "priority": "high", "dependencies": []}
    plan = {"name": "create_plan", "arguments": {"task_description": "t", "steps": [step]}}
    done = {"name": "complete_task", "arguments": {"task_id": "s", "summary": "All done.", "success": True}}
    every = [plan, *calls, done]
    return [{"when": {"turn": number}, "tool_calls": [call]} for number, call in enumerate(every)]


def test_files_are_written_only_by_tools_that_were_named_and_only_in_the_folder(tmp_path: Path) -> None:
    calls = [
        {"name": "create_file", "arguments": {"file_path": "notes/a.txt", "content": "one"}},
        {"name": "update_file", "arguments": {"file_path": "notes/a.txt", "content": " two", "mode": "append"}},
        {"name": "create_file", "arguments": {"file_path": "../outside.txt", "content": "no"}},
        {"name": "list_directory", "arguments": {"directory_path": "notes"}},
        {"name": "read_file", "arguments": {"file_path": "notes/a.txt"}},
        {"name": "run_bash", "arguments": {"command": "cat notes/a.txt; exit 3"}},
        {"name": "delete_file", "arguments": {"file_path": "notes/a.txt"}},
    ]
    named = ["create_file", "update_file", "list_directory", "read_file", "run_bash", "delete_file"]
    workspace = tmp_path / "work"
    with Simulator(turns=plan_then(*calls)) as simulator:
        agent = made(
            simulator,
            max_loops="auto",
            selected_tools=["create_plan", "complete_task", *named],
            workspace_dir=workspace,
        )
        agent.run("Write.")
        results = [
            message["content"]
            for message in bodies(simulator)[-1]["messages"]
            if message["role"] == "tool" and message["name"] in named
        ]
    assert "3 characters" in results[0]
    assert "7 characters" in results[1]
    assert "outside of the working folder" in results[2]
    assert results[3:5] == ["a.txt", "one two"]
    assert "one two" in results[5]
    assert "exit code 3" in results[5]
    assert not (tmp_path / "outside.txt").exists()
    assert list(workspace.rglob("*.txt")) == []


def test_tools_for_files_are_off_unless_they_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    call = {"name": "create_file", "arguments": {"file_path": "a.txt", "content": "x"}}
    with Simulator(turns=plan_then(call)) as simulator:
        made(simulator, max_loops="auto").run("Write.")
        offered = {tool["function"]["name"] for tool in bodies(simulator)[0]["tools"]}
    assert offered.isdisjoint({"create_file", "run_bash"})
    assert list(tmp_path.rglob("a.txt")) == []


def test_a_tool_for_files_can_be_refused(tmp_path: Path) -> None:
    call = {"name": "run_bash", "arguments": {"command": "touch done"}}
    with Simulator(turns=plan_then(call)) as simulator:
        agent = made(
            simulator,
            max_loops="auto",
            selected_tools=["create_plan", "complete_task", "run_bash"],
            workspace_dir=tmp_path,
            approve=lambda _call, _arguments: "not today",
        )
        agent.run("Go.")
    assert not (tmp_path / "done").exists()


# --- workflows ----------------------------------------------------------------------------------------------------


def test_a_sequence_streams_strings_and_dicts(simulator: Simulator) -> None:
    workflow = SequentialWorkflow(agents=[made(simulator, "A"), made(simulator, "B")])
    assert list(workflow.run_stream("Hi.")) == ["Hello", ", world."] * 2
    events = list(workflow.run_stream("Hi.", with_events=True))
    assert all(type(event) is dict for event in events)
    assert [event["type"] for event in events] == ["agent_start", "token", "token", "agent_end"] * 2
    assert events[3] == {"type": "agent_end", "agent": "A", "output": "Hello, world."}


def test_a_rearrangement_streams_names_and_tokens(simulator: Simulator) -> None:
    workflow = AgentRearrange(agents=[made(simulator, name) for name in "ABC"], flow="A -> B, C")
    items = list(workflow.run_stream("Hi."))
    assert items[:2] == [("A", "Hello"), ("A", ", world.")]
    assert sorted(items[2:]) == sorted([(name, token) for name in "BC" for token in ("Hello", ", world.")])

    async def main() -> list[Any]:
        return [item async for item in workflow.arun_stream("Hi.")]

    assert sorted(asyncio.run(main())) == sorted(items)


def test_workflows_return_what_swarms_do(simulator: Simulator) -> None:
    def agents() -> list[Agent]:
        return [made(simulator, name) for name in "AB"]

    said = [{"role": name, "content": "Hello, world."} for name in "AB"]
    assert SequentialWorkflow(agents=agents()).run("Hi.") == [{"role": "User", "content": "Hi."}, *said]
    assert ConcurrentWorkflow(agents=agents()).run("Hi.") == said[1:]
    assert ConcurrentWorkflow(agents=agents(), output_type="dict").run("Hi.")[1:] == said
    assert (
        AgentRearrange(agents=agents(), flow="A -> B").run("Hi.") == "User: Hi.\n\nA: Hello, world.\n\nB: Hello, world."
    )
    assert rearrange(agents=agents(), flow="A -> B", task="Hi.", output_type="final") == "Hello, world."


def test_the_other_ways_to_run_a_workflow(simulator: Simulator) -> None:
    workflow = SequentialWorkflow(agents=[made(simulator, "A")], output_type="final")
    assert workflow("Hi.") == "Hello, world."
    assert asyncio.run(workflow.run_async("Hi.")) == "Hello, world."
    assert workflow.run_batched(["a", "b"]) == ["Hello, world."] * 2
    assert workflow.run_concurrent(["a", "b"]) == ["Hello, world."] * 2
    assert workflow.batch_run(["a", "b"], imgs=[PNG, PNG]) == ["Hello, world."] * 2
    assert bodies(simulator)[-1]["messages"][-1]["content"][1]["type"] == "image_url"
    workflow.add_agent(made(simulator, "B"))
    assert len(list(workflow.run_stream("Hi.", img=PNG))) == 4
    seen: list[tuple[str, str, bool]] = []
    workflow.run("Hi.", streaming_callback=lambda *said: seen.append(said))
    assert seen[:3] == [("A", "Hello", False), ("A", ", world.", False), ("A", "", True)]


def test_functions_are_agents_and_errors_are_stored(simulator: Simulator) -> None:
    def shouting(_task: str) -> str:
        return "LOUD"

    def failing(_task: str) -> str:
        raise RuntimeError("broken")

    workflow = ConcurrentWorkflow(agents=[shouting, failing, made(simulator, "A")], output_type="list")
    said = workflow.run("Hi.")
    assert "shouting: LOUD" in said
    assert any(line.startswith("failing: Error: ") for line in said)
    strict = SequentialWorkflow(agents=[failing])
    with pytest.raises(RuntimeError, match="broken"):
        strict.run("Hi.")


def test_the_conversation_is_saved_if_that_is_asked_for(
    simulator: Simulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    SequentialWorkflow(agents=[made(simulator, "A")]).run("Hi.")
    assert list(tmp_path.iterdir()) == []
    SequentialWorkflow(agents=[made(simulator, "A")], autosave=True).run("Hi.")
    saved = json.loads((tmp_path / "SequentialWorkflow_conversation.json").read_text(encoding="utf-8"))
    assert saved[-1] == {"role": "A", "content": "Hello, world."}


def test_errors_of_a_model_are_raised() -> None:
    turn = {"text": "x", "fault": {"kind": "status", "status": 500}}
    with Simulator(turns=[turn]) as simulator, pytest.raises(ServerError):
        made(simulator, retry_attempts=0).run("Hi.")


# --- the rest -----------------------------------------------------------------------------------------------------


def test_a_conversation_is_kept_and_read(tmp_path: Path) -> None:
    conversation = Conversation(system_prompt="Be brief.", rules="Be kind.", user="Ann", time_enabled=True)
    conversation.add("Ann", "Hello.", category="greeting")
    conversation.add_multiple(["Bob", "Ann"], ["Hi.", {"a": 1}])
    assert conversation.count_messages_by_role() == {"System": 1, "Ann": 3, "Bob": 1}
    assert conversation.search("Hi") == [conversation.query("3")]
    conversation.update("3", "Bob", "Good day.")
    conversation.delete("4")
    assert conversation.get_last_message_as_string().endswith("Bob: Good day.")
    conversation.export_conversation(str(tmp_path / "c.json"))
    again = Conversation(load_filepath=str(tmp_path / "c.json"))
    assert again.to_list() == conversation.to_list()
    assert history_output_formatter(again, "list-final") == ["Good day."]
    conversation.compact("They greeted.")
    assert [message["role"] for message in conversation.to_dict()] == ["System", "System"]
    conversation.clear()
    assert conversation.get_str() == ""
    with pytest.raises(ConfigurationError):
        history_output_formatter(again, "poem")


@pytest.mark.parametrize("name", MISSING)
def test_what_is_not_there_says_what_to_use(name: str) -> None:
    done = (
        subprocess.run(
            [sys.executable, "-c", f"from headrace.compat.swarms import {name}"],
            capture_output=True,
            text=True,
            check=False,
        )
        if name == "GroupChat"
        else None
    )
    with pytest.raises(ImportError, match=f"has no {name}; use "):
        getattr(swarms, name)
    assert done is None or "ImportError: headrace.compat.swarms has no GroupChat; use" in done.stderr
