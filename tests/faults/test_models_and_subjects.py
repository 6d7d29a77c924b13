"""Rows 43 and 44: a picture of nothing gives nothing, and a network that is not there is waited for."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from alphadrop import paths
from alphadrop.client import Client
from alphadrop.engine.cutout import Engine
from alphadrop.engine.onnx_runtime import OnnxSegmenter
from alphadrop.engine.options import CutOptions
from alphadrop.errors import DaemonError, ModelDamaged, ModelMissing
from alphadrop.hotfolder import worker
from daemon_process import PATIENCE, Home, wait_for
from fake_segmenter import BLUE, GREEN, RED, FakeSegmenter, Ground, assert_cut_from, started, until_done

# Row 43 --------------------------------------------------------------------------------------------------------------

RANDOM = np.random.default_rng(43)


def assert_nothing_found(ground: Ground, names: list[str]) -> None:
    """Fail unless each photograph ended as `no subject`, without an output and with its original where it was."""
    assert os.listdir(ground.output) == []
    found = {str(row.path): (row.state, row.outcome, row.original) for row in ground.ledger.rows()}
    assert found == dict.fromkeys(names, ("done", "no_subject", ""))
    assert all((ground.input / name).is_file() for name in names)


@pytest.mark.parametrize("originals", ["keep", "delete"])
@pytest.mark.parametrize(
    "saliency",
    [
        np.zeros((320, 320)),
        np.full((320, 320), 0.3),
        RANDOM.uniform(0, 0.02, (320, 320)),
        RANDOM.uniform(0, 0.4, (320, 320)),
    ],
    ids=["zero", "flat", "faint noise", "noise"],
)
def test_row_43_a_network_that_sees_nothing_gives_no_subject_and_never_stretched_noise(
    ground: Ground, monkeypatch: pytest.MonkeyPatch, saliency: NDArray[np.float64], originals: str
) -> None:
    monkeypatch.setattr(FakeSegmenter, "saliency", lambda *_, **__: saliency.astype(np.float32))
    ground.settings = replace(ground.settings, result="both", originals=originals)  # type: ignore[arg-type]
    ground.cut("a.png", GREEN)
    assert_nothing_found(ground, ["a.png"])


@pytest.mark.parametrize("edges", ["plain", "refined"])
def test_row_43_flat_pictures_give_no_subject_with_the_real_network(ground: Ground, engine: Engine, edges: str) -> None:
    ground.pipeline.engine = engine
    ground.settings = replace(ground.settings, cut=CutOptions(edges=edges))  # type: ignore[arg-type]
    ramp = np.tile(np.arange(256, dtype=np.uint8), (100, 1))
    pictures = {
        "black.png": Image.new("RGB", (300, 200), "black"),
        "white.png": Image.new("RGB", (300, 200), "white"),
        "grey.png": Image.new("L", (200, 300), 128),
        "blue.png": Image.new("RGB", (64, 64), BLUE),
        "one.png": Image.new("RGB", (1, 1), RED),
        "line.png": Image.new("RGB", (500, 1), RED),
        "empty.png": Image.new("RGBA", (100, 100), (0, 0, 0, 0)),
        "ramp.png": Image.fromarray(ramp),
        "noise.png": Image.fromarray(np.random.default_rng(43).integers(0, 256, (200, 200, 3), np.uint8)),
    }
    for name, picture in pictures.items():
        picture.save(ground.input / name)
        ground.note(name)
    ground.work()
    assert_nothing_found(ground, list(pictures))


@pytest.mark.parametrize("values", [[np.nan], [np.nan, np.inf, -np.inf], [0, np.nan, 0]], ids=str)
@pytest.mark.parametrize("activation", ["none", "sigmoid"])
def test_row_43_a_network_that_answers_with_no_numbers_gives_no_nan(
    engine: Engine, monkeypatch: pytest.MonkeyPatch, values: list[float], activation: str
) -> None:
    class Session:
        def run(self, *_: object) -> list[NDArray[np.float32]]:
            return [np.resize(np.array(values, np.float32), (1, 1, 320, 320))]

    segmenter = engine.warm()
    assert isinstance(segmenter, OnnxSegmenter)
    monkeypatch.setattr(segmenter, "_session", Session())
    monkeypatch.setattr(segmenter, "_spec", replace(segmenter.spec, activation=activation))  # type: ignore[arg-type]
    found = segmenter.saliency(np.zeros((320, 320, 3), np.uint8))
    assert np.isfinite(found).all()
    assert found.min() >= 0
    assert found.max() <= 1


# Row 44 --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "error",
    [
        ModelMissing("the model is not on this machine", "alphadrop models pull u2net"),
        ModelDamaged("the model has another checksum than it should", "alphadrop models pull u2net"),
    ],
    ids=lambda error: error.code,
)
def test_row_44_photographs_wait_while_their_model_cannot_be_used(
    ground: Ground, monkeypatch: pytest.MonkeyPatch, error: ModelMissing | ModelDamaged
) -> None:
    monkeypatch.setattr(worker, "_LONGEST_WAIT", 0.2)
    ground.fake.missing = error
    with started(ground) as folders:
        for name in ("a.png", "b.png"):
            ground.drop(name, GREEN)
        (health,) = wait_for(
            lambda: [each.health for each in folders.status() if each.health.state == "no model"],
            "the folder to say what it waits for",
        )
        assert "alphadrop models pull u2net" in health.remedy
        wait_for(lambda: sum(ground.ledger.counts(ground.input).values()) == 2, "both to be noted")
        assert set(ground.ledger.counts(ground.input)) <= {"pending", "working"}
        ground.fake.missing = None
        until_done(ground, 2)
        wait_for(lambda: folders.status()[0].health.state == "watching", "the folder to be well again")
    assert ground.outputs() == {"a.png": GREEN, "b.png": GREEN}


_IMPATIENT = """
import sys
from alphadrop.service import lifecycle
lifecycle._RETRY = 0.1
from alphadrop.cli import main
sys.exit(main())
"""


@contextmanager
def waiting(home: Home) -> Iterator[subprocess.Popen[bytes]]:
    """Run a daemon that tries again soon; the block begins when it waits for its model."""
    with (home.root / "stderr.txt").open("ab") as log:
        command = [sys.executable, "-c", _IMPATIENT, "run"]
        process = subprocess.Popen(command, env=home.environment, stdout=log, stderr=log, cwd=home.root)
    try:
        wait_for(lambda: status(home).get("state") == "waiting for a model", "the daemon to wait")
        yield process
        process.terminate()
        assert process.wait(timeout=PATIENCE) == 0
    finally:
        process.kill()
        process.wait()


def status(home: Home) -> dict[str, Any]:
    try:
        return Client(home.run).status()
    except DaemonError:
        return {}


@pytest.mark.parametrize("wrong", ["missing", "checksum", "half"])
def test_row_44_without_a_usable_model_the_daemon_answers_says_what_to_do_and_waits(
    tmp_path_factory: pytest.TempPathFactory, photographs: dict[str, Path], wrong: str
) -> None:
    home = Home(tmp_path_factory.mktemp("h"))
    models = home.root / "data" / "models"
    models.mkdir(parents=True)
    good = (paths.embedded_models() / "u2net-int8.onnx").read_bytes()
    if wrong == "missing":
        place = models / "own.onnx"
        top = f"model: own\nmodels: [{{name: own, file: {place}, licence: Apache-2.0}}]"
    else:
        place = models / "u2net-int8.onnx"  # found before the one that comes with Alphadrop
        middle = len(good) // 2
        other = good[:middle] + bytes([good[middle] ^ 1]) + good[middle + 1 :]
        place.write_bytes(good[:middle] if wrong == "half" else other)
        top = ""
    home.configure(folder="settle: 0\nedges: plain", top=top)
    shutil.copy(photographs["cat"], home.input / "a.jpg")
    with waiting(home):
        told = status(home)["model"]
        assert told["state"] == "missing"
        assert place.name in told["message"]
        assert told["hint"]
        shown = home.alphadrop("status", "--json")
        assert json.loads(shown.stdout)["model"] == told
        wait_for(lambda: status(home)["folders"][0]["pending"] == 1, "the photograph to be noted")
        assert os.listdir(home.output) == []
        (models / "new").write_bytes(good)
        (models / "new").rename(place)
        wait_for(lambda: status(home)["state"] == "ready", "the model to be taken up")
        wait_for(lambda: status(home)["folders"][0]["done"] == 1, "the photograph to be done")
    assert_cut_from(home.output / "a.png", photographs["cat"])
