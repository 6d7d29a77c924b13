"""What a supervisor is told: by datagrams to a real socket, of a real daemon."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from alphadrop import paths
from alphadrop.service.supervision import Pulse, Supervisor
from daemon_process import PATIENCE, Home, state_of, wait_for

pytestmark = pytest.mark.skipif(not hasattr(socket, "AF_UNIX"), reason="supervisors listen on Unix sockets")


@dataclass
class Listener:
    """A supervisor's ear: the socket, and everything that was said to it, in order."""

    socket: socket.socket
    heard: list[dict[str, str]] = field(default_factory=list)

    def listen(self) -> list[dict[str, str]]:
        """Take up what was said since, and return all."""
        while True:
            try:
                said = self.socket.recv(65_536).decode()
            except BlockingIOError:
                return self.heard
            self.heard.append(dict(line.split("=", 1) for line in said.splitlines()))

    def has_heard(self, name: str, begins: str = "") -> bool:
        return any(name in each and each[name].startswith(begins) for each in self.listen())


@contextmanager
def listening(address: str) -> Iterator[Listener]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as ear:
        ear.bind(address)
        ear.setblocking(False)
        yield Listener(ear)


# The protocol -------------------------------------------------------------------------------------------------------


def test_what_is_said_arrives_as_lines_each_value_on_one(tmp_path: Path) -> None:
    with listening(str(tmp_path / "s")) as listener:
        Supervisor.of({"NOTIFY_SOCKET": str(tmp_path / "s")}).tell(READY=1, STATUS="a\nREADY=0 é \udc80")
        assert listener.listen() == [{"READY": "1", "STATUS": "a READY=0 é \\udc80"}]


@pytest.mark.skipif(sys.platform != "linux", reason="sockets without a file are of Linux")
def test_a_socket_without_a_file_is_reached_too() -> None:
    name = f"alphadrop-{os.getpid()}"
    with listening(f"\0{name}") as listener:
        Supervisor.of({"NOTIFY_SOCKET": f"@{name}"}).tell(STOPPING=1)
        assert listener.listen() == [{"STOPPING": "1"}]


def test_one_who_does_not_listen_or_not_any_more_is_not_told(tmp_path: Path) -> None:
    Supervisor().tell(READY=1)
    Supervisor.of({"NOTIFY_SOCKET": str(tmp_path / "gone")}).tell(READY=1)
    Supervisor.of({"NOTIFY_SOCKET": "/" + "x" * 200}).tell(READY=1)


@pytest.mark.parametrize("address", ["", "relative", "vsock:2:1234"])
def test_an_address_of_another_kind_is_none(address: str) -> None:
    assert Supervisor.of({"NOTIFY_SOCKET": address}) == Supervisor()


@pytest.mark.parametrize(
    ("asked", "meant", "every"),
    [
        ("180000000", "", 45.0),
        ("180000000", str(os.getpid()), 45.0),
        ("180000000", "1", None),
        ("0", "", None),
        ("", "", None),
        ("soon", "", None),
        ("-5", "", None),
    ],
    ids=["for whom is not said", "for this", "for another", "none", "nothing", "no number", "less than none"],
)
def test_signs_of_life_are_given_where_this_very_process_is_asked_for_them(
    asked: str, meant: str, every: float | None
) -> None:
    environment = {"NOTIFY_SOCKET": "/s", "WATCHDOG_USEC": asked, "WATCHDOG_PID": meant, "HOME": "/"}
    assert Supervisor.of(environment).every == every
    assert environment == {"HOME": "/"}, "what the daemon starts would speak for it"


# Whether all goes round -----------------------------------------------------------------------------------------------


def test_what_has_not_gone_round_between_three_looks_has_halted() -> None:
    rounds = {"a": 0, "b": 0}
    pulse = Pulse({name: (lambda name=name: rounds[name]) for name in rounds})  # type: ignore[misc]
    assert pulse.look() == []
    rounds["b"] += 1
    assert pulse.look() == []
    rounds["b"] += 1
    assert pulse.look() == ["a"]
    rounds["a"] += 1
    assert pulse.look() == []


def test_a_look_right_after_a_sleep_of_the_machine_finds_nothing_halted() -> None:
    rounds = 0
    pulse = Pulse({"a": lambda: rounds})
    for _ in range(5):
        assert pulse.look() == []
        assert pulse.look() == [], "nothing has had its turn since the machine woke"
        rounds += 1


def test_what_need_not_go_round_yet_has_not_halted() -> None:
    begun: list[int] = []
    pulse = Pulse({"a": lambda: begun[0] if begun else None})
    assert [pulse.look() for _ in range(4)] == [[]] * 4
    begun.append(0)
    assert [pulse.look() for _ in range(3)] == [[], [], ["a"]]


# The daemon -----------------------------------------------------------------------------------------------------------


@pytest.fixture
def home(tmp_path_factory: pytest.TempPathFactory) -> Home:
    home = Home(tmp_path_factory.mktemp("h"))
    home.configure(folder="settle: 0\nedges: plain")
    return home


