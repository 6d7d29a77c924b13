"""The rest of hot folders, by clocks that go, sleep and are set as the test wants it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from alphadrop.hotfolder.ledger import Ledger
from alphadrop.hotfolder.rest import Pause, Rest

HOUR = 3600.0
YEAR = 365 * 24 * HOUR


class Clocks:
    """The time of day, and the one that nobody sets."""

    def __init__(self) -> None:
        self.wall = 1e9
        self.steady = 50.0

    def pass_by(self, seconds: float) -> None:
        self.wall += seconds
        self.steady += seconds

    def rest(self, ledger: Ledger) -> Rest:
        """Return the rest of a daemon that starts now."""
        rest = Rest(ledger, wall=lambda: self.wall, steady=lambda: self.steady)
        rest.recall()
        return rest


@pytest.fixture
def clocks() -> Clocks:
    return Clocks()


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    ledger = Ledger(tmp_path / "ledger.sqlite")
    yield ledger
    ledger.close()


def test_one_without_an_end_lasts_until_told_otherwise_over_restarts(clocks: Clocks, ledger: Ledger) -> None:
    rest = clocks.rest(ledger)
    assert rest.pause is None
    rest.begin(None)
    clocks.pass_by(YEAR)
    assert not rest.forget_if_over()
    again = clocks.rest(ledger)
    assert again.pause == Pause()
    again.end()
    assert again.pause is None
    assert clocks.rest(ledger).pause is None


def test_one_ends_at_its_time_and_is_forgotten_once(clocks: Clocks, ledger: Ledger) -> None:
    rest = clocks.rest(ledger)
    rest.begin(clocks.wall + HOUR)
    clocks.pass_by(HOUR - 1)
    assert rest.pause == Pause(clocks.wall + 1)
    clocks.pass_by(1)
    assert rest.pause is None
    assert rest.forget_if_over()
    assert not rest.forget_if_over()
    clocks.wall -= YEAR
    assert clocks.rest(ledger).pause is None, "it does not begin again"


def test_one_goes_on_while_the_machine_sleeps_or_is_off(clocks: Clocks, ledger: Ledger) -> None:
    rest = clocks.rest(ledger)
    rest.begin(clocks.wall + HOUR)
    clocks.wall += HOUR  # the steady clock stands still meanwhile
    assert rest.pause is None
    assert clocks.rest(ledger).pause is None


@pytest.mark.parametrize("restarts", [False, True])
def test_a_clock_that_is_set_back_makes_it_no_longer(clocks: Clocks, ledger: Ledger, restarts: bool) -> None:
    rest = clocks.rest(ledger)
    rest.begin(clocks.wall + HOUR)
    clocks.wall -= YEAR
    rest = clocks.rest(ledger) if restarts else rest
    clocks.pass_by(HOUR - 60)
    assert rest.pause == Pause(clocks.wall + 60), "what is told is by the clock as it is now"
    clocks.pass_by(60)
    assert rest.pause is None


def test_one_that_was_kept_without_its_length_is_taken_up(clocks: Clocks, ledger: Ledger) -> None:
    ledger.keep_note("paused", f'{{"until": {clocks.wall + HOUR}}}')
    rest = clocks.rest(ledger)
    assert rest.pause == Pause(clocks.wall + HOUR)
    clocks.pass_by(HOUR)
    assert rest.pause is None
