"""The connected parts of a matte, and the holes in it, exactly and at full camera size.

The rows are run-length encoded, and runs of neighbouring rows that touch are joined: He, Chao, Suzuki and Wu, Fast
Connected-Component Labeling (Pattern Recognition 42, 2009), section 3. Joining is done for all runs at once, by hooking
roots and pointer jumping: Shiloach and Vishkin, An O(log n) Parallel Connectivity Algorithm (Journal of Algorithms 3,
1982). Its rounds are logarithmic in the number of runs whatever the matte is, noise and spirals included.

Parts are 8-connected and holes 4-connected, so that a line of pixels that separates two holes is one part.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from alphadrop.engine.framing import VISIBLE
from alphadrop.engine.masks import near

__all__ = ["with_holes_filled", "without_small_parts"]

_STRIP = 1 << 20
"""Pixels that are unfolded at once."""
_RIM = 2
"""Pixels around a part in which what is fainter than any part is left."""

_Numbers = NDArray[np.signedinteger[Any]]
"""Of int32 where the positions of a photograph fit, which halves what many runs take."""


@dataclass(frozen=True, slots=True)
class _Runs:
    """Pixels of a row that stand side by side, in reading order; all arrays have shape (runs,).

    A position is row * stride + column, and the stride is the width and one: no run ends where another begins.
    """

    starts: _Numbers
    """Position of the first pixel."""
    ends: _Numbers
    """Position after the last."""
    areas: NDArray[np.uint32]
    """Sum of the 8-bit values."""
    shape: tuple[int, int]
    """Height and width of the matte."""

    @property
    def stride(self) -> int:
        return self.shape[1] + 1


def without_small_parts(matte: NDArray[np.uint8], fraction: float) -> NDArray[np.uint8]:
    """Return a matte without the parts that are small beside the largest, and without the haze far from those kept.

    A part is a region of visible alpha (five percent). What is fainter is left within two pixels of a part that is
    kept, as the foot of its soft edge, and cleared elsewhere. A matte in which nothing is visible is left as it is.

    Args:
        matte: shape (H, W), uint8.
        fraction: of the largest part's area, the sum of its alpha, 0..1; 0 keeps every part and all haze.

    Returns:
        Shape (H, W), uint8; the same object where the fraction is 0.
    """
    if not fraction or not matte.size:
        return matte
    runs = _runs(matte)
    if not len(runs.starts):
        return matte
    parts = _labels(runs, connectivity=8)
    areas = _areas(runs, parts)
    kept = (areas >= fraction * areas.max())[parts]
    result = np.empty_like(matte)
    for rows in _strips(matte.shape):
        reached = slice(max(0, rows.start - _RIM), min(len(matte), rows.stop + _RIM))
        own = _painted(runs, kept, reached)
        around = near(own, _RIM) & (matte[reached] < VISIBLE)
        inner = slice(rows.start - reached.start, rows.stop - reached.start)
        np.multiply(matte[rows], (own | around)[inner], out=result[rows])
    return result


def with_holes_filled(matte: NDArray[np.uint8], fraction: float) -> NDArray[np.uint8]:
    """Return a matte whose small holes are wholly subject.

    A hole is a region in which five percent or more is missing and that the subject encloses: it does not reach the
    border of the photograph. Its area is the sum of what is missing.

    Args:
        matte: shape (H, W), uint8.
        fraction: of the subject's area, the sum of all alpha, 0..1; 0 fills none.

    Returns:
        Shape (H, W), uint8; the same object where nothing is filled.
    """
    if not fraction or not matte.size:
        return matte
    runs = _runs(matte, inverted=True)
    regions = _labels(runs, connectivity=4)
    areas = _areas(runs, regions)
    open_regions = np.zeros(len(areas), np.bool_)
    open_regions[regions[_at_border(runs)]] = True
    filled = ((areas < fraction * float(matte.sum(dtype=np.int64))) & ~open_regions)[regions]
    if not filled.any():
        return matte
    result = matte.copy()
    for rows in _strips(matte.shape):
        result[rows][_painted(runs, filled, rows)] = 255
    return result


def _runs(matte: NDArray[np.uint8], *, inverted: bool = False) -> _Runs:
    """Return the runs of visible alpha; `inverted` those of visible absence of it."""
    height, width = matte.shape
    stride = width + 1
    dtype = np.int32 if stride * (height + 2) < 1 << 31 else np.int64
    starts: list[_Numbers] = []
    ends: list[_Numbers] = []
    areas: list[NDArray[np.uint32]] = []
    for rows in _strips(matte.shape):
        values = np.zeros((rows.stop - rows.start, stride), np.uint8)
        np.copyto(values[:, :-1], ~matte[rows] if inverted else matte[rows])
        flat = values.ravel()
        inside = flat >= VISIBLE
        changes = np.flatnonzero(inside[1:] != inside[:-1]) + 1
        if inside[0]:
            changes = np.concatenate([[0], changes])
        if len(changes):
            sums: NDArray[np.uint32] = np.add.reduceat(flat, changes, dtype=np.uint32)
            areas.append(sums[::2])
        positions = (changes + rows.start * stride).astype(dtype)
        starts.append(positions[::2])
        ends.append(positions[1::2])
    none = np.zeros(0, np.uint32)
    return _Runs(np.concatenate(starts), np.concatenate(ends), np.concatenate([none, *areas]), (height, width))


def _strips(shape: tuple[int, ...]) -> Iterator[slice]:
    """Yield rows that together have about as many pixels as are unfolded at once."""
    height, width = shape
    step = max(1, _STRIP // width)
    for top in range(0, height, step):
        yield slice(top, min(top + step, height))


def _labels(runs: _Runs, connectivity: Literal[4, 8]) -> _Numbers:
    """Return for each run the number of one run of its part, the same for all of it."""
    above, below = _touching(runs, reach=1 if connectivity == 8 else 0)
    roots = np.arange(len(runs.starts), dtype=runs.starts.dtype)
    # Numbers of roots, of which the first is the lower one.
    while len(above):
        np.minimum.at(roots, below, above)
        # A root that was neither hooked nor hooked onto hooks too: only then does each round halve them.
        met = np.zeros(len(roots), np.bool_)
        met[roots[below]] = True
        alone = (roots[above] == above) & ~met[above]
        roots[above[alone]] = below[alone]
        roots = _jumped(roots)
        one, other = roots[above], roots[below]
        apart = one != other
        one, other = one[apart], other[apart]
        above, below = np.minimum(one, other), np.maximum(one, other)
    return roots


def _touching(runs: _Runs, reach: int) -> tuple[_Numbers, _Numbers]:
    """Return the numbers of the runs that touch one in the next row, and those of the latter; shapes (pairs,).

    Args:
        runs: in reading order, by which their starts and ends are sorted.
        reach: columns by which runs that touch may miss each other: 1 where diagonals count.
    """
    dtype = runs.starts.dtype
    first: _Numbers = np.searchsorted(runs.ends, runs.starts + (runs.stride - reach), side="right").astype(dtype)
    past: _Numbers = np.searchsorted(runs.starts, runs.ends + (runs.stride + reach), side="left").astype(dtype)
    counts = past - first
    above = np.repeat(np.arange(len(counts), dtype=dtype), counts)
    below = np.arange(len(above), dtype=dtype) + np.repeat(first - (np.cumsum(counts, dtype=dtype) - counts), counts)
    return above, below


def _jumped(parents: _Numbers) -> _Numbers:
    """Return for each node of a forest the root of its tree; shape (nodes,)."""
    while True:
        further = parents[parents]
        if np.array_equal(further, parents):
            return parents
        parents = further


def _areas(runs: _Runs, labels: _Numbers) -> NDArray[np.float64]:
    """Return the area of the part that bears each number, zero where none does; shape (runs,), whole numbers."""
    return np.asarray(np.bincount(labels, weights=runs.areas, minlength=len(labels)), np.float64)


def _at_border(runs: _Runs) -> NDArray[np.bool_]:
    """Return which runs reach the border of the photograph; shape (runs,)."""
    height, width = runs.shape
    first, last = runs.starts % runs.stride == 0, runs.ends % runs.stride == width
    top, bottom = runs.starts < runs.stride, runs.starts >= (height - 1) * runs.stride
    reaches: NDArray[np.bool_] = first | last | top | bottom
    return reaches


def _painted(runs: _Runs, chosen: NDArray[np.bool_], rows: slice) -> NDArray[np.bool_]:
    """Return where the chosen runs are in some rows; shape (rows, W)."""
    begin, end = np.searchsorted(runs.starts, (rows.start * runs.stride, rows.stop * runs.stride))
    here = chosen[begin:end]
    steps = np.zeros((rows.stop - rows.start, runs.stride), np.int8)
    flat, origin = steps.reshape(-1), rows.start * runs.stride
    flat[runs.starts[begin:end][here] - origin] = 1
    flat[runs.ends[begin:end][here] - origin] = -1
    np.cumsum(flat, dtype=np.int8, out=flat)
    return steps[:, :-1].astype(np.bool_)
