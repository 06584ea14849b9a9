"""The toolbox: how tool calls are run, and the text of their results."""

from __future__ import annotations

import asyncio
import builtins
import contextvars
import enum
import json
import pathlib
import threading
import uuid
from collections import deque
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel

from headrace.errors import ConfigurationError
from headrace.tools import Tool, Toolbox, ToolResult, as_tool
from headrace.types import ToolCall
from support.harness import PATIENCE, run_python

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

"""Seconds after which a test stops waiting. What it waits for comes at once."""


class Unit(enum.Enum):
    CELSIUS = "C"


class Place(BaseModel):
    city: str
    country: str = "NL"


@dataclass
class Point:
    x: float
    y: float = 0.0


class Opaque:
    """A type that pydantic does not know, and whose ``repr`` is an address."""


class Spoken(Opaque):
    def __str__(self) -> str:
        return "spoken"


def call(name: str, arguments: dict[str, Any] | str = "") -> ToolCall:
    return ToolCall("id", name, arguments if isinstance(arguments, str) else json.dumps(arguments))


def result_of(function: Callable[..., Any] | Tool, arguments: dict[str, Any] | str = "", **options: Any) -> ToolResult:
    """The result of one call of one tool."""
    tool = as_tool(function)
    (result,) = Toolbox([tool], **options).run_sync([call(tool.name, arguments)])
    return result


def returning(value: Any) -> Tool:
    """A tool with the name "it" that returns this value."""
    return as_tool(lambda: value, name="it")


def echo(value: Any) -> Any:
    return value


ECHO = as_tool(echo)


def whole(number: int) -> int:
    return number


# Results


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False),
        lambda inner: st.lists(inner | st.text()) | st.dictionaries(st.text(), inner | st.text()),
    )
)
def test_a_json_value_becomes_json(value: Any) -> None:
    (result,) = asyncio.run(Toolbox([ECHO]).run([call("echo", {"value": value})]))
    assert result.value == value
    assert json.loads(result.content) == value


NOON = datetime(2026, 1, 2, 12, tzinfo=timezone.utc)


@pytest.mark.parametrize(
    ("value", "content"),
    [
        ("as is", "as is"),
        ("", ""),
        (None, "null"),
        (True, "true"),
        (1.5, "1.5"),
        (Place(city="Delft"), '{"city": "Delft", "country": "NL"}'),
        (Point(1.5), '{"x": 1.5, "y": 0.0}'),
        ([Point(1.5)], '[{"x": 1.5, "y": 0.0}]'),
        (Unit.CELSIUS, "C"),
        ({"unit": Unit.CELSIUS}, '{"unit": "C"}'),
        (NOON, "2026-01-02T12:00:00Z"),
        (uuid.UUID(int=0), "00000000-0000-0000-0000-000000000000"),
        (pathlib.PurePosixPath("/tmp"), "/tmp"),
        ({1}, "[1]"),
        (deque([1, 2]), "[1, 2]"),
        ("Jürgen", "Jürgen"),
        (["Jürgen"], '["Jürgen"]'),
        (Spoken(), "spoken"),
        ([Spoken()], '["spoken"]'),
        ("\udc80", "?"),
    ],
)
def test_a_result_becomes_the_text_that_a_reader_expects(value: Any, content: str) -> None:
    result = result_of(returning(value))
    assert (result.error, result.content) == (None, content)
    assert result.value is value


def cycle() -> list[Any]:
    ring: list[Any] = []
    ring.append(ring)
    return ring


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (b"abc", "decode"),
        (bytearray(b"abc"), "decode"),
        ([memoryview(b"abc")], "decode"),
        ({"photo": b"\xff"}, "utf-8"),
        (iter([1]), "list"),
        (Opaque(), "Opaque"),
        ([Opaque()], "Opaque"),
        (cycle(), "Circular"),
    ],
)
def test_a_value_that_is_not_text_or_data_is_unserialisable(value: Any, reason: str) -> None:
    result = result_of(returning(value))
    assert result.error == "unserialisable"
    assert result.value is value
    assert reason in result.content
    assert "returns text, numbers, lists" in result.content


# Failures


def test_an_exception_becomes_an_error_for_the_model_and_is_kept_for_the_caller() -> None:
    def fail() -> None:
        raise ValueError("no such city")

    result = result_of(fail)
    assert (result.error, result.value) == ("exception", None)
    assert result.content == "'fail' failed: ValueError: no such city"
    assert isinstance(result.exception, ValueError)
    assert result.exception.__traceback__ is not None


class Group(Exception):  # noqa: N818 - as Python 3.11 calls it
    """An exception group. Python 3.10 has none, but anyio brings one."""

    def __init__(self, message: str, exceptions: Sequence[Exception]) -> None:
        super().__init__(message)
        self.exceptions = tuple(exceptions)


