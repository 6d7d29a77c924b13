"""Masks, which say of each pixel whether something is true."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["near"]


def near(mask: NDArray[np.bool_], reach: int) -> NDArray[np.bool_]:
    """Return what is true or at most `reach` rows and columns away from it."""
    grown = mask.copy()
    for _ in range(reach):
        grown[1:] |= mask[:-1]
        grown[:-1] |= mask[1:]
        mask = grown.copy()
        grown[:, 1:] |= mask[:, :-1]
        grown[:, :-1] |= mask[:, 1:]
        mask = grown.copy()
    return grown
