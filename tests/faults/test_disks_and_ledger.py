"""Rows 10 and 11: no space for outputs, no space for the ledger, and a ledger that is damaged or gone."""

from __future__ import annotations

import errno
import itertools
import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path, PurePath
from typing import Any, NoReturn

import numpy as np
import pytest
from PIL import Image, PngImagePlugin

from alphadrop.client import Client
from alphadrop.errors import DaemonError, LedgerError
from alphadrop.hotfolder import hotfolders
from alphadrop.hotfolder.hotfolders import HotFolders
from alphadrop.hotfolder.ledger import Ledger
from alphadrop.hotfolder.scan import look_at
from daemon_process import PATIENCE, Home, wait_for
from fake_segmenter import BLUE, GREEN, RED, Ground, assert_cut_from, photograph, started, until_done

_OWN_MOUNTS = ("unshare", "--mount")


@pytest.fixture(scope="module")
def mounts_of_ones_own(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Skip where a process may not mount a disk that only it sees."""
    place = tmp_path_factory.mktemp("mount")
    command = [*_OWN_MOUNTS, "mount", "-t", "tmpfs", "none", os.fspath(place)]
    try:
        tried = subprocess.run(command, capture_output=True, check=False, timeout=60)
    except OSError:
        pytest.skip("there is no unshare(1) here")
    if tried.returncode:
        pytest.skip("mounting is not permitted here")


_SMALL_DISK = """
import subprocess, sys
def mount(place):
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "none", place], check=True)
"""


@contextmanager
def with_mounts_of_its_own(program: str, *arguments: str, **given: Any) -> Iterator[subprocess.Popen[str]]:
    """Run a program that may mount small disks; it is killed when the block ends."""
    paths = [os.environ.get("PYTHONPATH", ""), str(Path(__file__).parents[1])]
    environment = given.pop("env", dict(os.environ))
    process = subprocess.Popen(
        [*_OWN_MOUNTS, sys.executable, "-c", _SMALL_DISK + program, *arguments],
        env={**environment, "PYTHONPATH": os.pathsep.join(filter(None, paths))},
        text=True,
        **given,
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate(timeout=PATIENCE)


class Disk:
    """A small disk that only a process sees, as seen through its eyes."""

    def __init__(self, process: subprocess.Popen[str], place: Path) -> None:
        self.place = Path(f"/proc/{process.pid}/root{place}")

    def is_mounted(self) -> bool:
        try:
            found = os.statvfs(self.place)
        except OSError:
            return False
        return found.f_blocks * found.f_frsize == 1 << 20

    def fill(self) -> None:
        """Take whatever space is left."""
        with (self.place / "filling").open("ab", buffering=0) as stream, pytest.raises(OSError, match="No space"):
            stream.writelines(itertools.repeat(bytes(4096)))

    def free(self) -> None:
        (self.place / "filling").unlink()


def until_done_as_it_is(ground: Ground, name: str) -> None:
    """Wait until a photograph is cut out as it is now."""
    content = look_at(ground.input, PurePath(name))
    wait_for(lambda: (ground.row(name).content, ground.row(name).state) == (content, "done"), f"{name} as it is now")


# 10 -----------------------------------------------------------------------------------------------------------------

_OUTPUTS_ON_A_SMALL_DISK = """
from pathlib import Path
from fake_segmenter import Ground, started
ground = Ground(Path(sys.argv[1]), settle=0.1, rescan=86_400.0)
mount(ground.output)
with started(ground) as folders:
    for _ in sys.stdin:
        found = folders.status()[0]
        done, working = (found.counts.get(state, 0) for state in ("done", "working"))
        print(f"{found.health.state}; {found.health.remedy}; {done}; {working}", flush=True)
