"""The icon in the panel, drawn by code for each size that a panel asks for.

A drop, as in the name. Each colour stands out at 3:1 or more both from a white panel and from a black one, so that one
picture serves light and dark panels (WCAG 2, 1.4.11). A state is told by its shape, too, to who cannot tell colours.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal

from PIL import Image, ImageChops, ImageDraw

__all__ = ["COLOURS", "LOOKS", "Look", "LookName", "TrayPicture", "draw", "draw_tile"]

LookName = Literal["working", "idle", "paused", "attention", "off"]
LOOKS: tuple[LookName, ...] = ("working", "idle", "paused", "attention", "off")

_TEAL, _GREY, _AMBER = (13, 145, 132), (126, 132, 140), (205, 108, 10)
COLOURS = {"working": _TEAL, "idle": _TEAL, "paused": _GREY, "attention": _AMBER, "off": _GREY}
"""Of each state what it is drawn in."""
_WHITE = (255, 255, 255)
_FINER = 8
"""Everything is drawn so many times larger, then made smaller."""
_TRACK = 90
"""Alpha of the part of the ring that is still to do."""
_USUAL = 64
"""Pixels of a side where the panel does not say how many it wants."""


@dataclass(frozen=True, slots=True)
class Look:
    """What the icon says."""

    name: LookName
    progress: float = 0.0
    """Of the work, 0 to 1."""


class TrayPicture:
    """What panels ask of a picture, drawn anew in the size that each wants.

    It stands in for a picture of Pillow's where that would only be made smaller or saved.
    """

    def __init__(self, look: Look, *, tile: bool = False) -> None:
        """Draw a look; `tile` for panels that know no transparency."""
        self._look = look
        self._draw = draw_tile if tile else draw
        self.size = (_USUAL, _USUAL)

    def resize(self, size: tuple[int, int], *_: object, **__: object) -> Image.Image:
        """Return it in a size; it is square, in the middle of what may be oblong."""
        drawn = self._draw(self._look, max(8, min(size)))
        if drawn.size == size:
            return drawn
        whole = Image.new(drawn.mode, size, drawn.getpixel((0, 0)) or 0)
        whole.paste(drawn, ((size[0] - drawn.width) // 2, (size[1] - drawn.height) // 2))
        return whole

    def save(self, file: Any, format: str | None = None, **options: Any) -> None:
        """Write it in its usual size."""
        self._draw(self._look, _USUAL).save(file, format, **options)


def draw(look: Look, size: int) -> Image.Image:
    """Return the icon on nothing: RGBA, `size` pixels to a side."""
    colour = COLOURS[look.name]
    alpha = _shape(look, size)
    picture = Image.new("RGBA", (size, size), colour)
    picture.putalpha(alpha)
    if look.name == "attention":
        drop = Image.new("RGBA", (size, size), _TEAL)
        drop.putalpha(ImageChops.subtract(_drop(size), _badge(size, gap=True)))
        picture.putalpha(_badge(size))
        picture = Image.alpha_composite(drop, picture)
    return picture


def draw_tile(look: Look, size: int) -> Image.Image:
    """Return the icon in white on a square of its colour: RGB, for panels that know no transparency."""
    picture = Image.new("RGB", (size, size), COLOURS[look.name])
    room = max(1, size // 8)
    inner = size - 2 * room
    glyph = _mark(inner) if look.name == "attention" else _shape(look, inner)
    picture.paste(_WHITE, (room, room), glyph)
    return picture


def _shape(look: Look, size: int) -> Image.Image:
    """Return the alpha of a look."""
    if look.name == "working":
        return ImageChops.lighter(_drop(size, 0.52), _ring(size, look.progress))
    if look.name == "paused":
        return ImageChops.subtract(_drop(size), _bars(size))
    if look.name == "off":
        return ImageChops.subtract(_drop(size), _drop(size, 1 - 2.6 * max(1.7, size / 13) / size, inner=True))
    return _drop(size)


def _drop(size: int, scale: float = 1.0, *, inner: bool = False) -> Image.Image:
    """Return the alpha of a drop: a circle, and the two tangents to it from its tip.

    Args:
        size: of the picture, in pixels.
        scale: of the drop, where the whole height is 1.
        inner: whether it lies about the middle of the circle, to make an outline of the whole one.
    """
    side = size * _FINER
    radius, tip = 0.32 * scale, 0.62 * scale
    """Of the circle, and how far above its middle the tip is, as parts of the side."""
    middle = 0.5 + (0.15 if inner else 0.15 * scale)
    picture = Image.new("L", (side, side))
    pen = ImageDraw.Draw(picture)
    pen.ellipse([side * (0.5 - radius), side * (middle - radius), side * (0.5 + radius), side * (middle + radius)], 255)
    half = math.acos(radius / tip)
    touches = [(0.5 + way * radius * math.sin(half), middle - radius * math.cos(half)) for way in (-1, 1)]
    pen.polygon([(side * x, side * y) for x, y in ((0.5, middle - tip), *touches)], 255)
    return _smaller(picture, size)


def _ring(size: int, progress: float) -> Image.Image:
    """Return the alpha of a ring, whole where the work is done, pale where it is to come."""
    side = size * _FINER
    width = round(max(2.0, size / 10) * _FINER)
    picture = Image.new("L", (side, side))
    pen = ImageDraw.Draw(picture)
    box = [0, 0, side - 1, side - 1]
    pen.ellipse(box, outline=_TRACK, width=width)
    pen.arc(box, -90, -90 + 360 * max(0.04, min(1.0, progress)), 255, width)
    return _smaller(picture, size)


def _bars(size: int) -> Image.Image:
    """Return the two bars of a pause, each on whole pixels."""
    width, apart = max(2, round(size / 9)), max(2, round(size / 10))
    height = round(size * 0.34)
    left = (size - 2 * width - apart + 1) // 2
    top = round(size * 0.65 - height / 2)
    picture = Image.new("L", (size, size))
    for start in (left, left + width + apart):
        picture.paste(255, (start, top, start + width, top + height))
    return picture


def _badge(size: int, *, gap: bool = False) -> Image.Image:
    """Return the alpha of the disc with an exclamation mark at the lower right, or of the room that it needs."""
    across = 2 * round(size * 0.3)
    room = max(1, round(size / 20)) if gap else 0
    picture = Image.new("L", (size * _FINER,) * 2)
    place = [(size - across - room) * _FINER, (size - across - room) * _FINER, size * _FINER - 1, size * _FINER - 1]
    place = [*place[:2], place[2] + room * _FINER, place[3] + room * _FINER]
    ImageDraw.Draw(picture).ellipse(place, 255)
    disc = _smaller(picture, size)
    if not gap:
        mark = _mark(across)
        disc.paste(0, (size - across, size - across), mark)
    return disc


def _mark(size: int) -> Image.Image:
    """Return the alpha of an exclamation mark, on whole pixels."""
    width = 2 * max(1, round(size / 14))
    left, top, bottom = (size - width) // 2, round(size * 0.18), round(size * 0.84)
    dot = width
    gap = max(1, round(size / 12))
    picture = Image.new("L", (size, size))
    picture.paste(255, (left, top, left + width, bottom - dot - gap))
    picture.paste(255, (left, bottom - dot, left + width, bottom))
    return picture


def _smaller(picture: Image.Image, size: int) -> Image.Image:
    return picture.resize((size, size), Image.Resampling.BOX)
