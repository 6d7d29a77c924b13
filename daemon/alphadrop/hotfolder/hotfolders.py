"""All hot folders at once: one thread looks, one works, the ledger is between them."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from alphadrop import atomic
from alphadrop.engine.cutout import Engine
from alphadrop.errors import printable
from alphadrop.hotfolder.folder import FolderHealth, HotFolder
from alphadrop.hotfolder.ledger import Ledger
from alphadrop.hotfolder.settings import FolderSettings
from alphadrop.hotfolder.worker import Worker

__all__ = ["FolderStatus", "HotFolders"]

_log = logging.getLogger(__name__)
_LEAST_WAIT = 0.05
_MOST_WAIT = 30.0
_AFTER_AN_ERROR = 5.0
"""Seconds of rest after something that should not have happened."""


@dataclass(frozen=True, slots=True)
class FolderStatus:
    """One folder as it is now."""

    input: Path
    output: Path
    health: FolderHealth
    counts: Mapping[str, int] = field(default_factory=dict)
    """Files by `pending`, `working`, `failed`, and of the finished ones `done`, `no_subject`, `skipped`."""


class HotFolders:
    """The folders of one configuration, watched and worked on until they are closed."""

    def __init__(self, settings: Sequence[FolderSettings], engine: Engine, ledger: Ledger) -> None:
        """Make the folders ready; nothing happens before `start`."""
        self._ledger = ledger
        self._look_now = threading.Event()
        self._work_now = threading.Event()
        self._closing = threading.Event()
        self._armed = threading.Event()
        self._folders = [HotFolder(each, ledger, self._look_now.set) for each in settings]
        self._worker = Worker(engine, ledger, {each.input: each for each in settings})
        self._looking = threading.Thread(target=self._look, name="looking", daemon=True)
        self._working = threading.Thread(target=self._work, name="working", daemon=True)

    def start(self) -> None:
        """Tidy up after a crash, then begin to look."""
        places = {target.parent for target in self._ledger.unfinished()}
        unfinished = self._ledger.recover()
        if unfinished:
            _log.warning("%d files were not finished last time and are done again", unfinished)
        for place in sorted(places | {folder.settings.output for folder in self._folders}):
            swept = atomic.sweep(place)
            if swept:
                _log.warning("%s: %d unfinished outputs were removed", printable(place), swept)
        self._looking.start()

    def begin_work(self) -> None:
        """Begin to cut what has been noted."""
        self._working.start()

    def wait_until_armed(self) -> None:
        """Wait until every folder has been looked at once."""
        self._armed.wait()

    def status(self) -> list[FolderStatus]:
        """Return each folder as it is now."""
        return [
            FolderStatus(
                folder.settings.input,
                folder.settings.output,
                folder.health,
                self._ledger.counts(folder.settings.input),
            )
            for folder in self._folders
        ]

    def close(self, timeout: float) -> bool:
        """Finish the file being worked on and stop; return whether that was within `timeout` seconds."""
        self._closing.set()
        self._look_now.set()
        self._work_now.set()
        self._armed.set()
        deadline = time.monotonic() + timeout
        threads = [thread for thread in (self._looking, self._working) if thread.ident is not None]
        for thread in threads:
            thread.join(max(0.0, deadline - time.monotonic()))
        for folder in self._folders:
            folder.close()
        return not any(thread.is_alive() for thread in threads)

    def _look(self) -> None:
        while not self._closing.is_set():
            self._look_now.clear()
            wait = _MOST_WAIT
            for folder in self._folders:
                try:
                    if folder.look(time.monotonic()):
                        self._work_now.set()
                    wait = min(wait, folder.next_look(time.monotonic()))
                except Exception:
                    _log.exception("%s: looking failed and is tried again", printable(folder.settings.input))
                    wait = min(wait, _AFTER_AN_ERROR)
            self._armed.set()
            # Writers make many events: one look serves those of a short while.
            self._closing.wait(_LEAST_WAIT)
            self._look_now.wait(max(_LEAST_WAIT, wait))

    def _work(self) -> None:
        put_back = False
        while not self._closing.is_set():
            self._work_now.clear()
            try:
                if put_back:
                    self._ledger.recover()
                    put_back = False
                if self._worker.work():
                    continue
                due = self._worker.next_due()
            except Exception:
                _log.exception("working failed and is tried again")
                due, put_back = _AFTER_AN_ERROR, True  # the row at work may have stayed so
            self._work_now.wait(_MOST_WAIT if due is None else min(_MOST_WAIT, max(_LEAST_WAIT, due)))
