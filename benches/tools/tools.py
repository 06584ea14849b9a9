"""The benchmark tools of the sitting: how each is installed, and how it is asked for a load."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

HERE = Path(__file__).parent
ROOT = HERE.parent.parent
BENCH = ROOT / ".bench" / "tools"
HEADRACE = ROOT / ".venv" / "bin" / "headrace"

TOKENS: Final = 100


@dataclass(frozen=True)
class Load:
    """A load. It is open if it has a rate.

    Attributes:
        concurrency: How many requests at a time.
        rate: How many requests a second, as a Poisson process; None for a closed load.
        requests: How many requests.
    """

    requests: int
    concurrency: int | None = None
    rate: int | None = None

    @property
    def name(self) -> str:
        """For people."""
        how = f"{self.concurrency} at a time" if self.rate is None else f"{self.rate} a second"
        return f"{how}, {self.requests} requests"


@dataclass(frozen=True)
class Tool:
    """A tool.

    Attributes:
        package: What pip installs; None for headrace itself.
        wheel_only: Take files out of the package's wheel, without what it depends on: names as for ``fnmatch``.
        command: The command line for a URL without ``/v1``, a load, and a folder for what it writes.
        report: Where in the folder the report is.
    """

    package: str | None
    command: Callable[[str, Load, Path], list[str]]
    report: str
    wheel_only: tuple[str, ...] = ()


def _headrace(url: str, load: Load, folder: Path) -> list[str]:
    how = ["--concurrency", str(load.concurrency)] if load.rate is None else ["--rate", str(load.rate)]
    return [
        *(str(HEADRACE), "bench", f"{url}/v1", "--model", "truth", *how, "--requests", str(load.requests)),
        *("--max-tokens", str(TOKENS), "--no-self-test", "--json", str(folder / "report.json")),
    ]


def _vllm(url: str, load: Load, folder: Path) -> list[str]:
    how = ["--max-concurrency", str(load.concurrency)] if load.rate is None else ["--request-rate", str(load.rate)]
    return [
        *(str(BENCH / "vllm" / "vllm" / "vllm-rs"), "bench", "serve", "--backend", "openai-chat", "--base-url", url),
        *("--model", "truth", "--tokenizer", str(BENCH / "tokenizer"), "--dataset-name", "custom"),
        *("--dataset-path", str(BENCH / "prompts.jsonl"), "--custom-output-len", str(TOKENS)),
        *("--num-prompts", str(load.requests), *how, "--save-result", "--result-dir", str(folder)),
        *("--result-filename", "report.json", "--percentile-metrics", "ttft,tpot,itl,e2el", "--disable-tqdm"),
    ]


def _sglang(url: str, load: Load, folder: Path) -> list[str]:
    how = ["--max-concurrency", str(load.concurrency)] if load.rate is None else ["--request-rate", str(load.rate)]
    return [
        *(str(ROOT / ".venv" / "bin" / "python"), str(HERE / "sglang_client.py"), "--backend", "sglang-oai-chat"),
        *("--base-url", url, "--model", "truth", "--tokenizer", str(BENCH / "tokenizer")),
        *("--dataset-name", "sharegpt", "--dataset-path", str(BENCH / "sharegpt.json"), *how),
        *("--num-prompts", str(load.requests), "--output-file", str(folder / "report.json"), "--disable-tqdm"),
    ]


def _guidellm(url: str, load: Load, folder: Path) -> list[str]:
    how = f"kind=concurrent,streams=[{load.concurrency}]" if load.rate is None else f"kind=poisson,rate=[{load.rate}]"
    backend = f"kind=openai_http,target={url},model=truth,request_format=/v1/chat/completions,validate_backend=false"
    return [
        *(str(BENCH / "guidellm" / "bin" / "guidellm"), "run", "--backend", backend, "--profile", how),
        *("--constraint", f"kind=max_requests,count={load.requests}"),
        *("--tokenizer", f"kind=hf_auto,model={BENCH / 'tokenizer'}", "--disable-console"),
        *("--data", f"kind=synthetic_text,prompt_tokens=20,output_tokens={TOKENS}"),
        *("--output", f"kind=json,path={folder / 'report.json'}"),
    ]


def _aiperf(url: str, load: Load, folder: Path) -> list[str]:
    how = (
        ["--concurrency", str(load.concurrency)]
        if load.rate is None
        else ["--request-rate", str(load.rate), "--arrival-pattern", "poisson"]
    )
    return [
        *(str(BENCH / "aiperf" / "bin" / "aiperf"), "profile", "--model", "truth", "--url", url),
        *("--endpoint-type", "chat", "--streaming", *how, "--request-count", str(load.requests)),
        *("--tokenizer", str(BENCH / "tokenizer"), "--synthetic-input-tokens-mean", "20"),
        *("--output-artifact-dir", str(folder), "--ui", "none"),
    ]


TOOLS: Final[dict[str, Tool]] = {
    "headrace": Tool(None, _headrace, "report.json"),
    "vllm-rs": Tool("vllm==0.33.0", _vllm, "report.json", ("vllm/vllm-rs",)),
    "sglang (Rust)": Tool("sglang==0.5.23", _sglang, "report.json", ("sglang/srt/rust_extensions/_bench*",)),
    "guidellm": Tool("guidellm==0.8.1", _guidellm, "report.json"),
    "aiperf": Tool("aiperf==0.13.0", _aiperf, "profile_export_aiperf.json"),
}


def write_inputs(most: int) -> None:
    """Writes prompts and a small tokenizer of words: no tool may download one.

    Args:
        most: How many prompts.
    """
    folder = BENCH / "tokenizer"
    folder.mkdir(parents=True, exist_ok=True)
    words = ["[UNK]", "</s>", "<s>", *(f"w{number}" for number in range(1000)), *(chr(code) for code in range(33, 127))]
    vocabulary = {word: number for number, word in enumerate(dict.fromkeys(words))}
    model = {"type": "WordLevel", "vocab": vocabulary, "unk_token": "[UNK]"}
    tokenizer = {"version": "1.0", "model": model, "pre_tokenizer": {"type": "Whitespace"}, "added_tokens": []}
    special = {"unk_token": "[UNK]", "eos_token": "</s>", "bos_token": "<s>"}
    config = {"tokenizer_class": "PreTrainedTokenizerFast", "model_max_length": 100_000, **special}
    for name, value in {
        "tokenizer.json": tokenizer,
        "tokenizer_config.json": config,
        "config.json": {"model_type": "llama", "vocab_size": len(vocabulary)},
    }.items():
        (folder / name).write_text(json.dumps(value), encoding="utf-8")
    texts = [" ".join(f"w{(number * 7 + word) % 1000}" for word in range(20)) for number in range(most)]
    answer = " ".join(f"w{word}" for word in range(TOKENS))
    (BENCH / "prompts.jsonl").write_text("".join(json.dumps({"prompt": text}) + "\n" for text in texts), "utf-8")
    turns = [[{"from": "human", "value": text}, {"from": "gpt", "value": answer}] for text in texts]
    conversations = [{"id": str(number), "conversations": each} for number, each in enumerate(turns)]
    (BENCH / "sharegpt.json").write_text(json.dumps(conversations), encoding="utf-8")
