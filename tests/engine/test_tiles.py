"""Pictures in parts: everything is done once, and a failure is not lost."""

from __future__ import annotations

import threading

import numpy as np
import pytest
from PIL import Image

from alphadrop.engine.tiles import TILE, each_strip, each_tile, each_tile_of_grid, reduced


@pytest.mark.parametrize("height", [1, 511, 512, 513, 4000])
def test_strips_cover_every_row_once(height: int) -> None:
    seen = np.zeros(height, int)

    def work(rows: slice) -> None:
        seen[rows] += 1

    each_strip(height, work)
    assert (seen == 1).all()


@pytest.mark.parametrize("shape", [(1, 1), (TILE, TILE), (TILE + 1, TILE - 1), (3 * TILE + 7, 2 * TILE + 9)])
def test_tiles_cover_what_is_true_once_and_nothing_else(shape: tuple[int, int]) -> None:
    mask = np.random.default_rng(1).random(shape) > 0.9999
    mask[0, 0] = mask[-1, -1] = True
    seen = np.zeros(shape, int)

    def work(rows: slice, columns: slice) -> None:
        assert mask[rows, columns].any()
        assert max(seen[rows, columns].shape) <= TILE
        seen[rows, columns] += 1

    each_tile(mask, work)
    assert seen.max() == 1
    assert (seen[mask] == 1).all()


def test_nothing_true_is_no_tile() -> None:
    each_tile(np.zeros((600, 600), bool), lambda *_: pytest.fail("nothing is true"))


def test_failure_in_a_tile_is_not_swallowed() -> None:
    def fail(rows: slice, columns: slice) -> None:
        raise ArithmeticError

    before = threading.active_count()
    with pytest.raises(ArithmeticError):
        each_tile(np.ones((TILE * 3, TILE), bool), fail)
    assert threading.active_count() == before


@pytest.mark.parametrize("mode", ["L", "RGB"])
@pytest.mark.parametrize("size", [(1, 1), (1700, 1301), (3, 2000), (2000, 3)])
@pytest.mark.parametrize("by", [(1, 1), (2, 2), (3, 5), (64, 64)])
def test_reduced_is_what_pillow_makes_of_the_whole_picture(
    mode: str, size: tuple[int, int], by: tuple[int, int]
) -> None:
    image = Image.effect_noise(size, 90).convert(mode)
    assert reduced(image, by).tobytes() == image.reduce(by).tobytes()


@pytest.mark.parametrize("size", [(4000, 3000), (1, 1), (160, 160), (50, 900), (900, 50), (331, 257)])
@pytest.mark.parametrize("grid", [(160, 160), (1, 1), (33, 160)])
def test_tiles_of_a_grid_cover_its_pixels_once(size: tuple[int, int], grid: tuple[int, int]) -> None:
    mask = np.random.default_rng(3).random(grid) > 0.8
    mask[0, 0] = mask[-1, -1] = True
    seen = np.zeros(size[::-1], int)

    def work(rows: slice, columns: slice) -> None:
        seen[rows, columns] += 1

    each_tile_of_grid(mask, size, work)
    y, x = ((np.arange(length) + 0.5) * points // length for length, points in zip(size[::-1], grid, strict=True))
    assert seen.max() == 1
    assert (seen[mask[np.ix_(y.astype(int), x.astype(int))]] == 1).all()
