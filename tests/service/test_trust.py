"""Who is let in: on the own socket this user alone, on the port who shows the token and comes from nowhere else."""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import socket
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass

import httpx
import psutil
import pytest
from starlette.types import Message, Receive, Scope, Send

from alphadrop.client import endpoint_file, socket_file
from alphadrop.service.trust import Trust
from daemon_process import PATIENCE, Home, running, wait_for


def as_another_user(*command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command, user=65_534, group=65_534, extra_groups=[], cwd="/", capture_output=True, text=True, check=False
    )


KEY = "a key of a shop"
PAGE = "https://shop.example.org"
TOP = f"""\
keys: [{{name: shop, sha256: {hashlib.sha256(KEY.encode()).hexdigest()}}}]
allow_origins: ['{PAGE}']
web: {{port: 7900}}"""
GUARDS = {
    "x-content-type-options": "nosniff",
    "cache-control": "no-store",
    "cross-origin-resource-policy": "same-origin",
    "content-security-policy": "default-src 'none'; frame-ancestors 'none'",
    "referrer-policy": "no-referrer",
}


@dataclass(frozen=True)
class Daemon:
    home: Home
    pid: int
    port: int
    token: str

    def ask(self, path: str = "/v1/status", method: str = "GET", **headers: str) -> httpx.Response:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return httpx.request(method, f"http://127.0.0.1:{self.port}{path}", headers=named, timeout=PATIENCE)

    def refused(self, status: int, code: str, **headers: str) -> httpx.Response:
        answer = self.ask(**headers)
        told = answer.json()["error"]
        assert (answer.status_code, told["code"]) == (status, code)
        assert set(told) == {"code", "message", "hint"}
        assert answer.headers["connection"] == "close"
        return answer


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    home = Home(tmp_path_factory.mktemp("h"))
    home.configure(top=TOP)
    with running(home) as process:
        told = json.loads(endpoint_file(home.run).read_text())
        yield Daemon(home, process.pid, told["port"], told["token"])


def test_whoever_shows_the_token_is_served(daemon: Daemon) -> None:
    for headers in ({"Authorization": f"Bearer {daemon.token}"}, {"X_Api_Key": daemon.token}):
        answer = daemon.ask(**headers)
        assert answer.status_code == 200
        assert answer.json()["pid"] == daemon.pid
        assert GUARDS.items() <= dict(answer.headers).items()
        assert "server" not in answer.headers


def test_without_the_token_nobody_is(daemon: Daemon) -> None:
    answer = daemon.refused(401, "no_token")
    assert answer.headers["www-authenticate"] == "Bearer"
    assert "endpoint.json" in answer.json()["error"]["hint"]
    assert GUARDS.items() <= dict(answer.headers).items()
    for shown in ("Bearer", f"Basic {daemon.token}", f"Token {daemon.token}"):
        daemon.refused(401, "no_token", Authorization=shown)
    for shown in ("x", daemon.token[:-1], f"{daemon.token}x"):
        daemon.refused(401, "wrong_token", X_Api_Key=shown)
    for path in ("/v1/openapi.json", "/nothing", "/v1/stop"):
        assert daemon.ask(path).status_code == 401
    assert daemon.ask("/v1/stop", "POST").status_code == 401


def test_who_is_refused_while_he_sends_a_photograph_is_told_why(daemon: Daemon) -> None:
    for length in (100, 12_000_000):
        head = (
            f"POST /v1/cutout HTTP/1.1\r\nHost: 127.0.0.1:{daemon.port}\r\nX-Api-Key: wrong\r\n"
            f"Content-Length: {length}\r\n\r\n"
        ).encode()
        with socket.create_connection(("127.0.0.1", daemon.port), timeout=PATIENCE) as client:
            client.sendall(head + bytes(length))
            answer = b"".join(iter(lambda: client.recv(65_536), b""))
        assert answer.startswith(b"HTTP/1.1 401 ")
        assert b"wrong_token" in answer


def test_who_is_refused_and_sends_no_more_is_told_why(daemon: Daemon) -> None:
    head = f"POST /v1/cutout HTTP/1.1\r\nHost: 127.0.0.1:{daemon.port}\r\nContent-Length: 99\r\n\r\n"
    for waiting in ("", "Expect: 100-continue\r\n"):
        with socket.create_connection(("127.0.0.1", daemon.port), timeout=PATIENCE) as client:
            client.sendall(head.replace("\r\n\r\n", f"\r\n{waiting}\r\n").encode())
            answer = b"".join(iter(lambda: client.recv(65_536), b""))
        assert answer.startswith(b"HTTP/1.1 401 ")


