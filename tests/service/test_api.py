"""The local API: raw pixels in, a matte out, and every refusal in the same words."""

from __future__ import annotations

import asyncio
import http.client
import json
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, NoReturn

import httpx
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from alphadrop import __version__
from alphadrop.client import API_VERSION, socket_file
from alphadrop.engine.cancellation import Cancellation
from alphadrop.engine.cutout import Engine
from alphadrop.engine.options import CutOptions
from alphadrop.engine.photo import from_image
from alphadrop.errors import LedgerError
from alphadrop.service.api import make_app
from alphadrop.service.daemon import Matte
from alphadrop.service.reports import Stopping
from daemon_process import PATIENCE, Home, running, wait_for


class Connection(http.client.HTTPConnection):
    def __init__(self, path: Path) -> None:
        super().__init__("localhost", timeout=PATIENCE)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(PATIENCE)
        self.sock.connect(str(self._path))


@dataclass
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass
class Api:
    home: Home
    pid: int

    def __call__(self, method: str, path: str, body: bytes | None = None, **headers: str) -> Answer:
        connection = Connection(socket_file(self.home.run))
        try:
            connection.request(method, path, body, headers)
            response = connection.getresponse()
            return Answer(response.status, {k.lower(): v for k, v in response.getheaders()}, response.read())
        finally:
            connection.close()

    def refused(self, status: int, code: str, method: str, path: str, body: bytes | None = None, **headers: str) -> str:
        """Make a call that must be refused in our words; return the message."""
        answer = self(method, path, body, **headers)
        told = answer.json
        assert answer.status == status, told
        assert set(told) == {"error"}
        assert set(told["error"]) == {"code", "message", "hint"}
        assert told["error"]["code"] == code
        return str(told["error"]["message"])

    @property
    def log(self) -> str:
        return (self.home.root / "stderr.txt").read_text(errors="replace")


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    home = Home(tmp_path_factory.mktemp("h"))
    home.configure(top="limits: {pixels: 1}")
    with running(home) as process:
        yield Api(home, process.pid)


def test_the_status_says_what_and_how_it_is(api: Api) -> None:
    answer = api("GET", "/v1/status")
    assert answer.status == 200
    told = answer.json
    assert (told["api"], told["version"], told["pid"]) == (API_VERSION, __version__, api.pid)
    assert told["state"] == "ready"
    assert told["model"]["state"] == "ready"
    assert told["model"]["name"] == "u2net-int8"
    assert told["model"]["device"].startswith("cpu")
    (folder,) = told["folders"]
    assert (folder["input"], folder["output"]) == (str(api.home.input), str(api.home.output))
    assert (folder["health"], folder["remedy"], folder["warning"]) == ("watching", "", "")
    assert {folder[name] for name in ("pending", "working", "done", "no_subject", "skipped", "failed", "missing")} == {
        0
    }
    assert told["paused"] is None
    assert told["configuration"] == {"file": str(api.home.root / "alphadrop.yaml"), "problems": []}
    assert told["ledger"] == {"state": "ready", "message": "", "hint": "", "notes": []}


def test_the_matte_of_raw_pixels_is_that_of_the_engine(api: Api, engine: Engine, astronaut: NDArray[np.uint8]) -> None:
    height, width, _ = astronaut.shape
    query = f"/v1/matte?width={width}&height={height}"
    expected = engine.cut_photo(from_image(Image.fromarray(astronaut)), CutOptions()).matte
    answer = api("POST", query, astronaut.tobytes())
    assert answer.status == 200
    assert answer.headers["content-type"] == "application/octet-stream"
    assert answer.headers["alphadrop-outcome"] == "done"
    found = np.frombuffer(answer.body, np.uint8).reshape(height, width)
    assert np.array_equal(found, expected)
    assert found.max() == 255
    plain = api("POST", f"{query}&edges=plain", astronaut.tobytes())
    assert plain.body != answer.body


