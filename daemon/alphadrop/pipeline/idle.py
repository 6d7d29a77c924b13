"""Something that is done once when there has been no work for a while."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

__all__ = ["Idle"]


class Idle:
    """Notices that nobody works any more. Used by any threads."""

    def __init__(self, after: float, then: Callable[[], None]) -> None:
        """Begin without work.

        Args:
            after: seconds without work.
            then: is called once after each time there was some, by a thread of its own.
        """
        self._after, self._then = after, then
        self._lock = threading.Lock()
        self._working = 0
        self._timer: threading.Timer | None = None

    @contextmanager
    def working(self) -> Iterator[None]:
        """Work."""
        with self._lock:
            self._working += 1
            if self._timer is not None:
                self._timer.cancel()
                self._timer = None
        try:
            yield
        finally:
            with self._lock:
                self._working -= 1
                if not self._working:
                    self._timer = threading.Timer(self._after, self._then)
                    self._timer.name, self._timer.daemon = "idle", True
                    self._timer.start()
