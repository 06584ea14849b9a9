"""Tools: the schema that is made of a function, and the arguments that it gets."""

from __future__ import annotations

import dataclasses
import enum
import functools
import json
import pathlib
import sys
import typing
import uuid  # noqa: TC003 - pydantic evaluates the annotations
from collections.abc import Callable
from datetime import date, datetime
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeVar

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ConfigDict, Field, model_validator
from typing_extensions import NotRequired, Required, TypedDict, Unpack

from headrace.errors import ConfigurationError
from headrace.tools import Tool, Toolbox, ToolResult, as_tool
from headrace.types import ToolCall
from support.harness import PATIENCE, run_python

if TYPE_CHECKING:
    from decimal import Decimal

F = TypeVar("F", bound=Callable[..., Any])


class Unit(enum.Enum):
    CELSIUS = "C"
    FAHRENHEIT = "F"


class Place(BaseModel):
    """Somewhere."""

    city: str = Field(description="Its name.")
    country: str = "NL"


class Node(BaseModel):
    value: int
    children: list[Node] = []


@dataclasses.dataclass
class Point:
    x: float
    y: float = 0.0


class Options(TypedDict, total=False):
    depth: int
    label: str


class Strict(BaseModel):
    model_config = ConfigDict(strict=True)
    day: date
    unit: Unit
    pair: tuple[int, int]


class Opaque:
    """A type that pydantic does not know, and whose ``repr`` is an address."""


class Spoken(Opaque):
    def __str__(self) -> str:
        return "spoken"


def parameters(function: Callable[..., Any], **options: Any) -> dict[str, Any]:
    schema: dict[str, Any] = as_tool(function, **options).schema()["function"]["parameters"]
    return schema


def call(name: str, arguments: dict[str, Any] | str = "") -> ToolCall:
    return ToolCall("id", name, arguments if isinstance(arguments, str) else json.dumps(arguments))


def result_of(function: Callable[..., Any] | Tool, arguments: dict[str, Any] | str = "", **options: Any) -> ToolResult:
    """The result of one call of one tool."""
    tool = as_tool(function)
    (result,) = Toolbox([tool], **options).run_sync([call(tool.name, arguments)])
    return result


def value_of(function: Callable[..., Any] | Tool, arguments: dict[str, Any] | str = "") -> Any:
    result = result_of(function, arguments)
    assert result.error is None, result.content
    return result.value


# The schema for the model


def test_a_schema_is_in_openais_form() -> None:
    def weather(city: str, days: int = 3) -> str:
        """Tells the weather.

        It does so without warranty.

        Args:
            city: Where.
            days: How many days
                ahead.

        Returns:
            Prose.
        """
        return f"{city} {days}"

    assert as_tool(weather).schema() == {
        "type": "function",
        "function": {
            "name": "weather",
            "description": "Tells the weather.\n\nIt does so without warranty.",
            "parameters": {
                "type": "object",
                "properties": {
                    "city": {"type": "string", "description": "Where."},
                    "days": {"type": "integer", "default": 3, "description": "How many days\nahead."},
                },
                "required": ["city"],
                "additionalProperties": False,
            },
        },
    }


@pytest.mark.parametrize(
    "docstring",
    [
        "Adds.\n\nArgs:\n    a: The one.\n    b (int): The other.",
        "Adds.\n\nParameters\n----------\na : int\n    The one.\nb : int\n    The other.",
        "Adds.\n\n:param a: The one.\n:param int b: The other.\n:returns: The sum.",
    ],
    ids=["google", "numpy", "sphinx"],
)
def test_descriptions_come_from_the_docstring(docstring: str) -> None:
    def add(a: int, b: int) -> int:
        return a + b

    add.__doc__ = docstring
    tool = as_tool(add)
    assert tool.description == "Adds."
    assert [tool.parameters["properties"][name]["description"] for name in "ab"] == ["The one.", "The other."]


