"""JSON schemas for OpenAI's strict mode, and how its nulls are removed from arguments.

Strict mode has no optional members: every member is required, and null means that an optional one is left out. Models
send such nulls without strict mode too. :func:`without_needless_nulls` removes them.

The rules are in OpenAI's guide "Structured Outputs", under "Supported schemas":
https://platform.openai.com/docs/guides/structured-outputs
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, TypeAlias, cast

from headrace.errors import ConfigurationError

__all__ = ["resolve", "strict_schema", "without_needless_nulls"]

_Schema: TypeAlias = Mapping[str, Any]

_ANY: _Schema = {}
_FORMATS = frozenset({"date-time", "time", "date", "duration", "email", "hostname", "ipv4", "ipv6", "uuid"})
_DROPPED = frozenset({"default", "discriminator", "uniqueItems"})
_UNKNOWN = {
    "allOf": "a combination of schemas",
    "not": "a negation",
    "patternProperties": "an object with keys of any name",
    "prefixItems": "a tuple",
}


def resolve(schema: _Schema, root: _Schema) -> _Schema:
    """Follows a ``$ref`` into ``$defs``; returns any other schema unchanged."""
    while "$ref" in schema:
        schema = root["$defs"][schema["$ref"].removeprefix("#/$defs/")]
    return schema


def without_needless_nulls(value: object, schema: _Schema, root: _Schema) -> Any:
    """Removes each member that is null, if it is not required and its schema does not allow null.

    Args:
        value: The parsed JSON.
        schema: Its schema before the change for strict mode, so that ``required`` lists only the required members.
        root: The schema that has the ``$defs``.

    Returns:
        The value without those members.
    """
    if isinstance(value, dict):
        members = cast("dict[str, Any]", value)
        return _object_without_nulls(members, _branch(schema, members, root), root)
    if isinstance(value, list):
        items = cast("list[object]", value)
        inner = _list_schema(schema, root)
        return [without_needless_nulls(item, inner, root) for item in items]
    return value


def _object_without_nulls(value: dict[str, Any], schema: _Schema, root: _Schema) -> dict[str, Any]:
    properties: _Schema = schema.get("properties", {})
    required = schema.get("required", ())
    other = _schema_or_any(schema.get("additionalProperties"))
    return {
        key: without_needless_nulls(member, properties.get(key, other), root)
        for key, member in value.items()
        if member is not None or key not in properties or key in required or _accepts_null(properties[key], root)
    }


def _branch(schema: _Schema, value: Mapping[str, Any], root: _Schema) -> _Schema:
    """The first schema of a union that has all keys of an object, or a schema for any key."""
    for branch in _branches(schema, root):
        if isinstance(branch.get("additionalProperties"), dict) or value.keys() <= branch.get("properties", {}).keys():
            return branch
    return resolve(schema, root)


def _list_schema(schema: _Schema, root: _Schema) -> _Schema:
    return next((_schema_or_any(branch["items"]) for branch in _branches(schema, root) if "items" in branch), _ANY)


def _schema_or_any(schema: object) -> _Schema:
    """A subschema, which may also be true, false or missing."""
    return cast("_Schema", schema) if isinstance(schema, dict) else _ANY


def _branches(schema: _Schema, root: _Schema) -> Iterable[_Schema]:
    schema = resolve(schema, root)
    union = schema.get("anyOf") or schema.get("oneOf")
    if union is None:
        return (schema,)
    return (inner for branch in union for inner in _branches(branch, root))


def _accepts_null(schema: _Schema, root: _Schema) -> bool:
    return any(_branch_accepts_null(branch) for branch in _branches(schema, root))


def _branch_accepts_null(schema: _Schema) -> bool:
    if "const" in schema:
        return schema["const"] is None
    if "enum" in schema:
        return None in schema["enum"]
    return "null" in schema.get("type", "null")  # a type, or a list of types


def strict_schema(schema: _Schema, where: str) -> dict[str, Any]:
    """Converts a schema for strict mode. It allows the same values, but null instead of leaving out a member.

    Args:
        schema: A JSON schema as pydantic writes it.
        where: The name of the tool or parameter, for error messages.

    Returns:
        A new schema.

    Raises:
        ConfigurationError: Strict mode does not support the schema.
    """
    return _strict(schema, where, schema)


def _strict(schema: _Schema, where: str, root: _Schema) -> dict[str, Any]:
    _refuse_unknown(schema, where)
    strict = {key: value for key, value in schema.items() if key not in _DROPPED}
    if strict.get("format") not in _FORMATS:
        strict.pop("format", None)
    if "$defs" in strict:
        strict["$defs"] = {name: _strict(inner, name, root) for name, inner in strict["$defs"].items()}
    if "$ref" in strict and len(strict) > 1:
        # Strict mode allows no other member beside `$ref`.
        return strict | {"anyOf": [{"$ref": strict.pop("$ref")}]}
    if union := strict.pop("oneOf", strict.get("anyOf")):
        return strict | {"anyOf": [_strict(branch, where, root) for branch in union]}
    if strict.get("type") == "object":
        return strict | _strict_object(strict, where, root)
    if strict.get("type") == "array":
        return strict | {"items": _strict(strict.get("items", {}), where, root)}
    if strict.keys().isdisjoint(("type", "$ref", "enum", "const")):
        raise _no_strict(where, "a value of any type")
    return strict


def _strict_object(schema: _Schema, where: str, root: _Schema) -> dict[str, Any]:
    if schema.get("additionalProperties", False) is not False:
        raise _no_strict(where, _UNKNOWN["patternProperties"])
    required = schema.get("required", ())
    properties: dict[str, Any] = {}
    for name, inner in schema.get("properties", {}).items():
        member = _strict(inner, f"{where}.{name}", root)
        properties[name] = member if name in required or _accepts_null(inner, root) else _or_null(member)
    return {"properties": properties, "required": list(properties), "additionalProperties": False}


def _refuse_unknown(schema: _Schema, where: str) -> None:
    for keyword, meaning in _UNKNOWN.items():
        if keyword in schema:
            raise _no_strict(where, meaning)


def _no_strict(where: str, what: str) -> ConfigurationError:
    return ConfigurationError(f"{where} cannot be strict: OpenAI's strict mode has no schema for {what}")


def _or_null(schema: dict[str, Any]) -> dict[str, Any]:
    # The description stays outside of `anyOf`, where models read it.
    outside = {"description": schema.pop("description")} if "description" in schema else {}
    return {**outside, "anyOf": [*schema.get("anyOf", [schema]), {"type": "null"}]}
