"""The command ``headrace decode``."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING

from support.harness import PATIENCE, REPOSITORY

if TYPE_CHECKING:
    from pathlib import Path

VECTORS = REPOSITORY / "tests" / "conformance"
THINKING = VECTORS / "anthropic" / "thinking-and-tools.sse"


def headrace(*arguments: str | Path, data: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    command = [sys.executable, "-m", "headrace", "decode", *map(str, arguments)]
    return subprocess.run(command, input=data, capture_output=True, timeout=PATIENCE, check=False)


def test_a_complete_answer_is_shown() -> None:
    done = headrace(THINKING)
    expected = json.loads(THINKING.with_suffix(".json").read_text())["response"]
    lines = done.stdout.decode().splitlines()
    assert (done.returncode, done.stderr) == (0, b"")
    assert lines[:2] == ["state: complete", "dialect: anthropic"]
    assert f"text: {expected['text']}" in lines
    assert f"reasoning: {expected['reasoning']}" in lines
    assert f"finish: tool_calls ({expected['finish_reason_raw']})" in lines
    for call in expected["tool_calls"]:
        assert f"tool call: {call['name']} {call['arguments'] or '{}'} ({call['id']})" in lines
    assert any(line.startswith(f"usage: input_tokens {expected['usage']['input_tokens']}") for line in lines)


def test_json_is_one_object_with_everything() -> None:
    done = headrace("--json", THINKING)
    expected = json.loads(THINKING.with_suffix(".json").read_text())["response"]
    told = json.loads(done.stdout)
    assert done.returncode == 0
    assert done.stdout.count(b"\n") == 1
    assert (told["state"], told["dialect"], told["error"]) == ("complete", "anthropic", None)
    names = ["text", "reasoning", "refusal", "tool_calls", "finish_reason", "finish_reason_raw", "id", "model"]
    assert {name: told[name] for name in names} == {name: expected[name] for name in names}
    assert told["usage"]["output_tokens"] == expected["usage"]["output_tokens"]
    assert told["choices"][0]["text"] == expected["text"]
    assert "".join(delta["text"] for delta in told["deltas"] if delta["type"] == "text") == expected["text"]


def test_a_file_may_be_standard_input() -> None:
    done = headrace("-", data=THINKING.read_bytes())
    assert (done.returncode, done.stdout) == (0, headrace(THINKING).stdout)


def test_an_incomplete_answer_is_shown_and_exits_1(tmp_path: Path) -> None:
    capture = tmp_path / "capture"
    capture.write_bytes(b'data: {"choices":[{"index":0,"delta":{"content":"Hi\\nyou"}}]}\n\n')
    done = headrace(capture)
    assert done.returncode == 1
    assert done.stdout.decode().splitlines() == [
        "state: truncated",
        "dialect: openai_chat",
        "text:",
        "Hi",
        "you",
        "error: TruncatedError: the stream ends before its end marker: the answer is not whole",
    ]


def test_an_error_is_in_the_json(tmp_path: Path) -> None:
    capture = tmp_path / "capture"
    capture.write_bytes(b'{"error":{"message":"slow down","type":"rate_limit_error"}}')
    done = headrace(capture, "--json")
    assert done.returncode == 1
    assert json.loads(done.stdout)["error"] == {
        "type": "RateLimitError",
        "message": "slow down",
        "status": None,
        "code": "rate_limit_error",
    }


def test_the_dialect_may_be_given() -> None:
    done = headrace(THINKING, "--dialect", "openai_chat")
    assert done.returncode == 1
    assert b"dialect: openai_chat" in done.stdout


def test_wrong_usage_exits_2(tmp_path: Path) -> None:
    assert headrace(tmp_path / "absent").returncode == 2
    assert headrace(tmp_path).returncode == 2
    assert headrace().returncode == 2
    done = headrace(THINKING, "--dialect", "klingon")
    assert (done.returncode, done.stdout) == (2, b"")
    assert b"klingon" in done.stderr
