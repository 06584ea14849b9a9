"""A real browser: Debian's Chromium, driven by playwright."""

from __future__ import annotations

import shutil
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from playwright.sync_api import Page

__all__ = ["opened"]

PATIENCE_MS = 60_000


@contextmanager
def opened(url: str, **options: Any) -> Iterator[Page]:
    """A page in a browser of its own. Fails if the page reports an error, or asks another server."""
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    if chromium is None:
        pytest.skip("there is no Chromium here (apt-get install chromium)")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        try:
            page = browser.new_page(**options)
            page.set_default_timeout(PATIENCE_MS)
            problems: list[str] = []
            page.on("pageerror", lambda error: problems.append(str(error)))
            page.on("request", lambda asked: problems.append(asked.url) if not _is_own(asked.url, url) else None)
            page.goto(url)
            yield page
            assert problems == []
        finally:
            browser.close()


def _is_own(asked: str, url: str) -> bool:
    return asked.startswith((url, "data:"))
