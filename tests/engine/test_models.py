"""The registry, the checksums, and the download against a real server on this machine."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from types import SimpleNamespace

import pytest

from alphadrop import paths
from alphadrop.engine import download
from alphadrop.engine.checksums import verify
from alphadrop.engine.download import pull
from alphadrop.engine.models import ModelSpec, find_spec, locate, registry
from alphadrop.errors import (
    BadOptions,
    CannotRead,
    CannotWrite,
    DiskFull,
    DownloadFailed,
    LicenceRefused,
    ModelDamaged,
    ModelMissing,
    UnknownModel,
)

BODY = bytes(range(256)) * 4096
OTHER = bytes(reversed(BODY))

SPEC = ModelSpec(
    name="little",
    file="little.onnx",
    input_size=320,
    scale="max",
    mean=(0.485, 0.456, 0.406),
    std=(0.229, 0.224, 0.225),
    activation="none",
    licence="Apache-2.0",
    commercial=True,
    url="http://nowhere.invalid/little.onnx",
    sha256=hashlib.sha256(BODY).hexdigest(),
    size=len(BODY),
)
MD5_ONLY = replace(SPEC, sha256=None, md5=hashlib.md5(BODY).hexdigest(), size=None)


@dataclass
class Server:
    """What the server does, to be changed by a test between two requests, and what it was asked."""

    url: str
    body: bytes = BODY
    etag: str = '"1"'
    status: int = 200
    ranges: bool = True
    heeds_if_range: bool = True
    says_length: bool = True
    breaks_after: int | None = None
    """Bytes sent before the connection is closed."""
    location: str | None = None
    redirects_once: bool = False
    asked: list[dict[str, str]] = field(default_factory=list)
    """The headers of each request."""


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setenv("no_proxy", "*")

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            state.asked.append(dict(self.headers.items()))
            location = f"{state.url}?elsewhere" if state.redirects_once else state.location
            state.redirects_once = False
            if location is not None:
                self.send_response(302)
                self.send_header("Location", location)
                self.end_headers()
                return
            if state.status != 200:
                self.send_error(state.status)
                return
            wanted = self.headers.get("Range")
            same = not state.heeds_if_range or self.headers.get("If-Range") == state.etag
            start = int(wanted.removeprefix("bytes=").rstrip("-")) if wanted and state.ranges and same else 0
            if start >= len(state.body):
                self.send_error(416)
                return
            self.send_response(206 if start else 200)
            if start:
                self.send_header("Content-Range", f"bytes {start}-{len(state.body) - 1}/{len(state.body)}")
            if state.etag:
                self.send_header("ETag", state.etag)
            if state.says_length:
                self.send_header("Content-Length", str(len(state.body) - start))
            self.end_headers()
            self.wfile.write(state.body[start:][: state.breaks_after])

        def log_message(self, format: str, *args: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as listening:
        state = Server(f"http://127.0.0.1:{listening.server_port}/little.onnx")
        thread = threading.Thread(target=listening.serve_forever, args=(0.01,))
        thread.start()
        yield state
        listening.shutdown()
        thread.join()


def break_off(server: Server, folder: Path, spec: ModelSpec = SPEC, after: int = 100_000) -> Path:
    """Leave a download broken off, and return the partial file."""
    server.breaks_after = after
    with pytest.raises(DownloadFailed):
        pull(spec, folder=folder, url=server.url)
    server.breaks_after = None
    return folder / "little.onnx.download"


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


class TestRegistry:
    def test_knows_every_model_once(self) -> None:
        assert list(registry()) == [
            "u2net-int8",
            "u2netp",
            "u2net",
            "u2net_human_seg",
            "silueta",
            "isnet-general-use",
            "isnet-anime",
            "birefnet-general",
            "birefnet-general-lite",
            "birefnet-portrait",
            "bria-rmbg",
        ]
        assert len({spec.file for spec in registry().values()}) == len(registry())

    def test_second_opinions_come_with_alphadrop_and_see_as_much(self) -> None:
        first = registry()["u2net-int8"]
        assert first.second is not None
        second = registry()[first.second]
        assert (paths.embedded_models() / second.file).is_file()
        assert second.input_size == first.input_size
        assert second.second is None

    @pytest.mark.parametrize("spec", registry().values(), ids=lambda spec: spec.name)
    def test_row_is_complete(self, spec: ModelSpec) -> None:
        assert spec.sha256 or spec.md5
        assert spec.sha256 is None or len(bytes.fromhex(spec.sha256)) == 32
        assert spec.md5 is None or len(bytes.fromhex(spec.md5)) == 16
        assert spec.input_size in (320, 1024)
        assert spec.scale in ("max", "255")
        assert spec.activation in ("none", "sigmoid")
        assert isinstance(spec.mean, tuple)
        assert isinstance(spec.std, tuple)
        assert len(spec.mean) == len(spec.std) == 3
        assert min(spec.std) > 0
        assert spec.licence
        assert spec.description.endswith(".")
        assert spec.commercial in (True, False, None)
        if spec.url is not None:
            assert spec.url.startswith("https://")
            assert spec.url.endswith(f"/{spec.file}")

    def test_only_the_embedded_models_have_no_address(self) -> None:
        assert [spec.name for spec in registry().values() if spec.url is None] == ["u2net-int8", "u2netp"]

    def test_users_row_wins(self) -> None:
        own = replace(SPEC, name="u2net", file="/elsewhere/u2net.onnx")
        assert registry([own])["u2net"] is own
        assert registry()["u2net"] is not own

    def test_each_caller_has_a_table_of_its_own(self) -> None:
        registry().clear()
        assert registry()

    def test_missing_registry_is_named(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        monkeypatch.setattr(paths, "registry_file", lambda: tmp_path / "registry.yaml")
        with pytest.raises(CannotRead, match=r"registry\.yaml"):
            registry()

    def test_reading_it_loads_nothing_heavy(self) -> None:
        program = (
            "import sys; from alphadrop.engine.models import registry; registry(); "
            "print(*{'numpy', 'PIL', 'onnxruntime', 'urllib.request'} & set(sys.modules))"
        )
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
        loaded = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, check=True)
        assert loaded.stdout.split() == []


class TestFindSpec:
    def test_known(self) -> None:
        assert find_spec("u2netp", registry()).file == "u2netp.onnx"

    @pytest.mark.parametrize(("typed", "meant"), [("u2-net", "u2net"), ("U2NETP", "u2netp"), ("isnet", "isnet-anime")])
    def test_nearest_spelling(self, typed: str, meant: str) -> None:
        with pytest.raises(UnknownModel, match=f"no model is called '{typed}'") as raised:
            find_spec(typed, registry())
        assert raised.value.hint.startswith(f"did you mean {meant}? the models are u2net-int8, ")

    def test_nothing_near(self) -> None:
        with pytest.raises(UnknownModel) as raised:
            find_spec("zzzz", registry())
        assert raised.value.hint.startswith("the models are ")


class TestLocate:
    def test_embedded(self) -> None:
        assert locate(registry()["u2net-int8"], [Path("/nowhere"), paths.embedded_models()]).is_file()

    def test_users_folder_comes_first(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        monkeypatch.setenv("ALPHADROP_DATA_DIR", str(tmp_path))
        (tmp_path / "models").mkdir()
        mine = tmp_path / "models" / "u2net-int8.onnx"
        mine.write_bytes(b"mine")
        assert locate(registry()["u2net-int8"]) == mine

    def test_own_model_by_absolute_path(self, tmp_path: Path) -> None:
        own = replace(SPEC, file=str(tmp_path / "own.onnx"), url=None)
        with pytest.raises(ModelMissing, match=r"own\.onnx") as raised:
            locate(own)
        assert "configuration" in raised.value.hint
        Path(own.file).write_bytes(BODY)
        assert locate(own) == Path(own.file)

    def test_missing_says_how_to_fetch_it(self, tmp_path: Path) -> None:
        with pytest.raises(ModelMissing) as raised:
            locate(SPEC, [tmp_path])
        assert raised.value.hint == "alphadrop models pull little"

    def test_missing_and_non_commercial(self, tmp_path: Path) -> None:
        with pytest.raises(ModelMissing) as raised:
            locate(replace(SPEC, commercial=False), [tmp_path])
        assert raised.value.hint == "alphadrop models pull little --accept-licence"

    def test_missing_without_address_says_where_it_goes(self, tmp_path: Path) -> None:
        with pytest.raises(ModelMissing) as raised:
            locate(replace(SPEC, url=None), [tmp_path])
        assert raised.value.hint == f"put little.onnx into {tmp_path}"


class TestVerify:
    def test_embedded_model_is_the_one_of_the_registry(self) -> None:
        spec = registry()["u2net-int8"]
        verify(spec, paths.embedded_models() / spec.file)

    def test_wrong_size(self, tmp_path: Path) -> None:
        (tmp_path / "m").write_bytes(BODY[:-1])
        with pytest.raises(ModelDamaged, match=f"expected {len(BODY)} bytes, got {len(BODY) - 1}"):
            verify(SPEC, tmp_path / "m")

    def test_wrong_sha256(self, tmp_path: Path) -> None:
        (tmp_path / "m").write_bytes(OTHER)
        with pytest.raises(ModelDamaged, match="SHA-256") as raised:
            verify(SPEC, tmp_path / "m")
        assert str(SPEC.sha256) in raised.value.message
        assert hashlib.sha256(OTHER).hexdigest() in raised.value.message
        assert raised.value.hint == "fetch it again: alphadrop models pull little"

    def test_wrong_md5_where_only_that_is_published(self, tmp_path: Path) -> None:
        (tmp_path / "m").write_bytes(BODY)
        verify(MD5_ONLY, tmp_path / "m")
        (tmp_path / "m").write_bytes(OTHER)
        with pytest.raises(ModelDamaged, match=f"expected MD5 {MD5_ONLY.md5}"):
            verify(MD5_ONLY, tmp_path / "m")

    def test_own_model_without_checksum(self, tmp_path: Path) -> None:
        (tmp_path / "m").write_bytes(OTHER)
        verify(replace(SPEC, sha256=None, size=None), tmp_path / "m")

    def test_missing(self, tmp_path: Path) -> None:
        with pytest.raises(ModelMissing):
            verify(SPEC, tmp_path / "m")

    def test_unreadable(self, tmp_path: Path) -> None:
        with pytest.raises(CannotRead):
            verify(SPEC, tmp_path)


class TestPull:
    def test_whole(self, server: Server, tmp_path: Path) -> None:
        told: list[tuple[int, int | None]] = []
        path = pull(SPEC, folder=tmp_path / "new" / "models", url=server.url, progress=lambda *now: told.append(now))
        assert path.read_bytes() == BODY
        assert names(path.parent) == {"little.onnx"}
        assert told[-1] == (len(BODY), len(BODY))
        assert told == sorted(told)
        assert server.asked[0]["User-Agent"] == "alphadrop"

    def test_goes_to_the_users_folder(self, server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("ALPHADROP_DATA_DIR", str(tmp_path))
        assert pull(replace(SPEC, url=server.url)) == tmp_path / "models" / "little.onnx"

    def test_server_that_does_not_say_the_length(self, server: Server, tmp_path: Path) -> None:
        server.says_length = False
        assert pull(SPEC, folder=tmp_path, url=server.url).read_bytes() == BODY

    def test_good_file_is_not_fetched_again(self, server: Server, tmp_path: Path) -> None:
        pull(SPEC, folder=tmp_path, url=server.url)
        pull(SPEC, folder=tmp_path, url=server.url)
        assert len(server.asked) == 1

    def test_damaged_file_is_replaced(self, server: Server, tmp_path: Path) -> None:
        (tmp_path / "little.onnx").write_bytes(OTHER)
        assert pull(SPEC, folder=tmp_path, url=server.url).read_bytes() == BODY

    def test_damaged_file_stays_until_there_is_a_better_one(self, server: Server, tmp_path: Path) -> None:
        (tmp_path / "little.onnx").write_bytes(OTHER)
        break_off(server, tmp_path)
        assert (tmp_path / "little.onnx").read_bytes() == OTHER

    def test_broken_off_keeps_what_came(self, server: Server, tmp_path: Path) -> None:
        server.breaks_after = 100_000
        with pytest.raises(DownloadFailed, match=f"100000 of {len(BODY)} bytes") as raised:
            pull(SPEC, folder=tmp_path, url=server.url)
        assert "goes on from there: alphadrop models pull little" in raised.value.hint
        assert (tmp_path / "little.onnx.download").read_bytes() == BODY[:100_000]
        assert not (tmp_path / "little.onnx").exists()

    def test_goes_on_from_there(self, server: Server, tmp_path: Path) -> None:
        break_off(server, tmp_path)
        told: list[tuple[int, int | None]] = []
        path = pull(SPEC, folder=tmp_path, url=server.url, progress=lambda *now: told.append(now))
        assert path.read_bytes() == BODY
        assert (server.asked[1]["Range"], server.asked[1]["If-Range"]) == ("bytes=100000-", '"1"')
        assert told[0][0] > 100_000
        assert told[-1] == (len(BODY), len(BODY))
        assert names(tmp_path) == {"little.onnx"}

    def test_breaks_off_twice(self, server: Server, tmp_path: Path) -> None:
        break_off(server, tmp_path)
        partial = break_off(server, tmp_path)
        assert partial.read_bytes() == BODY[:200_000]
        assert pull(SPEC, folder=tmp_path, url=server.url).read_bytes() == BODY

    def test_server_without_ranges_starts_over(self, server: Server, tmp_path: Path) -> None:
        break_off(server, tmp_path)
        server.ranges = False
        assert pull(SPEC, folder=tmp_path, url=server.url).read_bytes() == BODY
        assert "Range" in server.asked[1]

    def test_file_changed_between_two_attempts_starts_over(self, server: Server, tmp_path: Path) -> None:
        server.body = OTHER
        break_off(server, tmp_path)
        server.body, server.etag = BODY, '"2"'
        assert pull(SPEC, folder=tmp_path, url=server.url).read_bytes() == BODY

    def test_file_changed_and_server_does_not_heed_it(self, server: Server, tmp_path: Path) -> None:
        server.body = OTHER
        break_off(server, tmp_path)
        server.body, server.heeds_if_range = BODY, False
        with pytest.raises(ModelDamaged):
            pull(SPEC, folder=tmp_path, url=server.url)
        assert pull(SPEC, folder=tmp_path, url=server.url).read_bytes() == BODY

    def test_nothing_left_to_send_starts_over(self, server: Server, tmp_path: Path) -> None:
        spec = replace(SPEC, size=None)
        partial = break_off(server, tmp_path, spec)
        partial.write_bytes(BODY + b"more")
        assert pull(spec, folder=tmp_path, url=server.url).read_bytes() == BODY
        assert ["Range" in headers for headers in server.asked] == [False, True, False]

    def test_complete_but_not_yet_in_place(self, server: Server, tmp_path: Path) -> None:
        break_off(server, tmp_path).write_bytes(BODY)
        assert pull(SPEC, folder=tmp_path, url=server.url).read_bytes() == BODY
        assert len(server.asked) == 1

    @pytest.mark.parametrize("etag", ["", 'W/"1"'])
    def test_server_that_cannot_tell_versions_starts_over(self, server: Server, tmp_path: Path, etag: str) -> None:
        server.etag = etag
        partial = break_off(server, tmp_path)
        assert not partial.exists()
        assert pull(SPEC, folder=tmp_path, url=server.url).read_bytes() == BODY
        assert "Range" not in server.asked[1]

    def test_partial_of_another_address_is_not_used(self, server: Server, tmp_path: Path) -> None:
        break_off(server, tmp_path)
        pull(SPEC, folder=tmp_path, url=f"{server.url}?mirror")
        assert "Range" not in server.asked[1]

    def test_wrong_bytes_are_thrown_away(self, server: Server, tmp_path: Path) -> None:
        server.body = OTHER
        with pytest.raises(ModelDamaged) as raised:
            pull(SPEC, folder=tmp_path, url=server.url)
        assert str(SPEC.sha256) in raised.value.message
        assert hashlib.sha256(OTHER).hexdigest() in raised.value.message
        assert server.url in raised.value.message
        assert names(tmp_path) == set()

    @pytest.mark.parametrize("says_length", [True, False])
    def test_more_than_there_should_be(self, server: Server, tmp_path: Path, says_length: bool) -> None:
        server.body, server.says_length = BODY * 2, says_length
        with pytest.raises(ModelDamaged, match=f"at most {len(BODY)} bytes"):
            pull(SPEC, folder=tmp_path, url=server.url)
        assert names(tmp_path) == set()

    def test_unknown_size_has_a_limit(self, server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(download, "_LARGEST", 1000)
        with pytest.raises(ModelDamaged, match="at most 1000 bytes"):
            pull(replace(SPEC, size=None), folder=tmp_path, url=server.url)

    def test_no_such_file_on_the_server(self, server: Server, tmp_path: Path) -> None:
        server.status = 404
        with pytest.raises(DownloadFailed, match="404 Not Found"):
            pull(SPEC, folder=tmp_path, url=server.url)
        assert names(tmp_path) == set()

    def test_nobody_there(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("no_proxy", "*")
        with socket.create_server(("127.0.0.1", 0)) as taken:
            port = taken.getsockname()[1]
        url = f"http://127.0.0.1:{port}/little.onnx"
        with pytest.raises(DownloadFailed) as raised:
            pull(SPEC, folder=tmp_path, url=url)
        assert url in raised.value.message
        assert url in raised.value.hint
        assert str(tmp_path / "little.onnx") in raised.value.hint
        assert names(tmp_path) == set()

    @pytest.mark.parametrize("url", ["file:///etc/hostname", "ftp://127.0.0.1/x", "data:,x", "/etc/hostname"])
    def test_only_http(self, tmp_path: Path, url: str) -> None:
        with pytest.raises(BadOptions):
            pull(SPEC, folder=tmp_path, url=url)

    @pytest.mark.parametrize("url", ["file:///etc/hostname", "ftp://127.0.0.1/x"])
    def test_redirect_to_anything_but_http(self, server: Server, tmp_path: Path, url: str) -> None:
        server.location = url
        with pytest.raises(DownloadFailed, match=r"302|unknown url type"):
            pull(SPEC, folder=tmp_path, url=server.url)

    def test_redirect(self, server: Server, tmp_path: Path) -> None:
        server.redirects_once = True
        assert pull(SPEC, folder=tmp_path, url=server.url).read_bytes() == BODY
        assert len(server.asked) == 2

    def test_another_process_is_at_it(self, server: Server, tmp_path: Path) -> None:
        with (tmp_path / "little.onnx.download").open("wb") as other:
            fcntl.flock(other, fcntl.LOCK_EX)
            with pytest.raises(DownloadFailed, match="another process"):
                pull(SPEC, folder=tmp_path, url=server.url)
        assert pull(SPEC, folder=tmp_path, url=server.url).read_bytes() == BODY

    def test_interrupted_and_gone_on_with(self, server: Server, tmp_path: Path) -> None:
        def interrupt(_have: int, _total: int | None) -> None:
            raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            pull(SPEC, folder=tmp_path, url=server.url, progress=interrupt)
        assert pull(SPEC, folder=tmp_path, url=server.url).read_bytes() == BODY
        assert "Range" in server.asked[1]

    def test_embedded_is_verified_and_here(self, tmp_path: Path) -> None:
        spec = registry()["u2net-int8"]
        assert pull(spec, folder=tmp_path) == paths.embedded_models() / spec.file

    def test_embedded_and_damaged(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        spec = registry()["u2net-int8"]
        monkeypatch.setattr(paths, "embedded_models", lambda: tmp_path)
        (tmp_path / "u2net-int8.onnx").write_bytes(b"torn")
        with pytest.raises(ModelDamaged) as raised:
            pull(spec, folder=tmp_path / "user")
        assert raised.value.hint == "install Alphadrop again"


class TestLicence:
    def test_refused_before_anything_is_asked(self, server: Server, tmp_path: Path) -> None:
        spec = replace(SPEC, commercial=False, licence="for looking at only")
        with pytest.raises(LicenceRefused, match="for looking at only") as raised:
            pull(spec, folder=tmp_path, url=server.url)
        assert "--accept-licence" in raised.value.hint
        assert server.asked == []
        assert names(tmp_path) == set()

    def test_accepted(self, server: Server, tmp_path: Path) -> None:
        spec = replace(SPEC, commercial=False)
        assert pull(spec, folder=tmp_path, url=server.url, accept_licence=True).is_file()

    def test_not_stated_is_no_refusal(self, server: Server, tmp_path: Path) -> None:
        assert pull(replace(SPEC, commercial=None), folder=tmp_path, url=server.url).is_file()


class TestPins:
    def test_sha256_seen_first_counts_from_then_on(self, server: Server, tmp_path: Path) -> None:
        path = pull(MD5_ONLY, folder=tmp_path, url=server.url)
        pins = json.loads((tmp_path / "pins.json").read_text(encoding="utf-8"))
        assert pins == {"little.onnx": {"md5": MD5_ONLY.md5, "sha256": SPEC.sha256}}
        path.write_bytes(OTHER)
        with pytest.raises(ModelDamaged, match=f"expected SHA-256 {SPEC.sha256}"):
            verify(MD5_ONLY, path)

    def test_download_must_have_the_pin_too(self, server: Server, tmp_path: Path) -> None:
        pin = {"little.onnx": {"md5": MD5_ONLY.md5, "sha256": "0" * 64}}
        (tmp_path / "pins.json").write_text(json.dumps(pin), encoding="utf-8")
        with pytest.raises(ModelDamaged, match="expected SHA-256 0000"):
            pull(MD5_ONLY, folder=tmp_path, url=server.url)

    def test_new_version_in_the_registry_is_not_held_to_the_old_pin(self, server: Server, tmp_path: Path) -> None:
        pull(MD5_ONLY, folder=tmp_path, url=server.url)
        server.body, server.etag = OTHER, '"2"'
        newer = replace(MD5_ONLY, md5=hashlib.md5(OTHER).hexdigest())
        assert pull(newer, folder=tmp_path, url=server.url).read_bytes() == OTHER
        verify(newer, tmp_path / "little.onnx")

    def test_file_put_there_by_hand_is_pinned(self, server: Server, tmp_path: Path) -> None:
        (tmp_path / "little.onnx").write_bytes(BODY)
        pull(MD5_ONLY, folder=tmp_path, url=server.url)
        assert server.asked == []
        assert "little.onnx" in json.loads((tmp_path / "pins.json").read_text(encoding="utf-8"))

    def test_other_pins_stay(self, server: Server, tmp_path: Path) -> None:
        kept = {"other.onnx": {"md5": "a", "sha256": "b"}}
        (tmp_path / "pins.json").write_text(json.dumps(kept), encoding="utf-8")
        pull(MD5_ONLY, folder=tmp_path, url=server.url)
        assert json.loads((tmp_path / "pins.json").read_text(encoding="utf-8")).items() >= kept.items()

    @pytest.mark.parametrize("text", ["{", "[]", '{"little.onnx": "x"}'])
    def test_damaged_list_is_named(self, tmp_path: Path, text: str) -> None:
        (tmp_path / "little.onnx").write_bytes(BODY)
        (tmp_path / "pins.json").write_text(text, encoding="utf-8")
        with pytest.raises(ModelDamaged, match=r"pins\.json") as raised:
            verify(MD5_ONLY, tmp_path / "little.onnx")
        assert raised.value.hint == "delete it"


class TestDisk:
    def test_too_little_space_is_said_before_fetching(
        self, server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(shutil, "disk_usage", lambda _folder: SimpleNamespace(free=1000))
        with pytest.raises(DiskFull, match="1000 are free"):
            pull(SPEC, folder=tmp_path, url=server.url)
        assert names(tmp_path) == set()

    @pytest.mark.skipif(not Path("/dev/full").exists(), reason="the system has no device that is always full")
    def test_full_on_the_way(self, server: Server, tmp_path: Path) -> None:
        (tmp_path / "little.onnx.download").symlink_to("/dev/full")
        with pytest.raises(DiskFull):
            pull(SPEC, folder=tmp_path, url=server.url)
        assert names(tmp_path) == set()

    def test_folder_cannot_be_made(self, server: Server, tmp_path: Path) -> None:
        (tmp_path / "file").write_bytes(b"")
        with pytest.raises(CannotWrite):
            pull(SPEC, folder=tmp_path / "file" / "models", url=server.url)