def test_the_description_of_a_field_has_priority_over_the_docstring() -> None:
    def add(
        a: Annotated[int, Field(description="The field's.", ge=0)], b: int = Field(2, description="Default.")
    ) -> int:
        """Adds.

        Args:
            a: The docstring's.
            b: The docstring's.
        """
        return a + b

    properties = parameters(add)["properties"]
    assert properties["a"] == {"type": "integer", "minimum": 0, "description": "The field's."}
    assert properties["b"] == {"type": "integer", "default": 2, "description": "Default."}
    assert value_of(add, {"a": 1}) == 3


def test_a_function_without_docstring_has_no_description() -> None:
    def silent() -> None:
        pass

    assert "description" not in as_tool(silent).schema()["function"]
    assert parameters(silent) == {"type": "object", "properties": {}, "additionalProperties": False}


def test_a_parameter_with_a_reference_keeps_its_description() -> None:
    def go(place: Place) -> None:
        """Goes.

        Args:
            place: Where to.
        """

    schema = parameters(go)
    assert schema["properties"]["place"] == {"$ref": "#/$defs/Place", "description": "Where to."}
    assert schema["$defs"]["Place"]["required"] == ["city"]


def test_a_recursive_type_refers_to_itself() -> None:
    def total(tree: Node) -> int:
        return tree.value + sum(total(child) for child in tree.children)

    items = parameters(total)["$defs"]["Node"]["properties"]["children"]["items"]
    assert items == {"$ref": "#/$defs/Node"}
    assert value_of(total, {"tree": {"value": 1, "children": [{"value": 2}, {"value": 3}]}}) == 6


def test_a_default_that_is_not_json_is_not_in_the_schema() -> None:
    sentinel = Opaque()

    def find(limit: Any = sentinel) -> bool:
        return limit is sentinel

    assert parameters(find)["properties"] == {"limit": {}}
    assert value_of(find) is True


def test_a_mutable_default_is_not_shared_between_calls() -> None:
    def grow(item: int, into: list[int] = []) -> list[int]:  # noqa: B006 - the point
        into.append(item)
        return into

    assert value_of(grow, {"item": 1}) == [1]
    assert value_of(grow, {"item": 2}) == [2]


def test_literals_enums_unions_and_containers_have_their_schemas() -> None:
    def find(
        mode: Literal["a", "b"], unit: Unit, key: int | str, many: dict[str, list[float]], maybe: int | None = None
    ) -> Any:
        return mode, unit, key, many, maybe

    schema = parameters(find)
    properties = schema["properties"]
    assert properties["mode"] == {"enum": ["a", "b"], "type": "string"}
    assert schema["$defs"]["Unit"]["enum"] == ["C", "F"]
    assert properties["key"] == {"anyOf": [{"type": "integer"}, {"type": "string"}]}
    assert properties["many"]["additionalProperties"] == {"items": {"type": "number"}, "type": "array"}
    assert properties["maybe"] == {"anyOf": [{"type": "integer"}, {"type": "null"}], "default": None}


def test_changing_a_returned_schema_does_not_change_the_tool() -> None:
    toolbox = Toolbox([echo])
    toolbox.schemas[0]["function"]["parameters"].clear()
    as_tool_schema = (tool := as_tool(echo)).schema()
    as_tool_schema["function"]["parameters"].clear()
    assert toolbox.schemas[0]["function"]["parameters"]
    assert tool.schema()["function"]["parameters"]


# What can be a tool


class Counter:
    """Counts."""

    def __init__(self, start: int) -> None:
        self.count = start

    def add(self, by: int = 1) -> int:
        """Adds.

        Args:
            by: How much.
        """
        self.count += by
        return self.count

    def __call__(self, by: int) -> int:
        return self.add(by)

    @classmethod
    def made(cls, start: int) -> int:
        return cls(start).count

    @staticmethod
    def plus(a: int, b: int) -> int:
        return a + b


def test_self_is_not_a_parameter_of_a_method() -> None:
    tool = as_tool(Counter(1).add)
    assert tool.parameters["properties"] == {"by": {"type": "integer", "default": 1, "description": "How much."}}
    assert value_of(tool, {"by": 2}) == 3
    assert value_of(Counter.made, {"start": 4}) == 4
    assert value_of(Counter.plus, {"a": 4, "b": 5}) == 9


