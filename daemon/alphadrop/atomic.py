"""Write a file so that a reader sees the old one or the whole new one, never a part; move one and never lose it.

A temporary file beside the target, fsync, rename, fsync of the folder. Everything Alphadrop leaves on a disk goes
through here.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os
import re
import secrets
import stat
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import BinaryIO

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

from alphadrop.errors import CannotRead, InputChanged, printable, reading_failed, writing_failed

__all__ = ["is_temporary", "make_folder", "move", "sweep", "sync_folder", "write", "write_text"]

_TEMPORARY = re.compile(r"\.alphadrop-[0-9a-f]{16}\.part")
_NO_HARD_LINKS = {errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK}
_NO_LINK = getattr(os, "O_NOFOLLOW", 0)
_BINARY = getattr(os, "O_BINARY", 0)
_NEW_FILE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | _NO_LINK | _BINARY
_OLD_FILE = os.O_RDONLY | _NO_LINK | getattr(os, "O_NONBLOCK", 0) | _BINARY
_PIECE = 1 << 20
_SYNC_FILE_RANGE_WRITE = 2
"""Of sync_file_range(2)."""


def write(
    target: Path,
    chunks: Iterable[bytes],
    *,
    replace: bool,
    mode: int = 0o666,
    modified_ns: int | None = None,
    before_rename: Callable[[os.stat_result], None] | None = None,
) -> os.stat_result:
    """Write `chunks` to `target` in one visible step and make it durable.

    Args:
        target: the final name; its folder must exist.
        chunks: the content, written one after the other.
        replace: whether an existing target may be replaced. Without it the first to arrive keeps the name.
        mode: permission bits, reduced by the umask as for any new file.
        modified_ns: the time of change to give the file, nanoseconds since the epoch, as near as its file system can
            hold it; without it, now.
        before_rename: called with the stat of the new content when that is safe on the disk and not yet visible; what
            it raises stops the write.

    Returns:
        The stat of the file that now has the name.

    Raises:
        TargetExists: something has the name and `replace` is false.
        DiskFull, CannotWrite: the file system refused; nothing is left behind.
    """

    def stamp(place: int | Path) -> None:
        if modified_ns is not None:
            _set_times(place, modified_ns, modified_ns)

    return _write(target, chunks, replace=replace, mode=mode, before_sync=stamp, before_rename=before_rename)


def write_text(target: Path, text: str, *, replace: bool = True, mode: int = 0o666) -> None:
    """Write UTF-8 text as `write` does."""
    write(target, [text.encode("utf-8")], replace=replace, mode=mode)


def move(source: Path, target: Path, copied: Callable[[], object] = lambda: None) -> None:
    """Give a file another name, at every moment of which it has at least one of the two.

    Across file systems it is copied, with its times and permission bits where the other one can hold them, and the
    source removed only when the copy is safe on the disk.

    Args:
        source: a regular file; a symbolic link is neither followed nor moved.
        target: a name that nothing has yet; its folder must exist.
        copied: called after each piece, where it has to be copied.

    Raises:
        CannotRead: the source is gone, a link, no regular file, or unreadable.
        InputChanged: the source was changed or replaced while it was copied; it is left and the copy is not.
        TargetExists: something has the target's name.
        DiskFull, CannotWrite: a file system refused, of the target or to remove the source; nothing is left behind.
    """
    try:
        status = os.lstat(source)
    except OSError as error:
        raise reading_failed(source, error) from error
    _refuse_all_but_files(source, status)
    try:
        try:
            _move_within(source, target)
        except OSError as error:
            if error.errno != errno.EXDEV:
                raise
            _move_across(source, target, copied)
    except OSError as error:
        raise writing_failed(target, error) from error


def make_folder(folder: Path) -> None:
    """Make a folder, and those above it that are missing, so that a power cut does not take them away again.

    Raises:
        OSError: as `Path.mkdir`; FileExistsError where something else has the name.
    """
    missing = [each for each in (folder, *folder.parents) if not os.path.lexists(each)]
    folder.mkdir(parents=True, exist_ok=True)
    for each in missing:
        sync_folder(each.parent)


def is_temporary(name: str) -> bool:
    """Return whether a file name is that of a temporary of ours."""
    return _TEMPORARY.fullmatch(name) is not None


def sweep(folder: Path) -> int:
    """Remove the temporaries a crash left in `folder` (not below it); return how many.

    Those that are being written, by whatever process, are left alone.
    """
    removed = 0
    with contextlib.suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            if is_temporary(entry.name) and entry.is_file(follow_symlinks=False):
                with contextlib.suppress(OSError):
                    if not _is_in_use(entry.path):
                        os.unlink(entry.path)
                        removed += 1
    return removed


@contextlib.contextmanager
def _in_use(descriptor: int) -> Iterator[None]:
    """Show other processes that a file is being written, until it has its name or this process has ended."""
    if fcntl is None:
        yield
        return
    kept = os.dup(descriptor)
    try:
        with contextlib.suppress(OSError):  # some shares have no locks
            fcntl.flock(kept, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    finally:
        os.close(kept)


def _is_in_use(file: str) -> bool:
    if fcntl is None:
        return False  # Windows removes no file that is open
    descriptor = os.open(file, _OLD_FILE)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    finally:
        os.close(descriptor)
    return False


def _write(
    target: Path,
    chunks: Iterable[bytes],
    *,
    replace: bool,
    mode: int,
    before_sync: Callable[[int | Path], None],
    before_rename: Callable[[os.stat_result], None] | None = None,
) -> os.stat_result:
    """Do what `write` says; `before_sync` gets the whole new file, as a descriptor where a system can take one."""
    temporary = target.with_name(f".alphadrop-{secrets.token_hex(8)}.part")
    try:
        descriptor = os.open(temporary, _NEW_FILE, mode)
        try:
            with _in_use(descriptor):
                with os.fdopen(descriptor, "wb") as stream:
                    _write_all(stream, chunks)
                    stream.flush()
                    before_sync(stream.fileno() if os.utime in os.supports_fd else temporary)
                    os.fsync(stream.fileno())
                    written = os.fstat(stream.fileno())
                if before_rename is not None:
                    before_rename(written)
                if replace:
                    os.replace(temporary, target)
                elif _link(temporary, target):
                    os.unlink(temporary)
        except BaseException:
            with contextlib.suppress(OSError):
                os.unlink(temporary)
            raise
        sync_folder(target.parent)
    except OSError as error:
        raise writing_failed(target, error) from error
    return written


def _write_all(stream: BinaryIO, chunks: Iterable[bytes]) -> None:
    """Write chunks as they come; what is written begins to go to the disk while the next are made."""
    begun = written = 0
    for chunk in chunks:
        written += stream.write(chunk)
        if written - begun >= _PIECE:
            begun = written
            _begin_to_store(stream.fileno())


def _begin_to_store(descriptor: int) -> None:
    """Let Linux begin to put what a file has been given on the disk, where it can; nothing is waited for."""
    begin = getattr(ctypes.CDLL(None), "sync_file_range", None) if sys.platform == "linux" else None
    if begin is not None:
        begin(descriptor, ctypes.c_int64(0), ctypes.c_int64(0), _SYNC_FILE_RANGE_WRITE)


def _set_times(place: int | Path, accessed_ns: int, modified_ns: int) -> None:
    with contextlib.suppress(OSError):  # some shares give files their own times, whatever one asks for
        os.utime(place, ns=(accessed_ns, modified_ns))


def _link(source: Path, target: Path) -> bool:
    """Give a file a name that nothing has; return whether it still has its old one, to be removed."""
    try:
        os.link(source, target, follow_symlinks=False)
    except OSError as error:
        if error.errno not in _NO_HARD_LINKS:
            raise
        # FAT, exFAT and some shares have no hard links: the check and the rename are two steps there.
        if os.path.lexists(target):
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(target)) from error
        os.rename(source, target)
        return False
    return True


def _move_within(source: Path, target: Path) -> None:
    """Do what `move` says within one file system; raise OSError with EXDEV where these are two."""
    if _link(source, target):
        try:
            sync_folder(target.parent)
            if _is_same_file(source, target):  # else somebody has just put another file there, or removed this one
                _remove(source)
        except BaseException:
            with contextlib.suppress(OSError):
                if _is_same_file(source, target):
                    os.unlink(target)
            raise
    else:
        sync_folder(target.parent)
    sync_folder(source.parent)


def _move_across(source: Path, target: Path, copied: Callable[[], object]) -> None:
    """Do what `move` says from one file system to another; raise OSError where the source's folder cannot be synced."""
    read, copy = _copy(source, target, copied)
    try:
        _refuse_if_changed(source, read)
        _remove(source)
    except BaseException:
        with contextlib.suppress(OSError):
            # An interrupt may come when the source is gone: the copy is all there is then.
            if os.path.lexists(source) and _is_as_it_was(os.lstat(target), copy):
                os.unlink(target)
        raise
    sync_folder(source.parent)


