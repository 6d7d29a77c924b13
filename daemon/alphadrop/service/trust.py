"""Who is let in: the user's own socket lets in only the user, the port only who shows the token.

A page in a browser can reach the port as well as any program: so the host it asks for must be ours, which a name that
was bent to this machine is not, and the origin it comes from, too.
"""

from __future__ import annotations

import hmac
from collections.abc import Iterable

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

__all__ = ["OWN_SOCKET", "Trust"]

OWN_SOCKET = ("the user's own socket", None)
"""What a request that came by it has in the place of host and port."""

_TOKEN_HINT = "the token stands in the daemon's endpoint.json: Authorization: Bearer TOKEN"  # noqa: S105 - says where
_GUARDS = {
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-store",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
}
_OWN_SITE = ("", "same-origin", "none")


class Trust:
    """Stands before the API and lets in whom it trusts."""

    def __init__(self, app: ASGIApp, *, port: int | None, token: str) -> None:
        """Stand before an application.

        Args:
            app: that serves.
            port: that is listened on beside the user's own socket.
            token: that must be shown by it.
        """
        self._app = app
        self._hosts = {f"127.0.0.1:{port}", f"localhost:{port}"}
        self._origins = {f"http://{host}" for host in self._hosts}
        self._token = token.encode("ascii")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let a request in, or refuse it before its body is read."""
        if scope["type"] == "lifespan" or scope.get("server") == OWN_SOCKET:
            await self._app(scope, receive, send)
            return
        if scope["type"] != "http":
            return
        send = _guarded(send)
        refusal = self._refusal(Headers(scope=scope))
        await (refusal or self._app)(scope, receive, send)

    def _refusal(self, headers: Headers) -> JSONResponse | None:
        if _only(headers.getlist("host")) not in self._hosts:
            return _refused(403, "wrong_host", "this is not the name of this machine", "ask for http://127.0.0.1")
        origins = headers.getlist("origin")
        if origins and _only(origins) not in self._origins:
            return _refused(403, "wrong_origin", "a page of another site may not use Alphadrop")
        if not origins and headers.get("sec-fetch-site", "") not in _OWN_SITE:
            return _refused(403, "wrong_origin", "a page of another site may not use Alphadrop")
        shown = _shown(headers)
        if not shown:
            return _refused(401, "no_token", "by this port a token is needed", _TOKEN_HINT)
        if not hmac.compare_digest(shown, self._token):
            return _refused(401, "wrong_token", "this is not the token of the daemon that runs", _TOKEN_HINT)
        return None


def _only(values: Iterable[str]) -> str:
    """Return the only value there is; nothing where there are none or several."""
    found = [*values]
    return found[0] if len(found) == 1 else ""


def _shown(headers: Headers) -> bytes:
    scheme, _, token = _only(headers.getlist("authorization")).partition(" ")
    if scheme.lower() != "bearer":
        token = _only(headers.getlist("x-api-key"))
    return token.strip().encode("latin-1", "replace")


def _refused(status: int, code: str, message: str, hint: str = "") -> JSONResponse:
    headers = {"Connection": "close"} | ({"WWW-Authenticate": "Bearer"} if status == 401 else {})
    return JSONResponse({"error": {"code": code, "message": message, "hint": hint}}, status, headers)


def _guarded(send: Send) -> Send:
    """Have every answer say what a browser may do with it: nothing."""

    async def guarded(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            for name, value in _GUARDS.items():
                headers.setdefault(name, value)
        await send(message)

    return guarded