@pytest.mark.parametrize("channels", [1, 2, 4])
def test_grey_and_transparent_pixels_are_taken_too(api: Api, astronaut: NDArray[np.uint8], channels: int) -> None:
    height, width, _ = astronaut.shape
    grey = astronaut.mean(axis=2).astype(np.uint8)[..., None]
    opaque = np.full_like(grey, 255)
    parts = {1: [grey], 2: [grey, opaque], 4: [astronaut, opaque]}[channels]
    pixels = np.concatenate(parts, axis=2).tobytes()
    answer = api("POST", f"/v1/matte?width={width}&height={height}&channels={channels}", pixels)
    assert (answer.status, len(answer.body)) == (200, width * height)
    assert answer.headers["alphadrop-outcome"] == "done"


def test_a_picture_of_nothing_is_an_outcome(api: Api) -> None:
    answer = api("POST", "/v1/matte?width=64&height=48", bytes(64 * 48 * 3))
    assert answer.status == 200
    assert answer.headers["alphadrop-outcome"] == "no_subject"
    assert answer.body == bytes(64 * 48)


def test_a_picture_of_one_pixel_is_answered(api: Api) -> None:
    assert len(api("POST", "/v1/matte?width=1&height=1", b"abc").body) == 1


@pytest.mark.skipif(shutil.which("curl") is None, reason="needs curl")
def test_curl_can_ask_for_a_matte(api: Api, astronaut: NDArray[np.uint8], tmp_path: Path) -> None:
    height, width, _ = astronaut.shape
    (tmp_path / "pixels").write_bytes(astronaut.tobytes())
    command = ["curl", "--silent", "--show-error", "--unix-socket", str(socket_file(api.home.run))]
    url = "http://localhost/v1"
    told = subprocess.run([*command, f"{url}/status"], capture_output=True, check=True, timeout=PATIENCE).stdout
    assert json.loads(told)["state"] == "ready"
    matte = [*command, "--data-binary", f"@{tmp_path / 'pixels'}", f"{url}/matte?width={width}&height={height}"]
    done = subprocess.run(matte, capture_output=True, check=True, timeout=PATIENCE)
    assert done.stdout == api("POST", f"/v1/matte?width={width}&height={height}", astronaut.tobytes()).body


def test_what_is_not_there_is_refused(api: Api) -> None:
    for path in ("/page", "/v1", "/v1/nothing", "/v1/status/", "/docs", "/redoc", "/v1/docs", "/openapi.json"):
        api.refused(404, "not_found", "GET", path)


def test_a_wrong_method_is_refused_and_the_right_one_named(api: Api) -> None:
    api.refused(405, "method_not_allowed", "DELETE", "/v1/status")
    assert api("GET", "/v1/matte").headers["allow"] == "POST"
    assert api("GET", "/v1/stop").status == 405


@pytest.mark.parametrize("length", [0, 1, 64 * 48 * 3 - 1, 64 * 48 * 3 + 1, 64 * 48 * 4])
def test_a_body_of_the_wrong_length_is_refused(api: Api, length: int) -> None:
    message = api.refused(422, "bad_options", "POST", "/v1/matte?width=64&height=48", bytes(length))
    assert str(64 * 48 * 3) in message


def test_a_picture_above_the_limit_is_refused_before_its_body_is_read(api: Api) -> None:
    message = api.refused(413, "too_large", "POST", "/v1/matte?width=2000&height=1000", b"")
    assert "2000 x 1000" in message
    assert "1 megapixels" in message


@pytest.mark.parametrize(
    ("size", "length", "status"),
    [("width=6000&height=4000", 72_000_000, 413), ("width=64&height=48", 30_000_000, 422)],
    ids=["too many pixels", "too long a body"],
)
def test_a_refusal_reaches_a_client_that_is_still_sending(api: Api, size: str, length: int, status: int) -> None:
    answer = api("POST", f"/v1/matte?{size}", bytes(length))
    assert (answer.status, set(answer.json)) == (status, {"error"})


