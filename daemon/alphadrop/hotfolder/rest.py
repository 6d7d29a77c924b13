"""The rest that hot folders are told to take: kept over restarts, and never longer than it was to be.

Its end is a time of day, so that it goes on while the machine sleeps or is off. Whoever sets the clock back does not
make it longer: it also ends when as many seconds have passed as it was to last.
"""

from __future__ import annotations

import contextlib
import json
import math
import threading
from collections.abc import Callable
from dataclasses import dataclass

from alphadrop.errors import LedgerError
from alphadrop.hotfolder.ledger import Ledger

__all__ = ["Pause", "Rest"]

_PAUSED = "paused"
_GAP = 5.0
"""Seconds by which the clocks must disagree to count as one of them having been set."""


@dataclass(frozen=True, slots=True)
class Pause:
    """Hot folders rest: what is dropped is noted, and cut later."""

    until: float | None = None
    """Wall clock, seconds since the epoch; None for until told otherwise."""


@dataclass(frozen=True, slots=True)
class _Told:
    until: float | None
    over: float
    """By the steady clock, which nobody sets."""


class Rest:
    """Whether the folders rest, and until when."""

    def __init__(self, ledger: Ledger, *, wall: Callable[[], float], steady: Callable[[], float]) -> None:
        """Begin without one.

        Args:
            ledger: that keeps it over restarts.
            wall: seconds since the epoch.
            steady: seconds since whenever.
        """
        self._ledger, self._wall, self._steady = ledger, wall, steady
        self._told: _Told | None = None
        self._lock = threading.Lock()

    @property
    def pause(self) -> Pause | None:
        """The rest that is being taken."""
        told = self._told
        if told is None or told.until is None:
            return None if told is None else Pause()
        left, now = told.over - self._steady(), self._wall()
        if now >= told.until or left <= 0:
            return None
        was_set_back = told.until - now > left + _GAP
        return Pause(now + left if was_set_back else told.until)

    def recall(self) -> None:
        """Go on with what was kept when the daemon ended.

        Raises:
            LedgerError: it cannot be read.
        """
        note = self._ledger.read_note(_PAUSED)
        if not note:
            return
        kept = json.loads(note)
        until = kept["until"]
        left = math.inf if until is None else until - self._wall()
        most = kept.get("seconds")
        self._told = _Told(until, self._steady() + (left if most is None else min(left, most)))

    def begin(self, until: float | None) -> None:
        """Rest until a time of day, or until told otherwise.

        Raises:
            LedgerError: it cannot be kept.
        """
        seconds = None if until is None else until - self._wall()
        with self._lock:
            self._ledger.keep_note(_PAUSED, json.dumps({"until": until, "seconds": seconds}))
            self._told = _Told(until, math.inf if seconds is None else self._steady() + seconds)

    def end(self) -> None:
        """Rest no more.

        Raises:
            LedgerError: it cannot be kept.
        """
        with self._lock:
            self._forget()

    def forget_if_over(self) -> bool:
        """Forget one that is over, and return whether there was one.

        Whatever the clock says at the next start, it does not begin again.
        """
        with self._lock, contextlib.suppress(LedgerError):
            if self._told is not None and self.pause is None:
                self._forget()
                return True
        return False

    def _forget(self) -> None:
        self._ledger.keep_note(_PAUSED, "")
        self._told = None
