"""How fast a hot folder is worked through, beside `rembg p` of a folder with the same photographs.

    PYTHONPATH=tests python benchmarks/throughput.py [--quick] [--strict]

A daemon with plain edges and `quiet: never`, once for each provider, finds each photograph ten times, under other
names, all put there at once.
`rembg p` of the command line (2.0.86, u2net) finds each twice: it does one after the other and keeps nothing, so that
more of them tell no more of its rate. The pace of both is taken from the first that is done to the last: neither start
nor loading nor the seconds in which files settle count. Memory is the highest of each process of the program, added up.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from alphadrop.client import Client
from daemon_process import Home, running
from page import Section, print_page, without_peer
from photographs import lay_out
from processes import Peaks
from rembg_environment import peer_python, peer_variables
from tables import Line

TIMES, PEER_TIMES = 10, 2
"""How often each photograph is done."""
PROVIDERS = ("cpu", "openvino")
"""What runs our network."""
PATIENCE = 120.0
"""Seconds in which not one more is done, after which none is held ever to be."""


@dataclass(frozen=True)
class Work:
    """What a folder of photographs took."""

    files: int
    pace: float
    """Seconds a photograph."""
    peak: float
    """Megabytes."""


def measure(quick: bool) -> Iterator[Line]:
    """Yield the lines of the section."""
    with tempfile.TemporaryDirectory(prefix="a") as folder:
        photographs = lay_out(Path(folder, "photographs"), few=quick)
        ours = {by: _ours(Path(folder, by), photographs, 5 if quick else TIMES, by) for by in PROVIDERS}
        for by, work in ours.items():
            yield Line(f"a hot folder, plain edges{_with(by)}", _told(work))
        try:
            rembg = Path(peer_python(command_line=True)).with_name("rembg")
        except (OSError, subprocess.CalledProcessError) as error:
            yield without_peer(error)
            return
        theirs = _theirs(rembg, Path(folder), photographs, 1 if quick else PEER_TIMES)
    yield Line("`rembg p`", _told(theirs))
    for by, work in ours.items():
        faster, memory = theirs.pace / work.pace, work.peak / theirs.peak
        yield Line(f"times the throughput of `rembg p`{_with(by)}", f"{faster:.2f}", "at least 6.5", faster >= 6.5)
        yield Line(f"highest memory, of that of `rembg p`{_with(by)}", f"{memory:.0%}", "at most 40 %", memory <= 0.4)


def finished(client: Client) -> int:
    """Return how many photographs of its only folder a daemon is through with, those without a subject included."""
    folder = client.status()["folders"][0]
    return int(folder["done"] + folder["no_subject"])


def _with(provider: str) -> str:
    return "" if provider == "cpu" else f", {provider}"


def _ours(folder: Path, photographs: Sequence[Path], times: int, provider: str) -> Work:
    folder.mkdir()
    home = Home(folder)
    home.configure(folder="edges: plain", top=f"quiet: never\nprovider: {provider}")
    staged = _copies(photographs, home.root / "staged", times)
    client = Client(home.run)
    with running(home) as daemon:
        for file in staged:
            file.rename(home.input / file.name)
        return _worked(daemon, len(staged), lambda: finished(client))


def _theirs(rembg: Path, folder: Path, photographs: Sequence[Path], times: int) -> Work:
    source, target = folder / "theirs", folder / "made"
    target.mkdir()
    count = len(_copies(photographs, source, times))
    command = [str(rembg), "p", "-m", "u2net", str(source), str(target)]
    with (folder / "rembg.txt").open("wb") as told:
        process = subprocess.Popen(command, stdout=told, stderr=told, env=os.environ | peer_variables())
        try:
            return _worked(process, count, lambda: len(os.listdir(target)))
        finally:
            process.terminate()
            process.wait()


def _copies(photographs: Sequence[Path], folder: Path, times: int) -> list[Path]:
    folder.mkdir()
    made = [folder / f"{turn}-{photograph.name}" for turn in range(times) for photograph in photographs]
    for number, copy in enumerate(made):
        shutil.copyfile(photographs[number % len(photographs)], copy)
    return made


def _worked(process: subprocess.Popen[bytes], count: int, done: Callable[[], int]) -> Work:
    """Return what was seen of a process until so many photographs were done."""
    peaks = Peaks(process.pid)
    seen = [(0, time.perf_counter())]  # how many were done, and when that was first seen
    while seen[-1][0] < count:
        time.sleep(0.1)
        peaks.look()
        known, now = done(), time.perf_counter()
        if known > seen[-1][0]:
            seen.append((known, now))
        elif process.poll() is not None or now - seen[-1][1] > PATIENCE:
            raise RuntimeError(f"{known} of {count} photographs were done, and no more")
    (begun, first), (_, last) = seen[1], seen[-1]
    return Work(count, (last - first) / (count - begun), peaks.together)


def _told(work: Work) -> str:
    return f"{work.pace:.2f} s a photograph over {work.files}; {work.peak:.0f} MB at the highest"


if __name__ == "__main__":
    sys.exit(print_page(__doc__, [Section("A folder of photographs, beside rembg", measure)]))
