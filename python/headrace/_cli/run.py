"""``headrace run``: one task, streamed to the terminal."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Literal, TextIO

from headrace._agent.terminal import printable, printable_json
from headrace.errors import ConfigurationError
from headrace.events import Event, Refusal, RunEnd, Token, ToolCallRequested, ToolResultReturned, TurnEnd

if TYPE_CHECKING:
    from collections.abc import Iterable

    from headrace.agent import Agent

__all__ = ["read_loops", "show_run"]


def read_loops(text: str) -> int | Literal["auto"]:
    """Parses ``--max-loops``."""
    if text == "auto":
        return "auto"
    try:
        return int(text)
    except ValueError:
        raise ConfigurationError(f"--max-loops must be a whole number or 'auto', not {text!r}") from None


def show_run(agent: Agent, task: str, form: Literal["text", "events", "json"]) -> None:
    """Runs a task and prints it.

    Args:
        agent: The agent.
        task: The task.
        form: What goes to standard output. ``"text"``: the tokens. ``"events"``: all events, each as a line of JSON.
            ``"json"``: one line of JSON at the end. Tool calls and timing go to standard error.
    """
    with agent.run_stream(task, with_events=True) as stream:
        _show(stream, form, sys.stdout, sys.stderr)


def _show(events: Iterable[Event], form: str, out: TextIO, err: TextIO) -> None:
    for event in events:
        if form == "events":
            print(printable_json(event.to_json(), out), file=out, flush=True)
        match event:
            case Token(text=text) | Refusal(text=text) if form == "text":
                print(printable(text, out), end="", file=out, flush=True)
            case RunEnd() if form == "json":
                print(printable_json(event.to_json(), out), file=out, flush=True)
            case RunEnd(text=text) if form == "text" and text and not text.endswith("\n"):
                print(file=out, flush=True)
            case ToolCallRequested(call=call):
                print(printable(f"\n[{call.name} {call.arguments}]", err), file=err, flush=True)
            case ToolResultReturned(content=content):
                print(printable(f"[-> {content[:200]}]", err), file=err, flush=True)
            case TurnEnd():
                print(printable(_timing_line(event), err), file=err, flush=True)
            case _:
                pass


def _timing_line(turn: TurnEnd) -> str:
    timing = turn.timing
    ttft = "-" if timing.ttft is None else f"{timing.ttft * 1e3:.1f} ms"
    itl = "-" if timing.itl is None else f"p50 {timing.itl.p50 * 1e3:.1f} p99 {timing.itl.p99 * 1e3:.1f} ms"
    return f"\n[turn {turn.turn}: TTFT {ttft}, ITL {itl}, {timing.chunks} chunks, {turn.finish_reason}]"
