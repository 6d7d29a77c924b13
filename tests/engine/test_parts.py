"""Connected parts and holes: against a flood fill, pixel by pixel, and on shapes whose parts are known."""

from __future__ import annotations

import time

import numpy as np
import pytest
from numpy.typing import NDArray

from alphadrop.engine import parts
from alphadrop.engine.parts import with_holes_filled, without_small_parts

Matte = NDArray[np.uint8]
Region = list[tuple[int, int]]

CROSS = ((-1, 0), (1, 0), (0, -1), (0, 1))
AROUND = (*CROSS, (-1, -1), (-1, 1), (1, -1), (1, 1))
VISIBLE = 13


def regions(mask: NDArray[np.bool_], steps: tuple[tuple[int, int], ...]) -> list[Region]:
    """The connected regions of a mask, found by walking."""
    left = {(int(row), int(column)) for row, column in np.argwhere(mask)}
    found = []
    while left:
        ahead = [left.pop()]
        region = []
        while ahead:
            row, column = ahead.pop()
            region.append((row, column))
            reached = {(row + down, column + across) for down, across in steps} & left
            left -= reached
            ahead.extend(reached)
        found.append(region)
    return found


def parts_by_walking(matte: Matte, fraction: float) -> Matte:
    found = regions(matte >= VISIBLE, AROUND)
    areas = [sum(int(matte[pixel]) for pixel in region) for region in found]
    result = np.zeros_like(matte)
    for region, area in zip(found, areas, strict=True):
        if area < fraction * max(areas):
            continue
        for row, column in region:
            result[row, column] = matte[row, column]
            around = slice(max(0, row - 2), row + 3), slice(max(0, column - 2), column + 3)
            faint = matte[around] < VISIBLE
            result[around][faint] = matte[around][faint]
    return result if found else matte


def holes_by_walking(matte: Matte, fraction: float) -> Matte:
    height, width = matte.shape
    result = matte.copy()
    for region in regions(255 - matte >= VISIBLE, CROSS):
        at_border = any(row in (0, height - 1) or column in (0, width - 1) for row, column in region)
        if not at_border and sum(255 - int(matte[pixel]) for pixel in region) < fraction * int(matte.sum()):
            for pixel in region:
                result[pixel] = 255
    return result


def random_matte(seed: int) -> Matte:
    """Noise of a random size and density, some of it smooth, some with haze."""
    random = np.random.default_rng(seed)
    height, width = random.integers(1, 28, 2)
    kind = random.random((height, width))
    values = random.integers(VISIBLE, 256, (height, width))
    haze = random.integers(0, VISIBLE, (height, width))
    matte = np.where(kind < random.uniform(0.15, 0.85), values, haze).astype(np.uint8)
    if seed % 3 == 0:
        matte[matte >= VISIBLE] = 255
    if seed % 2:
        matte = np.kron(matte, np.ones((2, 3), np.uint8))
    return matte


@pytest.fixture(params=[1 << 20, 64], ids=["at once", "in strips"])
def strips(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parts, "_STRIP", request.param)


@pytest.mark.usefixtures("strips")
@pytest.mark.parametrize("seed", range(60))
def test_parts_and_holes_are_those_found_by_walking(seed: int) -> None:
    matte = random_matte(seed)
    for fraction in (1e-9, 0.02, 0.3, 1.0):
        np.testing.assert_array_equal(without_small_parts(matte, fraction), parts_by_walking(matte, fraction))
        np.testing.assert_array_equal(with_holes_filled(matte, fraction), holes_by_walking(matte, fraction))


def squares(*sides: int) -> Matte:
    """Squares of these sides beside each other, 10 pixels apart, in haze."""
    matte = np.full((max(sides) + 20, sum(sides) + 10 * len(sides) + 10), 5, np.uint8)
    left = 10
    for side in sides:
        matte[10 : 10 + side, left : left + side] = 255
        left += side + 10
    return matte


def test_parts_below_the_fraction_are_dropped_and_the_others_kept() -> None:
    matte = squares(40, 20, 10)
    assert (without_small_parts(matte, 0.24) == 255).sum() == 1600 + 400
    assert (without_small_parts(matte, 0.26) == 255).sum() == 1600
    assert (without_small_parts(matte, 0.06) == 255).sum() == 1600 + 400 + 100


