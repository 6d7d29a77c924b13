"""Draw the pictures of the manual from photographs that anyone may use: `make pictures`.

The web page is a real one, of a real daemon in a Chromium.

Coffee by Rachel Michetti (CC0), an astronaut by NASA (public domain) and a cat by Stefan van der Walt (CC0), as
scikit-image ships them.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from PIL import Image, ImageDraw, ImageFont
from playwright.sync_api import expect
from skimage import data

from alphadrop import cut_out
from alphadrop.desktop.icons import Look
from alphadrop.desktop.icons import draw as draw_icon
from alphadrop.engine import models
from alphadrop.engine.cutout import DEFAULT_MODEL
from alphadrop.engine.explain import Explainer
from alphadrop.engine.photo import from_image
from alphadrop.engine.stage_pictures import draw
from browser_process import chromium, let_in, opened
from daemon_process import Home, running

HERE = Path(__file__).parent
SQUARE = 10
HEIGHT = 300
GAP = 12

CROP = 180
"""Side of what is shown of a photograph, at 100 %."""
SEAM = 4
MARGIN = 28
TITLE, FOOT = 50, 20
COLUMNS = 3
EXPLAINED = 900
"""Width of the sheet of a network's stages."""
WINDOW = {"width": 1200, "height": 720}
"""Of the browser, in pixels."""
ICON_SIZES = (64, 48, 32, 24, 22, 16)
ICONS = {
    Look("working", 0.35): "working",
    Look("idle"): "nothing to do",
    Look("paused"): "paused",
    Look("attention"): "needs attention",
    Look("off"): "not running",
}
PANELS = ((246, 245, 244), (48, 48, 48))
TEAL, GOLD, BLUE = (30, 124, 132), (242, 193, 84), (66, 98, 178)
PAPER, INK, FAINT = (255, 255, 255), (30, 36, 45), (110, 118, 130)


@dataclass(frozen=True)
class Control:
    """An edge control, and where it is seen."""

    setting: str
    """As the configuration says it."""
    note: str
    photograph: np.ndarray[Any, np.dtype[np.uint8]]
    place: tuple[int, int]
    """Left and top of what is shown."""
    colour: tuple[int, int, int]
    """That it is laid over."""
    before: Mapping[str, Any] = field(default_factory=dict)
    """Options that it is compared with."""


def main() -> None:
    """Write before-after.png, edge-controls.png, explain.jpg, web-page.jpg and tray.png beside this file."""
    _draw_before_and_after()
    _draw_edge_controls()
    _draw_explanation()
    _photograph_web_page()
    _draw_tray()


def _draw_before_and_after() -> None:
    rows = [_before_and_after(Image.fromarray(pixels)) for pixels in (data.coffee(), data.astronaut())]
    width = sum(row.width for row in rows) + GAP * (len(rows) - 1)
    sheet = Image.new("RGB", (width, HEIGHT), "white")
    left = 0
    for row in rows:
        sheet.paste(row, (left, 0))
        left += row.width + GAP
    sheet.save(HERE / "before-after.png", optimize=True)


