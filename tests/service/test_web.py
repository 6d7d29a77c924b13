"""The page as it is served, and the calls it makes: for who has a key, on the port of this machine."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

import httpx
import numpy as np
import pytest
from PIL import Image

from alphadrop import cut_out
from alphadrop.client import Client, endpoint_file
from alphadrop.errors import DaemonAnswered
from alphadrop.service.web import PAGE
from daemon_process import PATIENCE, Home, running, wait_for

FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"


@dataclass(frozen=True)
class Visitor:
    home: Home
    port: int

    @property
    def origin(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def ask(
        self, method: str, path: str, key: str = "", content: bytes | None = None, **headers: str
    ) -> httpx.Response:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        named |= {"Authorization": f"Bearer {key}"} if key else {}
        return httpx.request(
            method, f"{self.origin}{path}", content=content, headers={"User-Agent": FIREFOX, **named}, timeout=PATIENCE
        )

    def exchange(self, code: str, **headers: str) -> httpx.Response:
        named = {"Content-Type": "application/json", **headers}
        return self.ask("POST", "/v1/web/key", content=json.dumps({"code": code}).encode(), **named)

    def let_in(self) -> str:
        return str(self.exchange(Client(self.home.run).web_code()["code"]).json()["key"])


@pytest.fixture(scope="module")
def visitor(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Visitor]:
    home = Home(tmp_path_factory.mktemp("h"))
    home.configure(folder="settle: 100ms")
    with running(home):
        yield Visitor(home, json.loads(endpoint_file(home.run).read_text())["port"])


@pytest.fixture(scope="module")
def key(visitor: Visitor) -> str:
    return visitor.let_in()


@pytest.mark.parametrize("path", PAGE)
def test_the_page_is_served_to_everybody_and_guarded(visitor: Visitor, path: str) -> None:
    answer = visitor.ask("GET", path, Sec_Fetch_Site="cross-site")
    assert answer.status_code == 200
    assert answer.content == PAGE[path].read_bytes()
    policy = answer.headers["content-security-policy"]
    assert policy.startswith("default-src 'none'; script-src 'self'; style-src 'self';")
    assert "frame-ancestors 'none'" in policy
    assert "unsafe" not in policy
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["referrer-policy"] == "no-referrer"
    assert "set-cookie" not in answer.headers
    assert "access-control-allow-origin" not in answer.headers
    assert visitor.ask("HEAD", path).status_code == 200
    assert visitor.ask("GET", path, Host="evil.org").status_code == 403


def test_the_page_names_no_other_host_and_nothing_inline() -> None:
    for file in PAGE.values():
        text = file.read_text(encoding="utf-8")
        assert set(re.findall(r"https?://[^\s\"'<]+", text)) <= {"http://www.w3.org/2000/svg"}
        assert not re.search(r"\sstyle=|\son\w+=\"|<script>|<style>|innerHTML|eval\(", text), file


def test_what_the_pages_name_is_served_beside_them() -> None:
    assert {"/", "/page/api.html"} <= set(PAGE)
    for file in PAGE.values():
        if file.suffix == ".html":
            named = re.findall(r"(?:href|src)=\"(/page/[^\"#]+)", file.read_text(encoding="utf-8"))
            assert named
            assert set(named) <= set(PAGE)


def test_beside_the_page_nothing_is_served_without_a_key(visitor: Visitor) -> None:
    for path in ("/page/", "/page/nothing.js", "/page/../web.py", "/page/%2e%2e/web.py", "/index.html", "/v1/web/keys"):
        assert visitor.ask("GET", path).status_code == 401, path
    assert visitor.ask("POST", "/").status_code == 405


def test_a_key_is_good_for_what_the_page_does(visitor: Visitor, key: str) -> None:
    for path in ("/v1/status", "/v1/jobs", "/v1/models", "/v1/config"):
        assert visitor.ask("GET", path, key, Origin=visitor.origin, Sec_Fetch_Site="same-origin").status_code == 200
    for call in (("POST", "/v1/stop"), ("POST", "/v1/web/codes"), ("GET", "/v1/web/keys")):
        answer = visitor.ask(*call, key)
        assert (answer.status_code, answer.json()["error"]["code"]) == (403, "key_not_enough"), call
    assert visitor.ask("GET", "/v1/status", key, Origin="http://127.0.0.1:1").status_code == 403


def test_a_code_is_good_once_and_for_this_page_alone(visitor: Visitor) -> None:
    told = Client(visitor.home.run).web_code()
    assert told["address"] == f"{visitor.origin}/"
    assert visitor.exchange(told["code"], Origin="http://127.0.0.1:1").status_code == 403
    assert visitor.exchange(told["code"], Sec_Fetch_Site="same-site").status_code == 403
    answer = visitor.exchange(told["code"], Origin=visitor.origin)
    assert answer.status_code == 201
    assert visitor.ask("GET", "/v1/status", answer.json()["key"]).status_code == 200
    again = visitor.exchange(told["code"], Origin=visitor.origin)
    assert (again.status_code, again.json()["error"]["code"]) == (403, "code_refused")


def test_a_revoked_key_is_worth_nothing_and_hears_no_more(visitor: Visitor) -> None:
    client, key = Client(visitor.home.run), visitor.let_in()
    name = client.web_keys()[-1]["name"]
    headers = {"Authorization": f"Bearer {key}"}
    with httpx.stream("GET", f"{visitor.origin}/v1/events", headers=headers, timeout=PATIENCE) as events:
        lines = events.iter_lines()
        assert next(lines).startswith("id: ")
        client.revoke_web_key(name)
        client.pause(60)
        assert not any('"paused":{' in line for line in lines), "it was told what happened afterwards"
    client.resume()
    assert visitor.ask("GET", "/v1/status", key).status_code == 401
    with pytest.raises(DaemonAnswered) as refused:
        client.revoke_web_key(name)
    assert refused.value.remote_code == "no_such_key"


def test_neither_code_nor_key_is_in_a_log_or_a_file(visitor: Visitor) -> None:
    code = Client(visitor.home.run).web_code()["code"]
    key = visitor.exchange(code).json()["key"]
    for file in visitor.home.root.rglob("*"):
        if file.is_file():
            data = file.read_bytes()
            assert code.encode() not in data, file
            assert key.encode() not in data, file


def test_a_photograph_is_sent_once_and_cut_several_times(
    visitor: Visitor, key: str, photographs: dict[str, Path]
) -> None:
    photo = photographs["coffee"].read_bytes()
    kept = visitor.ask("POST", "/v1/photos", key, photo)
    assert kept.status_code == 201
    assert kept.json()["size"] == len(photo)
    call = f"/v1/photos/{kept.json()['id']}/cutout"
    for number, wishes in enumerate(("", "?shift_edge=-4", "?result=mask&edges=plain")):
        again = visitor.ask("POST", call + wishes, key)
        assert again.status_code == 200
        assert again.headers["alphadrop-outcome"] == "done"
        assert ("network" in json.loads(again.headers["alphadrop-seconds"])) == (number == 0), "it is looked at once"
        assert again.content == visitor.ask("POST", f"/v1/cutout{wishes}", key, photo).content


def test_a_kept_picture_lies_behind_a_photograph(visitor: Visitor, key: str, photographs: dict[str, Path]) -> None:
    number, behind = (
        visitor.ask("POST", "/v1/photos", key, photographs[name].read_bytes()).json()["id"]
        for name in ("cat", "rocket")
    )
    answer = visitor.ask("POST", f"/v1/photos/{number}/cutout?behind={behind}", key)
    wanted = cut_out(photographs["cat"], background=photographs["rocket"])
    with Image.open(BytesIO(answer.content)) as image:
        assert np.array_equal(np.asarray(image), np.asarray(wanted))
    whole = visitor.ask("POST", f"/v1/cutout?behind={behind}", key, photographs["cat"].read_bytes())
    assert whole.content == answer.content
    for query, status, code in (
        ("behind=gone", 404, "no_such_photo"),
        (f"behind={behind}&background=white", 422, "bad_options"),
    ):
        refused = visitor.ask("POST", f"/v1/photos/{number}/cutout?{query}", key)
        assert (refused.status_code, refused.json()["error"]["code"]) == (status, code)
    text = visitor.ask("POST", "/v1/photos", key, b"dear diary").json()["id"]
    refused = visitor.ask("POST", f"/v1/photos/{number}/cutout?behind={text}", key)
    assert refused.json()["error"]["message"].startswith("the background picture: ")


def test_a_photograph_that_browsers_do_not_know_has_a_preview(visitor: Visitor, key: str) -> None:
    stream = BytesIO()
    picture = Image.new("RGBA", (3000, 1500), (200, 30, 30, 255))
    picture.paste((0, 0, 0, 0), (0, 0, 1000, 1500))
    picture.save(stream, "TIFF", compression="tiff_lzw")
    kept = visitor.ask("POST", "/v1/photos", key, stream.getvalue()).json()["id"]
    answer = visitor.ask("GET", f"/v1/photos/{kept}/preview", key)
    assert answer.headers["content-type"] == "image/jpeg"
    with Image.open(BytesIO(answer.content)) as image:
        assert (image.size, image.mode) == ((2560, 1280), "RGB")
        red, white = image.getpixel((2000, 600)), image.getpixel((100, 600))
        assert max(abs(a - b) for a, b in zip(red, (200, 30, 30), strict=True)) < 5  # type: ignore[arg-type]
        assert min(white) > 250  # type: ignore[arg-type]


def test_what_is_not_kept_is_refused_in_words(visitor: Visitor, key: str) -> None:
    answer = visitor.ask("POST", "/v1/photos/nothing/cutout", key)
    assert (answer.status_code, answer.json()["error"]["code"]) == (404, "no_such_photo")
    answer = visitor.ask("POST", "/v1/photos", key, b"")
    assert (answer.status_code, answer.json()["error"]["code"]) == (422, "empty")
    kept = visitor.ask("POST", "/v1/photos", key, b"no picture").json()["id"]
    answer = visitor.ask("POST", f"/v1/photos/{kept}/cutout?name=my.jpg", key)
    assert (answer.status_code, answer.json()["error"]["code"]) == (422, "unsupported_format")
    assert "my.jpg" in answer.json()["error"]["message"]


def test_what_was_written_for_a_photograph_is_shown(visitor: Visitor, key: str, photographs: dict[str, Path]) -> None:
    home = visitor.home
    home.drop(photographs["coffee"], "cup.jpg")
    home.drop(Path(__file__), "text.jpg")
    jobs = wait_for(lambda: ended(home), "both to be done")
    whole = visitor.ask("GET", f"/v1/jobs/{jobs['cup.jpg']}/output", key)
    assert whole.headers["content-type"] == "image/png"
    assert whole.content == (home.output / "cup.png").read_bytes()
    small = visitor.ask("GET", f"/v1/jobs/{jobs['cup.jpg']}/thumbnail", key)
    with Image.open(BytesIO(small.content)) as image:
        assert (image.format, image.mode, max(image.size)) == ("PNG", "RGBA", 320)
        assert image.getpixel((0, 0))[3] == 0  # type: ignore[index]
    for what in ("output", "thumbnail"):
        assert visitor.ask("GET", f"/v1/jobs/{jobs['text.jpg']}/{what}", key).status_code == 409
        assert visitor.ask("GET", f"/v1/jobs/999/{what}", key).status_code == 404


def ended(home: Home) -> dict[str, int]:
    jobs = {job["path"]: job["id"] for job in Client(home.run).jobs() if job["state"] in ("done", "failed")}
    return jobs if len(jobs) == 2 else {}


def test_an_output_that_is_a_link_now_is_not_followed(visitor: Visitor, key: str) -> None:
    (number,) = (job["id"] for job in Client(visitor.home.run).jobs() if job["outputs"])
    output = visitor.home.output / "cup.png"
    output.unlink()
    output.symlink_to("/etc/passwd")
    for what in ("output", "thumbnail"):
        answer = visitor.ask("GET", f"/v1/jobs/{number}/{what}", key)
        assert (answer.status_code, answer.json()["error"]["code"]) == (503, "cannot_read")


def test_a_page_that_is_turned_off_is_gone_and_programs_are_answered(visitor: Visitor, key: str) -> None:
    visitor.home.configure(top="web: {enabled: false}")
    wait_for(lambda: visitor.ask("GET", "/").status_code == 404, "the page to be gone")
    answer = visitor.ask("GET", "/")
    assert answer.json()["error"]["code"] == "no_page"
    assert "web: {enabled: true}" in answer.json()["error"]["hint"]
    with pytest.raises(DaemonAnswered, match="turned off"):
        Client(visitor.home.run).web_code()
    token = json.loads(endpoint_file(visitor.home.run).read_text())["token"]
    assert visitor.ask("GET", "/v1/status", token).status_code == 200
    assert visitor.ask("GET", "/v1/status", key).status_code == 401
    visitor.home.configure()
    wait_for(lambda: visitor.ask("GET", "/").status_code == 200, "the page to be back")
    assert visitor.ask("GET", "/v1/status", key).status_code == 200
