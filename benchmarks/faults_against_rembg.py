"""rembg's watch mode and Alphadrop through the same faults, told in a table of what was seen.

    ALPHADROP_PHOTOS=FOLDER python benchmarks/faults_against_rembg.py > table.md
    ... --only kill reader            some rows
    ... --program alphadrop           one column
    ... --work FOLDER                 keep the folders and the programs' messages there, to look at

`rembg p -m u2net -w IN OUT` (2.0.86, with the u2net.onnx that `benchmarks/fetch_networks.py` fetched) and
`alphadrop run` with default settings meet every fault in turn, in fresh folders, after a first photograph came out.
The photographs are copies of those in ALPHADROP_PHOTOS, 800 pixels long, where nothing else is said; names that begin
with `nosubject` are left out. An output is judged by its pixels: it is whole when it is what the same program made of
the same photograph undisturbed. Nothing that is printed is known beforehand. A row takes up to two minutes, all of them
about twenty. Linux only; the full disk is a tmpfs in a mount namespace and needs root.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import itertools
import json
import multiprocessing
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from multiprocessing.connection import Connection
from multiprocessing.synchronize import Event
from pathlib import Path
from typing import Self

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from rembg_environment import peer_python, peer_variables

FIRST = 6.0
"""Seconds that something may take before a later photograph is dropped to see whether anything comes out still."""
PATIENCE = 60.0
"""Seconds that the later photograph may take."""
QUIET = 15.0
"""Seconds after the later photograph came out until something is held never to happen."""
STARTING = 180.0
"""Seconds that a program may take to start and to cut its first photograph."""
FULL = 10.0
"""Seconds that a disk stays full."""
KILLS = 10
SEED = 1

PNG_BEGINS, PNG_ENDS = b"\x89PNG\r\n\x1a\n", b"IEND\xaeB`\x82"
SPEAKS_OF_AN_ERROR = re.compile(r"error|errno|truncat|cannot|could not|fail|damag|broken|unfinished|traceback", re.I)

Picture = NDArray[np.int16]


class Unavailable(Exception):
    """The row cannot be measured with this program, or here."""


@dataclass(frozen=True)
class Photographs:
    """What is dropped, by a key: `a` to `d` 800 pixels long, `middle` 1600, `large` 2600."""

    files: dict[str, bytes]

    @classmethod
    def of(cls, folder: Path) -> Photographs:
        """Make small copies of the first photographs of a folder."""
        found = sorted(path for path in folder.glob("*.jp*g") if not path.name.startswith("nosubject"))
        if len(found) < 4:
            raise SystemExit(f"{folder}: holds fewer than four photographs (*.jpg) with a subject")
        files = {key: _copy(path, 800) for key, path in zip("abcd", found, strict=False)}
        return cls(files | {"middle": _copy(found[0], 1600), "large": _copy(found[0], 2600)})

    def small_ones(self, count: int) -> list[bytes]:
        """Return photographs that are all different in size, 400 pixels long and more."""
        return [_copy(io.BytesIO(self.files["abcd"[n % 4]]), 400 + n) for n in range(count)]

    def png(self, key: str) -> bytes:
        """Return a photograph as PNG."""
        with Image.open(io.BytesIO(self.files[key])) as image:
            return _saved(image, "PNG")


def _copy(source: Path | io.BytesIO, length: int) -> bytes:
    with Image.open(source) as image:
        upright = ImageOps.exif_transpose(image).convert("RGB")
        upright.thumbnail((length, length), Image.Resampling.LANCZOS)
        upright.info.clear()
        return _saved(upright, "JPEG")


def _saved(image: Image.Image, form: str) -> bytes:
    stream = io.BytesIO()
    image.save(stream, form, quality=90)
    return stream.getvalue()


def _pixels(content: bytes) -> Picture:
    with Image.open(io.BytesIO(content)) as image:
        return np.asarray(image.convert("RGBA")).astype(np.int16)


class Bench:
    """What all rows share: the photographs, and what each program makes of them undisturbed."""

    def __init__(self, photographs: Photographs, work: Path) -> None:
        self.photographs = photographs
        self.work = work
        self._references: dict[tuple[str, str], Picture] = {}

    def reference(self, program: str, key: str) -> Picture:
        return self._references[program, key]

    def learn(self, program: str) -> None:
        """Have every photograph cut out undisturbed."""
        with self.run(program, "undisturbed") as run:
            run.start(warm=False)
            for key, content in self.photographs.files.items():
                target = run.place(f"{key}.jpg", content)
                if not run.poll(partial(_is_complete, target), STARTING):
                    raise SystemExit(f"{program} made nothing of a photograph: see {run.messages}, or take others")
                self._references[program, key] = _pixels(target.read_bytes())

    @contextlib.contextmanager
    def run(self, program: str, row: str, *, delete: bool = False, disk: int = 0) -> Iterator[Run]:
        """Make a run in fresh folders and end its process afterwards, whatever happens."""
        home = self.work / program / row
        shutil.rmtree(home, ignore_errors=True)
        made = Run(self, program, home, delete=delete, disk=disk)
        try:
            yield made
        finally:
            made.end()


@dataclass
class Run:
    """One program with a home and two folders of its own; its process may end and start again."""

    bench: Bench
    program: str
    home: Path
    delete: bool = False
    disk: int = 0
    """Bytes of the disk that the output folder is; 0 for an ordinary folder."""
    process: subprocess.Popen[bytes] | None = None
    canary_lives: bool = True
    _numbers: Iterator[int] = field(default_factory=itertools.count)

    def __post_init__(self) -> None:
        self.input, self.output, self._aside = self.home / "in", self.home / "out", self.home / "aside"
        self.messages = self.home / "messages.txt"
        for folder in (self.input, self.output, self._aside):
            folder.mkdir(parents=True)
        if self.program == "alphadrop":
            watched = {"input": str(self.input), "output": str(self.output)}
            settings = {"folders": [watched | ({"originals": "delete"} if self.delete else {})]}
            (self.home / "alphadrop.yaml").write_text(json.dumps(settings))  # JSON is YAML
            if self.delete:
                command = [sys.executable, "-m", "alphadrop", "config", "check"]
                if subprocess.run(command, env=self._variables(), capture_output=True, check=False).returncode:
                    raise Unavailable("not available: the setting is refused")

    # The process

    def start(self, *, warm: bool = True) -> None:
        """Start the program and wait until it watches; if warm, until a first photograph has come out, too."""
        command = self._command()
        if self.disk:
            # The mount is seen by this process and its children only, and goes with them.
            script = f'mount -t tmpfs -o size={self.disk} tmpfs "$0" && exec "$@"'
            command = ["unshare", "-m", "sh", "-c", script, str(self.output), *command]
        with self.messages.open("ab") as log:
            self.process = subprocess.Popen(
                command, env=self._variables(), stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=self.home
            )
        if not self.poll(self._watches, STARTING):
            raise RuntimeError(f"{self.program} does not come to watch its folder:\n{self.said()[-2000:]}")
        if self.disk:
            self.output = Path(f"/proc/{self.process.pid}/root{self.home / 'out'}")
        if warm:
            self.warm_up()

    def warm_up(self) -> None:
        """Wait until a photograph has come out."""
        target = self.place(f"canary-{next(self._numbers)}.jpg", self.bench.photographs.files["d"])
        if not self.poll(partial(_is_complete, target), STARTING):
            raise RuntimeError(f"{self.program} does not cut its first photograph:\n{self.said()[-2000:]}")

    @property
    def pid(self) -> int:
        assert self.process is not None
        return self.process.pid

    @property
    def lives(self) -> bool:
        return self.process is not None and self.process.poll() is None

    def kill(self) -> None:
        """End the process without a warning."""
        assert self.process is not None
        self.process.kill()
        self.process.wait()

    def end(self) -> bool:
        """Ask the process to end as Ctrl+C does, end it where it does not; return whether it did."""
        if self.process is None or self.process.poll() is not None:
            return True
        self.process.send_signal(signal.SIGINT)
        try:
            self.process.wait(timeout=15)
        except subprocess.TimeoutExpired:
            self.kill()
            return False
        return True

    def resident(self) -> float:
        """Return the resident memory in MB."""
        status = Path(f"/proc/{self.pid}/status").read_text()
        return int(status.split("VmRSS:")[1].split()[0]) / 1000

    def worked(self) -> float:
        """Return the seconds of processor time that the process has taken."""
        numbers = Path(f"/proc/{self.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(numbers[11]) + int(numbers[12])) / os.sysconf("SC_CLK_TCK")

    def worked_in(self, seconds: float) -> str:
        """Wait; return in words how much of that time the process worked."""
        before = self.worked()
        time.sleep(seconds)
        return f"{self.worked() - before:.1f} s of processor time in {seconds:.0f} s"

    def said(self) -> str:
        """Return all that the program printed."""
        return self.messages.read_text(errors="replace")

    def complaints(self) -> int:
        """Return how many printed lines speak of an error."""
        return sum(bool(SPEAKS_OF_AN_ERROR.search(line)) for line in self.said().splitlines())

    def _watches(self) -> bool:
        watched = f"ino:{self.input.stat().st_ino:x} "
        try:
            return any(watched in file.read_text() for file in Path(f"/proc/{self.pid}/fdinfo").iterdir())
        except OSError:  # it opens and closes files meanwhile
            return False

    def _command(self) -> list[str]:
        if self.program == "alphadrop":
            return [sys.executable, "-m", "alphadrop", "run"]
        deleting = ["-d"] if self.delete else []
        rembg = Path(peer_python(command_line=True)).with_name("rembg")
        return [str(rembg), "p", "-m", "u2net", "-w", *deleting, str(self.input), str(self.output)]

    def _variables(self) -> dict[str, str]:
        left_out = ("XDG_", "ALPHADROP_")
        kept = {key: value for key, value in os.environ.items() if not key.startswith(left_out) and key != "DISPLAY"}
        kept |= {"HOME": str(self.home), "PYTHONUNBUFFERED": "1"}
        if self.program == "rembg":
            return kept | peer_variables()
        return kept | {
            "ALPHADROP_RUN_DIR": str(self.home / "r"),
            "ALPHADROP_DATA_DIR": str(self.home / "data"),
            "ALPHADROP_CONFIG": str(self.home / "alphadrop.yaml"),
        }

    # The folders

    def place(self, name: str, content: bytes) -> Path:
        """Move a whole file into the input folder in one step; return its output's path."""
        aside = self._aside / Path(name).name
        aside.write_bytes(content)
        aside.rename(self.input / name)
        return self.target(name)

    def photograph(self, name: str, key: str) -> Path:
        """Move a photograph into the input folder; return its output's path."""
        return self.place(name, self.bench.photographs.files[key])

    def target(self, name: str) -> Path:
        return (self.output / name).with_suffix(".png")

    def state(self, target: Path, key: str) -> str:
        """Return how an output is: missing, torn, whole or other."""
        try:
            content = target.read_bytes()
        except FileNotFoundError:
            return "missing"
        return _judged(content, self.bench.reference(self.program, key))

    def outputs(self) -> list[Path]:
        """Return everything in the output folder but what other photographs left."""
        found = sorted(path for path in self.output.rglob("*") if not path.is_dir())
        return [path for path in found if not path.name.startswith("canary-")]

    def name(self, path: Path) -> str:
        return f"`{path.relative_to(self.output)}`"

    def whole(self, key: str) -> list[Path]:
        """Return the outputs that are the whole of a photograph, whatever they are called."""
        return [path for path in self.outputs() if self.state(path, key) == "whole"]

    def other_files(self, *expected: Path) -> str:
        """Return what is in the output folder besides, in words."""
        others = [self.name(path) for path in self.outputs() if path not in expected]
        return f"besides {_list(others)}" if others else "nothing besides"

    # Waiting

    def poll(self, condition: Callable[[], object], patience: float) -> bool:
        """Wait until something is true; return whether it became so while the process lives."""
        deadline = time.monotonic() + patience
        while time.monotonic() < deadline:
            if condition():
                return True
            if not self.lives:
                return bool(condition())
            time.sleep(0.02)
        return False

    def eventually(self, condition: Callable[[], object], patience: float = PATIENCE) -> float | None:
        """Return after how many seconds something was true; None where it is held never to be so."""
        started = time.monotonic()
        if not self.poll(condition, FIRST):
            canary = self.photograph(f"canary-{next(self._numbers)}.jpg", "d")
            self.canary_lives = self.poll(partial(_is_complete, canary), patience)
            if not self.poll(condition, QUIET if self.canary_lives else 0.0) and not condition():
                return None
        return time.monotonic() - started

    def came(self, target: Path, key: str, patience: float = PATIENCE) -> str:
        """Wait for a whole output; return what came, in words."""
        seconds = self.eventually(lambda: self.state(target, key) == "whole", patience)
        if seconds is not None:
            return f"whole output after {seconds:.1f} s"
        found = WORDS[self.state(target, key)]
        return found if self.canary_lives else f"{found}; {self.pulse()}"

    def pulse(self) -> str:
        """Return in words how the process is after a canary did not come out."""
        if not self.lives:
            return "the process ended"
        return "goes on" if self.canary_lives else "the process lives, and nothing comes out any more"


