"""Masks: grown as far as they should be."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from alphadrop.engine.masks import blocks, near


def plain_near(mask: NDArray[np.bool_], reach: int) -> NDArray[np.bool_]:
    found = np.zeros_like(mask)
    for y, x in np.argwhere(mask):
        found[max(0, y - reach) : y + reach + 1, max(0, x - reach) : x + reach + 1] = True
    return found


@pytest.mark.parametrize("reach", [0, 1, 2, 5])
@pytest.mark.parametrize("shape", [(1, 1), (1, 9), (9, 1), (20, 31)])
def test_near_is_what_is_at_most_so_many_rows_and_columns_away(shape: tuple[int, int], reach: int) -> None:
    mask = np.random.default_rng(2).random(shape) > 0.9
    before = mask.copy()
    np.testing.assert_array_equal(near(mask, reach), plain_near(mask, reach))
    np.testing.assert_array_equal(mask, before)


@pytest.mark.parametrize("side", [1, 2, 16])
@pytest.mark.parametrize("shape", [(1, 1), (16, 32), (33, 47)])
def test_blocks_have_the_least_and_the_greatest_of_their_values(shape: tuple[int, int], side: int) -> None:
    values = np.random.default_rng(3).integers(0, 256, shape, np.uint8)
    least, greatest = blocks(values, side)
    for y, x in np.ndindex(-(-shape[0] // side), -(-shape[1] // side)):
        block = values[y * side : (y + 1) * side, x * side : (x + 1) * side]
        assert (least[y, x], greatest[y, x]) == (block.min(), block.max())
    assert least.shape == greatest.shape == (-(-shape[0] // side), -(-shape[1] // side))
