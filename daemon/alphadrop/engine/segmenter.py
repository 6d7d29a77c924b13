"""What is asked of a network: a square sRGB picture in, a saliency map out.

The seam behind which every network stands, whatever runs it; tests of faults put a quick one there.
"""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from alphadrop.engine.cancellation import Cancellation
from alphadrop.engine.models import ModelSpec

__all__ = ["Segmenter", "as_saliency", "normalise"]


class Segmenter(Protocol):
    """Anything that finds the subject of a square picture."""

    @property
    def spec(self) -> ModelSpec:
        """The model this is."""

    @property
    def device(self) -> str:
        """What it really runs on."""

    def saliency(
        self, view: NDArray[np.uint8], cancellation: Cancellation | None = None, *, sparing: bool = False
    ) -> NDArray[np.float32]:
        """Return the saliency map of a view.

        Args:
            view: sRGB, shape (S, S, 3), uint8, S being `spec.input_size`.
            cancellation: by which another thread may end the run.
            sparing: whether the run's memory is given back after it, which makes the next one slower.

        Returns:
            Shape (S, S), float32, 0..1, as the network says it: never stretched to fill the range.

        Raises:
            Cancelled: it was ended.
            ModelError: the network cannot be run.
        """

    def rest(self) -> None:
        """Give back the memory that only runs need, as nobody asks for now; the next run takes it again."""


def as_saliency(output: NDArray[np.floating], spec: ModelSpec) -> NDArray[np.float32]:
    """Return an output of a network as a saliency map.

    Args:
        output: of shape (1, 1, S, S).
        spec: says what still has to be applied to it.

    Returns:
        Shape (S, S), float32, 0..1.
    """
    saliency: NDArray[np.floating] = np.asarray(output, np.float32).reshape(output.shape[-2:])
    if spec.activation == "sigmoid":
        saliency = 1 / (1 + np.exp(-np.clip(saliency, -60, 60)))  # beyond, exp overflows in 32 bits
    bounded: NDArray[np.float32] = np.clip(np.nan_to_num(saliency), 0, 1)
    return bounded


def normalise(view: NDArray[np.uint8], spec: ModelSpec) -> NDArray[np.float32]:
    """Return a view as the network wants it.

    Args:
        view: sRGB, shape (S, S, 3), uint8.
        spec: the model's scale, mean and standard deviation.

    Returns:
        Shape (1, 3, S, S), float32.
    """
    largest = max(int(view.max()), 1) if spec.scale == "max" else 255
    gain = 1 / (largest * np.asarray(spec.std, np.float32))
    offset = np.asarray(spec.mean, np.float32) / np.asarray(spec.std, np.float32)
    planes = view.astype(np.float32) * gain - offset
    return np.ascontiguousarray(planes.transpose(2, 0, 1)[np.newaxis])
