"""What a batch would take: counted, measured on a sample by this machine, and reckoned for more machines like it."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from alphadrop.engine.cpus import usable_cpus
from alphadrop.engine.photo import count_pixels
from alphadrop.errors import AlphadropError
from alphadrop.scale.batch import Survey
from alphadrop.scale.cutter import Cutter
from alphadrop.scale.here import hands
from alphadrop.scale.inventory import Job
from alphadrop.scale.stores import Store

__all__ = ["Estimate", "estimate"]

_HEADERS = 2000
"""Photographs whose header is read, at most."""
_CUT = 24
"""Photographs that are cut to measure, at most."""
_SECONDS = 10.0
"""After which no further one is begun."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """What was counted and measured."""

    photographs: int
    """To do."""
    headers: int
    """Of them, whose header was read."""
    unreadable: int
    """Of those, that cannot be opened."""
    pixels: float
    """Of all to do; an estimate where not every header was read."""
    cut: int
    """Photographs that were cut to measure."""
    cut_pixels: int
    cut_seconds: float
    """Wall time that these took, with every processor of this machine."""
    cpus: int

    @property
    def seconds_per_megapixel(self) -> float:
        """Of this machine; 0 where nothing could be measured."""
        return 1e6 * self.cut_seconds / self.cut_pixels if self.cut_pixels else 0.0

    def seconds(self, nodes: int = 1) -> float:
        """Return how long so many machines like this one would take, if none waits for the others or for the store."""
        return self.seconds_per_megapixel * self.pixels / 1e6 / nodes

    @property
    def core_hours(self) -> float:
        """On any number of machines like this one."""
        return self.seconds() * self.cpus / 3600


def estimate(survey: Survey, cutter: Cutter) -> Estimate:
    """Read headers, cut a few photographs, write nothing.

    Raises:
        ModelError: the network cannot be loaded.
    """
    sample = survey.inventory.sample(_HEADERS)
    with ThreadPoolExecutor(8) as threads:
        counted = list(threads.map(lambda job: _pixels(survey.source, job, cutter.engine.max_pixels), sample))
    known = [pixels for pixels in counted if pixels]
    pixels = sum(known) / len(known) * survey.to_do * len(known) / len(sample) if known else 0.0
    cut, cut_pixels, seconds = _measure(cutter, survey.inventory.sample(_CUT))
    return Estimate(
        survey.to_do, len(sample), len(sample) - len(known), pixels, cut, cut_pixels, seconds, usable_cpus()
    )


def _pixels(source: Store, job: Job, most: int) -> int:
    try:
        with source.peek(job.found.name) as stream:
            return count_pixels(stream, job.found.name, max_pixels=most)
    except AlphadropError:
        return 0


def _measure(cutter: Cutter, jobs: list[Job]) -> tuple[int, int, float]:
    """Return how many photographs were cut, their pixels, and the seconds that took."""
    if not jobs:
        return 0, 0, 0.0
    cutter.warm()
    _cut(cutter, jobs[0])  # the first run of a network takes longer
    started = time.perf_counter()

    def cut_in_time(job: Job) -> int:
        return _cut(cutter, job) if time.perf_counter() - started < _SECONDS else 0

    with ThreadPoolExecutor(hands()) as threads:
        cut = [pixels for pixels in threads.map(cut_in_time, jobs) if pixels]
    return len(cut), sum(cut), time.perf_counter() - started


def _cut(cutter: Cutter, job: Job) -> int:
    try:
        return cutter.measure(job)
    except AlphadropError:
        return 0
