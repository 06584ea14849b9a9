"""Endpoints that refuse what providers refuse, over real sockets.

Each function below checks the body of a request by the rules of one provider, and returns the refusal: the provider's
own words, and where they were seen. :class:`StrictEndpoint` stands in front of a simulator: it answers 400 with these
words, or passes the request on. :class:`CheckedSimulator` checks afterwards: the fixture ``simulate`` makes these, so
that every request of every test with a simulator is checked, and none of them goes through one more server.

Not every refusal that is known is here: only those of conversations, which headrace writes.
"""

from __future__ import annotations

import json
import re
import threading
from contextlib import suppress
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any, Final, NamedTuple, NoReturn
from urllib.parse import urlsplit

from typing_extensions import Self

from headrace.testing import Simulator
from support.refusals import RefusedError, check_name, no_constant, refuse
from support.strict_items import bedrock, responses

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from types import TracebackType

__all__ = ["RULES", "CheckedSimulator", "RefusedError", "StrictEndpoint", "compatible"]


OPENAI: Final = "https://platform.openai.com/docs/api-reference/chat/create"

_ROLES: Final = ("system", "assistant", "user", "function", "tool", "developer")
_MEMBERS: Final = {
    *("role", "content", "name", "refusal", "audio", "tool_calls", "tool_call_id", "function_call"),
}


def openai(body: Any) -> None:
    """OpenAI's chat completions."""
    for number, message in enumerate(_messages(body)):
        for extra in sorted(set(message) - _MEMBERS):
            refuse(f"Additional properties are not allowed ('{extra}' was unexpected) - 'messages.{number}'", OPENAI)
    compatible(body)


def compatible(body: Any) -> None:
    """What any server with OpenAI's chat completions may refuse: OpenAI's rules, but members may be added."""
    messages = _messages(body)
    _tools(body)
    for number, message in enumerate(messages):
        where = f"messages[{number}]"
        if message.get("role") not in _ROLES:
            refuse(f"Invalid value: '{message.get('role')}'. Supported values are: {_ROLES}. {where}.role", OPENAI)
        _content(message, where)
        for index, call in enumerate(message.get("tool_calls") or ()):
            _call(call, f"{where}.tool_calls[{index}]")
    _pairs(messages)


def mistral(body: Any) -> None:
    """Mistral's chat completions, and vLLM for Mistral's models."""
    messages = _messages(body)
    rules = "https://github.com/mistralai/mistral-common (protocol/instruct/validator.py)"
    before = None
    for message in messages:
        role = message.get("role")
        if before == "tool" and role == "user":
            source = "https://github.com/pipecat-ai/pipecat-flows/issues/178"
            refuse("Unexpected role 'user' after role 'tool'", source)
        before = role
        if role == "assistant" and not (message.get("content") or message.get("tool_calls")):
            refuse("Assistant message must have either content or tool_calls, but not none.", rules)
        if "reasoning_content" in message:
            refuse("Extra inputs are not permitted: reasoning_content", "litellm: MistralConfig, chat/transformation")
        for call_id in [*(call.get("id") for call in message.get("tool_calls") or ()), message.get("tool_call_id")]:
            if call_id is not None and not re.fullmatch(r"[a-zA-Z0-9]{9}", call_id):
                refuse(
                    f"Tool call id was {call_id} but must be a-z, A-Z, 0-9, with a length of 9.",
                    "https://github.com/arterm-sedov/cmw-platform-agent/blob/main/docs/MISTRAL_TOOL_CALL_ID_FIX.md",
                )
    if before not in {"user", "tool"}:
        refuse(f"Expected last role User or Tool (or Assistant with prefix True) for serving but got {before}", rules)
    for message, results in _groups(messages):
        if len(results) != len(message.get("tool_calls") or ()):
            source = "https://github.com/mistralai/client-ts/issues/106"
            refuse("Not the same number of function calls and responses", source)
    _pairs(messages)


