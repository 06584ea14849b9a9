"""A Python type as the type of answers: its schema for the model, and answers as values of it."""

from __future__ import annotations

import dataclasses
import inspect
import json
import re
import types
import typing
from typing import Any, Final, Union, cast

from pydantic import BaseModel, PydanticUserError, TypeAdapter, ValidationError
from pydantic_core import from_json
from typing_extensions import is_typeddict

from headrace.errors import ConfigurationError

from .strict import strict_schema, without_needless_nulls

__all__ = ["ANSWER_TOOL", "InvalidAnswerError", "Structured"]

ANSWER_TOOL: Final = "final_answer"
"""The tool by which a model answers that has no schema mode."""

_FENCED: Final = re.compile(r"```(?:json)?\s*\n(.*?)```", re.DOTALL)
_NAME: Final = re.compile(r"[^a-zA-Z0-9_-]+")
_MOST: Final = 600
"""How many characters of what is wrong the model gets."""


class InvalidAnswerError(ValueError):
    """An answer is not of the wanted type. The message is for the model, and says what is wrong."""


class Structured:
    """A type of answers.

    Args:
        kind: A pydantic model, a dataclass, a TypedDict, a list of these, a union, or any other type that pydantic
            knows.

    Attributes:
        name: The type's name, as far as providers take it.
        schema: Its JSON schema. The schema of a type that is no object is that of an object with one member ``value``.
        is_strict: Whether the schema fits OpenAI's strict mode.

    Raises:
        ConfigurationError: Pydantic has no schema for the type.
    """

    def __init__(self, kind: Any) -> None:
        self.kind = kind
        if inspect.isroutine(kind):
            raise ConfigurationError(f"output_type must be a type, not the function {kind.__qualname__}")
        try:
            self._adapter: TypeAdapter[Any] = TypeAdapter(kind)
            schema = self._adapter.json_schema()
        except (PydanticUserError, TypeError, ValueError) as error:
            why = str(error).partition("\n")[0]
            raise ConfigurationError(f"output_type: pydantic has no JSON schema for {kind!r}: {why}") from None
        self._is_wrapped = schema.get("type") != "object" and "$ref" not in schema
        self.schema = _wrapped(schema) if self._is_wrapped else schema
        self.name = _NAME.sub("_", getattr(kind, "__name__", "") or "answer").strip("_")[:64] or "answer"
        self._strict: dict[str, Any] | None
        try:
            self._strict = strict_schema(self.schema, "output_type")
        except ConfigurationError:
            self._strict = None

    @property
    def is_strict(self) -> bool:
        """Whether the schema fits OpenAI's strict mode."""
        return self._strict is not None

    @property
    def response_format(self) -> dict[str, Any]:
        """The parameter ``response_format`` of OpenAI's schema mode."""
        schema = self.schema if self._strict is None else self._strict
        described = {"name": self.name, "schema": schema, "strict": self.is_strict}
        return {"type": "json_schema", "json_schema": described}

    tool_name: Final = ANSWER_TOOL
    """The name of that tool."""

    @property
    def tool(self) -> dict[str, Any]:
        """A tool whose arguments are the answer."""
        function = {
            "name": ANSWER_TOOL,
            "description": "Gives the answer to the user. Call it once, when the answer is complete.",
            "parameters": self.schema,
        }
        return {"type": "function", "function": function}

    @property
    def instructions(self) -> str:
        """What a model is told that has neither."""
        schema = json.dumps(self.schema, ensure_ascii=False)
        return f"Answer with JSON alone, without any other text. It must fit this JSON schema:\n{schema}"

    def parse(self, text: str) -> Any:
        """An answer as a value of the type.

        Args:
            text: JSON, perhaps with words or a fence around it.

        Raises:
            InvalidAnswerError: It is no JSON, or does not fit the type.
        """
        data = self._plain(text)
        try:
            # As JSON, because pydantic reads a date or a tuple from JSON alone in its strict mode.
            return self._adapter.validate_json(json.dumps(data))
        except ValidationError as error:
            raise InvalidAnswerError(_problems(error)) from None

    def restored(self, value: Any) -> Any:
        """A value of the type, from its plain form."""
        return self._adapter.validate_json(json.dumps(value))

    def partial(self, text: str) -> Any:
        """What has come of an answer, as the type as far as that can be: nothing is validated.

        Args:
            text: The beginning of JSON.

        Returns:
            A model or dataclass whose members that have not come are None, or their defaults; lists and dicts with what
            has come. None if nothing has.
        """
        begin = min((at for at in map(text.find, "{[") if at >= 0), default=-1)
        if begin < 0:
            return None
        try:
            data: Any = from_json(text[begin:], allow_partial="trailing-strings")
        except ValueError:
            return None
        if self._is_wrapped:
            data = cast("dict[str, Any]", data).get("value") if isinstance(data, dict) else None
        return _built(data, self.kind)

    def _plain(self, text: str) -> Any:
        for candidate in _candidates(text):
            try:
                found: Any = from_json(candidate)
            except ValueError:
                continue
            if isinstance(found, dict | list) or not self._is_wrapped:
                break
        else:
            raise InvalidAnswerError("it is no JSON")
        data: Any = without_needless_nulls(cast("Any", found), self.schema, self.schema)
        if not self._is_wrapped:
            return data
        # Without a schema mode, models leave the object around a list out.
        members: dict[str, Any] = cast("Any", data) if isinstance(data, dict) else {}
        return members.get("value", data)


