"""Who goes next: people before folders, whoever asked first, never more pixels than there is room for."""

from __future__ import annotations

import itertools
import random
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager

import pytest

from alphadrop.engine.cancellation import Cancellation
from alphadrop.errors import Cancelled
from alphadrop.pipeline.turns import PixelBudget, Turns
from daemon_process import PATIENCE, wait_for


class Task:
    """Something done in a thread of its own, and how it ended."""

    def __init__(self, work: Callable[[], object]) -> None:
        self.error: BaseException | None = None
        self._work = work
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        try:
            self._work()
        except BaseException as error:
            self.error = error

    @property
    def ended(self) -> bool:
        return not self._thread.is_alive()

    def join(self) -> BaseException | None:
        """Wait for the end; return what it failed with."""
        self._thread.join(PATIENCE)
        assert self.ended, "it waits for ever"
        return self.error


class Holder:
    """A thread that enters something and stays inside until it is told to leave."""

    def __init__(self, context: AbstractContextManager[None], entered: Callable[[], object] = lambda: None) -> None:
        self.inside = threading.Event()
        self._leave = threading.Event()
        self._context, self._entered = context, entered
        self.task = Task(self._hold)

    def _hold(self) -> None:
        with self._context:
            self._entered()
            self.inside.set()
            assert self._leave.wait(PATIENCE)

    def enter(self) -> Holder:
        assert self.inside.wait(PATIENCE), "it never comes in"
        return self

    def leave(self) -> None:
        self._leave.set()

    def end(self) -> None:
        self.leave()
        assert self.task.join() is None


def wait_until_waiting(room: Turns | PixelBudget, count: int) -> None:
    """Wait until so many threads wait in there."""
    wait_for(lambda: len(room._changed._waiters) == count, f"{count} threads to wait")  # type: ignore[attr-defined]


# Turns


def background(turns: Turns, cancellation: Cancellation | None = None) -> AbstractContextManager[None]:
    return turns.network(interactive=False, cancellation=cancellation or Cancellation())


def test_one_has_the_network_at_a_time() -> None:
    turns = Turns()
    first = Holder(background(turns)).enter()
    second = Holder(background(turns))
    wait_until_waiting(turns, 1)
    assert not second.inside.is_set()
    first.end()
    second.enter().end()


def test_whoever_somebody_waits_for_has_the_network_next() -> None:
    turns, order = Turns(), []
    running = Holder(background(turns)).enter()
    folders = [Holder(background(turns), lambda: order.append("folder")) for _ in range(5)]
    for folder in folders:
        folder.leave()
    wait_until_waiting(turns, 5)
    with turns.interactive():
        person = Holder(turns.network(interactive=True, cancellation=Cancellation()), lambda: order.append("somebody"))
        wait_until_waiting(turns, 6)
        running.end()
        person.enter()
        wait_until_waiting(turns, 5)
        person.end()
        wait_until_waiting(turns, 5)  # between this run and the end of what somebody waits for, too
        assert order == ["somebody"]
    for folder in folders:
        folder.end()
    assert order == ["somebody", *["folder"] * 5]


def test_a_second_one_that_somebody_waits_for_goes_before_folders_that_waited_longer() -> None:
    turns, order = Turns(), []
    with turns.interactive(), turns.interactive():
        first = Holder(turns.network(interactive=True, cancellation=Cancellation())).enter()
        folder = Holder(background(turns), lambda: order.append("folder"))
        wait_until_waiting(turns, 1)
        second = Holder(turns.network(interactive=True, cancellation=Cancellation()), lambda: order.append("somebody"))
        wait_until_waiting(turns, 2)
        first.end()
        second.enter().end()
    folder.enter().end()
    assert order == ["somebody", "folder"]


def test_background_work_gives_way_until_the_last_is_gone() -> None:
    turns, none = Turns(), Cancellation()
    turns.give_way(none)
    first, second = Holder(turns.interactive()).enter(), Holder(turns.interactive()).enter()
    task = Task(lambda: turns.give_way(none))
    wait_until_waiting(turns, 1)
    first.end()
    wait_until_waiting(turns, 1)
    assert not task.ended
    second.end()
    assert task.join() is None


