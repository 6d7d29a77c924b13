"""One hot folder: from hints and scans to rows of the ledger, and its health in words."""

from __future__ import annotations

import errno
import itertools
import logging
import os
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path, PurePath
from typing import Literal, TypeVar

from alphadrop import atomic
from alphadrop.errors import CannotRead, printable
from alphadrop.hotfolder.answers import Answers
from alphadrop.hotfolder.ledger import Ledger
from alphadrop.hotfolder.mounts import disk_is_away, free_bytes, is_mount, is_remote
from alphadrop.hotfolder.naming import wanted
from alphadrop.hotfolder.originals import settle_interrupted
from alphadrop.hotfolder.rebuild import rebuild
from alphadrop.hotfolder.scan import look_at, walk
from alphadrop.hotfolder.settings import FolderSettings
from alphadrop.hotfolder.stability import Content, Settling
from alphadrop.hotfolder.watch import Hints, Watch

__all__ = ["FolderHealth", "Health", "HotFolder", "say_health"]

Health = Literal[
    "starting",
    "watching",
    "polling",
    "missing",
    "no permission",
    "cannot read",
    "output missing",
    "disk full",
    "cannot write",
    "no model",
    "not answering",
]
T = TypeVar("T")
_log = logging.getLogger(__name__)

_POLL = 5.0
"""Seconds between two scans where the system gives no events, or the folder is not there."""
_POLL_PART = 0.1
"""Of the time at most spent on scans of a folder so large that one takes long."""
_AT_ONCE = 500
"""Files asked of the ledger at once."""
_SETTLING_AT_MOST = 4096
"""Files waited for at once; those beyond are found again by the next scan."""
_LOOKED_AFTER = 500
"""Rows a scan whose files are looked at, whether they are still there."""
_NEARLY_FULL = 500_000_000
"""Bytes left on the output's disk below which it is said."""


@dataclass(frozen=True, slots=True)
class FolderHealth:
    """How a folder is, in words a person can act on."""

    state: Health
    remedy: str = ""
    warning: str = ""
    """What is not wrong yet: a disk that is nearly full."""

    @property
    def is_open(self) -> bool:
        """Whether its photographs can be read and its outputs written."""
        return self.state in ("watching", "polling")


def say_health(folder: Path, health: FolderHealth) -> None:
    """Write to the log how a folder is now."""
    good = health.state == "watching" and not health.warning
    words = "; ".join(filter(None, (health.state, health.remedy, health.warning)))
    _log.log(logging.INFO if good else logging.WARNING, "%s: %s", printable(folder), words)


