"""What clients send: taken in pieces, never more than was said, never waited for without end."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import Request
from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from alphadrop.engine.cancellation import Cancellation
from alphadrop.errors import BadOptions, EmptyPhoto
from alphadrop.service.room import Place

__all__ = ["Bounded", "exact_body", "picture_body", "while_awaited"]

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
_PICTURES = ("/v1/cutout", "/api/remove")


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
            message = await asyncio.wait_for(receive(), min(_PIECE_WITHIN, end - time.monotonic()))
        except TimeoutError:
            raise HTTPException(408, "the body came too slowly", {"Connection": "close"}) from None
        received += len(message.get("body", b""))
        whole = not message.get("more_body", False)
        check(received)
        return message

    return bounded


async def exact_body(request: Request, length: int, place: Place) -> bytearray:
    """Return a body that must have exactly this length, without ever holding more than that, or than has come.

    Raises:
        BadOptions: it has another length.
        TooBusy: there was no room for it in time.
    """
    body = bytearray()
    async for piece in _pieces(request, place):
        if len(body) + len(piece) > length:
            raise BadOptions(
                f"the body is longer than the {length} bytes that its size says", "send rows without padding"
            )
        body += piece
    if len(body) != length:
        raise BadOptions(f"the body has {len(body)} bytes, its size says {length}", "send rows without padding")
    return body


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
