"""How the time grows with the pixels of a photograph, and with the files in a folder.

    python benchmarks/growth.py [--quick] [--strict]

One scene is scaled from 1 to 100 megapixels and cut out of JPEG files into PNG files. What the network takes is the
same for all of them, and is left out; through the rest a line is laid that is as little off as can be, relatively.

Files are those of `tests/endurance/burst.py`: tiny pictures and a network that takes no time, so that what is seen is
events, scans, the ledger and the writing. What a file takes is the difference between two numbers of files, so that the
start of the work does not count.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from alphadrop.engine.cutout import Engine, cut_file
from alphadrop.engine.options import Edges
from page import Section, print_page
from photographs import camera_photograph
from tables import Line

BURST = Path(__file__).resolve().parents[1] / "tests" / "endurance" / "burst.py"
MEGAPIXELS = (1, 3, 6, 12, 25, 50, 100)
FEW_MEGAPIXELS = (1, 6, 24)
FILES = (10, 1000, 10_000)
FEW_FILES = (10, 300, 1200)
ROUNDS = 3
OFF = 0.25
"""What growth may be off from even growth."""


def measure(quick: bool) -> Iterator[Line]:
    """Yield the lines of the section."""
    yield from _with_pixels(FEW_MEGAPIXELS if quick else MEGAPIXELS)
    yield from _with_files(FEW_FILES if quick else FILES)


def _with_pixels(megapixels: tuple[int, ...]) -> Iterator[Line]:
    engine = Engine()
    took: dict[Edges, list[float]] = {"plain": [], "refined": []}
    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder, "photograph.jpg"), Path(folder, "photograph.png")
        for size in megapixels:
            camera_photograph(size * 1_000_000).save(source, quality=92)
            for edges, medians in took.items():
                medians.append(_beyond_network(engine, source, target, edges))
    span = f"{megapixels[0]} to {megapixels[-1]} MP"
    for edges, medians in took.items():
        slope, fixed, off = _line(megapixels, medians)
        furthest = int(np.argmax(np.abs(off)))
        yield Line(
            f"{span}, {edges} edges: time beyond the network, off a straight line",
            f"at most {abs(off[furthest]):.0%} (at {megapixels[furthest]} MP) off {slope * 1000:.1f} ms a megapixel "
            f"and {fixed * 1000:.0f} ms",
            f"at most {OFF:.0%}",
            bool(abs(off[furthest]) <= OFF),
        )
        told = (f"{size}: {seconds * 1000:.0f}" for size, seconds in zip(megapixels, medians, strict=True))
        yield Line(f"{edges} edges, MP: ms beyond the network", ", ".join(told))


def _beyond_network(engine: Engine, source: Path, target: Path, edges: Edges) -> float:
    """Return the median of the seconds that a cut takes but for those of the network."""
    times = []
    for _ in range(ROUNDS + 1):
        seconds = cut_file(source, target, edges=edges, engine=engine).seconds
        times.append(sum(seconds.values()) - seconds["network"])
    return statistics.median(times[1:])


def _line(sizes: tuple[int, ...], seconds: list[float]) -> tuple[float, float, NDArray[np.float64]]:
    """Return the slope and the start of a line, and how far off it each time is, in parts of itself."""
    across, up = np.array(sizes, float), np.array(seconds)
    fitted, *_ = np.linalg.lstsq(np.stack([across / up, 1 / up], axis=1), np.ones(len(up)))
    slope, fixed = map(float, fitted)
    return slope, fixed, (slope * across + fixed) / up - 1


def _with_files(numbers: tuple[int, ...]) -> Iterator[Line]:
    seconds = {number: _burst(number) for number in numbers}
    few, some, many = numbers
    sooner = (seconds[some] - seconds[few]) / (some - few)
    later = (seconds[many] - seconds[some]) / (many - some)
    yield Line(
        f"a file beyond {some:,} in a folder, of what one takes between {few} and {some:,}",
        f"{later / sooner:.2f} ({later * 1000:.2f} / {sooner * 1000:.2f} ms)",
        f"at most {1 + OFF:g}",
        later / sooner <= 1 + OFF,
    )
    yield Line("files: seconds until all are done", ", ".join(f"{n:,}: {took:.1f}" for n, took in seconds.items()))


def _burst(files: int) -> float:
    """Return the seconds in which so many files are done."""
    command = [sys.executable, str(BURST), "--only", str(files)]
    seen = json.loads(subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout)
    if seen["done"] != files or seen["wrong"]:
        raise RuntimeError(f"{files} files: {seen}")
    return float(seen["seconds"])


if __name__ == "__main__":
    sys.exit(print_page(__doc__, [Section("Growth", measure)]))
