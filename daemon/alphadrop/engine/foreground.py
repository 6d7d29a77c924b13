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
from alphadrop.engine.masks import near
from alphadrop.engine.straight import REACH
from alphadrop.engine.tiles import each_tile, reduced

__all__ = ["cleaned"]

_WHOLE = 60_000
"""Points up to which a level is made of the whole photograph."""
_TILE = 512
"""Side of a tile in pixels: what lies around it is computed for it alone."""
_ROUNDS = {1: 2, 2: 4}
"""Of a level: how often each point is fitted to its neighbours. 1 is half the photograph's size, 2 a quarter."""
_COARSE_ROUNDS = 8
_STEEPNESS = 0.03
"""How much more neighbours hold together where alpha changes between them."""
_COHESION = 1e-5
"""How much they do everywhere."""


@dataclass(frozen=True, slots=True)
class _Level:
    """A photograph and its matte at one size."""

    seen: NDArray[np.float32]
    """Shape (C, h, w), 0..1."""
    alphas: NDArray[np.float32]
    """Shape (h, w), 0..1."""
    rounds: int


def cleaned(image: Image.Image, alpha: NDArray[np.uint8]) -> Image.Image:
    """Return a photograph with the subject's own colour in the soft edge, and `REACH` pixels around it.

    Pixels that are wholly subject are as they were, and so are all that are farther away.

    Args:
        image: mode L or RGB.
        alpha: its matte, shape (H, W), uint8.
    """
    edge = near(alpha > 0, REACH) & (alpha < 255)
    if not edge.any():
        return image
    halvings = _halvings(image.size)
    point = 2**halvings  # pixels on a side of what is one point of the coarse colours
    grey = Image.fromarray(alpha)
    small, small_alpha = (np.asarray(reduced(each, (point, point))) for each in (image, grey))
    coarse = _estimated(_pyramid(planes(small), unit(small_alpha), itertools.count(halvings)))
    result = image.copy()

    def clean(rows: slice, columns: slice) -> None:
        top, left = (_widened(span, point, length) for span, length in zip((rows, columns), alpha.shape, strict=True))
        here, pixels = alpha[top, left], np.array(image.crop((left.start, top.start, left.stop, top.stop)))
        seen = np.atleast_3d(pixels)
        half, half_alpha = half_planes(seen), half_planes(here[..., np.newaxis])[0]
        start = coarse[:, _points(top, point), _points(left, point)]
        colours = _estimated(_pyramid(half, half_alpha, range(1, halvings)), start)
        y, x = np.nonzero(edge[rows, columns])
        y, x = y + rows.start - top.start, x + columns.start - left.start
        own, behind = np.split(colours[:, y >> 1, x >> 1], 2)
        corrected = _explained(unit(seen[y, x]).T, unit(here[y, x]), own, behind)
        seen[y, x] = np.rint(corrected * 255).astype(np.uint8).T
        changed = pixels[y.min() : y.max() + 1, x.min() : x.max() + 1]
        result.paste(Image.fromarray(changed), (columns.start, rows.start))

    each_tile(edge, clean, side=max(_TILE, point))
    return result


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
        Shape (2 C, h, w), 0..1.
    """
    colours = np.concatenate([levels[-1].seen] * 2) if start is None else start
    for level in reversed(levels):
        height, width = level.alphas.shape
        if colours.shape[1:] != level.alphas.shape:
            colours = colours.repeat(2, axis=1).repeat(2, axis=2)[:, :height, :width]
        colours = _fitted(colours, level)
    return colours


def _fitted(colours: NDArray[np.float32], level: _Level) -> NDArray[np.float32]:
    """Return colours that agree with their four neighbours and mix to what is seen; shape (2 C, h, w), 0..1."""
    alphas, seen = level.alphas, level.seen
    channels, height, width = seen.shape
    framed = np.empty((2 * channels + 1, height + 2, width + 2), np.float32)
    inner, sides = framed[:, 1:-1, 1:-1], _neighbours(framed)
    inner[-1] = alphas
    _repeat_border(framed[-1:])
    cohesion = np.stack([np.abs(side[-1] - alphas) * _STEEPNESS + _COHESION for side in sides]).astype(np.float32)
    whole = cohesion.sum(axis=0)
    cohesion /= whole
    behind = 1 - alphas
    gain = 1 / (alphas * alphas + behind * behind + whole)
    own_gain, behind_gain = alphas * gain, behind * gain
    inner[:-1] = colours
    means, part = np.empty_like(colours), np.empty_like(colours)
    for _ in range(level.rounds):
        _repeat_border(framed[:-1])
        np.multiply(cohesion[0], sides[0][:-1], out=means)
        for weight, side in zip(cohesion[1:], sides[1:], strict=True):
            np.multiply(weight, side[:-1], out=part)
            means += part
        missed = seen - alphas * means[:channels]
        missed -= behind * means[channels:]
        np.multiply(own_gain, missed, out=part[:channels])
        np.multiply(behind_gain, missed, out=part[channels:])
        np.add(means, part, out=inner[:-1])
    fitted: NDArray[np.float32] = np.clip(inner[:-1], 0, 1)
    return fitted


def _neighbours(framed: NDArray[np.float32]) -> list[NDArray[np.float32]]:
    """Return views of what is above, below, left and right of each point within a frame of one."""
    return [framed[:, :-2, 1:-1], framed[:, 2:, 1:-1], framed[:, 1:-1, :-2], framed[:, 1:-1, 2:]]


def _repeat_border(framed: NDArray[np.float32]) -> None:
    """Fill the frame of one with the points next to it."""
    framed[:, 0], framed[:, -1] = framed[:, 1], framed[:, -2]
    framed[:, :, 0], framed[:, :, -1] = framed[:, :, 1], framed[:, :, -2]


def _explained(
    seen: NDArray[np.float32], alphas: NDArray[np.float32], own: NDArray[np.float32], behind: NDArray[np.float32]
) -> NDArray[np.float32]:
    """Return the foreground colours, moved with the background's as little as it takes to mix to what is seen; 0..1.

    Args:
        seen: shape (C, N), 0..1.
        alphas: shape (N,), 0..1.
        own: the subject's colours as they were estimated, shape (C, N).
        behind: the background's.
    """
    missed = seen - alphas * own - (1 - alphas) * behind
    explained: NDArray[np.float32] = np.clip(own + missed * (alphas / (alphas**2 + (1 - alphas) ** 2)), 0, 1)
    return explained
