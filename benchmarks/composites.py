"""Pictures whose alpha matte and foreground colours are known, because they are put together here.

A composite is I = alpha F + (1 - alpha) B. F and B are photographs that scikit-image ships and anyone may use; alpha is
drawn: strands of hair, leaves, a subject out of focus, and one that is hard.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter
from skimage import data

_FINER = 4
"""Times as large as it will be, alpha is drawn."""


@dataclass(frozen=True)
class Composite:
    """A picture and what it was made of."""

    name: str
    image: Image.Image
    """I, mode RGB."""
    alpha: NDArray[np.uint8]
    """Shape (H, W)."""
    foreground: NDArray[np.uint8]
    """F, shape (H, W, 3); where alpha is 255 the picture's own colours."""


def composites(side: int) -> Iterator[Composite]:
    """Yield twelve composites, always the same, each a square of so many pixels a side."""
    photographs = {
        name: Image.fromarray(pixels).convert("RGB").resize((side, side), Image.Resampling.LANCZOS)
        for name, pixels in (
            ("astronaut", data.astronaut()),
            ("cat", data.chelsea()),
            ("coffee", data.coffee()),
            ("rocket", data.rocket()),
        )
    }
    pairs = list(itertools.permutations(photographs, 2))
    shapes = {"hair": _hair, "leaves": _leaves, "defocus": _defocus, "hard": _hard}
    for number, (own, behind) in enumerate(pairs):
        shape = list(shapes)[number % len(shapes)]
        alpha = shapes[shape](side, np.random.default_rng(number))
        yield _composed(f"{shape}, {own} over {behind}", photographs[own], photographs[behind], alpha)


def _composed(name: str, own: Image.Image, behind: Image.Image, alpha: NDArray[np.uint8]) -> Composite:
    part = alpha[..., np.newaxis] / np.float32(255)
    foreground = np.asarray(own)
    mixed = part * foreground + (1 - part) * np.asarray(behind)
    return Composite(name, Image.fromarray(np.rint(mixed).astype(np.uint8)), alpha, foreground)


def _hair(side: int, random: np.random.Generator) -> NDArray[np.uint8]:
    picture, draw = _sheet(side)
    large = side * _FINER
    middle, radius = large / 2, large * 0.24
    _disc(draw, middle, radius)
    for angle in random.uniform(0, 2 * np.pi, 700):
        length, bend = radius * random.uniform(0.15, 0.8), random.normal(0, 0.35)
        steps = np.linspace(0, 1, 24)
        around = angle + bend * steps**2
        away = radius * 0.95 + length * steps
        strand = np.stack([middle + away * np.cos(around), middle + away * np.sin(around)], axis=1)
        width = int(random.integers(2, 7))
        draw.line([tuple(point) for point in strand], fill=int(random.integers(150, 256)), width=width)
    return _shrunk(picture, side)


def _leaves(side: int, random: np.random.Generator) -> NDArray[np.uint8]:
    picture, draw = _sheet(side)
    large = side * _FINER
    for _ in range(130):
        middle = large / 2 + random.normal(0, large * 0.13, 2)
        angle, length = random.uniform(0, 2 * np.pi), large * random.uniform(0.03, 0.09)
        around = np.linspace(0, 2 * np.pi, 40)
        along, across = length * np.cos(around), 0.4 * length * np.sin(around) * (1 - 0.4 * np.cos(around))
        x = middle[0] + along * np.cos(angle) - across * np.sin(angle)
        y = middle[1] + along * np.sin(angle) + across * np.cos(angle)
        draw.polygon(list(zip(x, y, strict=True)), fill=255)
    return _shrunk(picture, side)


def _defocus(side: int, random: np.random.Generator) -> NDArray[np.uint8]:
    picture, draw = _sheet(side)
    _disc(draw, side * _FINER / 2, side * _FINER * random.uniform(0.2, 0.3))
    return _shrunk(picture.filter(ImageFilter.GaussianBlur(side * _FINER * 0.012)), side)


def _hard(side: int, random: np.random.Generator) -> NDArray[np.uint8]:
    picture, draw = _sheet(side)
    large = side * _FINER
    corners = [
        (large / 2 + away * np.cos(angle), large / 2 + away * np.sin(angle))
        for angle, away in zip(
            np.sort(random.uniform(0, 2 * np.pi, 9)), large * random.uniform(0.2, 0.4, 9), strict=True
        )
    ]
    draw.polygon(corners, fill=255)
    return _shrunk(picture, side)


def _sheet(side: int) -> tuple[Image.Image, ImageDraw.ImageDraw]:
    picture = Image.new("L", (side * _FINER, side * _FINER))
    return picture, ImageDraw.Draw(picture)


def _disc(draw: ImageDraw.ImageDraw, middle: float, radius: float) -> None:
    draw.ellipse((middle - radius, middle - radius, middle + radius, middle + radius), fill=255)


def _shrunk(picture: Image.Image, side: int) -> NDArray[np.uint8]:
    return np.array(picture.resize((side, side), Image.Resampling.BOX))
