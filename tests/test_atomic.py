"""A reader sees the old file or the whole new one, and nothing of ours is left beside it."""

from __future__ import annotations

import contextlib
import errno
import os
import stat
import tempfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from alphadrop import atomic
from alphadrop.errors import CannotRead, CannotWrite, DiskFull, FileError, InputChanged, TargetExists


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


def test_folder_that_is_made_is_made_to_last_and_so_are_those_above_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[Path] = []
    monkeypatch.setattr(atomic, "sync_folder", synced.append)
    atomic.make_folder(tmp_path / "a" / "b")
    assert (tmp_path / "a" / "b").is_dir()
    assert set(synced) == {tmp_path, tmp_path / "a"}
    synced.clear()
    atomic.make_folder(tmp_path / "a" / "b")
    assert synced == []
    (tmp_path / "file").touch()
    with pytest.raises(FileExistsError):
        atomic.make_folder(tmp_path / "file")


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


WHEN = 1_714_550_400_123_456_789


@pytest.mark.parametrize("replace", [True, False])
def test_file_gets_the_time_it_is_given(target: Path, replace: bool) -> None:
    told: list[os.stat_result] = []
    found = atomic.write(target, [b"one", b"two"], replace=replace, modified_ns=WHEN, before_rename=told.append)
    assert {found.st_mtime_ns, told[0].st_mtime_ns, target.stat().st_mtime_ns} == {WHEN}
    assert found.st_size == told[0].st_size == 6


def test_without_a_time_it_is_now(target: Path) -> None:
    before = target.parent.stat().st_mtime_ns
    assert atomic.write(target, [b"x"], replace=True).st_mtime_ns >= before


def test_times_that_cannot_be_set_are_no_failure(target: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "utime", failing(errno.EPERM))
    monkeypatch.setattr(os, "supports_fd", {os.utime})
    told: list[os.stat_result] = []
    found = atomic.write(target, [b"x"], replace=False, modified_ns=WHEN, before_rename=told.append)
    assert found.st_mtime_ns == told[0].st_mtime_ns == target.stat().st_mtime_ns != WHEN
    assert names(target.parent) == ["target.png"]


def test_system_that_sets_times_by_name_only_is_served(target: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "supports_fd", set())
    assert atomic.write(target, [b"x"], replace=False, modified_ns=WHEN).st_mtime_ns == WHEN
    assert target.stat().st_mtime_ns == WHEN


