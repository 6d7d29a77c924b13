"""One daemon a user: the lock that says so, and the sockets it answers on.

The lock is taken before a socket left by a crash is touched, so that only its holder ever removes one. Beside the
user's own socket there is a port on this machine alone, for browsers and for systems without such sockets: who comes
by it must show the token, which only this user can read.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import secrets
import socket
import stat
import sys
import time
from pathlib import Path

from alphadrop import __version__, atomic
from alphadrop.client import API_VERSION, endpoint_file, lock_file, socket_file
from alphadrop.errors import AlreadyRunning, SocketUnavailable, printable

__all__ = ["BACKLOG", "Endpoint"]

BACKLOG = 64
"""Clients that wait to be let in, and are let in at once: some of these later it is seen that there are too many."""
_HOST = "127.0.0.1"
_PORT = 7878
_PORTS = 100
"""Tried, one after the other."""
_LOCK_WITHIN = 1.0
"""Seconds; a client that looks whether anybody holds the lock holds it for a moment itself."""
_LONGEST_SOCKET_PATH = 107
"""Bytes that sockaddr_un takes on Linux; macOS takes 103."""


class Endpoint:
    """The lock and the bound sockets of a run folder; hold it for the daemon's whole life."""

    def __init__(self, folder: Path, *, port: int = _PORT) -> None:
        """Take the lock and bind the sockets.

        Args:
            folder: of lock and socket.
            port: this one or the first free one after it.

        Raises:
            AlreadyRunning: another daemon holds the lock.
            SocketUnavailable: the folder cannot be made, or neither socket can be had.
        """
        self._folder = folder
        self.token = secrets.token_urlsafe(32)
        """What a client that comes by the port must show."""
        self.troubles: tuple[str, ...] = ()
        """What there should be and could not be had, in words."""
        try:
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            if folder.stat().st_mode & stat.S_ISVTX:
                raise PermissionError(errno.EPERM, "others use this folder too")  # /tmp itself, as root
            os.chmod(folder, 0o700)
            self._lock = os.open(lock_file(folder), os.O_RDWR | os.O_CREAT, 0o600)
        except OSError as error:
            raise _unavailable(folder, error) from error
        try:
            _lock(self._lock, folder)
            endpoint_file(folder).unlink(missing_ok=True)  # a crash left it: its port may be another program's by now
            self._bind(port)
        except BaseException:
            os.close(self._lock)
            raise

    @property
    def sockets(self) -> list[socket.socket]:
        """What is listened on."""
        return [each for each in (self._unix, self._tcp) if each is not None]

    @property
    def port(self) -> int | None:
        """The port on this machine; None where there was none to be had."""
        return None if self._tcp is None else int(self._tcp.getsockname()[1])

    def announce(self) -> None:
        """Write down where the API is, for clients of any language."""
        told = {
            "api": API_VERSION,
            "version": __version__,
            "pid": os.getpid(),
            "socket": None if self._unix is None else str(socket_file(self._folder)),
            "port": self.port,
            "token": None if self._tcp is None else self.token,
        }
        atomic.write_text(endpoint_file(self._folder), json.dumps(told, indent=1) + "\n", mode=0o600)

    def close(self) -> None:
        """Take back the announcement, close the sockets, give up the lock."""
        for file in (endpoint_file(self._folder), socket_file(self._folder)):
            with contextlib.suppress(OSError):
                file.unlink()
        for each in self.sockets:
            each.close()
        os.close(self._lock)

    def _bind(self, first: int) -> None:
        self._unix: socket.socket | None = None
        self._tcp = _bind_port(first)
        if self._tcp is None:
            self.troubles = (f"no port from {first} to {first + _PORTS - 1} is free: browsers cannot come in",)
        try:
            self._unix = _bind(socket_file(self._folder))
        except SocketUnavailable as error:
            if self._tcp is None:
                raise
            self.troubles = (*self.troubles, f"{error}; until then clients come by port {self.port}")


def _bind_port(first: int) -> socket.socket | None:
    """Return a socket that listens on this machine alone, on the first port that is free; None where none is."""
    for port in range(first, min(first + _PORTS, 65_536)):
        listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        try:
            if sys.platform == "win32":
                listener.setsockopt(socket.SOL_SOCKET, socket.SO_EXCLUSIVEADDRUSE, 1)
            else:
                listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # of a daemon that has just ended
            listener.bind((_HOST, port))
            listener.listen(BACKLOG)
        except OSError:
            listener.close()
        else:
            return listener
    return None


def _lock(descriptor: int, folder: Path) -> None:
    end = time.monotonic() + _LOCK_WITHIN
    while True:
        try:
            if sys.platform == "win32":
                import msvcrt

                msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
            else:
                import fcntl

                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if time.monotonic() > end:
                raise AlreadyRunning(
                    f"a daemon is running already (it holds {printable(lock_file(folder))})",
                    "see it with: alphadrop status; end it with: alphadrop stop",
                ) from error
            time.sleep(0.05)
        else:
            return


def _bind(path: Path) -> socket.socket:
    if not hasattr(socket, "AF_UNIX"):
        raise SocketUnavailable("this Python has no Unix sockets", "the daemon needs them in this version")
    if len(os.fsencode(path)) > _LONGEST_SOCKET_PATH:
        raise SocketUnavailable(
            f"{printable(path)}: too long for a socket ({_LONGEST_SOCKET_PATH} bytes)",
            "set ALPHADROP_RUN_DIR to a shorter folder, for clients too",
        )
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        with contextlib.suppress(FileNotFoundError):
            path.unlink()
        listener.bind(str(path))
        os.chmod(path, 0o600)
        listener.listen(BACKLOG)
    except OSError as error:
        listener.close()
        raise _unavailable(path, error) from error
    return listener


def _unavailable(path: Path, error: OSError) -> SocketUnavailable:
    reason = (error.strerror or str(error)).lower()
    return SocketUnavailable(
        f"{printable(path)}: {reason}", "set ALPHADROP_RUN_DIR to a folder of yours on a local disk, for clients too"
    )
