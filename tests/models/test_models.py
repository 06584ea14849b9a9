"""Facts about models, and the cost of requests: compared with litellm, whose price list it is, and with constants."""

from __future__ import annotations

import json
import os
import sys
import threading
from datetime import datetime, timezone
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, Final

import pytest

from headrace import Usage, model_info
from headrace._cli import app
from headrace.models import ModelInfo, cost
from support.harness import PATIENCE, REPOSITORY, run_python

if TYPE_CHECKING:
    from collections.abc import Mapping

HAS_LITELLM: Final = find_spec("litellm") is not None
pytestmark = pytest.mark.skipif(not HAS_LITELLM, reason="litellm, whose price list it is, is not installed")

WORKDAY: Final = datetime(2026, 11, 18, 8, 0, tzinfo=timezone.utc)  # a Wednesday, in no provider's off-peak hours
SUNDAY: Final = datetime(2026, 11, 22, 8, 0, tzinfo=timezone.utc)


def usage_of(
    came_in: int | None = None,
    came_out: int | None = None,
    total: int | None = None,
    cached: int | None = None,
    reasoning: int | None = None,
    raw: Mapping[str, Any] | None = None,
) -> Usage:
    """A usage as a provider reports it."""
    return Usage(came_in, came_out, total, cached, reasoning, raw=raw)


def openai_usage(prompt: int, completion: int, *, cached: int = 0, reasoning: int = 0, written: int = 0) -> Usage:
    raw: dict[str, Any] = {
        "prompt_tokens": prompt,
        "completion_tokens": completion,
        "total_tokens": prompt + completion,
        "prompt_tokens_details": {"cached_tokens": cached},
        "completion_tokens_details": {"reasoning_tokens": reasoning},
    }
    if written:
        raw["prompt_tokens_details"]["cache_creation_tokens"] = written
    return usage_of(prompt, completion, prompt + completion, cached, reasoning, raw)


# --- compared to litellm -----------------------------------------------------------------------------------------

PLAIN: Final = openai_usage(1000, 500)
CACHED: Final = openai_usage(1000, 500, cached=400)
WRITTEN: Final = openai_usage(1000, 500, written=300)
USAGES: Final = [
    PLAIN,
    openai_usage(1000, 500, reasoning=200),
    openai_usage(128_000, 500),
    # Above 100, 128, 200, 256, 272 and 512 thousand, and at a limit, which xAI includes.
    *(openai_usage(prompt, 500) for prompt in (110_000, 150_000, 200_000, 250_000, 260_000, 300_000, 600_000)),
    CACHED,
    openai_usage(300_000, 500, cached=1000),
    WRITTEN,
    openai_usage(300_000, 500, cached=1000, written=300),
]

# litellm asks these for a login, or asks a server that runs.
ASKED: Final = ("github_copilot", "chatgpt", "ollama", "lemonade")

