"""`alphadrop explain`: what is written, what is said, and the exit status."""

from __future__ import annotations

import builtins
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper
from PIL import Image

from alphadrop import paths
from alphadrop.cli import main
from daemon_process import Home

STAGES = ["en1", "en2", "en3", "en4", "en5", "en6", "de5", "de4", "de3", "de2", "de1"]
SIDES = [f"side-{number}" for number in range(1, 7)]
PICTURES = sorted(
    ["explain.png", *(f"stage-{name}.png" for name in STAGES), *(f"{name}.png" for name in SIDES), "fused.png"]
)


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Home:
    """A home that this process lives in."""
    home = Home(tmp_path / "home")
    for name in ("ALPHADROP_RUN_DIR", "ALPHADROP_DATA_DIR", "ALPHADROP_CONFIG"):
        monkeypatch.setenv(name, home.environment[name])
    return home


@pytest.fixture
def photo(photographs: dict[str, Path], tmp_path: Path) -> Path:
    return Path(shutil.copy(photographs["coffee"], tmp_path / "coffee.jpg"))


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def own_model(home: Home, name: str, file: Path, *, side: int = 320) -> None:
    home.configure(top=f"models:\n- {{name: {name}, file: {file}, input_size: {side}, scale: max}}")


def network_without_stages(path: Path) -> Path:
    info = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, 3, 32, 32]) for name in ("in", "out")]
    graph = helper.make_graph([helper.make_node("Sigmoid", ["in"], ["out"])], "flat", info[:1], info[1:])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8), str(path))
    return path


def test_everything_is_written_into_a_new_folder(photo: Path, tmp_path: Path) -> None:
    out = tmp_path / "new" / "explained"
    ran = Home(tmp_path / "home").alphadrop("explain", photo, "-o", out, "--arrays")
    assert (ran.returncode, ran.stderr) == (0, "")
    assert names(out) == sorted([*PICTURES, "arrays.npz"])
    for name in PICTURES:
        with Image.open(out / name) as image:
            image.load()
            wide = 1320 if name == "explain.png" else 1600 if name.startswith("stage") else 1088
            assert (image.format, image.mode, image.width) == ("PNG", "RGB", wide), name
    with np.load(out / "arrays.npz") as arrays:
        assert list(arrays) == [*STAGES, *SIDES, "fused"]
        assert arrays["en6"].shape == (512, 10, 10)
        assert arrays["fused"].shape == (1, 320, 320)
        assert arrays["fused"].std() > 0.1
    lines = ran.stdout.splitlines()
    assert [line.split()[0] for line in lines[1:19]] == [*STAGES, *SIDES, "fused"]
    assert lines[1].split()[1] == "64x320x320"
    assert lines[-1].startswith(f"{photo} -> {out}  (20 files, ")


def test_two_networks_are_compared_in_a_folder_that_exists(
    home: Home, photo: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    own_model(home, "twin", paths.embedded_models() / "u2net-int8.onnx")
    out = tmp_path / "out"
    out.mkdir()
    (out / "explain.png").write_text("of an earlier call")
    (out / "letter.txt").write_text("of mine")
    assert main(["explain", str(photo), "-o", str(out), "--compare", "twin"]) == 0
    assert names(out) == sorted([*PICTURES, "difference.png", "letter.txt"])
    with Image.open(out / "explain.png") as image:
        assert image.format == "PNG"
    told = capsys.readouterr().out
    assert "u2net-int8 beside twin, differences:" in told
    rows = {line.split()[0]: line.split()[1:] for line in told.partition("flipped\n")[2].splitlines()[:18]}
    assert list(rows) == [*STAGES, *SIDES, "fused"]
    assert rows["de1"] == ["0.0000", "0.000", "0.0%"]
    assert rows["fused"] == ["0.0000", "0.000", "0.0%", "0.00%"]


@pytest.mark.parametrize(
    ("content", "message"), [(b"dear diary", "not a picture"), (b"", "the file is empty"), (None, "cannot be read")]
)
def test_a_photograph_that_cannot_be_read(
    home: Home, tmp_path: Path, capsys: pytest.CaptureFixture[str], content: bytes | None, message: str
) -> None:
    photo = tmp_path / "odd.jpg"
    if content is not None:
        photo.write_bytes(content)
    assert main(["explain", str(photo), "-o", str(tmp_path / "out")]) == 1
    told = capsys.readouterr()
    assert told.err.startswith(f"alphadrop: {photo}: ")
    assert message in told.err
    assert told.out == ""
    assert not (tmp_path / "out").exists()


def test_without_the_extra_it_says_how_to_get_it(
    home: Home, photo: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    real = builtins.__import__

    def without(name: str, *rest: Any, **more: Any) -> Any:
        if name == "onnx":
            raise ImportError(name)
        return real(name, *rest, **more)

    monkeypatch.setattr(builtins, "__import__", without)
    assert main(["explain", str(photo), "-o", str(tmp_path / "out")]) == 1
    told = capsys.readouterr().err
    assert "needs the package onnx" in told
    assert "pip install 'alphadrop[explain]'" in told
    assert not (tmp_path / "out").exists()


def test_a_network_without_stages_is_told(
    home: Home, photo: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    own_model(home, "flat", network_without_stages(tmp_path / "flat.onnx"), side=32)
    assert main(["explain", str(photo), "-o", str(tmp_path / "out"), "--model", "flat"]) == 1
    assert "flat.onnx: has no stages that can be shown" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_a_model_that_is_not_known_is_bad_usage(
    home: Home, photo: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["explain", str(photo), "-o", str(tmp_path / "out"), "--compare", "u2nte"]) == 2
    assert "did you mean u2net?" in capsys.readouterr().err


def test_the_photograph_is_never_overwritten(home: Home, photo: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = photo.rename(photo.with_name("fused.png"))
    before = source.read_bytes()
    assert main(["explain", str(source), "-o", str(source.parent)]) == 2
    assert "an input is never overwritten" in capsys.readouterr().err
    assert source.read_bytes() == before
    assert "explain.png" not in names(source.parent)


def test_a_folder_that_cannot_be_made(
    home: Home, photo: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("in the way")
    assert main(["explain", str(photo), "-o", str(tmp_path / "file" / "out")]) == 1
    assert "a file is where a folder should be" in capsys.readouterr().err
