"""The icon: its states are told apart at every size, on light and on dark panels, and it is as sharp as pixels are."""

from __future__ import annotations

import io
from itertools import combinations

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from alphadrop.desktop.icons import COLOURS, LOOKS, Look, TrayPicture, draw, draw_tile

SIZES = [16, 22, 24, 32, 48, 64]
GROUNDS = [(255, 255, 255), (246, 245, 244), (53, 53, 53), (0, 0, 0)]


def on(ground: tuple[int, int, int], look: Look, size: int) -> NDArray[np.int16]:
    picture = Image.new("RGBA", (size, size), ground)
    return np.asarray(Image.alpha_composite(picture, draw(look, size)).convert("RGB"), np.int16)


def luminance(colour: tuple[int, ...]) -> float:
    linear = [
        value / 12.92 if value <= 0.04045 else ((value + 0.055) / 1.055) ** 2.4 for value in np.array(colour) / 255
    ]
    return float(np.dot(linear, (0.2126, 0.7152, 0.0722)))


def contrast(one: tuple[int, ...], other: tuple[int, ...]) -> float:
    light, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


@pytest.mark.parametrize("look", LOOKS)
def test_every_colour_stands_out_from_light_and_from_dark_panels(look: str) -> None:
    assert contrast(COLOURS[look], (255, 255, 255)) >= 3
    assert contrast(COLOURS[look], (0, 0, 0)) >= 3


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("ground", GROUNDS, ids=str)
def test_no_two_states_look_alike(size: int, ground: tuple[int, int, int]) -> None:
    pictures = {name: on(ground, Look(name, 0.5), size) for name in LOOKS}
    for one, other in combinations(LOOKS, 2):
        differs = (np.abs(pictures[one] - pictures[other]).max(axis=2) > 40).mean()
        assert differs > 0.04, f"{one} and {other}"


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("name", LOOKS)
def test_it_has_the_size_that_is_asked_for_and_fills_it(size: int, name: str) -> None:
    picture = draw(Look(next(look for look in LOOKS if look == name), 0.5), size)
    assert picture.size == (size, size)
    left, top, right, bottom = picture.getchannel("A").getbbox() or (0, 0, 0, 0)
    assert bottom - top >= 0.9 * size
    assert right - left >= 0.55 * size
    assert abs((left + right) / 2 - size / 2) <= size * (0.2 if name == "attention" else 0.05)


@pytest.mark.parametrize("size", SIZES)
def test_the_bars_of_a_pause_are_whole_pixels(size: int) -> None:
    hollow = np.asarray(draw(Look("idle"), size).getchannel("A"), np.int16) - np.asarray(
        draw(Look("paused"), size).getchannel("A"), np.int16
    )
    assert set(np.unique(hollow)) <= {0, 255}
    row = hollow[round(size * 0.65)] == 255
    assert int((np.diff(row.astype(np.int8)) == 1).sum()) == 2


@pytest.mark.parametrize("size", SIZES)
def test_the_ring_grows_with_the_work(size: int) -> None:
    whole = [
        int((np.asarray(draw(Look("working", part), size).getchannel("A")) > 200).sum()) for part in (0, 0.3, 0.6, 1)
    ]
    assert whole == sorted(set(whole))


@pytest.mark.parametrize("progress", [-1.0, 0.0, 1.0, 7.0])
def test_no_progress_is_too_much_for_it(progress: float) -> None:
    assert draw(Look("working", progress), 22).getchannel("A").getextrema() == (0, 255)


@pytest.mark.parametrize("size", SIZES)
def test_where_there_is_no_transparency_it_is_white_on_its_colour(size: int) -> None:
    for name in LOOKS:
        picture = draw_tile(Look(name, 0.5), size)
        assert picture.mode == "RGB"
        assert picture.getpixel((0, 0)) == COLOURS[name]
        assert (255, 255, 255) in {colour for _, colour in picture.getcolors(10_000) or []}


def test_panels_get_it_drawn_in_the_size_that_they_want() -> None:
    picture = TrayPicture(Look("paused"))
    assert picture.resize((22, 22), Image.Resampling.LANCZOS).tobytes() == draw(Look("paused"), 22).tobytes()
    oblong = TrayPicture(Look("paused"), tile=True).resize((24, 30))
    assert oblong.size == (24, 30)
    assert oblong.getpixel((0, 0)) == COLOURS["paused"]
    file = io.BytesIO()
    picture.save(file, "PNG")
    with Image.open(file) as saved:
        assert saved.size == picture.size
