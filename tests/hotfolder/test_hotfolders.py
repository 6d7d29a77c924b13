"""All folders together: nothing lost from the drop to the cut-out, over crashes and ends, and no work while idle."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path, PurePath
from typing import Any, NoReturn

import pytest
from PIL import Image

from alphadrop import atomic
from alphadrop.errors import JobRefused, LedgerError
from alphadrop.hotfolder import answers, hotfolders, worker
from alphadrop.hotfolder.answers import AskedFile
from alphadrop.hotfolder.folder import HotFolder
from alphadrop.hotfolder.hotfolders import HotFolders
from alphadrop.hotfolder.scan import look_at
from alphadrop.hotfolder.settings import FolderSettings
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
    with _held(ground, "a.jpg", "b.jpg") as (folders, go_on):
        wait_for(lambda: len(folders._worker.in_hand) == 2, "the other to be taken")
        yield folders, go_on


@contextmanager
def _held(ground: Ground, *names: str) -> Iterator[tuple[HotFolders, threading.Event]]:
    at_work, go_on = threading.Event(), threading.Event()

    def hold() -> None:
        at_work.set()
        assert go_on.wait(PATIENCE)

    ground.fake.before = hold
    for name in names:
        ground.drop(name)
    folders = HotFolders([ground.settings], ground.pipeline, ground.ledger)
    folders.start()
    folders.begin_work()
    assert at_work.wait(PATIENCE)
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
    ground: Ground,
    held: tuple[HotFolders, threading.Event],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(hotfolders, "_LAST_GRACE", 0.01)
    folders, go_on = held
    wait_for(lambda: len(folders._worker.in_hand) == 2, "the other to be taken")
    assert not folders.close(0.01)
    assert "the file at work took too long" in caplog.text
    go_on.set()
    assert folders.close(PATIENCE)
    assert ground.outputs() == {}
    assert ground.ledger.counts(ground.input) == {"pending": 2}


def test_of_what_takes_longer_it_is_not_said_that_its_disk_does(
    ground: Ground, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(hotfolders, "_LAST_GRACE", 0.01)
    with _held(ground, "a.jpg") as (folders, _):
        assert not folders.close(0.01)
        assert "the file at work took too long" in caplog.text
        assert "waits for its disk" not in caplog.text


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
    stale = [ground.output / f".alphadrop-{'0a' * 8}.part", ground.output / "sub" / f".alphadrop-{'1b' * 8}.part"]
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


def test_an_exception_while_looking_working_or_minding_stops_none(
    ground: Ground, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    look, work, begin_to_look = HotFolder.look, Worker.work, HotFolders._begin_to_look
    broken = {"look", "work", "mind"}

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

    def mind_badly(self: HotFolders) -> None:
        if "mind" in broken:
            broken.discard("mind")
            raise RuntimeError("mind")
        begin_to_look(self)

    monkeypatch.setattr(hotfolders, "_AFTER_AN_ERROR", 0.05)
    monkeypatch.setattr(hotfolders, "_MOST_WAIT", 0.05)
    monkeypatch.setattr(HotFolders, "_begin_to_look", mind_badly)
    monkeypatch.setattr(HotFolder, "look", look_badly)
    monkeypatch.setattr(Worker, "work", work_badly)
    ground.drop("a.jpg")
    with started(ground):
        until_done(ground, 1)
    assert "minding the folders failed" in caplog.text
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
    minding, looking, working = _Paced(), _Paced(), _Paced()
    folders._mind_now, folders._lookouts[0].now, folders._work_now = minding, looking, working
    folders.start()
    folders.begin_work()
    try:
        until_done(ground, 1)
        # Each is now asleep for as long as it ever sleeps: the next look is the rescan, a day away.
        hands = len(folders._working)
        wait_for(
            lambda: minding.all_sleep(1) and looking.all_sleep(1) and working.all_sleep(hands), "all to fall asleep"
        )
        looks, minds, works = len(looking.waits), len(minding.waits), len(working.waits)
        looking.set()
        wait_for(lambda: len(looking.waits) > looks, "one look")
        wait_for(lambda: looking.all_sleep(1), "sleep after it")
        assert len(looking.waits) == looks + 1, "our own look woke us"
        assert (len(minding.waits), len(working.waits)) == (minds, works)
    finally:
        assert folders.close(PATIENCE)


class _Server:
    """Answers every question about a folder, but none while it is away."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self._back = threading.Event()
        self._back.set()
        self.asking: list[str] = []
        stat = os.stat

        def ask(path: int | str | Path, **options: Any) -> os.stat_result:
            if path == folder and not self._back.is_set():
                self.asking.append(threading.current_thread().name)
                assert self._back.wait(PATIENCE)
            return stat(path, **options)

        monkeypatch.setattr(os, "stat", ask)

    def leave(self) -> None:
        self._back.clear()

    def come_back(self) -> None:
        self._back.set()