@contextmanager
def supervised(home: Home, program: str = "", every: float = 0.5) -> Iterator[tuple[subprocess.Popen[bytes], Listener]]:
    """Run a daemon that is asked for a sign of life so often, after some lines of a program."""
    start = f"import sys\n{program}\nfrom alphadrop.cli import main\nsys.exit(main())"
    address = str(home.root / "notify")
    environment = home.environment | {"NOTIFY_SOCKET": address, "WATCHDOG_USEC": str(int(every * 4e6))}
    with listening(address) as listener, (home.root / "stderr.txt").open("ab") as log:
        process = subprocess.Popen(
            [sys.executable, "-c", start, "run"], env=environment, stdout=log, stderr=log, cwd=home.root
        )
        try:
            yield process, listener
        finally:
            process.kill()
            process.wait()


def test_it_says_that_it_is_ready_when_it_is_that_it_lives_and_that_it_ends(home: Home) -> None:
    with supervised(home) as (process, listener):
        wait_for(lambda: listener.has_heard("READY"), "it to be ready")
        assert state_of(home) == "ready"
        wait_for(lambda: sum("WATCHDOG" in each for each in listener.listen()) >= 5, "signs of life")
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=PATIENCE) == 0
        heard = listener.listen()
    assert heard[0] == {"STATUS": "starting"}
    assert {"READY": "1", "STATUS": "ready, hot folders: 1"} in heard
    assert heard[-1]["STOPPING"] == "1"
    assert sum("READY" in each for each in heard) == 1


def test_while_it_waits_for_a_model_it_says_so_lives_and_is_not_ready(home: Home) -> None:
    model = home.root / "own.onnx"
    home.configure(top=f"model: own\nmodels: [{{name: own, file: {model}, licence: Apache-2.0}}]")
    with supervised(home, "from alphadrop.service import lifecycle\nlifecycle._RETRY = 0.1") as (process, listener):
        wait_for(lambda: listener.has_heard("STATUS", "waiting for a model: "), "it to say what it waits for")
        seen = len(listener.listen())
        wait_for(lambda: any("WATCHDOG" in each for each in listener.listen()[seen:]), "signs of life")
        assert "own.onnx" in next(each["STATUS"] for each in listener.heard if "own.onnx" in each.get("STATUS", ""))
        assert not listener.has_heard("READY")
        shutil.copy(paths.embedded_models() / "u2net-int8.onnx", home.root / "half")
        (home.root / "half").rename(model)
        wait_for(lambda: listener.has_heard("READY"), "it to be ready")
        process.terminate()
        assert process.wait(timeout=PATIENCE) == 0


_HALT = """
import threading
from pathlib import Path
def hang_when(file):
    while Path(file).exists(): threading.Event().wait(0.05)
"""
_HALTED = {
    "the hot folders": "from alphadrop.hotfolder.hotfolders import HotFolders\n"
    "HotFolders._mind_silence = lambda self: hang_when({file!r})",
    "the API": "from alphadrop.service import connection\n"
    "tick = connection.Server.on_tick\n"
    "async def on_tick(self, counter):\n  hang_when({file!r})\n  return await tick(self, counter)\n"
    "connection.Server.on_tick = on_tick",
}


@pytest.mark.parametrize("part", list(_HALTED))
def test_while_a_part_of_it_hangs_no_sign_of_life_is_given(home: Home, part: str) -> None:
    halt = home.root / "halt"
    with supervised(home, _HALT + _HALTED[part].format(file=str(halt)), every=0.1) as (process, listener):
        wait_for(lambda: listener.has_heard("READY"), "it to be ready")
        halt.touch()
        wait_for(lambda: listener.has_heard("STATUS", f"no sign of life: {part}"), "the halt to be noticed")
        count = len(listener.listen())
        wait_for(lambda: len(listener.listen()) >= count + 5, "it to be noticed again")
        assert not any("WATCHDOG" in each for each in listener.heard[count:])
        halt.unlink()
        count = len(listener.listen())
        wait_for(lambda: any("WATCHDOG" in each for each in listener.listen()[count:]), "it to live again")
        process.terminate()
        assert process.wait(timeout=PATIENCE) == 0


@pytest.mark.skipif(not hasattr(signal, "SIGSTOP"), reason="no process can be stopped here")
def test_stopped_for_a_while_as_in_a_suspended_machine_it_lives_on(home: Home) -> None:
    with supervised(home, every=1.0) as (process, listener):
        wait_for(lambda: listener.has_heard("READY"), "it to be ready")
        for _ in range(2):
            process.send_signal(signal.SIGSTOP)
            wait_for(lambda: _is_stopped(process.pid), "it to be stopped")
            count = len(listener.listen())
            process.send_signal(signal.SIGCONT)
            wait_for(lambda count=count: len(listener.listen()) > count, "a sign of life")  # type: ignore[misc]
            assert listener.heard[count] == {"WATCHDOG": "1"}, "the sleep was taken for a halt"
        process.terminate()
        assert process.wait(timeout=PATIENCE) == 0


def _is_stopped(pid: int) -> bool:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "T"