def _copy(source: Path, target: Path, copied: Callable[[], object]) -> tuple[os.stat_result, os.stat_result]:
    """Copy a file to a name that nothing has; return what the source was like before, and what the copy is like."""
    try:
        stream = os.fdopen(os.open(source, _OLD_FILE), "rb")
    except OSError as error:
        raise reading_failed(source, error) from error
    with stream:
        read = os.fstat(stream.fileno())
        _refuse_all_but_files(source, read)
        mode = stat.S_IMODE(read.st_mode) & 0o777

        def keep(place: int | Path) -> None:
            with contextlib.suppress(OSError):  # FAT knows no permission bits
                os.chmod(place, mode)
            _set_times(place, read.st_atime_ns, read.st_mtime_ns)

        return read, _write(target, _pieces(stream, source, copied), replace=False, mode=mode, before_sync=keep)


def _pieces(stream: BinaryIO, source: Path, copied: Callable[[], object]) -> Iterator[bytes]:
    try:
        while piece := stream.read(_PIECE):
            yield piece
            copied()
    except OSError as error:
        raise reading_failed(source, error) from error


def _refuse_all_but_files(source: Path, status: os.stat_result) -> None:
    if stat.S_ISLNK(status.st_mode):
        raise reading_failed(source, OSError(errno.ELOOP, os.strerror(errno.ELOOP)))
    if not stat.S_ISREG(status.st_mode):
        raise CannotRead(f"{printable(source)}: is not a regular file", "folders, pipes and devices are left alone")


