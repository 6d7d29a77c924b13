"""A reader sees the old file or the whole new one, and nothing of ours is left beside it."""

from __future__ import annotations

import contextlib
import errno
import os
import stat
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from alphadrop import atomic
from alphadrop.errors import CannotWrite, DiskFull, FileError, TargetExists


@pytest.fixture
def target(tmp_path: Path) -> Path:
    return tmp_path / "target.png"


@contextlib.contextmanager
def umask(mask: int) -> Iterator[None]:
    before = os.umask(mask)
    try:
        yield
    finally:
        os.umask(before)


def names(folder: Path) -> list[str]:
    return sorted(entry.name for entry in folder.iterdir())


def failing(number: int) -> object:
    def fail(*_: object, **__: object) -> None:
        raise OSError(number, os.strerror(number))

    return fail


@pytest.mark.parametrize("replace", [True, False])
def test_content_is_the_chunks_one_after_the_other(target: Path, replace: bool) -> None:
    found = atomic.write(target, iter([b"one", b"", b"two"]), replace=replace)
    assert target.read_bytes() == b"onetwo"
    assert (found.st_size, found.st_ino) == (6, target.stat().st_ino)
    assert names(target.parent) == ["target.png"]


def test_text_is_utf_8(target: Path) -> None:
    atomic.write_text(target, "größer\n")
    assert target.read_bytes() == "größer\n".encode()


def test_existing_target_is_replaced_where_that_is_allowed(target: Path) -> None:
    target.write_bytes(b"old")
    atomic.write(target, [b"new"], replace=True)
    assert target.read_bytes() == b"new"
    assert names(target.parent) == ["target.png"]


def test_existing_target_is_kept_where_it_may_not_be_replaced(target: Path) -> None:
    target.write_bytes(b"old")
    with pytest.raises(TargetExists, match="target"):
        atomic.write(target, [b"new"], replace=False)
    assert target.read_bytes() == b"old"
    assert names(target.parent) == ["target.png"]


@pytest.mark.parametrize("mask", [0o022, 0o077, 0o000])
@pytest.mark.parametrize("replace", [True, False])
def test_mode_follows_the_umask(target: Path, mask: int, replace: bool) -> None:
    with umask(mask):
        atomic.write(target, [b"x"], replace=replace)
    assert stat.S_IMODE(target.stat().st_mode) == 0o666 & ~mask


def test_mode_can_be_narrower(target: Path) -> None:
    with umask(0):
        atomic.write(target, [b"secret"], replace=True, mode=0o600)
    assert stat.S_IMODE(target.stat().st_mode) == 0o600


@pytest.mark.parametrize("replace", [True, False])
@pytest.mark.parametrize(
    ("number", "error"),
    [
        (errno.ENOSPC, DiskFull),
        (errno.EDQUOT, DiskFull),
        (errno.EIO, CannotWrite),
        (errno.EROFS, CannotWrite),
    ],
)
def test_nothing_is_left_where_the_disk_refuses(
    target: Path, monkeypatch: pytest.MonkeyPatch, number: int, error: type[FileError], replace: bool
) -> None:
    monkeypatch.setattr(os, "fsync", failing(number))
    with pytest.raises(error, match="target"):
        atomic.write(target, [b"new"], replace=replace)
    assert names(target.parent) == []


