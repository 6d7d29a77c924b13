"""Telling a map with a subject from one without, on maps whose answer is plain."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from alphadrop.engine.subject import SHARE, THRESHOLD, evidence, has_subject


def flat(value: float, shape: tuple[int, ...] = (320, 320)) -> NDArray[np.float32]:
    return np.full(shape, value, np.float32)


def disc(area: float, value: float = 1.0, ground: float = 0.0, side: int = 320) -> NDArray[np.float32]:
    """Return a map with a round subject that covers a part of it."""
    rows, columns = np.ogrid[:side, :side]
    distance = np.hypot(rows - side / 2 + 0.5, columns - side / 2 + 0.5)
    return np.where(distance <= side * np.sqrt(area / np.pi), value, ground).astype(np.float32)


@pytest.mark.parametrize("value", [0.0, 0.25, 0.5, 1.0])
def test_evidence_of_a_flat_map_is_its_value(value: float) -> None:
    assert evidence(flat(value)) == pytest.approx(value)
    assert has_subject(flat(value)) is (value >= THRESHOLD)


@pytest.mark.parametrize("shape", [(1, 1), (2, 3), (320, 320), (1024, 1024), (1, 1, 320, 320)])
def test_any_shape(shape: tuple[int, ...]) -> None:
    assert has_subject(flat(1, shape)) is True
    assert has_subject(flat(0, shape)) is False


def test_empty_map_has_none() -> None:
    assert evidence(flat(1, (0, 0))) == 0
    assert has_subject(flat(1, (0, 0))) is False


@pytest.mark.parametrize("side", [320, 1024])
@pytest.mark.parametrize("area", [SHARE, 0.02, 0.3, 0.9])
def test_sure_subject(area: float, side: int) -> None:
    assert has_subject(disc(area, side=side))


@pytest.mark.parametrize("area", [0.05, 0.3])
def test_hesitant_subject(area: float) -> None:
    assert has_subject(disc(area, value=0.6))


def test_speck_is_none() -> None:
    assert not has_subject(disc(SHARE / 4))


@pytest.mark.parametrize("ground", [0.05, 0.2, 0.4])
def test_haze_is_none(ground: float) -> None:
    noise = np.random.default_rng(0).normal(ground, 0.02, (320, 320)).astype(np.float32)
    assert not has_subject(np.clip(noise, 0, 1))


def test_not_a_number_is_none() -> None:
    assert has_subject(flat(np.nan)) is False


def test_map_is_left_as_it_was() -> None:
    saliency = disc(0.1, ground=0.3)
    before = saliency.copy()
    has_subject(saliency)
    np.testing.assert_array_equal(saliency, before)
