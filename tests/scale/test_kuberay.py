"""The manifest for KubeRay says what a RayJob needs, and its command is one that is understood."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest
import yaml

from alphadrop.cli import _parser

FILE = Path(__file__).parents[2] / "docs" / "kuberay.yaml"


@pytest.fixture
def job() -> dict[str, object]:
    loaded: dict[str, object] = yaml.safe_load(FILE.read_text())
    return loaded


def test_it_is_a_ray_job_with_a_head_and_workers_that_scale(job: dict[str, object]) -> None:
    assert (job["apiVersion"], job["kind"]) == ("ray.io/v1", "RayJob")
    spec = job["spec"]
    assert isinstance(spec, dict)
    cluster = spec["rayClusterSpec"]
    groups = [cluster["headGroupSpec"], *cluster["workerGroupSpecs"]]
    for group in groups:
        assert isinstance(group["rayStartParams"], dict)
        for container in group["template"]["spec"]["containers"]:
            assert container.keys() >= {"name", "image", "resources"}
            assert container["resources"].keys() == {"requests", "limits"}
    assert len({group["template"]["spec"]["containers"][0]["image"] for group in groups}) == 1
    (workers,) = cluster["workerGroupSpecs"]
    assert workers["minReplicas"] <= workers["replicas"] <= workers["maxReplicas"]
    assert all(isinstance(value, str) for value in cluster["headGroupSpec"]["rayStartParams"].values())


def test_its_command_is_understood(job: dict[str, object]) -> None:
    spec = job["spec"]
    assert isinstance(spec, dict)
    words = shlex.split(spec["entrypoint"])
    assert words[0] == "alphadrop"
    chosen = _parser(words[1]).parse_args(words[1:])
    assert (chosen.ray, chosen.workers) == ("auto", "2:10")
    requested = spec["rayClusterSpec"]["workerGroupSpecs"][0]["template"]["spec"]["containers"][0]["resources"]
    assert requested["requests"]["cpu"] == str(chosen.worker_cpus)
