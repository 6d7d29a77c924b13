"""What the network sees, in the page: chosen, shown step by step, compared, saved."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import pytest
from PIL import Image
from playwright.sync_api import Browser, Page, expect

from browser_process import let_in, opened
from daemon_process import Home, wait_for

pytestmark = pytest.mark.long

_IS_KNOWN = """async (wanted) => {
  const headers = { Authorization: `Bearer ${localStorage.getItem("alphadrop.key")}` };
  const { models } = await (await fetch("/v1/models", { headers })).json();
  return models.some(({ name }) => name === wanted);
}"""


def shown(page: Page, photograph: Path, beside: str = "") -> None:
    """Have a photograph explained in the view."""
    page.click("nav a[href='#seeing']")
    page.set_input_files("#files", photograph)
    expect(page.locator("#seeing-photos button")).to_have_count(1)
    page.select_option("#seeing-compare", beside)
    page.click("#seeing-go")
    expect(page.locator("#walk")).to_be_visible()
    expect(page.locator("#walk-u img:visible")).to_have_count(21)


def step_of(page: Page) -> str:
    """The step that is shown; its picture is there too."""
    title = page.locator("#walk-title").inner_text()
    expect(page.locator("#walk-stage img").last).to_have_attribute("alt", title)
    return title


def saved(page: Page, button: str) -> tuple[str, bytes]:
    with page.expect_download() as saving:
        page.click(button)
    return saving.value.suggested_filename, Path(saving.value.path()).read_bytes()


def test_a_photograph_is_followed_from_step_to_step(
    browser: Browser, web_home: Home, photographs: dict[str, Path]
) -> None:
    with opened(browser, viewport={"width": 1280, "height": 800}, reduced_motion="reduce") as page:
        let_in(page, web_home)
        shown(page, photographs["coffee"])
        assert step_of(page) == "Photograph", "nothing moves by itself for who wants no motion"
        expect(page.locator("#walk-size")).to_have_text("600 × 400 pixels")
        page.click("#walk-on")
        assert step_of(page) == "Encoder 1"
        expect(page.locator("#walk-size")).to_contain_text("64 × 320 × 320 values, the tensor ")
        stage = page.locator("#walk-stage")
        steps = [step_of(page)]
        for _ in range(19):
            stage.press("ArrowRight")
            steps.append(step_of(page))
        assert steps == [
            *(f"Encoder {number}" for number in range(1, 7)), *(f"Decoder {number}" for number in range(5, 0, -1)),
            *(f"Side map {number}" for number in range(6, 0, -1)), "Saliency map", "Matte", "Cut-out",
        ]  # fmt: skip
        stage.press("Home")
        assert step_of(page) == "Photograph"
        page.locator("#walk-slider").fill("7")
        assert step_of(page) == "Decoder 5"
        page.get_by_title("Side map 3").click()
        assert step_of(page) == "Side map 3"
        files: list[str] = []
        for way in page.locator("#walk-ways label").all():
            way.click()
            expect(page.locator("#walk-stage img").last).not_to_have_attribute("data-file", files[-1] if files else "")
            files.append(page.locator("#walk-stage img").last.get_attribute("data-file") or "")
        assert files == ["walk-side-3-map.jpg", "walk-side-3-over.jpg"]


def test_it_plays_until_the_end_or_a_pause(page: Page, photographs: dict[str, Path]) -> None:
    shown(page, photographs["coffee"])
    expect(page.locator("#walk-play")).to_have_attribute("aria-label", "Pause")
    expect(page.locator("#walk-title")).to_have_text("Encoder 2")
    page.locator("#walk-stage").press(" ")
    expect(page.locator("#walk-play")).to_have_attribute("aria-label", "Play")
    page.locator("#walk-slider").fill("19")
    page.click("#walk-play")
    expect(page.locator("#walk-title")).to_have_text("Cut-out")
    expect(page.locator("#walk-play")).to_have_attribute("aria-label", "Play")


def test_the_sheet_and_all_pictures_are_saved(page: Page, photographs: dict[str, Path]) -> None:
    shown(page, photographs["coffee"])
    name, sheet = saved(page, "#save-sheet")
    assert name == "coffee.explain.png"
    with Image.open(io.BytesIO(sheet)) as image:
        assert image.width == 1320
    name, packed = saved(page, "#save-pictures")
    assert name == "coffee.explain.zip"
    with zipfile.ZipFile(io.BytesIO(packed)) as archive:
        assert archive.read("explain.png") == sheet
        assert {"stage-en1.png", "side-6.png", "fused.png"} <= set(archive.namelist())


def test_two_networks_stand_beside_each_other(page: Page, web_home: Home, photographs: dict[str, Path]) -> None:
    before = (web_home.root / "alphadrop.yaml").read_text()
    twin = Path(__file__).parents[2] / "models" / "u2net-int8.onnx"
    own = f"models:\n- {{name: twin, file: {twin}, input_size: 320, scale: max}}\n"
    (web_home.root / "alphadrop.yaml").write_text(own + before)
    try:
        expect(page.locator("#seeing-compare option[value=twin]")).to_have_count(0)
        wait_for(lambda: page.evaluate(_IS_KNOWN, "twin"), "the network to be known")
        page.reload()
        expect(page.locator("#seeing-compare option[value=twin]")).to_have_count(1)
        shown(page, photographs["coffee"], "twin")
        expect(page.locator("#beside-title")).to_have_text("u2net-int8 beside twin")
        expect(page.locator("#beside-table tbody tr")).to_have_count(18)
        expect(page.locator("#beside-table tbody tr").last).to_have_text("fused0.00.00.0 %0.0 %")
        expect(page.locator("#beside-picture")).to_have_js_property("complete", True)
        page.get_by_title("Encoder 4").click()
        page.locator("#walk-ways label", has_text="Difference").click()
        expect(page.locator("#walk-stage img").last).to_have_attribute("data-file", "walk-en4-difference.jpg")
    finally:
        (web_home.root / "alphadrop.yaml").write_text(before)


def test_what_cannot_be_shown_is_said_with_advice(browser: Browser, web_home: Home) -> None:
    with opened(browser, locale="zh-CN") as page:
        let_in(page, web_home)
        page.click("nav a[href='#seeing']")
        expect(page.locator("#seeing-said")).to_have_text("把照片拖到这里，或选择一张。")
        page.set_input_files("#files", {"name": "notes.jpg", "mimeType": "image/jpeg", "buffer": b"dear diary"})
        page.click("#seeing-go")
        expect(page.locator("#seeing-said")).to_contain_text("这不是可以打开的图片。 可以打开 JPEG")
        expect(page.locator("#seeing-go")).to_have_text("显示")


def test_a_photograph_that_is_taken_away_is_not_explained(page: Page, photographs: dict[str, Path]) -> None:
    page.click("nav a[href='#seeing']")
    page.set_input_files("#files", photographs["coffee"])
    page.click("#seeing-go")
    expect(page.locator("#seeing-go")).to_have_text("Stop")
    page.click("nav a[href='#photographs']")
    page.click("#clear")
    page.click("nav a[href='#seeing']")
    expect(page.locator("#seeing-go")).to_have_text("Show")
    expect(page.locator("#seeing-go")).to_be_disabled()
    expect(page.locator("#walk")).to_be_hidden()
