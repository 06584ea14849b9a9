"""Makes the JSON schema of a callable's parameters, and validates the arguments of a call.

Pydantic gets a function that has the same parameters and only returns its arguments. So arguments are validated without
calling the tool, a parameter may have any name, and a ValidationError never comes from the tool itself.
"""

from __future__ import annotations

import functools
import inspect
import typing
from dataclasses import dataclass, is_dataclass
from typing import TYPE_CHECKING, Any, ClassVar, TypeAlias

from pydantic import BaseModel, TypeAdapter, ValidationError
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaWarningKind
from pydantic_core import to_json

from headrace.errors import ConfigurationError

from .annotations import UNPACK, plain
from .arguments import TOO_DEEP, BoundCall, InvalidArgumentsError, object_json, parse_object, shown
from .callables import (
    bound_keywords,
    docstring_of,
    is_generator,
    parameters_of,
    read_docstring,
    written_function,
)
from .strict import resolve, strict_schema, without_needless_nulls

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

__all__ = ["Described", "describe"]

_Schema: TypeAlias = dict[str, Any]

_PARTIAL_HINT = "give it a value with functools.partial, which hides it from the model"
_MOST_ERRORS = 10


@dataclass(frozen=True, slots=True)
class Described:
    """The description of a callable as a tool.

    Attributes:
        description: What it does, from its docstring.
        parameters: The JSON schema of its arguments.
        bind: Makes a call of the JSON text of its arguments; raises InvalidArgumentsError.
    """

    description: str
    parameters: _Schema
    bind: Callable[[str], BoundCall]


def describe(function: Callable[..., Any], name: str, *, strict: bool) -> Described:
    """Reads a callable's signature and docstring.

    Args:
        function: The callable.
        name: Its name, for error messages.
        strict: Make a schema for OpenAI's strict mode.

    Returns:
        Its description as a tool.

    Raises:
        ConfigurationError: It cannot be a tool. The message names the parameter that is the cause.
    """
    if is_generator(function):
        raise ConfigurationError(f"{name!r} cannot be a tool: it is a generator, and a tool returns its whole result")
    if _is_model(function):
        return _describe_model(function, name, strict=strict)
    return _describe_function(function, name, strict=strict)


# Functions


def _describe_function(function: Callable[..., Any], name: str, *, strict: bool) -> Described:
    parameters = parameters_of(function, name)
    adapter, schema = _adapter(parameters, name, function)
    description, documented = read_docstring(docstring_of(function))
    positional = [key for key, parameter in parameters.items() if parameter.kind is parameter.POSITIONAL_ONLY]
    hidden = bound_keywords(function).keys()

    def bind(text: str) -> BoundCall:
        arguments: dict[str, Any] = _validated(adapter, text, schema)
        if taken := hidden & arguments.keys():  # these passed as **kwargs, and would override the partial's arguments
            raise InvalidArgumentsError(f"There is no parameter {', '.join(taken)}. {_parameter_list(schema)}")
        keywords = dict(arguments)
        return BoundCall(arguments, functools.partial(function, *(keywords.pop(key) for key in positional), **keywords))

    return Described(description, _finished(schema, documented, name, strict=strict), bind)


class _ToolSchema(GenerateJsonSchema):
    """Makes schemas without titles, which only repeat names, and without a warning for defaults that are not JSON."""

    ignored_warning_kinds: ClassVar[set[JsonSchemaWarningKind]] = {"skipped-choice", "non-serializable-default"}  # type: ignore[misc]

    def field_title_should_be_set(self, schema: Any) -> bool:  # noqa: ARG002 - the base class's signature
        return False


def _adapter(
    parameters: Mapping[str, inspect.Parameter], name: str, function: Callable[..., Any]
) -> tuple[TypeAdapter[Any], _Schema]:
    try:
        adapter, schema = _build(_capturing(parameters, function))
    except Exception as error:
        for key, parameter in parameters.items():
            _check_parameter(key, parameter, name, function)
        raise ConfigurationError(f"{name!r} cannot be a tool: {error}") from error
    unpacks = any(typing.get_origin(parameter.annotation) in UNPACK for parameter in parameters.values())
    return adapter, _unpacked(schema) if unpacks else schema


def _unpacked(schema: _Schema) -> _Schema:
    """Moves the members of ``**kwargs: Unpack[SomeTypedDict]`` to ``properties``.

    Pydantic puts the schema of the TypedDict into ``additionalProperties``.
    """
    members = resolve(schema["additionalProperties"], schema)
    return schema | {
        "properties": {**schema["properties"], **members.get("properties", {})},
        "required": [*schema.get("required", ()), *members.get("required", ())],
        "additionalProperties": members.get("additionalProperties", False),
    }


