"""One daemon a user: the lock that says so, and the socket it answers on.

The lock is taken before a socket left by a crash is touched, so that only its holder ever removes one.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import socket
import stat
import sys
from pathlib import Path

from alphadrop import __version__, atomic
from alphadrop.client import API_VERSION, endpoint_file, socket_file
from alphadrop.errors import AlreadyRunning, SocketUnavailable, printable

__all__ = ["BACKLOG", "Endpoint"]

BACKLOG = 16
"""Clients that wait to be let in, and are let in at once: some of these later it is seen that there are too many."""
_LONGEST_SOCKET_PATH = 107
"""Bytes that sockaddr_un takes on Linux; macOS takes 103."""


class Endpoint:
    """The lock and the bound socket of a run folder; hold it for the daemon's whole life."""

    def __init__(self, folder: Path) -> None:
        """Take the lock and bind the socket.

        Raises:
            AlreadyRunning: another daemon holds the lock.
            SocketUnavailable: the folder cannot be made or holds no sockets.
        """
        self._folder = folder
        try:
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            if folder.stat().st_mode & stat.S_ISVTX:
                raise PermissionError(errno.EPERM, "others use this folder too")  # /tmp itself, as root
            os.chmod(folder, 0o700)
            self._lock = os.open(folder / "daemon.lock", os.O_RDWR | os.O_CREAT, 0o600)
        except OSError as error:
            raise _unavailable(folder, error) from error
        try:
            _lock(self._lock, folder)
            self.socket = _bind(socket_file(folder))
        except BaseException:
            os.close(self._lock)
            raise

    def announce(self) -> None:
        """Write down where the API is, for clients of any language."""
        told = {
            "api": API_VERSION,
            "version": __version__,
            "pid": os.getpid(),
            "socket": str(socket_file(self._folder)),
        }
        atomic.write_text(endpoint_file(self._folder), json.dumps(told, indent=1) + "\n", mode=0o600)

    def close(self) -> None:
        """Take back the announcement, close the socket, give up the lock."""
        for file in (endpoint_file(self._folder), socket_file(self._folder)):
            with contextlib.suppress(OSError):
                file.unlink()
        self.socket.close()
        os.close(self._lock)


def _lock(descriptor: int, folder: Path) -> None:
    try:
        if sys.platform == "win32":
            import msvcrt

            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        else:
            import fcntl

            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        raise AlreadyRunning(
            f"a daemon is running already (it holds {printable(folder / 'daemon.lock')})",
            "see it with: alphadrop status; end it with: alphadrop stop",
        ) from error


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
