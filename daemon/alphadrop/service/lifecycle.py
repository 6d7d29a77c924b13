"""The life of the resident process: from the lock to exit 0.

It owns the main thread, and so the signals (`ending.py`); uvicorn runs in another and is told what to do. When the end
begins, the file at work is finished or put back, within ten seconds.
"""

from __future__ import annotations

import io
import logging
import os
import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, NoReturn

import numpy as np
from PIL import Image

from alphadrop import __version__, paths
from alphadrop.client import API_VERSION
from alphadrop.config import Settings, as_mapping
from alphadrop.engine.cancellation import Cancellation
from alphadrop.engine.compose import straight_rgba
from alphadrop.engine.cutout import Engine, Look
from alphadrop.engine.options import CutOptions, Edges
from alphadrop.engine.photo import from_image, own_pillow_limits
from alphadrop.errors import AlphadropError, LedgerError, LedgerTooNew, NoPage, printable
from alphadrop.hotfolder.hotfolders import HotFolders
from alphadrop.hotfolder.ledger import Ledger
from alphadrop.memory import return_big_blocks, return_what_is_free
from alphadrop.pipeline.explain_apart import Explained, File, Question
from alphadrop.pipeline.order import Finished, Order
from alphadrop.pipeline.pipeline import Pipeline
from alphadrop.pipeline.quiet import Surroundings
from alphadrop.service import logs
from alphadrop.service.browsers import Browsers
from alphadrop.service.ending import Ending
from alphadrop.service.endpoint import Endpoint
from alphadrop.service.following import FollowedSettings
from alphadrop.service.supervision import Pulse, Supervisor

if TYPE_CHECKING:
    from alphadrop.service.connection import Server
    from alphadrop.service.daemon import Matte, Output
    from alphadrop.service.reports import (
        ConfigurationInForce,
        ConfigurationReport,
        LedgerReport,
        ModelReport,
        Models,
        PauseReport,
        Status,
        Stopping,
    )

__all__ = ["run"]

_log = logging.getLogger(__name__)
_GRACE = 10.0
"""Seconds that the file at work may take after the first signal."""
_RETRY = 10.0
"""Seconds between two attempts to start what cannot be started yet."""


def run(settings: Settings) -> NoReturn:
    """Be the daemon until told to end; the process ends with it.

    Raises:
        AlreadyRunning: another daemon of this user runs.
        SocketUnavailable, LedgerTooNew, FileError: it cannot be started.
    """
    return_big_blocks()
    endpoint = Endpoint(paths.run_folder(), port=settings.web.port)
    try:
        logs.set_up(paths.log_file(), settings.log_level)
        own_pillow_limits()
        _Process(settings, endpoint).live()
    finally:
        endpoint.close()
    # Without the interpreter's own end: a thread that comes back from the network or the log while it goes on would
    # abort the process, and one that serves a request and waits for a disk would keep it.
    logging.shutdown()
    os._exit(0)


