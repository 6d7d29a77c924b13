"""Drop camera photographs and hostile files into one daemon for as long as asked, and see that it does not grow.

    python tests/endurance/soak.py --minutes 30 --photos FOLDER --odd FOLDER [--work FOLDER] [--quiet never]

The real `alphadrop run` with the embedded model works in laps. In a lap every photograph of the one folder and a part
of the odd files of the other arrive under new names, never more than four ahead of the daemon, the photographs always
in the same order. (A file whose ending is no photograph's gets `.jpg` added, so that the daemon takes it.) What is
finished is checked and removed, so that the disk does not fill. Between two laps, when nothing is left to do, the
memory, descriptors and threads of the daemon and of its child processes are read: moments that can be compared. The
highest memory is read all the time.

Promised:

- Resident memory between laps, at the end, is at most 5 % above what it was after the first two minutes: the median
  over the last minute against the median over the third. (In less than four minutes: the second half of the laps
  against the first.)
- No descriptor more than there were: medians of the same laps.
- Every file is accounted for: one complete output of the photograph's size, or no output and `no_subject` or `failed`
  with a reason in the ledger; and the same file always ends in the same way.
- The daemon ends only when it is told to, and nothing it does fails unforeseen.

A table with one line for each minute is printed, then a verdict. The exit status is 1 where a promise was broken.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import shutil
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from PIL import Image

from alphadrop.engine.photo import SUFFIXES
from daemon_process import Home, running

AHEAD = 4
"""Files that wait for the daemon at most."""
ODD_IN_A_LAP = 17
SETTLE = 0.2
PATIENCE = 330.0
"""Seconds that a file may take; the daemon's longest back-off between two attempts is 300."""
MOST_GROWTH = 0.05
WARM_UP = 120.0
"""Seconds after which the daemon has met all that it meets, and may grow no more."""
WINDOW = 60.0
ENDS = frozenset({"done", "failed"})


class BrokenOff(Exception):
    """The run cannot go on: the daemon ended, or stands still."""


def main() -> int:
    chosen = parse_arguments()
    photos, odd = files_of(chosen.photos), files_of(chosen.odd)
    if not photos or not odd:
        say("soak: there is no file in one of the two folders")
        return 2
    root = chosen.work or Path(tempfile.mkdtemp(prefix="soak-"))
    root.mkdir(parents=True, exist_ok=True)
    if os.listdir(root):
        say(f"soak: {root} is not empty")
        return 2
    soak = Soak(Home(root), photos, odd, chosen.quiet)
    broken = [*soak.run(60.0 * chosen.minutes), *soak.broken]
    say(table(soak.readings, soak.peaks, soak.finished_at))
    say(f"\n{len(soak.finished_at)} files: {', '.join(f'{v} {k}' for k, v in sorted(soak.ends.items()))}")
    broken += verdict(soak.readings, 60.0 * chosen.minutes)
    for each in broken:
        say(f"BROKEN: {each}")
    if broken:
        say(f"\nEverything is left in {root}")
    elif chosen.work is None:
        shutil.rmtree(root)
    return 1 if broken else 0


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, required=True, metavar="M", help="how long files are dropped")
    parser.add_argument(
        "--photos",
        type=folder_in("ALPHADROP_PHOTOS"),
        required=True,
        metavar="FOLDER",
        help="photographs from a camera",
    )
    parser.add_argument(
        "--odd", type=folder_in("ALPHADROP_ODD"), required=True, metavar="FOLDER", help="odd, hostile and broken files"
    )
    parser.add_argument(
        "--quiet",
        choices=("never", "auto"),
        default="auto",
        help="whether work is quiet while other programs are busy (default: auto, as for everybody)",
    )
    parser.add_argument(
        "--work", type=Path, metavar="FOLDER", help="an empty folder to work in, kept afterwards (default: a temporary)"
    )
    return parser.parse_args()


