"""How long something takes."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable


def seconds_of(action: Callable[[], object]) -> float:
    """Return the seconds that one call takes."""
    started = time.perf_counter()
    action()
    return time.perf_counter() - started


def median_of(action: Callable[[], object], runs: int) -> float:
    """Return the median of the seconds of so many calls, after one that warms up."""
    action()
    return statistics.median(seconds_of(action) for _ in range(runs))
