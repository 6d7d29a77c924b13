"""Asks the desktop what it has for an icon in its panel. Nothing here opens a window or loads a toolkit."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from alphadrop.desktop.backends import Surroundings

__all__ = ["has_tray", "look"]

_WATCHER = "org.kde.StatusNotifierWatcher"
_PATIENCE = 5.0
"""Seconds for a bus that does not answer."""
_OF_THE_SYSTEM = (Path("/usr/lib/python3/dist-packages/gi"), Path("/usr/lib64/python3/site-packages/gi"))


def look(environment: Mapping[str, str] | None = None) -> Surroundings:
    """Return what there is; what cannot be asked is taken not to be there."""
    environment = os.environ if environment is None else environment
    if sys.platform in ("win32", "darwin"):
        return Surroundings(sys.platform)
    gi, versions = _gi()
    has_x, tray = _x_and_tray(environment)
    watcher = _has_owner(_WATCHER, environment)
    return Surroundings(
        system=sys.platform,
        desktop=environment.get("XDG_CURRENT_DESKTOP", ""),
        has_x=has_x,
        is_wayland=bool(environment.get("WAYLAND_DISPLAY")),
        has_bus=_has_bus(environment),
        has_watcher=watcher,
        has_tray=tray,
        gi=gi,
        has_gtk="3.0" in versions.get("Gtk", ()),
        has_indicator=any("0.1" in versions.get(name, ()) for name in ("AyatanaAppIndicator3", "AppIndicator3")),
    )


def has_tray(environment: Mapping[str, str] | None = None) -> bool | None:
    """Return whether a panel has an XEmbed tray; None where no X server answers."""
    has_x, tray = _x_and_tray(os.environ if environment is None else environment)
    return tray if has_x else None


def _gi() -> tuple[Literal["here", "of another Python", "missing"], dict[str, list[str]]]:
    try:
        import gi

        repository = gi.Repository.get_default()
        names = ("Gtk", "AyatanaAppIndicator3", "AppIndicator3")
        return "here", {name: list(repository.enumerate_versions(name)) for name in names}
    except Exception:  # whatever is wrong with it, it is not to be had
        elsewhere = any(folder.is_dir() for folder in _OF_THE_SYSTEM)
        return "of another Python" if elsewhere and not _sees_the_system() else "missing", {}


def _sees_the_system() -> bool:
    return any(str(folder.parent) in sys.path for folder in _OF_THE_SYSTEM)


def _x_and_tray(environment: Mapping[str, str]) -> tuple[bool, bool]:
    """Return whether an X server answers, and whether somebody owns the tray of its first screen."""
    if not environment.get("DISPLAY"):
        return False, False
    try:
        from Xlib.display import Display

        display = Display(environment["DISPLAY"])
        try:
            atom = display.intern_atom(f"_NET_SYSTEM_TRAY_S{display.get_default_screen()}")
            owner = display.get_selection_owner(atom)
        finally:
            display.close()
    except Exception:  # no server, no right to it, or no Xlib: no X
        return False, False
    return True, bool(owner)


def _has_bus(environment: Mapping[str, str]) -> bool:
    if environment.get("DBUS_SESSION_BUS_ADDRESS"):
        return True
    runtime = environment.get("XDG_RUNTIME_DIR")
    return bool(runtime) and os.path.exists(os.path.join(str(runtime), "bus"))


def _has_owner(name: str, environment: Mapping[str, str]) -> bool | None:
    """Return whether somebody has a name on the session bus; None where nobody could be asked."""
    if not _has_bus(environment):
        return False
    bus = ("org.freedesktop.DBus", "/org/freedesktop/DBus", "org.freedesktop.DBus.NameHasOwner")
    commands = (
        ["gdbus", "call", "--session", "--dest", bus[0], "--object-path", bus[1], "--method", bus[2], name],
        ["dbus-send", "--session", "--print-reply", f"--dest={bus[0]}", bus[1], bus[2], f"string:{name}"],
    )
    for command in commands:
        try:
            asked = subprocess.run(
                command, env=dict(environment), capture_output=True, text=True, timeout=_PATIENCE, check=True
            )
        except (OSError, subprocess.SubprocessError):
            continue
        return "true" in asked.stdout
    return None