def test_old_target_stays_where_the_disk_refuses(target: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target.write_bytes(b"old")
    monkeypatch.setattr(os, "fsync", failing(errno.ENOSPC))
    with pytest.raises(DiskFull):
        atomic.write(target, [b"new"], replace=True)
    assert target.read_bytes() == b"old"
    assert names(target.parent) == ["target.png"]


@pytest.mark.parametrize("call", ["replace", "link"])
def test_nothing_is_left_where_the_rename_fails(target: Path, monkeypatch: pytest.MonkeyPatch, call: str) -> None:
    monkeypatch.setattr(os, call, failing(errno.EACCES))
    with pytest.raises(CannotWrite):
        atomic.write(target, [b"new"], replace=call == "replace")
    assert names(target.parent) == []


@pytest.mark.parametrize("error", [ValueError("from the chunks"), KeyboardInterrupt()])
def test_nothing_is_left_where_the_content_breaks_off(target: Path, error: BaseException) -> None:
    def chunks() -> Iterator[bytes]:
        yield b"the first part"
        raise error

    with pytest.raises(type(error)):
        atomic.write(target, chunks(), replace=True)
    assert names(target.parent) == []


def test_target_is_not_there_before_it_is_whole(target: Path) -> None:
    seen = []

    def chunks() -> Iterator[bytes]:
        yield b"first"
        seen.append(target.exists())
        yield b"last"

    def before(found: os.stat_result) -> None:
        seen.append(target.exists())
        assert found.st_size == 9

    atomic.write(target, chunks(), replace=False, before_rename=before)
    assert seen == [False, False]
    assert target.read_bytes() == b"firstlast"


def test_last_look_can_stop_the_write(target: Path) -> None:
    def stop(_: os.stat_result) -> None:
        raise RuntimeError("the input changed")

    with pytest.raises(RuntimeError):
        atomic.write(target, [b"new"], replace=True, before_rename=stop)
    assert names(target.parent) == []


def test_content_is_on_the_disk_before_it_has_the_name_and_the_folder_after(
    target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    order = []
    fsync, replace = os.fsync, os.replace

    def synced(descriptor: int) -> None:
        order.append("folder" if stat.S_ISDIR(os.fstat(descriptor).st_mode) else "file")
        fsync(descriptor)

    def renamed(one: Path, other: Path) -> None:
        order.append("rename")
        replace(one, other)

    monkeypatch.setattr(os, "fsync", synced)
    monkeypatch.setattr(os, "replace", renamed)
    atomic.write(target, [b"x"], replace=True)
    assert order == ["file", "rename", "folder"]


def test_folder_that_cannot_be_synced_is_no_failure(target: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fsync = os.fsync

    def only_files(descriptor: int) -> None:
        if stat.S_ISDIR(os.fstat(descriptor).st_mode):
            raise OSError(errno.EINVAL, "cannot")
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", only_files)
    atomic.write(target, [b"x"], replace=True)
    assert target.read_bytes() == b"x"


def test_folder_that_may_be_written_and_not_read_is_no_failure(target: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    really = os.open

    def opened(path: str | Path, flags: int, *mode: int) -> int:
        if flags & os.O_DIRECTORY:
            raise PermissionError(errno.EACCES, "a drop box")
        return really(path, flags, *mode)

    monkeypatch.setattr(os, "open", opened)
    atomic.write(target, [b"x"], replace=True)
    assert target.read_bytes() == b"x"


@pytest.mark.parametrize("links", [True, False], ids=["with hard links", "without"])
def test_file_that_appears_meanwhile_keeps_the_name(target: Path, monkeypatch: pytest.MonkeyPatch, links: bool) -> None:
    if not links:
        monkeypatch.setattr(os, "link", failing(errno.EPERM))

    def appear(_: os.stat_result) -> None:
        target.write_bytes(b"first")

    with pytest.raises(TargetExists):
        atomic.write(target, [b"late"], replace=False, before_rename=appear)
    assert target.read_bytes() == b"first"
    assert names(target.parent) == ["target.png"]


@pytest.mark.parametrize("number", [errno.EPERM, errno.ENOTSUP, errno.ENOSYS, errno.EMLINK])
def test_file_system_without_hard_links_is_served(target: Path, monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    monkeypatch.setattr(os, "link", failing(number))
    atomic.write(target, [b"x"], replace=False)
    assert target.read_bytes() == b"x"
    assert names(target.parent) == ["target.png"]


def test_of_many_at_once_exactly_one_gets_the_name(target: Path) -> None:
    start = threading.Barrier(8)
    won: list[bytes] = []

    def attempt(content: bytes) -> None:
        start.wait()
        with contextlib.suppress(TargetExists):
            atomic.write(target, [content], replace=False)
            won.append(content)

    threads = [threading.Thread(target=attempt, args=(bytes([number]),)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [target.read_bytes()] == won
    assert names(target.parent) == ["target.png"]


def test_symbolic_link_is_replaced_and_what_it_points_to_is_left(target: Path) -> None:
    elsewhere = target.with_name("elsewhere.png")
    elsewhere.write_bytes(b"theirs")
    target.symlink_to(elsewhere)
    atomic.write(target, [b"new"], replace=True)
    assert not target.is_symlink()
    assert (target.read_bytes(), elsewhere.read_bytes()) == (b"new", b"theirs")


@pytest.mark.parametrize("links", [True, False], ids=["with hard links", "without"])
def test_symbolic_link_to_nowhere_has_the_name_too(target: Path, monkeypatch: pytest.MonkeyPatch, links: bool) -> None:
    if not links:
        monkeypatch.setattr(os, "link", failing(errno.EPERM))
    target.symlink_to("nowhere.png")
    with pytest.raises(TargetExists):
        atomic.write(target, [b"new"], replace=False)
    assert target.is_symlink()
    assert names(target.parent) == ["target.png"]


def test_folder_in_the_way_is_an_error_of_ours(target: Path) -> None:
    target.mkdir()
    with pytest.raises(CannotWrite, match="target"):
        atomic.write(target, [b"x"], replace=True)
    assert names(target.parent) == ["target.png"]


def test_missing_folder_is_named_with_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(CannotWrite, match="absent") as caught:
        atomic.write(tmp_path / "absent" / "x.png", [b"x"], replace=True)
    assert caught.value.hint == "make the folder first"


def test_name_that_is_too_long_is_an_error_of_ours(tmp_path: Path) -> None:
    with pytest.raises(CannotWrite) as caught:
        atomic.write(tmp_path / ("x" * 300), [b"x"], replace=True)
    assert caught.value.hint == "choose a shorter name"
    assert names(tmp_path) == []


def test_longest_name_is_written(tmp_path: Path) -> None:
    atomic.write(tmp_path / ("x" * 255), [b"x"], replace=False)
    assert names(tmp_path) == ["x" * 255]


def test_sweep_removes_only_ours(tmp_path: Path) -> None:
    below = tmp_path / "below"
    below.mkdir()
    ours = ".alphadrop-0123456789abcdef.part"
    (tmp_path / ours).write_bytes(b"left by a crash")
    theirs = [".alphadrop-notes", "alphadrop-1.part", "photo.part", ".alphadrop.part.jpg"]
    for name in theirs:
        (tmp_path / name).write_bytes(b"theirs")
    (below / ours).write_bytes(b"another folder's")
    (tmp_path / ".alphadrop-folder.part").mkdir()
    (tmp_path / ".alphadrop-link.part").symlink_to(below / ours)
    assert atomic.sweep(tmp_path) == 1
    assert names(tmp_path) == sorted([*theirs, "below", ".alphadrop-folder.part", ".alphadrop-link.part"])
    assert names(below) == [ours]


def test_sweep_finds_what_a_write_leaves_in_a_crash(target: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[str] = []

    def crash(_: os.stat_result) -> None:
        seen.extend(names(target.parent))
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "unlink", failing(errno.EIO))
    with pytest.raises(KeyboardInterrupt):
        atomic.write(target, [b"x"], replace=True, before_rename=crash)
    monkeypatch.undo()
    assert names(target.parent) == seen
    assert all(atomic.is_temporary(name) for name in seen)
    assert atomic.sweep(target.parent) == 1
    assert names(target.parent) == []


def test_sweep_of_a_missing_folder_is_nothing(tmp_path: Path) -> None:
    assert atomic.sweep(tmp_path / "absent") == 0
