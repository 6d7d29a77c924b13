"""run, status, pause, resume and stop as a user types them, and the exit statuses that scripts rely on."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from alphadrop import __version__
from alphadrop.cli import main
from alphadrop.cli.daemon import moment
from alphadrop.cli.terminal import status_of
from alphadrop.client import Client
from alphadrop.errors import (
    AlreadyRunning,
    BadOptions,
    CannotRead,
    ConfigError,
    DaemonError,
    DamagedPhoto,
    ModelMissing,
    NotRunning,
    UnknownModel,
)
from daemon_process import PATIENCE, Home, running, wait_for


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Home]:
    """A home in which a daemon runs."""
    home = Home(tmp_path_factory.mktemp("h"))
    home.configure()
    with running(home):
        yield home


@pytest.fixture
def empty(tmp_path_factory: pytest.TempPathFactory) -> Home:
    """A home in which nothing was ever started."""
    return Home(tmp_path_factory.mktemp("h"))


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (CannotRead("x"), 1), (DamagedPhoto("x"), 1), (ModelMissing("x"), 1), (DaemonError("x"), 1),
        (BadOptions("x"), 2), (ConfigError(()), 2), (UnknownModel("x"), 2), (AlreadyRunning("x"), 3),
        (NotRunning("x"), 4),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else str(value),
)  # fmt: skip
def test_every_error_has_its_exit_status(error: Exception, status: int) -> None:
    assert status_of(error) == status  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "command",
    [
        ["status"], ["status", "--json"], ["stop"], ["pause"], ["pause", "--for", "1h"], ["resume"], ["jobs"],
        ["jobs", "--json"], ["retry", "1"], ["retry", "--all"], ["retry", "--changed"], ["undo"], ["undo", "1"],
        ["undo", "--all"],
    ],
    ids=" ".join,
)  # fmt: skip
def test_where_nothing_runs_the_exit_status_is_4(
    empty: Home, command: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("ALPHADROP_RUN_DIR", str(empty.run))
    assert main(command) == 4
    told = capsys.readouterr()
    assert told.out == ""
    assert told.err == "alphadrop: no daemon is running\n  start it with: alphadrop run\n"


def test_status_in_json_is_for_programs(home: Home) -> None:
    told = home.alphadrop("status", "--json")
    assert (told.returncode, told.stderr) == (0, "")
    status = json.loads(told.stdout)
    assert (status["version"], status["state"]) == (__version__, "ready")
    assert status["folders"][0]["input"] == str(home.input)


def test_status_in_words_names_the_model_and_the_folders(home: Home) -> None:
    told = home.alphadrop("status")
    assert (told.returncode, told.stderr) == (0, "")
    lines = told.stdout.splitlines()
    assert lines[0].startswith(f"alphadrop {__version__}, process ")
    assert lines[0].endswith(": ready")
    assert lines[1].startswith("model    u2net-int8: ready, cpu")
    assert lines[2] == f"config   {home.root / 'alphadrop.yaml'}"
    assert f"folder   {home.input}: watching" in lines
    assert f"      -> {home.output}" in lines
    assert "         0 done" in lines


def test_a_pause_is_said_with_its_end_and_seen_in_the_status(home: Home) -> None:
    told = home.alphadrop("pause", "--for", "30s")
    assert told.returncode == 0
    assert re.fullmatch(
        r"paused until (\d{4}-\d\d-\d\d )?\d\d:\d\d(:\d\d)?; what is dropped is noted and cut afterwards\n"
        r"go on: alphadrop resume\n",
        told.stdout,
    ), told.stdout
    until = Client(home.run).status()["paused"]["until"]
    assert 0 < until - time.time() <= 30
    assert home.alphadrop("pause").stdout.startswith("paused until you resume; ")
    lines = home.alphadrop("status").stdout.splitlines()
    assert lines[1] == "paused   until you resume; what is dropped is noted and cut afterwards"
    assert lines[2] == "         go on: alphadrop resume"
    (daemon,) = [each for each in json.loads(home.alphadrop("doctor", "--json").stdout) if each["what"] == "daemon"]
    assert (daemon["verdict"], daemon["remedy"]) == ("note", "go on: alphadrop resume")
    told = home.alphadrop("resume")
    assert (told.returncode, told.stdout) == (0, "resumed; 0 photographs to cut\n")
    assert Client(home.run).status()["paused"] is None
    assert home.alphadrop("resume").returncode == 0


@pytest.mark.parametrize("duration", ["", "1", "-1h", "0s", "1w", "1h30m", "367d", "an hour", "1e9d", "٣h", "nans"])
def test_a_duration_that_makes_no_sense_is_bad_usage(duration: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["pause", f"--for={duration}"])
    assert ended.value.code == 2
    assert f"{duration!r} is not " in capsys.readouterr().err


@pytest.mark.parametrize(("duration", "seconds"), [("30s", 30), ("15m", 900), ("1.5h", 5400), ("2 D", 172_800)])
def test_durations_are_what_they_say(duration: str, seconds: float, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[float | None] = []

    def pause(_: Client, seconds: float | None = None) -> dict[str, object]:
        asked.append(seconds)
        return {"paused": {"until": 0.0}}

    monkeypatch.setattr(Client, "pause", pause)
    assert main(["pause", "--for", duration]) == 0
    assert asked == [seconds]


def test_moments_are_said_as_short_as_they_are_clear() -> None:
    noon = time.mktime((*time.localtime()[:3], 12, 0, 0, 0, 0, -1))
    with_seconds = abs(noon - time.time()) < 600
    assert moment(noon) == ("12:00:00" if with_seconds else "12:00")
    assert len(moment(time.time() + 1)) in (8, 16)
    assert moment(0.0)[:4] in ("1969", "1970")
    assert len(moment(0.0)) == 16


STATUS: dict[str, Any] = {
    "api": 1,
    "version": "1",
    "pid": 7,
    "state": "waiting for a model",
    "uptime": 1.0,
    "paused": {"until": 0.0},
    "configuration": {"file": "/c.yaml", "problems": ["/c.yaml:3: unknown key"]},
    "model": {"name": "own", "state": "missing", "device": "", "message": "no file", "hint": "fetch it"},
    "ledger": {"state": "trouble", "message": "no space", "hint": "free some", "notes": ["begun anew"]},
    "folders": [
        {
            "input": "/in", "output": "/out", "health": "disk full", "remedy": "free space", "warning": "nearly full",
            "pending": 1, "working": 2, "done": 0, "no_subject": 3, "skipped": 4, "failed": 5, "missing": 6,
            "warned": 0,
        },
    ],
}  # fmt: skip


SEE_WHY = "see why: alphadrop jobs --failed"
WARNED = "with a warning: alphadrop jobs --warned"


def test_everything_that_is_wrong_is_in_the_status_with_its_remedy(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(Client, "status", lambda _: STATUS)
    assert main(["status"]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "alphadrop 1, process 7: waiting for a model",
        f"paused   until {moment(0.0)}; what is dropped is noted and cut afterwards",
        "         go on: alphadrop resume",
        "model    own: missing",
        "         no file",
        "         fetch it",
        "config   /c.yaml",
        "         it was changed and cannot be used; the last good one is in force:",
        "         /c.yaml:3: unknown key",
        "ledger   no space",
        "         free some",
        "         begun anew",
        "folder   /in: disk full",
        "         free space",
        "         nearly full",
        "      -> /out",
        f"         1 pending, 2 working, 0 done, 3 no subject, 4 skipped, 5 failed, 6 missing; {SEE_WHY}",
    ]


@pytest.mark.parametrize(
    ("failed", "told"),
    [(0, f"9 done (2 {WARNED})"), (1, f"9 done (2 {WARNED}), 1 failed; {SEE_WHY}")],
)
def test_cut_outs_with_a_warning_are_counted_in_the_status(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], failed: int, told: str
) -> None:
    counts = dict.fromkeys(("pending", "working", "no_subject", "skipped", "missing"), 0)
    folder = {**STATUS["folders"][0], **counts, "done": 9, "failed": failed, "warned": 2}
    monkeypatch.setattr(Client, "status", lambda _: {**STATUS, "folders": [folder]})
    assert main(["status"]) == 0
    assert capsys.readouterr().out.splitlines()[-1].strip() == told


def test_a_status_without_folders_says_what_is_missing(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(Client, "status", lambda _: {**STATUS, "state": "ready", "folders": []})
    assert main(["status"]) == 0
    assert "folder   none is watched; add one to the configuration\n" in capsys.readouterr().out


def test_a_configuration_that_was_broken_is_told_until_it_is_mended(empty: Home) -> None:
    empty.configure()
    with running(empty):
        (empty.root / "alphadrop.yaml").write_text("nonsense: 1\n")
        wait_for(lambda: Client(empty.run).status()["configuration"]["problems"], "the problem")
        told = empty.alphadrop("status").stdout
        assert "the last good one is in force" in told
        assert "alphadrop.yaml:1: unknown key `nonsense`" in told
        assert f"folder   {empty.input}: watching" in told
        empty.configure()
        wait_for(lambda: not Client(empty.run).status()["configuration"]["problems"], "the mended configuration")


def test_a_second_run_exits_3_and_leaves_the_first_alone(home: Home) -> None:
    before = Client(home.run).status()["pid"]
    told = home.alphadrop("run")
    assert told.returncode == 3
    assert "a daemon is running already" in told.stderr
    assert Client(home.run).status()["pid"] == before


def test_the_doctor_sees_the_daemon(home: Home) -> None:
    told = home.alphadrop("doctor", "--json")
    assert told.returncode == 0, told.stdout
    (finding,) = [finding for finding in json.loads(told.stdout) if finding["what"] == "daemon"]
    assert finding["verdict"] == "ok"
    assert f"process {Client(home.run).status()['pid']}, ready" in finding["told"]


def test_stop_ends_the_daemon_and_returns_when_it_has_ended(empty: Home) -> None:
    empty.configure()
    with running(empty) as process:
        told = empty.alphadrop("stop")
        assert (told.returncode, told.stdout, told.stderr) == (0, "", "")
        assert process.wait(timeout=PATIENCE) == 0
    assert empty.alphadrop("stop").returncode == 4


def test_the_first_run_makes_a_configuration_and_its_folders_and_says_so(empty: Home) -> None:
    with running(empty):
        status = Client(empty.run).status()
    assert status["configuration"] == {"file": str(empty.root / "alphadrop.yaml"), "problems": []}
    assert [folder["input"] for folder in status["folders"]] == [str(empty.input)]
    assert empty.input.is_dir()
    assert "made a configuration: " in (empty.root / "stderr.txt").read_text()
    assert f"drop photographs into {empty.input}" in (empty.root / "stderr.txt").read_text()


def test_run_with_a_broken_configuration_exits_2_with_every_error(empty: Home) -> None:
    (empty.root / "alphadrop.yaml").write_text("nonsense: 1\nthreads: many\n")
    told = empty.alphadrop("run")
    assert told.returncode == 2
    assert "alphadrop.yaml:1:" in told.stderr
    assert "alphadrop.yaml:2:" in told.stderr
    assert not empty.run.exists()


def test_run_with_a_configuration_that_is_not_there_makes_none(empty: Home) -> None:
    missing = empty.root / "missing.yaml"
    told = empty.alphadrop("run", "--config", missing)
    assert told.returncode == 2
    assert "missing.yaml: cannot be read" in told.stderr
    assert not missing.exists()


def test_run_takes_the_configuration_it_is_given(empty: Home) -> None:
    empty.configure()
    other = (empty.root / "alphadrop.yaml").rename(empty.root / "other.yaml")
    command = [sys.executable, "-m", "alphadrop", "run", "--config", str(other)]
    with (empty.root / "stderr.txt").open("wb") as log:
        process = subprocess.Popen(command, env=empty.environment, stderr=log, cwd=empty.root)
        try:
            wait_for(lambda: empty.alphadrop("status").returncode == 0, "the daemon")
            assert Client(empty.run).status()["configuration"]["file"] == str(other)
            process.send_signal(signal.SIGTERM)
            assert process.wait(timeout=PATIENCE) == 0
        finally:
            process.kill()
            process.wait()
    assert not (empty.root / "alphadrop.yaml").exists()


@pytest.mark.skipif(os.name != "posix", reason="speaks of pipes")
def test_a_reader_that_goes_away_is_no_traceback(home: Home) -> None:
    command = f"{sys.executable} -m alphadrop status | true"
    told = subprocess.run(
        ["sh", "-c", command], env=home.environment, capture_output=True, text=True, timeout=PATIENCE, check=False
    )
    assert "Traceback" not in told.stderr


def test_a_socket_that_speaks_nonsense_is_exit_status_1(empty: Home) -> None:
    import socket
    import threading

    empty.run.mkdir(parents=True)
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
        listener.bind(str(empty.run / "api.sock"))
        listener.listen()

        def answer() -> None:
            connection, _ = listener.accept()
            with connection:
                connection.recv(1000)
                connection.sendall(b"nonsense\r\n\r\n")

        thread = threading.Thread(target=answer)
        thread.start()
        told = empty.alphadrop("status")
        thread.join(timeout=PATIENCE)
    assert told.returncode == 1
    assert "no sense in the answer" in told.stderr


def test_paths_with_spaces_and_accents_are_fine(tmp_path_factory: pytest.TempPathFactory) -> None:
    home = Home(Path(tmp_path_factory.mktemp("ä b")))
    with running(home):
        told = home.alphadrop("status")
    assert f"folder   {home.input}: watching" in told.stdout
