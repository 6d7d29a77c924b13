"""Originals are moved, deleted and brought back; at every moment each is in its old place or in its new one."""

from __future__ import annotations

import errno
import os
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NoReturn

import pytest

from alphadrop import atomic
from alphadrop.errors import DiskFull, JobRefused, TargetExists
from alphadrop.hotfolder import originals as originals_module
from alphadrop.hotfolder.answers import Answers
from alphadrop.hotfolder.hotfolders import HotFolders
from alphadrop.hotfolder.originals import bring_back, put_away, settle_interrupted
from daemon_process import wait_for
from fake_segmenter import BLUE, GREEN, RED, Ground, middle, photograph, started

LONG = "x" * 251 + ".jpg"


@pytest.fixture(params=["same disk", "another disk"])
def finished(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Path]:
    """A folder for originals, on the disk of the input or on another."""
    if request.param == "same disk":
        folder = tmp_path / "finished"
        folder.mkdir()
        yield folder
        return
    other = Path("/dev/shm")
    if not other.is_dir() or other.stat().st_dev == tmp_path.stat().st_dev:
        pytest.skip("there is no second file system here")
    folder = other / f"alphadrop-{os.getpid()}-{tmp_path.name}"
    folder.mkdir()
    yield folder
    shutil.rmtree(folder)


@pytest.fixture
def moving(tmp_path: Path, finished: Path) -> Iterator[Ground]:
    ground = Ground(tmp_path, originals="move", finished=finished, failed=finished)
    yield ground
    ground.ledger.close()


@pytest.fixture
def deleting(tmp_path: Path) -> Iterator[Ground]:
    ground = Ground(tmp_path, originals="delete")
    yield ground
    ground.ledger.close()


def in_folder(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if not path.is_dir())


def test_an_original_is_moved_when_its_output_is_there_with_all_it_is(moving: Ground, finished: Path) -> None:
    path = moving.drop("sub/a.jpg", GREEN)
    os.utime(path, ns=(10**18, 10**18))
    path.chmod(0o640)
    whole = path.read_bytes()
    moving.note("sub/a.jpg")
    moving.work()
    assert moving.outputs() == {"sub/a.png": GREEN}
    assert in_folder(moving.input) == []
    assert in_folder(finished) == ["sub/a.jpg"]
    there = finished / "sub" / "a.jpg"
    assert there.read_bytes() == whole
    assert (there.stat().st_mtime_ns, there.stat().st_mode & 0o777) == (10**18, 0o640)
    row = moving.row("sub/a.jpg")
    assert (row.state, row.original, row.original_at) == ("done", "moved", there)


def test_an_original_is_deleted_when_its_output_is_there(deleting: Ground) -> None:
    deleting.cut("a.jpg", GREEN)
    assert deleting.outputs() == {"a.png": GREEN}
    assert in_folder(deleting.input) == []
    assert deleting.row("a.jpg").original == "deleted"


def test_it_stays_another_settle_time(tmp_path: Path) -> None:
    ground = Ground(tmp_path, originals="delete", settle=5.0)
    ground.drop("a.jpg")
    ground.note("a.jpg")
    assert ground.work() == 1
    assert in_folder(ground.input) == ["a.jpg"]
    assert ground.worker.next_due() == 5
    ground.clock.now += 5
    assert ground.work() == 1
    assert in_folder(ground.input) == []
    ground.ledger.close()


def test_without_an_output_it_stays(deleting: Ground) -> None:
    deleting.fake.subject = False
    deleting.cut("empty.jpg")
    photograph(deleting.output / "b.png", BLUE)
    deleting.change(if_exists="skip")
    assert deleting.fake.segmenter is not None
    deleting.fake.segmenter.subject = True
    deleting.cut("b.jpg")
    (deleting.input / "c.jpg").write_text("no photograph")
    deleting.note("c.jpg")
    deleting.work()
    assert in_folder(deleting.input) == ["b.jpg", "c.jpg", "empty.jpg"]


def test_one_that_cannot_be_cut_is_moved_with_a_line_that_says_why(moving: Ground, finished: Path) -> None:
    (moving.input / "sub").mkdir()
    (moving.input / "sub" / "a.jpg").write_text("no photograph")
    moving.note("sub/a.jpg")
    moving.work()
    assert in_folder(moving.input) == []
    assert in_folder(finished) == ["sub/a.jpg", "sub/a.jpg.txt"]
    (line,) = (finished / "sub" / "a.jpg.txt").read_text().splitlines()
    assert "sub/a.jpg" in line
    assert "not a picture" in line


