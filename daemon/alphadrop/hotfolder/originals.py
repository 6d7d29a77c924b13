"""What becomes of a photograph after it has been cut, or could not be: moved, deleted, brought back.

Nothing is moved or deleted while somebody has it open for writing, nor when it is no longer what was read. A
photograph is at every moment in its old place, or in its new one, or on its way beside the old one under a hidden name
that tells its own.
"""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path, PurePath
from typing import Literal

from alphadrop import atomic
from alphadrop.errors import (
    AlphadropError,
    CannotRead,
    CannotWrite,
    FileError,
    JobRefused,
    TargetExists,
    printable,
    reading_failed,
    writing_failed,
)
from alphadrop.hotfolder.answers import Answers
from alphadrop.hotfolder.ledger import Ledger, Row
from alphadrop.hotfolder.mounts import disk_is_away
from alphadrop.hotfolder.naming import fitted
from alphadrop.hotfolder.scan import has_writer, is_at, look_at, open_input, walk
from alphadrop.hotfolder.settings import FolderSettings
from alphadrop.hotfolder.stability import Content

__all__ = ["bring_back", "put_away", "settle_interrupted"]

_log = logging.getLogger(__name__)
_NUMBERS = 10_000
_ASIDE = re.compile(r"\.alphadrop-aside--?\d+-(.+)", re.DOTALL)
_LONGEST_REASON = 65_536
_ANOTHER_THING = {errno.ELOOP, errno.ENOTDIR, errno.ENOENT, errno.ENXIO}
"""What opening says of a link, a pipe, or nothing at all where a photograph was."""
_NO_WAITING = getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_NOFOLLOW", 0)


def put_away(row: Row, settings: FolderSettings, ledger: Ledger, copied: Callable[[], object] = lambda: None) -> bool:
    """Move or delete a photograph as the settings say; return whether that is settled.

    False says that somebody has it open for writing. First it gets a hidden name beside its own: whoever opens or
    replaces it from then on makes a new file, and whoever did so before is found out, and it gets its name back.

    Args:
        row: the photograph's.
        settings: of its folder.
        ledger: that is told what becomes of it.
        copied: called after each piece, where it has to be copied to another disk.

    Raises:
        FileError: it cannot be moved or deleted now, and has its name back.
        LedgerError: nothing can be recorded.
    """
    destination = settings.failed if row.state == "failed" else settings.finished
    deleting = row.state == "done" and settings.originals == "delete"
    aside = _aside(row)
    is_aside = os.path.lexists(aside)  # as a crash left it
    if is_aside and not _is_as_noted(row, aside):
        _give_back(aside, row.file)
        is_aside = False
    if not deleting and (destination is None or (row.state == "done" and settings.originals != "move")):
        if is_aside:
            _give_back(aside, row.file)
        ledger.settle_original(row, "")  # the settings have changed since
        return True
    if is_aside:
        if not ledger.let_original_go(row) or _is_written_to(aside):
            _give_name_back(row, aside, ledger)
            return False
    elif _is_gone(row.file):
        _refuse_unless_there(row.folder, ledger)
        _settle_gone(row, ledger, deleting=deleting)
        return True
    else:
        if destination is not None and not deleting:
            _refuse_unless_there(destination, ledger)
        taken = _take_aside(row, aside, ledger)
        if taken != "taken":
            if taken == "changed":
                ledger.settle_original(row, "")
            return taken == "changed"
    try:
        if deleting:
            _unlink(aside)
            with ledger.durably():
                ledger.settle_original(row, "deleted")
            _log.info("%s: the original was deleted", printable(row.file))
        elif destination is not None:
            _refuse_unless_there(destination, ledger)
            _move(row, aside, destination, ledger, copied)
    except AlphadropError:
        with contextlib.suppress(FileError):  # it may be gone already, and only not recorded
            _give_name_back(row, aside, ledger)
        raise
    return True


