"""Straight colours and alpha, joined a few rows at a time: no copy of the whole is made for who only reads it once."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import DTypeLike, NDArray

from alphadrop.engine.masks import near
from alphadrop.engine.patched import Patched
from alphadrop.engine.tiles import each_strip

__all__ = ["REACH", "StraightRows"]

REACH = 2
"""Pixels around the subject in which colours are kept, so that scaling a cut-out shows no rim."""


@dataclass(frozen=True, slots=True)
class StraightRows:
    """A picture whose rows are put together when they are asked for; numpy takes it for an array."""

    photograph: Patched
    alpha: NDArray[np.uint8]
    """Shape (H, W)."""

    @property
    def shape(self) -> tuple[int, int, int]:
        """Height, width and channels."""
        return *self.alpha.shape, len(self.photograph.mode) + 1

    def __getitem__(self, rows: slice) -> NDArray[np.uint8]:
        """Return some rows, shape (rows, W, 2 or 4): colours, zero farther than `REACH` from the subject, and alpha."""
        height, width, channels = self.shape
        top, bottom, _ = rows.indices(height)
        joined = np.empty((bottom - top, width, channels), np.uint8)
        above, below = max(0, top - REACH), min(height, bottom + REACH)
        around = self.alpha[above:below]
        used = np.flatnonzero(around.any(axis=0))
        columns = slice(max(0, int(used[0]) - REACH), int(used[-1]) + 1 + REACH) if used.size else slice(0, 0)
        joined[:, : columns.start] = 0
        joined[:, columns.stop :] = 0
        kept = near(around[:, columns] > 0, REACH)[top - above : bottom - above]
        seen, joined_there = self.photograph.rows(top, bottom)[:, columns], joined[:, columns]
        if seen.shape == joined_there.shape:  # a word a pixel: clearing one is one multiplication
            np.multiply(seen.view(np.uint32), kept[..., np.newaxis], out=joined_there.view(np.uint32))
        else:
            np.multiply(seen[..., 0], kept, out=joined_there[..., 0])
        joined_there[..., -1] = self.alpha[top:bottom, columns]
        return joined

    def __array__(self, dtype: DTypeLike | None = None, copy: bool | None = None) -> NDArray[np.uint8]:
        """Return all rows; always a new array."""
        whole = np.empty(self.shape, np.uint8)

        def fill(rows: slice) -> None:
            whole[rows] = self[rows]

        each_strip(len(whole), fill)
        return whole
