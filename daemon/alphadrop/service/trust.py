"""Who is let in: the user's own socket lets in only the user, the port only who shows the token or a key.

A page in a browser can reach the port as well as any program: so the host it asks for must be ours, which a name that
was bent to this machine is not, and the origin it comes from, too.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import hmac
from collections.abc import Callable, Collection, Iterable

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from starlette.websockets import WebSocketClose

__all__ = ["OWN_SOCKET", "Trust"]

OWN_SOCKET = ("the user's own socket", None)
"""What a request that came by it has in the place of host and port."""

_SHOW = (
    "Authorization: Bearer TOKEN; the token stands in the daemon's endpoint.json, "
    "keys are made with: alphadrop config key NAME"
)
_ORIGIN_HINT = "pages of yours may, where `allow_origins` of the configuration names them"
_GUARDS = {
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-store",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
}
_HEARD_OUT = 16_000_000
"""Bytes that are read of a request that is refused, and thrown away."""
_HEARD_FOR = 2.0
"""Seconds that this takes at most."""
_OWN_SITE = ("", "same-origin", "none")
_FOR_KEYS = ("/api/remove", "/v1/cutout", "/v1/matte", "/v1/models")
"""What a key of the configuration is good for."""
_FOR_A_CODE = "/v1/web/key"
"""Who has no key yet shows a code here."""
_NOT_FOR_BROWSERS = ("/v1/web/", "/v1/stop")
"""What a browser's key is not good for: to let in other browsers, and to end the daemon that it needs."""
_FOR_PAGES = {
    "Access-Control-Allow-Methods": "GET, POST",
    "Access-Control-Allow-Headers": "Authorization, Content-Type, X-Api-Key",
    "Access-Control-Max-Age": "600",
    "Access-Control-Allow-Private-Network": "true",
}
_TO_READ = "Alphadrop-Outcome, Alphadrop-Model, Alphadrop-Warnings, Alphadrop-Seconds, Retry-After"


