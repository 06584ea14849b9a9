"""Wrong arguments are refused with a clear error, and nothing is sent."""

from __future__ import annotations

import inspect
import math
import os
import pickle
import re
from typing import Any

import pytest
from pydantic import SecretStr

from headrace import Agent, AuthenticationError, ConfigurationError, MissingKeyError, Timeouts
from headrace.testing import Simulator
from support.harness import KEY, PATIENCE, Reader, Simulate, agent_at, outcomes, run_python

# --- the task ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("task", ["", " ", "\n\t ", "\u2003"])
@pytest.mark.parametrize("method", ["run", "run_stream", "arun_stream"])
def test_an_empty_task_is_refused_at_once(simulate: Simulate, method: str, task: str) -> None:
    simulator = simulate()
    with pytest.raises(ConfigurationError, match="the task is empty"):
        getattr(agent_at(simulator), method)(task)
    assert outcomes(simulator) == []


@pytest.mark.parametrize("task", [None, 7, b"bytes", ["a list"]])
@pytest.mark.parametrize("method", ["run", "run_stream", "arun_stream"])
def test_a_task_that_is_not_a_string_is_refused_with_its_type(method: str, task: object) -> None:
    with pytest.raises(ConfigurationError, match=f"must be a string, not {type(task).__name__}"):
        getattr(agent_at("http://127.0.0.1:1/v1"), method)(task)


def test_a_task_with_a_lone_surrogate_is_refused(reader: Reader) -> None:
    error = reader.read(agent_at("http://127.0.0.1:1/v1"), "lone \ud800 surrogate").error
    assert isinstance(error, ConfigurationError)
    assert "JSON" in str(error)


# --- the agent -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "nearest"),
    [
        ("model", "model_name"),
        ("max_token", "max_tokens"),
        ("system_promt", "system_prompt"),
        ("stream_on", "streaming_on"),
    ],
)
def test_an_unknown_keyword_is_refused_with_the_nearest_known_one(given: str, nearest: str) -> None:
    with pytest.raises(TypeError, match=rf"unexpected keyword argument '{given}'; did you mean '{nearest}'"):
        agent_at("http://127.0.0.1:1/v1", **{given: "x"})


def test_a_keyword_with_no_similar_one_is_refused_without_a_suggestion() -> None:
    with pytest.raises(TypeError, match=r"unexpected keyword argument 'zzz'$"):
        Agent(zzz=1)  # type: ignore[call-arg]


@pytest.mark.parametrize("max_loops", [0, -1, 1.5, "2", None, True, math.inf])
def test_max_loops_must_be_a_positive_whole_number(max_loops: Any) -> None:
    with pytest.raises(ConfigurationError, match="max_loops must be a whole number from 1"):
        agent_at("http://127.0.0.1:1/v1", max_loops=max_loops)


def test_max_loops_is_checked_again_when_a_run_starts() -> None:
    agent = agent_at("http://127.0.0.1:1/v1")
    agent.max_loops = 0
    with pytest.raises(ConfigurationError, match="max_loops"):
        agent.run_stream("Go.")


@pytest.mark.parametrize("name", ["nobody/gpt-4o", "openai", "local"])
def test_an_unknown_model_is_refused_with_advice(reader: Reader, name: str) -> None:
    error = reader.read(Agent(model_name=name, print_on=False)).error
    assert isinstance(error, ConfigurationError)
    assert name in str(error)
    assert "llm_base_url" in str(error)


@pytest.mark.parametrize("value", [object(), {1, 2}, b"bytes"])
def test_a_parameter_that_cannot_be_written_as_json_is_refused(reader: Reader, value: object) -> None:
    result = reader.read(agent_at("http://127.0.0.1:1/v1", llm_args={"seed": value}))
    assert isinstance(result.error, ConfigurationError)
    assert "cannot be written as JSON" in str(result.error)
    assert result.stream.state == "failed"


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_number_that_json_does_not_have_is_refused(reader: Reader, simulate: Simulate, value: float) -> None:
    simulator = simulate()
    assert isinstance(reader.read(agent_at(simulator, temperature=value)).error, ConfigurationError)
    assert outcomes(simulator) == []


@pytest.mark.parametrize(
    ("name", "value"), [("x-a\nb", "c"), ("x a", "b"), ("", "b"), ("x-a", "b\r\nx-c: d"), ("x-a", "\0")]
)
def test_an_invalid_header_is_refused(reader: Reader, simulate: Simulate, name: str, value: str) -> None:
    simulator = simulate()
    error = reader.read(agent_at(simulator, llm_args={"extra_headers": {name: value}})).error
    assert isinstance(error, ConfigurationError)
    assert "header" in str(error)
    assert outcomes(simulator) == []


