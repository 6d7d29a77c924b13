"""The calls that take a picture file: cut-outs as the library makes them, answers as rembg's clients expect."""

from __future__ import annotations

import base64
import io
import json
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from alphadrop import cut_out
from alphadrop.client import endpoint_file, socket_file
from alphadrop.engine.cutout import Engine
from alphadrop.engine.masks import near
from alphadrop.engine.straight import REACH
from daemon_process import PATIENCE, Home, running

CHECKS = (
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_schema_conformance",
)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Home]:
    home = Home(tmp_path_factory.mktemp("h"))
    home.configure(top="limits: {pixels: 2}")
    with running(home):
        yield home


@pytest.fixture(scope="module")
def api(home: Home) -> Iterator[httpx.Client]:
    transport = httpx.HTTPTransport(uds=str(socket_file(home.run)))
    with httpx.Client(transport=transport, base_url="http://localhost", timeout=PATIENCE) as client:
        yield client


@pytest.fixture(scope="module")
def nothing() -> bytes:
    return encoded(Image.new("RGB", (120, 80), (120, 130, 140)))


def encoded(image: Image.Image, format: str = "PNG") -> bytes:
    stream = io.BytesIO()
    image.save(stream, format)
    return stream.getvalue()


def opened(answer: httpx.Response) -> Image.Image:
    assert answer.status_code == 200, answer.text
    image = Image.open(io.BytesIO(answer.content))
    image.load()
    return image


def refused(answer: httpx.Response, status: int, code: str) -> str:
    told = answer.json()["error"]
    assert (answer.status_code, told["code"]) == (status, code), told
    return str(told["message"])


def test_a_cut_out_is_that_of_the_library(api: httpx.Client, photographs: dict[str, Path]) -> None:
    answer = api.post("/v1/cutout", content=photographs["cat"].read_bytes())
    assert answer.headers["content-type"] == "image/png"
    assert answer.headers["alphadrop-outcome"] == "done"
    assert answer.headers["alphadrop-model"] == "u2net-int8"
    assert json.loads(answer.headers["alphadrop-warnings"]) == []
    assert json.loads(answer.headers["alphadrop-seconds"]).keys() >= {"decode", "network", "matte", "encode"}
    assert np.array_equal(np.asarray(opened(answer)), np.asarray(cut_out(photographs["cat"])))


def test_what_is_wished_is_done(api: httpx.Client, photographs: dict[str, Path]) -> None:
    wishes = {"format": "jpeg", "background": "white", "crop": "subject", "margin": "0.1", "size": "300x200"}
    image = opened(api.post("/v1/cutout", params=wishes, content=photographs["cat"].read_bytes()))
    assert (image.format, image.size, image.mode) == ("JPEG", (300, 200), "RGB")
    assert np.asarray(image)[0, 0].min() > 250
    mask = opened(api.post("/v1/cutout?result=mask&edges=plain", content=photographs["cat"].read_bytes()))
    assert np.array_equal(np.asarray(mask), np.asarray(cut_out(photographs["cat"], edges="plain"))[..., 3])
    small = json.loads(
        api.post(
            "/v1/cutout?preset=square&format=webp", content=encoded(Image.open(photographs["cat"]).resize((90, 60)))
        ).headers["alphadrop-warnings"]
    )
    assert any("enlarged" in each for each in small)


def test_edge_controls_are_those_of_the_library(api: httpx.Client, photographs: dict[str, Path]) -> None:
    photograph = photographs["cat"]
    controls: dict[str, Any] = {
        "feather": 1.5,
        "hardness": 0.3,
        "shift_edge": -2,
        "smallest_part": 0.1,
        "fill_holes": 0.02,
    }
    params = {name: str(value) for name, value in controls.items()} | {"decontaminate": "off"}
    wanted = np.asarray(cut_out(photograph, decontaminate=False, **controls))
    answer = api.post("/v1/cutout", params=params, content=photograph.read_bytes())
    assert np.array_equal(np.asarray(opened(answer)), wanted)
    mask = api.post("/v1/cutout", params={**params, "result": "mask"}, content=photograph.read_bytes())
    assert np.array_equal(np.asarray(opened(mask)), wanted[..., 3])


def test_no_subject_is_no_error(api: httpx.Client, nothing: bytes) -> None:
    answer = api.post("/v1/cutout", content=nothing)
    assert (answer.status_code, answer.content) == (204, b"")
    assert answer.headers["alphadrop-outcome"] == "no_subject"


@pytest.mark.parametrize(
    ("wishes", "code"),
    [
        ({"background": "/etc/hostname.png"}, "bad_options"),
        ({"background": "blueish"}, "bad_options"),
        ({"format": "jpeg"}, "bad_options"),
        ({"size": "tall"}, "bad_options"),
        ({"preset": "none"}, "bad_options"),
        ({"feather": "101"}, "bad_options"),
        ({"feather": "nan"}, "bad_options"),
        ({"hardness": "-1"}, "bad_options"),
        ({"shift_edge": "1.5"}, "invalid_request"),
        ({"decontaminate": "perhaps"}, "invalid_request"),
        ({"format": "gif"}, "invalid_request"),
        ({"path": "/etc/passwd"}, "invalid_request"),
    ],
)
def test_wishes_that_make_no_sense_are_refused(api: httpx.Client, wishes: dict[str, str], code: str) -> None:
    refused(api.post("/v1/cutout", params=wishes, content=b"x"), 422, code)


