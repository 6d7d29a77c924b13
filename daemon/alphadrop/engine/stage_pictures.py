"""Pictures of what a network makes of a photograph, for people to read.

Apart from the numbers they are drawn from. A picture shows values by colour and not by size, so each says how large the
values are. Everything has the photograph's own proportions again: the network sees it squeezed to a square.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
from PIL import Image, ImageDraw

from alphadrop.engine.explain import Difference, Explanation, Shown
from alphadrop.engine.photo import Photo
from alphadrop.engine.stage_panels import (
    PAPER,
    Components,
    alpha_at,
    blended,
    components_of,
    fitted,
    font,
    grey,
    grid,
    limits_of,
    mean_over,
    over_chequers,
    photo_at,
    strongest_channels,
    where_apart,
)

__all__ = ["draw", "draw_difference", "picture_names"]

_INK, _SOFT, _LINE = (28, 30, 34), (112, 116, 124), (198, 201, 206)
_MARGIN, _GAP = 48, 16
_TITLE, _HEADING, _TEXT = 34, 19, 15
_LEADING = 7
_CAPTION = 46
_ABOVE = 30
"""Between a caption and the next picture below it."""
_TILE, _PANEL = 216, 480
"""Width of a picture on a sheet of many, and on one of few."""


def picture_names(explanation: Explanation) -> list[str]:
    """Return the file names of the pictures that `draw` makes, in its order."""
    stages = [f"stage-{stage.name}.png" for stage in explanation.stages]
    return ["explain.png", *stages, *(f"{side.name}.png" for side in explanation.sides), "fused.png"]


def draw(explanation: Explanation, photo: Photo) -> Iterator[tuple[str, Image.Image]]:
    """Draw what a network made of a photograph, one picture after the other.

    Args:
        explanation: what it made of it.
        photo: the photograph itself.

    Returns:
        File names and pictures, mode RGB: `explain.png`, the way from the photograph to the alpha matte on one sheet;
        of each stage `stage-NAME.png`, with its mean activation over the photograph, the channels that vary most over
        it, and its first three principal components as red, green and blue; of each side map `side-N.png`, and
        `fused.png`.
    """
    found = {stage.name: components_of(stage.array) for stage in explanation.stages}
    yield "explain.png", _overview(explanation, photo, found)
    panel = photo_at(photo, fitted(photo.size, _PANEL))
    for stage in explanation.stages:
        yield f"stage-{stage.name}.png", _stage_sheet(stage, found[stage.name], panel, explanation.model)
    for side in explanation.sides:
        yield f"{side.name}.png", _map_sheet(side, panel, f"Side map of stage {side.name[5:]}", explanation.model)
    yield "fused.png", _map_sheet(explanation.fused, panel, "Saliency map", explanation.model)


def draw_difference(
    one: Explanation, reference: Explanation, differences: Sequence[Difference], photo: Photo
) -> Image.Image:
    """Draw where two networks differ, and by how much.

    Args:
        one: of the network in question.
        reference: of the network it was made from.
        differences: as `compare` returns them.
        photo: the photograph both looked at.

    Returns:
        Mode RGB: the two saliency maps and their difference, and below the difference at every stage and side map.
    """
    *others, fused = differences
    rows = [row for kind in ("en", "de", "side") if (row := [each for each in others if each.name.startswith(kind)])]
    columns = max(map(len, rows), default=3)
    tile = fitted(photo.size, _TILE)
    width = columns * (tile[0] + _GAP) - _GAP
    large = fitted(photo.size, (width - 2 * _GAP) // 3)
    across, down = tile[0] + _GAP, tile[1] + _CAPTION + 2 * (_TEXT + _LEADING) + _ABOVE
    top = large[1] + _CAPTION + _TEXT + _LEADING + _ABOVE
    sheet = _Sheet(
        (width, top + len(rows) * down - _ABOVE),
        f"{one.model} beside {reference.model}",
        "Below each tensor: the mean and the largest absolute difference of its values; then, relative, the root mean "
        "square of the differences by that of the reference; and of a map, how much of it is on the other side of one "
        "half. The brightest place of a picture is where the difference is largest.",
    )
    sheet.put(grey(one.fused.array[0], large), (0, 0), one.model, "its saliency map")
    sheet.put(grey(reference.fused.array[0], large), (large[0] + _GAP, 0), reference.model, "its saliency map")
    sheet.put(where_apart(fused, large), (2 * (large[0] + _GAP), 0), "difference", *_figures(fused))
    for number, row in enumerate(rows):
        for column, each in enumerate(row):
            place = column * across, top + number * down
            sheet.put(where_apart(each, tile), place, each.name, _dimensions(each.shape), *_figures(each))
    return sheet.image


class _Sheet:
    """A page with a title, on which pictures are put with what is said of them."""

    def __init__(self, size: tuple[int, int], title: str, text: str) -> None:
        """Begin a page whose pictures fill `size`."""
        lines = _wrapped(text, size[0])
        below = _MARGIN + _TITLE + _GAP
        self._top = below + len(lines) * (_TEXT + _LEADING) + _ABOVE
        self.image = Image.new("RGB", (size[0] + 2 * _MARGIN, self._top + size[1] + _MARGIN), PAPER)
        self._pen = ImageDraw.Draw(self.image)
        self._pen.text((_MARGIN, _MARGIN), title, _INK, font(_TITLE), "lt")
        for number, line in enumerate(lines):
            self._pen.text((_MARGIN, below + number * (_TEXT + _LEADING)), line, _SOFT, font(_TEXT), "lt")

    def put(self, picture: Image.Image, place: tuple[int, int], heading: str, *texts: str) -> None:
        """Put a picture at a place, and below it what it is."""
        left, top = place[0] + _MARGIN, place[1] + self._top
        self.image.paste(picture, (left, top))
        baseline = top + picture.height + 8 + _HEADING
        self._pen.text((left, baseline), _shortened(heading, _HEADING, picture.width), _INK, font(_HEADING), "ls")
        for number, text in enumerate(texts, start=1):
            at = left, baseline + number * (_TEXT + _LEADING)
            self._pen.text(at, _shortened(text, _TEXT, picture.width), _SOFT, font(_TEXT), "ls")

    def point(self, start: tuple[int, int], end: tuple[int, int]) -> None:
        """Draw an arrow, level or upright."""
        (x1, y1), (x2, y2) = ((x + _MARGIN, y + self._top) for x, y in (start, end))
        self._pen.line((x1, y1, x2, y2), _LINE, 2)
        along, down = int(np.sign(x2 - x1)), int(np.sign(y2 - y1))
        wings = [(x2 - 7 * along + 4 * down * side, y2 - 7 * down + 4 * along * side) for side in (1, -1)]
        self._pen.polygon([(x2, y2), *wings], _LINE)


def _overview(explanation: Explanation, photo: Photo, found: Mapping[str, Components]) -> Image.Image:
    """Return the U: encoders down the left, decoders up the right, side maps beside them."""
    tile = fitted(photo.size, _TILE)
    small = photo_at(photo, tile)
    encoders = {stage.name[2:]: stage for stage in explanation.stages if stage.name.startswith("en")}
    decoders = {stage.name[2:]: stage for stage in explanation.stages if stage.name.startswith("de")}
    sides = {side.name[5:]: side for side in explanation.sides}
    wide, bridge = tile[0] + 8, 56
    lefts = [0, wide, 2 * wide + bridge, 3 * wide + bridge, 4 * wide + 2 * bridge]
    step = tile[1] + _CAPTION + _ABOVE
    first_is_fused = any(side.tensor == explanation.fused.tensor for side in explanation.sides)
    sheet = _Sheet(
        (lefts[4] + tile[0], step * (len(encoders) + 1) - _ABOVE),
        f"What {explanation.model} makes of the photograph",
        "Down the left the encoders, each coarser than the one above it; up the right the decoders, each joined with "
        "the encoder beside it. Of every stage: the mean of its channels over the photograph, from dark (least) to "
        "bright (most), and their first three principal components as red, green and blue. On the far right the map "
        f"that each stage gives by itself; {'the first of them is' if first_is_fused else 'all of them together make'} "
        "the saliency map, and with the photograph's edges that becomes the matte.",
    )
    _put_top(sheet, lefts, explanation, photo, small)
    for row, number in enumerate(encoders, start=1):
        top, middle = row * step, row * step + tile[1] // 2
        gap = top - _ABOVE + 6, top - 6
        encoder, decoder = encoders[number], decoders.get(number)
        sheet.put(mean_over(encoder, small), (lefts[0], top), encoder.name, _dimensions(encoder.shape))
        sheet.put(found[encoder.name].drawn(tile), (lefts[1], top), "")
        sheet.point((lefts[1] - 4, gap[0]), (lefts[1] - 4, gap[1]))
        if decoder is not None:
            sheet.put(found[decoder.name].drawn(tile), (lefts[2], top), "")
            sheet.put(mean_over(decoder, small), (lefts[3], top), decoder.name, _dimensions(decoder.shape))
            sheet.point((lefts[2] - bridge, middle), (lefts[2] - 8, middle))
            if row > 1:
                sheet.point((lefts[3] - 4, gap[1]), (lefts[3] - 4, gap[0]))
        if number in sides:
            start = (lefts[4] if decoder is not None else lefts[2]) - bridge
            sheet.point((start, middle), (lefts[4] - 8, middle))
            mapped = sides[number]
            sheet.put(grey(mapped.array[0], tile), (lefts[4], top), f"side {number}", _dimensions(mapped.shape))
            sheet.point((lefts[4] + tile[0] // 2, gap[1]), (lefts[4] + tile[0] // 2, gap[0]))
    return sheet.image


def _put_top(sheet: _Sheet, lefts: Sequence[int], explanation: Explanation, photo: Photo, small: Image.Image) -> None:
    """Put the photograph, and what becomes of it in the end, above the stages."""
    pixels = f"{photo.size[0]} x {photo.size[1]}"
    side = min(small.size)
    view = Image.new("RGB", small.size, PAPER)
    seen = Image.fromarray(explanation.view).resize((side, side), Image.Resampling.LANCZOS)
    view.paste(seen, (0, (small.height - side) // 2))
    alpha = alpha_at(explanation, photo, small.size)
    fused = explanation.fused
    sheet.put(small, (lefts[0], 0), "photograph", pixels)
    sheet.put(view, (lefts[1], 0), "network's view", "{1} x {0}".format(*explanation.view.shape))
    sheet.put(over_chequers(photo, small, alpha), (lefts[2], 0), "cut-out", pixels)
    sheet.put(alpha.convert("RGB"), (lefts[3], 0), "alpha matte", pixels if alpha.getbbox() else "no subject was found")
    sheet.put(grey(fused.array[0], small.size), (lefts[4], 0), "saliency map", _dimensions(fused.shape))
    middle = small.height // 2
    sheet.point((lefts[4] - 8, middle), (lefts[3] + small.width + 8, middle))


def _stage_sheet(stage: Shown, found: Components, panel: Image.Image, model: str) -> Image.Image:
    channels, height, width = stage.shape
    kind = "Encoder" if stage.name.startswith("en") else "Decoder"
    sheet = _Sheet(
        (3 * panel.width + 2 * 2 * _GAP, panel.height + _CAPTION),
        f"{kind} {stage.name[2:]}",
        f"{stage.name} of {model}: {channels} channels of {height} x {width}, the tensor {stage.tensor}",
    )
    step = panel.width + 2 * _GAP
    mean = stage.array.mean(axis=0)
    low, high = limits_of(mean)
    said = f"over the photograph, {low:.2g} (dark) to {high:.2g} (bright)"
    sheet.put(mean_over(stage, panel), (0, 0), "Mean of all channels", said)
    strongest = strongest_channels(stage.array)
    sheet.put(
        grid(stage.array, strongest, panel.size),
        (step, 0),
        "Strongest channels",
        f"the {len(strongest)} of {channels} that vary most, each in its own range",
    )
    told = ", ".join(f"{share:.0%}" for share in found.shares)
    sheet.put(
        found.drawn(panel.size), (2 * step, 0), "Principal components", f"red, green, blue: {told} of the variance"
    )
    return sheet.image


def _map_sheet(shown: Shown, panel: Image.Image, title: str, model: str) -> Image.Image:
    _, height, width = shown.shape
    sheet = _Sheet(
        (2 * panel.width + 2 * _GAP, panel.height + _CAPTION),
        title,
        f"{shown.name} of {model}: {height} x {width}, the tensor {shown.tensor}",
    )
    sheet.put(grey(shown.array[0], panel.size), (0, 0), "Map", "black is background, white is subject")
    over = blended(shown.array[0], panel)
    place = (panel.width + 2 * _GAP, 0)
    sheet.put(over, place, "Over the photograph", f"{np.mean(shown.array > 0.5):.1%} of it is above one half")
    return sheet.image


def _dimensions(shape: tuple[int, int, int]) -> str:
    return " x ".join(map(str, shape))


def _figures(difference: Difference) -> tuple[str, str]:
    flipped = f", {difference.flipped:.2%} flipped" if difference.flipped is not None else ""
    return (
        f"mean {difference.mean:.2g}, largest {difference.largest:.2g}",
        f"relative {difference.relative:.1%}{flipped}",
    )


def _wrapped(text: str, width: int) -> list[str]:
    lines = [""]
    for word in text.split():
        longer = f"{lines[-1]} {word}".lstrip()
        if lines[-1] and font(_TEXT).getlength(longer) > width:
            lines.append(word)
        else:
            lines[-1] = longer
    return lines


def _shortened(text: str, size: int, width: int) -> str:
    """Return as much of a text as fits a width."""
    if font(size).getlength(text) <= width:
        return text
    while text and font(size).getlength(f"{text}…") > width:
        text = text[:-1]
    return f"{text}…"
