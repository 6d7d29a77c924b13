"""Rows 36 and 45: a clock that is set and a machine that slept delay nothing and repeat nothing."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import NoReturn

import pytest

from alphadrop.client import Client
from alphadrop.errors import CannotRead, DaemonError, DiskFull
from alphadrop.hotfolder import hotfolders, worker
from alphadrop.hotfolder.watch import Watch
from daemon_process import PATIENCE, Home, wait_for
from fake_segmenter import BLUE, GREEN, RED, Ground, started, until_done

YEAR = 365.0 * 86_400


class WallClock:
    """The time of day, as whoever sets clocks wants it."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.ahead = 0.0
        real = time.time
        monkeypatch.setattr(time, "time", lambda: real() + self.ahead)


@pytest.fixture
def wall(monkeypatch: pytest.MonkeyPatch) -> WallClock:
    return WallClock(monkeypatch)


@pytest.mark.parametrize("jump", [-10 * YEAR, 10 * YEAR], ids=["back", "forth"])
def test_row_36_a_retry_is_due_by_the_time_that_passed_wherever_the_clock_on_the_wall_jumps(
    ground: Ground, wall: WallClock, jump: float
) -> None:
    def refuse() -> NoReturn:
        raise CannotRead(f"{ground.input / 'a.png'}: cannot be read", "wait")

    ground.drop("a.png", GREEN)
    ground.note("a.png")
    ground.fake.before = refuse
    assert ground.work() == 1
    assert (ground.row("a.png").state, ground.row("a.png").outcome) == ("pending", "cannot_read")
    ground.fake.before = lambda: None
    wall.ahead = jump
    assert ground.work() == 0, "tried again too soon"
    ground.clock.now += 60
    assert ground.work() == 1
    assert ground.outputs() == {"a.png": GREEN}


