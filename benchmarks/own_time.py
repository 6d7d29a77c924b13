"""Where the time of a call goes, by function, in all of its threads: cProfile tells of one thread only."""

from __future__ import annotations

import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from types import FrameType
from typing import Any

_ROWS = 25


class OwnTimes:
    """Seconds spent in each function itself, those it calls left out; waiting for others counts as its own."""

    def __init__(self) -> None:
        self.seconds: Counter[str] = Counter()
        self.calls: Counter[str] = Counter()
        self._of_thread = threading.local()

    def of(self, action: Callable[[], object]) -> None:
        """Call something, and add what it and the threads it starts spend."""
        threading.setprofile(self._hear)
        sys.setprofile(self._hear)
        try:
            action()
        finally:
            sys.setprofile(None)
            threading.setprofile(None)

    def _hear(self, frame: FrameType, event: str, argument: Any) -> None:
        now = time.perf_counter()
        stack: list[str] = self._of_thread.__dict__.setdefault("stack", [])
        if stack:
            self.seconds[stack[-1]] += now - self._of_thread.since
        if event == "call":
            stack.append(_name(frame))
        elif event == "c_call":
            called = str(getattr(argument, "__qualname__", argument))
            stack.append(called.rpartition(".")[2] if called.startswith("pybind11") else called)
        elif stack:
            self.calls[stack.pop()] += 1
        self._of_thread.since = time.perf_counter()


def print_own_times(what: str, action: Callable[[], object]) -> None:
    """Print in which functions a call spends its time, the longest first."""
    times = OwnTimes()
    times.of(action)
    print(f"\n{what}\n\n| function | calls | its own ms, all threads together |\n|---|---|---|")
    for name, seconds in times.seconds.most_common(_ROWS):
        print(f"| {name} | {times.calls[name]} | {seconds * 1000:.1f} |")


def _name(frame: FrameType) -> str:
    return f"{frame.f_globals.get('__name__', '?')}.{frame.f_code.co_qualname}"
