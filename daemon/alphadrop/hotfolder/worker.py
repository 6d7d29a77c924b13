"""Rows of the ledger to outputs on the disk, one after the other; every way it can go wrong has its place."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePath

from alphadrop import atomic
from alphadrop.engine.cutout import Cut, Engine
from alphadrop.errors import (
    AlphadropError,
    CannotWrite,
    InputChanged,
    LedgerError,
    ModelError,
    TargetExists,
    printable,
    reading_failed,
    writing_failed,
)
from alphadrop.hotfolder.ledger import Ledger, Row
from alphadrop.hotfolder.naming import Kind, kinds, names
from alphadrop.hotfolder.scan import has_writer, is_at, look_at, open_input
from alphadrop.hotfolder.settings import FolderSettings
from alphadrop.hotfolder.stability import Content

__all__ = ["Worker"]

_log = logging.getLogger(__name__)
_LONGEST_WAIT = 300.0
"""Seconds between two attempts at a file that failed for a passing reason."""
_LONGEST_LOOK = 10.0
"""Seconds between two looks at a file that somebody has open for writing."""


class _Skipped(Exception):
    """Something that is not ours has the output's name, and the settings say to leave it."""


@dataclass(frozen=True, slots=True)
class _Job:
    row: Row
    settings: FolderSettings
    descriptor: int

    @property
    def path(self) -> Path:
        return self.row.folder / self.row.path

    @property
    def name(self) -> str:
        return printable(self.path)

    def refuse_if_changed(self) -> None:
        """Raise InputChanged where the file read is no longer the one that was noted, or no longer at its path."""
        status = os.fstat(self.descriptor)
        read = Content(status.st_size, status.st_mtime_ns)
        if read != self.row.content or not is_at(self.row.folder, self.row.path, self.descriptor):
            raise InputChanged(f"{self.name}: changed while it was read", "it is cut again when it has settled")
        if has_writer(self.descriptor):
            raise InputChanged(f"{self.name}: is open for writing", "it is cut when whoever writes has closed it")


