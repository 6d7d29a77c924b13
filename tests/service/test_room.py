"""Room for bodies: what there is for all, and always enough for the one that came first."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from contextlib import ExitStack
from typing import Any

import pytest

from alphadrop.errors import TooBusy
from alphadrop.service.room import Place, Room
from daemon_process import PATIENCE


class Body:
    """One body in a room; it asks for pieces and may have to wait."""

    def __init__(self, room: Room) -> None:
        self._stack = ExitStack()
        self.place: Place = self._stack.enter_context(room.place())

    async def grows(self, size: int, within: float = PATIENCE) -> asyncio.Task[None]:
        """Ask for room; let everybody do what can be done without time passing."""
        task = asyncio.create_task(self.place.grow(size, within=within))
        await settled()
        return task

    async def goes(self) -> None:
        self._stack.close()
        await settled()


async def settled() -> None:
    for _ in range(20):
        await asyncio.sleep(0)


def playing(scene: Callable[[], Coroutine[Any, Any, None]]) -> Callable[[], None]:
    def test() -> None:
        asyncio.run(asyncio.wait_for(scene(), PATIENCE))

    return test


@playing
async def test_bodies_grow_while_there_is_room_and_then_wait_until_one_goes() -> None:
    room = Room(places=9, size=100)
    first, second, third = Body(room), Body(room), Body(room)
    for body, size in ((first, 10), (second, 40), (third, 50)):
        assert (await body.grows(size)).done()
    more, other = await second.grows(1), await third.grows(20)
    assert not more.done()
    assert not other.done()
    await first.goes()
    assert more.done(), "it is the first now"
    assert not other.done()
    await second.goes()
    assert other.done()
    assert third.place.held == 70


@playing
async def test_the_first_grows_however_full_it_is_so_that_one_always_comes_to_its_end() -> None:
    room = Room(places=9, size=100)
    first, second = Body(room), Body(room)
    assert (await second.grows(100)).done()
    assert (await first.grows(1000)).done()
    assert (await first.grows(1000)).done()
    waiting = await second.grows(1)
    assert not waiting.done()
    await first.goes()
    assert waiting.done()


@playing
async def test_small_ones_pass_large_ones_that_are_announced_and_do_not_come() -> None:
    room = Room(places=9, size=100)
    bodies = [Body(room) for _ in range(5)]
    assert (await bodies[-1].grows(100)).done()


@playing
async def test_more_than_there_are_places_for_are_refused_until_one_goes() -> None:
    room = Room(places=2, size=100)
    first, _second = Body(room), Body(room)
    with pytest.raises(TooBusy, match="2 pictures"):
        Body(room)
    await first.goes()
    assert (await Body(room).grows(1)).done()


@playing
async def test_whoever_has_waited_long_enough_is_refused() -> None:
    room = Room(places=9, size=100)
    first, impatient = Body(room), Body(room)
    await first.grows(100)
    with pytest.raises(TooBusy, match="no room in time"):
        await (await impatient.grows(1, within=0))
    assert impatient.place.held == 0


@playing
async def test_whoever_is_broken_off_while_he_waits_leaves_room_to_the_others() -> None:
    room = Room(places=9, size=100)
    first, gone, third = Body(room), Body(room), Body(room)
    await first.grows(50)
    await gone.grows(50)
    broken_off, waiting = await gone.grows(10), await third.grows(10)
    broken_off.cancel()
    await gone.goes()
    assert broken_off.cancelled()
    assert waiting.done()
    assert (await third.grows(40)).done()
    assert not (await third.grows(1)).done()
