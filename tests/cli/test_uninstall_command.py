"""uninstall: what was put outside the package is gone, and what is the user's is where it was."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import pytest

from alphadrop.cli import main
from daemon_process import Home, running, wait_for
from home_tree import lived_in, tree

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="each system has its own files")


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_STATE_HOME", "XDG_PICTURES_DIR", "GIMP3_DIRECTORY"):
        monkeypatch.delenv(name, raising=False)
    for name in ("CONFIG", "RUN_DIR", "DATA_DIR"):
        monkeypatch.delenv(f"ALPHADROP_{name}", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:/usr/bin:/bin")
    lived_in(tmp_path)
    (tmp_path / ".config/GIMP/3.0").mkdir(parents=True)
    (tmp_path / "Pictures").mkdir()
    return tmp_path


def install_everything() -> None:
    assert main(["autostart", "enable", "--tray"]) == 0
    assert main(["desktop", "install"]) == 0
    assert main(["gimp", "install"]) == 0


def test_everything_outside_the_package_is_taken_back_and_the_rest_kept(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["config", "init"]) == 0
    photograph = home / "Pictures/Alphadrop/In/cat.jpg"
    photograph.write_text("mine")
    before = tree(home)
    install_everything()
    capsys.readouterr()
    assert main(["uninstall"]) == 0
    told = capsys.readouterr().out
    for name in (
        ".config/systemd/user/alphadrop.service",
        ".config/autostart/alphadrop-tray.desktop",
        ".local/share/applications/alphadrop.desktop",
        ".config/GIMP/3.0/plug-ins/alphadrop/alphadrop.py",
    ):
        assert f"removed {home / name}\n" in told
    assert f"kept {home}/.config/alphadrop/alphadrop.yaml\n" in told
    assert "--all removes them too" in told
    after = tree(home)
    plug_ins = after.pop(".config/GIMP/3.0/plug-ins", None)  # GIMP's own, which it would have made itself
    assert plug_ins is not None
    assert after == before
    assert main(["uninstall"]) == 0
    assert "removed" not in capsys.readouterr().out.replace("--all removes", "")


def test_all_of_it_is_the_settings_and_the_record_too_and_never_a_photograph(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = tree(home)
    main(["config", "init"])
    photograph = home / "Pictures/Alphadrop/In/cat.jpg"
    photograph.write_text("mine")
    data = home / ".local/share/alphadrop"
    (data / "models").mkdir(parents=True)
    (data / "models/isnet.onnx").touch()
    (data / "compiled").mkdir()
    (data / "compiled/5357344371009584192.blob").touch()
    for name in (
        "ledger.sqlite",
        "ledger.sqlite-wal",
        "ledger.sqlite.damaged-20260101-000000",
        "browsers.json",
        "speeds.json",
    ):
        (data / name).touch()
    (data / "run/thumbnails").mkdir(parents=True)
    for name in ("tray.lock", "thumbnails/1.png"):
        (data / "run" / name).touch()
    (home / ".local/state/alphadrop/log").mkdir(parents=True)
    (home / ".local/state/alphadrop/log/alphadrop.log.1").touch()
    install_everything()
    capsys.readouterr()
    assert main(["uninstall", "--all"]) == 0
    told = capsys.readouterr().out
    assert f"removed {data}/ledger.sqlite\n" in told
    assert f"removed {data}\n" in told
    assert "photographs and cut-outs are where they were" in told
    after = tree(home)
    assert photograph.read_text() == "mine"
    left = {name for name in after.keys() - before.keys() if not name.startswith("Pictures/")}
    assert left == {".local/state", ".config/GIMP/3.0/plug-ins"}
    assert {name: after[name] for name in before} == before


def test_a_file_of_the_users_in_alphadrops_folder_stays(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(["config", "init"])
    notes = home / ".config/alphadrop/notes.txt"
    notes.write_text("mine")
    assert main(["uninstall", "--all"]) == 0
    assert notes.read_text() == "mine"
    assert not (home / ".config/alphadrop/alphadrop.yaml").exists()


def test_what_was_changed_is_left_and_the_others_are_taken_back_all_the_same(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    install_everything()
    unit = home / ".config/systemd/user/alphadrop.service"
    unit.write_text("mine")
    capsys.readouterr()
    assert main(["uninstall"]) == 1
    told = capsys.readouterr()
    assert f"left {unit}: it was changed since" in told.err
    assert not (home / ".local/share/applications/alphadrop.desktop").exists()
    assert not (home / ".config/GIMP/3.0/plug-ins/alphadrop").exists()
    assert unit.read_text() == "mine"


def test_a_daemon_that_runs_is_ended_first(
    tmp_path_factory: pytest.TempPathFactory, photographs: dict[str, Path]
) -> None:
    home = Home(tmp_path_factory.mktemp("h"))
    home.configure(folder="settle: 0\nedges: plain")
    with running(home) as process:
        home.drop(photographs["cat"], "cat.jpg")
        wait_for((home.output / "cat.png").exists, "the photograph to be cut")
        done = home.alphadrop("uninstall", "--all")
        assert done.returncode == 0, done.stderr
        assert "ended the daemon\n" in done.stdout
        assert process.wait(timeout=60) == 0
    assert (home.output / "cat.png").exists()
    assert (home.input / "cat.jpg").exists()
    assert not (home.root / "data" / "ledger.sqlite").exists()
    assert not (home.root / "alphadrop.yaml").exists()
    assert shutil.which("alphadrop", path=str(Path(sys.executable).parent)), "the package itself stays"
