"""The official library of AWS reads the simulator's streams: binary framing, checksums and signatures."""

from __future__ import annotations

import base64
import json
from contextlib import closing
from typing import TYPE_CHECKING, Any

import botocore.session  # type: ignore[import-untyped]
import pytest
from botocore.config import Config  # type: ignore[import-untyped]
from botocore.exceptions import ClientError, EventStreamError  # type: ignore[import-untyped]

from headrace.testing import Simulator

if TYPE_CHECKING:
    from collections.abc import Iterator

MODEL = "anthropic.claude-3:0"
QUESTION = [{"role": "user", "content": [{"text": "How is the weather in Oslo?"}]}]
WEATHER = {"city": "Oslo", "days": 3}
SIGNATURE = "c2lnbmVk"
USAGE = {"inputTokens": 11, "outputTokens": 7, "totalTokens": 18, "cacheReadInputTokens": 4}
TURNS = [
    {"when": {"role": "tool", "contains": "very cold", "turn": 1, "tools": True}, "text": "It is cold."},
    {
        "when": {"contains": "weather", "turn": 0, "model": MODEL},
        "reasoning": "I should look.",
        "signature": SIGNATURE,
        "encrypted": base64.b64encode(b"sealed").decode(),
        "text": "Let me look.",
        "tool_calls": [{"id": "call_a", "name": "weather", "arguments": WEATHER, "fragments": 3}],
        "usage": {"input_tokens": 11, "output_tokens": 7, "cached_tokens": 4},
    },
    {"when": {"contains": "fail"}, "text": "one two", "fault": {"kind": "error", "after": 1}},
    {"when": {"contains": "wait"}, "fault": {"kind": "status", "status": 429}},
]


@pytest.fixture
def client() -> Iterator[Any]:
    with Simulator(turns=TURNS, api_key="secret") as simulator:
        client = botocore.session.get_session().create_client(
            "bedrock-runtime",
            region_name="eu-north-1",
            endpoint_url=simulator.base_url.removesuffix("/v1"),
            aws_access_key_id="an id",
            aws_secret_access_key="a secret",
            config=Config(retries={"total_max_attempts": 1}, proxies={}),
        )
        yield client
        client.close()


CONTENT = [
    {"reasoningContent": {"reasoningText": {"text": "I should look.", "signature": SIGNATURE}}},
    {"reasoningContent": {"redactedContent": b"sealed"}},
    {"text": "Let me look."},
    {"toolUse": {"toolUseId": "call_a", "name": "weather", "input": WEATHER}},
]


def fold(events: Any) -> tuple[list[dict[str, Any]], str, dict[str, Any]]:
    """The blocks of a stream, its stop reason and its usage."""
    blocks: dict[int, dict[str, Any]] = {}
    reason, usage = "", {}
    for event in events:
        [(kind, body)] = event.items()
        block = blocks.setdefault(body["contentBlockIndex"], {}) if "contentBlockIndex" in body else {}
        if kind == "contentBlockStart":
            block["toolUse"] = {**body["start"]["toolUse"], "input": ""}
        elif kind == "contentBlockDelta":
            for member, piece in body["delta"].items():
                if member == "text":
                    block["text"] = block.get("text", "") + piece
                elif member == "toolUse":
                    block["toolUse"]["input"] += piece["input"]
                elif "redactedContent" in piece:
                    block["reasoningContent"] = piece
                else:
                    whole = block.setdefault("reasoningContent", {}).setdefault("reasoningText", {})
                    for name, text in piece.items():
                        whole[name] = whole.get(name, "") + text
        elif kind == "messageStop":
            reason = body["stopReason"]
        elif kind == "metadata":
            usage = body["usage"]
    for block in blocks.values():
        if "toolUse" in block:
            block["toolUse"]["input"] = json.loads(block["toolUse"]["input"])
    return [blocks[index] for index in sorted(blocks)], reason, usage


def test_botocore_reads_converse(client: Any) -> None:
    streamed = client.converse_stream(modelId=MODEL, messages=QUESTION)
    assert streamed["ResponseMetadata"]["RequestId"] == "req-0"
    assert fold(streamed["stream"]) == (CONTENT, "tool_use", USAGE)
    whole = client.converse(modelId=MODEL, messages=QUESTION)
    message = whole["output"]["message"]
    assert (message["content"], whole["stopReason"], whole["usage"]) == (CONTENT, "tool_use", USAGE)
    result = {"toolResult": {"toolUseId": "call_a", "content": [{"json": {"is": "very cold"}}]}}
    tools = {"tools": [{"toolSpec": {"name": "weather", "inputSchema": {"json": {"type": "object"}}}}]}
    answer = client.converse_stream(
        modelId=MODEL,
        system=[{"text": "Be brief."}],
        messages=[*QUESTION, message, {"role": "user", "content": [result]}],
        toolConfig=tools,
    )
    blocks, reason, _ = fold(answer["stream"])
    assert (blocks, reason) == ([{"text": "It is cold."}], "end_turn")


def test_botocore_reads_invoked_models(client: Any) -> None:
    request = json.dumps(
        {
            "anthropic_version": "bedrock-2023-05-31",
            "max_tokens": 9,
            "messages": [{"role": "user", "content": "How is the weather in Oslo?"}],
        }
    )
    streamed = client.invoke_model_with_response_stream(modelId=MODEL, body=request)
    chunks = [json.loads(event["chunk"]["bytes"]) for event in streamed["body"]]
    texts = [chunk["delta"]["text"] for chunk in chunks if chunk.get("delta", {}).get("type") == "text_delta"]
    assert texts == ["Let", " me", " look."]
    assert [chunks[0]["type"], chunks[-1]["type"]] == ["message_start", "message_stop"]
    assert chunks[-2]["usage"] == {"input_tokens": 11, "output_tokens": 7, "cache_read_input_tokens": 4}
    whole = json.loads(client.invoke_model(modelId=MODEL, body=request)["body"].read())
    assert [block["type"] for block in whole["content"]] == ["thinking", "redacted_thinking", "text", "tool_use"]
    assert whole["stop_reason"] == "tool_use"


def test_botocore_raises_the_scripted_errors(client: Any) -> None:
    def ask(text: str) -> Any:
        return client.converse_stream(modelId=MODEL, messages=[{"role": "user", "content": [{"text": text}]}])

    with (
        closing(ask("fail")["stream"]) as stream,
        pytest.raises(EventStreamError, match=r"modelStreamErrorException.*as its script says"),
    ):
        list(stream)
    for text, code in [("wait", "ThrottlingException"), ("something else", "InternalServerException")]:
        with pytest.raises(ClientError) as caught:
            ask(text)
        assert caught.value.response["Error"]["Code"] == code
    with pytest.raises(ClientError, match=r"ValidationException.*`max_tokens`"):
        client.invoke_model(modelId=MODEL, body=b"{}")