def deepseek(body: Any) -> None:
    """DeepSeek's thinking mode; Moonshot's has the same rule in other words."""
    messages = _messages(body)
    for number, message in enumerate(messages):
        if message.get("role") == "assistant" and not message.get("reasoning_content"):
            refuse(
                f"Missing `reasoning_content` field in the assistant message at message index {number}.",
                "https://api-docs.deepseek.com/guides/thinking_mode#tool-calls; "
                "https://github.com/continuedev/continue/issues/11285",
            )
        for index, call in enumerate(message.get("tool_calls") or ()):
            _call(call, f"messages[{number}].tool_calls[{index}]")
    _pairs(messages)


def groq(body: Any) -> None:
    """Groq's chat completions."""
    for number, message in enumerate(_messages(body)):
        if "reasoning_content" in message:
            refuse(
                f"'messages.{number}' : for 'role:assistant' the following must be satisfied"
                f"[('messages.{number}' : property 'reasoning_content' is unsupported)]",
                "https://github.com/janhq/jan/issues/8136",
            )
    _pairs(_messages(body))


def anthropic(body: Any) -> None:
    """Anthropic's messages."""
    docs = "https://docs.anthropic.com/en/api/messages"
    used: set[str] = set()
    asked: list[str] = []
    for number, message in enumerate(_messages(body)):
        content = message["content"]
        if message["role"] not in {"user", "assistant"}:
            refuse(f'messages: Unexpected role "{message["role"]}". Allowed roles are "user" or "assistant".', docs)
        blocks = [{"type": "text", "text": content}] if isinstance(content, str) else content
        if not blocks:
            refuse(f"messages.{number}: all messages must have non-empty content", docs)
        returned: list[str] = []
        asking: list[str] = []
        for index, block in enumerate(blocks):
            where = f"messages.{number}.content.{index}"
            if block["type"] == "text" and not block["text"]:
                source = "https://github.com/aliasrobotics/cai/issues/182"
                refuse("messages: text content blocks must be non-empty", source)
            if block["type"] == "tool_use":
                if not re.fullmatch(r"[a-zA-Z0-9_-]+", block["id"]):
                    source = "https://github.com/maximhq/bifrost/issues/5097"
                    refuse(f"{where}.tool_use.id: String should match pattern '^[a-zA-Z0-9_-]+$'", source)
                if block["id"] in used:
                    source = "https://github.com/BerriAI/litellm/issues/23510"
                    refuse(f"{where}: `tool_use` ids must be unique", source)
                if not isinstance(block["input"], dict):
                    refuse(f"{where}.tool_use.input: Input should be a valid dictionary", docs)
                if not re.fullmatch(r"[a-zA-Z0-9_-]{1,200}", block["name"]):
                    refuse(f"{where}.tool_use.name: String should match pattern '^[a-zA-Z0-9_-]{{1,200}}$'", docs)
                used.add(block["id"])
                asking.append(block["id"])
            if block["type"] == "tool_result":
                if block["tool_use_id"] not in asked:
                    source = "https://github.com/tghamm/Anthropic.SDK/issues/184"
                    words = "unexpected tool_use_id found in tool_result blocks"
                    refuse(f"{where}: {words}: {block['tool_use_id']}", source)
                if block["tool_use_id"] in returned:
                    refuse(f"{where}: each tool_use must have a single result", docs)
                returned.append(block["tool_use_id"])
        missing = set(asked) - set(returned)
        if missing:
            source = "https://github.com/anthropics/claude-code/issues/2697"
            words = "`tool_use` ids were found without `tool_result` blocks immediately after"
            refuse(f"messages.{number - 1}: {words}: {', '.join(sorted(missing))}", source)
        asked = asking
    if asked:
        refuse("`tool_use` ids were found without `tool_result` blocks immediately after", docs)


def gemini(body: Any) -> None:
    """Gemini's generateContent."""
    docs = "https://ai.google.dev/api/caching#Content"
    asked = 0
    for content in body.get("contents") or refuse("* GenerateContentRequest.contents: contents is not specified", docs):
        if content.get("role") not in {"user", "model"}:
            refuse("Please use a valid role: user, model.", docs)
        parts = content.get("parts")
        if not parts or {} in parts:
            refuse("Unable to submit request because it must have a text parameter: empty parts", docs)
        answers = sum("functionResponse" in _camel(part) for part in parts)
        if answers != asked and (answers or asked):
            refuse(
                "Please ensure that the number of function response parts is equal to the number of function call "
                "parts of the function call turn.",
                "https://ai.google.dev/gemini-api/docs/function-calling",
            )
        asked = sum("functionCall" in _camel(part) for part in parts)


