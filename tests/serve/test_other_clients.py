"""What other clients of OpenAI's and Anthropic's protocols get: litellm, LangChain, the async SDKs, and curl."""

from __future__ import annotations

import asyncio
import json
import shutil
import subprocess
from typing import Any

import anthropic
import openai
import pytest
from langchain_core.messages import AIMessageChunk, HumanMessage, SystemMessage, ToolMessage
from langchain_core.tools import tool
from langchain_openai import ChatOpenAI
from pydantic import SecretStr

from support.conversations import add, bodies, calling
from support.harness import PATIENCE, Simulate, agent_at
from support.serving import GO, MODEL, openai_at, serving_agents

TEXT = ["Water", " turns", " the", " wheel."]
CALLS = [{"when": {"role": "tool"}, "text": "Shown."}, {"tool_calls": [calling("show", {"what": "a mill"})]}]


@tool
def show(what: str) -> str:
    """Shows something."""
    return f"{what} is shown"


@pytest.mark.parametrize("model", [f"openai/{MODEL}", f"anthropic/{MODEL}", f"openai/responses/{MODEL}"])
def test_litellm(simulate: Simulate, model: str) -> None:
    import litellm

    with serving_agents(agent_at(simulate(turns=[{"text": TEXT}]))) as running:
        base = running.url if model.startswith("anthropic/") else f"{running.url}/v1"
        options: dict[str, Any] = {"model": model, "api_base": base, "api_key": "none", "messages": GO}
        streamed = litellm.completion(**options, stream=True)
        chunks = [chunk.choices[0].delta.content or "" for chunk in streamed]
        whole: Any = litellm.completion(**options)
    assert "".join(chunks) == whole.choices[0].message.content == "".join(TEXT)


def langchain(url: str, responses: bool) -> ChatOpenAI:
    return ChatOpenAI(
        model=MODEL,
        base_url=f"{url}/v1",
        api_key=SecretStr("none"),
        use_responses_api=responses,
        stream_usage=True,
        max_retries=0,
    )


@pytest.mark.parametrize("responses", [False, True])
def test_langchain_streams(simulate: Simulate, responses: bool) -> None:
    simulator = simulate(turns=[{"text": TEXT}])
    with serving_agents(agent_at(simulator)) as running:
        model = langchain(running.url, responses)
        chunks = list(model.stream([SystemMessage("Be short."), HumanMessage("Go.")]))
    assert "".join(str(chunk.text) for chunk in chunks) == "".join(TEXT)
    assert [message["content"] for message in bodies(simulator)[0]["messages"]] == ["Be short.", "Go."]
    counts = [chunk.usage_metadata for chunk in chunks if chunk.usage_metadata]
    assert counts[-1]["output_tokens"] == 4


@pytest.mark.parametrize("responses", [False, True])
def test_langchain_runs_its_own_tools(simulate: Simulate, responses: bool) -> None:
    simulator = simulate(turns=CALLS)
    with serving_agents(agent_at(simulator, tools=[add], max_loops=3)) as running:
        bound = langchain(running.url, responses).bind_tools([show])
        first = AIMessageChunk(content="")
        for chunk in bound.stream([HumanMessage("Show.")]):
            assert isinstance(chunk, AIMessageChunk)
            first += chunk
        [call] = first.tool_calls
        assert (call["name"], call["args"]) == ("show", {"what": "a mill"})
        result = ToolMessage(show.invoke(call["args"]), tool_call_id=call["id"])
        assert bound.invoke([HumanMessage("Show."), first, result]).text == "Shown."


def test_the_async_sdks(simulate: Simulate) -> None:
    async def main(url: str) -> tuple[str, str, str]:
        options: dict[str, Any] = {"api_key": "none", "max_retries": 0, "timeout": PATIENCE}
        async with (
            openai.AsyncOpenAI(base_url=f"{url}/v1", **options) as first,
            anthropic.AsyncAnthropic(base_url=url, **options) as second,
        ):
            stream = await first.chat.completions.create(model=MODEL, messages=GO, stream=True)
            chat = "".join([chunk.choices[0].delta.content or "" async for chunk in stream])
            events = await first.responses.create(model=MODEL, input="Go.", stream=True)
            deltas = [event.delta async for event in events if event.type == "response.output_text.delta"]
            async with second.messages.stream(model=MODEL, max_tokens=9, messages=GO) as messages:
                said = "".join([text async for text in messages.text_stream])
        return chat, "".join(deltas), said

    with serving_agents(agent_at(simulate(turns=[{"text": TEXT}]))) as running:
        assert set(asyncio.run(main(running.url))) == {"".join(TEXT)}


def test_curl_sees_tokens_as_they_come(simulate: Simulate) -> None:
    curl = shutil.which("curl")
    if curl is None:
        pytest.skip("there is no curl here")
    simulator = simulate(turns=[{"text": TEXT, "fault": {"kind": "stall", "after": 2}}])
    with serving_agents(agent_at(simulator)) as running:
        body = json.dumps({"model": MODEL, "messages": GO, "stream": True})
        command = [curl, "-sN", f"{running.url}/v1/chat/completions", "-d", body]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            for line in process.stdout:
                if '" turns"' in line:  # and the rest never comes
                    break
            else:
                pytest.fail("the tokens did not come")
            process.kill()


def test_what_open_webui_asks(simulate: Simulate) -> None:
    """Its list of models, its chats with usage, and its titles, which it aborts."""
    simulator = simulate(turns=[{"text": TEXT}])
    with serving_agents(agent_at(simulator)) as running:
        client = openai_at(running)
        [model] = client.models.list().data
        assert client.models.retrieve(model.id).object == "model"
        chat: Any = client.chat.completions.create(
            model=model.id,
            messages=GO,
            stream=True,
            stream_options={"include_usage": True},
            extra_body={"session_id": "x", "chat_id": "y", "background_tasks": {"title_generation": True}},
        )
        assert [chunk.usage for chunk in chat][-1].completion_tokens == 4
        title: Any = client.chat.completions.create(
            model=model.id, messages=GO, stream=False, max_completion_tokens=1000, metadata={"task": "title"}
        )
        assert title.choices[0].message.content == "".join(TEXT)