def folder_in(variable: str) -> Callable[[str], Path]:
    """Return what makes a path of an argument that `make soak` takes from a variable: unset, it would be here."""

    def folder(text: str) -> Path:
        if not text:
            raise argparse.ArgumentTypeError(f"no folder is named: set {variable} to one")
        return Path(text)

    return folder


def files_of(folder: Path) -> list[Path]:
    """Return the files below a folder, but for those that describe the others."""
    described = {"README.md", "manifest.csv"}
    return sorted(path for path in folder.rglob("*") if path.is_file() and path.name not in described)


# --- what is measured ------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Reading:
    """What a daemon and its children take, at one moment between two laps."""

    at: float
    """Seconds since the first drop."""
    resident: float
    """Megabytes, of all processes together."""
    descriptors: int
    threads: int
    processes: int


def read_now(pid: int, at: float) -> Reading:
    """Return the medians of five looks within a second: a single one may meet a thread that is just ending."""
    looks = []
    for _ in range(5):
        looks.append(look(pid, at))
        time.sleep(0.2)
    return Reading(
        at,
        statistics.median(each.resident for each in looks),
        *(
            int(statistics.median(getattr(each, what) for each in looks))
            for what in ("descriptors", "threads", "processes")
        ),
    )


def look(pid: int, at: float) -> Reading:
    family = [pid, *descendants(pid)]
    return Reading(
        at,
        sum(resident_of(each) for each in family),
        sum(entries(f"/proc/{each}/fd") for each in family),
        sum(entries(f"/proc/{each}/task") for each in family),
        len(family),
    )


def resident_of(pid: int) -> float:
    """Return a process's resident memory in megabytes; none where it has ended meanwhile."""
    with contextlib.suppress(FileNotFoundError, ProcessLookupError), open(f"/proc/{pid}/smaps_rollup") as lines:
        return next(int(line.split()[1]) for line in lines if line.startswith("Rss:")) * 1024 / 1e6
    return 0.0


def entries(folder: str) -> int:
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        return len(os.listdir(folder))
    return 0


def descendants(pid: int) -> list[int]:
    """Return the children of a process, and theirs."""
    found: list[int] = []
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        for task in os.listdir(f"/proc/{pid}/task"):
            with contextlib.suppress(FileNotFoundError, ProcessLookupError):
                found += map(int, Path(f"/proc/{pid}/task/{task}/children").read_text().split())
    return found + [below for child in found for below in descendants(child)]


# --- the run ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Dropped:
    """A file that waits for the daemon."""

    source: Path
    path: Path
    at: float

    @property
    def stem(self) -> str:
        return self.path.stem


@dataclass(frozen=True)
class End:
    """What the ledger says became of a file."""

    state: str
    outcome: str
    reason: str


