"""Rows of the ledger to outputs on the disk; every way it can go wrong has its place.

Several threads may work at once. Folders take turns, so that ten thousand files in one do not keep another waiting. A
reason that passes and concerns a whole folder (its disk is full) holds up the folder, and one of its files tries again.
"""

from __future__ import annotations

import contextlib
import io
import logging
import math
import os
import threading
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePath

from alphadrop import atomic
from alphadrop.engine.cancellation import Cancellation
from alphadrop.errors import (
    AlphadropError,
    Cancelled,
    CannotRead,
    CannotWrite,
    CrashesDecoder,
    DiskFull,
    FileError,
    InputChanged,
    LedgerError,
    ModelError,
    TargetExists,
    printable,
    reading_failed,
    writing_failed,
)
from alphadrop.hotfolder.answers import Answers, AskedFile
from alphadrop.hotfolder.ledger import Ledger, Row
from alphadrop.hotfolder.marks import Mark, folder_tag, is_untouched, read_mark, to_xmp
from alphadrop.hotfolder.mounts import disk_is_away
from alphadrop.hotfolder.naming import kinds, names
from alphadrop.hotfolder.originals import put_away
from alphadrop.hotfolder.scan import has_writer, is_at, look_at, open_input
from alphadrop.hotfolder.settings import FolderSettings
from alphadrop.hotfolder.stability import Content
from alphadrop.pipeline.order import Finished, Kind, Order
from alphadrop.pipeline.pipeline import Pipeline

__all__ = ["Hold", "Worker"]

_log = logging.getLogger(__name__)
_LONGEST_WAIT = 300.0
"""Seconds between two attempts after a passing reason."""
_LONGEST_LOOK = 10.0
"""Seconds between two looks at a file that somebody has open for writing."""
_CRASHES = 3


class _Skipped(Exception):
    """Something that is not ours has the output's name, and the settings say to leave it."""


@dataclass(frozen=True, slots=True)
class Hold:
    """Why nothing of a folder is done for a while."""

    error: AlphadropError
    attempts: int
    until: float
    """Monotonic seconds."""


@dataclass(frozen=True, slots=True)
class _Hand:
    """A thread that does something in a folder."""

    folder: Path
    cancellation: Cancellation = field(default_factory=Cancellation)
    answers: Answers = field(default_factory=Answers)


