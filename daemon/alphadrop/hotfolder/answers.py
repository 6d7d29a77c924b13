"""Whether disks answer: a server that is away may keep whoever asks it for ever, and nothing can call him back."""

from __future__ import annotations

import contextlib
import io
import math
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

__all__ = ["Answers", "AskedFile", "ask"]

P = TypeVar("P")
T = TypeVar("T")
_PATIENCE = 60.0
"""Seconds that one answer may take: a disk may have to spin up, or to list a very large folder."""
_SOON = 5.0
"""Seconds that questions may take which somebody waits for."""
_PIECE = 1 << 20


_waiting: dict[tuple[object, object], threading.Thread] = {}
"""Those who were left behind, by what they asked and of which place."""


def ask(question: Callable[[P], T], places: Iterable[P]) -> dict[P, T]:
    """Ask for several places at once; return the answers that come soon.

    Those who wait for the others are left behind; until they come back, nobody asks the same again.
    """
    found: dict[P, T] = {}

    def wait_for(place: P) -> None:
        found[place] = question(place)

    for key in [key for key, thread in list(_waiting.items()) if not thread.is_alive()]:
        _waiting.pop(key, None)
    threads = {
        (question, place): threading.Thread(target=wait_for, args=(place,), daemon=True)
        for place in places
        if (question, place) not in _waiting
    }
    for thread in threads.values():
        thread.start()
    deadline = time.monotonic() + _SOON
    for key, thread in threads.items():
        thread.join(max(0.0, deadline - time.monotonic()))
        if thread.is_alive():
            _waiting[key] = thread
    return found.copy()


class Answers:
    """Since when one thread has waited for an answer of a disk. Others may ask whether it stands still."""

    def __init__(self) -> None:
        """Begin without a question."""
        self._since: float | None = None

    @property
    def silent_in(self) -> float:
        """Seconds until the disk counts as one that does not answer; infinite where nothing is asked."""
        since = self._since
        return math.inf if since is None else since + _PATIENCE - time.monotonic()

    @property
    def is_silent(self) -> bool:
        """Whether the disk does not answer."""
        return self.silent_in <= 0

    def came(self) -> None:
        """Note that a question was answered; another is asked now."""
        self._since = time.monotonic()

    def each(self, items: Iterable[T]) -> Iterator[T]:
        """Yield items each of which is an answer."""
        for item in items:
            self.came()
            yield item

    @contextlib.contextmanager
    def awaited(self) -> Iterator[None]:
        """Ask disks within."""
        was_asking = self._since is not None
        self.came()
        try:
            yield
        finally:
            self._since = time.monotonic() if was_asking else None

    @contextlib.contextmanager
    def not_awaited(self) -> Iterator[None]:
        """Ask nothing within, so that it may take as long as it likes."""
        self._since = None
        try:
            yield
        finally:
            self.came()


class AskedFile(io.FileIO):
    """A file for reading, every piece of which is an answer."""

    def __init__(self, descriptor: int, answers: Answers) -> None:
        """Read from a descriptor, which is closed with it."""
        super().__init__(descriptor, "rb")
        self._answers = answers

    def readinto(self, buffer: WriteableBuffer, /) -> int | None:
        """Read a piece as `FileIO` does."""
        with self._answers.awaited():
            return super().readinto(buffer)

    def read(self, size: int | None = -1, /) -> bytes:
        """Read a piece, or all that is left, as `FileIO` does."""
        if size is None or size < 0:
            return self.readall()
        with self._answers.awaited():
            return super().read(size) or b""

    def readall(self) -> bytes:
        """Read all that is left, piece by piece."""
        return b"".join(iter(lambda: self.read(_PIECE), b""))
