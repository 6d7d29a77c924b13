"""Kill the daemon again and again while photographs are dropped, then count what became of every one of them.

    python tests/endurance/crashtest.py --kills 25 [--seed 7] [--originals keep|move|delete] [--work FOLDER]

The real `alphadrop run` with the embedded model is started and ended by SIGKILL, in turn up to three seconds after its
start, to meet it while it starts; up to three seconds after it was ready, to meet it while it cuts; and up to a
fiftieth of a second after it began to write an output, to meet it while that gets its name. All the while photographs
of 0.1 to 6 megapixels arrive: copied in chunks, copied at once, renamed into place, renamed with an old date, some in
sub-folders, some that share a name (`p1.jpg`, `p1.png`), some that overwrite an earlier one with other content. A few
are damaged: cut off, empty, or text. A few show a rocket, so small that it may be held to be no subject. After the last
kill the daemon is started once more and left to finish.

Promised, and counted at the end:

- Every photograph has exactly one complete output, cut from its latest content: of its size, and with its pixels
  wherever it is opaque. Each has a tint and a size of its own, so that one taken for another does not pass. (Where
  nothing of a rocket is opaque, its size must do.)
- What is said to have no subject is one of those rockets, has no output, and its original stays where it is.
- Every damaged file is a failure with a reason, and nothing else is a failure.
- No half output is ever seen: a thread opens and decodes whatever appears in the output folder, from the first start to
  the end.
- No temporary is left behind. The daemon ends only where it is told to, and nothing it does fails unforeseen.
- With `--originals move` or `delete`: no original is gone unless its complete output is there, looked at after every
  kill and at the end; what is moved is found whole; no file is taken from whoever has it open for writing.

A table is printed. The exit status is 1 where a promise was broken, each named with the file. A run takes about five
seconds and ten megabytes of disk for every kill. The same seed drops the same files and kills after the same times;
what a kill then meets is up to the machine.
"""

from __future__ import annotations

import argparse
import colorsys
import contextlib
import io
import math
import os
import queue
import random
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePath, PurePosixPath
from typing import Literal, get_args

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np
import skimage.data
from numpy.typing import NDArray
from PIL import Image

from alphadrop.client import Client
from alphadrop.errors import DaemonError
from daemon_process import Home, running

Originals = Literal["keep", "move", "delete"]
Way = Literal["in chunks", "at once", "renamed", "renamed, old"]
Damage = Literal["", "cut off", "empty", "text"]
Aim = Literal["start", "work", "write"]
Identity = tuple[Path, int, int, int]
"""A file and what tells one content of it from another: path, inode, size, time of change."""

SETTLE, RESCAN = 0.2, 1.0
"""Of the daemon under test, in seconds: short, so that many photographs are met by a kill."""
QUIET = 4.0
"""Seconds without any change, several rescans long, after which what is finished is held to be finished."""
LONGEST_STANDSTILL = 330.0
"""Seconds without any change after which what is not finished is held never to be; the daemon's longest back-off
between two attempts is 300."""
FOLDERS = ("", "", "album", "album/deep", "Jürgens Küche")
SOURCES = ("astronaut", "chelsea", "coffee", "rocket")
VAGUE = "rocket"
AIMS: dict[Aim, tuple[float, float]] = {"start": (0.05, 3), "work": (0, 3), "write": (0, 0.02)}
"""What kills aim at, and how many seconds after that has begun they come, from least to most."""
LONGEST_AIM = 10.0
"""Seconds after which a kill comes though what it aims at has not begun: there may be nothing to write."""
UNFINISHED = frozenset({"pending", "working"})
TELLING = 100
"""Opaque pixels by which a cut-out is known for that of its photograph."""
DISK_FOR_A_DROP = 5_000_000