class HotFolder:
    """What is known of one folder between two looks at it.

    Used by one thread; any may read `health`, and `answers`, which tells whether a look stands still.
    """

    def __init__(self, settings: FolderSettings, ledger: Ledger, wake: Callable[[], None]) -> None:
        """Make a folder that has not been looked at yet.

        Args:
            settings: of the folder.
            ledger: where settled files are noted.
            wake: called from another thread when something may have happened.
        """
        self.settings = settings
        self.health = FolderHealth("starting")
        self.answers = Answers()
        self._ledger = ledger
        self._wake = wake
        self._settling = Settling(settings.settle)
        self._more_to_settle = False
        self._watch: Watch | None = None
        self._watched: tuple[int, int] | None = None
        self._next_scan = 0.0
        self._looked_after = 0
        self._is_tidy = False

    def look(self, now: float) -> int:
        """Take one look; return how many files were noted as work.

        Args:
            now: monotonic seconds.
        """
        with self.answers.awaited():
            return self._look(now)

    def look_at_everything(self) -> None:
        """Have the next look be a scan."""
        self._next_scan = 0.0

    def next_look(self, now: float) -> float:
        """Return in how many seconds to look again, hints aside."""
        if self._may_take_more():
            return 0.0
        settled = self._settling.next_look(now)
        scan = max(0.0, self._next_scan - now)
        return scan if settled is None else min(settled, scan)

    def close(self) -> None:
        """Give the watch back."""
        with self.answers.awaited():
            self._disarm()

    def _look(self, now: float) -> int:
        hints = self._watch.take() if self._watch is not None else Hints()
        if hints.everything or now >= self._next_scan or self._has_lost_sight() or self._may_take_more():
            self._scan(now, hints)
        for path in self.answers.each(sorted(hints.paths)):  # of two that want one name, always the same gets it
            if self._looked_for(path):
                self._wait_for(path)
        return self._judge(now)

    def _scan(self, now: float, hints: Hints) -> None:
        started = time.monotonic()
        self._next_scan = now + self.settings.rescan
        self._more_to_settle = False
        watch = self._watch
        health = self._arm()
        self.answers.came()
        if health.is_open:
            try:
                self._meet()
                found = self._find_unknown()
            except CannotRead as error:
                health = self._unreadable(error)
            else:
                self._look_after()
                told = hints.everything or found <= hints.paths
                if health.state == "watching" and self._watch is watch and not told:
                    self._disarm()  # events do not come any more: its disk may have been away for a moment
                    self._next_scan = now + min(_POLL, self.settings.rescan)
        if health.state != "watching":
            took = time.monotonic() - started
            self._next_scan = now + min(max(_POLL, took / _POLL_PART), self.settings.rescan)
        self._say(health)

    def _find_unknown(self) -> set[PurePath]:
        """Wait for the files that are not noted yet to settle; return those that were not waited for before."""
        new = set()
        found = walk(self.settings.input, recursive=self.settings.recursive, skipped=self._set_apart())
        ours = ((path, content) for path, content in self.answers.each(found) if wanted(path, self.settings))
        for some in _batches(ours, _AT_ONCE):
            for path in self._ledger.unknown(self.settings.input, some):
                if path not in self._settling:
                    new.add(path)
                self._wait_for(path)
            if self._more_to_settle:
                break
        return new

    def _wait_for(self, path: PurePath) -> None:
        if len(self._settling) < _SETTLING_AT_MOST:
            self._settling.add(path)
        else:
            self._more_to_settle = True

    def _may_take_more(self) -> bool:
        return self._more_to_settle and len(self._settling) < _SETTLING_AT_MOST // 2

    def _judge(self, now: float) -> int:
        settled: list[tuple[PurePath, Content]] = []
        for path in self.answers.each(self._settling.due(now)):
            content = look_at(self.settings.input, path)
            if content is None:
                self._settling.drop(path)
                self._ledger.gone(self.settings.input, path, time.time())
            elif self._settling.look(path, content, now):
                self._settling.drop(path)
                settled.append((path, content))
        unknown = set(self._ledger.unknown(self.settings.input, settled)) if settled else set()
        if unknown and not self._ledger.has_met(self.settings.input, self.settings.output):
            self.look_at_everything()  # it was begun anew since, and learns first what has been done
            return 0
        if unknown:
            self._ledger.note(
                self.settings.input, [(path, content) for path, content in settled if path in unknown], time.time()
            )
        return len(unknown)

    def _look_after(self) -> None:
        """See of some rows whether their files are still there; over many scans, of all."""
        folder = self.settings.input
        rows = self._ledger.look_after(folder, self._looked_after, _LOOKED_AFTER)
        self._looked_after = rows[-1][0] if len(rows) == _LOOKED_AFTER else 0
        gone, there = [], []
        for number, path, content, was_there in self.answers.each(rows):
            found = look_at(folder, path)
            if was_there and found is None:
                gone.append(number)
            elif not was_there and found == content:  # another content is another photograph
                there.append(number)
        if gone or there:
            self._ledger.looked_after(gone, there, time.time())

    def _meet(self) -> None:
        """Tidy up once; learn what was done in a folder that the ledger does not know; see what is a mounted disk."""
        settings = self.settings
        if not self._is_tidy:
            places = {target.parent for target in self._ledger.unfinished(settings.input)}
            for place in sorted(places | set(settings.set_apart)):
                if swept := atomic.sweep(place):
                    _log.warning("%s: %d unfinished files were removed", printable(place), swept)
            settle_interrupted(settings, self._ledger, self.answers)
            self._is_tidy = True
        if not self._ledger.has_met(settings.input, settings.output):
            try:
                found = rebuild(settings, self._ledger, self.answers)
            except CannotRead as error:  # a folder that may be written to and not read
                _log.warning("%s: what was done before cannot be told: %s", printable(settings.input), error)
                found = 0
            if found:
                _log.info("%s: %d photographs are known from their outputs", printable(settings.input), found)
            self._ledger.meet(settings.input, settings.output)
        for place in settings.places:
            mounted = is_mount(place)
            if (
                mounted != self._ledger.was_mounted(place)
                and os.path.isdir(place)
                and not disk_is_away(place, self._ledger)
            ):
                self._ledger.see_mounted(place, mounted)

    def _arm(self) -> FolderHealth:
        """Make sure that events of the folder that is there now arrive; return how it is."""
        settings = self.settings
        try:
            status = os.stat(settings.input)
        except OSError as error:
            self._disarm()
            return FolderHealth("no permission", _NO_PERMISSION) if _is_forbidden(error) else _MISSING
        if disk_is_away(settings.input, self._ledger):
            self._disarm()
            return FolderHealth("missing", "its disk is not mounted: mount it; it is picked up by itself")
        if not os.path.isdir(settings.output) or disk_is_away(settings.output, self._ledger):
            self._disarm()
            return FolderHealth(
                "output missing", f"make {printable(settings.output)}, or mount its disk; it goes on by itself"
            )
        health = self._watched_or_polled((status.st_dev, status.st_ino))
        for place in settings.set_apart:
            free = free_bytes(place)
            if free is not None and free < _NEARLY_FULL:
                left = f"{printable(place)}: only {free / 1e6:.0f} MB are left on its disk"
                return replace(health, warning=f"{left}; free some space")
        return health

    def _watched_or_polled(self, identity: tuple[int, int]) -> FolderHealth:
        if self.settings.poll:
            self._disarm()
            return FolderHealth("polling")
        if self._watch is None or self._watched != identity or not self._watch.alive:
            self._disarm()
            try:
                self._watch = Watch(self.settings.input, recursive=self.settings.recursive, wake=self._wake)
            except OSError as error:
                return FolderHealth(
                    "polling", f"no events ({error.strerror}): {_EVENT_ADVICE.get(error.errno or 0, _NO_EVENTS)}"
                )
            self._watched = identity
        if is_remote(self.settings.input):
            return FolderHealth("polling", "a network share: what other machines do there makes no events")
        return FolderHealth("watching")

    def _has_lost_sight(self) -> bool:
        """Return whether events of the folder would not arrive any more."""
        if self._watch is None:
            return False
        return not self._watch.alive or _identity(self.settings.input) != self._watched

    def _disarm(self) -> None:
        if self._watch is not None:
            self._watch.close()
            self._watch = None

    def _unreadable(self, error: CannotRead) -> FolderHealth:
        self._disarm()
        cause = error.__cause__
        if isinstance(cause, OSError) and _is_forbidden(cause):
            return FolderHealth("no permission", _NO_PERMISSION)
        if isinstance(cause, OSError) and cause.errno in (errno.EMFILE, errno.ENFILE):
            return _TOO_MANY_OPEN
        if isinstance(cause, OSError) and cause.errno in (errno.EIO, errno.ESTALE, errno.ENOTCONN):
            return FolderHealth("cannot read", f"its disk or server fails ({cause.strerror}): see that it is sound")
        return _MISSING

    def _say(self, health: FolderHealth) -> None:
        if health.state != self.health.state or bool(health.warning) != bool(self.health.warning):
            say_health(self.settings.input, health)
        self.health = health

    def _looked_for(self, path: PurePath) -> bool:
        """Return whether the scan would look for a file where a hint points to."""
        if not wanted(path, self.settings) or (len(path.parts) > 1 and not self.settings.recursive):
            return False
        skipped = self._set_apart()
        return not any(_identity(self.settings.input / folder) in skipped for folder in path.parents[:-1])

    def _set_apart(self) -> frozenset[tuple[int, int]]:
        found = {_identity(folder) for folder in self.settings.set_apart}
        return frozenset(identity for identity in found if identity is not None)


_NO_PERMISSION = "give yourself permission to read the folder"
_MISSING = FolderHealth("missing", "make the folder, or mount its disk; it is picked up by itself")
_TOO_MANY_OPEN = FolderHealth(
    "cannot read", "too many open files: raise the limit with ulimit -n, then restart; meanwhile it is tried again"
)
_EVENT_ADVICE = {
    errno.ENOSPC: "raise fs.inotify.max_user_watches",
    errno.EMFILE: "raise fs.inotify.max_user_instances, or the limit of open files (ulimit -n)",
}
_NO_EVENTS = "the folder is looked through every few seconds instead"


def _is_forbidden(error: OSError) -> bool:
    return error.errno in (errno.EACCES, errno.EPERM)


def _identity(folder: Path) -> tuple[int, int] | None:
    try:
        status = os.stat(folder)
    except OSError:
        return None
    return status.st_dev, status.st_ino


def _batches(items: Iterable[T], size: int) -> Iterator[list[T]]:
    remaining = iter(items)
    while some := list(itertools.islice(remaining, size)):
        yield some
