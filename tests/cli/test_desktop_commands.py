"""desktop install, status and uninstall, and what the menus call, with a real engine and a desktop that listens."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from PIL import Image

from alphadrop.cli import main
from alphadrop.client import Client
from daemon_process import Home, running
from home_tree import lived_in, tree

pytestmark = pytest.mark.skipif(sys.platform in ("win32", "darwin"), reason="the menus are of Linux desktops")


def program(folder: Path, name: str, script: str) -> None:
    folder.mkdir(exist_ok=True)
    (folder / name).write_text(f"#!/bin/sh\n{script}\n")
    (folder / name).chmod(0o755)


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("XDG_CONFIG_HOME", "XDG_DATA_HOME", "ALPHADROP_CONFIG", "ALPHADROP_RUN_DIR", "ALPHADROP_DATA_DIR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    programs = tmp_path / "bin"
    programs.mkdir()
    if tool := shutil.which("update-desktop-database"):
        (programs / "update-desktop-database").symlink_to(tool)
    monkeypatch.setenv("PATH", str(programs))  # the file managers of whoever runs the tests are not in it
    lived_in(tmp_path)
    return tmp_path


def test_install_says_what_it_wrote_and_uninstall_leaves_the_home_as_it_was(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = tree(home)
    assert main(["desktop", "status"]) == 1
    assert "to put Alphadrop into the menus: alphadrop desktop install" in capsys.readouterr().out
    assert main(["desktop", "install"]) == 0
    told = capsys.readouterr().out
    for name in ("applications/alphadrop.desktop", "icons/hicolor/16x16/apps/alphadrop.png", "nautilus/scripts/"):
        assert f"wrote {home}/.local/share/{name}" in told
    assert f"wrote {home}/.config/Thunar/uca.xml" in told
    assert "not here, so that nothing was written for it: Dolphin" in told
    assert main(["desktop", "install"]) == 0
    assert "wrote" not in capsys.readouterr().out
    assert main(["desktop", "status", "--json"]) == 0
    assert {each["state"] for each in json.loads(capsys.readouterr().out)} == {"current"}
    assert main(["desktop", "uninstall"]) == 0
    told = capsys.readouterr().out
    assert f"removed {home}/.local/share/applications/alphadrop.desktop" in told
    assert f"took Alphadrop's part out of {home}/.config/Thunar/uca.xml" in told
    assert tree(home) == before
    assert main(["desktop", "uninstall"]) == 0
    assert "nothing of Alphadrop is in the menus" in capsys.readouterr().out


def test_only_the_file_managers_that_are_named_are_given_an_action(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["desktop", "install", "--for", "dolphin"]) == 0
    told = capsys.readouterr().out
    assert "kio/servicemenus/alphadrop.desktop" in told
    assert "uca.xml" not in told
    assert os.listdir(home / ".local/share/nautilus/scripts") == ["other"]


def test_without_the_tool_that_gnome_needs_its_remedy_is_said(
    home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PATH", "")
    assert main(["desktop", "install"]) == 0
    assert "install the package desktop-file-utils" in capsys.readouterr().err


# What the menus call ------------------------------------------------------------------------------------------------


@contextmanager
def listening(home: Home) -> Iterator[Path]:
    """Be a desktop that writes its messages down, one field a line."""
    told = home.root / "messages"
    program(home.root / "bin", "notify-send", f"printf '%s\\n' \"$@\" >> {told}; echo ---- >> {told}")
    program(home.root / "bin", "xdg-open", f"printf '%s\\n' \"$@\" >> {home.root}/opened")
    yield told


def call(home: Home, *words: str | Path, language: str = "C") -> subprocess.CompletedProcess[str]:
    environment = home.environment | {"PATH": f"{home.root / 'bin'}:/usr/bin:/bin", "LANG": language}
    for name in ("LC_ALL", "LANGUAGE", "LC_MESSAGES"):
        environment.pop(name, None)
    command = [sys.executable, "-m", "alphadrop", "desktop", "open", *map(str, words)]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=240, check=False)


def test_a_photograph_is_cut_out_beside_the_original_and_that_is_shown(
    tmp_path: Path, photographs: dict[str, Path]
) -> None:
    home = Home(tmp_path)
    original = tmp_path / "my cat.jpg"
    shutil.copy(photographs["cat"], original)
    with listening(home) as told:
        done = call(home, "--", original)
        assert done.returncode == 0, done.stderr
        with Image.open(tmp_path / "my cat.cutout.png") as image:
            assert (image.mode, image.size) == ("RGBA", (451, 300))
        message = told.read_text().splitlines()
        assert "--urgency=normal" in message
        assert "Cut out" in message
        assert any(line.startswith("my cat.jpg -> my cat.cutout.png ") for line in message)


def test_what_cannot_be_cut_out_is_shown_with_its_reason_in_the_users_language(
    tmp_path: Path, photographs: dict[str, Path]
) -> None:
    home = Home(tmp_path)
    broken = tmp_path / "broken.jpg"
    broken.write_text("nonsense")
    shutil.copy(photographs["cat"], tmp_path / "cat.jpg")
    with listening(home) as told:
        done = call(home, broken, tmp_path / "cat.jpg", language="zh_CN.UTF-8")
        assert done.returncode == 1
        assert "not a picture" in done.stderr
        message = told.read_text().splitlines()
        assert "--urgency=critical" in message
        assert "有照片未能抠图" in message
        assert any(line.startswith("broken.jpg: not a picture") for line in message)
        assert (tmp_path / "cat.cutout.png").exists()


def test_without_a_desktop_that_shows_messages_the_file_is_there_all_the_same(
    tmp_path: Path, photographs: dict[str, Path]
) -> None:
    home = Home(tmp_path)
    shutil.copy(photographs["cat"], tmp_path / "cat.jpg")
    program(tmp_path / "bin", "notify-send", "exit 1")
    program(tmp_path / "bin", "gdbus", "exit 1")
    assert call(home, tmp_path / "cat.jpg").returncode == 0
    assert (tmp_path / "cat.cutout.png").exists()


def test_the_menus_pause_resume_and_open_the_page_with_a_daemon_that_is_started(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    home = Home(tmp_path_factory.mktemp("h"))
    home.configure()
    with listening(home) as told:
        assert call(home, "--pause").returncode == 4
        assert "That did not work" in told.read_text()
        assert "no daemon is running" in told.read_text()
        done = call(home)
        try:
            assert done.returncode == 0, done.stderr
            assert Client(home.run).status()["state"]
            told.unlink()
            assert call(home, "--pause").returncode == 0
            assert Client(home.run).status()["paused"] is not None
            assert call(home, "--resume").returncode == 0
            assert Client(home.run).status()["paused"] is None
            assert [line for line in told.read_text().splitlines() if line.startswith("Hot")] == [
                "Hot folders paused",
                "Hot folders resumed",
            ]
        finally:
            home.alphadrop("stop")


def test_the_settings_are_opened_and_made_where_there_are_none(tmp_path: Path) -> None:
    home = Home(tmp_path)
    with listening(home):
        assert call(home, "--settings").returncode == 0
        assert (tmp_path / "opened").read_text().splitlines() == [str(tmp_path / "alphadrop.yaml")]
        assert (tmp_path / "alphadrop.yaml").exists()


def test_a_photograph_and_something_else_is_bad_usage(tmp_path: Path) -> None:
    assert call(Home(tmp_path), "--pause", "a.jpg").returncode == 2


def test_the_page_is_opened_by_a_daemon_that_runs(tmp_path_factory: pytest.TempPathFactory) -> None:
    home = Home(tmp_path_factory.mktemp("h"))
    home.configure()
    with listening(home), running(home) as process:
        assert call(home).returncode == 0
        assert Client(home.run).status()["pid"] == process.pid
