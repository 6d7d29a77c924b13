"""One hot folder finds what is in it, by hints or without, and says in words how it is."""

from __future__ import annotations

import errno
import math
import os
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path, PurePath
from types import SimpleNamespace
from typing import Any, NoReturn

import pytest

from alphadrop.errors import reading_failed
from alphadrop.hotfolder import answers, rebuild
from alphadrop.hotfolder import folder as module
from alphadrop.hotfolder.folder import HotFolder
from alphadrop.hotfolder.scan import walk
from alphadrop.hotfolder.stability import Content
from alphadrop.hotfolder.watch import Hints
from daemon_process import wait_for
from fake_segmenter import GREEN, RED, Clock, Ground, photograph


class FakeWatch:
    """Gives the hints that a test puts there."""

    def __init__(self, path: Path, *, recursive: bool, wake: Callable[[], None]) -> None:
        self.path = path
        self.alive = True
        self.hints = Hints()
        self.closed = False

    def take(self) -> Hints:
        hints, self.hints = self.hints, Hints()
        return hints

    def close(self) -> None:
        self.closed = True


class Looked:
    """A hot folder with a clock and a watch of the test's own."""

    def __init__(self, ground: Ground, monkeypatch: pytest.MonkeyPatch) -> None:
        self.ground = ground
        self.now = 1000.0
        self.watches: list[FakeWatch] = []
        self.refusal: OSError | None = None
        monkeypatch.setattr(module, "Watch", self._watch)
        self.folder = HotFolder(ground.settings, ground.ledger, lambda: None)

    def _watch(self, path: Path, *, recursive: bool, wake: Callable[[], None]) -> FakeWatch:
        if self.refusal is not None:
            raise self.refusal
        self.watches.append(FakeWatch(path, recursive=recursive, wake=wake))
        return self.watches[-1]

    def look(self, after: float = 0.0) -> int:
        self.now += after
        return self.folder.look(self.now)

    def hint(self, *paths: str, everything: bool = False) -> None:
        self.watches[-1].hints = Hints({PurePath(path) for path in paths}, everything)

    def noted(self) -> list[str]:
        return sorted(str(row.path) for row in self.ground.ledger.rows(limit=1000))

    @property
    def state(self) -> str:
        return self.folder.health.state


@pytest.fixture
def ground(tmp_path: Path) -> Iterator[Ground]:
    ground = Ground(tmp_path, settle=2.0, rescan=60.0)
    yield ground
    ground.ledger.close()


@pytest.fixture
def looked(ground: Ground, monkeypatch: pytest.MonkeyPatch) -> Looked:
    return Looked(ground, monkeypatch)


def test_what_is_there_at_the_start_is_noted_when_it_has_settled(looked: Looked) -> None:
    looked.ground.drop("a.jpg")
    looked.ground.drop("sub/b.jpg")
    assert looked.state == "starting"
    assert looked.look() == 0
    assert looked.state == "watching"
    assert looked.folder.next_look(looked.now) == 2.0
    assert looked.look(1.9) == 0
    assert looked.look(0.1) == 2
    assert looked.noted() == ["a.jpg", "sub/b.jpg"]


def test_a_hint_leads_to_a_note(looked: Looked) -> None:
    looked.look()
    looked.ground.drop("a.jpg")
    looked.hint("a.jpg")
    looked.look(1)
    assert looked.look(2) == 1
    assert looked.noted() == ["a.jpg"]


def test_the_rescan_finds_what_no_event_told_of(looked: Looked) -> None:
    looked.look()
    looked.ground.drop("a.jpg")
    looked.look(59)
    looked.look(0.9)
    assert looked.noted() == []
    looked.look(0.1)
    assert looked.look(2) == 1


def test_a_lost_flood_of_events_leads_to_a_scan_at_once(looked: Looked) -> None:
    looked.look()
    looked.ground.drop("a.jpg")
    looked.hint(everything=True)
    looked.look(1)
    assert looked.look(2) == 1


def test_nothing_is_noted_twice_and_a_new_content_is(looked: Looked) -> None:
    looked.ground.drop("a.jpg", RED)
    looked.look()
    assert looked.look(2) == 1
    for _ in range(5):
        looked.hint("a.jpg")
        looked.look(60)
        assert looked.look(2) == 0
    photograph(looked.ground.input / "a.jpg", GREEN, size=(64, 64))
    looked.hint("a.jpg")
    looked.look(1)
    assert looked.look(2) == 1


