"""A matte that follows the photograph's own edges, at full camera size.

In every window of a coarse grid alpha is a linear function of colour, alpha = a . I + b, as in the colour guided filter
of He, Sun and Tang (Guided Image Filtering, TPAMI 2013, section 3.4), whose coefficients are applied to the full
photograph as in He and Sun (Fast Guided Filter, arXiv:1505.00996, section 3). Here a point weighs in the fit as much as
the network is sure of it: the function is learnt from what is surely subject or background, as closed-form matting
(Levin, Lischinski and Weiss, TPAMI 2008) learns it from a trimap, and says what is between.

A function that contradicts what is sure around it is not believed: colours that subject and background share tell
nothing, and there the map's own values stay. What that is worth is in docs/quality.md.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from alphadrop.engine.field import Field, box_mean, halved, planes
from alphadrop.engine.masks import near
from alphadrop.engine.pixels import pixels
from alphadrop.engine.subject import UNSURE, clearness
from alphadrop.engine.tiles import each_tile_of_grid, shrunk

__all__ = ["refine", "settling"]

_GRID = 320
"""Points of the grid's side at most, as many as the map of U²-Net has; what is learnt from them has half as many."""
_RADIUS = 0.04
"""Of a window, as a part of the grid's side."""
_EPSILON = 3e-4
"""Regularisation: the variance of colours, 0..1, below which an area counts as flat."""
_LEVELS = (0.16, 0.84)
"""Refined values outside become 0 and 1."""
_SURE = 0.015
"""Values this near to 0 or 1 are sure, where all around are."""
_MARGIN = 0.006
"""How far around, as a part of the grid's side."""
_POWER = 8
"""A point weighs as much as this power of its sureness, |2 p - 1|."""
_LEAST_WEIGHT = 0.02
_ERROR = (0.004, 0.03)
"""Mean error of a function at the sure points of its window: below it is believed, above it is not."""
_SOFT = (0.1, 0.25)
"""1 minus the mean weight of a window: below its edge is narrow, above it is wider than the map can draw."""
_CLEAR = (0.94, 0.97)
"""Sureness of the subject above which a function is believed in such a wide edge whatever its error."""
_VAGUE = (0.84, 0.92)
"""Sureness of the subject below which nothing is refined: what the network does not know cannot be learnt from."""
_LEAST_LEARNT = 0.001
"""Below it the map's own values are left alone."""

_Band = tuple[float, float]


def refine(matte: NDArray[np.uint8], saliency: NDArray[np.float32], image: Image.Image) -> None:
    """Let the matte of a photograph follow its edges, in place.

    Args:
        matte: the saliency map at the photograph's size, settled, shape (H, W), uint8.
        saliency: what the network said, shape (S, S), 0..1.
        image: the photograph, mode RGB or L.
    """
    clear = np.asarray(clearness(saliency), np.float32)
    care = _rising(clear, _VAGUE)
    if not care:
        return
    weights, saliency = _at_most(_weights(saliency), _GRID), _at_most(saliency, _GRID)
    colours = planes(np.asarray(shrunk(image, saliency.shape[::-1], Image.Resampling.BOX, gap=2.0)))
    radius = max(1, round(_RADIUS * len(saliency) / 2))
    models, known = _fitted(colours, saliency, weights, radius)
    coarse = halved(saliency)
    missed = _weights(coarse) * _missed(models, halved(colours), coarse)
    errors = box_mean(missed[np.newaxis], radius)[0] / known
    believed = np.maximum(1 - _rising(errors, _ERROR), _rising(1 - known, _SOFT) * _rising(clear, _CLEAR))
    learnt = (1 - _surely(saliency)) * believed * care
    models *= learnt
    models[-1] = models[-1] * 255 + 0.5  # the slopes are for 8-bit colours as they are; rounded by cutting off
    field = Field(np.concatenate([models, 1 - learnt[np.newaxis]]), image.size)
    photograph = pixels(image)

    def follow(rows: slice, columns: slice) -> None:
        *slopes, offset, kept = field.tile(rows, columns)
        matte[rows, columns] = _applied(slopes, photograph[rows, columns], offset + kept * matte[rows, columns])

    each_tile_of_grid(near(learnt > _LEAST_LEARNT, 1), image.size, follow)


def settling(saliency: NDArray[np.float32]) -> list[int] | None:
    """Return what becomes of a matte's 256 values: the sure ones 0 and 255, so that no haze is left.

    In a map that is unsure of its subject a value near 0 is not sure either: None, all are left as they are.

    Args:
        saliency: what the network said, shape (S, S), 0..1.
    """
    if clearness(saliency) < UNSURE:
        return None
    values = _rising(np.linspace(0, 1, 256, dtype=np.float32), (_SURE, 1 - _SURE))
    return [round(255 * float(value)) for value in values]


def _rising(values: NDArray[np.float32], band: _Band) -> NDArray[np.float32]:
    """Return 0 below a band, 1 above it, and what lies between in it."""
    low, high = np.float32(band[0]), np.float32(band[1])
    rising: NDArray[np.float32] = np.clip((values - low) / (high - low), 0, 1)
    return rising


