"""What can be asked of one cut-out, and the presets that name common sets of it."""

from __future__ import annotations

import os
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal, get_args

from alphadrop.errors import BadOptions, printable

__all__ = [
    "ALIGNMENTS",
    "CROPS",
    "EDGES",
    "FORMATS",
    "LONGEST_SIDE",
    "PNG_EFFORTS",
    "PRESETS",
    "PROVIDERS",
    "QUIETS",
    "SUFFIXES",
    "Alignment",
    "Background",
    "Canvas",
    "Crop",
    "CutOptions",
    "Edges",
    "Format",
    "PngEffort",
    "Provider",
    "Quiet",
    "format_of",
    "from_preset",
    "options_from",
    "parse_aspect",
    "parse_background",
    "parse_size",
    "suffix_of",
]

Format = Literal["png", "webp", "tiff", "jpeg"]
Edges = Literal["plain", "refined"]
Crop = Literal["none", "subject"]
PngEffort = Literal["fast", "small"]
Provider = Literal["cpu", "cuda", "directml", "coreml", "openvino"]
"""What runs a network: `openvino` is OpenVINO on the processor, all others are ONNX Runtime's."""
Quiet = Literal["never", "battery", "auto", "always"]
"""When work on hot folders holds back: `auto` is on battery, and while other programs keep the processors busy."""
Alignment = Literal["centre", "top", "bottom", "left", "right"]
Background = tuple[int, int, int] | Path | bytes | None
"""An sRGB colour, the path of a picture, the bytes of its file, or None for transparent."""

FORMATS: tuple[Format, ...] = get_args(Format)
EDGES: tuple[Edges, ...] = get_args(Edges)
CROPS: tuple[Crop, ...] = get_args(Crop)
PROVIDERS: tuple[Provider, ...] = get_args(Provider)
QUIETS: tuple[Quiet, ...] = get_args(Quiet)
PNG_EFFORTS: tuple[PngEffort, ...] = get_args(PngEffort)
ALIGNMENTS: tuple[Alignment, ...] = get_args(Alignment)

_SUFFIXES: dict[Format, str] = {"png": ".png", "webp": ".webp", "tiff": ".tif", "jpeg": ".jpg"}
SUFFIXES: dict[str, Format] = {
    ".png": "png",
    ".webp": "webp",
    ".tif": "tiff",
    ".tiff": "tiff",
    ".jpg": "jpeg",
    ".jpeg": "jpeg",
}
LONGEST_SIDE = 30_000
"""Pixels to which a canvas may grow."""
_WIDEST = 100
"""Pixels of a shift or feather of the edge."""


def _one_of(name: str, value: object, allowed: tuple[str, ...]) -> None:
    if value not in allowed:
        raise BadOptions(f"{name} is one of {', '.join(allowed)}, not {value!r}")


def _are_whole(values: object, count: int) -> bool:
    return isinstance(values, tuple) and len(values) == count and all(isinstance(value, int) for value in values)


@dataclass(frozen=True, slots=True)
class Canvas:
    """The shape of the finished picture."""

    size: tuple[int, int] | None = None
    """Width and height in pixels; the subject is scaled to fit inside the margin."""
    aspect: float | None = None
    """Width divided by height; the picture is extended, never cut, to reach it."""
    align: Alignment = "centre"
    """Where the subject stands in what is left free."""

    def __post_init__(self) -> None:
        _one_of("align", self.align, ALIGNMENTS)
        if self.size is not None and self.aspect is not None:
            raise BadOptions("a canvas has a size or an aspect, not both", "leave one of them out")
        if self.size is not None and not _are_whole(self.size, 2):
            raise BadOptions(f"a canvas size is a width and a height in pixels, not {self.size!r}")
        if self.size is not None and not all(1 <= side <= LONGEST_SIDE for side in self.size):
            raise BadOptions(f"a canvas side is 1 to {LONGEST_SIDE} pixels, not {self.size[0]}x{self.size[1]}")
        if self.aspect is not None and not 0.05 <= self.aspect <= 20:
            raise BadOptions(f"an aspect is 1:20 to 20:1, not {self.aspect:g}")