"""


def noise(path: Path, seed: int) -> None:
    """Write a picture whose cut-out takes about a tenth of the small disk."""
    pixels = np.random.default_rng(seed).integers(0, 256, (360, 360, 3), np.uint8)
    Image.fromarray(pixels).save(path)


@pytest.mark.skipif(sys.platform != "linux", reason="mounts")
@pytest.mark.usefixtures("mounts_of_ones_own")
def test_row_10_a_full_disk_is_named_and_waited_for_and_no_photograph_is_lost(tmp_path: Path) -> None:
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with with_mounts_of_its_own(_OUTPUTS_ON_A_SMALL_DISK, str(tmp_path), **pipes) as process:

        def ask() -> list[str]:
            assert process.stdin is not None
            assert process.stdout is not None
            process.stdin.write("\n")
            process.stdin.flush()
            return process.stdout.readline().strip().split("; ")

        assert ask()[0] == "watching"
        disk = Disk(process, tmp_path / "out")
        assert disk.is_mounted()
        names = [f"{number}.png" for number in range(12)]
        for number, name in enumerate(names):
            noise(tmp_path / "in" / name, number)
        # With none at work there is no temporary, nor will there be before the next attempt, two seconds later.
        ((_, remedy, done, _),) = wait_for(
            lambda: [told for told in [ask()] if (told[0], told[3]) == ("disk full", "0")], "the disk to be full"
        )
        assert "no space left" in remedy
        assert "free some space" in remedy
        there = sorted(os.listdir(disk.place))
        assert len(there) == int(done) < 12
        for name in there:
            assert_cut_from(disk.place / name, tmp_path / "in" / name)
        assert sorted(os.listdir(tmp_path / "in")) == sorted(names)
        (tmp_path / "kept").mkdir()
        for name in there:
            shutil.move(disk.place / name, tmp_path / "kept" / name)
        wait_for(lambda: ask()[2] == "12", "the others to be done when there is space")
        assert ask()[:2] == ["watching", ""]
        left = sorted(os.listdir(disk.place))
        assert sorted(there + left) == sorted(names)
        for name in left:
            assert_cut_from(disk.place / name, tmp_path / "in" / name)


def test_row_10_the_waits_for_space_grow_to_five_minutes_and_one_photograph_tries_for_all(
    ground: Ground, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_: int) -> NoReturn:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    photographs = {f"{number}.png": ground.drop(f"{number}.png", GREEN).read_bytes() for number in range(3)}
    for name in photographs:
        ground.note(name)
    waits = []
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        for attempt in range(1, 14):
            assert ground.work() == 1
            assert ground.fake.runs == attempt
            assert os.listdir(ground.output) == []
            hold = ground.worker.hold(ground.input)
            assert hold is not None
            assert hold.error.code == "disk_full"
            due = ground.worker.next_due()
            assert due is not None
            waits.append(due)
            ground.clock.now += due - 0.5
            assert ground.work() == 0
            ground.clock.now += 0.5
    assert waits[:4] == [2, 4, 8, 16]
    assert waits == sorted(waits)
    assert waits[-1] == max(waits) == 300
    assert {name: (ground.input / name).read_bytes() for name in photographs} == photographs
    ground.work()
    ground.clock.now += 300  # at most the one that failed last waits on
    ground.work()
    assert ground.outputs() == dict.fromkeys(photographs, GREEN)
    assert ground.worker.hold(ground.input) is None


# 11 -----------------------------------------------------------------------------------------------------------------

_LEDGER_ON_A_SMALL_DISK = """
import os
from pathlib import Path
mount(os.environ["ALPHADROP_DATA_DIR"])
while not Path(os.environ["HOME"], "begin").exists():
    pass