def settle_interrupted(settings: FolderSettings, ledger: Ledger, answers: Answers) -> None:
    """Find what a crash left on its way out of a folder or back into it, before anything new in it is noted.

    Args:
        settings: of the folder.
        ledger: that knows what is on its way.
        answers: told of every file that was seen.

    Raises:
        CannotRead: the folder cannot be listed.
        LedgerError: nothing can be recorded.
    """
    stranded: dict[Path, Row] = {}
    for row in ledger.interrupted(settings.input):
        if row.original == "going":
            stranded[_aside(row)] = row
        else:
            is_back = not _is_gone(row.file) and _is_as_noted(row, row.file)
            ledger.settle_original(row, "" if is_back else "moved", row.original_at)
    for path, _ in answers.each(walk(settings.input, recursive=settings.recursive)):
        if atomic.is_temporary(path.name):
            atomic.sweep((settings.input / path).parent)
        elif name := _ASIDE.fullmatch(path.name):
            aside = settings.input / path
            try:
                _settle_aside(aside, aside.with_name(name[1]), stranded.get(aside), settings, ledger)
            except FileError as error:
                _log.warning("%s: an original on its way cannot go on now: %s", printable(aside), error)


def _settle_aside(aside: Path, file: Path, row: Row | None, settings: FolderSettings, ledger: Ledger) -> None:
    """Give a photograph its name back where nobody knows whither it was to go; else only where its name is taken."""
    if row is None:
        # Asked only now: whoever is putting one away has recorded it before it got this name.
        if not any(_aside(each) == aside for each in ledger.to_go()):
            _give_back(aside, file)
    elif os.path.lexists(row.file):  # by another photograph, before which it must be out of the way
        put_away(row, settings, ledger)


def _refuse_unless_there(destination: Path, ledger: Ledger) -> None:
    if not os.path.isdir(destination):
        raise CannotWrite(f"{printable(destination)}: the folder is missing", "make it, or mount its disk")
    if disk_is_away(destination, ledger):
        raise CannotWrite(f"{printable(destination)}: its disk is not mounted", "mount it; it goes on by itself")


def _take_aside(row: Row, aside: Path, ledger: Ledger) -> Literal["taken", "in use", "changed"]:
    """Give a photograph its hidden name, if it is still what was read and nobody writes to it."""
    try:
        descriptor = open_input(row.folder, row.path)
    except CannotRead as error:
        if isinstance(error.__cause__, OSError) and error.__cause__.errno not in _ANOTHER_THING:
            raise
        return "changed"
    try:
        if has_writer(descriptor):
            return "in use"
        if not _is_unchanged(row, descriptor) or not is_at(row.folder, row.path, descriptor):
            return "changed"
        if not ledger.let_original_go(row):
            return "changed"
        try:
            os.rename(row.file, aside)
        except OSError as error:
            ledger.keep_original(row)
            raise writing_failed(row.file, error) from error
        found: Literal["taken", "in use", "changed"] = "changed"
        with contextlib.suppress(OSError):
            moved = os.path.samestat(os.lstat(aside), os.fstat(descriptor))
            if moved and _is_unchanged(row, descriptor):
                found = "in use" if has_writer(descriptor) else "taken"
        if found != "taken":
            _give_name_back(row, aside, ledger)
        return found
    finally:
        os.close(descriptor)


def bring_back(row: Row, ledger: Ledger) -> None:
    """Move a photograph back to where it was dropped.

    Raises:
        JobRefused: it was not moved away, or is not where it was moved to.
        TargetExists: another photograph has its place.
        CannotRead, CannotWrite, DiskFull: the file system refused.
        LedgerError: nothing can be recorded.
    """
    at = row.original_at
    if row.original != "moved" or at is None:
        raise JobRefused(f"{printable(row.file)}: was not moved away", "see what was with: alphadrop jobs")
    content = look_at(at.parent, PurePath(at.name))
    if content is None:
        raise JobRefused(f"{printable(at)}: is no longer there", "look for it where you moved it")
    _make_parents(row.folder, row.file)
    with ledger.durably():  # before it is there: else it would be taken for dropped again
        ledger.expect_original(row, content)
    try:
        atomic.move(at, row.file)
    except BaseException:
        ledger.settle_original(replace(row, content=content), "moved", at)
        raise
    if row.state == "failed":
        _remove_why(at, row.reason)
    there = look_at(row.folder, row.path)
    if there is not None and there != content:  # not every file system keeps a time of change to the nanosecond
        ledger.expect_original(row, there)
    ledger.settle_original(replace(row, content=there or content), "")
    _log.info("%s: brought back", printable(row.file))