ASK_LITELLM: Final = """
    import json, logging, os, socket, sys
    from collections import Counter
    from datetime import datetime
    os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"

    def refuse(*_):
        raise OSError("nothing leaves this test")

    socket.socket.connect = refuse
    import litellm
    from litellm.litellm_core_utils.llm_cost_calc import utils

    logging.disable(logging.CRITICAL)
    litellm.suppress_debug_info = True
    asked, usages, times = json.loads(sys.argv[1])

    def tried(function, *arguments, **named):
        try:
            return function(*arguments, **named)
        except Exception:
            return None

    found, per_provider = {}, Counter()
    for name, entry in litellm.model_cost.items():
        provider = entry.get("litellm_provider")
        if name == "sample_spec" or provider in asked:
            continue
        info = tried(litellm.get_model_info, name)
        known = {"info": info and {key: value for key, value in info.items() if key != "supported_openai_params"}}
        known["provider"] = (tried(litellm.get_llm_provider, name) or (None, None))[1]
        per_provider[provider] += 1
        special = any("_above_" in key or key in {"tiered_pricing", "off_peak_pricing"} for key in entry)
        talks = entry.get("mode") in {"chat", "completion", "responses"}
        if info and talks and (special or per_provider[provider] < 20):
            for time in times if "off_peak_pricing" in entry else times[:1]:
                utils.current_billing_time = lambda time=time: datetime.fromisoformat(time)
                costs = [tried(litellm.cost_per_token, name, usage_object=litellm.Usage(**usage)) for usage in usages]
                known[time] = [cost and sum(cost) for cost in costs]
        found[name] = known

    # At the end, because it changes the list: models that a user adds have priority.
    import headrace
    from headrace.models import cost

    litellm.register_model({
        "openai/mine": {"litellm_provider": "openai", "input_cost_per_token": 2e-6, "output_cost_per_token": 8e-6},
        "gpt-4o": {"litellm_provider": "openai", "input_cost_per_token": 1.0, "output_cost_per_token": 2.0},
        "hosted_vllm/m": {"litellm_provider": "hosted_vllm", "input_cost_per_token": 0, "output_cost_per_token": 0},
    })
    usage = headrace.Usage(1, 1)
    registered = [cost(name, usage) for name in ("openai/mine", "openai/gpt-4o", "gpt-4o", "hosted_vllm/m")]
    print(json.dumps([found, registered]))
"""


@pytest.fixture(scope="module")
def answers_of_litellm() -> tuple[dict[str, Any], list[float | None]]:
    """The facts and costs of litellm for every name in its list.

    It runs in another process, because importing it takes seconds.
    """
    usages = [usage.raw for usage in USAGES]
    question = [ASKED, usages, [WORKDAY.isoformat(), SUNDAY.isoformat()]]
    run = run_python(ASK_LITELLM, json.dumps(question), timeout=2 * PATIENCE)
    assert run.returncode == 0, run.stderr
    found, registered = json.loads(run.stdout.splitlines()[-1])
    assert len(found) > 2000
    return found, registered


@pytest.fixture(scope="module")
def by_name(answers_of_litellm: tuple[dict[str, Any], list[float | None]]) -> dict[str, Any]:
    return answers_of_litellm[0]


# litellm does not find its own models if its name of the provider is not the one in its list: those of AI21 without a
# prefix, the completion models of Azure, and models of others that Azure sells.
LOST_BY_LITELLM: Final = ("j2-", "jamba-", "azure/gpt-3", "azure/mistral-large", "azure/command-r")


def test_every_name_of_the_list_is_found(by_name: dict[str, Any]) -> None:
    assert [name for name in by_name if (found := model_info(name)) is None or found.name != name] == []
    lost = [name for name, known in by_name.items() if known["info"] is None]
    assert [name for name in lost if not name.startswith(LOST_BY_LITELLM)] == []


SPLIT: Final = {"ai21_chat": "ai21", "cohere_chat": "cohere", "anthropic_text": "anthropic"}


def test_the_provider_is_the_one_that_litellm_finds(by_name: dict[str, Any]) -> None:
    differ = []
    for name, known in by_name.items():
        info, provider = model_info(name), known["provider"]
        assert info is not None
        # Names without an answer are those of providers that litellm prices and cannot call.
        ours = info.provider.removeprefix("text-completion-")
        if provider is not None and SPLIT.get(provider, provider.removeprefix("text-completion-")) != ours:
            differ.append((name, provider, info.provider))
    assert [row for row in differ if not row[0].startswith(LOST_BY_LITELLM)] == []


FACTS: Final = {
    "max_input_tokens": "context_window",
    "max_output_tokens": "max_output_tokens",
    "supports_function_calling": "supports_tools",
    "supports_vision": "supports_vision",
    "supports_reasoning": "supports_reasoning",
    "supports_prompt_caching": "supports_prompt_caching",
}


def test_limits_and_capabilities_are_those_of_litellm(by_name: dict[str, Any]) -> None:
    differ = []
    for name, known in by_name.items():
        for theirs, ours in FACTS.items():
            if known["info"] is None:
                continue
            value = known["info"].get(theirs)
            # litellm says of all models of Fireworks that they call tools and cache; the list knows better or nothing.
            if value != getattr(model_info(name), ours) and not name.startswith("fireworks"):
                differ.append((name, theirs, value, getattr(model_info(name), ours)))
    assert differ == []