@pytest.mark.parametrize("headers", [{"x-a": 1}, {"x-a": None}, {1: "a"}, ["x-a"], "x-a: b"])
def test_headers_that_are_not_strings_are_refused_without_their_value(reader: Reader, headers: object) -> None:
    with pytest.raises(ConfigurationError, match="extra_headers"):
        reader.start(agent_at("http://127.0.0.1:1/v1", llm_args={"extra_headers": headers}))


@pytest.mark.parametrize("key", [f"{KEY}\n", f"{KEY}\n".encode(), 5, [KEY], {"key": KEY}])
def test_a_key_that_cannot_be_a_header_is_refused_and_not_shown(key: Any) -> None:
    with pytest.raises(ConfigurationError, match="llm_api_key") as caught:
        agent_at("http://127.0.0.1:1/v1", llm_api_key=key)
    assert KEY not in str(caught.value)


@pytest.mark.parametrize("form", ["text", "bytes", "secret", "function", "function of a secret"])
def test_a_key_has_any_sensible_form_and_is_sent(reader: Reader, form: str) -> None:
    forms: dict[str, Any] = {
        "text": KEY,
        "bytes": KEY.encode(),
        "secret": SecretStr(KEY),
        "function": lambda: KEY,
        "function of a secret": lambda: SecretStr(KEY),
    }
    with Simulator(api_key=KEY) as simulator:
        agent = agent_at(simulator, llm_api_key=forms[form])
        assert reader.read(agent).error is None
        assert KEY not in repr(agent)
        assert pickle.loads(pickle.dumps(agent)).llm_api_key is None


def test_a_function_gives_a_key_for_each_request(reader: Reader) -> None:
    keys = iter(["wrong", KEY])
    with Simulator(api_key=KEY) as simulator:
        agent = agent_at(simulator, llm_api_key=lambda: next(keys))
        assert isinstance(reader.read(agent).error, AuthenticationError)
        assert reader.read(agent).error is None


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("model_name", 5, "model_name must be a string"),
        ("agent_name", 5, "agent_name must be a string"),
        ("system_prompt", ["x"], "system_prompt must be a string"),
        ("temperature", "warm", "temperature must be a number"),
        ("temperature", True, "temperature must be a number"),
        ("top_p", "0.5", "top_p must be a number"),
        ("max_tokens", 1.5, "max_tokens must be a whole number"),
        ("max_tokens", 0, "max_tokens must be at least 1"),
        ("timeouts", {"total": 5}, "timeouts must be a headrace.Timeouts"),
        ("tools", print, "tools must be a list"),
        ("output_type", "jsn", "no output_type"),
        ("output_retries", -1, "output_retries"),
        ("llm_base_url", 5, "llm_base_url must be a string"),
    ],
)
def test_wrong_values_are_refused_when_the_agent_is_made(name: str, value: Any, says: str) -> None:
    with pytest.raises(ConfigurationError, match=says):
        agent_at("http://127.0.0.1:1/v1", **{name: value})


@pytest.mark.parametrize(
    ("given", "hint"),
    [
        ("max_retries", "did you mean 'retry_attempts'"),
        ("timeout", "write timeouts=headrace.Timeouts"),
        ("response_format", "write output_type"),
        ("seed", "llm_args={'seed'"),
        ("stop", "llm_args={'stop'"),
        ("api_key", "did you mean 'llm_api_key'"),
        ("instructions", "did you mean 'system_prompt'"),
        ("dynamic_temperature_enabled", "headrace.compat.swarms"),
    ],
)
def test_names_that_people_come_with_get_a_hint(given: str, hint: str) -> None:
    with pytest.raises(TypeError, match=rf"{given}'; .*{re.escape(hint)}"):
        agent_at("http://127.0.0.1:1/v1", **{given: "x"})


def test_a_signature_names_the_options() -> None:
    signature = inspect.signature(Agent)
    assert "model_name" in signature.parameters
    assert all(each.kind is each.KEYWORD_ONLY for each in signature.parameters.values())


# --- the key -------------------------------------------------------------------------------------------------


def test_the_error_for_a_missing_key_says_where_to_set_it(reader: Reader) -> None:
    result = reader.read(Agent(model_name="openai/gpt-4o-mini", print_on=False))
    assert isinstance(result.error, MissingKeyError)
    for name in ("OPENAI_API_KEY", "llm_api_key", "openai/gpt-4o-mini"):
        assert name in str(result.error)
    assert result.stream.state == "failed"


def test_an_empty_key_is_no_key(reader: Reader, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "")
    error = reader.read(Agent(model_name="openai/gpt-4o-mini", llm_api_key="", print_on=False)).error
    assert isinstance(error, MissingKeyError)


# --- the URL -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "url", ["ftp://127.0.0.1/v1", "127.0.0.1:8000/v1", "file:///etc/passwd", "ws://127.0.0.1/v1", ""]
)
def test_a_url_of_another_scheme_is_refused(reader: Reader, url: str) -> None:
    error = reader.read(agent_at(url)).error
    assert isinstance(error, ConfigurationError)
    assert "must begin with http:// or https://" in str(error)


