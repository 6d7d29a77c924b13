"""Where photographs come from and cut-outs go: a folder, or something behind a URL that acts like one.

A folder needs the standard library only. What is behind `s3://`, `gs://` and `az://` is asked for in `objects.py`,
which is imported for nothing else.
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import BinaryIO, Protocol
from urllib.parse import unquote, urlsplit

from alphadrop import atomic
from alphadrop.errors import (
    BadOptions,
    BatchRunning,
    InputChanged,
    printable,
    reading_failed,
    writing_failed,
)
from alphadrop.hotfolder.marks import Mark, is_untouched, read_mark
from alphadrop.hotfolder.scan import has_writer, is_at, look_at, open_input, walk
from alphadrop.hotfolder.stability import Content

__all__ = ["OWN", "Folder", "Found", "Source", "Store", "is_url", "open_store", "refuse_cycles"]

OWN = ".alphadrop"
"""The folder of ours in a target; hidden, and so never taken for photographs."""
_URL = re.compile(r"[a-z][a-z0-9+.-]+://")


@dataclass(frozen=True, slots=True)
class Found:
    """A file of a store."""

    name: str
    """Its path below the store, with slashes; bytes that are not UTF-8 are surrogates."""
    content: Content


@dataclass(frozen=True, slots=True)
class Source:
    """A photograph that is being read."""

    stream: BinaryIO
    """Seekable, at its start."""
    refuse_if_changed: Callable[[], None]
    """Raises InputChanged where it is no longer what was listed."""


class Store(Protocol):
    """A tree of files with names below it.

    Every method raises CannotRead, CannotWrite, DiskFull or StoreRefused where the store says no.
    """

    @property
    def text(self) -> str:
        """What it is called, so that another process can open it: an absolute path, or a URL."""

    @property
    def appends(self) -> bool:
        """Whether a file can grow, and one process keep others out; else files are only put, whole."""

    def is_there(self) -> bool:
        """Return whether the folder, or anything under the prefix, is there."""

    def walk(self, without: Store | None = None) -> Iterator[Found]:
        """Yield the files that are neither hidden nor in hidden folders, nor in another store inside this one.

        In no order: a list in order is a list in memory.
        """

    def read(self, found: Found) -> AbstractContextManager[Source]:
        """Give a photograph to be read."""

    def peek(self, name: str) -> AbstractContextManager[BinaryIO]:
        """Give a file of whose beginning only a little is wanted."""

    def has(self, name: str) -> bool:
        """Return whether anything has a name."""

    def mark(self, name: str) -> Mark | None:
        """Return what an output says of where it came from; None where it says nothing or was changed since."""

    def put(
        self,
        name: str,
        pieces: Iterable[bytes],
        *,
        replace: bool,
        modified_ns: int | None = None,
        before: Callable[[], None] = lambda: None,
    ) -> int:
        """Write a file whole or not at all; return its size in bytes.

        Args:
            name: of the file; folders that are missing are made.
            pieces: its content.
            replace: whether a file of the name may be replaced; TargetExists where it may not and is there.
            modified_ns: the time of change it is to have, where the store can give one.
            before: called before the file appears; what it raises stops that.
        """

    def append(self, name: str, data: bytes, *, sync: bool) -> None:
        """Add whole lines to a file, made where it is missing; only where the store `appends`.

        Args:
            name: of the file.
            data: what is added, all of it or nothing.
            sync: whether it is to be safe on the disk.
        """

    def names(self, folder: str) -> list[str]:
        """Return the last names of the files in a folder, in order; none where it is missing."""

    def remove(self, name: str) -> None:
        """Remove a file."""

    def lock(self) -> AbstractContextManager[None]:
        """Keep other batches out, where that is possible; BatchRunning where one is in."""


class Folder:
    """A folder of this machine, or of one that is mounted here."""

    appends = True

    def __init__(self, path: Path) -> None:
        """Name a folder; it need not be there yet."""
        self.path = Path(os.path.abspath(path))

    @property
    def text(self) -> str:
        """Its absolute path."""
        return str(self.path)

    def is_there(self) -> bool:
        """See `Store.is_there`."""
        return self.path.exists()

    def walk(self, without: Store | None = None) -> Iterator[Found]:
        """See `Store.walk`; symbolic links are not followed."""
        inside = _identity(without.path) if isinstance(without, Folder) else None
        skipped = frozenset() if inside is None else frozenset({inside})
        for relative, content in walk(self.path, recursive=True, skipped=skipped, in_order=False):
            if not relative.name.startswith("."):
                yield Found(relative.as_posix(), content)

    @contextlib.contextmanager
    def read(self, found: Found) -> Iterator[Source]:
        """See `Store.read`; the file must be the one that was listed, and nobody may be writing it."""
        relative = PurePath(found.name)
        with os.fdopen(open_input(self.path, relative), "rb") as stream:
            descriptor = stream.fileno()

            def refuse_if_changed() -> None:
                status = os.fstat(descriptor)
                same = Content(status.st_size, status.st_mtime_ns) == found.content
                if not same or not is_at(self.path, relative, descriptor) or has_writer(descriptor):
                    raise InputChanged(f"{printable(self.path / relative)}: changes while it is read", "try again")

            refuse_if_changed()
            yield Source(stream, refuse_if_changed)

    @contextlib.contextmanager
    def peek(self, name: str) -> Iterator[BinaryIO]:
        """See `Store.peek`."""
        with os.fdopen(open_input(self.path, PurePath(name)), "rb") as stream:
            yield stream

    def has(self, name: str) -> bool:
        """See `Store.has`."""
        return os.path.lexists(self.path / name)

    def mark(self, name: str) -> Mark | None:
        """See `Store.mark`."""
        mark, there = read_mark(self.path, PurePath(name)), look_at(self.path, PurePath(name))
        return mark if mark is not None and there is not None and is_untouched(mark, there) else None

    def put(
        self,
        name: str,
        pieces: Iterable[bytes],
        *,
        replace: bool,
        modified_ns: int | None = None,
        before: Callable[[], None] = lambda: None,
    ) -> int:
        """See `Store.put`."""
        target = self.path / name
        self._make(target.parent)
        status = atomic.write(
            target, pieces, replace=replace, modified_ns=modified_ns, before_rename=lambda _: before()
        )
        return status.st_size

    def append(self, name: str, data: bytes, *, sync: bool) -> None:
        """See `Store.append`."""
        target = self.path / name
        is_new = not target.exists()
        if is_new:
            self._make(target.parent)
        try:
            with target.open("ab", buffering=0) as stream:
                size = stream.seek(0, os.SEEK_END)
                try:
                    left = memoryview(data)
                    while left:
                        left = left[stream.write(left) :]
                    if sync:
                        os.fsync(stream.fileno())
                except OSError:
                    stream.truncate(size)  # a part of a line would spoil the next one
                    raise
            if is_new:
                atomic.sync_folder(target.parent)
        except OSError as error:
            raise writing_failed(target, error) from error

    def names(self, folder: str) -> list[str]:
        """See `Store.names`."""
        try:
            return sorted(name for name in os.listdir(self.path / folder) if not name.startswith("."))
        except FileNotFoundError:
            return []
        except OSError as error:
            raise reading_failed(self.path / folder, error) from error

    def remove(self, name: str) -> None:
        """See `Store.remove`."""
        try:
            (self.path / name).unlink(missing_ok=True)
        except OSError as error:
            raise writing_failed(self.path / name, error) from error

    @contextlib.contextmanager
    def lock(self) -> Iterator[None]:
        """See `Store.lock`; an end of the process gives it back, however it came."""
        file = self.path / OWN / "lock"
        self._make(file.parent)
        try:
            descriptor = os.open(file, os.O_RDWR | os.O_CREAT, 0o666)
        except OSError as error:
            raise writing_failed(file, error) from error
        try:
            try:
                _take(descriptor)
            except OSError as error:
                if error.errno not in (errno.EAGAIN, errno.EACCES):
                    raise writing_failed(file, error) from error  # a share without locks
                raise BatchRunning(
                    f"{printable(self.path)}: another batch works on this folder",
                    "wait until it has ended, or name another one",
                ) from error
            yield
        finally:
            os.close(descriptor)

    def _make(self, folder: Path) -> None:
        try:
            atomic.make_folder(folder)
        except OSError as error:
            raise writing_failed(folder, error) from error


def is_url(text: str) -> bool:
    """Return whether a text names something by a URL, not a folder by its path."""
    return _URL.match(text) is not None


def open_store(text: str) -> Store:
    """Return the store that a path or a URL names.

    Raises:
        BadOptions: it is a URL of a kind that is not known.
        ScaleMissing: object stores need an extra that is not installed.
        StoreRefused: an object store says no.
    """
    if not is_url(text):
        return Folder(Path(text).expanduser())
    parts = urlsplit(text)
    if parts.scheme == "file":
        if parts.netloc not in ("", "localhost"):
            raise BadOptions(f"{printable(text)}: files of another machine are not reached so", "mount it, or file:///")
        return Folder(Path(unquote(parts.path, errors="surrogateescape")))
    from alphadrop.scale import objects

    return objects.open_bucket(text)


def refuse_cycles(source: Store, target: Store) -> None:
    """Raise BadOptions where outputs would lie among the photographs; a target inside the source is passed over."""
    if isinstance(source, Folder) and isinstance(target, Folder):
        inner, outer = Path(os.path.realpath(source.path)), Path(os.path.realpath(target.path))
        inside = inner == outer or outer in inner.parents
    else:
        inside = f"{source.text}/".startswith(f"{target.text}/")
    if inside:
        raise BadOptions(
            f"{printable(target.text)}: the photographs lie in it, and cut-outs would come among them",
            "name another target; it may lie inside the source",
        )


def _identity(path: Path) -> tuple[int, int] | None:
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino


def _take(descriptor: int) -> None:
    """Take the lock of an open file; raise OSError where another process has it."""
    if sys.platform == "win32":
        import msvcrt

        msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
    else:
        import fcntl

        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
