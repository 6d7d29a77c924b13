"""How soon the daemon is there, and what it holds and uses while nothing is to be done.

    PYTHONPATH=tests python benchmarks/resident.py [--quick] [--strict]

Refined edges, `quiet: never`, files that settle at once, all else as it comes. The daemon cuts the photographs one
after the other, and is read when what is free has gone back; then it gets all of them at once, twice, and is read as
soon as the last is done, and a minute later. Its processor time is that of the next minute.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from alphadrop.client import Client
from daemon_process import Home, running, wait_for
from page import Section, print_page
from photographs import lay_out
from processes import cpu_seconds, resident
from stopwatch import median_of
from tables import Line, ratio
from throughput import finished

RUNS = 15
STARTS = 5
PROVIDERS = ("cpu", "openvino")
"""What runs the network."""
MOST = 350
"""Megabytes that the idle daemon may hold."""
GONE_BACK = 15.0
"""Seconds after the last work by which what is free has gone back to the system."""
REST = 60.0
"""Seconds after a burst, and again while nothing happens."""


def measure(quick: bool) -> Iterator[Line]:
    """Yield the lines of the section."""
    runs, rest = (RUNS // 3, REST / 3) if quick else (RUNS, REST)
    nothing = median_of(lambda: _process([sys.executable, "-c", "pass"]), runs)
    alphadrop = str(Path(sys.executable).with_name("alphadrop"))
    yield ratio(
        "alphadrop --help / python -c pass", median_of(lambda: _process([alphadrop, "--help"]), runs), nothing, 5
    )
    with tempfile.TemporaryDirectory(prefix="a") as folder:
        photographs = lay_out(Path(folder, "photographs"))
        for provider in PROVIDERS:
            home = Home(Path(folder, provider))
            home.configure(folder="settle: 0.2", top=f"quiet: never\nprovider: {provider}")
            by = "" if provider == "cpu" else f", {provider}"
            yield _ready(home, by)
            with running(home) as daemon:
                status = median_of(partial(home.alphadrop, "status"), runs)
                yield Line(f"`alphadrop status`{by}", f"{status:.2f} s", "at most 0.15 s", status <= 0.15)
                yield from _idle(home, daemon.pid, photographs, rest, by)


def _ready(home: Home, by: str) -> Line:
    starts = []
    for _ in range(STARTS):
        began = time.perf_counter()
        with running(home):
            starts.append(time.perf_counter() - began)
    ready = statistics.median(starts)
    told = f"{ready:.2f} s ({min(starts):.2f} to {max(starts):.2f})"
    return Line(f"the daemon{by}: process start to ready", told, "at most 1.0 s", ready <= 1.0)


def _idle(home: Home, daemon: int, photographs: list[Path], rest: float, by: str) -> Iterator[Line]:
    client, done = Client(home.run), 0
    for photograph in photographs:
        home.drop(photograph, f"{done}.jpg")
        done += 1
        _wait_until_done(client, done)
    time.sleep(GONE_BACK)
    yield _holds(f"the idle daemon{by} after {done} photographs, one after the other", resident(daemon), goal=True)
    for photograph in photographs * 2:
        home.drop(photograph, f"{done}.jpg")
        done += 1
    _wait_until_done(client, done)
    yield _holds(f"the daemon{by} when {2 * len(photographs)} at once are just done", resident(daemon))
    time.sleep(rest)
    yield _holds(f"the idle daemon{by} {rest:.0f} s after that", resident(daemon), goal=True)
    before = cpu_seconds(daemon)
    time.sleep(rest)
    used = (cpu_seconds(daemon) - before) / rest
    yield Line(f"the idle daemon{by}, CPU over {rest:.0f} s", f"{used:.2%} of one core", "below 0.5 %", used < 0.005)


def _wait_until_done(client: Client, count: int) -> None:
    wait_for(lambda: finished(client) >= count, f"{count} photographs to be done")


def _holds(what: str, megabytes: float, *, goal: bool = False) -> Line:
    met = megabytes <= MOST if goal else None
    return Line(f"{what}, resident", f"{megabytes:.0f} MB", f"at most {MOST} MB" if goal else "", met)


def _process(command: list[str]) -> None:
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)


if __name__ == "__main__":
    sys.exit(print_page(__doc__, [Section("Start, and idling", measure)]))