@pytest.mark.parametrize("group", [Group, getattr(builtins, "ExceptionGroup", Group)])
def test_the_causes_of_an_exception_group_are_told(group: Any) -> None:
    def fail() -> None:
        inner = group("inner", [KeyError("b"), *(OSError(f"disk {number}") for number in range(20))])
        raise group("several", [ValueError("a"), inner])

    content = result_of(fail).content
    first, *causes, last = content.splitlines()
    assert "several" in first
    assert causes == ["- ValueError: a", "- KeyError: 'b'", *(f"- OSError: disk {number}" for number in range(8))]
    assert last == "- and 12 more"


@pytest.mark.parametrize("error", [TimeoutError, StopIteration, asyncio.CancelledError, RecursionError])
@pytest.mark.parametrize("kind", ["sync", "async"])
def test_any_exception_of_a_tool_is_a_failure_of_the_tool(error: type[BaseException], kind: str) -> None:
    def sync_fail() -> None:
        raise error

    async def async_fail() -> None:
        raise error

    assert result_of(sync_fail if kind == "sync" else async_fail, timeout=PATIENCE).error == "exception"


@pytest.mark.parametrize("error", [SystemExit, KeyboardInterrupt])
@pytest.mark.parametrize("kind", ["sync", "async"])
def test_exceptions_that_stop_the_program_are_raised(error: type[BaseException], kind: str) -> None:
    def sync_stop() -> None:
        raise error

    async def async_stop() -> None:
        raise error

    async def forever() -> None:
        await asyncio.Event().wait()

    toolbox = Toolbox([sync_stop, async_stop, forever])
    with pytest.raises(error):
        toolbox.run_sync([call("forever"), call(f"{kind}_stop")])


def test_the_error_for_an_unknown_tool_suggests_the_nearest_name() -> None:
    (result,) = Toolbox([echo, whole]).run_sync([call("ecko")])
    assert result.error == "unknown_tool"
    assert result.content == "There is no tool 'ecko'. Did you mean 'echo'? The tools are: echo, whole."
    (result,) = Toolbox().run_sync([call("echo")])
    assert "There are no tools" in result.content


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["echo", "ech", "raw", ""]), st.text(st.characters(exclude_categories=())) | st.just("{}")
        )
    )
)
def test_every_call_gets_a_result_in_order_for_any_arguments(requested: list[tuple[str, str]]) -> None:
    toolbox = Toolbox([echo], raw_schemas=[{"type": "function", "function": {"name": "raw"}}])
    calls = [ToolCall(str(number), name, arguments) for number, (name, arguments) in enumerate(requested)]
    results = asyncio.run(toolbox.run(calls))
    assert [result.call for result in results] == calls
    for result in results:
        assert result.content.encode()


def test_a_retry_gets_the_original_arguments() -> None:
    seen: list[list[int]] = []

    def flaky(items: list[int]) -> str:
        items.append(len(seen))
        seen.append(items)
        if len(seen) < 3:
            raise ConnectionError
        return "third time"

    result = result_of(flaky, {"items": []}, retry_attempts=2)
    assert (result.value, seen) == ("third time", [[0], [1], [2]])
    seen.clear()
    assert result_of(flaky, {"items": []}, retry_attempts=1).error == "exception"
    assert len(seen) == 2
    seen.clear()
    assert result_of(flaky, {"items": "none"}, retry_attempts=5).error == "invalid_arguments"
    assert not seen


# Running


def test_sync_and_async_tools_of_one_turn_run_at_the_same_time() -> None:
    everyone = threading.Barrier(8)

    def meet(number: int) -> int:
        everyone.wait(PATIENCE)
        return number

    async def async_meet(number: int) -> int:
        return await asyncio.to_thread(meet, number)

    calls = [call(("meet", "async_meet")[number % 2], {"number": number}) for number in range(8)]
    results = Toolbox([meet, async_meet]).run_sync(calls)
    assert [result.value for result in results] == list(range(8))


class Crowd:
    """A tool that counts its concurrent calls. Each call waits until ``size`` calls are running."""

    def __init__(self, size: int) -> None:
        self.door = threading.Barrier(size)
        self.lock = threading.Lock()
        self.now = self.most = 0
        self.order: list[int] = []

    def enter(self, number: int) -> int:
        with self.lock:
            self.now += 1
            self.most = max(self.most, self.now)
            self.order.append(number)
        self.door.wait(PATIENCE)
        with self.lock:
            self.now -= 1
        return number


def test_no_more_calls_than_the_limit_run_at_the_same_time() -> None:
    crowd = Crowd(3)
    results = Toolbox([crowd.enter], limit=3).run_sync([call("enter", {"number": n}) for n in range(9)])
    assert [result.value for result in results] == list(range(9))
    assert crowd.most == 3


