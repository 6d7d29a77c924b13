"""A real Ray cluster of several nodes on this machine, in a process of its own, its files in a folder of its own.

    python ray_process.py [--cpus 1 1]

prints the address; each line on standard input removes the node that came last, without notice, and `removed` is
printed. It ends, and the cluster with it, when standard input does.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from daemon_process import PATIENCE

SETTINGS = {"RAY_USAGE_STATS_ENABLED": "0", "RAY_BACKEND_LOG_LEVEL": "fatal"}
STORE = 100_000_000
"""Bytes of each node's object store; photographs do not pass through it."""


@dataclass
class RayCluster:
    """A cluster that runs."""

    process: subprocess.Popen[str]
    address: str
    folder: Path
    """Of Ray's files; short, since sockets lie in it."""

    @property
    def environment(self) -> dict[str, str]:
        """What a driver needs beside the address."""
        return {**SETTINGS, "RAY_TMPDIR": str(self.folder)}

    def lose_a_node(self) -> None:
        """End the node that came last, as when its machine loses power."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        assert self.process.stdout.readline().strip() == "removed"


@contextlib.contextmanager
def ray_folder() -> Iterator[Path]:
    """Give a folder for Ray's files: their sockets' paths have room for a short one only."""
    folder = Path(tempfile.mkdtemp(prefix="a"))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextlib.contextmanager
def ray_cluster(*cpus: int, pinned: bool = False) -> Iterator[RayCluster]:
    """Run a cluster until the block ends.

    Args:
        cpus: of each node, the first being the head.
        pinned: whether each node has one processor of this machine to itself.
    """
    with ray_folder() as folder:
        command = [sys.executable, __file__, *(["--pinned"] if pinned else []), "--cpus", *map(str, cpus)]
        process = subprocess.Popen(
            command,
            env={**os.environ, **SETTINGS, "RAY_TMPDIR": str(folder)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            address = process.stdout.readline().strip()
            assert address, "the cluster did not start"
            yield RayCluster(process, address, folder)
        finally:
            process.stdin.close()
            try:
                process.wait(PATIENCE)
            finally:
                process.kill()
                process.wait()
                process.stdout.close()


def main() -> None:
    """Be the cluster."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--cpus", type=int, nargs="+")
    parser.add_argument("--pinned", action="store_true")
    chosen = parser.parse_args()
    said = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # Ray talks on standard output
    from ray.cluster_utils import Cluster

    cluster, every = Cluster(), sorted(os.sched_getaffinity(0))
    nodes = []
    for number, cpus in enumerate(chosen.cpus):
        if chosen.pinned:
            os.sched_setaffinity(0, {every[number % len(every)]})  # inherited by all processes of the node
        nodes.append(cluster.add_node(num_cpus=cpus, object_store_memory=STORE, include_dashboard=False))
    os.sched_setaffinity(0, every)
    print(cluster.address, file=said, flush=True)
    for _ in sys.stdin:
        cluster.remove_node(nodes.pop(), allow_graceful=False)
        print("removed", file=said, flush=True)
    cluster.shutdown()


if __name__ == "__main__":
    main()
