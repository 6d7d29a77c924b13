"""File system events as hints: look here, or look at everything. Never the truth.

The only module that knows watchdog. Its handler does nothing but note a path, because an exception in a handler ends
watchdog's thread; whoever asks takes the hints away and looks for himself.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path, PurePath

from watchdog.events import (
    EVENT_TYPE_CLOSED_NO_WRITE,
    EVENT_TYPE_MODIFIED,
    EVENT_TYPE_OPENED,
    FileSystemEvent,
    FileSystemEventHandler,
)
from watchdog.observers import Observer
from watchdog.observers.api import BaseObserver

__all__ = ["Hints", "Watch"]

_MOST_HINTS = 4096
_OUR_OWN_READING = {EVENT_TYPE_OPENED, EVENT_TYPE_CLOSED_NO_WRITE}


@dataclass(slots=True)
class Hints:
    """Where something may have happened since they were last taken."""

    paths: set[PurePath] = field(default_factory=set)
    """Relative to the watched folder."""
    everything: bool = False
    """Too much happened, or a folder came in: only a scan tells."""


class Watch(FileSystemEventHandler):
    """Events of one folder, collected until they are taken."""

    def __init__(self, folder: Path, *, recursive: bool, wake: Callable[[], None]) -> None:
        """Arm a watch.

        Args:
            folder: what is watched.
            recursive: with its sub-folders.
            wake: called from another thread when there is something to take; must return at once.

        Raises:
            OSError: the system has no watch to give (ENOSPC, EMFILE) or the folder is not there.
        """
        self._folder = os.path.realpath(folder)  # a watch on a link would see the link, not the folder
        self._wake = wake
        self._lock = threading.Lock()
        self._hints = Hints()
        self._observer: BaseObserver = Observer()
        try:
            self._observer.schedule(self, self._folder, recursive=recursive)
            self._observer.start()
        except BaseException:
            self._observer.stop()  # it has a thread and an inotify instance before it is started
            raise

    @property
    def alive(self) -> bool:
        """Whether events still arrive."""
        return self._observer.is_alive() and all(emitter.is_alive() for emitter in self._observer.emitters)

    def take(self) -> Hints:
        """Return the hints since the last call."""
        with self._lock:
            hints, self._hints = self._hints, Hints()
        return hints

    def close(self) -> None:
        """Give the watch back to the system."""
        self._observer.stop()
        self._observer.join(timeout=5)

    def dispatch(self, event: FileSystemEvent) -> None:
        """Note an event; called by watchdog."""
        if event.event_type in _OUR_OWN_READING:
            return
        if event.is_directory and event.event_type == EVENT_TYPE_MODIFIED:
            return  # comes with every file that comes or goes, which has an event of its own
        paths = [os.fsdecode(path) for path in (event.src_path, event.dest_path) if path]
        with self._lock:
            if event.is_directory or len(self._hints.paths) >= _MOST_HINTS:
                self._hints.everything = True
            else:
                self._hints.paths |= {PurePath(os.path.relpath(path, self._folder)) for path in paths}
        self._wake()