@dataclass(frozen=True, slots=True)
class CutOptions:
    """Everything one cut-out can be asked for; the defaults are a transparent PNG of the whole photograph."""

    format: Format = "png"
    edges: Edges = "refined"
    """`refined` lets the matte follow the photograph's own edges; `plain` only enlarges it."""
    background: Background = None
    crop: Crop = "none"
    margin: float = 0.0
    """Part of the finished picture's longer side left free around the subject, 0 to 0.45."""
    canvas: Canvas = field(default_factory=Canvas)
    png: PngEffort = "fast"
    quality: int = 92
    """Of JPEG and WebP, 1 to 100; WebP is lossless at 100."""
    keep_gps: bool = False
    shift_edge: int = 0
    """Pixels that the edge is moved outward; negative ones contract the subject. -100 to 100."""
    feather: float = 0.0
    """Standard deviation in pixels of the Gaussian that the matte is blurred with, 0 to 100."""
    hardness: float = 0.0
    """Contrast of the edge: 0 leaves it, 1 makes it all or nothing."""
    smallest_part: float = 0.0
    """Parts below this fraction of the largest part's area are dropped, 0 to 1."""
    fill_holes: float = 0.0
    """Holes below this fraction of the subject's area are filled, 0 to 1."""
    decontaminate: bool | None = None
    """Whether the soft edge gets the subject's own colour; None is with refined edges and not with plain ones."""

    def __post_init__(self) -> None:
        for name, allowed in (("format", FORMATS), ("edges", EDGES), ("crop", CROPS), ("png", PNG_EFFORTS)):
            _one_of(name, getattr(self, name), allowed)
        colour = self.background
        if isinstance(colour, tuple) and not (_are_whole(colour, 3) and 0 <= min(colour) <= max(colour) <= 255):
            raise BadOptions(f"a background colour is three numbers of 0 to 255, not {colour!r}")
        if not 0 <= self.margin <= 0.45:
            raise BadOptions(f"margin is 0 to 0.45 of the longer side, not {self.margin:g}")
        if not 1 <= self.quality <= 100:
            raise BadOptions(f"quality is 1 to 100, not {self.quality}")
        if not (isinstance(self.shift_edge, int) and -_WIDEST <= self.shift_edge <= _WIDEST):
            raise BadOptions(f"shift_edge is a whole number of -{_WIDEST} to {_WIDEST} pixels, not {self.shift_edge!r}")
        if not 0 <= self.feather <= _WIDEST:
            raise BadOptions(f"feather is 0 to {_WIDEST} pixels, not {self.feather:g}")
        for name in ("hardness", "smallest_part", "fill_holes"):
            if not 0 <= getattr(self, name) <= 1:
                raise BadOptions(f"{name} is 0 to 1, not {getattr(self, name):g}")
        if self.decontaminate not in (None, True, False):
            raise BadOptions(f"decontaminate is True, False or None, not {self.decontaminate!r}")
        if self.format == "jpeg" and self.background is None:
            raise BadOptions("JPEG cannot be transparent", "set a background, or choose png, webp or tiff")
        if self.margin and self.crop == "none":
            raise BadOptions("a margin is kept around the subject, and nothing is cropped", "set crop to subject")
        size = self.canvas.size
        if size is not None and 2 * self.margin * max(size) >= min(size):
            raise BadOptions(f"a margin of {self.margin:g} leaves nothing of {size[0]}x{size[1]}", "make it smaller")
        aspect = self.canvas.aspect
        if aspect is not None and 2 * self.margin * max(aspect, 1 / aspect) >= 1:
            raise BadOptions(f"a margin of {self.margin:g} leaves nothing at aspect {aspect:g}", "make it smaller")

    @property
    def cleans_colour(self) -> bool:
        """Whether the soft edge gets the subject's own colour."""
        return self.edges == "refined" if self.decontaminate is None else self.decontaminate


