"""The page of the API in a real browser: all that the daemon says of its calls, for who is let in."""

from __future__ import annotations

import importlib.resources
import json
from typing import Any

import httpx
import pytest
from playwright.sync_api import Browser, Page, expect

from browser_process import opened
from daemon_process import PATIENCE, Home

pytestmark = pytest.mark.long


@pytest.fixture
def api(page: Page) -> Page:
    """The page of the API, come to by the link that is for it."""
    page.click("nav a[href='#settings']")
    page.click("a[href='/page/api.html']")
    # Not only their frame: that is laid out while a style sheet is still on its way, and what is typed then is lost.
    expect(page.locator("#list article").first).to_be_visible()
    return page


def document(home: Home) -> dict[str, Any]:
    way = httpx.HTTPTransport(uds=str(home.run / "api.sock"))
    with httpx.Client(transport=way, timeout=PATIENCE) as client:
        told: dict[str, Any] = client.get("http://localhost/v1/openapi.json").json()
    return told


def test_every_call_is_there_with_its_parameters_and_answers(api: Page, web_home: Home) -> None:
    told = document(web_home)
    calls = [(path, method, call) for path, methods in told["paths"].items() for method, call in methods.items()]
    assert len(calls) > 20
    assert api.locator("#list article").count() == len(calls)
    shown = {card.split("\n")[0]: card for card in api.locator("#list article").all_inner_texts()}
    for path, method, call in calls:
        card = shown[f"{method.upper()} {path}"]
        assert call["summary"] in card
        rows = {line.split("\t")[0] for line in card.splitlines()}
        assert {parameter["name"] for parameter in call.get("parameters", ())} <= rows, path
        assert {"error" if status == "default" else status for status in call["responses"]} <= rows, path
        assert set(call.get("requestBody", {}).get("content", ())) <= rows, path
    assert "Parts below this fraction of the largest part's area are dropped, 0 to 1." in shown["POST /v1/cutout"]


def test_every_object_is_there_and_every_link_leads_to_one(api: Page, web_home: Home) -> None:
    schemas = document(web_home)["components"]["schemas"]
    assert api.locator("#schemas article").count() == len(schemas)
    leading_nowhere = """() => [...document.querySelectorAll("#calls a[href^='#']")]
      .filter((link) => !document.getElementById(link.hash.slice(1))).map((link) => link.hash)"""
    assert api.evaluate(leading_nowhere) == []
    api.locator("#post-v1-pause a", has_text="Status").first.click()
    expect(api.locator("#Status h3")).to_be_in_viewport()


def test_what_is_searched_for_is_left(api: Page) -> None:
    api.fill("#search", "thumbnail")
    expect(api.locator("#list article:visible")).to_have_count(1)
    expect(api.locator("#contents a:visible")).to_have_text(["GET /v1/jobs/{number}/thumbnail"])
    api.fill("#search", "no such thing")
    expect(api.locator("#nothing")).to_be_visible()


def test_the_document_is_saved_as_it_is(api: Page, web_home: Home) -> None:
    with api.expect_download() as saving:
        api.click("#document")
    assert saving.value.suggested_filename == "alphadrop-openapi.json"
    assert json.loads(saving.value.path().read_bytes()) == document(web_home)


def test_who_is_not_let_in_is_told_how(browser: Browser, web_home: Home) -> None:
    with opened(browser) as page:
        page.goto(f"{web_home.alphadrop('web', '--address').stdout.partition('#')[0]}page/api.html")
        expect(page.locator("#locked")).to_contain_text("alphadrop web")
        expect(page.locator("#calls")).to_be_hidden()


def test_it_fits_a_small_screen_and_axe_finds_nothing_serious(api: Page) -> None:
    axe = importlib.resources.files("axe_playwright_python").joinpath("axe.min.js").read_text(encoding="utf-8")
    found = api.evaluate(f"async () => {{ {axe}; return await axe.run(); }}")["violations"]
    assert [each["id"] for each in found if each["impact"] in ("serious", "critical")] == []
    api.set_viewport_size({"width": 360, "height": 740})
    assert api.evaluate("() => document.documentElement.scrollWidth") <= 360