def test_the_tool_of_a_callable_object_has_the_name_of_its_class() -> None:
    tool = as_tool(Counter(1))
    assert (tool.name, tool.description) == ("Counter", "Counts.")
    assert value_of(tool, {"by": 2}) == 3


def test_the_arguments_of_a_partial_are_hidden_from_the_model() -> None:
    def send(to: str, text: str, key: str = "", **headers: str) -> Any:
        return to, text, key, headers

    tool = as_tool(functools.partial(send, "me", key="secret"))
    assert tool.name == "send"
    assert list(tool.parameters["properties"]) == ["text"]
    assert value_of(tool, {"text": "hi", "x": "y"}) == ("me", "hi", "secret", {"x": "y"})
    result = result_of(tool, {"text": "hi", "key": "mine"})
    assert result.error == "invalid_arguments"
    assert "key" in result.content


def test_a_decorated_function_keeps_its_signature() -> None:
    def loud(function: F) -> F:
        @functools.wraps(function)
        def wrapper(*args: Any, **kwargs: Any) -> Any:
            return function(*args, **kwargs).upper()

        return wrapper  # type: ignore[return-value]

    @loud
    def greet(place: Place) -> str:
        """Greets."""
        return place.city

    tool = as_tool(greet)
    assert (tool.name, tool.description, list(tool.parameters["properties"])) == ("greet", "Greets.", ["place"])
    assert value_of(tool, {"place": {"city": "Delft"}}) == "DELFT"


def test_the_tool_of_a_model_or_dataclass_makes_an_instance() -> None:
    tool = as_tool(Place)
    assert (tool.name, tool.description) == ("Place", "Somewhere.")
    assert tool.parameters["properties"]["city"] == {"type": "string", "description": "Its name."}
    assert value_of(tool, {"city": "Delft"}) == Place(city="Delft")
    assert value_of(Point, {"x": 1}) == Point(1.0)
    assert as_tool(Point).description == ""
    assert parameters(Node)["required"] == ["value"]
    assert result_of(Place, {"city": 1}).error == "invalid_arguments"


def test_the_tool_of_any_other_class_makes_an_instance() -> None:
    assert result_of(Counter, {"start": 3}).value.count == 3


def test_a_parameter_may_have_any_name() -> None:
    def odd(
        self: int, ctx: int, arguments: int, model_config: int, schema: int, cls: int = 0, _private: int = 0
    ) -> Any:
        return self, ctx, arguments, model_config, schema, cls, _private

    given = {"self": 1, "ctx": 2, "arguments": 3, "model_config": 4, "schema": 5, "cls": 6, "_private": 7}
    assert list(parameters(odd)["properties"]) == list(given)
    assert value_of(odd, given) == (1, 2, 3, 4, 5, 6, 7)


def test_every_kind_of_parameter_except_args_is_supported() -> None:
    def mixed(a: int, /, b: int, c=3, *, d: int = 4, **more: int) -> Any:  # type: ignore[no-untyped-def]
        return a, b, c, d, more

    assert parameters(mixed)["additionalProperties"] == {"type": "integer"}
    assert parameters(mixed)["properties"]["c"] == {"default": 3}
    assert value_of(mixed, {"a": 1, "b": 2, "e": "5"}) == (1, 2, 3, 4, {"e": 5})
    with pytest.raises(ConfigurationError, match=r"'join'.*\*parts"):
        as_tool(lambda *parts: parts, name="join")


def test_kwargs_may_be_annotated_with_a_typed_dict() -> None:
    def dig(**options: Unpack[Options]) -> Any:
        return options

    schema = parameters(dig)
    assert schema["properties"] == {"depth": {"type": "integer"}, "label": {"type": "string"}}
    assert schema["additionalProperties"] is False
    assert value_of(dig, {"depth": "3", "label": None}) == {"depth": 3}


