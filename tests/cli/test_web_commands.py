"""web as a user types it: the browser gets a file, and nobody sees the code in it."""

from __future__ import annotations

import json
import os
import re
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from daemon_process import PATIENCE, Home, running, wait_for


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Home]:
    home = Home(tmp_path_factory.mktemp("h"))
    home.configure()
    with running(home):
        yield home


def exchanged(address: str) -> str:
    page, _, code = address.partition("#code=")
    return str(httpx.post(f"{page}v1/web/key", json={"code": code}, timeout=PATIENCE).json()["name"])


def test_a_browser_is_given_a_file_and_not_the_code(home: Home, tmp_path: Path) -> None:
    browser, told = tmp_path / "browser", tmp_path / "told"
    browser.write_text(f'#!/bin/sh\nprintf "%s\\n" "$@" > {told}.part\nmv {told}.part {told}\n')
    browser.chmod(0o755)
    command = [sys.executable, "-m", "alphadrop", "web"]
    environment = {**home.environment, "BROWSER": str(browser)}
    ran = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=PATIENCE, check=True)
    assert re.fullmatch(r"opened http://127\.0\.0\.1:\d+/ in your browser\n", ran.stdout)
    wait_for(told.exists, "the browser")
    letter = home.run / "open.html"
    assert told.read_text() == f"{letter.as_uri()}\n"
    assert stat.S_IMODE(os.stat(letter).st_mode) == 0o600
    found = re.search(r'content="0; url=(http://127\.0\.0\.1:\d+/#code=[\w-]{43})"', letter.read_text())
    assert found
    assert found[1].partition("#code=")[2] not in ran.stdout + ran.stderr
    assert exchanged(found[1]) == "browser"


def test_without_a_browser_the_file_is_named(home: Home) -> None:
    told = home.alphadrop("web")
    assert told.returncode == 0
    assert told.stdout == f"{home.run / 'open.html'}\n"
    assert "alphadrop web --address" in told.stderr


def test_browsers_are_listed_and_revoked(home: Home) -> None:
    name = exchanged(home.alphadrop("web", "--address").stdout.strip())
    assert re.search(rf"^{name}  since \d\d:\d\d", home.alphadrop("web", "--keys").stdout, re.MULTILINE)
    told = home.alphadrop("web", "--revoke", name)
    assert (told.returncode, told.stdout) == (0, f"{name} is let in no more\n")
    assert not re.search(rf"^{name} ", home.alphadrop("web", "--keys").stdout, re.MULTILINE)
    told = home.alphadrop("web", "--revoke", "a/b c")
    assert told.returncode == 1
    assert "a/b c: no browser has a key of this name" in told.stderr


def test_keys_outlast_a_restart(tmp_path: Path) -> None:
    home = Home(tmp_path)
    home.configure()
    with running(home):
        name = exchanged(home.alphadrop("web", "--address").stdout.strip())
    with running(home):
        assert home.alphadrop("web", "--keys").stdout.startswith(name)
    assert "sha256" in json.loads((home.root / "data" / "browsers.json").read_text())["keys"][0]


def test_without_a_daemon_it_says_so(tmp_path: Path) -> None:
    for arguments in ((), ("--keys",), ("--revoke", "x"), ("--address",)):
        told = Home(tmp_path).alphadrop("web", *arguments)
        assert told.returncode == 4
        assert "alphadrop run" in told.stderr
