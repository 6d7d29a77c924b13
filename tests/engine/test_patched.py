"""A photograph with patches is what it would be with the patches pasted into it."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from alphadrop.engine.patched import Patch, Patched


@pytest.mark.parametrize("mode", ["L", "RGB"])
def test_every_part_is_as_if_the_patches_had_been_pasted(mode: str) -> None:
    random = np.random.default_rng(1)
    photograph = Image.fromarray(random.integers(0, 256, (90, 120, 3), np.uint8)).convert(mode)
    shapes = {(10, 25): (20, 30), (119, 89): (1, 1), (60, 0): (90, 5)}
    patches = [
        Patch(left, top, random.integers(0, 256, (*shape, 4 if mode == "RGB" else 1), np.uint8))
        for (left, top), shape in shapes.items()
    ]
    patched = Patched(photograph, tuple(patches))
    wanted = np.atleast_3d(np.array(photograph))
    for patch in patches:
        height, width, _ = patch.pixels.shape
        wanted[patch.top : patch.top + height, patch.left : patch.left + width] = patch.pixels[..., : len(mode)]
    before = photograph.tobytes()
    assert patched.mode == mode
    np.testing.assert_array_equal(np.atleast_3d(np.asarray(patched.whole())), wanted)
    for top, bottom in ((0, 1), (0, 20), (30, 40), (20, 90), (88, 90), (0, 90)):
        np.testing.assert_array_equal(patched.rows(top, bottom)[..., : len(mode)], wanted[top:bottom])
    assert photograph.tobytes() == before
