"""All hot folders at once: one thread looks at each, a few work, one minds what is common; between them is the ledger.

A disk or a server that does not answer keeps whoever asks it, and nothing can call him back. So no thread asks for more
than one folder at a time, and in place of those that work in a folder that does not answer, others are started.
"""

from __future__ import annotations

import contextlib
import itertools
import logging
import os
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from alphadrop.engine.cpus import usable_cpus
from alphadrop.errors import AlphadropError, DiskFull, JobRefused, LedgerError, ModelError, printable
from alphadrop.hotfolder.folder import FolderHealth, Health, HotFolder, say_health
from alphadrop.hotfolder.ledger import Ledger, Row
from alphadrop.hotfolder.originals import bring_back
from alphadrop.hotfolder.rest import Pause, Rest
from alphadrop.hotfolder.settings import FolderSettings
from alphadrop.hotfolder.worker import Hold, Worker
from alphadrop.pipeline.pipeline import Pipeline
from alphadrop.pipeline.quiet import lower_priority

__all__ = ["FolderStatus", "HotFolders"]

_log = logging.getLogger(__name__)
_LEAST_WAIT = 0.05
_MOST_WAIT = 30.0
_AFTER_AN_ERROR = 5.0
"""Seconds of rest after something that should not have happened."""
_GAP = 5.0
"""Seconds by which the clocks must disagree, or a sleep be too long, to count as the machine having slept."""
_PURGE_EVERY = 3600.0
_NOT_ANSWERING = FolderHealth(
    "not answering", "its disk or server does not answer: see that it is reachable; it goes on by itself"
)


@dataclass(frozen=True, slots=True)
class FolderStatus:
    """One folder as it is now."""

    input: Path
    output: Path
    health: FolderHealth
    counts: Mapping[str, int] = field(default_factory=dict)
    """Files by `pending`, `working`, `failed`, `skipped`, `missing`, and of the finished ones `done`, `no_subject`."""


class _Lookout:
    """A folder and the thread that looks at it."""

    def __init__(self, settings: FolderSettings, ledger: Ledger, look: Callable[[_Lookout], None], name: str) -> None:
        self.settings = settings
        self.now = threading.Event()
        self.over = threading.Event()
        self.folder = HotFolder(settings, ledger, lambda: self.now.set())
        self.thread = threading.Thread(target=look, args=(self,), name=name, daemon=True)
        self.has_looked = False
        self.has_ended = False
        self.is_silent = False
        """Its disk does not answer; as was said last."""
        self.everything = False
        """The next look is to be at all there is: set by other threads."""

    @property
    def health(self) -> FolderHealth:
        return _NOT_ANSWERING if self.is_silent else self.folder.health

    @property
    def is_at_it(self) -> bool:
        return self.thread.ident is not None and not self.has_ended

    def look_at_everything(self) -> None:
        self.everything = True
        self.now.set()

    def end(self) -> None:
        self.over.set()
        self.now.set()


