"""Straight colours and alpha: the same however they are asked for."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from alphadrop.engine.masks import near
from alphadrop.engine.patched import Patched
from alphadrop.engine.straight import REACH, StraightRows


def rows_of(mode: str, height: int, width: int) -> StraightRows:
    rng = np.random.default_rng(8)
    alpha = np.zeros((height, width), np.uint8)
    alpha[height // 3 : 2 * height // 3, width // 4 : width // 2 + 1] = rng.integers(0, 256)
    alpha[rng.random((height, width)) > 0.999] = 1
    return StraightRows(Patched(Image.effect_noise((width, height), 90).convert(mode)), alpha)


@pytest.mark.parametrize("mode", ["L", "RGB"])
@pytest.mark.parametrize("size", [(1, 1), (1, 40), (40, 1), (700, 333), (1100, 70)])
def test_rows_are_the_same_one_by_one_in_strips_and_as_a_whole(mode: str, size: tuple[int, int]) -> None:
    rows = rows_of(mode, *size)
    kept = near(rows.alpha > 0, REACH)[..., np.newaxis]
    wanted = np.dstack([np.asarray(rows.photograph.image), rows.alpha]) * kept
    whole = np.asarray(rows)
    assert rows.shape == whole.shape == wanted.shape
    np.testing.assert_array_equal(whole, wanted)
    for step in (1, 7, 128):
        strips = [rows[top : top + step] for top in range(0, size[0], step)]
        np.testing.assert_array_equal(np.concatenate(strips), wanted)


def test_neither_photograph_nor_matte_is_changed() -> None:
    rows = rows_of("RGB", 200, 100)
    before = rows.photograph.whole().tobytes(), rows.alpha.tobytes()
    np.asarray(rows)[:] = 0
    assert (rows.photograph.whole().tobytes(), rows.alpha.tobytes()) == before
