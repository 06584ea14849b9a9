"""The tools that a model may call, and the rules for running its tool calls."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from headrace.errors import ConfigurationError

from .tool import Tool, as_tool, check_name, check_timeout

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping, Sequence

    from headrace.types import ToolCall

    from .dispatch import Dispatcher
    from .tool import Approve, RawParameters, ToolResult

__all__ = ["Toolbox"]


class Toolbox:
    """The tools that a model may call, and the rules for running its tool calls. A toolbox is immutable.

    The value that a tool returns is converted to text for the model:

    - A string stays as it is.
    - A value that pydantic can serialise becomes JSON (None becomes ``null``). If its JSON is a string, as for dates,
      UUIDs, paths and enums of strings, it becomes the content of that string.
    - Any other object becomes ``str(object)``, if its class defines ``__str__`` or ``__repr__``.
    - Bytes, generators and all other objects are failures of kind ``"unserialisable"``.

    Args:
        tools: Functions, or tools.
        raw_schemas: Tools in OpenAI's form that have no function. Their calls are only recorded: the result has the
            parsed arguments, and ``approve`` is not called.
        parallel: Run the calls of one turn at the same time; otherwise one after another.
        limit: How many calls of one turn run at the same time, at most.
        timeout: Seconds that each call may take; None for no limit. The timeout of a tool has priority. Python cannot
            stop a sync tool: after its timeout it continues in its thread, but the turn does not wait for it.
        retry_attempts: How often a tool that raised an exception is called again. Other failures are not retried: the
            model gets the error, and can correct its call.
        approve: Called before each call, with the call and the arguments for the tool; see :data:`Approve`. It may be
            async; a sync function runs in a thread. The calls of a turn are approved one at a time, in order. An
            exception that it raises ends the turn.

    Raises:
        ConfigurationError: Two tools have the same name, something cannot be a tool, or a number is out of range.

    Example:
        >>> from headrace import ToolCall
        >>> from headrace.tools import Toolbox
        >>> def add(a: int, b: int) -> int:
        ...     return a + b
        >>> toolbox = Toolbox([add], timeout=5.0, approve=lambda call, arguments: arguments["a"] < 100)
        >>> calls = [ToolCall("1", "add", '{"a": 2, "b": 3}'), ToolCall("2", "add", '{"a": 200}')]
        >>> for result in toolbox.run_sync(calls):
        ...     print(result.error, result.content)
        None 5
        invalid_arguments 'add' was not called. The arguments do not fit.
        - b: it is required, but missing
        The parameters are: a (required), b (required).
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
        by_name: dict[str, Tool | RawParameters] = {}
        for tool in made:
            _add(by_name, tool.name, tool)
        for schema in raw:
            _add(by_name, _raw_name(schema), schema["function"].get("parameters") or {})
        self._made, self._raw, self._by_name = made, raw, by_name
        self._limit, self._timeout = limit if parallel else 1, timeout
        self._retry_attempts, self._approve = retry_attempts, approve
        # As text, so that a caller who changes the schemas changes only a copy.
        self._schemas = _as_json([tool.schema() for tool in made] + raw)
        # The dispatcher imports asyncio and pydantic. With tools, import them now, not later in an event loop's thread.
        self._dispatcher = self._make_dispatcher() if by_name else None

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_dispatcher": None}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._dispatcher = self._make_dispatcher() if self._by_name else None

    def _make_dispatcher(self) -> Dispatcher:
        from .dispatch import Dispatcher

        return Dispatcher(self._by_name, self._limit, self._timeout, self._retry_attempts, self._approve)

    def with_tools(self, tools: Iterable[Tool]) -> Toolbox:
        """Makes a toolbox with the same rules and more tools.

        Args:
            tools: The tools to add.

        Returns:
            A new toolbox.

        Raises:
            ConfigurationError: Two tools have the same name.
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
        """The names of all tools. Those of raw schemas are last."""
        return tuple(self._by_name)

    @property
    def raw_names(self) -> tuple[str, ...]:
        """The names of the tools that have no function: those of raw schemas."""
        return tuple(name for name, tool in self._by_name.items() if not isinstance(tool, Tool))

    @property
    def schemas(self) -> list[dict[str, Any]]:
        """The ``tools`` of a request. It is a copy that the caller may change."""
        schemas: list[dict[str, Any]] = json.loads(self._schemas) if self._by_name else []
        return schemas

    async def run(
        self,
        calls: Sequence[ToolCall],
        on_result: Callable[[ToolResult], object] | None = None,
        *,
        offered: Collection[str] | None = None,
    ) -> tuple[ToolResult, ...]:
        """Runs the tool calls of a turn.

        An exception of a tool becomes a result with an error. Only exceptions that do not inherit from ``Exception``,
        such as KeyboardInterrupt and SystemExit, are raised here; the event loop and its other tasks go on. Cancelling
        this cancels the async tools that are running, which have a second to clean up; sync tools continue in their
        threads.

        Args:
            calls: The tool calls.
            on_result: Called with each result as soon as it exists, in any order.
            offered: The names of the tools that the model was offered, for the answer to a call of an unknown tool;
                None for the names of this toolbox.

        Returns:
            The results, in the order of the calls.
        """
        dispatcher = self._dispatcher or self._make_dispatcher()
        return await dispatcher.run(calls, on_result, offered)

    def run_sync(self, calls: Sequence[ToolCall]) -> tuple[ToolResult, ...]:
        """Runs the tool calls of a turn, and waits for them. Safe to call with or without a running event loop.

        Async tools run on an event loop that exists only during this call, so they must not keep objects that belong to
        an event loop, such as an HTTP client, for the next one. Ctrl-C cancels the calls; KeyboardInterrupt is raised
        after at most a second.

        Args:
            calls: The tool calls.

        Returns:
            The results, in the order of the calls.
        """
        from headrace._concurrency.event_loop_thread import run_on_new_event_loop

        return run_on_new_event_loop(lambda: self.run(calls))

    def __repr__(self) -> str:
        return f"Toolbox({', '.join(self.names)})"


def _check_count(name: str, value: object, least: int) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise ConfigurationError(f"{name} must be a whole number from {least}, not {value!r}")


def _add(by_name: dict[str, Tool | RawParameters], name: str, tool: Tool | RawParameters) -> None:
    if name in by_name:
        raise ConfigurationError(
            f"two tools have the name {name!r}: give one of them another name with as_tool(..., name=...)"
        )
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
