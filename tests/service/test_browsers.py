"""Codes that are good once and soon no more, and the keys that browsers get for them."""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from alphadrop.config import sha256_of
from alphadrop.errors import CodeRefused, NoSuchKey
from alphadrop.service.browsers import CODE_SECONDS, Browsers

FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"
CHROMIUM = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36"


class Time:
    def __init__(self) -> None:
        self.seconds = 1000.0

    def __call__(self) -> float:
        return self.seconds


@pytest.fixture
def clock() -> Time:
    return Time()


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "browsers.json"


@pytest.fixture
def browsers(file: Path, clock: Time) -> Browsers:
    return Browsers(file, clock=clock, now=lambda: 5.0)


def let_in(browsers: Browsers, agent: str = FIREFOX) -> str:
    return browsers.exchange(browsers.make_code(), agent)[0]


def test_a_code_is_good_once(browsers: Browsers) -> None:
    code = browsers.make_code()
    key, kept = browsers.exchange(code, FIREFOX)
    assert browsers.is_known(sha256_of(key.encode()))
    assert (kept.name, kept.made_at) == ("firefox", 5.0)
    with pytest.raises(CodeRefused):
        browsers.exchange(code, FIREFOX)
    assert len(browsers.keys) == 1


def test_a_code_grows_old(browsers: Browsers, clock: Time) -> None:
    fresh, old = browsers.make_code(), browsers.make_code()
    clock.seconds += CODE_SECONDS - 1
    browsers.exchange(fresh, FIREFOX)
    clock.seconds += 2
    with pytest.raises(CodeRefused):
        browsers.exchange(old, FIREFOX)


@pytest.mark.parametrize("code", ["", "x", "\ud800", "a" * 43])
def test_what_is_no_code_is_refused(browsers: Browsers, code: str) -> None:
    browsers.make_code()
    with pytest.raises(CodeRefused):
        browsers.exchange(code, FIREFOX)


def test_codes_do_not_add_up(browsers: Browsers) -> None:
    codes = [browsers.make_code() for _ in range(21)]
    with pytest.raises(CodeRefused):
        browsers.exchange(codes[0], FIREFOX)
    browsers.exchange(codes[1], FIREFOX)


def test_browsers_are_named_and_numbered(browsers: Browsers) -> None:
    for agent in (FIREFOX, CHROMIUM, FIREFOX, "", "curl/8"):
        let_in(browsers, agent)
    assert [key.name for key in browsers.keys] == ["firefox", "chrome", "firefox-2", "browser", "browser-2"]
    browsers.revoke("firefox")
    let_in(browsers)
    assert browsers.keys[-1].name == "firefox"


def test_keys_outlast_a_restart_and_are_in_no_file(browsers: Browsers, file: Path) -> None:
    key = let_in(browsers)
    again = Browsers(file)
    assert again.keys == browsers.keys
    assert again.is_known(sha256_of(key.encode()))
    assert key not in file.read_text()
    assert stat.S_IMODE(os.stat(file).st_mode) == 0o600


def test_a_revoked_key_is_known_no_more(browsers: Browsers, file: Path) -> None:
    key, other = let_in(browsers), let_in(browsers)
    browsers.revoke("firefox")
    for each in (browsers, Browsers(file)):
        assert not each.is_known(sha256_of(key.encode()))
        assert each.is_known(sha256_of(other.encode()))
    with pytest.raises(NoSuchKey):
        browsers.revoke("firefox")


def test_the_first_of_too_many_browsers_is_forgotten(browsers: Browsers) -> None:
    keys = [let_in(browsers) for _ in range(101)]
    known = [browsers.is_known(sha256_of(key.encode())) for key in keys]
    assert known == [False] + [True] * 100


@pytest.mark.parametrize(
    "damage",
    [
        lambda file: file.write_text("nonsense"),
        lambda file: file.write_text(json.dumps({"keys": [{"name": "x"}]})),
        lambda file: file.write_text("[]"),
        lambda file: file.mkdir(),
    ],
)
def test_a_damaged_record_lets_nobody_in(file: Path, damage: Callable[[Path], object]) -> None:
    damage(file)
    assert Browsers(file).keys == ()