class Worker:
    """Takes due rows and does them."""

    def __init__(
        self,
        engine: Engine,
        ledger: Ledger,
        folders: Mapping[Path, FolderSettings],
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Make a worker.

        Args:
            engine: that cuts.
            ledger: that says what is to be done.
            folders: the settings by input folder.
            clock: wall clock, seconds since the epoch.
        """
        self._engine = engine
        self._ledger = ledger
        self._folders = folders
        self._clock = clock

    def work(self) -> bool:
        """Do the next row that is due; return whether there was one.

        Raises:
            LedgerError: what became of it could not be recorded.
        """
        row = self._ledger.take(self._folders, self._clock())
        if row is None:
            return False
        name = printable(row.folder / row.path)
        try:
            self._do(row, self._folders[row.folder])
        except InputChanged as error:
            self._look_again(row, error)
        except LedgerError:
            raise  # nothing can be recorded now; the row is put back when that is possible again
        except AlphadropError as error:
            self._failed(row, error)
        except Exception as error:
            _log.exception("%s: failed in a way that was not foreseen", name)
            self._ledger.fail(row, "internal", f"{type(error).__name__}: {error}", now=self._clock())
        return True

    def next_due(self) -> float | None:
        """Return in how many seconds the next row is due; None where none is pending."""
        due = self._ledger.next_due(self._folders)
        return None if due is None else max(0.0, due - self._clock())

    def _do(self, row: Row, settings: FolderSettings) -> None:
        if look_at(row.folder, row.path) is None and row.folder.is_dir():
            self._ledger.forget(row)
            _log.info("%s: gone before it was cut", printable(row.folder / row.path))
            return
        descriptor = open_input(row.folder, row.path)
        with os.fdopen(descriptor, "rb") as stream:
            job = _Job(row, settings, descriptor)
            job.refuse_if_changed()
            try:
                cut = self._engine.cut(stream, job.name, settings.cut, model=settings.model)
            except OSError as error:
                raise reading_failed(job.path, error) from error
            except AlphadropError as error:
                if not isinstance(error, ModelError):
                    job.refuse_if_changed()  # damaged because it was being written?
                raise
            for note in cut.photo.warnings:
                _log.warning("%s: %s", job.name, note)
            started = time.perf_counter()
            written, skipped = self._write_all(job, cut) if cut.subject else ([], [])
            job_seconds = {**cut.seconds, "output": time.perf_counter() - started}
        self._ledger.finish(
            row,
            "no_subject" if not cut.subject else "done" if written else "skipped",
            reason="; ".join(skipped),
            now=self._clock(),
            settings=settings.fingerprint(),
            model=cut.model,
            seconds={stage: round(value, 4) for stage, value in job_seconds.items()},
        )
        for reason in skipped:
            _log.info("%s: skipped, %s", job.name, reason)
        if written:
            _log.info("%s -> %s in %.2f s", job.name, ", ".join(map(printable, written)), sum(job_seconds.values()))
        if not cut.subject:
            _log.warning("%s: no subject was found, nothing was written", job.name)

    def _write_all(self, job: _Job, cut: Cut) -> tuple[list[Path], list[str]]:
        """Return the outputs that were written, and why others were not."""
        written, skipped = [], []
        for kind in kinds(job.settings):
            try:
                written.append(self._write(job, cut, kind))
            except _Skipped as reason:
                skipped.append(str(reason))
        return written, skipped

    def _write(self, job: _Job, cut: Cut, kind: Kind) -> Path:
        options = job.settings.cut
        pieces = self._engine.draw_mask(cut, options) if kind == "mask" else self._engine.draw(cut, options)
        while True:
            target, replace = self._target(job, kind)
            self._make_parents(job, target)

            def record(status: os.stat_result, target: Path = target) -> None:
                job.refuse_if_changed()
                # Before the rename: a crash right after it must not leave an output that nobody knows as ours.
                self._ledger.writing(target, Content(status.st_size, status.st_mtime_ns))

            try:
                atomic.write(target, pieces, replace=replace, before_rename=record)
            except TargetExists:
                continue  # somebody took the name since we looked
            self._ledger.wrote(target)
            return target

    def _target(self, job: _Job, kind: Kind) -> tuple[Path, bool]:
        """Return the output's path, claimed for this row, and whether what is there may be replaced."""
        settings, row = job.settings, job.row
        own = self._ledger.claim_by(row.id, kind)
        if own is not None and own.target in self._candidates(job, kind):
            if not os.path.lexists(own.target):
                return own.target, False
            if look_at(own.target.parent, PurePath(own.target.name)) in own.ours:
                return own.target, True
        for target in self._candidates(job, kind):
            claim = self._ledger.claim_of(target)
            if claim is not None and claim.file != row.id:
                continue
            if os.path.lexists(target):
                if settings.if_exists == "skip":
                    raise _Skipped(f"{printable(target)} exists already")
                if settings.if_exists == "number":
                    continue
            self._ledger.claim(target, row.id, kind)
            return target, settings.if_exists == "overwrite"
        raise CannotWrite(f"{job.name}: every name for its output is taken", "tidy the output folder")

    def _candidates(self, job: _Job, kind: Kind) -> Iterator[Path]:
        """Yield the paths an output may have, the best first: of a thousand, the first nearly always does."""
        return (job.settings.output / name for name in names(job.row.path, job.settings, kind))

    def _make_parents(self, job: _Job, target: Path) -> None:
        output = job.settings.output
        if not output.is_dir():
            raise CannotWrite(f"{printable(output)}: the output folder is missing", "make it, or mount its disk")
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
        except FileExistsError as error:
            raise CannotWrite(
                f"{printable(target.parent)}: a file is where a folder should be", "move that file away"
            ) from error
        except OSError as error:
            raise writing_failed(target.parent, error) from error

    def _look_again(self, row: Row, error: InputChanged) -> None:
        """Note the file as it is now, due when it could have settled."""
        content = look_at(row.folder, row.path)
        if content is None:
            self._ledger.forget(row)
            return
        settle = max(self._folders[row.folder].settle, 0.1)
        if content != row.content:
            self._ledger.note(row.folder, row.path, content, self._clock())
            wait = settle
        else:
            wait = min(max(settle, _LONGEST_LOOK), settle * row.attempts)
        if content != row.content or row.attempts == 1:  # somebody may have it open for hours
            _log.info("%s", error)
        self._ledger.postpone(row, error.code, error.message, until=self._clock() + wait)

    def _failed(self, row: Row, error: AlphadropError) -> None:
        name, told = printable(row.folder / row.path), str(error)
        told = told if name in told else f"{name}: {told}"
        if error.transient:
            wait = min(_LONGEST_WAIT, 2.0 ** min(row.attempts, 10))
            self._ledger.postpone(row, error.code, told, until=self._clock() + wait)
            _log.warning("%s; trying again in %.0f s", told, wait)
        else:
            self._ledger.fail(row, error.code, told, now=self._clock())
            _log.error("%s", told)
