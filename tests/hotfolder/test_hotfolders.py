"""All folders together: nothing lost from the drop to the cut-out, over crashes and ends, and no work while idle."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import PurePath
from typing import NoReturn

import pytest

from alphadrop.errors import LedgerError
from alphadrop.hotfolder import hotfolders
from alphadrop.hotfolder.folder import HotFolder
from alphadrop.hotfolder.hotfolders import HotFolders
from alphadrop.hotfolder.scan import look_at
from alphadrop.hotfolder.worker import Worker
from daemon_process import PATIENCE, wait_for
from fake_segmenter import BLUE, GREEN, RED, Ground, photograph, started, until_done


def test_what_was_there_and_what_is_dropped_later_comes_out(ground: Ground) -> None:
    ground.drop("before.jpg", RED)
    with started(ground) as folders:
        ground.drop("after.jpg", GREEN)
        ground.drop("sub/below.jpg", BLUE)
        until_done(ground, 3)
        (status,) = folders.status()
    assert ground.outputs() == {"before.png": RED, "after.png": GREEN, "sub/below.png": BLUE}
    assert (status.health.state, status.counts) == ("watching", {"done": 3})


def test_many_files_at_once_are_all_done_once(ground: Ground) -> None:
    with started(ground):
        for number in range(100):
            ground.drop(f"{number % 7}/{number}.bmp", GREEN)
        until_done(ground, 100)
    assert len(ground.outputs()) == 100
    assert ground.fake.runs == 100


def test_a_new_content_under_the_same_name_is_cut_again(ground: Ground) -> None:
    with started(ground):
        ground.drop("a.png", RED)
        until_done(ground, 1)
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
        until_done(ground, 1)
    assert ground.outputs() == {"a.png": GREEN}


def test_a_writer_that_closes_and_goes_on_later_gets_his_whole_file_in_the_end(ground: Ground) -> None:
    whole = ground.drop("a.png", GREEN).read_bytes()
    (ground.input / "a.png").write_bytes(whole[:50])
    with started(ground):
        wait_for(lambda: ground.ledger.counts(ground.input) == {"failed": 1}, "the half to fail")
        with (ground.input / "a.png").open("ab") as stream:
            stream.write(whole[50:])
        until_done(ground, 1)
    assert ground.outputs() == {"a.png": GREEN}


def test_one_folder_that_is_missing_does_not_hold_up_the_others(ground: Ground) -> None:
    missing = replace(ground.settings, input=ground.root / "missing")
    ground.drop("a.jpg")
    with started(ground, missing) as folders:
        until_done(ground, 1)
        assert [status.health.state for status in folders.status()] == ["watching", "missing"]


def test_one_folders_output_may_be_anothers_input(ground: Ground) -> None:
    last = ground.root / "last"
    last.mkdir()
    chained = replace(ground.settings, input=ground.output, output=last, name="{stem}-2")
    with started(ground, chained):
        ground.drop("a.png", RED)
        wait_for(lambda: os.listdir(last) == ["a-2.png"], "the second cut-out")


@pytest.fixture
def held(ground: Ground) -> Iterator[tuple[HotFolders, threading.Event]]:
    """Folders with a photograph that the network is looking at until the event is set, and another behind it."""
    at_work, go_on = threading.Event(), threading.Event()

    def hold() -> None:
        at_work.set()
        assert go_on.wait(PATIENCE)

    ground.fake.before = hold
    for name in ("a.jpg", "b.jpg"):
        ground.drop(name)
    folders = HotFolders([ground.settings], ground.pipeline, ground.ledger)
    folders.start()
    folders.begin_work()
    assert at_work.wait(PATIENCE)
    wait_for(lambda: len(folders._worker.in_hand) == 2, "the other to be taken")
    yield folders, go_on
    go_on.set()
    assert folders.close(PATIENCE)


def test_closing_finishes_the_file_at_work(ground: Ground, held: tuple[HotFolders, threading.Event]) -> None:
    folders, go_on = held
    closing = threading.Thread(target=folders.close, args=(PATIENCE,))
    closing.start()
    wait_for(folders._closing.is_set, "the end to begin")
    go_on.set()
    closing.join(PATIENCE)
    counts = ground.ledger.counts(ground.input)
    assert "working" not in counts
    assert counts["done"] == len(ground.outputs()) >= 1


def test_what_takes_longer_than_the_time_to_close_is_broken_off_and_put_back(
    ground: Ground, held: tuple[HotFolders, threading.Event], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hotfolders, "_LAST_GRACE", 0.01)
    folders, go_on = held
    assert not folders.close(0.01)
    go_on.set()
    assert folders.close(PATIENCE)
    assert ground.outputs() == {}
    assert ground.ledger.counts(ground.input) == {"pending": 2}


def test_closing_before_the_start_of_work_is_quick(ground: Ground) -> None:
    folders = HotFolders([ground.settings], ground.pipeline, ground.ledger)
    assert folders.close(PATIENCE)
    folders = HotFolders([ground.settings], ground.pipeline, ground.ledger)
    folders.start()
    assert folders.close(PATIENCE)


def test_what_a_crash_left_unfinished_is_done_again_and_its_temporaries_go(
    ground: Ground, caplog: pytest.LogCaptureFixture
) -> None:
    ground.drop("sub/a.jpg", GREEN)
    ground.note("sub/a.jpg")
    row = ground.ledger.take(ground.input, ground.clock(), 0.0)
    assert row is not None
    (ground.output / "sub").mkdir()
    ground.ledger.claim(ground.output / "sub" / "a.png", row.id, "cutout")
    stale = [ground.output / ".alphadrop-00aa.part", ground.output / "sub" / ".alphadrop-11bb.part"]
    kept = [ground.output / ".hidden.part", ground.output / "alphadrop-1.part"]
    for file in (*stale, *kept):
        file.write_bytes(b"half")
    with started(ground):
        until_done(ground, 1)
    assert not any(file.exists() for file in stale)
    assert all(file.exists() for file in kept)
    assert (ground.output / "sub" / "a.png").is_file()
    assert "1 files were not finished" in caplog.text


def test_a_restart_does_nothing_again(ground: Ground) -> None:
    for name in ("a.jpg", "b.jpg"):
        ground.drop(name)
    with started(ground):
        until_done(ground, 2)
    with started(ground) as folders:
        wait_for(lambda: folders.status()[0].health.state == "watching", "the first look")
        ground.drop("c.jpg")
        until_done(ground, 3)
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
        until_done(ground, 1)
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
        until_done(ground, 1)
    assert len(failures) == 2
    assert ground.outputs() == {"a.png": RED}


class _Paced(threading.Event):
    """A wake-up call that counts who waits for it, and how long at most he would sleep."""

    def __init__(self) -> None:
        super().__init__()
        self.waits: list[float] = []
        self._last: dict[int, float] = {}

    def wait(self, timeout: float | None = None) -> bool:
        self.waits.append(-1.0 if timeout is None else timeout)
        self._last[threading.get_ident()] = self.waits[-1]
        return super().wait(timeout)

    def all_sleep(self, count: int) -> bool:
        """Tell whether so many threads sleep, each for as long as it ever does, and none has been woken."""
        return len(self._cond._waiters) == count and set(self._last.values()) == {30.0}  # type: ignore[attr-defined]


def test_with_nothing_to_do_nobody_looks_or_works(ground: Ground) -> None:
    ground.drop("a.jpg")
    folders = HotFolders([ground.settings], ground.pipeline, ground.ledger)
    looking, working = _Paced(), _Paced()
    folders._look_now, folders._work_now = looking, working
    folders._folders = (HotFolder(ground.settings, ground.ledger, looking.set),)
    folders.start()
    folders.begin_work()
    try:
        until_done(ground, 1)
        # Each is now asleep for as long as it ever sleeps: the next look is the rescan, a day away.
        hands = len(folders._working)
        wait_for(lambda: looking.all_sleep(1) and working.all_sleep(hands), "all to fall asleep")
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
        until_done(ground, 1)
    assert os.listdir(os.fsencode(ground.output)) == [b"\xff\xfe.png"]
    assert ground.ledger.rows()[0].path == PurePath(os.fsdecode(b"\xff\xfe.jpg"))
