"""The local API: raw pixels in, a matte out, and every refusal in the same words."""

from __future__ import annotations

import asyncio
import http.client
import json
import shutil
import socket
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

import httpx
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from alphadrop import __version__
from alphadrop.client import API_VERSION, socket_file
from alphadrop.engine.cutout import Engine
from alphadrop.engine.options import CutOptions
from alphadrop.engine.photo import from_image
from alphadrop.service.api import make_app
from daemon_process import PATIENCE, Home, running


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

    def refused(self, status: int, code: str, method: str, path: str, body: bytes | None = None) -> str:
        """Make a call that must be refused in our words; return the message."""
        answer = self(method, path, body)
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
    assert (folder["health"], folder["remedy"], folder["done"]) == ("watching", "", 0)


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
    for path in ("/", "/v1", "/v1/nothing", "/v1/status/", "/docs", "/redoc", "/v1/docs", "/openapi.json"):
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
        "/v1/status": ["get"], "/v1/stop": ["post"], "/v1/matte": ["post"],
    }  # fmt: skip
    matte = told["paths"]["/v1/matte"]["post"]
    assert [parameter["name"] for parameter in matte["parameters"]] == [
        "width", "height", "channels", "model", "edges",
    ]  # fmt: skip
    assert "application/octet-stream" in matte["requestBody"]["content"]
    assert "application/octet-stream" in matte["responses"]["200"]["content"]
    for calls in told["paths"].values():
        for call in calls.values():
            schema = call["responses"]["default"]["content"]["application/json"]["schema"]
            assert schema == {"$ref": "#/components/schemas/ErrorAnswer"}


def test_many_at_once_are_all_answered(api: Api, astronaut: NDArray[np.uint8]) -> None:
    height, width, _ = astronaut.shape
    pixels = astronaut.tobytes()
    with ThreadPoolExecutor(6) as pool:
        jobs = [pool.submit(api, "POST", f"/v1/matte?width={width}&height={height}", pixels) for _ in range(6)]
        bodies = {job.result().body for job in jobs}
    assert len(bodies) == 1


def test_what_nobody_foresaw_is_told_in_the_same_words() -> None:
    class Broken:
        max_pixels = 10

        def status(self) -> NoReturn:
            raise ZeroDivisionError("somewhere")

    async def ask() -> httpx.Response:
        transport = httpx.ASGITransport(make_app(Broken()), raise_app_exceptions=False)  # type: ignore[arg-type]
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
            return await client.get("/v1/status")

    answer = asyncio.run(ask())
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