def test_a_picture_that_cannot_be_cut_is_refused_by_the_name_it_was_given(api: httpx.Client) -> None:
    answer = api.post("/v1/cutout", params={"name": "holiday.png"}, content=b"This is a text.")
    assert refused(answer, 422, "unsupported_format").startswith("holiday.png: ")
    assert refused(api.post("/v1/cutout", content=b""), 422, "empty")
    large = encoded(Image.new("RGB", (2000, 1500)))
    refused(api.post("/v1/cutout", content=large), 413, "too_large")
    small = encoded(Image.new("RGB", (20, 15)))
    refused(api.post("/v1/cutout?model=u3net", content=small), 404, "unknown_model")


def test_a_body_that_says_it_is_too_long_is_not_waited_for(home: Home) -> None:
    told = subprocess.run(
        ["curl", "-sS", "--unix-socket", socket_file(home.run), "-H", "Content-Length: 512000001",
         "--data-binary", "x", "http://localhost/v1/cutout"],
        capture_output=True, text=True, timeout=PATIENCE, check=False,
    )  # fmt: skip
    assert json.loads(told.stdout)["error"]["code"] == "too_large", told


def test_curl_gets_a_cut_out_in_one_line(home: Home, photographs: dict[str, Path], tmp_path: Path) -> None:
    out = tmp_path / "cat.png"
    subprocess.run(
        ["curl", "-sSf", "--unix-socket", socket_file(home.run), "-o", out,
         "--data-binary", f"@{photographs['cat']}", "http://localhost/v1/cutout"],
        timeout=PATIENCE, check=True,
    )  # fmt: skip
    with Image.open(out) as image:
        assert (image.mode, image.size) == ("RGBA", (451, 300))


def test_raw_pixels_come_back_with_the_colours_of_the_subject(
    api: httpx.Client, engine: Engine, astronaut: NDArray[np.uint8]
) -> None:
    height, width, _ = astronaut.shape
    query = {"width": str(width), "height": str(height)}
    matte = np.frombuffer(api.post("/v1/matte", params=query, content=astronaut.tobytes()).content, np.uint8)
    answer = api.post("/v1/matte", params={**query, "output": "rgba"}, content=astronaut.tobytes())
    assert answer.headers["content-length"] == str(height * width * 4)
    rgba = np.frombuffer(answer.content, np.uint8).reshape(height, width, 4)
    alpha = rgba[..., 3]
    assert np.array_equal(alpha, matte.reshape(height, width))
    assert np.array_equal(rgba[alpha == 255][:, :3], astronaut[alpha == 255])
    assert not rgba[~near(alpha > 0, REACH)].any()
    soft = (alpha > 0) & (alpha < 255)
    assert (rgba[soft][:, :3] != astronaut[soft]).any()


def test_grey_pixels_come_back_in_colour_too(api: httpx.Client, astronaut: NDArray[np.uint8]) -> None:
    grey = np.asarray(Image.fromarray(astronaut).convert("L"))
    answer = api.post("/v1/matte?width=512&height=512&channels=1&output=rgba", content=grey.tobytes())
    rgba = np.frombuffer(answer.content, np.uint8).reshape(512, 512, 4)
    assert np.array_equal(rgba[..., 0], rgba[..., 2])


def send(api: httpx.Client, photograph: bytes, headers: dict[str, str] | None = None, **fields: Any) -> httpx.Response:
    return api.post("/api/remove", files={"file": ("cat.jpg", photograph)}, data=fields, headers=headers)


def test_clients_of_rembg_get_a_png(api: httpx.Client, photographs: dict[str, Path]) -> None:
    photograph = photographs["cat"].read_bytes()
    expected = np.asarray(cut_out(photographs["cat"]))
    answer = send(api, photograph, model="u2net", a="true", af="240", ab="10", ae="10")
    assert answer.headers["content-type"] == "image/png"
    assert np.array_equal(np.asarray(opened(answer)), expected)
    mask = opened(send(api, photograph, om="true"))
    assert np.array_equal(np.asarray(mask), expected[..., 3])
    hard = np.asarray(opened(send(api, photograph, om="true", ppm="true")))
    assert set(np.unique(hard)) == {0, 255}
    assert np.abs(hard.astype(int) - expected[..., 3]).mean() < 16
    plain = np.asarray(opened(send(api, photograph, a="false")))
    assert np.array_equal(plain, np.asarray(cut_out(photographs["cat"], edges="plain")))


def test_parameters_of_rembg_may_stand_in_the_query(api: httpx.Client, photographs: dict[str, Path]) -> None:
    files = {"file": ("cat.jpg", photographs["cat"].read_bytes())}
    assert opened(api.post("/api/remove?om=true&model=u2net-int8", files=files)).mode == "L"


