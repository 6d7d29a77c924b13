"""File system events as hints: look here, or look at everything. Never the truth.

The only module that knows watchdog. Its handler does nothing but note a path, because an exception in a handler ends
watchdog's thread; whoever asks takes the hints away and looks for himself.
"""

from __future__ import annotations

import errno
import os
import sys
import threading
import warnings
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

# watchdog 7 says so of every folder that is made inside a new one; both are watched all the same.
warnings.filterwarnings("ignore", "Callback with id", RuntimeWarning)

_MOST_HINTS = 4096
_READERS = ("_inotify_fd", "_inotify")
"""Where an emitter of watchdog 7, and of 6, has the thread that reads from the system, which it does not look after."""
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
            if recursive and sys.platform == "linux":
                _try_one_more(self._folder)
        except BaseException:
            _end(self._observer)
            raise

    @property
    def alive(self) -> bool:
        """Whether events still arrive."""
        emitters = list(self._observer.emitters)
        readers = (getattr(emitter, name, None) for emitter in emitters for name in _READERS)
        threads = (self._observer, *emitters, *(each for each in readers if isinstance(each, threading.Thread)))
        return all(thread.is_alive() for thread in threads)

    def take(self) -> Hints:
        """Return the hints since the last call."""
        with self._lock:
            hints, self._hints = self._hints, Hints()
        return hints

    def close(self) -> None:
        """Give the watch back to the system."""
        _end(self._observer)

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


def _try_one_more(folder: str) -> None:
    """Raise OSError where there are no more watches: watchdog 7 passes over the sub-folders that it got none for."""
    observer = Observer()
    try:
        observer.schedule(FileSystemEventHandler(), folder)
        observer.start()
    except OSError as error:
        if error.errno == errno.ENOSPC:
            raise
    finally:
        _end(observer)


def _end(observer: BaseObserver) -> None:
    observer.stop()  # it has a thread and an inotify instance before it is started
    if observer.is_alive():
        observer.join(timeout=5)
