"""A terminal that is closed ends the daemon in order, and one that is to outlive its terminal does."""

from __future__ import annotations

import fcntl
import os
import pty
import signal
import subprocess
import sys
import termios
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from daemon_process import PATIENCE, Home, state_of, wait_for

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="there are no such terminals")


@pytest.fixture
def home(tmp_path_factory: pytest.TempPathFactory) -> Home:
    home = Home(tmp_path_factory.mktemp("h"))
    home.configure(folder="settle: 0\nedges: plain")
    return home


@contextmanager
def in_a_terminal(home: Home, before: Callable[[], object]) -> Iterator[tuple[subprocess.Popen[bytes], int]]:
    """Run a daemon in a terminal of its own, ready; yield it, and the descriptor that the terminal is closed by."""
    ours, its = pty.openpty()

    def begin() -> None:
        fcntl.ioctl(its, termios.TIOCSCTTY, 0)
        before()

    process = subprocess.Popen(
        [sys.executable, "-m", "alphadrop", "run"], env=home.environment, stdin=its, stdout=its, stderr=its,
        cwd=home.root, start_new_session=True, preexec_fn=begin,
    )  # fmt: skip
    os.close(its)
    try:
        wait_for(lambda: state_of(home) == "ready", "the daemon to be ready")
        yield process, ours
    finally:
        process.kill()
        process.wait()


def log_of(home: Home) -> str:
    return (home.root / "data" / "log" / "alphadrop.log").read_text()


def test_a_terminal_that_is_closed_ends_it_in_order(home: Home, photographs: dict[str, Path]) -> None:
    with in_a_terminal(home, lambda: signal.signal(signal.SIGHUP, signal.SIG_DFL)) as (process, terminal):
        home.drop(photographs["cat"], "cat.jpg")
        wait_for((home.output / "cat.png").exists, "the cut-out")
        os.close(terminal)
        process.send_signal(signal.SIGHUP)  # as shells do, besides
        assert process.wait(timeout=PATIENCE) == 0
    assert log_of(home).rstrip().endswith("info    ended")
    assert sorted(os.listdir(home.run)) == ["daemon.lock"]


def test_one_that_is_to_outlive_its_terminal_goes_on(home: Home, photographs: dict[str, Path]) -> None:
    with in_a_terminal(home, lambda: signal.signal(signal.SIGHUP, signal.SIG_IGN)) as (process, terminal):
        os.close(terminal)
        home.drop(photographs["cat"], "cat.jpg")
        wait_for((home.output / "cat.png").exists, "the cut-out")
        assert state_of(home) == "ready"
        process.terminate()
        assert process.wait(timeout=PATIENCE) == 0
    assert log_of(home).rstrip().endswith("info    ended")
