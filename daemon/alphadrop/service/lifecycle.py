"""The life of the resident process: from the lock to exit 0.

It owns the signals (uvicorn runs in a thread and is told what to do): the first TERM or INT finishes the file at work
or puts it back, within ten seconds; a second one ends the process at once.
"""

from __future__ import annotations

import contextlib
import ctypes
import logging
import os
import queue
import signal
import sys
import threading
import time
from collections.abc import Callable
from types import FrameType
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from alphadrop import __version__, paths
from alphadrop.client import API_VERSION
from alphadrop.config import Settings
from alphadrop.engine.cutout import Engine
from alphadrop.engine.options import CutOptions, Edges
from alphadrop.engine.photo import from_image, own_pillow_limits
from alphadrop.errors import AlphadropError, LedgerError, printable
from alphadrop.hotfolder.hotfolders import FolderStatus, HotFolders
from alphadrop.hotfolder.ledger import Ledger
from alphadrop.service import logs
from alphadrop.service.endpoint import Endpoint

if TYPE_CHECKING:
    import uvicorn

    from alphadrop.service.api import FolderReport, Matte, MatteSize, ModelReport, Status, Stopping

__all__ = ["run"]

_log = logging.getLogger(__name__)
_M_MMAP_THRESHOLD = -3
"""Of mallopt(3)."""
_BIG_BLOCK = 1_000_000
_GRACE = 10.0
"""Seconds that the file at work may take after the first signal."""
_RETRY = 10.0
"""Seconds between two attempts to start what cannot be started yet."""


def run(settings: Settings) -> None:
    """Be the daemon until told to end.

    Raises:
        AlreadyRunning: another daemon of this user runs.
        SocketUnavailable, LedgerError, FileError: it cannot be started.
    """
    _return_big_blocks()
    endpoint = Endpoint(paths.run_folder())
    try:
        logs.set_up(paths.log_file(), settings.log_level)
        own_pillow_limits()
        ledger = Ledger(paths.ledger_file())
        try:
            in_order = _Process(settings, endpoint, ledger).live()
        finally:
            ledger.close()
    finally:
        endpoint.close()
    if not in_order:
        # A thread that comes back from the network while the interpreter ends would abort the process.
        logging.shutdown()
        os._exit(0)


def _return_big_blocks() -> None:
    """Let glibc give every freed picture back to the system at once.

    Left to itself it learns to keep blocks of up to 32 MB for later: with 12-megapixel photographs and several threads
    the resident memory grows by a third in the first minutes.
    """
    if sys.platform == "linux":
        mallopt = getattr(ctypes.CDLL(None), "mallopt", None)  # musl has none, and needs none
        if mallopt is not None:
            mallopt(_M_MMAP_THRESHOLD, _BIG_BLOCK)