def test_the_longest_names_find_room_there(moving: Ground, finished: Path) -> None:
    for content in ("no photograph", "none either"):
        (moving.input / LONG).write_text(content)
        moving.note(LONG)
        moving.work()
    names = in_folder(finished)
    assert len(names) == 4
    assert all(len(name) <= 255 for name in names)
    assert sorted(name.endswith(".txt") for name in names) == [False, False, True, True]


def test_nothing_there_is_written_over(moving: Ground, finished: Path) -> None:
    (finished / "a.jpg").write_bytes(b"mine")
    moving.cut("a.jpg", RED)
    assert (finished / "a.jpg").read_bytes() == b"mine"
    assert in_folder(finished) == ["a-2.jpg", "a.jpg"]


def test_another_photograph_of_the_same_name_gets_an_output_of_its_own(moving: Ground, finished: Path) -> None:
    moving.cut("a.jpg", RED)
    moving.cut("a.jpg", GREEN)
    assert moving.outputs() == {"a.jpg.png": GREEN, "a.png": RED}
    assert in_folder(finished) == ["a-2.jpg", "a.jpg"]


def test_a_folder_for_them_that_is_missing_is_waited_for(moving: Ground, finished: Path) -> None:
    finished.rmdir()
    moving.cut("a.jpg", RED)
    assert moving.outputs() == {"a.png": RED}
    assert in_folder(moving.input) == ["a.jpg"]
    finished.mkdir()
    moving.clock.now += 300
    moving.work()
    assert in_folder(finished) == ["a.jpg"]


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has leases")
def test_one_that_somebody_writes_to_stays(deleting: Ground) -> None:
    deleting.change(settle=1.0)
    deleting.drop("a.jpg", RED)
    deleting.note("a.jpg")
    assert deleting.worker.work()
    with (deleting.input / "a.jpg").open("ab"):
        deleting.clock.now += 1
        assert deleting.work() == 1
        assert in_folder(deleting.input) == ["a.jpg"]
    deleting.clock.now += 10
    deleting.work()
    assert in_folder(deleting.input) == []


def test_one_that_was_changed_stays_and_keeps_its_new_content(deleting: Ground) -> None:
    deleting.change(settle=1.0)
    deleting.drop("a.jpg", RED)
    deleting.note("a.jpg")
    assert deleting.worker.work()
    changed = deleting.drop("a.jpg", GREEN).read_bytes()
    deleting.clock.now += 1
    deleting.work()
    assert (deleting.input / "a.jpg").read_bytes() == changed
    assert deleting.row("a.jpg").original == ""


