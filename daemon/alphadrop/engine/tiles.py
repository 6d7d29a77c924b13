"""Pictures done in parts, on two threads: what a part needs stays in the processor's cache."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from math import ceil

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from alphadrop.engine.cpus import usable_cpus

__all__ = ["TILE", "each_strip", "each_tile", "each_tile_of_grid", "reduced", "shrunk", "span_of"]

TILE = 256
"""Side of a tile in pixels."""
_STRIP = 256
"""Rows of a strip: few enough that both threads end at about the same time."""


def each_strip(height: int, work: Callable[[slice], None], rows: int = _STRIP) -> None:
    """Do something for the rows of every strip of a picture, on two threads.

    Args:
        height: of the picture in pixels.
        work: writes to its own rows only; the order is not defined.
        rows: of a strip.
    """
    strips = [slice(top, min(top + rows, height)) for top in range(0, height, rows)]
    with ThreadPoolExecutor(max_workers=min(2, usable_cpus())) as workers:
        for _ in workers.map(work, strips):
            pass


def each_tile(mask: NDArray[np.bool_], work: Callable[[slice, slice], None], side: int = TILE) -> None:
    """Do something for the rows and columns in which anything is true of every tile of a mask, on two threads.

    Args:
        mask: shape (H, W).
        work: writes to its own rows and columns only; the order is not defined.
        side: of a tile in pixels.
    """
    with ThreadPoolExecutor(max_workers=min(2, usable_cpus())) as workers:
        for _ in workers.map(lambda tile: work(*tile), _tiles_with(mask, side)):
            pass


def each_tile_of_grid(mask: NDArray[np.bool_], size: tuple[int, int], work: Callable[[slice, slice], None]) -> None:
    """Do something for the pixels of a photograph in every tile where a mask on a coarse grid over it is true.

    Args:
        mask: shape (h, w).
        size: width and height of the photograph.
        work: as in `each_tile`; takes rows and columns of pixels.
    """
    height, width = mask.shape

    def work_on_pixels(rows: slice, columns: slice) -> None:
        down, across = _scaled(rows, size[1] / height), _scaled(columns, size[0] / width)
        if down.start < down.stop and across.start < across.stop:
            work(down, across)

    each_tile(mask, work_on_pixels, side=max(1, TILE * max(mask.shape) // max(size)))


def _scaled(span: slice, by: float) -> slice:
    """Return the pixels whose centres lie within a span of points of so many pixels each."""
    return slice(ceil(span.start * by - 0.5), ceil(span.stop * by - 0.5))


def _tiles_with(mask: NDArray[np.bool_], side: int) -> Iterator[tuple[slice, slice]]:
    for top in range(0, mask.shape[0], side):
        strip = mask[top : top + side]
        used = np.flatnonzero(strip.any(axis=0))
        for tile in np.unique(used // side):
            across = span_of(used[used // side == tile])
            down = span_of(np.flatnonzero(strip[:, across].any(axis=1)))
            yield slice(top + down.start, top + down.stop), across


def span_of(places: NDArray[np.intp]) -> slice:
    """Return the span of ascending places."""
    return slice(int(places[0]), int(places[-1]) + 1)


def reduced(image: Image.Image, by: tuple[int, int]) -> Image.Image:
    """Return the means of blocks of so many columns and rows, as Pillow's `reduce` makes them."""
    across, down = by
    result = Image.new(image.mode, (-(-image.width // across), -(-image.height // down)), None)

    def reduce_strip(rows: slice) -> None:
        box = (0, rows.start * down, image.width, min(rows.stop * down, image.height))
        result.paste(image.reduce(by, box), (0, rows.start))

    each_strip(result.height, reduce_strip, rows=max(1, _STRIP // down))
    return result


def shrunk(image: Image.Image, size: tuple[int, int], resampling: Image.Resampling, gap: float) -> Image.Image:
    """Return a picture of another size, as Pillow's `resize` makes it with a reducing gap, its blocks first."""
    across, down = (max(1, int(old / new / gap)) for old, new in zip(image.size, size, strict=True))
    box = (0, 0, image.width / across, image.height / down)
    return reduced(image, (across, down)).resize(size, resampling, box)
