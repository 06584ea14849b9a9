"""The clients, with one adapter each, written as the client's documentation shows. Telemetry is switched off.

An adapter is a context manager. It opens what is kept between requests (a session, a pool) and yields ``connect``. That
takes a model's name and returns ``ask``. ``ask`` starts one request and iterates over its tokens.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, AbstractContextManager, asynccontextmanager, contextmanager
from dataclasses import dataclass
from typing import Any, TypeAlias

Ask: TypeAlias = Callable[[], Any]
Connect: TypeAlias = Callable[[str], Ask]

KEY = "sk-simulator"
PROMPT = "go"


def body(model: str) -> dict[str, Any]:
    """The request's body, for clients that write it by hand."""
    return {"model": model, "messages": [{"role": "user", "content": PROMPT}], "stream": True}


# --- headrace ------------------------------------------------------------------------------------------------------


@contextmanager
def headrace_sync(url: str) -> Iterator[Connect]:
    from headrace import Agent

    def connect(model: str) -> Ask:
        agent = Agent(model_name=f"openai/{model}", llm_base_url=url, llm_api_key=KEY, print_on=False)
        return lambda: agent.run_stream(PROMPT)

    yield connect


@asynccontextmanager
async def headrace_async(url: str) -> AsyncIterator[Connect]:
    from headrace import Agent

    def connect(model: str) -> Ask:
        agent = Agent(model_name=f"openai/{model}", llm_base_url=url, llm_api_key=KEY, print_on=False)
        return lambda: agent.arun_stream(PROMPT)

    yield connect


# --- by hand -------------------------------------------------------------------------------------------------------


@asynccontextmanager
async def aiohttp_orjson(url: str) -> AsyncIterator[Connect]:
    import aiohttp
    import orjson

    def connect(model: str) -> Ask:
        async def ask() -> AsyncIterator[str]:
            async with session.post(f"{url}/chat/completions", json=body(model)) as response:
                rest = b""
                async for block in response.content.iter_any():
                    *events, rest = (rest + block).split(b"\n\n")
                    for event in events:
                        if event.startswith(b"data: {"):
                            choices = orjson.loads(event[6:])["choices"]
                            if choices and (token := choices[0]["delta"].get("content")):
                                yield token

        return ask

    unlimited = aiohttp.TCPConnector(limit=0)
    headers = {"authorization": f"Bearer {KEY}"}
    async with aiohttp.ClientSession(connector=unlimited, headers=headers) as session:
        yield connect


def tokens_of(events: list[bytes]) -> Iterator[str]:
    """The tokens of events."""
    import orjson

    for event in events:
        if event.startswith(b"data: {"):
            choices = orjson.loads(event[6:])["choices"]
            if choices and (token := choices[0]["delta"].get("content")):
                yield token


@asynccontextmanager
async def pyreqwest_orjson(url: str) -> AsyncIterator[Connect]:
    from pyreqwest.client import ClientBuilder

    def connect(model: str) -> Ask:
        async def ask() -> AsyncIterator[str]:
            request = client.post(f"{url}/chat/completions").bearer_auth(KEY).body_json(body(model))
            async with request.build_streamed() as response:
                rest = b""
                while (block := await response.body_reader.read_chunk()) is not None:
                    *events, rest = (rest + bytes(block)).split(b"\n\n")
                    for token in tokens_of(events):
                        yield token

        return ask

    async with ClientBuilder().build() as client:
        yield connect


@contextmanager
def pyreqwest_orjson_sync(url: str) -> Iterator[Connect]:
    from pyreqwest.client import SyncClientBuilder

    def connect(model: str) -> Ask:
        def ask() -> Iterator[str]:
            request = client.post(f"{url}/chat/completions").bearer_auth(KEY).body_json(body(model))
            with request.build_streamed() as response:
                rest = b""
                while (block := response.body_reader.read_chunk()) is not None:
                    *events, rest = (rest + bytes(block)).split(b"\n\n")
                    yield from tokens_of(events)

        return ask

    with SyncClientBuilder().build() as client:
        yield connect


@contextmanager
def httpr_orjson_sync(url: str) -> Iterator[Connect]:
    import httpr

    def connect(model: str) -> Ask:
        def ask() -> Iterator[str]:
            with client.stream("POST", f"{url}/chat/completions", json=body(model)) as response:
                rest = b""
                for block in response.iter_bytes():
                    *events, rest = (rest + block).split(b"\n\n")
                    yield from tokens_of(events)

        return ask

    with httpr.Client(auth_bearer=KEY, timeout=600) as client:
        yield connect