from alphadrop.hotfolder import hotfolders
from alphadrop.service import lifecycle
lifecycle._RETRY = hotfolders._AFTER_AN_ERROR = 0.2
from alphadrop.cli import main
sys.argv[1:] = ["run"]
main()
"""


@pytest.mark.skipif(sys.platform != "linux", reason="mounts")
@pytest.mark.usefixtures("mounts_of_ones_own")
def test_row_11_a_full_disk_of_the_ledger_is_shown_and_waited_for_and_no_photograph_is_lost(
    tmp_path_factory: pytest.TempPathFactory, photographs: dict[str, Path]
) -> None:
    home = Home(tmp_path_factory.mktemp("h"))
    home.configure(folder="settle: 0")
    (home.root / "data").mkdir()

    def status() -> dict[str, Any]:
        assert process.poll() is None, (home.root / "stderr.txt").read_text(errors="replace")
        try:
            return Client(home.run).status()
        except DaemonError:
            return {"state": "", "ledger": {}, "folders": []}

    def is_done(count: int) -> bool:
        found = status()
        return bool(found["folders"]) and found["folders"][0]["done"] == count

    with (
        (home.root / "stderr.txt").open("w") as log,
        with_mounts_of_its_own(
            _LEDGER_ON_A_SMALL_DISK, env=home.environment, cwd=home.root, stdout=log, stderr=log
        ) as process,
    ):
        disk = Disk(process, home.root / "data")
        wait_for(disk.is_mounted, "the disk")
        disk.fill()
        (home.root / "begin").touch()
        wait_for(lambda: status()["state"] == "waiting for the ledger", "the daemon to wait for the ledger")
        told = status()["ledger"]
        assert told["state"] == "trouble"
        assert "space left" in told["hint"]
        shutil.copy(photographs["cat"], home.input / "a.jpg")
        disk.free()
        wait_for(lambda: is_done(1), "the first to be done")
        assert status()["state"] == "ready"
        assert status()["ledger"]["state"] == "ready"
        disk.fill()
        shutil.copy(photographs["coffee"], home.input / "b.jpg")
        wait_for(lambda: status()["ledger"]["state"] == "trouble", "the trouble to be shown")
        told = status()["ledger"]
        assert "full" in told["message"]
        assert "space left" in told["hint"]
        disk.free()
        wait_for(lambda: is_done(2), "the second to be done")
        assert status()["ledger"]["state"] == "ready"
        assert sorted(os.listdir(home.output)) == ["a.png", "b.png"]
        assert_cut_from(home.output / "a.png", photographs["cat"])
        assert_cut_from(home.output / "b.png", photographs["coffee"])
        assert sorted(os.listdir(home.input)) == ["a.jpg", "b.jpg"]


@pytest.mark.parametrize("step", ["unknown", "note"])
def test_row_11_what_could_not_be_noted_is_noted_when_the_ledger_can_be_used_again_and_not_at_the_rescan(
    ground: Ground, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    full = True

    def refused(*given: object) -> object:
        if full:
            raise LedgerError("the ledger cannot be used: database or disk is full", "is there space left?")
        return usual(*given)

    usual = getattr(ground.ledger, step)
    monkeypatch.setattr(hotfolders, "_AFTER_AN_ERROR", 0.1)
    with started(ground) as folders:
        monkeypatch.setattr(ground.ledger, step, refused)
        ground.drop("a.png", RED)
        wait_for(lambda: folders.trouble is not None, "the trouble")
        full = False
        until_done(ground, 1)
        wait_for(lambda: folders.trouble is None, "the end of the trouble")
    assert ground.outputs() == {"a.png": RED}


def overwrite_the_header(ledger: Path) -> None:
    with ledger.open("r+b") as stream:
        stream.write(b"no database" * 20)


def overwrite_the_middle(ledger: Path) -> None:
    """Overwrite all pages but the first and the last."""
    size = ledger.stat().st_size
    with ledger.open("r+b") as stream:
        stream.seek(4096)
        stream.write(b"\xa5" * (size - 2 * 4096))


def cut_it_off(ledger: Path) -> None:
    os.truncate(ledger, ledger.stat().st_size // 2)


def remove_it(ledger: Path) -> None:
    for ending in ("", "-wal", "-shm"):
        Path(f"{ledger}{ending}").unlink(missing_ok=True)


Damage = Callable[[Path], None]
EVERY_DAMAGE = [overwrite_the_header, overwrite_the_middle, cut_it_off, remove_it]


class Before:
    """What there was before the ledger was harmed, and must be there afterwards, untouched."""

    def __init__(self, ground: Ground) -> None:
        self.ground = ground
        photograph(ground.output / "taken.png", BLUE)  # somebody's own, where ours would be
        with started(ground):
            for name in ("a.jpg", "sub/b.jpg", "taken.jpg", "retouched.jpg", "saved.jpg"):
                ground.drop(name, RED)
            until_done(ground, 5)
        for name in ("retouched", "saved"):
            self._retouch(name, keeps_the_mark=name == "retouched")
        self.files = {path: self._like(path) for path in ground.output.rglob("*") if path.is_file()}
        assert len(self.files) == 6
        self.runs = ground.fake.runs

    @property
    def ledger(self) -> Path:
        return self.ground.root / "ledger.sqlite"

    def _retouch(self, name: str, *, keeps_the_mark: bool) -> None:
        """Have a user save a picture of his own over one of our outputs, with or without the mark that it bore."""
        path, info = self.ground.output / f"{name}.png", PngImagePlugin.PngInfo()
        with Image.open(path) as image:
            info.add_itxt("XML:com.adobe.xmp", image.info["xmp"])
        Image.new("RGB", (20, 20), BLUE).save(path, pnginfo=info if keeps_the_mark else None)
        os.utime(path, (1e9, 1e9))

    @staticmethod
    def _like(path: Path) -> tuple[int, int, bytes]:
        status = path.stat()
        return status.st_ino, status.st_mtime_ns, path.read_bytes()

    def assert_untouched(self) -> None:
        assert {path: self._like(path) for path in self.files} == self.files

    def assert_known(self, again: int = 0) -> None:
        """Fail unless what was done is known as done, and what is new is beside it: done once, or so often again."""
        self.assert_untouched()
        # Of one photograph nothing of ours was left: the user saved his own picture over it. It was cut anew, beside.
        assert self.ground.outputs() == {
            "a.png": RED,
            "new.png": GREEN,
            "retouched.png": BLUE,
            "saved.jpg.png": RED,
            "saved.png": BLUE,
            "sub/b.png": RED,
            "taken.jpg.png": RED,
            "taken.png": BLUE,
        }
        assert self.runs + 2 <= self.ground.fake.runs <= self.runs + 2 + again

    def assert_names_are_kept(self, folders: HotFolders) -> None:
        """Fail unless a new content takes the place of our own output, and of nobody else's."""
        for name in ("a.jpg", "taken.jpg", "retouched.jpg"):
            photograph(self.ground.input / name, GREEN, (64, 40))
        for name in ("a.jpg", "taken.jpg", "retouched.jpg"):
            until_done_as_it_is(self.ground, name)
        assert self.ground.outputs() == {
            "a.png": GREEN,
            "new.png": GREEN,
            "retouched.jpg.png": GREEN,
            "retouched.png": BLUE,
            "saved.jpg.png": RED,
            "saved.png": BLUE,
            "sub/b.png": RED,
            "taken.jpg.png": GREEN,
            "taken.png": BLUE,
        }
        assert folders.trouble is None


