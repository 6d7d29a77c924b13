"""When to keep out of the way: on battery, and while other programs keep the processors busy."""

from __future__ import annotations

import math
import os
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

import psutil

from alphadrop.engine.options import Quiet

__all__ = ["Busy", "Surroundings", "lower_priority"]

_LOW = 10
"""Of setpriority(2): a fifth or so of the processor time of a program that wants it at the same time."""
_LOOK_EVERY = 5.0
"""Seconds that must lie between two looks at the processors for the difference to tell something."""
_STALE = 120.0
"""Seconds after which what was busy says nothing of now."""
_BUSY = 0.5
"""Part of one processor that others must take to count."""
_CALM = 60.0
"""Seconds of calm before work is done at full speed again: each change loads the network anew."""


@dataclass(frozen=True, slots=True)
class Busy:
    """Processor seconds since some beginning."""

    at: float
    """Monotonic seconds."""
    all: float
    """Of every process."""
    own: float
    """Of this one."""


class Surroundings:
    """What goes on around this process; looked at only when asked, so that an idle daemon stays idle."""

    def __init__(
        self,
        quiet: Quiet,
        *,
        on_battery: Callable[[], bool] | None = None,
        busy: Callable[[], Busy] | None = None,
    ) -> None:
        """Say when to be quiet.

        Args:
            quiet: what the configuration says.
            on_battery: whether the machine runs on battery.
            busy: how busy the processors have been.
        """
        self._quiet = quiet
        self._on_battery = on_battery or _on_battery
        self._look = busy or _processors
        self._lock = threading.Lock()
        self._last: Busy | None = None
        self._busy_until = -math.inf

    def are_quiet(self) -> bool:
        """Return whether background work is to keep out of the way now."""
        if self._quiet in ("never", "always"):
            return self._quiet == "always"
        return self._on_battery() or (self._quiet == "auto" and self._others_are_busy())

    def _others_are_busy(self) -> bool:
        with self._lock:
            now = self._look()
            if self._last is None or now.at - self._last.at > _STALE:
                self._last = now
            elif (elapsed := now.at - self._last.at) >= _LOOK_EVERY:
                others = (now.all - self._last.all) - (now.own - self._last.own)
                self._last = now
                if others > _BUSY * elapsed:
                    self._busy_until = now.at + _CALM
            return now.at < self._busy_until


def lower_priority() -> None:
    """Let every other thread on this machine go before the one that calls this, where the system can (Linux)."""
    if sys.platform == "linux":
        thread = threading.get_native_id()
        # Where the whole process is lower still, coming up to this would be refused.
        os.setpriority(os.PRIO_PROCESS, thread, max(_LOW, os.getpriority(os.PRIO_PROCESS, thread)))


def _on_battery() -> bool:
    try:
        battery = psutil.sensors_battery()
    except (AttributeError, OSError, ValueError):  # where the system says nothing of batteries, or something odd
        return False
    return battery is not None and battery.power_plugged is False


def _processors() -> Busy:
    times = psutil.cpu_times()
    idle = times.idle + getattr(times, "iowait", 0.0)
    # Guests are counted in `user` already.
    doubled = getattr(times, "guest", 0.0) + getattr(times, "guest_nice", 0.0)
    return Busy(time.monotonic(), sum(times) - idle - doubled, time.process_time())