PRICES: Final = {
    "input_cost_per_token": "input_price",
    "output_cost_per_token": "output_price",
    "cache_read_input_token_cost": "cached_input_price",
    "cache_creation_input_token_cost": "cache_write_price",
}


def test_prices_are_those_of_litellm_and_unknown_is_never_zero(by_name: dict[str, Any]) -> None:
    differ = []
    for name, known in by_name.items():
        info = known["info"]
        # Such models have prices only per range. litellm returns the ranges, and headrace the price of the first one.
        if info is None or info.get("tiered_pricing"):
            continue
        ours = model_info(name)
        for theirs, field in PRICES.items():
            price = getattr(ours, field)
            if price != info.get(theirs) and not (price is None and not info.get(theirs)):
                differ.append((name, theirs, info.get(theirs), price))
        if not any(info.get(price) for price in PRICES):
            assert all(getattr(ours, field) is None for field in PRICES.values()), name
    assert differ == []


def priced(by_name: dict[str, Any]) -> dict[str, Any]:
    """The models whose cost can be compared.

    Left out are models with a price of 0.0, which may mean "unknown"; models with a price only for the answer (the
    video of Pegasus is priced per second); and models of Perplexity, because litellm ignores the list's prices for
    their cached tokens and long prompts.
    """
    known = {name: found for name, found in by_name.items() if WORKDAY.isoformat() in found}
    return {
        name: found
        for name, found in known.items()
        if found[WORKDAY.isoformat()][0] and found["provider"] != "perplexity" and "pegasus" not in name
    }


# These versions apply the price of each range only to the tokens in it, ignore prices above 256 thousand tokens, do not
# include xAI's limit, and charge twice for Azure's router.
OLD_LITELLM: Final = HAS_LITELLM and tuple(map(int, version("litellm").split(".")[:2])) < (1, 100)


def is_comparable(info: ModelInfo, usage: Usage) -> bool:
    assert usage.raw is not None
    assert usage.input_tokens is not None
    if OLD_LITELLM and (usage.input_tokens > 100_000 or "model_router" in info.name):
        return False
    # If the list has no price for cached tokens, some versions charge nothing for them. Another test checks headrace.
    written = "cache_creation_tokens" in usage.raw["prompt_tokens_details"]
    return not (usage.cached_tokens and info.cached_input_price is None) and not (
        written and info.cache_write_price is None
    )


@pytest.mark.parametrize("at", [WORKDAY, SUNDAY])
def test_costs_are_those_of_litellm(by_name: dict[str, Any], at: datetime) -> None:
    compared, differ = set(), []
    for name, found in priced(by_name).items():
        info = model_info(name)
        assert info is not None
        for usage, theirs in zip(USAGES, found.get(at.isoformat(), ()), strict=False):
            if is_comparable(info, usage):
                ours = cost(name, usage, at=at)
                compared.add(info.provider)
                if ours != pytest.approx(theirs, rel=1e-12, abs=0):
                    differ.append((name, usage, theirs, ours))
    assert differ == []
    # On Sundays only those are asked for that have prices for off-peak hours, of which old versions know nothing.
    assert len(compared) >= (40 if at == WORKDAY else 0 if OLD_LITELLM else 1)


def test_cached_tokens_without_a_price_have_the_input_price(by_name: dict[str, Any]) -> None:
    names = [name for name in priced(by_name) if (info := model_info(name)) and info.cached_input_price is None]
    assert len(names) > 100
    # Fireworks charges half the input price for the cached tokens of all models.
    others = [name for name in names if model_info(name).provider != "fireworks_ai"]  # type: ignore[union-attr]
    assert [name for name in others if cost(name, CACHED) != pytest.approx(cost(name, PLAIN), rel=1e-12)] == []