def test_haze_joins_no_parts_and_is_left_only_around_those_kept() -> None:
    kept = without_small_parts(squares(40, 20), 0.5)
    assert (kept == 5).sum() == 44 * 44 - 40 * 40
    assert kept[8, 8] == 5
    assert not kept[7].any()
    assert not kept[:, 52:].any()


def test_area_is_the_sum_of_alpha() -> None:
    matte = np.zeros((50, 100), np.uint8)
    matte[5:45, 5:45] = 40
    matte[10:30, 60:80] = 255
    kept = without_small_parts(matte, 0.7)
    assert not kept[:, :50].any()
    assert kept[:, 50:].any()


def test_corners_join_parts_and_part_holes() -> None:
    matte = np.zeros((12, 12), np.uint8)
    matte[1:6, 1:6] = matte[6:11, 6:11] = 255
    np.testing.assert_array_equal(without_small_parts(matte, 1), matte)
    ring = np.full((9, 9), 255, np.uint8)
    ring[3, 3] = ring[4, 4] = 0
    assert (with_holes_filled(ring, 0.013) == 255).all(), "each is a hole of its own, one of 79 pixels"
    np.testing.assert_array_equal(with_holes_filled(ring, 0.012), ring)


def test_a_hole_is_filled_with_its_soft_rim_and_a_bay_is_none() -> None:
    rows, columns = np.ogrid[:100, :100]
    hole = np.clip(np.hypot(rows - 50, columns - 50) - 8, 0, 4) / 4
    matte = np.rint(hole * 255).astype(np.uint8)
    filled = with_holes_filled(matte, 0.1)
    assert filled.min() > 255 - VISIBLE
    np.testing.assert_array_equal(filled[matte > 255 - VISIBLE], matte[matte > 255 - VISIBLE])
    matte[50, 50:] = 0
    assert with_holes_filled(matte, 0.1) is matte


def test_what_is_half_there_inside_is_a_hole_too() -> None:
    matte = np.full((60, 60), 255, np.uint8)
    matte[20:30, 20:30] = 120
    assert (with_holes_filled(matte, 0.05) == 255).all()
    assert with_holes_filled(matte, 0.01) is matte


def test_neutral_values_and_what_has_no_parts_are_left_as_they_are() -> None:
    matte = squares(20, 5)
    assert without_small_parts(matte, 0) is matte
    assert with_holes_filled(matte, 0) is matte
    haze = np.full((30, 40), VISIBLE - 1, np.uint8)
    assert without_small_parts(haze, 1) is haze
    for value in (0, 255):
        flat = np.full((30, 40), value, np.uint8)
        np.testing.assert_array_equal(without_small_parts(flat, 1), flat)
        np.testing.assert_array_equal(with_holes_filled(flat, 1), flat)


def spiral(side: int) -> Matte:
    """A line of one pixel that winds inward: one part, of which every row is many runs."""
    matte = np.zeros((side, side), np.uint8)
    low, high = 0, side - 1
    while low <= high:
        matte[low, max(0, low - 2) : high + 1] = 255
        matte[low : high + 1, high] = 255
        matte[high, low : high + 1] = 255
        matte[low + 2 : high + 1, low] = 255
        low, high = low + 2, high - 2
    return matte


def comb(side: int) -> Matte:
    """Teeth that meet in the last row only."""
    matte = np.zeros((side, side), np.uint8)
    matte[:, ::2] = 255
    matte[-1] = 255
    return matte


@pytest.mark.parametrize("winding", [spiral(401), spiral(401).T, comb(400), comb(400)[::-1], comb(400).T])
def test_what_winds_is_one_part(winding: Matte) -> None:
    framed = np.pad(winding, ((0, 0), (0, 20)))
    framed[7:9, -9:-7] = 255
    kept = without_small_parts(np.ascontiguousarray(framed), 0.5)
    np.testing.assert_array_equal(kept, np.pad(winding, ((0, 0), (0, 20))))


@pytest.mark.parametrize("density", [0.3, 0.41, 0.5, 0.6])
def test_noise_of_millions_of_pixels_takes_no_time(density: float) -> None:
    matte = np.where(np.random.default_rng(1).random((1500, 2000)) < density, np.uint8(255), np.uint8(0))
    started = time.monotonic()
    for value in (matte, ~matte):
        without_small_parts(value, 0.1)
        with_holes_filled(value, 0.1)
    assert time.monotonic() - started < 20
