"""The configuration as its file says it now: read again when it changes; a mistake keeps the last good one."""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable

from alphadrop import config
from alphadrop.config import Settings
from alphadrop.errors import AlphadropError, ConfigError

__all__ = ["FollowedSettings"]

_log = logging.getLogger(__name__)
_LOOK_EVERY = 2.0
"""Seconds; a file is read when two looks found it the same, so that half of one is not."""


class FollowedSettings:
    """The settings in force, and what is wrong with those in the file."""

    def __init__(self, settings: Settings, use: Callable[[Settings], None]) -> None:
        """Begin with settings that have been read.

        Args:
            settings: in force from the start.
            use: puts others into force; what it raises is told like a mistake in the file.
        """
        self.settings = settings
        self.problems: tuple[str, ...] = ()
        self._use = use
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
        """Look at the file once; read it when it has changed, and has not since the last look."""
        stamp, last = self._stamp(), self._seen
        self._seen = stamp
        if stamp != last or stamp == self._read:
            return
        self._read = stamp
        try:
            settings = config.load(self.settings.file)
            if settings != self.settings:
                self._use(settings)
        except AlphadropError as error:
            problems = error.problems if isinstance(error, ConfigError) else (error,)
            self.problems = tuple(map(str, problems))
            _log.error("the configuration was changed and cannot be used; the last good one stays in force")
            for problem in self.problems:
                _log.error("%s", problem)
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
