"""A tool, which is a Python function that a model may call, and the result of a tool call."""

from __future__ import annotations

import copy
import dataclasses
import functools
import importlib
import math
import re
import sys
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from headrace.errors import ConfigurationError
from headrace.types import ToolCall, Value

if TYPE_CHECKING:
    from .arguments import BoundCall

__all__ = ["Approve", "Tool", "ToolErrorKind", "ToolResult", "as_tool", "check_name", "check_timeout"]

ToolErrorKind: TypeAlias = Literal[
    "invalid_arguments", "unknown_tool", "exception", "timeout", "refused", "unserialisable", "cut_off", "not_run"
]

Approve: TypeAlias = Callable[[ToolCall, dict[str, Any]], bool | str | Awaitable[bool | str | None] | None]
"""Approves or refuses a tool call, given the call and its arguments: None or True approves it, False refuses it, and a
string refuses it with a reason for the model."""

RawParameters: TypeAlias = Mapping[str, Any]
"""The JSON schema of the arguments of a tool that has no function."""

_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")


@dataclass(frozen=True, slots=True, eq=False)
class Tool:
    """A function that a model may call. :func:`as_tool` and :meth:`from_schema` make tools.

    ``dataclasses.replace`` makes a copy with another name, description or timeout.

    Attributes:
        name: The tool's name for the model: 1 to 64 of the characters ``A-Z a-z 0-9 _ -``.
        description: What the tool does, for the model.
        parameters: The JSON schema of the arguments, of type ``object``.
        function: The function.
        bind: Validates the JSON text of the arguments, and makes a call that is ready to run.
        is_async: The function runs on the event loop. Other functions run in a thread per call.
        strict: The schema is for OpenAI's strict mode, and requests ask the provider to enforce it.
        timeout: Seconds that a call may take; None for the timeout of the toolbox.

    Raises:
        ConfigurationError: The name or the timeout is not valid.
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
        """Makes a tool of a JSON schema, for tools without a Python signature, such as those of an MCP server.

        ``call`` gets any arguments that are a JSON object. They are not validated against the schema.

        Args:
            name: The tool's name.
            description: What the tool does, for the model.
            parameters: The JSON schema of the arguments, of type ``object``.
            call: A function of the arguments (a dict); may be async.
            strict: The schema follows the rules of OpenAI's strict mode.
            timeout: Seconds that a call may take; None for the timeout of the toolbox.

        Returns:
            The tool.

        Raises:
            ConfigurationError: The name, the schema or the timeout is not valid.

        Example:
            >>> from headrace.tools import Tool
            >>> weather = Tool.from_schema(
            ...     "weather",
            ...     "The weather in a town.",
            ...     {"type": "object", "properties": {"town": {"type": "string"}}, "required": ["town"]},
            ...     lambda arguments: f"It rains in {arguments['town']}.",
            ... )
            >>> weather.bind('{"town": "Ulm"}').run()
            'It rains in Ulm.'
        """
        from .callables import is_async

        if parameters.get("type", "object") != "object":
            raise ConfigurationError(f"the parameters of tool {name!r} must have a schema of type 'object'")

        return cls(
            name=name,
            description=description,
            # Some providers refuse an object without properties.
            parameters={"type": "object", "properties": {}, **copy.deepcopy(dict(parameters))},
            function=call,
            bind=functools.partial(_bind, call, dict(parameters)),
            is_async=is_async(call),
            strict=strict,
            timeout=timeout,
        )

    def __reduce__(self) -> tuple[Any, ...]:
        # Functions are pickled by their names. The name of one that `as_tool` decorates is that of its tool.
        module, name = getattr(self.function, "__module__", None), getattr(self.function, "__qualname__", None)
        holder = _found(module, name)
        if holder is self:
            return _found, (module, name)
        fields = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        if isinstance(holder, Tool) and holder.function is self.function:
            fields["function"] = holder
        if not isinstance(self.bind, functools.partial):
            del fields["bind"]  # made of the function again
        return _again, (fields,)

    def schema(self) -> dict[str, Any]:
        """The tool's entry in the ``tools`` of a request, in OpenAI's form: a copy that the caller may change."""
        function: dict[str, Any] = {"name": self.name}
        if self.description:  # some providers refuse an empty description
            function["description"] = self.description
        function["parameters"] = copy.deepcopy(self.parameters)
        if self.strict:
            function["strict"] = True
        return {"type": "function", "function": function}


def _bind(call: Callable[[dict[str, Any]], Any], parameters: Mapping[str, Any], text: str) -> BoundCall:
    from .arguments import BoundCall, parse_object

    arguments = parse_object(text, parameters)
    return BoundCall(arguments, lambda: call(arguments))


def _found(module: str | None, name: str | None) -> object:
    """What a module has by that name; None if it has nothing."""
    found: object = sys.modules.get(module or "")
    if found is None and module:
        found = importlib.import_module(module)
    for part in (name or "").split("."):
        found = getattr(found, part, None)
    return found


def _again(fields: dict[str, Any]) -> Tool:
    """A tool of its pickled fields."""
    function: Any = fields["function"]
    function = function.function if isinstance(function, Tool) else function
    if "bind" not in fields:
        from .schema import describe

        fields["bind"] = describe(function, fields["name"], strict=fields["strict"]).bind
    fields["function"] = function
    return Tool(**fields)


def as_tool(
    function: Callable[..., Any] | Tool,
    *,
    name: str | None = None,
    description: str | None = None,
    strict: bool = False,
    timeout: float | None = None,
) -> Tool:
    """Makes a tool of a function. Its signature and docstring become the JSON schema for the model.

    The function may be any callable with a signature: a function or method, sync or async; a ``functools.partial``,
    whose keyword arguments are hidden from the model; an object with ``__call__``; a class. A tool that is made of a
    pydantic model or a dataclass returns an instance of it.

    Parameters may have any type that pydantic supports, and arguments are converted to it. A parameter without
    annotation takes any value. A parameter with a default may be left out, or be null. With ``**kwargs`` the model may
    pass any names, else unknown names are refused. The descriptions of parameters come from
    ``Annotated[..., Field(description=...)]``, else from the docstring (Google, NumPy or Sphinx style).

    Args:
        function: The function. A tool is returned unchanged.
        name: The tool's name; None for the name of the function.
        description: What the tool does; None for the description in the docstring.
        strict: Make a schema for OpenAI's strict mode: no other members, and all are required, with null instead of
            leaving one out.
        timeout: Seconds that a call may take; None for the timeout of the toolbox.

    Returns:
        The tool.

    Raises:
        ConfigurationError: The function cannot be a tool. The message names the function, and the parameter that is
            the cause.

    Example:
        >>> from headrace import as_tool
        >>> def add(a: int, b: int = 0) -> int:
        ...     '''Adds two numbers.
        ...
        ...     Args:
        ...         a: The first number.
        ...     '''
        ...     return a + b
        >>> tool = as_tool(add, timeout=5.0)
        >>> tool.name, tool.description, tool.parameters["required"]
        ('add', 'Adds two numbers.', ['a'])
        >>> tool.parameters["properties"]["a"]
        {'type': 'integer', 'description': 'The first number.'}
        >>> calculator = Agent(model_name="openai/sim", llm_base_url=simulator.base_url, tools=[tool])
    """
    if isinstance(function, Tool):
        if name is not None or description is not None or strict or timeout is not None:
            raise ConfigurationError(f"{function.name!r} is already a tool: change it with dataclasses.replace")
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
    """The result of a tool call.

    Attributes:
        call: The call, as the model sent it.
        content: The text for the model: the result, or what went wrong.
        value: The value that the tool returned. For a call of a raw schema, its parsed arguments. None if it failed.
        error: The kind of failure; None if the call succeeded.
        duration: Seconds that the tool took, including retries; 0 if it was not called.
        exception: The exception that the tool raised, with its traceback; None if it raised none.
    """

    call: ToolCall
    content: str
    value: Any = None
    error: ToolErrorKind | None = None
    duration: float = 0.0
    exception: BaseException | None = field(default=None, repr=False, compare=False)


def check_name(name: str) -> None:
    """Raises ``ConfigurationError`` if the name is not valid for a tool."""
    if not _NAME.fullmatch(name):
        raise ConfigurationError(
            f"{name!r} cannot be a tool's name: providers take 1 to 64 of the characters A-Z a-z 0-9 _ -. "
            "Give the tool another name with as_tool(..., name=...)"
        )


def check_timeout(timeout: object) -> None:
    """Raises ``ConfigurationError`` if the value is not valid as a timeout."""
    if timeout is None:
        return
    if isinstance(timeout, bool) or not isinstance(timeout, (int, float)) or not 0 < timeout < math.inf:
        raise ConfigurationError(f"a tool's timeout must be a number of seconds over 0, or None, not {timeout!r}")
