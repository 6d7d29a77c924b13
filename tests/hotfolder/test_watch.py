"""Events become hints, whatever happens in the folder; a watch that cannot be had costs nothing."""

from __future__ import annotations

import errno
import os
import sys
import threading
from collections.abc import Iterator
from pathlib import Path, PurePath

import pytest
from watchdog.events import (
    DirCreatedEvent,
    DirModifiedEvent,
    FileClosedNoWriteEvent,
    FileCreatedEvent,
    FileModifiedEvent,
    FileMovedEvent,
    FileOpenedEvent,
)

from alphadrop.hotfolder.watch import Hints, Watch
from daemon_process import wait_for


@pytest.fixture
def woken() -> threading.Event:
    return threading.Event()


@pytest.fixture
def watch(tmp_path: Path, woken: threading.Event) -> Iterator[Watch]:
    watch = Watch(tmp_path, recursive=True, wake=woken.set)
    yield watch
    watch.close()


def collect(watch: Watch, what: str, *paths: str, everything: bool = False) -> Hints:
    """Wait until all these paths were hinted at."""
    seen = Hints()

    def all_there() -> bool:
        hints = watch.take()
        seen.paths |= hints.paths
        seen.everything |= hints.everything
        return {PurePath(path) for path in paths} <= seen.paths and (seen.everything or not everything)

    wait_for(all_there, what)
    return seen


def test_a_new_file_is_hinted_at_and_somebody_is_woken(watch: Watch, tmp_path: Path, woken: threading.Event) -> None:
    (tmp_path / "a.jpg").write_bytes(b"123")
    collect(watch, "the hint", "a.jpg")
    assert woken.is_set()
    assert watch.alive


def test_a_rename_inside_the_folder_hints_at_the_new_name(watch: Watch, tmp_path: Path) -> None:
    (tmp_path / "a.jpg.part").write_bytes(b"123")
    collect(watch, "the hint at the temporary", "a.jpg.part")
    (tmp_path / "a.jpg.part").rename(tmp_path / "a.jpg")
    collect(watch, "the hint at the new name", "a.jpg")


def test_a_rename_into_the_folder_is_hinted_at(tmp_path: Path, woken: threading.Event) -> None:
    inside, outside = tmp_path / "in", tmp_path / "a.jpg"
    inside.mkdir()
    outside.write_bytes(b"123")
    watch = Watch(inside, recursive=True, wake=woken.set)
    try:
        outside.rename(inside / "a.jpg")
        collect(watch, "the hint", "a.jpg")
    finally:
        watch.close()


def test_a_new_sub_folder_asks_for_a_look_at_everything(watch: Watch, tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    collect(watch, "the request for a scan", everything=True)


def test_a_name_that_is_not_utf_8_is_hinted_at_as_it_is(watch: Watch, tmp_path: Path) -> None:
    name = os.fsdecode(b"\xff.jpg")
    (tmp_path / name).write_bytes(b"123")
    collect(watch, "the hint", name)


def test_files_coming_and_going_do_not_ask_for_a_look_at_everything(watch: Watch, tmp_path: Path) -> None:
    for number in range(20):
        (tmp_path / f"{number}.jpg").write_bytes(b"123")
    (tmp_path / "0.jpg").unlink()
    (tmp_path / "1.jpg").rename(tmp_path / "z.jpg")
    seen = collect(watch, "all the hints", *(f"{number}.jpg" for number in range(20)), "z.jpg")
    assert not seen.everything


def test_our_own_reading_is_no_hint(watch: Watch, tmp_path: Path) -> None:
    for event in (FileOpenedEvent, FileClosedNoWriteEvent):
        watch.dispatch(event(str(tmp_path / "a.jpg")))
    assert watch.take() == Hints()


def test_a_folder_that_only_changed_is_no_hint_and_a_new_one_is(watch: Watch, tmp_path: Path) -> None:
    watch.dispatch(DirModifiedEvent(str(tmp_path)))
    assert watch.take() == Hints()
    watch.dispatch(DirCreatedEvent(str(tmp_path / "sub")))
    assert watch.take().everything


def test_both_ends_of_a_move_are_hinted_at(watch: Watch, tmp_path: Path) -> None:
    watch.dispatch(FileMovedEvent(str(tmp_path / "a"), str(tmp_path / "sub" / "b")))
    assert watch.take().paths == {PurePath("a"), PurePath("sub/b")}
    assert watch.take() == Hints()


def test_a_flood_of_events_is_one_request_for_a_scan(watch: Watch, tmp_path: Path) -> None:
    for number in range(10_000):
        watch.dispatch(FileCreatedEvent(str(tmp_path / f"{number}.jpg")))
    hints = watch.take()
    assert hints.everything
    assert len(hints.paths) <= 4096
    watch.dispatch(FileModifiedEvent(str(tmp_path / "a.jpg")))
    assert watch.take() == Hints({PurePath("a.jpg")})


def test_a_folder_that_is_removed_ends_the_watch(tmp_path: Path, woken: threading.Event) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    watch = Watch(folder, recursive=True, wake=woken.set)
    try:
        folder.rmdir()
        wait_for(lambda: watch.take().everything, "the hint")
        wait_for(lambda: not watch.alive, "the watch to end")
    finally:
        watch.close()


@pytest.mark.skipif(sys.platform != "linux", reason="counts inotify's descriptors")
@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EMFILE])
def test_a_watch_that_the_system_refuses_leaves_no_thread_and_no_descriptor(
    tmp_path: Path, number: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    import ctypes

    from watchdog.observers import inotify_c

    def refuse(*_: object) -> int:
        ctypes.set_errno(number)
        return -1

    monkeypatch.setattr(inotify_c, "inotify_add_watch" if number == errno.ENOSPC else "inotify_init", refuse)
    threads, descriptors = threading.active_count(), len(os.listdir("/proc/self/fd"))
    for _ in range(3):
        with pytest.raises(OSError, match="limit reached") as raised:
            Watch(tmp_path, recursive=True, wake=lambda: None)
        assert raised.value.errno == number
    assert threading.active_count() <= threads
    assert len(os.listdir("/proc/self/fd")) <= descriptors


@pytest.mark.skipif(sys.platform != "linux", reason="counts inotify's descriptors")
def test_a_closed_watch_leaves_no_thread_and_no_descriptor(tmp_path: Path) -> None:
    threads, descriptors = threading.active_count(), len(os.listdir("/proc/self/fd"))
    for _ in range(5):
        Watch(tmp_path, recursive=True, wake=lambda: None).close()
    assert threading.active_count() <= threads
    assert len(os.listdir("/proc/self/fd")) <= descriptors


def test_a_missing_folder_cannot_be_watched(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="No such file"):
        Watch(tmp_path / "missing", recursive=True, wake=lambda: None)


def test_the_folder_itself_may_be_a_link(tmp_path: Path, woken: threading.Event) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    watch = Watch(tmp_path / "link", recursive=True, wake=woken.set)
    try:
        (tmp_path / "real" / "a.jpg").touch()
        collect(watch, "the file behind the link", "a.jpg")
    finally:
        watch.close()
