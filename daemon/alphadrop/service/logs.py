"""Where the daemon says what it does: standard error and a bounded file, whatever bytes a name is made of."""

from __future__ import annotations

import logging
import logging.handlers
import math
import sys
import time
from collections.abc import Callable
from pathlib import Path

from alphadrop.errors import printable, writing_failed

__all__ = ["set_level", "set_up"]

_FILE_SIZE = 1_000_000
_FILES = 5
_NO_DESCRIPTOR = "socket.accept() out of system resource"
"""How asyncio begins to tell, many times a second, that it can let no client in."""
_SELDOM = 60.0
"""Seconds between two records that say so."""


class _OneLine(logging.Formatter):
    """Makes the message one printable line; a traceback keeps its lines."""

    def format(self, record: logging.LogRecord) -> str:
        trace = f"\n{self.formatException(record.exc_info)}" if record.exc_info else ""
        line = f"{self.formatTime(record)} {record.levelname.lower():7} {printable(record.getMessage())}"
        return (line + trace).encode("utf-8", "backslashreplace").decode("utf-8")


class _Seldom(logging.Filter):
    """Lets records that begin with certain words through at most once a minute."""

    def __init__(self, words: str, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._words = words
        self._clock = clock
        self._next = -math.inf

    def filter(self, record: logging.LogRecord) -> bool:
        if not record.getMessage().startswith(self._words):
            return True
        now = self._clock()
        if now < self._next:
            return False
        self._next = now + _SELDOM
        return True


def set_up(file: Path, level: str) -> None:
    """Send the records of Alphadrop, and the warnings of what it uses, to standard error and to a file.

    Raises:
        FileError: the file cannot be made.
    """
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        to_file = logging.handlers.RotatingFileHandler(
            file, maxBytes=_FILE_SIZE, backupCount=_FILES - 1, encoding="utf-8", errors="backslashreplace"
        )
    except OSError as error:
        raise writing_failed(file, error) from error
    root = logging.getLogger()
    for handler in (to_file, logging.StreamHandler(sys.stderr)):
        handler.setFormatter(_OneLine())
        root.addHandler(handler)
    root.setLevel(logging.WARNING)
    set_level(level)
    logging.captureWarnings(True)
    logging.getLogger("asyncio").addFilter(_Seldom(_NO_DESCRIPTOR))


def set_level(level: str) -> None:
    """Say how much is told from now on."""
    logging.getLogger("alphadrop").setLevel(level.upper())