@pytest.mark.parametrize("url", ["http://[::1/v1", "http://127.0.0.1:99999/v1", "http://a b/v1", "https://%/v1"])
def test_an_invalid_url_is_refused(reader: Reader, url: str) -> None:
    result = reader.read(agent_at(url))
    assert isinstance(result.error, ConfigurationError)
    assert result.stream.state == "failed"
    assert "URL" in str(result.error)


@pytest.mark.parametrize("url", ["http://", "https://", "http:///v1"])
def test_a_url_without_a_host_is_refused(reader: Reader, url: str) -> None:
    assert isinstance(reader.read(agent_at(url)).error, ConfigurationError)


def test_the_password_of_a_url_is_not_shown(reader: Reader) -> None:
    error = reader.read(agent_at(f"http://user:{KEY}@127.0.0.1:1/v1?key={KEY}")).error
    assert error is not None
    assert KEY not in str(error)


# --- timeouts ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["connect", "first_token", "idle"])
@pytest.mark.parametrize("seconds", [-1, math.nan, math.inf, -0.001])
def test_an_invalid_timeout_is_refused(reader: Reader, simulate: Simulate, name: str, seconds: float) -> None:
    simulator = simulate()
    error = reader.read(agent_at(simulator, timeouts=Timeouts(**{name: seconds}))).error
    assert isinstance(error, ConfigurationError)
    assert name in str(error)
    assert "number of seconds" in str(error)
    assert outcomes(simulator) == []


@pytest.mark.parametrize("name", ["connect", "first_token", "idle"])
def test_a_timeout_that_is_not_a_number_is_refused(reader: Reader, simulate: Simulate, name: str) -> None:
    wrong: Any = {name: "10"}
    assert isinstance(
        reader.read(agent_at(simulate(), timeouts=Timeouts(**wrong))).error, ConfigurationError | TypeError
    )


@pytest.mark.parametrize("name", ["connect", "first_token", "idle"])
@pytest.mark.parametrize("seconds", [None, 99.5, 1e6, 1e12])
def test_a_timeout_may_be_very_long(reader: Reader, simulate: Simulate, name: str, seconds: float | None) -> None:
    result = reader.read(agent_at(simulate(["a", "b"]), timeouts=Timeouts(**{name: seconds})))
    assert (result.tokens, result.error) == (["a", "b"], None)


@pytest.mark.parametrize("name", ["first_token", "idle"])
def test_a_timeout_of_more_than_the_clock_holds_is_no_limit_or_refused(
    reader: Reader, simulate: Simulate, name: str
) -> None:
    result = reader.read(agent_at(simulate(["a", "b"]), timeouts=Timeouts(**{name: 1.8e19})))
    assert result.error is None or isinstance(result.error, ConfigurationError)


# --- the environment -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("threads", ["0", "-1", "two", "1.5"])
def test_a_wrong_number_of_network_threads_is_refused(threads: str) -> None:
    with Simulator() as simulator:
        run = run_python(
            """
            import asyncio, sys, headrace
            agent = headrace.Agent(model_name="openai/sim", llm_base_url=sys.argv[1], print_on=False)
            async def main():
                async for token in agent.arun_stream("Go."):
                    pass
            for read in (lambda: agent.run("Go."), lambda: asyncio.run(main())):
                try:
                    read()
                except headrace.ConfigurationError as error:
                    print(error)
            """,
            simulator.base_url,
            environment={"HEADRACE_WORKER_THREADS": threads},
        )
    message = f'HEADRACE_WORKER_THREADS must be a whole number from 1, not "{threads}"'
    assert (run.stdout.splitlines(), run.stderr) == ([message, message], "")


# The default is one thread for every two processors: 1 or 2.
BY_DEFAULT = min(max(len(os.sched_getaffinity(0)) // 2, 1), 2) if hasattr(os, "sched_getaffinity") else 2


@pytest.mark.parametrize(("setting", "threads"), [("1", 1), ("3", 3), pytest.param("", BY_DEFAULT, id="default")])
def test_the_number_of_network_threads_can_be_set(setting: str, threads: int) -> None:
    with Simulator() as simulator:
        run = run_python(
            """
            import glob, sys, time, headrace
            headrace.Agent(model_name="openai/sim", llm_base_url=sys.argv[1], print_on=False).run("Go.")
            count, deadline = 0, time.monotonic() + float(sys.argv[3])
            while count != int(sys.argv[2]) and time.monotonic() < deadline:  # a thread takes its name when it starts
                count = [open(name).read() for name in glob.glob("/proc/self/task/*/comm")].count("headrace-net\\n")
            print(count)
            """,
            simulator.base_url,
            str(threads),
            str(PATIENCE / 2),
            environment={"HEADRACE_WORKER_THREADS": setting},
        )
    assert (run.stdout, run.stderr) == (f"{threads}\n", "")