class Trust:
    """Stands before the API and lets in whom it trusts."""

    def __init__(
        self,
        app: ASGIApp,
        *,
        port: int | None,
        token: str,
        keys: Callable[[], Collection[str]] = tuple,
        origins: Callable[[], Collection[str]] = tuple,
        files: Collection[str] = (),
        is_browser: Callable[[str], bool] = lambda _: False,
    ) -> None:
        """Stand before an application.

        Args:
            app: that serves.
            port: that is listened on beside the user's own socket.
            token: that must be shown by it.
            keys: returns the SHA-256 of the keys that are good for pictures, as hexadecimal digits.
            origins: returns those of the pages of other sites that may use such a key.
            files: paths of the web page's own files, which hold no secret and are for everybody on this machine.
            is_browser: returns whether this is the SHA-256 of a key that a browser has for that page.
        """
        self._app = app
        self._hosts = {f"127.0.0.1:{port}", f"localhost:{port}"}
        self._own = {f"http://{host}" for host in self._hosts}
        self._token = token.encode("ascii")
        self._keys = keys
        self._origins = origins
        self._files = files
        self._is_browser = is_browser

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let a request in, or refuse it; nothing is kept of its body then."""
        if scope["type"] == "lifespan" or scope.get("server") == OWN_SOCKET:
            await self._app(scope, receive, send)
            return
        if scope["type"] == "websocket":
            await WebSocketClose(1008)(scope, receive, send)  # before it is accepted, which a browser sees as 403
            return
        if scope["type"] != "http":
            return
        headers = Headers(scope=scope)
        page = self._page(headers)
        answer = self._refused_where(headers)
        if scope["path"] not in self._files:
            answer = answer or self._refused_whence(headers, page)
            if answer is None and page and scope["method"] == "OPTIONS":
                answer = Response(status_code=204, headers=_FOR_PAGES)
            if scope["path"] != _FOR_A_CODE or page:
                answer = answer or self._refused_who(headers, scope["path"], page)
        if answer is not None and "expect" not in headers:
            await _hear_out(receive)
        await (answer or self._app)(scope, receive, _guarded(self._while_known(send, headers), page))

    def _page(self, headers: Headers) -> str:
        """Return the origin of a page of another site that may come in; nothing of any other request."""
        origin = _only(headers.getlist("origin"))
        return origin if origin in self._origins() else ""

    def _refused_where(self, headers: Headers) -> Response | None:
        if _only(headers.getlist("host")) in self._hosts:
            return None
        return _refused(403, "wrong_host", "this is not the name of this machine", "ask for http://127.0.0.1")

    def _refused_whence(self, headers: Headers, page: str) -> Response | None:
        origins = headers.getlist("origin")
        if page or (origins and _only(origins) in self._own):
            return None
        if origins or headers.get("sec-fetch-site", "") not in _OWN_SITE:
            return _refused(403, "wrong_origin", "a page of another site may not use Alphadrop", _ORIGIN_HINT)
        return None

    def _refused_who(self, headers: Headers, path: str, page: str) -> Response | None:
        shown = _shown(headers)
        if not shown:
            return _refused(401, "no_token", "by this port a token or a key is needed", _SHOW)
        if hmac.compare_digest(shown, self._token):
            return None
        known = hashlib.sha256(shown).hexdigest()
        if self._is_browser(known) and not page:
            if path.startswith(_NOT_FOR_BROWSERS):
                return _refused(
                    403,
                    "key_not_enough",
                    "a browser's key is not good for this",
                    "in a terminal: alphadrop web, alphadrop stop",
                )
            return None
        if not any([hmac.compare_digest(known, key) for key in self._keys()]):  # noqa: C419 - all take the same time
            return _refused(401, "wrong_token", "this is neither the token of this start nor a key", _SHOW)
        if path not in _FOR_KEYS:
            return _refused(403, "key_not_enough", f"a key is good for {', '.join(_FOR_KEYS)} alone")
        return None

    def _while_known(self, send: Send, headers: Headers) -> Send:
        """Have events end for a browser whose key is revoked while it listens to them."""
        known = hashlib.sha256(_shown(headers)).hexdigest()
        if not self._is_browser(known):
            return send
        listens = ended = False

        async def while_known(message: Message) -> None:
            nonlocal listens, ended
            if message["type"] == "http.response.start":
                listens = "content-length" not in Headers(raw=message["headers"])
            elif listens and not ended and not self._is_browser(known):
                ended = True
                await send({"type": "http.response.body"})
            if not ended:
                await send(message)

        return while_known


async def _hear_out(receive: Receive) -> None:
    """Read a body that nobody wants: who is cut off while he still sends it never sees why."""
    heard = 0
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(_HEARD_FOR):
            while heard < _HEARD_OUT:
                message = await receive()
                heard += len(message.get("body", b""))
                if not message.get("more_body"):
                    return


def _only(values: Iterable[str]) -> str:
    """Return the only value there is; nothing where there are none or several."""
    found = [*values]
    return found[0] if len(found) == 1 else ""


def _shown(headers: Headers) -> bytes:
    scheme, _, token = _only(headers.getlist("authorization")).partition(" ")
    if scheme.lower() != "bearer":
        token = _only(headers.getlist("x-api-key"))
    return token.strip().encode("latin-1", "replace")


def _refused(status: int, code: str, message: str, hint: str = "") -> Response:
    headers = {"Connection": "close"} | ({"WWW-Authenticate": "Bearer"} if status == 401 else {})
    return JSONResponse({"error": {"code": code, "message": message, "hint": hint}}, status, headers)


def _guarded(send: Send, page: str) -> Send:
    """Have every answer say what a browser may do with it: give it to the page that asked, if that one may; no more."""

    async def guarded(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            for name, value in _GUARDS.items():
                headers.setdefault(name, value)
            if page:
                headers["Access-Control-Allow-Origin"] = page
                headers["Access-Control-Expose-Headers"] = _TO_READ
                headers["Cross-Origin-Resource-Policy"] = "cross-origin"
                headers.add_vary_header("Origin")
        await send(message)

    return guarded
