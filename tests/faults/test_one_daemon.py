"""Rows 37 and 38: one daemon a user, and only the holder of the lock touches what another may have left."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from alphadrop.client import Client, endpoint_file, socket_file
from alphadrop.hotfolder.ledger import Ledger
from daemon_process import PATIENCE, Home, running, wait_for
from fake_segmenter import assert_cut_from

COMMAND = [sys.executable, "-m", "alphadrop", "run"]


@pytest.fixture
def home(tmp_path_factory: pytest.TempPathFactory) -> Home:
    home = Home(tmp_path_factory.mktemp("h"))
    home.configure(folder="settle: 0\nedges: plain")
    return home


@contextlib.contextmanager
def begun(home: Home, count: int) -> Iterator[list[subprocess.Popen[bytes]]]:
    """Start daemons at once."""
    processes = [
        subprocess.Popen(COMMAND, env=home.environment, stderr=subprocess.PIPE, cwd=home.root) for _ in range(count)
    ]
    try:
        yield processes
    finally:
        for process in processes:
            process.kill()
            process.communicate()


def assert_refused(process: subprocess.Popen[bytes]) -> None:
    _, told = process.communicate(timeout=PATIENCE)
    assert process.returncode == 3
    assert b"a daemon is running already" in told


def everything(home: Home) -> dict[str, tuple[int, int, int, str]]:
    """Return every file and folder of Alphadrop: which it is, its mode and time of change, a hash of its content."""
    found = {}
    for top in ("r", "data", "Pictures", "alphadrop.yaml"):
        for path in (home.root / top, *sorted((home.root / top).rglob("*"))):
            if path.exists():
                status = path.lstat()
                content = hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else ""
                found[str(path)] = (status.st_ino, status.st_mode, status.st_mtime_ns, content)
    return found


def everything_at_rest(home: Home) -> dict[str, tuple[int, int, int, str]]:
    """Return everything once a daemon that has nothing to do leaves it as it is."""

    def unchanged() -> dict[str, tuple[int, int, int, str]]:
        before = everything(home)
        time.sleep(1)
        return before if everything(home) == before else {}

    return wait_for(unchanged, "the daemon to rest")


def log_of(home: Home) -> str:
    return (home.root / "data" / "log" / "alphadrop.log").read_text(encoding="utf-8")


def test_row_37_of_ten_daemons_started_at_once_one_runs_and_does_the_work_once(
    home: Home, photographs: dict[str, Path]
) -> None:
    for name in ("a", "b"):
        shutil.copy(photographs["cat"], home.input / f"{name}.jpg")
    with begun(home, 10) as processes:
        wait_for(lambda: sum(process.poll() is not None for process in processes) >= 9, "nine to give up")
        (winner,) = [process for process in processes if process.poll() is None]
        for process in processes:
            if process is not winner:
                assert_refused(process)
        wait_for(lambda: Client(home.run).status()["folders"][0]["done"] == 2, "the photographs to be done")
        assert Client(home.run).status()["pid"] == winner.pid
        wait_for(endpoint_file(home.run).exists, "it to say where it is")
        assert json.loads(endpoint_file(home.run).read_text())["pid"] == winner.pid
        winner.terminate()
        assert winner.wait(timeout=PATIENCE) == 0
    assert sorted(os.listdir(home.output)) == ["a.png", "b.png"]
    for name in ("a", "b"):
        assert_cut_from(home.output / f"{name}.png", photographs["cat"])
    assert log_of(home).count("ready in") == 1
    ledger = Ledger(home.root / "data" / "ledger.sqlite")
    assert [(row.state, row.attempts, row.suspect) for row in ledger.rows()] == [("done", 1, False)] * 2
    ledger.close()


def test_row_37_a_daemon_that_is_refused_touches_nothing(home: Home, photographs: dict[str, Path]) -> None:
    shutil.copy(photographs["cat"], home.input / "a.jpg")
    with running(home) as process:
        wait_for(lambda: "a.jpg -> " in log_of(home), "the photograph to be done")
        before = everything_at_rest(home)
        with begun(home, 3) as refused:
            for each in refused:
                assert_refused(each)
        assert everything(home) == before
        assert Client(home.run).status()["pid"] == process.pid


def test_row_38_a_socket_and_a_lock_left_by_a_kill_are_taken_over(home: Home) -> None:
    for _ in range(2):
        with running(home) as process:
            assert Client(home.run).status()["pid"] == process.pid
            process.kill()
            process.wait()
        assert sorted(os.listdir(home.run)) == ["api.sock", "daemon.lock", "endpoint.json"]
    with running(home) as process:
        assert json.loads(endpoint_file(home.run).read_text())["pid"] == process.pid
        assert Client(home.run).status()["pid"] == process.pid
    assert sorted(os.listdir(home.run)) == ["daemon.lock"]


def test_row_38_a_socket_that_looks_stale_is_left_alone_while_another_process_holds_the_lock(home: Home) -> None:
    home.run.mkdir(mode=0o700)
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as nobody_listens:
        nobody_listens.bind(str(socket_file(home.run)))
    with (home.run / "daemon.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        before = everything(home)
        with begun(home, 3) as refused:
            for each in refused:
                assert_refused(each)
        assert everything(home) == before
    with running(home) as process:
        assert Client(home.run).status()["pid"] == process.pid
        with begun(home, 1) as (refused_too,):
            assert_refused(refused_too)
        assert Client(home.run).status()["pid"] == process.pid


def test_row_38_the_lock_is_who_holds_it_and_not_that_its_file_is_there(home: Home) -> None:
    home.run.mkdir(mode=0o700)
    (home.run / "daemon.lock").write_text(f"{os.getpid()}\n")
    with running(home) as process:
        assert Client(home.run).status()["pid"] == process.pid
