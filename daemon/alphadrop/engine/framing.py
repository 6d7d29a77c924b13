"""Where the subject stands in the finished picture: crop, margin, aspect and canvas as pure geometry."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from alphadrop.engine.options import LONGEST_SIDE, Alignment, CutOptions
from alphadrop.errors import BadOptions

__all__ = ["VISIBLE", "Frame", "frame", "subject_box"]

VISIBLE = 13
"""Alpha (of 255) from which a pixel counts as subject: five percent."""


@dataclass(frozen=True, slots=True)
class Frame:
    """How a part of the photograph becomes the finished picture."""

    window: tuple[int, int, int, int]
    """Left, top, right, bottom of what is taken from the photograph, inside it."""
    placed: tuple[int, int]
    """Width and height it is scaled to."""
    offset: tuple[int, int]
    """Left and top of it in the finished picture."""
    size: tuple[int, int]
    """Width and height of the finished picture."""

    @property
    def scale(self) -> float:
        """How much the subject is enlarged."""
        return self.placed[0] / (self.window[2] - self.window[0])


def subject_box(alpha: NDArray[np.uint8]) -> tuple[int, int, int, int] | None:
    """Return left, top, right, bottom of what is visible in an alpha matte; None where nothing is."""
    visible = alpha >= VISIBLE
    rows = np.flatnonzero(visible.any(axis=1))
    if not len(rows):
        return None
    columns = np.flatnonzero(visible[rows[0] : rows[-1] + 1].any(axis=0))
    return int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1


def frame(alpha: NDArray[np.uint8], options: CutOptions) -> Frame | None:
    """Return the frame that the options ask for, or None where the photograph is left as it is.

    Args:
        alpha: the matte, shape (H, W), uint8.
        options: crop, margin and canvas.

    Raises:
        BadOptions: margin and aspect would make it larger than any canvas may be.
    """
    canvas = options.canvas
    if options.crop == "none" and canvas.size is None and canvas.aspect is None:
        return None
    height, width = alpha.shape
    window = (subject_box(alpha) if options.crop == "subject" else None) or (0, 0, width, height)
    inner = (window[2] - window[0], window[3] - window[1])
    if canvas.size is not None:
        size = canvas.size
        free = options.margin * max(size)
        scale = max(1e-9, min((side - 2 * free) / length for side, length in zip(size, inner, strict=True)))
        placed = (max(1, round(inner[0] * scale)), max(1, round(inner[1] * scale)))
    else:
        size, placed = _grown(inner, options.margin, canvas.aspect), inner
        if size != inner and max(size) > LONGEST_SIDE:
            across, down = size
            raise BadOptions(
                f"the result would have {across} x {down} pixels", "make the margin smaller, or set a size"
            )
    offset = _aligned(placed, size, canvas.align, round(options.margin * max(size)))
    return Frame(window, placed, offset, size)


def _grown(inner: tuple[int, int], margin: float, aspect: float | None) -> tuple[int, int]:
    """Return the size that leaves a margin, a part of the longer finished side, around `inner`, at least."""
    width, height = inner
    if aspect is None:
        longest = max(inner) / (1 - 2 * margin)
        free = margin * longest
        return round(width + 2 * free), round(height + 2 * free)
    # The sides are in a known proportion, and so is the margin to each of them.
    free_across = margin if aspect >= 1 else margin / aspect
    free_down = margin * aspect if aspect >= 1 else margin
    tall = max(width / aspect / (1 - 2 * free_across), height / (1 - 2 * free_down))
    return max(width, round(tall * aspect)), max(height, round(tall))


def _aligned(placed: tuple[int, int], size: tuple[int, int], align: Alignment, margin: int) -> tuple[int, int]:
    """Return where a picture of size `placed` stands in one of `size`."""
    left, top = (size[0] - placed[0]) // 2, (size[1] - placed[1]) // 2
    match align:
        case "left":
            left = min(margin, size[0] - placed[0])
        case "right":
            left = max(0, size[0] - placed[0] - margin)
        case "top":
            top = min(margin, size[1] - placed[1])
        case "bottom":
            top = max(0, size[1] - placed[1] - margin)
        case "centre":
            pass
    return left, top
