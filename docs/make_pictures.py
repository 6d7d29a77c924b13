"""Draw the pictures of the documentation from photographs that anyone may use: `make pictures`.

Coffee by Rachel Michetti (CC0) and an astronaut by NASA (public domain), as scikit-image ships them.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image
from skimage import data

from alphadrop import cut_out

HERE = Path(__file__).parent
SQUARE = 10
HEIGHT = 300
GAP = 12


def main() -> None:
    """Write before-after.png beside this file."""
    rows = [_before_and_after(Image.fromarray(pixels)) for pixels in (data.coffee(), data.astronaut())]
    width = sum(row.width for row in rows) + GAP * (len(rows) - 1)
    sheet = Image.new("RGB", (width, HEIGHT), "white")
    left = 0
    for row in rows:
        sheet.paste(row, (left, 0))
        left += row.width + GAP
    sheet.save(HERE / "before-after.png", optimize=True)


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