def _at_most(saliency: NDArray[np.float32], side: int) -> NDArray[np.float32]:
    """Return a map with no more than so many points a side."""
    if max(saliency.shape) <= side:
        return saliency
    return np.asarray(Image.fromarray(saliency).resize((side, side), Image.Resampling.BOX))


def _surely(saliency: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return where the map is sure all around, 0..1, passing softly to where it is not, at half the map's size."""
    margin = max(1, round(_MARGIN * max(saliency.shape)))
    inside = halved((~near(np.abs(2 * saliency - 1) <= 1 - 2 * _SURE, margin)).astype(np.float32))
    softened: NDArray[np.float32] = box_mean(inside[np.newaxis], max(1, margin // 2))[0]
    return softened


def _weights(saliency: NDArray[np.float32]) -> NDArray[np.float32]:
    sureness = np.abs(2 * saliency - 1)
    weights: NDArray[np.float32] = sureness**_POWER * np.float32(1 - _LEAST_WEIGHT) + np.float32(_LEAST_WEIGHT)
    return weights


def _fitted(
    colours: NDArray[np.float32], saliency: NDArray[np.float32], weights: NDArray[np.float32], radius: int
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return a and b of the weighted guided filter with the levels in them, and the mean weight in each window.

    Args:
        colours: the guide, shape (C, h, w), 0..1, C being 1 or 3.
        saliency: what is filtered, shape (h, w), 0..1.
        weights: how much each point counts, shape (h, w), 0..1.
        radius: of a window, in points of half the grid.

    Returns:
        Of half the grid: shape (C + 1, h / 2, w / 2), a for each channel, then b; and shape (h / 2, w / 2), 0..1.
    """
    channels = len(colours)
    pairs = [(i, j) for i in range(channels) for j in range(i, channels)]
    weighted = weights * colours
    products = np.stack([weighted[i] * colours[j] for i, j in pairs])
    sums = np.concatenate([weights[None], (weights * saliency)[None], weighted, weighted * saliency, products])
    known, *means = box_mean(halved(sums), radius)
    means = np.stack(means) / known
    mean_saliency, mean_colour = means[0], means[1 : channels + 1]
    covariance = means[channels + 1 : 2 * channels + 1] - mean_colour * mean_saliency
    variance = {
        (i, j): mean - mean_colour[i] * mean_colour[j] + (_EPSILON if i == j else 0)
        for (i, j), mean in zip(pairs, means[2 * channels + 1 :].astype(np.float64), strict=True)
    }
    a = covariance / variance[0, 0] if channels == 1 else _solved(variance, covariance)
    b = mean_saliency - (a * mean_colour).sum(axis=0)
    low, high = _LEVELS
    models = box_mean(np.concatenate([a, b[None]]).astype(np.float32), radius)
    models[-1] -= low
    models /= high - low
    return models, known


def _solved(matrix: dict[tuple[int, int], NDArray[np.float64]], vector: NDArray[np.float32]) -> NDArray[np.float64]:
    """Solve a symmetric system of three unknowns at every grid point, by the adjugate.

    Args:
        matrix: the six different entries, each of shape (h, w), in double precision: the determinants of nearly flat
            areas are near 1e-12.
        vector: shape (3, h, w).
    """
    xx, xy, xz, yy, yz, zz = (matrix[key] for key in ((0, 0), (0, 1), (0, 2), (1, 1), (1, 2), (2, 2)))
    c_xx, c_xy, c_xz = yy * zz - yz * yz, xz * yz - xy * zz, xy * yz - xz * yy
    c_yy, c_yz, c_zz = xx * zz - xz * xz, xy * xz - xx * yz, xx * yy - xy * xy
    u, v, w = vector / (xx * c_xx + xy * c_xy + xz * c_xz)
    return np.stack([c_xx * u + c_xy * v + c_xz * w, c_xy * u + c_yy * v + c_yz * w, c_xz * u + c_yz * v + c_zz * w])


def _missed(
    models: NDArray[np.float32], colours: NDArray[np.float32], saliency: NDArray[np.float32]
) -> NDArray[np.float32]:
    """Return by how much the function at each point misses what the map says there; shape (h, w), 0..1."""
    said = np.clip((models[:-1] * colours).sum(axis=0) + models[-1], 0, 1)
    missed: NDArray[np.float32] = np.abs(said - _rising(saliency, _LEVELS))
    return missed


def _applied(
    slopes: list[NDArray[np.float32]], pixels: NDArray[np.uint8], offset: NDArray[np.float32]
) -> NDArray[np.uint8]:
    """Return alpha = a . I + b, uint8.

    Args:
        slopes: of each channel, shape (rows, columns).
        pixels: shape (rows, columns, C or more).
        offset: shape (rows, columns); used up.
    """
    for channel, slope in enumerate(slopes):
        offset += slope * pixels[..., channel]
    np.clip(offset, 0, 255, out=offset)
    alpha: NDArray[np.uint8] = offset.astype(np.uint8)
    return alpha
