"""A message on the desktop, from a command that was started without a terminal."""

from __future__ import annotations

import contextlib
import subprocess

from alphadrop.desktop.desk import Desk

__all__ = ["show"]

_PATIENCE = 20.0
_LONGEST = 1000
"""Characters of a text: no desktop shows more."""


def show(desk: Desk, summary: str, text: str, *, urgent: bool = False) -> bool:
    """Show a message, by whichever program of the system can; return whether one has taken it.

    Args:
        desk: of the user.
        summary: one line.
        text: more lines.
        urgent: whether it is to stay until it has been seen.
    """
    text = text[:_LONGEST]
    return any(_taken(command) for command in _ways(desk, summary, text, urgent=urgent))


def _ways(desk: Desk, summary: str, text: str, *, urgent: bool) -> list[list[str]]:
    ways = []
    if send := desk.find_program("notify-send"):
        urgency = "critical" if urgent else "normal"
        ways.append([send, "--app-name=Alphadrop", "--icon=alphadrop", f"--urgency={urgency}", "--", summary, text])
    if dbus := desk.find_program("gdbus"):
        hints = f"{{'urgency': <byte {2 if urgent else 1}>}}"
        ways.append(
            [
                *(dbus, "call", "--session", "--timeout", "10"),
                *("--dest", "org.freedesktop.Notifications", "--object-path", "/org/freedesktop/Notifications"),
                *("--method", "org.freedesktop.Notifications.Notify", "--"),
                *("Alphadrop", "0", "alphadrop", _text(summary), _text(text), "[]", hints, "-1"),
            ]
        )
    return ways


def _text(text: str) -> str:
    """Return a text as gdbus takes it, whatever it looks like: as GVariant's text format quotes it."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'


def _taken(command: list[str]) -> bool:
    with contextlib.suppress(OSError, subprocess.SubprocessError):
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, timeout=_PATIENCE, check=False)
        return done.returncode == 0
    return False