def test_a_model_that_nobody_knows_is_refused_with_the_nearest_name(api: Api) -> None:
    path = "/v1/matte?width=64&height=48&model=u2net-int9"
    api.refused(404, "unknown_model", "POST", path, bytes(64 * 48 * 3))
    assert "did you mean u2net-int8" in api("POST", path, bytes(64 * 48 * 3)).json["error"]["hint"]


@pytest.mark.parametrize(
    "query",
    [
        "", "width=64", "width=0&height=48", "width=-1&height=48", "width=64&height=70000", "width=a&height=48",
        "width=64&height=48&channels=5", "width=64&height=48&edges=soft",
    ],
)  # fmt: skip
def test_a_query_that_makes_no_sense_is_refused(api: Api, query: str) -> None:
    message = api.refused(422, "invalid_request", "POST", f"/v1/matte?{query}", b"")
    assert message.startswith("query.")


def test_a_client_that_goes_away_in_the_middle_disturbs_nobody(api: Api) -> None:
    for sent in (b"POST /v1/matte?width=64&height=48 HTTP/1.1\r\nHost: x\r\nContent-Length: 9216\r\n\r\nabc", b"GE"):
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as client:
            client.connect(str(socket_file(api.home.run)))
            client.sendall(sent)
    assert api("GET", "/v1/status").status == 200
    assert "Traceback" not in api.log


def test_what_is_no_http_at_all_disturbs_nobody(api: Api) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as client:
        client.settimeout(PATIENCE)
        client.connect(str(socket_file(api.home.run)))
        client.sendall(b"\x00\xff\x00 nonsense\r\n\r\n")
        assert client.recv(100).startswith(b"HTTP/1.1 400")
    assert api("GET", "/v1/status").status == 200
    assert "Traceback" not in api.log


def test_the_description_is_complete(api: Api) -> None:
    told = api("GET", "/v1/openapi.json").json
    assert told["info"] == {"title": "Alphadrop", "version": __version__}
    assert {path: sorted(calls) for path, calls in told["paths"].items()} == {
        "/v1/status": ["get"], "/v1/stop": ["post"], "/v1/models": ["get"], "/v1/config": ["get"],
        "/v1/events": ["get"],
        "/v1/matte": ["post"], "/v1/cutout": ["post"], "/api/remove": ["get", "post"],
        "/v1/pause": ["post"], "/v1/resume": ["post"],
        "/v1/jobs": ["get"], "/v1/jobs/retry": ["post"], "/v1/jobs/undo": ["post"], "/v1/jobs/last/undo": ["post"],
        "/v1/jobs/{number}/retry": ["post"], "/v1/jobs/{number}/undo": ["post"],
        "/v1/jobs/{number}/output": ["get"], "/v1/jobs/{number}/thumbnail": ["get"],
        "/v1/photos": ["post"], "/v1/photos/{photo}/cutout": ["post"], "/v1/photos/{photo}/preview": ["get"],
        "/v1/explain": ["post"], "/v1/photos/{photo}/explain": ["post"], "/v1/explain/{number}/{file}": ["get"],
        "/v1/web/codes": ["post"], "/v1/web/key": ["post"],
        "/v1/web/keys": ["get"], "/v1/web/keys/revoke": ["post"],
    }  # fmt: skip
    matte = told["paths"]["/v1/matte"]["post"]
    assert [parameter["name"] for parameter in matte["parameters"]] == [
        "width", "height", "channels", "model", "edges", "output",
    ]  # fmt: skip
    assert "application/octet-stream" in matte["requestBody"]["content"]
    assert "application/octet-stream" in matte["responses"]["200"]["content"]
    for calls in told["paths"].values():
        for call in calls.values():
            schema = call["responses"]["default"]["content"]["application/json"]["schema"]
            assert schema == {"$ref": "#/components/schemas/ErrorAnswer"}
            assert call["summary"]
            assert any("content" in answer for status, answer in call["responses"].items() if status != "default")
    state, warned, limit = told["paths"]["/v1/jobs"]["get"]["parameters"]
    assert "failed" in json.dumps(state["schema"])
    assert (warned["name"], warned["schema"]["type"]) == ("warned", "boolean")
    assert (limit["schema"]["minimum"], limit["schema"]["maximum"]) == (1, 10_000)
    assert told["components"]["schemas"]["Which"]["properties"]["which"]["enum"] == ["failed", "changed"]


