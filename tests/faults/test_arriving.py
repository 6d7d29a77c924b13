"""Rows 1 to 7: files that come slowly, half, by rename or link, and while nobody looks or works."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from io import FileIO
from pathlib import Path, PurePath

import numpy as np
import pytest
from PIL import Image
from watchdog.events import EVENT_TYPE_OPENED, FileSystemEvent, FileSystemEventHandler
from watchdog.observers import Observer

from alphadrop.hotfolder.folder import HotFolder
from alphadrop.hotfolder.scan import look_at
from alphadrop.hotfolder.settings import Originals
from alphadrop.hotfolder.watch import Watch
from daemon_process import wait_for
from fake_segmenter import BLUE, GREEN, RED, Ground, assert_cut_from, photograph, started, until_done

linux_only = pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells whether somebody writes")


def noise(path: Path, size: tuple[int, int] = (120, 90)) -> bytes:
    """Write a picture no part of which could be made up, as PNG; return the file."""
    pixels = np.random.default_rng(5).integers(0, 256, (size[1], size[0], 3), np.uint8)
    Image.fromarray(pixels).save(path, "PNG")
    return path.read_bytes()


def chunks(whole: bytes, count: int) -> list[bytes]:
    """Cut a file in about so many pieces."""
    length = -(-len(whole) // count)
    return [whole[start : start + length] for start in range(0, len(whole), length)]


def until_held_to_be_settled(ground: Ground, looks: int) -> None:
    """Wait until the one file has stayed unchanged for so long that somebody wanted to read it, so many times."""
    wait_for(lambda: [row.attempts for row in ground.ledger.rows()] >= [looks], "the file to look settled")


def until_done_as_it_is(ground: Ground, name: str) -> None:
    """Wait until a photograph is cut out as it is now."""
    content = look_at(ground.input, PurePath(name))
    wait_for(lambda: (ground.row(name).content, ground.row(name).state) == (content, "done"), f"{name} as it is now")


def assert_one_output_when_it_has_settled(ground: Ground, before_the_first_look: int) -> None:
    """Fail unless a file that grows, and is open only for moments, is taken up when it has rested and not before."""
    whole = noise(ground.root / "whole")
    pieces = chunks(whole, 20)
    folder = HotFolder(replace(ground.settings, settle=2.0), ground.ledger, lambda: None)
    now = 1000.0
    try:
        for number, piece in enumerate(pieces):
            with (ground.input / "a.png").open("ab") as stream:
                stream.write(piece)
            if number >= before_the_first_look:
                for _ in range(3):
                    assert folder.look(now) == 0
                    now += 0.6
        assert folder.look(now) == 0
        assert ground.work() == 0
        now += 2.0
        wait_for(lambda: folder.look(now), "the file to be noted")
    finally:
        folder.close()
    ground.work()
    assert os.listdir(ground.output) == ["a.png"]
    assert_cut_from(ground.output / "a.png", ground.root / "whole")
    assert ground.fake.runs == 1


# 1 ------------------------------------------------------------------------------------------------------------------


@linux_only
def test_row_01_a_slow_writer_with_pauses_gives_one_output_of_the_whole_file(ground: Ground) -> None:
    whole = noise(ground.root / "whole")
    pieces = chunks(whole, 12)
    with started(ground):
        with (ground.input / "a.png").open("wb", buffering=0) as stream:
            for number, piece in enumerate(pieces):
                stream.write(piece)
                if number in (3, 8):
                    until_held_to_be_settled(ground, looks=2)  # far above the settle time
                else:
                    time.sleep(ground.settings.settle / 4)
        until_done(ground, 1)
    assert os.listdir(ground.output) == ["a.png"]
    assert_cut_from(ground.output / "a.png", ground.root / "whole")
    assert ground.fake.runs == 1


def test_row_01_a_writer_that_closes_after_every_piece_and_never_pauses_for_long_gives_one_output(
    ground: Ground,
) -> None:
    assert_one_output_when_it_has_settled(ground, before_the_first_look=0)


# 2 ------------------------------------------------------------------------------------------------------------------


@linux_only
def test_row_02_a_file_is_not_settled_while_it_is_open_however_long_its_writer_stalls(ground: Ground) -> None:
    whole = noise(ground.root / "whole")
    with started(ground):
        with (ground.input / "a.png").open("wb", buffering=0) as stream:
            stream.write(whole[: len(whole) // 2])
            until_held_to_be_settled(ground, looks=3)
            assert os.listdir(ground.output) == []
            assert ground.ledger.counts(ground.input).keys() <= {"pending", "working"}
            stream.write(whole[len(whole) // 2 :])
            until_held_to_be_settled(ground, looks=1)
        until_done(ground, 1)
    assert_cut_from(ground.output / "a.png", ground.root / "whole")
    assert ground.fake.runs == 1


@pytest.mark.parametrize("how", ["r+b", "wb"])
def test_row_02_a_writer_that_comes_back_has_his_new_content_in_place_of_our_old_output(
    ground: Ground, how: str
) -> None:
    new = photograph(ground.root / "new.png", GREEN, size=(64, 40)).read_bytes()
    with started(ground):
        ground.drop("a.png", RED)
        until_done(ground, 1)
        assert ground.outputs() == {"a.png": RED}
        with (ground.input / "a.png").open(how) as stream:
            stream.write(new)
        until_done_as_it_is(ground, "a.png")
    assert ground.outputs() == {"a.png": GREEN}


def test_row_02_half_a_file_that_was_closed_is_a_failure_until_the_rest_comes(ground: Ground) -> None:
    whole = noise(ground.root / "whole")
    (ground.input / "a.png").write_bytes(whole[: len(whole) // 2])
    with started(ground):
        wait_for(lambda: ground.ledger.counts(ground.input) == {"failed": 1}, "the half to fail")
        assert os.listdir(ground.output) == []
        with (ground.input / "a.png").open("ab") as stream:
            stream.write(whole[len(whole) // 2 :])
        until_done(ground, 1)
    assert os.listdir(ground.output) == ["a.png"]
    assert_cut_from(ground.output / "a.png", ground.root / "whole")


@pytest.fixture(params=["move", "delete"])
def leaving(request: pytest.FixtureRequest, ground: Ground) -> Ground:
    """The ground where originals are moved or deleted, with one that was cut; it is due when the clock goes on."""
    what: Originals = request.param
    finished = ground.root / "finished"
    finished.mkdir()
    ground.settings = replace(ground.settings, originals=what, finished=finished if what == "move" else None)
    ground.cut("a.png", RED)
    assert ground.outputs() == {"a.png": RED}
    assert os.listdir(ground.input) == ["a.png"]
    return ground


def pass_time(ground: Ground) -> None:
    """Let everything become due, and do it."""
    ground.clock.now += 100
    ground.work()


def finished(ground: Ground) -> dict[str, bytes]:
    """Return the originals that were moved away."""
    folder = ground.root / "finished"
    return {name: (folder / name).read_bytes() for name in sorted(os.listdir(folder))}


def assert_the_rest_goes_its_way(ground: Ground, name: str, content: bytes) -> None:
    """Fail unless a photograph that is closed at last is cut as it is then, and only then moved or deleted."""
    assert (ground.input / name).read_bytes() == content
    ground.note(name)  # as the look at the folder does when it has settled
    pass_time(ground)
    assert ground.row(name).outcome == "done"
    pass_time(ground)
    assert os.listdir(ground.input) == []
    assert name in finished(ground) or ground.settings.originals == "delete"
    if ground.settings.originals == "move":
        assert content in finished(ground).values()


NEW = (64, 40)
"""The size of a photograph that takes the place of another, which is told from it by that."""


@linux_only
def test_row_02_an_original_is_neither_moved_nor_deleted_while_a_writer_has_it_open(leaving: Ground) -> None:
    new = photograph(leaving.root / "new.png", GREEN, NEW).read_bytes()
    original = leaving.input / "a.png"
    number = original.stat().st_ino
    with original.open("r+b", buffering=0) as stream:
        for _ in range(5):
            pass_time(leaving)
            assert original.stat().st_ino == number
            assert os.listdir(leaving.input) == ["a.png"]
        stream.write(new)
        pass_time(leaving)
        assert (os.listdir(leaving.input), finished(leaving)) == (["a.png"], {})
    assert_the_rest_goes_its_way(leaving, "a.png", new)
    assert leaving.outputs() == {"a.png": GREEN}


@linux_only
def test_row_02_an_original_that_was_open_and_not_changed_goes_when_it_is_closed(leaving: Ground) -> None:
    content = (leaving.input / "a.png").read_bytes()
    with (leaving.input / "a.png").open("r+b"):
        pass_time(leaving)
        assert os.listdir(leaving.input) == ["a.png"]
    pass_time(leaving)
    assert os.listdir(leaving.input) == []
    assert finished(leaving) == ({"a.png": content} if leaving.settings.originals == "move" else {})
    assert leaving.outputs() == {"a.png": RED}


def test_row_02_an_original_that_was_written_anew_before_its_time_is_cut_anew_first(leaving: Ground) -> None:
    new = photograph(leaving.input / "a.png", GREEN, NEW).read_bytes()
    pass_time(leaving)
    assert (os.listdir(leaving.input), finished(leaving)) == (["a.png"], {})
    assert_the_rest_goes_its_way(leaving, "a.png", new)
    assert leaving.outputs() == {"a.png": GREEN}


@pytest.fixture
def files() -> Iterator[ExitStack]:
    """Closes what a writer opened."""
    with ExitStack() as files:
        yield files


class Between:
    """Lets a writer act between the checks of an original and its removal: before the rename, and after it."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.before_the_rename: Callable[[], object] = bool
        self.after_the_rename: Callable[[], object] = bool
        self.happened = 0
        self._rename = os.rename
        monkeypatch.setattr(os, "rename", self.rename)

    def rename(self, source: Path, target: Path) -> None:
        first, self.happened = self.happened == 0, self.happened + 1
        if first:
            self.before_the_rename()
        self._rename(source, target)
        if first:
            self.after_the_rename()


