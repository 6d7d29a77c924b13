"""What all calls share that take a picture: room for its bytes, turns, what is kept of it, and word of how it goes."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any, TypeVar

from fastapi import Request
from starlette.concurrency import run_in_threadpool

from alphadrop.engine.cancellation import Cancellation
from alphadrop.errors import Cancelled, NoSuchPhoto
from alphadrop.service.bodies import while_awaited
from alphadrop.service.events import Events
from alphadrop.service.room import Place, Room
from alphadrop.service.shelf import Shelf

__all__ = ["KEPT_FOR", "Desk", "Progress"]

T = TypeVar("T")
Progress = Callable[[float], None]
"""Is told which part of the work is done, 0..1, by any thread."""

_PICTURES = 64
"""Pictures that may wait or be at work at once."""
_PICTURES_SIZE = 256_000_000
"""Bytes that they may hold together, and the one that came first as many more as it has."""
_AT_WORK = 4
"""Pictures worked on at once. One is in the network at a time; the threads of the others serve the other calls."""
_KEPT = 32
"""Photographs that are kept to be cut again, at most."""
_KEPT_SIZE = 200_000_000
"""Bytes that they have together at most."""
KEPT_FOR = 600.0
"""Seconds for which one is kept that nobody asks for."""
_SEEN_FOR = 60.0
"""Seconds for which it is kept what was seen in the last of them."""


class Desk:
    """Where pictures are taken in and given out. Used by one event loop."""

    def __init__(self, events: Events) -> None:
        """Begin with nothing.

        Args:
            events: to which it is told how each picture goes.
        """
        self.shelf: Shelf[bytearray] = Shelf(
            places=_KEPT,
            size=_KEPT_SIZE,
            seconds=KEPT_FOR,
            missing=NoSuchPhoto("this photograph is not kept here, or no longer", "send it anew: POST /v1/photos"),
            seen_seconds=_SEEN_FOR,
        )
        """Photographs that are kept to be cut again."""
        self._events = events
        self._room = Room(places=_PICTURES, size=_PICTURES_SIZE)
        self._at_work = asyncio.Semaphore(_AT_WORK)
        self._numbers = itertools.count(1)

    async def place(self) -> AsyncIterator[Place]:
        """Have a place for one body until the answer has been sent; raises TooBusy."""
        with self._room.place() as taken:
            yield taken

    def clear_later(self) -> None:
        """See to it that what nobody uses is forgotten when its time is over."""
        for seconds in (_SEEN_FOR, KEPT_FOR):
            asyncio.get_running_loop().call_later(seconds + 1, self.shelf.clear)

    async def done(
        self,
        request: Request,
        call: str,
        what: Callable[[Cancellation, Progress], T],
        *,
        turn: asyncio.Semaphore | None = None,
        about: Mapping[str, str] | None = None,
    ) -> T:
        """Do something with a picture in a thread, in its turn, and return what it gives.

        Args:
            request: whose client waits for it; it is cancelled when that goes away.
            call: what it is called in the events.
            what: is done.
            turn: of calls of its kind; None for that of all pictures.
            about: what else its events say.

        Raises:
            Cancelled: nobody waits for it any more.
        """
        number, loop = next(self._numbers), asyncio.get_running_loop()

        def tell(state: str, **more: Any) -> None:
            self._events.tell("picture", {"picture": number, "call": call, "state": state, **(about or {}), **more})

        def progress(part: float) -> None:
            loop.call_soon_threadsafe(lambda: tell("working", progress=round(part, 3)))

        tell("waiting")
        try:
            async with while_awaited(request) as cancellation, turn or self._at_work:
                tell("working")
                result = await run_in_threadpool(what, cancellation, progress)
        except (Cancelled, asyncio.CancelledError):
            tell("cancelled")
            raise
        except Exception:
            tell("failed")
            raise
        tell("done")
        return result
