"""The subject's own colour in the soft edge, so that no fringe of the old background is carried along.

A mixed pixel is I = alpha F + (1 - alpha) B. F and B are smooth where alpha is, and are found from coarse to fine:
Germer, Uelwer, Conrad and Harmeling, Fast Multi-Level Foreground Estimation (arXiv:2006.14970), section III. The coarse
levels are of the whole photograph; the finer ones, up to half its size, are made around the edge alone, a tile at a
time. At full size F and B are moved no more than it takes to mix to I.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from alphadrop.engine.field import half_planes, halved, planes, unit
from alphadrop.engine.masks import blocks, near
from alphadrop.engine.patched import Patch, Patched
from alphadrop.engine.pixels import pixels
from alphadrop.engine.straight import REACH
from alphadrop.engine.tiles import each_tile, reduced, span_of

__all__ = ["cleaned"]

_WHOLE = 60_000
"""Points up to which a level is made of the whole photograph."""
_TILE = 384
"""Side of a tile in pixels: what lies around it is computed for it alone."""
_ROUNDS = {1: 2, 2: 4}
"""Of a level: how often each point is fitted to its neighbours. 1 is half the photograph's size, 2 a quarter."""
_COARSE_ROUNDS = 8
_STEEPNESS = 0.03
"""How much more neighbours hold together where alpha changes between them."""
_COHESION = 1e-5
"""How much they do everywhere."""
_OPAQUE = 255


def _explaining() -> NDArray[np.float32]:
    """Return what of the seen, the subject's and the background's colour is taken, for each of alpha's values.

    F and B move along (alpha, 1 - alpha), the shortest way to all that mixes to I. Seen are 0..255, the others 0..1.
    """
    alpha = np.arange(_OPAQUE + 1) / _OPAQUE
    gain = alpha / (alpha**2 + (1 - alpha) ** 2)
    return np.stack([gain, 255 * (1 - gain * alpha), 255 * gain * (1 - alpha)]).astype(np.float32)


_EXPLAINING = _explaining()


