"""Row 41: told to end while the real network runs, it finishes or puts back, and a second signal forces it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from alphadrop.client import Client
from alphadrop.hotfolder.ledger import Ledger, Row
from daemon_process import PATIENCE, Home, running, state_of, wait_for
from fake_segmenter import assert_cut_from

NAMES = [f"{number}.jpg" for number in range(4)]

_PROGRAM = """
import sys, time
from pathlib import Path
from alphadrop.engine.onnx_runtime import OnnxSegmenter
from alphadrop.hotfolder import hotfolders
from alphadrop.service import lifecycle
look = OnnxSegmenter.saliency
def saliency(self, view, cancellation=None, *, sparing=False):
    Path("network").touch()
    {network}
OnnxSegmenter.saliency = saliency
{grace}
from alphadrop.cli import main
sys.exit(main())
"""
ONCE = "return look(self, view, cancellation)"
FOR_EVER = """while True:
        look(self, view, cancellation)"""
SHORT_GRACE = "lifecycle._GRACE, hotfolders._LAST_GRACE = 0.3, 60.0"
"""So that a busy machine has the time to put back what is broken off."""


@pytest.fixture
def home(tmp_path_factory: pytest.TempPathFactory) -> Home:
    home = Home(tmp_path_factory.mktemp("h"))
    home.configure(folder="settle: 0\nedges: plain", top="quiet: never")
    return home


@contextmanager
def at_the_network(home: Home, photograph: Path, network: str, grace: str = "") -> Iterator[subprocess.Popen[bytes]]:
    """Run a daemon and drop photographs; the block begins when the network has begun to look at one."""
    with (home.root / "stderr.txt").open("ab") as log:
        command = [sys.executable, "-c", _PROGRAM.format(network=network, grace=grace), "run"]
        process = subprocess.Popen(command, env=home.environment, stdout=log, stderr=log, cwd=home.root)
    try:
        wait_for(lambda: state_of(home) == "ready", "the daemon")
        for name in NAMES:
            home.drop(photograph, name)
        wait_for((home.root / "network").exists, "the network to be at work")
        yield process
    finally:
        process.kill()
        process.wait()
    assert "Traceback" not in (home.root / "stderr.txt").read_text(errors="replace")


def rows(home: Home) -> list[Row]:
    ledger = Ledger(home.root / "data" / "ledger.sqlite")
    try:
        return ledger.rows()
    finally:
        ledger.close()


def assert_finished_by_the_next(home: Home, photograph: Path) -> None:
    """Run a daemon until everything is done; each photograph must be one whole output."""
    with running(home):
        wait_for(lambda: Client(home.run).status()["folders"][0]["done"] == len(NAMES), "all to be done")
    assert sorted(os.listdir(home.output)) == [f"{number}.png" for number in range(len(NAMES))]
    for name in NAMES:
        assert_cut_from((home.output / name).with_suffix(".png"), photograph)
        assert (home.input / name).read_bytes() == photograph.read_bytes()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_row_41_a_signal_during_the_network_lets_it_finish_and_loses_nothing(
    home: Home, photographs: dict[str, Path], number: signal.Signals
) -> None:
    with at_the_network(home, photographs["cat"], ONCE) as process:
        process.send_signal(number)
        assert process.wait(timeout=PATIENCE) == 0
    outputs = sorted(os.listdir(home.output))
    done = {row.path.stem for row in rows(home) if row.state == "done"}
    assert outputs == sorted(f"{stem}.png" for stem in done)
    assert {row.state for row in rows(home)} <= {"done", "pending"}
    assert not any(row.suspect or row.crashes for row in rows(home))
    assert sorted(os.listdir(home.run)) == ["daemon.lock"]
    times = {name: (home.output / name).stat().st_mtime_ns for name in outputs}
    assert_finished_by_the_next(home, photographs["cat"])
    assert {name: (home.output / name).stat().st_mtime_ns for name in outputs} == times, "done a second time"


def test_row_41_a_network_that_outlasts_the_deadline_is_broken_off_and_put_back_without_a_stain(
    home: Home, photographs: dict[str, Path]
) -> None:
    with at_the_network(home, photographs["cat"], FOR_EVER, SHORT_GRACE) as process:
        process.terminate()
        assert process.wait(timeout=PATIENCE) == 0
    assert os.listdir(home.output) == []
    assert {(row.state, row.attempts, row.suspect) for row in rows(home)} == {("pending", 0, False)}
    assert_finished_by_the_next(home, photographs["cat"])


@pytest.mark.parametrize("second", [signal.SIGTERM, signal.SIGINT])
def test_row_41_a_second_signal_forces_the_end_and_nothing_is_lost(
    home: Home, photographs: dict[str, Path], second: signal.Signals
) -> None:
    with at_the_network(home, photographs["cat"], FOR_EVER, "lifecycle._GRACE = 3600") as process:
        process.terminate()
        wait_for(lambda: state_of(home) == "stopping", "the first signal to be heard")
        process.send_signal(second)
        assert process.wait(timeout=PATIENCE) == 128 + second
    assert os.listdir(home.output) == []
    assert_finished_by_the_next(home, photographs["cat"])


@pytest.mark.skipif(not hasattr(signal, "SIGSTOP"), reason="no process can be stopped here")
def test_row_41_a_daemon_that_was_stopped_hears_the_signal_to_end_when_it_goes_on(home: Home) -> None:
    with running(home) as process:
        process.send_signal(signal.SIGSTOP)
        wait_for(lambda: psutil.Process(process.pid).status() == psutil.STATUS_STOPPED, "it to be stopped")
        process.terminate()  # as a shell ends a job that ctrl-Z has stopped
        process.send_signal(signal.SIGCONT)
        assert process.wait(timeout=PATIENCE) == 0
    assert sorted(os.listdir(home.run)) == ["daemon.lock"]
