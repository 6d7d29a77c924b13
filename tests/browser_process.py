"""A real Chromium, and what a user does to be let in by the web page."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

from daemon_process import PATIENCE, Home

__all__ = ["chromium", "let_in", "opened"]

_ARGUMENTS = (
    "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking "
    "--disable-component-update --disable-sync"
).split()


@contextmanager
def chromium() -> Iterator[Browser]:
    """Run a Chromium of the system's, with a profile of its own.

    Where there is none the test is skipped, but not in CI: there it fails.
    """
    program = shutil.which("chromium")
    if program is None:
        missing = "no chromium to open the web page in: apt-get install chromium"
        pytest.fail(missing, pytrace=False) if os.environ.get("CI") == "true" else pytest.skip(missing)
    expect.set_options(timeout=PATIENCE * 1000)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=_ARGUMENTS)
        try:
            yield browser
        finally:
            browser.close()


@contextmanager
def opened(browser: Browser, **settings: Any) -> Iterator[Page]:
    """Open a window that shares nothing with others; what the page itself does wrong fails the test."""
    context = browser.new_context(**{"locale": "en-GB", "accept_downloads": True, **settings})
    context.set_default_timeout(PATIENCE * 1000)
    wrong: list[str] = []
    page = context.new_page()
    page.on("pageerror", lambda error: wrong.append(str(error)))
    try:
        yield page
    finally:
        context.close()
    assert wrong == []


def let_in(page: Page, home: Home) -> None:
    """Open the page as `alphadrop web` does."""
    told = home.alphadrop("web")
    assert told.returncode == 0, told.stderr
    page.goto(Path(told.stdout.strip()).as_uri())
    page.wait_for_url("**/#photographs")
    expect(page.locator("#welcome")).to_be_visible()
