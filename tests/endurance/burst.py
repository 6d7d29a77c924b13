"""Drop thousands of small pictures at once, and see that each is done once and memory does not follow their number.

    python tests/endurance/burst.py [--files 1000 10000] [--most-growth-mb 30]

For each number a process of its own works a hot folder with a network that takes no time, so that what is measured is
everything around it: events, scans, the ledger, decoding, encoding and the writing of files. The pictures, 48 x 40,
half of them BMP and half PNG, each of a colour of its own, are made beforehand and renamed into the folder as fast as
that goes. Time is taken from the first rename until the ledger calls all of them done; resident memory before the
first rename, its highest of the whole process, and when all is done; open descriptors before and after.

Promised:

- All are done exactly once: as many outputs as pictures, each of its picture's colour; as many runs of the network.
- From the smallest number to the largest, the highest memory grows by less than `--most-growth-mb`.
- No descriptor is open in the end that was not open before.

A table in Markdown is printed. The exit status is 1 where a promise was broken.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from alphadrop.hotfolder.hotfolders import HotFolders
from fake_segmenter import Ground, middle, photograph

PATIENCE = 120.0
"""Seconds in which not one more is done, after which none is held ever to be."""
FOLDERS = 10


def main() -> int:
    chosen = parse_arguments()
    if chosen.only is not None:
        sys.stdout.write(json.dumps(asdict(measure(chosen.only))))
        return 0
    measured = [in_a_process_of_its_own(count) for count in sorted(chosen.files)]
    say(table(measured))
    broken = verdict(measured, chosen.most_growth_mb)
    for each in broken:
        say(f"BROKEN: {each}")
    return 1 if broken else 0


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--files", type=int, nargs="+", default=[1000, 10_000], metavar="N", help="how many (default 1000 10000)"
    )
    parser.add_argument(
        "--most-growth-mb",
        type=float,
        default=30.0,
        metavar="MB",
        help="by how much the highest memory may grow from the smallest number to the largest (default 30)",
    )
    parser.add_argument("--only", type=int, help=argparse.SUPPRESS)
    return parser.parse_args()


@dataclass(frozen=True)
class Burst:
    """What one burst took. Memory in megabytes."""

    files: int
    seconds: float
    resident_before: float
    resident_highest: float
    resident_after: float
    descriptors_before: int
    descriptors_after: int
    done: int
    outputs: int
    runs: int
    wrong: tuple[str, ...]
    """Outputs that are not what they should be, at most ten."""


def in_a_process_of_its_own(count: int) -> Burst:
    command = [sys.executable, __file__, "--only", str(count)]
    ended = subprocess.run(command, stdout=subprocess.PIPE, check=True)
    return Burst(**json.loads(ended.stdout))


def measure(count: int) -> Burst:
    """Do one burst in this process."""
    if hasattr(signal, "SIGIO"):
        signal.signal(signal.SIGIO, signal.SIG_IGN)  # what the kernel sends to a holder of a read lease
    root = Path(tempfile.mkdtemp(prefix="burst-"))
    try:
        ground = Ground(root, settle=0.1, rescan=86_400.0)
        staged = make_pictures(root / "staged", ground.input, count)
        folders = hot_folders(ground)
        folders.start()
        folders.begin_work()
        folders.wait_until_armed()
        before, opened = memory("VmRSS"), descriptors()
        started = time.monotonic()
        for path, target in staged:
            path.rename(target)
        done = wait_for_all(count, lambda: ground.ledger.counts(ground.input).get("done", 0))
        seconds = time.monotonic() - started
        after, highest, open_now = memory("VmRSS"), memory("VmHWM"), descriptors()
        if not folders.close(PATIENCE):
            raise SystemExit("the folders did not close")
        outputs, wrong = look_at_outputs(ground.output, count)
        ground.ledger.close()
    finally:
        shutil.rmtree(root)
    return Burst(
        count, seconds, before, highest, after, opened, open_now, done, outputs, ground.fake.runs, tuple(wrong)
    )


def hot_folders(ground: Ground) -> HotFolders:
    """Make the folders; the only place that knows how."""
    return HotFolders([ground.settings], ground.pipeline, ground.ledger)


def make_pictures(staged: Path, folder: Path, count: int) -> list[tuple[Path, Path]]:
    """Make the pictures, and the folders they go to; return each with where it goes."""
    staged.mkdir()
    for number in range(FOLDERS):
        (folder / str(number)).mkdir()
    pairs = []
    for number in range(count):
        name = f"{number}{('.bmp', '.png')[number % 2]}"
        photograph(staged / name, colour(number))
        pairs.append((staged / name, folder / str(number % FOLDERS) / name))
    return pairs


def colour(number: int) -> tuple[int, int, int]:
    """Return a colour that no other number below 16 million has."""
    return number & 255, number >> 8 & 255, number >> 16 & 255


def wait_for_all(count: int, done: Callable[[], int]) -> int:
    """Return how many are done: all, or as many as were when nothing went on any more."""
    last, since = done(), time.monotonic()
    while last < count and time.monotonic() - since < PATIENCE:
        time.sleep(0.2)
        now = done()
        if now != last:
            last, since = now, time.monotonic()
    return last


def look_at_outputs(folder: Path, count: int) -> tuple[int, list[str]]:
    """Return how many files are in the output folder, and up to ten that are missing or not what they should be."""
    found = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if not path.is_dir()}
    expected = {f"{number % FOLDERS}/{number}.png": colour(number) for number in range(count)}
    wrong = [f"{name} is missing" for name in expected.keys() - found]
    wrong += [f"{name} should not be there" for name in found - expected.keys()]
    for name in expected.keys() & found:
        try:
            shown = middle(folder / name)
        except (OSError, SyntaxError, AssertionError) as error:
            wrong.append(f"{name} is damaged: {error}")
        else:
            if shown != expected[name]:
                wrong.append(f"{name} is {shown}, its picture {expected[name]}")
    return len(found), wrong[:10]


def memory(what: str) -> float:
    """Return a value of this process's memory in megabytes; see proc_pid_status(5)."""
    with open("/proc/self/status", encoding="utf-8") as lines:
        return next(int(line.split()[1]) for line in lines if line.startswith(f"{what}:")) * 1024 / 1e6


def descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


def table(measured: list[Burst]) -> str:
    lines = [
        "| files | seconds | files a second | resident, MB: before | highest | after | descriptors | outputs | runs |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for each in measured:
        memories = (each.resident_before, each.resident_highest, each.resident_after)
        cells = [
            str(each.files),
            f"{each.seconds:.1f}",
            f"{each.done / each.seconds:.0f}",
            *(f"{value:.1f}" for value in memories),
            f"{each.descriptors_before}, then {each.descriptors_after}",
            str(each.outputs),
            str(each.runs),
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def verdict(measured: list[Burst], most_growth: float) -> list[str]:
    """Return every promise that was broken."""
    broken = []
    for each in measured:
        counts = {"done": each.done, "outputs": each.outputs, "runs of the network": each.runs}
        broken += [f"{each.files} files: {n} {what}" for what, n in counts.items() if n != each.files]
        broken += [f"{each.files} files: {wrong}" for wrong in each.wrong]
        if each.descriptors_after > each.descriptors_before:
            broken.append(f"{each.files} files: descriptors grew")
    growth = measured[-1].resident_highest - measured[0].resident_highest
    if len(measured) > 1:
        say(f"\nThe highest memory grew by {growth:.1f} MB; at most {most_growth:.0f} are promised.")
    if growth >= most_growth:
        broken.append(f"the highest memory grew by {growth:.1f} MB")
    return broken


def say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