@dataclass(frozen=True, slots=True)
class _Job:
    row: Row
    settings: FolderSettings
    descriptor: int
    made_ns: int
    """The time of change that the outputs get."""
    answers: Answers = field(default_factory=Answers)

    @property
    def name(self) -> str:
        return printable(self.row.file)

    def mark(self, kind: Kind) -> Mark:
        """Return what an output of this photograph says of itself."""
        row, fingerprint = self.row, self.settings.fingerprint()
        return Mark(folder_tag(row.folder), row.path.name, row.content, fingerprint, kind, self.made_ns)

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
        pipeline: Pipeline,
        ledger: Ledger,
        folders: Callable[[], Sequence[FolderSettings]],
        clock: Callable[[], float] = time.monotonic,
        wake: Callable[[], None] = lambda: None,
    ) -> None:
        """Make a worker.

        Args:
            pipeline: that cuts.
            ledger: that says what is to be done.
            folders: the settings of those folders whose photographs can be read and written now.
            clock: monotonic seconds: a wall clock jumps.
            wake: called when other threads may find something to do.
        """
        self._pipeline = pipeline
        self._ledger = ledger
        self._folders = folders
        self._clock = clock
        self._wake = wake
        self._lock = threading.Lock()
        """For what is known here; nobody holds it while a disk is asked, which may not answer."""
        self._putting_away: dict[Path, _Hand] = {}
        self._naming: set[Path] = set()
        self._is_waited_for = False
        """Somebody found nothing to do but what goes to where names are being given."""
        self._last_folder: Path | None = None
        self._holds: dict[Path, Hold] = {}
        self._original_holds: dict[Path, Hold] = {}
        self._in_hand: dict[int, _Hand] = {}

    def work(self) -> bool:
        """Do the next thing that is due; return whether there was one.

        Raises:
            LedgerError: what became of it could not be recorded.
        """
        if self._put_one_away():
            return True
        taken = self._take()
        if taken is None:
            return False
        row, settings, hand = taken
        try:
            with hand.answers.awaited():
                self._reserve_names(row, settings)
                self._do(row, settings, hand)
        finally:
            with self._lock:
                del self._in_hand[row.id]
        return True

    def next_due(self) -> float | None:
        """Return in how many seconds something is due; None where nothing is pending."""
        now = self._clock()
        held = [hold.until for holds in (self._holds, self._original_holds) for hold in list(holds.values())]
        with self._lock:
            free = [each.input for each in self._free(self._holds, now) if each.output not in self._naming]
            still = [
                each.input for each in self._free(self._original_holds, now) if each.input not in self._putting_away
            ]
            in_hand = list(self._in_hand)
        times = [
            self._ledger.next_due(free, in_hand),
            self._ledger.next_original_due(still),
            *(until for until in held if until > now),
        ]
        return min((max(0.0, at - now) for at in times if at is not None), default=None)

    def hold(self, folder: Path) -> Hold | None:
        """Return why nothing of a folder is done at the moment."""
        return self._holds.get(folder)

    def hold_of_originals(self, folder: Path) -> Hold | None:
        """Return why originals of a folder are not moved or deleted at the moment."""
        return self._original_holds.get(folder)

    def let_go(self) -> None:
        """Try again at once what was held up.

        Raises:
            LedgerError: nothing can be recorded.
        """
        self._ledger.let_go()
        with self._lock:
            self._holds.clear()
            self._original_holds.clear()

    @property
    def in_hand(self) -> list[int]:
        """The numbers of the rows that are being done."""
        with self._lock:
            return list(self._in_hand)

    def cancel(self, folders: Collection[Path] | None = None) -> None:
        """End what is being done, of all folders or of some; it is put back."""
        for hand in self._hands:
            if folders is None or hand.folder in folders:
                hand.cancellation.cancel()

    @property
    def silent(self) -> set[Path]:
        """The folders in which a thread waits for a disk that does not answer."""
        return {hand.folder for hand in self._hands if hand.answers.is_silent}

    @property
    def silent_in(self) -> float:
        """Seconds until there may be another such folder."""
        return min((left for hand in self._hands if (left := hand.answers.silent_in) > 0), default=math.inf)

    @property
    def asking(self) -> set[Path]:
        """The folders in which a thread waits for a disk at this moment."""
        return {hand.folder for hand in self._hands if hand.answers.silent_in < math.inf}

    @property
    def is_cutting(self) -> bool:
        """Whether a photograph is being cut, disks aside."""
        return any(hand.answers.silent_in == math.inf for hand in self._hands)

    def hands_in(self, folders: Collection[Path]) -> int:
        """Return how many threads are at work in some folders."""
        return sum(hand.folder in folders for hand in self._hands)

    @property
    def _hands(self) -> list[_Hand]:
        with self._lock:
            return [*self._in_hand.values(), *self._putting_away.values()]

    def _take(self) -> tuple[Row, FolderSettings, _Hand] | None:
        """Take the oldest due row of the folder whose turn it is."""
        with self._lock:
            now = self._clock()
            for settings in self._in_turn(self._free(self._holds, now)):
                if settings.output in self._naming:
                    self._is_waited_for = True
                    continue
                row = self._ledger.take(settings.input, now, time.time(), self._in_hand)
                if row is not None:
                    self._last_folder = settings.input
                    self._naming.add(settings.output)
                    self._in_hand[row.id] = hand = _Hand(settings.input)
                    return row, settings, hand
        return None

    def _reserve_names(self, row: Row, settings: FolderSettings) -> None:
        """Have names given in the order in which photographs came, not in that in which they are done.

        Until that is done, nobody takes another photograph that goes to this output.
        """
        job = _Job(row, settings, descriptor=-1, made_ns=0)
        try:
            for kind in kinds(settings):
                with contextlib.suppress(_Skipped, FileError):  # met again, and told, when there is something to write
                    self._target(job, kind)
        finally:
            with self._lock:
                self._naming.discard(settings.output)
                wake, self._is_waited_for = self._is_waited_for, False
            if wake:
                self._wake()

    def _free(self, holds: Mapping[Path, Hold], now: float) -> list[FolderSettings]:
        """Return the folders that nothing holds up."""
        holding = {folder for folder, hold in list(holds.items()) if hold.until > now}
        return [settings for settings in self._folders() if settings.input not in holding]

    def _in_turn(self, folders: Sequence[FolderSettings]) -> Iterator[FolderSettings]:
        """Yield the folders, beginning after the one that was served last."""
        inputs = [each.input for each in folders]
        start = inputs.index(self._last_folder) + 1 if self._last_folder in inputs else 0
        yield from (*folders[start:], *folders[:start])

    def _do(self, row: Row, settings: FolderSettings, hand: _Hand) -> None:
        """Do a row; whatever happens, it is recorded."""
        try:
            self._cut(row, settings, hand)
            with self._lock:
                self._holds.pop(row.folder, None)
        except InputChanged as error:
            self._look_again(row, settings, error)
        except Cancelled:
            self._ledger.hand_back(row)
        except LedgerError:
            raise  # nothing can be recorded now; the row is put back when that is possible again
        except CrashesDecoder as error:
            self._crashed(row, settings, error)
        except AlphadropError as error:
            self._failed(row, settings, error)
        except OSError as error:  # whatever a disk or server says that goes away in the midst of it
            self._failed(row, settings, reading_failed(row.file, error))
        except Exception as error:
            _log.exception("%s: failed in a way that was not foreseen", printable(row.file))
            self._fail(row, settings, "internal", f"{type(error).__name__}: {error}")

    def _cut(self, row: Row, settings: FolderSettings, hand: _Hand) -> None:
        if look_at(row.folder, row.path) is None and os.path.isdir(row.folder):
            self._ledger.miss(row, time.time())
            _log.info("%s: gone before it was cut", printable(row.file))
            return
        answers, cancellation = hand.answers, hand.cancellation
        with io.BufferedReader(AskedFile(open_input(row.folder, row.path), answers)) as stream:
            answers.came()
            job = _Job(row, settings, stream.fileno(), time.time_ns(), answers)
            job.refuse_if_changed()
            order = Order(
                job.name,
                settings.cut,
                settings.model,
                kinds(settings),
                {kind: to_xmp(job.mark(kind)) for kind in kinds(settings)},
            )
            try:
                with answers.not_awaited():
                    if row.suspect:
                        _log.info(
                            "%s: was being cut when Alphadrop ended; it is tried in a process of its own", job.name
                        )
                        done = self._pipeline.cut_apart(stream.read(), order, cancellation)
                    else:
                        done = self._pipeline.cut(stream, order, cancellation)
            except OSError as error:
                raise reading_failed(row.file, error) from error
            except AlphadropError as error:
                if not isinstance(error, (ModelError, Cancelled)):
                    job.refuse_if_changed()  # damaged because it was being written?
                raise
            for note in done.warnings:
                _log.warning("%s: %s", job.name, note)
            self._deliver(job, done)

    def _deliver(self, job: _Job, done: Finished) -> None:
        """Write what was made, and record it."""
        started = time.perf_counter()
        written, skipped = self._write_all(job, done)
        seconds = {**done.seconds, "output": time.perf_counter() - started}
        settings = job.settings
        is_whole = bool(written) and not skipped
        due = self._clock() + settings.settle if is_whole and settings.originals != "keep" else None
        self._ledger.finish(
            job.row,
            "done" if written or not done.subject else "skipped",
            "no_subject" if not done.subject else "done" if written else "skipped",
            reason="; ".join(skipped),
            warnings=done.warnings if written else (),
            now=time.time(),
            settings=settings.fingerprint(),
            model=done.model,
            seconds={stage: round(value, 4) for stage, value in seconds.items()},
            original_due=due,
        )
        for reason in skipped:
            _log.info("%s: skipped, %s", job.name, reason)
        if written:
            _log.info("%s -> %s in %.2f s", job.name, ", ".join(map(printable, written)), sum(seconds.values()))
        if not done.subject:
            _log.warning("%s: no subject was found, nothing was written", job.name)

    def _write_all(self, job: _Job, done: Finished) -> tuple[list[Path], list[str]]:
        """Return the outputs that were written, and why others were not."""
        written, skipped = [], []
        for kind, pieces in done.outputs.items():
            try:
                written.append(self._write(job, kind, pieces))
            except _Skipped as reason:
                skipped.append(str(reason))
        return written, skipped

    def _write(self, job: _Job, kind: Kind, pieces: list[bytes]) -> Path:
        while True:
            job.answers.came()
            if not self._ledger.has(job.row):
                raise Cancelled(f"{job.name}: the ledger was begun anew meanwhile")
            target, replace = self._target(job, kind)
            self._make_parents(job, target)

            def record(status: os.stat_result, target: Path = target) -> None:
                job.answers.came()
                job.refuse_if_changed()
                # Before the rename: a crash right after it must not leave an output that nobody knows as ours.
                self._ledger.writing(target, Content(status.st_size, status.st_mtime_ns))

            try:
                atomic.write(
                    target, job.answers.each(pieces), replace=replace, before_rename=record, modified_ns=job.made_ns
                )
            except TargetExists:
                continue  # somebody took the name since we looked
            self._ledger.wrote(target)
            return target

    def _target(self, job: _Job, kind: Kind) -> tuple[Path, bool]:
        """Return the output's path, claimed for this row, and whether what is there may be replaced."""
        settings, row = job.settings, job.row
        own = self._ledger.claim_by(row.id, kind)
        if own is not None and own.target in self._candidates(job, kind):
            there = look_at(own.target.parent, PurePath(own.target.name))
            if not os.path.lexists(own.target):
                return own.target, False
            if there in own.ours or self._is_marked(job, kind, own.target, of_this_content=False):
                return own.target, True
        for target in self._candidates(job, kind):
            claim = self._ledger.claim_of(target)
            if claim is not None and claim.file != row.id:
                continue
            ours = False
            if os.path.lexists(target):
                # Its record may have been lost with the last moment before the power failed.
                ours = self._is_marked(job, kind, target, of_this_content=True)
                if settings.if_exists == "skip" and not ours:
                    raise _Skipped(f"{printable(target)} exists already")
                if settings.if_exists == "number" and not ours:
                    continue
            self._ledger.claim(target, row.id, kind)
            return target, ours or settings.if_exists == "overwrite"
        raise CannotWrite(f"{job.name}: every name for its output is taken", "tidy the output folder")

    def _is_marked(self, job: _Job, kind: Kind, target: Path, *, of_this_content: bool) -> bool:
        """Return whether a file says of itself that it is this photograph's output, and nobody has changed it since."""
        output = job.settings.output
        relative = target.relative_to(output)
        mark, there = read_mark(output, relative), look_at(output, relative)
        if mark is None or there is None or not is_untouched(mark, there):
            return False
        own = job.mark(kind)
        same = (mark.folder, mark.source, mark.kind) == (own.folder, own.source, own.kind)
        return same and (mark.content == own.content or not of_this_content)

    def _candidates(self, job: _Job, kind: Kind) -> Iterator[Path]:
        """Yield the paths an output may have, the best first: of a thousand, the first nearly always does."""
        return (job.settings.output / name for name in names(job.row.path, job.settings, kind))

    def _make_parents(self, job: _Job, target: Path) -> None:
        output = job.settings.output
        if not os.path.isdir(output):
            raise CannotWrite(f"{printable(output)}: the output folder is missing", "make it, or mount its disk")
        if disk_is_away(output, self._ledger):
            raise CannotWrite(f"{printable(output)}: its disk is not mounted", "mount it; it goes on by itself")
        try:
            atomic.make_folder(target.parent)
        except FileExistsError as error:
            raise CannotWrite(
                f"{printable(target.parent)}: a file is where a folder should be", "move that file away"
            ) from error
        except OSError as error:
            raise writing_failed(target.parent, error) from error

    def _look_again(self, row: Row, settings: FolderSettings, error: InputChanged) -> None:
        """Note the file as it is now, due when it could have settled."""
        content = look_at(row.folder, row.path)
        if content is None:
            self._ledger.miss(row, time.time())
            return
        settle = max(settings.settle, 0.1)
        wait = min(max(settle, _LONGEST_LOOK), settle * row.attempts)
        if content != row.content:
            wait = settle
            self._ledger.change(row, content)
        if content != row.content or row.attempts == 1:  # somebody may have it open for hours
            _log.info("%s", error)
        self._ledger.postpone(row, error.code, error.message, until=self._clock() + wait)

    def _crashed(self, row: Row, settings: FolderSettings, error: CrashesDecoder) -> None:
        if self._ledger.crashed(row) >= _CRASHES:
            _log.error("%s", error)
            self._fail(row, settings, error.code, f"{error}")
        else:
            self._ledger.postpone(row, error.code, str(error), until=self._clock() + _back_off(row.attempts))
            _log.warning("%s; it is tried once more", error)

    def _failed(self, row: Row, settings: FolderSettings, error: AlphadropError) -> None:
        name, told = printable(row.file), str(error)
        told = told if name in told else f"{name}: {told}"
        if not error.transient:
            self._fail(row, settings, error.code, told)
            _log.error("%s", told)
        elif _concerns_all(error, row, settings):
            hold = self._hold_up(self._holds, row.folder, error)
            self._ledger.postpone(row, error.code, told, until=hold.until)
        else:
            wait = _back_off(row.attempts)
            self._ledger.postpone(row, error.code, told, until=self._clock() + wait)
            _log.warning("%s; trying again in %.0f s", told, wait)

    def _hold_up(self, holds: dict[Path, Hold], folder: Path, error: AlphadropError) -> Hold:
        """Have nothing of a folder done for a while, longer each time; said once each time."""
        with self._lock:
            now, last = self._clock(), holds.get(folder)
            if last is not None and last.until > now:
                return last  # another thread met the same
            attempts = 1 if last is None else last.attempts + 1
            hold = holds[folder] = Hold(error, attempts, now + _back_off(attempts))
        _log.warning("%s; trying again in %.0f s", error, hold.until - now)
        return hold

    def _fail(self, row: Row, settings: FolderSettings, code: str, reason: str) -> None:
        due = self._clock() + settings.settle if settings.failed is not None else None
        self._ledger.fail(row, code, reason, now=time.time(), original_due=due)

    def _put_one_away(self) -> bool:
        """Move or delete the photograph whose time it is; one thread a folder does."""
        with self._lock:
            now = self._clock()
            free = self._free(self._original_holds, now)
            folders = {each.input: each for each in free if each.input not in self._putting_away}
            row = self._ledger.take_original(folders, now)
            if row is None:
                return False
            self._putting_away[row.folder] = hand = _Hand(row.folder)
        try:
            settings = folders[row.folder]
            try:
                with hand.answers.awaited():
                    settled = put_away(row, settings, self._ledger, hand.answers.came)
                if not settled:
                    self._ledger.postpone_original(row, now + max(settings.settle, 1.0))
                self._original_holds.pop(row.folder, None)
            except (FileError, OSError) as error:
                told = reading_failed(row.file, error) if isinstance(error, OSError) else error
                hold = self._hold_up(self._original_holds, row.folder, told)
                self._ledger.postpone_original(row, hold.until)
            return True
        finally:
            with self._lock:
                del self._putting_away[row.folder]


def _back_off(attempts: int) -> float:
    return min(_LONGEST_WAIT, 2.0 ** min(attempts, 10))


def _concerns_all(error: AlphadropError, row: Row, settings: FolderSettings) -> bool:
    """Return whether the folder's other photographs would meet the same error."""
    if isinstance(error, CannotRead):
        return printable(row.file) not in error.message  # a background picture
    if isinstance(error, CannotWrite):
        output = settings.output
        return error.message.startswith(f"{printable(output)}: ") or not os.access(output, os.W_OK)
    return isinstance(error, (DiskFull, ModelError))