def test_calls_run_one_after_another_if_not_parallel() -> None:
    crowd = Crowd(1)
    Toolbox([crowd.enter], parallel=False).run_sync([call("enter", {"number": n}) for n in range(9)])
    assert (crowd.most, crowd.order) == (1, list(range(9)))


def test_a_sync_tool_does_not_block_the_event_loop() -> None:
    opened = threading.Event()

    def wait() -> bool:
        return opened.wait(PATIENCE)

    async def main() -> tuple[ToolResult, ...]:
        running = asyncio.create_task(Toolbox([wait]).run([call("wait")]))
        await asyncio.sleep(0)
        asyncio.get_running_loop().call_soon(opened.set)
        return await running

    (result,) = asyncio.run(main())
    assert result.value is True
    assert result.duration > 0


@pytest.mark.parametrize("kind", ["async", "returns a coroutine"])
def test_an_async_tool_runs_on_the_event_loop(kind: str) -> None:
    async def where() -> int:
        return threading.get_ident()

    def plain() -> Any:
        return where()

    toolbox = Toolbox([as_tool(where if kind == "async" else plain, name="it")])
    (result,) = asyncio.run(toolbox.run([call("it")]))
    assert result.value == threading.get_ident()


def test_tools_see_the_callers_context_variables_and_cannot_change_them() -> None:
    variable = contextvars.ContextVar("variable", default="unset")

    def read() -> str:
        value = variable.get()
        variable.set("changed")
        return value

    async def async_read() -> str:
        return read()

    toolbox = Toolbox([read, async_read])
    calls = [call("read"), call("async_read")]
    variable.set("set")
    assert [result.value for result in toolbox.run_sync(calls)] == ["set", "set"]
    assert [result.value for result in asyncio.run(toolbox.run(calls))] == ["set", "set"]
    assert variable.get() == "set"


def test_run_sync_works_inside_an_event_loop_and_inside_a_tool() -> None:
    def outer() -> str:
        return result_of(inner).content

    async def inner() -> str:
        return "inner"

    async def main() -> str:
        return result_of(outer).content

    assert asyncio.run(main()) == "inner"


def test_without_calls_there_are_no_results() -> None:
    assert Toolbox([echo]).run_sync([]) == ()


def test_no_thread_is_left() -> None:
    before = set(threading.enumerate())
    result_of(echo, {"value": 1})
    for thread in set(threading.enumerate()) - before:
        thread.join(PATIENCE)
        assert not thread.is_alive()


# Time


def test_a_call_fails_at_its_timeout() -> None:
    cancelled = threading.Event()
    gate = threading.Event()

    async def async_hang() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.set()

    def sync_hang() -> bool:
        return gate.wait(PATIENCE)

    toolbox = Toolbox([async_hang, sync_hang], timeout=0.01)
    for result in toolbox.run_sync([call("async_hang"), call("sync_hang")]):
        assert result.error == "timeout"
        assert "within 0.01 s" in result.content
        assert result.duration >= 0.01
    assert cancelled.is_set()
    gate.set()


def test_the_timeout_of_a_tool_has_priority() -> None:
    async def hang() -> None:
        await asyncio.Event().wait()

    async def nap() -> str:
        await asyncio.sleep(0.02)
        return "rested"

    assert result_of(as_tool(hang, timeout=0.01), timeout=PATIENCE).error == "timeout"
    assert result_of(as_tool(nap, timeout=PATIENCE), timeout=0.001).value == "rested"


@pytest.mark.parametrize("kind", ["sync", "async"])
def test_cancelling_a_run_cancels_its_calls(kind: str) -> None:
    gate = threading.Event()
    cancelled: list[bool] = []

    async def main() -> None:
        loop = asyncio.get_running_loop()
        started = asyncio.Event()

        def sync_hang() -> bool:
            loop.call_soon_threadsafe(started.set)
            return gate.wait(PATIENCE)

        async def async_hang() -> None:
            started.set()
            try:
                await asyncio.Event().wait()
            finally:
                cancelled.append(True)

        running = asyncio.create_task(Toolbox([sync_hang, async_hang]).run([call(f"{kind}_hang")]))
        await started.wait()
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running

    asyncio.run(main())
    assert cancelled == [True] * (kind == "async")
    gate.set()


