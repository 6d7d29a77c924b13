"""How near the time of a cut is to what its decoder, its network and its deflate take by themselves.

    python benchmarks/limit.py [--quick] [--strict]
    python benchmarks/limit.py --profile          where the time of one cut goes, function by function

The limit of a photograph is Pillow's decoding of the same JPEG file, one run of the network on its view, and the
deflate of the very rows of the cut-out's PNG file, filtered already, in the same strips on the same threads. It is
measured in turn with the whole way from JPEG file to PNG file, everything warm. A photograph in which nothing is cut
out has no limit, and is left out.
"""

from __future__ import annotations

import statistics
import struct
import sys
import tempfile
import time
import zlib
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from isal import isal_zlib
from PIL import Image

from alphadrop.engine.cutout import Engine, cut_file
from alphadrop.engine.options import Edges
from alphadrop.engine.photo import decode
from own_time import print_own_times
from page import Section, print_page
from photographs import camera_photograph, lay_out
from stopwatch import seconds_of
from tables import Line, pairs

STRIP_ROWS = 128
LEVEL = 1
ROUNDS = 3
EDGES: tuple[Edges, ...] = ("plain", "refined")


@dataclass
class Parts:
    """What every way of cutting a photograph out has to do, each by itself."""

    source: Path
    cutout: Path
    """What the engine made of it, a PNG file."""
    engine: Engine
    seconds: dict[str, float] = field(default_factory=dict)
    """Of the last run of each part."""

    def __post_init__(self) -> None:
        self._segmenter = self.engine.warm()
        with self.source.open("rb") as stream:
            self._view = decode(stream, self.source.name).view(self._segmenter.spec.input_size)
        self._strips = _strips(self.cutout.read_bytes())

    def run(self) -> None:
        """Do each part once."""
        self.seconds = {
            "decode": seconds_of(self._decode),
            "network": seconds_of(lambda: self._segmenter.saliency(self._view)),
            "deflate": seconds_of(self._deflate),
        }

    def _decode(self) -> None:
        with Image.open(self.source) as image:
            image.load()

    def _deflate(self) -> None:
        with ThreadPoolExecutor(self.engine.threads) as workers:
            for _ in workers.map(_deflated, self._strips):
                pass


@dataclass
class Times:
    """Seconds of one photograph and another, each of the same place taken in turn."""

    whole: dict[Edges, list[float]] = field(default_factory=lambda: {edges: [] for edges in EDGES})
    stages: dict[Edges, list[Mapping[str, float]]] = field(default_factory=lambda: {edges: [] for edges in EDGES})
    parts: list[dict[str, float]] = field(default_factory=list)

    @property
    def networks(self) -> list[float]:
        """Of each pair."""
        return [each["network"] for each in self.parts]

    @property
    def limits(self) -> list[float]:
        """Of each pair."""
        return [sum(each.values()) for each in self.parts]


def measure(quick: bool) -> Iterator[Line]:
    """Yield the lines of the section."""
    with tempfile.TemporaryDirectory() as folder:

        def times(engine: Engine, pixels: int) -> Times:
            return _times(engine, lay_out(Path(folder, str(pixels)), pixels, few=quick), 1 if quick else ROUNDS)

        large, small = (times(Engine(), pixels) for pixels in (12_000_000, 1_500_000))
        openvino = times(Engine(provider="openvino"), 12_000_000)
    yield pairs("JPEG to PNG file, 12 MP, plain edges / the limit", large.whole["plain"], large.limits, most=1.25)
    yield pairs("JPEG to PNG file, 12 MP, refined edges / the limit", large.whole["refined"], large.limits)
    yield pairs("JPEG to PNG file, 1.5 MP, plain edges / the network", small.whole["plain"], small.networks, most=1.5)
    yield pairs("JPEG to PNG file, 1.5 MP, refined edges / the network", small.whole["refined"], small.networks, most=2)
    yield pairs("JPEG to PNG file, 12 MP, plain edges / the limit, openvino", openvino.whole["plain"], openvino.limits)
    yield Line("12 MP, the limit, its parts in ms", _medians(large.parts))
    yield Line("12 MP, the limit, its parts in ms, openvino", _medians(openvino.parts))
    for edges in EDGES:
        yield Line(f"12 MP, {edges} edges, stages in ms", _medians(large.stages[edges]))


def _times(engine: Engine, photographs: list[Path], rounds: int) -> Times:
    times = Times()
    for source in photographs:
        target = source.with_suffix(".png")
        if cut_file(source, target, edges="plain", engine=engine).outcome == "no_subject":
            continue
        parts = Parts(source, target, engine)
        parts.run()
        for _ in range(rounds):  # in turn, so that the machine's moods meet all alike
            for edges in EDGES:
                started = time.perf_counter()
                report = cut_file(source, target, edges=edges, engine=engine)
                times.whole[edges].append(time.perf_counter() - started)
                times.stages[edges].append(report.seconds)
            parts.run()
            times.parts.append(parts.seconds)
        source.unlink()
        target.unlink()
    return times


def _medians(runs: Sequence[Mapping[str, float]]) -> str:
    medians = {stage: statistics.median(run[stage] for run in runs) for stage in runs[0]}
    return ", ".join(f"{stage} {seconds * 1000:.0f}" for stage, seconds in medians.items())


def _strips(png: bytes) -> list[bytes]:
    """Return the filtered rows of a PNG file, in strips."""
    at, deflated = 8, b""
    while at < len(png):
        (length,) = struct.unpack_from(">I", png, at)
        kind, content = png[at + 4 : at + 8], png[at + 8 : at + 8 + length]
        if kind == b"IHDR":
            width, _, _, colour = struct.unpack_from(">IIBB", content)
        elif kind == b"IDAT":
            deflated += content
        at += 12 + length
    strip = STRIP_ROWS * (1 + width * {0: 1, 4: 2, 2: 3, 6: 4}[colour])
    rows = zlib.decompress(deflated)
    return [rows[start : start + strip] for start in range(0, len(rows), strip)]


def _deflated(strip: bytes) -> bytes:
    deflate = isal_zlib.compressobj(LEVEL, isal_zlib.DEFLATED, -isal_zlib.MAX_WBITS)
    deflated: bytes = deflate.compress(strip) + deflate.flush(isal_zlib.Z_FULL_FLUSH)
    return deflated


def _print_profile() -> None:
    """Print where the time of one cut goes, with either edges."""
    engine = Engine()
    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder, "photograph.jpg"), Path(folder, "photograph.png")
        camera_photograph(12_000_000).save(source, quality=92)
        for edges in EDGES:
            cut_file(source, target, edges=edges, engine=engine)  # warms up
            print_own_times(
                f"12 MP, {edges} edges",
                lambda edges=edges: cut_file(source, target, edges=edges, engine=engine),  # type: ignore[misc]
            )


if __name__ == "__main__":
    if "--profile" in sys.argv[1:]:
        _print_profile()
    else:
        sys.exit(print_page(__doc__, [Section("How near to the limit", measure)]))