def post(api: Api, path: str, body: object = None, status: int = 200) -> Any:
    """Make a call that succeeds; return its answer."""
    answer = api("POST", path, None if body is None else json.dumps(body).encode(), **JSON)
    assert answer.status == status, answer.body
    return answer.json


JSON = {"Content-Type": "application/json"}


def test_a_pause_has_an_end_or_none_and_is_told(api: Api) -> None:
    before = time.time()
    paused = post(api, "/v1/pause", {"seconds": 3600})["paused"]
    assert before + 3600 <= paused["until"] <= time.time() + 3600
    assert api("GET", "/v1/status").json["paused"] == paused
    for body in (None, {}, {"seconds": None}):
        assert post(api, "/v1/pause", body)["paused"] == {"until": None}
    assert post(api, "/v1/resume")["paused"] is None
    assert post(api, "/v1/resume")["paused"] is None
    post(api, "/v1/pause", {"seconds": 0.001})
    wait_for(lambda: api("GET", "/v1/status").json["paused"] is None, "the end of a short pause")


@pytest.mark.parametrize(
    "body",
    [
        b"{", b"[]", b'"an hour"', b"60", b'{"seconds": "an hour"}', b'{"seconds": 0}', b'{"seconds": -1}',
        b'{"seconds": 1e9}', b'{"seconds": NaN}', b'{"seconds": Infinity}', b'{"seconds": [1]}',
        b'{"second": 60}', b'{"seconds": 60, "hours": 1}',
    ],
)  # fmt: skip
def test_a_pause_that_makes_no_sense_is_refused_and_does_nothing(api: Api, body: bytes) -> None:
    api.refused(422, "invalid_request", "POST", "/v1/pause", body, **JSON)
    assert api("GET", "/v1/status").json["paused"] is None


def test_a_body_that_is_no_text_is_refused(api: Api) -> None:
    api.refused(400, "invalid_request", "POST", "/v1/pause", b"\xff", **JSON)
    api.refused(400, "invalid_request", "POST", "/v1/jobs/retry", b"[" * 100_000, **JSON)


def test_where_nothing_was_dropped_there_is_nothing_to_do(api: Api) -> None:
    assert api("GET", "/v1/jobs").json == {"jobs": []}
    assert post(api, "/v1/jobs/retry", {"which": "failed"}) == {"retried": 0, "refused": 0}
    assert post(api, "/v1/jobs/retry", {"which": "changed"}) == {"retried": 0, "refused": 0}
    assert post(api, "/v1/jobs/undo") == {"brought_back": 0, "refused": []}
    assert "no original was moved away" in api.refused(409, "job_refused", "POST", "/v1/jobs/last/undo")


@pytest.mark.parametrize("call", ["retry", "undo"])
def test_a_job_that_nobody_knows_is_refused(api: Api, call: str) -> None:
    for number in (1, 2**63 - 1):
        assert str(number) in api.refused(404, "no_such_job", "POST", f"/v1/jobs/{number}/{call}")
    for nonsense in ("0", "-1", str(2**63), "9" * 400, "x", "1.5", "%00"):
        message = api.refused(422, "invalid_request", "POST", f"/v1/jobs/{nonsense}/{call}")
        assert message.startswith("path.number: ")
    api.refused(405, "method_not_allowed", "GET", f"/v1/jobs/1/{call}")
    api.refused(404, "not_found", "POST", "/v1/jobs//retry")


