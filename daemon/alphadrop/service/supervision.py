"""What the daemon tells whoever started it: that it is ready, how it is, that it still works, that it ends.

The protocol of sd_notify(3): datagrams of `NAME=value` lines to the socket that the environment names. systemd speaks
it, and so do other supervisors; where nobody listens nothing is said.
"""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import Callable, Mapping, MutableMapping
from dataclasses import dataclass

__all__ = ["Pulse", "Supervisor"]

_ENOUGH = 2
"""Looks in a row at which something has not gone round: after one, the machine may only have slept."""
_PART = 4
"""Signs of life are given so many times as often as the supervisor asks for."""


@dataclass(frozen=True, slots=True)
class Supervisor:
    """Who started the daemon and wants to know how it is."""

    address: str = ""
    """Of its socket, `\\0` first where it has no file; empty where nobody wants to know."""
    every: float | None = None
    """Seconds from one sign of life to the next; None where none are asked for."""

    @classmethod
    def of(cls, environment: MutableMapping[str, str]) -> Supervisor:
        """Return the one that an environment names, and take it out: what the daemon starts does not speak for it."""
        named = {name: environment.pop(name, "") for name in ("NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID")}
        address = named["NOTIFY_SOCKET"]
        if not address.startswith(("/", "@")) or not hasattr(socket, "AF_UNIX"):
            return cls()
        address = f"\0{address[1:]}" if address.startswith("@") else address
        meant = named["WATCHDOG_PID"] in ("", str(os.getpid()))
        asked = named["WATCHDOG_USEC"]
        if not (meant and asked.isascii() and asked.isdigit() and int(asked)):
            return cls(address)
        return cls(address, int(asked) / 1e6 / _PART)

    def tell(self, **said: str | int) -> None:
        """Say something, as sd_notify(3) names it; one who does not listen any more is not told."""
        if self.address:
            lines = "\n".join(f"{name}={_one_line(value)}" for name, value in said.items())
            with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as speaking:
                speaking.setblocking(False)
                speaking.sendto(lines.encode("utf-8", "backslashreplace"), os.fsencode(self.address))


class Pulse:
    """Tells whether what goes round still does.

    By counting rounds and not by clocks: a machine that slept is not taken for one that hangs.
    """

    def __init__(self, counts: Mapping[str, Callable[[], int | None]]) -> None:
        """Watch what goes round.

        Args:
            counts: by the name of a part, how many times it has gone round; None while it does not have to.
        """
        self._counts = counts
        self._seen: dict[str, int | None] = {}
        self._missed = dict.fromkeys(counts, 0)

    def look(self) -> list[str]:
        """Return the names of the parts that have not gone round since the look before the last."""
        for name, count in self._counts.items():
            now = count()
            self._missed[name] = self._missed[name] + 1 if now is not None and now == self._seen.get(name) else 0
            self._seen[name] = now
        return [name for name, missed in self._missed.items() if missed >= _ENOUGH]


def _one_line(value: str | int) -> str:
    return " ".join(str(value).splitlines())
