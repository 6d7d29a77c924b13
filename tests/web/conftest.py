"""One Chromium and one daemon for the tests of a module, and for each test a window of its own."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page

from browser_process import chromium, let_in, opened
from daemon_process import Home, running


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as browser:
        yield browser


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Home]:
    home = Home(tmp_path_factory.mktemp("h"))
    home.configure(folder="settle: 100ms\nrescan: 1s")
    with running(home):
        yield home


@pytest.fixture
def page(browser: Browser, home: Home) -> Iterator[Page]:
    """The page, in a window that has been let in."""
    with opened(browser, viewport={"width": 1280, "height": 800}) as page:
        let_in(page, home)
        yield page
