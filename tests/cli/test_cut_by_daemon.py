"""`alphadrop cut` beside a daemon: its warm model does the work, and nothing else is different."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image

from daemon_process import PATIENCE, Home, running


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> Home:
    return Home(tmp_path_factory.mktemp("h"))


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Home]:
    home = Home(tmp_path_factory.mktemp("h"))
    home.configure()
    with running(home):
        yield home


@pytest.fixture
def folder(tmp_path: Path, photographs: dict[str, Path]) -> Path:
    folder = tmp_path / "pictures"
    folder.mkdir()
    for name in ("astronaut", "coffee"):
        shutil.copy(photographs[name], folder)
    (folder / "notes.jpg").write_text("dear diary")
    Image.new("RGB", (300, 200), "white").save(folder / "white.png")
    return folder


def cut(home: Home, *arguments: str | Path, **environment: str) -> tuple[int, str, str, bool]:
    """Run `alphadrop cut`; return its status, what it said, and whether it loaded a network itself."""
    ran = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "alphadrop", "cut", *map(str, arguments)],
        env=home.environment | environment, capture_output=True, text=True, timeout=PATIENCE, check=False,
    )  # fmt: skip
    lines = ran.stderr.splitlines()
    said = "\n".join(line for line in lines if not line.startswith("import time:"))
    return ran.returncode, ran.stdout, said, any(line.endswith(" onnxruntime") for line in lines)


@pytest.mark.parametrize(
    "options",
    [
        (),
        ("--mask", "--edges", "plain", "--model", "u2net-int8"),
        ("--preset", "shop-square", "--size", "300x200", "--align", "top", "--quality", "80"),
        ("--feather", "1.7", "--hardness", "0.3", "--shift-edge", "-3", "--smallest-part", "0.05", "--edges", "plain"),
        ("--fill-holes", "0.01", "--decontaminate", "off", "--shift-edge", "4"),
        ("--background", "#102030", "--crop", "subject", "--margin", "0.1", "--aspect", "4:5", "--png", "small"),
    ],
    ids=" ".join,
)
def test_results_are_the_same_to_the_byte(alone: Home, served: Home, folder: Path, options: tuple[str, ...]) -> None:
    inputs = sorted(folder.iterdir())
    told = [cut(home, *inputs, "-o", folder / place, *options) for home, place in ((alone, "a"), (served, "s"))]
    (status, _, said, loaded), (status_there, _, said_there, loaded_there) = told
    assert (loaded, loaded_there) == (True, False)
    assert (status, said) == (status_there, said_there)
    assert status == 1
    assert "notes.jpg: not a picture" in said
    assert "white.png: no subject was found" in said
    made = {place: {path.name: path.read_bytes() for path in (folder / place).iterdir()} for place in ("a", "s")}
    assert len(made["a"]) == 2
    assert made["a"] == made["s"]


def test_an_output_that_exists_is_left_alone(served: Home, folder: Path) -> None:
    target = folder / "out.png"
    target.write_text("mine")
    status, _, said, _ = cut(served, folder / "coffee.jpg", "-o", target)
    assert status == 1
    assert "--overwrite" in said
    assert target.read_text() == "mine"
    assert cut(served, folder / "coffee.jpg", "-o", target, "--overwrite")[0] == 0
    assert target.read_bytes().startswith(b"\x89PNG")


def test_a_background_picture_and_a_configuration_of_its_own_are_for_this_process(served: Home, folder: Path) -> None:
    for options in (("--background", folder / "white.png"), ("--config", served.root / "alphadrop.yaml")):
        status, _, said, loaded = cut(served, folder / "coffee.jpg", "--overwrite", *options)
        assert (status, loaded) == (0, True), said


def test_a_model_that_is_not_known_is_bad_usage(served: Home, folder: Path) -> None:
    status, _, said, _ = cut(served, folder / "coffee.jpg", "--model", "u3net")
    assert status == 2
    assert "no model is called 'u3net'" in said


def test_a_stale_socket_is_no_daemon(served: Home, folder: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    run = tmp_path_factory.mktemp("r")
    os.symlink("/nowhere", run / "api.sock")
    status, _, said, loaded = cut(served, folder / "coffee.jpg", ALPHADROP_RUN_DIR=str(run))
    assert (status, loaded) == (0, True), said