@pytest.fixture
def between(monkeypatch: pytest.MonkeyPatch) -> Between:
    return Between(monkeypatch)


@linux_only
def test_row_02_a_writer_that_opens_an_original_in_the_last_moment_keeps_it(
    leaving: Ground, between: Between, files: ExitStack
) -> None:
    new = photograph(leaving.root / "new.png", GREEN, NEW).read_bytes()
    opened: list[FileIO] = []
    between.before_the_rename = lambda: opened.append(
        files.enter_context((leaving.input / "a.png").open("r+b", buffering=0))
    )
    pass_time(leaving)
    assert between.happened == 1
    assert (os.listdir(leaving.input), finished(leaving)) == (["a.png"], {})
    assert os.path.samestat((leaving.input / "a.png").stat(), os.fstat(opened[0].fileno()))
    opened[0].write(new)
    pass_time(leaving)
    assert (os.listdir(leaving.input), finished(leaving)) == (["a.png"], {})
    files.close()
    assert_the_rest_goes_its_way(leaving, "a.png", new)
    assert leaving.outputs() == {"a.png": GREEN}


@linux_only
def test_row_02_a_writer_that_opened_it_in_the_last_moment_and_wrote_nothing_only_delays_it(
    leaving: Ground, between: Between, files: ExitStack
) -> None:
    between.before_the_rename = lambda: files.enter_context((leaving.input / "a.png").open("r+b"))
    pass_time(leaving)
    assert (os.listdir(leaving.input), finished(leaving)) == (["a.png"], {})
    files.close()
    pass_time(leaving)
    assert os.listdir(leaving.input) == []
    assert leaving.outputs() == {"a.png": RED}


