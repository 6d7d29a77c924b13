"""What happens is told as it happens, and nothing of it twice."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from alphadrop.client import Client, socket_file
from daemon_process import PATIENCE, Home, running

Event = tuple[str, str, Any]


@pytest.fixture
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Home]:
    home = Home(tmp_path_factory.mktemp("h"))
    home.configure("settle: 0.1")
    with running(home):
        yield home


@contextmanager
def listening(home: Home, after: str = "") -> Iterator[Iterator[Event]]:
    """Yield the events that are told, each its number, kind and content."""
    transport = httpx.HTTPTransport(uds=str(socket_file(home.run)))
    headers = {"Last-Event-ID": after} if after else {}
    with (
        httpx.Client(transport=transport, base_url="http://localhost", timeout=PATIENCE) as client,
        client.stream("GET", "/v1/events", headers=headers) as answer,
    ):
        assert answer.headers["content-type"].startswith("text/event-stream")
        yield events(answer.iter_lines())


def events(lines: Iterator[str]) -> Iterator[Event]:
    event: dict[str, str] = {}
    for line in lines:
        if line:
            key, _, value = line.partition(": ")
            event[key] = value
        elif event.get("event"):
            yield event["id"], event["event"], json.loads(event["data"])
            event = {}


def until(told: Iterator[Event], kind: str, **wanted: object) -> Event:
    """Return the first event of a kind that says what is wanted."""
    return next(each for each in told if each[1] == kind and wanted.items() <= each[2].items())


def test_a_photograph_is_followed_from_folder_to_cut_out(home: Home, photographs: dict[str, Path]) -> None:
    with listening(home) as told:
        assert next(told)[1] == "begin"
        _, kind, status = next(told)
        assert (kind, status["state"]) == ("status", "ready")
        home.drop(photographs["cat"], "cat.jpg")
        until(told, "job", path="cat.jpg", state="working")
        _, _, done = until(told, "job", path="cat.jpg", state="done")
        assert done["outputs"] == [str(home.output / "cat.png")]
        assert until(told, "status")[2]["folders"][0]["done"] == 1


def test_a_pause_and_a_picture_are_told(home: Home, photographs: dict[str, Path]) -> None:
    with listening(home) as told:
        until(told, "status")
        Client(home.run).pause()
        while until(told, "status")[2]["paused"] is None:
            pass
        Client(home.run).cutout(photographs["cat"].read_bytes(), {})
        states = [until(told, "picture", call="cutout")[2]["state"] for _ in range(3)]
        assert states == ["waiting", "working", "done"]


def test_the_switch_of_the_notifications_is_told(home: Home) -> None:
    with listening(home) as told:
        assert until(told, "status")[2]["notifications"] is True
        home.configure("settle: 0.1", top="notifications: off")
        until(told, "status", notifications=False)


def test_whoever_comes_again_goes_on_where_he_was(home: Home, photographs: dict[str, Path]) -> None:
    with listening(home) as told:
        number, _, _ = until(told, "status")
    home.drop(photographs["cat"], "cat.jpg")
    with listening(home, after=number) as told:
        first = next(told)
        assert first[1] not in ("begin", "reset")
        last = first if first[1] == "job" and first[2]["state"] == "done" else until(told, "job", state="done")
    with listening(home, after=last[0]) as told:
        Client(home.run).pause()
        later = next(told)
        assert int(later[0].split("-")[1]) == int(last[0].split("-")[1]) + 1


@pytest.mark.parametrize("number", ["nonsense", "00000000-5", "-"])
def test_whoever_comes_from_elsewhere_is_told_to_look_anew(home: Home, number: str) -> None:
    with listening(home, after=number) as told:
        assert next(told)[1] == "reset"
        assert next(told)[1] == "status"


def test_the_end_is_told(home: Home) -> None:
    with listening(home) as told:
        until(told, "status")
        stopping = threading.Thread(target=Client(home.run).stop)
        stopping.start()
        assert [kind for _, kind, _ in told][-1] == "end"
        stopping.join(timeout=PATIENCE)
