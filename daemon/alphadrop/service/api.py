"""The calls of the local API. Each asks the daemon; none knows how it does what it does."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Annotated, Literal, Protocol

from fastapi import Body, FastAPI, Path, Query, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from alphadrop import __version__
from alphadrop.engine.cancellation import Cancellation
from alphadrop.errors import (
    AlphadropError,
    BadOptions,
    Cancelled,
    FileError,
    JobRefused,
    LedgerError,
    ModelError,
    NoSuchJob,
    PhotoError,
    PhotoTooLarge,
    TooBusy,
    UnknownModel,
    printable,
)
from alphadrop.hotfolder.hotfolders import HotFolders
from alphadrop.hotfolder.ledger import Ledger, Row
from alphadrop.hotfolder.ledger import State as JobState
from alphadrop.service.room import Place, Room

__all__ = [
    "ConfigurationReport",
    "FolderReport",
    "LedgerReport",
    "Matte",
    "MatteSize",
    "ModelReport",
    "PauseReport",
    "Status",
    "Stopping",
    "answer_to",
    "make_app",
]

JobNumber = Annotated[int, Path(ge=1, lt=2**63)]


class ModelReport(BaseModel):
    """The model in use."""

    name: str
    state: str
    """`loading`, `ready`, or `missing` with a message and a hint."""
    device: str = ""
    message: str = ""
    hint: str = ""


class FolderReport(BaseModel):
    """One hot folder."""

    input: str
    output: str
    health: str
    """`watching`, `polling`, or what keeps it from that, such as `missing` or `disk full`."""
    remedy: str = ""
    warning: str = ""
    """What is not wrong yet, such as a disk that is nearly full."""
    pending: int = 0
    working: int = 0
    done: int = 0
    no_subject: int = 0
    skipped: int = 0
    failed: int = 0
    missing: int = 0


class LedgerReport(BaseModel):
    """The record of files."""

    state: str
    """`opening`, `ready`, or `trouble` with a message and a hint."""
    message: str = ""
    hint: str = ""
    notes: list[str] = []
    """What had to be done to open it."""


class ConfigurationReport(BaseModel):
    """The file that says what is done, and what is wrong in it since it was changed."""

    file: str
    problems: list[str] = []


class PauseReport(BaseModel):
    """The hot folders rest."""

    until: float | None = None
    """Seconds since the epoch; none for until told otherwise."""


class Status(BaseModel):
    """What the daemon says of itself."""

    api: int
    version: str
    pid: int
    state: str
    """`starting`, `ready`, `waiting for a model`, `waiting for the ledger`, or `stopping`."""
    uptime: float
    """Seconds."""
    paused: PauseReport | None = None
    configuration: ConfigurationReport
    model: ModelReport
    ledger: LedgerReport
    folders: list[FolderReport]


class Pausing(BaseModel, extra="forbid"):
    """For how long to rest."""

    seconds: Annotated[float, Field(gt=0, le=366 * 86_400)] | None = None
    """None for until told otherwise."""


class JobReport(BaseModel):
    """One photograph of a hot folder and what became of it."""

    id: int
    folder: str
    path: str
    """Below the folder."""
    state: JobState
    outcome: str
    """`done`, `no_subject`, `skipped`, or the code of an error."""
    reason: str
    attempts: int
    suspect: bool
    """It was being cut when the daemon ended without notice."""
    size: int
    """Bytes."""
    model: str
    seconds: dict[str, float]
    """Wall time of each stage."""
    noted_at: float
    """Seconds since the epoch, as are the following."""
    started_at: float | None
    finished_at: float | None
    original: str
    """`due`, `going`, then `moved` or `deleted` where it does not stay; `returning` while it is brought back."""
    original_at: str
    """Where it was moved to."""
    outputs: list[str]


class Jobs(BaseModel):
    """Photographs, those that changed last first."""

    jobs: list[JobReport]


class Retried(BaseModel):
    """What became of a request to do several photographs again."""

    retried: int
    refused: int
    """Among others, those that are no longer there."""


class BroughtBack(BaseModel):
    """What became of a request to bring originals back."""

    brought_back: int
    refused: list[str]


class Which(BaseModel, extra="forbid"):
    """Which photographs to do again."""

    which: Literal["failed", "changed"]
    """`changed`: those done with other settings than are in force now."""


class Stopping(BaseModel):
    """The answer to a request to stop."""

    stopping: bool = True
    pid: int


class Daemon(Protocol):
    """What the calls need of the process they are served by."""

    def status(self) -> Status:
        """Return how things are."""

    def stop(self) -> Stopping:
        """Begin to end."""

    def pause(self, seconds: float | None) -> None:
        """Let the hot folders rest; raises LedgerError."""

    def resume(self) -> None:
        """Let the hot folders go on; raises LedgerError."""

    @property
    def folders(self) -> HotFolders:
        """The hot folders; raises LedgerError while they wait for the ledger."""

    @property
    def ledger(self) -> Ledger:
        """The record of files; raises LedgerError while it cannot be opened."""

    def matte(
        self,
        pixels: bytearray,
        size: MatteSize,
        model: str | None,
        edges: Literal["plain", "refined"],
        cancellation: Cancellation,
    ) -> Matte:
        """Find the matte of raw pixels; raises AlphadropError."""

    @property
    def max_pixels(self) -> int:
        """The most that a picture may have."""


@dataclass(frozen=True, slots=True)
class MatteSize:
    """The layout of raw pixels: rows of 8-bit sRGB, one after the other."""

    width: int
    height: int
    channels: int
    """1 grey, 2 grey and alpha, 3 RGB, 4 RGBA."""

    @property
    def length(self) -> int:
        """Bytes."""
        return self.width * self.height * self.channels


@dataclass(frozen=True, slots=True)
class Matte:
    """What was found."""

    alpha: bytes
    """Rows of 8-bit values, one a pixel, without the alpha that came with the pixels."""
    subject: bool


class _Told(BaseModel):
    code: str
    message: str
    hint: str = ""


class ErrorAnswer(BaseModel):
    """The body of every answer that is an error."""

    error: _Told


_LONGEST_SIDE = 65_535
_SEE_CALLS = "the calls are in /v1/openapi.json"
_CODES = {
    400: "invalid_request",
    404: "not_found",
    405: "method_not_allowed",
    408: "too_slow",
    413: "too_large",
}
_PIECE_WITHIN = 30.0
"""Seconds that a client may be silent in the middle of a body."""
_BODY_WITHIN = 300.0
"""Seconds that a whole body may take."""
_LONGEST_BODY = 1_000_000
"""Bytes of a body that is no picture."""
_PICTURES = 64
"""Pictures that may wait or be at work at once."""
_PICTURES_SIZE = 256_000_000
"""Bytes that they may hold together, and the one that came first as many more as it has."""
_AT_WORK = 4
"""Pictures worked on at once. One is in the network at a time; the threads of the others serve the other calls."""
_TRY_AGAIN = 5
"""Seconds after which a client that was refused may hope for better."""


def make_app(daemon: Daemon) -> FastAPI:
    """Return the application that serves a daemon."""
    app = FastAPI(
        title="Alphadrop",
        version=__version__,
        openapi_url="/v1/openapi.json",
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        responses={"default": {"model": ErrorAnswer, "description": "Any error"}},
    )

    app.add_middleware(_Bounded)
    room = Room(places=_PICTURES, size=_PICTURES_SIZE)
    at_work = asyncio.Semaphore(_AT_WORK)

    @app.get("/v1/status", summary="How the daemon and its folders are")
    def status() -> Status:
        return daemon.status()

    @app.post("/v1/stop", summary="Finish the file at work and end", status_code=202)
    def stop() -> Stopping:
        return daemon.stop()

    @app.post("/v1/pause", summary="Let the hot folders rest, over restarts too; the file at work is finished")
    def pause(pausing: Annotated[Pausing | None, Body()] = None) -> Status:
        daemon.pause(pausing.seconds if pausing is not None else None)
        return daemon.status()

    @app.post("/v1/resume", summary="Let the hot folders go on")
    def resume() -> Status:
        daemon.resume()
        return daemon.status()

    @app.get("/v1/jobs", summary="What became of the photographs, those that changed last first")
    def jobs(state: JobState | None = None, limit: Annotated[int, Query(ge=1, le=10_000)] = 100) -> Jobs:
        ledger = daemon.ledger
        return Jobs(jobs=[_job_report(row, ledger) for row in ledger.rows(state=state, limit=limit)])

    @app.post("/v1/jobs/retry", summary="Do several photographs again")
    def retry_several(wanted: Which) -> Retried:
        folders = daemon.folders
        retried, refused = folders.retry_failed() if wanted.which == "failed" else folders.retry_changed()
        return Retried(retried=retried, refused=refused)

    @app.post("/v1/jobs/undo", summary="Bring back every original that was moved to a finished or failed folder")
    def undo_all() -> BroughtBack:
        done, refused = daemon.folders.undo_all()
        return BroughtBack(brought_back=done, refused=[printable(str(error)) for error in refused])

    @app.post("/v1/jobs/last/undo", summary="Bring back the original that was moved last")
    def undo_last() -> JobReport:
        return _job_report(daemon.folders.undo(), daemon.ledger)

    @app.post("/v1/jobs/{number}/retry", summary="Do a photograph again")
    def retry(number: JobNumber) -> JobReport:
        return _job_report(daemon.folders.retry(number), daemon.ledger)

    @app.post("/v1/jobs/{number}/undo", summary="Bring back the original of a photograph")
    def undo(number: JobNumber) -> JobReport:
        return _job_report(daemon.folders.undo(number), daemon.ledger)

    @app.post(
        "/v1/matte",
        summary="The alpha matte of raw pixels",
        response_class=Response,
        responses={200: {"content": {"application/octet-stream": {}}, "description": "width x height bytes of alpha"}},
        openapi_extra={
            "requestBody": {"content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}}}
        },
    )
    async def matte(
        request: Request,
        width: Annotated[int, Query(ge=1, le=_LONGEST_SIDE)],
        height: Annotated[int, Query(ge=1, le=_LONGEST_SIDE)],
        channels: Annotated[int, Query(ge=1, le=4)] = 3,
        model: str | None = None,
        edges: Literal["plain", "refined"] = "refined",
    ) -> Response:
        """Send rows of 8-bit sRGB pixels; the answer's header Alphadrop-Outcome says `done` or `no_subject`."""
        size = MatteSize(width, height, channels)
        if width * height > daemon.max_pixels:
            limit = daemon.max_pixels / 1e6
            raise PhotoTooLarge(f"{width} x {height} pixels are more than the limit of {limit:.0f} megapixels")
        with room.place() as place:
            pixels = await _body(request, size.length, place)
            async with _while_awaited(request) as cancellation, at_work:
                found = await run_in_threadpool(daemon.matte, pixels, size, model, edges, cancellation)
        outcome = "done" if found.subject else "no_subject"
        return Response(found.alpha, media_type="application/octet-stream", headers={"Alphadrop-Outcome": outcome})

    @app.exception_handler(AlphadropError)
    def failed(_: Request, error: AlphadropError) -> JSONResponse:
        return answer_to(error)

    @app.exception_handler(HTTPException)
    def refused(_: Request, error: HTTPException) -> JSONResponse:
        hint = _SEE_CALLS if error.status_code in _CODES else ""
        answer = _answer(error.status_code, _CODES.get(error.status_code, "http"), str(error.detail), hint)
        answer.headers.update(error.headers or {})
        return answer

    @app.exception_handler(ClientDisconnect)
    @app.exception_handler(Cancelled)
    def gone(_: Request, __: Exception) -> Response:
        return Response(status_code=400)  # nobody reads it

    @app.exception_handler(Exception)
    def unforeseen(_: Request, error: Exception) -> JSONResponse:
        return _answer(500, "internal", f"{type(error).__name__}: {printable(str(error))}", "see the daemon's log")

    @app.exception_handler(RequestValidationError)
    def misunderstood(_: Request, error: RequestValidationError) -> JSONResponse:
        places = "; ".join(f"{'.'.join(map(str, each['loc']))}: {each['msg']}" for each in error.errors())
        return _answer(422, "invalid_request", places, _SEE_CALLS)

    return app


