"""Alphadrop and rembg on the same photographs, in turn, in one run.

    python benchmarks/against_rembg.py [--quick] [--strict]

rembg 2.0.86 is installed into a virtual environment of its own in the user's cache, and given the same u2net.onnx that
`benchmarks/fetch_networks.py` fetched. Each way is one process that keeps its model; a photograph's time is from its
JPEG file to the PNG file, which rembg's `remove()` leaves to Pillow to save. rembg's default, its `decontaminate`
option and Alphadrop's plain and refined edges, the network run by ONNX Runtime and by OpenVINO, take turns photograph
by photograph, so that the machine's moods meet all alike. Photographs are scaled to the size that is said. One in which
Alphadrop cuts nothing out makes no pair.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from alphadrop.engine.options import Provider
from page import Section, print_page, without_peer
from photographs import lay_out
from rembg_environment import peer_python, peer_variables
from tables import Line, pairs

PEER_PROCESS = """
import json, sys, time
from PIL import Image
from rembg import new_session, remove
session = new_session("u2net")
for line in sys.stdin:
    source, target, way = json.loads(line)
    started = time.perf_counter()
    with Image.open(source) as image:
        remove(image, session=session, **({"decontaminate": True} if way == "decontaminate" else {})).save(target)
    took = time.perf_counter() - started
    peak = next(line for line in open("/proc/self/status") if line.startswith("VmHWM")).split()[1]
    print(json.dumps([took, int(peak) * 1024 / 1e6]), flush=True)
"""
OUR_PROCESS = """
import json, sys, time
from alphadrop.engine.cutout import Engine, cut_file
engine = Engine(provider=sys.argv[1]); engine.warm()
for line in sys.stdin:
    source, target, way = json.loads(line)
    started = time.perf_counter()
    cut_file(source, target, edges=way, engine=engine)
    took = time.perf_counter() - started
    peak = next(line for line in open("/proc/self/status") if line.startswith("VmHWM")).split()[1]
    print(json.dumps([took, int(peak) * 1024 / 1e6]), flush=True)
"""


@dataclass(frozen=True)
class Way:
    """A program and what is asked of it."""

    program: str
    asked: str
    provider: Provider = "cpu"

    def __str__(self) -> str:
        by = "" if self.provider == "cpu" else f", {self.provider}"
        return f"{self.program}, {self.asked}{by}"


DEFAULT, DECONTAMINATE = Way("rembg", "default"), Way("rembg", "decontaminate")
OURS: tuple[Provider, ...] = ("cpu", "openvino")
"""What runs our network, in turn."""
WAYS = (DEFAULT, DECONTAMINATE, *(Way("alphadrop", edges, by) for by in OURS for edges in ("plain", "refined")))


@dataclass(frozen=True)
class Made:
    """What one way made of one photograph."""

    seconds: float
    peak: float
    """Highest memory of the process so far, in megabytes."""
    bytes: int
    """Of the output; none where there is no output."""


class Worker:
    """One way, in a process of its own: its peak of memory is its own."""

    def __init__(self, way: Way, python: str) -> None:
        self._way = way
        code = PEER_PROCESS if way.program == "rembg" else OUR_PROCESS
        self._process = subprocess.Popen(
            [python if way.program == "rembg" else sys.executable, "-c", code, way.provider],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=os.environ | peer_variables(),
        )

    def cut(self, source: Path) -> Made:
        """Cut out one photograph; its output is looked at and removed."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        target = source.with_suffix(".png")
        self._process.stdin.write(json.dumps([str(source), str(target), self._way.asked]) + "\n")
        self._process.stdin.flush()
        seconds, peak = json.loads(self._process.stdout.readline())
        size = target.stat().st_size if target.exists() else 0
        target.unlink(missing_ok=True)
        return Made(seconds, peak, size)

    def end(self) -> None:
        self._process.communicate()


def measure(quick: bool) -> Iterator[Line]:
    """Yield the lines of the section."""
    try:
        python = peer_python(command_line=quick)  # whoever is in a hurry installs only one of the two
    except (OSError, subprocess.CalledProcessError) as error:
        yield without_peer(error)
        return
    with tempfile.TemporaryDirectory() as folder:
        large = _in_turn(python, lay_out(Path(folder, "12"), 12_000_000, few=quick), WAYS)
        small = _in_turn(python, lay_out(Path(folder, "1.5"), 1_500_000, few=quick), WAYS)
    for by in OURS:
        plain, refined = Way("alphadrop", "plain", by), Way("alphadrop", "refined", by)
        with_it = "" if by == "cpu" else f", {by}"
        yield _times(f"12 MP, plain edges{with_it}: times as fast as rembg", large, DEFAULT, plain, 6)
        yield _times(f"1.5 MP, plain edges{with_it}: times as fast as rembg", small, DEFAULT, plain, 4)
        yield _times(f"12 MP, refined edges{with_it}: times as fast as rembg", large, DEFAULT, refined, 4)
        yield _times(
            f"12 MP, refined edges{with_it}: times as fast as rembg with `decontaminate`",
            large,
            DECONTAMINATE,
            refined,
            12,
        )
        yield _times(f"1.5 MP, refined edges{with_it}: times as fast as rembg", small, DEFAULT, refined)
    for way, made in large.items():
        seconds, sizes = [each.seconds for each in made], [each.bytes for each in made]
        yield Line(
            f"12 MP, {way}",
            f"{statistics.median(seconds):.2f} s a photograph, {statistics.mean(seconds):.2f} on average; "
            f"{made[-1].peak:.0f} MB at the highest; {statistics.mean(sizes) / 1e6:.1f} MB a file",
        )


def _in_turn(python: str, photographs: Iterable[Path], ways: Iterable[Way]) -> dict[Way, list[Made]]:
    """Return what each way made of each photograph that every way made something of."""
    made: dict[Way, list[Made]] = {way: [] for way in ways}
    workers = {way: Worker(way, python) for way in made}
    for number, photograph in enumerate(photographs):
        for worker in workers.values() if number == 0 else ():
            worker.cut(photograph)  # warms up
        round = {way: worker.cut(photograph) for way, worker in workers.items()}
        if all(each.bytes for each in round.values()):
            for way, each in round.items():
                made[way].append(each)
    for worker in workers.values():
        worker.end()
    return made


def _times(what: str, made: dict[Way, list[Made]], theirs: Way, ours: Way, least: float | None = None) -> Line:
    return pairs(what, [each.seconds for each in made[theirs]], [each.seconds for each in made[ours]], least=least)


if __name__ == "__main__":
    sys.exit(print_page(__doc__, [Section("One photograph after the other, beside rembg", measure)]))
