"""Coarse grids read at full size: box means, interpolation and tiles against the slow and plain way."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from alphadrop.engine.field import Field, box_mean, halved, joined, planes, quarters, unit


def random(*shape: int, seed: int = 0) -> NDArray[np.float32]:
    return np.random.default_rng(seed).random(shape, dtype=np.float32)


def plain_box_mean(values: NDArray[np.float32], radius: int) -> NDArray[np.float64]:
    means = np.empty(values.shape)
    for y in range(values.shape[1]):
        for x in range(values.shape[2]):
            window = values[:, max(0, y - radius) : y + radius + 1, max(0, x - radius) : x + radius + 1]
            means[:, y, x] = window.mean(axis=(1, 2), dtype=np.float64)
    return means


@pytest.mark.parametrize("radius", [0, 1, 3, 8, 40])
@pytest.mark.parametrize("shape", [(2, 9, 13), (1, 1, 1), (3, 1, 20), (1, 20, 1), (4, 8, 8)])
def test_box_mean_is_the_mean_of_the_window_cut_at_the_borders(shape: tuple[int, int, int], radius: int) -> None:
    values = random(*shape)
    np.testing.assert_allclose(box_mean(values, radius), plain_box_mean(values, radius), atol=1e-6)
    assert box_mean(values, radius).dtype == np.float32


def test_box_mean_keeps_small_differences_on_large_values() -> None:
    values = (1000 + random(1, 400, 300) / 1000).astype(np.float32)
    wanted = plain_box_mean(values[:, 190:211, 140:161], 5)[0, 10, 10]
    assert box_mean(values, 5)[0, 200, 150] == pytest.approx(wanted, rel=1e-7)


def test_box_mean_of_nothing_is_nothing_to_the_last_bit() -> None:
    assert set(np.unique(box_mean(np.zeros((1, 50, 60), np.float32), 4))) == {0.0}


@pytest.mark.parametrize("size", [(64, 48), (100, 12), (16, 200), (16, 12)])
def test_field_is_read_as_bilinear_enlargement(size: tuple[int, int]) -> None:
    values = random(2, 12, 16)
    whole = Field(values, size).tile(slice(0, size[1]), slice(0, size[0]))
    assert whole.shape == (2, size[1], size[0])
    for read, plane in zip(whole, values, strict=True):
        enlarged = Image.fromarray(plane).resize(size, Image.Resampling.BILINEAR)
        np.testing.assert_allclose(read, np.asarray(enlarged), atol=1e-5)


@pytest.mark.parametrize("size", [(1, 1), (1, 300), (300, 1)])
def test_field_of_a_thin_photograph_is_read(size: tuple[int, int]) -> None:
    values = random(1, min(size[1], 100), min(size[0], 100))
    read = Field(values, size).tile(slice(0, size[1]), slice(0, size[0]))
    assert (read.min(), read.max()) == pytest.approx((values.min(), values.max()), abs=0.1)


def test_tiles_of_a_field_fit_together() -> None:
    field = Field(random(3, 9, 11), (301, 257))
    whole = field.tile(slice(0, 257), slice(0, 301))
    for rows, columns in [
        (slice(0, 5), slice(3, 4)),
        (slice(100, 257), slice(0, 301)),
        (slice(256, 257), slice(300, 301)),
    ]:
        np.testing.assert_allclose(field.tile(rows, columns), whole[:, rows, columns], rtol=0, atol=1e-6)


def test_flat_field_stays_flat() -> None:
    field = Field(np.full((2, 3, 4), 0.3, np.float32), (100, 90))
    np.testing.assert_allclose(field.tile(slice(10, 50), slice(0, 100)), 0.3, rtol=0, atol=1e-6)


def test_unit_brings_eight_bits_to_one() -> None:
    values = unit(np.arange(256, dtype=np.uint8))
    assert values.dtype == np.float32
    np.testing.assert_allclose(values, np.arange(256) / 255, atol=1e-7)
    assert values[255] <= 1


def test_planes_are_the_channels_one_after_the_other() -> None:
    picture = np.random.default_rng(2).integers(0, 256, (5, 7, 3), dtype=np.uint8)
    np.testing.assert_allclose(planes(picture), picture.transpose(2, 0, 1) / 255, atol=1e-7)
    np.testing.assert_allclose(planes(picture[..., 0]), picture[np.newaxis, ..., 0] / 255, atol=1e-7)


@pytest.mark.parametrize("shape", [(2, 8, 6), (3, 7, 9), (1, 1, 1), (5, 1), (4, 4)])
def test_halved_values_are_the_means_of_four_with_odd_borders_repeated(shape: tuple[int, ...]) -> None:
    values = random(*shape)
    width = [(0, 0)] * (len(shape) - 2) + [(0, length % 2) for length in shape[-2:]]
    whole = np.pad(values, width, mode="edge")
    wanted = (whole[..., 0::2, 0::2] + whole[..., 1::2, 0::2] + whole[..., 0::2, 1::2] + whole[..., 1::2, 1::2]) / 4
    np.testing.assert_allclose(halved(values), wanted, atol=1e-6)


@pytest.mark.parametrize("shape", [(8, 6, 4), (7, 9, 1), (1, 1, 4), (5, 2, 1)])
def test_the_mean_of_quarters_is_the_picture_halved_and_joined_they_are_the_picture(
    shape: tuple[int, int, int],
) -> None:
    picture = np.random.default_rng(3).integers(0, 256, shape, dtype=np.uint8)
    split = quarters(picture)
    colours = picture[..., :3]
    np.testing.assert_allclose(split.mean(axis=0) / 255, halved(planes(colours)), atol=1e-6)
    np.testing.assert_array_equal(joined(split)[: shape[0], : shape[1], :3], colours)