def _move(row: Row, aside: Path, destination: Path, ledger: Ledger, copied: Callable[[], object]) -> None:
    if _has_arrived(row):  # and a crash left it here as well
        _unlink(aside)
        with ledger.durably():
            ledger.settle_original(row, "moved", row.original_at)
        return
    for target in _names(destination / row.path):
        if os.path.lexists(target):
            continue
        _make_parents(destination, target)
        with ledger.durably():  # a crash right after the move must not leave it unknown where the photograph is
            ledger.aim_original(row, target)
        try:
            if row.state == "failed":
                _write_why(target, row.reason)
            atomic.move(aside, target, copied)
        except TargetExists:
            continue
        finally:
            if row.state == "failed" and not os.path.lexists(target):
                _remove_why(target, row.reason)
        with ledger.durably():
            ledger.settle_original(row, "moved", target)
        _log.info("%s: the original was moved to %s", printable(row.file), printable(target))
        return
    raise CannotWrite(f"{printable(row.file)}: every name for it is taken", f"tidy {printable(destination)}")


def _write_why(target: Path, reason: str) -> None:
    """Write the reason beside the place of a photograph; raise TargetExists where somebody else's file is there."""
    try:
        atomic.write_text(_why_file(target), f"{reason}\n", replace=False)
    except TargetExists:
        if not _says(_why_file(target), reason):
            raise


def _remove_why(target: Path, reason: str) -> None:
    with contextlib.suppress(OSError):
        if _says(_why_file(target), reason):
            _why_file(target).unlink()


def _says(file: Path, reason: str) -> bool:
    """Return whether a file is the one that gives this reason: any other belongs to somebody else."""
    try:
        with open(os.open(file, os.O_RDONLY | _NO_WAITING), "rb") as stream:
            return stream.read(_LONGEST_REASON) == f"{reason}\n".encode()
    except OSError:
        return False


def _give_back(aside: Path, file: Path) -> None:
    """Give a photograph its name back; a numbered one where another has taken it meanwhile."""
    for name in _names(file):
        with contextlib.suppress(TargetExists):
            atomic.move(aside, name)
            return
    raise CannotWrite(f"{printable(file)}: every name for it is taken", f"it is {printable(aside)} now")


def _give_name_back(row: Row, aside: Path, ledger: Ledger) -> None:
    _give_back(aside, row.file)
    if _is_as_noted(row, row.file):
        ledger.keep_original(row)


def _settle_gone(row: Row, ledger: Ledger, *, deleting: bool) -> None:
    """Record what became of a photograph that is not there: a crash may have come between deed and record."""
    if _has_arrived(row):
        ledger.settle_original(row, "moved", row.original_at)
    else:
        ledger.settle_original(row, "deleted" if deleting else "")


def _has_arrived(row: Row) -> bool:
    """Return whether a photograph is where it was about to be moved to."""
    at = row.original_at
    return at is not None and not _is_gone(at) and _is_as_noted(row, at)


def _is_gone(file: Path) -> bool:
    """Return whether nothing has a name; raise CannotRead where that cannot be seen."""
    try:
        os.lstat(file)
    except (FileNotFoundError, NotADirectoryError):
        return True
    except OSError as error:
        raise reading_failed(file, error) from error
    return False


def _is_written_to(file: Path) -> bool:
    descriptor = open_input(file.parent, PurePath(file.name))
    try:
        return has_writer(descriptor)
    finally:
        os.close(descriptor)


def _unlink(file: Path) -> None:
    try:
        file.unlink()
        atomic.sync_folder(file.parent)
    except OSError as error:
        raise writing_failed(file, error) from error


def _is_unchanged(row: Row, descriptor: int) -> bool:
    status = os.fstat(descriptor)
    return Content(status.st_size, status.st_mtime_ns) == row.content


def _is_as_noted(row: Row, file: Path) -> bool:
    return look_at(file.parent, PurePath(file.name)) == row.content


def _aside(row: Row) -> Path:
    """Return the hidden name: the same after a crash, another for another content; it tells the photograph's own."""
    return row.file.with_name(fitted(f".alphadrop-aside-{row.content.mtime_ns}-{row.file.stem}", row.file.suffix))


def _names(target: Path) -> Iterator[Path]:
    yield target
    for number in range(2, _NUMBERS):
        yield target.with_name(fitted(target.stem, f"-{number}{target.suffix}"))


def _why_file(target: Path) -> Path:
    return target.with_name(fitted(target.name, ".txt"))


def _make_parents(root: Path, target: Path) -> None:
    if not os.path.isdir(root):
        raise reading_failed(root, FileNotFoundError(2, "the folder is missing"))
    try:
        atomic.make_folder(target.parent)
    except OSError as error:
        raise writing_failed(target.parent, error) from error