def main() -> int:
    chosen = parse_arguments()
    root = chosen.work or Path(tempfile.mkdtemp(prefix="crash-"))
    trouble = not_usable(root, chosen.drops)
    if trouble:
        say(f"crashtest: {trouble}")
        return 2
    home = Home(root)
    configure(home, chosen.originals)
    checked = home.alphadrop("config", "check")
    if checked.returncode:
        say(f"crashtest: this Alphadrop does not take {root / 'alphadrop.yaml'}\n{checked.stdout}{checked.stderr}")
        return 2
    plan = make_plan(chosen.drops, chosen.seed, root / "kept")
    outcome = Run(home, chosen.originals, plan, random.Random(f"kills {chosen.seed}")).run(chosen.kills)
    say(outcome.table())
    for broken in outcome.broken:
        say(f"BROKEN: {broken}")
    if outcome.broken:
        say(f"\nEverything is left in {root}")
    elif chosen.work is None:
        shutil.rmtree(root)
    return 1 if outcome.broken else 0


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--kills", type=int, default=25, metavar="N", help="how often the daemon is killed (default 25)"
    )
    parser.add_argument("--drops", type=int, metavar="N", help="files dropped altogether (default: 2 a kill, and 10)")
    parser.add_argument("--seed", type=int, default=1, help="which files, and when to kill (default 1)")
    parser.add_argument(
        "--originals", choices=get_args(Originals), default="keep", help="what the daemon does with them (default keep)"
    )
    parser.add_argument(
        "--work", type=Path, metavar="FOLDER", help="an empty folder to work in, kept afterwards (default: a temporary)"
    )
    chosen = parser.parse_args()
    if chosen.kills < 0 or (chosen.drops is not None and chosen.drops < 1):
        parser.error("--kills is at least 0, --drops at least 1")
    chosen.drops = chosen.drops or 2 * chosen.kills + 10
    return chosen


def not_usable(root: Path, drops: int) -> str:
    """Return why a folder cannot be worked in; an empty text where it can."""
    root.mkdir(parents=True, exist_ok=True)
    if os.listdir(root):
        return f"{root} is not empty"
    free = shutil.disk_usage(root).free
    if free < drops * DISK_FOR_A_DROP:
        return f"{root}: {drops} files need {drops * DISK_FOR_A_DROP / 1e9:.1f} GB, {free / 1e9:.1f} GB are free"
    return ""


def configure(home: Home, originals: Originals) -> None:
    lines = [f"settle: {SETTLE}", f"rescan: {RESCAN:.0f}s"]
    if originals != "keep":
        lines.append(f"originals: {originals}")
    if originals == "move":
        finished(home).mkdir(parents=True)
        lines.append(f"finished: {finished(home)}")
    home.configure(folder="\n".join(lines))


def finished(home: Home) -> Path:
    """Return the folder that originals are moved to."""
    return home.root / "Pictures" / "Alphadrop" / "Finished"


# --- what is dropped -------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Drop:
    """One content that arrives under a name, and how."""

    number: int
    name: PurePosixPath
    way: Way
    damage: Damage
    source: str
    kept: Path
    """The copy that nobody else touches."""
    random_state: str

    @property
    def good(self) -> bool:
        return not self.damage

    @property
    def vague(self) -> bool:
        """Whether it may be held to have no subject: the rocket is so small that its tint decides."""
        return self.good and self.source == VAGUE

    def random(self) -> random.Random:
        return random.Random(self.random_state)


def make_plan(count: int, seed: int, kept: Path) -> list[Drop]:
    """Decide what is dropped, in this order: the same for the same seed."""
    kept.mkdir()
    chance = random.Random(f"plan {seed}")
    plan: list[Drop] = []
    for number in range(count):
        overwrites = len(plan) > 5 and chance.random() < 0.15
        name = chance.choice(plan).name if overwrites else new_name(number, plan, chance)
        damage: Damage = chance.choice(get_args(Damage)[1:]) if not overwrites and chance.random() < 0.08 else ""
        way = chance.choice(get_args(Way))
        source = chance.choice([name for name in SOURCES if not (overwrites and name == VAGUE)])
        plan.append(Drop(number, name, way, damage, source, kept / f"{number}{name.suffix}", f"{seed} {number}"))
    return plan


