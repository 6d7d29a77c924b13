"""Where things live: in a checkout, and where the environment says otherwise.

The wheel's test asks the same of a wheel.
"""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from alphadrop import paths


@pytest.fixture(autouse=True)
def bare_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("CONFIG", "DATA_DIR", "RUN_DIR"):
        monkeypatch.delenv(f"ALPHADROP_{name}", raising=False)
    for name in ("CONFIG_HOME", "DATA_HOME", "STATE_HOME", "CACHE_HOME", "RUNTIME_DIR", "PICTURES_DIR"):
        monkeypatch.delenv(f"XDG_{name}", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))


def test_what_comes_with_alphadrop_is_there() -> None:
    assert paths.registry_file().is_file()
    assert (paths.embedded_models() / "u2net-int8.onnx").stat().st_size > 40_000_000
    assert paths.default_config().is_file()
    assert list(paths.units().iterdir())
    assert paths.gimp_plugin().is_file()
    assert {file.suffix for file in paths.desktop_entries().iterdir()} == {".desktop"}
    assert paths.icon().is_file()


def test_in_a_checkout_it_is_the_repositorys_own() -> None:
    assert (paths.resources() / "pyproject.toml").is_file()


def test_in_a_wheel_it_is_carried_inside_the_package(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(paths, "_INSTALLED", tmp_path)
    assert paths.registry_file() == tmp_path / "models" / "registry.yaml"
    assert paths.default_config() == tmp_path / "config" / "alphadrop.yaml"
    assert paths.units() == tmp_path / "config" / "units"
    assert paths.desktop_entries() == tmp_path / "config" / "desktop"
    assert paths.gimp_plugin() == tmp_path / "plugins" / "gimp" / "alphadrop" / "alphadrop.py"


@pytest.mark.skipif(sys.platform != "linux", reason="each system has its own conventions")
def test_on_linux_the_conventions_of_xdg_are_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert paths.config_file() == tmp_path / ".config" / "alphadrop" / "alphadrop.yaml"
    assert paths.data_folder() == tmp_path / ".local" / "share" / "alphadrop"
    assert paths.log_file().name == "alphadrop.log"
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "c"))
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "d"))
    assert paths.config_file() == tmp_path / "c" / "alphadrop" / "alphadrop.yaml"
    assert paths.data_folder() == tmp_path / "d" / "alphadrop"


@pytest.mark.skipif(sys.platform != "linux", reason="each system has its own conventions")
def test_the_socket_is_where_a_sandboxed_client_looks_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("DATA_HOME", "RUNTIME_DIR", "STATE_HOME"):
        monkeypatch.setenv(f"XDG_{name}", str(tmp_path / "sandbox"))
    monkeypatch.setenv("ALPHADROP_DATA_DIR", str(tmp_path / "elsewhere"))
    assert paths.run_folder() == tmp_path / ".local" / "share" / "alphadrop" / "run"


def test_the_environment_overrides(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALPHADROP_CONFIG", "~/my.yaml")
    monkeypatch.setenv("ALPHADROP_DATA_DIR", "~/data")
    monkeypatch.setenv("ALPHADROP_RUN_DIR", "~/r")
    assert paths.config_file() == tmp_path / "my.yaml"
    assert paths.data_folder() == tmp_path / "data"
    assert paths.ledger_file() == tmp_path / "data" / "ledger.sqlite"
    assert paths.written_file() == tmp_path / "data" / "written.json"
    assert paths.model_folder() == tmp_path / "data" / "models"
    assert paths.log_file() == tmp_path / "data" / "log" / "alphadrop.log"
    assert paths.run_folder() == tmp_path / "r"


@pytest.mark.skipif(sys.platform != "linux", reason="user-dirs.dirs is of Linux desktops")
def test_the_pictures_folder_has_its_name_in_the_users_language(tmp_path: Path) -> None:
    (tmp_path / ".config").mkdir()
    (tmp_path / ".config" / "user-dirs.dirs").write_text('XDG_PICTURES_DIR="$HOME/Bilder"\n')
    assert paths.pictures_folder() == tmp_path / "Bilder"


def test_every_place_is_named_in_the_modules_list() -> None:
    functions = {name for name in vars(paths) if callable(getattr(paths, name)) and not name.startswith("_")}
    assert functions - {"Path", "annotations"} == set(paths.__all__)