def test_a_background_of_rembg(api: httpx.Client, photographs: dict[str, Path]) -> None:
    photograph = photographs["cat"].read_bytes()
    red = opened(send(api, photograph, bgc="255,0,0,255"))
    assert red.convert("RGB").getpixel((0, 0)) == (255, 0, 0)
    half = opened(send(api, photograph, bgc="255,0,0,128"))
    assert half.getpixel((0, 0)) == (255, 0, 0, 128)
    assert opened(send(api, photograph, bgc="0,0,0,0")).getpixel((0, 0)) == (0, 0, 0, 0)
    for nonsense in ("reddish", "1,2", "1,2,3,256"):
        refused(send(api, photograph, bgc=nonsense), 422, "bad_options")


def test_a_tutorials_client_gets_json(api: httpx.Client, photographs: dict[str, Path]) -> None:
    photograph = photographs["cat"].read_bytes()
    told = send(api, photograph, {"Accept": "application/json"})
    image = Image.open(io.BytesIO(base64.b64decode(told.json()["image"], validate=True)))
    assert np.array_equal(np.asarray(image), np.asarray(cut_out(photographs["cat"])))
    for accept in ("*/*", "application/json, text/plain, */*", "image/png, application/json;q=0.5", "text/html"):
        assert send(api, photograph, {"Accept": accept}).headers["content-type"] == "image/png", accept


def test_clients_of_rembg_get_a_transparent_picture_where_there_is_no_subject(
    api: httpx.Client, nothing: bytes
) -> None:
    answer = send(api, nothing)
    image = opened(answer)
    assert image.size == (120, 80)
    assert not np.asarray(image)[..., 3].any()
    assert answer.headers["alphadrop-outcome"] == "no_subject"


def test_nothing_is_fetched_from_an_address(api: httpx.Client) -> None:
    answer = api.get("/api/remove?url=http://example.org/cat.jpg")
    assert "address" in refused(answer, 422, "bad_options")


def test_what_is_no_picture_is_refused_in_our_words(api: httpx.Client) -> None:
    assert refused(send(api, b"This is a text."), 422, "unsupported_format").startswith("cat.jpg: ")
    refused(api.post("/api/remove", data={"model": "u2net"}), 422, "bad_options")
    refused(send(api, b""), 422, "empty")
    message = refused(send(api, b"x", af="many"), 422, "invalid_request")
    assert message.startswith("body.af: ")
    refused(api.post("/api/remove?af=300", files={"file": b"x"}), 422, "invalid_request")
    refused(send(api, encoded(Image.new("RGB", (20, 15))), model="no such"), 404, "unknown_model")


def test_models_are_told_with_what_they_may_be_used_for(api: httpx.Client) -> None:
    models = {model["name"]: model for model in api.get("/v1/models").json()["models"]}
    ours = models["u2net-int8"]
    assert (ours["installed"], ours["default"], ours["licence"], ours["commercial"]) == (
        True, True, "Apache-2.0", True,
    )  # fmt: skip
    assert ours["device"].startswith("cpu")
    assert ours["seconds"] > 0
    assert [name for name, model in models.items() if model["default"]] == ["u2net-int8"]
    assert not models["u2net_human_seg"]["installed"]


def test_the_settings_in_force_are_told(api: httpx.Client, home: Home) -> None:
    told = api.get("/v1/config").json()
    assert told["file"] == str(home.root / "alphadrop.yaml")
    assert told["settings"]["limits"]["pixels"] == 2
    assert told["settings"]["folders"][0]["input"] == str(home.input)
    assert told["problems"] == []


@pytest.mark.long
def test_fifty_clients_at_once_are_all_served(home: Home, photographs: dict[str, Path]) -> None:
    with Image.open(photographs["cat"]) as image:
        photograph = encoded(image.resize((225, 150)))

    def ask(_: int) -> tuple[int, bytes]:
        transport = httpx.HTTPTransport(uds=str(socket_file(home.run)))
        with httpx.Client(transport=transport, base_url="http://localhost", timeout=PATIENCE) as client:
            answer = client.post("/v1/cutout", content=photograph)
            return answer.status_code, answer.content

    with ThreadPoolExecutor(50) as clients:
        answers = set(clients.map(ask, range(50)))
    ((status, _),) = answers
    assert status == 200


@pytest.mark.long
def test_the_api_keeps_what_its_document_says(home: Home) -> None:
    told = json.loads(endpoint_file(home.run).read_text())
    ran = subprocess.run(
        [Path(sys.executable).with_name("schemathesis"), "run", f"http://127.0.0.1:{told['port']}/v1/openapi.json",
         "--header", f"Authorization: Bearer {told['token']}", "--exclude-path", "/v1/events",
         "--exclude-path", "/v1/stop", "--max-examples", "15", "--phases", "coverage,fuzzing", "--seed", "1",
         "--request-timeout", "60", "--no-color", "--checks", ",".join(CHECKS)],
        cwd=home.root, capture_output=True, text=True, timeout=600, check=False,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stdout
    assert "Traceback" not in (home.root / "stderr.txt").read_text(errors="replace")
