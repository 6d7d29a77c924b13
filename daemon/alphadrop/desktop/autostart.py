"""The daemon, and the icon in the tray, started with the user's session: what is written for that on each system.

Linux: a unit of the user's systemd, and an XDG entry for the tray. macOS: agents of launchd. Windows: files in the
Startup folder. What is written for the last two is untested there.
"""

from __future__ import annotations

import os
import plistlib
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path

from alphadrop import paths
from alphadrop.desktop.desk import Desk
from alphadrop.desktop.entries import entry
from alphadrop.desktop.quoting import for_startup_file, for_systemd, refuse_unwritable
from alphadrop.desktop.written import Piece
from alphadrop.errors import NotWhole, printable, reading_failed

__all__ = ["UNIT", "UserManager", "pieces"]

UNIT = "alphadrop.service"
_EXEC = "ExecStart=%h/.local/bin/alphadrop run"
_LABEL = "org.alphadrop"
_PATIENCE = 60.0
"""Seconds for systemd to do what it is asked."""


def pieces(desk: Desk, command: Sequence[str], *, tray: bool) -> tuple[Piece, ...]:
    """Return what is to be written so that the session starts the daemon, and the tray where that is wanted.

    Args:
        desk: of the user.
        command: that starts this Alphadrop.
        tray: whether the icon is to be started too.

    Raises:
        BadOptions: the command cannot be written into such files.
        CannotRead, NotWhole: this installation is not whole.
    """
    refuse_unwritable([*command, *desk.own_places.values()])
    if desk.system == "darwin":
        agents = [_agent(desk, command, "run")] + ([_agent(desk, command, "tray")] if tray else [])
        return tuple(agents)
    if desk.system == "win32":
        files = [_startup_file(desk, command, "run")] + ([_startup_file(desk, command, "tray")] if tray else [])
        return tuple(files)
    return (*_unit(desk, command), *([_tray_entry(desk, command)] if tray else []))


def _unit(desk: Desk, command: Sequence[str]) -> tuple[Piece, Piece]:
    """Return the unit, and the link that has the user's systemd start it."""
    file = paths.units() / UNIT
    try:
        template = file.read_text(encoding="utf-8")
    except OSError as error:
        raise reading_failed(file, error) from error
    if template.count(f"\n{_EXEC}\n") != 1:
        raise NotWhole(f"{printable(file)}: must have the line {_EXEC!r} once", "install Alphadrop again")
    run, variables = for_systemd([*command, "run"], desk.own_places)
    begin = template.index("[Unit]")  # what is said before is for those who copy it by hand
    unit = template[begin:].replace(f"\n{_EXEC}\n", "\n" + "\n".join([*variables, f"ExecStart={run}"]) + "\n")
    folder = desk.config_home / "systemd" / "user"
    return (
        Piece(folder / UNIT, unit.encode()),
        Piece(folder / "default.target.wants" / UNIT, os.fsencode(os.path.join("..", UNIT)), "link"),
    )


def _tray_entry(desk: Desk, command: Sequence[str]) -> Piece:
    return Piece(desk.config_home / "autostart" / "alphadrop-tray.desktop", entry("alphadrop-tray", desk, command))


def _agent(desk: Desk, command: Sequence[str], what: str) -> Piece:
    """Return an agent of launchd; it is started again only after a crash, as a wrong configuration would stay one."""
    label = f"{_LABEL}.{'daemon' if what == 'run' else what}"
    told: dict[str, object] = {
        "Label": label,
        "ProgramArguments": [*command, what],
        "RunAtLoad": True,
        "KeepAlive": {"Crashed": True},
        "ProcessType": "Background" if what == "run" else "Interactive",
    }
    if desk.own_places:
        told["EnvironmentVariables"] = desk.own_places
    if what == "tray":
        told["LimitLoadToSessionType"] = "Aqua"
    return Piece(desk.home / "Library" / "LaunchAgents" / f"{label}.plist", plistlib.dumps(told, sort_keys=False))


def _startup_file(desk: Desk, command: Sequence[str], what: str) -> Piece:
    """Return a batch file that opens a window of its own, minimized, and is done."""
    roaming = desk.environment.get("APPDATA")
    base = Path(roaming) if roaming else desk.home / "AppData" / "Roaming"
    startup = base / "Microsoft" / "Windows" / "Start Menu" / "Programs" / "Startup"
    lines = ["@echo off", "chcp 65001 >nul"]
    lines += [f'set "{name}={value}"'.replace("%", "%%") for name, value in desk.own_places.items()]
    lines += [f'start "Alphadrop" /min {for_startup_file([*command, what])}', ""]
    name = "Alphadrop" if what == "run" else "Alphadrop tray"
    return Piece(startup / f"{name}.cmd", "\r\n".join(lines).encode())


Ask = Callable[[Sequence[str]], "subprocess.CompletedProcess[str] | None"]
"""Runs a command and returns how it ended; None where it cannot be run."""


class UserManager:
    """The systemd of this user, where one runs."""

    def __init__(self, desk: Desk, ask: Ask | None = None) -> None:
        self._systemctl = desk.find_program("systemctl") if desk.system == "linux" else None
        self._ask = ask or _asked

    @property
    def is_there(self) -> bool:
        """Whether there is one to be asked."""
        return self._call("show", "--property=Version") is not None

    @property
    def is_running(self) -> bool:
        """Whether it runs the daemon, or has begun to."""
        return self._state() in ("active", "activating")

    @property
    def has_failed(self) -> bool:
        """Whether it has started the daemon, and that has ended of itself."""
        return self._state() == "failed"

    @property
    def is_to_start_it(self) -> bool:
        """Whether it is here, and told to start the daemon at every login."""
        return self.is_there and self._call("is-enabled", UNIT) is not None

    def reload(self) -> bool:
        """Have it read its units again; return whether it did."""
        return self._call("daemon-reload") is not None

    def start(self) -> bool:
        """Have it start the daemon, without waiting until that is ready; return whether it took the order."""
        self._call("reset-failed", UNIT)  # what became of an earlier one says nothing of this one
        return self._call("start", "--no-block", UNIT) is not None

    def _state(self) -> str:
        return self._call("show", "--property=ActiveState", "--value", UNIT) or ""

    def _call(self, *words: str) -> str | None:
        if self._systemctl is None:
            return None
        done = self._ask([self._systemctl, "--user", *words])
        return done.stdout.strip() if done is not None and done.returncode == 0 else None


def _asked(command: Sequence[str]) -> subprocess.CompletedProcess[str] | None:
    try:
        return subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=_PATIENCE, check=False
        )
    except (OSError, subprocess.SubprocessError):
        return None
