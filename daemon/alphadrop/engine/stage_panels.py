"""Single pictures of what a network makes of a photograph, without a word on them.

Apart from the sheets that are put together of them, because they are looked at one by one too.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageChops, ImageDraw, ImageFont

from alphadrop.engine.compose import straight_rgba
from alphadrop.engine.explain import Difference, Explanation, Shown
from alphadrop.engine.matte import alpha_matte
from alphadrop.engine.photo import Photo, to_srgb
from alphadrop.engine.subject import has_subject

__all__ = [
    "PAPER",
    "Components",
    "alpha_at",
    "blended",
    "components_of",
    "fitted",
    "font",
    "grey",
    "grid",
    "limits_of",
    "mean_over",
    "over_chequers",
    "photo_at",
    "strongest_channels",
    "where_apart",
]

PAPER = (252, 252, 250)
_TALLEST = 1.5
"""Height of a picture by that width, at most."""
_CHANNELS = 4
"""Rows and columns of the grid of channels."""
_CHEQUER = 8
_SUBSPACE, _ITERATIONS = 12, 8
"""Directions among which the three are sought, and how often."""
_ROUNDING = 1e-5
"""A share of the variance that is no more than rounding: stretched to full contrast it would look like something."""
_PLACES = 64
"""Places along a side from which principal components are found."""
_RIM = 20
"""The rim of a map is one part of so many, on each side."""
_INFERNO = (
    (0, 0, 4), (22, 11, 57), (66, 10, 104), (106, 23, 110), (147, 38, 103), (188, 55, 84), (221, 81, 58),
    (243, 120, 25), (252, 165, 10), (246, 215, 70), (252, 255, 164),
)  # fmt: skip
"""Eleven colours of matplotlib's colour map of this name (CC0), from the least value to the largest."""


@dataclass(frozen=True, slots=True)
class Components:
    """The first three principal components of a stage."""

    planes: tuple[NDArray[np.float32], ...]
    """At most three, each of shape (H, W), 0..1."""
    shares: tuple[float, ...]
    """Of the variance."""

    def drawn(self, size: tuple[int, int]) -> Image.Image:
        """Return them as red, green and blue, each place as a pixel of its own."""
        colours = np.zeros((size[1], size[0], 3), np.float32)
        for number, plane in enumerate(self.planes):
            colours[..., number] = _sized(plane, size, Image.Resampling.BOX)
        return Image.fromarray(np.rint(colours * 255).astype(np.uint8))


def alpha_at(explanation: Explanation, photo: Photo, size: tuple[int, int]) -> Image.Image:
    """Return the alpha matte that the photograph gets by its saliency map, at a size; mode L."""
    saliency = explanation.fused.array[0]
    if not has_subject(saliency):
        return Image.new("L", size)
    matte = alpha_matte(saliency, photo.image, "refined")
    alpha = Image.fromarray(matte).resize(size, Image.Resampling.LANCZOS)
    return alpha if photo.alpha is None else ImageChops.multiply(alpha, photo.alpha.resize(size))


