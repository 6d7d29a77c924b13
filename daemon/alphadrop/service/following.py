"""The configuration as its file says it now: read again when it changes; a mistake keeps the last good one.

What may pass by itself, such as a model that is not there yet, is tried again after growing waits.
"""

from __future__ import annotations

import logging
import math
import os
import threading
import time
from collections.abc import Callable

from alphadrop import config
from alphadrop.config import Settings
from alphadrop.errors import AlphadropError, ConfigError

__all__ = ["FollowedSettings"]

_log = logging.getLogger(__name__)
_LOOK_EVERY = 2.0
"""Seconds; a file is read when two looks found it the same, so that half of one is not."""
_LONGEST_WAIT = 300.0
"""Seconds between two attempts to use what could not be used for a reason that may pass."""


class FollowedSettings:
    """The settings in force, and what is wrong with those in the file."""

    def __init__(
        self, settings: Settings, use: Callable[[Settings], None], clock: Callable[[], float] = time.monotonic
    ) -> None:
        """Begin with settings that have been read.

        Args:
            settings: in force from the start.
            use: puts others into force; what it raises is told like a mistake in the file.
            clock: monotonic seconds.
        """
        self.settings = settings
        self.problems: tuple[str, ...] = ()
        self._use = use
        self._clock = clock
        self._failures = 0
        self._try_at = math.inf
        self._read = self._stamp()
        self._seen = self._read
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._follow, name="configuration", daemon=True)

    def start(self) -> None:
        """Begin to look at the file."""
        self._thread.start()

    def close(self) -> None:
        """Stop looking."""
        self._closing.set()
        if self._thread.ident is not None:
            self._thread.join(timeout=_LOOK_EVERY)

    def look(self) -> None:
        """Look at the file; read it when two looks found it the same and it has changed or is to be tried again."""
        stamp, last = self._stamp(), self._seen
        self._seen = stamp
        changed = stamp != self._read
        if stamp != last or not (changed or self._clock() >= self._try_at):
            return
        self._read, self._try_at = stamp, math.inf
        if changed:
            self._failures = 0
        self._take(said=() if changed else self.problems)

    def _take(self, said: tuple[str, ...]) -> None:
        """Put into force what the file says; where that cannot be done, say why and leave everything as it is.

        Args:
            said: what was wrong with this file before, which need not be said again.
        """
        try:
            settings = config.load(self.settings.file)
            if settings != self.settings:
                self._use(settings)
        except AlphadropError as error:
            self.problems = _problems(error)
            if self.problems != said:
                _log.error("the configuration was changed and cannot be used; the last good one stays in force")
                for problem in self.problems:
                    _log.error("%s", problem)
            if error.transient:
                self._try_at = self._clock() + _back_off(self._failures)
                self._failures += 1
        else:
            for warning in settings.warnings:
                _log.warning("%s", warning)
            self.settings, self.problems = settings, ()
            _log.info("the configuration was read again")

    def _follow(self) -> None:
        while not self._closing.wait(_LOOK_EVERY):
            try:
                self.look()
            except Exception:
                _log.exception("reading the configuration again failed")

    def _stamp(self) -> tuple[int, int, int] | None:
        try:
            status = os.stat(self.settings.file)
        except OSError:
            return None
        return status.st_mtime_ns, status.st_size, status.st_ino


def _problems(error: AlphadropError) -> tuple[str, ...]:
    return tuple(map(str, error.problems if isinstance(error, ConfigError) else (error,)))


def _back_off(failures: int) -> float:
    return min(_LONGEST_WAIT, _LOOK_EVERY * 2.0 ** min(failures, 10))
