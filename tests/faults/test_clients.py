"""Row 39: whatever a client does, it is refused in the API's words or cut off, and nobody else notices."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import pytest

from alphadrop.client import Client, socket_file
from alphadrop.errors import DaemonAnswered, DaemonError
from daemon_process import PATIENCE, Home, wait_for

_IMPATIENT = """
import sys
from alphadrop.service import bodies, connection
bodies._PIECE_WITHIN, bodies._BODY_WITHIN = 2.0, 4.0
connection._LOOK_EVERY = 2.0
from alphadrop.cli import main
sys.exit(main())
"""
_POOR = """
import resource, sys
resource.setrlimit(resource.RLIMIT_NOFILE, ({limit}, {limit}))
from alphadrop.cli import main
sys.exit(main())
"""
_PATIENT = """
from alphadrop.service import connection
connection._LOOK_EVERY = 3600.0
"""
_SMALL_ROOM = """
from alphadrop.service import desk
desk._PICTURES_SIZE //= 5
"""
_ENDLESS_AT_FIRST = """
import sys, threading
from alphadrop.engine import onnx_runtime
real, runs = onnx_runtime.OnnxSegmenter.saliency, []
def saliency(self, view, cancellation, *, sparing=False):
    runs.append(view)
    if len(runs) > 1:
        return real(self, view, cancellation)
    ended = threading.Event()
    print("the run has begun", file=sys.stderr, flush=True)
    with cancellation.stopping_by(ended.set):
        ended.wait()
        cancellation.check()
