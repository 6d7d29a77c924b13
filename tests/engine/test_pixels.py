"""An image's own memory is read without a copy, and one that cannot be is copied."""

from __future__ import annotations

import gc
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from alphadrop.engine.pixels import pixels, prepare_memory, words

MODES = ["L", "RGB"]


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("size", [(1, 1), (7, 1), (1, 9), (640, 333), (5000, 2100)])
def test_they_are_what_the_image_has(mode: str, size: tuple[int, int]) -> None:
    image = Image.effect_noise(size, 90).convert(mode)
    own = pixels(image)
    assert own.shape == (*size[::-1], 4 if mode == "RGB" else 1)
    assert not own.flags.writeable
    np.testing.assert_array_equal(own[..., : len(mode)], np.atleast_3d(np.asarray(image)))


@pytest.mark.parametrize("mode", MODES)
def test_an_image_of_many_megabytes_is_not_copied(mode: str) -> None:
    image = Image.new(mode, (5000, 4000))
    own = pixels(image)
    image.paste(255, (10, 10, 20, 20)) if mode == "L" else image.paste((255, 255, 255), (10, 10, 20, 20))
    assert own[15, 15, 0] == 255


@pytest.mark.parametrize("mode", MODES)
def test_they_outlive_the_image(mode: str) -> None:
    image = Image.new(mode, (2000, 1500), 77 if mode == "L" else (77, 77, 77))
    own = pixels(image)
    del image
    gc.collect()
    others = [Image.new(mode, (2000, 1500)) for _ in range(4)]
    assert own[..., : len(mode)].min() == own[..., : len(mode)].max() == 77
    assert len(others) == 4


def test_an_image_that_is_read_from_its_file_is_taken_all_the_same(tmp_path: Path) -> None:
    """Pillow maps such files into memory instead of reading them."""
    picture = Image.effect_noise((300, 200), 90)
    picture.save(tmp_path / "grey.tif")
    with Image.open(tmp_path / "grey.tif") as image:
        np.testing.assert_array_equal(pixels(image)[..., 0], np.asarray(picture))


def test_an_image_of_several_blocks_is_copied() -> None:
    Image.core.set_use_block_allocator(False)  # type: ignore[attr-defined]
    try:
        image = Image.new("RGB", (5000, 4000), (1, 2, 3))
    finally:
        Image.core.set_use_block_allocator(True)  # type: ignore[attr-defined]
    with pytest.raises(ValueError, match="contiguous"):
        image.__arrow_c_array__()
    np.testing.assert_array_equal(pixels(image)[::999, ::999, :3], np.asarray(image)[::999, ::999])


@pytest.mark.parametrize("mode", MODES)
def test_an_image_whose_memory_was_prepared_is_decoded_as_ever(mode: str, tmp_path: Path) -> None:
    Image.effect_noise((2500, 2000), 90).convert(mode).save(tmp_path / "noise.jpg")
    with Image.open(tmp_path / "noise.jpg") as image, Image.open(tmp_path / "noise.jpg") as other:
        image.load_prepare()
        prepare_memory(image)
        np.testing.assert_array_equal(np.asarray(image), np.asarray(other))


def test_words_have_the_first_value_lowest() -> None:
    assert words(np.array([[[1, 2, 3, 4], [5, 6, 7, 8]]], np.uint8)).tolist() == [[0x04030201, 0x08070605]]
    assert words(np.array([[[9], [8]]], np.uint8)).tolist() == [[9, 8]]
