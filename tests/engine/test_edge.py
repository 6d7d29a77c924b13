"""The edge controls: shift, feather and hardness of shapes whose results are known."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageFilter
from skimage.morphology import dilation, erosion

from alphadrop.engine.edge import adjusted, feathered, shifted, steepened
from alphadrop.engine.options import CutOptions

Matte = NDArray[np.uint8]


def disc(side: int, radius: float, softness: float = 1.0) -> Matte:
    """A disc in the middle; its edge goes from 255 to 0 over so many pixels."""
    rows, columns = np.ogrid[:side, :side]
    distance = np.hypot(rows - (side - 1) / 2, columns - (side - 1) / 2)
    return np.rint(np.clip((radius - distance) / softness + 0.5, 0, 1) * 255).astype(np.uint8)


def noise(height: int, width: int, seed: int = 0) -> Matte:
    return np.random.default_rng(seed).integers(0, 256, (height, width), dtype=np.uint8)


def point(side: int) -> Matte:
    matte = np.zeros((side, side), np.uint8)
    matte[side // 2, side // 2] = 255
    return matte


def octagon(radius: int) -> NDArray[np.bool_]:
    """A square and a diamond added up, pixel by pixel; shape (2 radius + 1, 2 radius + 1)."""
    square = round(radius * (2**0.5 - 1))
    away = np.abs(np.arange(-radius, radius + 1))
    beyond = np.maximum(away - square, 0)
    wanted: NDArray[np.bool_] = beyond[:, None] + beyond <= radius - square
    return wanted


# Shift


@pytest.mark.parametrize("radius", [*range(1, 13), 31, 100])
def test_a_point_grows_to_an_octagon(radius: int) -> None:
    grown = shifted(point(2 * radius + 9), radius)
    assert set(np.unique(grown)) == {0, 255}
    np.testing.assert_array_equal(grown[4:-4, 4:-4] > 0, octagon(radius))
    assert not grown[:4].any()


@pytest.mark.parametrize("radius", [1, 2, 3, 5, 10, 40, 100])
def test_the_octagon_is_nearly_a_disc(radius: int) -> None:
    rows, columns = np.nonzero(octagon(radius))
    corner = np.hypot(rows - radius, columns - radius).max()
    assert radius <= corner <= max(radius * 1.09, radius + 0.4)  # a regular octagon's corner is at 1.082


@pytest.mark.parametrize("pixels", [-20, -7, -1, 1, 2, 3, 8, 25])
def test_an_edge_is_moved_by_so_many_pixels_and_stays_as_soft(pixels: int) -> None:
    line = np.rint(np.clip((100 - np.arange(201)) / 9 + 0.5, 0, 1) * 255).astype(np.uint8)
    matte = np.tile(line, (30, 1))
    for moved in (shifted(matte, pixels), shifted(np.ascontiguousarray(matte.T), pixels).T):
        np.testing.assert_array_equal(moved[:, 50 + pixels : 150 + pixels], matte[:, 50:150])


@pytest.mark.parametrize("pixels", [-20, -7, -1, 1, 2, 3, 8, 25])
def test_a_disc_stays_nearly_a_disc(pixels: int) -> None:
    moved = shifted(disc(201, 50, softness=9), pixels) / 255
    assert np.sqrt(moved.sum() / np.pi) == pytest.approx(50 + pixels, abs=0.06 * abs(pixels) + 0.3)


@pytest.mark.parametrize("radius", [1, 2, 3, 6, 11])
@pytest.mark.parametrize("shape", [(1, 1), (1, 50), (50, 1), (37, 61)])
def test_shifts_are_grey_dilations_and_erosions_up_to_the_border(shape: tuple[int, int], radius: int) -> None:
    matte, element = noise(*shape), octagon(radius)
    np.testing.assert_array_equal(shifted(matte, radius), dilation(matte, element, mode="min"))
    np.testing.assert_array_equal(shifted(matte, -radius), erosion(matte, element, mode="max"))


def test_tiles_leave_no_seam() -> None:
    matte = np.maximum(noise(1100, 700), 128)
    matte[:, 300:] = 7
    element = octagon(5)
    np.testing.assert_array_equal(shifted(matte, 5), dilation(matte, element, mode="min"))


def test_contraction_is_expansion_of_what_is_around() -> None:
    matte = noise(90, 130)
    np.testing.assert_array_equal(shifted(matte, -9), ~shifted(~matte, 9))


def test_a_subject_that_the_border_cuts_is_not_contracted_from_there() -> None:
    matte = np.zeros((60, 80), np.uint8)
    matte[20:, 30:] = 255
    wanted = np.zeros_like(matte)
    wanted[25:, 35:] = 255
    np.testing.assert_array_equal(shifted(matte, -5), wanted)


def test_a_line_narrower_than_the_shift_is_gone() -> None:
    matte = np.zeros((50, 50), np.uint8)
    matte[20:25] = 255
    assert set(np.unique(shifted(matte, -2))) == {0, 255}
    assert not shifted(matte, -3).any()


# Feather


@pytest.mark.parametrize("deviation", [0.3, 1, 2.5, 12, 40])
def test_feather_is_pillows_blur_of_the_whole_to_the_bit(deviation: float) -> None:
    matte = np.zeros((1300, 700), np.uint8)
    matte[200:500, 100:650] = noise(300, 550)
    matte[700:, 500:] = 255
    wanted = np.asarray(Image.fromarray(matte).filter(ImageFilter.GaussianBlur(deviation)))
    np.testing.assert_array_equal(feathered(matte, deviation), wanted)


@pytest.mark.parametrize("deviation", [2, 8, 30])
def test_a_feathered_edge_has_the_gaussians_profile(deviation: float) -> None:
    matte = np.zeros((5, 400), np.uint8)
    matte[:, 200:] = 255
    line = feathered(matte, deviation)[2] / 255
    steps = np.diff(line)
    middle = (steps * np.arange(399)).sum() / steps.sum()
    assert middle == pytest.approx(199, abs=0.3)
    assert np.sqrt((steps * (np.arange(399) - middle) ** 2).sum()) == pytest.approx(deviation, rel=0.05)


@pytest.mark.parametrize("value", [0, 1, 127, 254, 255])
@pytest.mark.parametrize("shape", [(1, 1), (3, 900), (600, 40)])
def test_what_is_flat_stays_flat(shape: tuple[int, int], value: int) -> None:
    matte = np.full(shape, value, np.uint8)
    for changed in (feathered(matte, 7.5), shifted(matte, 9), shifted(matte, -9)):
        np.testing.assert_array_equal(changed, matte)


# Hardness

VALUES = np.arange(256, dtype=np.uint8)[None]


@pytest.mark.parametrize("hardness", [0.01, 0.25, 0.5, 0.9, 0.999, 1.0])
def test_hardness_is_contrast_about_one_half(hardness: float) -> None:
    harder = steepened(VALUES, hardness)[0].astype(int)
    assert (harder[0], harder[255]) == (0, 255)
    assert (np.diff(harder) >= 0).all()
    np.testing.assert_allclose(harder + harder[::-1], 255, atol=1)
    assert (harder[:128] <= VALUES[0, :128]).all()
    assert (harder[128:] >= VALUES[0, 128:]).all()


def test_half_the_hardness_doubles_the_contrast() -> None:
    harder = steepened(VALUES, 0.5)[0].astype(int)
    assert set(np.diff(harder[66:190])) == {2}
    assert not harder[:64].any()
    assert (harder[192:] == 255).all()


def test_the_hardest_edge_is_all_or_nothing() -> None:
    np.testing.assert_array_equal(steepened(VALUES, 1)[0], np.where(VALUES[0] > 127, 255, 0))
    softest = [len(np.unique(steepened(VALUES, hardness))) for hardness in (0, 0.3, 0.6, 0.9, 1)]
    assert all(one > other for one, other in pairwise(softest))


# All of them


def test_neutral_values_change_nothing() -> None:
    matte = noise(40, 50)
    assert adjusted(matte, CutOptions()) is matte
    for same in (shifted(matte, 0), feathered(matte, 0.0), steepened(matte, 0.0)):
        assert same is matte


def test_they_follow_each_other_as_in_photoshop() -> None:
    matte = disc(300, 80, softness=12)
    matte[5:9, 5:9] = 255
    matte[150, 150] = 0
    options = CutOptions(shift_edge=-4, feather=3, hardness=0.4, smallest_part=0.1, fill_holes=0.01)
    whole = disc(300, 80, softness=12)
    wanted = shifted(steepened(feathered(whole, 3), 0.4), -4)
    np.testing.assert_array_equal(adjusted(matte, options), wanted)
    assert not np.array_equal(wanted, feathered(steepened(shifted(whole, -4), 0.4), 3))


def test_what_is_given_is_left_as_it_was() -> None:
    matte = noise(60, 70)
    before = matte.copy()
    adjusted(matte, CutOptions(shift_edge=3, feather=1, hardness=0.2, smallest_part=0.5, fill_holes=0.5))
    np.testing.assert_array_equal(matte, before)
