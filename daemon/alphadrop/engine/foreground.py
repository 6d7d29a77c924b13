"""The subject's own colour in the soft edge, so that no fringe of the old background is carried along.

A mixed pixel is I = alpha F + (1 - alpha) B. F and B are smooth where alpha is, and are found from coarse to fine:
Germer, Uelwer, Conrad and Harmeling, Fast Multi-Level Foreground Estimation (arXiv:2006.14970), section III, each
level solved as `engine/relaxation.py` says. The coarse levels are of the whole photograph; the finer ones, up to half
its size, are made around the edge alone, a tile at a time. At full size F and B are moved no more than it takes to mix
to I.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from alphadrop.engine.field import halved, joined, planes, quarters, unit
from alphadrop.engine.masks import blocks, near
from alphadrop.engine.patched import Patch, Patched
from alphadrop.engine.pixels import pixels, words
from alphadrop.engine.relaxation import relaxed
from alphadrop.engine.straight import REACH
from alphadrop.engine.tiles import each_tile, reduced, span_of

__all__ = ["cleaned"]

_WHOLE = 60_000
"""Points up to which a level is made of the whole photograph."""
_TILE = 384
"""Side of a tile in pixels: what lies around it is computed for it alone."""
_ROUNDS = (2, 3)
"""Of the finest level, half the photograph's size, and of the others around the edge."""
_COARSE_ROUNDS = (4, 8)
_OPAQUE = 255

_Level = tuple[NDArray[np.float32], NDArray[np.float32]]
"""A photograph at one size, shape (C, h, w), 0..255, and its matte, shape (h, w), 0..1."""