@asynccontextmanager
async def httpx_json(url: str) -> AsyncIterator[Connect]:
    import json

    import httpx

    def connect(model: str) -> Ask:
        async def ask() -> AsyncIterator[str]:
            async with client.stream("POST", f"{url}/chat/completions", json=body(model)) as response:
                async for line in response.aiter_lines():
                    if line.startswith("data: {"):
                        choices = json.loads(line[6:])["choices"]
                        if choices and (token := choices[0]["delta"].get("content")):
                            yield token

        return ask

    unlimited = httpx.Limits(max_connections=None, max_keepalive_connections=None)
    headers = {"authorization": f"Bearer {KEY}"}
    async with httpx.AsyncClient(limits=unlimited, timeout=None, headers=headers) as client:
        yield connect


# --- clients with a Rust core --------------------------------------------------------------------------------------


@contextmanager
def f3dx_sync(url: str) -> Iterator[Connect]:
    import f3dx

    client = f3dx.OpenAI(api_key=KEY, base_url=url, http2=False)

    def connect(model: str) -> Ask:
        def ask() -> Iterator[str]:
            for chunk in client.chat_completions_create_stream(body(model)):
                if chunk["choices"] and (token := chunk["choices"][0]["delta"].get("content")):
                    yield token

        return ask

    yield connect


@asynccontextmanager
async def liter_llm(url: str) -> AsyncIterator[Connect]:
    import liter_llm

    client = liter_llm.create_client(KEY, url, timeout_secs=600, max_retries=0, model_hint="openai")

    def connect(model: str) -> Ask:
        async def ask() -> AsyncIterator[str]:
            request = liter_llm.ChatCompletionRequest(
                model=model, messages=[{"role": "user", "content": PROMPT}], stream=True
            )
            async for chunk in liter_llm.chat_stream(client, request):
                if chunk.choices and (token := chunk.choices[0].delta.content):
                    yield token

        return ask

    yield connect


# --- SDKs and agents -----------------------------------------------------------------------------------------------


def openai_client(url: str) -> Any:
    """The SDK's client, without its limit of 1000 connections, so that all streams run at the same time."""
    import httpx2
    from openai import AsyncOpenAI, DefaultAsyncHttpxClient

    # Any: this is openai 3, but `make lint` has the types of an older version.
    unlimited: Any = httpx2.Limits(max_connections=None, max_keepalive_connections=None)
    return AsyncOpenAI(
        base_url=url, api_key=KEY, timeout=600, max_retries=0, http_client=DefaultAsyncHttpxClient(limits=unlimited)
    )


@asynccontextmanager
async def openai_sdk(url: str) -> AsyncIterator[Connect]:
    def connect(model: str) -> Ask:
        async def ask() -> AsyncIterator[str]:
            messages = [{"role": "user", "content": PROMPT}]
            async with await client.chat.completions.create(model=model, messages=messages, stream=True) as stream:
                async for chunk in stream:
                    if chunk.choices and (token := chunk.choices[0].delta.content):
                        yield token

        return ask

    async with openai_client(url) as client:
        yield connect


@asynccontextmanager
async def openai_agents(url: str) -> AsyncIterator[Connect]:
    from agents import Agent, OpenAIChatCompletionsModel, Runner

    def connect(model: str) -> Ask:
        agent = Agent(name="peer", model=OpenAIChatCompletionsModel(model=model, openai_client=client))

        async def ask() -> AsyncIterator[str]:
            async for event in Runner.run_streamed(agent, PROMPT).stream_events():
                if event.type == "raw_response_event" and event.data.type == "response.output_text.delta":
                    yield event.data.delta

        return ask

    async with openai_client(url) as client:
        yield connect


@asynccontextmanager
async def pydantic_ai(url: str) -> AsyncIterator[Connect]:
    from pydantic_ai import Agent
    from pydantic_ai.models.openai import OpenAIChatModel
    from pydantic_ai.providers.openai import OpenAIProvider

    def connect(model: str) -> Ask:
        agent = Agent(OpenAIChatModel(model, provider=OpenAIProvider(openai_client=client)))

        async def ask() -> AsyncIterator[str]:
            async with agent.run_stream(PROMPT) as result:
                async for token in result.stream_text(delta=True, debounce_by=None):
                    yield token

        return ask

    async with openai_client(url) as client:
        yield connect


@asynccontextmanager
async def litellm(url: str) -> AsyncIterator[Connect]:
    import litellm

    def connect(model: str) -> Ask:
        async def ask() -> AsyncIterator[str]:
            stream = await litellm.acompletion(
                model=f"openai/{model}",
                api_base=url,
                api_key=KEY,
                messages=[{"role": "user", "content": PROMPT}],
                stream=True,
            )
            async for chunk in stream:
                if chunk.choices and (token := chunk.choices[0].delta.content):
                    yield token

        return ask

    yield connect