class HotFolders:
    """The folders of one configuration, watched and worked on until they are closed."""

    def __init__(
        self, settings: Sequence[FolderSettings], pipeline: Pipeline, ledger: Ledger, *, history: float = 90 * 86_400.0
    ) -> None:
        """Make the folders ready; nothing happens before `start`.

        Args:
            settings: of the folders.
            pipeline: that cuts.
            ledger: that is between looking and working.
            history: seconds for which the record of a photograph is kept that is gone from its folder.
        """
        self._ledger = ledger
        self._history = history
        self._mind_now = threading.Event()
        self._work_now = threading.Event()
        self._closing = threading.Event()
        self._armed = threading.Event()
        self._wanted = tuple(settings)
        self._lookouts: tuple[_Lookout, ...] = ()
        self._left: list[_Lookout] = []
        """Of folders that are no longer wanted, whose last look has not come to its end."""
        self._numbers = itertools.count(1)
        self._follow_settings()
        self._worker = Worker(pipeline, ledger, self._open_folders, wake=lambda: self._work_now.set())
        self._rest = Rest(ledger, wall=time.time, steady=time.monotonic)
        self._trouble: LedgerError | None = None
        self._next_purge = 0.0
        self._returning: set[int] = set()
        """Numbers of the rows whose original somebody brings back."""
        self._returning_lock = threading.Lock()
        self._rounds = 0
        self._minding = threading.Thread(target=self._mind, name="minding", daemon=True)
        # One reads or writes while another is with the network; more would only wait for it.
        self._hands = min(4, usable_cpus() + 1)
        self._hands_wanted = 0
        self._hands_lock = threading.Lock()
        self._working: list[threading.Thread] = []

    def start(self) -> None:
        """Take up what a crash left unfinished, then begin to look.

        Raises:
            LedgerError: the ledger cannot be used now.
        """
        unfinished = self._ledger.recover()
        if unfinished:
            _log.warning("%d files were not finished last time and are done again", len(unfinished))
        self._rest.recall()
        self._minding.start()

    def begin_work(self) -> None:
        """Begin to cut what has been noted."""
        self._want_hands(self._hands)

    def wait_until_armed(self) -> None:
        """Wait until every folder has been looked at once, or is found not to answer."""
        self._armed.wait()

    def use(self, settings: Sequence[FolderSettings], *, history: float | None = None) -> None:
        """Take other folders from now on; those whose settings stay as they are go on undisturbed."""
        self._history = self._history if history is None else history
        self._wanted = tuple(settings)
        with contextlib.suppress(LedgerError):  # then nothing waits that could be let go
            self._worker.let_go()
        self._mind_now.set()

    def status(self) -> list[FolderStatus]:
        """Return each folder as it is now; nothing is counted while the ledger cannot be used."""
        return [self._status_of(lookout) for lookout in self._lookouts]

    @property
    def trouble(self) -> LedgerError | None:
        """What keeps the ledger from being used at the moment."""
        return self._trouble

    @property
    def rounds(self) -> int | None:
        """How often what all folders have in common has been minded; None before `start`."""
        return None if self._minding.ident is None else self._rounds

    def go_round(self) -> None:
        """Mind it now, so that `rounds` grows before long."""
        self._mind_now.set()

    # Pause ----------------------------------------------------------------------------------------------------------

    @property
    def paused(self) -> Pause | None:
        """Whether the folders rest, and for how long."""
        return self._rest.pause

    def pause(self, until: float | None = None) -> None:
        """Let the folders rest, over restarts too; what is being cut is finished.

        Args:
            until: wall clock, seconds since the epoch; None for until told otherwise.

        Raises:
            LedgerError: it cannot be kept.
        """
        self._rest.begin(until)

    def resume(self) -> None:
        """End a pause.

        Raises:
            LedgerError: it cannot be kept.
        """
        self._rest.end()
        self._work_now.set()

    # Jobs -----------------------------------------------------------------------------------------------------------

    def retry(self, number: int) -> Row:
        """Have a file done again, its original brought back from the finished or failed folder.

        Raises:
            NoSuchJob: no file has this number.
            JobRefused: it is being done, is no longer there, or its folder is no longer watched or does not answer.
            TargetExists, DiskFull, CannotRead, CannotWrite: its original cannot be brought back.
            LedgerError: nothing can be recorded.
        """
        self._mark_for_retry(number)
        self._worker.let_go()
        self._work_now.set()
        return self._ledger.row(number)

    def _mark_for_retry(self, number: int) -> None:
        row = self._ledger.row(number)
        if row.folder not in {each.input for each in self._wanted}:
            raise JobRefused(f"{printable(row.folder)}: is no longer watched", "add it to the configuration")
        self._refuse_if_silent(row)
        if row.state == "working":
            raise JobRefused(f"{printable(row.file)}: is being cut at this moment", "wait for it")
        if row.original == "moved":
            self._bring_back(number)
        if not os.path.exists(row.file):
            raise JobRefused(f"{printable(row.file)}: is no longer there", "drop the photograph again")
        self._ledger.retry(row)

    def retry_failed(self) -> tuple[int, int]:
        """Have every failed file done again; return how many are, and how many cannot be."""
        return self._retry_each(self._ledger.numbers(state="failed"))

    def retry_changed(self) -> tuple[int, int]:
        """Have every file done again that was done with other settings; return how many are, and how many cannot be."""
        fingerprints = {each.input: each.fingerprint() for each in self._wanted}
        return self._retry_each(self._ledger.changed(fingerprints))

    def undo(self, number: int | None = None) -> Row:
        """Bring the original of a file back from the finished folder, without doing it again.

        Args:
            number: of the file; None for the one that was moved last.

        Raises:
            NoSuchJob: no file has this number.
            JobRefused: its original was not moved, or is not where it was moved to, or its folder does not answer.
            TargetExists, DiskFull, CannotRead, CannotWrite: it cannot be brought back.
            LedgerError: nothing can be recorded.
        """
        if number is None:
            moved = self._ledger.rows(original="moved", limit=1)
            if not moved:
                raise JobRefused("no original was moved away", "there is nothing to undo")
            number = moved[0].id
        self._bring_back(number)
        return self._ledger.row(number)

    def undo_all(self) -> tuple[int, list[AlphadropError]]:
        """Bring every original back that was moved; return how many were, and why others could not be."""
        done, refused = 0, []
        for number in self._ledger.numbers(original="moved"):
            try:
                self._bring_back(number)
                done += 1
            except LedgerError:
                raise
            except AlphadropError as error:
                refused.append(error)
        return done, refused

    def _bring_back(self, number: int) -> None:
        self._refuse_if_silent(self._ledger.row(number))
        with self._returning_lock:
            if number in self._returning:
                raise JobRefused(f"{number}: is being brought back at this moment", "wait for it")
            self._returning.add(number)
        try:
            bring_back(self._ledger.row(number), self._ledger)
        finally:
            with self._returning_lock:
                self._returning.discard(number)

    def _refuse_if_silent(self, row: Row) -> None:
        if any(lookout.is_silent and lookout.settings.input == row.folder for lookout in self._lookouts):
            raise JobRefused(f"{printable(row.folder)}: does not answer", "see that its disk or server is reachable")

    def close(self, timeout: float) -> bool:
        """Finish what is being worked on and stop; return whether that was within `timeout` seconds.

        What takes longer is broken off where it can be, and put back; what does not answer is left behind.
        """
        self._closing.set()
        self._mind_now.set()
        self._work_now.set()
        self._armed.set()
        for lookout in self._lookouts:
            lookout.end()
        _join(self._threads(), timeout)
        if self._threads():
            self._worker.cancel()
            _join(self._threads(), _LAST_GRACE)
        self._say_what_is_left()
        return not self._threads()

    def _threads(self) -> list[threading.Thread]:
        """Return the threads that are alive."""
        lookouts = [lookout.thread for lookout in (*self._lookouts, *self._left)]
        return [thread for thread in (self._minding, *lookouts, *self._working) if thread.is_alive()]

    def _say_what_is_left(self) -> None:
        asking = {lookout.settings.input for lookout in (*self._lookouts, *self._left) if lookout.thread.is_alive()}
        asking |= self._worker.asking
        for folder in sorted(asking):
            _log.warning("%s: waits for its disk or server; it is gone on with at the next start", printable(folder))
        if self._worker.is_cutting:
            _log.warning("the file at work took too long; it is done again at the next start")

    # The threads ----------------------------------------------------------------------------------------------------

    def _mind(self) -> None:
        clocks = _Clocks(time.monotonic, time.time)
        while not self._closing.is_set():
            try:
                self._mind_all(clocks)
            except Exception:
                _log.exception("minding the folders failed and is tried again")
            self._rounds += 1
            wait = self._until_next()
            clocks.expect(wait)
            self._mind_now.wait(wait)
            self._mind_now.clear()

    def _mind_all(self, clocks: _Clocks) -> None:
        self._get_over_trouble()
        self._follow_settings()
        self._begin_to_look()
        if clocks.have_jumped():
            _log.info("the machine slept, or its clock was set: every folder is looked through")
            self._look_at_everything()
            with contextlib.suppress(LedgerError):
                self._worker.let_go()
        self._mind_silence()
        if self._rest.forget_if_over():
            self._work_now.set()
        self._purge()
        if all(lookout.has_looked or lookout.is_silent for lookout in self._lookouts):
            self._armed.set()

    def _until_next(self) -> float:
        """Return in how many seconds to see again how things are."""
        is_well = self._trouble is None and not any(lookout.is_silent for lookout in self._lookouts)
        silent_in = [lookout.folder.answers.silent_in for lookout in (*self._lookouts, *self._left)]
        soonest = min((left for left in (*silent_in, self._worker.silent_in) if left > 0), default=_MOST_WAIT)
        return max(_LEAST_WAIT, min(soonest, _MOST_WAIT if is_well else _AFTER_AN_ERROR))

    def _look(self, lookout: _Lookout) -> None:
        """Look at a folder until it is no longer wanted."""
        while not (lookout.over.is_set() or self._closing.is_set()):
            if lookout.everything:
                lookout.everything = False
                lookout.folder.look_at_everything()
            wait = self._look_at(lookout.folder)
            if lookout.is_silent or not lookout.has_looked:
                lookout.has_looked = True
                self._mind_now.set()
            # Writers make many events: one look serves those of a short while.
            lookout.over.wait(_LEAST_WAIT)
            lookout.now.wait(min(_MOST_WAIT, max(_LEAST_WAIT, wait)))
            lookout.now.clear()
        try:
            lookout.folder.close()
        finally:
            lookout.has_ended = True
            self._mind_now.set()

    def _look_at(self, folder: HotFolder) -> float:
        """Look at one folder; return in how many seconds to look again."""
        try:
            was_open = folder.health.is_open
            if folder.look(time.monotonic()) or folder.health.is_open != was_open:
                self._work_now.set()
            return folder.next_look(time.monotonic())
        except LedgerError as error:
            self._meet_trouble(error)
        except Exception:
            _log.exception("%s: looking failed and is tried again", printable(folder.settings.input))
        folder.look_at_everything()  # the hints are taken, and what had settled is waited for no more
        return _AFTER_AN_ERROR

    def _look_at_everything(self) -> None:
        for lookout in self._lookouts:
            lookout.look_at_everything()

    def _follow_settings(self) -> None:
        """End to look at the folders that are no longer wanted as they are, and make those that are new."""
        kept = {lookout.settings: lookout for lookout in self._lookouts}
        wanted = self._wanted
        for settings, lookout in kept.items():
            if settings not in wanted:
                lookout.end()
                self._left.append(lookout)
        self._left = [lookout for lookout in self._left if lookout.is_at_it]
        self._lookouts = tuple(
            kept.get(settings) or _Lookout(settings, self._ledger, self._look, f"looking-{next(self._numbers)}")
            for settings in wanted
        )

    def _begin_to_look(self) -> None:
        """Begin to look at the folders that are new; at one that was looked at otherwise, when that has ended."""
        left = {lookout.settings.input for lookout in self._left}
        for lookout in self._lookouts:
            if lookout.thread.ident is None and lookout.settings.input not in left:
                lookout.thread.start()

    def _mind_silence(self) -> None:
        """Say of folders that they do not answer, or answer again, and see that the others have hands."""
        silent = self._worker.silent | {
            lookout.settings.input for lookout in (*self._lookouts, *self._left) if lookout.folder.answers.is_silent
        }
        for lookout in self._lookouts:
            if lookout.is_silent != (lookout.settings.input in silent):
                lookout.is_silent = not lookout.is_silent
                say_health(lookout.settings.input, lookout.health)
                self._work_now.set()
        self._worker.cancel(silent)  # what is cancelled gives its room in memory to others
        if self._hands_wanted:
            self._want_hands(self._hands + self._worker.hands_in(silent))

    def _purge(self) -> None:
        now = time.monotonic()
        if now >= self._next_purge:
            self._next_purge = now + _PURGE_EVERY
            try:
                self._ledger.purge([each.input for each in self._wanted], time.time() - self._history, time.time())
            except LedgerError as error:
                self._meet_trouble(error)

    def _want_hands(self, count: int) -> None:
        """Have so many threads that work; those that are too many end when they have nothing in hand."""
        with self._hands_lock:
            self._hands_wanted = count
            self._working = [thread for thread in self._working if thread.is_alive()]
            while len(self._working) < count and not self._closing.is_set():
                thread = threading.Thread(target=self._work, name=f"working-{len(self._working) + 1}", daemon=True)
                thread.start()
                self._working.append(thread)

    def _is_one_too_many(self) -> bool:
        with self._hands_lock:
            if len(self._working) <= self._hands_wanted:
                return False
            self._working.remove(threading.current_thread())
            return True

    def _work(self) -> None:
        lower_priority()
        while not (self._closing.is_set() or self._is_one_too_many()):
            due: float | None = None
            try:
                if (pause := self.paused) is not None:
                    due = None if pause.until is None else pause.until - time.time()
                elif self._trouble is None:
                    if self._worker.work():
                        self._work_now.set()  # for the others: there may be more
                        continue
                    due = self._worker.next_due()
            except LedgerError as error:
                self._meet_trouble(error)
            except Exception:
                _log.exception("working failed and is tried again")
                due = _AFTER_AN_ERROR
            self._work_now.wait(_MOST_WAIT if due is None else min(_MOST_WAIT, max(_LEAST_WAIT, due)))
            self._work_now.clear()
        self._work_now.set()  # whoever is about to wait is to end, too

    def _open_folders(self) -> Sequence[FolderSettings]:
        return [lookout.settings for lookout in self._lookouts if lookout.health.is_open]

    def _status_of(self, lookout: _Lookout) -> FolderStatus:
        settings, counts = lookout.settings, self._counts(lookout.settings.input)
        # What held up photographs of which none is left has not been met again, and may be over.
        hold = self._worker.hold(settings.input) if counts.get("pending") else None
        health = _with_hold(lookout.health, hold)
        if not health.warning and (kept := self._kept_originals(settings.input)) is not None:
            health = replace(health, warning=f"originals stay for now: {kept}")
        return FolderStatus(settings.input, settings.output, health, counts)

    def _kept_originals(self, folder: Path) -> AlphadropError | None:
        """Return why photographs that are to be moved or deleted are not."""
        hold = self._worker.hold_of_originals(folder)
        with contextlib.suppress(LedgerError):
            if hold is not None and self._ledger.next_original_due([folder]) is not None:
                return hold.error
        return None

    def _counts(self, folder: Path) -> Mapping[str, int]:
        try:
            return self._ledger.counts(folder)
        except LedgerError:
            return {}

    def _get_over_trouble(self) -> None:
        """See whether the ledger takes something again."""
        if self._trouble is not None:
            try:
                self._ledger.keep_note("mended", f"{time.time():.0f}")
                self._ledger.put_back(self._worker.in_hand)
            except LedgerError:
                return
            _log.info("the ledger can be used again")
            self._trouble = None
            self._work_now.set()
            for lookout in self._lookouts:
                lookout.now.set()

    def _meet_trouble(self, error: LedgerError) -> None:
        """Say what is wrong with the ledger, and begin a new one where it is damaged."""
        if str(error) != str(self._trouble):
            _log.error("%s; trying again", error)
        self._trouble = error
        try:
            if self._ledger.mend():
                _log.warning("%s", self._ledger.notes[-1])
                self._worker.cancel()  # its rows are not those of the new one
                self._look_at_everything()
        except LedgerError as again:
            self._trouble = again
        self._mind_now.set()

    def _retry_each(self, numbers: Sequence[int]) -> tuple[int, int]:
        done = 0
        for number in numbers:
            try:
                self._mark_for_retry(number)
                done += 1
            except LedgerError:
                raise
            except AlphadropError as error:
                _log.warning("%s", error)
        self._worker.let_go()
        self._work_now.set()
        return done, len(numbers) - done


