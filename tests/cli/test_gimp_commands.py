"""gimp install, status and uninstall, in a home of its own with a GIMP that can only say its version."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from alphadrop import __version__, paths
from alphadrop.cli import main
from alphadrop.desktop.gimp import MENU, bake


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    monkeypatch.setenv("ALPHADROP_CONFIG", str(tmp_path / "alphadrop.yaml"))
    monkeypatch.setenv("ALPHADROP_RUN_DIR", str(tmp_path / "r"))
    for name in ("XDG_CONFIG_HOME", "GIMP3_DIRECTORY", "APPDATA"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


def gimp(home: Path, version: str) -> None:
    """Install a GIMP."""
    program = home / "bin" / "gimp"
    program.parent.mkdir(exist_ok=True)
    program.write_text(f"#!/bin/sh\necho 'GNU Image Manipulation Program version {version}'\n")
    program.chmod(0o755)


def profile(home: Path, series: str) -> Path:
    """Have a GIMP started once; return where the plug-in will be."""
    folder = home / ".config" / "GIMP" / series
    folder.mkdir(parents=True)
    return folder / "plug-ins" / "alphadrop" / "alphadrop.py"


def status(capsys: pytest.CaptureFixture[str], expected: int) -> list[dict[str, Any]]:
    assert main(["gimp", "status", "--json"]) == expected
    told = json.loads(capsys.readouterr().out)
    assert told["version"] == __version__
    return list(told["folders"])


def test_it_is_put_into_every_gimp_looked_at_and_taken_out_again(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    gimp(home, "3.0.4")
    files = [profile(home, "3.0"), profile(home, "3.2")]
    assert [folder["state"] for folder in status(capsys, 1)] == ["absent", "absent"]

    assert main(["gimp", "install"]) == 0
    told = capsys.readouterr().out
    assert "GIMP 3.0 (3.0.4 is installed): wrote " in told
    assert all(str(file) in told for file in files)
    assert f"Restart GIMP to see it: {MENU}" in told
    assert all(file.stat().st_mode & 0o777 == 0o755 for file in files)

    assert main(["gimp", "install"]) == 0
    told = capsys.readouterr().out
    assert told.count("already current") == 2
    assert "Restart" not in told

    first, second = status(capsys, 0)
    assert (first["gimp"], first["installed"], first["version"], first["in_order"]) == (
        "3.0",
        ["3.0.4"],
        __version__,
        True,
    )
    assert second["installed"] == []
    assert main(["gimp", "status"]) == 0
    assert capsys.readouterr().out.count(f"current, {__version__}, in") == 2

    assert main(["gimp", "uninstall"]) == 0
    told = capsys.readouterr().out
    assert all(f"removed {file}\n" in told for file in files)
    assert not any(file.parent.exists() for file in files)
    assert main(["gimp", "uninstall"]) == 0
    assert "in no folder" in capsys.readouterr().out


def test_an_older_one_and_one_without_the_run_bit_are_said_and_mended(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    older, refused = profile(home, "3.0"), profile(home, "3.2")
    main(["gimp", "install"])
    older.write_bytes(bake(paths.gimp_plugin().read_text(), [], "0.0.1"))
    refused.chmod(0o644)
    capsys.readouterr()
    assert main(["gimp", "status"]) == 1
    told = capsys.readouterr().out
    assert "older: 0.0.1" in told
    assert "may not be executed" in told
    assert told.count("\n  alphadrop gimp install\n") == 2
    assert main(["gimp", "install"]) == 0
    told = capsys.readouterr().out
    assert "in the place of 0.0.1" in told
    assert "is executable now" in told
    status(capsys, 0)


def test_one_that_cannot_be_does_not_hold_up_the_others(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    other, ours = profile(home, "3.0"), profile(home, "3.2")
    other.parent.mkdir(parents=True)
    other.write_text("another")
    assert main(["gimp", "install"]) == 1
    told = capsys.readouterr()
    assert f"{other}: another plug-in has this name" in told.err
    assert "--overwrite" in told.err
    assert str(ours) in told.out
    assert [folder["state"] for folder in status(capsys, 1)] == ["foreign", "current"]
    assert main(["gimp", "uninstall"]) == 1
    assert other.read_text() == "another"
    assert not ours.exists()
    assert "in no folder" not in capsys.readouterr().out
    assert main(["gimp", "install", "--overwrite"]) == 0
    assert "in the place of another plug-in" in capsys.readouterr().out


def test_a_gimp_that_never_started_gets_its_folder(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    gimp(home, "3.2.1")
    (folder,) = status(capsys, 1)
    assert (folder["gimp"], folder["started"], folder["state"]) == ("3.2", False, "absent")
    assert main(["gimp", "install"]) == 0
    assert "its folder was made for it" in capsys.readouterr().out
    assert (home / ".config/GIMP/3.2/plug-ins/alphadrop/alphadrop.py").is_file()


def test_a_gimp_with_older_settings_to_take_over_is_left_to_do_so(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    gimp(home, "3.2.1")
    profile(home, "2.10")
    assert main(["gimp", "install"]) == 1
    assert "start it once" in capsys.readouterr().err
    assert os.listdir(home / ".config/GIMP") == ["2.10"]


@pytest.mark.parametrize("action", ["install", "status"])
def test_no_gimp_3_is_said_with_what_to_do(home: Path, capsys: pytest.CaptureFixture[str], action: str) -> None:
    assert main(["gimp", action]) == 1
    told = capsys.readouterr()
    assert told.out == ""
    assert "no GIMP 3 was found" in told.err
    assert "--folder" in told.err
    gimp(home, "2.10.38")
    assert main(["gimp", action]) == 1
    assert "only GIMP 2.10.38 is here, and the plug-in needs GIMP 3" in capsys.readouterr().err


def test_without_gimp_status_is_json_all_the_same_and_uninstall_is_done(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert status(capsys, 1) == []
    assert main(["gimp", "uninstall"]) == 0
    assert "in no folder" in capsys.readouterr().out


def test_a_folder_named_by_hand_is_the_only_one(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    usual = profile(home, "3.0")
    named = home / "mine"
    named.mkdir()
    for action in ("install", "status", "uninstall"):
        assert main(["gimp", action, "--folder", str(named)]) == 0
        assert str(named / "alphadrop") in capsys.readouterr().out
    assert not usual.exists()
    assert os.listdir(named) == []
    assert main(["gimp", "install", "--folder", str(home / "missing")]) == 2
    assert "no such folder" in capsys.readouterr().err


def test_the_variable_of_gimp_is_heeded(
    home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    usual = profile(home, "3.0")
    monkeypatch.setenv("GIMP3_DIRECTORY", str(home / "profile"))
    assert main(["gimp", "install"]) == 0
    assert (home / "profile/plug-ins/alphadrop/alphadrop.py").is_file()
    assert not usual.exists()


def test_the_doctor_says_how_the_plug_in_is(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def found() -> tuple[str, str, str]:
        main(["doctor", "--json"])
        findings = json.loads(capsys.readouterr().out)
        (finding,) = [each for each in findings if each["what"] == "GIMP plug-in"]
        return finding["verdict"], finding["told"], finding["remedy"]

    assert found() == ("note", "no GIMP 3 was found", "")
    profile(home, "3.0")
    verdict, told, remedy = found()
    assert (verdict, remedy) == ("note", "alphadrop gimp install")
    assert "not installed" in told
    main(["gimp", "install"])
    capsys.readouterr()
    verdict, told, remedy = found()
    assert (verdict, remedy) == ("ok", "")
    assert told.startswith(f"current, {__version__}")
