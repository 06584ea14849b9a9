"""``llm=``: the caller's own function or object answers, and its answer streams like that of any model."""

from __future__ import annotations

import asyncio
import contextvars
import functools
from typing import TYPE_CHECKING, Any

import pytest

from headrace import (
    ConfigurationError,
    EmptyAnswerError,
    OverloadedError,
    RateLimitError,
)
from support.conversations import add
from support.harness import Reader, agent_at, asking

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator, Sequence

    from headrace.types import Message


def text_chunk(text: str, **members: Any) -> dict[str, Any]:
    """A chunk in OpenAI's form."""
    return {"choices": [{"index": 0, "delta": {"content": text}, **members}]}


def call_chunk(index: int, name: str, *arguments: str) -> Iterator[dict[str, Any]]:
    """The chunks of a tool call."""
    function = {"name": name, "arguments": ""}
    pieces = [{"index": index, "id": f"call_{index}", "type": "function", "function": function}]
    pieces += [{"index": index, "function": {"arguments": piece}} for piece in arguments]
    return ({"choices": [{"index": 0, "delta": {"tool_calls": [piece]}}]} for piece in pieces)


class Dumped:
    """A chunk that is like a pydantic model."""

    def __init__(self, **members: Any) -> None:
        self._members = members

    def model_dump(self, *, exclude_none: bool = False) -> dict[str, Any]:
        return {name: value for name, value in self._members.items() if value is not None or not exclude_none}


# --- what the llm gets ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["task", "prompt", "text", "query"])
def test_a_function_with_a_parameter_for_text_gets_the_task(reader: Reader, name: str) -> None:
    namespace: dict[str, Any] = {}
    exec(f"def answer({name}): return {name}.upper()", namespace)
    assert reader.read(asking(namespace["answer"]), "go on").tokens == ["GO ON"]


def test_a_function_whose_parameter_is_annotated_str_gets_text(reader: Reader) -> None:
    def answer(said: str) -> str:
        return said

    result = reader.read(asking(answer, system_prompt="You repeat."), "Go on.")
    assert result.tokens == ["system: You repeat.\n\nuser: Go on."]


def test_any_other_function_gets_the_messages(reader: Reader) -> None:
    given: list[Sequence[Message]] = []

    def answer(messages: Sequence[Message]) -> str:
        given.append(messages)
        return "Yes."

    reader.read(asking(answer, system_prompt="You agree."), "Go on.")
    assert given == [[{"role": "system", "content": "You agree."}, {"role": "user", "content": "Go on."}]]


def test_the_llm_cannot_change_the_conversation(reader: Reader) -> None:
    def answer(messages: list[dict[str, Any]]) -> str:
        messages[-1]["content"] = "something else"
        messages.append({"role": "user", "content": "more"})
        return "Done."

    stream = reader.read(asking(answer), "Go on.").stream
    assert [message["content"] for message in stream.messages] == ["Go on.", "Done."]


def test_the_messages_of_the_llm_have_reasoning_in_openais_form(reader: Reader) -> None:
    thought = {"type": "reasoning.text", "text": "Hm.", "signature": "c2lnbmVk", "index": 0}
    given: list[Message] = []

    def answer(messages: list[Message]) -> Iterator[dict[str, Any]]:
        given[:] = messages
        if messages[-1]["role"] == "user":
            yield {"choices": [{"index": 0, "delta": {"reasoning_details": [thought]}}]}
            yield from call_chunk(0, "add", '{"a": 1, "b": 2}')
        else:
            yield text_chunk("3")

    assert reader.read(asking(answer, tools=[add], max_loops=2)).tokens == ["3"]
    assert "reasoning" not in given[1]
    assert given[1]["reasoning_details"][0]["signature"] == "c2lnbmVk"


# --- what the llm may return ----------------------------------------------------------------------------------------


class WithRun:
    """A model as swarms has them."""

    def run(self, task: str) -> str:
        return f"ran {task}"


async def later(_messages: object) -> str:
    await asyncio.sleep(0)
    return "one two"


