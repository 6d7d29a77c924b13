"""Files, folders and the page are opened by the desktop's own programs; here these only say what they were given."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from alphadrop.client import Client
from alphadrop.desktop import opening
from alphadrop.errors import CannotOpen, DaemonError, NotRunning
from daemon_process import Home, wait_for

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the programs are those of Linux")


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of programs, before all others."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
    return folder


def program(folder: Path, name: str, script: str) -> None:
    file = folder / name
    file.write_text(f"#!/bin/sh\n{script}\n")
    file.chmod(0o755)


def test_a_path_is_handed_over_whole(tmp_path: Path, programs: Path) -> None:
    program(programs, "xdg-open", f'printf "%s" "$*" >{tmp_path}/told.new && mv {tmp_path}/told.new {tmp_path}/told')
    file = tmp_path / "a cat's; $HOME.png"
    file.touch()
    opening.open_path(str(file))
    wait_for((tmp_path / "told").exists, "the file to be opened")
    assert (tmp_path / "told").read_text() == str(file)


def test_what_is_gone_is_opened_as_the_folder_it_was_in(tmp_path: Path, programs: Path) -> None:
    program(programs, "xdg-open", f'printf "%s" "$*" >{tmp_path}/told.new && mv {tmp_path}/told.new {tmp_path}/told')
    opening.open_path(str(tmp_path / "gone" / "cat.png"))
    wait_for((tmp_path / "told").exists, "the folder to be opened")
    assert (tmp_path / "told").read_text() == str(tmp_path)


def test_without_a_program_it_says_which_is_missing(tmp_path: Path) -> None:
    with pytest.raises(CannotOpen, match="no xdg-open"):
        opening.opening_command("/x", "linux", {"PATH": str(tmp_path)})
    with pytest.raises(CannotOpen, match="no open"):
        opening.opening_command("/x", "darwin", {"PATH": str(tmp_path)})


def test_a_page_that_cannot_be_opened_says_why(tmp_path: Path, programs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALPHADROP_RUN_DIR", str(tmp_path / "r"))
    with pytest.raises(CannotOpen, match="no daemon is running") as caught:
        opening.page()
    assert "alphadrop run" in caught.value.hint


@pytest.fixture
def home(tmp_path: Path, programs: Path, monkeypatch: pytest.MonkeyPatch) -> Home:
    """This process's home, where no systemd answers."""
    program(programs, "systemctl", "exit 1")
    home = Home(tmp_path / "h")
    home.root.mkdir()
    home.configure()
    for name, value in home.environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("PATH", f"{programs}:{os.environ['PATH']}")
    return home


def test_the_daemon_is_started_beside_this_process_where_none_runs(home: Home) -> None:
    client = Client(home.run)
    opening.have_daemon(client)
    told = client.status()
    try:
        assert os.getsid(told["pid"]) == told["pid"]  # it does not end with the terminal of this one
        opening.have_daemon(client)
        assert client.status()["pid"] == told["pid"]
    finally:
        assert home.alphadrop("stop").returncode == 0
    with pytest.raises(NotRunning):
        client.status()


def test_a_daemon_that_ends_at_once_is_not_waited_for(home: Home) -> None:
    (home.root / "alphadrop.yaml").write_text("nonsense: 1\n")
    with pytest.raises(NotRunning, match="does not start") as caught:
        opening.have_daemon(Client(home.run))
    assert caught.value.hint == "see why: alphadrop run"


def test_where_systemd_is_to_start_it_systemd_does(tmp_path: Path, programs: Path, home: Home) -> None:
    program(programs, "systemctl", f'echo "$*" >>{tmp_path}/asked; case "$*" in *ActiveState*) echo failed;; esac')
    with pytest.raises(NotRunning) as caught:
        opening.have_daemon(Client(home.run))
    assert caught.value.hint == "see why: systemctl --user status alphadrop.service"
    assert "--user start --no-block alphadrop.service" in (tmp_path / "asked").read_text().splitlines()
    program(programs, "systemctl", 'case "$*" in *" start "*) exit 5;; esac')
    with pytest.raises(DaemonError, match="systemd cannot start"):
        opening.have_daemon(Client(home.run))
