"""The official libraries of the providers read the simulator: each gets exactly the content of the script."""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING, Any

import anthropic
import ollama
import openai
import pytest
from google import genai
from google.genai import types as google

from headrace.testing import Simulator

if TYPE_CHECKING:
    from collections.abc import Iterator

KEY = "secret"
QUESTION: Any = [{"role": "user", "content": "How is the weather in Oslo?"}]
SIGNATURE = base64.b64encode(b"signed").decode()
SEALED = base64.b64encode(b"sealed").decode()
WEATHER = {"city": "Oslo", "days": 3}
TURNS = [
    {"when": {"role": "tool", "contains": "very cold", "turn": 1, "tools": True}, "text": "It is cold."},
    {
        "when": {"contains": "weather", "turn": 0},
        "reasoning": "I should look.",
        "signature": SIGNATURE,
        "encrypted": SEALED,
        "text": "Let me look.",
        "tool_calls": [
            {"id": "call_a", "name": "weather", "arguments": WEATHER, "fragments": 3},
            {"id": "call_b", "name": "now"},
        ],
        "usage": {"input_tokens": 11, "output_tokens": 7, "cached_tokens": 4, "reasoning_tokens": 2},
    },
    {"when": {"contains": "fail"}, "text": "one two", "fault": {"kind": "error", "after": 1}},
    {"when": {"contains": "wait"}, "fault": {"kind": "status", "status": 429}},
]


@pytest.fixture
def simulator() -> Iterator[Simulator]:
    with Simulator(model="sim-1", turns=TURNS, api_key=KEY) as simulator:
        yield simulator


def root(simulator: Simulator) -> str:
    """The URL for most libraries, which add the version of their API themselves."""
    return simulator.base_url.removesuffix("/v1")


def asking(word: str) -> Any:
    """The messages of a request that the script answers with a failure."""
    return [{"role": "user", "content": word}]


# --- OpenAI --------------------------------------------------------------------------------------------------------


@pytest.fixture
def openai_client(simulator: Simulator) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=simulator.base_url, api_key=KEY, max_retries=0) as client:
        yield client


CALLS = [("call_a", "weather", json.dumps(WEATHER, separators=(",", ":"))), ("call_b", "now", "{}")]


def assert_chat(completion: Any) -> None:
    [choice] = completion.choices
    assert (choice.message.content, choice.message.reasoning_content) == ("Let me look.", "I should look.")
    calls = choice.message.tool_calls
    assert [(call.id, call.function.name, call.function.arguments) for call in calls] == CALLS
    assert choice.finish_reason == "tool_calls"
    usage = completion.usage
    assert (usage.prompt_tokens, usage.completion_tokens, usage.total_tokens) == (11, 7, 18)
    assert usage.prompt_tokens_details.cached_tokens == 4
    assert usage.completion_tokens_details.reasoning_tokens == 2
    assert completion.model == "sim-1"


def test_openai_reads_chat_completions(openai_client: openai.OpenAI) -> None:
    chat = openai_client.chat.completions
    options = {"include_usage": True}
    with chat.stream(model="m", messages=QUESTION, stream_options=options) as stream:  # type: ignore[arg-type]
        stream.until_done()
        assert_chat(stream.get_final_completion())
    assert_chat(chat.create(model="m", messages=QUESTION))


def assert_response(response: Any) -> None:
    reasoning, message, *calls = response.output
    assert [part.text for part in reasoning.summary] == ["I should look."]
    assert (reasoning.encrypted_content, message.content[0].text) == (SEALED, "Let me look.")
    assert [(call.call_id, call.name, call.arguments) for call in calls] == CALLS
    assert response.output_text == "Let me look."
    assert (response.status, response.incomplete_details) == ("completed", None)
    usage = response.usage
    assert (usage.input_tokens, usage.output_tokens, usage.total_tokens) == (11, 7, 18)
    assert (usage.input_tokens_details.cached_tokens, usage.output_tokens_details.reasoning_tokens) == (4, 2)
    assert (response.id, response.model) == ("resp_sim-1", "sim-1")


def test_openai_reads_responses(openai_client: openai.OpenAI) -> None:
    responses = openai_client.responses
    with responses.stream(model="m", input=QUESTION) as stream:
        events = list(stream)
        assert_response(stream.get_final_response())
    deltas = [event.delta for event in events if event.type == "response.output_text.delta"]
    assert deltas == ["Let", " me", " look."]
    assert [event.sequence_number for event in events] == list(range(len(events)))
    first = responses.create(model="m", input=QUESTION)
    assert_response(first)
    outputs: Any = [
        {"type": "function_call_output", "call_id": call_id, "output": "very cold"} for call_id, *_ in CALLS
    ]
    tools: Any = [{"type": "function", "name": "weather", "parameters": {}, "strict": False}]
    conversation: Any = [*QUESTION, *(item.to_dict() for item in first.output), *outputs]
    assert responses.create(model="m", input=conversation, tools=tools).output_text == "It is cold."