def test_the_model_uses_the_alias_of_a_parameter() -> None:
    def between(start: Annotated[int, Field(alias="from")], to: int) -> Any:
        return start, to

    assert list(parameters(between)["properties"]) == ["from", "to"]
    assert value_of(between, {"from": 1, "to": 2}) == (1, 2)


def test_as_tool_returns_a_tool_unchanged() -> None:
    tool = as_tool(Counter.plus)
    assert as_tool(tool) is tool
    assert dataclasses.replace(tool, name="sum").schema()["function"]["name"] == "sum"
    with pytest.raises(ConfigurationError, match=r"dataclasses\.replace"):
        as_tool(tool, name="sum")


class Old(typing.TypedDict):
    """Pydantic takes only the one of typing_extensions, before Python 3.12."""

    day: date
    note: NotRequired[str]


class OldOuter(typing.TypedDict, total=False):
    one: Required[Old]
    more: list[Old]


def test_a_typed_dict_may_be_that_of_typing() -> None:
    def keep(outer: OldOuter, others: dict[str, Old] | None = None) -> Any:
        return outer, others

    schema = parameters(keep)
    assert schema["$defs"]["OldOuter"]["required"] == ["one"]
    assert schema["$defs"]["Old"]["required"] == ["day"]
    (one, others) = value_of(keep, {"outer": {"one": {"day": "2026-01-02"}}, "others": {"x": {"day": "2026-01-03"}}})
    assert (one, others) == ({"one": {"day": date(2026, 1, 2)}}, {"x": {"day": date(2026, 1, 3)}})
    assert "day" in result_of(keep, {"outer": {"one": {}}}).content


class Tree(typing.TypedDict):
    children: list[Tree]


@pytest.mark.skipif(sys.version_info >= (3, 12), reason="pydantic takes it")
def test_a_typed_dict_that_cannot_be_taken_is_refused_with_advice() -> None:
    def plant(tree: Tree) -> None:
        raise NotImplementedError(tree)

    with pytest.raises(ConfigurationError, match=r"'plant'.*'tree'.*typing_extensions\.TypedDict"):
        as_tool(plant)


def test_a_literal_may_be_the_member_of_an_enum() -> None:
    def show(unit: Literal[Unit.CELSIUS], more: list[Literal[Unit.FAHRENHEIT, "K"]] | None = None) -> Any:
        return unit, more

    assert parameters(show)["properties"]["unit"] == {"const": "C", "type": "string"}
    assert value_of(show, {"unit": "C", "more": ["F", "K"]}) == (Unit.CELSIUS, [Unit.FAHRENHEIT, "K"])
    assert result_of(show, {"unit": "F"}).error == "invalid_arguments"


def test_name_and_description_may_be_given() -> None:
    tool = as_tool(lambda x: x, name="same", description="Returns it.")
    assert (tool.name, tool.description) == ("same", "Returns it.")


def unevaluable(amount: Decimal) -> int:
    return int(amount)


def evaluable(amount: int) -> Decimal:
    raise NotImplementedError(amount)


def test_only_the_annotations_of_parameters_are_evaluated() -> None:
    assert list(parameters(evaluable)["properties"]) == ["amount"]
    with pytest.raises(ConfigurationError, match=r"'unevaluable'.*'Decimal'.*'amount'.*TYPE_CHECKING"):
        as_tool(unevaluable)


def opaque(place: Place, thing: Opaque) -> None:
    raise NotImplementedError(place, thing)


def callback(then: Callable[[], None]) -> None:
    raise NotImplementedError(then)


def generator() -> Any:
    yield 1