@pytest.fixture
def server(ground: Ground, monkeypatch: pytest.MonkeyPatch) -> Iterator[_Server]:
    """A server of the ground's input, of which little patience is had."""
    monkeypatch.setattr(answers, "_PATIENCE", 0.5)
    monkeypatch.setattr(hotfolders, "_MOST_WAIT", 0.2)
    monkeypatch.setattr(hotfolders, "_AFTER_AN_ERROR", 0.1)
    server = _Server(ground.input, monkeypatch)
    yield server
    server.come_back()


@pytest.fixture
def other(ground: Ground) -> FolderSettings:
    """Settings of another folder."""
    for name in ("other", "other-out"):
        (ground.root / name).mkdir()
    return replace(ground.settings, input=ground.root / "other", output=ground.root / "other-out")


def is_silent(folders: HotFolders) -> bool:
    return folders.status()[0].health.state == "not answering"


def until_done_in(settings: FolderSettings, ground: Ground, count: int = 1) -> None:
    wait_for(lambda: ground.ledger.counts(settings.input).get("done", 0) == count, "the other folder's photographs")


def test_a_folder_that_does_not_answer_holds_up_no_other_and_goes_on_by_itself(
    ground: Ground, server: _Server, other: FolderSettings, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    with started(ground, other) as folders:
        ground.drop("a.png", RED)
        until_done(ground, 1)
        caplog.clear()
        server.leave()
        wait_for(lambda: is_silent(folders), "the silence to be noticed")
        assert "see that it is reachable" in folders.status()[0].health.remedy
        wait_for(lambda: folders._open_folders() == [other], "the other alone to be open")
        (row,) = ground.ledger.rows()
        for refused in (folders.retry, folders.undo):
            with pytest.raises(JobRefused, match="does not answer"):
                refused(row.id)
        for number in range(3):
            photograph(other.input / f"{number}.png", GREEN)
            until_done_in(other, ground, number + 1)
        assert is_silent(folders)
        assert len(server.asking) == 1
        assert caplog.text.count(f"{ground.input}: not answering") == 1

        photograph(ground.input / "b.png", BLUE)
        caplog.clear()
        server.come_back()
        until_done(ground, 2)
        wait_for(lambda: f"{ground.input}: watching" in caplog.text, "it to be said")
        assert not is_silent(folders)
    assert ground.outputs() == {"a.png": RED, "b.png": BLUE}


def test_what_does_not_answer_from_the_beginning_is_not_waited_for(
    ground: Ground, server: _Server, other: FolderSettings
) -> None:
    server.leave()
    photograph(other.input / "a.png", GREEN)
    with started(ground, other) as folders:
        assert is_silent(folders)
        until_done_in(other, ground)
        server.come_back()
        ground.drop("a.png", RED)
        until_done(ground, 1)


def test_nobody_else_begins_to_look_where_a_look_has_not_come_back(
    ground: Ground, server: _Server, other: FolderSettings
) -> None:
    ground.drop("a.png", RED)
    with started(ground, other) as folders:
        until_done(ground, 1)
        server.leave()
        wait_for(lambda: is_silent(folders), "the silence to be noticed")
        for settings in (ground.settings, replace(ground.settings, rescan=7.0)):
            folders.use([other])
            wait_for(lambda: len(folders.status()) == 1, "the folder to be given up")
            folders.use([settings, other])
            wait_for(lambda: len(folders.status()) == 2 and is_silent(folders), "its silence to be told again")
        assert len(server.asking) == 1
        photograph(other.input / "b.png", GREEN)
        until_done_in(other, ground)

        server.come_back()
        ground.drop("c.png", BLUE)
        until_done(ground, 2)
        wait_for(lambda: not folders._left, "the first to be gone")
        wait_for(
            lambda: sum(thread.name.startswith("looking-") for thread in threading.enumerate()) == 2,
            "one thread for each folder",
        )


def test_closing_does_not_wait_for_what_does_not_answer_and_says_so(
    ground: Ground, server: _Server, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(hotfolders, "_LAST_GRACE", 0.01)
    folders = HotFolders([ground.settings], ground.pipeline, ground.ledger)
    server.leave()
    folders.start()
    folders.begin_work()
    wait_for(lambda: server.asking, "the question")
    assert not folders.close(1.0)
    assert f"{ground.input}: waits for its disk or server" in caplog.text
    assert "took too long" not in caplog.text
    server.come_back()
    assert folders.close(PATIENCE)


def test_hands_that_a_silent_output_keeps_are_replaced_until_it_answers(
    ground: Ground, server: _Server, other: FolderSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    write, back, kept = atomic.write, threading.Event(), list[Path]()

    def write_slowly(target: Path, *arguments: Any, **options: Any) -> os.stat_result:
        if target.parent == ground.output:
            kept.append(target)
            assert back.wait(PATIENCE)
        return write(target, *arguments, **options)

    monkeypatch.setattr(atomic, "write", write_slowly)
    with started(ground, other) as folders:
        for number in range(10):
            ground.drop(f"{number}.png", GREEN)
        try:
            wait_for(lambda: len(kept) == folders._hands, "every hand to be kept")
            photograph(other.input / "a.png", RED)
            until_done_in(other, ground)
            wait_for(lambda: is_silent(folders), "the silence to be told")
            assert len(kept) == folders._hands
            wait_for(lambda: len(folders._working) == 2 * folders._hands, "as many again to work")
        finally:
            monkeypatch.setattr(answers, "_PATIENCE", 2 * PATIENCE)  # nothing is put back from now on
            back.set()
        until_done(ground, 10)
        wait_for(lambda: len(folders._working) == folders._hands, "the hands to be as many as they were")
    assert len(ground.outputs()) == 10
    assert ground.fake.runs == 11, "what was finished was cut again"


def test_reading_that_stands_still_keeps_no_room_from_others(
    ground: Ground, server: _Server, other: FolderSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    back, kept = threading.Event(), list[int]()
    large = ground.root / "large.png"
    Image.effect_noise((200, 200), 100).convert("RGB").save(large)

    class Slow(AskedFile):
        def readinto(self, buffer: Any, /) -> int | None:
            if self.tell() and os.path.samestat(os.fstat(self.fileno()), os.stat(ground.input / "large.png")):
                with self._answers.awaited():
                    kept.append(ground.pipeline.budget.held)
                    assert back.wait(PATIENCE)
            return super().readinto(buffer)

    monkeypatch.setattr(worker, "AskedFile", Slow)
    ground.pipeline.is_quiet = lambda: True  # each takes all the room there is
    with started(ground, other) as folders:
        large.rename(ground.input / "large.png")
        try:
            wait_for(lambda: kept, "the reading to stand still")
            photograph(other.input / "a.png", GREEN)
            until_done_in(other, ground)
            assert is_silent(folders)
        finally:
            back.set()
        until_done(ground, 1)
    assert kept[0] == ground.pipeline.budget.pixels
    assert ground.pipeline.budget.held == 0


def test_a_name_that_is_not_utf_8_goes_the_whole_way(ground: Ground) -> None:
    with started(ground):
        ground.drop(os.fsdecode(b"\xff\xfe.jpg"), GREEN)
        until_done(ground, 1)
    assert os.listdir(os.fsencode(ground.output)) == [b"\xff\xfe.png"]
    assert ground.ledger.rows()[0].path == PurePath(os.fsdecode(b"\xff\xfe.jpg"))
