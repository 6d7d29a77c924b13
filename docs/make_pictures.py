"""Draw the pictures of the documentation from photographs that anyone may use: `make pictures`.

Coffee by Rachel Michetti (CC0) and an astronaut by NASA (public domain), as scikit-image ships them.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw, ImageFont
from skimage import data

from alphadrop import cut_out

HERE = Path(__file__).parent
SQUARE = 10
HEIGHT = 300
GAP = 12

CROP = 176
PAPER, INK, FAINT = (255, 255, 255), (34, 40, 49), (112, 120, 131)
COLUMNS = 3
TEXT = 48
MARGIN = 24


@dataclass(frozen=True)
class Control:
    """An edge control, and where on which photograph it is seen."""

    name: str
    says: str
    photograph: np.ndarray[Any, np.dtype[np.uint8]]
    place: tuple[int, int]
    """Left and top of the crop."""
    colour: tuple[int, int, int]
    before: dict[str, Any]
    after: dict[str, Any]


def main() -> None:
    """Write before-after.png and edge-controls.png beside this file."""
    _draw_before_and_after()
    _draw_edge_controls()


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
    astronaut, coffee = data.astronaut(), data.coffee()
    teal, gold, blue = (32, 122, 130), (240, 190, 80), (60, 90, 170)
    controls = (
        Control(
            "smallest_part: 0.5",
            "the helmet is a part of its own",
            astronaut[200:],
            (330, 90),
            gold,
            {},
            {"smallest_part": 0.5},
        ),
        Control("fill_holes: 0.01", "x", astronaut, (30, 330), teal, {}, {"fill_holes": 0.01}),
        Control("feather: 5", "x", coffee, (40, 50), blue, {}, {"feather": 5}),
        Control("hardness: 0.9", "x", data.chelsea(), (260, 120), teal, {}, {"hardness": 0.9}),
        Control("shift_edge: -6", "x", astronaut, (150, 0), gold, {}, {"shift_edge": -6}),
        Control("decontaminate: on", "x", astronaut, (150, 0), teal, {"decontaminate": False}, {"decontaminate": True}),
    )
    cells = [_control(control) for control in controls]
    width, height = cells[0].size
    down = -(-len(cells) // COLUMNS)
    size = (COLUMNS * (width + MARGIN) + MARGIN, down * (height + MARGIN) + MARGIN)
    sheet = Image.new("RGB", size, PAPER)
    for number, cell in enumerate(cells):
        row, column = divmod(number, COLUMNS)
        sheet.paste(cell, (MARGIN + column * (width + MARGIN), MARGIN + row * (height + MARGIN)))
    sheet.save(HERE / "edge-controls.png", optimize=True)


def _control(control: Control) -> Image.Image:
    cell = Image.new("RGB", (2 * CROP + 4, CROP + TEXT), PAPER)
    left, top = control.place
    for column, options in enumerate((control.before, control.after)):
        cutout = cut_out(Image.fromarray(control.photograph), **options)
        behind = Image.new("RGBA", cutout.size, control.colour)
        seen = Image.alpha_composite(behind, cutout).crop((left, top, left + CROP, top + CROP))
        cell.paste(seen.convert("RGB"), (column * (CROP + 4), TEXT))
    draw = ImageDraw.Draw(cell)
    draw.text((0, 0), control.name, INK, ImageFont.load_default(18))
    draw.text((0, 25), control.says, FAINT, ImageFont.load_default(13))
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