@pytest.mark.parametrize("harm", EVERY_DAMAGE)
def test_row_11_a_ledger_that_was_harmed_while_stopped_is_rebuilt_from_the_outputs(
    ground: Ground, harm: Damage
) -> None:
    before = Before(ground)
    ground.ledger.close()
    harm(before.ledger)
    ground.ledger = Ledger(before.ledger)
    assert any("damaged" in note for note in ground.ledger.notes) == (harm is not remove_it)
    ground.drop("new.jpg", GREEN)
    with started(ground) as folders:
        until_done(ground, 6)
        before.assert_known()
        before.assert_names_are_kept(folders)


@pytest.mark.parametrize("harm", EVERY_DAMAGE)
def test_row_11_a_ledger_that_is_harmed_while_running_is_rebuilt_from_the_outputs_too(
    ground: Ground, monkeypatch: pytest.MonkeyPatch, harm: Damage
) -> None:
    monkeypatch.setattr(hotfolders, "_AFTER_AN_ERROR", 0.1)
    before = Before(ground)
    with started(ground) as folders:
        other = sqlite3.connect(before.ledger)
        other.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()  # all is in the file itself now
        other.close()
        harm(before.ledger)
        with ground.ledger._lock:
            ground.ledger._db.execute("PRAGMA shrink_memory")  # nothing of it is in memory any more
        ground.drop("new.jpg", GREEN)
        wait_for((ground.output / "new.png").exists, "the new one")
        if harm is not remove_it:  # which the system does not let anybody notice who has the file open
            wait_for(lambda: any("damaged" in note for note in ground.ledger.notes), "the damage to be noticed")
            wait_for(lambda: ground.ledger.counts(ground.input).get("done") == 6, "all to be known as done")
            before.assert_known(again=1)
        before.assert_untouched()
        wait_for(lambda: folders.trouble is None, "the end of the trouble")
    ground.ledger.close()
    ground.ledger = Ledger(before.ledger)
    with started(ground) as folders:
        wait_for(lambda: ground.ledger.counts(ground.input).get("done", 0) >= 6, "all to be known as done")
        before.assert_untouched()
        assert (
            ground.outputs().items()
            <= {
                **{path.relative_to(ground.output).as_posix(): RED for path in before.files},
                "new.png": GREEN,
                "retouched.png": BLUE,
                "saved.png": BLUE,
                "saved.jpg.png": RED,
                "taken.png": BLUE,
            }.items()
        )
        assert folders.trouble is None