WORDS = {
    "missing": "no output",
    "torn": "a torn file under the output's name",
    "other": "an output that is not that of the whole photograph",
    "whole": "whole output",
}


def _judged(content: bytes, reference: Picture) -> str:
    try:
        picture = _pixels(content)
    except Exception:  # Pillow raises whatever its decoders do
        return "torn"
    if picture.shape != reference.shape:
        return "other"
    return "whole" if float(np.abs(picture - reference).mean()) < 0.5 else "other"


def _is_complete(path: Path) -> bool:
    """Return whether a file is a PNG file to its end."""
    try:
        content = path.read_bytes()
    except OSError:
        return False
    return content.startswith(PNG_BEGINS) and content.endswith(PNG_ENDS)


def _list(words: Sequence[str]) -> str:
    return ", ".join(words) if len(words) < 7 else f"{', '.join(words[:5])} and {len(words) - 5} more"


class Versions(threading.Thread):
    """Looks at one output a hundred times a second, and keeps how each of its versions was."""

    def __init__(self, run: Run, target: Path, key: str) -> None:
        super().__init__(daemon=True)
        self._target, self._reference = target, run.bench.reference(run.program, key)
        self._ended = threading.Event()
        self.states: list[str] = []

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self.join()

    def run(self) -> None:
        known = None
        while not self._ended.wait(0.01):
            try:
                with self._target.open("rb") as stream:
                    content, status = stream.read(), os.fstat(stream.fileno())
            except OSError:
                continue
            version = (status.st_ino, status.st_mtime_ns, status.st_size)
            if version != known:
                known = version
                self.states.append(_judged(content, self._reference))

    def story(self) -> str:
        """Return in words what there was besides one whole version."""
        told = [
            f"{self.states.count(state)} x {words}"
            for state, words in (("torn", "a torn file"), ("other", "a cut-out that is not of the whole file"))
            if state in self.states
        ]
        if self.states.count("whole") > 1:
            told.append(f"written {self.states.count('whole')} times")
        return "; ".join(["", *told])


