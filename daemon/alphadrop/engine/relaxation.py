"""The colours of a subject and of what is behind it, as smooth as what is seen allows.

They solve a system of linear equations, two for each point and its four neighbours, which successive over-relaxation
(Young, Iterative Methods for Solving Partial Difference Equations of Elliptic Type, 1954) makes nearly true in few
rounds: as on a chessboard, first the white points, then the black ones, which take what the white ones became. Points
of even and odd rows and columns are kept in four arrays: in each all neighbours on one side are one run of memory.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["relaxed"]

_RELAXATION = 1.5
"""Times of what a point would have to move, alone, that it is moved."""
_STEEPNESS = 0.03
"""How much more neighbours hold together where alpha changes between them."""
_COHESION = 1e-5
"""How much they do everywhere."""
_CHESSBOARD = ((0, 0), (1, 1), (0, 1), (1, 0))
"""The first row and column of every other one, of white points and then of black ones."""


def relaxed(
    colours: NDArray[np.float32], seen: NDArray[np.float32], alphas: NDArray[np.float32], rounds: int
) -> NDArray[np.float32]:
    """Return colours that nearly agree with their neighbours and mix to what is seen; shape (2 C, h, w).

    Args:
        colours: to begin with, of the subject and then of the background, at half the size: shape (2 C, h / 2, w / 2).
        seen: shape (C, h, w).
        alphas: shape (h, w), 0..1.
        rounds: how often each point is moved.
    """
    channels, height, width = seen.shape
    planes, rows, columns = colours.shape
    stride = columns + 1  # behind each row of a quarter, and around them all, is a point that is nothing
    given = _given(seen, alphas)
    quarters = np.zeros((2, 2, len(given), rows, stride), np.float32)
    framed = np.zeros((2, 2, planes, rows + 2, stride), np.float32)
    framed[..., 1:-1, :columns] = colours
    for down, across in _CHESSBOARD:
        part = given[:, down::2, across::2]
        quarters[down, across, :, : part.shape[1], : part.shape[2]] = part
    quarters, fields = quarters.reshape(2, 2, len(given), -1), framed.reshape(2, 2, planes, -1)

    def at(down: int, across: int, distance: int = 0) -> NDArray[np.float32]:
        return fields[down, across, :, stride + distance : distance - stride or None]

    moved, part = np.empty((2, planes, rows * stride), np.float32)
    for down, across in _CHESSBOARD * rounds:
        here, quarter = at(down, across), quarters[down, across]
        above, below = (at(1 - down, across, (down + side) * stride) for side in (-1, 0))
        left, right = (at(down, 1 - across, across + side) for side in (-1, 0))
        np.multiply(quarter[0], above, out=moved)
        for weight, neighbour in zip(quarter[1:4], (below, left, right), strict=True):
            np.multiply(weight, neighbour, out=part)
            moved += part
        missed = quarter[8:] - np.multiply(quarter[4], moved[:channels], out=part[:channels])
        missed -= np.multiply(quarter[5], moved[channels:], out=part[channels:])
        np.multiply(quarter[6], missed, out=part[:channels])
        np.multiply(quarter[7], missed, out=part[channels:])
        moved += part
        here *= 1 - _RELAXATION
        here += moved
    whole = np.empty((planes, 2 * rows, 2 * columns), np.float32)
    for down, across in _CHESSBOARD:
        whole[:, down::2, across::2] = framed[down, across, :, 1:-1, :columns]
    return whole[:, :height, :width]


def _given(seen: NDArray[np.float32], alphas: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return what the equations of each point have in them, shape (8 + C, h, w).

    That is how much of those above, below, left and right is taken; alpha and what is left of it; how much the two
    colours move by what they miss of what is seen; and what is seen, as far as it counts.
    """
    given = np.zeros((8 + len(seen), *alphas.shape), np.float32)
    above, below, left, right, own, rest = given[:6]
    down, across = (
        np.abs(np.diff(alphas, axis=axis)) * np.float32(_STEEPNESS) + np.float32(_COHESION) for axis in (0, 1)
    )
    above[1:] = below[:-1] = down
    left[:, 1:] = right[:, :-1] = across
    whole = given[:4].sum(axis=0)
    given[:4] *= _RELAXATION / np.maximum(whole, _COHESION)
    own[:] = alphas
    np.subtract(1, alphas, out=rest)
    gain = 1 / (own * own + rest * rest + whole)
    np.multiply(given[4:6], gain, out=given[6:8])
    np.multiply(seen, np.float32(_RELAXATION), out=given[8:])
    return given
