"""What is drawn of a network's stages, where it can be said beforehand."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from alphadrop.engine import stage_panels, stage_pictures
from alphadrop.engine.explain import Explanation, Shown, compare
from alphadrop.engine.photo import Photo, from_image
from alphadrop.engine.stage_pictures import draw, draw_difference, picture_names

SIDE = 40


def corner(channels: int, side: int, *, value: float = 1) -> NDArray[np.float32]:
    """Channels that are bright in the top left quarter only, each a little more than the one before."""
    array = np.zeros((channels, side, side), np.float32)
    array[:, : side // 2, : side // 2] = value * np.linspace(0.5, 1, channels)[:, np.newaxis, np.newaxis]
    return array


def explained(value: float = 1) -> Explanation:
    stages = (
        Shown("en1", "sum one", corner(6, SIDE, value=value)),
        Shown("en2", "sum two", corner(20, SIDE // 2)),
        Shown("de1", "sum three", corner(2, SIDE)),
    )
    sides = tuple(Shown(f"side-{number}", f"map {number}", corner(1, SIDE)) for number in (1, 2))
    view = np.full((SIDE, SIDE, 3), 128, np.uint8)
    return Explanation("tiny", view, stages, sides, Shown("fused", "map", corner(1, SIDE)))


def photograph(width: int, height: int, mode: str = "RGB") -> Photo:
    return from_image(Image.new(mode, (width, height), "grey"))


def quarters(picture: Image.Image, box: tuple[int, int, int, int]) -> tuple[float, float]:
    """Brightness of a picture's top left quarter, and of its bottom right one."""
    grey = np.asarray(picture.convert("L").crop(box), float)
    down, across = grey.shape
    return grey[: down // 2 - 4, : across // 2 - 4].mean(), grey[down // 2 + 4 :, across // 2 + 4 :].mean()


def test_each_stage_and_map_has_its_picture() -> None:
    drawn = dict(draw(explained(), photograph(90, 60)))
    assert list(drawn) == picture_names(explained()) == [
        "explain.png", "stage-en1.png", "stage-en2.png", "stage-de1.png", "side-1.png", "side-2.png", "fused.png",
    ]  # fmt: skip
    assert {picture.mode for picture in drawn.values()} == {"RGB"}
    assert len({drawn[name].size for name in drawn if name.startswith("stage")}) == 1
    assert {drawn[name].size for name in ("side-1.png", "side-2.png", "fused.png")} == {(1088, 564)}


@pytest.mark.parametrize("size", [(90, 60), (60, 90), (400, 10), (10, 400), (1, 1)], ids=str)
@pytest.mark.parametrize("mode", ["RGB", "L", "RGBA"])
def test_photographs_of_every_shape_are_drawn(size: tuple[int, int], mode: str) -> None:
    told = explained()
    drawn = dict(draw(told, photograph(*size, mode)))
    assert len(drawn) == 7
    assert all(min(picture.size) > 96 for picture in drawn.values())
    draw_difference(told, explained(2), compare(told, explained(2)), photograph(*size, mode))


def test_pictures_are_bright_where_the_stage_is() -> None:
    photo = photograph(480, 320)
    drawn = dict(draw(explained(), photo))
    picture = drawn["stage-en2.png"]
    top = picture.height - 48 - 46 - 320
    for panel, left in enumerate((48, 48 + 512, 48 + 1024)):
        bright, dark = quarters(picture, (left, top, left + 480, top + 320))
        if panel == 1:  # each of the channels is a small picture of its own
            bright, dark = quarters(picture, (left, top, left + 117, top + 77))
        assert bright > dark + 60, panel
    fused = drawn["fused.png"]
    top = fused.height - 48 - 46 - 320
    assert quarters(fused, (48, top, 48 + 480, top + 320)) == pytest.approx((128, 0), abs=1)


def test_the_strongest_channels_are_those_that_vary_most() -> None:
    array = np.ones((30, SIDE, SIDE), np.float32) * 100
    for strength, channel in enumerate((7, 3, 21)):
        array[channel, 10:20, 10:20] += 3 - strength
    array[5, :1] = 1000  # the rim says nothing of the photograph
    strongest = stage_panels.strongest_channels(array)
    assert len(strongest) == 16
    assert strongest[:3] == [7, 3, 21]


def test_principal_components_are_those_of_all_the_eigenvectors() -> None:
    random = np.random.default_rng(1)
    array = np.einsum("ck,khw->chw", random.normal(0, 1, (40, 40)), random.normal(0, 1, (40, SIDE, SIDE)))
    points = array[:, 2:-2, 2:-2].reshape(40, -1)
    variances, axes = np.linalg.eigh(np.cov(points, bias=True))
    found = stage_panels.components_of(array.astype(np.float32))
    assert found.shares == pytest.approx(variances[::-1][:3] / variances.sum(), rel=1e-3)
    for plane, axis in zip(found.planes, axes[:, ::-1].T, strict=False):
        projected = np.tensordot(axis, array, 1)
        assert abs(np.corrcoef(plane[2:-2, 2:-2].ravel(), projected[2:-2, 2:-2].ravel())[0, 1]) > 0.99


def test_a_stage_of_nothing_has_components_too() -> None:
    found = stage_panels.components_of(np.zeros((2, 10, 10), np.float32))
    assert found.shares == (0, 0)
    assert found.drawn((20, 20)).getextrema() == ((0, 0),) * 3


def test_the_difference_is_bright_where_it_is() -> None:
    one, reference = explained(3), explained(1)
    differences = compare(one, reference)
    picture = draw_difference(one, reference, differences, photograph(480, 320))
    rows = 3
    down = 144 + 46 + 44 + 30
    top = picture.height - 48 - (rows * down - 30)
    bright, dark = quarters(picture, (48, top, 48 + 216, top + 144))
    assert (bright > 150, dark < 5) == (True, True)
    assert quarters(picture, (48, top + down, 48 + 216, top + down + 144)) == pytest.approx((0, 0), abs=1)


def test_text_is_shortened_to_its_width() -> None:
    long = "/stage1/rebnconvin/relu_s1/Relu_output_0"
    assert stage_pictures._shortened("en1", 15, 100) == "en1"
    short = stage_pictures._shortened(long, 15, 100)
    assert short.endswith("…")
    assert long.startswith(short[:-1])
    assert 60 < stage_panels.font(15).getlength(short) <= 100
