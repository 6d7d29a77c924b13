"""Photographs in the page: dropped, cut, looked at, cut again, taken away."""

from __future__ import annotations

import base64
import io
import zipfile
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from playwright.sync_api import FilePayload, Page, Request, expect

from daemon_process import Home

_DROP = """([bytes, name]) => {
  const transfer = new DataTransfer();
  transfer.items.add(new File([Uint8Array.from(atob(bytes), (each) => each.charCodeAt(0))], name));
  document.querySelector("#welcome").dispatchEvent(
    new DragEvent("drop", { bubbles: true, cancelable: true, dataTransfer: transfer }));
}"""

_PASTE = """([bytes, name]) => {
  const transfer = new DataTransfer();
  transfer.items.add(new File([Uint8Array.from(atob(bytes), (each) => each.charCodeAt(0))], name));
  document.body.dispatchEvent(new ClipboardEvent("paste", { bubbles: true, clipboardData: transfer }));
}"""


def drop(page: Page, photograph: Path) -> None:
    page.evaluate(_DROP, [base64.b64encode(photograph.read_bytes()).decode(), photograph.name])


def in_state(page: Page, state: str, count: int) -> None:
    expect(page.locator(f"#strip li[data-state={state}]")).to_have_count(count)


def downloaded(page: Page, button: str) -> tuple[str, bytes]:
    with page.expect_download() as saving:
        page.click(button)
    return saving.value.suggested_filename, Path(saving.value.path()).read_bytes()


def pixels(png: bytes) -> NDArray[np.uint8]:
    with Image.open(io.BytesIO(png)) as image:
        return np.asarray(image)


def test_a_dropped_photograph_comes_out_as_the_command_cuts_it(
    page: Page, web_home: Home, photographs: dict[str, Path]
) -> None:
    drop(page, photographs["astronaut"])
    in_state(page, "done", 1)
    expect(page.locator("#stage")).to_have_class("stage comparable")
    expect(page.locator("#caption")).to_contain_text("512 × 512")
    name, png = downloaded(page, "#download")
    assert name == "astronaut.png"
    told = web_home.alphadrop("cut", photographs["astronaut"], "-o", web_home.root / "expected.png")
    assert told.returncode == 0, told.stderr
    assert np.array_equal(pixels(png), pixels((web_home.root / "expected.png").read_bytes()))


@pytest.mark.long
def test_many_photographs_come_out_in_one_zip(page: Page, photographs: dict[str, Path], tmp_path: Path) -> None:
    folder = tmp_path / "shoes"
    folder.mkdir()
    for number in range(24):
        with Image.open(photographs["cat"]) as image:
            image.resize((225, 150)).rotate(number).save(folder / f"{number}.jpg")
    (folder / "notes.txt").write_text("no photograph")
    page.set_input_files("#folder", folder)
    in_state(page, "done", 24)
    expect(page.locator("#count")).to_have_text("24 of 24 done")
    name, packed = downloaded(page, "#download-all")
    assert name == "alphadrop.zip"
    with zipfile.ZipFile(io.BytesIO(packed)) as archive:
        assert archive.testzip() is None
        assert sorted(archive.namelist()) == sorted(f"shoes/{number}.png" for number in range(24))
        assert pixels(archive.read("shoes/7.png")).shape == (150, 225, 4)


@pytest.mark.long
def test_two_of_one_name_both_come_out(page: Page, photographs: dict[str, Path], tmp_path: Path) -> None:
    for folder in ("one", "other"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "猫.jpg").write_bytes(photographs["cat"].read_bytes())
        page.set_input_files("#files", tmp_path / folder / "猫.jpg")
    in_state(page, "done", 2)
    _, packed = downloaded(page, "#download-all")
    with zipfile.ZipFile(io.BytesIO(packed)) as archive:
        assert archive.namelist() == ["猫.png", "猫-2.png"]


