"""All folders together: nothing lost from the drop to the cut-out, over crashes and ends, and no work while idle."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path, PurePath
from typing import NoReturn

import pytest

from alphadrop.errors import LedgerError
from alphadrop.hotfolder import hotfolders
from alphadrop.hotfolder.folder import HotFolder
from alphadrop.hotfolder.hotfolders import HotFolders
from alphadrop.hotfolder.scan import look_at
from alphadrop.hotfolder.settings import FolderSettings
from alphadrop.hotfolder.worker import Worker
from daemon_process import PATIENCE, wait_for
from fake_segmenter import BLUE, GREEN, RED, Ground, photograph


@pytest.fixture(autouse=True)
def lease_breaks_are_ignored() -> Iterator[None]:
    """As the daemon does: the kernel signals whoever holds a lease on a file that is opened for writing."""
    before = signal.signal(signal.SIGIO, signal.SIG_IGN) if hasattr(signal, "SIGIO") else None
    yield
    if before is not None:
        signal.signal(signal.SIGIO, before)


@pytest.fixture
def ground(tmp_path: Path) -> Iterator[Ground]:
    ground = Ground(tmp_path, settle=0.1, rescan=86_400.0)
    yield ground
    ground.ledger.close()


@contextmanager
def started(ground: Ground, *further: FolderSettings) -> Iterator[HotFolders]:
    folders = HotFolders([ground.settings, *further], ground.fake.engine, ground.ledger)
    folders.start()
    folders.begin_work()
    try:
        folders.wait_until_armed()
        yield folders
    finally:
        assert folders.close(PATIENCE)


def done(ground: Ground, count: int) -> None:
    wait_for(lambda: ground.ledger.counts(ground.input).get("done", 0) == count, f"{count} files to be done")


def test_what_was_there_and_what_is_dropped_later_comes_out(ground: Ground) -> None:
    ground.drop("before.jpg", RED)
    with started(ground) as folders:
        ground.drop("after.jpg", GREEN)
        ground.drop("sub/below.jpg", BLUE)
        done(ground, 3)
        (status,) = folders.status()
    assert ground.outputs() == {"before.png": RED, "after.png": GREEN, "sub/below.png": BLUE}
    assert (status.health.state, status.counts) == ("watching", {"done": 3})


def test_many_files_at_once_are_all_done_once(ground: Ground) -> None:
    with started(ground):
        for number in range(100):
            ground.drop(f"{number % 7}/{number}.bmp", GREEN)
        done(ground, 100)
    assert len(ground.outputs()) == 100
    assert ground.fake.runs == 100


@pytest.mark.long
@pytest.mark.timeout(1800)
def test_ten_thousand_files_at_once_are_all_done_once(ground: Ground) -> None:
    picture = ground.drop("0.bmp", GREEN).read_bytes()
    with started(ground) as folders:
        for number in range(1, 10_000):
            (ground.input / f"{number}.bmp").write_bytes(picture)
        wait_for(lambda: folders.status()[0].counts == {"done": 10_000}, "all to be done", 1700)
    assert len(ground.outputs()) == 10_000
    assert ground.fake.runs == 10_000


def test_a_new_content_under_the_same_name_is_cut_again(ground: Ground) -> None:
    with started(ground):
        ground.drop("a.png", RED)
        done(ground, 1)
        photograph(ground.root / "new.png", GREEN, size=(60, 60)).replace(ground.input / "a.png")
        content = look_at(ground.input, PurePath("a.png"))
        wait_for(
            lambda: (ground.row("a.png").content, ground.row("a.png").state) == (content, "done"), "the new content"
        )
    assert ground.outputs() == {"a.png": GREEN}


def test_a_file_that_grows_slowly_comes_out_whole(ground: Ground) -> None:
    whole = ground.drop("a.png", GREEN).read_bytes()
    (ground.input / "a.png").unlink()
    with started(ground):
        with (ground.input / "a.png").open("wb") as stream:
            stream.write(whole[:50])
            stream.flush()
            wait_for(lambda: ground.ledger.rows(), "the half to look settled")  # it stalls while it is open
            stream.write(whole[50:])
        done(ground, 1)
    assert ground.outputs() == {"a.png": GREEN}


def test_a_writer_that_closes_and_goes_on_later_gets_his_whole_file_in_the_end(ground: Ground) -> None:
    whole = ground.drop("a.png", GREEN).read_bytes()
    (ground.input / "a.png").write_bytes(whole[:50])
    with started(ground):
        wait_for(lambda: ground.ledger.counts(ground.input) == {"failed": 1}, "the half to fail")
        with (ground.input / "a.png").open("ab") as stream:
            stream.write(whole[50:])
        done(ground, 1)
    assert ground.outputs() == {"a.png": GREEN}


def test_one_folder_that_is_missing_does_not_hold_up_the_others(ground: Ground) -> None:
    missing = replace(ground.settings, input=ground.root / "missing")
    ground.drop("a.jpg")
    with started(ground, missing) as folders:
        done(ground, 1)
        assert [status.health.state for status in folders.status()] == ["watching", "missing"]


def test_one_folders_output_may_be_anothers_input(ground: Ground) -> None:
    last = ground.root / "last"
    last.mkdir()
    chained = replace(ground.settings, input=ground.output, output=last, name="{stem}-2")
    with started(ground, chained):
        ground.drop("a.png", RED)
        wait_for(lambda: os.listdir(last) == ["a-2.png"], "the second cut-out")


def test_closing_finishes_the_file_at_work(ground: Ground) -> None:
    at_work, go_on = threading.Event(), threading.Event()

    def hold() -> None:
        at_work.set()
        assert go_on.wait(PATIENCE)

    ground.fake.before = hold
    for name in ("a.jpg", "b.jpg"):
        ground.drop(name)
    folders = HotFolders([ground.settings], ground.fake.engine, ground.ledger)
    folders.start()
    folders.begin_work()
    assert at_work.wait(PATIENCE)
    assert not folders.close(0.01)
    go_on.set()
    assert folders.close(PATIENCE)
    assert len(ground.outputs()) == 1
    counts = ground.ledger.counts(ground.input)
    assert counts["done"] == 1
    assert "working" not in counts


def test_closing_before_the_start_of_work_is_quick(ground: Ground) -> None:
    folders = HotFolders([ground.settings], ground.fake.engine, ground.ledger)
    assert folders.close(PATIENCE)
    folders = HotFolders([ground.settings], ground.fake.engine, ground.ledger)
    folders.start()
    assert folders.close(PATIENCE)


def test_what_a_crash_left_unfinished_is_done_again_and_its_temporaries_go(
    ground: Ground, caplog: pytest.LogCaptureFixture
) -> None:
    ground.drop("sub/a.jpg", GREEN)
    ground.note("sub/a.jpg")
    row = ground.ledger.take([ground.input], ground.clock())
    assert row is not None
    (ground.output / "sub").mkdir()
    ground.ledger.claim(ground.output / "sub" / "a.png", row.id, "cutout")
    stale = [ground.output / ".alphadrop-00aa.part", ground.output / "sub" / ".alphadrop-11bb.part"]
    kept = [ground.output / ".hidden.part", ground.output / "alphadrop-1.part"]
    for file in (*stale, *kept):
        file.write_bytes(b"half")
    with started(ground):
        done(ground, 1)
    assert not any(file.exists() for file in stale)
    assert all(file.exists() for file in kept)
    assert (ground.output / "sub" / "a.png").is_file()
    assert "1 files were not finished" in caplog.text


def test_a_restart_does_nothing_again(ground: Ground) -> None:
    for name in ("a.jpg", "b.jpg"):
        ground.drop(name)
    with started(ground):
        done(ground, 2)
    with started(ground) as folders:
        wait_for(lambda: folders.status()[0].health.state == "watching", "the first look")
        ground.drop("c.jpg")
        done(ground, 3)
    assert ground.fake.runs == 3


def test_an_exception_while_looking_or_working_stops_neither(
    ground: Ground, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    look, work = HotFolder.look, Worker.work
    broken = {"look", "work"}

    def look_badly(self: HotFolder, now: float) -> int:
        if "look" in broken:
            broken.discard("look")
            raise RuntimeError("look")
        return look(self, now)

    def work_badly(self: Worker) -> bool:
        if "work" in broken:
            broken.discard("work")
            raise RuntimeError("work")
        return work(self)

    monkeypatch.setattr(hotfolders, "_AFTER_AN_ERROR", 0.05)
    monkeypatch.setattr(HotFolder, "look", look_badly)
    monkeypatch.setattr(Worker, "work", work_badly)
    ground.drop("a.jpg")
    with started(ground):
        done(ground, 1)
    assert "looking failed" in caplog.text
    assert "working failed" in caplog.text


def test_a_row_whose_end_could_not_be_recorded_is_done_again(ground: Ground, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> NoReturn:
        failures.append(1)
        if len(failures) == 2:
            monkeypatch.setattr(ground.ledger, "finish", finish)
        raise LedgerError("database or disk is full")

    failures: list[int] = []
    finish = ground.ledger.finish
    monkeypatch.setattr(hotfolders, "_AFTER_AN_ERROR", 0.05)
    monkeypatch.setattr(ground.ledger, "finish", full)
    ground.drop("a.jpg")
    with started(ground):
        done(ground, 1)
    assert len(failures) == 2
    assert ground.outputs() == {"a.png": RED}


class _Paced(threading.Event):
    """A wake-up call that counts who waits for it, and how long at most he would sleep."""

    def __init__(self) -> None:
        super().__init__()
        self.waits: list[float] = []

    def wait(self, timeout: float | None = None) -> bool:
        self.waits.append(-1.0 if timeout is None else timeout)
        return super().wait(timeout)


def test_with_nothing_to_do_nobody_looks_or_works(ground: Ground) -> None:
    ground.drop("a.jpg")
    folders = HotFolders([ground.settings], ground.fake.engine, ground.ledger)
    looking, working = _Paced(), _Paced()
    folders._look_now, folders._work_now = looking, working
    folders._folders = [HotFolder(ground.settings, ground.ledger, looking.set)]
    folders.start()
    folders.begin_work()
    try:
        done(ground, 1)
        # Each is now asleep for as long as it ever sleeps: the next look is the rescan, a day away.
        wait_for(lambda: looking.waits[-1] == 30 and working.waits[-1] == 30, "both to fall asleep")
        assert not looking.is_set()
        assert not working.is_set()
        looks, works = len(looking.waits), len(working.waits)
        looking.set()
        wait_for(lambda: len(looking.waits) > looks, "one look")
        wait_for(lambda: looking.waits[-1] == 30, "sleep after it")
        assert len(looking.waits) == looks + 1, "our own look woke us"
        assert len(working.waits) == works
    finally:
        assert folders.close(PATIENCE)


def test_a_name_that_is_not_utf_8_goes_the_whole_way(ground: Ground) -> None:
    with started(ground):
        ground.drop(os.fsdecode(b"\xff\xfe.jpg"), GREEN)
        done(ground, 1)
    assert os.listdir(os.fsencode(ground.output)) == [b"\xff\xfe.png"]
    assert ground.ledger.rows()[0].path == PurePath(os.fsdecode(b"\xff\xfe.jpg"))