def over_chequers(photo: Photo, small: Image.Image, alpha: Image.Image) -> Image.Image:
    """Return the subject on a chequerboard."""
    across, down = (np.arange(length) // _CHEQUER for length in small.size)
    light = (across[np.newaxis] + down[:, np.newaxis]) % 2 == 0
    board = Image.fromarray(np.where(light, np.uint8(255), np.uint8(226))).convert("RGB")
    cutout = Image.fromarray(straight_rgba(Photo(photo.name, small), np.asarray(alpha)))
    board.paste(cutout, mask=cutout)
    return board


def photo_at(photo: Photo, size: tuple[int, int]) -> Image.Image:
    """Return a photograph at a size, in sRGB, what is transparent being paper."""
    small = to_srgb(photo.image.resize(size, Image.Resampling.BICUBIC, reducing_gap=3.0), photo.icc)
    if photo.alpha is not None:
        small = Image.composite(small, Image.new("RGB", size, PAPER), photo.alpha.resize(size))
    return small


def mean_over(stage: Shown, photo: Image.Image) -> Image.Image:
    """Return the mean of a stage's channels as colour over a photograph in grey."""
    mean = stage.array.mean(axis=0)
    return blended(_scaled(mean, *limits_of(mean)), photo)


def blended(values: NDArray[np.float32], photo: Image.Image) -> Image.Image:
    """Return values 0..1, shape (H, W), as colour over a photograph in grey."""
    grey = photo.convert("L").convert("RGB")
    return Image.blend(grey, _heat(values, photo.size, Image.Resampling.BICUBIC), 0.62)


def _heat(
    values: NDArray[np.float32], size: tuple[int, int], resample: Image.Resampling = Image.Resampling.BOX
) -> Image.Image:
    """Return values 0..1, shape (H, W), as colour; by default with each value a pixel of its own."""
    sized = _sized(values, size, resample)
    stops = np.linspace(0, 1, len(_INFERNO))
    colours = np.asarray(_INFERNO, np.float32)
    planes = [np.interp(sized, stops, colours[:, plane]) for plane in range(3)]
    return Image.fromarray(np.rint(np.stack(planes, axis=-1)).astype(np.uint8))


def grey(values: NDArray[np.float32], size: tuple[int, int]) -> Image.Image:
    """Return values 0..1, shape (H, W), as they are: black to white."""
    sized = _sized(values, size, Image.Resampling.BICUBIC)
    return Image.fromarray(np.rint(sized * 255).astype(np.uint8)).convert("RGB")


def _sized(values: NDArray[np.float32], size: tuple[int, int], resample: Image.Resampling) -> NDArray[np.float32]:
    sized: NDArray[np.float32] = np.asarray(Image.fromarray(values).resize(size, resample)).clip(0, 1)
    return sized


def grid(array: NDArray[np.float32], chosen: Sequence[int], size: tuple[int, int]) -> Image.Image:
    """Return channels side by side, each with its number."""
    grid = Image.new("RGB", size, PAPER)
    pen = ImageDraw.Draw(grid)
    gap = 4
    lefts, tops = (np.linspace(0, length + gap, _CHANNELS + 1).astype(int) for length in size)
    for place, channel in enumerate(chosen):
        row, column = divmod(place, _CHANNELS)
        corner = (int(lefts[column]), int(tops[row]))
        tile = (int(lefts[column + 1]) - gap - corner[0], int(tops[row + 1]) - gap - corner[1])
        values = array[channel]
        grid.paste(_heat(_scaled(values, *limits_of(values)), (max(1, tile[0]), max(1, tile[1]))), corner)
        label = (corner[0] + 5, corner[1] + 5)
        pen.text(label, str(channel), (255, 255, 255), font(12), "lt", stroke_width=2, stroke_fill=(0, 0, 0))
    return grid


def where_apart(difference: Difference, size: tuple[int, int]) -> Image.Image:
    """Return where two networks differ, brightest where they do most."""
    return _heat(_scaled(difference.where, 0, float(difference.where.max())), size)


def strongest_channels(array: NDArray[np.float32]) -> list[int]:
    """Return the numbers of the channels that vary most over the photograph; one that is level says nothing of it."""
    variation = _inner(array).std(axis=(1, 2))
    return [int(channel) for channel in np.argsort(-variation, kind="stable")[: _CHANNELS**2]]


def components_of(array: NDArray[np.float32]) -> Components:
    """Return the principal components of a stage; shape (C, H, W).

    Each place is a point, its channels are the coordinates; a grid of places is enough to find the directions. Which
    way a direction points is arbitrary: here it is where its coordinates grow, taken together.
    """
    channels = array.shape[0]
    places = _inner(array)
    stride = max(1, max(places.shape[1:]) // _PLACES)
    points = places[:, ::stride, ::stride].reshape(channels, -1)
    points = points - points.mean(axis=1, keepdims=True)
    scatter = points @ points.T / points.shape[1]
    variances, axes = _leading(scatter)
    total = float(np.trace(scatter))
    planes, shares = [], []
    for variance, axis in zip(variances, axes.T, strict=True):
        share = float(variance) / total if total > 0 else 0.0
        values = np.tensordot(axis if axis.sum() >= 0 else -axis, array, 1)
        planes.append(_scaled(values, *limits_of(values)) if share > _ROUNDING else np.zeros_like(values))
        shares.append(share)
    return Components(tuple(planes), tuple(shares))


def _leading(scatter: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return the three largest eigenvalues of a symmetric matrix and their eigenvectors, as columns.

    By subspace iteration (Halko, Martinsson, Tropp, "Finding Structure with Randomness", SIAM Review 53, 2011, section
    4.5) from the largest columns, so that the same matrix gives the same vectors. To find all of them takes many times
    as long, most of all where other programs keep the processors busy.
    """
    axes = scatter[:, np.argsort(-np.diag(scatter), kind="stable")[:_SUBSPACE]]
    for _ in range(_ITERATIONS):
        axes = np.linalg.qr(scatter @ axes).Q
    values, turns = np.linalg.eigh(axes.T @ scatter @ axes)
    return values[::-1][:3], (axes @ turns)[:, ::-1][:, :3]


def _inner(array: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the last two axes without their rim, where a network sees its own padding more than the photograph."""
    down, across = (length // _RIM for length in array.shape[-2:])
    return array[..., down : array.shape[-2] - down, across : array.shape[-1] - across]


def limits_of(values: NDArray[np.float32]) -> tuple[float, float]:
    """Return between what nearly all values are: the few beyond would leave no contrast to the others."""
    low, high = np.percentile(_inner(values), (1, 99))
    return float(low), float(high)


def _scaled(values: NDArray[np.float32], low: float, high: float) -> NDArray[np.float32]:
    scaled: NDArray[np.float32] = ((values - low) / (high - low or 1)).clip(0, 1).astype(np.float32)
    return scaled


def fitted(size: tuple[int, int], width: int) -> tuple[int, int]:
    """Return a size of the same proportions and of this width, or less where it would be very tall."""
    scale = min(width / size[0], _TALLEST * width / size[1])
    return max(1, round(size[0] * scale)), max(1, round(size[1] * scale))


@cache
def font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    """Return the font of everything that is written on pictures."""
    return ImageFont.load_default(size)