@pytest.mark.long
def test_another_edge_needs_no_other_upload(page: Page, photographs: dict[str, Path]) -> None:
    asked: list[Request] = []
    page.on("request", lambda request: asked.append(request))
    page.set_input_files("#files", photographs["coffee"])
    in_state(page, "done", 1)
    _, before = downloaded(page, "#download")
    with page.expect_response(lambda answer: "shift_edge=-8" in answer.url) as cutting:
        page.locator("#shift_edge").fill("-8")
    assert cutting.value.ok
    in_state(page, "done", 1)
    _, after = downloaded(page, "#download")
    assert pixels(after)[..., 3].sum() < pixels(before)[..., 3].sum()
    assert sum(each.url.endswith("/v1/photos") for each in asked) == 1
    with page.expect_response(lambda answer: answer.url.endswith("cutout?name=coffee.jpg")):
        page.click("#reset")
    in_state(page, "done", 1)
    assert downloaded(page, "#download")[1] == before


@pytest.mark.long
def test_the_colour_behind_it_may_be_in_the_file(page: Page, photographs: dict[str, Path]) -> None:
    page.set_input_files("#files", photographs["coffee"])
    in_state(page, "done", 1)
    expect(page.locator("#fill")).to_be_disabled()
    page.locator(".swatch.white").click()
    with page.expect_response(lambda answer: "background=%23ffffff" in answer.url):
        page.check("#fill")
    in_state(page, "done", 1)
    found = pixels(downloaded(page, "#download")[1])
    assert found[0, 0, :3].tolist() == [255, 255, 255]
    assert found.shape[2] == 3 or found[..., 3].min() == 255


@pytest.mark.long
def test_a_picture_behind_it_may_be_in_the_file(page: Page, web_home: Home, photographs: dict[str, Path]) -> None:
    page.set_input_files("#files", photographs["coffee"])
    in_state(page, "done", 1)
    page.set_input_files("#behind", photographs["rocket"])
    expect(page.locator("#stage")).to_have_class("stage comparable pictured")
    with page.expect_response(lambda answer: "behind=" in answer.url):
        page.check("#fill")
    in_state(page, "done", 1)
    found = pixels(downloaded(page, "#download")[1])
    target = web_home.root / "behind.png"
    told = web_home.alphadrop("cut", photographs["coffee"], "-o", target, "--background", photographs["rocket"])
    assert told.returncode == 0, told.stderr
    assert np.array_equal(found, pixels(target.read_bytes()))


@pytest.mark.long
def test_shapes_and_small_parts_are_those_of_the_command(
    page: Page, web_home: Home, photographs: dict[str, Path]
) -> None:
    page.set_input_files("#files", photographs["coffee"])
    in_state(page, "done", 1)
    for group in page.locator("#controls summary").all():
        group.click()
    expect(page.locator("#margin")).to_be_disabled()
    with page.expect_response(lambda answer: "preset=shop-square" in answer.url):
        page.select_option("#preset", "shop-square")
    with page.expect_response(lambda answer: "margin=0.2" in answer.url and "fill_holes=0.05" in answer.url):
        page.locator("#fill_holes").fill("0.05")
        page.locator("#margin").fill("0.2")
    in_state(page, "done", 1)
    expect(page.locator("#stage")).to_have_class("stage")
    expect(page.locator("#caption")).to_contain_text("2000 × 2000")
    name, jpeg = downloaded(page, "#download")
    assert name == "coffee.jpg"
    target = web_home.root / "expected.jpg"
    wishes = ("--preset", "shop-square", "--margin", "0.2", "--fill-holes", "0.05")
    told = web_home.alphadrop("cut", photographs["coffee"], "-o", target, *wishes)
    assert told.returncode == 0, told.stderr
    assert np.array_equal(pixels(jpeg), pixels(target.read_bytes()))


@pytest.mark.long
def test_a_pasted_photograph_is_cut(page: Page, photographs: dict[str, Path]) -> None:
    page.evaluate(_PASTE, [base64.b64encode(photographs["coffee"].read_bytes()).decode(), "pasted.jpg"])
    in_state(page, "done", 1)
    assert downloaded(page, "#download")[0] == "pasted.png"


