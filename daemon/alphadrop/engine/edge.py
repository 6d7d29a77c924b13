"""The edge controls: what *Select and Mask* does to a matte that is found already.

Parts and holes first, then feather, hardness and shift, each left out where its value is neutral.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from alphadrop.engine.cpus import usable_cpus
from alphadrop.engine.options import CutOptions
from alphadrop.engine.parts import with_holes_filled, without_small_parts

__all__ = ["adjusted", "feathered", "shifted", "steepened"]

_TILE = 256
"""Least side of what is changed at once, in pixels."""
_OPENING = 2**0.5 - 1
"""Of the radius of an octagon, half of its side."""
_LEAST_SOFTNESS = 1 / 256
"""Where it makes every value 0 or 255."""

_DOWN, _ACROSS, _DIAGONAL, _ANTIDIAGONAL = (1, 0), (0, 1), (1, 1), (1, -1)

_Tile = tuple[slice, slice]
"""Rows and columns."""


class _Extreme(Protocol):
    """np.maximum or np.minimum."""

    def __call__(self, one: NDArray[np.uint8], other: NDArray[np.uint8], /) -> NDArray[np.uint8]: ...


def adjusted(matte: NDArray[np.uint8], options: CutOptions) -> NDArray[np.uint8]:
    """Return a matte with its edge as the options ask for.

    Args:
        matte: shape (H, W), uint8; left as it is.
        options: smallest_part, fill_holes, feather, hardness and shift_edge.

    Returns:
        Shape (H, W), uint8; the same object where all of them are neutral.
    """
    matte = without_small_parts(matte, options.smallest_part)
    matte = with_holes_filled(matte, options.fill_holes)
    matte = feathered(matte, options.feather)
    matte = steepened(matte, options.hardness)
    return shifted(matte, options.shift_edge)


def feathered(matte: NDArray[np.uint8], deviation: float) -> NDArray[np.uint8]:
    """Return a matte blurred by a Gaussian; outside the photograph it goes on as at its border.

    The Gaussian is three box blurs: Gwosdek et al., Theoretical Foundations of Gaussian Convolution by Extended Box
    Filtering (SSVM 2011), as Pillow has it.

    Args:
        matte: shape (H, W), uint8.
        deviation: the standard deviation in pixels, 0..100.
    """
    if not deviation:
        return matte
    blur = ImageFilter.GaussianBlur(deviation)
    reach = 3 * (math.ceil(deviation) + 1)  # of each box, its radius and the part of a pixel

    def feather(window: NDArray[np.uint8], inner: _Tile) -> NDArray[np.uint8]:
        return np.asarray(Image.fromarray(window).filter(blur))[inner]

    return _by_tiles(matte, reach, feather)


def steepened(matte: NDArray[np.uint8], hardness: float) -> NDArray[np.uint8]:
    """Return a matte with more contrast about one half; what is 0 or 255 stays so.

    Args:
        matte: shape (H, W), uint8.
        hardness: 0..1; the part of the range of values that is given up. At 1 only 0 and 255 are left.
    """
    if not hardness:
        return matte
    values = (np.arange(256) - 127.5) / max(1 - hardness, _LEAST_SOFTNESS) + 127.5
    return np.asarray(Image.fromarray(matte).point(np.rint(np.clip(values, 0, 255)).astype(int).tolist()))


def shifted(matte: NDArray[np.uint8], pixels: int) -> NDArray[np.uint8]:
    """Return a matte whose edge is moved, as soft as it was: grey-level dilation or erosion by an octagon.

    The octagon is a sum of lines in four directions, and a line of any length is made by doubling: van den Boomgaard
    and van Balen, Methods for Fast Morphological Image Transforms Using Bitmapped Binary Images (CVGIP: Graphical
    Models and Image Processing 54, 1992). What lies outside the photograph counts for nothing: a subject that is cut
    by its border is not contracted from there.

    Args:
        matte: shape (H, W), uint8.
        pixels: outward; negative contracts.
    """
    if not pixels:
        return matte
    radius = abs(pixels)
    nothing, extreme = (0, np.maximum) if pixels > 0 else (255, np.minimum)

    def shift(window: NDArray[np.uint8], inner: _Tile) -> NDArray[np.uint8]:
        outside = [
            (radius - span.start, radius - (side - span.stop)) for span, side in zip(inner, window.shape, strict=True)
        ]
        return _by_octagon(np.pad(window, outside, constant_values=nothing), radius, extreme)

    return _by_tiles(matte, radius, shift)


def _by_tiles(
    matte: NDArray[np.uint8], reach: int, change: Callable[[NDArray[np.uint8], _Tile], NDArray[np.uint8]]
) -> NDArray[np.uint8]:
    """Return a matte that is changed a tile at a time, on two threads; where it is all one value it stays so.

    Args:
        matte: shape (H, W), uint8.
        reach: rows and columns around a pixel on which its new value depends.
        change: takes a tile with what is in reach of it inside the photograph, and where the tile is in that; returns
            the tile's new values.
    """
    result = np.empty_like(matte)
    side = max(_TILE, 8 * reach)

    def work(tile: _Tile) -> None:
        rows, columns = (
            slice(max(0, span.start - reach), min(length, span.stop + reach))
            for span, length in zip(tile, matte.shape, strict=True)
        )
        window = matte[rows, columns]
        if window.min() == window.max():
            result[tile] = window[0, 0]
            return
        top, left = tile[0].start - rows.start, tile[1].start - columns.start
        height, width = result[tile].shape
        result[tile] = change(window, (slice(top, top + height), slice(left, left + width)))

    with ThreadPoolExecutor(max_workers=min(2, usable_cpus())) as workers:
        for _ in workers.map(work, _tiles(matte.shape, side)):
            pass
    return result


def _tiles(shape: tuple[int, ...], side: int) -> Iterator[_Tile]:
    height, width = shape
    for top in range(0, height, side):
        for left in range(0, width, side):
            yield slice(top, min(top + side, height)), slice(left, min(left + side, width))


def _by_octagon(window: NDArray[np.uint8], radius: int, extreme: _Extreme) -> NDArray[np.uint8]:
    """Return the extremes over octagons that lie in a window; shape (H - 2 radius, W - 2 radius).

    A square and a diamond add up to an octagon, and are nearly a disc where the square has sqrt(2) - 1 of the radius.
    Two diagonal lines are every other pixel of a diamond: the square fills them in, or where the diamond's radius is
    odd a cross.
    """
    square = round(radius * _OPENING)
    diamond = radius - square
    for direction in (_DOWN, _ACROSS):
        window = _along(window, 2 * square + 1, direction, extreme)
    for direction in (_DIAGONAL, _ANTIDIAGONAL):
        window = _along(window, diamond // 2 * 2 + 1, direction, extreme)
    if diamond % 2:
        window = extreme(
            _along(window, 3, _DOWN, extreme)[:, 1:-1],
            _along(window, 3, _ACROSS, extreme)[1:-1],
        )
    return window


def _along(window: NDArray[np.uint8], length: int, direction: tuple[int, int], extreme: _Extreme) -> NDArray[np.uint8]:
    """Return the extremes over lines that lie in a window, which is smaller by length - 1 in the line's directions.

    Args:
        window: shape (H, W).
        length: of the line, in steps, its first pixel included.
        direction: rows and columns of a step.
        extreme: of two arrays, elementwise.
    """
    height, width = window.shape
    down, across = direction
    reached = 1
    while reached < length:
        step = min(reached, length - reached)
        height, width = height - step * down, width - step * abs(across)
        right = step if across > 0 else 0
        left = step if across < 0 else 0
        window = extreme(
            window[:height, left : left + width], window[step * down : step * down + height, right : right + width]
        )
        reached += step
    return window
