"""The calls that take a picture: its matte, its cut-out, and what rembg's clients ask."""

import base64
import io
import json
from collections.abc import AsyncIterator, Mapping
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Path, Query, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, StreamingResponse
from PIL import Image, ImageColor
from pydantic import ValidationError
from starlette.concurrency import run_in_threadpool

from alphadrop.engine.options import (
    Alignment,
    Crop,
    CutOptions,
    Edges,
    Format,
    PngEffort,
    options_from,
    parse_aspect,
    parse_background,
    parse_size,
)
from alphadrop.engine.photo import count_pixels
from alphadrop.errors import BadOptions, PhotoTooLarge, printable
from alphadrop.pipeline.order import Finished, Kind, Order
from alphadrop.service.bodies import picture_body, picture_part, raw_picture
from alphadrop.service.daemon import Daemon, Output
from alphadrop.service.desk import KEPT_FOR, Desk
from alphadrop.service.refusals import ErrorAnswer
from alphadrop.service.reports import Described
from alphadrop.service.room import Place
from alphadrop.service.showing import preview_of

__all__ = ["picture_calls"]

_SEEN_PIXELS = 25_000_000
"""That a photograph may have for what was seen in it to be kept, 3 bytes each."""
_LONGEST_SIDE = 65_535
_PIECE = 1 << 18
"""Bytes of an answer that are handed over at once."""
_LONGEST_NAME = 5000
_BINARY_SCHEMA: dict[str, Any] = {"schema": {"type": "string", "format": "binary"}}
_BINARY = {"application/octet-stream": _BINARY_SCHEMA}
_MEDIA_TYPES: dict[Format, str] = {"png": "image/png", "webp": "image/webp", "tiff": "image/tiff", "jpeg": "image/jpeg"}
_PICTURE_OUT: dict[str, Any] = dict.fromkeys(_MEDIA_TYPES.values(), _BINARY_SCHEMA)
_CUTOUT_ANSWERS: dict[int | str, dict[str, Any]] = {
    200: {"content": _PICTURE_OUT, "description": "The cut-out, or with `result=mask` its alpha matte"},
    204: {"description": "No subject was found"},
}
_OUR_NAMES = {"u2net": "u2net-int8"}
"""Networks that rembg has by another name; the nearest thing is used where theirs is not on this machine."""


class Wishes(Described, extra="forbid"):
    """What is wanted of a cut-out; what is left out is as `alphadrop cut` does it."""

    name: Annotated[str, Query(max_length=_LONGEST_NAME)] = "the picture"
    """How errors call it; nothing is opened by this name."""
    result: Kind = "cutout"
    """The cut-out, or its alpha matte as a grey picture."""
    model: str | None = None
    """By its name in /v1/models; left out, the one of the configuration."""
    preset: str | None = None
    """A set of the following under one name: shop-square, shop-portrait, square, sticker, tight."""
    format: Format | None = None
    """Of the answer; left out, png or that of the preset. jpeg needs a background."""
    edges: Edges | None = None
    """`refined` follows the photograph's edges, `plain` only enlarges what the network saw."""
    decontaminate: bool | None = None
    """Whether the soft edge gets the subject's own colour; left out, with refined edges it does."""
    smallest_part: float | None = None
    """Parts below this fraction of the largest part's area are dropped, 0 to 1."""
    fill_holes: float | None = None
    """Holes below this fraction of the subject's area are filled, 0 to 1."""
    feather: float | None = None
    """Standard deviation in pixels of the blur of the matte, 0 to 100."""
    hardness: float | None = None
    """Contrast of the edge: 0 leaves it, 1 makes it all or nothing."""
    shift_edge: int | None = None
    """Pixels that the edge is moved outward, -100 to 100."""
    background: str | None = None
    """`transparent`, or a colour: white, #f0f0f0."""
    behind: Annotated[str, Query(max_length=100)] | None = None
    """The id of a photograph that is kept, which is put behind the subject and cut to its proportions."""
    crop: Crop | None = None
    """Whether what is empty around the subject is cut away."""
    margin: float | None = None
    """Part of the longer side kept free around a cropped subject, 0 to 0.45."""
    size: str | None = None
    """Of the canvas in pixels: 2000 or 1600x2000."""
    aspect: str | None = None
    """Of the canvas: 4:5."""
    align: Alignment | None = None
    """Where the subject stands on its canvas."""
    png: PngEffort | None = None
    """Quickly written, or smaller."""
    quality: int | None = None
    """Of JPEG and WebP, 1 to 100."""
    keep_gps: bool | None = None
    """Whether the place is left in the metadata."""

    def options(self, *, keep_gps: bool, behind: bytes | None = None) -> CutOptions:
        """Return the options of a cut-out, over a picture where one is given; raises BadOptions."""
        given = self.model_dump(exclude_none=True, exclude={"name", "result", "model", "behind"})
        if behind is not None:
            if self.background is not None:
                raise BadOptions("a colour and a picture are wanted behind the subject", "leave one of them out")
            given["background"] = behind
        elif self.background is not None:
            background = parse_background(self.background)
            if background is not None and not isinstance(background, tuple):
                raise BadOptions(f"{self.background!r} is no colour", "a name (white), #rrggbb, or transparent")
            given["background"] = background
        if self.size is not None:
            given["size"] = parse_size(self.size)
        if self.aspect is not None:
            given["aspect"] = parse_aspect(self.aspect)
        return options_from(**{"keep_gps": keep_gps, **given})