class _Bounded:
    """Waits for no body for ever, and takes none without end; that of a picture has the length of the picture."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            receive = _bounded(receive, None if scope["path"] == "/v1/matte" else _LONGEST_BODY)
        await self._app(scope, receive, send)


def _bounded(receive: Receive, longest: int | None) -> Receive:
    end, received, whole = time.monotonic() + _BODY_WITHIN, 0, False

    async def bounded() -> Message:
        nonlocal received, whole
        if whole:
            return await receive()
        try:
            message = await asyncio.wait_for(receive(), min(_PIECE_WITHIN, end - time.monotonic()))
        except TimeoutError:
            raise HTTPException(408, "the body came too slowly", {"Connection": "close"}) from None
        received += len(message.get("body", b""))
        whole = not message.get("more_body", False)
        if longest is not None and received > longest:
            raise HTTPException(413, f"the body is longer than {longest} bytes")
        return message

    return bounded


async def _body(request: Request, length: int, place: Place) -> bytearray:
    """Return a body that must have exactly this length, without ever holding more than that, or than has come."""
    body, end = bytearray(), time.monotonic() + _BODY_WITHIN
    async for piece in request.stream():
        if len(body) + len(piece) > length:
            raise BadOptions(
                f"the body is longer than the {length} bytes that its size says", "send rows without padding"
            )
        await place.grow(len(piece), within=end - time.monotonic())
        body += piece
    if len(body) != length:
        raise BadOptions(f"the body has {len(body)} bytes, its size says {length}", "send rows without padding")
    return body


@asynccontextmanager
async def _while_awaited(request: Request) -> AsyncIterator[Cancellation]:
    """Cancel what is done within when the client goes away; its body has been read."""
    cancellation = Cancellation()

    async def watch() -> None:
        while (await request.receive())["type"] != "http.disconnect":
            pass
        cancellation.cancel()

    watching = asyncio.create_task(watch())
    try:
        yield cancellation
    finally:
        watching.cancel()


def _job_report(row: Row, ledger: Ledger) -> JobReport:
    return JobReport(
        id=row.id,
        folder=printable(row.folder),
        path=printable(os.fsencode(row.path)),
        state=row.state,
        outcome=row.outcome,
        reason=row.reason,
        attempts=row.attempts,
        suspect=row.suspect,
        size=row.content.size,
        model=row.model,
        seconds=dict(row.seconds),
        noted_at=row.noted_at,
        started_at=row.started_at,
        finished_at=row.finished_at,
        original=row.original,
        original_at="" if row.original_at is None else printable(row.original_at),
        outputs=[printable(output) for output in ledger.outputs(row)],
    )


def answer_to(error: AlphadropError) -> JSONResponse:
    """Return what the API says where it fails."""
    answer = _answer(_status_of(error), error.code, error.message, error.hint)
    if isinstance(error, TooBusy):
        answer.headers["Retry-After"] = str(_TRY_AGAIN)
    return answer


def _status_of(error: AlphadropError) -> int:
    if isinstance(error, PhotoTooLarge):
        return 413
    if isinstance(error, (UnknownModel, NoSuchJob)):
        return 404
    if isinstance(error, JobRefused):
        return 409
    if isinstance(error, (FileError, LedgerError)):
        return 503 if error.transient else 409
    if isinstance(error, (BadOptions, PhotoError)):
        return 422
    return 503 if isinstance(error, (ModelError, TooBusy)) and error.transient else 500


def _answer(status: int, code: str, message: str, hint: str) -> JSONResponse:
    return JSONResponse({"error": {"code": code, "message": message, "hint": hint}}, status)
