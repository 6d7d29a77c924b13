"""What the page shows of hot folders and settings, in two languages, on small screens and to screen readers."""

from __future__ import annotations

import importlib.resources
import re
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from playwright.sync_api import Browser, Page, expect

from alphadrop import errors
from alphadrop.client import Client
from alphadrop.engine import cutout
from alphadrop.engine.options import PRESETS
from browser_process import let_in, opened
from daemon_process import Home

pytestmark = pytest.mark.long

VIEWS = ("photographs", "seeing", "folders", "settings")
PAGE = Path(__file__).parents[2] / "daemon" / "alphadrop" / "service" / "page"


def go_to(page: Page, view: str) -> None:
    page.click(f"nav a[href='#{view}']")
    expect(page.locator(f"#{view}")).to_be_visible()


def with_a_photograph(page: Page, photographs: dict[str, Path]) -> None:
    page.set_input_files("#files", [photographs["coffee"], Path(__file__)])
    expect(page.locator("#strip li[data-state=done]")).to_have_count(1)
    expect(page.locator("#strip li[data-state=failed]")).to_have_count(1)


def with_a_walk(page: Page) -> None:
    go_to(page, "seeing")
    page.locator("#seeing-photos button").first.click()
    page.click("#seeing-go")
    expect(page.locator("#walk-u img:visible")).to_have_count(21)


def test_a_pause_is_seen_by_another_page(page: Page, browser: Browser, web_home: Home) -> None:
    with opened(browser) as other:
        let_in(other, web_home)
        for each in (page, other):
            go_to(each, "folders")
            expect(each.locator("#pause")).to_be_visible()
        page.click("#pause-hour")
        expect(other.locator("#daemon-state")).to_contain_text("Paused until")
        other.click("#resume")
        expect(page.locator("#pause")).to_be_visible()
        expect(page.locator("#daemon-state")).to_have_text("At work with u2net-int8.")


def test_what_is_dropped_is_seen_as_it_happens(page: Page, web_home: Home, photographs: dict[str, Path]) -> None:
    go_to(page, "folders")
    web_home.drop(photographs["coffee"], "cup.jpg")
    done = page.locator("#job-list li", has_text="cup.jpg")
    expect(done).to_have_attribute("data-state", "done")
    expect(done.locator("img")).to_be_visible()
    with page.expect_download() as saving:
        done.get_by_role("button", name="Save the result of cup.jpg").click()
    assert Path(saving.value.path()).read_bytes() == (web_home.output / "cup.png").read_bytes()
    (web_home.root / "half").write_bytes(photographs["coffee"].read_bytes()[:3000])
    web_home.drop(web_home.root / "half", "broken.jpg")
    failed = page.locator("#job-list li", has_text="broken.jpg")
    expect(failed).to_have_attribute("data-state", "failed")
    expect(failed).to_contain_text("This file is damaged or cut off.")
    page.locator("#filter label", has_text="Failed").click()
    expect(page.locator("#job-list li")).to_have_count(1)
    with page.expect_response(lambda answer: answer.url.endswith("/retry")) as retrying:
        failed.get_by_role("button", name="Retry broken.jpg").click()
    assert retrying.value.ok
    expect(failed).to_have_attribute("data-state", "failed")
    (web_home.input / "broken.jpg").unlink()


def test_what_is_to_be_known_of_a_cut_out_is_seen_in_the_pages_language_or_as_it_is(
    page: Page, web_home: Home, photographs: dict[str, Path]
) -> None:
    go_to(page, "folders")
    with Image.open(photographs["coffee"]) as coffee:
        coffee.save(web_home.root / "profile", "JPEG", icc_profile=b"no colours " * 20)
    web_home.drop(web_home.root / "profile", "odd.jpg")
    web_home.drop(photographs["coffee"], "plain.jpg")
    told, plain = (page.locator("#job-list li", has_text=name) for name in ("odd.jpg", "plain.jpg"))
    expect(told.locator(".warned")).to_have_text("Its colour profile is damaged and was left out.")
    expect(plain).to_have_attribute("data-state", "done")
    expect(plain.locator(".warned")).to_have_count(0)
    expect(page.locator("#folder-list .warned")).to_have_text("1 of them to check")
    page.locator("#filter label", has_text="To check").click()
    expect(page.locator("#job-list li")).to_have_count(1)
    expect(told).to_be_visible()
    page.click("#language")
    expect(told.locator(".warned")).to_have_text("颜色配置文件已损坏，未保留。")
    made_up = "the sky fell <img src=x onerror=alert(1)>"
    (job,) = Client(web_home.run).jobs(warned=True)
    answer = {"jobs": [{**job, "finished_at": 1.0, "warnings": [made_up]}]}
    page.route(re.compile(r"/v1/jobs\?"), lambda route: route.fulfill(json=answer))
    page.locator("#filter label", has_text="全部").click()
    expect(told.locator(".warned")).to_have_text(made_up)
    expect(told.locator(".warned img")).to_have_count(0)


def test_mistakes_in_the_configuration_are_shown(page: Page, web_home: Home) -> None:
    go_to(page, "settings")
    expect(page.locator("#settings-file")).to_have_text(str(web_home.root / "alphadrop.yaml"))
    before = (web_home.root / "alphadrop.yaml").read_text()
    (web_home.root / "alphadrop.yaml").write_text(f"ouput: 1\n{before}")
    try:
        go_to(page, "folders")
        expect(page.locator("#config-problems")).to_contain_text("ouput")
        go_to(page, "settings")
        expect(page.locator("#settings-problems")).to_contain_text("unknown key `ouput`")
    finally:
        (web_home.root / "alphadrop.yaml").write_text(before)
    go_to(page, "folders")
    expect(page.locator("#config-problems")).to_be_hidden()