async def async_generator() -> Any:
    yield 1


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (opaque, r"'opaque'.*'thing'.*Opaque.*functools\.partial"),
        (callback, r"'callback'.*'then'"),
        (generator, r"'generator'.*generator"),
        (async_generator, r"'async_generator'.*generator"),
        (iter, r"'iter'.*signature"),
        (Counter.add, r"'add'.*method of Counter without an object.*'self'.*Counter\(\)\.add"),
        (functools.wraps(Counter.add)(lambda *_: 0), r"'add'.*method of Counter"),
        (str.upper, r"'upper'.*method of str"),
        (lambda: 0, r"'<lambda>'.*name="),
        (3, r"3.*cannot be called"),
    ],
)
def test_the_error_for_something_that_cannot_be_a_tool_names_it(function: Any, message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        as_tool(function)


@given(st.text(alphabet=st.characters(max_codepoint=0x17F), max_size=70))
def test_a_tool_name_must_be_valid_for_every_provider(name: str) -> None:
    if 0 < len(name) <= 64 and all(letter.isascii() and (letter.isalnum() or letter in "_-") for letter in name):
        assert as_tool(evaluable, name=name).name == name
    else:
        with pytest.raises(ConfigurationError, match="cannot be a tool's name"):
            as_tool(evaluable, name=name)


# Strict mode


def test_a_strict_schema_requires_every_member_and_allows_null_for_optional_ones() -> None:
    def find(place: Place, unit: Annotated[Unit, Field(description="In what.")] = Unit.CELSIUS, days: int = 3) -> Any:
        return place, unit, days

    tool = as_tool(find, strict=True)
    assert tool.schema()["function"]["strict"] is True
    schema = tool.parameters
    assert schema["required"] == ["place", "unit", "days"]
    assert schema["additionalProperties"] is False
    assert schema["properties"]["unit"] == {
        "anyOf": [{"$ref": "#/$defs/Unit"}, {"type": "null"}],
        "description": "In what.",
    }
    assert schema["properties"]["days"] == {"anyOf": [{"type": "integer"}, {"type": "null"}]}
    assert schema["$defs"]["Place"] == {
        "type": "object",
        "title": "Place",
        "description": "Somewhere.",
        "properties": {
            "city": {"type": "string", "description": "Its name."},
            "country": {"anyOf": [{"type": "string"}, {"type": "null"}]},
        },
        "required": ["city", "country"],
        "additionalProperties": False,
    }
    assert value_of(tool, {"place": {"city": "Delft", "country": None}, "unit": None, "days": None}) == (
        Place(city="Delft"),
        Unit.CELSIUS,
        3,
    )


def test_a_strict_schema_has_only_keywords_that_openai_supports() -> None:
    class Cat(BaseModel):
        kind: Literal["cat"]
        lives: int = 9

    class Dog(BaseModel):
        kind: Literal["dog"]

    def adopt(pet: Any, tags: Any, where: Any) -> Any:
        return pet, tags, where

    adopt.__annotations__ = {
        "pet": Annotated[Cat | Dog, Field(discriminator="kind")],
        "tags": set[str],
        "where": pathlib.Path | None,
    }
    tool = as_tool(adopt, strict=True)
    text = json.dumps(tool.parameters)
    for keyword in ("oneOf", "discriminator", "uniqueItems", "format", "default"):
        assert f'"{keyword}"' not in text
    arguments = {"pet": {"kind": "cat", "lives": None}, "tags": ["a", "a"], "where": None}
    assert value_of(tool, arguments) == (Cat(kind="cat"), {"a"}, None)


@pytest.mark.parametrize("annotation", [Any, dict[str, int], tuple[int, str], list[Any], dict])
def test_a_type_that_strict_mode_does_not_support_is_refused(annotation: Any) -> None:
    def take(thing: Any) -> Any:
        return thing

    take.__annotations__["thing"] = annotation
    with pytest.raises(ConfigurationError, match=r"take\.thing cannot be strict"):
        as_tool(take, strict=True)


@given(st.sets(st.sampled_from(["a", "b", "place", "many"])))
def test_null_for_a_parameter_with_a_default_means_left_out(nulls: set[str]) -> None:
    def take(a: int = 1, b: int | None = 2, place: Place = Place(city="Delft"), many: list[Point] = [Point(1)]) -> Any:  # noqa: B006, B008
        return a, b, place, many

    a, b, place, many = value_of(take, dict.fromkeys(nulls))
    assert (a, place, many) == (1, Place(city="Delft"), [Point(1)])
    assert b == (None if "b" in nulls else 2)


def test_null_inside_an_argument_means_left_out() -> None:
    def take(points: list[Point], named: dict[str, Place] | None, either: Point | Place) -> Any:
        return points, named, either

    arguments = {
        "points": [{"x": 1, "y": None}],
        "named": {"home": {"city": "Delft", "country": None}},
        "either": {"city": "Delft", "country": None},
    }
    delft = Place(city="Delft")
    assert value_of(take, arguments) == ([Point(1)], {"home": delft}, delft)
    assert result_of(take, arguments | {"points": [{"x": None}]}).error == "invalid_arguments"


# Arguments


def echo(value: Any) -> Any:
    return value


def echoing(annotation: Any) -> Tool:
    def echo(value: Any) -> Any:
        return value

    echo.__annotations__["value"] = annotation
    return as_tool(echo)


class Everything(BaseModel):
    number: int
    flag: bool
    text: str
    maybe: int | None
    moment: datetime
    id: uuid.UUID
    unit: Unit
    word: Literal["a", 1]
    days: list[date]
    numbers: set[int]
    pair: tuple[int, str]
    lists: dict[str, list[int]]
    place: Place
    strict: Strict
    options: Options


ECHO_EVERYTHING = echoing(Everything)


@given(st.from_type(Everything))
def test_arguments_are_converted_from_json_to_the_annotated_types(value: Everything) -> None:
    assert ECHO_EVERYTHING.bind(f'{{"value": {value.model_dump_json()}}}').run() == value


@pytest.mark.parametrize("nothing", ["", "  \n", "null", "{}"])
def test_no_arguments_are_an_empty_object(nothing: str) -> None:
    assert value_of(as_tool(lambda: "ran", name="run"), nothing) == "ran"


@pytest.mark.parametrize(
    ("arguments", "explained"),
    [
        ('{"city": "De', ["valid JSON", "line 1 column 12"]),
        ("[1]", ["one JSON object", "[1]"]),
        ('"one"', ["one JSON object"]),
        ("{}", ["city: it is required, but missing", "city (required), days"]),
        ('{"city": "Delft", "days": "three"}', ["days: ", "integer", '(got "three")']),
        ('{"city": "Delft", "dayz": 3}', ["dayz: there is no such parameter", "days"]),
        ('{"city": "Delft", "days": 9}', ["days: ", "less than or equal to 5", "(got 9)"]),
        ('{"city": {"name": "Delft"}}', ["city: ", "string"]),
    ],
)
def test_invalid_arguments_are_explained_to_the_model(arguments: str, explained: list[str]) -> None:
    def weather(city: str, days: Annotated[int, Field(le=5)] = 3) -> Any:
        raise NotImplementedError(city, days)

    result = result_of(weather, arguments)
    assert (result.error, result.value, result.duration) == ("invalid_arguments", None, 0.0)
    for words in ["'weather' was not called", *explained]:
        assert words in result.content


def test_an_explanation_of_many_errors_is_short() -> None:
    result = result_of(echoing(list[int]), {"value": ["x" * 1000] * 1000})
    assert "value.9: " in result.content
    assert "and 990 more" in result.content
    assert len(result.content) < 3000


def test_an_exception_of_a_validator_is_a_failure_of_the_tool() -> None:
    class Fragile(BaseModel):
        @model_validator(mode="after")
        def _break(self) -> Any:
            raise KeyError("broken")

    assert result_of(echoing(Fragile), {"value": {}}).error == "exception"


# Tools without a signature


def wrapped(value: object, times: int = 1) -> str:
    """JSON of a value, in a string, as often as asked."""
    text = json.dumps(value)
    for _ in range(times):
        text = json.dumps(text)
    return text


@pytest.mark.parametrize("times", [0, 1, 2])
def test_arguments_that_are_json_in_a_string_are_read(times: int) -> None:
    assert value_of(echoing(dict[str, int]), wrapped({"value": {"a": 1}}, times)) == {"a": 1}


@pytest.mark.parametrize("text", ['"hello"', '"[1]"', '""', '"{"', "[1]"])
def test_a_string_that_is_no_object_is_not_read(text: str) -> None:
    result = result_of(echoing(Any), text)
    assert result.error == "invalid_arguments"
    assert "must be one JSON object" in result.content


@pytest.mark.parametrize(
    ("annotation", "value", "read"),
    [
        (list[int], "[1, 2]", [1, 2]),
        (list[int] | None, "[1]", [1]),
        (dict[str, Any], '{"a": "[1]"}', {"a": "[1]"}),
        (Place, '{"city": "Delft"}', Place(city="Delft")),
        (list[Place], ['{"city": "Delft"}'], [Place(city="Delft")]),
        (list[Place], '["{\\"city\\": \\"Delft\\"}"]', [Place(city="Delft")]),
        (Node, {"value": 1, "children": '[{"value": 2, "children": "[]"}]'}, Node(value=1, children=[Node(value=2)])),
        (dict[str, list[int]], {"a": "[1]"}, {"a": [1]}),
        (tuple[list[int], str], ["[1]", "[2]"], ([1], "[2]")),
        # These are meant as strings.
        (str, "[1]", "[1]"),
        (Any, '{"a": 1}', '{"a": 1}'),
        (str | list[int], "[1]", "[1]"),
        (list[str], ["[1]"], ["[1]"]),
    ],
    ids=repr,
)
def test_a_member_that_is_json_in_a_string_is_read_where_the_schema_takes_no_string(
    annotation: Any, value: Any, read: Any
) -> None:
    assert value_of(echoing(annotation), {"value": value}) == read


def test_a_string_of_the_wrong_json_is_an_error() -> None:
    for text in ('{"a": 1}', "[1", "one"):
        assert result_of(echoing(list[int]), {"value": text}).error == "invalid_arguments"


def test_json_in_a_string_is_read_by_the_schema_of_any_tool() -> None:
    schema = {
        "type": "object",
        "properties": {
            "steps": {"type": "array", "items": {"$ref": "#/definitions/step"}},
            "endless": {"$ref": "#/definitions/endless"},
            "unknown": {"$ref": "elsewhere.json"},
        },
        "definitions": {
            "step": {"type": ["object", "null"], "properties": {"ids": {"items": {"type": "integer"}}}},
            "endless": {"anyOf": [{"$ref": "#/definitions/endless"}, {"type": "array"}]},
        },
    }
    given = {"steps": '[{"ids": "[1]"}]', "endless": "[2]", "unknown": "[3]", "other": "[4]"}
    read = {"steps": [{"ids": [1]}], "endless": [2], "unknown": "[3]", "other": "[4]"}
    assert value_of(Tool.from_schema("echo", "", schema, lambda arguments: arguments), given) == read
    raw = {"type": "function", "function": {"name": "raw", "parameters": schema}}
    (recorded,) = Toolbox(raw_schemas=[raw]).run_sync([call("raw", wrapped(given))])
    assert recorded.value == read


@pytest.mark.parametrize("kind", ["sync", "async"])
def test_a_tool_may_be_made_of_a_schema(kind: str) -> None:
    def sync_call(arguments: dict[str, Any]) -> Any:
        return arguments

    async def async_call(arguments: dict[str, Any]) -> Any:
        return arguments

    given = {"type": "object", "required": ["q"]}
    tool = Tool.from_schema("search", "Searches.", given, sync_call if kind == "sync" else async_call, timeout=PATIENCE)
    assert tool.schema()["function"] == {
        "name": "search",
        "description": "Searches.",
        "parameters": {"type": "object", "properties": {}, "required": ["q"]},
    }
    assert tool.is_async == (kind == "async")
    assert value_of(tool, {"q": [1], "self": None}) == {"q": [1], "self": None}
    assert result_of(tool, "[]").error == "invalid_arguments"
    with pytest.raises(ConfigurationError, match="'object'"):
        Tool.from_schema("search", "", {"type": "string"}, sync_call)


def test_importing_tools_loads_no_pydantic() -> None:
    done = run_python("import headrace.tools, sys; print({'pydantic', 'docstring_parser'} & sys.modules.keys())")
    assert (done.stdout, done.stderr) == ("set()\n", "")