def test_openai_raises_the_scripted_errors(openai_client: openai.OpenAI) -> None:
    with pytest.raises(openai.APIError, match="as its script says"):
        list(openai_client.chat.completions.create(model="m", messages=asking("fail"), stream=True))
    *_, failed = openai_client.responses.create(model="m", input="fail", stream=True)
    assert failed.type == "response.failed"
    assert failed.response.error
    assert failed.response.error.message == "The simulator fails, as its script says."
    document = openai_client.responses.create(model="m", input="fail")
    assert (document.status, document.error) == ("failed", failed.response.error)
    with pytest.raises(openai.RateLimitError):
        openai_client.responses.create(model="m", input="wait")
    with pytest.raises(openai.BadRequestError, match="`input`"):
        openai_client.responses.create(model="m")
    with pytest.raises(openai.AuthenticationError):
        openai_client.with_options(api_key="wrong").responses.create(model="m", input="hi")


# --- Anthropic -----------------------------------------------------------------------------------------------------


@pytest.fixture
def anthropic_client(simulator: Simulator) -> Iterator[anthropic.Anthropic]:
    with anthropic.Anthropic(base_url=root(simulator), api_key=KEY, max_retries=0) as client:
        yield client


MESSAGE = {
    "id": "msg_sim-1",
    "type": "message",
    "role": "assistant",
    "model": "sim-1",
    "content": [
        {"type": "thinking", "thinking": "I should look.", "signature": SIGNATURE},
        {"type": "redacted_thinking", "data": SEALED},
        {"type": "text", "text": "Let me look."},
        {"type": "tool_use", "id": "call_a", "name": "weather", "input": WEATHER},
        {"type": "tool_use", "id": "call_b", "name": "now", "input": {}},
    ],
    "stop_reason": "tool_use",
    "usage": {
        "input_tokens": 11,
        "output_tokens": 7,
        "cache_read_input_tokens": 4,
        "output_tokens_details": {"thinking_tokens": 2},
    },
}


def test_anthropic_reads_messages(anthropic_client: anthropic.Anthropic) -> None:
    messages = anthropic_client.messages
    with messages.stream(model="m", max_tokens=9, messages=QUESTION) as stream:
        assert list(stream.text_stream) == ["Let", " me", " look."]
        assert stream.get_final_message().to_dict(exclude_none=True) == MESSAGE
    first = messages.create(model="m", max_tokens=9, messages=QUESTION)
    assert first.to_dict(exclude_none=True) == MESSAGE
    results = [
        {"type": "tool_result", "tool_use_id": block.id, "content": "very cold"}
        for block in first.content
        if block.type == "tool_use"
    ]
    conversation: Any = [
        *QUESTION,
        {"role": "assistant", "content": first.content},
        {"role": "user", "content": results},
    ]
    tools: Any = [{"name": "weather", "input_schema": {"type": "object"}}]
    with messages.stream(model="m", max_tokens=9, messages=conversation, tools=tools, system="Be brief.") as stream:
        final = stream.get_final_message()
    assert (stream.get_final_text(), final.stop_reason) == ("It is cold.", "end_turn")
    # Input: the words of the system prompt, question, first answer and both results. Output: tokens of the last answer.
    assert (final.usage.input_tokens, final.usage.output_tokens) == (2 + 6 + 3 + 2 * 2, 3)


def test_anthropic_raises_the_scripted_errors(anthropic_client: anthropic.Anthropic) -> None:
    messages = anthropic_client.messages
    with (
        messages.stream(model="m", max_tokens=9, messages=asking("fail")) as stream,
        pytest.raises(anthropic.APIStatusError, match="as its script says"),
    ):
        stream.until_done()
    with pytest.raises(anthropic.RateLimitError) as caught:
        messages.create(model="m", max_tokens=9, messages=asking("wait"))
    assert (caught.value.type, caught.value.request_id) == ("rate_limit_error", "req-1")
    with pytest.raises(anthropic.BadRequestError, match="`messages`"):
        messages.create(model="m", max_tokens=9, messages=[])
    with pytest.raises(anthropic.AuthenticationError):
        anthropic_client.with_options(api_key="wrong").messages.create(model="m", max_tokens=9, messages=QUESTION)


# --- Google --------------------------------------------------------------------------------------------------------


@pytest.fixture
def google_client(simulator: Simulator) -> Iterator[genai.Client]:
    with genai.Client(api_key=KEY, http_options=google.HttpOptions(base_url=root(simulator))) as client:
        yield client


def content(response: google.GenerateContentResponse) -> google.Content:
    """The content of the only candidate in a response, or in a chunk of it."""
    [candidate] = response.candidates or [google.Candidate()]
    return candidate.content or google.Content(role="model", parts=[])


def assert_parts(parts: list[google.Part]) -> None:
    texts = {thought: "".join(p.text or "" for p in parts if bool(p.thought) is thought) for thought in (True, False)}
    assert texts == {True: "I should look.", False: "Let me look."}
    assert [part.thought_signature for part in parts if part.thought_signature] == [b"signed", b"sealed"]
    calls = [part.function_call for part in parts if part.function_call]
    assert [(call.id, call.name, call.args) for call in calls] == [
        ("call_a", "weather", WEATHER),
        ("call_b", "now", {}),
    ]


