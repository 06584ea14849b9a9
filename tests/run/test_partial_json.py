"""Text from a tool call's arguments, while they arrive."""

from __future__ import annotations

import itertools
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace._run.partial_json import SpokenField

FIELD = "summary"


def spoken(fragments: list[str]) -> str:
    field = SpokenField(FIELD)
    return "".join(field.feed(fragment) for fragment in fragments)


def cut(text: str, places: list[int]) -> list[str]:
    edges = [0, *sorted(place % (len(text) + 1) for place in places), len(text)]
    return [text[start:end] for start, end in itertools.pairwise(edges)]


def repaired(text: str) -> str:
    """The text with U+FFFD for each lone surrogate."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def expected(text: str) -> str:
    """The member's text as `json.loads` finds it in the complete text; the first of members with the same name."""
    # The hook is called for the outermost object last.
    objects: list[list[tuple[str, Any]]] = []
    json.loads(text, object_pairs_hook=objects.append)
    values = [value for key, value in objects[-1] if key == FIELD]
    return repaired(values[0]) if values and isinstance(values[0], str) else ""


# --- what it speaks --------------------------------------------------------------------------------------------

WHOLE = {
    "alone": (r'{"summary":"It is 42."}', "It is 42."),
    "empty": (r'{"summary":""}', ""),
    "space anywhere": ('\n{ \t"a" :\r\n[ 1 , 2 ] , "summary" : " x " } ', " x "),
    "escapes": (r'{"summary":"\"\\\/\b\f\n\r\t"}', '"\\/\b\f\n\r\t'),
    "backslash before the end": (r'{"summary":"a\\","b":"\\"}', "a\\"),
    "hex in both cases": (r'{"summary":"\u00e9\u00C9"}', "éÉ"),
    "pair": (r'{"summary":"\ud83D\uDE00!"}', "😀!"),
    "two pairs": (r'{"summary":"\ud83d\ude00\ud83d\ude01"}', "😀😁"),
    "unescaped": ('{"summary":"é😀\u2028\x7f"}', "é😀\u2028\x7f"),
    "first half alone": (r'{"summary":"a\ud83db"}', "a\ufffdb"),
    "first half at the end": (r'{"summary":"a\ud83d"}', "a\ufffd"),
    "first half before an escape": (r'{"summary":"\ud83d\n\ud83d\u0041"}', "\ufffd\n\ufffdA"),
    "first half before a pair": (r'{"summary":"\ud83d\ud83d\ude00"}', "\ufffd😀"),
    "second half alone": (r'{"summary":"\ude00\ude00a"}', "\ufffd\ufffda"),
    "unescaped half": ('{"summary":"a\ud83db"}', "a\ufffdb"),
    "after others": (r'{"n":-1.5e+3,"t":true,"x":null,"s":"q","o":{"a":[]},"l":[{}],"summary":"x"}', "x"),
    "name in a value": (r'{"a":"summary","b":"\"summary\":\"no\"","summary":"x"}', "x"),
    "name in an array": (r'{"a":["summary","no"],"summary":"x"}', "x"),
    "name in a nested object": (r'{"a":{"summary":"no"},"b":[{"summary":"no"}],"summary":"x"}', "x"),
    "name only nested": (r'{"a":{"summary":"no"}}', ""),
    "key with escapes": (r'{"\u0073umm\u0061ry":"x"}', "x"),
    "longer key": (r'{"summary2":"no","summar":"no","summary":"x"}', "x"),
    "twice": (r'{"summary":"x","summary":"y"}', "x"),
    "twice, first not a string": (r'{"summary":1,"summary":"y"}', ""),
    "number": (r'{"summary":12}', ""),
    "null": (r'{"summary":null,"a":"b"}', ""),
    "object": (r'{"summary":{"summary":"no"}}', ""),
    "array": (r'{"summary":["no"]}', ""),
    "not there": (r'{"a":"b"}', ""),
    "empty object": (r"{}", ""),
    "Python's numbers": (r'{"a":NaN,"b":-Infinity,"summary":"x"}', "x"),
}


@pytest.mark.parametrize(("text", "says"), WHOLE.values(), ids=WHOLE)
def test_the_field_of_an_object_is_read_wherever_it_is_cut(text: str, says: str) -> None:
    assert expected(text) == says
    assert spoken(list(text)) == says
    for places in itertools.combinations_with_replacement(range(len(text) + 1), 2):
        assert spoken(cut(text, list(places))) == says


MALFORMED = {
    "not an object": ('["summary","no"]', ""),
    "a string": ('"summary"', ""),
    "prose before": ('Here: {"summary":"no"}', ""),
    "no comma": ('{"a":1 "summary":"no"}', ""),
    "two commas": ('{"a":1,,"summary":"no"}', ""),
    "comma first": ('{,"summary":"no"}', ""),
    "no colon": ('{"a" 1,"summary":"no"}', ""),
    "key without quotes": ('{a:1,"summary":"no"}', ""),
    "wrong bracket": ('{"a":[1},"summary":"no"}', ""),
    "comma before a bracket": ('{"a":[1,],"summary":"no"}', ""),
    "bad word": ('{"a":nope,"summary":"no"}', ""),
    "bad number": ('{"a":01,"summary":"no"}', ""),
    "member in an array": ('{"a":["b":1],"summary":"no"}', ""),
    "bad escape in another": (r'{"a":"\q","summary":"no"}', ""),
    "after the object": ('{} {"summary":"no"}', ""),
    "bad escape": (r'{"summary":"yes\qno"}', "yes"),
    "bad digit": (r'{"summary":"yes\u00zzno"}', "yes"),
    "newline": ('{"summary":"yes\nno"}', "yes"),
    "bad escape after a first half": (r'{"summary":"yes\ud83d\qno"}', "yes\ufffd"),
    "after the field": ('{"summary":"yes" oops', "yes"),
}