def test_row_02_a_write_in_the_last_moment_is_seen_though_its_writer_is_gone_again(
    leaving: Ground, between: Between
) -> None:
    new = photograph(leaving.root / "new.png", GREEN, NEW).read_bytes()
    between.before_the_rename = lambda: (leaving.input / "a.png").write_bytes(new)
    pass_time(leaving)
    assert finished(leaving) == {}
    assert_the_rest_goes_its_way(leaving, "a.png", new)
    assert leaving.outputs() == {"a.png": GREEN}


def test_row_02_another_photograph_put_in_its_place_in_the_last_moment_stays(leaving: Ground, between: Between) -> None:
    new = photograph(leaving.root / "new.png", GREEN, NEW).read_bytes()
    between.before_the_rename = lambda: os.replace(leaving.root / "new.png", leaving.input / "a.png")
    pass_time(leaving)
    assert finished(leaving) == {}
    assert_the_rest_goes_its_way(leaving, "a.png", new)
    assert leaving.outputs() == {"a.png": GREEN}


def test_row_02_a_photograph_of_the_same_name_that_comes_while_the_old_one_goes_is_another_one(
    leaving: Ground, between: Between
) -> None:
    old = (leaving.input / "a.png").read_bytes()
    new = photograph(leaving.root / "new.png", GREEN, NEW).read_bytes()
    between.after_the_rename = lambda: (leaving.input / "a.png").write_bytes(new)
    pass_time(leaving)
    assert finished(leaving) == ({"a.png": old} if leaving.settings.originals == "move" else {})
    assert_the_rest_goes_its_way(leaving, "a.png", new)
    assert leaving.outputs() == {"a.png": RED, "a.png.png": GREEN}