def test_models_that_a_user_registered_have_priority(
    answers_of_litellm: tuple[dict[str, Any], list[float | None]],
) -> None:
    # For a local server, a price of zero means free.
    assert answers_of_litellm[1] == pytest.approx([1e-5, 3.0, 3.0, 0.0])


def test_litellm_is_not_imported() -> None:
    run = run_python("""
        import sys
        from headrace import Usage, model_info
        from headrace.models import cost
        print(model_info("gpt-4o").provider, cost("gpt-4o", Usage(1, 1)) > 0, "litellm" in sys.modules)
    """)
    assert run.stdout.split() == ["openai", "True", "False"], run.stderr


# --- names -------------------------------------------------------------------------------------------------------

LISTED: Final[dict[str, Any]] = {
    "gpt-m": {"litellm_provider": "openai", "input_cost_per_token": 1e-6, "output_cost_per_token": 2e-6},
    "ft:gpt-m": {"litellm_provider": "openai"},
    "claude-m": {
        "litellm_provider": "anthropic",
        "input_cost_per_token": 3e-6,
        "output_cost_per_token": 15e-6,
        "cache_read_input_token_cost": 3e-7,
        "cache_creation_input_token_cost": 3.75e-6,
        "cache_creation_input_token_cost_above_1hr": 6e-6,
    },
    "azure/gpt-m": {"litellm_provider": "azure"},
    "azure/eu/gpt-m": {"litellm_provider": "azure"},
    "gemini/gemini-m": {
        "litellm_provider": "gemini",
        "input_cost_per_token": 1e-6,
        "output_cost_per_token": 10e-6,
        "cache_read_input_token_cost": 1e-7,
        "input_cost_per_audio_token": 4e-6,
        "output_cost_per_image_token": 30e-6,
    },
    "gemini-v": {"litellm_provider": "vertex_ai-language-models"},
    "vertex_ai/meta/llama-m": {"litellm_provider": "vertex_ai-llama_models"},
    "vertex_ai/mistral-m@latest": {"litellm_provider": "vertex_ai-mistral_models"},
    "anthropic.claude-m-v1:0": {
        "litellm_provider": "bedrock_converse",
        "input_cost_per_token": 3e-6,
        "output_cost_per_token": 15e-6,
        "cache_read_input_token_cost": 3e-7,
        "cache_creation_input_token_cost": 3.75e-6,
    },
    "eu.anthropic.claude-m-v1:0": {"litellm_provider": "bedrock_converse"},
    "bedrock/us-east-1/anthropic.claude-m-v1:0": {"litellm_provider": "bedrock"},
    "command-m": {"litellm_provider": "cohere_chat", "input_cost_per_token": 1e-6, "output_cost_per_token": 2e-6},
    "fireworks_ai/accounts/fireworks/models/m": {
        "litellm_provider": "fireworks_ai",
        "input_cost_per_token": 2e-6,
        "output_cost_per_token": 2e-6,
    },
    "perplexity/perplexity/m": {"litellm_provider": "perplexity"},
    "perplexity/sonar": {
        "litellm_provider": "perplexity",
        "input_cost_per_token": 1e-6,
        "output_cost_per_token": 1e-6,
    },
    "xai/grok-m": {
        "litellm_provider": "xai",
        "input_cost_per_token": 1e-6,
        "output_cost_per_token": 2e-6,
        "input_cost_per_token_above_128k_tokens": 3e-6,
        "output_cost_per_token_above_128k_tokens": 4e-6,
    },
    "ollama/m": {"litellm_provider": "ollama", "input_cost_per_token": 0.0, "output_cost_per_token": 0.0},
    "zero/m": {"litellm_provider": "zero", "input_cost_per_token": 0.0, "output_cost_per_token": 0},
    "half/m": {"litellm_provider": "half", "input_cost_per_token": 2e-6, "output_cost_per_token": 0.0},
    "open/m": {"litellm_provider": "open", "output_cost_per_token": 2e-6},
    "range/m": {
        "litellm_provider": "range",
        "tiered_pricing": [
            {"range": [1000, 2000], "input_cost_per_token": 5e-6, "output_cost_per_token": 6e-6},
            {"range": [0, 1000], "input_cost_per_token": 1e-6, "output_cost_per_token": 2e-6},
        ],
    },
    # Every token costs one dollar, so the cost is the number of tokens.
    "dollar/m": dict.fromkeys(
        [
            *("input_cost_per_token", "output_cost_per_token"),
            *("cache_read_input_token_cost", "cache_creation_input_token_cost"),
        ],
        1.0,
    )
    | {"litellm_provider": "dollar"},
    "sample_spec": {"litellm_provider": "one of many", "max_input_tokens": "how many"},
}


