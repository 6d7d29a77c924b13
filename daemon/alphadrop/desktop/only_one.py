"""One icon a user: the lock that says so. It ends with the process that holds it, however that ends."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from alphadrop.errors import TrayRuns, writing_failed

__all__ = ["Lock"]


class Lock:
    """A lock on a file, held until it is closed."""

    def __init__(self, file: Path) -> None:
        """Take it.

        Raises:
            TrayRuns: another process holds it.
            DiskFull, CannotWrite: the file system refused.
        """
        try:
            file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._descriptor = os.open(file, os.O_RDWR | os.O_CREAT, 0o600)
        except OSError as error:
            raise writing_failed(file, error) from error
        try:
            if sys.platform == "win32":
                import msvcrt

                msvcrt.locking(self._descriptor, msvcrt.LK_NBLCK, 1)
            else:
                import fcntl

                fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            os.close(self._descriptor)
            raise TrayRuns(
                "the icon is in the panel already", "if it is not to be seen: alphadrop doctor says why"
            ) from error

    def close(self) -> None:
        """Give it up."""
        os.close(self._descriptor)
