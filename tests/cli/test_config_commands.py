"""config init, check and show; doctor: what a user does before anything runs."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from alphadrop import config, paths
from alphadrop.cli import main
from daemon_process import Home


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Home:
    """A home that this very process lives in."""
    home = Home(tmp_path)
    for name in ("HOME", "ALPHADROP_RUN_DIR", "ALPHADROP_DATA_DIR", "ALPHADROP_CONFIG", "XDG_PICTURES_DIR"):
        monkeypatch.setenv(name, home.environment[name])
    return home


def file(home: Home) -> Path:
    return home.root / "alphadrop.yaml"


def test_init_writes_a_configuration_that_is_right_and_makes_its_folders(
    home: Home, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["config", "init"]) == 0
    assert capsys.readouterr().out == f"{file(home)}\n"
    assert home.input.is_dir()
    assert home.output.is_dir()
    assert "# " in file(home).read_text()
    assert main(["config", "check"]) == 0
    told = capsys.readouterr()
    assert told.out.startswith(f"{file(home)}: no errors")
    assert told.err == ""
    (folder,) = config.load(file(home)).folders
    assert (folder.input, folder.output) == (home.input, home.output)


def test_init_never_touches_a_configuration_that_is_there(home: Home, capsys: pytest.CaptureFixture[str]) -> None:
    file(home).write_text("mine")
    assert main(["config", "init"]) == 1
    assert file(home).read_text() == "mine"
    assert "exists already" in capsys.readouterr().err


def test_check_says_everything_that_is_wrong_with_its_lines(home: Home, capsys: pytest.CaptureFixture[str]) -> None:
    file(home).write_text("modle: u2net-int8\nthreads: many\nfolders:\n- input: /a\n")
    assert main(["config", "check"]) == 2
    told = capsys.readouterr()
    assert told.out == ""
    for place in ("alphadrop.yaml:1:", "alphadrop.yaml:2:", "alphadrop.yaml:4:"):
        assert place in told.err


def test_check_looks_at_the_file_it_is_given(home: Home, capsys: pytest.CaptureFixture[str]) -> None:
    home.configure()
    other = home.root / "other.yaml"
    other.write_text("nonsense: 1\n")
    assert main(["config", "check", str(other)]) == 2
    assert "other.yaml:1:" in capsys.readouterr().err
    assert main(["config", "check", str(home.root / "missing.yaml")]) == 2
    assert "missing.yaml: cannot be read" in capsys.readouterr().err


def test_check_warns_of_folders_that_are_not_there(home: Home, capsys: pytest.CaptureFixture[str]) -> None:
    home.configure()
    home.input.rmdir()
    assert main(["config", "check"]) == 0
    told = capsys.readouterr().err
    assert "alphadrop.yaml:" in told
    assert str(home.input) in told


def test_show_prints_what_is_in_force_and_can_be_read_again(home: Home, capsys: pytest.CaptureFixture[str]) -> None:
    home.configure(folder="preset: shop-square\nsettle: 3s", top="threads: 1")
    assert main(["config", "show"]) == 0
    shown = capsys.readouterr().out
    copy = home.root / "copy.yaml"
    copy.write_text(shown)
    assert config.load(copy).folders == config.load(file(home)).folders
    assert main(["config", "show", str(copy)]) == 0
    assert capsys.readouterr().out == shown


def test_show_prints_the_defaults_where_there_is_no_configuration(
    home: Home, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["config", "show"]) == 0
    assert "model: u2net-int8" in capsys.readouterr().out
    assert not file(home).exists()


def test_a_key_is_told_once_and_what_is_to_be_written_of_it_loads(
    home: Home, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["config", "key", "1.5"]) == 0
    told = capsys.readouterr()
    key = told.out.removesuffix("\n")
    assert "\n" not in key
    assert key not in told.err
    assert str(file(home)) in told.err
    _, mark, rows = told.err.partition("\nkeys:\n")
    home.configure(top=mark + rows.partition("\n\n")[0])
    assert config.load(file(home)).keys == (config.NamedKey("1.5", config.sha256_of(key.encode())),)
    assert main(["config", "show"]) == 0
    shown = capsys.readouterr().out
    assert config.sha256_of(key.encode()) in shown
    assert key not in shown + file(home).read_text()
    assert not list(home.root.glob("data/**/*"))


def test_a_key_needs_a_name_that_can_be_written(home: Home, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["config", "key", "my shop"]) == 2
    told = capsys.readouterr()
    assert told.out == ""
    assert "no name for a key" in told.err


def findings(home: Home, capsys: pytest.CaptureFixture[str], status: int) -> dict[str, list[dict[str, str]]]:
    """Run the doctor and return what it found, by what it looked at."""
    assert main(["doctor", "--json"]) == status
    found: dict[str, list[dict[str, str]]] = {}
    for finding in json.loads(capsys.readouterr().out):
        assert set(finding) == {"what", "verdict", "told", "remedy"}
        found.setdefault(finding["what"], []).append(finding)
    return found


def test_the_doctor_finds_nothing_wrong_in_a_home_that_is_in_order(
    home: Home, capsys: pytest.CaptureFixture[str]
) -> None:
    home.configure()
    found = findings(home, capsys, 0)
    assert [finding["verdict"] for finding in found["model"]] == ["ok"]
    assert "u2net-int8 on cpu" in found["model"][0]["told"]
    assert [finding["verdict"] for finding in found["folder"]] == ["ok", "ok"]
    (fastest,) = found["fastest model"]
    assert fastest["verdict"] == "ok"
    assert fastest["told"].startswith("u2net-int8 ")
    assert "u2net-int8" in paths.speeds_file().read_text(), "`model: auto` knows it"
    (provider,) = found["provider"]
    assert provider["remedy"] in ("", "quicker here: provider: openvino")
    assert provider["told"].startswith("cpu, as configured, by ONNX Runtime ")
    assert " (cpu " in provider["told"]
    assert ", openvino " in provider["told"]
    assert found["daemon"][0]["told"] == "not running"
    assert found["daemon"][0]["verdict"] == "note"


def test_the_doctor_names_a_folder_that_is_missing_and_fails(home: Home, capsys: pytest.CaptureFixture[str]) -> None:
    home.configure()
    home.output.rmdir()
    found = findings(home, capsys, 1)
    (wrong,) = [finding for finding in found["folder"] if finding["verdict"] == "wrong"]
    assert str(home.output) in wrong["told"]
    assert wrong["remedy"]


def test_the_doctor_looks_at_the_folders_of_originals_too(home: Home, capsys: pytest.CaptureFixture[str]) -> None:
    done, failed = home.root / "done", home.root / "failed"
    home.configure(folder=f"originals: move\nfinished: {done}\nfailed: {failed}")
    done.mkdir()
    found = findings(home, capsys, 1)["folder"]
    assert [finding["verdict"] for finding in found] == ["ok", "ok", "ok", "wrong"]
    assert found[2]["told"].startswith(f"{done}, ")
    assert found[3]["told"] == f"{failed} is not there"
    home.configure(folder=f"originals: move\nfinished: {done}\nfailed: {done}")
    assert len(findings(home, capsys, 0)["folder"]) == 3


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="nothing is forbidden to root")
def test_the_doctor_wants_to_write_where_originals_are_taken_away(
    home: Home, capsys: pytest.CaptureFixture[str]
) -> None:
    home.configure()
    home.input.chmod(0o500)
    try:
        assert findings(home, capsys, 0)["folder"][0]["verdict"] == "ok"
        home.configure(folder="originals: delete")
        found = findings(home, capsys, 1)["folder"][0]
    finally:
        home.input.chmod(0o700)
    assert found["told"] == f"{home.input} cannot be written to"


def test_the_doctor_names_a_broken_configuration_and_a_missing_model_and_fails(
    home: Home, capsys: pytest.CaptureFixture[str]
) -> None:
    file(home).write_text("nonsense: 1")
    assert findings(home, capsys, 1)["configuration"][0]["verdict"] == "wrong"
    home.configure(top=f"model: own\nmodels: [{{name: own, file: {home.root / 'own.onnx'}}}]")
    (model,) = findings(home, capsys, 1)["model"]
    assert model["verdict"] == "wrong"
    assert "own.onnx" in model["told"]


def test_the_doctor_speaks_to_people_too(home: Home, capsys: pytest.CaptureFixture[str]) -> None:
    home.configure()
    assert main(["doctor"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert any(line.startswith("  ok  model") for line in lines)
    assert any(line.startswith("note  daemon") for line in lines)
    assert any("start it with: alphadrop run" in line for line in lines)