def test_it_speaks_chinese_to_who_reads_it(browser: Browser, web_home: Home, photographs: dict[str, Path]) -> None:
    with opened(browser, locale="zh-CN") as page:
        let_in(page, web_home)
        expect(page.locator("#welcome h2")).to_have_text("把照片拖到这里")
        assert page.evaluate("() => document.documentElement.lang") == "zh-Hans"
        with_a_photograph(page, photographs)
        expect(page.locator("#strip li[data-state=failed] .state")).to_have_text("这不是可以打开的图片。")
        page.click("#language")
        expect(page.locator("#controls h2")).to_have_text("How it is cut")
        page.reload()
        expect(page.locator("#welcome h2")).to_have_text("Drop photographs here")


def test_the_shapes_of_the_page_are_the_presets() -> None:
    table = re.search(r"MARGINS = \{ (.*) \};", (PAGE / "controls.js").read_text(encoding="utf-8"))
    assert table is not None
    margins = {name: float(margin) for name, margin in re.findall(r'"?([\w-]+)"?: ([\d.]+)', table[1])}
    assert margins == {name: preset.margin for name, preset in PRESETS.items()}
    chosen = re.findall(r'<option value="([^"]+)"', (PAGE / "index.html").read_text(encoding="utf-8"))
    assert set(chosen) == set(PRESETS)


def test_advice_is_given_for_errors_that_there_are() -> None:
    texts = (PAGE / "texts.js").read_text(encoding="utf-8")
    known = {kind.code for kind in vars(errors).values() if isinstance(kind, type) and hasattr(kind, "code")}
    of_the_page = {"unreachable", "too_slow", "internal"}
    assert set(re.findall(r'"(?:error|hint)\.(\w+)"', texts)) <= known | of_the_page


def test_every_text_is_there_in_both_languages() -> None:
    texts = (PAGE / "texts.js").read_text(encoding="utf-8")
    english, chinese = texts.split("const CHINESE")
    keys = [re.findall(r'^  (?:"([^"]+)"|(\w+)):', part, re.MULTILINE) for part in (english, chinese)]
    assert keys[0] == keys[1]
    markup = (PAGE / "index.html").read_text(encoding="utf-8")
    wanted = set(re.findall(r'data-t(?:-label)?="([^"]+)"', markup))
    assert wanted <= {quoted or plain for quoted, plain in keys[0]}


def test_each_warning_is_known_to_the_page_by_the_words_of_the_engine() -> None:
    texts = (PAGE / "texts.js").read_text(encoding="utf-8")
    table = re.search(r"const WARNINGS = \[\n(.*?)\n\];", texts, re.DOTALL)
    assert table is not None
    known = dict(re.findall(r'^  \["(\w+)", /\^(.*?)\$?/\],$', table[1], re.MULTILINE))
    assert set(known) == set(re.findall(r'^  "warning\.(\w+)":', texts, re.MULTILINE))
    engine = "".join((Path(cutout.__file__).with_name(name)).read_text() for name in ("cutout.py", "photo.py"))
    for words in known.values():
        for part in re.split(r"\(.*?\)", words):
            assert part in engine


@pytest.mark.parametrize("language", ["en-GB", "zh-CN"])
def test_nothing_is_wider_than_a_small_screen(
    browser: Browser, web_home: Home, photographs: dict[str, Path], language: str
) -> None:
    with opened(browser, locale=language, viewport={"width": 360, "height": 740}) as page:
        let_in(page, web_home)
        with_a_photograph(page, photographs)
        with_a_walk(page)
        for view in VIEWS:
            go_to(page, view)
            assert page.evaluate("() => document.documentElement.scrollWidth") <= 360, view


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_serious(browser: Browser, web_home: Home, photographs: dict[str, Path], scheme: str) -> None:
    with opened(browser, color_scheme=scheme, viewport={"width": 1280, "height": 800}) as page:
        page.goto(web_home.alphadrop("web", "--address").stdout.partition("#")[0])
        expect(page.locator("#locked")).to_be_visible()
        assert grave(page) == []
        let_in(page, web_home)
        assert grave(page) == []
        with_a_photograph(page, photographs)
        for group in page.locator("#controls summary").all():
            group.click()
        with_a_walk(page)
        page.click("#walk-play")  # a picture on its way to being seen has less contrast
        for view in VIEWS:
            go_to(page, view)
            assert grave(page) == [], view


def grave(page: Page) -> list[str]:
    """Return what axe-core finds that keeps somebody from using the page."""
    axe = importlib.resources.files("axe_playwright_python").joinpath("axe.min.js").read_text(encoding="utf-8")
    found: dict[str, Any] = page.evaluate(f"async () => {{ {axe}; return await axe.run(); }}")
    return [
        f"{each['id']}: {node['html']}"
        for each in found["violations"]
        if each["impact"] in ("serious", "critical")
        for node in each["nodes"]
    ]


def test_it_is_used_by_keyboard_alone(page: Page, photographs: dict[str, Path]) -> None:
    with_a_photograph(page, photographs)
    for group in page.locator("#controls summary").all():
        group.press("Enter")
    page.keyboard.press("Tab")
    page.evaluate("() => document.body.focus()")
    reached = set()
    for _ in range(60):
        page.keyboard.press("Tab")
        reached.add(page.evaluate("() => document.activeElement.id || document.activeElement.className"))
    assert {"language", "photo", "icon remove", "stage", "split", "download", "zoom-actual", "model"} <= reached
    assert {"choose-behind", "preset", "smallest_part", "fill_holes"} <= reached
    assert {"shift_edge", "feather", "hardness", "decontaminate", "for-all", "reset"} <= reached
