"""``headrace.decode`` of the recorded streams, whole and cut at random places, compared with their expectations."""

from __future__ import annotations

import json
import random
from typing import TYPE_CHECKING, Any

import pytest

import headrace
from headrace.decoding import TextDelta
from support.recordings import STREAMS, Recording, read_recordings

if TYPE_CHECKING:
    from collections.abc import Mapping

    from headrace import Response, ToolCall, Usage
    from headrace.decoding import Choice

RECORDINGS = read_recordings()

pytestmark = pytest.mark.skipif(not RECORDINGS, reason=f"the recorded streams are not in {STREAMS}")

COUNTS = {
    "input_tokens": "input_tokens",
    "output_tokens": "output_tokens",
    "total_tokens": "total_tokens",
    "cached_input_tokens": "cached_tokens",
    "cache_write_tokens": "cache_write_tokens",
    "reasoning_tokens": "reasoning_tokens",
}


def call_as_expected(call: ToolCall, expected: Mapping[str, Any]) -> dict[str, Any]:
    """A call. If its arguments are the expected JSON object in another format, they become the expected text."""
    try:
        same = json.loads(call.arguments or "{}") == expected["arguments_json"]
    except json.JSONDecodeError:
        same = False
    arguments = expected["arguments"] if same else call.arguments
    return {**expected, "id": call.id, "name": call.name, "arguments": arguments}


def content_of(found: Response | Choice, expected: Mapping[str, Any]) -> dict[str, Any]:
    calls: Any = found.tool_calls
    if len(found.tool_calls) == len(expected["tool_calls"]):
        pairs = zip(found.tool_calls, expected["tool_calls"], strict=True)
        calls = [call_as_expected(call, expected_call) for call, expected_call in pairs]
    return {
        "text": found.text,
        "reasoning": found.reasoning,
        "refusal": found.refusal,
        "tool_calls": calls,
        "finish_reason": found.finish_reason_raw,
        "finish_reason_norm": found.finish_reason,
    }


def counted(usage: Usage | None, expected: Mapping[str, Any]) -> dict[str, Any] | None:
    """The counts that the expectation has, by its names."""
    if usage is None:
        return None
    decoded = {name: getattr(usage, ours) for name, ours in COUNTS.items() if expected.get(name) is not None}
    return {**{name: expected[name] for name in expected if expected[name] is None}, **decoded, "raw": usage.raw}


def state_of(expected: Mapping[str, Any], found: Response) -> str:
    """A stream is complete with its end marker, and also without it if each choice has a finish reason."""
    if expected["error"] is not None:
        return "error"
    finished = bool(found.choices) and all(choice.finish_reason is not None for choice in found.choices)
    return "complete" if expected["complete"] or finished else "truncated"


def differences(found: Response, expected: Mapping[str, Any]) -> dict[str, tuple[Any, Any]]:
    usage = expected["usage"]
    decoded = {
        **content_of(found, expected),
        "usage": counted(found.usage, usage or {}),
        "id": found.id,
        "model": found.model,
        "n_text_deltas": sum(isinstance(delta, TextDelta) and delta.choice == 0 for delta in found.deltas),
        "state": found.state,
    }
    wanted: dict[str, Any] = {**{name: expected.get(name) for name in decoded}, "state": state_of(expected, found)}
    if "choices" in expected:
        wanted["choices"] = [
            {name: choice[name] for name in content_of(headrace.decoding.Choice(), choice)}
            for choice in expected["choices"]
        ]
        pairs = zip(found.choices, expected["choices"], strict=False)
        decoded["choices"] = [content_of(choice, expected_choice) for choice, expected_choice in pairs]
    return {
        name: (decoded[name], wanted[name])
        for name in decoded
        if decoded[name] != wanted[name] and name not in expected["unsure"]
    }


def pieces(body: bytes, random: random.Random) -> list[bytes]:
    """The body, cut at random places into few or very many pieces."""
    most = random.choice([3, 40, 2000])
    cuts = sorted(random.randrange(len(body) + 1) for _ in range(random.randrange(1, most)))
    return [body[start:end] for start, end in zip([0, *cuts], [*cuts, len(body)], strict=True)]


def test_all_recordings_are_found() -> None:
    assert len(RECORDINGS) >= 339


@pytest.mark.parametrize("recording", RECORDINGS, ids=lambda recording: recording.name)
@pytest.mark.parametrize("named", [True, False], ids=["named", "auto"])
def test_a_recording_decodes_to_its_expectation(recording: Recording, named: bool) -> None:
    if recording.dialect is None:
        assert headrace.decode(recording.body).state == "protocol"
        return
    found = headrace.decode(recording.body, recording.dialect if named else "auto")
    assert found.dialect == recording.dialect
    if "text" not in recording.expected:
        assert found.state == "complete"
        return
    different = differences(found, recording.expected)
    flushed = recording.expected.get("if_tail_flushed")
    if different and flushed is not None:
        different = differences(found, {**recording.expected, **flushed})
    assert not different


@pytest.mark.parametrize("recording", RECORDINGS, ids=lambda recording: recording.name)
def test_the_result_does_not_depend_on_the_cuts(recording: Recording) -> None:
    whole = headrace.decode(recording.body)
    seeded = random.Random(recording.name)
    for _ in range(6):
        cut = pieces(recording.body, seeded)
        for dialect in {"auto", recording.dialect or "auto"}:
            assert headrace.decode(cut, dialect) == whole, [len(piece) for piece in cut]
    if len(recording.body) < 8 * 1024:
        body = recording.body
        assert headrace.decode(body[at : at + 1] for at in range(len(body))) == whole, "byte by byte"


@pytest.mark.parametrize("recording", RECORDINGS, ids=lambda recording: recording.name)
def test_the_start_of_a_recording_decodes_to_a_prefix_of_its_expectation(recording: Recording) -> None:
    whole = headrace.decode(recording.body, recording.dialect or "auto")
    seeded = random.Random(recording.name)
    for _ in range(6):
        start = headrace.decode(recording.body[: seeded.randrange(len(recording.body))], recording.dialect or "auto")
        # The start of a stream has a part of the text, and no other text.
        assert whole.text.startswith(start.text)
        assert start.state in {whole.state, "truncated", "complete" if whole.state == "truncated" else "truncated"}
        assert (start.error is None) == (start.state == "complete")
