"""What a model wrote is repaired, so that the next provider accepts the conversation."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace._conversation.legal import BRIDGE, NO_RESULT, legal_arguments, legal_messages


def asked(*calls: tuple[Any, Any, Any]) -> dict[str, Any]:
    """An assistant's message with calls: id, name, arguments."""
    made = [
        {"id": call_id, "type": "function", "function": {"name": name, "arguments": arguments}}
        for call_id, name, arguments in calls
    ]
    return {"role": "assistant", "content": None, "tool_calls": made}


def result(call_id: Any, content: str | None = "done", **more: Any) -> dict[str, Any]:
    return {"role": "tool", "tool_call_id": call_id, "content": content, **more}


def ids(messages: list[Any]) -> tuple[list[str], list[str]]:
    """The ids of the calls, and those of the results."""
    calls = [call["id"] for message in messages for call in message.get("tool_calls") or ()]
    return calls, [message["tool_call_id"] for message in messages if message["role"] == "tool"]


def test_a_legal_conversation_is_left_alone() -> None:
    messages = [{"role": "user", "content": "Hi."}, asked(("call_1", "add", '{"a": 1}')), result("call_1", name="add")]
    repaired = legal_messages(messages)
    assert all(one is other for one, other in zip(messages, repaired, strict=True))


@pytest.mark.parametrize("name", ["get weather", "größe", "a.b", "x" * 65, "", None, "a\u2028b", "functions.bash:0"])
def test_names_are_legal_in_calls_and_results(name: Any) -> None:
    call, answer = legal_messages([asked(("call_1", name, "{}")), result("call_1", name=name)])
    legal = call["tool_calls"][0]["function"]["name"]
    assert re.fullmatch(r"[a-zA-Z0-9_-]{1,64}", legal)
    assert answer["name"] == legal


@pytest.mark.parametrize("call_id", ["call 1", "x" * 41, "", None, "ä", "functions.bash:0"])
def test_an_illegal_id_is_replaced_in_call_and_result_alike(call_id: Any) -> None:
    calls, results = ids(legal_messages([asked((call_id, "add", "{}")), result(call_id)]))
    assert re.fullmatch(r"[a-zA-Z0-9_-]{1,40}", calls[0])
    assert calls == results


def test_two_calls_of_a_turn_with_one_id_get_two_and_their_results_follow() -> None:
    messages = [asked(("c", "add", "{}"), ("c", "mul", "{}")), result("c", "first"), result("c", "second")]
    calls, results = ids(legal_messages(messages))
    assert len(set(calls)) == 2
    assert calls == results


def test_an_id_that_a_later_turn_uses_again_is_replaced_there() -> None:
    messages = [asked(("c", "add", "{}")), result("c"), asked(("c", "add", "{}")), result("c")]
    calls, results = ids(legal_messages(messages))
    assert calls[0] == "c"
    assert len(set(calls)) == 2
    assert calls == results


def test_mistrals_ids_have_nine_letters_or_digits() -> None:
    messages = [asked(("call_abc", "add", "{}"), ("123456789", "add", "{}")), result("call_abc"), result("123456789")]
    calls, results = ids(legal_messages(messages, mistral=True))
    assert all(re.fullmatch(r"[a-zA-Z0-9]{9}", each) for each in calls)
    assert calls[1] == "123456789"
    assert calls == results


def test_for_mistral_an_answer_stands_between_results_and_the_user() -> None:
    user = {"role": "user", "content": "And?"}
    messages = [user, asked(("123456789", "add", "{}")), result("123456789"), user]
    assert legal_messages(messages) == messages
    bridge = {"role": "assistant", "content": BRIDGE}
    assert legal_messages(messages, mistral=True) == [*messages[:3], bridge, user]


@pytest.mark.parametrize("content", ["", None, []])
def test_an_empty_answer_is_left_out(content: Any) -> None:
    user = {"role": "user", "content": "And?"}
    empty = {"role": "assistant", "content": content}
    assert legal_messages([user, empty, user]) == [user, user]
    # What the provider signed goes back, whether or not there is text.
    signed = {**empty, "thinking_blocks": [{}]}
    assert legal_messages([user, signed, user]) == [user, signed, user]


def test_a_replaced_id_is_the_same_in_the_next_request() -> None:
    messages = [asked(("call 1", "add", "{}")), result("call 1")]
    later = [*messages, {"role": "user", "content": "And now?"}]
    assert ids(legal_messages(messages)) == ids(legal_messages(later))


