"""Which way into the panel is taken, why not a better one, and what to do about it: pure, from what the desktop has.

pystray knows three ways on Linux. `appindicator` (StatusNotifierItem over the session bus) has a menu, and is the only
one on Wayland. `gtk` has a menu and clicks, in panels with an XEmbed tray. `xorg` needs nothing but an X server, and
has clicks only: they pause and resume.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

__all__ = ["BACKENDS", "Backend", "Choice", "Surroundings", "choose"]

Backend = Literal["appindicator", "gtk", "xorg", "win32", "darwin"]
BACKENDS: tuple[Backend, ...] = get_args(Backend)

_SYSTEM_PACKAGES = (
    "install python3-gi and gir1.2-ayatanaappindicator3-0.1 (Debian's names), and let this Python see them: "
    "make its environment with --system-site-packages, as `make run` does"
)
_OTHER_VERSION = "python3-gi is of the system's own Python: make the environment with that one, /usr/bin/python3"
_INDICATOR = "install gir1.2-ayatanaappindicator3-0.1 (Debian's name; elsewhere libayatana-appindicator)"
_GNOME = "install GNOME's extension AppIndicator and KStatusNotifierItem Support (gnome-shell-extension-appindicator)"
_A_HOST = "add the panel's area for notifications (status notifiers), or start a panel that has one"
_IN_THE_SESSION = "run it in your desktop's session, not over ssh or from a service without DISPLAY"


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What this desktop and this Python have."""

    system: str = "linux"
    """As `sys.platform` says."""
    desktop: str = ""
    """XDG_CURRENT_DESKTOP."""
    has_x: bool = False
    """Whether an X server answers; Xwayland is one."""
    is_wayland: bool = False
    has_bus: bool = False
    """Whether there is a session bus."""
    has_watcher: bool | None = None
    """Whether a panel shows StatusNotifierItems; None where nobody could be asked."""
    has_tray: bool = False
    """Whether a panel has an XEmbed tray."""
    gi: Literal["here", "of another Python", "missing"] = "missing"
    """PyGObject."""
    has_gtk: bool = False
    """Gtk 3, for PyGObject."""
    has_indicator: bool = False
    """AppIndicator, for PyGObject."""


@dataclass(frozen=True, slots=True)
class Choice:
    """The way that is taken, and what is to be said of it."""

    backend: Backend | None
    """None where there is none."""
    told: str
    remedy: str = ""
    """What to do for a better one, or for one at all; empty where it is the best."""


def choose(found: Surroundings) -> Choice:
    """Return the best way that there is."""
    if found.system == "win32":
        return Choice("win32", "menu and clicks")
    if found.system == "darwin":
        return Choice("darwin", "a menu")
    menu = found.gi == "here" and found.has_gtk
    indicator = menu and found.has_indicator and found.has_bus
    if indicator and found.has_watcher:
        return Choice("appindicator", "appindicator: a menu")
    if menu and found.has_tray and found.has_bus:
        return Choice("gtk", "gtk: menu and clicks")
    if indicator:
        return _indicator_without_host(found)
    if found.has_x:
        return _clicks_only(found)
    if found.is_wayland:
        return Choice(None, f"no icon: on Wayland it needs AppIndicator, and {_lack(found)}", _menu_remedy(found))
    return Choice(None, "no icon: there is no display", _IN_THE_SESSION)


def _indicator_without_host(found: Surroundings) -> Choice:
    if found.has_watcher is None:
        return Choice("appindicator", "appindicator: a menu, where the panel shows status notifiers")
    if "gnome" in found.desktop.lower():
        return Choice("appindicator", "appindicator; this GNOME shows no icons of programs", _GNOME)
    return Choice("appindicator", "appindicator; no panel shows it yet", _A_HOST)


def _clicks_only(found: Surroundings) -> Choice:
    told = f"xorg: no menu, a click pauses and resumes; {_lack(found)}"
    if not found.has_tray:
        told += "; no panel has a tray yet"
        if found.is_wayland or "gnome" in found.desktop.lower():
            told = f"xorg: on this desktop it is not seen; {_lack(found)}"
    return Choice("xorg", told, _menu_remedy(found))


def _lack(found: Surroundings) -> str:
    """Return what a menu lacks."""
    if found.gi == "of another Python":
        return "PyGObject is of another Python than this one"
    if found.gi == "missing":
        return "this Python has no PyGObject"
    if not found.has_gtk:
        return "PyGObject has no Gtk 3"
    if not found.has_bus:
        return "there is no session bus"
    return "PyGObject has no AppIndicator"


def _menu_remedy(found: Surroundings) -> str:
    if found.gi == "of another Python":
        return _OTHER_VERSION
    if found.gi == "missing" or not found.has_gtk:
        return _SYSTEM_PACKAGES
    if not found.has_bus:
        return "start your session with a bus: dbus-run-session, or a login that has one"
    if not found.has_indicator:
        return f"{_INDICATOR}; {_GNOME}" if "gnome" in found.desktop.lower() else _INDICATOR
    return _A_HOST