def test_a_file_that_goes_on_changing_is_not_noted(looked: Looked) -> None:
    path = looked.ground.input / "a.jpg"
    looked.look()
    for size in range(1, 6):
        path.write_bytes(b"x" * size)
        looked.hint("a.jpg")
        assert looked.look(1.9) == 0
    looked.look(1.9)
    assert looked.look(0.1) == 1


def test_hints_at_what_is_not_wanted_are_passed_over(looked: Looked) -> None:
    looked.look()
    os.mkfifo(looked.ground.input / "pipe.jpg")
    (looked.ground.input / "link.jpg").symlink_to("/etc/passwd")
    for name in (".a.jpg", "a.txt", ".alphadrop-00.part", "a.jpg.part"):
        (looked.ground.input / name).write_bytes(b"x")
    looked.hint(".a.jpg", "a.txt", ".alphadrop-00.part", "a.jpg.part", "gone.jpg", "pipe.jpg", "link.jpg", ".", "..")
    looked.look(1)
    looked.look(2)
    assert looked.noted() == []
    assert looked.folder.next_look(looked.now) > 50


def test_without_recursion_hints_from_below_are_passed_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ground = Ground(tmp_path, recursive=False)
    looked = Looked(ground, monkeypatch)
    looked.look()
    ground.drop("sub/a.jpg")
    ground.drop("b.jpg")
    looked.hint("sub/a.jpg", "b.jpg")
    looked.look(1)
    assert looked.noted() == ["b.jpg"]
    ground.ledger.close()


def test_an_output_folder_inside_its_input_makes_no_loop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ground = Ground(tmp_path)
    ground.output.rmdir()
    inside = ground.input / "sub" / "out"
    inside.mkdir(parents=True)
    ground.settings, ground.output = replace(ground.settings, output=inside), inside
    looked = Looked(ground, monkeypatch)
    ground.drop("a.png")
    for _ in range(5):
        looked.look(61)
        ground.work()
        outputs = [f"sub/out/{name}" for name in ground.outputs()]
        looked.hint(*outputs, everything=True)
        looked.look(1)
        looked.hint(*outputs)
        looked.look(1)
        ground.work()
    assert looked.noted() == ["a.png"]
    assert ground.outputs() == {"a.png": RED}
    ground.ledger.close()


def test_a_folder_that_is_missing_is_picked_up_when_it_appears(looked: Looked) -> None:
    looked.ground.input.rmdir()
    looked.look()
    assert looked.state == "missing"
    assert "picked up by itself" in looked.folder.health.remedy
    assert looked.folder.next_look(looked.now) <= 5
    looked.ground.input.mkdir()
    looked.ground.drop("a.jpg")
    looked.look(5)
    assert looked.state == "watching"
    assert looked.look(2) == 1


def test_a_folder_that_was_removed_and_made_again_is_watched_again(looked: Looked) -> None:
    looked.look()
    (first,) = looked.watches
    looked.ground.input.rmdir()
    first.alive = False
    looked.hint(everything=True)
    looked.look(1)
    assert looked.state == "missing"
    assert first.closed
    looked.ground.input.mkdir()
    looked.look(5)
    assert looked.state == "watching"
    assert len(looked.watches) == 2


def test_another_folder_under_the_same_name_is_watched_instead(looked: Looked) -> None:
    looked.look()
    looked.ground.input.rename(looked.ground.root / "was")
    looked.ground.input.mkdir()
    looked.look(60)
    assert len(looked.watches) == 2
    assert looked.watches[0].closed


def test_a_watch_whose_thread_died_is_replaced_at_the_next_scan(looked: Looked) -> None:
    looked.look()
    looked.watches[0].alive = False
    looked.look(60)
    assert [watch.closed for watch in looked.watches] == [True, False]


def test_a_renamed_folder_is_missing_and_its_files_are_not_noted_under_the_old_name(looked: Looked) -> None:
    looked.look()
    looked.ground.input.rename(looked.ground.root / "moved")
    (looked.ground.root / "moved" / "a.jpg").write_bytes(b"x")
    looked.hint("a.jpg")
    looked.look(1)
    looked.look(60)
    assert looked.noted() == []
    assert looked.state == "missing"


