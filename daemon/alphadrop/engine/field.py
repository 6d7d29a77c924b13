"""Smooth quantities computed on a coarse grid and read at full camera size, a tile at a time.

Filter coefficients change slowly: computing them on some ten thousand points and interpolating costs a small part of
computing them on twelve million, and no array of the photograph's size is made.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from alphadrop.engine.pixels import words

__all__ = ["Field", "box_mean", "channels", "halved", "joined", "planes", "quarters", "unit"]

_WITHOUT_THREADS = 200_000
"""Multiplications of a product of matrices that OpenBLAS makes in the thread that asks; up to 262,144, as measured."""
_QUARTERS = ((0, 0), (0, 1), (1, 0), (1, 1))
"""Of a picture: the first row and the first column of every other one."""
_SHIFTS = np.array([0, 8, 16], np.int32)[:, np.newaxis, np.newaxis]
"""Bits below a channel in a pixel's word."""


@dataclass(frozen=True, slots=True)
class Field:
    """Values on a coarse grid that covers a photograph."""

    values: NDArray[np.float32]
    """Shape (C, h, w)."""
    size: tuple[int, int]
    """Width and height of the photograph in pixels."""

    def tile(self, rows: slice, columns: slice) -> NDArray[np.float32]:
        """Return the values at the pixels of a tile, interpolated bilinearly; shape (C, rows, columns)."""
        if _is_large(rows, columns, self.values.shape[1:], self.size):
            halves = [self.tile(rows, half) for half in _halves(columns)]
            return np.concatenate(halves, axis=2)
        height, width = self.values.shape[1:]
        above, across_rows = _weights(rows.start, rows.stop, height, self.size[1])
        left, across_columns = _weights(columns.start, columns.stop, width, self.size[0])
        near = self.values[:, above : above + across_rows.shape[1], left : left + across_columns.shape[1]]
        read: NDArray[np.float32] = np.matmul(np.matmul(across_rows, near), across_columns.T)
        return read


def unit(values: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Return 8-bit values as float32, 0..1, of the same shape."""
    scaled: NDArray[np.float32] = np.multiply(values, np.float32(1 / 255), dtype=np.float32)
    return scaled


def box_mean(values: NDArray[np.float32], radius: int) -> NDArray[np.float32]:
    """Return the mean over a window of 2 radius + 1 on each side, cut at the borders.

    Running sums: the cost does not depend on the radius.

    Args:
        values: shape (C, h, w), float32.
        radius: in grid points.

    Returns:
        Shape (C, h, w), float32.
    """
    down = _mean_of_lines(values, radius)
    across = _mean_of_lines(np.ascontiguousarray(down.swapaxes(1, 2)), radius)
    return np.ascontiguousarray(across.swapaxes(1, 2))


def _mean_of_lines(values: NDArray[np.float32], radius: int) -> NDArray[np.float32]:
    """Return for each line the mean of it and the lines around it: whole lines are added, which memory likes."""
    lines = values.shape[1]
    means = np.empty_like(values)
    # float32 would lose the small variances of smooth pictures
    running = values[:, :radius].sum(axis=1, dtype=np.float64)
    for line in range(lines):
        if line + radius < lines:
            running += values[:, line + radius]
        if line > radius:
            running -= values[:, line - radius - 1]
        count = min(line + radius + 1, lines) - max(line - radius, 0)
        np.multiply(running, 1 / count, out=means[:, line], casting="same_kind")
    return means


def halved(values: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return values of shape (..., h, w) at half their size, each the mean of four; odd borders are repeated."""
    values = _even(_even(values, -1), -2)
    sums = values[..., 0::2, :] + values[..., 1::2, :]
    half: NDArray[np.float32] = (sums[..., 0::2] + sums[..., 1::2]) * np.float32(0.25)
    return half


def channels(picture: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Return the planes of a picture, float32, shape (3 or 1, h, w), 0..255.

    Args:
        picture: shape (h, w, 4) or (h, w, 1), as `pixels` has it.
    """
    whole = np.ascontiguousarray(words(picture))
    split: NDArray[np.float32] = (whole >> _SHIFTS[: picture.shape[2]] & 255).astype(np.float32)
    return split


def quarters(picture: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Return what is in the even and the odd rows and columns of a picture; odd borders are repeated.

    Args:
        picture: shape (h, w, 4) or (h, w, 1), as `pixels` has it.

    Returns:
        Shape (4, 3 or 1, h / 2, w / 2), 0..255.
    """
    whole = _even(_even(picture, 0), 1)
    return np.stack([channels(whole[down::2, across::2]) for down, across in _QUARTERS])


def joined(split: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Return the picture of which these are the `quarters`, its values cut off to whole ones; shape (h, w, 4 or 1)."""
    _, count, height, width = split.shape
    whole = np.zeros((2 * height, 2 * width, 4 if count == 3 else 1), np.uint8)
    for planes, (down, across) in zip(split, _QUARTERS, strict=True):
        shifted = planes.astype(np.int32)
        shifted <<= _SHIFTS[:count]
        words(whole)[down::2, across::2] = np.bitwise_or.reduce(shifted)
    return whole


def planes(picture: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Return a picture of shape (h, w) or (h, w, C), uint8, as float32, 0..1, shape (C, h, w)."""
    return unit(np.ascontiguousarray(np.moveaxis(np.atleast_3d(picture), -1, 0)))


def _even(values: NDArray[Any], axis: int) -> NDArray[Any]:
    """Return values with the last repeated where their number along an axis is odd."""
    if values.shape[axis] % 2 == 0:
        return values
    return np.concatenate([values, np.take(values, [-1], axis=axis)], axis=axis)


def _is_large(rows: slice, columns: slice, grid: tuple[int, ...], size: tuple[int, int]) -> bool:
    """Return whether the products that read a tile are so large that BLAS would use threads of its own for them.

    Beside ours these cost several times what they save.
    """
    down = (rows.stop - rows.start) * grid[0] / size[1] + 2
    across = (columns.stop - columns.start) * grid[1] / size[0] + 2
    operations: float = (rows.stop - rows.start) * across * max(down, columns.stop - columns.start)
    return operations > _WITHOUT_THREADS and columns.stop - columns.start > 1


def _halves(span: slice) -> tuple[slice, slice]:
    middle = (span.start + span.stop) // 2
    return slice(span.start, middle), slice(middle, span.stop)


@lru_cache(maxsize=256)
def _weights(start: int, stop: int, points: int, pixels: int) -> tuple[int, NDArray[np.float32]]:
    """Return the first grid point that a span of pixels needs, and what each pixel takes of that and those after it."""
    centres = (np.arange(start, stop) + 0.5) * (points / pixels) - 0.5
    centres = np.clip(centres, 0, points - 1)
    first, last = int(centres[0]), min(int(centres[-1]) + 1, points - 1)
    weights = np.maximum(0, 1 - np.abs(centres[:, np.newaxis] - np.arange(first, last + 1)))
    return first, weights.astype(np.float32)