class KeptPhoto(Described):
    """A photograph that is kept for a while."""

    id: str
    """For POST /v1/photos/{id}/cutout."""
    size: int
    """Bytes."""
    seconds: float
    """For which it is kept after it was last cut; sooner it goes only where others need its room."""


class Asked(Described):
    """The parameters of rembg's; others are passed over, as they are there."""

    model: str | None = None
    a: bool = True
    """Alpha matting."""
    af: Annotated[int | None, Query(ge=0, le=255)] = None
    """With `ab` and `ae` a threshold of rembg's own matting, which changes nothing here."""
    ab: Annotated[int | None, Query(ge=0, le=255)] = None
    ae: Annotated[int | None, Query(ge=0)] = None
    om: bool = False
    """The mask alone."""
    ppm: bool = False
    """A hard mask."""
    bgc: str | None = None
    """`R,G,B,A` of 0 to 255."""


_FORM: dict[str, Any] = {
    **Asked.model_json_schema(),
    "required": ["file"],
}
_FORM["properties"] = {"file": {"type": "string", "format": "binary"}, **_FORM["properties"]}


def picture_calls(daemon: Daemon, desk: Desk) -> APIRouter:
    """Return the calls that take a picture."""
    router = APIRouter()

    @router.post(
        "/v1/matte",
        summary="The alpha matte of raw pixels",
        response_class=Response,
        responses={200: {"content": _BINARY, "description": "width x height bytes of alpha, or four times as many"}},
        openapi_extra={"requestBody": {"required": True, "content": _BINARY}},
    )
    async def matte(
        request: Request,
        place: Annotated[Place, Depends(desk.place)],
        width: Annotated[int, Query(ge=1, le=_LONGEST_SIDE)],
        height: Annotated[int, Query(ge=1, le=_LONGEST_SIDE)],
        channels: Annotated[int, Query(ge=1, le=4)] = 3,
        model: str | None = None,
        edges: Edges = "refined",
        output: Output = "alpha",
    ) -> Response:
        """Send rows of 8-bit sRGB pixels; the answer's header Alphadrop-Outcome says `done` or `no_subject`.

        `alpha` is the matte, one byte a pixel; `rgba` are straight colours with the subject's own in the soft edge.
        """
        if width * height > daemon.max_pixels:
            limit = daemon.max_pixels / 1e6
            raise PhotoTooLarge(f"{width} x {height} pixels are more than the limit of {limit:.0f} megapixels")
        picture = await raw_picture(request, (width, height), channels, place)
        found = await desk.done(
            request, "matte", lambda cancellation, _: daemon.matte(picture, model, edges, output, cancellation)
        )
        headers = {"Alphadrop-Outcome": _outcome(found.subject), "Content-Length": str(found.pixels.nbytes)}
        return StreamingResponse(_in_pieces(found.pixels), media_type="application/octet-stream", headers=headers)

    @router.post(
        "/v1/cutout",
        summary="The cut-out of a picture file",
        response_class=Response,
        responses=_CUTOUT_ANSWERS,
        openapi_extra={"requestBody": {"required": True, "content": _BINARY}},
    )
    async def cutout(
        request: Request, place: Annotated[Place, Depends(desk.place)], wishes: Annotated[Wishes, Query()]
    ) -> Response:
        """Send the bytes of a picture file as the body.

        The headers say more: Alphadrop-Outcome is `done` or `no_subject`, Alphadrop-Model the network that was used,
        Alphadrop-Warnings a JSON list of sentences, Alphadrop-Seconds a JSON object of the stages' times.
        """
        order = _order(wishes, daemon, desk)
        data = await picture_body(request, place)
        return _cut_out(
            await desk.done(request, "cutout", lambda cancellation, _: daemon.cut(data, order, cancellation)), order
        )

    @router.post(
        "/v1/photos",
        summary="Keep a picture file for a while, to be cut out several times",
        status_code=201,
        openapi_extra={"requestBody": {"required": True, "content": _BINARY}},
    )
    async def keep(request: Request, place: Annotated[Place, Depends(desk.place)]) -> KeptPhoto:
        """Send the bytes of a picture file as the body; they are kept in memory and not looked at yet."""
        data = await picture_body(request, place)
        number = desk.shelf.put(data)
        desk.clear_later()
        return KeptPhoto(id=number, size=len(data), seconds=KEPT_FOR)

    @router.post(
        "/v1/photos/{photo}/cutout",
        summary="The cut-out of a picture file that is kept",
        dependencies=[Depends(desk.place)],
        response_class=Response,
        responses=_CUTOUT_ANSWERS,
    )
    async def cutout_again(
        request: Request,
        photo: Annotated[str, Path(max_length=100)],
        wishes: Annotated[Wishes, Query()],
    ) -> Response:
        """As /v1/cutout, without a body."""
        order, data = _order(wishes, daemon, desk), desk.shelf.get(photo)
        what = photo, order.model, order.options.keep_gps
        seen = desk.shelf.seen(what)
        finished, look = await desk.done(
            request, "photo", lambda cancellation, _: daemon.cut_again(data, order, seen, cancellation)
        )
        width, height = look.photo.size
        if width * height <= _SEEN_PIXELS:
            desk.shelf.see(what, look)
        desk.clear_later()
        return _cut_out(finished, order)

    @router.get(
        "/v1/photos/{photo}/preview",
        summary="A picture file that is kept, as every browser can show it",
        response_class=Response,
        responses={200: {"content": {"image/jpeg": _BINARY_SCHEMA}, "description": "Upright, sRGB"}},
        dependencies=[Depends(desk.place)],
    )
    async def preview(request: Request, photo: Annotated[str, Path(max_length=100)]) -> Response:
        """Answer with a JPEG of 2560 pixels or less to a side; what is transparent is white."""
        data = desk.shelf.get(photo)
        desk.clear_later()
        jpeg = await desk.done(request, "preview", lambda *_: preview_of(data, max_pixels=daemon.max_pixels))
        return Response(jpeg, media_type="image/jpeg")

    @router.get(
        "/api/remove",
        summary="Refused: nothing is fetched from elsewhere",
        status_code=422,
        responses={422: {"model": ErrorAnswer, "description": "Always"}},
    )
    async def remove_by_address() -> ErrorAnswer:
        """Everything stays on this machine: send the picture itself."""
        raise BadOptions("no picture is fetched from an address", "POST the picture itself as the part `file`")

    @router.post(
        "/api/remove",
        summary="The cut-out of a picture, asked as rembg is asked",
        response_class=Response,
        responses={
            200: {
                "content": {
                    "image/png": {"schema": {"type": "string", "format": "binary"}},
                    "application/json": {"schema": {"type": "object", "properties": {"image": {"type": "string"}}}},
                },
                "description": "A PNG; all transparent where no subject was found",
            }
        },
        openapi_extra={"requestBody": {"required": True, "content": {"multipart/form-data": {"schema": _FORM}}}},
    )
    async def remove(
        request: Request,
        place: Annotated[Place, Depends(desk.place)],
        query: Annotated[Asked, Query()],
    ) -> Response:
        """Send the picture as the part `file`; the parameters may be parts or stand in the query.

        `a` is alpha matting, which is done unless it is said to be false; `af`, `ab` and `ae`, the thresholds of
        rembg's own, change nothing. `om` asks for the mask alone, `ppm` for a hard one, `bgc` is `R,G,B,A` of 0 to 255.
        With `Accept: application/json` the answer is `{"image": "<base64 of the PNG>"}`.
        """
        data, name, parts = await picture_part(request, "file", place)
        asked = _agreed(query, parts)
        mask, colour = asked.om, _colour(asked.bgc)
        background = colour[:3] if colour is not None and colour[3] == 255 and not mask else None
        order = Order(
            name=printable(name or "the picture")[:_LONGEST_NAME],
            options=CutOptions(
                edges="refined" if asked.a else "plain", background=background, keep_gps=daemon.keep_gps
            ),
            model=_our_name(asked.model, daemon),
            kinds=("mask",) if mask else ("cutout",),
            hard=asked.ppm,
            blank=True,
        )
        finished: Finished = await desk.done(
            request, "remove", lambda cancellation, _: daemon.cut(data, order, cancellation)
        )
        png = b"".join(finished.outputs[order.kinds[0]])
        if colour is not None and 0 < colour[3] < 255 and not mask:
            png = await run_in_threadpool(_over, png, colour)
        headers = _said_of(finished)
        if _prefers_json(request.headers.get("accept", "")):
            return JSONResponse({"image": base64.b64encode(png).decode("ascii")}, headers=headers)
        return Response(png, media_type="image/png", headers=headers)

    return router


