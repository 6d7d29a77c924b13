"""Measure `alphadrop batch`: against the hot folder, with Ray, on two nodes against one, and its memory.

    PYTHONPATH=tests python benchmarks/scale.py [--whole] [--strict] [PART...]

PART is `rates`, `nodes` or `memory`; all by default. Short by default: then times are told and not judged, since what a
start takes weighs too much. `--whole` does every photograph ten times, and a hundred thousand small files for memory.
Real camera files are taken from the folder that ALPHADROP_PHOTOS names, copies of one of scikit-image's photographs
where it is not set.
"""

from __future__ import annotations

import argparse
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from PIL import Image

from alphadrop.client import Client
from alphadrop.engine.cutout import EngineRecipe
from alphadrop.engine.options import CutOptions
from alphadrop.hotfolder.settings import FolderSettings
from alphadrop.memory import return_big_blocks
from alphadrop.scale.batch import here, run
from alphadrop.scale.cutter import Brief
from alphadrop.scale.manifest import Row
from daemon_process import Home, running, wait_for
from fake_segmenter import FakeEngine
from photographs import camera_photograph
from ray_process import RayCluster, ray_cluster
from tables import Line, print_table
from throughput import finished

PARTS = ("rates", "nodes", "memory")
PATIENCE = 1800.0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="*", metavar="PART", help=", ".join(PARTS))
    parser.add_argument("--whole", action="store_true", help="ten times, and a hundred thousand files")
    parser.add_argument("--strict", action="store_true", help="exit with 1 where a goal is missed")
    parser.add_argument("--memory-of", type=Path, help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.memory_of is not None:
        return _batch_with_a_fake(chosen.memory_of)
    wanted = chosen.parts or list(PARTS)
    lines: list[Line] = []
    if "rates" in wanted:
        lines += _rates(10 if chosen.whole else 1)
    if "nodes" in wanted:
        lines += _nodes(3 if chosen.whole else 1)
    if "memory" in wanted:
        lines += _memory(1000, 100_000 if chosen.whole else 4000)
    print_table(lines)
    return 1 if chosen.strict and any(line.met is False for line in lines) else 0


def _rates(times: int) -> list[Line]:
    """Measure the hot folder, the batch and the batch on Ray with the same photographs; each from cold to the last."""
    with _home() as home, ray_cluster(os.cpu_count() or 1) as cluster:
        count = _lay(home.root / "photographs", times)
        hot = _hot_folder(home, count)
        batch = _batch(home, "batch")
        on_ray = _batch(home, "on-ray", cluster)
        alone = _batch(home, "alone", None, "--ray", "auto")
    judged = times > 1
    return [
        Line(f"the hot folder, {count} photographs", _each(hot, count)),
        _against("batch / hot folder", batch, hot, 1.1, judged=judged),
        _against("batch --ray HOST:PORT / hot folder", on_ray, hot, 1.3, judged=judged),
        Line("batch --ray auto, Ray's own start and end in it", f"{alone / hot:.2f} ({_each(alone, count)})"),
    ]


def _nodes(times: int) -> list[Line]:
    """Measure two nodes of one processor each against one, each node on a processor of its own."""
    if (os.cpu_count() or 1) < 2:
        return [Line("two nodes against one", "left out: this machine has one processor")]
    seconds = {}
    with _home() as home:
        count = _lay(home.root / "photographs", times)
        for nodes in (1, 2):
            with ray_cluster(*([1] * nodes), pinned=True) as cluster:
                _batch(home, f"warm-{nodes}", cluster, photographs=home.root / "few")
                seconds[nodes] = _span_of_work(home, f"nodes-{nodes}", cluster)
    gain = seconds[1] / seconds[2]
    told = f"{gain:.2f} ({_each(seconds[1], count)}, {_each(seconds[2], count)})"
    met = gain >= 1.7 if times > 1 else None
    return [Line("two nodes of one core: times as fast as one", told, "at least 1.7", met)]


def _memory(few: int, many: int) -> list[Line]:
    peaks = {}
    room = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
    with tempfile.TemporaryDirectory(prefix="a", dir=room) as folder:
        for count in (few, many):
            root = Path(folder, str(count))
            (root / "in").mkdir(parents=True)
            first = root / "in" / "0.png"
            Image.new("RGB", (48, 40), (200, 30, 40)).save(first)
            for number in range(1, count):
                shutil.copy(first, first.with_name(f"{number}.png"))
            command = [sys.executable, __file__, "--memory-of", str(root)]
            peaks[count] = int(subprocess.run(command, check=True, capture_output=True, text=True).stdout) / 1000
            shutil.rmtree(root)
    grown = peaks[many] / peaks[few]
    told = f"{grown:.2f} ({peaks[many]:.0f} / {peaks[few]:.0f} MB)"
    return [Line(f"peak memory, {many:,} small files in one folder / {few:,}", told, "at most 1.1", grown <= 1.1)]


def _batch_with_a_fake(root: Path) -> int:
    """Cut everything in a folder with a network that takes no time; print the peak of resident memory in kB."""
    return_big_blocks()  # as the command does
    settings = FolderSettings(root / "in", root / "out", "u2net-int8", CutOptions(edges="plain"))
    brief = Brief(str(root / "in"), str(root / "out"), settings, EngineRecipe(), 40_000_000)
    counts = run(brief, here(brief, engine=FakeEngine().engine), _Nobody())
    assert set(counts.now) == {"done"}, counts
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
    return 0


class _Nobody:
    def begin(self, photographs: int) -> None:
        pass

    def see(self, row: Row) -> None:
        pass

    def lose(self, photographs: int) -> None:
        raise AssertionError(f"{photographs} were lost")


@contextmanager
def _home() -> Iterator[Home]:
    with tempfile.TemporaryDirectory(prefix="a") as folder:
        home = Home(Path(folder))
        home.configure("settle: 100ms")
        yield home


def _lay(folder: Path, times: int) -> int:
    """Lay out photographs; return how many they are. `few` beside them has one for each core, to warm up with."""
    folder.mkdir()
    (folder.parent / "few").mkdir()
    source = os.environ.get("ALPHADROP_PHOTOS")
    if source:
        files = sorted(Path(source).glob("*.jpg"))
    else:
        files = [folder.parent / "photograph.jpg"] * 13
        camera_photograph(8_000_000).save(files[0], quality=92)
    for turn in range(times):
        for number, file in enumerate(files):
            shutil.copy(file, folder / f"{turn}-{number:02}.jpg")
    for number in range(4):
        shutil.copy(files[0], folder.parent / "few" / f"{number}.jpg")
    return times * len(files)


def _hot_folder(home: Home, count: int) -> float:
    started = time.perf_counter()
    with running(home):
        ready = time.perf_counter() - started
        copy = home.root / "copy"
        shutil.copytree(home.root / "photographs", copy)
        started = time.perf_counter()
        for file in sorted(copy.iterdir()):
            file.rename(home.input / file.name)
        client = Client(home.run)
        wait_for(lambda: finished(client) == count, "the hot folder", PATIENCE)
        return ready + time.perf_counter() - started


def _batch(
    home: Home, target: str, cluster: RayCluster | None = None, *words: str, photographs: Path | None = None
) -> float:
    environment = home.environment | (cluster.environment if cluster else {"RAY_TMPDIR": str(home.root)})
    if cluster:
        words = ("--ray", cluster.address, *words)
    started = time.perf_counter()
    source = photographs or home.root / "photographs"
    command = [sys.executable, "-m", "alphadrop", "batch", str(source), str(home.root / target), *words]
    subprocess.run(command, env=environment, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - started


def _span_of_work(home: Home, target: str, cluster: RayCluster) -> float:
    """Return the seconds from the first photograph that was begun to the last that was done."""
    from alphadrop.scale.manifest import Manifest
    from alphadrop.scale.stores import Folder

    _batch(home, target, cluster)
    rows = list(Manifest(Folder(home.root / target)).rows())
    return max(row.finished for row in rows) - min(row.started for row in rows)


def _against(what: str, seconds: float, other: float, most: float, *, judged: bool) -> Line:
    told = f"{seconds / other:.2f} ({seconds:.1f} / {other:.1f} s)"
    return Line(what, told, f"at most {most:g}" if judged else "", seconds / other <= most if judged else None)


def _each(seconds: float, count: int) -> str:
    return f"{seconds:.1f} s, {seconds / count:.2f} s each"


if __name__ == "__main__":
    sys.exit(main())
