"""Straight colours and alpha, joined a few rows at a time: no copy of the whole is made for who only reads it once."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import DTypeLike, NDArray
from PIL import Image

from alphadrop.engine.masks import near
from alphadrop.engine.patched import Patched
from alphadrop.engine.tiles import each_strip

__all__ = ["REACH", "StraightRows"]

REACH = 2
"""Pixels around the subject in which colours are kept, so that scaling a cut-out shows no rim."""
_WORDS = {"RGB": np.uint32, "L": np.uint16}
"""One machine word a pixel, alpha included: clearing a pixel is one multiplication."""


@dataclass(frozen=True, slots=True)
class StraightRows:
    """A picture whose rows are put together when they are asked for; numpy takes it for an array."""

    image: Image.Image | Patched
    """Mode L or RGB."""
    alpha: NDArray[np.uint8]
    """Shape (H, W)."""

    @property
    def shape(self) -> tuple[int, int, int]:
        """Height, width and channels."""
        return *self.alpha.shape, len(self.image.mode) + 1

    def __getitem__(self, rows: slice) -> NDArray[np.uint8]:
        """Return some rows, shape (rows, W, 2 or 4): colours, zero farther than `REACH` from the subject, and alpha."""
        height, width, channels = self.shape
        top, bottom, _ = rows.indices(height)
        above, below = max(0, top - REACH), min(height, bottom + REACH)
        kept = near(self.alpha[above:below] > 0, REACH)[top - above : bottom - above]
        part = self.image.crop((0, top, width, bottom))
        part.putalpha(Image.fromarray(self.alpha[top:bottom]))
        words = np.asarray(part).view(_WORDS[self.image.mode])[..., 0]
        joined: NDArray[np.uint8] = np.multiply(words, kept).view(np.uint8).reshape(bottom - top, width, channels)
        return joined

    def __array__(self, dtype: DTypeLike | None = None, copy: bool | None = None) -> NDArray[np.uint8]:
        """Return all rows; always a new array."""
        whole = np.empty(self.shape, np.uint8)

        def fill(rows: slice) -> None:
            whole[rows] = self[rows]

        each_strip(len(whole), fill)
        return whole
