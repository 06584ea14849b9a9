"""The tools that a model is offered, and the rules by which its calls are run."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from headrace.errors import ConfigurationError

from .tool import Tool, as_tool, check_name, check_timeout

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping, Sequence

    from headrace.types import ToolCall

    from .dispatch import Dispatcher
    from .tool import Approve, ToolResult

__all__ = ["Toolbox"]


class Toolbox:
    """The tools that a model is offered, and the rules by which its calls are run. It does not change.

    What a tool returns becomes text for the model: a string is that text. What pydantic can serialise becomes JSON
    (None is ``null``), but for values whose JSON is a string, such as dates, UUIDs, paths and enums of strings: they
    become that string. Other objects become ``str(object)`` if their class says how to print them. Bytes, generators
    and objects that print as no more than an address are failures of kind ``"unserialisable"``.

    Args:
        tools: Functions, or tools.
        raw_schemas: Tools in OpenAI's form that the model is offered, but that have no function. A call is recorded:
            its result holds the parsed arguments, and nobody is asked to approve it.
        parallel: Run the calls of one turn at once; otherwise one after another.
        limit: How many calls of one turn run at once, at most.
        timeout: Seconds that each call may take; None for as long as it takes. A tool's own comes first. A sync tool
            that is out of time goes on in its thread, for Python cannot stop it, but nobody waits for it.
        retry_attempts: How often a tool that raised is called again. Other failures are the model's to repair.
        approve: Asked before each call, with the call and the arguments that the tool is about to get. It may be
            async; otherwise it runs in a thread. One call at a time, in the model's order. What it raises goes
            through, and ends the turn.

    Raises:
        ConfigurationError: Two tools have one name, something cannot be a tool, or a number cannot be right.
    """

    def __init__(
        self,
        tools: Iterable[Callable[..., Any] | Tool] = (),
        *,
        raw_schemas: Iterable[Mapping[str, Any]] = (),
        parallel: bool = True,
        limit: int = 8,
        timeout: float | None = None,
        retry_attempts: int = 0,
        approve: Approve | None = None,
    ) -> None:
        _check_count("limit", limit, 1)
        _check_count("retry_attempts", retry_attempts, 0)
        check_timeout(timeout)
        raw = [dict(schema) for schema in raw_schemas]
        made = [as_tool(tool) for tool in tools]
        by_name: dict[str, Tool | None] = {}
        for tool in made:
            _add(by_name, tool.name, tool)
        for schema in raw:
            _add(by_name, _raw_name(schema), None)
        self._made, self._raw, self._by_name = made, raw, by_name
        self._limit, self._timeout = limit if parallel else 1, timeout
        self._retry_attempts, self._approve = retry_attempts, approve
        # As text, so that whoever gets the schemas cannot change ours.
        self._schemas = _as_json([tool.schema() for tool in made] + raw)
        # It brings asyncio and pydantic: without tools not at all, with them now, and not on the caller's event loop.
        self._dispatcher = self._make_dispatcher() if by_name else None

    def _make_dispatcher(self) -> Dispatcher:
        from .dispatch import Dispatcher

        return Dispatcher(self._by_name, self._limit, self._timeout, self._retry_attempts, self._approve)

    def with_tools(self, tools: Iterable[Tool]) -> Toolbox:
        """A toolbox of the same rules with more tools.

        Raises:
            ConfigurationError: Two tools have one name.
        """
        return Toolbox(
            [*self._made, *tools],
            raw_schemas=self._raw,
            limit=self._limit,
            timeout=self._timeout,
            retry_attempts=self._retry_attempts,
            approve=self._approve,
        )

    @property
    def names(self) -> tuple[str, ...]:
        """The names of all tools, those of raw schemas last."""
        return tuple(self._by_name)

    @property
    def schemas(self) -> list[dict[str, Any]]:
        """What a request lists as its ``tools``. The caller may change it."""
        schemas: list[dict[str, Any]] = json.loads(self._schemas)
        return schemas

    async def run(
        self,
        calls: Sequence[ToolCall],
        on_result: Callable[[ToolResult], object] | None = None,
        *,
        offered: Collection[str] | None = None,
    ) -> tuple[ToolResult, ...]:
        """Runs the calls of a turn.

        Whatever a tool does becomes a result. Only KeyboardInterrupt, SystemExit and other exceptions that are no
        ``Exception`` go through. Cancelling this cancels the async tools that run, with a second to clean up, and
        leaves the sync ones behind.

        Args:
            calls: The calls.
            on_result: Called with each result as soon as it is there, whatever the order.
            offered: The names that the model could choose from, where there were others than this toolbox's: a model
                that called something else is answered with them.

        Returns:
            Their results, in the same order.
        """
        dispatcher = self._dispatcher or self._make_dispatcher()
        return await dispatcher.run(calls, on_result, offered)

    def run_sync(self, calls: Sequence[ToolCall]) -> tuple[ToolResult, ...]:
        """Runs the calls of a turn, and waits for them. It may be called whether or not an event loop runs.

        Async tools run on an event loop that exists for this turn only: a client that they keep from one turn to the
        next must not belong to a loop. Ctrl-C cancels the calls and is raised after at most a second.

        Args:
            calls: The calls.

        Returns:
            Their results, in the same order.
        """
        from headrace._concurrency.event_loop_thread import run_on_new_event_loop

        return run_on_new_event_loop(lambda: self.run(calls))

    def __repr__(self) -> str:
        return f"Toolbox({', '.join(self.names)})"


def _check_count(name: str, value: object, least: int) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise ConfigurationError(f"{name} must be a whole number from {least}, not {value!r}")


def _add(by_name: dict[str, Tool | None], name: str, tool: Tool | None) -> None:
    if name in by_name:
        raise ConfigurationError(f"two tools have the name {name!r}: give one another with as_tool(..., name=...)")
    by_name[name] = tool


def _raw_name(schema: Mapping[str, Any]) -> str:
    try:
        name = schema["function"]["name"]
    except (KeyError, TypeError):
        name = None
    if schema.get("type") != "function" or not isinstance(name, str):
        raise ConfigurationError(
            f'a raw schema must look like {{"type": "function", "function": {{"name": ...}}}}, not {schema!r}'
        )
    check_name(name)
    return name


def _as_json(schemas: list[dict[str, Any]]) -> str:
    try:
        return json.dumps(schemas)
    except (TypeError, ValueError) as error:
        raise ConfigurationError(f"a tool's schema must be JSON: {error}") from error
