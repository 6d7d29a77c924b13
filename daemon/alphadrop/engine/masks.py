"""Masks, which say of each pixel whether something is true."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["blocks", "near"]


def near(mask: NDArray[np.bool_], reach: int) -> NDArray[np.bool_]:
    """Return what is true or at most `reach` rows and columns away from it."""
    height, width = mask.shape
    grown = np.zeros((height + 2 * reach, width + 2 * reach), np.bool_)
    grown[reach : reach + height, reach : reach + width] = mask
    window, reached = 2 * reach + 1, 1
    while reached < window:
        step = min(reached, window - reached)
        grown = grown[:-step] | grown[step:]
        grown = grown[:, :-step] | grown[:, step:]
        reached += step
    return grown


def blocks(values: NDArray[np.uint8], side: int) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Return the least and the greatest value of each block of a picture, of so many pixels a side or what is left.

    Args:
        values: shape (H, W).
        side: in pixels.

    Returns:
        Two arrays of shape (H / side, W / side), rounded up.
    """
    columns = range(0, values.shape[1], side)
    strips = [values[top : top + side] for top in range(0, len(values), side)]
    least = np.minimum.reduceat([strip.min(axis=0) for strip in strips], columns, axis=1)
    greatest = np.maximum.reduceat([strip.max(axis=0) for strip in strips], columns, axis=1)
    return least, greatest