@pytest.mark.parametrize(
    "arguments",
    [
        *("", "null", "[]", "[1]", '"text"', "1", "true", '{"a": NaN}', '{"a": Infinity}', '{"a": -Infinity}'),
        *('{"a": 1e999}', '{"a": "\\ud800"}', '{"a": "\ud800"}', '{"a": 1', "{'a': 1}", None, 3),
        "[" * 100_000,
        '{"a":' * 100_000,
    ],
)
def test_arguments_that_are_no_strict_json_object_become_an_empty_one(arguments: Any) -> None:
    assert legal_arguments(arguments) == "{}"


def test_a_result_without_a_call_is_left_out() -> None:
    messages = [{"role": "user", "content": "Hi."}, result("gone"), asked(("c", "add", "{}")), result("c"), result("c")]
    assert legal_messages(messages) == [messages[0], *messages[2:4]]


def test_a_call_without_a_result_gets_one_that_says_so() -> None:
    messages = [asked(("a", "add", "{}"), ("b", "mul", "{}")), result("b"), {"role": "user", "content": "And?"}]
    repaired = legal_messages(messages)
    assert [(each.get("tool_call_id"), each["content"]) for each in repaired] == [
        (None, None),
        ("a", NO_RESULT),
        ("b", "done"),
        (None, "And?"),
    ]


def test_results_follow_their_call_at_once() -> None:
    user = {"role": "user", "content": "Hurry."}
    messages = [asked(("a", "add", "{}")), user, result("a")]
    assert legal_messages(messages) == [messages[0], messages[2], user]


@pytest.mark.parametrize("calls", [[], None, "text", [None], ["a"]])
def test_a_message_whose_calls_are_none_has_no_such_member(calls: Any) -> None:
    [message] = legal_messages([{"role": "assistant", "content": "Hi.", "tool_calls": calls}])
    assert message == {"role": "assistant", "content": "Hi."}


def test_a_call_that_lacks_members_gets_them_and_odd_ids_do_no_harm() -> None:
    odd: list[dict[str, Any]] = [{"id": ["x"]}, {"id": 7, "function": "add"}, {"id": {"y": 1}, "function": {"name": 3}}]
    messages = [
        {"role": "assistant", "content": "", "tool_calls": odd},
        result(["x"]),
        result(7, None),
        result({"y": 1}),
    ]
    repaired = legal_messages(messages)
    assert [call["type"] for call in repaired[0]["tool_calls"]] == ["function"] * 3
    assert len({call["id"] for call in repaired[0]["tool_calls"]}) == 3
    assert [message["content"] for message in repaired[1:]] == ["done", "", "done"]


@pytest.mark.parametrize(
    ("arguments", "expected"), [({"a": 1}, '{"a": 1}'), ('"{\\"a\\": 1}"', '{"a": 1}'), ({"a": float("nan")}, "{}")]
)
def test_an_object_and_json_in_a_string_are_read(arguments: Any, expected: str) -> None:
    assert legal_arguments(arguments) == expected


@pytest.mark.parametrize("arguments", ["{}", ' {"a": 1.5}', '{"a": "\\ud83d\\ude00"}', '{"a": [1, {"b": null}]}'])
def test_arguments_that_are_one_are_left_as_they_are(arguments: str) -> None:
    assert legal_arguments(arguments) == arguments


CALLS = st.lists(
    st.tuples(st.one_of(st.none(), st.sampled_from(["a", "b", ""]), st.text(max_size=50)), st.text(), st.text()),
    min_size=1,
    max_size=4,
)


@given(st.lists(CALLS, max_size=4), st.booleans())
def test_whatever_a_model_writes_becomes_legal(turns: list[Any], mistral: bool) -> None:
    messages = [message for calls in turns for message in (asked(*calls), *(result(call[0]) for call in calls))]
    repaired = legal_messages(messages, mistral=mistral)
    calls, results = ids(repaired)
    assert len(set(calls)) == len(calls)
    assert calls == results
    for message in repaired:
        for call in message.get("tool_calls") or ():
            assert isinstance(json.loads(call["function"]["arguments"]), dict)
            assert re.fullmatch(r"[a-zA-Z0-9_-]{1,64}", call["function"]["name"])
            assert re.fullmatch(r"[a-zA-Z0-9]{9}" if mistral else r"[a-zA-Z0-9_-]{1,40}", call["id"])
