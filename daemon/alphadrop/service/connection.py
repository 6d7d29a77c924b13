"""One client's connection: cut off when nothing moves on it, so that silent clients do not add up over months."""

from __future__ import annotations

import asyncio

from uvicorn.protocols.http.h11_impl import H11Protocol

__all__ = ["Connection"]

_LOOK_EVERY = 30.0
"""Seconds; a connection that two looks found the same is given up."""


class Connection(H11Protocol):
    """HTTP/1.1 that waits neither for a request nor for its answer to be read for ever.

    How long a body may take, the API says itself; how long the answer takes, the network.
    """

    _look: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin to look at the connection."""
        super().connection_made(transport)
        self._look_later()

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop looking."""
        if self._look is not None:
            self._look.cancel()
        super().connection_lost(exc)

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
