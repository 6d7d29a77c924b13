"""What processes hold and use, read from outside. Megabytes are a million bytes."""

from __future__ import annotations

import contextlib
from pathlib import Path

import psutil


def resident(process: int) -> float:
    """Return the resident memory of a process and its children, in megabytes."""
    return sum(_status(each, "VmRSS") for each in _family(process))


def cpu_seconds(process: int) -> float:
    """Return the processor time a process has used."""
    times = psutil.Process(process).cpu_times()
    return times.user + times.system


class Peaks:
    """The highest memory of a process and of every child it is seen to have."""

    def __init__(self, process: int) -> None:
        self._process = process
        self._highest: dict[int, float] = {}

    def look(self) -> None:
        """Read what is there now; the kernel remembers the highest of each process for as long as it lives."""
        for each in _family(self._process):
            self._highest[each] = max(_status(each, "VmHWM"), self._highest.get(each, 0.0))

    @property
    def together(self) -> float:
        """The sum in megabytes, as if all had been at their highest at once."""
        return sum(self._highest.values())


def _family(process: int) -> list[int]:
    children = []
    with contextlib.suppress(psutil.NoSuchProcess):
        children = psutil.Process(process).children(recursive=True)
    return [process, *(child.pid for child in children)]


def _status(process: int, field: str) -> float:
    """Return a field of proc_pid_status(5) in megabytes; none of a process that has ended."""
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        for line in Path(f"/proc/{process}/status").read_text().splitlines():
            if line.startswith(f"{field}:"):
                return int(line.split()[1]) * 1024 / 1e6
    return 0.0
