"""autostart enable, status and disable, in a home of its own without a systemd that answers."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from alphadrop.cli import main
from home_tree import lived_in, tree


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("XDG_CONFIG_HOME", "XDG_DATA_HOME", "ALPHADROP_CONFIG", "ALPHADROP_RUN_DIR", "ALPHADROP_DATA_DIR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    lived_in(tmp_path)
    return tmp_path


pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="each system has its own files")


def test_enable_says_what_it_wrote_and_disable_leaves_the_home_as_it_was(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = tree(home)
    config = home / ".config"
    files = [
        config / "systemd/user/alphadrop.service",
        config / "systemd/user/default.target.wants/alphadrop.service",
        config / "autostart/alphadrop-tray.desktop",
    ]
    assert main(["autostart", "enable", "--tray"]) == 0
    told = capsys.readouterr().out
    assert all(f"wrote {file}\n" in told for file in files)
    assert "no systemd of yours runs here" in told
    assert all(file.read_text() for file in files)
    script = Path(sys.executable).parent / "alphadrop"
    assert f"ExecStart={script} run\n" in files[0].read_text()
    assert f"Exec={script} tray\n" in files[2].read_text()

    after = tree(home)
    assert main(["autostart", "enable", "--tray"]) == 0
    assert capsys.readouterr().out.count("already there: ") == 3
    assert {name: told[:2] for name, told in tree(home).items()} == {name: told[:2] for name, told in after.items()}

    assert main(["autostart", "disable"]) == 0
    told = capsys.readouterr().out
    assert all(f"removed {file}\n" in told for file in files)
    assert tree(home) == before
    assert main(["autostart", "disable"]) == 0
    assert "nothing of Alphadrop" in capsys.readouterr().out
    assert tree(home) == before


def test_status_says_how_each_is_found(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    unit = home / ".config/systemd/user/alphadrop.service"

    def found(expected: int) -> list[str]:
        assert main(["autostart", "status", "--no-tray", "--json"]) == expected
        return [each["state"] for each in json.loads(capsys.readouterr().out)["files"]]

    assert found(1) == ["absent", "absent"]
    main(["autostart", "enable", "--no-tray"])
    capsys.readouterr()
    assert found(0) == ["current", "current"]
    unit.write_text(unit.read_text() + "Nice=5\n")
    assert found(1) == ["changed", "current"]
    assert main(["autostart", "status", "--no-tray"]) == 1
    assert f"{unit}: changed by hand" in capsys.readouterr().out


def test_a_file_that_was_changed_since_is_left_and_that_is_said(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    unit = home / ".config/systemd/user/alphadrop.service"
    main(["autostart", "enable", "--no-tray"])
    unit.write_text("mine")
    assert main(["autostart", "enable", "--no-tray"]) == 1
    assert f"left {unit}: it was changed since" in capsys.readouterr().err
    assert main(["autostart", "disable"]) == 1
    assert f"left {unit}: it was changed since" in capsys.readouterr().err
    assert unit.read_text() == "mine"
    assert not (unit.parent / "default.target.wants").exists()


def test_a_unit_that_was_put_there_by_hand_is_not_ours(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    unit = home / ".config/systemd/user/alphadrop.service"
    unit.write_text("mine")
    assert main(["autostart", "enable"]) == 1
    assert "it is not Alphadrop's" in capsys.readouterr().err
    assert main(["autostart", "disable"]) == 0
    assert unit.read_text() == "mine"


def test_without_the_tray_an_entry_for_it_is_taken_back(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    entry = home / ".config/autostart/alphadrop-tray.desktop"
    main(["autostart", "enable", "--tray"])
    assert entry.exists()
    assert main(["autostart", "enable", "--no-tray"]) == 0
    assert f"removed {entry}" in capsys.readouterr().out
    assert main(["autostart", "status"]) == 0
    assert main(["autostart", "status", "--tray"]) == 1
    assert main(["autostart", "enable"]) == 0
    assert entry.exists()
    entry.write_text("mine")
    assert main(["autostart", "status"]) == 1
    assert main(["autostart", "status", "--no-tray"]) == 0
    entry.unlink()
    assert (home / ".config/autostart/other.desktop").exists()


def test_the_doctor_says_whether_it_is_started(
    home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def found() -> tuple[str, str]:
        main(["doctor", "--json"])
        (finding,) = [each for each in json.loads(capsys.readouterr().out) if each["what"] == "autostart"]
        return finding["verdict"], finding["remedy"]

    assert found() == ("note", "to have it started: alphadrop autostart enable")
    main(["autostart", "enable", "--no-tray"])
    capsys.readouterr()
    assert found() == ("ok", "")