class _Process:
    """What is alive between start and end; the API asks it through `status` and `stop`."""

    def __init__(self, settings: Settings, endpoint: Endpoint, ledger: Ledger) -> None:
        self._settings = settings
        self._endpoint = endpoint
        self._engine = Engine(
            settings.model,
            own_models=settings.models,
            threads=settings.threads,
            provider=settings.provider,
            max_pixels=settings.limits.pixels,
        )
        self._folders = HotFolders(settings.folders, self._engine, ledger)
        self._started = time.monotonic()
        self._told_to_end: queue.SimpleQueue[None] = queue.SimpleQueue()
        self._ending = threading.Event()
        self._ready = threading.Event()
        self._trouble: AlphadropError | None = None

    def live(self) -> bool:
        """Serve and work until told to end, then end; return whether every thread came to its end."""
        self._own_signals()
        for warning in self._settings.warnings:
            _log.warning("%s", warning)
        loading = threading.Thread(target=self._load, name="loading", daemon=True)
        loading.start()
        server = self._make_server()
        serving = threading.Thread(
            target=server.run, kwargs={"sockets": [self._endpoint.socket]}, name="serving", daemon=True
        )
        serving.start()
        self._endpoint.announce()
        self._wait_for_end()
        _log.info("ending: the file at work is finished first")
        deadline = time.monotonic() + _GRACE
        finished = self._folders.close(_GRACE)
        server.should_exit = True
        serving.join(timeout=3)
        loading.join(timeout=max(0.0, deadline - time.monotonic()))
        if not finished:
            _log.warning("the file at work took too long; it is done again at the next start")
        _log.info("ended")
        return finished and not serving.is_alive() and not loading.is_alive()

    def status(self) -> Status:
        """Return how things are."""
        from alphadrop.service.api import Status

        return Status(
            api=API_VERSION,
            version=__version__,
            pid=os.getpid(),
            state=self._state(),
            uptime=round(time.monotonic() - self._started, 3),
            configuration=printable(self._settings.file),
            model=self._model_report(),
            folders=[_folder_report(folder) for folder in self._folders.status()],
        )

    def stop(self) -> Stopping:
        """Begin to end."""
        from alphadrop.service.api import Stopping

        self._ending.set()
        self._told_to_end.put(None)
        return Stopping(pid=os.getpid())

    @property
    def max_pixels(self) -> int:
        """The most that a picture may have."""
        return self._engine.max_pixels

    def matte(self, pixels: bytearray, size: MatteSize, model: str | None, edges: Edges) -> Matte:
        """Find the matte of raw pixels."""
        from alphadrop.service.api import Matte

        array = np.frombuffer(pixels, np.uint8).reshape(size.height, size.width, size.channels)
        image = Image.fromarray(array if size.channels > 1 else array[..., 0])
        cut = self._engine.cut_photo(from_image(image, "the picture"), CutOptions(edges=edges), model=model)
        return Matte(cut.matte.tobytes(), cut.subject)

    def _load(self) -> None:
        """Begin to look, and load the model, however long either takes to become possible; only then is there work."""
        if not self._until_possible(self._folders.start) or not self._until_possible(self._engine.warm):
            return
        self._folders.begin_work()
        self._folders.wait_until_armed()
        self._ready.set()
        took = time.monotonic() - self._started
        _log.info("ready in %.2f s with %s (%s)", took, self._engine.model, self._engine.loaded[self._engine.model])
        for folder in self._settings.folders:
            _log.info("drop photographs into %s", printable(folder.input))
            _log.info("  cut-outs appear in  %s", printable(folder.output))

    def _until_possible(self, step: Callable[[], object]) -> bool:
        """Take a step, again and again where it fails; return whether that was before the end."""
        while not self._ending.is_set():
            try:
                step()
            except AlphadropError as error:
                if str(error) != str(self._trouble):
                    _log.error("%s", error)
                self._trouble = error
                self._ending.wait(_RETRY)
            else:
                self._trouble = None
                return not self._ending.is_set()
        return False

    def _make_server(self) -> uvicorn.Server:
        import uvicorn

        from alphadrop.service.api import make_app

        return uvicorn.Server(
            uvicorn.Config(
                make_app(self),
                lifespan="off",
                log_config=None,
                access_log=False,
                proxy_headers=False,
                server_header=False,
                timeout_graceful_shutdown=2,
            )
        )

    def _own_signals(self) -> None:
        signalled = False

        def end(number: int, _: FrameType | None) -> None:
            nonlocal signalled
            if signalled:
                os._exit(128 + number)
            signalled = True
            self._told_to_end.put(None)  # unlike an Event's set, safe while the same thread is waiting

        signal.signal(signal.SIGTERM, end)
        signal.signal(signal.SIGINT, end)
        if hasattr(signal, "SIGIO"):
            signal.signal(signal.SIGIO, signal.SIG_IGN)  # what the kernel sends to a holder of a read lease

    def _wait_for_end(self) -> None:
        # A wait without end would not see signals on Windows.
        while True:
            with contextlib.suppress(queue.Empty):
                self._told_to_end.get(timeout=3600 if os.name == "posix" else 0.5)
                break
        self._ending.set()

    def _state(self) -> str:
        if self._ending.is_set():
            return "stopping"
        if self._ready.is_set():
            return "ready"
        if isinstance(self._trouble, LedgerError):
            return "waiting for the ledger"
        return "starting" if self._trouble is None else "waiting for a model"

    def _model_report(self) -> ModelReport:
        from alphadrop.service.api import ModelReport

        error = self._trouble
        if error is not None and not isinstance(error, LedgerError):
            return ModelReport(name=self._engine.model, state="missing", message=error.message, hint=error.hint)
        device = self._engine.loaded.get(self._engine.model, "")
        return ModelReport(name=self._engine.model, state="ready" if device else "loading", device=device)


def _folder_report(folder: FolderStatus) -> FolderReport:
    from alphadrop.service.api import FolderReport

    return FolderReport(
        input=printable(folder.input),
        output=printable(folder.output),
        health=folder.health.state,
        remedy=folder.health.remedy,
        **folder.counts,
    )
