"""How many pictures may be in hand at once, and how many bytes they may hold together."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

from alphadrop.errors import TooBusy

__all__ = ["Place", "Room"]

_LATER = "try again in a moment"


class Room:
    """Room for bodies that arrive in pieces. Used by one event loop.

    A piece for which there is no room waits. The body that came first never does: so one always comes to its end,
    however large it is and however many others are half there.
    """

    def __init__(self, *, places: int, size: int) -> None:
        """Make room.

        Args:
            places: how many bodies may be there, at most.
            size: bytes beyond which none grows but the first.
        """
        self._most = places
        self._size = size
        self._places: list[Place] = []
        self._freed = asyncio.Event()

    @contextmanager
    def place(self) -> Iterator[Place]:
        """Have a place for one body, which takes no room yet.

        Raises:
            TooBusy: all places are taken.
        """
        if len(self._places) >= self._most:
            raise TooBusy(f"{self._most} pictures are in hand already", _LATER)
        place = Place(self)
        self._places.append(place)
        try:
            yield place
        finally:
            self._places.remove(place)
            self._freed.set()
            self._freed = asyncio.Event()

    def has_room(self, place: Place, size: int) -> bool:
        """Return whether a body may grow by so many bytes."""
        return place is self._places[0] or sum(each.held for each in self._places) + size <= self._size

    async def change(self) -> None:
        """Wait until a body is gone."""
        await self._freed.wait()


class Place:
    """Where one body grows."""

    def __init__(self, room: Room) -> None:
        """Take no room yet."""
        self.held = 0
        self._room = room

    async def grow(self, size: int, *, within: float) -> None:
        """Have room for so many bytes more.

        Args:
            size: of the next piece.
            within: seconds after which it is given up to wait for room.

        Raises:
            TooBusy: there was none in time.
        """
        try:
            async with asyncio.timeout(within):
                while not self._room.has_room(self, size):
                    await self._room.change()
        except TimeoutError:
            raise TooBusy("the pictures that came before left no room in time", _LATER) from None
        self.held += size
