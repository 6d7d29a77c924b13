"""One client's connection: refused where there are too many, and cut off when nothing moves on it.

So silent clients neither add up over months nor take the descriptors that hot folders need.
"""

from __future__ import annotations

import asyncio
import os
import socket
import struct
import sys
from http import HTTPStatus

import h11
import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from alphadrop.errors import AlphadropError, NotYours, TooBusy
from alphadrop.service.endpoint import BACKLOG
from alphadrop.service.refusals import answer_to
from alphadrop.service.trust import OWN_SOCKET

__all__ = ["AT_A_TIME", "Connection", "Server"]

AT_A_TIME = 8
"""Connections taken before those taken earlier are looked at: each holds a descriptor, even if it will be refused."""

_LOOK_EVERY = 30.0
"""Seconds; a connection that two looks found the same is given up."""
_ROUND = 0.25
"""Seconds in which the server looks once whether it is to end."""
_CONNECTIONS = 128
"""At most at once."""
_BY_PORT = 96
"""Of these by the port, to which every user of the machine can connect: the others are left for this one."""
_SOL_LOCAL, _LOCAL_PEERCRED = 0, 1
"""Of macOS, in its header sys/un.h."""
_XUCRED = struct.Struct("IIh2x16I")
"""Of macOS, in its header sys/ucred.h: version of the layout, effective user, groups."""


class Connection(H11Protocol):
    """HTTP/1.1 that waits neither for a request nor for its answer to be read for ever.

    How long a body may take, the API says itself; how long the answer takes, the network.
    """

    _look: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin to look at the connection, or refuse it."""
        super().connection_made(transport)
        peer: socket.socket | None = transport.get_extra_info("socket")
        if peer is not None and hasattr(socket, "AF_UNIX") and peer.family == socket.AF_UNIX:
            self.server = OWN_SOCKET
            if not _is_own(peer):
                self._refuse(NotYours("this daemon belongs to another user", "run your own: alphadrop run"))
                return
        by_port = sum(each.server != OWN_SOCKET for each in self.connections if isinstance(each, Connection))
        if len(self.connections) > _CONNECTIONS or (self.server != OWN_SOCKET and by_port > _BY_PORT):
            self._refuse(TooBusy(f"{_CONNECTIONS} clients are connected already", "try again in a moment"))
        else:
            self._look_later()

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop looking."""
        if self._look is not None:
            self._look.cancel()
        super().connection_lost(exc)

    def _refuse(self, error: AlphadropError) -> None:
        """Answer before anything is asked: to wait for that would take a descriptor."""
        self.connections.discard(self)
        answer = answer_to(error)
        status = HTTPStatus(answer.status_code)
        headers = [*answer.raw_headers, (b"connection", b"close")]
        for event in (
            h11.Response(status_code=status, headers=headers, reason=status.phrase.encode()),
            h11.Data(data=bytes(answer.body)),
            h11.EndOfMessage(),
        ):
            self.transport.write(self.conn.send(event))
        self.transport.close()

    def _look_later(self) -> None:
        last = self.cycle, self.transport.get_write_buffer_size()
        self._look = self.loop.call_later(_LOOK_EVERY, self._look_again, *last)

    def _look_again(self, request: object, unread: int) -> None:
        is_answered = self.cycle is None or self.cycle.response_complete
        stands_still = self.cycle is request and self.transport.get_write_buffer_size() == unread
        if stands_still and (is_answered or unread):
            self.transport.abort()
        else:
            self._look_later()


class Server(uvicorn.Server):
    """Takes few connections at a time, and lets many wait for it.

    asyncio has one number for both.
    """

    rounds = 0
    """How often it has come round to look whether it is to end: four times a second while it can answer."""

    async def main_loop(self) -> None:
        """Serve until it is to end; uvicorn looks ten times a second, which is most of what an idle daemon does."""
        while not await self.on_tick(0):
            await asyncio.sleep(_ROUND)

    async def on_tick(self, counter: int) -> bool:
        """Count, and return whether to end."""
        self.rounds += 1
        return await super().on_tick(counter)

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Begin to take connections."""
        await super().startup(sockets)
        for each in sockets or ():
            each.listen(BACKLOG)


def _is_own(peer: socket.socket) -> bool:
    """Return whether who is at the other end of a Unix socket is this user, or root; the folder's rights say it too."""
    if sys.platform == "darwin":
        version, user, *_ = _XUCRED.unpack(peer.getsockopt(_SOL_LOCAL, _LOCAL_PEERCRED, _XUCRED.size))
        return version == 0 and user in (os.getuid(), 0)
    if not hasattr(socket, "SO_PEERCRED"):
        return True
    _, user, _ = struct.unpack("3i", peer.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i")))
    return user in (os.getuid(), 0)