@pytest.mark.parametrize(("text", "says"), MALFORMED.values(), ids=MALFORMED)
def test_invalid_json_ends_the_text_wherever_it_is_cut(text: str, says: str) -> None:
    for place in range(len(text) + 1):
        assert spoken([text[:place], text[place:], '"summary":"no"}']) == says
    assert spoken(list(text)) == says


# --- when it speaks --------------------------------------------------------------------------------------------


def test_text_is_returned_as_soon_as_it_is_known() -> None:
    field = SpokenField(FIELD)
    fragments = ['{"summary', '": "', "It is", " ", "4", "2\\", "n\\u00", "e9\\ud83d", "\\ude00.", "\\ud83d", "!", '"}']
    told = ["", "", "It is", " ", "4", "2", "\n", "é", "😀.", "", "\ufffd!", ""]
    assert [field.feed(fragment) for fragment in fragments] == told


def test_done_is_true_when_the_string_has_ended() -> None:
    field = SpokenField(FIELD)
    states = [(field.feed(character), field.done) for character in '{"summary":"x"}']
    assert states[-4:] == [("", False), ("x", False), ("", True), ("", True)]


@pytest.mark.parametrize("text", ['{"summary":"x', '{"summary":1}', '{"summary":"x\\q"}', "{}"])
def test_a_string_that_has_no_end_is_never_done(text: str) -> None:
    field = SpokenField(FIELD)
    field.feed(text)
    assert not field.done


# --- any object, any cut ---------------------------------------------------------------------------------------

any_text = st.text(st.one_of(st.characters(), st.sampled_from('"\\\n\x00/\ud83d\ude00é😀')))
keys = st.one_of(st.just(FIELD), st.text(max_size=3))
values = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), any_text, st.just(FIELD)),
    lambda children: st.one_of(st.lists(children, max_size=4), st.dictionaries(keys, children, max_size=4)),
    max_leaves=8,
)
objects = st.one_of(
    st.dictionaries(keys, values),
    st.tuples(st.dictionaries(keys, values), any_text, st.dictionaries(keys, values)).map(
        # Later members do not replace earlier ones, so that the field keeps its position.
        lambda parts: {**parts[0], FIELD: parts[1], **{key: parts[2][key] for key in parts[2] if key != FIELD}}
    ),
)
texts = st.builds(
    json.dumps,
    objects,
    ensure_ascii=st.booleans(),
    indent=st.sampled_from([None, 0, "\t"]),
    separators=st.sampled_from([(",", ":"), (" ,\r\n", "\t: ")]),
)
places = st.lists(st.integers(min_value=0), max_size=12)


@given(texts, places)
def test_the_field_of_any_object_is_read(text: str, places: list[int]) -> None:
    says = expected(text)
    assert spoken(cut(text, places)) == says
    assert spoken(list(text)) == says


@given(texts, places, st.integers(min_value=0), st.sampled_from('"\\{}[]:,u0d \n'), st.integers(0, 3))
def test_a_damaged_object_gives_the_same_text_however_it_is_cut(
    text: str, places: list[int], place: int, inserted: str, removed: int
) -> None:
    place %= len(text)
    damaged = text[:place] + inserted + text[place + removed :]
    says = spoken([damaged])
    assert spoken(cut(damaged, places)) == says
    assert spoken(list(damaged)) == says
    try:
        parsed = json.loads(damaged)
    except ValueError:
        return
    assert says == (expected(damaged) if isinstance(parsed, dict) else "")


# --- how long it takes -----------------------------------------------------------------------------------------

N = 200_000  # a second at most; in quadratic time it would be minutes
LONG = {
    "the field": (f'{{"summary":"{"x" * N}"}}', "x" * N),
    "escapes": (f'{{"summary":"{chr(92)}n{"x" * N}"}}', "\n" + "x" * N),
    "another string": (f'{{"a":"{"x" * N}","summary":"y"}}', "y"),
    "a key": (f'{{"{"x" * N}":1,"summary":"y"}}', "y"),
    "a number": (f'{{"a":{"1" * N},"summary":"y"}}', "y"),
    "space": (f'{{{" " * N}"summary":"y"}}', "y"),
    "brackets": (f'{{"a":{"[" * N}{"]" * N},"summary":"y"}}', "y"),
}


@pytest.mark.parametrize(("text", "says"), LONG.values(), ids=LONG)
def test_the_time_is_linear_in_the_text(text: str, says: str) -> None:
    assert spoken(list(text)) == says
    assert spoken([text]) == says