# The faults. Each returns what one program did, in words.


def slow_writer(bench: Bench, program: str, row: str, *, pause: float, parts: int, reopened: bool = False) -> str:
    content = bench.photographs.files["a"]
    with bench.run(program, row) as run:
        run.start()
        before = run.complaints()
        target = run.target("x.jpg")
        with Versions(run, target, "a") as versions:
            _write_slowly(run.input / "x.jpg", content, pause=pause, parts=parts, reopened=reopened)
            told = run.came(target, "a")
        return f"{told}{versions.story()}; {run.complaints() - before} lines about errors printed"


def _write_slowly(path: Path, content: bytes, *, pause: float, parts: int, reopened: bool = False) -> None:
    step = -(-len(content) // parts)
    pieces = [content[at : at + step] for at in range(0, len(content), step)]
    if reopened:
        for number, piece in enumerate(pieces):
            time.sleep(pause if number else 0.0)
            with path.open("ab") as stream:
                stream.write(piece)
        return
    with path.open("wb", buffering=0) as stream:
        for number, piece in enumerate(pieces):
            time.sleep(pause if number else 0.0)
            stream.write(piece)


def reserved_length(bench: Bench, program: str, row: str) -> str:
    content = bench.photographs.files["a"]
    with bench.run(program, row) as run:
        run.start()
        target = run.target("x.jpg")
        with Versions(run, target, "a") as versions:
            with (run.input / "x.jpg").open("wb", buffering=0) as stream:
                stream.truncate(len(content))
                third = len(content) // 3
                for begin, end in ((0, third), (third, 2 * third), (2 * third, len(content))):
                    stream.write(content[begin:end])
                    time.sleep(4.0 if end < len(content) else 0.0)
            told = run.came(target, "a")
        return f"{told}{versions.story()}"


def idle(bench: Bench, program: str, row: str) -> str:
    with bench.run(program, row) as run:
        run.start()
        time.sleep(5.0)
        return run.worked_in(10.0)


def renamed_inside(bench: Bench, program: str, row: str) -> str:
    with bench.run(program, row) as run:
        run.start()
        target = run.target("x.jpg")
        partial_name = run.input / "x.jpg.part"
        _write_slowly(partial_name, bench.photographs.files["a"], pause=0.7, parts=5)
        partial_name.rename(run.input / "x.jpg")
        return f"{run.came(target, 'a')}; {run.other_files(target)}"


def moved_in(bench: Bench, program: str, row: str) -> str:
    with bench.run(program, row) as run:
        run.start()
        target = run.target("x.jpg")
        with Versions(run, target, "a") as versions:
            run.photograph("x.jpg", "a")
            told = run.came(target, "a")
            time.sleep(3.0)
        return f"{told}{versions.story()}"


def there_at_the_start(bench: Bench, program: str, row: str) -> str:
    with bench.run(program, row) as run:
        targets = {key: run.photograph(f"{key}.jpg", key) for key in "abc"}
        run.start(warm=False)
        return _done_once(run, targets)


def while_off(bench: Bench, program: str, row: str) -> str:
    with bench.run(program, row) as run:
        run.start()
        targets = {"a": run.photograph("a.jpg", "a")}
        run.eventually(lambda: run.state(targets["a"], "a") == "whole")
        stamp = targets["a"].stat()
        run.end()
        targets |= {key: run.photograph(f"{key}.jpg", key) for key in "bc"}
        run.start(warm=False)
        told = _done_once(run, {key: targets[key] for key in "bc"})
        now = targets["a"].stat()
        same = (stamp.st_ino, stamp.st_mtime_ns) == (now.st_ino, now.st_mtime_ns)
        return f"{told}; what was done before: {'not done again' if same else 'done again'}"


def _done_once(run: Run, targets: dict[str, Path]) -> str:
    with contextlib.ExitStack() as stack:
        spies = [stack.enter_context(Versions(run, target, key)) for key, target in targets.items()]
        run.eventually(lambda: all(run.state(target, key) == "whole" for key, target in targets.items()))
        run.warm_up()
        time.sleep(3.0)
    whole = sum(run.state(target, key) == "whole" for key, target in targets.items())
    once = sum(spy.states.count("whole") == 1 for spy in spies)
    return f"{whole} of {len(targets)} whole, {once} written once"


def changed_while_off(bench: Bench, program: str, row: str) -> str:
    with bench.run(program, row) as run:
        run.start()
        target = run.photograph("x.jpg", "a")
        run.came(target, "a")
        run.end()
        (run.input / "x.jpg").write_bytes(bench.photographs.files["b"])
        run.start(warm=False)
        return _replaced(run, target)


def same_name_again(bench: Bench, program: str, row: str) -> str:
    with bench.run(program, row) as run:
        run.start()
        target = run.photograph("x.jpg", "a")
        run.came(target, "a")
        (run.input / "x.jpg").write_bytes(bench.photographs.files["b"])
        return _replaced(run, target)


def _replaced(run: Run, target: Path) -> str:
    seconds = run.eventually(lambda: run.state(target, "b") == "whole")
    if seconds is not None:
        return f"replaced by the new photograph's after {seconds:.1f} s"
    found = "the old photograph's output stays" if run.state(target, "a") == "whole" else "neither's whole output"
    elsewhere = [run.name(path) for path in run.whole("b")]
    return f"{found}; the new one's is {_list(elsewhere)}" if elsewhere else f"{found}; none of the new one"


def two_kinds(bench: Bench, program: str, row: str, *, delete: bool = False) -> str:
    with bench.run(program, row, delete=delete) as run:
        run.start()
        run.photograph("foo.jpg", "a")
        run.place("foo.png", bench.photographs.png("b"))
        run.eventually(lambda: run.whole("a") and run.whole("b"))
        found = {"foo.jpg": run.whole("a"), "foo.png": run.whole("b")}
        told = [
            f"{original} -> {_list([run.name(path) for path in paths]) if paths else 'no output'}"
            for original, paths in found.items()
        ]
        return "; ".join([*told, _lost(run, found)] if delete else told)


def _lost(run: Run, outputs: dict[str, list[Path]]) -> str:
    """Return in words how many originals are gone, and how many of those left no output."""
    run.poll(lambda: not any((run.input / name).exists() for name in outputs), 5.0)
    gone = [name for name in outputs if not (run.input / name).exists()]
    lost = [name for name in gone if not outputs[name]]
    return f"originals deleted: {len(gone)} of {len(outputs)}; without a whole output: {len(lost)}"


def own_file(bench: Bench, program: str, row: str, *, delete: bool = False) -> str:
    with bench.run(program, row, delete=delete) as run:
        run.start()
        mine = bench.photographs.png("c")
        taken = run.target("x.jpg")
        taken.write_bytes(mine)
        run.photograph("x.jpg", "a")
        run.eventually(lambda: run.whole("a"))
        made = run.whole("a")
        told = [
            "the file stays as it was" if taken.read_bytes() == mine else "the file is overwritten",
            f"the cut-out is {_list([run.name(path) for path in made])}" if made else "no cut-out",
        ]
        return "; ".join([*told, _lost(run, {"x.jpg": made})] if delete else told)


def damaged(bench: Bench, program: str, row: str, *, delete: bool = False) -> str:
    content = bench.photographs.files["a"]
    bad = {
        "text.jpg": b"This is no photograph.\n" * 40,
        "empty.jpg": b"",
        "truncated.jpg": content[: len(content) // 2],
    }
    with bench.run(program, row, delete=delete) as run:
        run.start()
        for name, damage in bad.items():
            (run.input / name).write_bytes(damage)
        good = run.photograph("good.jpg", "b")
        told = run.came(good, "b")
        time.sleep(5.0)  # an original may go some time after its output came
        work = f"then {run.worked_in(10.0)}"
        named = sum(name in run.said() for name in bad)
        if delete:
            kept = sum((run.input / name).exists() for name in bad)
            gone = not (run.input / "good.jpg").exists()
            return f"{kept} of {len(bad)} damaged files stay; the good one: {told}, {'deleted' if gone else 'stays'}"
        return f"the good one: {told}; {run.other_files(good)}; {named} of {len(bad)} named in its messages; {work}"


def killed(bench: Bench, program: str, row: str, *, delete: bool = False, kills: int = KILLS) -> str:
    """Half of the kills are at random moments of the work, half when something new is seen in the output folder."""
    dice = random.Random(SEED)
    with bench.run(program, row, delete=delete) as run:
        run.start()
        duration = _working_time(run)
        names = [f"kill-{number}.jpg" for number in range(kills)]
        torn = {}
        for number, name in enumerate(names):
            there = set(os.listdir(run.output))
            worked = run.worked()
            target = run.photograph(name, "large")
            deadline = time.monotonic() + PATIENCE
            if number % 2:
                while set(os.listdir(run.output)) <= there and time.monotonic() < deadline:
                    pass
            else:
                while run.worked() < worked + 0.05 and time.monotonic() < deadline:
                    time.sleep(0.002)
                time.sleep(dice.uniform(0.0, duration))
            run.kill()
            torn[name] = run.state(target, "large") in ("torn", "other")
            run.start()
        states = {name: run.target(name) for name in names}
        run.eventually(lambda: all(run.state(target, "large") == "whole" for target in states.values()))
        final = {name: run.state(target, "large") for name, target in states.items()}
        whole = list(final.values()).count("whole")
        told = (
            f"torn under the output's name: {sum(torn.values())} of {kills}; after the restarts: "
            f"{whole} of {kills} whole, {kills - whole - list(final.values()).count('missing')} torn"
        )
        if delete:
            found = {name: [target] if final[name] == "whole" else [] for name, target in states.items()}
            return f"{told}; {_lost(run, found)}"
        return f"{told}; {run.other_files(*states.values())}"


def _working_time(run: Run) -> float:
    """Return how long the program works on the large photograph."""
    worked = run.worked()
    target = run.photograph("canary-large.jpg", "large")
    run.poll(lambda: run.worked() > worked + 0.05, PATIENCE)
    started = time.monotonic()
    run.poll(partial(_is_complete, target), PATIENCE)
    return time.monotonic() - started


def polling_reader(bench: Bench, program: str, row: str, *, count: int = 30) -> str:
    with bench.run(program, row) as run:
        run.start()
        names = {run.target(f"r{number}.jpg").name for number in range(count)}
        context = multiprocessing.get_context("fork")
        ended, (here, there) = context.Event(), context.Pipe(duplex=False)
        reader = context.Process(target=_read_all, args=(run.output, names, ended, there), daemon=True)
        reader.start()
        try:
            for name in names:
                run.photograph(Path(name).stem + ".jpg", "middle")
            run.poll(lambda: all((run.output / name).exists() for name in names), 6.0 * count)
            run.poll(lambda: all(_is_complete(run.output / name) for name in names), FIRST)
            ended.set()
            torn, read = here.recv()
        finally:
            ended.set()
            reader.join()
        return f"an incomplete file was read for {torn} of {read} photographs"


def _read_all(folder: Path, names: set[str], ended: Event, answer: Connection) -> None:
    """Open everything that has an output's name, again and again, until it is a PNG file to its end."""
    torn: set[str] = set()
    whole: set[str] = set()
    while not ended.is_set():
        for name in os.listdir(folder):
            if name in names and name not in whole:
                (whole if _is_complete(folder / name) else torn).add(name)
    answer.send((len(torn), len(torn | whole)))


def full_disk(bench: Bench, program: str, row: str) -> str:
    probe = ["unshare", "-m", "sh", "-c", 'mount -t tmpfs -o size=1m tmpfs "$0"', str(bench.work)]
    refused = subprocess.run(probe, capture_output=True, text=True, check=False)
    if refused.returncode:
        raise Unavailable(f"not measured: no file system may be mounted here ({refused.stderr.strip()})")
    with bench.run(program, row, disk=2 << 20) as run:
        run.start()
        for path in run.output.iterdir():
            path.unlink()
        filler = run.output / "canary-filler"
        with filler.open("wb", buffering=0) as stream, contextlib.suppress(OSError):
            while True:
                stream.write(bytes(4096))
        os.truncate(filler, filler.stat().st_size - (64 << 10))
        target = run.photograph("x.jpg", "a")
        run.poll(lambda: False, FULL)
        full = WORDS[run.state(target, "a")]
        filler.unlink()
        return f"while full: {full}; after space was freed: {run.came(target, 'a')}"


def output_removed(bench: Bench, program: str, row: str) -> str:
    with bench.run(program, row) as run:
        run.start()
        shutil.rmtree(run.output)
        target = run.photograph("x.jpg", "a")
        run.poll(run.output.exists, FIRST)
        by_itself = run.output.exists()
        run.output.mkdir(exist_ok=True)
        told = run.came(target, "a")
        second = run.photograph("y.jpg", "b")
        who = "made again by the program" if by_itself else "not made by the program; made again by hand"
        return f"{who}: {told}; the next one: {run.came(second, 'b')}"


def input_removed(bench: Bench, program: str, row: str, *, patience: float = 75.0) -> str:
    with bench.run(program, row) as run:
        run.start()
        shutil.rmtree(run.input)
        time.sleep(3.0)
        run.input.mkdir()
        target = run.photograph("x.jpg", "a")
        started = time.monotonic()
        if run.poll(lambda: run.state(target, "a") == "whole", patience):
            return f"whole output after {time.monotonic() - started:.1f} s"
        return (
            f"{WORDS[run.state(target, 'a')]} within {patience:.0f} s; {'lives' if run.lives else 'the process ended'}"
        )


def sub_folders(bench: Bench, program: str, row: str) -> str:
    with bench.run(program, row) as run:
        for folder in ("one", "two", "three"):
            (run.input / folder).mkdir()
        run.photograph("one/x.jpg", "a")
        run.photograph("two/x.jpg", "b")
        run.start(warm=False)
        run.eventually(lambda: run.whole("a") and run.whole("b"))
        at_start = [run.name(path) for key in "ab" for path in run.whole(key)]
        run.photograph("three/y.jpg", "c")
        run.eventually(lambda: run.whole("c"))
        running = [run.name(path) for path in run.whole("c")]
        return (
            f"at the start: {len(at_start)} of 2 ({_list(at_start)}); while running: {len(running)} of 1"
            f"{f' ({_list(running)})' if running else ''}"
        )


def symlinked(bench: Bench, program: str, row: str) -> str:
    with bench.run(program, row) as run:
        run.start()
        target = run.photograph("x.jpg", "a")
        run.came(target, "a")
        for name, key in (("x.jpg", "b"), ("new.jpg", "c")):
            elsewhere, link = run.home / f"{key}.jpg", run.home / "link"
            elsewhere.write_bytes(bench.photographs.files[key])
            link.symlink_to(elsewhere)
            link.rename(run.input / name)
        good = run.photograph("good.jpg", "d")
        told = run.came(good, "d")
        time.sleep(5.0)
        words = {key: "cut out" if run.whole(key) else "not cut out" for key in "bc"}
        return f"what `x.jpg` now links to: {words['b']}; the new link's: {words['c']}; the good one: {told}"


def named_pipe(bench: Bench, program: str, row: str) -> str:
    with bench.run(program, row) as run:
        run.start()
        os.mkfifo(run.input / "x.jpg")
        good = run.photograph("good.jpg", "c")
        told = run.came(good, "c", 20.0)
        return f"the good one: {told}; Ctrl+C {'ends it' if run.end() else 'does not end it'}"


def hundreds(bench: Bench, program: str, row: str) -> str:
    photographs = bench.photographs.small_ones(100)
    with bench.run(program, row) as run:
        run.start()
        told = [f"at first {run.resident():.0f} MB"]
        targets: list[Path] = []
        for turn in (1, 2):
            started = time.monotonic()
            targets += [run.place(f"{turn}-{number}.jpg", content) for number, content in enumerate(photographs)]
            deadline = time.monotonic() + 300
            while (done := sum(map(_is_complete, targets))) < len(targets) and time.monotonic() < deadline:
                time.sleep(0.2)
            seconds = time.monotonic() - started
            time.sleep(2.0)
            told.append(f"{done} of {len(targets)} done, the last hundred in {seconds:.0f} s, {run.resident():.0f} MB")
        return "; ".join(told)


@dataclass(frozen=True)
class Fault:
    told: str
    does: Callable[[Bench, str, str], str]


FAULTS = {
    "slow": Fault("a slow writer, pauses of 0.7 s", partial(slow_writer, pause=0.7, parts=6)),
    "slower": Fault(
        "a slow writer, pauses of 4 s, the file closed in between",
        partial(slow_writer, pause=4.0, parts=3, reopened=True),
    ),
    "stalled": Fault("a writer that stalls for 8 s with the file open", partial(slow_writer, pause=8.0, parts=2)),
    "reserved": Fault("a writer that reserves the whole length first, pauses of 4 s", reserved_length),
    "idle": Fault("nothing, after one photograph", idle),
    "part": Fault("`x.jpg.part` written slowly, then renamed to `x.jpg`", renamed_inside),
    "moved": Fault("moved in from the same file system", moved_in),
    "there": Fault("three photographs are there at the start", there_at_the_start),
    "off": Fault("two photographs dropped while the program is off", while_off),
    "changed-off": Fault("a photograph changed while the program is off", changed_while_off),
    "again": Fault("another photograph copied over the same name", same_name_again),
    "two-kinds": Fault("`foo.jpg` and `foo.png`", two_kinds),
    "own-file": Fault("a file of the user's has the output's name", own_file),
    "damaged": Fault("text, nothing and half a photograph, each named .jpg, then a good one", damaged),
    "kill": Fault(f"kill -9 at work, {KILLS} times, and a restart", killed),
    "reader": Fault("a reader opens every output as soon as it is seen", polling_reader),
    "full": Fault(f"the output's disk is full for {FULL:.0f} s", full_disk),
    "output-removed": Fault("the output folder is removed", output_removed),
    "input-removed": Fault("the input folder is removed and made again", input_removed),
    "sub-folders": Fault("photographs in folders inside the input, two of one name", sub_folders),
    "symlink": Fault("`x.jpg` becomes a symbolic link to another photograph, a new link, then a good one", symlinked),
    "fifo": Fault("a named pipe `x.jpg`, then a good one", named_pipe),
    "delete-damaged": Fault("originals deleted: damaged files and a good one", partial(damaged, delete=True)),
    "delete-two-kinds": Fault("originals deleted: `foo.jpg` and `foo.png`", partial(two_kinds, delete=True)),
    "delete-own-file": Fault("originals deleted: a file of the user's has the name", partial(own_file, delete=True)),
    "delete-kill": Fault(
        "originals deleted: kill -9 at work, 6 times, and a restart", partial(killed, delete=True, kills=6)
    ),
    "hundreds": Fault("a hundred small photographs at once, then a hundred more", hundreds),
}


def _did(bench: Bench, program: str, row: str) -> tuple[str, bool]:
    """Return what a program did, and whether that could be found out."""
    started = time.monotonic()
    try:
        told, found_out = FAULTS[row].does(bench, program, row), True
    except Unavailable as reason:
        told, found_out = str(reason), True
    except Exception:  # one row that cannot be measured is no reason to measure none
        traceback.print_exc()
        told, found_out = "could not be measured", False
    print(f"{row}, {program}, {time.monotonic() - started:.0f} s: {told}", file=sys.stderr, flush=True)
    return told.replace("|", "\\|").replace("\n", " "), found_out


def main() -> int:
    """Print a table: a row a fault, a column a program."""
    rows = "\n".join(f"  {name:18}{fault.told}" for name, fault in FAULTS.items())
    parser = argparse.ArgumentParser(
        description=__doc__, epilog=f"rows:\n{rows}", formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", nargs="+", choices=FAULTS, default=list(FAULTS), metavar="ROW", help="named below")
    parser.add_argument("--program", choices=("rembg", "alphadrop", "both"), default="both")
    parser.add_argument("--work", type=Path, metavar="FOLDER", help="is kept; by default a temporary one that is not")
    parser.add_argument("--photographs", type=Path, default=os.environ.get("ALPHADROP_PHOTOS"), metavar="FOLDER")
    chosen = parser.parse_args()
    if chosen.photographs is None:
        parser.error("which photographs? Set ALPHADROP_PHOTOS or give --photographs FOLDER")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that what was started is ended
    programs = ("rembg", "alphadrop") if chosen.program == "both" else (chosen.program,)
    if "rembg" in programs:
        peer_python(command_line=True)
    with contextlib.ExitStack() as stack:
        work = chosen.work or Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="faults-")))
        bench = Bench(Photographs.of(chosen.photographs), work.resolve())
        for program in programs:
            bench.learn(program)
        print(f"| fault | {' | '.join(programs)} |\n|---|{'---|' * len(programs)}", flush=True)
        all_found_out = True
        for row in chosen.only:
            cells = [_did(bench, program, row) for program in programs]
            all_found_out &= all(found_out for _, found_out in cells)
            print(f"| {FAULTS[row].told} | {' | '.join(told for told, _ in cells)} |", flush=True)
    print(f'\n"No output" is none {QUIET:.0f} s after a later photograph had come out, or while none comes out at all.')
    print("Seconds count from the last thing that was done to the folders.")
    return 0 if all_found_out else 1


if __name__ == "__main__":
    sys.exit(main())