_LAST_GRACE = 2.0
"""Seconds for what was broken off."""


class _Clocks:
    """Tells when the machine has slept or its clock was set: the two clocks disagree, or a wait took too long."""

    def __init__(self, monotonic: Callable[[], float], wall: Callable[[], float]) -> None:
        self._monotonic, self._wall = monotonic, wall
        self._apart = wall() - monotonic()
        self._expected_by = float("inf")

    def expect(self, wait: float) -> None:
        """Say how long at most it is until the next look."""
        self._expected_by = self._monotonic() + wait

    def have_jumped(self) -> bool:
        """Return whether the next look comes late, or either clock has jumped since this was last asked."""
        now, before = self._monotonic(), self._apart
        self._apart = self._wall() - now
        return now > self._expected_by + _GAP or abs(self._apart - before) > _GAP


def _with_hold(health: FolderHealth, hold: Hold | None) -> FolderHealth:
    if hold is None or not health.is_open:
        return health
    state: Health = "cannot write"
    if isinstance(hold.error, DiskFull):
        state = "disk full"
    elif isinstance(hold.error, ModelError):
        state = "no model"
    return FolderHealth(state, str(hold.error), health.warning)


def _join(threads: Sequence[threading.Thread], timeout: float) -> None:
    deadline = time.monotonic() + timeout
    for thread in threads:
        thread.join(max(0.0, deadline - time.monotonic()))