def _order(wishes: Wishes, daemon: Daemon, desk: Desk) -> Order:
    behind = None if wishes.behind is None else bytes(desk.shelf.get(wishes.behind))
    if behind is not None:
        count_pixels(io.BytesIO(behind), "the background picture", max_pixels=daemon.max_pixels)
    return Order(
        name=printable(wishes.name),
        options=wishes.options(keep_gps=daemon.keep_gps, behind=behind),
        model=wishes.model or daemon.model,
        kinds=(wishes.result,),
    )


def _cut_out(finished: Finished, order: Order) -> Response:
    headers = _said_of(finished)
    if not finished.subject:
        return Response(status_code=204, headers=headers)
    (kind,) = order.kinds
    media_type = "image/png" if kind == "mask" else _MEDIA_TYPES[order.options.format]
    pieces = finished.outputs[kind]
    headers["Content-Length"] = str(sum(map(len, pieces)))
    return StreamingResponse(_each_in_pieces(pieces), media_type=media_type, headers=headers)


def _agreed(query: Asked, parts: Mapping[str, str]) -> Asked:
    """Return what is asked in the query and in the parts of a form, which are nearer to the picture."""
    try:
        return Asked.model_validate({**query.model_dump(exclude_unset=True), **parts})
    except ValidationError as error:
        raise RequestValidationError([{**each, "loc": ("body", *each["loc"])} for each in error.errors()]) from error


