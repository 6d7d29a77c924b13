"""The calls that show what a network sees in a photograph, and where its pictures are kept for a while.

They are in a file without a name: it takes no memory of the daemon's, nobody else finds it, and it is gone with the
process, however that ends.
"""

import asyncio
import tempfile
import threading
import weakref
import zipfile
from collections.abc import AsyncIterator
from typing import IO, Annotated, Any, Literal

from fastapi import APIRouter, Depends, Path, Query, Request, Response
from fastapi.responses import JSONResponse, StreamingResponse
from starlette.concurrency import run_in_threadpool

from alphadrop.errors import NoSuchExplanation, printable, writing_failed
from alphadrop.pipeline.explain_apart import Apart, Explained, File, Question, ShownTensor
from alphadrop.service.bodies import picture_body
from alphadrop.service.daemon import Daemon
from alphadrop.service.desk import Desk, Progress
from alphadrop.service.reports import Described
from alphadrop.service.room import Place
from alphadrop.service.shelf import Shelf

__all__ = ["explain_calls"]

_KEPT = 4
_KEPT_SIZE = 200_000_000
"""Bytes of the files of all that are kept."""
_KEPT_FOR = 600.0
_AGAIN = NoSuchExplanation("this explanation is not kept here, or no longer", "ask for it anew: POST /v1/explain")
_ARCHIVE = "explain.zip"
_PIECE = 1 << 18
_BINARY: dict[str, Any] = {"schema": {"type": "string", "format": "binary"}}
_PICTURES = dict.fromkeys(("image/png", "image/jpeg", "application/zip"), _BINARY)
_KINDS: dict[str, Literal["encoder", "decoder"]] = {"en": "encoder", "de": "decoder"}


class Asked(Described, extra="forbid"):
    """Of which network it is to be shown."""

    name: Annotated[str, Query(max_length=5000)] = "the picture"
    """How errors call it; nothing is opened by this name."""
    model: str | None = None
    compare: str | None = None
    """A network that this one was made from: the differences to it are shown too."""

    def question(self, daemon: Daemon) -> Question:
        """Return it in the words of the pipeline."""
        return Question(printable(self.name), self.model or daemon.model, self.compare)


class Difference(Described):
    """How far a network is from the one it is compared with."""

    mean: float
    """Of the absolute differences of all values."""
    largest: float
    relative: float
    """Root mean square of the differences, by that of the other network."""
    flipped: float | None
    """Of a map: the part of its values that are on the other side of one half."""


class Stage(Described):
    """A stage of a network, or a map that it gives."""

    name: str
    """`en1` and so on, `de5`, `side-1`, `fused`."""
    kind: Literal["encoder", "decoder", "side", "fused"]
    tensor: str
    """Its name in the network's file."""
    channels: int
    height: int
    width: int
    file: str
    """A picture with what is said of it; see GET /v1/explain/{id}/{file}."""
    walk: dict[str, str]
    """Pictures without words and all of one size: `mean`, `channels`, `components`; of a map `map` and `over`; where
    two networks were compared `difference`."""
    difference: Difference | None


class Explanation(Described):
    """What a network makes of a photograph, from stage to stage."""

    id: str
    """For GET /v1/explain/{id}/{file}."""
    seconds: float
    """For which the pictures are kept after one of them was last asked for; sooner they go only for newer ones."""
    model: str
    compare: str | None
    width: int
    """Of the photograph, in pixels."""
    height: int
    subject: bool
    """Whether anything stands out in it."""
    stages: list[Stage]
    """In the order in which the photograph passes through, then the side maps and the fused one."""
    ends: dict[str, str]
    """Of the walk: the files of `photograph`, `alpha` and `cutout`."""
    files: list[str]
    """All pictures; `explain.zip` has them together."""
    warnings: list[str]


class Archive:
    """A zip that grows picture by picture, in a file without a name. Safe to use from several threads."""

    def __init__(self) -> None:
        """Begin; raises CannotWrite, DiskFull."""
        self._lock = threading.Lock()
        self._size = 0
        try:
            self._file: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 - closed when nobody uses it any more
            self._zip = zipfile.ZipFile(self._file, "w", zipfile.ZIP_STORED)
        except OSError as error:
            raise writing_failed(tempfile.gettempdir(), error) from error
        weakref.finalize(self, self._file.close)

    def add(self, file: File) -> None:
        """Add a picture; raises CannotWrite, DiskFull."""
        try:
            self._zip.writestr(file.name, file.content)
        except OSError as error:
            raise writing_failed(tempfile.gettempdir(), error) from error

    def finish(self) -> None:
        """Have it be a whole zip, to which nothing is added any more; raises CannotWrite, DiskFull."""
        try:
            self._zip.close()
            self._file.flush()
        except OSError as error:
            raise writing_failed(tempfile.gettempdir(), error) from error
        self._size = self._file.seek(0, 2)
        self._zip = zipfile.ZipFile(self._file)

    def __len__(self) -> int:
        """Return its length in bytes."""
        return self._size

    def read(self, name: str) -> bytes:
        """Return a picture.

        Raises:
            NoSuchExplanation: there is none of this name.
        """
        try:
            with self._lock:
                return self._zip.read(name)
        except KeyError:
            raise NoSuchExplanation(f"no picture is called {printable(name)}", "the answer lists their names") from None

    async def pieces(self) -> AsyncIterator[bytes]:
        """Yield the whole zip."""
        for start in range(0, self._size, _PIECE):
            yield await run_in_threadpool(self._piece, start)

    def _piece(self, start: int) -> bytes:
        with self._lock:
            self._file.seek(start)
            return self._file.read(_PIECE)


