"""The colours of a subject and of what is behind it, as smooth as what is seen allows.

They solve a system of linear equations, two for each point and its four neighbours. In each round every point takes
what solves its own two, its neighbours being as they were (Jacobi), and goes on by a part of what it moved before: the
heavy ball of Polyak (Some Methods of Speeding up the Convergence of Iteration Methods, 1964), with which fewer rounds
are enough.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["relaxed"]

_MOMENTUM = np.float32(0.5)
"""Of what a point moved in the last round, what it moves again; below 1 it comes to rest."""
_STEEPNESS = np.float32(0.03)
"""How much more neighbours hold together where alpha changes between them."""
_COHESION = np.float32(1e-5)
"""How much they do everywhere."""


def relaxed(
    colours: NDArray[np.float32], seen: NDArray[np.float32], alphas: NDArray[np.float32], rounds: int
) -> NDArray[np.float32]:
    """Return colours that nearly agree with their neighbours and mix to what is seen; shape (2 C, h, w).

    Args:
        colours: to begin with, of the subject and then of the background, at half the size: shape (2 C, h / 2, w / 2).
        seen: shape (C, h, w).
        alphas: shape (h, w), 0..1.
        rounds: how often each point is moved.
    """
    channels, height, width = seen.shape
    stride = width + 1  # behind each row, and around them all, is a point that is nothing
    framed = np.zeros((2 * channels, height + 2, stride), np.float32)
    framed[:, 1:-1, :width] = colours.repeat(2, axis=1)[:, :height].repeat(2, axis=2)[..., :width]
    flat = framed.reshape(2 * channels, -1)
    here, *beside = (flat[:, stride + way : way - stride or None] for way in (0, -stride, stride, -1, 1))
    weights, (own, rest, own_gain, rest_gain), mixed = _equations(seen, alphas, stride)
    moved, part, step = np.empty((3, *here.shape), np.float32)
    for number in range(rounds):
        np.multiply(weights[0], beside[0], out=moved)
        for weight, neighbour in zip(weights[1:], beside[1:], strict=True):
            np.multiply(weight, neighbour, out=part)
            moved += part
        missed = mixed - np.multiply(own, moved[:channels], out=part[:channels])
        missed -= np.multiply(rest, moved[channels:], out=part[channels:])
        np.multiply(own_gain, missed, out=part[:channels])
        np.multiply(rest_gain, missed, out=part[channels:])
        moved += part
        if number > 0:
            step *= _MOMENTUM
            moved += step
        np.subtract(moved, here, out=step)
        here[:] = moved
    return framed[:, 1:-1, :width]


def _equations(
    seen: NDArray[np.float32], alphas: NDArray[np.float32], stride: int
) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]:
    """Return what the equations have in them, of points in rows of `stride`.

    Returns:
        How much is taken of those above, below, left and right, shape (4, h * stride); alpha, what is left of it, and
        by how much of what is missed of the seen the subject's colour and the other moves, of the same shape; and what
        is seen, shape (C, h * stride).
    """
    height, width = alphas.shape
    given = np.zeros((8 + len(seen), height, stride), np.float32)
    within = given[..., :width]
    down, across = (np.abs(np.diff(alphas, axis=axis)) * _STEEPNESS + _COHESION for axis in (0, 1))
    within[0, 1:] = within[1, :-1] = down
    within[2, :, 1:] = within[3, :, :-1] = across
    within[4], within[8:] = alphas, seen
    weights, (own, rest, own_gain, rest_gain) = given[:4], given[4:8]
    whole = weights.sum(axis=0)
    weights /= np.maximum(whole, _COHESION)
    np.subtract(1, own, out=rest)
    gain = 1 / (own * own + rest * rest + whole)
    np.multiply(own, gain, out=own_gain)
    np.multiply(rest, gain, out=rest_gain)
    flat = given.reshape(len(given), -1)
    return flat[:4], flat[4:8], flat[8:]
