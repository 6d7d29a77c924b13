"""The calls that explain: what is answered, where the pictures are, and for how long."""

from __future__ import annotations

import asyncio
import io
import json
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest
from PIL import Image

from alphadrop import paths
from alphadrop.client import endpoint_file, socket_file
from alphadrop.errors import ExplainFailed, ExtraMissing, NoSuchExplanation
from alphadrop.pipeline.explain_apart import File
from alphadrop.service.explaining import Archive
from alphadrop.service.refusals import answer_to
from daemon_process import PATIENCE, Home, running, wait_for

SHEETS = [
    "explain.png",
    *(f"stage-{name}.png" for name in "en1 en2 en3 en4 en5 en6 de5 de4 de3 de2 de1".split()),
    *(f"side-{number}.png" for number in range(1, 7)),
    "fused.png",
]


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Home, int]]:
    home = Home(tmp_path_factory.mktemp("h"))
    twin = paths.embedded_models() / "u2net-int8.onnx"
    home.configure(top=f"models:\n- {{name: twin, file: {twin}, input_size: 320, scale: max}}")
    with running(home) as process:
        yield home, process.pid


@pytest.fixture(scope="module")
def api(daemon: tuple[Home, int]) -> Iterator[httpx.Client]:
    transport = httpx.HTTPTransport(uds=str(socket_file(daemon[0].run)))
    with httpx.Client(transport=transport, base_url="http://localhost", timeout=PATIENCE) as client:
        yield client


