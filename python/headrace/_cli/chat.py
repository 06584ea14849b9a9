"""``headrace chat``: a conversation in the terminal."""

from __future__ import annotations

import sys
from contextlib import suppress
from importlib import import_module
from typing import TYPE_CHECKING, TextIO

from headrace._agent.terminal import printable
from headrace.errors import HeadraceError
from headrace.events import Reasoning, Refusal, Token, ToolCallRequested, ToolResultReturned

if TYPE_CHECKING:
    from headrace.agent import Agent
    from headrace.types import Message

__all__ = ["chat"]

_HELP = "Ctrl-C stops an answer, /new begins again, /undo takes back the last question, Ctrl-D ends."
_SHOWN = 200


def chat(agent: Agent, *, reasoning: bool) -> None:
    """Reads questions, and streams the answers, until the end of input.

    Args:
        agent: Answers.
        reasoning: Whether to show reasoning, on standard error.
    """
    out, err = sys.stdout, sys.stderr
    history: list[Message] = []
    if sys.stdin.isatty():
        with suppress(ImportError):  # Windows
            import_module("readline")  # `input` then has a history and can be edited
        print(_HELP, file=err)
    while (question := _question()) is not None:
        if question == "/new":
            history.clear()
        elif question == "/undo":
            _take_back(history)
        elif question.strip():
            history += _answered(agent, question, history, out, err, reasoning=reasoning)


def _question() -> str | None:
    try:
        return input("> " if sys.stdin.isatty() else "")
    except EOFError:
        return None
    except KeyboardInterrupt:
        print(file=sys.stderr)
        return ""


def _take_back(history: list[Message]) -> None:
    while history and history.pop()["role"] != "user":
        pass


def _answered(
    agent: Agent, question: str, history: list[Message], out: TextIO, err: TextIO, *, reasoning: bool
) -> list[Message]:
    """Streams an answer. Returns what the conversation gets: what came of it, if it was stopped."""
    stream = agent.run_stream(question, messages=[*history], with_events=True)
    said = ""
    try:
        with stream:
            for event in stream:
                match event:
                    case Token(text=text) | Refusal(text=text):
                        said += text
                        print(printable(text, out), end="", file=out, flush=True)
                    case Reasoning(text=text) if reasoning:
                        print(printable(text, err), end="", file=err, flush=True)
                    case ToolCallRequested(call=call):
                        print(printable(f"\n[{call.name} {call.arguments}]", err), file=err, flush=True)
                    case ToolResultReturned(content=content):
                        print(printable(f"[-> {content[:_SHOWN]}]", err), file=err, flush=True)
                    case _:
                        pass
    except KeyboardInterrupt:
        print("\n[stopped]", file=err)
        return _of(question, said)
    except HeadraceError as error:
        print(printable(f"\nheadrace: {error}", err), file=err)
        return _of(question, said) if said else []
    print(file=out, flush=True)
    # The whole run, with its tool calls; without the messages that were given.
    messages = stream.messages
    last = max((at for at, each in enumerate(messages) if each["role"] == "user"), default=0)
    return list(messages[last:])


def _of(question: str, said: str) -> list[Message]:
    return [{"role": "user", "content": question}, *([{"role": "assistant", "content": said}] if said else [])]
