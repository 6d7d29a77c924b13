"""What is kept for a while and then forgotten: photographs to be cut again, in memory alone, and what was made of them.

What was seen in the last of them is kept for a shorter while: it is large, and spares half of the work.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Sized
from typing import Generic, TypeVar

from alphadrop.engine.cutout import Look
from alphadrop.errors import AlphadropError

__all__ = ["Shelf"]

Thing = TypeVar("Thing", bound=Sized)


class Shelf(Generic[Thing]):
    """Room for a few things; those that were used last stay. Used by one event loop."""

    def __init__(
        self,
        *,
        places: int,
        size: int,
        seconds: float,
        missing: AlphadropError,
        seen_seconds: float = 0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Keep nothing yet.

        Args:
            places: how many are kept at most.
            size: bytes that they have together at most; one that is larger is kept alone.
            seconds: for which one is kept that nobody uses.
            missing: what is raised, anew each time, where one is not kept.
            seen_seconds: for which it is kept what was seen in the last.
            clock: monotonic seconds.
        """
        self._places = places
        self._size = size
        self._seconds = seconds
        self._missing = missing
        self._seen_seconds = seen_seconds
        self._clock = clock
        self._kept: dict[str, tuple[Thing, float]] = {}
        self._seen: tuple[object, Look, float] | None = None

    def put(self, thing: Thing) -> str:
        """Keep something, by its length in bytes; return the number by which it is had again."""
        number = secrets.token_urlsafe(12)
        self._kept[number] = thing, self._clock()
        while len(self._kept) > 1 and (len(self._kept) > self._places or self._held() > self._size):
            del self._kept[next(iter(self._kept))]
        return number

    def get(self, number: str) -> Thing:
        """Return something, which is kept longer for that.

        Raises:
            AlphadropError: it is not kept, or no longer.
        """
        self.clear()
        if number not in self._kept:
            raise type(self._missing)(self._missing.message, self._missing.hint)
        thing, _ = self._kept.pop(number)
        self._kept[number] = thing, self._clock()
        return thing

    def see(self, what: object, look: Look) -> None:
        """Keep what was seen, in the place of what was seen before.

        Args:
            what: the photograph's number, and all that it would look different by.
            look: that was had at it.
        """
        self._seen = what, look, self._clock()

    def seen(self, what: object) -> Look | None:
        """Return what was seen the last time; None where that was something else, or long ago."""
        self.clear()
        return self._seen[1] if self._seen is not None and self._seen[0] == what else None

    def clear(self) -> None:
        """Forget what nobody has used for long."""
        if self._seen is not None and self._seen[2] <= self._clock() - self._seen_seconds:
            self._seen = None
        before = self._clock() - self._seconds
        self._kept = {number: kept for number, kept in self._kept.items() if kept[1] > before}

    def _held(self) -> int:
        return sum(len(thing) for thing, _ in self._kept.values())
