"""A model for each dialect, and one conversation that all of them have: :data:`SCRIPT`.

The request of its third turn is in ``tests/conformance/requests``, in the form of each dialect.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from headrace import Agent
from support.harness import KEY, REPOSITORY

if TYPE_CHECKING:
    from collections.abc import Mapping

    from headrace.testing import Simulator
    from support.strict import StrictEndpoint

IMAGE: Final = (
    "data:image/png;base64,"
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)

SCRIPT: Final[list[dict[str, Any]]] = [
    {
        "when": {"turn": 0},
        "reasoning": ["Two", " places."],
        "signature": "c2lnbmVkLTE=",
        "text": ["Let me", " look."],
        "tool_calls": [
            {"name": "weather", "arguments": {"city": "Oslo"}, "signature": "Y2FsbC0x"},
            {"name": "weather", "arguments": {"city": "Rome"}},
        ],
        "usage": {"input_tokens": 50, "output_tokens": 12, "cached_tokens": 5, "reasoning_tokens": 3},
    },
    {
        "when": {"turn": 1},
        "reasoning": ["One more."],
        "signature": "c2lnbmVkLTI=",
        "tool_calls": [{"name": "weather", "arguments": {"city": "Bergen"}, "signature": "Y2FsbC0y"}],
        "usage": {"input_tokens": 70, "output_tokens": 6},
    },
    {
        "when": {"turn": 2},
        "text": ["Cold", " everywhere."],
        "usage": {"input_tokens": 90, "output_tokens": 2},
    },
]


def weather(city: str) -> str:
    """Tells the weather."""
    return f"{city}: cold"


@dataclass(frozen=True)
class Service:
    """A model, and how to ask it.

    Attributes:
        model: Its name.
        dialect: The dialect of its answers.
        provider: Who serves it, as litellm names providers; None if it is known only by its URL.
        base: The path of its base URL.
        path: The path and query of its requests.
        body: The file with the expected members of the body.
        options: More options of the agent.
        unseen: The counts in :data:`SCRIPT` that this dialect does not have.
        finish_reasons: Its own finish reasons: of a turn with tool calls, and of one without.
    """

    model: str
    dialect: str
    provider: str | None
    base: str
    path: str
    body: str
    options: Mapping[str, Any] = field(default_factory=dict)
    unseen: frozenset[str] = frozenset()
    finish_reasons: tuple[str, str] = ("tool_calls", "stop")

    @property
    def expected(self) -> dict[str, Any]:
        """The members of the third request's body."""
        body: dict[str, Any] = json.loads((REPOSITORY / f"tests/conformance/requests/{self.body}.json").read_text())
        return body


_THINKING: Final = {"thinking_tokens": 1024}
_SIGNED: Final = {
    "llm_api_key": None,
    "llm_args": {"aws_access_key_id": "id", "aws_secret_access_key": "secret", "aws_region_name": "us-east-1"},
}
_CLAUDE: Final = "anthropic.claude-3-7-sonnet-20250219-v1:0"

SERVICES: Final = {
    "anthropic": Service(
        "anthropic/claude-sonnet-4-5", "anthropic", "anthropic", "", "/v1/messages", "anthropic", _THINKING,
        unseen=frozenset({"total_tokens"}), finish_reasons=("tool_use", "end_turn"),
    ),
    "gemini": Service(
        "gemini/gemini-2.5-flash", "gemini", "gemini", "/v1beta",
        "/v1beta/models/gemini-2.5-flash:streamGenerateContent?alt=sse", "gemini", _THINKING,
        finish_reasons=("STOP", "STOP"),
    ),
    "cohere": Service(
        "cohere/command-r-plus", "cohere", "cohere", "/v2/chat", "/v2/chat", "openai_chat_unsigned",
        unseen=frozenset({"total_tokens", "reasoning_tokens"}), finish_reasons=("TOOL_CALL", "COMPLETE"),
    ),
    "ollama_chat": Service(
        "ollama_chat/llama3", "ollama", "ollama_chat", "", "/api/chat", "ollama_chat",
        unseen=frozenset({"total_tokens", "reasoning_tokens", "cached_tokens"}), finish_reasons=("stop", "stop"),
    ),
    "openai_responses": Service(
        "openai/responses/gpt-5", "openai_responses", "openai", "/v1", "/v1/responses", "openai_responses",
        finish_reasons=("completed", "completed"),
    ),
    "azure": Service(
        "azure/gpt-4o", "openai_chat", "azure", "",
        "/openai/deployments/gpt-4o/chat/completions?api-version=2024-10-21", "openai_chat_unsigned",
        {"llm_args": {"api_version": "2024-10-21"}},
    ),
    "bedrock_converse": Service(
        f"bedrock/{_CLAUDE}", "bedrock", "bedrock", "",
        f"/model/{_CLAUDE.replace(':', '%3A')}/converse-stream", "bedrock_converse", {**_THINKING, **_SIGNED},
        unseen=frozenset({"reasoning_tokens"}), finish_reasons=("tool_use", "end_turn"),
    ),
    "bedrock_invoke": Service(
        f"bedrock/invoke/{_CLAUDE}", "bedrock", "bedrock", "",
        f"/model/{_CLAUDE}/invoke-with-response-stream", "anthropic", {**_THINKING, **_SIGNED},
        unseen=frozenset({"total_tokens"}), finish_reasons=("tool_use", "end_turn"),
    ),
    "openai_chat": Service("openai/gpt-4o", "openai_chat", None, "/v1", "/v1/chat/completions", "openai_chat"),
}  # fmt: skip


def agent_on(service: Service, simulator: Simulator | StrictEndpoint, **options: Any) -> Agent:
    """An agent that asks a simulator in the same way as the service's provider."""
    url = simulator.base_url.removesuffix("/v1") + service.base
    given: dict[str, Any] = {"llm_api_key": KEY, "tools": [weather], "system_prompt": "You look up.", "max_loops": 3}
    return Agent(model_name=service.model, llm_base_url=url, print_on=False, **{**given, **service.options, **options})
