"""Opens files, folders and the page in the user's own programs, and starts the daemon beside this process."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from alphadrop.client import Client
from alphadrop.desktop.autostart import UNIT, UserManager
from alphadrop.desktop.desk import Desk, command_of_this
from alphadrop.errors import CannotOpen, DaemonError, NotRunning, printable

__all__ = ["have_daemon", "open_path", "opening_command", "page", "start_beside", "start_tray"]

_PATIENCE = 30.0
"""Seconds for a command that answers at once as a rule."""
_LONGEST_START = 120.0
"""Seconds for a daemon that was started to answer."""
_LOOK_EVERY = 0.1
_ANOTHER_RUNS = 3
"""Exit status of a daemon that was not the first: another start was quicker."""


def open_path(path: str) -> None:
    """Open a file, or a folder, as a double click would; what is no longer there, as the folder that it was in.

    Raises:
        CannotOpen: nothing here can.
    """
    while not os.path.exists(path) and os.path.dirname(path) != path:
        path = os.path.dirname(path)
    if sys.platform == "win32":
        os.startfile(path)  # noqa: S606
        return
    start_beside(opening_command(path, sys.platform, os.environ))


def opening_command(path: str, system: str, environment: Mapping[str, str]) -> Sequence[str]:
    """Return what opens a path; on every system but Windows, which has a call for it.

    Raises:
        CannotOpen: there is no such program.
    """
    program = "open" if system == "darwin" else "xdg-open"
    found = shutil.which(program, path=environment.get("PATH"))
    if found is None:
        raise CannotOpen(f"{printable(path)}: cannot be opened: there is no {program}", "install xdg-utils")
    return (found, path)


def page() -> None:
    """Open the daemon's page in the browser, and let that in.

    Raises:
        AlphadropError: the daemon would not, or no browser could be opened.
    """
    asked = _asked((*command_of_this(), "web"))
    if asked.returncode != 0 or asked.stderr:
        message, _, hint = asked.stderr.strip().removeprefix("alphadrop: ").partition("\n")
        raise CannotOpen(message or "the page cannot be opened", hint.strip())


def have_daemon(client: Client) -> None:
    """Start the daemon where none runs, and wait until it answers.

    Raises:
        NotRunning: it has ended, or does not answer in time.
        DaemonError: it cannot be started, or is of another version.
        NotWhole: it cannot be told which program this is.
    """
    with contextlib.suppress(NotRunning):
        client.status()
        return
    start = _begin()
    deadline = time.monotonic() + _LONGEST_START
    while True:
        with contextlib.suppress(DaemonError):  # it may be opening the socket in this moment
            client.status()
            return
        if time.monotonic() > deadline or not start.goes_on():
            raise NotRunning("the daemon does not start", f"see why: {start.reason}")
        time.sleep(_LOOK_EVERY)


@dataclass(frozen=True, slots=True)
class _Start:
    """A daemon that is being started."""

    goes_on: Callable[[], bool]
    """Whether it has not ended."""
    reason: str
    """The command that says why it has."""


def _begin() -> _Start:
    """Start the daemon in the background: by systemd where that is told to at every login, else as it is."""
    manager = UserManager(Desk.here())
    if manager.is_to_start_it:
        reason = f"systemctl --user status {UNIT}"
        if not manager.start():
            raise DaemonError("systemd cannot start the daemon", f"see why: {reason}")
        return _Start(lambda: not manager.has_failed, reason)
    try:
        process = start_beside((*command_of_this(), "run"))
    except CannotOpen as error:
        raise DaemonError(f"the daemon cannot be started: {error.message}", "try: alphadrop run") from error
    return _Start(lambda: process.poll() in (None, _ANOTHER_RUNS), "alphadrop run")


def start_tray() -> None:
    """Start the icon in the panel.

    Raises:
        CannotOpen: it cannot be started.
        NotWhole: it cannot be told which program this is.
    """
    start_beside((*command_of_this(), "tray"))


def start_beside(command: Sequence[str]) -> subprocess.Popen[bytes]:
    """Start a command that goes on when this process ends; return it.

    Raises:
        CannotOpen: it cannot be started.
    """
    silent = subprocess.DEVNULL
    try:
        process = subprocess.Popen(command, stdin=silent, stdout=silent, stderr=silent, start_new_session=True)
    except OSError as error:
        raise CannotOpen(
            f"{printable(command[0])}: cannot be started: {(error.strerror or str(error)).lower()}"
        ) from error
    threading.Thread(target=process.wait, name="reaping", daemon=True).start()
    return process


def _asked(command: Sequence[str]) -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=_PATIENCE, check=False
        )
    except (OSError, subprocess.SubprocessError) as error:
        raise CannotOpen(f"{printable(command[0])}: does not answer: {error}") from error
