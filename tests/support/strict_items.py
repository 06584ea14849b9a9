"""The rules of the providers whose conversations are items or blocks: OpenAI's Responses, and Bedrock's Converse.

The words are from memory of what these refuse; the sources are the documents that the rules follow from.
"""

from __future__ import annotations

import json
import re
from typing import Any, Final

from support.refusals import check_name, no_constant, refuse

__all__ = ["bedrock", "responses"]

RESPONSES: Final = "https://platform.openai.com/docs/api-reference/responses/create"
CONVERSE: Final = "https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_Converse.html"
_MOST_ID_CHARACTERS: Final = 64


def responses(body: Any) -> None:
    """OpenAI's Responses."""
    if not isinstance(body, dict):
        refuse("We could not parse the JSON body of your request.", RESPONSES)
    items = body.get("input")
    if isinstance(items, str):
        return
    if not items:
        refuse("Missing required parameter: 'input'.", RESPONSES)
    for index, tool in enumerate(body.get("tools") or ()):
        if tool.get("type") == "function":
            check_name(tool.get("name"), f"tools[{index}].name")
    asked: dict[str, bool] = {}
    for index, item in enumerate(items):
        where = f"input[{index}]"
        kind = item.get("type", "message")
        if kind == "message":
            _message(item, where)
        elif kind == "function_call":
            _function_call(item, where)
            if item["call_id"] in asked:
                refuse(f"Duplicate item found with call_id {item['call_id']}.", RESPONSES)
            asked[item["call_id"]] = False
        elif kind == "function_call_output":
            if item.get("call_id") not in asked:
                refuse(f"No tool call found for function call output with call_id {item.get('call_id')}.", RESPONSES)
            if not isinstance(item.get("output"), (str, list)):
                refuse(f"Invalid type for '{where}.output': expected a string.", RESPONSES)
            asked[item["call_id"]] = True
        elif kind == "reasoning":
            following = items[index + 1].get("type", "message") if index + 1 < len(items) else None
            if following not in {"message", "function_call", "reasoning", "custom_tool_call"}:
                refuse(
                    f"Item {item.get('id')!r} of type 'reasoning' was provided without its required following item.",
                    RESPONSES,
                )
        else:
            refuse(f"Invalid value: '{kind}' - '{where}.type'", RESPONSES)
    missing = [call for call, answered in asked.items() if not answered]
    if missing:
        refuse(f"No tool output found for function call {missing[0]}.", RESPONSES)


def _message(item: dict[str, Any], where: str) -> None:
    if item.get("role") not in {"user", "assistant", "system", "developer"}:
        refuse(f"Invalid value: {item.get('role')!r} - '{where}.role'", RESPONSES)
    content = item.get("content")
    if not isinstance(content, (str, list)):
        refuse(f"Invalid type for '{where}.content': expected a string or an array.", RESPONSES)
    assistant = item["role"] == "assistant"
    for part in content if isinstance(content, list) else ():
        known = {"output_text", "refusal"} if assistant else {"input_text", "input_image", "input_file"}
        if part.get("type") not in known:
            refuse(f"Invalid value: '{part.get('type')}'. Supported values are: {sorted(known)}.", RESPONSES)


def _function_call(item: dict[str, Any], where: str) -> None:
    check_name(item.get("name"), f"{where}.name")
    call_id = item.get("call_id")
    if not isinstance(call_id, str) or not 0 < len(call_id) <= _MOST_ID_CHARACTERS:
        words = f"Invalid '{where}.call_id': string too long. Expected a string with maximum length 64."
        refuse(words, RESPONSES)
    own = item.get("id")
    if own is not None and not str(own).startswith("fc"):
        words = f"Invalid '{where}.id': '{own}'. Expected an ID that begins with 'fc'."
        refuse(words, RESPONSES)
    try:
        arguments = json.loads(item.get("arguments"), parse_constant=no_constant)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        arguments = None
    if not isinstance(arguments, dict):
        refuse(f"Invalid '{where}.arguments': expected a JSON object in a string.", RESPONSES)


def bedrock(body: Any) -> None:
    """Bedrock's Converse."""
    messages = body.get("messages") if isinstance(body, dict) else None
    if not messages:
        refuse("A conversation must start with a user message.", CONVERSE)
    if messages[0]["role"] != "user":
        words = "A conversation must start with a user message. Try again with a conversation that starts with one."
        refuse(words, CONVERSE)
    for tool in (body.get("toolConfig") or {}).get("tools", ()):
        check_name(tool.get("toolSpec", {}).get("name", "cachePoint"), "toolSpec.name")
    asked: list[str] = []
    last = None
    for number, message in enumerate(messages):
        if message["role"] == last:
            refuse("Conversation roles must alternate between 'user' and 'assistant'.", CONVERSE)
        last = message["role"]
        if not message.get("content"):
            words = f"The content field in the Message object at messages.{number} is empty."
            refuse(words, CONVERSE)
        asked = _blocks(message["content"], number, asked, has_tools="toolConfig" in body)
    if asked:
        _unanswered(len(messages), asked)


def _blocks(blocks: list[dict[str, Any]], number: int, asked: list[str], *, has_tools: bool) -> list[str]:
    """Checks the blocks of a message. Returns the ids of the tools that it asks for."""
    asking: list[str] = []
    returned: list[str] = []
    for index, block in enumerate(blocks):
        where = f"messages.{number}.content.{index}"
        if not block.get("text", "x").strip():
            words = f"The text field in the ContentBlock object at {where} is blank."
            refuse(words, CONVERSE)
        if ("toolUse" in block or "toolResult" in block) and not has_tools:
            words = "The toolConfig field must be defined when using toolUse and toolResult content blocks."
            refuse(words, CONVERSE)
        if use := block.get("toolUse"):
            check_name(use.get("name"), f"{where}.toolUse.name")
            if not re.fullmatch(r"[a-zA-Z0-9_-]{1,64}", use.get("toolUseId", "")):
                refuse(f"Value at '{where}.toolUse.toolUseId' failed to satisfy constraint: [a-zA-Z0-9_-]+", CONVERSE)
            if not isinstance(use.get("input"), dict):
                words = f"The format of the value at {where}.toolUse.input is invalid. Provide a json object."
                refuse(words, CONVERSE)
            asking.append(use["toolUseId"])
        if result := block.get("toolResult"):
            if result.get("toolUseId") not in asked:
                words = "The number of toolResult blocks exceeds the number of toolUse blocks of previous turn."
                refuse(words, CONVERSE)
            returned.append(result["toolUseId"])
    if set(asked) - set(returned):
        _unanswered(number, [call for call in asked if call not in returned])
    if len(set(asking)) < len(asking):
        refuse(f"The toolUse blocks at messages.{number}.content contain duplicate Ids.", CONVERSE)
    return asking


def _unanswered(number: int, missing: list[str]) -> None:
    refuse(
        f"Expected toolResult blocks at messages.{number}.content for the following Ids: {', '.join(missing)}",
        CONVERSE,
    )