@pytest.fixture
def a_list(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """A price list of the tests, in place of the one in an imported litellm."""
    litellm = ModuleType("litellm")
    litellm.__spec__ = find_spec("litellm")
    litellm.model_cost = LISTED  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "litellm", litellm)
    return LISTED


@pytest.mark.usefixtures("a_list")
@pytest.mark.parametrize(
    ("asked", "name", "provider"),
    [
        ("gpt-m", "gpt-m", "openai"),
        ("openai/gpt-m", "gpt-m", "openai"),
        ("openai/responses/gpt-m", "gpt-m", "openai"),
        ("openai/gpt-m-2026-01-31", "gpt-m", "openai"),
        ("ft:gpt-m:org::id", "ft:gpt-m", "openai"),
        ("openai/ft:gpt-m:org:name:id", "ft:gpt-m", "openai"),
        ("anthropic/claude-m", "claude-m", "anthropic"),
        ("azure/gpt-m", "azure/gpt-m", "azure"),
        ("azure/eu/gpt-m", "azure/eu/gpt-m", "azure"),
        ("azure_ai/gpt-m", "gpt-m", "azure_ai"),
        ("github/gpt-m", "gpt-m", "github"),
        ("litellm_proxy/gpt-m", "gpt-m", "litellm_proxy"),
        ("gemini/gemini-m", "gemini/gemini-m", "gemini"),
        ("gemini/gemini-m-001", "gemini/gemini-m", "gemini"),
        ("vertex_ai/gemini-v", "gemini-v", "vertex_ai"),
        ("gemini-v", "gemini-v", "vertex_ai"),
        ("vertex_ai/llama-m", "vertex_ai/meta/llama-m", "vertex_ai"),
        ("vertex_ai/mistral-m", "vertex_ai/mistral-m@latest", "vertex_ai"),
        ("bedrock/anthropic.claude-m-v1:0", "anthropic.claude-m-v1:0", "bedrock"),
        ("bedrock/us.anthropic.claude-m-v1:0", "anthropic.claude-m-v1:0", "bedrock"),
        ("bedrock/eu.anthropic.claude-m-v1:0", "eu.anthropic.claude-m-v1:0", "bedrock"),
        ("bedrock/converse/eu.anthropic.claude-m-v1:0", "eu.anthropic.claude-m-v1:0", "bedrock"),
        ("bedrock/us-east-1/anthropic.claude-m-v1:0", "bedrock/us-east-1/anthropic.claude-m-v1:0", "bedrock"),
        ("bedrock/ap-south-1/anthropic.claude-m-v1:0", "anthropic.claude-m-v1:0", "bedrock"),
        ("bedrock/anthropic.claude-m-v1:0:200k", "anthropic.claude-m-v1:0", "bedrock"),
        (
            "bedrock/arn:aws:bedrock:eu-west-1::foundation-model/eu.anthropic.claude-m-v1:0",
            "eu.anthropic.claude-m-v1:0",
            "bedrock",
        ),
        ("cohere/command-m", "command-m", "cohere"),
        ("cohere_chat/command-m", "command-m", "cohere_chat"),
        ("fireworks_ai/m", "fireworks_ai/accounts/fireworks/models/m", "fireworks_ai"),
        ("perplexity/m", "perplexity/perplexity/m", "perplexity"),
        ("ollama_chat/m", "ollama/m", "ollama_chat"),
    ],
)
def test_a_name_is_found_under(asked: str, name: str, provider: str) -> None:
    found = model_info(asked)
    assert found is not None
    assert (found.name, found.provider) == (name, provider)