class _Process:
    """What is alive between start and end; the API asks it."""

    def __init__(self, settings: Settings, endpoint: Endpoint) -> None:
        self._endpoint = endpoint
        self._pipeline = Pipeline(
            _engine_of(settings),
            in_flight_pixels=settings.limits.in_flight_pixels,
            is_quiet=Surroundings(settings.quiet).are_quiet,
            when_idle=return_what_is_free,
        )
        self._following = FollowedSettings(settings, self._use)
        self.browsers = Browsers(paths.browsers_file())
        """Those that have a key for the web page."""
        self._ledger: Ledger | None = None
        self._folders: HotFolders | None = None
        self._started = time.monotonic()
        self._ending = Ending()
        self._ready = threading.Event()
        self._trouble: AlphadropError | None = None
        self._supervisor = Supervisor.of(os.environ)

    def live(self) -> None:
        """Serve and work until told to end, then end."""
        self._ending.heed_signals()
        self._supervisor.tell(STATUS="starting")
        for warning in (*self._following.settings.warnings, *self._endpoint.troubles):
            _log.warning("%s", warning)
        try:
            self._open_ledger()
        except LedgerTooNew:
            raise
        except LedgerError as error:
            _log.error("%s; trying again", error)
            self._meet(error)
        loading = threading.Thread(target=self._load, name="loading", daemon=True)
        loading.start()
        self._endpoint.announce()
        server = self._make_server()
        serving = threading.Thread(
            target=server.run, kwargs={"sockets": self._endpoint.sockets}, name="serving", daemon=True
        )
        serving.start()
        if self._endpoint.port is not None:
            _log.info("programs of yours reach the API at http://127.0.0.1:%d, too", self._endpoint.port)
        self._wait_for_end(server)
        _log.info("ending: the file at work is finished first")
        self._supervisor.tell(STOPPING=1, STATUS="ending: the file at work is finished first")
        deadline = time.monotonic() + _GRACE
        self._following.close()
        finished = self._folders is None or self._folders.close(_GRACE)
        server.should_exit = True
        serving.join(timeout=3)
        loading.join(timeout=max(0.0, deadline - time.monotonic()))
        if finished and self._ledger is not None and not loading.is_alive():
            self._ledger.close()
        _log.info("ended")

    def status(self) -> Status:
        """Return how things are."""
        from alphadrop.service.reports import Status, folder_report

        folders = self._folders
        return Status(
            api=API_VERSION,
            version=__version__,
            pid=os.getpid(),
            state=self._state(),
            uptime=round(time.monotonic() - self._started, 3),
            paused=self._pause_report(),
            configuration=self._configuration_report(),
            model=self._model_report(),
            ledger=self._ledger_report(),
            folders=[folder_report(folder) for folder in folders.status()] if folders is not None else [],
            notifications=self._following.settings.notifications,
        )

    def stop(self) -> Stopping:
        """Begin to end."""
        from alphadrop.service.reports import Stopping

        self._ending.begin()
        return Stopping(pid=os.getpid())

    def pause(self, seconds: float | None) -> None:
        """Let the hot folders rest for a time, or until told otherwise; over restarts too."""
        self.folders.pause(None if seconds is None else time.time() + seconds)
        _log.info("paused%s", "" if seconds is None else f" for {seconds:.0f} s")

    def resume(self) -> None:
        """Let the hot folders go on."""
        self.folders.resume()
        _log.info("resumed")

    @property
    def folders(self) -> HotFolders:
        """The hot folders.

        Raises:
            LedgerError: they wait for the ledger.
        """
        if self._folders is None:
            raise LedgerError("the ledger cannot be opened yet", "see why with: alphadrop status")
        return self._folders

    @property
    def ledger(self) -> Ledger:
        """The record of files.

        Raises:
            LedgerError: it cannot be opened yet.
        """
        if self._ledger is None:
            raise LedgerError("the ledger cannot be opened yet", "see why with: alphadrop status")
        return self._ledger

    @property
    def page_address(self) -> str:
        """Where the web page is.

        Raises:
            NoPage: it is turned off, or there is no port for it.
        """
        if not self._following.settings.web.enabled:
            raise NoPage("the web page is turned off", "turn it on in the configuration: web: {enabled: true}")
        if self._endpoint.port is None:
            raise NoPage("no port was free for the web page", "see the daemon's log, then restart it: alphadrop stop")
        return f"http://127.0.0.1:{self._endpoint.port}/"

    @property
    def max_pixels(self) -> int:
        """The most that a picture may have."""
        return self._pipeline.engine.max_pixels

    @property
    def model(self) -> str:
        """The network that is used where none is named."""
        return self._pipeline.engine.model

    @property
    def keep_gps(self) -> bool:
        """Whether places stay in the metadata where nothing else is asked for."""
        return self._following.settings.keep_gps

    def matte(
        self,
        picture: Image.Image,
        model: str | None,
        edges: Edges,
        output: Output,
        cancellation: Cancellation,
    ) -> Matte:
        """Find the matte of a picture of sRGB pixels."""
        from alphadrop.service.daemon import Matte

        photo, options = from_image(picture, "the picture"), CutOptions(edges=edges)
        cut = self._pipeline.cut_now(photo, options, model=model, cancellation=cancellation)
        found = cut.matte if output == "alpha" else straight_rgba(photo, cut.matte)
        return Matte(np.ascontiguousarray(found).data.cast("B"), cut.subject)

    def cut(self, data: bytes | bytearray, order: Order, cancellation: Cancellation) -> Finished:
        """Cut an encoded photograph out."""
        with io.BytesIO(data) as stream:
            return self._pipeline.cut_file_now(stream, order, cancellation)

    def cut_again(
        self, data: bytes | bytearray, order: Order, seen: Look | None, cancellation: Cancellation
    ) -> tuple[Finished, Look]:
        """Cut an encoded photograph out that may have been looked at already."""
        with io.BytesIO(data) as stream:
            return self._pipeline.cut_again_now(stream, order, seen, cancellation)

    def explain(
        self,
        data: bytes | bytearray,
        question: Question,
        cancellation: Cancellation,
        take: Callable[[Explained, File], None],
    ) -> Explained:
        """Draw what a network sees in an encoded photograph, one picture after the other."""
        return self._pipeline.explain_now(data, question, cancellation, take)

    def models(self) -> Models:
        """Return every network that is known by name."""
        from alphadrop.service.reports import Models, registered_model

        engine = self._pipeline.engine
        return Models(models=[registered_model(spec, engine) for spec in engine.known.values()])

    def configuration(self) -> ConfigurationInForce:
        """Return the settings in force."""
        from alphadrop.service.reports import ConfigurationInForce

        settings = self._following.settings
        return ConfigurationInForce(
            file=printable(settings.file),
            settings=as_mapping(settings),
            warnings=list(settings.warnings),
            problems=list(self._following.problems),
        )

    def _load(self) -> None:
        """Begin to look, and load the model, however long either takes to become possible; only then is there work."""
        if not (self._until_possible(self._open_ledger) and self._until_possible(lambda: self.folders.start())):
            return
        self._following.start()  # a model that is missing may be corrected there
        if not self._until_possible(lambda: self._pipeline.engine.warm()):
            return
        self.folders.begin_work()
        self.folders.wait_until_armed()
        self._ready.set()
        watched = len(self._following.settings.folders)
        self._supervisor.tell(READY=1, STATUS=f"ready, hot folders: {watched}")
        took, engine = time.monotonic() - self._started, self._pipeline.engine
        _log.info("ready in %.2f s with %s (%s)", took, engine.model, engine.loaded.get(engine.model, ""))
        if self.folders.paused is not None:
            _log.warning("paused: what is dropped is cut after: alphadrop resume")
        for folder in self._following.settings.folders:
            _log.info("drop photographs into %s", printable(folder.input))
            _log.info("  cut-outs appear in  %s", printable(folder.output))
        if self._following.settings.web.enabled and self._endpoint.port is not None:
            _log.info("open the web page with: alphadrop web")

    def _open_ledger(self) -> None:
        if self._ledger is not None:
            return
        self._ledger = Ledger(paths.ledger_file())
        for note in self._ledger.notes:
            _log.warning("%s", note)
        settings = self._following.settings
        self._folders = HotFolders(settings.folders, self._pipeline, self._ledger, history=settings.history)

    def _use(self, settings: Settings) -> None:
        """Put other settings into force; nothing changes where their model cannot be used."""
        engine = _engine_of(settings)
        if engine.recipe != self._pipeline.engine.recipe:
            engine.warm()
            self._pipeline.engine = engine
        if settings.limits.in_flight_pixels != self._pipeline.budget.pixels:
            self._pipeline.limit(settings.limits.in_flight_pixels)
        self._pipeline.is_quiet = Surroundings(settings.quiet).are_quiet
        logs.set_level(settings.log_level)
        self.folders.use(settings.folders, history=settings.history)

    def _until_possible(self, step: Callable[[], object]) -> bool:
        """Take a step, again and again where it fails; return whether that was before the end."""
        while not self._ending.has_begun:
            try:
                step()
            except AlphadropError as error:
                if str(error) != str(self._trouble):
                    _log.error("%s", error)
                self._meet(error)
                self._ending.rest(_RETRY)
            else:
                self._meet(None)
                return not self._ending.has_begun
        return False

    def _meet(self, trouble: AlphadropError | None) -> None:
        """Note what keeps the daemon from being ready, and say it to whoever waits for that."""
        if str(trouble) != str(self._trouble):
            self._trouble = trouble
            self._supervisor.tell(STATUS="starting" if trouble is None else f"{self._state()}: {trouble}")

    def _make_server(self) -> Server:
        from alphadrop.service.serving import make_server

        return make_server(self, self._endpoint, lambda: self._following.settings)

    def _wait_for_end(self, server: Server) -> None:
        """Wait until told to end, and meanwhile give the supervisor signs of life as long as all goes round."""
        pulse = Pulse(
            {
                "the API": lambda: server.rounds,
                "the hot folders": lambda: None if self._folders is None else self._folders.rounds,
            }
        )
        self._ending.wait(self._supervisor.every, lambda: self._give_sign_of_life(pulse.look()))

    def _give_sign_of_life(self, halted: list[str]) -> None:
        if halted:
            _log.error("%s: no sign of life", " and ".join(halted))
            self._supervisor.tell(STATUS=f"no sign of life: {' and '.join(halted)}")
        else:
            self._supervisor.tell(WATCHDOG=1)
        if self._folders is not None:
            self._folders.go_round()

    def _state(self) -> str:
        if self._ending.has_begun:
            return "stopping"
        if self._ready.is_set():
            return "ready"
        if isinstance(self._trouble, LedgerError):
            return "waiting for the ledger"
        return "starting" if self._trouble is None else "waiting for a model"

    def _model_report(self) -> ModelReport:
        from alphadrop.service.reports import ModelReport

        error, engine = self._trouble, self._pipeline.engine
        if error is not None and not isinstance(error, LedgerError):
            return ModelReport(name=engine.model, state="missing", message=error.message, hint=error.hint)
        device = engine.loaded.get(engine.model, "")
        return ModelReport(name=engine.model, state="ready" if device else "loading", device=device)

    def _ledger_report(self) -> LedgerReport:
        from alphadrop.service.reports import LedgerReport

        trouble = self._folders.trouble if self._folders is not None else None
        if trouble is None and isinstance(self._trouble, LedgerError):
            trouble = self._trouble
        notes = list(self._ledger.notes) if self._ledger is not None else []
        if trouble is not None:
            return LedgerReport(state="trouble", message=trouble.message, hint=trouble.hint, notes=notes)
        return LedgerReport(state="ready" if self._ledger is not None else "opening", notes=notes)

    def _configuration_report(self) -> ConfigurationReport:
        from alphadrop.service.reports import ConfigurationReport

        following = self._following
        return ConfigurationReport(file=printable(following.settings.file), problems=list(following.problems))

    def _pause_report(self) -> PauseReport | None:
        from alphadrop.service.reports import PauseReport

        pause = self._folders.paused if self._folders is not None else None
        return None if pause is None else PauseReport(until=pause.until)


def _engine_of(settings: Settings) -> Engine:
    return Engine(
        settings.model,
        own_models=settings.models,
        threads=settings.threads,
        provider=settings.provider,
        max_pixels=settings.limits.pixels,
    )
