"""Photographs that are kept for a while: how many, how large, how long."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from PIL import Image

from alphadrop.engine.cutout import Look
from alphadrop.engine.photo import from_image
from alphadrop.errors import NoSuchPhoto
from alphadrop.service.shelf import Shelf


class Time:
    def __init__(self) -> None:
        self.seconds = 0.0

    def __call__(self) -> float:
        return self.seconds


def shelf_of(**limits: Any) -> Shelf[bytearray]:
    return Shelf(missing=NoSuchPhoto("this photograph is not kept here"), **limits)


def is_there(shelf: Shelf[bytearray], number: str) -> bool:
    try:
        shelf.get(number)
    except NoSuchPhoto:
        return False
    return True


def test_what_is_kept_is_had_again() -> None:
    shelf = shelf_of(places=2, size=100, seconds=60, seen_seconds=5)
    photo = bytearray(b"photo")
    number = shelf.put(photo)
    assert shelf.get(number) is photo
    with pytest.raises(NoSuchPhoto):
        shelf.get(number[::-1])


def test_what_was_used_last_stays() -> None:
    shelf = shelf_of(places=2, size=100, seconds=60, seen_seconds=5)
    first, second = shelf.put(bytearray(1)), shelf.put(bytearray(1))
    shelf.get(first)
    third = shelf.put(bytearray(1))
    assert [is_there(shelf, each) for each in (first, second, third)] == [True, False, True]


def test_a_large_one_takes_the_room_of_others_and_is_kept_alone() -> None:
    shelf = shelf_of(places=9, size=100, seconds=60, seen_seconds=5)
    small = shelf.put(bytearray(50))
    other = shelf.put(bytearray(50))
    assert is_there(shelf, small)
    large = shelf.put(bytearray(500))
    assert [is_there(shelf, each) for each in (small, other, large)] == [False, False, True]


def test_what_nobody_uses_is_forgotten() -> None:
    clock = Time()
    shelf = shelf_of(places=9, size=100, seconds=60, seen_seconds=5, clock=clock)
    used, unused = shelf.put(bytearray(1)), shelf.put(bytearray(1))
    clock.seconds = 50
    assert is_there(shelf, used)
    clock.seconds = 61
    shelf.clear()
    assert [is_there(shelf, each) for each in (used, unused)] == [True, False]


def test_what_was_seen_last_is_kept_for_a_shorter_while() -> None:
    clock = Time()
    shelf = shelf_of(places=9, size=100, seconds=60, seen_seconds=5, clock=clock)
    look = Look(from_image(Image.new("RGB", (4, 4))), np.zeros((2, 2), np.float32), "u2net-int8", {})
    shelf.see(("one", "u2net-int8"), look)
    assert shelf.seen(("one", "u2net-int8")) is look
    assert shelf.seen(("one", "another")) is None
    clock.seconds = 6
    assert shelf.seen(("one", "u2net-int8")) is None
    shelf.see("one", look)
    shelf.see("other", look)
    assert shelf.seen("one") is None