def new_name(number: int, plan: list[Drop], chance: random.Random) -> PurePosixPath:
    """Return a name that is free; one of four differs from an earlier one by its ending only."""
    taken = {drop.name for drop in plan}
    if taken and chance.random() < 0.25:
        shared = chance.choice(plan).name
        for suffix in chance.sample((".jpg", ".png", ".JPG"), 3):
            if shared.with_suffix(suffix) not in taken:
                return shared.with_suffix(suffix)
    return PurePosixPath(chance.choice(FOLDERS)) / f"p{number}{chance.choice(('.jpg', '.png'))}"


def encoded(drop: Drop) -> bytes:
    """Return the bytes of a drop: a photograph with a tint of its own, or what is left of one."""
    if drop.damage == "empty":
        return b""
    if drop.damage == "text":
        return b"This is no photograph.\n" * 40
    stream = io.BytesIO()
    photograph = tinted(drop)
    if drop.name.suffix.lower() == ".png":
        photograph.save(stream, "PNG", compress_level=1)
    else:
        photograph.save(stream, "JPEG", quality=90)
    whole = stream.getvalue()
    return whole[: len(whole) // 2] if drop.damage else whole


def tinted(drop: Drop) -> Image.Image:
    chance = drop.random()
    photograph = Image.fromarray(getattr(skimage.data, drop.source)())
    pixels = 1e6 * math.exp(chance.uniform(math.log(0.1), math.log(6)))
    factor = math.sqrt(pixels / (photograph.width * photograph.height))
    size = (round(photograph.width * factor), round(photograph.height * factor))
    hue = drop.number * 0.618034 % 1  # the golden ratio: no two are close
    red, green, blue = (round(255 * part) for part in colorsys.hsv_to_rgb(hue, 0.8, 0.9))
    return Image.blend(photograph.resize(size), Image.new("RGB", size, (red, green, blue)), 0.08)


class Dropper:
    """Drops files in a thread of its own, as many as it is allowed to, and knows which have arrived."""

    def __init__(self, home: Home) -> None:
        self._home = home
        self._queue: queue.Queue[Drop | None] = queue.Queue()
        self._latest: dict[PurePosixPath, Drop] = {}
        self._arriving: PurePosixPath | None = None
        self._lock = threading.Lock()
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._drop_all, name="dropping")
        self.taken_while_open: list[Drop] = []
        self.overtaken = 0
        """Files that were opened for writing in the instant in which the daemon took them away, and dropped again."""
        self._thread.start()

    def allow(self, drops: list[Drop]) -> None:
        for drop in drops:
            self._queue.put(drop)

    def finish(self) -> None:
        """Return when everything allowed has been dropped, and the thread has ended."""
        self._queue.put(None)
        self._thread.join()
        if self._error is not None:
            raise self._error

    @contextlib.contextmanager
    def at_rest(self) -> Iterator[dict[PurePosixPath, Drop]]:
        """Give what has arrived, the latest under each name; nothing else begins to arrive until the block ends."""
        with self._lock:
            yield {name: drop for name, drop in self._latest.items() if name != self._arriving}

    def _drop_all(self) -> None:
        try:
            while (drop := self._queue.get()) is not None:
                drop.kept.write_bytes(encoded(drop))
                with self._lock:
                    self._arriving = drop.name
                    self._latest[drop.name] = drop
                self._deliver(drop)
                with self._lock:
                    self._arriving = None
        except BaseException as error:  # told to whoever waits for the end
            self._error = error

    def _deliver(self, drop: Drop) -> None:
        target, chance = self._home.input / drop.name, drop.random()
        target.parent.mkdir(parents=True, exist_ok=True)
        if drop.way == "in chunks":
            content = drop.kept.read_bytes()
            while not self._write_in_chunks(drop, content, target, chance):
                self.overtaken += 1
        elif drop.way == "at once":
            while not self._write_in_chunks(drop, drop.kept.read_bytes(), target, None):
                self.overtaken += 1
        else:
            self._rename_in(drop, target, old=drop.way == "renamed, old")
        time.sleep(chance.uniform(0, 0.3))

    def _write_in_chunks(self, drop: Drop, content: bytes, target: Path, chance: random.Random | None) -> bool:
        """Write into the file that has the name, or a new one; return whether the name led to it."""
        pieces = 1 if chance is None else chance.randint(2, 12)
        step = max(1, -(-len(content) // pieces))
        with target.open("wb") as stream:
            if not leads_to(target, stream.fileno()):
                return False
            for start in range(0, len(content), step):
                stream.write(content[start : start + step])
                stream.flush()
                if chance is not None:
                    time.sleep(chance.choice((0, 0.01, 0.05, 0.3)))
            if not leads_to(target, stream.fileno()):
                self.taken_while_open.append(drop)
                return False
        return True

    def _rename_in(self, drop: Drop, target: Path, *, old: bool) -> None:
        staged = self._home.root / "staged"
        shutil.copyfile(drop.kept, staged)
        if old:  # as a copy that keeps dates: some hours ago, different for each
            then = time.time() - 3600 - drop.number
            os.utime(staged, (then, then))
        staged.rename(target)


def leads_to(path: Path, descriptor: int) -> bool:
    """Return whether a name still leads to an open file."""
    try:
        return os.path.samestat(os.stat(path), os.fstat(descriptor))
    except FileNotFoundError:
        return False


# --- who looks on ----------------------------------------------------------------------------------------------------


class Reader:
    """Opens and decodes every new file of a folder as soon as its name can be seen, in a thread of its own."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._seen: set[Identity] = set()
        self._ending = threading.Event()
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._read_all, name="reading")
        self.torn: list[str] = []
        self._thread.start()

    @property
    def looked_at(self) -> int:
        return len(self._seen)

    def finish(self) -> None:
        """Return when everything that is there has been looked at, and the thread has ended."""
        self._ending.set()
        self._thread.join()
        if self._error is not None:
            raise self._error

    def _read_all(self) -> None:
        try:
            while True:
                last = self._ending.is_set()  # asked first: what is there then is still looked at
                new = [each for each in files_below(self._folder) if each not in self._seen]
                for path, *_ in new:
                    self._look(path)
                if last and not new:
                    return
                if not new:
                    time.sleep(0.005)
        except BaseException as error:  # told to whoever waits for the end
            self._error = error

    def _look(self, path: Path) -> None:
        try:
            with path.open("rb") as stream:
                before = os.fstat(stream.fileno())
                trouble = half(stream.read())
                after = os.fstat(stream.fileno())
        except FileNotFoundError:  # replaced or taken away since it was seen
            return
        self._seen.add((path, before.st_ino, before.st_size, before.st_mtime_ns))
        if (before.st_size, before.st_mtime_ns) != (after.st_size, after.st_mtime_ns):
            trouble = "it was written to under its name"
        if trouble:
            self.torn.append(f"{path.relative_to(self._folder)}: {trouble}")


def files_below(folder: Path, *, hidden: bool = False) -> list[Identity]:
    """Return every file of a folder: those whose name begins with a dot, or those whose does not."""
    paths = [Path(place, name) for place, _, names in os.walk(folder) for name in names]
    found = [identity(path) for path in paths if path.name.startswith(".") == hidden]
    return [each for each in found if each is not None]


def identity(path: Path) -> Identity | None:
    try:
        status = path.stat()
    except FileNotFoundError:
        return None
    return path, status.st_ino, status.st_size, status.st_mtime_ns


def half(content: bytes) -> str:
    """Return why bytes are no complete PNG file; an empty text where they are one."""
    if not content.endswith(b"IEND\xaeB\x60\x82"):
        return f"no end after {len(content)} bytes"
    try:
        with Image.open(io.BytesIO(content), formats=("PNG",)) as image:
            image.load()
    except Exception as error:  # a decoder may raise anything on half a file
        return f"{type(error).__name__}: {error}"
    return ""


@dataclass(frozen=True)
class Row:
    """What the ledger says of one file."""

    name: PurePosixPath
    state: str
    outcome: str
    reason: str


def read_ledger(home: Home, *, live: bool) -> dict[PurePosixPath, Row]:
    """Return the ledger's rows by name.

    What a crash left is read from a copy: the daemon alone is to mend it.
    """
    ledger = home.root / "data" / "ledger.sqlite"
    if live:
        return rows_of(f"file:{ledger}?mode=ro")
    with tempfile.TemporaryDirectory(dir=home.root) as folder:
        for suffix in ("", "-wal"):
            with contextlib.suppress(FileNotFoundError):
                shutil.copyfile(f"{ledger}{suffix}", f"{folder}/ledger{suffix}")
        try:
            return rows_of(f"file:{folder}/ledger")
        except sqlite3.OperationalError:  # killed before there was a table
            return {}


def rows_of(database: str) -> dict[PurePosixPath, Row]:
    with contextlib.closing(sqlite3.connect(database, uri=True)) as opened:
        found = opened.execute("SELECT path, state, outcome, reason FROM files ORDER BY rowid").fetchall()
    rows = [Row(PurePosixPath(os.fsdecode(path)), *map(str, rest)) for path, *rest in found]
    return {row.name: row for row in rows}


# --- the run ---------------------------------------------------------------------------------------------------------


@dataclass
class Outcome:
    """Everything counted, and every promise that was broken."""

    counted: dict[str, str] = field(default_factory=dict)
    broken: list[str] = field(default_factory=list)

    def count(self, what: str, value: object) -> None:
        self.counted[what] = str(value)

    def forbid(self, what: str, found: list[str]) -> None:
        """Count what should not be, and hold each against the daemon."""
        self.count(what, len(found))
        self.broken += [f"{what}: {each}" for each in found]

    def table(self) -> str:
        return "\n".join(["", "| what | counted |", "|---|---|", *(f"| {k} | {v} |" for k, v in self.counted.items())])


class Run:
    """One run from the first start to the verdict."""

    def __init__(self, home: Home, originals: Originals, plan: list[Drop], chance: random.Random) -> None:
        self._home = home
        self._originals = originals
        self._plan = plan
        self._chance = chance
        self._moments: Counter[str] = Counter()
        self._ended: list[str] = []
        self._gone: list[str] = []
        self._met_half_way = 0
        self._settled: set[int] = set()
        """Numbers of the drops whose original is gone, and judged."""
        self._whole: dict[int, Identity | None] = {}
        """What an original was like when it was last compared, by the number of its drop."""

    def run(self, kills: int) -> Outcome:
        started = time.monotonic()
        reader, dropper = Reader(self._home.output), Dropper(self._home)
        try:
            for number in range(kills):
                dropper.allow(self._share(number, kills))
                self._live_and_die(tuple(AIMS)[number % len(AIMS)])
                with dropper.at_rest() as arrived:
                    self._look_for_originals(arrived)
                if (number + 1) % 10 == 0:
                    say(f"{number + 1} kills, {dict(self._moments)}, {len(files_below(self._home.output))} outputs")
            if not kills:
                dropper.allow(self._plan)
            self._live_to_the_end(dropper)
        finally:
            dropper.finish()
            reader.finish()
        with dropper.at_rest() as arrived:
            self._look_for_originals(arrived)
            outcome = self._judge(arrived, reader, dropper)
        outcome.count("seconds", f"{time.monotonic() - started:.0f}")
        return outcome

    def _share(self, life: int, lives: int) -> list[Drop]:
        """Return the part of the plan that is dropped in one life of the daemon."""
        return self._plan[len(self._plan) * life // lives : len(self._plan) * (life + 1) // lives]

    def _live_and_die(self, aim: Aim) -> None:
        ready = ready_count(self._home)
        with (self._home.root / "stderr.txt").open("ab") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", "alphadrop", "run"],
                env=self._home.environment,
                stdout=log,
                stderr=log,
                cwd=self._home.root,
            )
            try:
                self._wait_for_aim(process, aim, ready)
                process.wait(self._chance.uniform(*AIMS[aim]))
                self._ended.append(f"with status {process.returncode}, while kill {self._moments.total() + 1} was due")
            except subprocess.TimeoutExpired:
                pass
            finally:
                process.kill()
                process.wait()
        self._moments[self._moment(ready)] += 1
        self._met_half_way += bool(temporaries(self._home))

    def _wait_for_aim(self, process: subprocess.Popen[bytes], aim: Aim, ready: int) -> None:
        """Return when the time of a kill begins to run, or the daemon ended by itself."""
        before = self._written()
        deadline = time.monotonic() + LONGEST_AIM
        while process.poll() is None and time.monotonic() < deadline:
            if aim == "start" or (aim == "work" and ready_count(self._home) > ready):
                return
            if aim == "write" and self._written() - before:
                return
            time.sleep(0.005)

    def _written(self) -> set[tuple[Path, int]]:
        """Return every file of the output folder, whole or not, by path and inode."""
        output = self._home.output
        return {each[:2] for hidden in (False, True) for each in files_below(output, hidden=hidden)}

    def _moment(self, ready_before: int) -> str:
        """Return what the daemon was doing when it was killed."""
        if ready_count(self._home) == ready_before:
            return "starting"
        at_work = any(row.state == "working" for row in read_ledger(self._home, live=False).values())
        return "at work" if at_work else "waiting"

    def _live_to_the_end(self, dropper: Dropper) -> None:
        try:
            with running(self._home) as process:
                dropper.finish()
                with dropper.at_rest() as arrived:
                    wait_for_rest(self._home, set(arrived))
            if process.returncode != 0:
                self._ended.append(f"with status {process.returncode} when it was told to stop")
        except (AssertionError, DaemonError) as error:
            self._ended.append(f"without finishing: {error}")

    def _look_for_originals(self, arrived: dict[PurePosixPath, Drop]) -> None:
        """Hold against the daemon every original that is gone while its output is not there; it is not running."""
        for name, drop in arrived.items():
            if drop.number in self._settled or self._is_there(drop):
                continue
            if not (self._is_kept(drop) and (drop.damage or self._has_output(drop))):
                self._gone.append(f"{name} (dropped as number {drop.number}, {drop.way})")
            self._settled.add(drop.number)

    def _is_there(self, drop: Drop) -> bool:
        """Return whether an original lies where it was dropped; read again only where it may have changed."""
        path = self._home.input / drop.name
        now = identity(path)
        if now is None or self._whole.get(drop.number) != now:
            if not holds(path, drop):
                return False
            self._whole[drop.number] = now
        return True

    def _has_output(self, drop: Drop) -> bool:
        output = self._home.output
        found = [path for path, *_ in files_below(output) if may_be_named(path.relative_to(output), drop.name)]
        return any(is_cut_from(path, drop) for path in found)

    def _is_kept(self, drop: Drop) -> bool:
        """Return whether an original that left the input folder is where it then should be."""
        if self._originals == "move":
            return any(holds(path, drop) for path, *_ in files_below(finished(self._home)))
        return self._originals == "delete" and drop.good

    def _judge(self, arrived: dict[PurePosixPath, Drop], reader: Reader, dropper: Dropper) -> Outcome:
        outcome = Outcome()
        outcome.count("kills", f"{self._moments.total()} ({', '.join(f'{v} {k}' for k, v in self._moments.items())})")
        outcome.count("starts, of which became ready", f"{self._moments.total() + 1}, {ready_count(self._home)}")
        outcome.count("kills that left a half-written temporary", self._met_half_way)
        outcome.count("files dropped, under names", f"{len(self._plan)}, {len(arrived)}")
        rows = read_ledger(self._home, live=False)
        vague = {name for name, drop in arrived.items() if drop.vague and is_without_subject(rows.get(name))}
        cut = {name: drop for name, drop in arrived.items() if drop.good and name not in vague}
        judge_outputs(outcome, self._home, cut, self._plan, taken_away=self._originals != "keep")
        outcome.count("rockets without a subject", len(vague))
        judge_ledger(outcome, rows, arrived)
        outcome.count("outputs looked at while they appeared", reader.looked_at)
        outcome.forbid("torn outputs seen", reader.torn)
        outcome.forbid("temporaries left", temporaries(self._home))
        outcome.forbid("originals gone without their output", self._gone)
        outcome.forbid("taken while open for writing", [str(drop.name) for drop in dropper.taken_while_open])
        if self._originals != "keep":
            outcome.forbid("originals left where they were", left_behind(self._home, cut))
            outcome.count("dropped again, for it was being taken", dropper.overtaken)
        outcome.forbid("ended otherwise than told", self._ended)
        outcome.forbid("unforeseen errors", tracebacks(self._home))
        return outcome


def ready_count(home: Home) -> int:
    return log_text(home).count("ready in ")


def log_text(home: Home) -> str:
    log = home.root / "data" / "log"
    return "".join(file.read_text(errors="replace") for file in sorted(log.glob("alphadrop.log*")))


@dataclass(frozen=True)
class Snapshot:
    """Everything by which one sees that the daemon does something."""

    counts: tuple[tuple[str, object], ...]
    rows: dict[PurePosixPath, Row]
    outputs: frozenset[Identity]
    inputs: frozenset[Identity]

    def finished(self, home: Home, names: set[PurePosixPath]) -> bool:
        """Return whether every file is at an end, as far as can be seen."""
        counts = dict(self.counts)
        there = {PurePosixPath(path.relative_to(home.input)) for path, *_ in self.inputs}
        return (
            not any(counts.get(state) for state in UNFINISHED)
            and not any(row.state in UNFINISHED for row in self.rows.values())
            and not any(name in there and name not in self.rows for name in names)
        )


def look(home: Home) -> Snapshot:
    counts = tuple(Client(home.run).status()["folders"][0].items())
    return Snapshot(
        counts, read_ledger(home, live=True), frozenset(files_below(home.output)), frozenset(files_below(home.input))
    )


def wait_for_rest(home: Home, names: set[PurePosixPath]) -> None:
    """Return when all is finished and nothing changes any more; fail where it stands still before that."""
    last, since = look(home), time.monotonic()
    while True:
        time.sleep(0.1)
        now = look(home)
        if now != last:
            last, since = now, time.monotonic()
        still = time.monotonic() - since
        if still >= QUIET and now.finished(home, names):
            return
        assert still < LONGEST_STANDSTILL, f"nothing changed for {still:.0f} s: {dict(now.counts)}"


# --- the verdict -----------------------------------------------------------------------------------------------------


def is_without_subject(row: Row | None) -> bool:
    return row is not None and row.outcome == "no_subject"


def judge_outputs(
    outcome: Outcome, home: Home, cut: dict[PurePosixPath, Drop], plan: list[Drop], *, taken_away: bool
) -> None:
    """Find for every output the photograph it was cut from, and count what that leaves.

    Where originals are taken away, what is dropped under an old name is another photograph, and the output of the one
    before it stays.
    """
    found: dict[PurePosixPath, list[str]] = {name: [] for name in cut}
    earlier: dict[int, list[str]] = {}
    latest = sized(iter(cut.values()))
    all_drops = sized(drop for drop in plan if drop.good)
    wrong = []
    for path, *_ in files_below(home.output):
        output = path.relative_to(home.output)
        names = [drop.name for drop in latest(path) if is_cut_from(path, drop)]
        rightly = {name for name in names if may_be_named(output, name)}
        for name in rightly:
            found[name].append(str(output))
        if not rightly:
            others = [drop for drop in all_drops(path) if is_cut_from(path, drop)]
            before = [drop.number for drop in others if taken_away and may_be_named(output, drop.name)]
            if before:
                earlier.setdefault(before[0], []).append(str(output))
                continue
            told = " or ".join(f"number {drop.number} of {drop.name}" for drop in others)
            wrong.append(f"{output} is cut from {told or 'nothing that was dropped'}")
    outcome.count("complete, right outputs", f"{sum(len(outputs) == 1 for outputs in found.values())} of {len(found)}")
    outcome.forbid("wrong outputs", wrong)
    if taken_away:
        outcome.count("outputs of earlier photographs of the name", len(earlier))
    every = {str(name): paths for name, paths in found.items()}
    every |= {f"number {number}": paths for number, paths in earlier.items()}
    outcome.forbid("duplicates", [f"{name}: {', '.join(paths)}" for name, paths in every.items() if len(paths) > 1])
    outcome.forbid("missing outputs", [str(name) for name, outputs in found.items() if not outputs])


def judge_ledger(outcome: Outcome, rows: dict[PurePosixPath, Row], arrived: dict[PurePosixPath, Drop]) -> None:
    damaged = [name for name, drop in arrived.items() if drop.damage]
    vague = {name for name, drop in arrived.items() if drop.vague}
    failed = {name for name, row in rows.items() if row.state == "failed"}
    named = [name for name in damaged if name in failed and rows[name].reason]
    badly_called = failed.difference(damaged) | {
        row.name for row in rows.values() if is_without_subject(row) and row.name not in vague
    }
    outcome.count("failures named", f"{len(named)} of {len(damaged)}")
    outcome.forbid("damaged, but not named", [str(name) for name in damaged if name not in named])
    outcome.forbid("good, but called otherwise", [shown(rows[name]) for name in sorted(badly_called)])


def shown(row: Row) -> str:
    return f"{row.name}: {row.state}, {row.outcome}, {row.reason}"


def sized(drops: Iterator[Drop]) -> Callable[[Path], list[Drop]]:
    """Return a way to ask which of the drops have the size of a picture: it is cheaper than comparing pixels."""
    by_size: dict[tuple[int, int], list[Drop]] = {}
    for drop in drops:
        by_size.setdefault(size_of(drop.kept) or (0, 0), []).append(drop)
    return lambda path: by_size.get(size_of(path) or (-1, -1), [])


def size_of(path: Path) -> tuple[int, int] | None:
    try:
        with Image.open(path) as image:
            return image.size
    except OSError:
        return None


def is_cut_from(output: Path, drop: Drop) -> bool:
    """Return whether an output is complete and a cut-out of this photograph."""
    if half(output.read_bytes()) or size_of(output) != size_of(drop.kept):
        return False
    found, pixels = decoded(output), decoded(drop.kept)
    if found.shape != (*pixels.shape[:2], 4):
        return False
    opaque = found[..., 3] == 255
    if opaque.sum() < TELLING and not drop.vague:
        return False
    return np.array_equal(found[opaque][:, :3], pixels[opaque])


def decoded(path: Path) -> NDArray[np.uint8]:
    with Image.open(path) as image:
        return np.asarray(image)


def may_be_named(output: PurePath, name: PurePosixPath) -> bool:
    """Return whether an output's path is one that the cut-out of a photograph may have."""
    first = {f"{name.stem}.png", f"{name.name}.png"}
    numbered = output.name.startswith(f"{name.stem}-")
    return output.parent == name.parent and (output.name in first or numbered)


def holds(path: Path, drop: Drop) -> bool:
    """Return whether a file is there with the bytes of a drop."""
    try:
        return path.stat().st_size == drop.kept.stat().st_size and path.read_bytes() == drop.kept.read_bytes()
    except FileNotFoundError:
        return False


def temporaries(home: Home) -> list[str]:
    places = (home.output, home.input, finished(home))
    hidden = [path for place in places for path, *_ in files_below(place, hidden=True)]
    return [str(path.relative_to(home.root)) for path in hidden if path.name.startswith(".alphadrop-")]


def left_behind(home: Home, cut: dict[PurePosixPath, Drop]) -> list[str]:
    return [str(name) for name in cut if (home.input / name).exists()]


def tracebacks(home: Home) -> list[str]:
    """Return the line before each traceback of the log, and the last of each on standard error."""
    written = log_text(home) + (home.root / "stderr.txt").read_text(errors="replace")
    lines = written.splitlines()
    return sorted({lines[max(0, i - 1)] for i, line in enumerate(lines) if line.startswith("Traceback")})


def say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