def test_row_36_files_settle_and_retries_happen_while_the_clock_jumps_by_years_back_and_forth(
    ground: Ground, wall: WallClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse_at_first() -> None:
        if refusing:
            raise CannotRead(f"{ground.input}: cannot be read", "wait")

    monkeypatch.setattr(worker, "_LONGEST_WAIT", 0.2)
    monkeypatch.setattr(hotfolders, "_MOST_WAIT", 0.2)
    monkeypatch.setattr(hotfolders, "_GAP", float("inf"))  # without the new attempt that follows on a jump
    refusing: list[str] = []
    ground.fake.before = refuse_at_first
    with started(ground):
        for number, ahead in enumerate([-30 * YEAR, 30 * YEAR, 0.0, -10.0, 10.0]):
            refusing.append(name := f"{number}.png")
            ground.drop(name, GREEN)
            wait_for(lambda: "cannot_read" in {row.outcome for row in ground.ledger.rows()}, "the first try")
            wall.ahead = ahead
            refusing.clear()
            until_done(ground, number + 1)
    assert ground.outputs() == {f"{number}.png": GREEN for number in range(5)}
    assert {row.state for row in ground.ledger.rows()} == {"done"}


def test_row_36_a_clock_that_is_set_makes_nothing_be_done_again(
    ground: Ground, wall: WallClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hotfolders, "_MOST_WAIT", 0.1)
    monkeypatch.setattr(hotfolders, "_PURGE_EVERY", 0.0)
    with started(ground):
        for name in ("a.png", "b.png"):
            ground.drop(name, GREEN)
        until_done(ground, 2)
        for number, ahead in enumerate([-30 * YEAR, 30 * YEAR, 0.0]):
            wall.ahead = ahead
            ground.drop(f"{number}.png", BLUE)
            until_done(ground, 3 + number)
    assert ground.fake.runs == 5
    assert ground.outputs() == {"a.png": GREEN, "b.png": GREEN, "0.png": BLUE, "1.png": BLUE, "2.png": BLUE}


def test_row_36_files_from_the_future_and_from_long_ago_are_done_once(
    ground: Ground, monkeypatch: pytest.MonkeyPatch
) -> None:
    years = {"1901.png": -2_177_452_800, "1971.png": 31_536_000, "2099.png": 4_070_908_800, "2400.png": 13_569_465_600}
    with started(ground):
        for name, seconds in years.items():
            aside = ground.drop(f".{name}", RED)
            os.utime(aside, (seconds, seconds))
            aside.rename(ground.input / name)
        until_done(ground, len(years))
    with started(ground):
        ground.drop("now.png", BLUE)
        until_done(ground, len(years) + 1)
    assert ground.outputs() == {**dict.fromkeys(sorted(years), RED), "now.png": BLUE}
    assert ground.fake.runs == len(years) + 1


@pytest.mark.parametrize("jump", [-10 * YEAR, 10 * YEAR], ids=["back", "forth"])
def test_row_36_a_pause_ends_after_its_time_and_for_good_wherever_the_clock_on_the_wall_jumps(
    ground: Ground, wall: WallClock, monkeypatch: pytest.MonkeyPatch, jump: float
) -> None:
    monkeypatch.setattr(hotfolders, "_MOST_WAIT", 0.1)
    with started(ground) as folders:
        folders.pause(time.time() + 1)
        wall.ahead = jump
        ground.drop("a.png", GREEN)
        if jump < 0:
            shown = folders.paused
            assert shown is not None
            assert shown.until is not None
            assert shown.until <= time.time() + 1, "it would be told to last for ten years"
        until_done(ground, 1)
        assert folders.paused is None
        wait_for(lambda: ground.ledger.read_note("paused") == "", "it to be forgotten")


def test_row_36_a_pause_that_outlasts_a_restart_is_no_longer_than_it_was_to_be(
    ground: Ground, wall: WallClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hotfolders, "_MOST_WAIT", 0.1)
    with started(ground) as folders:
        folders.pause(time.time() + 1)
    wall.ahead = -10 * YEAR
    with started(ground):
        ground.drop("a.png", GREEN)
        until_done(ground, 1)


# Sleep --------------------------------------------------------------------------------------------------------------


def test_row_45_after_a_sleep_what_came_without_events_is_found_and_what_was_held_up_is_tried(
    ground: Ground, wall: WallClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full() -> NoReturn:
        raise DiskFull(f"{ground.output}: no space left", "free some")

    monkeypatch.setattr(hotfolders, "_MOST_WAIT", 0.1)
    monkeypatch.setattr(worker, "_back_off", lambda _: 86_400.0)
    ground.fake.before = full
    with started(ground) as folders:
        ground.drop("held.png", RED)
        wait_for(lambda: folders.status()[0].health.state == "disk full", "the folder to be held up")
        monkeypatch.setattr(Watch, "dispatch", lambda *_: None)
        ground.fake.before = lambda: None
        ground.drop("unseen.png", GREEN)
        # In a suspended Linux only the clock on the wall goes on.
        wall.ahead = 8 * 3600
        until_done(ground, 2)
    assert ground.outputs() == {"held.png": RED, "unseen.png": GREEN}


def test_row_45_a_pause_goes_on_to_its_end_while_the_machine_sleeps(ground: Ground, wall: WallClock) -> None:
    with started(ground) as folders:
        folders.pause(time.time() + 3600)
        assert folders.paused is not None
        wall.ahead = 8 * 3600
        assert folders.paused is None


_BLIND = """
import sys
from alphadrop.hotfolder import hotfolders, watch
watch.Watch.dispatch = lambda *_: None
hotfolders._MOST_WAIT, hotfolders._GAP = 0.2, 1.0
from alphadrop.cli import main
sys.exit(main())
"""


@pytest.mark.skipif(not hasattr(signal, "SIGSTOP"), reason="no process can be stopped here")
def test_row_45_a_daemon_that_was_stopped_and_continued_looks_through_its_folders(
    tmp_path_factory: pytest.TempPathFactory, photographs: dict[str, Path]
) -> None:
    home = Home(tmp_path_factory.mktemp("h"))
    home.configure(folder="settle: 0\nrescan: 1d\nedges: plain")

    def status() -> dict[str, object]:
        try:
            return Client(home.run).status()
        except DaemonError:
            return {}

    with (home.root / "stderr.txt").open("ab") as log:
        command = [sys.executable, "-c", _BLIND, "run"]
        process = subprocess.Popen(command, env=home.environment, stdout=log, stderr=log, cwd=home.root)
    try:
        wait_for(lambda: status().get("state") == "ready", "the daemon")
        process.send_signal(signal.SIGSTOP)
        home.drop(photographs["cat"], "cat.jpg")

        def is_found_after_a_stop() -> bool:
            process.send_signal(signal.SIGSTOP)
            time.sleep(2)
            process.send_signal(signal.SIGCONT)
            time.sleep(1)
            return (home.output / "cat.png").exists()

        # Stopped anew until it is found: a stop in the middle of a look is none between two.
        wait_for(is_found_after_a_stop, "what came during the sleep")
        Client(home.run).stop()
        assert process.wait(timeout=PATIENCE) == 0
    finally:
        process.kill()
        process.wait()
    assert "the machine slept" in (home.root / "data" / "log" / "alphadrop.log").read_text(encoding="utf-8")
