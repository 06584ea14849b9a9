r"""Reads arguments that a model wrote as JSON in a string, where the schema wants an object or an array.

Models do this with nested arguments: ``{"point": "{\"x\": 1}"}``. A string is read only where the schema takes no
string, and only if it is JSON of the kind that the schema takes. So no string that was meant as one is changed.

Schemas may come from anybody, such as an MCP server, so nothing is expected of them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypeAlias, cast

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["decoded"]

_Schema: TypeAlias = Mapping[str, Any]

_ANY: _Schema = {}
_MOST_BRANCHES = 200
_KINDS = {"object": dict, "array": list}


def decoded(value: object, schema: object, root: object) -> Any:
    """Replaces strings that are JSON of an object or array, if the schema takes that and no string.

    Args:
        value: The parsed arguments, or a part of them.
        schema: Its schema.
        root: The schema that has the definitions.

    Returns:
        The value, with those strings replaced.
    """
    branches = _branches(schema, root)
    if isinstance(value, str):
        read = _read(value, branches)
        return value if read is None else decoded(read, schema, root)
    if not any(branches):
        return value  # nothing is known of what is in it
    if isinstance(value, dict):
        members = cast("dict[str, Any]", value)
        branch = _branch_for(members, branches)
        return {key: decoded(member, _member_schema(branch, key), root) for key, member in members.items()}
    if isinstance(value, list):
        items = cast("list[object]", value)
        branch = next((branch for branch in branches if "items" in branch or "prefixItems" in branch), _ANY)
        return [decoded(item, _item_schema(branch, index), root) for index, item in enumerate(items)]
    return value


def _read(text: str, branches: Sequence[_Schema]) -> object:
    """The object or array in a string; None if it is not one that the schema takes."""
    from pydantic_core import from_json

    wanted = tuple(_KINDS[kind] for kind in _KINDS if any(_takes(branch, kind) for branch in branches))
    if not wanted or any(_takes(branch, "string") for branch in branches) or not text.lstrip().startswith(("{", "[")):
        return None
    try:
        value: object = from_json(text.encode(errors="surrogatepass"))
    except ValueError:
        return None
    return cast("object", value) if isinstance(value, wanted) else None


def _takes(branch: _Schema, kind: str) -> bool:
    """Whether a schema takes values of this kind, or any value."""
    taken: object = branch.get("type")
    if isinstance(taken, str):
        return taken == kind
    if isinstance(taken, list):
        return kind in taken
    for member, named in (("properties", "object"), ("items", "array")):
        if member in branch:
            return kind == named
    choices = (
        branch["enum"] if isinstance(branch.get("enum"), list) else [branch["const"]] if "const" in branch else None
    )
    if choices is not None:
        return any(isinstance(choice, str) for choice in cast("list[object]", choices)) if kind == "string" else False
    return True


def _branch_for(members: Mapping[str, Any], branches: Sequence[_Schema]) -> _Schema:
    """The first schema of a union that names all keys of an object, or takes any key."""
    for branch in branches:
        if isinstance(branch.get("additionalProperties"), Mapping) or members.keys() <= _properties(branch).keys():
            return branch
    return next((branch for branch in branches if _properties(branch)), _ANY)


def _properties(branch: _Schema) -> _Schema:
    properties: object = branch.get("properties")
    return cast("_Schema", properties) if isinstance(properties, Mapping) else _ANY


def _member_schema(branch: _Schema, key: str) -> object:
    return _properties(branch).get(key, branch.get("additionalProperties"))


def _item_schema(branch: _Schema, index: int) -> object:
    first: object = branch.get("prefixItems")
    if isinstance(first, list) and index < len(cast("list[object]", first)):
        return cast("list[object]", first)[index]
    return branch.get("items")


def _branches(schema: object, root: object) -> list[_Schema]:
    """The schemas of a union, without references. A schema that refers to itself is left out after some rounds."""
    branches: list[_Schema] = []
    waiting = [schema]
    for _ in range(_MOST_BRANCHES):
        if not waiting:
            break
        current = waiting.pop(0)
        if not isinstance(current, Mapping):
            branches.append(_ANY)
            continue
        current = cast("_Schema", current)
        union: object = current.get("anyOf") or current.get("oneOf")
        if "$ref" in current:
            waiting.append(_target(current["$ref"], root))
        elif isinstance(union, list):
            waiting += cast("list[object]", union)
        else:
            branches.append(current)
    return branches


def _target(reference: object, root: object) -> object:
    """What a reference such as ``#/$defs/Point`` refers to; None if there is nothing."""
    target = root
    for step in str(reference).removeprefix("#").split("/")[1:]:
        if not isinstance(target, Mapping):
            return None
        target = cast("_Schema", target).get(step.replace("~1", "/").replace("~0", "~"))
    return target
