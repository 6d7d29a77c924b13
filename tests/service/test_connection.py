"""When a connection is given up, and when it is not: by a clock and a transport of the test's own."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest
import uvicorn
from starlette.types import Receive, Scope, Send
from uvicorn.server import ServerState

from alphadrop.service import connection
from alphadrop.service.connection import Connection


@dataclass
class Transport:
    """What is written stays unread until the test says otherwise."""

    unread: int = 0
    aborted: bool = False
    closed: bool = False
    written: bytes = b""

    def get_write_buffer_size(self) -> int:
        return self.unread

    def write(self, data: bytes) -> None:
        self.unread += len(data)
        self.written += data

    def abort(self) -> None:
        self.aborted = True

    def is_closing(self) -> bool:
        return self.aborted

    def close(self) -> None:
        """Wait for ever for what is unread, as the real one does."""
        self.closed = True

    end: socket.socket | None = None

    def get_extra_info(self, name: str) -> socket.socket | None:
        return self.end if name == "socket" else None


class Timer:
    def cancel(self) -> None:
        """Do not come."""


@dataclass
class Loop:
    """Calls when the test says so what was to be called later."""

    later: dict[str, Callable[[], object]] = field(default_factory=dict)
    tasks: list[asyncio.Task[None]] = field(default_factory=list)

    def call_later(self, _: float, what: Callable[..., object], *arguments: object) -> Timer:
        self.later[what.__name__] = lambda: what(*arguments)
        return Timer()

    def create_task(self, coroutine: Any, **_: object) -> asyncio.Task[None]:
        self.tasks.append(asyncio.ensure_future(coroutine))
        return self.tasks[-1]

    def look(self) -> None:
        self.later["_look_again"]()


@dataclass
class Client:
    """One connection to an application that answers when it is let."""

    body: bytes = b"answer"
    transport: Transport = field(default_factory=Transport)
    loop: Loop = field(default_factory=Loop)
    may_answer: asyncio.Event = field(default_factory=asyncio.Event)
    server: ServerState = field(default_factory=ServerState)

    def __post_init__(self) -> None:
        async def app(_: Scope, __: Receive, send: Send) -> None:
            await self.may_answer.wait()
            await send({"type": "http.response.start", "status": 200, "headers": []})
            await send({"type": "http.response.body", "body": self.body})

        config = uvicorn.Config(app, log_config=None, access_log=False)
        self.connection = Connection(config, self.server, {}, self.loop)  # type: ignore[arg-type]
        self.connection.connection_made(self.transport)  # type: ignore[arg-type]

    def asks(self) -> None:
        self.connection.data_received(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")

    async def is_answered(self) -> None:
        self.may_answer.set()
        await asyncio.gather(*self.loop.tasks)


@pytest.mark.parametrize("sent", [b"", b"GET / HT", b"GET / HTTP/1.1\r\nHost: localhost\r\n"])
def test_whoever_has_not_asked_between_two_looks_is_cut_off(sent: bytes) -> None:
    client = Client()
    client.connection.data_received(sent) if sent else None
    assert not client.transport.aborted
    client.loop.look()
    assert client.transport.aborted


def test_nobody_is_cut_off_while_his_answer_is_made() -> None:
    async def scene() -> None:
        client = Client()
        client.asks()
        for _ in range(10):
            client.loop.look()
        assert not client.transport.aborted
        await client.is_answered()
        client.loop.look()
        assert not client.transport.aborted, "the answer has just been given"

    asyncio.run(scene())


def test_whoever_stops_reading_is_cut_off_and_whoever_reads_slowly_is_not() -> None:
    async def scene() -> None:
        client = Client(body=bytes(1_000_000))
        client.asks()
        await client.is_answered()
        client.loop.look()
        for _ in range(10):
            client.transport.unread -= 1
            client.loop.look()
            assert not client.transport.aborted
        client.loop.look()
        assert client.transport.aborted

    asyncio.run(scene())


def test_whoever_asks_again_begins_anew() -> None:
    async def scene() -> None:
        client = Client()
        for _ in range(3):
            client.asks()
            await client.is_answered()
            client.transport.unread = 0
            client.loop.look()
            assert not client.transport.aborted
        client.connection.data_received(b"GET / HT")
        client.loop.look()
        assert client.transport.aborted

    asyncio.run(scene())


def test_one_more_than_may_be_connected_is_told_so_in_the_words_of_the_api_and_takes_nobodys_place(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(connection, "_CONNECTIONS", 3)
    server = ServerState()
    let_in = [Client(server=server) for _ in range(3)]
    for refused in [Client(server=server) for _ in range(2)]:
        assert refused.transport.closed
        head, _, body = refused.transport.written.partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 503 Service Unavailable\r\n")
        assert {b"content-type: application/json", b"retry-after: 5", b"connection: close"} <= set(
            head.lower().split(b"\r\n")
        )
        assert json.loads(body)["error"]["code"] == "too_busy"
        assert not refused.loop.later
    assert not any(client.transport.closed for client in let_in)
    let_in[0].connection.connection_lost(None)
    assert not Client(server=server).transport.closed


def test_the_port_leaves_places_for_the_own_socket(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "_BY_PORT", 2)
    server = ServerState()
    assert [Client(server=server).transport.closed for _ in range(3)] == [False, False, True]
    ours, theirs = socket.socketpair(socket.AF_UNIX)
    with ours, theirs:
        assert not Client(server=server, transport=Transport(end=ours)).transport.closed
        assert Client(server=server).transport.closed
