"""The client of the daemon's API: standard library only, so that a command answers at once."""

from __future__ import annotations

import http.client
import json
import os
import socket
from pathlib import Path
from typing import Any

from alphadrop import paths
from alphadrop.errors import DaemonAnswered, DaemonError, NotRunning, printable

__all__ = ["API_VERSION", "Client", "endpoint_file", "socket_file"]

API_VERSION = 1
_TIMEOUT = 30.0


def socket_file(folder: Path) -> Path:
    """Return the daemon's socket in a run folder."""
    return folder / "api.sock"


def endpoint_file(folder: Path) -> Path:
    """Return the file that says where and what the daemon is."""
    return folder / "endpoint.json"


class Client:
    """Speaks to the daemon of this user."""

    def __init__(self, folder: Path | None = None) -> None:
        """Make a client; nothing is opened before the first call.

        Args:
            folder: the run folder; by default this user's.
        """
        self._socket = socket_file(folder or paths.run_folder())

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
                "restart the daemon: alphadrop stop, then alphadrop run",
            )
        return answer

    def stop(self) -> dict[str, Any]:
        """Ask the daemon to finish what it is doing and end; return its answer.

        Raises:
            NotRunning, DaemonError: as for `status`.
        """
        return self._call("POST", "/v1/stop")

    def _call(self, method: str, path: str) -> dict[str, Any]:
        connection = _UnixConnection(self._socket)
        try:
            connection.request(method, path, headers={"Accept": "application/json"})
            response = connection.getresponse()
            answer = json.loads(response.read() or b"{}")
            if not isinstance(answer, dict):
                raise ValueError("it is no object")  # noqa: TRY004, TRY301 - of the same kind as no JSON at all
        except (FileNotFoundError, ConnectionRefusedError) as error:
            raise NotRunning("no daemon is running", "start it with: alphadrop run") from error
        except PermissionError as error:
            raise DaemonError(
                f"{printable(self._socket)}: belongs to another user",
                "each user has a daemon of his own: alphadrop run",
            ) from error
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise DaemonError(f"{printable(self._socket)}: no sense in the answer: {error}", "restart it") from error
        finally:
            connection.close()
        if response.status >= 400:
            told = answer.get("error")
            if not isinstance(told, dict):
                told = {"message": f"the daemon answered {response.status} {response.reason}"}
            raise DaemonAnswered(response.status, told.get("code", ""), told.get("message", ""), told.get("hint", ""))
        return answer


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: Path) -> None:
        super().__init__("localhost", timeout=_TIMEOUT)
        self._path = path

    def connect(self) -> None:
        if not hasattr(socket, "AF_UNIX"):
            raise FileNotFoundError(os.fspath(self._path))
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(_TIMEOUT)
        self.sock.connect(os.fspath(self._path))
