"""A process of our own for one piece of work: how it is started, how it says what went wrong, and how it ended."""

from __future__ import annotations

import contextlib
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass

from alphadrop.errors import AlphadropError

__all__ = ["Refusal", "child", "how_it_ended", "was_asked_to_end"]

_ASKED_TO_END = {signal.SIGINT, signal.SIGTERM, getattr(signal, "SIGHUP", signal.SIGTERM)}
"""What a whole group of processes is sent when the daemon is to end; no decoder ends by these."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """An error on its way from one process to another."""

    kind: type[AlphadropError] | None
    """None for a failure that was not foreseen."""
    message: str
    hint: str = ""

    @classmethod
    def of(cls, error: Exception) -> Refusal:
        """Pack an error."""
        if isinstance(error, AlphadropError):
            return cls(type(error), error.message, error.hint)
        return cls(None, f"{type(error).__name__}: {error}")

    @property
    def error(self) -> Exception:
        """The error, to be raised on this side."""
        return RuntimeError(self.message) if self.kind is None else self.kind(self.message, self.hint)


@contextlib.contextmanager
def child(module: str) -> Iterator[subprocess.Popen[bytes]]:
    """Run a module as a program, with pipes to and from it, until the block ends; it has ended by then, too."""
    # -P: the folder it is started in says nothing about what is imported.
    command = [sys.executable, "-P", "-m", module]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    try:
        yield process
    finally:
        process.kill()
        process.wait()
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                with contextlib.suppress(OSError):
                    pipe.close()


def was_asked_to_end(status: int) -> bool:
    """Return whether a process ended because somebody asked it to."""
    return -status in _ASKED_TO_END


def how_it_ended(status: int) -> str:
    """Return in words how a process ended that opened a photograph."""
    if status < 0:
        with contextlib.suppress(ValueError):
            return f"ends the process that opens it ({signal.Signals(-status).name})"
    return f"ends the process that opens it (status {status})"