@pytest.fixture(scope="module")
def photograph(photographs: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("small") / "cup.jpg"
    with Image.open(photographs["coffee"]) as image:
        image.resize((300, 200)).save(file)
    return file


@pytest.fixture(scope="module")
def told(api: httpx.Client, photograph: Path) -> dict[str, Any]:
    answer = api.post("/v1/explain", content=photograph.read_bytes())
    assert answer.status_code == 201, answer.text
    found: dict[str, Any] = answer.json()
    return found


def refused(answer: httpx.Response, status: int, code: str) -> str:
    error = answer.json()["error"]
    assert (answer.status_code, error["code"]) == (status, code), error
    return str(error["hint"])


def test_every_stage_is_named_with_its_size_and_its_pictures(told: dict[str, Any]) -> None:
    stages = {stage["name"]: stage for stage in told["stages"]}
    assert [stage["file"] for stage in told["stages"]] == SHEETS[1:]
    assert [stages[name]["kind"] for name in ("en1", "de5", "side-3", "fused")] == [
        "encoder", "decoder", "side", "fused",
    ]  # fmt: skip
    assert [stages["en6"][side] for side in ("channels", "height", "width")] == [512, 10, 10]
    assert set(stages["en1"]["walk"]) == {"mean", "channels", "components"}
    assert set(stages["fused"]["walk"]) == {"map", "over"}
    assert stages["en1"]["difference"] is None
    named = {*SHEETS, *told["ends"].values(), *(file for stage in stages.values() for file in stage["walk"].values())}
    assert set(told["files"]) == named
    assert (told["width"], told["height"], told["subject"], told["model"]) == (300, 200, True, "u2net-int8")


def test_pictures_are_fetched_one_by_one_or_together(api: httpx.Client, told: dict[str, Any]) -> None:
    answer = api.get(f"/v1/explain/{told['id']}/explain.zip")
    assert answer.headers["content-type"] == "application/zip"
    with zipfile.ZipFile(io.BytesIO(answer.content)) as archive:
        assert archive.testzip() is None
        assert archive.namelist() == told["files"]
        for name, kind in (("explain.png", "png"), ("stage-en1.png", "png"), ("walk-fused-over.jpg", "jpeg")):
            one = api.get(f"/v1/explain/{told['id']}/{name}")
            assert one.headers["content-type"] == f"image/{kind}"
            assert one.content == archive.read(name)


def test_what_is_not_there_is_refused(
    api: httpx.Client, told: dict[str, Any], photograph: Path, daemon: tuple[Home, int]
) -> None:
    for path in (f"{told['id']}/other.png", f"{told['id'][::-1]}/explain.png", f"{told['id']}/..%2f..%2fetc"):
        answer = api.get(f"/v1/explain/{path}")
        assert answer.status_code == 404, path
    refused(api.get(f"/v1/explain/{told['id']}/other.png"), 404, "no_such_explanation")
    refused(api.post("/v1/photos/nothing/explain"), 404, "no_such_photo")
    refused(api.post("/v1/explain", content=b"dear diary"), 422, "unsupported_format")
    refused(api.post("/v1/explain", content=b""), 422, "empty")
    refused(api.post("/v1/explain?compare=u2nte", content=photograph.read_bytes()), 404, "unknown_model")
    assert "Traceback" not in (daemon[0].root / "stderr.txt").read_text(errors="replace")


@pytest.mark.long
def test_the_sheets_are_those_of_the_command(
    api: httpx.Client, told: dict[str, Any], daemon: tuple[Home, int], photograph: Path
) -> None:
    out = daemon[0].root / "explained"
    ran = daemon[0].alphadrop("explain", photograph, "-o", out)
    assert ran.returncode == 0, ran.stderr
    assert sorted(file.name for file in out.iterdir()) == sorted(SHEETS)
    for name in SHEETS:
        assert api.get(f"/v1/explain/{told['id']}/{name}").content == (out / name).read_bytes(), name


@pytest.mark.long
def test_two_networks_are_compared(api: httpx.Client, photograph: Path) -> None:
    number = api.post("/v1/photos", content=photograph.read_bytes()).json()["id"]
    answer = api.post(f"/v1/photos/{number}/explain?compare=twin")
    told = answer.json()
    assert (answer.status_code, told["compare"]) == (201, "twin")
    assert "difference.png" in told["files"]
    for stage in told["stages"]:
        assert stage["difference"]["largest"] == 0
        assert stage["walk"]["difference"] in told["files"]
        assert (stage["difference"]["flipped"] is None) == (stage["kind"] in ("encoder", "decoder"))


@pytest.mark.long
def test_a_zip_is_answered_where_one_is_wanted(api: httpx.Client, photograph: Path) -> None:
    answer = api.post("/v1/explain", content=photograph.read_bytes(), headers={"Accept": "application/zip"})
    assert (answer.status_code, answer.headers["content-type"]) == (201, "application/zip")
    with zipfile.ZipFile(io.BytesIO(answer.content)) as archive:
        assert set(SHEETS) <= set(archive.namelist())


@contextmanager
def listening(home: Home) -> Iterator[Iterator[dict[str, Any]]]:
    """Hear what is told of explanations, until one is at its end."""
    transport = httpx.HTTPTransport(uds=str(socket_file(home.run)))
    with (
        httpx.Client(transport=transport, base_url="http://localhost", timeout=PATIENCE) as client,
        client.stream("GET", "/v1/events") as events,
    ):
        lines = events.iter_lines()
        next(lines)

        def heard() -> Iterator[dict[str, Any]]:
            for line in lines:
                event = json.loads(line[6:]) if line.startswith("data: ") else {}
                if event.get("call") == "explain":
                    yield event
                    if event["state"] in ("done", "cancelled"):
                        return

        yield heard()


@pytest.mark.long
def test_progress_is_told(api: httpx.Client, daemon: tuple[Home, int], photograph: Path) -> None:
    number = api.post("/v1/photos", content=photograph.read_bytes()).json()["id"]
    with listening(daemon[0]) as events:
        files = api.post(f"/v1/photos/{number}/explain").json()["files"]
        heard = list(events)
    assert {event["photo"] for event in heard} == {number}
    assert [event["state"] for event in heard][:2] == ["waiting", "working"]
    parts = [event["progress"] for event in heard if "progress" in event]
    assert parts == sorted(parts)
    assert (len(parts), parts[-1]) == (len(files), 1)


@pytest.mark.long
def test_whoever_goes_away_ends_it(api: httpx.Client, daemon: tuple[Home, int], photograph: Path) -> None:
    home, pid = daemon
    with listening(home) as events:
        with pytest.raises(httpx.ReadTimeout):
            api.post("/v1/explain", content=photograph.read_bytes(), timeout=httpx.Timeout(PATIENCE, read=0.3))
        assert [event["state"] for event in events][-1] == "cancelled"
    wait_for(lambda: not psutil.Process(pid).children(), "the other process to be gone")


@pytest.mark.long
def test_the_daemon_is_as_small_afterwards_as_before(
    api: httpx.Client, told: dict[str, Any], daemon: tuple[Home, int], photograph: Path
) -> None:
    process = psutil.Process(daemon[1])
    before = process.memory_info().rss
    assert api.post("/v1/explain", content=photograph.read_bytes()).status_code == 201
    assert process.memory_info().rss < before + 20_000_000, "what an explanation takes is hundreds of megabytes"


def test_a_key_of_the_configuration_is_not_enough(daemon: tuple[Home, int]) -> None:
    port = json.loads(endpoint_file(daemon[0].run).read_text())["port"]
    answer = httpx.post(f"http://127.0.0.1:{port}/v1/explain", content=b"x")
    assert (answer.status_code, answer.json()["error"]["code"]) == (401, "no_token")


def test_an_archive_is_kept_without_a_name_and_gives_whole_files() -> None:
    archive = Archive()
    for number in range(3):
        archive.add(File(f"{number}.png", bytes([number]) * 300_000))
    archive.finish()
    assert archive.read("2.png") == b"\2" * 300_000

    async def whole() -> bytes:
        return b"".join([piece async for piece in archive.pieces()])

    packed = asyncio.run(whole())
    assert len(packed) == len(archive)
    with zipfile.ZipFile(io.BytesIO(packed)) as found:
        assert found.testzip() is None
    with pytest.raises(NoSuchExplanation):
        archive.read("3.png")


def test_what_cannot_be_explained_has_a_status_of_its_own() -> None:
    assert answer_to(ExtraMissing("needs onnx", "pip install")).status_code == 501
    assert answer_to(ExplainFailed("has no stages")).status_code == 422
