"""What every stage of a network makes of a photograph, as arrays, and how far two networks differ there.

Apart from the pictures drawn of it, so that programs can have the numbers alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from alphadrop.engine.cancellation import Cancellation
from alphadrop.engine.models import ModelSpec
from alphadrop.engine.onnx_runtime import OnnxProbe
from alphadrop.engine.options import Provider
from alphadrop.engine.photo import Photo
from alphadrop.engine.segmenter import as_saliency
from alphadrop.engine.stages import Tap, dissect
from alphadrop.errors import BadOptions

__all__ = ["Difference", "Explainer", "Explanation", "Shown", "compare"]

_HALF = 0.5
"""Of a map: what is more is rather subject, what is less is rather background."""


@dataclass(frozen=True, slots=True)
class Shown:
    """A tensor of a network as it was while it looked at a photograph."""

    name: str
    """`en1` to `en6`, `de5` to `de1`, `side-1` to `side-6`, `fused`."""
    tensor: str
    """Its name in the network's file."""
    array: NDArray[np.float32]
    """Of a stage: shape (C, H, W), as large as it comes. Of a map: shape (1, S, S), 0..1."""

    @property
    def shape(self) -> tuple[int, int, int]:
        """Channels, height and width."""
        channels, height, width = self.array.shape
        return channels, height, width

    @property
    def is_map(self) -> bool:
        """Whether this is a side map or the saliency map, and no stage."""
        return self.name == "fused" or self.name.startswith("side-")


@dataclass(frozen=True, slots=True)
class Explanation:
    """A photograph on its way through a network."""

    model: str
    view: NDArray[np.uint8]
    """What the network was shown; shape (S, S, 3), sRGB."""
    stages: tuple[Shown, ...]
    """The encoders from the photograph on, then the decoders back to it."""
    sides: tuple[Shown, ...]
    """The side maps, by the number of the stage they come from."""
    fused: Shown
    """The saliency map. A network that does not fuse its side maps (IS-Net) takes the first for it."""

    @property
    def all(self) -> tuple[Shown, ...]:
        """Stages, side maps and the fused one."""
        return (*self.stages, *self.sides, self.fused)


@dataclass(frozen=True, slots=True)
class Difference:
    """How far two networks differ at one place."""

    name: str
    shape: tuple[int, int, int]
    mean: float
    """Of the absolute differences of all values."""
    largest: float
    relative: float
    """Root mean square of the differences, by that of the reference."""
    flipped: float | None
    """Of a map: the part of its values that are on the other side of one half. None of a stage."""
    where: NDArray[np.float32]
    """Absolute difference, the mean over the channels; shape (H, W)."""


class Explainer:
    """A network taken apart and loaded once; safe to use from several threads."""

    def __init__(self, spec: ModelSpec, path: Path, *, threads: int = 0, provider: Provider = "cpu") -> None:
        """Take a network apart and load it.

        Args:
            spec: how to feed it.
            path: its ONNX file, which is left as it is.
            threads: for one run; 0 means one for each CPU this process may use.
            provider: what runs it; what OpenVINO would run is run by ONNX Runtime on the processor, for OpenVINO makes
                one of several layers, and other ones where it is listened to.

        Raises:
            ExplainFailed: `onnx` is not installed, or the network has no stages that can be shown.
            ModelDamaged, ProviderUnavailable: it cannot be run.
        """
        found = dissect(path)
        self._stages, self._maps = found.stages, (*found.sides, found.fused)
        by = "cpu" if provider == "openvino" else provider
        self._probe = OnnxProbe(found.graph, spec, threads=threads, provider=by)
        self._spec = spec

    def explain(self, photo: Photo, cancellation: Cancellation | None = None) -> Explanation:
        """Let the network look at a photograph, once, and return what each stage made of it.

        The fused map of a network in 32 or 8 bits is the engine's saliency map to the bit. In 16 bits ONNX Runtime
        rounds what is listened to, and the map may differ in its fourth digit; from OpenVINO's in its third.

        Raises:
            Cancelled: it was ended by another thread.
            ModelDamaged: the network cannot be run.
        """
        view = photo.view(self._spec.input_size)
        names = list(dict.fromkeys(tap.output for tap in (*self._stages, *self._maps)))
        told = dict(zip(names, self._probe.outputs(view, names, cancellation), strict=True))
        stages = tuple(_shown(tap, told[tap.output][0]) for tap in self._stages)
        *sides, fused = (_shown(tap, as_saliency(told[tap.output], self._spec)[np.newaxis]) for tap in self._maps)
        return Explanation(self._spec.name, view, stages, tuple(sides), fused)


def compare(one: Explanation, reference: Explanation) -> tuple[Difference, ...]:
    """Return how far a network differs from a reference: at every stage, and in every map.

    Stages are compared channel by channel. That means something where one network was made from the other: what the
    channels stand for is theirs alone.

    Args:
        one: of the network in question, such as an 8-bit one.
        reference: of the network it was made from, of the same photograph.

    Raises:
        BadOptions: the two are not built alike.
    """
    shapes, wanted = _shapes(one.all), _shapes(reference.all)
    if shapes != wanted:
        odd = next((name for name in (*shapes, *wanted) if shapes.get(name) != wanted.get(name)), "the order")
        raise BadOptions(
            f"{one.model} and {reference.model} are not built alike: they differ in {odd}",
            "compare a network with one that was made from it, as u2net-int8 with u2net",
        )
    return tuple(_difference(mine, theirs) for mine, theirs in zip(one.all, reference.all, strict=True))


def _shown(tap: Tap, array: NDArray[np.float32]) -> Shown:
    return Shown(tap.name, tap.tensor, array)


def _shapes(shown: Sequence[Shown]) -> dict[str, tuple[int, int, int]]:
    return {each.name: each.shape for each in shown}


def _difference(mine: Shown, theirs: Shown) -> Difference:
    apart = np.abs(mine.array - theirs.array)
    size = float(np.sqrt(np.mean(np.square(theirs.array))))
    return Difference(
        name=mine.name,
        shape=mine.shape,
        mean=float(apart.mean()),
        largest=float(apart.max()),
        relative=float(np.sqrt(np.mean(np.square(apart)))) / size if size else 0.0,
        flipped=float(np.mean((mine.array > _HALF) != (theirs.array > _HALF))) if mine.is_map else None,
        where=apart.mean(axis=0),
    )
