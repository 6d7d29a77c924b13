"""Write a file so that a reader sees the old one or the whole new one, never a part.

A temporary file beside the target, fsync, rename, fsync of the folder. Everything Alphadrop leaves on a disk goes
through here.
"""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
from collections.abc import Callable, Iterable
from pathlib import Path

from alphadrop.errors import writing_failed

__all__ = ["is_temporary", "sweep", "sync_folder", "write", "write_text"]

_PREFIX = ".alphadrop-"
_SUFFIX = ".part"
_NO_HARD_LINKS = {errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK}


def write(
    target: Path,
    chunks: Iterable[bytes],
    *,
    replace: bool,
    mode: int = 0o666,
    before_rename: Callable[[os.stat_result], None] | None = None,
) -> os.stat_result:
    """Write `chunks` to `target` in one visible step and make it durable.

    Args:
        target: the final name; its folder must exist.
        chunks: the content, written one after the other.
        replace: whether an existing target may be replaced. Without it the first to arrive keeps the name.
        mode: permission bits, reduced by the umask as for any new file.
        before_rename: called with the stat of the new content when that is safe on the disk and not yet visible; what
            it raises stops the write.

    Returns:
        The stat of the file that now has the name.

    Raises:
        TargetExists: something has the name and `replace` is false.
        DiskFull, CannotWrite: the file system refused; nothing is left behind.
    """
    temporary = target.with_name(f"{_PREFIX}{secrets.token_hex(8)}{_SUFFIX}")
    try:
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0), mode)
        try:
            with os.fdopen(descriptor, "wb") as stream:
                stream.writelines(chunks)
                stream.flush()
                os.fsync(stream.fileno())
                written = os.fstat(stream.fileno())
            if before_rename is not None:
                before_rename(written)
            _rename(temporary, target, replace=replace)
        except BaseException:
            with contextlib.suppress(OSError):
                os.unlink(temporary)
            raise
        sync_folder(target.parent)
    except OSError as error:
        raise writing_failed(target, error) from error
    return written


def write_text(target: Path, text: str, *, replace: bool = True, mode: int = 0o666) -> None:
    """Write UTF-8 text as `write` does."""
    write(target, [text.encode("utf-8")], replace=replace, mode=mode)


def is_temporary(name: str) -> bool:
    """Return whether a file name is that of a temporary of ours."""
    return name.startswith(_PREFIX) and name.endswith(_SUFFIX)


def sweep(folder: Path) -> int:
    """Remove the temporaries a crash left in `folder` (not below it); return how many."""
    removed = 0
    with contextlib.suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            if is_temporary(entry.name) and entry.is_file(follow_symlinks=False):
                with contextlib.suppress(OSError):
                    os.unlink(entry.path)
                    removed += 1
    return removed


def _rename(temporary: Path, target: Path, *, replace: bool) -> None:
    if replace:
        os.replace(temporary, target)
        return
    try:
        os.link(temporary, target, follow_symlinks=False)
    except OSError as error:
        if error.errno not in _NO_HARD_LINKS:
            raise
        # FAT, exFAT and some shares have no hard links: the check and the rename are two steps there.
        if os.path.lexists(target):
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(target)) from error
        os.rename(temporary, target)
        return
    os.unlink(temporary)


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
