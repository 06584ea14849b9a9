"""Every file in ``examples/`` runs: with the model that it scripts, with any that is named, with the local one."""

from __future__ import annotations

import runpy
import sys
from typing import TYPE_CHECKING

import pytest

from support.conversations import bodies
from support.harness import KEY, REPOSITORY

if TYPE_CHECKING:
    from support.harness import Simulate

FOLDER = REPOSITORY / "examples"

# What each says with the model that it scripts.
SCRIPTED = {
    "autobot": "the result is 142.",
    "calculator": "17 + 25 is 42.",
    "workflow": "Editor has said: An oak wheel, five metres high",
    "writer": "The old wheel turns slowly",
}
LOCAL = {"demo"}


def run_example(monkeypatch: pytest.MonkeyPatch, name: str, *arguments: str) -> None:
    path = str(FOLDER / f"{name}.py")
    monkeypatch.setattr(sys, "argv", [path, *arguments])
    runpy.run_path(path, run_name="__main__")


def test_every_example_is_here() -> None:
    assert {path.stem for path in FOLDER.glob("*.py")} == SCRIPTED.keys() | LOCAL


@pytest.mark.parametrize("name", SCRIPTED)
def test_an_example_runs_with_a_scripted_model(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    run_example(monkeypatch, name, "--simulate")
    out, err = capsys.readouterr()
    assert SCRIPTED[name] in out
    assert err == ""


@pytest.mark.parametrize("name", SCRIPTED)
@pytest.mark.parametrize("way", ["argument", "environment"])
def test_an_example_runs_with_any_model_that_is_named(
    simulate: Simulate, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], name: str, way: str
) -> None:
    simulator = simulate("I am real.", api_key=KEY)
    monkeypatch.setenv("OPENAI_BASE_URL", simulator.base_url)
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    if way == "environment":
        monkeypatch.setenv("HEADRACE_MODEL", "openai/real")
        run_example(monkeypatch, name)
    else:
        run_example(monkeypatch, name, "openai/real")
    assert "I am real." in capsys.readouterr().out
    assert {body["model"] for body in bodies(simulator)} == {"real"}


@pytest.mark.local_model
@pytest.mark.usefixtures("weights")
@pytest.mark.parametrize("name", sorted(LOCAL))
def test_an_example_runs_with_the_local_model(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    run_example(monkeypatch, name)
    out, err = capsys.readouterr()
    # Both of its streams came to their end.
    assert out.count("| complete") == 2
    assert err == ""
