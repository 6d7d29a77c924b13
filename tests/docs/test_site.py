"""The manual as a site, built and read from the disk in a real browser: nothing is fetched, and the search finds."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from browser_process import opened
from daemon_process import PATIENCE
from manual import CHECKOUT, PAGES

pytestmark = pytest.mark.long

_LEFT = "net::ERR_ABORTED"
"""How a request ends whose page was left meanwhile."""
BUILT = sorted(page.replace(".md", ".html") for page in PAGES if page != "README.md")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if find_spec("mkdocs") is None:
        missing = "no mkdocs to build the manual with: make docs"
        pytest.fail(missing, pytrace=False) if os.environ.get("CI") == "true" else pytest.skip(missing)
    folder = tmp_path_factory.mktemp("site")
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--quiet", "--strict", "--site-dir", str(folder)],
        env={**os.environ, "NO_MKDOCS_2_WARNING": "1"}, cwd=CHECKOUT, capture_output=True, text=True,
        timeout=PATIENCE, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture
def reading(browser: Browser) -> Iterator[Page]:
    """A window in which a request that is not for a file of the site fails the test."""
    wrong: list[str] = []
    with opened(browser, viewport={"width": 1280, "height": 900}) as page:
        page.on("request", lambda asked: wrong.extend([asked.url] if not asked.url.startswith("file:") else []))
        page.on("requestfailed", lambda asked: wrong.extend([asked.url] if asked.failure != _LEFT else []))
        page.on("console", lambda said: wrong.extend([said.text] if said.type == "error" else []))
        yield page
    assert wrong == []


def test_every_page_is_built_and_asks_nobody(site: Path, reading: Page) -> None:
    assert set(BUILT) <= {file.name for file in site.glob("*.html")}
    for name in BUILT:
        reading.goto((site / name).as_uri(), wait_until="networkidle" if name == "index.html" else "load")
        expect(reading.locator("article h1")).to_be_visible()
        broken = "() => [...document.images].filter((each) => !each.naturalWidth).map((each) => each.src)"
        assert reading.evaluate(broken) == [], name


def test_the_search_finds_without_a_server(site: Path, reading: Page) -> None:
    reading.goto((site / "index.html").as_uri())
    reading.click(".md-search__input")
    reading.keyboard.type("crashes_decoder")
    expect(reading.locator(".md-search-result__item", has_text="Troubleshooting")).to_be_visible()
    reading.click(".md-search-result__item >> text=Troubleshooting")
    reading.wait_for_url("**/troubleshooting.html**")


def test_no_page_is_wider_than_a_small_screen(site: Path, reading: Page) -> None:
    reading.set_viewport_size({"width": 360, "height": 740})
    for name in BUILT:
        reading.goto((site / name).as_uri())
        assert reading.evaluate("() => document.documentElement.scrollWidth") <= 360, name
