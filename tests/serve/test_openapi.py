"""The description of the paths, and requests of every form that it allows, and that it does not."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from headrace._cli.keys import new_key
from support.harness import PATIENCE, Simulate, agent_at
from support.serving import request, serving_agents

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize("stream", ["chat", "keys"])
def test_no_request_breaks_the_server(simulate: Simulate, tmp_path: Path, stream: str) -> None:
    """schemathesis makes requests that the description allows, and others, and judges the responses by it."""
    keys = tmp_path / "keys.toml"
    options = {"keys": keys} if stream == "keys" else {}
    key = new_key("ann", keys)
    with serving_agents({"poet": agent_at(simulate(["a ", "b "]))}, **options) as running:
        command = [
            *(sys.executable, "-m", "schemathesis.cli", "run", f"{running.url}/openapi.json"),
            *("--header", f"Authorization: Bearer {key}", "--max-examples", "15", "--seed", "7"),
            *("--checks", "not_a_server_error,status_code_conformance,content_type_conformance"),
            *("--checks", "response_schema_conformance", "--no-color", "--generation-database", "none"),
            *("--request-timeout", "30", "--phases", "examples,coverage,fuzzing"),
        ]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=PATIENCE * 5, check=False)
    assert done.returncode == 0, done.stdout[-8000:] + done.stderr[-2000:]


def test_the_description_names_every_path_that_is_served(simulate: Simulate) -> None:
    with serving_agents(agent_at(simulate("Yes."))) as running:
        paths = json.loads(request(running, "/openapi.json").text)["paths"]
        for path, methods in paths.items():
            place = path.replace("{id}", "x").replace("{model}", "x").replace("{agent}", "x")
            wrong = request(running, place, method="PATCH")
            assert wrong.status_code == 405, path
            assert {method.upper() for method in methods} == set(wrong.headers["allow"].split(", ")), path
