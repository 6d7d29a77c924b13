"""Colours come to rest at what solves their equations, whatever the matte."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from alphadrop.engine.relaxation import relaxed


def beginning(seen: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.full((2 * len(seen), -(-seen.shape[1] // 2), -(-seen.shape[2] // 2)), 128, np.float32)


def mixed(colours: NDArray[np.float32], alphas: NDArray[np.float32]) -> NDArray[np.float32]:
    own, behind = np.split(colours, 2)
    mixture: NDArray[np.float32] = alphas * own + (1 - alphas) * behind
    return mixture


@pytest.mark.parametrize("shape", [(3, 40, 30), (1, 31, 47), (3, 1, 9), (1, 9, 1), (3, 1, 1), (3, 2, 2)])
def test_they_mix_to_what_is_seen(shape: tuple[int, int, int]) -> None:
    random = np.random.default_rng(1)
    seen, alphas = random.random(shape, np.float32) * 255, random.random(shape[1:], np.float32)
    colours = relaxed(beginning(seen), seen, alphas, rounds=50)
    assert colours.shape == (2 * shape[0], *shape[1:])
    assert np.abs(mixed(colours, alphas) - seen).mean() < 3


@pytest.mark.parametrize("axis", [0, 1])
def test_two_flat_colours_are_found_at_a_soft_edge_in_either_direction(axis: int) -> None:
    ramp = np.clip(np.linspace(-0.5, 1.5, 48, dtype=np.float32), 0, 1)
    alphas = np.ascontiguousarray(np.broadcast_to(ramp if axis else ramp[:, np.newaxis], (48, 48)))
    seen = mixed(np.array([200, 40], np.float32)[:, np.newaxis, np.newaxis], alphas)
    off = {}
    for rounds in (1, 10, 2000):
        own, behind = relaxed(beginning(seen), seen, alphas, rounds)
        off[rounds] = np.abs(own - 200)[alphas > 0.1].max() + np.abs(behind - 40)[alphas < 0.9].max()
    assert off[2000] < off[10] < off[1]
    assert off[2000] < 5