onnx_runtime.OnnxSegmenter.saliency = saliency
from alphadrop.cli import main
sys.exit(main())
"""
SIZE = 64 * 48 * 3
MATTE = "/v1/matte?width=64&height=48"


@dataclass
class Daemon:
    """A daemon that waits for clients less long than usual, and those who speak to it."""

    home: Home
    process: subprocess.Popen[bytes]

    @contextlib.contextmanager
    def connected(self, sent: bytes = b"") -> Iterator[socket.socket]:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as client:
            client.connect(str(socket_file(self.home.run)))  # with a limit of time it would not wait to be let in
            client.settimeout(PATIENCE)
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                client.sendall(sent)
            yield client

    def told(self, sent: bytes) -> tuple[int, dict[str, str], bytes]:
        """Return the answer to some bytes: status, headers and body."""
        with self.connected(sent) as client:
            return answer(client)

    def serves(self) -> None:
        """Fail unless others are answered."""
        status, headers, body = self.told(request("POST", MATTE, bytes(SIZE)))
        assert (status, headers["alphadrop-outcome"], len(body)) == (200, "no_subject", 64 * 48)
        assert Client(self.home.run).status()["state"] == "ready"

    @property
    def log(self) -> str:
        return (self.home.root / "stderr.txt").read_text(errors="replace")


def request(method: str, path: str, body: bytes = b"", **headers: str) -> bytes:
    lines = {"Host": "localhost", "Content_Length": str(len(body)), **headers}
    text = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in lines.items())
    return f"{method} {path} HTTP/1.1\r\n{text}\r\n".encode() + body


def answer(client: socket.socket) -> tuple[int, dict[str, str], bytes]:
    """Return what a daemon says, to the last byte that it announces."""
    headers = {}
    with client.makefile("rb") as stream:
        status = int(stream.readline().split()[1])
        while line := stream.readline().strip():
            name, _, value = line.decode().partition(": ")
            headers[name.lower()] = value
        return status, headers, stream.read(int(headers["content-length"]))


def error_of(body: bytes) -> dict[str, Any]:
    """Return an error in the words of the API, which every one must be."""
    (error,) = json.loads(body).values()
    assert set(error) == {"code", "message", "hint"}
    return dict(error)


@contextlib.contextmanager
def begun(home: Home, program: str = _IMPATIENT) -> Iterator[Daemon]:
    with (home.root / "stderr.txt").open("ab") as log:
        command = [sys.executable, "-c", program, "run"]
        process = subprocess.Popen(command, env=home.environment, stdout=log, stderr=log, cwd=home.root)

    def ready() -> bool:
        try:
            return bool(Client(home.run).status()["state"] == "ready")
        except DaemonError:
            return False

    try:
        wait_for(ready, "the daemon to be ready")
        yield Daemon(home, process)
    finally:
        process.kill()
        process.wait()


@pytest.fixture(scope="module")
def daemon() -> Iterator[Daemon]:
    # In a folder that others may go into, unlike pytest's own.
    folder = Path(tempfile.mkdtemp(prefix="alphadrop-"))
    folder.chmod(0o755)
    try:
        home = Home(folder)
        home.configure(top="limits: {pixels: 50}")
        with begun(home) as daemon:
            yield daemon
            assert daemon.process.poll() is None
            assert "Traceback" not in daemon.log
    finally:
        shutil.rmtree(folder)


STAGES = {
    "nothing": b"",
    "half a line": b"POS",
    "half the headers": b"POST /v1/matte HTTP/1.1\r\nHost: x\r\n",
    "half a body": request("POST", MATTE, bytes(100), Content_Length=str(SIZE)),
    "half of other bodies": request("POST", "/v1/pause", b'{"seconds"', Content_Length="40"),
    "all but the reading": request("POST", MATTE, bytes(SIZE)),
}


def test_row_39_clients_that_go_away_in_the_middle_leave_nothing_behind(daemon: Daemon) -> None:
    daemon.serves()
    process = psutil.Process(daemon.process.pid)
    before = process.num_fds()
    for _ in range(5):
        for sent in STAGES.values():
            with daemon.connected(sent):
                pass
    daemon.serves()
    wait_for(lambda: process.num_fds() <= before, "their connections to be closed")
    assert Client(daemon.home.run).status()["paused"] is None


@pytest.mark.parametrize("stage", ["half a body", "half of other bodies"])
def test_row_39_a_client_that_falls_silent_in_a_body_is_told_and_cut_off(daemon: Daemon, stage: str) -> None:
    with daemon.connected(STAGES[stage]) as client:
        status, _, body = answer(client)
        assert (status, error_of(body)["code"]) == (408, "too_slow")
        assert client.recv(1) == b"", "the connection was kept"


@pytest.mark.parametrize("path", [MATTE, "/v1/pause"])
def test_row_39_a_client_that_sends_for_ever_is_told_and_cut_off(daemon: Daemon, path: str) -> None:
    with daemon.connected(request("POST", path, Content_Length=str(SIZE))) as client:
        client.settimeout(0.2)
        deadline = time.monotonic() + PATIENCE
        received = b""
        while not received:
            assert time.monotonic() < deadline
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):  # cut off since it last looked
                client.sendall(b" ")
            with contextlib.suppress(TimeoutError):
                received = client.recv(12)
        assert received == b"HTTP/1.1 408"


@pytest.mark.parametrize("stage", ["nothing", "half a line", "half the headers"])
def test_row_39_a_client_that_falls_silent_before_it_has_asked_is_cut_off(daemon: Daemon, stage: str) -> None:
    with daemon.connected(STAGES[stage]) as client, contextlib.suppress(ConnectionResetError):
        assert client.recv(1) == b""
    daemon.serves()


def test_row_39_a_client_that_never_reads_its_answer_is_cut_off(daemon: Daemon) -> None:
    daemon.serves()
    process = psutil.Process(daemon.process.pid)
    before = process.num_fds()
    with daemon.connected(request("POST", "/v1/matte?width=6000&height=4000&channels=1", bytes(24_000_000))):
        wait_for(lambda: process.num_fds() <= before, "the connection to be given up")
        daemon.serves()


@pytest.mark.long
def test_row_39_clients_that_take_their_time_keep_nobody_waiting(daemon: Daemon) -> None:
    with contextlib.ExitStack() as stack:
        for _ in range(20):
            for sent in STAGES.values():
                stack.enter_context(daemon.connected(sent))
        daemon.serves()
    daemon.serves()


def test_row_39_what_is_announced_and_not_sent_takes_no_memory(daemon: Daemon) -> None:
    daemon.serves()
    process = psutil.Process(daemon.process.pid)
    before = process.memory_info().rss
    path = "/v1/matte?width=7000&height=7000&channels=4"
    announced = 7000 * 7000 * 4
    with contextlib.ExitStack() as stack:
        for _ in range(10):
            stack.enter_context(daemon.connected(request("POST", path, b"x", Content_Length=str(announced))))
        daemon.serves()
        assert process.memory_info().rss - before < announced


@pytest.mark.parametrize(
    ("path", "length", "status", "code"),
    [
        (MATTE, 40_000_000, 422, "bad_options"),
        ("/v1/pause", 40_000_000, 413, "too_large"),
        ("/v1/jobs/retry", 40_000_000, 413, "too_large"),
        ("/v1/matte?width=60000&height=60000", 40_000_000, 413, "too_large"),
    ],
)
def test_row_39_a_huge_body_is_refused_and_takes_no_memory(
    daemon: Daemon, path: str, length: int, status: int, code: str
) -> None:
    daemon.serves()
    process = psutil.Process(daemon.process.pid)
    before = process.memory_info().rss
    told, _, body = daemon.told(request("POST", path, b" " * length, Content_Type="application/json"))
    assert (told, error_of(body)["code"]) == (status, code)
    assert process.memory_info().rss - before < length / 2
    daemon.serves()


def chunked(*pieces: bytes) -> bytes:
    head = f"POST {MATTE} HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n".encode()
    return head + b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in (*pieces, b""))


@pytest.mark.parametrize(
    "sent",
    [
        request("POST", MATTE, bytes(SIZE - 1)),
        request("POST", MATTE, bytes(SIZE + 1)),
        request("POST", MATTE),
        request("POST", MATTE, bytes(SIZE), Content_Length="10"),
        chunked(bytes(SIZE), b"x"),
        chunked(bytes(SIZE - 1)),
        chunked(),
    ],
    ids=["one less", "one more", "none", "less than is sent", "pieces: more", "pieces: less", "pieces: none"],
)
def test_row_39_a_body_of_another_length_than_the_picture_is_refused(daemon: Daemon, sent: bytes) -> None:
    status, _, body = daemon.told(sent)
    assert (status, error_of(body)["code"]) == (422, "bad_options")
    daemon.serves()


def test_row_39_a_body_in_pieces_of_the_right_length_is_taken(daemon: Daemon) -> None:
    status, _, body = daemon.told(chunked(bytes(1), bytes(SIZE - 2), bytes(1)))
    assert (status, len(body)) == (200, 64 * 48)


@pytest.mark.parametrize(
    "sent",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(range(256)),
        bytes(range(256)) * 400,
        b"GET /v1/status HTTP/1.1\r\nHost: x\r\nLong: " + b"x" * 1_000_000,
        request("POST", MATTE, Content_Length="-1"),
        request("POST", MATTE, Content_Length="many"),
        request("POST", MATTE, Content_Length="9216\r\nContent-Length: 9217"),
        b"GET /v1/status HTTP/1.1\r\n\r\n",
    ],
    ids=["TLS", "noise", "long header", "negative", "words", "two lengths", "no host"],
)
def test_row_39_what_is_no_http_is_refused_and_cut_off(daemon: Daemon, sent: bytes) -> None:
    with daemon.connected(sent) as client:
        received = b""
        with contextlib.suppress(ConnectionResetError):
            while piece := client.recv(65_536):
                received += piece
    assert received[:12] in (b"HTTP/1.1 400", b""), "answered as if it made sense"
    daemon.serves()


def test_row_39_a_page_of_another_site_is_given_no_permission(daemon: Daemon) -> None:
    foreign = {
        "Access_Control_Request_Method": "POST",
        "Host": "rebound.example",
        "Origin": "https://elsewhere.example",
        "Authorization": "Bearer wrong",
    }
    status, headers, body = daemon.told(request("GET", "/v1/status", b"", **foreign))
    assert (status, json.loads(body)["state"]) == (200, "ready")  # whoever may open the socket is the user
    assert not [name for name in headers if name.startswith("access-control-")]
    status, headers, body = daemon.told(request("OPTIONS", "/v1/stop", b"", **foreign))
    assert (status, error_of(body)["code"]) == (405, "method_not_allowed")
    assert not [name for name in headers if name.startswith("access-control-")]


_AS_NOBODY = """
import os, socket, sys
os.setgroups([]); os.setgid(65534); os.setuid(65534)
folder, path = sys.argv[1:]
os.stat(folder)
with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as client:
    try:
        client.connect(path)
        print("connected")
    except PermissionError:
        print("refused")