@pytest.mark.parametrize(
    "query", ["state=nonsense", "state=", "state=no_subject", "limit=0", "limit=10001", "limit=x", "limit=-1", "limit="]
)
def test_a_choice_of_jobs_that_makes_no_sense_is_refused(api: Api, query: str) -> None:
    assert api.refused(422, "invalid_request", "GET", f"/v1/jobs?{query}").startswith("query.")


@pytest.mark.parametrize("body", [None, b"{}", b'{"which": "all"}', b'{"which": null}', b'{"which": "failed", "x": 1}'])
def test_a_retry_of_nobody_knows_what_is_refused(api: Api, body: bytes | None) -> None:
    api.refused(422, "invalid_request", "POST", "/v1/jobs/retry", body, **JSON)


@pytest.fixture(scope="module")
def worked(tmp_path_factory: pytest.TempPathFactory, photographs: dict[str, Path]) -> Iterator[Api]:
    """A daemon that has cut a photograph and moved it away, and failed with another."""
    home = Home(tmp_path_factory.mktemp("h"))
    done = home.root / "done"
    done.mkdir()
    home.configure(folder=f"settle: 100ms\nedges: plain\noriginals: move\nfinished: {done}")
    with Image.open(photographs["cat"]) as cat:
        cat.save(home.input / "cat.jpg", icc_profile=b"no colours " * 20)
    (home.input / "text.png").write_text("not a picture")
    with running(home) as process:
        api = Api(home, process.pid)
        wait_for(lambda: len(jobs(api)) == 2 and (done / "cat.jpg").exists(), "the photographs to be done")
        wait_for(lambda: jobs(api)["cat.jpg"]["original"] == "moved", "the move to be recorded")
        wait_for(lambda: jobs(api)["text.png"]["state"] == "failed", "the other to fail")
        yield api


def jobs(api: Api, query: str = "") -> dict[str, dict[str, Any]]:
    return {job["path"]: job for job in api("GET", f"/v1/jobs{query}").json["jobs"]}


def test_a_job_says_everything_of_its_photograph(worked: Api) -> None:
    home = worked.home
    cat, text = (jobs(worked)[name] for name in ("cat.jpg", "text.png"))
    assert set(cat) == {
        "id", "folder", "path", "state", "outcome", "reason", "attempts", "suspect", "size", "model", "seconds",
        "warnings", "noted_at", "started_at", "finished_at", "original", "original_at", "outputs",
    }  # fmt: skip
    assert (cat["state"], cat["outcome"], cat["reason"], cat["attempts"]) == ("done", "done", "", 1)
    assert (cat["folder"], cat["outputs"]) == (str(home.input), [str(home.output / "cat.png")])
    assert (cat["original"], cat["original_at"]) == ("moved", str(home.root / "done" / "cat.jpg"))
    assert (cat["model"], cat["size"]) == ("u2net-int8", (home.root / "done" / "cat.jpg").stat().st_size)
    assert cat["noted_at"] <= cat["started_at"] <= cat["finished_at"] <= time.time()
    assert sum(cat["seconds"].values()) > 0
    assert (text["state"], text["outcome"], text["original"], text["outputs"]) == (
        "failed", "unsupported_format", "", [],
    )  # fmt: skip
    assert "text.png" in text["reason"]
    assert (cat["warnings"], text["warnings"]) == (["its colour profile is damaged and was left out"], [])


def test_jobs_are_chosen_by_state_and_limited(worked: Api) -> None:
    assert set(jobs(worked, "?state=failed")) == {"text.png"}
    assert set(jobs(worked, "?state=done")) == {"cat.jpg"}
    for state in ("pending", "working", "skipped", "missing"):
        assert jobs(worked, f"?state={state}") == {}
    assert set(jobs(worked, "?warned=true")) == {"cat.jpg"}
    assert set(jobs(worked, "?warned=false")) == {"cat.jpg", "text.png"}
    assert jobs(worked, "?warned=true&state=failed") == {}
    assert worked("GET", "/v1/status").json["folders"][0]["warned"] == 1
    every = worked("GET", "/v1/jobs?limit=10000").json["jobs"]
    assert worked("GET", "/v1/jobs?limit=1").json["jobs"] == every[:1]
    assert every[0]["finished_at"] >= every[1]["finished_at"]