@dataclass
class Soak:
    """One daemon, from its start to its end, and everything read on the way."""

    home: Home
    photos: list[Path]
    odd: list[Path]
    quiet: str
    readings: list[Reading] = field(default_factory=list)
    peaks: dict[int, float] = field(default_factory=dict)
    """Highest resident megabytes seen in each minute."""
    finished_at: list[float] = field(default_factory=list)
    ends: Counter[str] = field(default_factory=Counter)
    broken: list[str] = field(default_factory=list)
    _waiting: list[Dropped] = field(default_factory=list)
    _usual: dict[Path, str] = field(default_factory=dict)
    _number: int = 0
    _started: float = 0.0

    def run(self, seconds: float) -> Iterator[str]:
        """Run to the end; yield what cut the run short."""
        # With `auto` the network is loaded anew when other programs come and go: that must leave nothing behind either.
        self.home.configure(folder=f"settle: {SETTLE}", top=f"quiet: {self.quiet}")
        try:
            with running(self.home) as process:
                self._started = time.monotonic()
                self._laps(process, seconds)
            if process.returncode != 0:
                yield f"the daemon ended with status {process.returncode} when it was told to stop"
        except (BrokenOff, AssertionError) as error:
            yield str(error)
        yield from (f"unforeseen error: {each}" for each in tracebacks(self.home))
        yield from (f"left in the output folder: {name}" for name in os.listdir(self.home.output))

    def _laps(self, process: subprocess.Popen[bytes], seconds: float) -> None:
        lap = 0
        while self._now() < seconds:
            for source in self._sources(lap):
                self._wait_until(process, lambda: len(self._waiting) < AHEAD)
                self._drop(source)
            self._wait_until(process, lambda: not self._waiting)
            self.readings.append(read_now(process.pid, self._now()))
            lap += 1

    def _now(self) -> float:
        return time.monotonic() - self._started

    def _sources(self, lap: int) -> list[Path]:
        """Return what is dropped in a lap: odd files between the photographs, the same photograph last."""
        odd = [self.odd[(lap * ODD_IN_A_LAP + each) % len(self.odd)] for each in range(ODD_IN_A_LAP)]
        mixed = [(each / len(odd), path) for each, path in enumerate(odd)]
        mixed += [((each + 1) / len(self.photos), path) for each, path in enumerate(self.photos)]
        return [path for _, path in sorted(mixed)]

    def _drop(self, source: Path) -> None:
        self._number += 1
        suffix = "" if source.suffix.lower() in SUFFIXES else ".jpg"
        path = self.home.input / f"{self._number}-{source.name}{suffix}"
        staged = self.home.root / "staged"
        shutil.copyfile(source, staged)
        staged.rename(path)
        self._waiting.append(Dropped(source, path, self._now()))

    def _wait_until(self, process: subprocess.Popen[bytes], condition: Callable[[], bool]) -> None:
        while not condition():
            if process.poll() is not None:
                names = ", ".join(each.path.name for each in self._waiting)
                raise BrokenOff(f"the daemon ended by itself with status {process.returncode}, before it were: {names}")
            self._watch_memory(process.pid)
            for each in list(self._waiting):
                end = self._end_of(each)
                if end is not None:
                    self._account(each, end)
                elif self._now() - each.at > PATIENCE:
                    raise BrokenOff(f"{each.path.name}: nothing came of it in {PATIENCE:.0f} s")
            time.sleep(0.1)

    def _watch_memory(self, pid: int) -> None:
        minute = int(self._now() // 60)
        self.peaks[minute] = max(self.peaks.get(minute, 0.0), look(pid, 0.0).resident)

    def _end_of(self, dropped: Dropped) -> End | None:
        """Return what became of a file; None where it is not finished."""
        ledger = f"file:{self.home.root / 'data' / 'ledger.sqlite'}?mode=ro"
        with contextlib.closing(sqlite3.connect(ledger, uri=True)) as database:
            row = database.execute(
                "SELECT state, outcome, reason FROM files WHERE path = ?", (os.fsencode(dropped.path.name),)
            ).fetchone()
        return End(*row) if row is not None and row[0] in ENDS else None

    def _account(self, dropped: Dropped, end: End) -> None:
        """Check what became of a file, then remove it and its output."""
        outputs = [path for path in self.home.output.iterdir() if path.name.startswith(f"{dropped.stem}.")]
        trouble = disagreement(dropped, end, outputs)
        usual = self._usual.setdefault(dropped.source, end.outcome)
        if usual != end.outcome:
            trouble = trouble or f"{end.outcome}, and earlier {usual}"
        if trouble:
            self.broken.append(f"{dropped.path.name}: {trouble}")
        for path in (dropped.path, *outputs):
            path.unlink()
        self._waiting.remove(dropped)
        self.finished_at.append(self._now())
        self.ends[end.outcome if end.state == "done" else f"failed: {end.outcome}"] += 1


def disagreement(dropped: Dropped, end: End, outputs: list[Path]) -> str:
    """Return how the ledger and the output folder disagree; an empty text where they agree."""
    if (end.state, end.outcome) == ("done", "done"):
        if len(outputs) != 1:
            return f"done, with {len(outputs)} outputs"
        return difference(outputs[0], dropped.source)
    if outputs:
        return f"{end.outcome}, and yet there is an output"
    if end.state == "failed" and not end.reason:
        return "failed without a reason"
    return "" if end.state == "failed" or end.outcome == "no_subject" else f"ended as {end.outcome}"


def difference(output: Path, source: Path) -> str:
    """Return how an output differs from what can be told of a cut-out beforehand."""
    try:
        with Image.open(output, formats=("PNG",)) as cut:
            cut.load()
            size, mode = cut.size, cut.mode
    except Exception as error:  # a decoder may raise anything on half a file
        return f"the output is damaged: {error}"
    expected = size_of(source)
    if expected is not None and sorted(size) != sorted(expected):  # the photograph may lie on its side
        return f"the output is {size}, the photograph {expected}"
    return "" if mode in ("RGBA", "LA") else f"the output's mode is {mode}"


def size_of(photograph: Path) -> tuple[int, int] | None:
    """Return a photograph's size; None where Pillow alone does not open it, as a HEIC file."""
    try:
        with Image.open(photograph) as image:
            return image.size
    except OSError:
        return None


def tracebacks(home: Home) -> list[str]:
    """Return the line before each traceback of the log or of standard error."""
    log = (home.root / "data" / "log").glob("alphadrop.log*")
    written = "".join(file.read_text(errors="replace") for file in (*sorted(log), home.root / "stderr.txt"))
    lines = written.splitlines()
    return sorted({lines[max(0, i - 1)] for i, line in enumerate(lines) if line.startswith("Traceback")})


# --- the verdict -----------------------------------------------------------------------------------------------------


def table(readings: list[Reading], peaks: dict[int, float], finished_at: list[float]) -> str:
    lines = [
        "| minute | laps | files | resident between laps, MB | highest, MB | descriptors | threads | processes |",
        "|---|---|---|---|---|---|---|---|",
    ]
    files = Counter(int(at // 60) for at in finished_at)
    for minute in sorted(peaks):
        there = [each for each in readings if int(each.at // 60) == minute]
        if there:
            middle = f"{statistics.median(each.resident for each in there):.1f}"
            most = [str(max(getattr(e, what) for e in there)) for what in ("descriptors", "threads", "processes")]
        else:
            middle, most = "-", ["-"] * 3
        cells = [str(minute + 1), str(len(there)), str(files[minute]), middle, f"{peaks[minute]:.0f}", *most]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def verdict(readings: list[Reading], seconds: float) -> list[str]:
    """Say how the end compares with the beginning; return what is broken."""
    before, after = windows(readings, seconds)
    if not before or not after:
        return ["too few laps to compare; give it more minutes"]
    first, last = (statistics.median(each.resident for each in some) for some in (before, after))
    opened, open_now = (statistics.median(each.descriptors for each in some) for some in (before, after))
    say(f"resident {first:.1f} MB, in the end {last:.1f} MB: {last / first - 1:+.1%}, at most {MOST_GROWTH:+.0%}")
    say(f"descriptors {opened:.0f}, in the end {open_now:.0f} (medians of {len(before)} and {len(after)} laps)")
    broken = []
    if last > first * (1 + MOST_GROWTH):
        broken.append(f"memory grew by {last / first - 1:.1%}")
    if open_now > opened:
        broken.append(f"descriptors grew from {opened:.0f} to {open_now:.0f}")
    return broken


def windows(readings: list[Reading], seconds: float) -> tuple[list[Reading], list[Reading]]:
    """Return the readings to compare with, and those of the end."""
    if seconds < 2 * WARM_UP:
        middle = len(readings) // 2
        return readings[:middle], readings[middle:]
    warm = [each for each in readings if each.at >= WARM_UP]
    before = [each for each in warm if each.at < WARM_UP + WINDOW] or warm[:1]  # a lap may take longer than that
    after = [each for each in warm if each not in before]
    return before, [each for each in after if each.at >= seconds - WINDOW]


def say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
