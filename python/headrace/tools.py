"""Tools: Python functions that a model may call.

:func:`as_tool` reads a function's signature and docstring, and makes the JSON schema that the model is given. A
:class:`Toolbox` offers tools to a model and runs the calls it makes.
"""

from __future__ import annotations

import copy
import json
import math
import re
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from .errors import ConfigurationError
from .types import ToolCall, Value

if TYPE_CHECKING:
    from ._tools.dispatch import Dispatcher
    from ._tools.schema import BoundCall

__all__ = ["Approve", "Tool", "ToolErrorKind", "ToolResult", "Toolbox", "as_tool", "no_such_tool"]

ToolErrorKind: TypeAlias = Literal[
    "invalid_arguments", "unknown_tool", "exception", "timeout", "refused", "unserialisable"
]

Approve: TypeAlias = Callable[[ToolCall, dict[str, Any]], bool | str | Awaitable[bool | str | None] | None]
"""Judges a call: None or True lets it pass; False or a reason, which the model is told, refuses it."""

_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")


@dataclass(frozen=True, slots=True, eq=False)
class Tool:
    """A function as a model may call it. :func:`as_tool` and :meth:`from_schema` make one.

    ``dataclasses.replace`` makes another one of it, with a name, description or timeout of its own.

    Attributes:
        name: The name that the model calls it by: 1 to 64 of ``A-Z a-z 0-9 _ -``.
        description: What it does, for the model.
        parameters: The JSON schema of its arguments. It is an object's.
        function: What is called.
        bind: From the arguments' JSON text to a call that is ready to be made.
        is_async: It runs on the event loop; others run in a thread each.
        strict: The schema is one of OpenAI's strict mode, and the provider is asked to hold the model to it.
        timeout: Seconds that a call may take; None for the toolbox's.

    Raises:
        ConfigurationError: The name or the timeout cannot be one.
    """

    name: str
    description: str
    parameters: dict[str, Any] = field(repr=False)
    function: Callable[..., Any] = field(repr=False)
    bind: Callable[[str], BoundCall] = field(repr=False)
    is_async: bool = False
    strict: bool = False
    timeout: float | None = None

    def __post_init__(self) -> None:
        _check_name(self.name)
        _check_timeout(self.timeout)

    @classmethod
    def from_schema(
        cls,
        name: str,
        description: str,
        parameters: Mapping[str, Any],
        call: Callable[[dict[str, Any]], Any],
        *,
        strict: bool = False,
        timeout: float | None = None,
    ) -> Tool:
        """Makes a tool of a JSON schema, where there is no Python signature: a tool of an MCP server, for one.

        The arguments reach ``call`` as they are, once they are a JSON object: what else the schema asks of them is
        for the other side to check.

        Args:
            name: The tool's name.
            description: What it does.
            parameters: The JSON schema of its arguments.
            call: Takes the arguments; may be async.
            strict: The schema keeps the rules of OpenAI's strict mode.
            timeout: Seconds that a call may take; None for the toolbox's.

        Returns:
            The tool.

        Raises:
            ConfigurationError: The name, the schema or the timeout cannot be one.
        """
        from ._tools.callables import is_async
        from ._tools.schema import BoundCall, parse_object

        if parameters.get("type", "object") != "object":
            raise ConfigurationError(f"the parameters of tool {name!r} must have a schema of type 'object'")

        def bind(text: str) -> BoundCall:
            arguments = parse_object(text)
            return BoundCall(arguments, lambda: call(arguments))

        return cls(
            name=name,
            description=description,
            # Some providers refuse an object without properties.
            parameters={"type": "object", "properties": {}, **copy.deepcopy(dict(parameters))},
            function=call,
            bind=bind,
            is_async=is_async(call),
            strict=strict,
            timeout=timeout,
        )

    def schema(self) -> dict[str, Any]:
        """The tool as a request's ``tools`` lists it, in OpenAI's form. The caller may change it."""
        function: dict[str, Any] = {"name": self.name}
        if self.description:  # Some providers refuse an empty one.
            function["description"] = self.description
        function["parameters"] = copy.deepcopy(self.parameters)
        if self.strict:
            function["strict"] = True
        return {"type": "function", "function": function}


