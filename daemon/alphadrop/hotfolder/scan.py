"""What is really in a folder: a walk that follows no link and opens nothing but regular files.

Events may be lost, doubled or late; this is the truth they hint at. Folders others may write to are hostile ground, so
every step is made relative to a descriptor and refuses symbolic links.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePath

from alphadrop.errors import CannotRead, printable, reading_failed
from alphadrop.hotfolder.mounts import refuses_leases
from alphadrop.hotfolder.stability import Content

__all__ = ["has_writer", "is_at", "look_at", "open_input", "walk"]

_NO_LINK = getattr(os, "O_NOFOLLOW", 0)
_DIRECTORY = getattr(os, "O_DIRECTORY", 0)
_OPEN_FILE = os.O_RDONLY | _NO_LINK | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
_BY_DESCRIPTOR = os.open in os.supports_dir_fd


def walk(
    root: Path, *, recursive: bool, skipped: frozenset[tuple[int, int]] = frozenset(), in_order: bool = True
) -> Iterator[tuple[PurePath, Content]]:
    """Yield every regular file below a folder with what it is like, those of a folder before those of its sub-folders.

    Args:
        root: the folder.
        recursive: whether to go into its sub-folders; hidden ones and links never are.
        skipped: device and inode of folders to leave out, such as an output folder inside its input.
        in_order: whether files come in the order of names, for which all names of a folder are in memory at once; else
            as the disk has them, and memory stays the same for ten files and for a million.

    Raises:
        CannotRead: the folder itself cannot be listed, or one below fails meanwhile. One below that cannot be opened is
            passed over.
    """
    top = os.path.join(root, "")  # with its slash, a folder that is itself a link is gone into
    open_folders: list[_Folder] = []
    try:
        open_folders.append(
            _Folder(top, PurePath(), os.open(top, os.O_RDONLY | _DIRECTORY) if _BY_DESCRIPTOR else None)
        )
        yield from open_folders[0].files(skipped, in_order=in_order)
        while recursive and open_folders:
            below = open_folders[-1].enter_next()
            if below is not None:
                open_folders.append(below)
                yield from below.files(skipped, in_order=in_order)
            elif not open_folders[-1].subfolders:
                open_folders.pop().close()
    except OSError as error:
        raise reading_failed(root, error) from error
    finally:
        for folder in open_folders:
            folder.close()


@dataclass(frozen=True, slots=True)
class _Folder:
    """A folder that is being walked, reached without a link."""

    path: str
    relative: PurePath
    """Its path below the one where the walk began."""
    descriptor: int | None
    """None where systems have none."""
    subfolders: list[str] = field(default_factory=list)
    """Still to be gone into, the last one first; known when its files are."""

    def files(self, skipped: frozenset[tuple[int, int]], *, in_order: bool) -> Iterator[tuple[PurePath, Content]]:
        with os.scandir(self.path if self.descriptor is None else self.descriptor) as entries:
            names = (entry.name for entry in entries)
            for name in sorted(names) if in_order else names:
                status = _status(self.path, name, self.descriptor)
                if status is None:
                    continue
                if stat.S_ISREG(status.st_mode):
                    yield self.relative / name, Content(status.st_size, status.st_mtime_ns)
                elif stat.S_ISDIR(status.st_mode):
                    is_skipped = (status.st_dev, status.st_ino) in skipped
                    if not name.startswith(".") and not is_skipped:
                        self.subfolders.append(name)
        self.subfolders.sort(reverse=True)

    def enter_next(self) -> _Folder | None:
        """Open the next sub-folder; None where there is none, or where it cannot be opened."""
        if not self.subfolders:
            return None
        name = self.subfolders.pop()
        path, relative = os.path.join(self.path, name), self.relative / name
        try:
            if self.descriptor is None:
                os.scandir(path).close()
                return _Folder(path, relative, None)
            return _Folder(path, relative, os.open(name, os.O_RDONLY | _DIRECTORY | _NO_LINK, dir_fd=self.descriptor))
        except OSError:
            return None

    def close(self) -> None:
        if self.descriptor is not None:
            os.close(self.descriptor)


def look_at(root: Path, relative: PurePath) -> Content | None:
    """Return what a file is like now; None where it is gone or is no regular file reached without a link."""
    with contextlib.suppress(OSError), _parent(root, relative) as parent:
        status = _status(str(root / relative.parent), relative.name, parent)
        if status is not None and stat.S_ISREG(status.st_mode):
            return Content(status.st_size, status.st_mtime_ns)
    return None


def is_at(root: Path, relative: PurePath, descriptor: int) -> bool:
    """Return whether an open file is still the one that its path leads to, without a link."""
    with contextlib.suppress(OSError), _parent(root, relative) as parent:
        there = _status(str(root / relative.parent), relative.name, parent)
        return there is not None and os.path.samestat(there, os.fstat(descriptor))
    return False


def open_input(root: Path, relative: PurePath) -> int:
    """Open a file for reading; return its descriptor.

    Raises:
        CannotRead: gone, forbidden, a link, or no regular file.
    """
    path = root / relative
    try:
        with _parent(root, relative) as parent:
            if parent is None:
                descriptor = os.open(path, _OPEN_FILE)
            else:
                descriptor = os.open(relative.name, _OPEN_FILE, dir_fd=parent)
    except OSError as error:
        raise reading_failed(path, error) from error
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise CannotRead(f"{printable(path)}: is not a regular file", "folders, pipes and devices are left alone")
    return descriptor


def has_writer(descriptor: int) -> bool:
    """Return whether somebody has the file open for writing, as far as the system tells (Linux, local files of ours).

    A read lease is granted only where nobody writes; it is given back at once. Whoever opens the file for writing in
    that instant waits for us, and the kernel's signal about it must be ignored by the process.
    """
    if sys.platform != "linux" or refuses_leases(os.fstat(descriptor).st_dev):
        return False
    import fcntl

    try:
        fcntl.fcntl(descriptor, fcntl.F_SETLEASE, fcntl.F_RDLCK)
    except OSError as error:
        return error.errno == errno.EAGAIN
    fcntl.fcntl(descriptor, fcntl.F_SETLEASE, fcntl.F_UNLCK)
    return False


def _status(folder: str, name: str, descriptor: int | None) -> os.stat_result | None:
    try:
        if descriptor is None:
            return os.stat(os.path.join(folder, name), follow_symlinks=False)
        return os.stat(name, dir_fd=descriptor, follow_symlinks=False)
    except OSError:
        return None


@contextlib.contextmanager
def _parent(root: Path, relative: PurePath) -> Iterator[int | None]:
    """Give a descriptor of the folder a file is in, reached without following a link; None where systems have none."""
    if not _BY_DESCRIPTOR:
        yield None
        return
    descriptor = os.open(root, os.O_RDONLY | _DIRECTORY)
    try:
        for part in relative.parts[:-1]:
            below = os.open(part, os.O_RDONLY | _DIRECTORY | _NO_LINK, dir_fd=descriptor)
            os.close(descriptor)
            descriptor = below
        yield descriptor
    finally:
        os.close(descriptor)