@linux_only
def test_row_02_neither_of_two_is_lost_when_one_is_open_and_the_other_takes_its_name(
    leaving: Ground, between: Between, files: ExitStack
) -> None:
    open_one = photograph(leaving.root / "open.png", BLUE, (72, 40)).read_bytes()
    new = photograph(leaving.root / "new.png", GREEN, NEW).read_bytes()
    opened: list[FileIO] = []
    between.before_the_rename = lambda: opened.append(
        files.enter_context((leaving.input / "a.png").open("r+b", buffering=0))
    )
    between.after_the_rename = lambda: (leaving.input / "a.png").write_bytes(new)
    pass_time(leaving)
    assert (sorted(os.listdir(leaving.input)), finished(leaving)) == (["a-2.png", "a.png"], {})
    opened[0].write(open_one)
    files.close()
    assert (leaving.input / "a-2.png").read_bytes() == open_one
    assert (leaving.input / "a.png").read_bytes() == new
    for name in ("a-2.png", "a.png"):
        leaving.note(name)
    pass_time(leaving)
    pass_time(leaving)
    assert os.listdir(leaving.input) == []
    assert leaving.outputs() == {"a-2.png": BLUE, "a.png": RED, "a.png.png": GREEN}, "three photographs, three cut-outs"


# 3 ------------------------------------------------------------------------------------------------------------------


@pytest.fixture(params=["same", "other"])
def elsewhere(request: pytest.FixtureRequest, ground: Ground) -> Iterator[Path]:
    """A folder on the same file system, or on another one."""
    if request.param == "same":
        (ground.root / "elsewhere").mkdir()
        yield ground.root / "elsewhere"
        return
    if not os.access("/dev/shm", os.W_OK) or os.stat("/dev/shm").st_dev == ground.root.stat().st_dev:
        pytest.skip("there is no other file system to write to")
    with tempfile.TemporaryDirectory(dir="/dev/shm") as name:
        yield Path(name)


@pytest.mark.filterwarnings("ignore:Callback with id:RuntimeWarning")  # watchdog's, where folders come within folders
def test_row_03_a_rename_into_the_folder_is_processed_from_either_file_system(ground: Ground, elsewhere: Path) -> None:
    noise(ground.root / "whole")
    photograph(elsewhere / "a.png", RED)
    shutil.copy(ground.root / "whole", elsewhere / "b.png")
    (elsewhere / "sub" / "below").mkdir(parents=True)
    photograph(elsewhere / "sub" / "below" / "c.png", GREEN)
    ground.change(settle=1.0)  # from another file system each is written first and dated afterwards
    with started(ground):
        for name in ("a.png", "b.png", "sub"):
            shutil.move(elsewhere / name, ground.input / name)
        until_done(ground, 3)
        assert os.listdir(elsewhere) == []
    assert sorted(ground.outputs()) == ["a.png", "b.png", "sub/below/c.png"]
    assert_cut_from(ground.output / "b.png", ground.root / "whole")
    assert ground.fake.runs == 3


# 4 ------------------------------------------------------------------------------------------------------------------


class Openings(FileSystemEventHandler):
    """Keeps the names of files that anybody opens."""

    def __init__(self) -> None:
        self.names: list[str] = []

    def dispatch(self, event: FileSystemEvent) -> None:
        if event.event_type == EVENT_TYPE_OPENED:
            self.names.append(os.path.basename(os.fsdecode(event.src_path)))