def _our_name(model: str | None, daemon: Daemon) -> str:
    """Return the network that a client of rembg's means."""
    if not model:
        return daemon.model
    here = {each.name for each in daemon.models().models if each.installed}
    return model if model in here else _OUR_NAMES.get(model, model)


def _colour(text: str | None) -> tuple[int, int, int, int] | None:
    """Read `R,G,B,A` or a colour's name; None where there is none or nothing of it would be seen."""
    if text is None:
        return None
    try:
        numbers = tuple(int(part) for part in text.split(","))
    except ValueError:
        try:
            numbers = ImageColor.getcolor(text, "RGBA")  # type: ignore[assignment]
        except ValueError:
            numbers = ()
    if len(numbers) == 3:
        numbers = (*numbers, 255)
    if len(numbers) != 4 or not all(0 <= number <= 255 for number in numbers):
        raise BadOptions(f"bgc is {text!r}, which is no colour", "write R,G,B,A of 0 to 255: 255,255,255,255")
    return numbers if numbers[3] else None


def _over(png: bytes, colour: tuple[int, int, int, int]) -> bytes:
    """Return a cut-out over a colour that lets something through."""
    with Image.open(io.BytesIO(png)) as opened:
        profile = opened.info.get("icc_profile")
        mixed = Image.alpha_composite(Image.new("RGBA", opened.size, colour), opened.convert("RGBA"))
    stream = io.BytesIO()
    mixed.save(stream, "PNG", compress_level=1, icc_profile=profile if opened.mode == "RGBA" else None)
    return stream.getvalue()


def _prefers_json(accept: str) -> bool:
    """Return whether JSON is liked better than a PNG (RFC 9110, section 12.5.1)."""
    liked: dict[str, float] = {}
    for each in accept.split(","):
        media, *parameters = (part.strip() for part in each.lower().split(";"))
        quality = next((part[2:] for part in parameters if part.startswith("q=")), "1")
        try:
            liked[media] = float(quality)
        except ValueError:
            liked[media] = 0.0

    def of(*names: str) -> float:
        return next((liked[name] for name in names if name in liked), 0.0)

    return of("application/json", "application/*", "*/*") > of("image/png", "image/*", "*/*")


def _outcome(subject: bool) -> Literal["done", "no_subject"]:
    return "done" if subject else "no_subject"


def _said_of(finished: Finished) -> dict[str, str]:
    return {
        "Alphadrop-Outcome": _outcome(finished.subject),
        "Alphadrop-Model": finished.model,
        "Alphadrop-Warnings": json.dumps(finished.warnings),
        "Alphadrop-Seconds": json.dumps({stage: round(seconds, 4) for stage, seconds in finished.seconds.items()}),
    }


async def _in_pieces(whole: memoryview) -> AsyncIterator[bytes]:
    for start in range(0, whole.nbytes, _PIECE):
        yield bytes(whole[start : start + _PIECE])


async def _each_in_pieces(parts: list[bytes]) -> AsyncIterator[bytes]:
    for part in parts:
        async for piece in _in_pieces(memoryview(part)):
            yield piece