def _wrapped(schema: dict[str, Any]) -> dict[str, Any]:
    inner = {name: value for name, value in schema.items() if name != "$defs"}
    outer = {"type": "object", "properties": {"value": inner}, "required": ["value"]}
    return {**outer, "$defs": schema["$defs"]} if "$defs" in schema else outer


def _candidates(text: str) -> list[str]:
    """What may be the JSON in a text: all of it, what is in a fence, what is between the outermost brackets."""
    begin = min((at for at in map(text.find, "{[") if at >= 0), default=0)
    end = max(text.rfind("}"), text.rfind("]")) + 1
    return [text, *_FENCED.findall(text), text[begin:end]]


def _problems(error: ValidationError) -> str:
    found = [f"{'.'.join(map(str, each['loc'])) or 'it'}: {each['msg']}" for each in error.errors(include_url=False)]
    return "; ".join(found)[:_MOST]


def _built(data: Any, kind: Any) -> Any:
    """Plain values as a type, without validation, with None for members that are missing."""
    origin = typing.get_origin(kind)
    if origin is not None:
        return _built_generic(data, origin, typing.get_args(kind))
    if not isinstance(data, dict) or not isinstance(kind, type):
        return cast("Any", data)
    members = cast("dict[str, Any]", data)
    made: type[Any] = kind
    if issubclass(made, BaseModel):
        return _model(members, made)
    if dataclasses.is_dataclass(made):
        return _dataclass(members, made)
    if is_typeddict(made):
        hints = typing.get_type_hints(made)
        return {name: _built(value, hints.get(name, Any)) for name, value in members.items()}
    return members


def _built_generic(data: Any, origin: Any, arguments: tuple[Any, ...]) -> Any:
    if origin is typing.Annotated:
        return _built(data, arguments[0])
    if origin in (Union, types.UnionType):
        parts = [part for part in arguments if part is not type(None)]
        # Which of several it will be is not known before it is whole.
        return _built(data, parts[0]) if len(parts) == 1 else data
    plain: Any = data
    if origin in (list, tuple, set, frozenset) and isinstance(data, list) and arguments:
        return [_built(item, arguments[0]) for item in plain]
    if origin is dict and isinstance(data, dict) and arguments:
        return {name: _built(value, arguments[1]) for name, value in plain.items()}
    return plain


def _model(members: dict[str, Any], kind: type[BaseModel]) -> BaseModel:
    values = dict[str, Any]()
    for name, field in kind.model_fields.items():
        given = next((each for each in (field.alias, name) if each in members), None)
        if given is not None:
            values[name] = _built(members[given], field.annotation)
        elif field.is_required():
            values[name] = None
    return kind.model_construct(set(values), **values)


def _dataclass(members: dict[str, Any], kind: Any) -> Any:
    made: Any = object.__new__(kind)
    hints = typing.get_type_hints(kind)
    for field in dataclasses.fields(kind):
        if field.name in members:
            value = _built(members[field.name], hints[field.name])
        elif field.default is not dataclasses.MISSING:
            value = field.default
        else:
            factory: Any = field.default_factory
            value = None if factory is dataclasses.MISSING else factory()
        object.__setattr__(made, field.name, value)
    return made