async def text_by_text(_messages: object) -> AsyncIterator[str]:
    for piece in ("one", " two"):
        await asyncio.sleep(0)
        yield piece


async def later_text_by_text(messages: object) -> AsyncIterator[str]:
    return text_by_text(messages)


ANSWERS: dict[str, tuple[Any, list[str]]] = {
    "text": (lambda _: "one two", ["one two"]),
    "list": (lambda _: ["one", " two"], ["one", " two"]),
    "generator": (lambda _: (piece for piece in ("one", " two")), ["one", " two"]),
    "chunks": (lambda _: [text_chunk("one"), text_chunk(" two")], ["one", " two"]),
    "one chunk": (lambda _: text_chunk("one two"), ["one two"]),
    "models": (lambda _: [Dumped(id=None, **text_chunk("one")), Dumped(**text_chunk(" two"))], ["one", " two"]),
    "deltas": (lambda _: [{"role": "assistant"}, {"content": "one"}, {"content": " two"}], ["one", " two"]),
    "document": (
        lambda _: {"choices": [{"index": 0, "message": {"content": "one two"}, "finish_reason": "stop"}]},
        ["one two"],
    ),
    "coroutine": (later, ["one two"]),
    "async generator": (text_by_text, ["one", " two"]),
    "coroutine of an async generator": (later_text_by_text, ["one", " two"]),
    "object": (WithRun(), ["ran Go."]),
    "method": (WithRun().run, ["ran Go."]),
    "partial": (functools.partial(lambda text, _: text, "one two"), ["one two"]),
}


@pytest.mark.parametrize("answer", ["", [], [""]], ids=["no text", "nothing", "empty pieces"])
def test_an_answer_that_says_nothing_is_an_error(reader: Reader, answer: object) -> None:
    result = reader.read(asking(lambda _: answer))
    assert (result.tokens, type(result.error), result.stream.state) == ([], EmptyAnswerError, "error")


@pytest.mark.parametrize("answer", ANSWERS)
def test_each_kind_of_answer_streams(reader: Reader, answer: str) -> None:
    llm, tokens = ANSWERS[answer]
    result = reader.read(asking(llm))
    assert (result.tokens, result.error, result.stream.state) == (tokens, None, "complete")
    [turn] = result.stream.turns
    assert (turn.finish_reason, turn.tool_calls) == ("stop", ())
    assert result.stream.timing is not None
    assert result.stream.timing.chunks == len(tokens)
    assert len(result.stream.timing.arrivals_ns) == len(tokens)


def test_chunks_may_contain_all_that_a_providers_do(reader: Reader) -> None:
    usage = {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}
    chunks = [
        {"id": "chat-1", "model": "mine", "choices": [{"index": 0, "delta": {"reasoning_content": "Hm."}}]},
        text_chunk("one", finish_reason="length"),
        {"choices": [], "usage": usage},
    ]
    stream = reader.read(asking(lambda _: chunks)).stream
    [turn] = stream.turns
    assert (turn.id, turn.model, turn.reasoning, turn.text) == ("chat-1", "mine", "Hm.", "one")
    assert turn.finish_reason == "length"
    assert stream.usage is not None
    assert (stream.usage.input_tokens, stream.usage.output_tokens, stream.usage.total_tokens) == (3, 2, 5)