def cleaned(image: Image.Image, alpha: NDArray[np.uint8]) -> Patched:
    """Return a photograph with the subject's own colour in the soft edge, and `REACH` pixels around it.

    Pixels that are wholly subject are as they were, and so are all that are farther away.

    Args:
        image: mode L or RGB.
        alpha: its matte, shape (H, W), uint8.
    """
    halvings = _halvings(image.size)
    point = 2**halvings  # pixels on a side of what is one point of the coarse colours
    least, greatest = blocks(alpha, point)
    with_edge = near(greatest > 0, 1) & (least < _OPAQUE)
    if not greatest.any() or not with_edge.any():
        return Patched(image)
    small, small_alpha = (np.asarray(reduced(each, (point, point))) for each in (image, Image.fromarray(alpha)))
    coarse = _estimated(_pyramid(planes(small) * _OPAQUE, unit(small_alpha)), _COARSE_ROUNDS)
    photograph = pixels(image)
    patches: list[Patch] = []

    def clean(down: slice, across: slice) -> None:
        found = _edge_within(alpha, _pixels(down, point), _pixels(across, point))
        if found is None:
            return
        rows, columns, edge = found
        top, left = (_widened(span, point, length) for span, length in zip((rows, columns), alpha.shape, strict=True))
        seen = quarters(photograph[top, left])
        alphas = quarters(alpha[top, left, np.newaxis])
        alphas *= np.float32(1 / _OPAQUE)
        start = coarse[:, _points(top, point), _points(left, point)]
        levels = _pyramid(_mean(seen), _mean(alphas)[0], halvings - 1)
        own, behind = np.split(_estimated(levels, _ROUNDS, start), 2)
        inner = ..., _halves(_shifted(rows, -top.start)), _halves(_shifted(columns, -left.start))
        _explain(seen[inner], alphas[inner], own[inner], behind[inner])
        changed = joined(seen[inner])[: rows.stop - rows.start, : columns.stop - columns.start]
        np.copyto(words(changed), words(photograph[rows, columns]), where=~edge)
        patches.append(Patch(columns.start, rows.start, changed))

    each_tile(with_edge, clean, side=max(_TILE // point, 1))
    return Patched(image, tuple(patches))


def _edge_within(
    alpha: NDArray[np.uint8], rows: slice, columns: slice
) -> tuple[slice, slice, NDArray[np.bool_]] | None:
    """Return the rows and columns of a tile that have an edge, and where in them it is; None where there is none.

    Both begin with an even one.
    """
    top, left = (slice(max(0, span.start - REACH), span.stop + REACH) for span in (rows, columns))
    here = alpha[top, left]
    edge = (near(here > 0, REACH) & (here < _OPAQUE))[_shifted(rows, -top.start), _shifted(columns, -left.start)]
    if not edge.any():
        return None
    down, across = (span_of(np.flatnonzero(edge.any(axis=axis))) for axis in (1, 0))
    down, across = (slice(span.start // 2 * 2, span.stop) for span in (down, across))
    return _shifted(down, rows.start), _shifted(across, columns.start), edge[down, across]


def _halvings(size: tuple[int, int]) -> int:
    """Return how often a photograph is halved, once at least, until all of it is one level."""
    halvings = 1
    while size[0] * size[1] > _WHOLE * 4**halvings:
        halvings += 1
    return halvings


def _widened(span: slice, point: int, length: int) -> slice:
    """Return the pixels of whole points that a span touches, and one point more on both sides, within a length."""
    first, last = span.start // point - 1, -(-span.stop // point) + 1
    return slice(max(0, first * point), min(length, last * point))


def _pixels(points: slice, point: int) -> slice:
    return slice(points.start * point, points.stop * point)


def _shifted(span: slice, by: int) -> slice:
    return slice(span.start + by, span.stop + by)


def _halves(pixels: slice) -> slice:
    return slice(pixels.start // 2, -(-pixels.stop // 2))


def _points(pixels: slice, point: int) -> slice:
    return slice(pixels.start // point, -(-pixels.stop // point))


def _mean(split: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the mean of four quarters."""
    mean: NDArray[np.float32] = (split[0] + split[1] + split[2] + split[3]) * np.float32(0.25)
    return mean


def _pyramid(seen: NDArray[np.float32], alphas: NDArray[np.float32], count: int | None = None) -> list[_Level]:
    """Return a photograph and its matte at ever smaller sizes, so many or down to a point, from fine to coarse."""
    levels: list[_Level] = []
    while len(levels) != count:
        levels.append((seen, alphas))
        if alphas.size == 1:
            break
        seen, alphas = halved(seen), halved(alphas)
    return levels


def _estimated(
    levels: list[_Level], rounds: tuple[int, int], colours: NDArray[np.float32] | None = None
) -> NDArray[np.float32]:
    """Return the colours of subject and background, one after the other, at the finest of some levels.

    Args:
        levels: from fine to coarse.
        rounds: of the finest and of each of the others.
        colours: at half the size of the last level, shape (2 C, h, w), 0..255; by default what is seen there, where
            that is one point.

    Returns:
        Shape (2 C, h, w).
    """
    if colours is None:
        colours = np.concatenate([levels[-1][0]] * 2)
    for number, (seen, alphas) in reversed(list(enumerate(levels))):
        colours = relaxed(colours, seen, alphas, rounds[number > 0])
    return colours


def _explain(
    seen: NDArray[np.float32], alphas: NDArray[np.float32], own: NDArray[np.float32], behind: NDArray[np.float32]
) -> None:
    """Make foreground colours of what is seen, moved with the background's as little as it takes to mix to that.

    F and B move along (alpha, 1 - alpha), the shortest way to all that mixes to I.

    Args:
        seen: four quarters, shape (4, C, h, w), 0..255; changed in place, and to be cut off to whole numbers.
        alphas: shape (4, 1, h, w), 0..1.
        own: the subject's colours as they were estimated, shape (C, h, w), 0..255.
        behind: the background's.
    """
    rest = 1 - alphas
    seen -= alphas * own
    seen -= rest * behind
    seen *= alphas / (alphas * alphas + rest * rest)
    seen += own + np.float32(0.5)
    np.clip(seen, 0, _OPAQUE, out=seen)