@linux_only
def test_row_04_a_temporary_that_gets_its_name_is_processed_and_was_never_opened_before(ground: Ground) -> None:
    photograph(ground.root / "whole", GREEN)
    openings, observer = Openings(), Observer()
    observer.schedule(openings, str(ground.input))
    observer.start()
    try:
        with started(ground):
            for name in ("a.jpg.part", "b.crdownload", "c.jpg~", ".d.jpg", "e.tmp"):
                shutil.copy(ground.root / "whole", ground.root / name)
                (ground.root / name).rename(ground.input / name)  # a rename opens nothing
            ground.drop("first.jpg")
            until_done(ground, 1)
            time.sleep(3 * ground.settings.settle)
            (ground.input / "a.jpg.part").rename(ground.input / "a.jpg")
            until_done(ground, 2)
            assert ground.outputs() == {"a.png": GREEN, "first.png": RED}
        wait_for(lambda: "a.jpg" in openings.names, "the events")
    finally:
        observer.stop()
        observer.join()
    assert set(openings.names) == {"first.jpg", "a.jpg"}


# 5 ------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("events", [True, False], ids=["with events", "by the scan alone"])
def test_row_05_a_hard_link_is_a_file_of_its_own(ground: Ground, monkeypatch: pytest.MonkeyPatch, events: bool) -> None:
    if not events:
        monkeypatch.setattr(Watch, "dispatch", lambda *_: None)
        ground.settings = replace(ground.settings, rescan=0.2)
    outside = photograph(ground.root / "outside.png", GREEN)
    with started(ground):
        ground.drop("a.png", RED)
        until_done(ground, 1)
        os.link(ground.input / "a.png", ground.input / "b.png")
        os.link(outside, ground.input / "c.png")
        until_done(ground, 3)
    assert ground.outputs() == {"a.png": RED, "b.png": RED, "c.png": GREEN}
    assert ground.fake.runs == 3


def test_row_05_the_other_links_of_an_original_that_goes_stay(ground: Ground) -> None:
    ground.settings = replace(ground.settings, originals="delete")
    ground.drop("a.png", RED)
    os.link(ground.input / "a.png", ground.root / "kept.png")
    ground.note("a.png")
    ground.work()
    pass_time(ground)
    assert os.listdir(ground.input) == []
    with Image.open(ground.root / "kept.png") as image:
        image.load()


# 6 ------------------------------------------------------------------------------------------------------------------


@linux_only
def test_row_06_half_a_file_that_is_being_written_at_the_start_waits_for_its_end(ground: Ground) -> None:
    whole = noise(ground.root / "whole")
    with (ground.input / "a.png").open("wb", buffering=0) as stream:
        stream.write(whole[: len(whole) // 2])
        with started(ground):
            until_held_to_be_settled(ground, looks=2)
            stream.write(whole[len(whole) // 2 :])
            stream.close()
            until_done(ground, 1)
    assert os.listdir(ground.output) == ["a.png"]
    assert_cut_from(ground.output / "a.png", ground.root / "whole")
    assert ground.fake.runs == 1


def test_row_06_a_file_that_grows_over_the_start_has_to_settle_first(ground: Ground) -> None:
    assert_one_output_when_it_has_settled(ground, before_the_first_look=5)


# 7 ------------------------------------------------------------------------------------------------------------------


def test_row_07_what_is_dropped_while_it_is_off_is_done_at_the_next_start_and_only_once(ground: Ground) -> None:
    with started(ground):
        ground.drop("before.png", RED)
        until_done(ground, 1)
    ground.drop("off.png", GREEN)
    ground.drop("sub/off.png", BLUE)
    for _ in range(2):
        with started(ground):
            until_done(ground, 3)
    assert ground.outputs() == {"before.png": RED, "off.png": GREEN, "sub/off.png": BLUE}
    assert ground.fake.runs == 3


def test_row_07_what_is_dropped_while_it_is_paused_is_noted_and_done_once_at_resume(ground: Ground) -> None:
    with started(ground) as folders:
        folders.pause()
        ground.drop("a.png", RED)
        ground.drop("b.png", GREEN)
        wait_for(lambda: ground.ledger.counts(ground.input) == {"pending": 2}, "both to be noted")
    ground.drop("c.png", BLUE)
    with started(ground) as folders:  # a pause outlives the process
        wait_for(lambda: ground.ledger.counts(ground.input) == {"pending": 3}, "the third to be noted")
        assert os.listdir(ground.output) == []
        folders.resume()
        until_done(ground, 3)
    with started(ground):
        pass
    assert ground.outputs() == {"a.png": RED, "b.png": GREEN, "c.png": BLUE}
    assert ground.fake.runs == 3