def swarms_agent(url: str, model: str) -> Any:
    """An agent that prints nothing."""
    from swarms import Agent

    return Agent(
        model_name=f"openai/{model}",
        llm_base_url=url,
        llm_api_key=KEY,
        max_loops=1,
        retry_attempts=1,
        system_prompt="You are helpful.",
        streaming_on=True,
        print_on=False,
    )


@contextmanager
def swarms_sync(url: str) -> Iterator[Connect]:
    def connect(model: str) -> Ask:
        agent = swarms_agent(url, model)
        return lambda: agent.run_stream(PROMPT)

    yield connect


@asynccontextmanager
async def swarms_async(url: str) -> AsyncIterator[Connect]:
    def connect(model: str) -> Ask:
        agent = swarms_agent(url, model)
        return lambda: agent.arun_stream(PROMPT)

    yield connect


# --- all of them ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Client:
    """A client.

    Attributes:
        key: Its name on the command line and in the raw results.
        label: Its name in the report.
        open: The adapter.
        packages: The packages that pip installs for it.
        imports: The statement that imports it, to measure its cost; empty if another client has the same.
        environment: Its virtual environment. Clients whose pinned versions conflict with the others' have their own.
        own_agent: Whether each request gets a new agent, made beforehand, because the agent keeps its history.
    """

    key: str
    label: str
    open: Callable[[str], AbstractContextManager[Connect] | AbstractAsyncContextManager[Connect]]
    packages: tuple[str, ...]
    imports: str = ""
    environment: str = "venv"
    own_agent: bool = False

    @property
    def is_async(self) -> bool:
        """Whether it is read with ``async for``."""
        return not self.key.endswith("_sync")


BEFORE: dict[str, Any] = {"packages": ("headrace",), "environment": "venv-before"}
SWARMS: dict[str, Any] = {"packages": ("swarms",), "environment": "venv-swarms", "own_agent": True}

CLIENTS = {
    client.key: client
    for client in (
        Client("headrace_sync", "headrace `run_stream`", headrace_sync, ("headrace",), "from headrace import Agent"),
        Client("headrace_async", "headrace `arun_stream`", headrace_async, ("headrace",)),
        Client("headrace_before_sync", "the earlier build, `run_stream`", headrace_sync, **BEFORE),
        Client("headrace_before_async", "the earlier build, `arun_stream`", headrace_async, **BEFORE),
        Client("aiohttp", "aiohttp + orjson", aiohttp_orjson, ("aiohttp", "orjson"), "import aiohttp, orjson"),
        Client(
            "pyreqwest",
            "pyreqwest + orjson",
            pyreqwest_orjson,
            ("pyreqwest", "orjson"),
            "import orjson, pyreqwest.client",
        ),
        Client("pyreqwest_sync", "pyreqwest + orjson, sync", pyreqwest_orjson_sync, ("pyreqwest", "orjson")),
        Client("httpr_sync", "httpr + orjson, sync", httpr_orjson_sync, ("httpr", "orjson"), "import httpr, orjson"),
        Client("f3dx_sync", "f3dx, sync", f3dx_sync, ("f3dx",), "import f3dx"),
        Client("liter_llm", "liter-llm", liter_llm, ("liter-llm",), "import liter_llm"),
        Client("httpx", "httpx + json", httpx_json, ("httpx",), "import httpx, json"),
        Client("openai", "openai SDK", openai_sdk, ("openai",), "from openai import AsyncOpenAI"),
        Client("openai_agents", "openai-agents", openai_agents, ("openai-agents",), "from agents import Agent"),
        Client(
            "pydantic_ai", "pydantic-ai", pydantic_ai, ("pydantic-ai-slim[openai]",), "from pydantic_ai import Agent"
        ),
        Client("litellm", "litellm", litellm, ("litellm",), "import litellm", "venv-litellm"),
        Client("swarms_sync", "swarms `run_stream`", swarms_sync, imports="from swarms import Agent", **SWARMS),
        Client("swarms_async", "swarms `arun_stream`", swarms_async, **SWARMS),
    )
}

# No telemetry, no downloads, no files.
QUIET = {
    "OPENAI_API_KEY": KEY,
    "OPENAI_AGENTS_DISABLE_TRACING": "1",
    "LITELLM_LOCAL_MODEL_COST_MAP": "True",
    "LITELLM_TELEMETRY": "False",
    "SWARMS_TELEMETRY_ON": "false",
    "NO_PROXY": "127.0.0.1",
}
