"""What Alphadrop writes outside its own folders is written down, so that exactly that can be taken back.

A file that somebody has changed since, or that was never ours, is left. Folders that had to be made are removed again
when nothing is in them.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import stat
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from enum import Enum
from pathlib import Path
from typing import Literal

from alphadrop import atomic
from alphadrop.errors import reading_failed, removing_failed, writing_failed

__all__ = ["Done", "Group", "Piece", "Record", "State"]

_ENOUGH = 1 << 24
"""Bytes of a file that are read: what is written here is far smaller."""

Group = Literal["autostart", "desktop"]
Kind = Literal["file", "link", "edited"]


class State(Enum):
    """How a piece is found."""

    ABSENT = "absent"
    """Nothing of that name."""
    CURRENT = "current"
    """What would be written now."""
    OLDER = "older"
    """As it was written once, by another Alphadrop or with other choices."""
    CHANGED = "changed"
    """Written once, and changed by somebody since."""
    FOREIGN = "foreign"
    """Never written by Alphadrop."""


@dataclass(frozen=True, slots=True)
class Piece:
    """One file, or one symbolic link, to be written."""

    path: Path
    content: bytes
    """Of a link: where it leads."""
    kind: Literal["file", "link"] = "file"
    mode: int = 0o644

    @property
    def digest(self) -> str:
        """What tells its content from any other."""
        return _digest(self.content)


@dataclass(frozen=True, slots=True)
class Done:
    """What became of one path."""

    path: Path
    what: Literal["wrote", "kept", "removed", "mended", "left"]
    """`kept`: it was as it should be; `mended`: what was ours was taken out of a file of the user's."""
    why: str = ""
    """Of what was left."""


@dataclass(frozen=True, slots=True)
class _Row:
    path: str
    group: Group
    kind: Kind
    digest: str
    """Of what was written; of an edited file, of what it was before."""
    existed: bool = False
    """Whether an edited file was there before."""
    modified_ns: int = 0
    """When it had been changed last, then."""
    mode: int = 0
    """Its permission bits, then."""


