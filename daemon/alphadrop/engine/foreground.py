"""The subject's own colour in the soft edge, so that no fringe of the old background is carried along.

A mixed pixel is I = alpha F + (1 - alpha) B. F and B are estimated by blurring what is known of each, twice, the
second time over a small window, and corrected so that they explain I: Forte, Approximate Fast Foreground Colour
Estimation (ICIP 2021), section 3. The blurred colours live on a coarse grid; the correction is made at full size.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from alphadrop.engine.field import Field, box_mean, coarse_size, tiles_with, unit

__all__ = ["REACH", "clean_edges", "near"]

REACH = 2
"""Pixels that the foreground colour is carried outward, so that scaling a cut-out shows no rim."""

_GRID = 480
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
    foreground, background = _estimate(image, alpha)
    for rows, columns in tiles_with(edge):
        here = edge[rows, columns]
        alphas = unit(alpha[rows, columns][here])[:, None]
        seen = unit(pixels[rows, columns][here])
        own = foreground.tile(rows, columns)[here]
        behind = background.tile(rows, columns)[here]
        corrected = _explain(seen, alphas, own, behind)
        pixels[rows, columns][here] = np.rint(corrected * 255).astype(np.uint8)


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


def _estimate(image: Image.Image, alpha: NDArray[np.uint8]) -> tuple[Field, Field]:
    """Return the blurred colours of subject and background."""
    grid = coarse_size(image.size, _GRID)
    seen = unit(np.atleast_3d(np.asarray(image.resize(grid, Image.Resampling.BOX, reducing_gap=2.0))))
    shrunk = Image.fromarray(alpha).resize(grid, Image.Resampling.BOX, reducing_gap=2.0)
    alphas = unit(np.asarray(shrunk))[..., None]
    foreground = background = seen
    for radius in (max(2, round(_WIDE * max(grid))), max(1, round(_NARROW * max(grid)))):
        own = _weighted_mean(foreground, alphas, radius)
        behind = _weighted_mean(background, 1 - alphas, radius)
        foreground, background = _explain(seen, alphas, own, behind), behind
    return Field(own, image.size), Field(behind, image.size)


def _weighted_mean(values: NDArray[np.float32], weights: NDArray[np.float32], radius: int) -> NDArray[np.float32]:
    """Return the local mean of `values` where `weights` say they are known; where nothing is, the values themselves."""
    means = box_mean(np.concatenate([values * weights, weights], axis=-1), radius)
    known = means[..., -1:]
    return np.where(known > _NOTHING, means[..., :-1] / np.maximum(known, _NOTHING), values)


def _explain(
    seen: NDArray[np.float32], alphas: NDArray[np.float32], own: NDArray[np.float32], behind: NDArray[np.float32]
) -> NDArray[np.float32]:
    """Return the foreground colour, moved so that it and the background mix to what is seen; 0..1."""
    explained: NDArray[np.float32] = np.clip(own + alphas * (seen - alphas * own - (1 - alphas) * behind), 0, 1)
    return explained
