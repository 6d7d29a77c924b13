"""The client says what it met: nobody, somebody of another version, an error, or nonsense."""

from __future__ import annotations

import errno
import fcntl
import json
import os
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from alphadrop import client
from alphadrop.client import API_VERSION, Client, Event, endpoint_file, lock_file, socket_file
from alphadrop.errors import DaemonAnswered, DaemonError, NotRunning, TooBusy

pytestmark = pytest.mark.skipif(not hasattr(socket, "AF_UNIX"), reason="needs Unix sockets")


class Answers:
    """Gives one canned answer to each call."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.raw = b""
        self.asked: list[bytes] = []
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._listener.bind(str(socket_file(folder)))
        self._listener.listen()
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def with_json(self, status: str, body: object) -> Client:
        return self.with_raw(f"HTTP/1.1 {status}\r\nConnection: close\r\n\r\n{json.dumps(body)}".encode())

    def with_raw(self, raw: bytes) -> Client:
        self.raw = raw
        return Client(self.folder)

    def _serve(self) -> None:
        while True:
            connection, _ = self._listener.accept()
            with connection:
                question = _whole(connection)
                if not question:
                    return
                self.asked.append(question)
                connection.sendall(self.raw)

    def close(self) -> None:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as last:
            last.connect(str(socket_file(self.folder)))
        self._thread.join(timeout=60)
        self._listener.close()


def _whole(connection: socket.socket) -> bytes:
    """Return a request with its body, which comes in a piece of its own."""
    question = connection.recv(65_536)
    head, _, body = question.partition(b"\r\n\r\n")
    lengths = [int(line.split(b":")[1]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:")]
    while lengths and len(body) < lengths[0]:
        piece = connection.recv(65_536)
        question, body = question + piece, body + piece
    return question


@pytest.fixture
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("c")


@pytest.fixture
def answers(folder: Path) -> Iterator[Answers]:
    answers = Answers(folder)
    yield answers
    answers.close()


def test_where_nothing_runs_it_says_how_to_start_it(folder: Path) -> None:
    for call in (Client(folder).status, Client(folder).stop):
        with pytest.raises(NotRunning, match="no daemon is running") as raised:
            call()
        assert raised.value.hint == "start it with: alphadrop run"


def test_a_missing_folder_is_nothing_running(folder: Path) -> None:
    with pytest.raises(NotRunning):
        Client(folder / "missing").status()


def test_a_socket_that_a_crash_left_is_nothing_running(folder: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
        listener.bind(str(socket_file(folder)))
    assert socket_file(folder).exists()
    with pytest.raises(NotRunning):
        Client(folder).status()


def test_a_status_is_passed_on(answers: Answers) -> None:
    told = {"api": API_VERSION, "state": "ready"}
    assert answers.with_json("200 OK", told).status() == told
    assert answers.asked[0].startswith(b"GET /v1/status HTTP/1.1\r\n")
    assert answers.with_json("202 Accepted", {"stopping": True}).stop() == {"stopping": True}
    assert answers.asked[1].startswith(b"POST /v1/stop HTTP/1.1\r\n")


@pytest.mark.parametrize(
    ("call", "line", "body"),
    [
        (lambda client: client.pause(60), "POST /v1/pause", {"seconds": 60}),
        (lambda client: client.pause(), "POST /v1/pause", {"seconds": None}),
        (lambda client: client.resume(), "POST /v1/resume", None),
        (lambda client: client.retry(7), "POST /v1/jobs/7/retry", None),
        (lambda client: client.retry_several("changed"), "POST /v1/jobs/retry", {"which": "changed"}),
        (lambda client: client.undo(7), "POST /v1/jobs/7/undo", None),
        (lambda client: client.undo_last(), "POST /v1/jobs/last/undo", None),
        (lambda client: client.undo_all(), "POST /v1/jobs/undo", None),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_each_call_asks_what_the_api_wants(
    answers: Answers, call: Callable[[Client], dict[str, Any]], line: str, body: object
) -> None:
    assert call(answers.with_json("200 OK", {"told": "so"})) == {"told": "so"}
    head, _, sent = b"".join(answers.asked).partition(b"\r\n\r\n")
    assert head.startswith(f"{line} HTTP/1.1\r\n".encode())
    assert (json.loads(sent) if sent else None) == body
    assert (b"Content-Type: application/json" in head) == (body is not None)


def test_jobs_are_a_list_and_may_be_chosen(answers: Answers) -> None:
    daemon = answers.with_json("200 OK", {"jobs": [{"id": 1}]})
    assert daemon.jobs() == [{"id": 1}]
    assert daemon.jobs(state="failed", limit=7) == [{"id": 1}]
    assert daemon.jobs(warned=True) == [{"id": 1}]
    assert answers.asked[0].startswith(b"GET /v1/jobs?limit=100 HTTP/1.1\r\n")
    assert answers.asked[1].startswith(b"GET /v1/jobs?limit=7&state=failed HTTP/1.1\r\n")
    assert answers.asked[2].startswith(b"GET /v1/jobs?limit=100&warned=true HTTP/1.1\r\n")


@pytest.mark.parametrize("body", [{}, {"jobs": None}, {"jobs": {}}])
def test_an_answer_without_jobs_makes_no_sense(answers: Answers, body: object) -> None:
    with pytest.raises(DaemonError, match="no sense in the answer"):
        answers.with_json("200 OK", body).jobs()


def test_a_daemon_that_does_not_answer_is_told_from_nonsense(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "_TIMEOUT", 0.05)
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
        listener.bind(str(socket_file(folder)))
        listener.listen()
        with pytest.raises(DaemonError, match="has not answered") as raised:
            Client(folder).status()
    assert "log" in raised.value.hint


def test_a_daemon_of_another_version_is_named_with_the_remedy(answers: Answers) -> None:
    with pytest.raises(DaemonError, match=f"version 99 of the API, this program version {API_VERSION}") as raised:
        answers.with_json("200 OK", {"api": 99}).status()
    assert "restart the daemon" in raised.value.hint


def test_an_error_is_passed_on_with_its_code_and_hint(answers: Answers) -> None:
    told = {"error": {"code": "model_missing", "message": "no model", "hint": "fetch it"}}
    with pytest.raises(DaemonAnswered, match="no model") as raised:
        answers.with_json("503 Service Unavailable", told).status()
    error = raised.value
    assert (error.status, error.remote_code, error.message, error.hint) == (
        503, "model_missing", "no model", "fetch it",
    )  # fmt: skip


@pytest.mark.parametrize("body", [{}, {"error": "words"}, {"error": None}, {"detail": "Not Found"}])
def test_an_error_without_our_words_is_an_error_all_the_same(answers: Answers, body: object) -> None:
    with pytest.raises(DaemonAnswered, match="404") as raised:
        answers.with_json("404 Not Found", body).stop()
    assert raised.value.status == 404


@pytest.mark.parametrize("body", [[], "text", 7, None])
def test_an_answer_that_is_no_object_makes_no_sense(answers: Answers, body: object) -> None:
    for status in ("200 OK", "500 Internal Server Error"):
        with pytest.raises(DaemonError, match="no sense in the answer"):
            answers.with_json(status, body).status()


@pytest.mark.parametrize(
    "raw",
    [b"", b"hello\r\n\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\n{}", b"HTTP/1.1 200 OK\r\n\r\n<html>\xff"],
    ids=["nothing", "not HTTP", "cut off", "not JSON"],
)
def test_nonsense_is_a_typed_error_that_names_the_socket(answers: Answers, raw: bytes) -> None:
    with pytest.raises(DaemonError, match=r"api\.sock: no sense in the answer") as raised:
        answers.with_raw(raw).status()
    assert not isinstance(raised.value, NotRunning)


_STREAM = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n"


def test_events_are_passed_on_until_their_end(answers: Answers) -> None:
    told = (
        b'id: a-0\nevent: begin\ndata: {}\n\n: nothing has happened\n\nid: a-1\nevent: job\ndata: {"path": "a: b"}\n\n'
    )
    events = list(answers.with_raw(_STREAM + told).events("a-7"))
    assert events == [Event("a-0", "begin", {}), Event("a-1", "job", {"path": "a: b"})]
    assert answers.asked[0].startswith(b"GET /v1/events ")
    assert b"Last-Event-ID: a-7\r\n" in answers.asked[0]


def test_an_event_that_is_cut_off_is_none(answers: Answers) -> None:
    assert list(answers.with_raw(_STREAM + b'id: a-0\nevent: job\ndata: {"pa').events()) == []


@pytest.mark.parametrize(
    ("raw", "error"),
    [
        (b"HTTP/1.1 503 Busy\r\nConnection: close\r\n\r\n{}", DaemonAnswered),
        (_STREAM + b"id: 1\nevent: job\ndata: {\n\n", DaemonError),
        (_STREAM + b"id: 1\nevent: job\ndata: []\n\n", DaemonError),
        (_STREAM + b"\xff\n", DaemonError),
        (b"nonsense", DaemonError),
    ],
)
def test_events_that_cannot_be_had_are_a_typed_error(answers: Answers, raw: bytes, error: type[DaemonError]) -> None:
    with pytest.raises(error):
        list(answers.with_raw(raw).events())


def test_whoever_listens_where_nobody_is_or_nobody_speaks_is_told(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(NotRunning):
        list(Client(folder).events())
    monkeypatch.setattr(client, "_SILENCE", 0.1)
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as silent:
        silent.bind(str(socket_file(folder)))
        silent.listen()
        with pytest.raises(DaemonError, match="not answered"):
            list(Client(folder).events())


def test_where_too_many_wait_to_be_let_in_it_says_so(folder: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener, ExitStack() as stack:
        listener.bind(str(socket_file(folder)))
        listener.listen(1)
        for _ in range(2):
            waiting = stack.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_STREAM))
            waiting.connect(str(socket_file(folder)))
        with pytest.raises(TooBusy, match="too many clients wait"):
            Client(folder).status()


def test_an_answer_that_comes_before_the_question_is_read(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    body = json.dumps({"error": {"code": "too_busy", "message": "too many", "hint": "later"}}).encode()
    connect = socket.socket.connect

    def connect_too_late(self: socket.socket, path: str) -> None:
        connect(self, path)
        accepted, _ = listener.accept()
        accepted.sendall(b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))
        accepted.close()

    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
        listener.bind(str(socket_file(folder)))
        listener.listen()
        monkeypatch.setattr(socket.socket, "connect", connect_too_late)
        for call in (Client(folder).status, Client(folder).pause):
            with pytest.raises(DaemonAnswered, match="too many") as raised:
                call()
            assert (raised.value.status, raised.value.remote_code) == (503, "too_busy")


def test_the_daemon_of_another_user_is_named_as_such(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: object) -> None:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(socket.socket, "connect", refused)
    with pytest.raises(DaemonError, match="belongs to another user") as raised:
        Client(folder).status()
    assert "alphadrop run" in raised.value.hint


def test_a_socket_path_that_is_too_long_is_a_typed_error(tmp_path: Path) -> None:
    folder = tmp_path / ("x" * 120)
    with pytest.raises(DaemonError):
        Client(folder).status()


def test_a_stale_announcement_leads_to_nobody_elses_port(folder: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as somebody_else:
        told = {"api": API_VERSION, "socket": None, "port": somebody_else.getsockname()[1], "token": "stale"}
        endpoint_file(folder).write_text(json.dumps(told))
        for _ in range(2):
            with pytest.raises(NotRunning):
                Client(folder).status()
            lock_file(folder).touch()  # as a crash leaves it: nobody holds it
        somebody_else.setblocking(False)
        with pytest.raises(BlockingIOError):
            somebody_else.accept()


def test_where_the_file_system_has_no_locks_a_stale_announcement_leads_nowhere(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_locks(*_: object) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", no_locks)
    lock_file(folder).touch()
    with socket.create_server(("127.0.0.1", 0)) as somebody_else:
        told = {"socket": None, "port": somebody_else.getsockname()[1], "token": "stale"}
        endpoint_file(folder).write_text(json.dumps(told))
        with pytest.raises(NotRunning):
            Client(folder).status()
        somebody_else.setblocking(False)
        with pytest.raises(BlockingIOError):
            somebody_else.accept()


def test_a_stale_announcement_of_a_socket_leads_to_no_port_at_all(folder: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as somebody_else:
        told = {"socket": str(socket_file(folder)), "port": somebody_else.getsockname()[1], "token": "stale"}
        endpoint_file(folder).write_text(json.dumps(told))
        with pytest.raises(NotRunning):
            Client(folder).status()
        somebody_else.setblocking(False)
        with pytest.raises(BlockingIOError):
            somebody_else.accept()


def test_the_run_folder_is_this_users_where_none_is_named(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALPHADROP_RUN_DIR", os.fspath(folder))
    with pytest.raises(NotRunning):
        Client().status()
    assert endpoint_file(folder) == folder / "endpoint.json"
