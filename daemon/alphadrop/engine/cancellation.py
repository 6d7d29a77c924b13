"""Let one thread end what another does for it, when nobody wants the result any more."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from alphadrop.errors import Cancelled

__all__ = ["Cancellation"]


class Cancellation:
    """One order to stop, given at most once, to whatever is being done under it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._stops: list[Callable[[], None]] = []
        self._cancelled = False

    @property
    def cancelled(self) -> bool:
        """Whether the order has been given."""
        return self._cancelled

    def cancel(self) -> None:
        """Give the order; what is under way ends soon with Cancelled."""
        with self._lock:
            self._cancelled = True
            stops, self._stops = self._stops, []
        for stop in stops:
            stop()

    def check(self) -> None:
        """Raise Cancelled where the order has been given."""
        if self._cancelled:
            raise Cancelled("nobody waits for the result any more")

    @contextmanager
    def stopping_by(self, stop: Callable[[], None]) -> Iterator[None]:
        """Say how what is done within can be ended from another thread.

        Raises:
            Cancelled: the order was given before, or it was given while this ended early.
        """
        with self._lock:
            self.check()
            self._stops.append(stop)
        try:
            yield
        except Exception:
            self.check()
            raise
        finally:
            with self._lock:
                if stop in self._stops:
                    self._stops.remove(stop)