@dataclass(frozen=True, slots=True)
class _Level:
    """A photograph and its matte at one size."""

    seen: NDArray[np.float32]
    """Shape (C, h, w), 0..1."""
    alphas: NDArray[np.float32]
    """Shape (h, w), 0..1."""
    rounds: int


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
    coarse = _estimated(_pyramid(planes(small), unit(small_alpha), itertools.count(halvings)))
    photograph = pixels(image)
    channels = len(image.mode)
    patches: list[Patch] = []

    def clean(down: slice, across: slice) -> None:
        found = _edge_within(alpha, _pixels(down, point), _pixels(across, point))
        if found is None:
            return
        rows, columns, edge = found
        top, left = (_widened(span, point, length) for span, length in zip((rows, columns), alpha.shape, strict=True))
        seen, here = photograph[top, left], alpha[top, left]
        half, half_alpha = half_planes(seen)[:channels], half_planes(here[..., np.newaxis])[0]
        start = coarse[:, _points(top, point), _points(left, point)]
        colours = _estimated(_pyramid(half, half_alpha, range(1, halvings)), start)
        y, x = np.nonzero(edge)
        changed = photograph[rows, columns, :channels].copy()
        mixed, alphas = changed[y, x], alpha[rows, columns][y, x]
        own, behind = np.split(colours[:, (y + rows.start - top.start) >> 1, (x + columns.start - left.start) >> 1], 2)
        changed[y, x] = _explained(mixed, alphas, own, behind)
        patches.append(Patch(columns.start, rows.start, changed))

    each_tile(with_edge, clean, side=max(_TILE // point, 1))
    return Patched(image, tuple(patches))


def _edge_within(
    alpha: NDArray[np.uint8], rows: slice, columns: slice
) -> tuple[slice, slice, NDArray[np.bool_]] | None:
    """Return the rows and columns of a tile that have an edge, and where in them it is; None where there is none."""
    top, left = (slice(max(0, span.start - REACH), span.stop + REACH) for span in (rows, columns))
    here = alpha[top, left]
    edge = (near(here > 0, REACH) & (here < _OPAQUE))[_shifted(rows, -top.start), _shifted(columns, -left.start)]
    if not edge.any():
        return None
    down, across = (span_of(np.flatnonzero(edge.any(axis=axis))) for axis in (1, 0))
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


def _points(pixels: slice, point: int) -> slice:
    return slice(pixels.start // point, -(-pixels.stop // point))


def _pyramid(seen: NDArray[np.float32], alphas: NDArray[np.float32], numbers: Iterable[int]) -> list[_Level]:
    """Return a photograph and its matte at ever smaller sizes, down to a point or as many as there are numbers."""
    levels: list[_Level] = []
    for number in numbers:
        if levels:
            if alphas.size == 1:
                break
            seen, alphas = halved(seen), halved(alphas)
        levels.append(_Level(seen, alphas, _ROUNDS.get(number, _COARSE_ROUNDS)))
    return levels


def _estimated(levels: list[_Level], start: NDArray[np.float32] | None = None) -> NDArray[np.float32]:
    """Return the colours of subject and background, one after the other, at the finest of some levels.

    Args:
        levels: from fine to coarse.
        start: the colours at the level after the last, shape (2 C, h, w), 0..1; by default what is seen at the last.

    Returns:
        Shape (2 C, h, w).
    """
    colours = np.concatenate([levels[-1].seen] * 2) if start is None else start
    for level in reversed(levels):
        colours = _fitted(colours, level)
    return colours


def _fitted(colours: NDArray[np.float32], level: _Level) -> NDArray[np.float32]:
    """Return colours that agree with their four neighbours and mix to what is seen; shape (2 C, h, w).

    Args:
        colours: to begin with, of this level or of the one that is half its size.
        level: the photograph and its matte.
    """
    alphas, seen = level.alphas, level.seen
    channels, height, width = seen.shape
    framed = np.empty((2 * channels, height + 2, width + 2), np.float32)
    inner = framed[:, 1:-1, 1:-1]
    if colours.shape[1:] == alphas.shape:
        inner[:] = colours
    else:
        for down, across in itertools.product((0, 1), repeat=2):
            inner[:, down::2, across::2] = colours[:, : (height + 1 - down) // 2, : (width + 1 - across) // 2]
    sides = framed[:, :-2, 1:-1], framed[:, 2:, 1:-1], framed[:, 1:-1, :-2], framed[:, 1:-1, 2:]
    cohesion = _cohesion(alphas)
    whole = cohesion.sum(axis=0)
    cohesion /= whole
    behind = 1 - alphas
    gain = 1 / (alphas * alphas + behind * behind + whole)
    own_gain, behind_gain = alphas * gain, behind * gain
    means, part = np.empty((2, *inner.shape), np.float32)
    for _ in range(level.rounds):
        framed[:, 0], framed[:, -1] = framed[:, 1], framed[:, -2]
        framed[:, :, 0], framed[:, :, -1] = framed[:, :, 1], framed[:, :, -2]
        np.multiply(cohesion[0], sides[0], out=means)
        for weight, side in zip(cohesion[1:], sides[1:], strict=True):
            np.multiply(weight, side, out=part)
            means += part
        missed = seen - alphas * means[:channels]
        missed -= behind * means[channels:]
        np.multiply(own_gain, missed, out=part[:channels])
        np.multiply(behind_gain, missed, out=part[channels:])
        np.add(means, part, out=inner)
    return inner


def _cohesion(alphas: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return how much each point holds together with those above, below, left and right; shape (4, h, w)."""
    cohesion = np.full((4, *alphas.shape), _COHESION, np.float32)
    down = np.abs(alphas[1:] - alphas[:-1]) * np.float32(_STEEPNESS)
    across = np.abs(alphas[:, 1:] - alphas[:, :-1]) * np.float32(_STEEPNESS)
    cohesion[0, 1:] += down
    cohesion[1, :-1] += down
    cohesion[2, :, 1:] += across
    cohesion[3, :, :-1] += across
    return cohesion


def _explained(
    seen: NDArray[np.uint8], alphas: NDArray[np.uint8], own: NDArray[np.float32], behind: NDArray[np.float32]
) -> NDArray[np.uint8]:
    """Return the foreground colours, moved with the background's as little as it takes to mix to what is seen.

    Args:
        seen: shape (N, C).
        alphas: shape (N,).
        own: the subject's colours as they were estimated, shape (C, N), 0..1.
        behind: the background's.

    Returns:
        Shape (N, C).
    """
    of_seen, of_own, of_behind = _EXPLAINING[:, alphas]
    explained = seen.T * of_seen
    explained += of_own * own
    explained -= of_behind * behind
    explained += 0.5
    np.clip(explained, 0, 255, out=explained)
    colours: NDArray[np.uint8] = explained.astype(np.uint8).T
    return colours