def _camel(part: dict[str, Any]) -> set[str]:
    return {re.sub("_(.)", lambda found: found[1].upper(), name) for name in part}


RULES: Final = {
    "openai": openai,
    "compatible": compatible,
    "mistral": mistral,
    "deepseek": deepseek,
    "groq": groq,
    "anthropic": anthropic,
    "gemini": gemini,
    "responses": responses,
    "bedrock": bedrock,
}
"""The rules by name."""


class _Group(NamedTuple):
    """A message that is no result, and the results that follow it."""

    message: dict[str, Any]
    results: list[dict[str, Any]]


def _groups(messages: Sequence[dict[str, Any]]) -> list[_Group]:
    groups: list[_Group] = []
    for message in messages:
        if message.get("role") != "tool":
            groups.append(_Group(message, []))
        elif not groups:
            _orphan()
        else:
            groups[-1].results.append(message)
    return groups


def _pairs(messages: Sequence[dict[str, Any]]) -> None:
    """Each call has one result, which follows it; each result has its call."""
    used: set[str] = set()
    for message, results in _groups(messages):
        asked = [call["id"] for call in message.get("tool_calls") or ()]
        returned = [result.get("tool_call_id") for result in results]
        repeated = {each for each in asked if asked.count(each) > 1 or each in used}
        repeated |= {each for each in returned if returned.count(each) > 1}
        if repeated:
            words = f"Duplicate value for 'tool_call_id' of '{repeated.pop()}'"
            refuse(words, "DeepSeek and OpenAI, as quoted by several clients: find_string, 2026-11-26")
        used.update(asked)
        if set(returned) - set(asked):
            _orphan()
        missing = [each for each in asked if each not in returned]
        if missing:
            refuse(
                "An assistant message with 'tool_calls' must be followed by tool messages responding to each "
                f"'tool_call_id'. The following tool_call_ids did not have response messages: {', '.join(missing)}",
                "https://github.com/langgenius/dify/issues/32222",
            )


def _orphan() -> NoReturn:
    refuse(
        "messages with role 'tool' must be a response to a preceeding message with 'tool_calls'.",
        "https://platform.openai.com/docs/guides/function-calling",
    )


def _messages(body: Any) -> list[dict[str, Any]]:
    if not isinstance(body, dict):
        refuse("We could not parse the JSON body of your request.", OPENAI)
    messages = body.get("messages")
    if not isinstance(messages, list) or not messages:
        refuse("[] is too short - 'messages'", OPENAI)
    return messages


def _tools(body: dict[str, Any]) -> None:
    tools = body.get("tools")
    if tools is not None and not tools:
        refuse("[] is too short - 'tools'", OPENAI)
    for index, tool in enumerate(tools or ()):
        check_name(tool["function"].get("name"), f"tools[{index}].function.name")
    for name in ("tool_choice", "parallel_tool_calls"):
        if name in body and not tools:
            source = "https://github.com/writer/writer-framework/pull/1013"
            refuse(f"Invalid value for '{name}': '{name}' is only allowed when 'tools' are specified.", source)


def _content(message: dict[str, Any], where: str) -> None:
    content = message.get("content")
    if content is None and not (message["role"] == "assistant" and message.get("tool_calls")):
        refuse("Invalid value for 'content': expected a string, got null.", OPENAI)
    if content == []:
        refuse(f"Invalid '{where}.content': empty array. Expected an array with minimum length 1.", OPENAI)
    if message.get("tool_calls", True) in ([], None):
        refuse(f"[] is too short - '{where}.tool_calls'", OPENAI)


