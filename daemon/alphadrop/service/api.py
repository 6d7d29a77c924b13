"""The calls of the local API. Each asks the daemon; none knows how it does what it does."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal, Protocol

from fastapi import FastAPI, Query, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from alphadrop import __version__
from alphadrop.errors import (
    AlphadropError,
    BadOptions,
    ModelError,
    PhotoError,
    PhotoTooLarge,
    UnknownModel,
    printable,
)

__all__ = ["FolderReport", "Matte", "MatteSize", "ModelReport", "Status", "Stopping", "make_app"]


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
    remedy: str = ""
    pending: int = 0
    working: int = 0
    done: int = 0
    no_subject: int = 0
    skipped: int = 0
    failed: int = 0


class Status(BaseModel):
    """What the daemon says of itself."""

    api: int
    version: str
    pid: int
    state: str
    """`starting`, `ready`, `waiting for a model`, `waiting for the ledger`, or `stopping`."""
    uptime: float
    """Seconds."""
    configuration: str
    model: ModelReport
    folders: list[FolderReport]


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

    def matte(self, pixels: bytearray, size: MatteSize, model: str | None, edges: Literal["plain", "refined"]) -> Matte:
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
_HINTS = {404: "the calls are in /v1/openapi.json", 405: "the calls are in /v1/openapi.json"}


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

    @app.get("/v1/status", summary="How the daemon and its folders are")
    def status() -> Status:
        return daemon.status()

    @app.post("/v1/stop", summary="Finish the file at work and end", status_code=202)
    def stop() -> Stopping:
        return daemon.stop()

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
        pixels = await _body(request, size.length)
        found = await run_in_threadpool(daemon.matte, pixels, size, model, edges)
        outcome = "done" if found.subject else "no_subject"
        return Response(found.alpha, media_type="application/octet-stream", headers={"Alphadrop-Outcome": outcome})

    @app.exception_handler(AlphadropError)
    def failed(_: Request, error: AlphadropError) -> JSONResponse:
        return _answer(_status_of(error), error.code, error.message, error.hint)

    @app.exception_handler(HTTPException)
    def refused(_: Request, error: HTTPException) -> JSONResponse:
        code = {404: "not_found", 405: "method_not_allowed"}.get(error.status_code, "http")
        answer = _answer(error.status_code, code, str(error.detail), _HINTS.get(error.status_code, ""))
        answer.headers.update(error.headers or {})
        return answer

    @app.exception_handler(ClientDisconnect)
    def gone(_: Request, __: ClientDisconnect) -> Response:
        return Response(status_code=400)  # nobody reads it

    @app.exception_handler(Exception)
    def unforeseen(_: Request, error: Exception) -> JSONResponse:
        return _answer(500, "internal", f"{type(error).__name__}: {printable(str(error))}", "see the daemon's log")

    @app.exception_handler(RequestValidationError)
    def misunderstood(_: Request, error: RequestValidationError) -> JSONResponse:
        places = "; ".join(f"{'.'.join(map(str, each['loc']))}: {each['msg']}" for each in error.errors())
        return _answer(422, "invalid_request", places, "the calls are in /v1/openapi.json")

    return app


async def _body(request: Request, length: int) -> bytearray:
    """Return a body that must have exactly this length, without ever holding more."""
    body = bytearray(length)
    received = 0
    async for piece in request.stream():
        if received + len(piece) > length:
            raise BadOptions(
                f"the body is longer than the {length} bytes that its size says", "send rows without padding"
            )
        body[received : received + len(piece)] = piece
        received += len(piece)
    if received != length:
        raise BadOptions(f"the body has {received} bytes, its size says {length}", "send rows without padding")
    return body


def _status_of(error: AlphadropError) -> int:
    if isinstance(error, PhotoTooLarge):
        return 413
    if isinstance(error, UnknownModel):
        return 404
    if isinstance(error, (BadOptions, PhotoError)):
        return 422
    return 503 if isinstance(error, ModelError) and error.transient else 500


def _answer(status: int, code: str, message: str, hint: str) -> JSONResponse:
    return JSONResponse({"error": {"code": code, "message": message, "hint": hint}}, status)
