"""Rows 34 and 35: a flood of files is worked off once and within bounds, and a person does not wait for it."""

from __future__ import annotations

import http.client
import os
import shutil
import socket
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path, PurePath
from typing import Any

import numpy as np
import psutil
import pytest
from numpy.typing import NDArray

from alphadrop.client import Client, socket_file
from alphadrop.engine.cpus import usable_cpus
from alphadrop.engine.photo import decode
from alphadrop.hotfolder import folder, watch
from alphadrop.hotfolder.stability import Settling
from alphadrop.pipeline import pipeline
from alphadrop.pipeline.order import draw
from alphadrop.pipeline.turns import PixelBudget
from daemon_process import PATIENCE, Home, running, wait_for
from fake_segmenter import GREEN, Ground, photograph, started

HANDS = min(4, usable_cpus() + 1)
PIXELS = 48 * 40


class InFlight:
    """Counts the photographs that are decoded and not yet drawn."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.most = self._now = 0
        self._lock = threading.Lock()

        def decoding(*arguments: Any, **options: Any) -> Any:
            with self._lock:
                self._now += 1
                self.most = max(self.most, self._now)
            return decode(*arguments, **options)

        def drawing(*arguments: Any, **options: Any) -> Any:
            try:
                return draw(*arguments, **options)
            finally:
                with self._lock:
                    self._now -= 1

        monkeypatch.setattr(pipeline, "decode", decoding)
        monkeypatch.setattr(pipeline, "draw", drawing)


class Queue:
    """Notes how many files are waited for at most until they rest."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.most = 0
        add = Settling.add

        def adding(settling: Settling, path: PurePath) -> None:
            add(settling, path)
            self.most = max(self.most, len(settling))

        monkeypatch.setattr(Settling, "add", adding)


def drop_many(ground: Ground, count: int) -> None:
    picture = photograph(ground.root / "picture.bmp", GREEN).read_bytes()
    for number in range(count):
        (ground.root / "new").write_bytes(picture)
        (ground.root / "new").rename(ground.input / f"{number}.bmp")  # in one step: each is to have one attempt


def assert_each_done_once(ground: Ground, count: int) -> None:
    assert sorted(os.listdir(ground.output)) == sorted(f"{number}.png" for number in range(count))
    assert ground.fake.runs == count
    rows = ground.ledger.rows(limit=-1)
    assert Counter((row.state, row.attempts) for row in rows) == {("done", 1): count}


def test_row_34_a_flood_of_files_gives_one_output_each_within_every_limit(
    ground: Ground, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(folder, "_SETTLING_AT_MOST", 100)
    monkeypatch.setattr(folder, "_AT_ONCE", 30)
    monkeypatch.setattr(watch, "_MOST_HINTS", 40)
    ground.pipeline.budget = PixelBudget(2 * PIXELS)
    in_flight, queue = InFlight(monkeypatch), Queue(monkeypatch)
    working: list[int] = []
    ground.fake.before = lambda: working.append(ground.ledger.counts(ground.input).get("working", 0))
    with started(ground):
        drop_many(ground, 600)
        wait_for(lambda: ground.ledger.counts(ground.input) == {"done": 600}, "all to be done")
    assert_each_done_once(ground, 600)
    assert set(ground.outputs().values()) == {GREEN}
    assert 0 < queue.most <= 100
    assert in_flight.most <= 2
    assert max(working) <= HANDS


@pytest.mark.long
@pytest.mark.timeout(1800)
def test_row_34_ten_thousand_files_at_once_give_ten_thousand_outputs_in_bounded_memory(
    ground: Ground, monkeypatch: pytest.MonkeyPatch
) -> None:
    in_flight, queue = InFlight(monkeypatch), Queue(monkeypatch)
    here, memory = psutil.Process(), []
    with started(ground):
        drop_many(ground, 10_000)

        def all_done() -> bool:
            done = ground.ledger.counts(ground.input).get("done", 0)
            if done >= 1000:
                memory.append(here.memory_info().rss)
            return done == 10_000

        wait_for(all_done, "all to be done", 1700)
    assert_each_done_once(ground, 10_000)
    assert 0 < queue.most <= folder._SETTLING_AT_MOST
    assert in_flight.most <= HANDS
    assert max(memory) - memory[0] < 50_000_000, "memory grows with the number of files"


# A person who waits -------------------------------------------------------------------------------------------------


class _Connection(http.client.HTTPConnection):
    def __init__(self, path: Path) -> None:
        super().__init__("localhost", timeout=PATIENCE)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(PATIENCE)
        self.sock.connect(str(self._path))


def ask_for_matte(home: Home, pixels: NDArray[np.uint8]) -> bytes:
    height, width, _ = pixels.shape
    connection = _Connection(socket_file(home.run))
    try:
        connection.request("POST", f"/v1/matte?width={width}&height={height}&edges=plain", pixels.tobytes())
        response = connection.getresponse()
        body = response.read()
    finally:
        connection.close()
    assert (response.status, response.getheader("Alphadrop-Outcome")) == (200, "done"), body
    return body


def test_row_35_who_asks_for_a_matte_during_a_batch_is_served_before_every_photograph_not_yet_begun(
    tmp_path_factory: pytest.TempPathFactory, photographs: dict[str, Path], astronaut: NDArray[np.uint8]
) -> None:
    home = Home(tmp_path_factory.mktemp("h"))
    home.configure(folder="settle: 0\nedges: plain", top="quiet: never")
    people, calls, batch = 3, 3, 20
    with running(home):
        client = Client(home.run)
        for number in range(batch):
            shutil.copy(photographs["cat"], home.input / f"{number}.jpg")
        wait_for(lambda: client.status()["folders"][0]["done"] >= 1, "the batch to be under way")
        asked = time.time()
        # Several people, so that at every moment of this at least one is waiting.
        with ThreadPoolExecutor(people) as pool:
            answers = list(pool.map(lambda _: [ask_for_matte(home, astronaut) for _ in range(calls)], range(people)))
        answered = time.time()
        assert {len(body) for each in answers for body in each} == {astronaut.shape[0] * astronaut.shape[1]}
        assert client.status()["folders"][0]["pending"] > 0, "the batch was over too soon to show anything"
        jobs = client.jobs(limit=1000)
        meanwhile = [job for job in jobs if job["finished_at"] and asked < job["finished_at"] < answered]
        begun_later = [job["path"] for job in meanwhile if job["started_at"] > asked]
        assert len(begun_later) <= 1, "photographs were begun and finished while a person waited"
        assert len(meanwhile) <= HANDS + 1
        wait_for(lambda: client.status()["folders"][0]["done"] == batch, "the batch to go on to its end")
    assert len(os.listdir(home.output)) == batch