def test_files_of_a_folder_that_looked_empty_for_a_while_are_not_done_again(looked: Looked) -> None:
    looked.ground.drop("a.jpg")
    looked.look()
    looked.look(2)
    looked.ground.work()
    looked.ground.input.rename(looked.ground.root / "unmounted")
    looked.look(60)
    (looked.ground.root / "unmounted").rename(looked.ground.input)
    looked.look(5)
    assert looked.look(2) == 0
    assert looked.ground.row("a.jpg").state == "done"


def test_an_output_folder_that_is_missing_is_named_and_waited_for(looked: Looked) -> None:
    looked.ground.drop("a.jpg")
    looked.ground.output.rmdir()
    looked.look()
    assert looked.state == "output missing"
    assert str(looked.ground.output) in looked.folder.health.remedy
    assert not looked.ground.output.exists()
    looked.ground.output.mkdir()
    looked.look(5)
    assert looked.look(2) == 1
    assert looked.state == "watching"


@pytest.mark.parametrize(
    ("number", "remedy"), [(errno.ENOSPC, "max_user_watches"), (errno.EMFILE, "max_user_instances")]
)
def test_without_events_the_folder_is_polled_and_says_how_to_mend_it(looked: Looked, number: int, remedy: str) -> None:
    looked.refusal = OSError(number, "limit reached")
    looked.look()
    assert looked.state == "polling"
    assert remedy in looked.folder.health.remedy
    looked.ground.drop("a.jpg")
    assert looked.folder.next_look(looked.now) == 5
    looked.look(5)
    assert looked.look(2) == 1
    looked.refusal = None
    looked.look(5)
    assert looked.state == "watching"
    assert looked.folder.health.remedy == ""