def _refuse_if_changed(source: Path, read: os.stat_result) -> None:
    """Raise InputChanged where a file is no longer what was copied; one that is gone was copied in time."""
    try:
        now = os.lstat(source)
    except FileNotFoundError:
        return
    except OSError as error:
        raise reading_failed(source, error) from error
    if not _is_as_it_was(now, read):
        raise InputChanged(f"{printable(source)}: changed while it was moved", "it was left where it is")


def _remove(source: Path) -> None:
    try:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(source)
    except OSError as error:
        raise writing_failed(source, error) from error


def _is_same_file(one: Path, other: Path) -> bool:
    try:
        return os.path.samestat(os.lstat(one), os.lstat(other))
    except FileNotFoundError:
        return False


def _is_as_it_was(now: os.stat_result, before: os.stat_result) -> bool:
    """Return whether this is the same file, of the same size and time of change."""
    return os.path.samestat(now, before) and (now.st_size, now.st_mtime_ns) == (before.st_size, before.st_mtime_ns)


def sync_folder(folder: Path) -> None:
    """Make the names in a folder durable, where a file system can."""
    if os.name != "posix":
        return
    try:
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    except PermissionError:  # a folder that may be written to and not read
        return
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno != errno.EINVAL:  # file systems that cannot sync a folder
            raise
    finally:
        os.close(descriptor)
