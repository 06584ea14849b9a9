"""Plain reasoning is kept with tool calls, and goes back to the providers that take it."""

from __future__ import annotations

from typing import Any

import pytest

from headrace._conversation.reasoning import kept_reasoning, with_reasoning_for
from headrace._models.catalog import plain_reasoning
from headrace.types import Thought, ToolCall, Turn

CALL = ToolCall("c", "add", "{}")


def message(turn: Turn) -> dict[str, Any]:
    return {"role": "assistant", "content": turn.text, "reasoning": kept_reasoning(turn)}


def test_reasoning_without_tool_calls_is_not_kept() -> None:
    assert kept_reasoning(Turn(text="Hi.", reasoning="Hm.", dialect="openai_chat")) is None


def test_reasoning_of_other_dialects_is_not_kept() -> None:
    assert kept_reasoning(Turn(reasoning="Hm.", tool_calls=(CALL,), dialect="anthropic")) is None


@pytest.mark.parametrize("thoughts", [(), (Thought("Hm.", "signed", None, "c2ln"),)])
def test_plain_reasoning_is_for_those_who_take_it(thoughts: tuple[Thought, ...]) -> None:
    turn = Turn(text="Hi.", reasoning="Hm.", tool_calls=(CALL,), dialect="openai_chat", thoughts=thoughts)
    assert with_reasoning_for([message(turn)], None) == [{"role": "assistant", "content": "Hi."}]
    [taken] = with_reasoning_for([message(turn)], None, plain=True)
    assert taken == {"role": "assistant", "content": "Hi.", "reasoning_content": "Hm."}


def test_where_it_is_demanded_the_other_answers_get_a_space() -> None:
    turn = Turn(text="Hi.", reasoning="Hm.", tool_calls=(CALL,), dialect="openai_chat")
    other = {"role": "assistant", "content": "Yes."}
    asked = {"role": "user", "content": "?"}
    converted = with_reasoning_for([asked, message(turn), other], None, plain=True, demanded=True)
    assert [each.get("reasoning_content") for each in converted] == [None, "Hm.", " "]
    # A conversation without any is not one with a thinking model.
    assert with_reasoning_for([asked, other], None, plain=True, demanded=True) == [asked, other]


@pytest.mark.parametrize(
    ("provider", "url", "expected"),
    [
        ("deepseek", None, "demanded"),
        ("openai", "https://api.deepseek.com/v1", "demanded"),
        ("openai", "https://api.moonshot.ai/v1", "demanded"),
        ("zai", None, "taken"),
        ("hosted_vllm", None, "taken"),
        ("openai", "http://127.0.0.1:8000/v1", None),
        ("hosted_vllm", "http://127.0.0.1:8000/v1", None),
        ("gpt-oss", "http://127.0.0.1:8000/v1", None),
        ("openai", "https://api.openai.com/v1", "refused"),
        ("openai", None, "refused"),
        ("openai", "https://mine.openai.azure.com/openai/v1", "refused"),
        ("groq", "http://127.0.0.1:8000/v1", "refused"),
        ("custom_openai", "https://api.groq.com/openai/v1", "refused"),
        ("mistral", None, "refused"),
        ("together_ai", None, None),
        ("openai", "http://[", None),
    ],
)
def test_who_takes_it_is_in_the_catalogue(provider: str, url: str | None, expected: str | None) -> None:
    assert plain_reasoning(provider, url) == expected