@pytest.mark.skipif(not hasattr(os, "O_NOFOLLOW"), reason="no such flag here")
def test_temporary_is_never_opened_through_a_link(target: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    flags: list[int] = []
    really = os.open

    def opened(path: str | Path, how: int, *mode: int) -> int:
        if how & os.O_CREAT:
            flags.append(how)
        return really(path, how, *mode)

    monkeypatch.setattr(os, "open", opened)
    atomic.write(target, [b"x"], replace=True)
    assert [how & (os.O_NOFOLLOW | os.O_EXCL) for how in flags] == [os.O_NOFOLLOW | os.O_EXCL]


@pytest.fixture(params=["within", "without hard links", "across"])
def places(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[tuple[Path, Path]]:
    """A photograph, and the name it is to get, in its own file system or in another."""
    source = tmp_path / "in" / "photo.jpg"
    source.parent.mkdir()
    source.write_bytes(b"a photograph" * 200_000)
    source.chmod(0o640)
    os.utime(source, ns=(WHEN - 10**12, WHEN))
    if request.param != "across":
        if request.param == "without hard links":
            monkeypatch.setattr(os, "link", failing(errno.EPERM))
        (tmp_path / "done").mkdir()
        yield source, tmp_path / "done" / "moved.jpg"
        return
    shared = Path("/dev/shm")
    if not shared.is_dir() or shared.stat().st_dev == tmp_path.stat().st_dev:
        pytest.skip("no second file system here")
    with tempfile.TemporaryDirectory(dir=shared) as folder:
        yield source, Path(folder) / "moved.jpg"


across = pytest.mark.parametrize("places", ["across"], indirect=True)
linked_or_across = pytest.mark.parametrize("places", ["within", "across"], indirect=True)


def assert_nothing_moved(source: Path, target: Path, content: bytes = b"a photograph" * 200_000) -> None:
    assert source.read_bytes() == content
    assert names(source.parent) == ["photo.jpg"]
    assert names(target.parent) == []


def test_moved_file_is_the_same_in_all_that_can_be_kept(places: tuple[Path, Path]) -> None:
    source, target = places
    with umask(0o077):
        atomic.move(source, target)
    status = target.stat()
    assert target.read_bytes() == b"a photograph" * 200_000
    assert (stat.S_IMODE(status.st_mode), status.st_mtime_ns, status.st_nlink) == (0o640, WHEN, 1)
    assert names(source.parent) == []
    assert names(target.parent) == ["moved.jpg"]


def test_file_without_a_byte_is_moved(places: tuple[Path, Path]) -> None:
    source, target = places
    os.truncate(source, 0)
    atomic.move(source, target)
    assert target.read_bytes() == b""
    assert not source.exists()


@pytest.mark.parametrize("there", ["a file", "a link to nowhere", "a folder"])
def test_target_that_exists_is_kept_and_so_is_the_source(places: tuple[Path, Path], there: str) -> None:
    source, target = places
    match there:
        case "a file":
            target.write_bytes(b"theirs")
        case "a link to nowhere":
            target.symlink_to("nowhere")
        case "a folder":
            target.mkdir()
    with pytest.raises(TargetExists, match="moved"):
        atomic.move(source, target)
    assert source.stat().st_size == 2_400_000
    assert names(target.parent) == ["moved.jpg"]
    assert there != "a file" or target.read_bytes() == b"theirs"


def test_file_is_not_moved_onto_itself(places: tuple[Path, Path]) -> None:
    source, _ = places
    with pytest.raises(TargetExists):
        atomic.move(source, source)
    assert source.stat().st_size == 2_400_000


def test_nothing_but_a_file_is_moved(places: tuple[Path, Path]) -> None:
    source, target = places
    odd = source.with_name("odd")
    odd.symlink_to(source)
    with pytest.raises(CannotRead, match="odd"):
        atomic.move(odd, target)
    assert odd.is_symlink()
    odd.unlink()
    os.mkfifo(odd)
    with pytest.raises(CannotRead, match="regular"):
        atomic.move(odd, target)
    odd.unlink()
    odd.mkdir()
    with pytest.raises(CannotRead, match="regular"):
        atomic.move(odd, target)
    with pytest.raises(CannotRead, match="absent"):
        atomic.move(source.with_name("absent"), target)
    odd.rmdir()
    assert_nothing_moved(source, target)


def test_folder_that_is_missing_is_said(places: tuple[Path, Path]) -> None:
    source, target = places
    with pytest.raises(CannotWrite) as caught:
        atomic.move(source, target.parent / "absent" / "moved.jpg")
    assert caught.value.hint == "make the folder first"
    assert_nothing_moved(source, target)


@across
def test_link_that_takes_the_place_of_the_source_is_not_followed(
    places: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    source, target = places
    secret = source.parent.parent / "secret"
    secret.write_bytes(b"secret")
    really = os.link

    def swapped(one: Path, other: Path, **how: bool) -> None:
        if one == source:
            source.unlink()
            source.symlink_to(secret)
        really(one, other, **how)

    monkeypatch.setattr(os, "link", swapped)
    with pytest.raises(CannotRead):
        atomic.move(source, target)
    assert names(target.parent) == []
    assert source.is_symlink()


@linked_or_across
@pytest.mark.parametrize(
    ("number", "error"), [(errno.ENOSPC, DiskFull), (errno.EDQUOT, DiskFull), (errno.EIO, CannotWrite)]
)
def test_nothing_is_moved_where_the_disk_refuses(
    places: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch, number: int, error: type[FileError]
) -> None:
    source, target = places
    monkeypatch.setattr(os, "fsync", failing(number))
    with pytest.raises(error, match="moved"):
        atomic.move(source, target)
    assert_nothing_moved(source, target)


@linked_or_across
def test_nothing_is_moved_where_the_source_cannot_be_removed(
    places: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    source, target = places
    really = os.unlink

    def kept(path: Path) -> None:
        if path == source:
            raise PermissionError(errno.EACCES, "a folder that is not ours")
        really(path)

    monkeypatch.setattr(os, "unlink", kept)
    with pytest.raises(CannotWrite, match="photo"):
        atomic.move(source, target)
    assert_nothing_moved(source, target)


@across
def test_source_that_cannot_be_read_is_said(places: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    source, target = places

    class Damaged:
        def read(self, _: int) -> bytes:
            raise OSError(errno.EIO, os.strerror(errno.EIO))

    pieces = atomic._pieces
    monkeypatch.setattr(atomic, "_pieces", lambda _, *rest: pieces(Damaged(), *rest))  # type: ignore[arg-type]
    with pytest.raises(CannotRead, match="photo"):
        atomic.move(source, target)
    assert_nothing_moved(source, target)


def just_before_the_source_goes(monkeypatch: pytest.MonkeyPatch, target: Path, then: Callable[[], None]) -> None:
    """Let something happen when the target has its name and its folder is being synced."""
    fsync = os.fsync
    left = [then]

    def synced(descriptor: int) -> None:
        fsync(descriptor)
        if left and stat.S_ISDIR(os.fstat(descriptor).st_mode):
            assert target.exists()
            left.pop()()

    monkeypatch.setattr(os, "fsync", synced)


@across
@pytest.mark.parametrize("how", ["longer", "same size", "another file"])
def test_source_that_changes_in_between_is_left_and_the_copy_is_not(
    places: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    source, target = places
    new = {"longer": b"x" * 3_000_000, "same size": b"x" * 2_400_000, "another file": b"another"}[how]

    def change() -> None:
        if how == "another file":
            other = source.with_name("other")
            other.write_bytes(new)
            os.utime(other, ns=(WHEN, WHEN))
            other.replace(source)
        else:
            source.write_bytes(new)

    just_before_the_source_goes(monkeypatch, target, change)
    with pytest.raises(InputChanged, match="photo"):
        atomic.move(source, target)
    assert_nothing_moved(source, target, new)


@across
def test_target_that_somebody_replaced_is_not_removed_with_the_copy(
    places: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    source, target = places

    def change() -> None:
        source.write_bytes(b"new")
        target.unlink()
        target.write_bytes(b"theirs")

    just_before_the_source_goes(monkeypatch, target, change)
    with pytest.raises(InputChanged):
        atomic.move(source, target)
    assert (source.read_bytes(), target.read_bytes()) == (b"new", b"theirs")


@linked_or_across
def test_source_that_is_gone_by_then_was_moved(places: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    source, target = places
    just_before_the_source_goes(monkeypatch, target, source.unlink)
    atomic.move(source, target)
    assert target.stat().st_size == 2_400_000
    assert names(target.parent) == ["moved.jpg"]


@pytest.mark.parametrize("places", ["within"], indirect=True)
def test_file_that_takes_the_name_of_a_moved_one_is_left(
    places: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    source, target = places
    other = source.with_name("other")
    other.write_bytes(b"new")
    just_before_the_source_goes(monkeypatch, target, lambda: os.replace(other, source))
    atomic.move(source, target)
    assert (source.read_bytes(), target.stat().st_size) == (b"new", 2_400_000)


@linked_or_across
def test_an_interrupt_never_costs_the_only_one(places: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    source, target = places
    really = os.unlink

    def interrupted(path: Path) -> None:
        really(path)
        if path == source:
            monkeypatch.undo()
            raise KeyboardInterrupt

    monkeypatch.setattr(os, "unlink", interrupted)
    with pytest.raises(KeyboardInterrupt):
        atomic.move(source, target)
    assert target.stat().st_size == 2_400_000
    assert names(target.parent) == ["moved.jpg"]


@linked_or_across
def test_both_folders_are_synced_the_source_last(places: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    source, target = places
    order: list[str] = []
    fsync, unlink = os.fsync, os.unlink
    folders = {source.parent.stat().st_ino: "source", target.parent.stat().st_ino: "target"}

    def synced(descriptor: int) -> None:
        order.append(folders.get(os.fstat(descriptor).st_ino, "file"))
        fsync(descriptor)

    def removed(path: Path) -> None:
        if path == source:
            order.append("removed")
        unlink(path)

    monkeypatch.setattr(os, "fsync", synced)
    monkeypatch.setattr(os, "unlink", removed)
    atomic.move(source, target)
    monkeypatch.undo()
    assert [step for step in order if step != "file"] == ["target", "removed", "source"]