def test_an_original_is_brought_back_once(worked: Api) -> None:
    cat = jobs(worked)["cat.jpg"]
    back = post(worked, f"/v1/jobs/{cat['id']}/undo")
    assert (back["id"], back["state"], back["original"], back["original_at"]) == (cat["id"], "done", "", "")
    assert (worked.home.input / "cat.jpg").is_file()
    assert "was not moved away" in worked.refused(409, "job_refused", "POST", f"/v1/jobs/{cat['id']}/undo")


def test_a_photograph_in_hand_is_not_done_twice_and_goes_on_after_the_pause(worked: Api) -> None:
    cat = jobs(worked)["cat.jpg"]["id"]
    post(worked, "/v1/pause")
    try:
        assert post(worked, f"/v1/jobs/{cat}/retry")["state"] == "pending"
        assert post(worked, f"/v1/jobs/{cat}/retry")["state"] == "pending"
        assert worked("GET", "/v1/status").json["folders"][0]["pending"] == 1
        assert not (worked.home.root / "done" / "cat.jpg").exists()
    finally:
        post(worked, "/v1/resume")
    wait_for(lambda: jobs(worked)["cat.jpg"]["original"] == "moved", "the photograph to be done again")
    assert {path.name for path in worked.home.output.iterdir()} == {"cat.png"}


def test_a_place_that_is_taken_is_a_conflict_and_nothing_is_overwritten(worked: Api) -> None:
    cat, place = jobs(worked)["cat.jpg"]["id"], worked.home.input / "cat.jpg"
    place.mkdir()
    for call in (f"/v1/jobs/{cat}/undo", f"/v1/jobs/{cat}/retry", "/v1/jobs/last/undo"):
        assert "exists already" in worked.refused(409, "target_exists", "POST", call)
    told = post(worked, "/v1/jobs/undo")
    assert told["brought_back"] == 0
    (refused,) = told["refused"]
    assert "exists already" in refused
    place.rmdir()
    assert post(worked, "/v1/jobs/last/undo")["id"] == cat
    assert post(worked, f"/v1/jobs/{cat}/retry")["state"] in ("pending", "working")
    wait_for(lambda: jobs(worked)["cat.jpg"]["original"] == "moved", "the photograph to be done again")


def test_what_is_no_longer_there_is_refused(worked: Api) -> None:
    text = jobs(worked)["text.png"]["id"]
    (worked.home.input / "text.png").rename(worked.home.root / "text.png")
    assert "no longer there" in worked.refused(409, "job_refused", "POST", f"/v1/jobs/{text}/retry")
    assert post(worked, "/v1/jobs/retry", {"which": "failed"}) == {"retried": 0, "refused": 1}
    (worked.home.root / "done" / "cat.jpg").rename(worked.home.root / "cat.jpg")
    assert "no longer there" in worked.refused(409, "job_refused", "POST", "/v1/jobs/last/undo")
    (worked.home.root / "cat.jpg").rename(worked.home.root / "done" / "cat.jpg")
    assert post(worked, "/v1/jobs/undo") == {"brought_back": 1, "refused": []}


def test_where_the_ledger_cannot_be_opened_every_call_about_jobs_says_so() -> None:
    class WithoutLedger:
        max_pixels = 10

        @property
        def folders(self) -> NoReturn:
            raise LedgerError("the ledger cannot be opened yet", "see why with: alphadrop status")

        ledger = folders

        def pause(self, seconds: float | None) -> NoReturn:
            raise LedgerError("the ledger cannot be opened yet", "see why with: alphadrop status")

        def resume(self) -> NoReturn:
            self.pause(None)

    calls: list[tuple[str, str, object]] = [
        ("POST", "/v1/pause", None), ("POST", "/v1/resume", None), ("GET", "/v1/jobs", None),
        ("POST", "/v1/jobs/retry", {"which": "failed"}), ("POST", "/v1/jobs/undo", None),
        ("POST", "/v1/jobs/last/undo", None), ("POST", "/v1/jobs/1/retry", None), ("POST", "/v1/jobs/1/undo", None),
    ]  # fmt: skip
    for method, path, body in calls:
        answer = ask(WithoutLedger(), method, path, body)
        assert (answer.status_code, answer.json()["error"]["code"]) == (503, "ledger"), path
        assert "alphadrop status" in answer.json()["error"]["hint"]


