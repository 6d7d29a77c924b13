"""One hot folder: from hints and scans to rows of the ledger, and its health in words."""

from __future__ import annotations

import errno
import logging
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import Literal

from alphadrop.errors import CannotRead, printable
from alphadrop.hotfolder.ledger import Ledger
from alphadrop.hotfolder.naming import wanted
from alphadrop.hotfolder.scan import look_at, walk
from alphadrop.hotfolder.settings import FolderSettings
from alphadrop.hotfolder.stability import Settling
from alphadrop.hotfolder.watch import Hints, Watch

__all__ = ["FolderHealth", "Health", "HotFolder"]

Health = Literal["starting", "watching", "polling", "missing", "no permission", "output missing"]
_log = logging.getLogger(__name__)

_POLL = 5.0
"""Seconds between two scans where the system gives no events."""


@dataclass(frozen=True, slots=True)
class FolderHealth:
    """How a folder is, in words a person can act on."""

    state: Health
    remedy: str = ""


class HotFolder:
    """What is known of one folder between two looks at it. Used by one thread; `health` may be read by any."""

    def __init__(self, settings: FolderSettings, ledger: Ledger, wake: Callable[[], None]) -> None:
        """Make a folder that has not been looked at yet.

        Args:
            settings: of the folder.
            ledger: where settled files are noted.
            wake: called from another thread when something may have happened.
        """
        self.settings = settings
        self.health = FolderHealth("starting")
        self._ledger = ledger
        self._wake = wake
        self._settling = Settling(settings.settle)
        self._watch: Watch | None = None
        self._watched: tuple[int, int] | None = None
        self._next_scan = 0.0

    def look(self, now: float) -> int:
        """Take one look; return how many files were noted as work.

        Args:
            now: monotonic seconds.
        """
        hints = self._watch.take() if self._watch is not None else Hints()
        if hints.everything or now >= self._next_scan:
            self._scan(now)
        for path in hints.paths:
            if self._looked_for(path):
                self._settling.add(path)
        return self._judge(now)

    def next_look(self, now: float) -> float:
        """Return in how many seconds to look again, hints aside."""
        settled = self._settling.next_look(now)
        scan = max(0.0, self._next_scan - now)
        return scan if settled is None else min(settled, scan)

    def close(self) -> None:
        """Give the watch back."""
        self._disarm()

    def _scan(self, now: float) -> None:
        self._next_scan = now + self.settings.rescan
        health = self._arm()
        if health.state in ("watching", "polling"):
            try:
                found = [
                    (path, content)
                    for path, content in walk(
                        self.settings.input, recursive=self.settings.recursive, skipped=self._output_inside()
                    )
                    if wanted(path, self.settings)
                ]
            except CannotRead as error:
                health = self._unreadable(error)
            else:
                for path in self._ledger.unknown(self.settings.input, found):
                    self._settling.add(path)
        if health.state != "watching":
            self._next_scan = now + min(_POLL, self.settings.rescan)
        if health != self.health:
            level = logging.INFO if health.state == "watching" else logging.WARNING
            _log.log(
                level, "%s: %s", printable(self.settings.input), "; ".join(filter(None, (health.state, health.remedy)))
            )
            self.health = health

    def _judge(self, now: float) -> int:
        noted = 0
        for path in self._settling:
            content = look_at(self.settings.input, path)
            if content is None or self._ledger.knows(self.settings.input, path, content):
                self._settling.drop(path)
            elif self._settling.look(path, content, now):
                self._settling.drop(path)
                self._ledger.note(self.settings.input, path, content, time.time())
                noted += 1
        return noted

    def _arm(self) -> FolderHealth:
        """Make sure that events of the folder that is there now arrive; return how it is."""
        try:
            status = os.stat(self.settings.input)
        except OSError as error:
            self._disarm()
            if error.errno == errno.EACCES:
                return FolderHealth("no permission", "give yourself permission to read the folder")
            return FolderHealth("missing", "make the folder, or mount its disk; it is picked up by itself")
        if not self.settings.output.is_dir():
            self._disarm()
            return FolderHealth(
                "output missing", f"make {printable(self.settings.output)}, or mount its disk; it goes on by itself"
            )
        identity = (status.st_dev, status.st_ino)
        if self._watch is not None and self._watched == identity and self._watch.alive:
            return FolderHealth("watching")
        self._disarm()
        try:
            self._watch = Watch(self.settings.input, recursive=self.settings.recursive, wake=self._wake)
        except OSError as error:
            advice = {
                errno.ENOSPC: "raise fs.inotify.max_user_watches",
                errno.EMFILE: "raise fs.inotify.max_user_instances",
            }
            return FolderHealth("polling", f"no events ({error.strerror}): {advice.get(error.errno or 0, '')}")
        self._watched = identity
        return FolderHealth("watching")

    def _disarm(self) -> None:
        if self._watch is not None:
            self._watch.close()
            self._watch = None

    def _unreadable(self, error: CannotRead) -> FolderHealth:
        self._disarm()
        cause = error.__cause__
        if isinstance(cause, OSError) and cause.errno == errno.EACCES:
            return FolderHealth("no permission", "give yourself permission to read the folder")
        return FolderHealth("missing", "make the folder, or mount its disk; it is picked up by itself")

    def _looked_for(self, path: PurePath) -> bool:
        """Return whether the scan would look for a file where a hint points to."""
        if not wanted(path, self.settings) or (len(path.parts) > 1 and not self.settings.recursive):
            return False
        skipped = self._output_inside()
        return not any(_identity(self.settings.input / folder) in skipped for folder in path.parents[:-1])

    def _output_inside(self) -> frozenset[tuple[int, int]]:
        identity = _identity(self.settings.output)
        return frozenset() if identity is None else frozenset({identity})


def _identity(folder: Path) -> tuple[int, int] | None:
    try:
        status = os.stat(folder)
    except OSError:
        return None
    return status.st_dev, status.st_ino