def test_ctrl_c_interrupts_waiting_for_tools() -> None:
    script = """
        import asyncio, os, signal, threading
        from headrace.tools import Toolbox
        from headrace.types import ToolCall

        def sync_hang():
            os.kill(os.getpid(), signal.SIGINT)
            threading.Event().wait()

        async def async_hang():
            try:
                await asyncio.Event().wait()
            finally:
                print("cancelled", flush=True)

        toolbox = Toolbox([sync_hang, async_hang])
        try:
            toolbox.run_sync([ToolCall(None, "async_hang", ""), ToolCall(None, "sync_hang", "")])
        except KeyboardInterrupt:
            print("interrupted", flush=True)
    """
    done = run_python(script)
    assert (done.stdout.split(), done.stderr, done.returncode) == (["cancelled", "interrupted"], "", 0)


# Approval


@pytest.mark.parametrize(
    ("verdict", "content"),
    [
        (True, "1"),
        (None, "1"),
        (False, "The call of 'it' was not approved."),
        ("not on a Sunday", "The call of 'it' was not approved: not on a Sunday"),
        ("", "The call of 'it' was not approved."),
        (0, "The call of 'it' was not approved."),
    ],
)
@pytest.mark.parametrize("kind", ["sync", "async"])
def test_a_call_needs_approval(verdict: Any, content: str, kind: str) -> None:
    asked: list[tuple[ToolCall, dict[str, Any]]] = []

    def approve(asking: ToolCall, arguments: dict[str, Any]) -> Any:
        asked.append((asking, arguments))
        return verdict

    async def async_approve(asking: ToolCall, arguments: dict[str, Any]) -> Any:
        return approve(asking, arguments)

    def it(unit: Unit, days: int = 1) -> int:
        return days if unit is Unit.CELSIUS else 0

    result = result_of(it, {"unit": "C"}, approve=approve if kind == "sync" else async_approve)
    assert result.content == content
    assert result.error == (None if content == "1" else "refused")
    assert asked == [(call("it", {"unit": "C"}), {"unit": Unit.CELSIUS, "days": 1})]


def test_calls_are_approved_in_order_and_one_at_a_time() -> None:
    asked: list[int] = []
    busy = threading.Lock()

    def approve(_call: ToolCall, arguments: dict[str, Any]) -> bool:
        assert busy.acquire(blocking=False)
        asked.append(arguments["value"])
        busy.release()
        return True

    Toolbox([echo], approve=approve, limit=4).run_sync([call("echo", {"value": n}) for n in range(20)])
    assert asked == list(range(20))


def test_a_call_with_invalid_arguments_needs_no_approval() -> None:
    def approve(_call: ToolCall, _arguments: dict[str, Any]) -> bool:
        raise NotImplementedError

    toolbox = Toolbox([whole], approve=approve)
    results = toolbox.run_sync([call("whole"), call("unknown")])
    assert [result.error for result in results] == ["invalid_arguments", "unknown_tool"]


def test_an_exception_of_approve_is_raised() -> None:
    cancelled = threading.Event()

    async def hang() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.set()

    async def approve(asking: ToolCall, _arguments: dict[str, Any]) -> bool:
        if asking.name == "echo":
            await asyncio.sleep(0)
            raise PermissionError
        return True

    with pytest.raises(PermissionError):
        Toolbox([hang, echo], approve=approve).run_sync([call("hang"), call("echo", {"value": 1})])
    assert cancelled.is_set()


# Schemas without a function


def test_a_call_of_a_raw_schema_is_recorded() -> None:
    raw = {"type": "function", "function": {"name": "search", "parameters": {"type": "object", "x-own": 1}}}
    toolbox = Toolbox([echo], raw_schemas=[raw])
    assert toolbox.names == ("echo", "search")
    assert toolbox.schemas[1] == raw
    good, bad = toolbox.run_sync([call("search", {"q": "x"}), call("search", "{")])
    assert (good.error, good.value) == (None, {"q": "x"})
    assert "recorded" in good.content
    assert bad.error == "invalid_arguments"


# Configuration


RAW = {"type": "function", "function": {"name": "echo"}}


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: Toolbox([echo, echo]), "two tools have the name 'echo'"),
        (lambda: Toolbox([echo], raw_schemas=[RAW]), "two tools have the name 'echo'"),
        (lambda: Toolbox(raw_schemas=[{"name": "echo"}]), "must look like"),
        (lambda: Toolbox(raw_schemas=[{"type": "function", "function": {"name": "no good"}}]), "'no good'"),
        (lambda: Toolbox(raw_schemas=[RAW | {"more": object()}]), "must be JSON"),
        (lambda: Toolbox(limit=0), "limit must be"),
        (lambda: Toolbox(retry_attempts=True), "retry_attempts must be"),
        (lambda: Toolbox(timeout=0), "timeout must be"),
        (lambda: as_tool(echo, timeout=float("inf")), "timeout must be"),
    ],
)
def test_an_invalid_configuration_is_refused(build: Callable[[], Any], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        build()
