"""A photograph with patches is what it would be with the patches pasted into it."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from alphadrop.engine.patched import Patch, Patched


@pytest.mark.parametrize("mode", ["L", "RGB"])
def test_every_part_is_as_if_the_patches_had_been_pasted(mode: str) -> None:
    random = np.random.default_rng(1)
    photograph, *places = (
        Image.fromarray(random.integers(0, 256, shape, np.uint8)).convert(mode)
        for shape in ((90, 120, 3), (20, 30, 3), (1, 1, 3), (90, 5, 3))
    )
    patches = [Patch(left, top, each) for (left, top), each in zip(((10, 25), (119, 89), (60, 0)), places, strict=True)]
    patched = Patched(photograph, tuple(patches))
    wanted = photograph.copy()
    for patch in patches:
        wanted.paste(patch.image, (patch.left, patch.top))
    assert patched.mode == mode
    assert patched.whole().tobytes() == wanted.tobytes()
    assert patched.whole().tobytes() != photograph.tobytes()
    for box in ((0, 0, 120, 1), (0, 30, 120, 40), (15, 20, 25, 90), (118, 88, 120, 90), (50, 0, 61, 3)):
        assert patched.crop(box).tobytes() == wanted.crop(box).tobytes(), box