@pytest.mark.parametrize(
    "host", ["", "example.org", "127.0.0.1", "localhost", "127.0.0.1:1", "evil.org:{port}", "[::1]:{port}"]
)
def test_a_name_that_is_not_ours_is_refused_even_with_the_token(daemon: Daemon, host: str) -> None:
    token = f"Bearer {daemon.token}"
    daemon.refused(403, "wrong_host", Host=host.format(port=daemon.port), Authorization=token)


def test_both_names_of_this_machine_are_ours(daemon: Daemon) -> None:
    for host in ("127.0.0.1", "localhost"):
        answer = daemon.ask(Host=f"{host}:{daemon.port}", Authorization=f"Bearer {daemon.token}")
        assert answer.status_code == 200


@pytest.mark.parametrize(
    "origin", ["null", "http://evil.org", "https://127.0.0.1:{port}", "http://127.0.0.1:1", "http://127.0.0.1"]
)
def test_a_page_of_another_site_is_refused_even_with_the_token(daemon: Daemon, origin: str) -> None:
    origin, token = origin.format(port=daemon.port), f"Bearer {daemon.token}"
    answer = daemon.refused(403, "wrong_origin", Origin=origin, Authorization=token)
    assert "access-control-allow-origin" not in answer.headers
    for site in ("cross-site", "same-site"):
        daemon.refused(403, "wrong_origin", Sec_Fetch_Site=site, Authorization=token)


def test_a_page_of_ours_is_served(daemon: Daemon) -> None:
    token = f"Bearer {daemon.token}"
    for host in ("127.0.0.1", "localhost"):
        assert daemon.ask(Origin=f"http://{host}:{daemon.port}", Authorization=token).status_code == 200
    assert daemon.ask(Sec_Fetch_Site="same-origin", Authorization=token).status_code == 200


def test_two_hosts_or_two_tokens_are_none(daemon: Daemon) -> None:
    good = f"127.0.0.1:{daemon.port}"
    for twice, code in (("Host: evil.org", 400), (f"Authorization: Bearer {daemon.token}", 401)):
        lines = ["GET /v1/status HTTP/1.1", f"Host: {good}", f"Authorization: Bearer {daemon.token}", twice, "", ""]
        with socket.create_connection(("127.0.0.1", daemon.port), timeout=PATIENCE) as client:
            client.sendall("\r\n".join(lines).encode())
            assert client.recv(1000).split()[1] == str(code).encode()


def test_headers_of_proxies_are_not_believed(daemon: Daemon) -> None:
    daemon.refused(
        403, "wrong_host", Host="evil.org", X_Forwarded_Host=f"127.0.0.1:{daemon.port}",
        Authorization=f"Bearer {daemon.token}",
    )  # fmt: skip


def test_it_listens_on_this_machine_alone(daemon: Daemon) -> None:
    listening = [each.laddr for each in psutil.Process(daemon.pid).net_connections("inet") if each.status == "LISTEN"]
    assert [tuple(each) for each in listening] == [("127.0.0.1", daemon.port)]


def test_the_own_socket_asks_for_nothing(daemon: Daemon) -> None:
    transport = httpx.HTTPTransport(uds=str(socket_file(daemon.home.run)))
    with httpx.Client(transport=transport, base_url="http://anything", timeout=PATIENCE) as client:
        assert client.get("/v1/status").status_code == 200


def test_the_token_is_in_no_log(daemon: Daemon) -> None:
    daemon.ask(Authorization=f"Bearer {daemon.token}")
    logs = [daemon.home.root / "stderr.txt", *(daemon.home.root / "data" / "log").iterdir()]
    assert all(daemon.token not in log.read_text(errors="replace") for log in logs)


@pytest.mark.skipif(not hasattr(os, "getuid") or os.getuid() != 0, reason="only root can become another user")
def test_another_users_process_is_refused(daemon: Daemon) -> None:
    told = as_another_user("curl", "-sS", "--unix-socket", str(socket_file(daemon.home.run)), "http://x/v1/status")
    assert told.returncode == 7, told  # could not connect
    assert told.stdout == ""
    told = as_another_user("curl", "-sS", "-i", f"http://127.0.0.1:{daemon.port}/v1/status")
    assert told.stdout.startswith("HTTP/1.1 401"), told
    assert "pid" not in told.stdout
    told = as_another_user("cat", str(endpoint_file(daemon.home.run)))
    assert told.returncode != 0
    assert "token" not in told.stdout


