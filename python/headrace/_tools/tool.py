"""A tool: a Python function that a model may call, and what became of a call."""

from __future__ import annotations

import copy
import math
import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from headrace.errors import ConfigurationError
from headrace.types import ToolCall, Value

if TYPE_CHECKING:
    from .arguments import BoundCall

__all__ = ["Approve", "Tool", "ToolErrorKind", "ToolResult", "as_tool", "check_name", "check_timeout"]

ToolErrorKind: TypeAlias = Literal[
    "invalid_arguments", "unknown_tool", "exception", "timeout", "refused", "unserialisable", "cut_off"
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
        check_name(self.name)
        check_timeout(self.timeout)

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
        from .arguments import BoundCall, parse_object
        from .callables import is_async

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
    from .callables import is_async, name_of
    from .schema import describe

    name = name_of(function) if name is None else name
    check_name(name)
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


def check_name(name: str) -> None:
    """Raises ``ConfigurationError`` for what cannot be a tool's name."""
    if not _NAME.fullmatch(name):
        raise ConfigurationError(
            f"{name!r} cannot be a tool's name: providers take 1 to 64 of the characters A-Z a-z 0-9 _ -. "
            "Give it another one with as_tool(..., name=...)"
        )


def check_timeout(timeout: object) -> None:
    """Raises ``ConfigurationError`` for what cannot be a time limit."""
    if timeout is None:
        return
    if isinstance(timeout, bool) or not isinstance(timeout, (int, float)) or not 0 < timeout < math.inf:
        raise ConfigurationError(f"a tool's timeout must be a number of seconds over 0, or None, not {timeout!r}")
