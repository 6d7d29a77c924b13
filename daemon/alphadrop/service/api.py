"""The calls of the local API. Each asks the daemon; none knows how it does what it does."""

from __future__ import annotations

from typing import Annotated

from fastapi import Body, FastAPI, Path, Query, Response

from alphadrop import __version__
from alphadrop.errors import printable
from alphadrop.hotfolder.ledger import State as JobState
from alphadrop.service.bodies import Bounded
from alphadrop.service.daemon import Daemon
from alphadrop.service.desk import Desk
from alphadrop.service.events import Events, event_calls
from alphadrop.service.explaining import explain_calls
from alphadrop.service.pictures import picture_calls
from alphadrop.service.refusals import ErrorAnswer, answer_errors
from alphadrop.service.reports import (
    BroughtBack,
    ConfigurationInForce,
    JobReport,
    Jobs,
    Models,
    Pausing,
    Retried,
    Status,
    Stopping,
    Which,
    job_report,
)
from alphadrop.service.showing import output_of, thumbnail_of
from alphadrop.service.web import web_calls

__all__ = ["make_app"]

JobNumber = Annotated[int, Path(ge=1, lt=2**63)]
_FILE = {"schema": {"type": "string", "format": "binary"}}
_OUTPUTS = dict.fromkeys(("image/png", "image/webp", "image/tiff", "image/jpeg"), _FILE)


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

    app.add_middleware(Bounded)
    answer_errors(app)
    events = Events(daemon)
    app.include_router(event_calls(events))
    desk = Desk(events)
    app.include_router(picture_calls(daemon, desk))
    app.include_router(explain_calls(daemon, desk))
    app.include_router(web_calls(daemon))

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
    def jobs(
        state: JobState | None = None,
        warned: Annotated[bool, Query(description="Only those whose result came with a warning")] = False,
        limit: Annotated[int, Query(ge=1, le=10_000)] = 100,
    ) -> Jobs:
        ledger = daemon.ledger
        rows = ledger.rows(state=state, warned=warned, limit=limit)
        return Jobs(jobs=[job_report(row, ledger) for row in rows])

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
        return job_report(daemon.folders.undo(), daemon.ledger)

    @app.post("/v1/jobs/{number}/retry", summary="Do a photograph again")
    def retry(number: JobNumber) -> JobReport:
        return job_report(daemon.folders.retry(number), daemon.ledger)

    @app.post("/v1/jobs/{number}/undo", summary="Bring back the original of a photograph")
    def undo(number: JobNumber) -> JobReport:
        return job_report(daemon.folders.undo(number), daemon.ledger)

    @app.get(
        "/v1/jobs/{number}/output",
        summary="What was written for a photograph",
        response_class=Response,
        responses={200: {"content": _OUTPUTS, "description": "The file; of several the cut-out"}},
    )
    def output(number: JobNumber) -> Response:
        written = output_of(daemon.ledger, number)
        return Response(written.data, media_type=written.media_type)

    @app.get(
        "/v1/jobs/{number}/thumbnail",
        summary="A small picture of what was written for a photograph",
        response_class=Response,
        responses={200: {"content": {"image/png": _FILE}, "description": "320 pixels or less to a side"}},
    )
    def thumbnail(number: JobNumber) -> Response:
        return Response(thumbnail_of(daemon.ledger, number, max_pixels=daemon.max_pixels), media_type="image/png")

    @app.get("/v1/models", summary="The networks that are known by name, and which of them are here")
    def models() -> Models:
        return daemon.models()

    @app.get("/v1/config", summary="The settings in force, and what is wrong with those in the file")
    def configuration() -> ConfigurationInForce:
        return daemon.configuration()

    return app
