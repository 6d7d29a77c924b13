"""The web page: its files, and how a browser is let in.

The files hold no secret and ask nobody else for anything. For the calls that it makes the page needs a key, which a
browser gets for a code that only the user can have read.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

from fastapi import APIRouter, Request, Response
from fastapi.responses import FileResponse
from pydantic import Field

from alphadrop.service.browsers import CODE_SECONDS, BrowserKey
from alphadrop.service.daemon import Daemon
from alphadrop.service.reports import Described

__all__ = ["PAGE", "web_calls"]

_FOLDER = Path(__file__).with_name("page")
_MEDIA_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}
PAGE: Mapping[str, Path] = {
    "/": _FOLDER / "index.html",
    **{f"/page/{file.name}": file for file in sorted(_FOLDER.iterdir()) if file.suffix in _MEDIA_TYPES},
}
"""Every path of the page, and its file."""
_GUARDS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; connect-src 'self'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "Cross-Origin-Opener-Policy": "same-origin",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=()",
}


class Code(Described):
    """What gets one browser in."""

    address: str
    """Of the page; with `#code=` and the code after it, a browser that opens it is let in."""
    code: str
    seconds: float
    """For which it is good."""


class Shown(Described, extra="forbid"):
    """A code that a browser shows."""

    code: Annotated[str, Field(max_length=200)]


class Named(Described, extra="forbid"):
    """A browser by the name of its key."""

    name: str


class OwnKey(Described):
    """A browser's own key, said once."""

    name: str
    key: str


class BrowserReport(Described):
    """A browser that is let in."""

    name: str
    made_at: float
    """Seconds since the epoch."""


class BrowsersReport(Described):
    """All that are let in, the first one first."""

    keys: list[BrowserReport]


def web_calls(daemon: Daemon) -> APIRouter:
    """Return the page and the calls that let browsers in."""
    router = APIRouter()

    def file(request: Request) -> Response:
        _ = daemon.page_address
        found = PAGE[request.url.path]
        return FileResponse(found, media_type=_MEDIA_TYPES[found.suffix], headers=_GUARDS)

    for path in PAGE:
        router.add_api_route(path, file, methods=["GET", "HEAD"], include_in_schema=False, response_class=Response)

    @router.post("/v1/web/codes", summary="Make a code that gets one browser in", status_code=201)
    def make_code() -> Code:
        return Code(address=daemon.page_address, code=daemon.browsers.make_code(), seconds=CODE_SECONDS)

    @router.post("/v1/web/key", summary="Exchange a code for a key of the browser's own", status_code=201)
    def exchange(shown: Shown, request: Request) -> OwnKey:
        """Use the code up; the key goes into the header `Authorization: Bearer KEY`."""
        key, kept = daemon.browsers.exchange(shown.code, request.headers.get("user-agent", ""))
        return OwnKey(name=kept.name, key=key)

    @router.get("/v1/web/keys", summary="The browsers that are let in")
    def keys() -> BrowsersReport:
        return BrowsersReport(keys=[_report(key) for key in daemon.browsers.keys])

    @router.post("/v1/web/keys/revoke", summary="Let a browser in no more")
    def revoke(named: Named) -> BrowsersReport:
        daemon.browsers.revoke(named.name)
        return keys()

    return router


def _report(key: BrowserKey) -> BrowserReport:
    return BrowserReport(name=key.name, made_at=key.made_at)
