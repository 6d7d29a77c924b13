"""What clients send: taken in pieces, never more than was said, never waited for without end."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import Request
from PIL import Image
from starlette.datastructures import Headers, UploadFile
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from alphadrop.engine.cancellation import Cancellation
from alphadrop.errors import BadOptions, EmptyPhoto, PhotoTooLarge
from alphadrop.service.room import Place

__all__ = ["Bounded", "picture_body", "picture_part", "raw_picture", "while_awaited"]

_PIECE_WITHIN = 30.0
"""Seconds that a client may be silent in the middle of a body."""
_BODY_WITHIN = 300.0
"""Seconds that a whole body may take."""
_LONGEST_BODY = 1_000_000
"""Bytes of a body that is no picture."""
_LONGEST_PICTURE = 512_000_000
"""Bytes of an encoded picture."""
_BY_SIZE = "/v1/matte"
"""Its body has the length of the picture."""
_PICTURES = ("/v1/cutout", "/v1/explain", "/v1/photos", "/api/remove")
_MODES = {1: "L", 2: "LA", 3: "RGB", 4: "RGBA"}
"""Pillow's, of raw rows with so many channels."""
_PARTS = 50
"""Of a form, beside the picture."""


class Bounded:
    """Waits for no body for ever, and takes none without end."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on with its body bounded."""
        if scope["type"] == "http":
            receive = _bounded(receive, _longest(scope["path"]), Headers(scope=scope).get("content-length", ""))
        await self._app(scope, receive, send)


def _longest(path: str) -> int | None:
    if path == _BY_SIZE:
        return None
    return _LONGEST_PICTURE if path in _PICTURES else _LONGEST_BODY


def _bounded(receive: Receive, longest: int | None, told: str) -> Receive:
    end, received, whole = time.monotonic() + _BODY_WITHIN, 0, False

    def check(length: int) -> None:
        if longest is not None and length > longest:
            raise HTTPException(413, f"the body is longer than {longest} bytes", {"Connection": "close"})

    async def bounded() -> Message:
        nonlocal received, whole
        if whole:
            return await receive()
        if told.isdecimal():
            check(int(told))
        try:
            async with asyncio.timeout(min(_PIECE_WITHIN, end - time.monotonic())):
                message = await receive()
        except TimeoutError:
            raise HTTPException(408, "the body came too slowly", {"Connection": "close"}) from None
        received += len(message.get("body", b""))
        whole = not message.get("more_body", False)
        check(received)
        return message

    return bounded


async def raw_picture(request: Request, size: tuple[int, int], channels: int, place: Place) -> Image.Image:
    """Return the picture whose rows of 8-bit values are the body; they are put into their place as they come.

    Args:
        request: whose body is taken.
        size: width and height in pixels.
        channels: 1 grey, 2 grey and alpha, 3 RGB, 4 RGBA.
        place: where the body grows.

    Raises:
        BadOptions: the body has another length.
        PhotoTooLarge: this machine has no memory for it.
        TooBusy: there was no room for it in time.
    """
    mode, width = _MODES[channels], size[0]
    row, length = width * channels, width * size[1] * channels
    try:
        picture = Image.new(mode, size, None)  # which takes memory only where something is written
    except MemoryError:
        raise PhotoTooLarge(f"{width} x {size[1]} pixels do not fit into memory", "make it smaller first") from None
    rest, received, top = b"", 0, 0
    async for piece in _pieces(request, place):
        received += len(piece)
        if received > length:
            raise BadOptions(
                f"the body is longer than the {length} bytes that its size says", "send rows without padding"
            )
        rest += piece
        rows = len(rest) // row
        if rows:
            picture.paste(Image.frombytes(mode, (width, rows), rest[: rows * row]), (0, top))
            rest, top = rest[rows * row :], top + rows
    if received != length:
        raise BadOptions(f"the body has {received} bytes, its size says {length}", "send rows without padding")
    return picture


async def picture_body(request: Request, place: Place) -> bytearray:
    """Return the bytes of an encoded picture.

    Raises:
        EmptyPhoto: there are none.
        TooBusy: there was no room for them in time.
    """
    body = bytearray()
    async for piece in _pieces(request, place):
        body += piece
    if not body:
        raise EmptyPhoto("the picture has no bytes", "send the file as the body: curl --data-binary @photo.jpg")
    return body


async def picture_part(request: Request, name: str, place: Place) -> tuple[bytes, str, dict[str, str]]:
    """Return a picture that is a part of a form, what it is called there, and the parts that are texts.

    Raises:
        BadOptions: there is no such part.
        EmptyPhoto: it has no bytes.
        TooBusy: there was no room for it in time.
    """
    end = time.monotonic() + _BODY_WITHIN

    async def receive() -> Message:
        message = await request.receive()
        await place.grow(len(message.get("body", b"")), within=end - time.monotonic())
        return message

    async with Request(request.scope, receive).form(max_files=1, max_fields=_PARTS) as form:
        part = form.get(name)
        if not isinstance(part, UploadFile):
            raise BadOptions(f"the picture is missing: no part `{name}`", f"send a form: curl -F {name}=@photo.jpg")
        picture, texts = await part.read(), {key: text for key, text in form.items() if isinstance(text, str)}
        if not picture:
            raise EmptyPhoto("the picture has no bytes", f"send the file itself: curl -F {name}=@photo.jpg")
        return picture, part.filename or "", texts


async def _pieces(request: Request, place: Place) -> AsyncIterator[bytes]:
    end = time.monotonic() + _BODY_WITHIN
    async for piece in request.stream():
        await place.grow(len(piece), within=end - time.monotonic())
        yield piece


@asynccontextmanager
async def while_awaited(request: Request) -> AsyncIterator[Cancellation]:
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