def ask(daemon: object, method: str, path: str, body: object = None) -> httpx.Response:
    """Make a call to the application itself, without a process."""

    async def ask() -> httpx.Response:
        transport = httpx.ASGITransport(make_app(daemon), raise_app_exceptions=False)  # type: ignore[arg-type]
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
            return await client.request(method, path, json=body)

    return asyncio.run(ask())


def test_many_at_once_are_all_answered(api: Api, astronaut: NDArray[np.uint8]) -> None:
    height, width, _ = astronaut.shape
    pixels = astronaut.tobytes()
    with ThreadPoolExecutor(6) as pool:
        jobs = [pool.submit(api, "POST", f"/v1/matte?width={width}&height={height}", pixels) for _ in range(6)]
        bodies = {job.result().body for job in jobs}
    assert len(bodies) == 1


@dataclass
class Slow:
    """A daemon that looks at a picture until it is let go on."""

    go_on: threading.Event = field(default_factory=threading.Event)
    at_work: list[int] = field(default_factory=list)
    max_pixels: int = 10

    def matte(
        self,
        picture: Image.Image,
        model: str | None,
        edges: str,
        output: str,
        cancellation: Cancellation,
    ) -> Matte:
        self.at_work.append(picture.width)
        assert self.go_on.wait(PATIENCE)
        return Matte(memoryview(bytes(picture.width)), subject=True)

    def stop(self) -> Stopping:
        return Stopping(pid=0)


def test_more_pictures_than_may_wait_are_refused_and_other_calls_are_served_meanwhile() -> None:
    slow, most = Slow(), 64

    async def scene() -> None:
        transport = httpx.ASGITransport(make_app(slow))  # type: ignore[arg-type]
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost", timeout=PATIENCE) as client:
            picture = partial(client.post, "/v1/matte?width=1&height=1", content=b"abc")
            waiting = [asyncio.create_task(picture()) for _ in range(most)]
            while len(slow.at_work) < 4:
                await asyncio.sleep(0.01)
            refused = await picture()
            assert (refused.status_code, refused.json()["error"]["code"]) == (503, "too_busy")
            assert refused.headers["retry-after"] == "5"
            assert (await client.post("/v1/stop")).status_code == 202, "the threads of other calls are taken"
            assert len(slow.at_work) == 4, "too many at once"
            slow.go_on.set()
            assert [answer.status_code for answer in await asyncio.gather(*waiting)] == [200] * most
            assert (await picture()).status_code == 200

    asyncio.run(asyncio.wait_for(scene(), PATIENCE))


def test_what_nobody_foresaw_is_told_in_the_same_words() -> None:
    class Broken:
        max_pixels = 10

        def status(self) -> NoReturn:
            raise ZeroDivisionError("somewhere")

    answer = ask(Broken(), "GET", "/v1/status")
    assert answer.status_code == 500
    assert answer.json()["error"]["code"] == "internal"
    assert "ZeroDivisionError" in answer.json()["error"]["message"]


def test_stop_is_answered_and_then_done(tmp_path_factory: pytest.TempPathFactory) -> None:
    home = Home(tmp_path_factory.mktemp("h"))
    home.configure()
    with running(home) as process:
        answer = Api(home, process.pid)("POST", "/v1/stop")
        assert answer.status == 202
        assert answer.json == {"stopping": True, "pid": process.pid}
        assert process.wait(timeout=PATIENCE) == 0
    assert not socket_file(home.run).exists()