def test_error_of_whoever_has_the_network_leaves_it_free() -> None:
    turns = Turns()

    def fail() -> None:
        with turns.interactive(), turns.network(interactive=True, cancellation=Cancellation()):
            raise ZeroDivisionError

    assert isinstance(Task(fail).join(), ZeroDivisionError)
    Holder(background(turns)).enter().end()


@pytest.mark.parametrize("interactive", [False, True])
def test_cancelled_while_it_waits_for_the_network(interactive: bool) -> None:
    turns, cancellation = Turns(), Cancellation()
    running = Holder(background(turns)).enter()
    waits = Holder(turns.network(interactive=interactive, cancellation=cancellation))
    other = Holder(background(turns))
    wait_until_waiting(turns, 2)
    cancellation.cancel()
    assert isinstance(waits.task.join(), Cancelled)
    wait_until_waiting(turns, 1)  # nobody else was ended
    running.end()
    other.enter().end()


def test_cancelled_while_it_gives_way() -> None:
    turns, cancellation = Turns(), Cancellation()
    with turns.interactive():
        task = Task(lambda: turns.give_way(cancellation))
        other = Task(lambda: turns.give_way(Cancellation()))
        wait_until_waiting(turns, 2)
        cancellation.cancel()
        assert isinstance(task.join(), Cancelled)
        wait_until_waiting(turns, 1)
    assert other.join() is None


def test_cancelled_before_it_is_ended_without_waiting() -> None:
    turns, cancellation = Turns(), Cancellation()
    cancellation.cancel()
    with pytest.raises(Cancelled):
        turns.give_way(cancellation)
    with pytest.raises(Cancelled), background(turns, cancellation):
        raise AssertionError("it came in")
    Holder(background(turns)).enter().end()


def test_nobody_is_forgotten_when_many_come_and_are_ended_at_once() -> None:
    turns, chance = Turns(), random.Random(7)
    inside: list[int] = []
    most: list[int] = []

    def run(interactive: bool, cancellation: Cancellation) -> None:
        with turns.network(interactive=interactive, cancellation=cancellation):
            inside.append(1)
            most.append(len(inside))
            inside.pop()

    def folder(cancellation: Cancellation) -> None:
        for _ in range(20):
            turns.give_way(cancellation)
            run(False, cancellation)

    def person(cancellation: Cancellation) -> None:
        for _ in range(20):
            with turns.interactive():
                run(True, cancellation)

    cancellations = [Cancellation() for _ in range(40)]
    tasks = [
        Task(lambda each=each, work=work: work(each))  # type: ignore[misc]
        for each, work in zip(cancellations, itertools.cycle((folder, folder, person)), strict=False)
    ]
    ended = chance.sample(cancellations, 15)
    for each in ended:
        each.cancel()
    for task, each in zip(tasks, cancellations, strict=True):
        error = task.join()
        assert error is None or (isinstance(error, Cancelled) and each in ended)
    assert max(most) == 1
    Holder(background(turns)).enter().end()


# The budget of pixels


def holder(budget: PixelBudget, pixels: int, cancellation: Cancellation | None = None) -> Holder:
    return Holder(budget.hold(pixels, cancellation or Cancellation()))


def test_many_small_ones_go_together_and_no_more_than_there_is_room_for() -> None:
    budget = PixelBudget(100)
    small = [holder(budget, 10).enter() for _ in range(10)]
    assert budget.held == 100
    further = holder(budget, 1)
    wait_until_waiting(budget, 1)
    assert not further.inside.is_set()
    small.pop().end()
    further.enter()
    assert budget.held == 91
    for each in (*small, further):
        each.end()
    assert budget.held == 0


@pytest.mark.parametrize("pixels", [100, 101, 10**9])
def test_one_as_large_as_the_budget_or_larger_goes_alone(pixels: int) -> None:
    budget = PixelBudget(100)
    small = holder(budget, 1).enter()
    large = holder(budget, pixels)
    wait_until_waiting(budget, 1)
    assert not large.inside.is_set()
    small.end()
    large.enter()
    further = holder(budget, 1)
    wait_until_waiting(budget, 1)
    assert budget.held == pixels
    large.end()
    further.enter().end()
    assert budget.held == 0