def _draw_edge_controls() -> None:
    astronaut, cat, coffee = data.astronaut(), data.chelsea(), data.coffee()
    hair = {"photograph": astronaut, "place": (146, 4)}
    controls = (
        Control("smallest_part: 0.5", "the helmet is less than half the suit", astronaut[200:], (214, 108), GOLD),
        Control("fill_holes: 0.01", "the nose was found only in part", cat, (176, 118), BLUE),
        Control("feather: 4", "a softer edge, for soft light", coffee, (56, 22), TEAL),
        Control("hardness: 0.9", "hair and whiskers all or nothing", cat, (258, 118), TEAL),
        Control("shift_edge: -5", "five pixels less all around", **hair, colour=GOLD),
        Control(
            "decontaminate: on",
            "no pale rim of the old background",
            **hair,
            colour=TEAL,
            before={"decontaminate": False},
        ),
    )
    cells = [_control(control) for control in controls]
    across, down = cells[0].width + MARGIN, cells[0].height + MARGIN
    rows = -(-len(cells) // COLUMNS)
    sheet = Image.new("RGB", (COLUMNS * across + MARGIN, rows * down + MARGIN), PAPER)
    for number, cell in enumerate(cells):
        row, column = divmod(number, COLUMNS)
        sheet.paste(cell, (MARGIN + column * across, MARGIN + row * down))
    sheet.save(HERE / "edge-controls.png", optimize=True)


def _draw_explanation() -> None:
    spec = models.registry()[DEFAULT_MODEL]
    photo = from_image(Image.fromarray(data.astronaut()))
    _, sheet = next(draw(Explainer(spec, models.locate(spec)).explain(photo), photo))
    sheet.resize((EXPLAINED, round(sheet.height * EXPLAINED / sheet.width)), Image.Resampling.LANCZOS).save(
        HERE / "explain.jpg", quality=85, optimize=True
    )


def _photograph_web_page() -> None:
    with tempfile.TemporaryDirectory() as folder:
        home = Home(Path(folder))
        home.configure()
        photographs = [home.root / f"{name}.jpg" for name in ("coffee", "astronaut", "cat")]
        for file, pixels in zip(photographs, (data.coffee(), data.astronaut(), data.chelsea()), strict=True):
            Image.fromarray(pixels).save(file, quality=92)
        with running(home), chromium() as browser, opened(browser, viewport=WINDOW) as page:
            let_in(page, home)
            page.set_input_files("#files", photographs)
            expect(page.locator("#strip li[data-state=done]")).to_have_count(len(photographs))
            page.screenshot(path=HERE / "web-page.jpg", quality=85)


def _draw_tray() -> None:
    row, column, label = max(ICON_SIZES) + GAP, sum(ICON_SIZES) + GAP * (len(ICON_SIZES) + 1), 150
    sheet = Image.new("RGB", (label + column * len(PANELS), row * len(ICONS) + GAP), PAPER)
    pen = ImageDraw.Draw(sheet)
    for side, panel in enumerate(PANELS):
        sheet.paste(panel, (label + side * column, 0, label + (side + 1) * column, sheet.height))
    for line, (look, name) in enumerate(ICONS.items()):
        middle = GAP + line * row + (row - GAP) // 2
        pen.text((GAP, middle), name, INK, ImageFont.load_default(15), anchor="lm")
        for side in range(len(PANELS)):
            left = label + side * column + GAP
            for size in ICON_SIZES:
                icon = draw_icon(look, size)
                sheet.paste(icon, (left, middle - size // 2), icon)
                left += size + GAP
    sheet.save(HERE / "tray.png", optimize=True)


def _control(control: Control) -> Image.Image:
    """Return a title over two crops, before and after, side by side."""
    cell = Image.new("RGB", (2 * CROP + SEAM, TITLE + CROP + FOOT), PAPER)
    pen = ImageDraw.Draw(cell)
    pen.text((0, 0), control.setting, INK, ImageFont.load_default(19))
    small = ImageFont.load_default(13.5)
    pen.text((0, 26), control.note, FAINT, small)
    name, value = control.setting.split(": ")
    left, top = control.place
    for column, options in enumerate((control.before, {name: yaml.safe_load(value)})):
        cutout = cut_out(Image.fromarray(control.photograph), **options)
        over = Image.alpha_composite(Image.new("RGBA", cutout.size, control.colour), cutout)
        seen = over.crop((left, top, left + CROP, top + CROP)).convert("RGB")
        cell.paste(seen, (column * (CROP + SEAM), TITLE))
        middle = column * (CROP + SEAM) + CROP // 2
        pen.text((middle, TITLE + CROP + FOOT), ("before", "after")[column], FAINT, small, anchor="mb")
    return cell


def _before_and_after(photograph: Image.Image) -> Image.Image:
    cutout = cut_out(photograph)
    after = Image.alpha_composite(_checkerboard(cutout.size), cutout).convert("RGB")
    pair = Image.new("RGB", (photograph.width * 2, photograph.height))
    pair.paste(photograph, (0, 0))
    pair.paste(after, (photograph.width, 0))
    return pair.resize((round(pair.width * HEIGHT / pair.height), HEIGHT), Image.Resampling.LANCZOS)


def _checkerboard(size: tuple[int, int]) -> Image.Image:
    rows, columns = np.indices(size[::-1]) // SQUARE
    grey = np.where((rows + columns) % 2, 204, 255).astype(np.uint8)
    return Image.fromarray(grey).convert("RGBA")


if __name__ == "__main__":
    main()