@pytest.mark.usefixtures("a_list")
@pytest.mark.parametrize(
    "name",
    ["", "/", "nobody/gpt-m", "hosted_vllm/gpt-m", "groq/gpt-m", "gpt", "openai/", "sample_spec", "bedrock/gpt-m"],
)
def test_a_name_that_is_not_in_the_list(name: str) -> None:
    assert model_info(name) is None
    assert cost(name, Usage(1, 1)) is None


def test_case_does_not_matter() -> None:
    assert model_info("OpenAI/GPT-4o") is None  # case matters in the provider, and not in the name of the model
    assert model_info("openai/GPT-4o") == model_info("openai/gpt-4o")


def test_many_threads_can_read_the_list() -> None:
    found: list[ModelInfo | None] = []
    threads = [threading.Thread(target=lambda: found.append(model_info("gpt-4o"))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [model_info("gpt-4o")] * 8


@pytest.mark.parametrize("text", [None, "[]", "{", "\udcff"])
def test_without_a_list_no_model_is_found(tmp_path: Path, text: str | None) -> None:
    package = tmp_path / "litellm"
    package.mkdir()
    (package / "__init__.py").write_text("raise AssertionError('imported')")
    if text is not None:
        file = package / "model_prices_and_context_window_backup.json"
        file.write_text(text, errors="surrogateescape")
    run = run_python(
        """
        from headrace import Usage, model_info
        from headrace._cli import app
        from headrace.models import cost
        print(model_info("gpt-4o"), cost("gpt-4o", Usage(1, 1)), flush=True)
        app.main(["model", "info", "gpt-4o"])
        """,
        environment={"PYTHONPATH": os.pathsep.join(filter(None, [str(tmp_path), os.environ.get("PYTHONPATH")]))},
    )
    assert run.stdout.split() == ["None", "None"]
    assert (run.returncode, run.stderr) == (
        1,
        "headrace: models are looked up in litellm's price list: run `pip install litellm`\n",
    )


# --- how each provider counts ------------------------------------------------------------------------------------

MILLIONTH: Final = 1e-6

COSTS: Final = [
    pytest.param("gpt-m", Usage(100, 10), 100 * 1 + 10 * 2, id="plain"),
    pytest.param("gpt-m", openai_usage(100, 10, reasoning=4), 100 * 1 + 10 * 2, id="reasoning in the answer's count"),
    pytest.param(
        "xai/grok-m", usage_of(635, 42, 720, 623, 43, {"prompt_tokens": 635}), 635 + 85 * 2, id="xAI: reasoning apart"
    ),
    pytest.param(
        "claude-m",
        usage_of(10, 50, None, 2000, None, {"input_tokens": 10, "cache_creation_input_tokens": 100}),
        10 * 3 + 2000 * 0.3 + 100 * 3.75 + 50 * 15,
        id="Anthropic: the cache apart",
    ),
    pytest.param(
        "claude-m",
        usage_of(
            10,
            50,
            None,
            0,
            None,
            {
                "input_tokens": 10,
                "cache_creation_input_tokens": 100,
                "cache_creation": {"ephemeral_5m_input_tokens": 40, "ephemeral_1h_input_tokens": 60},
            },
        ),
        10 * 3 + 40 * 3.75 + 60 * 6 + 50 * 15,
        id="Anthropic: written for an hour",
    ),
    pytest.param(
        "claude-m", Usage(10, 50, None, 2000), 10 * 3 + 2000 * 0.3 + 50 * 15, id="Anthropic, not in its words"
    ),
    pytest.param(
        "claude-m", openai_usage(2010, 50, cached=2000), 10 * 3 + 2000 * 0.3 + 50 * 15, id="Claude through a proxy"
    ),
    pytest.param(
        "bedrock/us.anthropic.claude-m-v1:0",
        usage_of(10, 50, 2160, 2000, None, {"inputTokens": 10, "outputTokens": 50, "cacheWriteInputTokens": 100}),
        10 * 3 + 2000 * 0.3 + 100 * 3.75 + 50 * 15,
        id="Bedrock: the cache apart",
    ),
    pytest.param(
        "gemini/gemini-m",
        usage_of(1000, 5, 1025, 800, 20, {"promptTokenCount": 1000, "thoughtsTokenCount": 20}),
        200 * 1 + 800 * 0.1 + 25 * 10,
        id="Gemini: the cache within, thoughts apart",
    ),
    pytest.param(
        "gemini/gemini-m",
        usage_of(1000, None, 1020, None, 20, {"promptTokenCount": 1000, "thoughtsTokenCount": 20}),
        1000 * 1 + 20 * 10,
        id="Gemini: nothing but thoughts",
    ),
    pytest.param(
        "gemini/gemini-m",
        usage_of(1000, 5, 1405, None, None, {"promptTokenCount": 1000, "toolUsePromptTokenCount": 400}),
        1400 * 1 + 5 * 10,
        id="Gemini: its own tools",
    ),
    pytest.param("gemini/gemini-m", Usage(1000, 5, None, 800, 20), 200 + 80 + 250, id="Gemini, not in its words"),
    pytest.param(
        "gemini/gemini-m",
        usage_of(
            1000,
            9,
            1009,
            raw={"promptTokenCount": 1000, "promptTokensDetails": [{"modality": "AUDIO", "tokenCount": 300}]},
        ),
        700 * 1 + 300 * 4 + 9 * 10,
        id="sound",
    ),
    pytest.param(
        "gemini/gemini-m",
        usage_of(
            9,
            1000,
            1009,
            raw={"promptTokenCount": 9, "candidatesTokensDetails": [{"modality": "IMAGE", "tokenCount": 990}]},
        ),
        9 * 1 + 10 * 10 + 990 * 30,
        id="pictures",
    ),
    pytest.param(
        "cohere/command-m",
        usage_of(1563, 22, None, 1376, None, {"billed_units": {"input_tokens": 47, "output_tokens": 8}, "tokens": {}}),
        47 * 1 + 8 * 2,
        id="Cohere: what it bills",
    ),
    pytest.param("fireworks_ai/m", openai_usage(100, 10, cached=60), 40 * 2 + 60 * 1 + 10 * 2, id="Fireworks: half"),
    pytest.param("gpt-m", openai_usage(100, 10, cached=60), 100 * 1 + 10 * 2, id="cached without a price"),
    pytest.param("xai/grok-m", openai_usage(127_999, 10), 127_999 * 1 + 10 * 2, id="below the step"),
    pytest.param("xai/grok-m", openai_usage(128_000, 10), 128_000 * 3 + 10 * 4, id="xAI: at the step"),
    pytest.param("range/m", Usage(1000, 10), 1000 * 1 + 10 * 2, id="first range"),
    pytest.param("range/m", Usage(1001, 10), 1001 * 5 + 10 * 6, id="second range"),
    pytest.param("range/m", Usage(9999, 10), 9999 * 5 + 10 * 6, id="above all ranges"),
    pytest.param("ollama/m", Usage(1000, 1000), 0.0, id="one's own machine"),
    pytest.param("half/m", Usage(100, 100), 200, id="one price is zero"),
    pytest.param(
        "perplexity/sonar",
        usage_of(10, 10, 20, raw={"prompt_tokens": 10, "cost": {"total_cost": 0.006}}),
        6000,
        id="stated",
    ),
    pytest.param(
        "openrouter/no/such",
        usage_of(10, 10, 20, raw={"prompt_tokens": 10, "cost": 0.00007159}),
        71.59,
        id="OpenRouter",
    ),
    pytest.param("xai/grok-m", usage_of(10, 10, 20, raw={"cost_in_usd_ticks": 760_500}), 76.05, id="xAI states it"),
]


@pytest.mark.usefixtures("a_list")
@pytest.mark.parametrize(("model", "usage", "millionths"), COSTS)
def test_the_cost_of_a_usage(model: str, usage: Usage, millionths: float) -> None:
    assert cost(model, usage) == pytest.approx(millionths * MILLIONTH, rel=1e-12)


@pytest.mark.usefixtures("a_list")
@pytest.mark.parametrize(
    ("model", "usage"),
    [
        ("gpt-m", Usage(100, None)),
        ("gpt-m", Usage(None, 100)),
        ("gpt-m", Usage()),
        ("zero/m", Usage(100, 100)),
        ("open/m", Usage(100, 100)),
        ("azure/gpt-m", Usage(100, 100)),
        # Google does not report which of the audio tokens were cached.
        (
            "gemini/gemini-m",
            usage_of(
                9,
                9,
                18,
                5,
                raw={"promptTokenCount": 9, "promptTokensDetails": [{"modality": "AUDIO", "tokenCount": 6}]},
            ),
        ),
    ],
)
def test_a_cost_that_is_not_known_is_none(model: str, usage: Usage) -> None:
    assert cost(model, usage) is None


@pytest.mark.usefixtures("a_list")
def test_a_zero_price_is_unknown_except_for_local_models() -> None:
    zero, own = model_info("zero/m"), model_info("ollama/m")
    assert zero is not None
    assert own is not None
    assert (zero.input_price, zero.output_price) == (None, None)
    assert (own.input_price, own.output_price) == (0.0, 0.0)


@pytest.mark.usefixtures("a_list")
def test_the_cost_of_turns_is_not_the_cost_of_their_sum() -> None:
    turn = openai_usage(100_000, 10)
    price = cost("xai/grok-m", turn)
    both = cost("xai/grok-m", turn + turn)
    assert price is not None
    assert both is not None
    assert both > 2.5 * price


STREAMS: Final = Path(os.environ.get("HEADRACE_STREAMS") or REPOSITORY.parent / "shared" / "streams")


@pytest.mark.usefixtures("a_list")
@pytest.mark.skipif(not STREAMS.is_dir(), reason="the recorded streams are not here")
def test_each_token_of_a_recorded_stream_is_charged_once() -> None:
    checked, differ = 0, []
    for path in sorted(STREAMS.glob("*.expected.json")):
        usage = json.loads(path.read_text()).get("usage")
        if not usage or usage.get("total_tokens") is None:
            continue
        raw = {name: value for name, value in usage["raw"].items() if name != "cost_in_usd_ticks"}
        names = ("input_tokens", "output_tokens", "total_tokens", "cached_tokens", "reasoning_tokens")
        found = cost("dollar/m", Usage(**{name: usage.get(name) for name in names}, raw=raw))
        checked += 1
        if found != usage["total_tokens"]:
            differ.append((path.name, found, usage))
    assert differ == []
    assert checked > 200


# --- the command -------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("a_list")
def test_the_command_shows_the_facts(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="0"):
        app.main(["model", "info", "anthropic/claude-m", "--json"])
    shown = json.loads(capsys.readouterr().out)
    assert ModelInfo(**shown) == model_info("claude-m")
    with pytest.raises(SystemExit, match="0"):
        app.main(["model", "info", "anthropic/claude-m"])
    lines = dict(line.split("  ", 1) for line in capsys.readouterr().out.splitlines())
    assert {name: value.strip() for name, value in lines.items()} == {
        "name": "claude-m",
        "provider": "anthropic",
        "context window": "not known",
        "max output tokens": "not known",
        "supports tools": "not known",
        "supports vision": "not known",
        "supports reasoning": "not known",
        "supports prompt caching": "not known",
        "input price": "3 USD per million tokens",
        "output price": "15 USD per million tokens",
        "cached input price": "0.3 USD per million tokens",
        "cache write price": "3.75 USD per million tokens",
    }


def test_the_command_names_the_unknown_model(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="1"):
        app.main(["model", "info", "openai/nobody"])
    assert capsys.readouterr().err == "headrace: the model 'openai/nobody' is not in litellm's price list\n"