def _call(call: dict[str, Any], where: str) -> None:
    if call.get("type") not in {"function", "custom"}:
        refuse(f"Missing required parameter: '{where}.type'.", OPENAI)
    call_id = call.get("id")
    if not isinstance(call_id, str) or not call_id:
        refuse(f"Invalid type for '{where}.id': expected a string.", OPENAI)
    longest = 40
    if len(call_id) > longest:
        refuse(
            f"Invalid '{where}.id': string too long. Expected a string with maximum length 40, but got a string with "
            f"length {len(call_id)} instead.",
            "https://github.com/camel-ai/camel/issues/2215",
        )
    check_name(call["function"].get("name"), f"{where}.function.name")
    try:
        arguments = json.loads(call["function"].get("arguments"), parse_constant=no_constant)
    except (TypeError, ValueError):
        arguments = None
    if not isinstance(arguments, dict):
        refuse(
            'The "function.arguments" parameter of the code model must be in JSON format.',
            "DashScope, https://github.com/HKUDS/nanobot/issues/1487; MiniMax, https://github.com/can1357/oh-my-pi/"
            "issues/181",
        )


class StrictEndpoint:
    """An endpoint on 127.0.0.1 that refuses what a provider refuses, and lets a simulator answer the rest.

    Args:
        simulator: Who answers.
        rules: The provider's rules.
    """

    def __init__(self, simulator: Simulator, rules: Callable[[Any], None] = openai) -> None:
        self.refusals: list[RefusedError] = []
        behind = urlsplit(simulator.base_url)
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                try:
                    rules(_parsed(body))
                except RefusedError as refusal:
                    outer.refusals.append(refusal)
                    self._answer_400(refusal.words)
                    return
                with suppress(OSError):
                    self._pass_on(body)
                self.close_connection = True

            def _answer_400(self, words: str) -> None:
                error = {"error": {"message": words, "type": "invalid_request_error", "param": None, "code": None}}
                answer = json.dumps(error).encode()
                self.send_response(400)
                self.send_header("content-type", "application/json")
                self.send_header("content-length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            def _pass_on(self, body: bytes) -> None:
                connection = HTTPConnection(behind.hostname or "", behind.port)
                try:
                    connection.request("POST", self.path, body, {"content-type": "application/json"})
                    response = connection.getresponse()
                    self.send_response(response.status)
                    for name, value in response.getheaders():
                        if name.lower() not in {"transfer-encoding", "connection", "content-length"}:
                            self.send_header(name, value)
                    self.send_header("connection", "close")
                    self.end_headers()
                    while piece := response.read1(65536):
                        self.wfile.write(piece)
                finally:
                    connection.close()

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002 — the base class names it
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)

    @property
    def base_url(self) -> str:
        """The base URL for OpenAI clients."""
        return f"http://127.0.0.1:{self._server.server_address[1]}/v1"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, _type: type[BaseException] | None, _error: BaseException | None, _traceback: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


def _parsed(body: bytes) -> Any:
    try:
        return json.loads(body.decode(), parse_constant=no_constant)
    except ValueError:
        return None


class CheckedSimulator(Simulator):
    """A simulator that checks what it was sent, when it is stopped or reset."""

    def __init__(self, **script: Any) -> None:
        super().__init__(**script)
        self.refusals: list[RefusedError] = []

    def reset(self) -> None:
        """Checks, and clears the report."""
        self._check()
        super().reset()

    def stop(self) -> None:
        """Checks, and stops."""
        with suppress(RuntimeError):  # it was stopped before
            self._check()
        super().stop()

    def _check(self) -> None:
        for request in self.report()["requests"]:
            rules = _rules_of(request["path"])
            if rules is not None:
                try:
                    rules(request["body"])
                except RefusedError as refusal:
                    self.refusals.append(refusal)


def _rules_of(path: str) -> Callable[[Any], None] | None:
    """The rules for what is sent to a path; None if it has none that all who answer there share."""
    ends = {
        "/chat/completions": compatible,
        "/messages": anthropic,
        "/responses": responses,
        "/converse": bedrock,
        "/converse-stream": bedrock,
    }
    return next((rules for end, rules in ends.items() if path.endswith(end)), None)
