"""Every answer that is an error, in the same words."""

from __future__ import annotations

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from alphadrop.errors import (
    AlphadropError,
    BadOptions,
    Cancelled,
    CodeRefused,
    ExplainFailed,
    ExtraMissing,
    FileError,
    JobRefused,
    LedgerError,
    ModelError,
    NoPage,
    NoSuchExplanation,
    NoSuchJob,
    NoSuchKey,
    NoSuchPhoto,
    NotYours,
    PhotoError,
    PhotoTooLarge,
    TooBusy,
    UnknownModel,
    printable,
)

__all__ = ["ErrorAnswer", "answer_errors", "answer_to"]

_SEE_CALLS = "the calls are in /v1/openapi.json"
_CODES = {
    400: "invalid_request",
    404: "not_found",
    405: "method_not_allowed",
    408: "too_slow",
    413: "too_large",
}
_TRY_AGAIN = 5
"""Seconds after which a client that was refused may hope for better."""


class _Told(BaseModel):
    code: str
    message: str
    hint: str = ""


class ErrorAnswer(BaseModel):
    """The body of every answer that is an error."""

    error: _Told


def answer_errors(app: FastAPI) -> None:
    """Have an application turn whatever its calls raise into such answers."""

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


def answer_to(error: AlphadropError) -> JSONResponse:
    """Return what the API says where it fails."""
    answer = _answer(_status_of(error), error.code, error.message, error.hint)
    if isinstance(error, TooBusy):
        answer.headers["Retry-After"] = str(_TRY_AGAIN)
    return answer


def _status_of(error: AlphadropError) -> int:
    if isinstance(error, PhotoTooLarge):
        return 413
    if isinstance(error, (UnknownModel, NoSuchJob, NoSuchKey, NoSuchPhoto, NoSuchExplanation, NoPage)):
        return 404
    if isinstance(error, ExtraMissing):
        return 501
    if isinstance(error, (NotYours, CodeRefused)):
        return 403
    if isinstance(error, JobRefused):
        return 409
    if isinstance(error, (FileError, LedgerError)):
        return 503 if error.transient else 409
    if isinstance(error, (BadOptions, PhotoError, ExplainFailed)):
        return 422
    return 503 if isinstance(error, (ModelError, TooBusy)) and error.transient else 500


def _answer(status: int, code: str, message: str, hint: str) -> JSONResponse:
    return JSONResponse({"error": {"code": code, "message": message, "hint": hint}}, status)
