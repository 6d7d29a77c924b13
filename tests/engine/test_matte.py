"""From the saliency map to the matte: enlarged plainly, or refined along the photograph's own edges."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from alphadrop.engine.matte import alpha_matte, enlarge
from alphadrop.engine.options import EDGES, Edges

SHAPES = [(1, 1), (1, 40), (40, 1), (320, 320), (7, 900), (1200, 801)]
"""Height and width."""


def half(side: int = 320) -> NDArray[np.float32]:
    """A map whose right half is subject, with an edge about as soft as networks make it."""
    line = np.clip((np.arange(side) - side / 2 + 0.5) / 5 + 0.5, 0, 1)
    return np.tile(line, (side, 1)).astype(np.float32)


def scene(height: int, width: int, edge: float = 0.5, mode: str = "RGB") -> Image.Image:
    """A dark background on the left, a bright subject on the right, a little noise."""
    pixels = np.where(np.arange(width)[None, :, None] < edge * width, (40, 60, 50), (210, 190, 160))
    noise = np.random.default_rng(0).integers(-4, 5, (height, width, 3))
    return Image.fromarray((np.broadcast_to(pixels, (height, width, 3)) + noise).astype(np.uint8)).convert(mode)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("side", [320, 1024])
def test_plain_is_pillows_bicubic_enlargement_to_a_rounding(shape: tuple[int, int], side: int) -> None:
    saliency = np.random.default_rng(1).random((side, side), dtype=np.float32)
    image = Image.new("RGB", shape[::-1])
    eight_bit = Image.fromarray(np.rint(saliency * 255).astype(np.uint8))
    # Across first, then down: Pillow itself takes the cheaper order, and clips between the two.
    wide = eight_bit.resize((image.width, side), Image.Resampling.BICUBIC)
    wanted = np.asarray(wide.resize(image.size, Image.Resampling.BICUBIC))
    matte = alpha_matte(saliency, image, "plain")
    off = np.abs(matte.astype(int) - wanted)
    assert off.max() <= 1
    assert np.count_nonzero(off) <= 0.005 * off.size
    np.testing.assert_array_equal(enlarge(saliency, image.size), matte)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("mode", ["RGB", "L"])
@pytest.mark.parametrize("edges", EDGES)
def test_matte_has_the_photographs_size_and_eight_bits(shape: tuple[int, int], mode: str, edges: Edges) -> None:
    image = Image.effect_noise(shape[::-1], 90).convert(mode)
    matte = alpha_matte(half(), image, edges)
    assert matte.shape == shape
    assert matte.dtype == np.uint8


@pytest.mark.parametrize("value", [0.0, 1.0])
@pytest.mark.parametrize("edges", EDGES)
def test_sure_map_stays_sure_whatever_the_photograph(value: float, edges: Edges) -> None:
    saliency = np.full((320, 320), value, np.float32)
    matte = alpha_matte(saliency, Image.effect_noise((500, 400), 120).convert("RGB"), edges)
    assert set(np.unique(matte)) == {round(value * 255)}


@pytest.mark.parametrize("mode", ["RGB", "L"])
def test_refined_matte_follows_the_edge_of_the_photograph(mode: str) -> None:
    image = scene(600, 1600, edge=0.505, mode=mode)  # 8 pixels from where the map has it
    truth = np.tile(np.arange(1600) >= 0.505 * 1600, (600, 1))
    plain = np.abs(alpha_matte(half(), image, "plain") / 255 - truth).mean()
    refined = np.abs(alpha_matte(half(), image, "refined") / 255 - truth).mean()
    assert refined < plain * 0.8


def test_refined_matte_is_steep_where_the_photograph_is() -> None:
    image = scene(600, 1600)
    steepest = {edges: int(np.diff(alpha_matte(half(), image, edges)[300].astype(int)).max()) for edges in EDGES}
    assert steepest["refined"] > 3 * steepest["plain"]


def test_far_from_the_edge_the_refined_matte_is_sure() -> None:
    matte = alpha_matte(half(), scene(600, 1600), "refined")
    assert set(np.unique(matte[:, :700])) == {0}
    assert set(np.unique(matte[:, 900:])) == {255}


def test_haze_around_a_clear_subject_goes_and_what_may_be_of_a_vague_one_stays() -> None:
    clear = np.maximum(half(), np.float32(0.012))
    assert set(np.unique(alpha_matte(clear, scene(600, 1600), "refined")[:, :700])) == {0}
    vague = np.where(clear > 0.1, clear * np.float32(0.6), clear)
    plain = alpha_matte(vague, scene(600, 1600), "plain")
    np.testing.assert_array_equal(alpha_matte(vague, scene(600, 1600), "refined"), plain)


@pytest.mark.parametrize("colour", [0, 90, 255])
@pytest.mark.parametrize("mode", ["RGB", "L"])
def test_flat_photograph_leaves_the_map_as_it_is(colour: int, mode: str) -> None:
    image = Image.new("L", (640, 640), colour).convert(mode)
    refined = alpha_matte(half(), image, "refined").astype(int)
    plain = alpha_matte(half(), image, "plain").astype(int)
    assert np.abs(refined - plain).mean() < 3, "there is no edge to follow: only levels and smoothing"


def test_two_runs_are_the_same_and_the_map_is_left_alone() -> None:
    saliency, image = half(), scene(300, 500)
    before = saliency.copy()
    first = alpha_matte(saliency, image, "refined")
    np.testing.assert_array_equal(first, alpha_matte(saliency, image, "refined"))
    np.testing.assert_array_equal(saliency, before)


@pytest.mark.parametrize("side", [320, 1024])
def test_a_line_as_thin_as_the_map_can_draw_is_kept(side: int) -> None:
    saliency = np.zeros((side, side), np.float32)
    saliency[side // 4 : 3 * side // 4, side // 4 : side // 2] = 1
    line = np.s_[side // 2, side // 2 : 7 * side // 8]
    saliency[line] = 1
    noise = np.random.default_rng(2).integers(-5, 6, (side, side, 3))
    pixels = np.where(saliency[..., np.newaxis] > 0, (210, 180, 150), (60, 80, 70)) + noise
    matte = alpha_matte(saliency, Image.fromarray(pixels.astype(np.uint8)), "refined")
    assert matte[line].min() > 200
    assert matte[side // 2 - 3, side // 2 + 3 :].max() < 10
