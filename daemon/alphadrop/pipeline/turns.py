"""Who goes next: people who wait before folders that do not, and never more pixels in flight than there is room for."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager

from alphadrop.engine.cancellation import Cancellation

__all__ = ["PixelBudget", "Turns"]


class Turns:
    """One run of the network at a time, those first that somebody waits for.

    Two runs side by side would each take twice as long. Background work gives way between its own steps too, so that
    what somebody waits for shares the processors only with steps that were under way when it came.
    """

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._running = False
        self._interactive = 0

    @contextmanager
    def interactive(self) -> Iterator[None]:
        """Have background work give way until this is over."""
        with self._changed:
            self._interactive += 1
        try:
            yield
        finally:
            with self._changed:
                self._interactive -= 1
                self._changed.notify_all()

    def give_way(self, cancellation: Cancellation) -> None:
        """Wait, between two steps of background work, until nobody waits for anything else.

        Raises:
            Cancelled: while it waited.
        """
        with cancellation.stopping_by(self._wake), self._changed:
            self._changed.wait_for(lambda: not self._interactive or cancellation.cancelled)
            cancellation.check()

    @contextmanager
    def network(self, *, interactive: bool, cancellation: Cancellation) -> Iterator[None]:
        """Have the network to oneself.

        Raises:
            Cancelled: while it waited.
        """
        with cancellation.stopping_by(self._wake), self._changed:
            self._changed.wait_for(
                lambda: cancellation.cancelled or not (self._running or (self._interactive and not interactive))
            )
            cancellation.check()
            self._running = True
        try:
            yield
        finally:
            with self._changed:
                self._running = False
                self._changed.notify_all()

    def _wake(self) -> None:
        with self._changed:
            self._changed.notify_all()


class PixelBudget:
    """How many pixels may be in flight: memory goes with them, not with the number of photographs.

    Whoever asked first is served first, so that a large photograph is not passed by small ones for ever. One that is
    larger than the whole budget goes alone. What is cancelled gives its room back at once: it may be waiting for a disk
    that never answers.
    """

    def __init__(self, pixels: int) -> None:
        """Make a budget of so many pixels."""
        self.pixels = pixels
        self._changed = threading.Condition()
        self._held = 0
        self._queue: deque[object] = deque()

    @property
    def held(self) -> int:
        """Pixels in flight now."""
        return self._held

    @contextmanager
    def hold(self, pixels: int, cancellation: Cancellation) -> Iterator[None]:
        """Have room for a photograph.

        Raises:
            Cancelled: while it waited, or before an error of what was done within.
        """

        def give_back() -> None:
            nonlocal pixels
            with self._changed:
                self._held -= pixels
                pixels = 0
                self._changed.notify_all()

        with self._changed:
            ticket = object()
            self._queue.append(ticket)
        try:
            with cancellation.stopping_by(self._wake), self._changed:
                self._changed.wait_for(
                    lambda: cancellation.cancelled or (self._queue[0] is ticket and self._has_room(pixels))
                )
                cancellation.check()
                self._held += pixels
        finally:
            with self._changed:
                self._queue.remove(ticket)
                self._changed.notify_all()
        try:
            with cancellation.stopping_by(give_back):
                yield
        finally:
            give_back()

    def _has_room(self, pixels: int) -> bool:
        return not self._held or self._held + pixels <= self.pixels

    def _wake(self) -> None:
        with self._changed:
            self._changed.notify_all()
