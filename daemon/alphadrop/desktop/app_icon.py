"""The icon of Alphadrop as bitmaps: the one shape of the SVG, drawn many times too large and made small."""

from __future__ import annotations

import io
import math
import re
from collections.abc import Iterator
from functools import cache

from PIL import Image, ImageDraw

from alphadrop import paths
from alphadrop.errors import NotWhole, printable

__all__ = ["SIZES", "png", "svg"]

SIZES = (16, 22, 24, 32, 48, 64, 128, 256)
"""Pixels a side, as icon themes have them."""
_FINER = 8
_STEPS = 64
_PART = re.compile(r"([McaZ])([^McaZ]*)")
_NUMBER = re.compile(r"-?\d*\.?\d+")
_Point = tuple[float, float]


def svg() -> bytes:
    """Return the icon at any size."""
    return paths.icon().read_bytes()


@cache
def png(size: int) -> bytes:
    """Return the icon as a PNG of so many pixels a side.

    Raises:
        NotWhole: the SVG is not what it should be.
    """
    drawn = svg().decode()
    found = re.search(r'viewBox="0 0 (\d+) \1".* fill="(#\w+)" d="([^"]+)"', drawn)
    if found is None:
        raise NotWhole(f"{printable(paths.icon())}: is not one filled path", "install Alphadrop again")
    side, fill, path = found.groups()
    scale = size * _FINER / float(side)
    large = Image.new("L", (size * _FINER, size * _FINER))
    ImageDraw.Draw(large).polygon([(x * scale, y * scale) for x, y in _outline(path)], fill=255)
    alpha = large.resize((size, size), Image.Resampling.BOX)
    icon = Image.new("RGB", alpha.size, fill)
    icon.putalpha(alpha)
    written = io.BytesIO()
    icon.save(written, "PNG", optimize=True)
    return written.getvalue()


def _outline(path: str) -> Iterator[_Point]:
    """Yield the points of a path that has the commands M, c, a (half circles) and Z only."""
    x = y = 0.0
    for command, rest in _PART.findall(path):
        numbers = [float(number) for number in _NUMBER.findall(rest)]
        if command == "M":
            x, y = numbers
            yield x, y
        if command == "c":
            for first in range(0, len(numbers), 6):
                x1, y1, x2, y2, dx, dy = numbers[first : first + 6]
                yield from _bezier((x, y), (x + x1, y + y1), (x + x2, y + y2), (x + dx, y + dy))
                x, y = x + dx, y + dy
        if command == "a":
            radius, _, _, _, _, dx, dy = numbers
            for step in range(1, _STEPS + 1):
                angle = math.atan2(-dy, -dx) + math.pi * step / _STEPS
                yield x + dx / 2 + radius * math.cos(angle), y + dy / 2 + radius * math.sin(angle)
            x, y = x + dx, y + dy


def _bezier(*points: _Point) -> Iterator[_Point]:
    for step in range(1, _STEPS + 1):
        t = step / _STEPS
        weights = ((1 - t) ** 3, 3 * t * (1 - t) ** 2, 3 * t * t * (1 - t), t**3)
        yield (
            sum(weight * x for weight, (x, _) in zip(weights, points, strict=True)),
            sum(weight * y for weight, (_, y) in zip(weights, points, strict=True)),
        )
