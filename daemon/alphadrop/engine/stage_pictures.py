"""Pictures of what a network makes of a photograph, for people to read.

Apart from the numbers they are drawn from. A picture shows values by colour and not by size, so each says how large the
values are. Everything has the photograph's own proportions again: the network sees it squeezed to a square.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
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

__all__ = ["draw", "draw_difference", "picture_names"]

_PAPER, _INK, _SOFT, _LINE = (252, 252, 250), (28, 30, 34), (112, 116, 124), (198, 201, 206)
_MARGIN, _GAP = 48, 16
_TITLE, _HEADING, _TEXT = 34, 19, 15
_LEADING = 7
_CAPTION = 46
_ABOVE = 30
"""Between a caption and the next picture below it."""
_TILE, _PANEL = 216, 480
"""Width of a picture on a sheet of many, and on one of few."""
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
    found = {stage.name: _components(stage.array) for stage in explanation.stages}
    yield "explain.png", _overview(explanation, photo, found)
    panel = _small(photo, _fitted(photo.size, _PANEL))
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
    tile = _fitted(photo.size, _TILE)
    width = columns * (tile[0] + _GAP) - _GAP
    large = _fitted(photo.size, (width - 2 * _GAP) // 3)
    across, down = tile[0] + _GAP, tile[1] + _CAPTION + 2 * (_TEXT + _LEADING) + _ABOVE
    top = large[1] + _CAPTION + _TEXT + _LEADING + _ABOVE
    sheet = _Sheet(
        (width, top + len(rows) * down - _ABOVE),
        f"{one.model} beside {reference.model}",
        "Below each tensor: the mean and the largest absolute difference of its values; then, relative, the root mean "
        "square of the differences by that of the reference; and of a map, how much of it is on the other side of one "
        "half. The brightest place of a picture is where the difference is largest.",
    )
    sheet.put(_grey(one.fused.array[0], large), (0, 0), one.model, "its saliency map")
    sheet.put(_grey(reference.fused.array[0], large), (large[0] + _GAP, 0), reference.model, "its saliency map")
    sheet.put(_where(fused, large), (2 * (large[0] + _GAP), 0), "difference", *_figures(fused))
    for number, row in enumerate(rows):
        for column, each in enumerate(row):
            place = column * across, top + number * down
            sheet.put(_where(each, tile), place, each.name, _dimensions(each.shape), *_figures(each))
    return sheet.image


@dataclass(frozen=True, slots=True)
class _Components:
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


class _Sheet:
    """A page with a title, on which pictures are put with what is said of them."""

    def __init__(self, size: tuple[int, int], title: str, text: str) -> None:
        """Begin a page whose pictures fill `size`."""
        lines = _wrapped(text, size[0])
        below = _MARGIN + _TITLE + _GAP
        self._top = below + len(lines) * (_TEXT + _LEADING) + _ABOVE
        self.image = Image.new("RGB", (size[0] + 2 * _MARGIN, self._top + size[1] + _MARGIN), _PAPER)
        self._pen = ImageDraw.Draw(self.image)
        self._pen.text((_MARGIN, _MARGIN), title, _INK, _font(_TITLE), "lt")
        for number, line in enumerate(lines):
            self._pen.text((_MARGIN, below + number * (_TEXT + _LEADING)), line, _SOFT, _font(_TEXT), "lt")

    def put(self, picture: Image.Image, place: tuple[int, int], heading: str, *texts: str) -> None:
        """Put a picture at a place, and below it what it is."""
        left, top = place[0] + _MARGIN, place[1] + self._top
        self.image.paste(picture, (left, top))
        baseline = top + picture.height + 8 + _HEADING
        self._pen.text((left, baseline), _shortened(heading, _HEADING, picture.width), _INK, _font(_HEADING), "ls")
        for number, text in enumerate(texts, start=1):
            at = left, baseline + number * (_TEXT + _LEADING)
            self._pen.text(at, _shortened(text, _TEXT, picture.width), _SOFT, _font(_TEXT), "ls")

    def point(self, start: tuple[int, int], end: tuple[int, int]) -> None:
        """Draw an arrow, level or upright."""
        (x1, y1), (x2, y2) = ((x + _MARGIN, y + self._top) for x, y in (start, end))
        self._pen.line((x1, y1, x2, y2), _LINE, 2)
        along, down = int(np.sign(x2 - x1)), int(np.sign(y2 - y1))
        wings = [(x2 - 7 * along + 4 * down * side, y2 - 7 * down + 4 * along * side) for side in (1, -1)]
        self._pen.polygon([(x2, y2), *wings], _LINE)


def _overview(explanation: Explanation, photo: Photo, found: Mapping[str, _Components]) -> Image.Image:
    """Return the U: encoders down the left, decoders up the right, side maps beside them."""
    tile = _fitted(photo.size, _TILE)
    small = _small(photo, tile)
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
        sheet.put(_over(encoder, small), (lefts[0], top), encoder.name, _dimensions(encoder.shape))
        sheet.put(found[encoder.name].drawn(tile), (lefts[1], top), "")
        sheet.point((lefts[1] - 4, gap[0]), (lefts[1] - 4, gap[1]))
        if decoder is not None:
            sheet.put(found[decoder.name].drawn(tile), (lefts[2], top), "")
            sheet.put(_over(decoder, small), (lefts[3], top), decoder.name, _dimensions(decoder.shape))
            sheet.point((lefts[2] - bridge, middle), (lefts[2] - 8, middle))
            if row > 1:
                sheet.point((lefts[3] - 4, gap[1]), (lefts[3] - 4, gap[0]))
        if number in sides:
            start = (lefts[4] if decoder is not None else lefts[2]) - bridge
            sheet.point((start, middle), (lefts[4] - 8, middle))
            mapped = sides[number]
            sheet.put(_grey(mapped.array[0], tile), (lefts[4], top), f"side {number}", _dimensions(mapped.shape))
            sheet.point((lefts[4] + tile[0] // 2, gap[1]), (lefts[4] + tile[0] // 2, gap[0]))
    return sheet.image


def _put_top(sheet: _Sheet, lefts: Sequence[int], explanation: Explanation, photo: Photo, small: Image.Image) -> None:
    """Put the photograph, and what becomes of it in the end, above the stages."""
    pixels = f"{photo.size[0]} x {photo.size[1]}"
    side = min(small.size)
    view = Image.new("RGB", small.size, _PAPER)
    seen = Image.fromarray(explanation.view).resize((side, side), Image.Resampling.LANCZOS)
    view.paste(seen, (0, (small.height - side) // 2))
    matte = _matte(explanation, photo)
    alpha = Image.fromarray(matte).resize(small.size, Image.Resampling.LANCZOS)
    if photo.alpha is not None:
        alpha = ImageChops.multiply(alpha, photo.alpha.resize(small.size))
    fused = explanation.fused
    sheet.put(small, (lefts[0], 0), "photograph", pixels)
    sheet.put(view, (lefts[1], 0), "network's view", "{1} x {0}".format(*explanation.view.shape))
    sheet.put(_cutout(photo, small, alpha), (lefts[2], 0), "cut-out", pixels)
    sheet.put(alpha.convert("RGB"), (lefts[3], 0), "alpha matte", pixels if matte.any() else "no subject was found")
    sheet.put(_grey(fused.array[0], small.size), (lefts[4], 0), "saliency map", _dimensions(fused.shape))
    middle = small.height // 2
    sheet.point((lefts[4] - 8, middle), (lefts[3] + small.width + 8, middle))


def _stage_sheet(stage: Shown, found: _Components, panel: Image.Image, model: str) -> Image.Image:
    channels, height, width = stage.shape
    kind = "Encoder" if stage.name.startswith("en") else "Decoder"
    sheet = _Sheet(
        (3 * panel.width + 2 * 2 * _GAP, panel.height + _CAPTION),
        f"{kind} {stage.name[2:]}",
        f"{stage.name} of {model}: {channels} channels of {height} x {width}, the tensor {stage.tensor}",
    )
    step = panel.width + 2 * _GAP
    mean = stage.array.mean(axis=0)
    low, high = _limits(mean)
    said = f"over the photograph, {low:.2g} (dark) to {high:.2g} (bright)"
    sheet.put(_over(stage, panel), (0, 0), "Mean of all channels", said)
    strongest = _strongest(stage.array)
    sheet.put(
        _grid(stage.array, strongest, panel.size),
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
    sheet.put(_grey(shown.array[0], panel.size), (0, 0), "Map", "black is background, white is subject")
    over = _blended(shown.array[0], panel)
    place = (panel.width + 2 * _GAP, 0)
    sheet.put(over, place, "Over the photograph", f"{np.mean(shown.array > 0.5):.1%} of it is above one half")
    return sheet.image


def _matte(explanation: Explanation, photo: Photo) -> NDArray[np.uint8]:
    saliency = explanation.fused.array[0]
    if not has_subject(saliency):
        return np.zeros(photo.size[::-1], np.uint8)
    return alpha_matte(saliency, photo.image, "refined")


def _cutout(photo: Photo, small: Image.Image, alpha: Image.Image) -> Image.Image:
    """Return the subject on a chequerboard."""
    across, down = (np.arange(length) // _CHEQUER for length in small.size)
    light = (across[np.newaxis] + down[:, np.newaxis]) % 2 == 0
    board = Image.fromarray(np.where(light, np.uint8(255), np.uint8(226))).convert("RGB")
    cutout = Image.fromarray(straight_rgba(Photo(photo.name, small), np.asarray(alpha)))
    board.paste(cutout, mask=cutout)
    return board


def _small(photo: Photo, size: tuple[int, int]) -> Image.Image:
    """Return a photograph at a size, in sRGB, what is transparent being paper."""
    small = to_srgb(photo.image.resize(size, Image.Resampling.BICUBIC, reducing_gap=3.0), photo.icc)
    if photo.alpha is not None:
        small = Image.composite(small, Image.new("RGB", size, _PAPER), photo.alpha.resize(size))
    return small


def _over(stage: Shown, photo: Image.Image) -> Image.Image:
    mean = stage.array.mean(axis=0)
    return _blended(_scaled(mean, *_limits(mean)), photo)


def _blended(values: NDArray[np.float32], photo: Image.Image) -> Image.Image:
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


def _grey(values: NDArray[np.float32], size: tuple[int, int]) -> Image.Image:
    sized = _sized(values, size, Image.Resampling.BICUBIC)
    return Image.fromarray(np.rint(sized * 255).astype(np.uint8)).convert("RGB")


def _sized(values: NDArray[np.float32], size: tuple[int, int], resample: Image.Resampling) -> NDArray[np.float32]:
    sized: NDArray[np.float32] = np.asarray(Image.fromarray(values).resize(size, resample)).clip(0, 1)
    return sized


def _grid(array: NDArray[np.float32], chosen: Sequence[int], size: tuple[int, int]) -> Image.Image:
    """Return channels side by side, each with its number."""
    grid = Image.new("RGB", size, _PAPER)
    pen = ImageDraw.Draw(grid)
    gap = 4
    lefts, tops = (np.linspace(0, length + gap, _CHANNELS + 1).astype(int) for length in size)
    for place, channel in enumerate(chosen):
        row, column = divmod(place, _CHANNELS)
        corner = (int(lefts[column]), int(tops[row]))
        tile = (int(lefts[column + 1]) - gap - corner[0], int(tops[row + 1]) - gap - corner[1])
        values = array[channel]
        grid.paste(_heat(_scaled(values, *_limits(values)), (max(1, tile[0]), max(1, tile[1]))), corner)
        label = (corner[0] + 5, corner[1] + 5)
        pen.text(label, str(channel), (255, 255, 255), _font(12), "lt", stroke_width=2, stroke_fill=(0, 0, 0))
    return grid


def _where(difference: Difference, size: tuple[int, int]) -> Image.Image:
    return _heat(_scaled(difference.where, 0, float(difference.where.max())), size)


def _strongest(array: NDArray[np.float32]) -> list[int]:
    """Return the numbers of the channels that vary most over the photograph; one that is level says nothing of it."""
    variation = _inner(array).std(axis=(1, 2))
    return [int(channel) for channel in np.argsort(-variation, kind="stable")[: _CHANNELS**2]]


def _components(array: NDArray[np.float32]) -> _Components:
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
        planes.append(_scaled(values, *_limits(values)) if share > _ROUNDING else np.zeros_like(values))
        shares.append(share)
    return _Components(tuple(planes), tuple(shares))


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


def _limits(values: NDArray[np.float32]) -> tuple[float, float]:
    """Return between what nearly all values are: the few beyond would leave no contrast to the others."""
    low, high = np.percentile(_inner(values), (1, 99))
    return float(low), float(high)


def _scaled(values: NDArray[np.float32], low: float, high: float) -> NDArray[np.float32]:
    scaled: NDArray[np.float32] = ((values - low) / (high - low or 1)).clip(0, 1).astype(np.float32)
    return scaled


def _fitted(size: tuple[int, int], width: int) -> tuple[int, int]:
    scale = min(width / size[0], _TALLEST * width / size[1])
    return max(1, round(size[0] * scale)), max(1, round(size[1] * scale))


def _dimensions(shape: tuple[int, int, int]) -> str:
    return " x ".join(map(str, shape))


def _figures(difference: Difference) -> tuple[str, str]:
    flipped = f", {difference.flipped:.2%} flipped" if difference.flipped is not None else ""
    return (
        f"mean {difference.mean:.2g}, largest {difference.largest:.2g}",
        f"relative {difference.relative:.1%}{flipped}",
    )


@cache
def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size)


def _wrapped(text: str, width: int) -> list[str]:
    lines = [""]
    for word in text.split():
        longer = f"{lines[-1]} {word}".lstrip()
        if lines[-1] and _font(_TEXT).getlength(longer) > width:
            lines.append(word)
        else:
            lines[-1] = longer
    return lines


def _shortened(text: str, size: int, width: int) -> str:
    """Return as much of a text as fits a width."""
    if _font(size).getlength(text) <= width:
        return text
    while text and _font(size).getlength(f"{text}…") > width:
        text = text[:-1]
    return f"{text}…"
