"""The client of the daemon's API: standard library only, so that a command answers at once."""

from __future__ import annotations

import contextlib
import errno
import http.client
import json
import os
import socket
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlencode

from alphadrop import paths
from alphadrop.errors import DaemonAnswered, DaemonError, NotRunning, TooBusy, printable

__all__ = ["API_VERSION", "Client", "Cutout", "Event", "endpoint_file", "lock_file", "socket_file"]

API_VERSION = 1
_TIMEOUT = 30.0
_LONG_TIMEOUT = 600.0
"""Seconds for what touches many files: each original that is moved is made safe on the disk."""
_SILENCE = 60.0
"""Seconds without a sign of life, of which one comes every 15, after which the daemon is held to be lost."""
_RESTART = "restart the daemon: alphadrop stop, then alphadrop run"


def socket_file(folder: Path) -> Path:
    """Return the daemon's socket in a run folder."""
    return folder / "api.sock"


def endpoint_file(folder: Path) -> Path:
    """Return the file that says where and what the daemon is."""
    return folder / "endpoint.json"


def lock_file(folder: Path) -> Path:
    """Return the file that the daemon holds locked while it lives."""
    return folder / "daemon.lock"


@dataclass(frozen=True, slots=True)
class Cutout:
    """What became of a photograph."""

    picture: bytes | None
    """The encoded cut-out; None where there was no subject."""
    warnings: tuple[str, ...]
    seconds: Mapping[str, float]
    """Wall time of each stage."""


@dataclass(frozen=True, slots=True)
class Event:
    """One thing that happened."""

    number: str
    """With it one goes on listening where one was."""
    kind: str
    """`begin`, `status`, `job`, `picture`, `reset` or `end`."""
    told: Mapping[str, Any]


