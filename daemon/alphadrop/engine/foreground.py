"""The subject's own colour in the soft edge, so that no fringe of the old background is carried along.

A mixed pixel is I = alpha F + (1 - alpha) B. F and B are estimated by blurring what is known of each, twice, the
second time over a small window, and corrected so that they explain I: Forte, Approximate Fast Foreground Colour
Estimation (ICIP 2021), section 3. The blurred colours live on a coarse grid; the correction is made at full size.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from alphadrop.engine.field import Field, box_mean, coarse_size, each_tile, planes, unit

__all__ = ["REACH", "clean_edges", "near"]

REACH = 2
"""Pixels that the foreground colour is carried outward, so that scaling a cut-out shows no rim."""

_GRID = 40_000
"""Points of the coarse grid."""
_WIDE = 0.06
"""Radius of the first blur, as a part of the longer side of the grid: wider than any soft edge."""
_NARROW = 0.006
"""Radius of the second."""
_NOTHING = 1e-4


def clean_edges(pixels: NDArray[np.uint8], alpha: NDArray[np.uint8], image: Image.Image) -> None:
    """Write the foreground colour into the soft edge of a cut-out, in place.

    Pixels that are wholly subject are not touched, nor any farther than `REACH` from the subject.

    Args:
        pixels: the colours of the cut-out, shape (H, W, C), uint8, C being 1 or 3.
        alpha: shape (H, W), uint8.
        image: the photograph, mode L or RGB.
    """
    edge = near(alpha > 0, REACH) & (alpha < 255)
    if not edge.any():
        return
    colours = _estimate(image, alpha)

    def clean(rows: slice, columns: slice) -> None:
        here = edge[rows, columns]
        alphas = unit(alpha[rows, columns][here])
        seen = unit(pixels[rows, columns][here]).T
        own, behind = np.split(colours.tile(rows, columns)[:, here], 2)
        corrected = _explain(seen, alphas, own, behind)
        pixels[rows, columns][here] = np.rint(corrected * 255).astype(np.uint8).T

    each_tile(edge, clean)


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


def _estimate(image: Image.Image, alpha: NDArray[np.uint8]) -> Field:
    """Return the blurred colours of subject and background, one after the other."""
    grid = coarse_size(image.size, _GRID)
    seen = planes(np.asarray(image.resize(grid, Image.Resampling.BOX, reducing_gap=2.0)))
    alphas = unit(np.asarray(Image.fromarray(alpha).resize(grid, Image.Resampling.BOX, reducing_gap=2.0)))
    foreground = background = seen
    for radius in (max(2, round(_WIDE * max(grid))), max(1, round(_NARROW * max(grid)))):
        own, behind = _weighted_means(((foreground, alphas), (background, 1 - alphas)), radius)
        foreground, background = _explain(seen, alphas, own, behind), behind
    return Field(np.concatenate([own, behind]), image.size)


def _weighted_means(
    known: Sequence[tuple[NDArray[np.float32], NDArray[np.float32]]], radius: int
) -> list[NDArray[np.float32]]:
    """Return the local means of values where their weights say they are known; elsewhere the values themselves.

    Args:
        known: pairs of values, shape (C, h, w), and weights, shape (h, w), 0..1.
        radius: of the window, in grid points.
    """
    sums = box_mean(
        np.concatenate([part for values, weights in known for part in (values * weights, weights[None])]), radius
    )
    return [
        np.where(mean[-1] > _NOTHING, mean[:-1] / np.maximum(mean[-1], _NOTHING), values)
        for mean, (values, _) in zip(np.split(sums, len(known)), known, strict=True)
    ]


def _explain(
    seen: NDArray[np.float32], alphas: NDArray[np.float32], own: NDArray[np.float32], behind: NDArray[np.float32]
) -> NDArray[np.float32]:
    """Return the foreground colour, moved so that it and the background mix to what is seen; 0..1."""
    explained: NDArray[np.float32] = np.clip(own + alphas * (seen - alphas * own - (1 - alphas) * behind), 0, 1)
    return explained