def explain_calls(daemon: Daemon, desk: Desk) -> APIRouter:
    """Return the calls that explain photographs."""
    router = APIRouter()
    kept: Shelf[Archive] = Shelf(places=_KEPT, size=_KEPT_SIZE, seconds=_KEPT_FOR, missing=_AGAIN)
    turn = asyncio.Semaphore(1)  # each has a process of its own, of some hundred megabytes
    answers: dict[int | str, dict[str, Any]] = {
        201: {"model": Explanation, "content": {"application/zip": _BINARY}, "description": "What there is to be seen"}
    }

    async def explained(request: Request, data: bytes | bytearray, asked: Asked, photo: str = "") -> Response:
        question = asked.question(daemon)

        def work(cancellation: Any, progress: Progress) -> tuple[Explained, Archive]:
            archive, done = Archive(), 0

            def take(explained: Explained, file: File) -> None:
                nonlocal done
                archive.add(file)
                done += 1
                progress(done / len(explained.files))

            try:
                found = daemon.explain(data, question, cancellation, take)
            finally:
                archive.finish()  # one that nobody will read, too: it would complain that it was not
            return found, archive

        about = {"photo": photo} if photo else {}
        found, archive = await desk.done(request, "explain", work, turn=turn, about=about)
        if "application/zip" in request.headers.get("accept", ""):
            return _zipped(archive, status=201)
        number = kept.put(archive)
        clear_later()
        return JSONResponse(_said(number, found, question).model_dump(), 201)

    def clear_later() -> None:
        asyncio.get_running_loop().call_later(_KEPT_FOR + 1, kept.clear)

    @router.post(
        "/v1/explain",
        summary="What a network sees in a picture file, stage by stage",
        status_code=201,
        responses=answers,
        response_class=Response,
        openapi_extra={"requestBody": {"required": True, "content": {"application/octet-stream": _BINARY}}},
    )
    async def explain(
        request: Request, place: Annotated[Place, Depends(desk.place)], asked: Annotated[Asked, Query()]
    ) -> Response:
        """Send the bytes of a picture file as the body; the answer names the pictures, which are kept for a while.

        With `Accept: application/zip` it is the pictures themselves, and nothing is kept. This needs the extra
        `explain`, without which it is 501 `extra_missing`; networks without stages are 422 `explain`.
        """
        return await explained(request, await picture_body(request, place), asked)

    @router.post(
        "/v1/photos/{photo}/explain",
        summary="What a network sees in a picture file that is kept",
        status_code=201,
        responses=answers,
        response_class=Response,
        dependencies=[Depends(desk.place)],
    )
    async def explain_kept(
        request: Request, photo: Annotated[str, Path(max_length=100)], asked: Annotated[Asked, Query()]
    ) -> Response:
        """As /v1/explain, without a body."""
        data = desk.shelf.get(photo)
        desk.clear_later()
        return await explained(request, data, asked, photo)

    @router.get(
        "/v1/explain/{number}/{file}",
        summary="A picture of an explanation, or explain.zip with all of them",
        response_class=Response,
        responses={200: {"content": _PICTURES, "description": "The file"}},
    )
    async def picture(
        number: Annotated[str, Path(max_length=100)], file: Annotated[str, Path(max_length=100)]
    ) -> Response:
        archive = kept.get(number)
        clear_later()
        if file == _ARCHIVE:
            return _zipped(archive)
        media_type = "image/jpeg" if file.endswith(".jpg") else "image/png"
        return Response(await run_in_threadpool(archive.read, file), media_type=media_type)

    return router


def _zipped(archive: Archive, status: int = 200) -> Response:
    headers = {
        "Content-Length": str(len(archive)),
        "Content-Disposition": f'attachment; filename="{_ARCHIVE}"',
    }
    return StreamingResponse(archive.pieces(), status, headers, media_type="application/zip")


def _said(number: str, found: Explained, question: Question) -> Explanation:
    return Explanation(
        id=number,
        seconds=_KEPT_FOR,
        model=found.model,
        compare=question.compare,
        width=found.size[0],
        height=found.size[1],
        subject=found.subject,
        stages=[_stage(each) for each in found.shown],
        ends=dict(found.ends),
        files=list(found.files),
        warnings=list(found.warnings),
    )


def _stage(shown: ShownTensor) -> Stage:
    channels, height, width = shown.shape
    return Stage(
        name=shown.name,
        kind=_KINDS.get(shown.name[:2]) or ("fused" if shown.name == "fused" else "side"),
        tensor=shown.tensor,
        channels=channels,
        height=height,
        width=width,
        file=shown.file,
        walk=dict(shown.walk),
        difference=None if shown.apart is None else _difference(shown.apart),
    )


def _difference(apart: Apart) -> Difference:
    return Difference(mean=apart.mean, largest=apart.largest, relative=apart.relative, flipped=apart.flipped)
