"""How large a PNG file is beside the one that Pillow writes of the same pixels, at its default level.

    python benchmarks/output_size.py [--quick] [--strict]

The pixels are those of the cut-outs of photographs as they are, with refined edges.
"""

from __future__ import annotations

import io
import statistics
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from alphadrop.engine.compose import cutout_picture
from alphadrop.engine.cutout import Engine
from alphadrop.engine.encode import Picture, encode
from alphadrop.engine.options import PNG_EFFORTS, CutOptions, PngEffort
from page import Section, print_page
from photographs import lay_out
from tables import Line

MOST: dict[PngEffort, float] = {"fast": 1.2, "small": 1.0}


def measure(quick: bool) -> Iterator[Line]:
    """Yield the lines of the section."""
    engine, options = Engine(), CutOptions()
    sizes: dict[PngEffort, list[int]] = {effort: [] for effort in PNG_EFFORTS}
    pillow: list[int] = []
    with tempfile.TemporaryDirectory() as folder:
        for source in lay_out(Path(folder, "photographs"), few=quick):
            with source.open("rb") as stream:
                cut = engine.cut(stream, source.name, options)
            if not cut.subject:
                continue
            pixels = np.asarray(cutout_picture(cut.photo, cut.alpha, options).pixels)
            pillow.append(_saved_by_pillow(pixels))
            for effort, measured in sizes.items():
                measured.append(sum(map(len, encode(Picture(pixels), "png", png=effort))))
    for effort, measured in sizes.items():
        ratios = [size / other for size, other in zip(measured, pillow, strict=True)]
        middle = statistics.median(ratios)
        yield Line(
            f"`png: {effort}`, size / Pillow's",
            f"{middle:.3f} ({min(ratios):.3f} to {max(ratios):.3f}; {statistics.mean(measured) / 1e6:.2f} / "
            f"{statistics.mean(pillow) / 1e6:.2f} MB)",
            f"at most {MOST[effort]:.1f}",
            round(middle, 3) <= MOST[effort],
        )


def _saved_by_pillow(pixels: NDArray[np.uint8]) -> int:
    """Return the bytes of the file."""
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "PNG")
    return len(stream.getvalue())


if __name__ == "__main__":
    sys.exit(print_page(__doc__, [Section("Output size", measure)]))