PRESETS: dict[str, CutOptions] = {
    "shop-square": CutOptions(
        format="jpeg", background=(255, 255, 255), crop="subject", margin=0.075, canvas=Canvas(size=(2000, 2000))
    ),
    "shop-portrait": CutOptions(
        format="jpeg", background=(255, 255, 255), crop="subject", margin=0.075, canvas=Canvas(size=(1600, 2000))
    ),
    "square": CutOptions(crop="subject", margin=0.05, canvas=Canvas(size=(2000, 2000))),
    "sticker": CutOptions(format="webp", crop="subject", margin=0.02, canvas=Canvas(size=(512, 512))),
    "tight": CutOptions(crop="subject"),
}
"""Sets of options under a name. `shop-square`: white, 2000 px, the subject filling 85 %, as market places ask for."""


def format_of(path: Path) -> Format:
    """Return the format that a target's suffix names; BadOptions where it names none that is written."""
    try:
        return SUFFIXES[path.suffix.lower()]
    except KeyError:
        raise BadOptions(
            f"{printable(path)}: no format is written under the suffix {path.suffix or '(none)'}",
            f"use one of {', '.join(sorted(SUFFIXES))}",
        ) from None


def suffix_of(format: Format) -> str:
    """Return the file suffix of a format, with its dot."""
    return _SUFFIXES[format]


def parse_background(text: str) -> Background:
    """Read `transparent`, a colour (`white`, `#f0f0f0`, `rgb(240,240,240)`) or the path of a picture."""
    from PIL import ImageColor  # here, so that `--help` need not load Pillow

    if text.strip().lower() == "transparent":
        return None
    try:
        colour = ImageColor.getrgb(text.strip())
    except ValueError:
        path = Path(os.path.expanduser(text))
        if path.suffix and not text.startswith("#"):
            return path
    else:
        if len(colour) == 3 and max(colour) <= 255:
            return colour
    raise BadOptions(
        f"{text!r} is neither `transparent` nor a colour nor a picture's path",
        "a colour is a name (white), #rrggbb or rgb(r,g,b); a picture's path ends in .jpg, .png, ...",
    )


def parse_size(text: str) -> tuple[int, int]:
    """Read `2000` (a square) or `1600x2000` (width x height), in pixels."""
    width, _, height = text.lower().partition("x")
    try:
        return int(width), int(height or width)
    except ValueError:
        raise BadOptions(f"{text!r} is not a size", "write 2000 for a square or 1600x2000") from None


def parse_aspect(text: str) -> float:
    """Read `4:5` or `0.8`: width divided by height."""
    width, _, height = text.partition(":")
    try:
        return float(width) / float(height or 1)
    except (ValueError, ZeroDivisionError):
        raise BadOptions(f"{text!r} is not an aspect", "write 4:5 or 0.8") from None


def from_preset(name: str, **changes: object) -> CutOptions:
    """Return a preset with some of its options changed.

    Raises:
        BadOptions: no preset has that name, or the changes contradict it.
    """
    if name not in PRESETS:
        raise BadOptions(f"no preset is called {name!r}", f"the presets are {', '.join(PRESETS)}")
    return replace(PRESETS[name], **changes)  # type: ignore[arg-type]


def options_from(*, preset: str | None = None, **options: Any) -> CutOptions:
    """Return options from the words a person would use.

    Args:
        preset: start from a preset instead of the defaults.
        **options: fields of `CutOptions`; besides, `background` may be a colour's name or a picture's path as text,
            `size` and `aspect` and `align` are those of its canvas.

    Raises:
        BadOptions: an option is unknown, or its value makes no sense.
    """
    base = from_preset(preset) if preset else CutOptions()
    if isinstance(options.get("background"), str):
        options["background"] = parse_background(options["background"])
    shape = {key: options.pop(key) for key in ("size", "aspect", "align") if key in options}
    try:
        canvas: Canvas = replace(options.pop("canvas", base.canvas), **shape)
        return replace(base, canvas=canvas, **options)
    except TypeError as error:
        raise BadOptions(
            f"an option is unknown or of a wrong type: {error}",
            "the options are the fields of CutOptions, and size, aspect, align",
        ) from None
