"""The subject's own colour in the soft edge: recovered where it is known, untouched where it should be."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from alphadrop.engine import foreground
from alphadrop.engine.masks import near
from alphadrop.engine.straight import REACH


def ramp(width: int = 1000, height: int = 400, soft: int = 8) -> NDArray[np.uint8]:
    """A matte that goes from nothing to wholly subject over some columns in the middle; shape (H, W)."""
    line = np.clip((np.arange(width) - width / 2) / soft + 0.5, 0, 1)
    alpha: NDArray[np.uint8] = np.rint(np.tile(line, (height, 1)) * 255).astype(np.uint8)
    return alpha


def mixed(own: tuple[int, ...], behind: tuple[int, ...], alpha: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """A photograph of a flat subject before a flat background; shape (H, W, C)."""
    a = alpha[..., np.newaxis] / 255
    seen: NDArray[np.uint8] = np.rint(a * np.array(own) + (1 - a) * np.array(behind)).astype(np.uint8)
    return seen


def cleaned(pixels: NDArray[np.uint8], alpha: NDArray[np.uint8]) -> NDArray[np.uint8]:
    image = Image.fromarray(pixels if pixels.shape[2] == 3 else pixels[..., 0])
    result = np.asarray(foreground.cleaned(image, alpha).whole()).reshape(pixels.shape)
    assert image.tobytes() == pixels.tobytes(), "the photograph itself is changed"
    return result


@pytest.mark.parametrize(
    ("own", "behind"), [((200, 40, 30), (20, 180, 240)), ((10, 10, 10), (250, 250, 250)), ((230,), (40,))]
)
def test_soft_edge_gets_the_colour_of_the_subject_back(own: tuple[int, ...], behind: tuple[int, ...]) -> None:
    alpha = ramp()
    pixels = mixed(own, behind, alpha)
    edge = (alpha > 0) & (alpha < 255)
    before = np.abs(pixels[edge].astype(int) - own).mean()
    after = np.abs(cleaned(pixels, alpha)[edge].astype(int) - own)
    assert before > 50, "the test's edge shows nothing of the background"
    assert after.mean() < 4
    assert after.max() < 16


@pytest.mark.parametrize(("width", "soft"), [(240, 8), (600, 10), (2400, 40)])
def test_of_the_old_background_little_is_left_at_any_size(width: int, soft: int) -> None:
    alpha = ramp(width, 200, soft)
    pixels = mixed((200, 40, 30), (20, 180, 240), alpha)
    edge = (alpha > 0) & (alpha < 255)
    before, after = (np.abs(p[edge].astype(int) - (200, 40, 30)).mean() for p in (pixels, cleaned(pixels, alpha)))
    assert after < before / 5


@pytest.mark.parametrize(("side", "soft"), [(300, 2), (800, 6), (800, 40), (2400, 40)])
def test_a_disc_of_known_colour_over_a_gradient_is_recovered_within_two_percent(side: int, soft: int) -> None:
    y, x = np.mgrid[:side, :side]
    inside = np.clip((side * 0.3 - np.hypot(x - side / 2, y - side / 2)) / soft + 0.5, 0, 1)
    alpha = np.rint(inside * 255).astype(np.uint8)
    behind = np.stack([x, y, side - x], axis=2) * 255 / side
    part = alpha[..., np.newaxis] / 255
    pixels = np.rint(part * (200, 40, 30) + (1 - part) * behind).astype(np.uint8)
    edge = (alpha > 0) & (alpha < 255)
    assert np.abs(pixels[edge].astype(int) - (200, 40, 30)).mean() > 30, "the test's edge shows nothing of the gradient"
    assert np.abs(cleaned(pixels, alpha)[edge].astype(int) - (200, 40, 30)).max() <= 0.02 * 255


def test_tiles_leave_no_seams(monkeypatch: pytest.MonkeyPatch) -> None:
    alpha = ramp(1100, 900, 60)
    pixels = np.random.default_rng(7).integers(0, 256, (*alpha.shape, 3), dtype=np.uint8)
    in_tiles = cleaned(pixels, alpha)
    monkeypatch.setattr("alphadrop.engine.foreground._TILE", 4096)
    off = np.abs(in_tiles.astype(int) - cleaned(pixels, alpha))
    assert off.max() <= 8
    assert off.mean() < 0.01


def test_opaque_pixels_and_the_far_background_are_not_touched() -> None:
    rng = np.random.default_rng(4)
    alpha = ramp()
    pixels = rng.integers(0, 256, (*alpha.shape, 3), dtype=np.uint8)
    result = cleaned(pixels, alpha)
    untouched = (alpha == 255) | ~near(alpha > 0, REACH)
    np.testing.assert_array_equal(result[untouched], pixels[untouched])


def test_colour_of_the_subject_is_carried_outward() -> None:
    alpha = ramp()
    result = cleaned(mixed((200, 40, 30), (20, 180, 240), alpha), alpha)
    rim = near(alpha > 0, REACH) & (alpha == 0)
    assert rim.any()
    assert np.abs(result[rim].astype(int) - (200, 40, 30)).max() < 40


@pytest.mark.parametrize("value", [0, 255])
def test_matte_without_an_edge_changes_nothing(value: int) -> None:
    pixels = np.random.default_rng(5).integers(0, 256, (40, 30, 3), dtype=np.uint8)
    np.testing.assert_array_equal(cleaned(pixels, np.full((40, 30), value, np.uint8)), pixels)


@pytest.mark.parametrize("shape", [(1, 1), (1, 50), (50, 1), (3, 3), (600, 2), (700, 530)])
@pytest.mark.parametrize("channels", [1, 3])
def test_every_shape_and_alpha_divides_by_nothing(shape: tuple[int, int], channels: int) -> None:
    rng = np.random.default_rng(6)
    pixels = rng.integers(0, 256, (*shape, channels), dtype=np.uint8)
    for alpha in (np.full(shape, 128, np.uint8), np.full(shape, 1, np.uint8), rng.integers(0, 256, shape, np.uint8)):
        result = cleaned(pixels, alpha)
        np.testing.assert_array_equal(result[alpha == 255], pixels[alpha == 255])
