"""Features that only some agents use. Their modules are imported when an agent needs them, to keep the import fast."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from .arguments import check_type, checked_list

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from headrace._conversation.given import Given
    from headrace._loop.spec import RunLoop, Transform
    from headrace._tools.structured import Structured
    from headrace.mcp import MCPTools
    from headrace.memory import Memory
    from headrace.types import Message

__all__ = [
    "autonomous_loop",
    "autonomous_tools",
    "fitting",
    "given_conversation",
    "memory",
    "opening",
    "servers",
    "structured",
    "structured_loop",
    "words_of",
]


def servers(
    url: str | None, urls: Sequence[str] | None, config: Mapping[str, Any] | None, **options: Any
) -> MCPTools | None:
    """The MCP servers of an agent, with these options of ``MCPTools``; None if it has none."""
    if url is None and urls is None and config is None:
        return None
    check_type("mcp_url", url, str, "a string")
    checked = None if urls is None else checked_list("mcp_urls", urls, "URLs", str)
    from headrace.mcp import MCPTools, parse_servers

    return MCPTools(parse_servers(url, checked, config), **options)


def memory(agent_name: str, path: str | Path | None) -> Memory:
    """The memory of an agent with ``persistent_memory``."""
    from headrace.memory import Memory

    return Memory(agent_name, path)


def fitting(context_length: int, reserve: int) -> Transform:
    """The transform that cuts a conversation to a model's context length."""
    from headrace._conversation.trimming import fit

    return partial(fit, context_length=context_length, reserve=reserve)


def opening(task: str, images: list[str]) -> Message:
    """The first message of a run: the task and its images."""
    if not images:
        return {"role": "user", "content": task}
    from headrace._conversation.images import user_message

    return user_message(task, images)


def given_conversation(messages: object) -> Given:
    """A conversation that the caller gives, checked and divided."""
    from headrace._conversation.given import given_conversation

    return given_conversation(messages)


def words_of(message: Message) -> str:
    """The text of a message."""
    from headrace._conversation.given import words_of

    return words_of(message)


def structured(output_type: Any) -> Structured | None:
    """The type of an agent's answers; None for a form that has a name.

    Raises:
        ConfigurationError: Pydantic has no schema for the type.
    """
    if output_type is None or isinstance(output_type, str):
        return None
    from headrace._tools.structured import Structured

    return Structured(output_type)


def structured_loop() -> RunLoop:
    """The loop of runs whose answer must have a type."""
    from headrace._loop.structured import structured_turns

    return structured_turns


def autonomous_loop() -> RunLoop:
    """The loop of autonomous runs."""
    from headrace._loop.autonomous import autonomous_turns

    return autonomous_turns


def autonomous_tools() -> tuple[str, ...]:
    """The names of the built-in tools of autonomous runs."""
    from headrace._loop.autonomous import AUTO_TOOLS

    return AUTO_TOOLS
