"""From the saliency map and the photograph to an alpha matte at full camera size.

`plain` enlarges the map; `refined` lets it follow the photograph's own edges.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from alphadrop.engine.options import Edges
from alphadrop.engine.pixels import pixels
from alphadrop.engine.refinement import refine, settling
from alphadrop.engine.tiles import each_strip

__all__ = ["alpha_matte", "enlarge", "hardened"]

_SMOOTHING = 2
"""Radius in pixels."""
_BICUBIC_REACH = 3
"""Rows of the coarser picture, beyond its own, that a strip is made from: Pillow cuts its filters at a box's edge."""


def alpha_matte(saliency: NDArray[np.float32], image: Image.Image, edges: Edges) -> NDArray[np.uint8]:
    """Return the alpha matte of a photograph.

    Args:
        saliency: what the network said; shape (S, S), 0..1.
        image: the photograph, mode RGB or L.
        edges: how the matte meets the subject's edge.

    Returns:
        Shape (H, W), uint8; 255 is wholly subject.
    """
    if edges == "plain":
        return enlarge(saliency, image.size)
    matte = enlarge(saliency, image.size, settling(saliency))
    refine(matte, saliency, image)
    return matte


def enlarge(
    saliency: NDArray[np.float32], size: tuple[int, int], becoming: Sequence[int] | None = None
) -> NDArray[np.uint8]:
    """Return a saliency map at the size of the photograph.

    Args:
        saliency: shape (S, S), 0..1.
        size: width and height in pixels.
        becoming: what is written for each of the 256 values; by default that value.

    Returns:
        Shape (H, W), uint8.
    """
    width, height = size
    eight_bit = Image.fromarray(np.rint(saliency * 255).astype(np.uint8))
    wide = eight_bit.resize((width, eight_bit.height), Image.Resampling.BICUBIC)
    matte = np.zeros((height, width), np.uint8)
    row = wide.height / height
    margin = math.ceil(_BICUBIC_REACH * max(1.0, 1 / row))

    def enlarge_strip(rows: slice) -> None:
        top, bottom = max(0, rows.start - margin), min(height, rows.stop + margin)
        first, last = math.floor(top * row), math.ceil(bottom * row)
        part = wide.crop((0, first, width, last))
        span = part.getbbox()
        if span is None:
            return
        left, _, right, _ = span
        box = (0, top * row - first, right - left, bottom * row - first)
        strip = part.crop((left, 0, right, last - first))
        strip = strip.resize((right - left, bottom - top), Image.Resampling.BICUBIC, box)
        if becoming is not None:
            strip = strip.point(becoming)
        matte[rows, left:right] = pixels(strip)[rows.start - top : rows.stop - top, :, 0]

    each_strip(height, enlarge_strip)
    return matte


def hardened(matte: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return a matte of 0 and 255 alone: specks of a pixel dropped (opening), its outline smoothed; shape (H, W)."""
    image = Image.fromarray(matte).filter(ImageFilter.MinFilter(3)).filter(ImageFilter.MaxFilter(3))
    smooth = np.asarray(image.filter(ImageFilter.GaussianBlur(_SMOOTHING)))
    return np.where(smooth > 127, np.uint8(255), np.uint8(0))
