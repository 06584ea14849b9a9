"""The page at ``/``, in a real browser."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pytest
from playwright.sync_api import expect

from headrace._cli.keys import new_key
from support.browser import PATIENCE_MS, opened
from support.conversations import add, bodies, calling
from support.harness import Simulate, agent_at, wait_until_disconnected
from support.serving import request, serving_agents

if TYPE_CHECKING:
    from pathlib import Path

    from playwright.sync_api import Page

expect.set_options(timeout=PATIENCE_MS)

TEXT = [f"{number} " for number in range(60)]
PACED = {"mode": "steady", "interval_ms": 15}
STALL = {"text": ["Water", " turns"], "fault": {"kind": "stall", "after": 1}}


def say(page: Page, text: str) -> None:
    page.get_by_label("message").fill(text)
    page.keyboard.press("Enter")


def brightness(color: str) -> int:
    """Of a color as the browser computes it: ``rgb(26, 29, 33)``."""
    return sum(map(int, re.findall(r"\d+", color)))


def said(page: Page) -> Any:
    return page.locator(".assistant .said")


def test_a_conversation(simulate: Simulate) -> None:
    turns = [{"when": {"contains": "Again"}, "text": "And once more."}, {"text": TEXT, "pacing": PACED}]
    simulator = simulate(turns=turns)
    with serving_agents({"miller": agent_at(simulator)}) as running, opened(running.url) as page:
        expect(page.get_by_label("agent")).to_have_value("miller")
        say(page, "Count.")
        expect(said(page)).to_contain_text("0 1 2")
        expect(page.get_by_role("button", name="Stop")).to_be_visible()
        expect(said(page)).to_contain_text("58 59")
        expect(page.get_by_role("button", name="Stop")).to_be_hidden()
        figures = page.locator(".figures")
        for figure in ("TTFT", "ITL", "tokens/s", "60 tokens"):
            expect(figures).to_contain_text(figure)
        expect(figures.get_by_role("img")).to_be_visible()
        say(page, "Again.")
        expect(said(page).last).to_have_text("And once more.")
    assert [message["role"] for message in bodies(simulator)[-1]["messages"]] == ["user", "assistant", "user"]


def test_what_an_agent_does_is_shown_and_folded(simulate: Simulate) -> None:
    adds = {"reasoning": "I must add.", "text": "I add.", "tool_calls": [calling("add", {"a": 17, "b": 25}, id="c")]}
    simulator = simulate(turns=[{"when": {"role": "tool"}, "text": "It is 42."}, adds])
    agent = agent_at(simulator, tools=[add], max_loops=3)
    with serving_agents(agent) as running, opened(running.url) as page:
        say(page, "Add.")
        expect(said(page).last).to_have_text("It is 42.")
        call = page.locator("details.call")
        expect(call.locator("summary")).to_contain_text("add · ")
        expect(call.get_by_text("42")).to_be_hidden()
        call.locator("summary").click()
        expect(call.get_by_text("42", exact=True)).to_be_visible()
        expect(page.locator("details.reasoning pre")).to_be_hidden()
        page.locator("details.reasoning summary").click()
        expect(page.locator("details.reasoning pre")).to_have_text("I must add.")


@pytest.mark.parametrize("how", ["button", "key"])
def test_stop(simulate: Simulate, how: str) -> None:
    simulator = simulate(turns=[STALL])
    with serving_agents(agent_at(simulator)) as running, opened(running.url) as page:
        say(page, "Go.")
        expect(said(page)).to_have_text("Water")
        if how == "button":
            page.get_by_role("button", name="Stop").click()
        else:
            page.keyboard.press("Escape")
        wait_until_disconnected(simulator)
        expect(page.get_by_role("button", name="Stop")).to_be_hidden()
        expect(said(page)).to_have_text("Water")


def test_what_is_said_meanwhile_steers(simulate: Simulate) -> None:
    first = {"text": TEXT, "tool_calls": [calling("add", {"a": 1, "b": 2})], "pacing": {**PACED, "interval_ms": 60}}
    simulator = simulate(turns=[{"when": {"role": "user", "contains": "shorter"}, "text": "Yes."}, first])
    agent = agent_at(simulator, tools=[add], max_loops=3)
    with serving_agents(agent) as running, opened(running.url) as page:
        say(page, "Go.")
        expect(said(page)).to_contain_text("0 ")
        say(page, "Be shorter.")
        expect(page.get_by_text("you, meanwhile: Be shorter.")).to_be_visible()
        expect(said(page).last).to_have_text("Yes.")


def test_a_reloaded_page_reads_on(simulate: Simulate) -> None:
    simulator = simulate(turns=[{"text": TEXT, "pacing": {**PACED, "interval_ms": 60}}])
    with serving_agents(agent_at(simulator), on_disconnect="continue") as running, opened(running.url) as page:
        say(page, "Count.")
        expect(said(page)).to_contain_text("5 ")
        page.reload()
        expect(said(page)).to_have_text("".join(TEXT))
        expect(page.locator(".message")).to_have_count(2)
        page.reload()
        expect(said(page)).to_have_text("".join(TEXT))
    assert len(bodies(simulator)) == 1


def test_an_error_is_shown(simulate: Simulate) -> None:
    simulator = simulate(turns=[{"text": ["Water", " turns"], "fault": {"kind": "end", "after": 1}}])
    with serving_agents(agent_at(simulator)) as running, opened(running.url) as page:
        say(page, "Go.")
        expect(page.get_by_role("alert")).to_contain_text("before its end marker")
        expect(said(page)).to_have_text("Water")


def test_a_key_is_asked_for(simulate: Simulate, tmp_path: Path) -> None:
    key = new_key("ann", tmp_path / "keys.toml")
    agents = {"miller": agent_at(simulate("Yes."))}
    with serving_agents(agents, keys=tmp_path / "keys.toml") as running, opened(running.url) as page:
        page.get_by_label("key").fill(key)
        page.keyboard.press("Tab")
        expect(page.get_by_label("agent")).to_have_value("miller")
        say(page, "Go.")
        expect(said(page)).to_have_text("Yes.")
        assert key not in (page.evaluate("JSON.stringify(sessionStorage)") or "")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_narrow_page_does_not_scroll_sideways(simulate: Simulate, scheme: Any) -> None:
    long = "W" * 300
    options: dict[str, Any] = {"viewport": {"width": 320, "height": 600}, "color_scheme": scheme}
    with serving_agents(agent_at(simulate(long))) as running, opened(running.url, **options) as page:
        say(page, long)
        expect(said(page)).to_have_text(long)
        assert page.evaluate("document.documentElement.scrollWidth") <= 320
        back, fore = page.evaluate(
            "[getComputedStyle(document.body).backgroundColor, getComputedStyle(document.body).color]"
        )
        assert (brightness(back) < brightness(fore)) == (scheme == "dark")


def test_text_of_a_model_is_never_markup(simulate: Simulate) -> None:
    text = "<img src=x onerror=alert(1)><b>bold</b>"
    with serving_agents(agent_at(simulate([text]))) as running, opened(running.url) as page:
        say(page, text)
        expect(said(page)).to_have_text(text)
        assert page.locator("main img, main b").count() == 0


def test_the_page_can_be_left_out(simulate: Simulate) -> None:
    with serving_agents(agent_at(simulate("Yes.")), page=False) as running:
        assert request(running, "/").status_code == 404
    with serving_agents(agent_at(simulate("Yes."))) as running:
        response = request(running, "/")
    assert response.headers["content-type"].startswith("text/html")
    assert "default-src 'none'" in response.headers["content-security-policy"]
