"""When background work keeps out of the way: what the configuration says, the battery, and other programs."""

from __future__ import annotations

import os
import sys
import threading
from dataclasses import replace
from typing import NoReturn

import psutil
import pytest

from alphadrop.engine.options import QUIETS, Quiet
from alphadrop.pipeline import quiet as module
from alphadrop.pipeline.quiet import Busy, Surroundings, lower_priority
from daemon_process import PATIENCE


class Processors:
    """Readings that a test makes."""

    def __init__(self) -> None:
        self.now = Busy(at=1000.0, all=50.0, own=20.0)
        self.looks = 0

    def __call__(self) -> Busy:
        self.looks += 1
        return self.now

    def pass_by(self, seconds: float, *, others: float = 0.0, own: float = 0.0) -> None:
        """Let time pass in which others and this process take so much processor time."""
        now = self.now
        self.now = replace(now, at=now.at + seconds, all=now.all + others + own, own=now.own + own)


def unasked() -> NoReturn:
    raise AssertionError("nobody wants to know")


@pytest.mark.parametrize(("quiet", "wanted"), [("never", False), ("always", True)])
def test_never_and_always_look_at_nothing(quiet: Quiet, wanted: bool) -> None:
    assert Surroundings(quiet, on_battery=unasked, busy=unasked).are_quiet() is wanted


@pytest.mark.parametrize("on_battery", [False, True])
def test_battery_looks_at_the_battery_alone_each_time(on_battery: bool) -> None:
    readings = [on_battery, not on_battery, on_battery]
    surroundings = Surroundings("battery", on_battery=lambda: readings.pop(0), busy=unasked)
    assert [surroundings.are_quiet() for _ in range(3)] == [on_battery, not on_battery, on_battery]


def test_auto_is_quiet_on_battery_whatever_others_do() -> None:
    assert Surroundings("auto", on_battery=lambda: True, busy=Processors()).are_quiet()


@pytest.fixture
def processors() -> Processors:
    return Processors()


@pytest.fixture
def surroundings(processors: Processors) -> Surroundings:
    return Surroundings("auto", on_battery=lambda: False, busy=processors)


def test_one_look_tells_nothing(surroundings: Surroundings, processors: Processors) -> None:
    processors.pass_by(10, others=40)
    assert not surroundings.are_quiet()


@pytest.mark.parametrize(
    ("others", "wanted"), [(0.0, False), (4.9, False), (5.0, False), (5.1, True), (10.0, True), (80.0, True)]
)
def test_auto_is_quiet_while_others_take_half_a_processor(
    surroundings: Surroundings, processors: Processors, others: float, wanted: bool
) -> None:
    surroundings.are_quiet()
    processors.pass_by(10, others=others)
    assert surroundings.are_quiet() is wanted


def test_own_work_is_not_that_of_others(surroundings: Surroundings, processors: Processors) -> None:
    surroundings.are_quiet()
    processors.pass_by(10, others=1, own=75)
    assert not surroundings.are_quiet()
    processors.pass_by(10, others=6, own=75)
    assert surroundings.are_quiet()


def test_two_looks_too_near_to_each_other_change_nothing(surroundings: Surroundings, processors: Processors) -> None:
    surroundings.are_quiet()
    processors.pass_by(4.9, others=4.9)
    assert not surroundings.are_quiet()
    processors.pass_by(0.2)
    assert surroundings.are_quiet(), "over 5 seconds it is nearly a whole processor"


def test_it_ends_after_a_minute_of_calm_and_begins_again_at_once(
    surroundings: Surroundings, processors: Processors
) -> None:
    surroundings.are_quiet()
    found = []
    for others in (20, 0, 0, 20, 0, 0, 0, 0, 20):
        processors.pass_by(20, others=others)
        found.append(surroundings.are_quiet())
    assert found == [True, True, True, True, True, True, False, False, True]


def test_what_was_busy_long_ago_says_nothing_of_now(surroundings: Surroundings, processors: Processors) -> None:
    surroundings.are_quiet()
    processors.pass_by(120, others=120)
    assert surroundings.are_quiet()
    processors.pass_by(120.1, others=1000)
    assert not surroundings.are_quiet(), "a night may lie between them"
    processors.pass_by(10, others=10)
    assert surroundings.are_quiet()


def test_several_threads_may_ask(surroundings: Surroundings, processors: Processors) -> None:
    surroundings.are_quiet()
    processors.pass_by(10, others=10)
    found: list[bool] = []
    threads = [threading.Thread(target=lambda: found.append(surroundings.are_quiet())) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE)
    assert found == [True] * 16


# The real machine


@pytest.mark.parametrize("quiet", QUIETS)
def test_real_readings_can_be_had(quiet: Quiet) -> None:
    surroundings = Surroundings(quiet)
    assert all(isinstance(surroundings.are_quiet(), bool) for _ in range(3))


def test_real_readings_of_the_processors_grow_with_what_is_done() -> None:
    before = module._processors()
    while module._processors().own - before.own < 0.2:
        sum(range(100_000))
    after = module._processors()
    assert after.at > before.at
    assert after.all - before.all >= 0.1, "what this process took is part of what all took"


@pytest.mark.parametrize(
    "error", [FileNotFoundError("/sys/class/power_supply"), PermissionError(), ValueError("capacity")]
)
def test_machine_that_says_nothing_of_batteries_has_none(monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    def fail() -> NoReturn:
        raise error

    monkeypatch.setattr(psutil, "sensors_battery", fail, raising=False)
    assert not Surroundings("battery").are_quiet()
    monkeypatch.delattr(psutil, "sensors_battery")
    assert not Surroundings("battery").are_quiet()


@pytest.mark.parametrize(("plugged", "wanted"), [(True, False), (False, True), (None, False)])
def test_battery_is_in_use_where_nothing_is_plugged_in(
    monkeypatch: pytest.MonkeyPatch, plugged: bool | None, wanted: bool
) -> None:
    class Battery:
        power_plugged = plugged

    monkeypatch.setattr(psutil, "sensors_battery", Battery, raising=False)
    assert Surroundings("battery").are_quiet() is wanted


# Priority

on_linux = pytest.mark.skipif(sys.platform != "linux", reason="threads have a priority of their own on Linux only")


def niceness() -> int:
    return os.getpriority(os.PRIO_PROCESS, threading.get_native_id())


def in_a_thread(first: int | None = None) -> list[int]:
    """Return the niceness of a new thread before and after it lowers its priority."""
    found: list[int] = []

    def run() -> None:
        if first is not None:
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), first)
        found.append(niceness())
        lower_priority()
        found.append(niceness())
        child = threading.Thread(target=lambda: found.append(niceness()))
        child.start()
        child.join(PATIENCE)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join(PATIENCE)
    return found


@on_linux
def test_only_the_thread_that_asks_gets_a_low_priority() -> None:
    own = niceness()
    before, after, helper = in_a_thread()
    assert before == own
    assert after == max(10, own)
    assert helper == after, "threads that it starts to help it, too"
    assert niceness() == own
    later: list[int] = []
    thread = threading.Thread(target=lambda: later.append(niceness()))
    thread.start()
    thread.join(PATIENCE)
    assert later == [own]


@on_linux
def test_priority_that_is_lower_already_stays() -> None:
    assert in_a_thread(first=15) == [15, 15, 15]


@on_linux
def test_priority_is_never_raised(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(which: int, who: int, priority: int) -> None:
        if priority < 15:
            raise PermissionError  # as for anybody but root

    monkeypatch.setattr(os, "getpriority", lambda which, who: 15)
    monkeypatch.setattr(os, "setpriority", refuse)
    lower_priority()