def test_the_tool_calls_of_the_llm_are_run(reader: Reader) -> None:
    offered: list[list[str]] = []
    asked: list[list[Message]] = []

    def answer(messages: list[Message], tools: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
        offered.append([tool["function"]["name"] for tool in tools])
        asked.append(messages)
        if len(asked) == 1:
            yield text_chunk("Let me add.")
            yield from call_chunk(0, "add", '{"a": 17,', ' "b": 25}')
            yield from call_chunk(1, "add", '{"a": 1, "b": 2}')
        else:
            yield text_chunk(", ".join(message["content"] for message in messages if message["role"] == "tool"))

    result = reader.read(asking(answer, tools=[add], max_loops=5))
    assert (result.error, result.tokens) == (None, ["Let me add.", "42, 3"])
    # Nobody said that the calls are all there is.
    assert [turn.finish_reason for turn in result.stream.turns] == [None, "stop"]
    assert offered == [["add"], ["add"]]
    assert [message["role"] for message in asked[1]] == ["user", "assistant", "tool", "tool"]
    assert [call["id"] for call in asked[1][1]["tool_calls"]] == ["call_0", "call_1"]


def test_the_llm_sees_the_callers_context(reader: Reader) -> None:
    who = contextvars.ContextVar("who", default="nobody")

    def answer(_messages: object) -> Iterator[str]:
        yield who.get()

    async def later_answer(_messages: object) -> str:
        return who.get()

    who.set("somebody")
    assert [reader.read(asking(llm)).tokens for llm in (answer, later_answer)] == [["somebody"], ["somebody"]]


# --- errors ---------------------------------------------------------------------------------------------------------


class OwnError(Exception):
    """An exception of the caller's own."""


def test_an_exception_of_the_llm_is_raised_unchanged_after_the_tokens(reader: Reader) -> None:
    own = OwnError("no")

    def answer(_messages: object) -> Iterator[str]:
        yield "one"
        yield " two"
        raise own

    async def later_answer(_messages: object) -> AsyncIterator[str]:
        yield "one"
        yield " two"
        raise own

    for llm in (answer, later_answer):
        result = reader.read(asking(llm))
        assert (result.tokens, result.stream.state, result.stream.text) == (["one", " two"], "failed", "one two")
        assert result.error is own


def test_an_exception_of_the_llm_before_the_first_token_is_raised_unchanged(reader: Reader) -> None:
    def answer(_messages: object) -> str:
        raise OwnError

    assert type(reader.read(asking(answer, retry_attempts=3, retry_interval=0)).error) is OwnError


def test_a_retryable_error_of_the_llm_is_retried(reader: Reader) -> None:
    attempts: list[int] = []

    def answer(_messages: object) -> str:
        attempts.append(len(attempts))
        if len(attempts) < 3:
            raise RateLimitError("wait", retry_after=0.0)
        return "Yes."

    assert reader.read(asking(answer, retry_attempts=5, retry_interval=3600)).tokens == ["Yes."]
    assert len(attempts) == 3


def test_an_error_in_a_chunk_is_an_error(reader: Reader) -> None:
    chunks = [text_chunk("one"), {"error": {"message": "too much", "type": "overloaded_error"}}]
    result = reader.read(asking(lambda _: chunks))
    assert (result.tokens, type(result.error)) == (["one"], OverloadedError)
    assert "too much" in str(result.error)


@pytest.mark.parametrize("answer", [3, None, b"bytes", [1, 2], [None]], ids=repr)
def test_the_error_for_an_answer_of_a_wrong_type_names_the_type(reader: Reader, answer: Any) -> None:
    result = reader.read(asking(lambda _: answer))
    name = type(answer[0] if isinstance(answer, list) else answer).__name__
    assert isinstance(result.error, TypeError)
    assert f"not of {name}" in str(result.error)
    assert result.stream.state == "failed"


@pytest.mark.parametrize("llm", [3, "gpt-4o", [len]], ids=repr)
def test_an_llm_that_is_not_callable_is_refused(reader: Reader, llm: object) -> None:
    with pytest.raises(ConfigurationError, match="callable"):
        raise reader.read(asking(llm)).error or AssertionError


def test_llm_has_priority_over_the_models_name(reader: Reader) -> None:
    agent = agent_at("http://127.0.0.1:1/v1", llm=lambda _: "Mine.")
    assert reader.read(agent).tokens == ["Mine."]


def test_annotations_may_contain_names_that_do_not_exist(reader: Reader) -> None:
    namespace: dict[str, Any] = {}
    source = """
def of_text(said: "str", extra: "Unknown" = None) -> "Unknown": return said
def of_messages(said: "list[Unknown]", tools: "Unknown") -> str: return f"{said[0]['role']} {len(tools)}"
"""
    exec(source, namespace)
    assert reader.read(asking(namespace["of_text"])).tokens == ["Go."]
    assert reader.read(asking(namespace["of_messages"], tools=[add])).tokens == ["user 1"]
