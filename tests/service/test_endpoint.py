"""One daemon a user: the lock decides, and only its holder ever touches the socket."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import socket
import stat
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from alphadrop import __version__
from alphadrop.client import API_VERSION, endpoint_file, socket_file
from alphadrop.errors import AlreadyRunning, SocketUnavailable
from alphadrop.service import endpoint as endpoint_module
from alphadrop.service.endpoint import Endpoint
from daemon_process import Home, running, wait_for


@pytest.fixture
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("e") / "r"


@pytest.fixture
def endpoint(folder: Path) -> Iterator[Endpoint]:
    endpoint = Endpoint(folder)
    yield endpoint
    endpoint.close()


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_the_socket_is_the_users_alone(endpoint: Endpoint, folder: Path) -> None:
    assert mode(folder) == 0o700
    assert mode(socket_file(folder)) == 0o600
    assert stat.S_ISSOCK(socket_file(folder).stat().st_mode)
    assert mode(folder / "daemon.lock") == 0o600


def test_a_folder_that_was_open_to_others_is_closed_to_them(folder: Path) -> None:
    folder.mkdir(mode=0o755)
    folder.chmod(0o755)
    endpoint = Endpoint(folder)
    assert mode(folder) == 0o700
    endpoint.close()


def test_a_folder_that_everybody_uses_is_refused_and_left_as_it_is(folder: Path) -> None:
    folder.mkdir()
    folder.chmod(0o1777)
    with pytest.raises(SocketUnavailable, match="others use this folder too"):
        Endpoint(folder)
    assert mode(folder) == 0o1777
    assert list(folder.iterdir()) == []


def test_it_listens_from_the_first_moment(endpoint: Endpoint, folder: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as client:
        client.connect(str(socket_file(folder)))


def test_a_second_daemon_is_refused_and_touches_nothing(endpoint: Endpoint, folder: Path) -> None:
    endpoint.announce()
    before = {path.name: (path.stat().st_ino, path.stat().st_mtime_ns) for path in folder.iterdir()}
    with pytest.raises(AlreadyRunning, match="a daemon is running already") as raised:
        Endpoint(folder)
    assert "alphadrop stop" in raised.value.hint
    assert {path.name: (path.stat().st_ino, path.stat().st_mtime_ns) for path in folder.iterdir()} == before
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as client:
        client.connect(str(socket_file(folder)))


def test_the_announcement_says_where_it_is_and_goes_with_it(folder: Path) -> None:
    endpoint = Endpoint(folder)
    endpoint.announce()
    told = json.loads(endpoint_file(folder).read_text())
    assert told == {
        "api": API_VERSION, "version": __version__, "pid": os.getpid(), "socket": str(socket_file(folder)),
        "port": endpoint.port, "token": endpoint.token,
    }  # fmt: skip
    assert len(endpoint.token) >= 43
    assert mode(endpoint_file(folder)) == 0o600
    endpoint.close()
    assert [path.name for path in folder.iterdir()] == ["daemon.lock"]


def test_after_the_end_another_one_can_begin(folder: Path) -> None:
    for _ in range(2):
        Endpoint(folder).close()


def test_a_socket_that_a_crash_left_is_replaced(folder: Path) -> None:
    folder.mkdir()
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as crashed:
        crashed.bind(str(socket_file(folder)))
    (folder / "daemon.lock").touch()
    endpoint = Endpoint(folder)
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as client:
        client.connect(str(socket_file(folder)))
    endpoint.close()


def without_a_port(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(endpoint_module, "_PORTS", 0)


def test_a_path_too_long_for_a_socket_leaves_the_port(tmp_path: Path) -> None:
    endpoint = Endpoint(tmp_path / ("x" * 110))
    assert [each.family for each in endpoint.sockets] == [socket.AF_INET]
    endpoint.announce()
    told = json.loads(endpoint_file(tmp_path / ("x" * 110)).read_text())
    assert told["socket"] is None
    assert told["port"] == endpoint.port
    endpoint.close()


def test_where_there_is_neither_socket_nor_port_the_remedy_is_said_and_the_lock_freed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    without_a_port(monkeypatch)
    folder = tmp_path / ("x" * 110)
    with pytest.raises(SocketUnavailable, match="too long for a socket") as raised:
        Endpoint(folder)
    assert "ALPHADROP_RUN_DIR" in raised.value.hint
    descriptor = os.open(folder / "daemon.lock", os.O_RDWR)
    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    os.close(descriptor)


def test_the_port_is_on_this_machine_alone_and_another_ones_is_passed_by(
    endpoint: Endpoint, tmp_path_factory: pytest.TempPathFactory
) -> None:
    other = Endpoint(tmp_path_factory.mktemp("e") / "r")
    for each in (endpoint, other):
        (tcp,) = (each for each in each.sockets if each.family == socket.AF_INET)
        assert tcp.getsockname() == ("127.0.0.1", each.port)
    assert endpoint.port != other.port
    assert endpoint.token != other.token
    other.close()


def test_where_no_port_is_free_the_socket_is_enough(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    without_a_port(monkeypatch)
    endpoint = Endpoint(folder)
    endpoint.announce()
    told = json.loads(endpoint_file(folder).read_text())
    assert (told["port"], told["token"]) == (None, None)
    endpoint.close()


def test_what_a_crash_announced_is_gone_with_the_lock(folder: Path) -> None:
    folder.mkdir()
    endpoint_file(folder).write_text('{"port": 1, "token": "stale"}')
    endpoint = Endpoint(folder)
    assert not endpoint_file(folder).exists()
    endpoint.close()


def test_a_client_that_looks_at_the_lock_keeps_no_daemon_from_starting(folder: Path) -> None:
    folder.mkdir()
    looking = os.open(folder / "daemon.lock", os.O_RDWR | os.O_CREAT)
    fcntl.flock(looking, fcntl.LOCK_SH)
    letting_go = threading.Timer(0.2, os.close, [looking])
    letting_go.start()
    Endpoint(folder).close()
    letting_go.join()


def test_the_longest_path_that_a_socket_takes_is_taken(folder: Path) -> None:
    room = 107 - len(os.fsencode(folder)) - len("//api.sock")
    for extra, families in ((0, {socket.AF_UNIX, socket.AF_INET}), (1, {socket.AF_INET})):
        endpoint = Endpoint(folder / ("x" * (room + extra)))
        assert {each.family for each in endpoint.sockets} == families
        endpoint.close()


def test_a_place_where_no_folder_can_be_made_is_a_typed_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(SocketUnavailable, match="not a directory"):
        Endpoint(tmp_path / "file" / "r")


def test_something_else_where_the_socket_should_be_is_a_typed_error_and_frees_the_lock(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    without_a_port(monkeypatch)
    socket_file(folder).mkdir(parents=True)
    for _ in range(2):
        with pytest.raises(SocketUnavailable, match=r"api\.sock"):
            Endpoint(folder)


def test_of_ten_daemons_started_at_once_one_runs_and_nine_say_so_and_touch_nothing(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    home = Home(tmp_path_factory.mktemp("h"))
    home.configure()
    command = [sys.executable, "-m", "alphadrop", "run"]
    processes = [
        subprocess.Popen(command, env=home.environment, stderr=subprocess.PIPE, cwd=home.root) for _ in range(10)
    ]
    try:

        def ended() -> list[subprocess.Popen[bytes]]:
            return [process for process in processes if process.poll() is not None]

        wait_for(lambda: len(ended()) >= 9, "nine to give up")
        assert [process.returncode for process in ended()] == [3] * 9
        for process in ended():
            assert process.stderr is not None
            assert b"a daemon is running already" in process.stderr.read()
        (winner,) = [process for process in processes if process.poll() is None]
        wait_for(lambda: home.alphadrop("status").returncode == 0, "the tenth to answer")
        wait_for(endpoint_file(home.run).exists, "it to say where it is")
        assert json.loads(endpoint_file(home.run).read_text())["pid"] == winner.pid
        log = home.root / "data" / "log" / "alphadrop.log"
        wait_for(lambda: "ready in" in log.read_text(), "it to be ready")
        assert log.read_text().count("ready in") == 1
        winner.terminate()
        assert winner.wait(timeout=60) == 0
    finally:
        for process in processes:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            process.wait()
            if process.stderr is not None:
                process.stderr.close()


def test_a_daemon_that_was_killed_leaves_a_socket_that_the_next_one_replaces(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    home = Home(tmp_path_factory.mktemp("h"))
    home.configure()
    with running(home) as process:
        process.kill()
        process.wait()
    assert socket_file(home.run).exists()
    assert home.alphadrop("status").returncode == 4
    with running(home) as process:
        assert json.loads(home.alphadrop("status", "--json").stdout)["pid"] == process.pid
