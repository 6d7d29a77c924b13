"""Which of the networks that cut equally well is the fastest on this machine: what `model: auto` means.

An 8-bit network is three times as fast as its 32-bit original on one processor and slower on another. `alphadrop
doctor` measures those that are installed, and what it saw is remembered for this machine.
"""

from __future__ import annotations

import json
import platform
import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from alphadrop import atomic
from alphadrop.engine import models, providers
from alphadrop.engine.cpus import usable_cpus
from alphadrop.engine.models import ModelSpec
from alphadrop.engine.options import Provider
from alphadrop.engine.segmenter import Segmenter
from alphadrop.errors import ModelMissing

__all__ = ["Machine", "fastest", "rivals", "seconds_a_run", "speeds", "write_speeds"]

_RUNS = 5


@dataclass(frozen=True, slots=True)
class Machine:
    """What a speed holds for."""

    processor: str
    cpus: int
    """That this process may use."""
    provider: Provider
    runtime: str
    """What the provider is a part of, and its version."""

    @classmethod
    def here(cls, provider: Provider) -> Machine:
        """Return this machine, its networks run by a provider."""
        return cls(_processor(), usable_cpus(), provider, providers.runtime(provider))

    def __str__(self) -> str:
        return f"{self.processor}, {self.cpus} CPUs, {self.provider}, {self.runtime}"


def rivals(name: str, known: Mapping[str, ModelSpec]) -> list[ModelSpec]:
    """Return a network and those that cut equally well, of what is on this machine, in the registry's order.

    Raises:
        UnknownModel: there is no such row.
    """
    spec = models.find_spec(name, known)
    family = [other for other in known.values() if other == spec or (spec.family and other.family == spec.family)]
    return [other for other in family if _is_here(other)]


def fastest(name: str, known: Mapping[str, ModelSpec], measured: Mapping[str, float]) -> str:
    """Return the name of the fastest of a network and those that cut equally well; itself where nothing is known.

    Args:
        name: of the network used where nothing was measured.
        known: the registry.
        measured: seconds of one run, by name.
    """
    timed = [spec.name for spec in rivals(name, known) if spec.name in measured]
    return min(timed, key=lambda each: measured[each], default=name)


def seconds_a_run(segmenter: Segmenter) -> float:
    """Return the median time of a few runs, after one that is not counted."""
    side = segmenter.spec.input_size
    view = np.random.default_rng(0).integers(0, 256, (side, side, 3), np.uint8)
    segmenter.saliency(view)
    return statistics.median(_seconds(lambda: segmenter.saliency(view)) for _ in range(_RUNS))


def speeds(file: Path, machine: Machine) -> dict[str, float]:
    """Return the seconds of one run of each network as measured on this machine; empty where nothing is known."""
    try:
        told = json.loads(file.read_bytes())
        if told["machine"] != str(machine):
            return {}
        return {str(name): float(seconds) for name, seconds in told["seconds"].items()}
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return {}


def write_speeds(file: Path, machine: Machine, measured: Mapping[str, float]) -> None:
    """Remember what was measured on this machine.

    Raises:
        FileError: it cannot be written.
    """
    atomic.write_text(file, json.dumps({"machine": str(machine), "seconds": dict(measured)}, indent=1) + "\n")


def _is_here(spec: ModelSpec) -> bool:
    try:
        models.locate(spec)
    except ModelMissing:
        return False
    return True


def _seconds(action: Callable[[], object]) -> float:
    started = time.perf_counter()
    action()
    return time.perf_counter() - started


def _processor() -> str:
    """Return the processor's name, or its kind where the system does not say more."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, "") or platform.processor() or platform.machine()