@pytest.mark.long
def test_a_photograph_dragged_from_outside_is_cut(page: Page, photographs: dict[str, Path]) -> None:
    """As the browser itself does it, for which the page sees real files and not those of a script."""
    browser = page.context.new_cdp_session(page)
    dragged = {"items": [], "files": [str(photographs["coffee"])], "dragOperationsMask": 1}
    for kind in ("dragEnter", "dragOver"):
        browser.send("Input.dispatchDragEvent", {"type": kind, "x": 400, "y": 400, "data": dragged})
    expect(page.locator("#over")).to_be_visible()
    browser.send("Input.dispatchDragEvent", {"type": "drop", "x": 400, "y": 400, "data": dragged})
    expect(page.locator("#over")).to_be_hidden()
    in_state(page, "done", 1)
    expect(page.locator("#strip .name")).to_have_text("coffee.jpg")


@pytest.mark.long
def test_a_tiff_is_seen_before_and_after(page: Page, photographs: dict[str, Path], tmp_path: Path) -> None:
    with Image.open(photographs["coffee"]) as image:
        image.save(tmp_path / "cup.tif")
    page.set_input_files("#files", tmp_path / "cup.tif")
    in_state(page, "done", 1)
    expect(page.locator("#stage")).to_have_class("stage comparable")


@pytest.mark.long
def test_a_result_goes_to_the_clipboard(page: Page, photographs: dict[str, Path]) -> None:
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.set_input_files("#files", photographs["coffee"])
    in_state(page, "done", 1)
    page.click("#copy")
    expect(page.locator("#copy")).to_have_text("Copied")
    kinds = page.evaluate("async () => (await navigator.clipboard.read())[0].types")
    assert kinds == ["image/png"]


@pytest.mark.long
def test_it_is_looked_at_whole_and_closely(page: Page, photographs: dict[str, Path]) -> None:
    with Image.open(photographs["coffee"]) as image:
        large = image.resize((2400, 1600))
    stream = io.BytesIO()
    large.save(stream, "JPEG")
    page.set_input_files("#files", {"name": "large.jpg", "mimeType": "image/jpeg", "buffer": stream.getvalue()})
    in_state(page, "done", 1)
    picture = page.locator("#stage .after img")
    page.locator("#stage").press("1")
    expect(page.locator("#zoom")).to_have_text("100 %")
    assert picture.evaluate("(image) => image.clientWidth * devicePixelRatio") == 2400
    left = picture.evaluate("(image) => image.offsetLeft")
    page.locator("#stage").press("ArrowRight")
    assert picture.evaluate("(image) => image.offsetLeft") == left - 60
    page.locator("#stage").press("0")
    room = page.locator("#stage").evaluate("(stage) => stage.clientWidth")
    assert picture.evaluate("(image) => image.clientWidth") <= room
    page.locator("#split").fill("0")
    page.locator("#split").press("End")
    assert page.locator("#stage").evaluate("(stage) => stage.style.getPropertyValue('--split')") == "1"


@pytest.mark.long
def test_what_is_wrong_with_a_file_is_said_in_words(page: Page, odd_files: Path, photographs: dict[str, Path]) -> None:
    broken = next(each for each in sorted((odd_files / "corrupt").iterdir()) if each.stat().st_size > 0)
    nothing = io.BytesIO()
    Image.new("RGB", (120, 80), (120, 130, 140)).save(nothing, "PNG")
    files: list[FilePayload] = [
        {"name": "notes.jpg", "mimeType": "image/jpeg", "buffer": b"not a picture at all"},
        {"name": "grey.png", "mimeType": "image/png", "buffer": nothing.getvalue()},
    ]
    page.set_input_files("#files", files)
    page.set_input_files("#files", broken)
    page.set_input_files("#files", photographs["coffee"])
    in_state(page, "done", 1)
    in_state(page, "no_subject", 1)
    in_state(page, "failed", 2)
    failed = page.locator("#strip li[data-state=failed] .state")
    expect(failed.first).to_have_text("This is not a picture that can be opened.")
    assert failed.last.inner_text() in ("This file is damaged or cut off.", "This is not a picture that can be opened.")
    expect(page.locator("#count")).to_have_text("1 of 4 done, 3 without a result")
    page.locator("#strip li[data-state=no_subject] .photo").click()
    expect(page.locator("#note")).to_have_text("Nothing stands out in this photograph.")
    expect(page.locator("#download")).to_be_disabled()