@pytest.mark.parametrize("number", [errno.EMFILE, errno.ENFILE])
def test_a_folder_that_cannot_be_read_for_want_of_descriptors_is_not_called_missing(
    looked: Looked, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    def refused(path: Path, **_: object) -> NoReturn:
        error = OSError(number, os.strerror(number))
        raise reading_failed(path, error) from error

    monkeypatch.setattr(module, "walk", refused)
    looked.look()
    assert (looked.state, looked.folder.health.is_open) == ("cannot read", False)
    assert "ulimit -n" in looked.folder.health.remedy
    monkeypatch.undo()
    monkeypatch.setattr(module, "Watch", looked._watch)
    looked.look(5)
    assert looked.state == "watching"


def test_each_change_of_health_is_said_once(looked: Looked, caplog: pytest.LogCaptureFixture) -> None:
    looked.ground.input.rmdir()
    for _ in range(5):
        looked.look(60)
    assert caplog.text.count("missing") == 1


def test_a_settled_file_can_be_noted_at_once_where_the_settings_say_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ground = Ground(tmp_path, settle=0.0)
    looked = Looked(ground, monkeypatch)
    ground.drop("a.jpg")
    assert looked.look() == 1
    ground.ledger.close()


def test_nothing_to_do_means_no_look_before_the_next_rescan(looked: Looked) -> None:
    looked.ground.drop("a.jpg")
    looked.look()
    looked.look(2)
    looked.ground.work()
    assert looked.folder.next_look(looked.now) == 58
    looked.look(58)
    assert looked.folder.next_look(looked.now) == 60


def test_closing_gives_the_watch_back(looked: Looked) -> None:
    looked.look()
    looked.folder.close()
    assert looked.watches[0].closed
    looked.folder.close()


def test_a_time_of_change_in_the_future_does_no_harm(looked: Looked) -> None:
    path = looked.ground.drop("a.jpg")
    os.utime(path, (4e9, 4e9))
    looked.look()
    assert looked.look(2) == 1
    looked.ground.work()
    assert looked.ground.outputs() == {"a.png": RED}


def test_with_real_events_a_file_is_noted_long_before_the_rescan(tmp_path: Path) -> None:
    ground = Ground(tmp_path, rescan=86_400.0)
    woken = threading.Event()
    folder = HotFolder(ground.settings, ground.ledger, woken.set)
    try:
        folder.look(0.0)
        ground.drop("a.jpg")
        assert woken.wait(60)
        wait_for(lambda: folder.look(1.0) or ground.ledger.rows(), "the note")
        (ground.input / "sub").mkdir()
        ground.drop("sub/b.jpg")
        wait_for(lambda: folder.look(1.0) or len(ground.ledger.rows()) == 2, "the note of the one below")
        assert folder.next_look(1.0) > 80_000
    finally:
        folder.close()
        ground.ledger.close()


_AS_NOBODY = """
import os, sys
from pathlib import Path
from alphadrop.hotfolder.folder import HotFolder
from alphadrop.hotfolder.ledger import Ledger
from alphadrop.hotfolder.settings import FolderSettings
os.setgroups([]); os.setegid(65534); os.seteuid(65534)
root = Path(sys.argv[1])
for name in ("closed", "inside/closed"):
    folder = HotFolder(FolderSettings(root / name, root, "m"), Ledger(root / "data" / "ledger"), lambda: None)
    folder.look(0.0)
    print(folder.health.state, "|", folder.health.remedy)
    folder.close()
"""


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root can become another user")
def test_a_folder_that_may_not_be_read_says_so() -> None:
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        root.chmod(0o777)
        (root / "data").mkdir()
        (root / "data").chmod(0o777)
        (root / "closed").mkdir(mode=0o700)
        (root / "inside").mkdir(mode=0o700)
        (root / "inside" / "closed").mkdir()
        told = subprocess.run(
            [sys.executable, "-c", _AS_NOBODY, name], capture_output=True, text=True, check=False, timeout=60
        )
        expected = "no permission | give yourself permission to read the folder"
        assert told.stdout.splitlines() == [expected, expected], told.stderr


def test_a_look_that_fails_leaves_the_watch_alone(looked: Looked, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> NoReturn:
        raise RuntimeError("the ledger")

    looked.look()
    looked.ground.drop("b.jpg")
    monkeypatch.setattr(looked.ground.ledger, "unknown", broken)
    with pytest.raises(RuntimeError):
        looked.look(60)
    monkeypatch.undo()
    looked.ground.drop("a.jpg")
    looked.look(60)
    assert looked.state == "watching"


def test_a_watch_that_tells_nothing_of_a_new_file_is_replaced(looked: Looked) -> None:
    looked.look()
    looked.ground.drop("a.jpg")
    looked.look(60)
    assert looked.watches[0].closed
    looked.look(5)
    assert looked.noted() == ["a.jpg"]
    assert (len(looked.watches), looked.state) == (2, "watching")


def test_a_watch_that_told_of_it_is_kept_and_so_is_one_after_which_nothing_came(looked: Looked) -> None:
    looked.look()
    looked.ground.drop("a.jpg")
    looked.hint("a.jpg")
    looked.look(60)
    looked.look(60)
    looked.look(60)
    assert looked.noted() == ["a.jpg"]
    assert len(looked.watches) == 1


@pytest.mark.parametrize("place", ["input", "output"])
def test_entries_that_come_slowly_are_answers(looked: Looked, place: str, monkeypatch: pytest.MonkeyPatch) -> None:
    clock, seen = Clock(), list[PurePath]()

    def slowly(root: Path, **options: Any) -> Iterator[tuple[PurePath, Content]]:
        for path, content in walk(root, **options):
            if root == getattr(looked.ground.settings, place):
                clock.now += 50
                assert 0 < looked.folder.answers.silent_in <= 10
                seen.append(path)
            yield path, content

    monkeypatch.setattr(answers, "time", SimpleNamespace(monotonic=clock))
    monkeypatch.setattr(module, "walk", slowly)
    monkeypatch.setattr(rebuild, "walk", slowly)
    for number in range(5):
        photograph(getattr(looked.ground, place) / f"{number}.png", RED)
    looked.look()
    assert len(seen) == 5
    assert looked.state == "watching"
    assert looked.folder.answers.silent_in == math.inf


def test_a_ledger_that_is_begun_anew_during_a_look_learns_what_was_done_before_anything_is_noted(
    looked: Looked,
) -> None:
    looked.ground.drop("a.jpg")
    looked.look()
    looked.ground.ledger._change("DELETE FROM folders")
    assert looked.look(2) == 0
    assert looked.noted() == []
    assert looked.folder.next_look(looked.now) == 0
    looked.look()
    assert looked.look(2) == 1