def assert_last(response: google.GenerateContentResponse) -> None:
    assert (response.model_version, response.response_id) == ("sim-1", "sim-1")
    usage = response.usage_metadata
    assert usage
    assert (usage.prompt_token_count, usage.candidates_token_count, usage.total_token_count) == (11, 7, 18)
    assert (usage.cached_content_token_count, usage.thoughts_token_count) == (4, 2)


def test_google_reads_generate_content(google_client: genai.Client) -> None:
    models, question = google_client.models, QUESTION[0]["content"]
    chunks = list(models.generate_content_stream(model="gemini-x", contents=question))
    assert_parts([part for chunk in chunks for part in content(chunk).parts or []])
    reasons = [candidate.finish_reason for chunk in chunks for candidate in chunk.candidates or []]
    assert [reason for reason in reasons if reason] == [google.FinishReason.STOP]
    assert_last(chunks[-1])
    whole = models.generate_content(model="gemini-x", contents=question)
    assert_parts(content(whole).parts or [])
    assert_last(whole)
    results = [
        google.Part.from_function_response(name=call.name or "", response={"result": "very cold"})
        for call in whole.function_calls or []
    ]
    conversation: Any = [question, content(whole), google.Content(role="user", parts=results)]
    tools: Any = [google.Tool(function_declarations=[google.FunctionDeclaration(name="weather")])]
    config = google.GenerateContentConfig(tools=tools, system_instruction="Be brief.")
    answer = models.generate_content_stream(model="gemini-x", contents=conversation, config=config)
    assert [chunk.text for chunk in answer if chunk.text] == ["It", " is", " cold."]


def test_google_raises_the_scripted_errors(google_client: genai.Client) -> None:
    models = google_client.models
    with pytest.raises(genai.errors.ServerError, match="INTERNAL") as failed:
        list(models.generate_content_stream(model="gemini-x", contents="fail"))
    assert failed.value.message == "The simulator fails, as its script says."
    with pytest.raises(genai.errors.ClientError, match="RESOURCE_EXHAUSTED"):
        models.generate_content(model="gemini-x", contents="wait")
    with pytest.raises(genai.errors.ClientError, match=r"INVALID_ARGUMENT.*role"):
        models.generate_content(model="gemini-x", contents=google.Content(role="x", parts=[google.Part(text="a")]))


# --- Ollama --------------------------------------------------------------------------------------------------------


@pytest.fixture
def ollama_client(simulator: Simulator) -> Iterator[ollama.Client]:
    with ollama.Client(host=root(simulator), headers={"Authorization": f"Bearer {KEY}"}) as client:
        yield client


def assert_lines(lines: list[ollama.ChatResponse]) -> None:
    assert "".join(line.message.content or "" for line in lines) == "Let me look."
    assert "".join(line.message.thinking or "" for line in lines) == "I should look."
    calls = [call.function for line in lines for call in line.message.tool_calls or []]
    assert [(call.name, call.arguments) for call in calls] == [("weather", WEATHER), ("now", {})]
    last = lines[-1]
    assert (last.done, last.done_reason, last.model) == (True, "stop", "sim-1")
    assert (last.prompt_eval_count, last.eval_count) == (11, 7)


def test_ollama_reads_chat_and_generate(ollama_client: ollama.Client) -> None:
    assert_lines(list(ollama_client.chat(model="m", messages=QUESTION, stream=True)))
    whole = ollama_client.chat(model="m", messages=QUESTION)
    assert_lines([whole])
    result = {"role": "tool", "tool_name": "weather", "content": "very cold"}
    tools: Any = [{"type": "function", "function": {"name": "weather"}}]
    answer = ollama_client.chat(model="m", messages=[*QUESTION, whole.message, result], tools=tools, stream=True)
    assert [line.message.content for line in answer] == ["It", " is", " cold.", ""]
    prompt = QUESTION[0]["content"]
    generated = list(ollama_client.generate(model="m", prompt=prompt, stream=True))
    assert "".join(line.response or "" for line in generated) == "Let me look."
    assert "".join(line.thinking or "" for line in generated) == "I should look."
    assert (generated[-1].done, generated[-1].prompt_eval_count, generated[-1].eval_count) == (True, 11, 7)
    document = ollama_client.generate(model="m", prompt=prompt)
    assert (document.response, document.thinking) == ("Let me look.", "I should look.")


def test_ollama_raises_the_scripted_errors(ollama_client: ollama.Client) -> None:
    with pytest.raises(ollama.ResponseError, match="as its script says"):
        list(ollama_client.chat(model="m", messages=asking("fail"), stream=True))
    for prompt, status in [("wait", 429), ("something else", 500)]:
        with pytest.raises(ollama.ResponseError) as caught:
            ollama_client.generate(model="m", prompt=prompt)
        assert caught.value.status_code == status