"""


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root can become another user")
def test_row_39_another_user_cannot_speak_to_it_whether_the_folder_or_only_the_socket_keeps_him_out(
    daemon: Daemon,
) -> None:
    run = daemon.home.run

    def as_nobody() -> str:
        command = [sys.executable, "-c", _AS_NOBODY, str(run), str(socket_file(run))]
        told = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, check=False)
        assert told.returncode == 0, told.stderr
        return told.stdout.strip()

    assert as_nobody() == "refused"
    run.chmod(0o755)
    try:
        assert as_nobody() == "refused"
        socket_file(run).chmod(0o666)
        assert as_nobody() == "connected", "the test proves nothing: he is kept out by something else"
    finally:
        socket_file(run).chmod(0o600)
        run.chmod(0o700)
    daemon.serves()


@pytest.fixture
def home(tmp_path_factory: pytest.TempPathFactory) -> Home:
    home = Home(tmp_path_factory.mktemp("h"))
    home.configure(folder="settle: 0\nedges: plain")
    return home


@pytest.mark.long
def test_row_39_hundreds_of_silent_clients_leave_descriptors_for_hot_folders_and_are_told_that_they_are_too_many(
    home: Home, photographs: dict[str, Path]
) -> None:
    with begun(home, _PATIENT + _POOR.format(limit=200)) as daemon:
        with contextlib.ExitStack() as stack:
            clients = [stack.enter_context(daemon.connected()) for _ in range(300)]
            for client in clients[128:]:
                status, headers, body = answer(client)
                assert (status, error_of(body)["code"]) == (503, "too_busy")
                assert headers["retry-after"].isdigit()
                assert client.recv(1) == b"", "the connection was kept"
            with pytest.raises(DaemonAnswered) as raised:
                Client(home.run).status()
            assert raised.value.remote_code == "too_busy"
            home.drop(photographs["cat"], "during.jpg")
            wait_for((home.output / "during.png").exists, "hot folders to be served")
        wait_for(lambda: is_served(home), "the next client to be let in")
        daemon.serves()
        home.drop(photographs["coffee"], "afterwards.jpg")
        wait_for((home.output / "afterwards.png").exists, "hot folders to be served afterwards")
        assert "out of system resource" not in daemon.log
        assert len(daemon.log) < 10_000
        assert "make the folder" not in daemon.log


def is_served(home: Home) -> bool:
    try:
        return bool(Client(home.run).status())
    except DaemonError:
        return False


@pytest.mark.long
def test_row_39_where_descriptors_are_used_up_all_the_same_it_is_said_once_and_everything_goes_on_afterwards(
    home: Home, photographs: dict[str, Path]
) -> None:
    home.configure(folder="settle: 0\nedges: plain\nrescan: 1s")
    with begun(home, _PATIENT + _POOR.format(limit=64)) as daemon:
        with contextlib.ExitStack() as stack:
            for _ in range(60):
                stack.enter_context(daemon.connected())
            wait_for(lambda: "out of system resource" in daemon.log, "the descriptors to be used up")
            home.drop(photographs["cat"], "cat.jpg")
            wait_for(lambda: "ulimit -n" in daemon.log, "the folder to say what is wrong")
        wait_for((home.output / "cat.png").exists, "the photograph")
        wait_for(lambda: is_served(home), "the next client to be let in")
        daemon.serves()
        assert "Logging error" not in daemon.log
        assert len(daemon.log) < 20_000
        assert "make the folder" not in daemon.log


def test_row_39_work_for_a_client_that_has_gone_is_ended_and_the_next_is_served(home: Home) -> None:
    with begun(home, _ENDLESS_AT_FIRST) as daemon:
        with daemon.connected(request("POST", MATTE, bytes(SIZE))):
            wait_for(lambda: "the run has begun" in daemon.log, "the run to begin")
            with daemon.connected(request("POST", MATTE, bytes(SIZE))):
                pass
        daemon.serves()
        assert "Traceback" not in daemon.log


@pytest.mark.long
def test_row_39_half_sent_pictures_hold_together_no_more_than_there_is_room_for(home: Home) -> None:
    announced, sent, number = 48_000_000, 40_000_000, 10
    with begun(home, _SMALL_ROOM + _IMPATIENT) as daemon:
        daemon.serves()
        process = psutil.Process(daemon.process.pid)
        before = process.memory_info().rss

        def half() -> int:
            path = "/v1/matte?width=4000&height=3000&channels=4"
            status, _, body = daemon.told(request("POST", path, bytes(sent), Content_Length=str(announced)))
            assert (status, error_of(body)["code"]) in {(408, "too_slow"), (503, "too_busy")}
            return status

        with ThreadPoolExecutor(number) as pool:
            clients = [pool.submit(half) for _ in range(number)]
            highest = 0
            while not all(client.done() for client in clients):
                highest = max(highest, process.memory_info().rss)
                time.sleep(0.02)
        assert 408 in [client.result() for client in clients], "none had room"
        assert highest - before < 3 * sent
        daemon.serves()


def test_row_39_clients_that_hang_do_not_keep_it_from_ending(tmp_path_factory: pytest.TempPathFactory) -> None:
    home = Home(tmp_path_factory.mktemp("h"))
    home.configure()
    with begun(home) as daemon, contextlib.ExitStack() as stack:
        for sent in STAGES.values():
            stack.enter_context(daemon.connected(sent))
        daemon.serves()
        daemon.process.send_signal(signal.SIGTERM)
        assert daemon.process.wait(timeout=PATIENCE) == 0
    assert sorted(os.listdir(home.run)) == ["daemon.lock"]