def _check_parameter(key: str, parameter: inspect.Parameter, name: str, function: Callable[..., Any]) -> None:
    try:
        _build(_capturing({key: parameter}, function))
    except Exception as error:
        raise ConfigurationError(
            f"{name!r} cannot be a tool: no JSON schema can be made for its parameter {key!r}, annotated as "
            f"{parameter.annotation!r} ({_first_line(error)}). Annotate it with types that pydantic knows, or "
            f"{_PARTIAL_HINT}"
        ) from error


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".")


def _build(what: Any) -> tuple[TypeAdapter[Any], _Schema]:
    adapter = TypeAdapter[Any](what)
    return adapter, adapter.json_schema(schema_generator=_ToolSchema)


def _capturing(parameters: Mapping[str, inspect.Parameter], function: Callable[..., Any]) -> Callable[..., Any]:
    """Makes a function that has the given parameters, as keywords, and returns its arguments."""

    def capture(**arguments: Any) -> dict[str, Any]:
        return arguments

    keywords = [
        parameter if parameter.kind is parameter.VAR_KEYWORD else parameter.replace(kind=parameter.KEYWORD_ONLY)
        for parameter in parameters.values()
    ]
    vars(capture)["__signature__"] = inspect.Signature(keywords)
    capture.__annotations__ = {parameter.name: plain(parameter.annotation) for parameter in keywords}
    # Pydantic looks for the names in forward references there.
    capture.__module__ = written_function(function).__module__
    return capture


# Models and dataclasses


def _is_model(function: object) -> bool:
    return inspect.isclass(function) and (issubclass(function, BaseModel) or is_dataclass(function))


def _describe_model(model: Callable[..., Any], name: str, *, strict: bool) -> Described:
    try:
        adapter, schema = _build(model)
    except Exception as error:
        raise ConfigurationError(f"{name!r} cannot be a tool: {error}") from error
    if "$ref" in schema:  # the schema of a model that contains itself is only a reference
        schema = {**resolve(schema, schema), "$defs": schema["$defs"]}
    if schema.get("type") != "object":
        raise ConfigurationError(f"{name!r} cannot be a tool: its JSON schema must be of type 'object'")
    description, documented = read_docstring(schema.pop("description", None))

    def bind(text: str) -> BoundCall:
        instance = _validated(adapter, text, schema)
        return BoundCall(parse_object(text, schema), lambda: instance)

    return Described(description, _finished(schema, documented, name, strict=strict), bind)


# Schemas and validation


def _finished(schema: _Schema, documented: Mapping[str, str], name: str, *, strict: bool) -> _Schema:
    """The schema for the model. Parameters without a Field description get the one from the docstring."""
    properties = {
        key: {**inner, "description": documented[key]} if key in documented and "description" not in inner else inner
        for key, inner in schema.get("properties", {}).items()
    }
    rest = {key: value for key, value in schema.items() if key not in {"title", "type", "properties"}}
    finished = {"type": "object", "properties": properties, **rest}
    return strict_schema(finished, name) if strict else finished


def _validated(adapter: TypeAdapter[Any], text: str, schema: _Schema) -> Any:
    given = parse_object(text)
    try:
        cleaned = without_needless_nulls(parse_object(text, schema), schema, schema)
    except RecursionError:
        raise InvalidArgumentsError(TOO_DEEP) from None
    # Validate JSON, not Python objects: pydantic's strict models take a date or an enum as a string only from JSON.
    json = object_json(text) if cleaned == given else to_json(cleaned)
    try:
        return adapter.validate_json(json)
    except ValidationError as error:
        raise InvalidArgumentsError(_explained(error, schema)) from error


def _explained(error: ValidationError, schema: _Schema) -> str:
    errors = error.errors(include_url=False, include_context=False)
    lines = [f"- {_place(item['loc'])}{_reason(item)}" for item in errors[:_MOST_ERRORS]]
    if len(errors) > _MOST_ERRORS:
        lines.append(f"- and {len(errors) - _MOST_ERRORS} more")
    return "\n".join(["The arguments do not fit.", *lines, _parameter_list(schema)])


def _place(location: tuple[int | str, ...]) -> str:
    return ".".join(str(part) for part in location) + ": " if location else ""


def _reason(error: Mapping[str, Any]) -> str:
    kind = error["type"]
    if kind in {"missing", "missing_keyword_only_argument"}:
        return "it is required, but missing"
    if kind in {"unexpected_keyword_argument", "extra_forbidden"}:
        return "there is no such parameter"
    return f"{error['msg']} (got {shown(error['input'])})"


def _parameter_list(schema: _Schema) -> str:
    required = schema.get("required", ())
    names = [f"{name} (required)" if name in required else name for name in schema.get("properties", {})]
    return f"The parameters are: {', '.join(names)}." if names else "There are no parameters."
