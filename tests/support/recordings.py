"""The recorded streams, in a folder outside the repository. Their README describes their fields."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from support.harness import REPOSITORY

STREAMS = Path(os.environ.get("HEADRACE_STREAMS") or REPOSITORY.parent / "shared" / "streams")

# Other formats that the decoder of a dialect reads.
SUBS = {
    "openai_completions": "openai_chat",
    "writer_completions": "openai_chat",
    "openai_transcript": "openai_responses",
    "anthropic_complete": "anthropic",
    "gemini_interactions": "gemini",
}
DIALECTS = {"openai_chat", "openai_responses", "anthropic", "gemini", "cohere", "bedrock"}


@dataclass(frozen=True)
class Recording:
    """One recorded stream."""

    name: str
    body: bytes
    expected: dict[str, Any]

    @property
    def dialect(self) -> str | None:
        """Its dialect; None if it is not from a model, or in a format that only the fed lane reads."""
        dialect, sub = self.expected["dialect"], self.expected["sub"]
        if dialect in DIALECTS:
            return str(dialect)
        return "ollama" if self.expected["provider"] == "ollama" else SUBS.get(sub)


def read_recordings() -> list[Recording]:
    """All recorded streams; none if the folder does not exist."""
    bodies = sorted(path for path in STREAMS.glob("*") if path.suffix in {".sse", ".ndjson", ".awses"})
    return [
        Recording(path.name, path.read_bytes(), json.loads(path.with_suffix(".expected.json").read_text()))
        for path in bodies
    ]