class Record:
    """What has been written, in a file of Alphadrop's own."""

    def __init__(self, file: Path) -> None:
        """Read the record; where there is none, or none that can be understood, nothing has been written.

        Raises:
            CannotRead: it is there and cannot be read.
        """
        self._file = file
        self._rows: dict[str, _Row] = {}
        self._folders: list[str] = []
        """Made for what was written."""
        try:
            told = json.loads(file.read_bytes())
            self._rows = {row["path"]: _Row(**row) for row in told["written"]}
            self._folders = [str(folder) for folder in told["folders"]]
        except FileNotFoundError:
            pass
        except OSError as error:
            raise reading_failed(file, error) from error
        except (ValueError, TypeError, KeyError, AttributeError):
            self._rows, self._folders = {}, []

    def state(self, piece: Piece) -> State:
        """Say how a piece is found.

        Raises:
            CannotRead: something is there and cannot be read.
        """
        found = _read(piece.path)
        if found is None:
            return State.ABSENT
        if found == (piece.kind, piece.content):
            return State.CURRENT
        row = self._rows.get(str(piece.path))
        if row is None:
            return State.FOREIGN
        return State.OLDER if (found[0], _digest(found[1])) == (row.kind, row.digest) else State.CHANGED

    def write(self, group: Group, piece: Piece) -> Done:
        """Put a piece in its place, unless something has it that is not as it was written.

        Raises:
            CannotRead, CannotWrite, DiskFull: the file system refused.
        """
        state = self.state(piece)
        if state is State.FOREIGN:
            return Done(piece.path, "left", "it is not Alphadrop's; move it away, then do this again")
        if state is State.CHANGED:
            return Done(piece.path, "left", "it was changed since; to have it as it was, remove it and do this again")
        self._note(_Row(str(piece.path), group, piece.kind, piece.digest))
        if state is State.CURRENT:
            return Done(piece.path, "kept")
        if piece.kind == "link":
            _link(piece)
        else:
            atomic.sweep(piece.path.parent)
            atomic.write(piece.path, [piece.content], replace=state is State.OLDER, mode=piece.mode)
        return Done(piece.path, "wrote")

    def take_back(self, group: Group, known: Iterable[Piece] = (), keep: Iterable[Piece] = ()) -> Iterator[Done]:
        """Remove what was written for something, and yield what became of each.

        Args:
            group: what it was written for.
            known: what would be written now: it is ours also where the record was lost.
            keep: what is to stay.

        Raises:
            CannotWrite: the record cannot be kept.
        """
        for piece in known:
            if str(piece.path) not in self._rows and self.state(piece) is State.CURRENT:
                self._rows[str(piece.path)] = _Row(str(piece.path), group, piece.kind, piece.digest)
        staying = {str(piece.path) for piece in keep}
        ours = [row for row in self._rows.values() if row.group == group and row.kind != "edited"]
        for row in [row for row in reversed(ours) if row.path not in staying]:
            done = _remove(row)
            if done is not None:
                yield done
            if done is None or done.what == "removed":
                self._forget(row)

    # Files of the user's ----------------------------------------------------------------------------------------------

    def remember(self, group: Group, path: Path, base: bytes) -> None:
        """Note how a file of the user's is before it is edited, and make its folder.

        Args:
            group: what it is edited for.
            path: of the file.
            base: what counts as nothing where there is no file yet.

        Raises:
            CannotRead, CannotWrite, DiskFull: the file system refused.
        """
        if str(path) in self._rows:
            return
        found = _read(path)
        if found is None:
            self._note(_Row(str(path), group, "edited", _digest(base)))
        else:
            was, digest = os.stat(path), _digest(found[1])
            mode = stat.S_IMODE(was.st_mode)
            self._note(_Row(str(path), group, "edited", digest, True, was.st_mtime_ns, mode))

    def settle(self, path: Path) -> Done | None:
        """Give a file its old time of change and permissions, or remove it, where nothing of ours is in it any more.

        Returns:
            What became of it; None where it was never edited.
        """
        row = self._rows.get(str(path))
        if row is None:
            return None
        found = _read(path)
        done = Done(path, "mended")
        try:
            if found is not None and _digest(found[1]) == row.digest:
                if row.existed:
                    os.chmod(path, row.mode)
                    os.utime(path, ns=(os.stat(path).st_atime_ns, row.modified_ns))
                else:
                    os.unlink(path)
                    done = Done(path, "removed")
        except OSError as error:
            raise writing_failed(path, error) from error
        self._forget(row)
        return done

    # The record itself ------------------------------------------------------------------------------------------------

    def _note(self, row: _Row) -> None:
        """Write down what is about to be written, and make its folder."""
        folder = Path(row.path).parent
        self._rows[row.path] = row
        self._folders += [each for each in _missing(folder) if each not in self._folders]
        self._save()
        _make(folder)

    def _forget(self, row: _Row) -> None:
        """Write down that something is not there any more, and remove the folders that were made for it."""
        del self._rows[row.path]
        if not self._rows:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(self._file)
        for folder in sorted(self._folders, key=len, reverse=True):
            try:
                os.rmdir(folder)
            except FileNotFoundError:
                pass
            except OSError:  # something is in it
                continue
            self._folders.remove(folder)
        if self._rows:
            self._save()

    def _save(self) -> None:
        folder = self._file.parent
        self._folders += [each for each in _missing(folder) if each not in self._folders]
        _make(folder)
        told = {"written": [asdict(row) for row in self._rows.values()], "folders": self._folders}
        atomic.write_text(self._file, json.dumps(told, indent=1), mode=0o600)


def _read(path: Path) -> tuple[str, bytes] | None:
    """Return what kind of thing a path is, with its content; None where it is nothing."""
    try:
        kind = os.lstat(path).st_mode
        if stat.S_ISLNK(kind):
            return "link", os.fsencode(os.readlink(path))
        if not stat.S_ISREG(kind):
            return "other", b""
        with open(path, "rb") as stream:
            return "file", stream.read(_ENOUGH)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise reading_failed(path, error) from error


def _remove(row: _Row) -> Done | None:
    """Remove what was written, unless it is something else now; None where it is gone already."""
    path = Path(row.path)
    found = _read(path)
    if found is None:
        return None
    if found[0] != row.kind or _digest(found[1]) != row.digest:
        return Done(path, "left", "it was changed since; remove it by hand")
    try:
        os.unlink(path)
    except OSError as error:
        raise removing_failed(path, error) from error
    return Done(path, "removed")


def _link(piece: Piece) -> None:
    try:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(piece.path)
        os.symlink(os.fsdecode(piece.content), piece.path)
        atomic.sync_folder(piece.path.parent)
    except OSError as error:
        raise writing_failed(piece.path, error) from error


def _missing(folder: Path) -> list[str]:
    """Return the folders that are not there, those above others first."""
    return [str(each) for each in reversed((folder, *folder.parents)) if not os.path.lexists(each)]


def _make(folder: Path) -> None:
    try:
        atomic.make_folder(folder)
    except OSError as error:
        raise writing_failed(folder, error) from error


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