@pytest.mark.skipif(not hasattr(os, "getuid") or os.getuid() != 0, reason="only root can become another user")
@pytest.mark.skipif(not hasattr(socket, "SO_PEERCRED"), reason="the system does not say who is at the other end")
def test_another_users_process_is_refused_where_the_folder_lets_it_in(daemon: Daemon) -> None:
    folder = daemon.home.run
    before = [(each, each.stat().st_mode & 0o7777) for each in (folder.parent, folder, socket_file(folder))]
    above = [each for each in folder.parents if each.stat().st_mode & 0o005 != 0o005 and each != folder.parent]
    before += [(each, each.stat().st_mode & 0o7777) for each in above]
    try:
        for each, _ in before:
            each.chmod(0o777)
        told = as_another_user("curl", "-sS", "-i", "--unix-socket", str(socket_file(folder)), "http://x/v1/status")
    finally:
        for each, mode in before:
            each.chmod(mode)
    # It is cut off at once, so that the refusal may not be read: but nothing else is.
    assert "pid" not in told.stdout
    assert told.returncode != 0 or told.stdout.startswith("HTTP/1.1 403"), told


def test_a_key_is_good_for_pictures_and_for_nothing_else(daemon: Daemon) -> None:
    assert daemon.ask("/v1/models", X_Api_Key=KEY).status_code == 200
    for path in ("/api/remove", "/v1/cutout", "/v1/matte"):
        assert daemon.ask(path, "POST", Authorization=f"Bearer {KEY}").status_code == 422, "it was let in"
    for path in ("/v1/status", "/v1/jobs", "/v1/events", "/v1/config", "/v1/openapi.json", "/v1/models/"):
        answer = daemon.ask(path, X_Api_Key=KEY)
        assert (answer.status_code, answer.json()["error"]["code"]) == (403, "key_not_enough"), path
    hashed = hashlib.sha256(KEY.encode()).hexdigest()
    daemon.refused(401, "wrong_token", X_Api_Key=hashed)


def test_a_page_of_the_users_own_may_use_a_key(daemon: Daemon) -> None:
    preflight = daemon.ask("/api/remove", "OPTIONS", Origin=PAGE, Access_Control_Request_Method="POST")
    assert (preflight.status_code, preflight.content) == (204, b"")
    assert preflight.headers["access-control-allow-origin"] == PAGE
    assert "X-Api-Key" in preflight.headers["access-control-allow-headers"]
    answer = daemon.ask("/v1/models", Origin=PAGE, Sec_Fetch_Site="cross-site", X_Api_Key=KEY)
    assert answer.status_code == 200
    assert answer.headers["access-control-allow-origin"] == PAGE
    assert answer.headers["vary"] == "Origin"
    assert "access-control-allow-credentials" not in answer.headers
    assert daemon.ask("/v1/models", Origin=PAGE).status_code == 401
    assert daemon.ask("/v1/models", "OPTIONS", Origin=f"{PAGE}.evil.org").status_code == 403
    assert daemon.ask("/v1/models", "OPTIONS").status_code == 401


def test_the_port_of_the_configuration_or_the_next_is_taken(daemon: Daemon) -> None:
    assert 7900 <= daemon.port < 8000


def test_keys_and_pages_follow_the_configuration(daemon: Daemon) -> None:
    daemon.home.configure()
    wait_for(lambda: daemon.ask("/v1/models", X_Api_Key=KEY).status_code == 401, "the key to be worth nothing")
    assert daemon.ask("/v1/models", Origin=PAGE, Authorization=f"Bearer {daemon.token}").status_code == 403
    daemon.home.configure(top=TOP)
    wait_for(lambda: daemon.ask("/v1/models", X_Api_Key=KEY).status_code == 200, "the key to be good again")


def test_a_websocket_is_refused_and_never_served() -> None:
    sent: list[Message] = []

    async def app(_: Scope, __: Receive, ___: Send) -> None:
        raise AssertionError("it was let in")

    async def receive() -> Message:
        return {"type": "websocket.connect"}

    async def send(message: Message) -> None:
        sent.append(message)

    headers = [(b"host", b"127.0.0.1:7878"), (b"authorization", b"Bearer t")]
    scope = {"type": "websocket", "path": "/v1/events", "server": ("127.0.0.1", 7878), "headers": headers}
    asyncio.run(Trust(app, port=7878, token="t")(scope, receive, send))
    assert [(each["type"], each["code"]) for each in sent] == [("websocket.close", 1008)]


def test_a_page_that_asks_for_a_websocket_is_refused_as_any_other(daemon: Daemon) -> None:
    asked = {"Connection": "Upgrade", "Upgrade": "websocket", "Sec_WebSocket_Version": "13"}
    daemon.refused(403, "wrong_origin", Origin="http://evil.org", Sec_WebSocket_Key="AAAAAAAAAAAAAAAAAAAAAA==", **asked)
    daemon.refused(401, "no_token", Sec_WebSocket_Key="AAAAAAAAAAAAAAAAAAAAAA==", **asked)
