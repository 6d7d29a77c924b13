"""The icon's bitmaps are the SVG's one shape."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from alphadrop.desktop import app_icon
from alphadrop.errors import NotWhole


def test_each_size_is_a_whole_drop_in_the_colour_of_the_svg() -> None:
    for size in app_icon.SIZES:
        with Image.open(io.BytesIO(app_icon.png(size))) as image:
            assert (image.size, image.mode) == ((size, size), "RGBA")
            pixels = np.asarray(image)
        alpha = pixels[..., 3]
        assert (pixels[..., :3][alpha > 0] == (0x0F, 0x76, 0x6E)).all()
        assert alpha[int(0.6 * size), size // 2] == 255
        assert not alpha[[0, -1]].any()
        assert not alpha[:, [0, -1]].any()
        assert (alpha == alpha[:, ::-1]).mean() > 0.95, "it is as wide on both sides"
        assert 0.25 < (alpha / 255).mean() < 0.40, "as in the SVG"


def test_a_shape_of_another_kind_is_an_installation_that_is_not_whole(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(Path, "read_bytes", lambda _: b"<svg><circle/></svg>")
    with pytest.raises(NotWhole):
        app_icon.png(17)
