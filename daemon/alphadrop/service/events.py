"""What happens, told as it happens: server-sent events (WHATWG HTML, section 9.2).

Each client reads the same short history from where it stands, so that one that reads slowly holds nobody up and takes
no memory; one that has fallen behind what is kept is told to look anew.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import secrets
from collections import deque
from collections.abc import AsyncIterator
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import StreamingResponse
from starlette.concurrency import run_in_threadpool

from alphadrop.errors import LedgerError, NoSuchJob
from alphadrop.service.daemon import Daemon
from alphadrop.service.reports import job_report

__all__ = ["Events", "event_calls"]

_KEPT = 2000
"""Events that a client may be behind."""
_LOOK_EVERY = 0.5
"""Seconds between two looks at how the daemon is, while somebody listens."""
_SIGN_OF_LIFE = 15.0
"""Seconds after which something is sent though nothing has happened."""
_AT_ONCE = 200
"""Photographs whose changes are told before the next look at the daemon."""


class Events:
    """The history of what happened since somebody first listened. Used by one event loop."""

    def __init__(self, daemon: Daemon) -> None:
        """Begin with nothing; nothing is done before somebody listens."""
        self._daemon = daemon
        self._run = secrets.token_hex(4)
        """Numbers of an earlier process mean nothing here."""
        self._kept: deque[tuple[int, str, str]] = deque(maxlen=_KEPT)
        self._last = 0
        self._listeners = 0
        self._changed_jobs: dict[int, None] = {}
        self._status: dict[str, Any] = {}
        self._ended = False
        self._told = asyncio.Event()
        self._woken = asyncio.Event()
        self._watching: asyncio.Task[None] | None = None

    def tell(self, kind: str, what: object) -> None:
        """Add an event."""
        self._last += 1
        self._kept.append((self._last, kind, json.dumps(what, separators=(",", ":"))))
        self._told.set()
        self._told = asyncio.Event()

    async def listen(self, after: str) -> AsyncIterator[bytes]:
        """Yield events as they happen, until the daemon ends.

        Args:
            after: the number of the last event that was received; empty for none.
        """
        if self._watching is None:
            self._watching = asyncio.create_task(self._watch())
        self._listeners += 1
        self._woken.set()
        try:
            position = self._position(after)
            if position is None:
                position = self._last
                yield _line("reset" if after else "begin", "{}", f"{self._run}-{position}")
                yield _line("status", json.dumps(await self._look()), f"{self._run}-{position}")
            while True:
                told, waiting = self._told, [each for each in self._kept if each[0] > position]
                if waiting and waiting[0][0] > position + 1:
                    yield _line("reset", "{}", f"{self._run}-{self._last}")
                    position = self._last
                    continue
                for position, kind, what in waiting:
                    yield _line(kind, what, f"{self._run}-{position}")
                if self._ended and position == self._last:
                    return
                if not waiting:
                    try:
                        await asyncio.wait_for(told.wait(), _SIGN_OF_LIFE)
                    except TimeoutError:
                        yield b": nothing has happened\n\n"
        finally:
            self._listeners -= 1

    def _position(self, after: str) -> int | None:
        """Return where a client stands; None where what it missed is not kept."""
        run, _, number = after.partition("-")
        if run != self._run or not number.isdecimal():
            return None
        oldest = self._kept[0][0] if self._kept else self._last + 1
        return int(number) if oldest - 1 <= int(number) <= self._last else None

    async def _watch(self) -> None:
        """Tell what changes, for as long as the daemon lives."""
        loop = asyncio.get_running_loop()

        def changed(number: int) -> None:
            self._changed_jobs[number] = None
            self._woken.set()

        hooked = False
        while not self._ended:
            if not hooked:
                hooked = self._hook(lambda number: loop.call_soon_threadsafe(changed, number))
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._woken.wait(), _LOOK_EVERY if self._listeners else None)
            self._woken.clear()
            await self._tell_jobs()
            if self._changed_jobs:
                self._woken.set()
            if self._listeners:
                await self._tell_status()

    def _hook(self, changed: Any) -> bool:
        try:
            self._daemon.ledger.on_change = changed
        except LedgerError:
            return False
        return True

    async def _tell_jobs(self) -> None:
        numbers = list(self._changed_jobs)[:_AT_ONCE]
        for number in numbers:
            del self._changed_jobs[number]
        for report in await run_in_threadpool(self._jobs, numbers):
            self.tell("job", report)

    def _jobs(self, numbers: list[int]) -> list[dict[str, Any]]:
        reports = []
        for number in numbers:
            try:
                ledger = self._daemon.ledger
                reports.append(job_report(ledger.row(number), ledger).model_dump())
            except (NoSuchJob, LedgerError):
                continue  # forgotten meanwhile, or to be seen in the status
        return reports

    async def _tell_status(self) -> None:
        status = await self._look()
        if {**status, "uptime": 0} != {**self._status, "uptime": 0}:
            self._status = status
            self.tell("status", status)
        if status["state"] == "stopping":
            self._ended = True
            self.tell("end", {})

    async def _look(self) -> dict[str, Any]:
        status = await run_in_threadpool(self._daemon.status)
        return status.model_dump()


def event_calls(events: Events) -> APIRouter:
    """Return the call that listens."""
    router = APIRouter()

    @router.get(
        "/v1/events",
        summary="What happens, as it happens",
        response_class=StreamingResponse,
        responses={200: {"content": {"text/event-stream": {"schema": {"type": "string"}}}, "description": "Events"}},
    )
    async def listen(request: Request) -> StreamingResponse:
        """Server-sent events, each with JSON.

        `status` is what /v1/status says, at first and whenever it is another; `job` is a photograph of /v1/jobs that
        changed; `picture` is one of another call: waiting, working, done, failed or cancelled; `reset` says that
        events were missed, and everything is to be asked anew; `end` is the last. With the header Last-Event-ID they go
        on after that one.
        """
        return StreamingResponse(
            events.listen(request.headers.get("last-event-id", "")),
            media_type="text/event-stream",
            headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"},
        )

    return router


def _line(kind: str, what: str, number: str) -> bytes:
    return f"id: {number}\nevent: {kind}\ndata: {what}\n\n".encode()