def as_tool(
    function: Callable[..., Any] | Tool,
    *,
    name: str | None = None,
    description: str | None = None,
    strict: bool = False,
    timeout: float | None = None,
) -> Tool:
    """Makes a tool of a function.

    Anything callable will do that has a signature: functions and methods, async or not, ``functools.partial`` (what
    it was given is hidden from the model), objects with ``__call__``, classes. A pydantic model or a dataclass is a
    tool that returns an instance of it.

    Parameters may have any type that pydantic knows, and arrive as that type. One without annotation takes anything.
    One that has a default may be left out, or be null. ``**kwargs`` takes members of any name; other members that
    the signature does not name are refused. Descriptions come from the docstring (Google, NumPy or Sphinx style),
    or from ``Annotated[..., Field(description=...)]``, which wins.

    Args:
        function: The function; a tool is returned as it is.
        name: The tool's name; None for the function's.
        description: What it does; None for what the docstring says.
        strict: Make a schema of OpenAI's strict mode: no further members, and all required, with null in place of
            one that is left out.
        timeout: Seconds that a call may take; None for the toolbox's.

    Returns:
        The tool.

    Raises:
        ConfigurationError: This cannot be a tool. The message names the function, and the parameter that is to blame.
    """
    if isinstance(function, Tool):
        if name is not None or description is not None or strict or timeout is not None:
            raise ConfigurationError(f"{function.name!r} is a tool already: change it with dataclasses.replace")
        return function
    if not callable(function):
        raise ConfigurationError(f"{function!r} cannot be a tool: it cannot be called")
    from ._tools.callables import is_async, name_of
    from ._tools.schema import describe

    name = name_of(function) if name is None else name
    _check_name(name)
    described = describe(function, name, strict=strict)
    return Tool(
        name=name,
        description=described.description if description is None else description,
        parameters=described.parameters,
        function=function,
        bind=described.bind,
        is_async=is_async(function),
        strict=strict,
        timeout=timeout,
    )


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class ToolResult(Value):
    """What became of a call.

    Attributes:
        call: The call, as the model made it.
        content: What the model is told: the result as text, or what went wrong.
        value: What the tool returned; the parsed arguments of a call that was only recorded; None for any other.
        error: What kind of failure it is; None for none.
        duration: Seconds that the tool took, with its retries. 0 if it was not called.
        exception: What the tool raised, with its traceback; None if it did not.
    """

    call: ToolCall
    content: str
    value: Any = None
    error: ToolErrorKind | None = None
    duration: float = 0.0
    exception: BaseException | None = field(default=None, repr=False, compare=False)


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
        _check_timeout(timeout)
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
        from ._tools.dispatch import Dispatcher

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
        self, calls: Sequence[ToolCall], tell: Callable[[ToolResult], object] | None = None
    ) -> tuple[ToolResult, ...]:
        """Runs the calls of a turn.

        Whatever a tool does becomes a result. Only KeyboardInterrupt, SystemExit and other exceptions that are no
        ``Exception`` go through. Cancelling this cancels the async tools that run, with a second to clean up, and
        leaves the sync ones behind.

        Args:
            calls: The calls.
            tell: Is told each result as soon as it is there, whatever the order.

        Returns:
            Their results, in the same order.
        """
        dispatcher = self._dispatcher or self._make_dispatcher()
        return await dispatcher.run(calls, tell)

    def run_sync(self, calls: Sequence[ToolCall]) -> tuple[ToolResult, ...]:
        """Runs the calls of a turn, and waits for them. It may be called whether or not an event loop runs.

        Async tools run on an event loop that exists for this turn only: a client that they keep from one turn to the
        next must not belong to a loop. Ctrl-C cancels the calls and is raised after at most a second.

        Args:
            calls: The calls.

        Returns:
            Their results, in the same order.
        """
        from ._concurrency.threads import on_private_loop

        return on_private_loop(lambda: self.run(calls))

    def __repr__(self) -> str:
        return f"Toolbox({', '.join(self.names)})"


def no_such_tool(name: str, known: Collection[str]) -> str:
    """What a model is told that has called a tool which there is not: the nearest of those there are, and all."""
    import difflib  # here, because models seldom err in a name

    nearest = difflib.get_close_matches(name, known, n=1)
    hint = f" Did you mean {nearest[0]!r}?" if nearest else ""
    listed = f"The tools are: {', '.join(known)}." if known else "There are no tools at all."
    return f"There is no tool {name!r}.{hint} {listed}"


def _check_name(name: str) -> None:
    if not _NAME.fullmatch(name):
        raise ConfigurationError(
            f"{name!r} cannot be a tool's name: providers take 1 to 64 of the characters A-Z a-z 0-9 _ -. "
            "Give it another one with as_tool(..., name=...)"
        )


def _check_timeout(timeout: object) -> None:
    if timeout is None:
        return
    if isinstance(timeout, bool) or not isinstance(timeout, (int, float)) or not 0 < timeout < math.inf:
        raise ConfigurationError(f"a tool's timeout must be a number of seconds over 0, or None, not {timeout!r}")


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
    _check_name(name)
    return name


def _as_json(schemas: list[dict[str, Any]]) -> str:
    try:
        return json.dumps(schemas)
    except (TypeError, ValueError) as error:
        raise ConfigurationError(f"a tool's schema must be JSON: {error}") from error
