"""From the saliency map and the photograph to an alpha matte at full camera size.

`plain` enlarges the map. `refined` lets it follow the photograph's own edges: the colour guided filter of He, Sun and
Tang (Guided Image Filtering, TPAMI 2013, section 3.4), its coefficients computed on a coarse grid as in He and Sun
(Fast Guided Filter, arXiv:1505.00996, section 3) and applied to the full photograph around the edge only.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from alphadrop.engine.field import Field, box_mean, coarse_size, each_tile, planes
from alphadrop.engine.options import Edges

__all__ = ["alpha_matte", "enlarge", "hardened"]

_GRID = 90_000
"""Points of the coarse grid."""
_RADIUS = 0.01
"""Of the filter's window, as a part of the longer side: about three pixels of the saliency map."""
_EPSILON = 1e-4
"""Regularisation: the variance (of colours 0..1) below which an area counts as flat."""
_LEVELS = (0.1, 0.9)
"""Refined values outside become 0 and 1."""
_SMOOTHING = 2
"""Radius in pixels."""
_SURE = 0.02
"""A map this near to 0 or 1 over the whole window leaves nothing to refine."""


def alpha_matte(saliency: NDArray[np.float32], image: Image.Image, edges: Edges) -> NDArray[np.uint8]:
    """Return the alpha matte of a photograph.

    Args:
        saliency: what the network said; shape (S, S), 0..1.
        image: the photograph, mode RGB or L.
        edges: how the matte meets the subject's edge.

    Returns:
        Shape (H, W), uint8; 255 is wholly subject.
    """
    matte = enlarge(saliency, image.size)
    return _refine(matte, saliency, image) if edges == "refined" else matte


def enlarge(saliency: NDArray[np.float32], size: tuple[int, int]) -> NDArray[np.uint8]:
    """Return a saliency map at the size (width, height) of the photograph; shape (H, W), uint8."""
    eight_bit = Image.fromarray(np.rint(saliency * 255).astype(np.uint8))
    return np.array(eight_bit.resize(size, Image.Resampling.BICUBIC))


def hardened(matte: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return a matte of 0 and 255 alone: specks of a pixel dropped (opening), its outline smoothed; shape (H, W)."""
    image = Image.fromarray(matte).filter(ImageFilter.MinFilter(3)).filter(ImageFilter.MaxFilter(3))
    smooth = np.asarray(image.filter(ImageFilter.GaussianBlur(_SMOOTHING)))
    return np.where(smooth > 127, np.uint8(255), np.uint8(0))


def _refine(matte: NDArray[np.uint8], saliency: NDArray[np.float32], image: Image.Image) -> NDArray[np.uint8]:
    grid = coarse_size(image.size, _GRID)
    radius = max(2, round(_RADIUS * max(grid)))
    colours = planes(np.asarray(image.resize(grid, Image.Resampling.BOX, reducing_gap=2.0)))
    target = np.clip(np.asarray(Image.fromarray(saliency).resize(grid, Image.Resampling.BICUBIC)), 0, 1)
    coefficients = Field(_eight_bit(_coefficients(colours, target, radius)), image.size)
    unsure = Image.fromarray(_unsure(target, radius)).resize(image.size, Image.Resampling.NEAREST)

    def follow(rows: slice, columns: slice) -> None:
        pixels = np.asarray(image.crop((columns.start, rows.start, columns.stop, rows.stop)))
        matte[rows, columns] = _apply(coefficients.tile(rows, columns), np.atleast_3d(pixels))

    each_tile(np.asarray(unsure), follow)
    return matte


def _unsure(target: NDArray[np.float32], radius: int) -> NDArray[np.bool_]:
    """Return where the filter could change anything: less than a window away from a value that is not 0 or 1."""
    open_question = ((target > _SURE) & (target < 1 - _SURE)).astype(np.float32)
    reached: NDArray[np.bool_] = box_mean(open_question[np.newaxis], 2 * radius)[0] > 1e-9
    return reached


def _eight_bit(coefficients: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return coefficients that take 8-bit colours to 8-bit alpha with levels, rounded by cutting off."""
    low, high = _LEVELS
    *slopes, offset = coefficients
    return np.stack([*(slope / (high - low) for slope in slopes), (offset - low) * (255 / (high - low)) + 0.5])


def _apply(coefficients: NDArray[np.float32], pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return alpha = a . I + b, uint8.

    Args:
        coefficients: from `_eight_bit`, shape (C + 1, rows, columns); the last is b, and is used up.
        pixels: shape (rows, columns, C).
    """
    alpha = coefficients[-1]
    for channel, slope in enumerate(coefficients[:-1]):
        alpha += slope * pixels[..., channel]
    np.clip(alpha, 0, 255, out=alpha)
    eight_bit: NDArray[np.uint8] = alpha.astype(np.uint8)
    return eight_bit


def _coefficients(colours: NDArray[np.float32], target: NDArray[np.float32], radius: int) -> NDArray[np.float32]:
    """Return a and b of the guided filter, averaged over the windows.

    Args:
        colours: the guide, shape (C, h, w), 0..1, C being 1 or 3.
        target: what is filtered, shape (h, w), 0..1.
        radius: of the window, in grid points.

    Returns:
        Shape (C + 1, h, w), float32: a for each channel, then b.
    """
    channels = len(colours)
    pairs = [(i, j) for i in range(channels) for j in range(i, channels)]
    products = np.stack([colours[i] * colours[j] for i, j in pairs])
    means = box_mean(np.concatenate([colours, target[np.newaxis], colours * target, products]), radius)
    mean_colour, mean_target = means[:channels], means[channels]
    covariance = means[channels + 1 : 2 * channels + 1] - mean_colour * mean_target
    variance = {
        (i, j): mean - mean_colour[i] * mean_colour[j] + (_EPSILON if i == j else 0)
        for (i, j), mean in zip(pairs, means[2 * channels + 1 :], strict=True)
    }
    a = covariance / variance[0, 0] if channels == 1 else _solve(variance, covariance)
    b = mean_target - (a * mean_colour).sum(axis=0)
    return box_mean(np.concatenate([a, b[np.newaxis]]), radius)


def _solve(matrix: dict[tuple[int, int], NDArray[np.float32]], vector: NDArray[np.float32]) -> NDArray[np.float32]:
    """Solve a symmetric system of three unknowns at every grid point, by the adjugate.

    Args:
        matrix: the six different entries, each of shape (h, w).
        vector: shape (3, h, w).
    """
    # In double precision: the determinants of nearly flat areas are near 1e-12.
    entries = [matrix[key].astype(np.float64) for key in ((0, 0), (0, 1), (0, 2), (1, 1), (1, 2), (2, 2))]
    xx, xy, xz, yy, yz, zz = entries
    c_xx, c_xy, c_xz = yy * zz - yz * yz, xz * yz - xy * zz, xy * yz - xz * yy
    c_yy, c_yz, c_zz = xx * zz - xz * xz, xy * xz - xx * yz, xx * yy - xy * xy
    determinant = xx * c_xx + xy * c_xy + xz * c_xz
    u, v, w = vector
    solved = np.stack([c_xx * u + c_xy * v + c_xz * w, c_xy * u + c_yy * v + c_yz * w, c_xz * u + c_yz * v + c_zz * w])
    return (solved / determinant).astype(np.float32)