@pytest.mark.parametrize("moment", ["before it is taken aside", "after it was taken aside"])
def test_one_that_is_replaced_in_the_last_moment_is_never_lost(
    deleting: Ground, moment: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    rename = os.rename
    newer = photograph(deleting.root / "newer.jpg", GREEN, size=(60, 60))
    content = newer.read_bytes()

    def racing(source: Path, target: Path) -> None:
        monkeypatch.undo()
        if moment.startswith("before"):
            newer.replace(source)
        rename(source, target)
        if moment.startswith("after"):
            newer.replace(source)

    monkeypatch.setattr(os, "rename", racing)
    deleting.cut("a.jpg", RED)
    assert in_folder(deleting.input) == ["a.jpg"]
    assert (deleting.input / "a.jpg").read_bytes() == content


class _Killed(BaseException):
    pass


def killed_after(place: str, ground: Ground, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have a crash right after one of the steps by which an original is put away."""

    def kill_after(work: Callable[..., object]) -> Callable[..., None]:
        def killed(*given: object, **named: object) -> None:
            monkeypatch.undo()
            work(*given, **named)
            raise _Killed

        return killed

    if place == "rename":
        monkeypatch.setattr(os, "rename", kill_after(os.rename))
    elif place == "move":
        monkeypatch.setattr(atomic, "move", kill_after(atomic.move))
    else:
        monkeypatch.setattr(ground.ledger, "settle_original", kill_after(ground.ledger.settle_original))


@pytest.fixture
def no_room(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have no file moved to another folder."""
    move = atomic.move

    def refuse(source: Path, target: Path, *further: Callable[[], object]) -> None:
        if source.parent != target.parent:
            raise DiskFull("no space left")
        move(source, target, *further)

    monkeypatch.setattr(atomic, "move", refuse)


@pytest.mark.parametrize("place", ["rename", "move", "settle"])
def test_a_crash_at_any_step_leaves_it_in_one_place_and_the_next_start_goes_on(
    moving: Ground, finished: Path, place: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    killed_after(place, moving, monkeypatch)
    with pytest.raises(_Killed):
        moving.cut("a.jpg", RED)
    moving.restart()
    moving.ledger.recover()
    moving.work()
    assert in_folder(moving.input) == []
    assert in_folder(finished) == ["a.jpg"]
    assert moving.row("a.jpg").original == "moved"
    assert moving.fake.runs == 1


def test_undo_brings_it_back_and_it_is_neither_cut_nor_moved_again(moving: Ground, finished: Path) -> None:
    path = moving.drop("sub/a.jpg", RED)
    whole = path.read_bytes()
    moving.note("sub/a.jpg")
    moving.work()
    bring_back(moving.row("sub/a.jpg"), moving.ledger)
    assert path.read_bytes() == whole
    assert in_folder(finished) == []
    row = moving.row("sub/a.jpg")
    assert (row.state, row.original) == ("done", "")
    assert moving.ledger.knows(moving.input, row.path, row.content)
    assert moving.work() == 0


def test_undo_of_a_failed_one_takes_its_line_away(moving: Ground, finished: Path) -> None:
    (moving.input / "a.jpg").write_text("no photograph")
    moving.note("a.jpg")
    moving.work()
    bring_back(moving.row("a.jpg"), moving.ledger)
    assert in_folder(moving.input) == ["a.jpg"]
    assert in_folder(finished) == []


def test_undo_writes_nothing_over_and_says_what_is_in_the_way(moving: Ground, finished: Path) -> None:
    moving.cut("a.jpg", RED)
    moving.drop("a.jpg", GREEN)
    with pytest.raises(TargetExists, match=r"a\.jpg"):
        bring_back(moving.row("a.jpg"), moving.ledger)
    assert in_folder(finished) == ["a.jpg"]
    (moving.input / "a.jpg").unlink()
    (finished / "a.jpg").unlink()
    with pytest.raises(JobRefused, match="no longer there"):
        bring_back(moving.row("a.jpg"), moving.ledger)


def test_one_that_cannot_be_moved_has_its_name_back(moving: Ground, finished: Path, no_room: None) -> None:
    whole = moving.drop("a.jpg", RED).read_bytes()
    moving.note("a.jpg")
    moving.work()
    assert in_folder(moving.input) == ["a.jpg"]
    assert (moving.input / "a.jpg").read_bytes() == whole
    assert in_folder(finished) == []
    assert moving.row("a.jpg").original == "due"


def test_another_photograph_in_the_place_of_one_that_cannot_be_moved_loses_neither(
    moving: Ground, finished: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fill(source: Path, target: Path, *_: Callable[[], object]) -> None:
        monkeypatch.undo()
        photograph(moving.input / "a.jpg", GREEN, size=(60, 60))
        moving.note("a.jpg")
        raise DiskFull("no space left")

    monkeypatch.setattr(atomic, "move", fill)
    moving.cut("a.jpg", RED)
    moving.note("a-2.jpg")
    for _ in range(3):
        moving.clock.now += 300
        moving.work()
    assert sorted(moving.outputs().items()) == [("a-2.png", RED), ("a.jpg.png", GREEN), ("a.png", RED)]
    assert in_folder(moving.input) == []
    assert [middle(finished / name) for name in in_folder(finished)] == [RED, GREEN]


def test_a_folder_for_originals_that_refuses_is_said_once_and_tried_ever_less_often(
    moving: Ground, finished: Path, caplog: pytest.LogCaptureFixture
) -> None:
    finished.rmdir()
    for number in range(20):
        moving.drop(f"{number}.jpg")
        moving.note(f"{number}.jpg")
    attempts: list[int] = []
    while len(attempts) < 10:
        caplog.clear()
        moving.work()
        attempts.append(sum("the folder is missing" in message for message in caplog.messages))
        due = moving.worker.next_due()
        assert due is not None
        moving.clock.now += due
    assert attempts == [1] * 10
    assert due == 300
    finished.mkdir()
    moving.work()
    assert len(in_folder(finished)) == 20
    assert moving.worker.hold_of_originals(moving.input) is None


def test_a_folder_for_originals_that_refuses_shows_in_the_health(moving: Ground, finished: Path) -> None:
    finished.rmdir()
    moving.drop("a.jpg", RED)
    with started(moving) as folders:
        wait_for(lambda: "the folder is missing" in folders.status()[0].health.warning, "the warning")
        assert folders.status()[0].health.state == "watching"
        finished.mkdir()
        wait_for(lambda: not folders.status()[0].health.warning, "the warning to go")
    assert in_folder(finished) == ["a.jpg"]


def dropped_while_off(ground: Ground, name: str, colour: tuple[int, int, int]) -> None:
    """Put another photograph under a name, and let a new process look at the folder before it works."""
    photograph(ground.input / name, colour, size=(60, 60))
    ground.restart()
    ground.ledger.recover()
    ground.change(settle=0.0)


@pytest.mark.parametrize("place", ["rename", "move", "settle"])
def test_a_crash_and_then_another_photograph_of_the_same_name_loses_neither(
    moving: Ground, finished: Path, place: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    killed_after(place, moving, monkeypatch)
    with pytest.raises(_Killed):
        moving.cut("a.jpg", RED)
    dropped_while_off(moving, "a.jpg", GREEN)
    with started(moving):
        wait_for(lambda: len(in_folder(finished)) == 2, "both to be moved")
    assert moving.outputs() == {"a.png": RED, "a.jpg.png": GREEN}
    assert in_folder(moving.input) == []
    assert [middle(finished / name) for name in in_folder(finished)] == [GREEN, RED]


@pytest.mark.parametrize("name", ["sub/a.jpg", LONG])
def test_one_that_a_crash_left_under_its_hidden_name_is_found_even_without_the_ledger(
    moving: Ground, finished: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    killed_after("rename", moving, monkeypatch)
    with pytest.raises(_Killed):
        moving.cut(name, RED)
    moving.ledger._db.execute("DELETE FROM files")
    moving.restart()
    with started(moving):
        wait_for(lambda: not any("aside" in each for each in in_folder(moving.input)), "it to have a name again")
    (there,) = (*moving.input.rglob("*.jpg"), *finished.rglob("*.jpg"))
    assert middle(there) == RED
    assert set(moving.outputs().values()) == {RED}


def test_half_a_file_that_a_crash_left_on_its_way_back_is_removed(moving: Ground, finished: Path) -> None:
    half = moving.input / "sub" / ".alphadrop-0123456789abcdef.part"
    half.parent.mkdir()
    half.write_bytes(b"half")
    with started(moving):
        wait_for(lambda: not half.exists(), "it to be removed")


@pytest.mark.parametrize("place", ["before it is there", "when it is there"])
def test_a_crash_while_one_is_brought_back_leaves_it_to_be_brought_back_or_there(
    moving: Ground, finished: Path, place: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    moving.cut("a.jpg", RED)

    def killed(source: Path, target: Path) -> None:
        monkeypatch.undo()
        if place == "when it is there":
            atomic.move(source, target)
        os._exit(1)

    monkeypatch.setattr(atomic, "move", killed)
    child = os.fork()
    if child == 0:
        bring_back(moving.row("a.jpg"), moving.ledger)
    assert os.waitpid(child, 0)[1] != 0
    monkeypatch.undo()
    moving.restart()
    with started(moving) as folders:
        row = moving.row("a.jpg")
        assert row.original == ("moved" if place == "before it is there" else "")
        if row.original == "moved":
            folders.undo()
    assert in_folder(moving.input) == ["a.jpg"]
    assert in_folder(finished) == []
    assert moving.fake.runs == 1


def test_one_whose_time_of_change_was_rounded_there_is_not_cut_again_when_it_is_back(
    moving: Ground, finished: Path
) -> None:
    moving.cut("a.jpg", RED)
    os.utime(finished / "a.jpg", (1_700_000_000, 1_700_000_000))  # as FAT would have it
    with started(moving) as folders:
        folders.undo()
        moving.drop("b.jpg", GREEN)
        wait_for((finished / "b.jpg").exists, "another to be done after it")
    assert in_folder(moving.input) == ["a.jpg"]
    assert moving.fake.runs == 2


@pytest.mark.parametrize("originals", ["move", "delete"])
@pytest.mark.parametrize("trouble", ["cannot be seen", "its disk is away"])
def test_one_that_cannot_be_seen_is_not_taken_for_gone(
    moving: Ground, finished: Path, trouble: str, originals: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    moving.change(originals=originals, settle=1.0)
    path = moving.drop("a.jpg", RED)
    moving.note("a.jpg")
    assert moving.worker.work()
    moving.clock.now += 1
    with monkeypatch.context() as patches:
        if trouble == "cannot be seen":

            def refuse(file: Path, *_: object, **__: object) -> NoReturn:
                raise OSError(errno.EMFILE, "too many open files", str(file))

            patches.setattr(os, "lstat", refuse)
            patches.setattr(os, "open", refuse)
        else:
            path.rename(moving.root / "on the disk")
            patches.setattr(originals_module, "disk_is_away", lambda folder, _: folder == moving.input)
        moving.worker.work()
    assert moving.row("a.jpg").original == "due"
    if trouble == "its disk is away":
        (moving.root / "on the disk").rename(path)
    moving.clock.now += 300
    moving.work()
    assert moving.row("a.jpg").original == ("moved" if originals == "move" else "deleted")
    assert not path.exists()
    assert len(in_folder(finished)) == (originals == "move")


def test_one_on_its_way_is_left_to_whoever_moves_it(
    moving: Ground, finished: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    move = atomic.move

    def look_meanwhile(source: Path, target: Path, *further: Callable[[], object]) -> None:
        monkeypatch.undo()
        settle_interrupted(moving.settings, moving.ledger, Answers())
        assert moving.worker.next_due() is None, "what is being done is not due"
        move(source, target, *further)

    monkeypatch.setattr(atomic, "move", look_meanwhile)
    moving.cut("a.jpg", RED)
    assert in_folder(moving.input) == []
    assert in_folder(finished) == ["a.jpg"]


def test_one_that_is_to_be_cut_again_is_not_taken_away_any_more(moving: Ground, finished: Path) -> None:
    moving.change(settle=1.0)
    path = moving.drop("a.jpg", RED)
    moving.note("a.jpg")
    assert moving.worker.work()
    row = moving.ledger.take_original([moving.input], moving.clock.now + 1)
    assert row is not None
    moving.ledger.retry(row)
    assert put_away(row, moving.settings, moving.ledger)
    assert path.exists()
    assert (moving.row("a.jpg").state, moving.row("a.jpg").original) == ("pending", "")


def test_two_who_want_it_back_get_it_once(moving: Ground, finished: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    moving.cut("a.jpg", RED)
    folders = HotFolders([moving.settings], moving.pipeline, moving.ledger)
    move = atomic.move

    def meanwhile(source: Path, target: Path) -> None:
        with pytest.raises(JobRefused, match="at this moment"):
            folders.undo(1)
        move(source, target)

    monkeypatch.setattr(atomic, "move", meanwhile)
    assert folders.undo(1).original == ""
    with pytest.raises(JobRefused, match="was not moved away"):
        folders.undo(1)
    assert in_folder(moving.input) == ["a.jpg"]


def test_one_that_is_back_and_changed_is_the_same_photograph(moving: Ground, finished: Path) -> None:
    moving.cut("a.jpg", RED)
    moving.ledger.gone(moving.input, moving.row("a.jpg").path, 1.0)
    bring_back(moving.row("a.jpg"), moving.ledger)
    moving.change(originals="keep")
    photograph(moving.input / "a.jpg", GREEN, size=(60, 60))
    moving.note("a.jpg")
    moving.work()
    assert moving.outputs() == {"a.png": GREEN}


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has leases")
def test_one_that_somebody_writes_to_under_its_hidden_name_stays(
    deleting: Ground, monkeypatch: pytest.MonkeyPatch
) -> None:
    killed_after("rename", deleting, monkeypatch)
    with pytest.raises(_Killed):
        deleting.cut("a.jpg", RED)
    (aside,) = deleting.input.glob(".alphadrop-aside-*")
    deleting.restart()
    deleting.ledger.recover()
    with aside.open("ab"):
        deleting.worker.work()
        assert in_folder(deleting.input) == ["a.jpg"]
        assert deleting.row("a.jpg").original == "due"
    deleting.clock.now += 10
    deleting.work()
    assert in_folder(deleting.input) == []


def test_one_whose_hidden_name_looks_like_a_temporary_is_not_swept(
    moving: Ground, finished: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    moving.change(include=("*",))
    photograph(moving.root / "a.png", RED).rename(moving.input / "a.part")
    moving.note("a.part")
    killed_after("rename", moving, monkeypatch)
    with pytest.raises(_Killed):
        moving.work()
    moving.restart()
    with started(moving):
        wait_for(lambda: in_folder(finished), "it to be moved")
    assert in_folder(finished) == ["a.part"]


def test_lines_that_are_not_ours_are_neither_written_over_nor_removed(moving: Ground, finished: Path) -> None:
    (finished / "a.jpg.txt").write_text("mine")
    (finished / "b.jpg.txt").write_text("mine, too")
    moving.cut("a.jpg", RED)
    (moving.input / "b.jpg").write_text("no photograph")
    moving.note("b.jpg")
    moving.work()
    assert in_folder(finished) == ["a.jpg", "a.jpg.txt", "b-2.jpg", "b-2.jpg.txt", "b.jpg.txt"]
    bring_back(moving.row("a.jpg"), moving.ledger)
    (finished / "b-2.jpg.txt").write_text("what I think of it")
    bring_back(moving.row("b.jpg"), moving.ledger)
    assert in_folder(finished) == ["a.jpg.txt", "b-2.jpg.txt", "b.jpg.txt"]
    assert (finished / "a.jpg.txt").read_text() == "mine"
    assert (finished / "b.jpg.txt").read_text() == "mine, too"


def test_one_that_cannot_be_moved_leaves_no_line_there(moving: Ground, finished: Path, no_room: None) -> None:
    (moving.input / "a.jpg").write_text("no photograph")
    moving.note("a.jpg")
    moving.work()
    assert in_folder(finished) == []
    assert in_folder(moving.input) == ["a.jpg"]


def test_where_only_a_part_of_what_was_wanted_was_written_it_stays(deleting: Ground) -> None:
    deleting.change(result="both", if_exists="skip")
    photograph(deleting.output / "a.mask.png", BLUE)
    deleting.cut("a.jpg", RED)
    assert deleting.outputs() == {"a.mask.png": BLUE, "a.png": RED}
    assert in_folder(deleting.input) == ["a.jpg"]


def test_undo_of_one_that_was_never_moved_says_so(deleting: Ground) -> None:
    deleting.cut("a.jpg")
    with pytest.raises(JobRefused, match="was not moved away"):
        bring_back(deleting.row("a.jpg"), deleting.ledger)


def test_the_same_photograph_dropped_again_is_done_again(deleting: Ground) -> None:
    deleting.change(settle=0.1, rescan=86_400.0)
    path = deleting.drop("a.jpg", RED)
    shutil.copy2(path, deleting.root / "kept.jpg")

    def deleted() -> bool:
        return not path.exists() and deleting.row("a.jpg").original == "deleted"

    with started(deleting):
        for runs in (1, 2):
            wait_for(deleted, "the original to be deleted")
            assert deleting.fake.runs == runs
            if runs == 1:
                (deleting.root / "kept.jpg").rename(path)
    assert deleting.outputs() == {"a.png": RED}


def test_what_is_brought_back_while_the_folder_is_watched_is_not_done_again(moving: Ground, finished: Path) -> None:
    moving.change(settle=0.0, rescan=86_400.0)
    moving.drop("a.jpg", RED)
    with started(moving) as folders:
        wait_for(lambda: moving.ledger.rows(original="moved"), "the original to be moved")
        folders.undo()
        moving.drop("b.jpg", GREEN)
        wait_for(lambda: (finished / "b.jpg").exists(), "another to be done after it")
    assert in_folder(moving.input) == ["a.jpg"]
    assert moving.fake.runs == 2