def test_large_one_is_not_passed_by_small_ones_that_came_later() -> None:
    budget = PixelBudget(100)
    first = holder(budget, 60).enter()
    large = holder(budget, 90)
    wait_until_waiting(budget, 1)
    small = [holder(budget, 5) for _ in range(5)]
    wait_until_waiting(budget, 6)
    assert not any(each.inside.is_set() for each in small), "there would be room, and it is not their turn"
    first.end()
    large.enter()
    assert budget.held <= 100
    for each in (large, *small):
        each.enter().end()
    assert budget.held == 0


def test_room_that_is_enough_for_several_is_given_to_several_at_once() -> None:
    budget = PixelBudget(100)
    large = holder(budget, 100).enter()
    small = [holder(budget, 25) for _ in range(4)]
    wait_until_waiting(budget, 4)
    large.end()
    for each in small:
        each.enter()
    assert budget.held == 100
    for each in small:
        each.end()


@pytest.mark.parametrize("error", [ZeroDivisionError, Cancelled, KeyboardInterrupt])
def test_error_gives_the_room_back(error: type[BaseException]) -> None:
    budget = PixelBudget(100)
    with pytest.raises(error), budget.hold(70, Cancellation()):
        raise error("in between")
    assert budget.held == 0


def test_cancelled_while_it_waits_for_room_it_lets_the_next_one_in() -> None:
    budget, cancellation = PixelBudget(100), Cancellation()
    first = holder(budget, 60).enter()
    large = holder(budget, 90, cancellation)
    wait_until_waiting(budget, 1)
    small = holder(budget, 5)
    wait_until_waiting(budget, 2)
    cancellation.cancel()
    assert isinstance(large.task.join(), Cancelled)
    small.enter()
    assert budget.held == 65
    first.end()
    small.end()
    assert budget.held == 0


def test_cancelled_before_it_takes_no_room_and_no_place() -> None:
    budget, cancellation = PixelBudget(100), Cancellation()
    cancellation.cancel()
    with pytest.raises(Cancelled), budget.hold(1, cancellation):
        raise AssertionError("it came in")
    assert budget.held == 0
    holder(budget, 100).enter().end()


def test_room_is_never_exceeded_when_many_come_and_are_ended_at_once() -> None:
    budget, chance = PixelBudget(100), random.Random(5)
    lock = threading.Lock()
    inside: list[int] = []
    wrong: list[list[int]] = []

    def work(sizes: list[int], cancellation: Cancellation) -> None:
        for pixels in sizes:
            with budget.hold(pixels, cancellation):
                with lock:
                    inside.append(pixels)
                    if sum(inside) > 100 and len(inside) > 1:
                        wrong.append(list(inside))
                with lock:
                    inside.remove(pixels)

    cancellations = [Cancellation() for _ in range(40)]
    tasks = []
    for each in cancellations:
        sizes = [chance.choice((1, 10, 40, 90, 150)) for _ in range(20)]
        tasks.append(Task(lambda sizes=sizes, each=each: work(sizes, each)))  # type: ignore[misc]
    ended = chance.sample(cancellations, 15)
    for each in ended:
        each.cancel()
    for task, each in zip(tasks, cancellations, strict=True):
        error = task.join()
        assert error is None or (isinstance(error, Cancelled) and each in ended)
    assert not wrong
    assert budget.held == 0
    holder(budget, 100).enter().end()


def test_what_is_cancelled_gives_its_room_back_before_it_has_ended() -> None:
    budget, cancellation = PixelBudget(100), Cancellation()
    kept = holder(budget, 100, cancellation).enter()
    waiting = holder(budget, 100)
    wait_until_waiting(budget, 1)
    cancellation.cancel()
    waiting.enter()
    kept.end()
    assert budget.held == 100
    waiting.end()
    assert budget.held == 0