class Client:
    """Speaks to the daemon of this user."""

    def __init__(self, folder: Path | None = None) -> None:
        """Make a client; nothing is opened before the first call.

        Args:
            folder: the run folder; by default this user's.
        """
        self._folder = folder or paths.run_folder()
        self._socket = socket_file(self._folder)

    def status(self) -> dict[str, Any]:
        """Return what the daemon says of itself.

        Raises:
            NotRunning: no daemon answers.
            DaemonError: it answered with an error, or speaks another version of the API.
        """
        answer = self._call("GET", "/v1/status")
        if answer.get("api") != API_VERSION:
            raise DaemonError(
                f"the daemon speaks version {answer.get('api')} of the API, this program version {API_VERSION}",
                _RESTART,
            )
        return answer

    def stop(self) -> dict[str, Any]:
        """Ask the daemon to finish what it is doing and end; return its answer.

        Raises:
            NotRunning, DaemonError: as for `status`.
        """
        return self._call("POST", "/v1/stop")

    def pause(self, seconds: float | None = None) -> dict[str, Any]:
        """Let the hot folders rest; return how the daemon is then, as `status` does.

        Args:
            seconds: for how long; None for until told otherwise.

        Raises:
            NotRunning, DaemonError: as for `status`, and for every call that follows.
        """
        return self._call("POST", "/v1/pause", {"seconds": seconds})

    def resume(self) -> dict[str, Any]:
        """Let the hot folders go on; return how the daemon is then, as `status` does."""
        return self._call("POST", "/v1/resume")

    def jobs(self, *, state: str | None = None, warned: bool = False, limit: int = 100) -> list[dict[str, Any]]:
        """Return the photographs that changed last, newest first.

        Args:
            state: only those in it: `pending`, `working`, `done`, `failed`, `skipped` or `missing`.
            warned: only those whose cut-out came with a warning.
            limit: how many at most, 1 to 10,000.
        """
        wanted: dict[str, object] = {"limit": limit}
        wanted |= {} if state is None else {"state": state}
        wanted |= {"warned": "true"} if warned else {}
        jobs = self._call("GET", f"/v1/jobs?{urlencode(wanted)}").get("jobs")
        if not isinstance(jobs, list):
            raise DaemonError(f"{printable(self._socket)}: no sense in the answer: it has no jobs", _RESTART)
        return jobs

    def retry(self, number: int) -> dict[str, Any]:
        """Have a photograph cut again; return its job."""
        return self._call("POST", f"/v1/jobs/{number}/retry")

    def retry_several(self, which: Literal["failed", "changed"]) -> dict[str, Any]:
        """Have photographs cut again; return how many are (`retried`) and how many cannot be (`refused`).

        Args:
            which: those that failed, or those that were done with other settings than are in force now.
        """
        return self._call("POST", "/v1/jobs/retry", {"which": which}, timeout=_LONG_TIMEOUT)

    def undo(self, number: int) -> dict[str, Any]:
        """Bring the original of a photograph back to where it was dropped; return its job."""
        return self._call("POST", f"/v1/jobs/{number}/undo", timeout=_LONG_TIMEOUT)

    def undo_last(self) -> dict[str, Any]:
        """Bring back the original that was moved last; return its job."""
        return self._call("POST", "/v1/jobs/last/undo", timeout=_LONG_TIMEOUT)

    def undo_all(self) -> dict[str, Any]:
        """Bring back every original that was moved; return how many (`brought_back`) and why not others (`refused`)."""
        return self._call("POST", "/v1/jobs/undo", timeout=_LONG_TIMEOUT)

    def web_code(self) -> dict[str, Any]:
        """Return a code that gets one browser in: the page's `address`, the `code`, the `seconds` it is good for."""
        return self._call("POST", "/v1/web/codes")

    def web_keys(self) -> list[dict[str, Any]]:
        """Return the browsers that are let in, each with its `name` and when it was (`made_at`)."""
        return list(self._call("GET", "/v1/web/keys").get("keys", []))

    def revoke_web_key(self, name: str) -> None:
        """Let a browser in no more."""
        self._call("POST", "/v1/web/keys/revoke", {"name": name})

    def cutout(self, data: bytes, wishes: Mapping[str, str]) -> Cutout:
        """Have an encoded photograph cut out.

        Args:
            data: the bytes of the file.
            wishes: what POST /v1/cutout takes in its query.
        """
        path = f"/v1/cutout?{urlencode(wishes)}"
        response, picture = self._exchange("POST", path, data, "application/octet-stream", _LONG_TIMEOUT)
        try:
            return Cutout(
                picture if response.getheader("Alphadrop-Outcome") == "done" else None,
                tuple(json.loads(response.getheader("Alphadrop-Warnings", "[]"))),
                json.loads(response.getheader("Alphadrop-Seconds", "{}")),
            )
        except ValueError as error:
            raise self._nonsense(error) from error

    def thumbnail(self, number: int) -> bytes:
        """Return a small PNG of what was written for a photograph of the hot folders."""
        return self._exchange("GET", f"/v1/jobs/{number}/thumbnail", None, "image/png", _TIMEOUT)[1]

    def events(self, after: str = "") -> Iterator[Event]:
        """Yield what happens, as it happens, until the daemon ends.

        Args:
            after: the number of the last event that was received; empty for none.

        Raises:
            NotRunning, DaemonError: as for `status`; also where the daemon falls silent.
        """
        connection, headers = self._connection(_SILENCE)
        headers["Accept"] = "text/event-stream"
        if after:
            headers["Last-Event-ID"] = after
        try:
            with self._saying_what_fails(_SILENCE):
                connection.request("GET", "/v1/events", headers=headers)
                response = connection.getresponse()
                if response.status >= 400:
                    raise self._refusal(response, response.read())
            with contextlib.closing(response):
                while (event := self._next_event(response)) is not None:
                    yield event
        finally:
            connection.close()

    def _next_event(self, response: http.client.HTTPResponse) -> Event | None:
        """Return the next event of a stream; None at its end."""
        fields: dict[str, str] = {}
        with self._saying_what_fails(_SILENCE):
            while line := response.readline():
                key, _, value = line.decode().rstrip("\n").partition(": ")
                if key:
                    fields[key] = value
                elif "event" in fields:
                    return Event(fields.get("id", ""), fields["event"], self._object(fields.get("data", "").encode()))
        return None

    def _call(self, method: str, path: str, body: object = None, *, timeout: float | None = None) -> dict[str, Any]:
        timeout = _TIMEOUT if timeout is None else timeout
        data = None if body is None else json.dumps(body).encode()
        _, answered = self._exchange(method, path, data, "application/json", timeout)
        return self._object(answered)

    def _exchange(
        self, method: str, path: str, body: bytes | None, media_type: str, timeout: float
    ) -> tuple[http.client.HTTPResponse, bytes]:
        """Ask, and return a good answer with its body."""
        connection, headers = self._connection(timeout)
        headers["Accept"] = "*/*" if media_type == "application/octet-stream" else media_type
        if body is not None:
            headers["Content-Type"] = media_type
        try:
            with self._saying_what_fails(timeout):
                with contextlib.suppress(BrokenPipeError):  # it may have been answered before it was asked
                    connection.request(method, path, body, headers)
                with contextlib.closing(connection.getresponse()) as response:
                    answered = response.read()
        finally:
            connection.close()
        if response.status >= 400:
            raise self._refusal(response, answered)
        return response, answered

    @contextlib.contextmanager
    def _saying_what_fails(self, timeout: float) -> Iterator[None]:
        """Turn what keeps the daemon from answering into errors that say what to do."""
        try:
            yield
        except (FileNotFoundError, ConnectionRefusedError) as error:
            raise NotRunning("no daemon is running", "start it with: alphadrop run") from error
        except BlockingIOError as error:
            raise TooBusy("too many clients wait for the daemon already", "try again in a moment") from error
        except PermissionError as error:
            raise DaemonError(
                f"{printable(self._socket)}: belongs to another user",
                "each user has a daemon of his own: alphadrop run",
            ) from error
        except TimeoutError as error:
            raise DaemonError(
                f"the daemon has not answered for {timeout:.0f} s", "it may still be at it; see its log"
            ) from error
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise self._nonsense(error) from error

    def _refusal(self, response: http.client.HTTPResponse, answered: bytes) -> DaemonAnswered:
        """Return the error that the daemon answered with."""
        told = self._object(answered).get("error")
        if not isinstance(told, dict):
            told = {"message": f"the daemon answered {response.status} {response.reason}"}
        return DaemonAnswered(response.status, told.get("code", ""), told.get("message", ""), told.get("hint", ""))

    def _object(self, answered: bytes) -> dict[str, Any]:
        try:
            answer = json.loads(answered or b"{}")
        except ValueError as error:
            raise self._nonsense(error) from error
        if not isinstance(answer, dict):
            raise self._nonsense("it is no object")
        return answer

    def _nonsense(self, error: object) -> DaemonError:
        return DaemonError(f"{printable(self._socket)}: no sense in the answer: {error}", _RESTART)

    def _connection(self, timeout: float) -> tuple[http.client.HTTPConnection, dict[str, str]]:
        """Return a way to the daemon and what must be shown on it.

        The user's own socket comes first. The port is used only where there is no such socket, and only while the
        daemon's lock is held: after a crash it may be somebody else's.
        """
        told = self._announced()
        if hasattr(socket, "AF_UNIX") and not (told.get("socket") is None and "port" in told):
            return _UnixConnection(self._socket, timeout), {}
        is_locked = _is_locked(lock_file(self._folder))
        told = self._announced()  # anew: whoever took the lock has removed what was announced before
        port, token = told.get("port"), told.get("token")
        if not (is_locked and isinstance(port, int) and isinstance(token, str)):
            raise NotRunning("no daemon is running", "start it with: alphadrop run")
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=timeout)
        return connection, {"Authorization": f"Bearer {token}"}

    def _announced(self) -> dict[str, Any]:
        """Return what the daemon wrote down of itself; nothing where it did not."""
        try:
            told = json.loads(endpoint_file(self._folder).read_bytes())
        except (OSError, ValueError):
            return {}
        return told if isinstance(told, dict) else {}


def _is_locked(file: Path) -> bool:
    """Return whether somebody holds a lock; it is held for a moment by whoever asks."""
    try:
        descriptor = os.open(file, os.O_RDWR)
    except OSError:
        return False
    try:
        if sys.platform == "win32":
            import msvcrt

            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
            msvcrt.locking(descriptor, msvcrt.LK_UNLCK, 1)
        else:
            import fcntl

            fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError as error:
        return error.errno in (errno.EAGAIN, errno.EACCES)  # a file system without locks holds none
    else:
        return False
    finally:
        os.close(descriptor)


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: Path, timeout: float) -> None:
        super().__init__("localhost", timeout=timeout)
        self._path = path
        self._patience = timeout

    def connect(self) -> None:
        if not hasattr(socket, "AF_UNIX"):
            raise FileNotFoundError(os.fspath(self._path))
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self._patience)
        try:
            self.sock.connect(os.fspath(self._path))
        except OSError as error:
            if error.errno is None:  # the path is longer than that of a socket can be
                raise FileNotFoundError(os.fspath(self._path)) from error
            raise
