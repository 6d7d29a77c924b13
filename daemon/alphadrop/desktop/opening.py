"""Opens files, folders and the page in the user's own programs, and starts the daemon beside this process."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence

from alphadrop.desktop.autostart import UNIT
from alphadrop.desktop.desk import starting_command
from alphadrop.errors import AlphadropError, CannotOpen, DaemonError, printable

__all__ = ["open_path", "opening_command", "page", "start_beside", "start_daemon", "start_tray"]

_PATIENCE = 30.0
"""Seconds for a command that answers at once as a rule."""


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
    asked = _asked((*starting_command(), "web"))
    if asked.returncode != 0 or asked.stderr:
        message, _, hint = asked.stderr.strip().removeprefix("alphadrop: ").partition("\n")
        raise CannotOpen(message or "the page cannot be opened", hint.strip())


def start_daemon() -> None:
    """Start the daemon in the background: by systemd where that is told to at every login, else as it is.

    Raises:
        DaemonError: it cannot be started.
    """
    if shutil.which("systemctl") and _succeeds(("systemctl", "--user", "--quiet", "is-enabled", UNIT)):
        if not _succeeds(("systemctl", "--user", "start", "--no-block", UNIT)):
            raise DaemonError("systemd cannot start the daemon", f"see why: systemctl --user status {UNIT}")
        return
    try:
        start_beside((*starting_command(), "run"))
    except CannotOpen as error:
        raise DaemonError(f"the daemon cannot be started: {error.message}", "try: alphadrop run") from error


def start_tray() -> None:
    """Start the icon in the panel.

    Raises:
        CannotOpen: it cannot be started.
    """
    start_beside((*starting_command(), "tray"))


def start_beside(command: Sequence[str]) -> None:
    """Start a command that goes on when this process ends.

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


def _succeeds(command: Sequence[str]) -> bool:
    try:
        return _asked(command).returncode == 0
    except AlphadropError:
        return False


def _asked(command: Sequence[str]) -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=_PATIENCE, check=False
        )
    except (OSError, subprocess.SubprocessError) as error:
        raise CannotOpen(f"{printable(command[0])}: does not answer: {error}") from error
