"""Who is let in by the web page: a browser with a code that nobody has used, and no page of another site."""

from __future__ import annotations

import base64
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from browser_process import let_in, opened
from daemon_process import Home, wait_for

pytestmark = pytest.mark.long


def address_of(home: Home) -> str:
    told = home.alphadrop("web", "--address")
    assert told.returncode == 0, told.stderr
    return told.stdout.strip()


def names_of(home: Home) -> list[str]:
    return [line.split()[0] for line in home.alphadrop("web", "--keys").stdout.splitlines()]


@contextmanager
def elsewhere() -> Iterator[str]:
    """Serve an empty page on another port of this machine."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            self.end_headers()
            self.wfile.write(b"<!doctype html><title>elsewhere</title>")

        def log_message(self, format: str, *arguments: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_a_code_lets_one_browser_in(browser: Browser, web_home: Home) -> None:
    address = address_of(web_home)
    with opened(browser) as first, opened(browser) as second:
        first.goto(address)
        expect(first.locator("#welcome")).to_be_visible()
        assert "code" not in first.url
        second.goto(address)
        expect(second.locator("#locked")).to_be_visible()
        expect(second.locator("#locked-why")).to_contain_text("used up or too old")
        first.reload()
        expect(first.locator("#welcome")).to_be_visible()


def test_without_a_code_the_page_says_how_to_get_one(browser: Browser, web_home: Home) -> None:
    with opened(browser) as page:
        page.goto(address_of(web_home).partition("#")[0])
        expect(page.locator("#locked code")).to_have_text("alphadrop web")
        expect(page.locator("nav")).to_be_hidden()


def test_a_browser_whose_key_is_revoked_is_let_in_no_more(browser: Browser, web_home: Home) -> None:
    before = set(names_of(web_home))
    with opened(browser) as page:
        let_in(page, web_home)
        (name,) = set(names_of(web_home)) - before
        page.click("nav a[href='#settings']")
        expect(page.locator("#settings-browser")).to_contain_text(f"alphadrop web --revoke {name}")
        assert web_home.alphadrop("web", "--revoke", name).returncode == 0
        page.click("nav a[href='#photographs']")
        page.click("nav a[href='#settings']")
        expect(page.locator("#locked")).to_be_visible()
        assert page.evaluate("() => localStorage.getItem('alphadrop.key')") is None
    assert name not in names_of(web_home)


_TRY = """async ([address, code]) => {
  const tried = {};
  const get = async (name, path, options) => {
    try { tried[name] = (await fetch(address + path, options)).status; } catch { tried[name] = "nothing"; }
  };
  await get("status", "v1/status");
  await get("page", "");
  await get("with a header", "v1/status", { headers: { Authorization: "Bearer x" } });
  await get("exchange", "v1/web/key", {
    method: "POST", body: JSON.stringify({ code }), headers: { "Content-Type": "application/json" } });
  await get("exchange as text", "v1/web/key", { method: "POST", body: JSON.stringify({ code }) });
  const frame = document.body.appendChild(document.createElement("iframe"));
  await new Promise((done) => { frame.onload = done; frame.src = address; });
  try { tried.frame = frame.contentDocument ? "seen" : "nothing"; } catch { tried.frame = "nothing"; }
  tried.key = localStorage.getItem("alphadrop.key");
  return tried;
}"""


def test_a_page_on_another_port_gets_nothing(page: Page, web_home: Home) -> None:
    address, _, code = address_of(web_home).partition("#code=")
    with elsewhere() as other:
        stranger = page.context.new_page()
        stranger.goto(other)
        tried = stranger.evaluate(_TRY, [address, code])
    names = ("status", "page", "with a header", "exchange", "exchange as text", "frame")
    assert tried == {**dict.fromkeys(names, "nothing"), "key": None}
    page.goto(f"{address}#code={code}")
    page.reload()
    expect(page.locator("#welcome")).to_be_visible()


_TUTORIAL = """async ([address, key, bytes]) => {
  const form = new FormData();
  form.append("file", new File([Uint8Array.from(atob(bytes), (each) => each.charCodeAt(0))], "cat.jpg"));
  const headers = { Accept: "application/json", Authorization: `Bearer ${key}` };
  try {
    const response = await fetch(`${address}api/remove`, { method: "POST", body: form, headers });
    const { image, error } = await response.json();
    if (!response.ok) return error.code;
    const picture = new Image();
    picture.src = `data:image/png;base64,${image}`;
    await picture.decode();
    return [picture.naturalWidth, picture.naturalHeight];
  } catch {
    return "nothing";
  }
}"""


def test_a_page_of_ones_own_calls_as_the_tutorials_do(
    browser: Browser, web_home: Home, photographs: dict[str, Path]
) -> None:
    address = address_of(web_home).partition("#")[0]
    before = (web_home.root / "alphadrop.yaml").read_text()
    told = web_home.alphadrop("config", "key", "shop")
    key, row = told.stdout.strip(), told.stderr.partition("keys:\n")[2].partition("\n\n")[0]
    picture = base64.b64encode(photographs["cat"].read_bytes()).decode()
    with elsewhere() as own, elsewhere() as other, opened(browser) as page:
        origin = own.removesuffix("/")
        (web_home.root / "alphadrop.yaml").write_text(f"keys:\n{row}\nallow_origins: ['{origin}']\n{before}")
        try:
            page.goto(own)
            wait_for(lambda: page.evaluate(_TUTORIAL, [address, key, picture]) == [451, 300], "the page to be allowed")
            assert page.evaluate(_TUTORIAL, [address, "another key", picture]) == "wrong_token"
            page.goto(other)
            assert page.evaluate(_TUTORIAL, [address, key, picture]) == "nothing"
        finally:
            (web_home.root / "alphadrop.yaml").write_text(before)


def test_nobody_else_is_asked_for_anything(page: Page, photographs: dict[str, Path]) -> None:
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.reload()
    page.set_input_files("#files", photographs["coffee"])
    expect(page.locator("#strip li[data-state=done]")).to_have_count(1)
    own = page.url.partition("#")[0]
    assert [url for url in asked if not url.startswith((own, f"blob:{own}"))] == []
    assert page.context.cookies() == []
