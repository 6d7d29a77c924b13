"""What tells the resident process to end: a signal, or a call. It owns the signals.

The first TERM or INT begins the end; a second one does not wait for it. HUP, which comes when a terminal is closed or
its user logs out, begins it too and never forces it: shell, kernel and session each send their own.
"""

from __future__ import annotations

import os
import signal
import socket
import threading
from collections.abc import Callable
from types import FrameType

__all__ = ["Ending"]


class Ending:
    """Whether the process is to end; for all of its threads."""

    def __init__(self) -> None:
        """Heed nothing yet."""
        self._begun = threading.Event()
        self._told, self._tell = socket.socketpair()

    @property
    def has_begun(self) -> bool:
        """Whether the end has begun."""
        return self._begun.is_set()

    def begin(self) -> None:
        """Begin it."""
        self._begun.set()
        self._tell.send(b"\0")

    def rest(self, seconds: float) -> None:
        """Wait for a time, or until the end begins."""
        self._begun.wait(seconds)

    def heed_signals(self) -> None:
        """Let signals begin the end; called by the main thread."""
        signalled = False

        def end(number: int, _: FrameType | None) -> None:
            nonlocal signalled
            if signalled:
                os._exit(128 + number)
            signalled = True

        # The system may give a signal to any thread, as it does in a process that was stopped: this wakes the first.
        self._tell.setblocking(False)
        signal.set_wakeup_fd(self._tell.fileno(), warn_on_full_buffer=False)
        signal.signal(signal.SIGTERM, end)
        signal.signal(signal.SIGINT, end)
        if hasattr(signal, "SIGHUP") and signal.getsignal(signal.SIGHUP) is signal.SIG_DFL:  # nohup has it ignored
            signal.signal(signal.SIGHUP, lambda *_: None)
        if hasattr(signal, "SIGIO"):
            signal.signal(signal.SIGIO, signal.SIG_IGN)  # what the kernel sends to a holder of a read lease

    def wait(self, every: float | None, meanwhile: Callable[[], object]) -> None:
        """Wait until it begins; called by the main thread.

        Args:
            every: seconds after which something is done meanwhile, again and again; None for never.
            meanwhile: what is done.
        """
        self._told.settimeout(every)
        while True:
            try:
                self._told.recv(1)
                break
            except TimeoutError:
                meanwhile()
        self._begun.set()
