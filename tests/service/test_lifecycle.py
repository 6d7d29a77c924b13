"""The resident process from its first moment to exit 0, with the real model."""

from __future__ import annotations

import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from alphadrop import paths
from alphadrop.client import Client, endpoint_file, socket_file
from alphadrop.errors import DaemonError, NotRunning
from alphadrop.hotfolder.ledger import Ledger
from daemon_process import PATIENCE, Home, running, wait_for

pytestmark = pytest.mark.skipif(os.name != "posix", reason="speaks of signals")


@pytest.fixture
def home(tmp_path_factory: pytest.TempPathFactory) -> Home:
    home = Home(tmp_path_factory.mktemp("h"))
    home.configure(folder="settle: 0")
    return home


@pytest.fixture(scope="module")
def large_photograph(photographs: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twelve megapixels with a subject."""
    file = tmp_path_factory.mktemp("large") / "large.jpg"
    with Image.open(photographs["astronaut"]) as image:
        image.resize((3464, 3464)).save(file)
    return file


def status(home: Home) -> dict[str, Any]:
    """Return what the daemon says, or nothing where none answers yet."""
    try:
        return Client(home.run).status()
    except DaemonError:
        return {}


def counts(home: Home) -> dict[str, Any]:
    return dict(status(home)["folders"][0])


@contextmanager
def begun(home: Home, *wrapper: str) -> Iterator[subprocess.Popen[bytes]]:
    """Run a daemon without waiting for it."""
    with (home.root / "stderr.txt").open("ab") as log:
        command = [*(wrapper or (sys.executable, "-m", "alphadrop")), "run"]
        process = subprocess.Popen(command, env=home.environment, stdout=log, stderr=log, cwd=home.root)
        try:
            yield process
        finally:
            process.kill()
            process.wait()


def log_of(home: Home) -> str:
    return (home.root / "data" / "log" / "alphadrop.log").read_text(encoding="utf-8")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_in_order(home: Home, number: signal.Signals) -> None:
    with running(home) as process:
        assert endpoint_file(home.run).exists()
        process.send_signal(number)
        assert process.wait(timeout=PATIENCE) == 0
    assert sorted(os.listdir(home.run)) == ["daemon.lock"]
    with pytest.raises(NotRunning):
        Client(home.run).status()
    assert log_of(home).rstrip().endswith("info    ended")
    assert "Traceback" not in (home.root / "stderr.txt").read_text()


def test_a_signal_while_the_model_is_loaded_ends_it_in_order_too(home: Home) -> None:
    with begun(home) as process:
        wait_for(endpoint_file(home.run).exists, "the first sign of life")
        process.terminate()
        assert process.wait(timeout=PATIENCE) == 0
    assert sorted(os.listdir(home.run)) == ["daemon.lock"]
    assert "Traceback" not in (home.root / "stderr.txt").read_text()


def test_a_signal_during_the_network_lets_the_photograph_be_finished(home: Home, large_photograph: Path) -> None:
    with running(home) as process:
        home.drop(large_photograph, "a.jpg")
        wait_for(lambda: counts(home)["working"] == 1, "the work to begin")
        process.terminate()
        assert process.wait(timeout=PATIENCE) == 0
    outputs = os.listdir(home.output)
    assert outputs in (["a.png"], [])
    if outputs:
        with Image.open(home.output / "a.png") as image:
            image.load()
            assert image.size == (3464, 3464)
    ledger = Ledger(home.root / "data" / "ledger.sqlite")
    (row,) = ledger.rows()
    ledger.close()
    assert (row.state == "done") == bool(outputs)


_NEVER_ENDING = """
import os, sys, threading
from alphadrop.engine import onnx_runtime
def saliency(*_, **__):
    open(os.path.join(os.environ["ALPHADROP_DATA_DIR"], "network"), "w").close()
    threading.Event().wait()
onnx_runtime.OnnxSegmenter.saliency = saliency
from alphadrop.cli import main
sys.exit(main())
"""
_SHORT_GRACE = _NEVER_ENDING.replace(
    "from alphadrop.cli", "from alphadrop.service import lifecycle\nlifecycle._GRACE = 0.2\nfrom alphadrop.cli"
)


def test_a_second_signal_forces_the_end_and_the_file_is_done_the_next_time(
    home: Home, photographs: dict[str, Path]
) -> None:
    with begun(home, sys.executable, "-c", _NEVER_ENDING) as process:
        wait_for(lambda: status(home).get("state") == "ready", "the daemon")
        home.drop(photographs["cat"], "a.jpg")
        wait_for(lambda: counts(home)["working"] == 1, "the work to begin")
        process.terminate()
        wait_for(lambda: status(home)["state"] == "stopping", "the first signal to be heard")
        process.terminate()
        assert process.wait(timeout=PATIENCE) == 128 + signal.SIGTERM
    assert os.listdir(home.output) == []
    with running(home):
        wait_for(lambda: counts(home)["done"] == 1, "the file to be done again")
    assert os.listdir(home.output) == ["a.png"]


def test_a_file_that_takes_longer_than_the_grace_is_put_back_and_the_end_is_in_order(
    home: Home, photographs: dict[str, Path]
) -> None:
    with begun(home, sys.executable, "-c", _SHORT_GRACE) as process:
        wait_for(lambda: status(home).get("state") == "ready", "the daemon")
        home.drop(photographs["cat"], "a.jpg")
        wait_for((home.root / "data" / "network").exists, "the network to begin")
        process.terminate()
        assert process.wait(timeout=PATIENCE) == 0
    assert "took too long" in log_of(home)
    assert os.listdir(home.output) == []
    assert sorted(os.listdir(home.run)) == ["daemon.lock"]
    ledger = Ledger(home.root / "data" / "ledger.sqlite")
    assert [str(row.path) for row in ledger.recover()] == ["a.jpg"]
    ledger.close()


_LONG_AND_CANCELLABLE = """
import sys, threading
from alphadrop.engine import onnx_runtime
from alphadrop.hotfolder import hotfolders
from alphadrop.service import lifecycle
def saliency(self, view, cancellation=None, *, sparing=False):
    ended = threading.Event()
    with cancellation.stopping_by(ended.set):
        ended.wait()
        cancellation.check()
onnx_runtime.OnnxSegmenter.saliency = saliency
lifecycle._GRACE, hotfolders._LAST_GRACE = 0.2, 60.0
from alphadrop.cli import main
sys.exit(main())
"""


def test_a_run_of_the_network_that_takes_longer_than_the_grace_is_broken_off_and_the_file_put_back(
    home: Home, photographs: dict[str, Path]
) -> None:
    with begun(home, sys.executable, "-c", _LONG_AND_CANCELLABLE) as process:
        wait_for(lambda: status(home).get("state") == "ready", "the daemon")
        home.drop(photographs["cat"], "a.jpg")
        wait_for(lambda: counts(home)["working"] == 1, "the work to begin")
        process.terminate()
        assert process.wait(timeout=PATIENCE) == 0
    assert "took too long" not in log_of(home)
    ledger = Ledger(home.root / "data" / "ledger.sqlite")
    (row,) = ledger.rows()
    ledger.close()
    assert (row.state, row.attempts, row.suspect) == ("pending", 0, False)
    assert os.listdir(home.output) == []


def test_a_signal_after_a_request_to_stop_is_the_first_and_forces_nothing(
    home: Home, photographs: dict[str, Path]
) -> None:
    with begun(home, sys.executable, "-c", _SHORT_GRACE.replace("0.2", "3")) as process:
        wait_for(lambda: status(home).get("state") == "ready", "the daemon")
        home.drop(photographs["cat"], "a.jpg")
        wait_for(lambda: counts(home)["working"] == 1, "the work to begin")
        Client(home.run).stop()
        process.terminate()
        assert process.wait(timeout=PATIENCE) == 0


def test_a_kill_in_the_middle_of_the_work_loses_nothing_and_doubles_nothing(home: Home, large_photograph: Path) -> None:
    with running(home) as process:
        home.drop(large_photograph, "a.jpg")
        wait_for(lambda: counts(home)["working"] == 1, "the work to begin")
        process.kill()
        process.wait()
    for left in os.listdir(home.output):
        assert left == "a.png" or left.startswith(".alphadrop-")
    with running(home):
        wait_for(lambda: counts(home)["done"] == 1, "the file to be done")
    assert os.listdir(home.output) == ["a.png"]
    with Image.open(home.output / "a.png") as image:
        image.load()


def test_a_model_that_is_missing_is_waited_for_with_the_api_up(home: Home, photographs: dict[str, Path]) -> None:
    model = home.root / "own.onnx"
    rows = f"model: own\nmodels:\n- name: own\n  file: {model}\n  licence: Apache-2.0\n"
    home.configure(folder="settle: 0", top=rows)
    home.drop(photographs["astronaut"], "a.jpg")
    impatient = "import sys\nfrom alphadrop.service import lifecycle\nlifecycle._RETRY = 0.1\n"
    with begun(home, sys.executable, "-c", f"{impatient}from alphadrop.cli import main\nsys.exit(main())") as process:
        wait_for(lambda: status(home).get("state") == "waiting for a model", "the daemon to wait")
        told = status(home)["model"]
        assert (told["name"], told["state"]) == ("own", "missing")
        assert "own.onnx" in told["message"]
        assert told["hint"]
        assert home.alphadrop("status").returncode == 0
        wait_for(lambda: counts(home)["pending"] == 1, "the photograph to be noted")
        shutil.copy(paths.embedded_models() / "u2net-int8.onnx", home.root / "half")
        (home.root / "half").rename(model)
        wait_for(lambda: status(home)["state"] == "ready", "the model to be picked up")
        assert status(home)["model"]["state"] == "ready"
        wait_for(lambda: counts(home)["done"] == 1, "the photograph to be cut")
        process.terminate()
        assert process.wait(timeout=PATIENCE) == 0
    assert os.listdir(home.output) == ["a.png"]


def test_a_ledger_that_fails_at_the_start_is_waited_for_with_the_api_up(home: Home) -> None:
    home.configure()
    release = home.root / "release"
    failing = f"""
import sys
from pathlib import Path
from alphadrop.errors import LedgerError
from alphadrop.hotfolder.ledger import Ledger
from alphadrop.service import lifecycle
lifecycle._RETRY = 0.1
recover = Ledger.recover
def refused(self):
    if not Path({str(release)!r}).exists():
        raise LedgerError("the ledger cannot be used: disk full")
    return recover(self)
Ledger.recover = refused
from alphadrop.cli import main
sys.exit(main())
"""
    with begun(home, sys.executable, "-c", failing) as process:
        wait_for(lambda: status(home).get("state") == "waiting for the ledger", "the daemon to wait")
        assert status(home)["model"]["state"] == "loading"
        release.touch()
        wait_for(lambda: status(home)["state"] == "ready", "the ledger to be taken up")
        process.terminate()
        assert process.wait(timeout=PATIENCE) == 0


def test_a_signal_while_it_waits_for_a_model_ends_it_at_once(home: Home) -> None:
    home.configure(top=f"model: own\nmodels: [{{name: own, file: {home.root / 'own.onnx'}}}]")
    with begun(home) as process:
        wait_for(lambda: status(home).get("state") == "waiting for a model", "the daemon to wait")
        process.terminate()
        assert process.wait(timeout=PATIENCE) == 0


def test_a_ledger_of_a_newer_version_is_refused_and_leaves_no_socket(home: Home) -> None:
    (home.root / "data").mkdir()
    with closing(sqlite3.connect(home.root / "data" / "ledger.sqlite")) as newer:
        newer.execute("PRAGMA user_version = 99")
    told = home.alphadrop("run")
    assert told.returncode == 1
    assert "written by a newer Alphadrop" in told.stderr
    assert "update Alphadrop" in told.stderr
    assert not socket_file(home.run).exists()


def test_a_run_folder_too_long_for_a_socket_is_reached_by_the_port(home: Home) -> None:
    home = Home(home.root / ("x" * 100))
    home.root.mkdir()
    home.configure()
    with running(home):
        assert not socket_file(home.run).exists()
        told = home.alphadrop("status")
        assert (told.returncode, told.stderr) == (0, "")
        assert "ready" in told.stdout
    assert "too long for a socket" in log_of(home)
    assert home.alphadrop("status").returncode == 4


def test_the_state_is_told_while_photographs_are_cut(home: Home, photographs: dict[str, Path]) -> None:
    with running(home):
        for number in range(4):
            home.drop(photographs["cat"], f"{number}.jpg")
        seen: list[bool] = []
        stop = threading.Event()

        def ask() -> None:
            while not stop.is_set():
                seen.append(status(home).get("state") == "ready")

        thread = threading.Thread(target=ask)
        thread.start()
        wait_for(lambda: counts(home)["done"] == 4, "all to be done")
        stop.set()
        thread.join(timeout=PATIENCE)
        assert seen
        assert all(seen)
