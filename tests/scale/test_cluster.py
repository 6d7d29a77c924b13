"""A batch on Ray: on this machine, and on a real cluster of two nodes of which one is lost."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from alphadrop.errors import ClusterUnavailable
from alphadrop.scale.cluster import Workers, room_for
from daemon_process import Home, wait_for
from fake_segmenter import assert_cut_from
from ray_process import ray_cluster, ray_folder


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path)


@pytest.fixture
def shoot(tmp_path: Path, photographs: dict[str, Path]) -> Path:
    folder = tmp_path / "shoot"
    folder.mkdir()
    for name in ("cat", "astronaut", "coffee"):
        with Image.open(photographs[name]) as picture:
            picture.resize((240, 160)).save(folder / f"{name}.jpg", quality=95)
    return folder


def rows(target: Path) -> list[dict[str, Any]]:
    (file,) = (target / ".alphadrop" / "manifest").iterdir()
    return [json.loads(line) for line in file.read_text().splitlines()]


def node(cpus: float, gpus: float = 0, *, alive: bool = True) -> dict[str, Any]:
    return {"Alive": alive, "Resources": {"CPU": cpus, "GPU": gpus}}


@pytest.mark.parametrize(
    ("nodes", "workers", "room"),
    [
        ([node(8)], Workers(), (4, 2)),
        ([node(2), node(16)], Workers(), (2, 9)),
        ([node(0), node(4), node(64, alive=False)], Workers(), (4, 1)),
        ([node(16)], Workers(cpus=8), (8, 2)),
        ([node(16, 1), node(16)], Workers(cpus=2, gpus=0.25), (2, 4)),
        ([node(0)], Workers(most=10, cpus=4), (4, 1)),
    ],
)
def test_a_worker_has_the_processors_of_the_smallest_node_and_all_that_fit_are_begun(
    nodes: list[dict[str, Any]], workers: Workers, room: tuple[int, int]
) -> None:
    assert room_for(nodes, workers) == room


def test_no_room_is_told() -> None:
    with pytest.raises(ClusterUnavailable, match="no node"):
        room_for([node(2)], Workers(cpus=4))


def test_a_cluster_that_is_not_there_is_told(home: Home, shoot: Path, tmp_path: Path) -> None:
    ran = home.alphadrop("batch", shoot, tmp_path / "out", "--ray", "127.0.0.1:1")
    assert ran.returncode == 1
    assert "alphadrop: Ray: " in ran.stderr
    assert "Traceback" not in ran.stderr


@pytest.mark.long
def test_on_this_machine_it_gives_the_bytes_that_are_given_without_ray(home: Home, shoot: Path, tmp_path: Path) -> None:
    (shoot / "bad.jpg").write_bytes(b"\xff\xd8\xff nothing")
    assert home.alphadrop("batch", shoot, tmp_path / "here").returncode == 1
    with ray_folder() as folder:
        environment = home.environment | {"RAY_TMPDIR": str(folder)}
        command = [sys.executable, "-m", "alphadrop", "batch", str(shoot), str(tmp_path / "ray"), "--ray", "auto"]
        ran = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=400, check=False)
        assert ran.returncode == 1
        assert ran.stderr.splitlines()[0].startswith(f"alphadrop: {shoot}/bad.jpg: not a picture")
        assert len(ran.stderr.splitlines()) == 3
    assert [row["status"] for row in rows(tmp_path / "ray")] == ["done", "failed", "done", "done"]
    for name in ("astronaut", "cat", "coffee"):
        assert (tmp_path / "ray" / f"{name}.png").read_bytes() == (tmp_path / "here" / f"{name}.png").read_bytes()


@pytest.mark.long
def test_one_of_two_nodes_is_lost_in_the_middle(home: Home, shoot: Path, tmp_path: Path) -> None:
    out, count = tmp_path / "out", 40
    names = [f"{number:02}.jpg" for number in range(count)]
    for number, name in enumerate(names):
        shutil.copy(shoot / f"{('cat', 'astronaut', 'coffee')[number % 3]}.jpg", shoot / name)
    with ray_cluster(1, 1) as cluster:
        command = [sys.executable, "-m", "alphadrop", "batch", str(shoot), str(out), "--ray", cluster.address]
        with subprocess.Popen(
            command,
            env=home.environment | cluster.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        ) as driver:
            wait_for(lambda: driver.poll() is not None or len(list(out.glob("*.png"))) >= 8, "eight cut-outs")
            cluster.lose_a_node()
            told, _ = driver.communicate(timeout=600)
    found = rows(out)
    assert sorted(row["input"] for row in found) == sorted(os.listdir(shoot))
    # A second loss in a row would be named; with one node left there is none.
    assert {row["status"] for row in found} == {"done"}, told
    assert driver.returncode == 0
    for row in found:
        assert_cut_from(out / row["output"], shoot / row["input"])
    assert len(list(out.iterdir())) == len(found) + 1
