"""A batch on Ray: actors that stay warm, fed and watched by Ray Data; the only module that knows Ray.

Photographs do not pass through Ray: actors read and write the stores themselves, and what goes to and fro are names and
rows. So a cluster needs no large object store, and a node that is lost takes with it only what it had in hand.
"""

from __future__ import annotations

import json
import logging
import os
import socket
import sys
import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import islice
from typing import TYPE_CHECKING, Any

from alphadrop.errors import BadOptions, ClusterUnavailable, ScaleMissing
from alphadrop.hotfolder.stability import Content
from alphadrop.memory import return_big_blocks
from alphadrop.scale.batch import Cutting
from alphadrop.scale.cutter import Brief, Cutter
from alphadrop.scale.inventory import Job
from alphadrop.scale.manifest import Manifest, Row, from_line, to_line
from alphadrop.scale.stores import Found

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["Workers", "connected", "cut_on_ray", "on_ray", "room_for"]

_SECONDS = 10.0
"""For which the head of a cluster may be silent."""
_WINDOW = 50_000
"""Photographs that Ray is told of at once: neither its memory nor ours grows with their number."""
_BLOCK = 4
"""Photographs of one task, at most: what is lost with it is done again."""
_MOST_CPUS = 4
"""Of one worker, unless it is said: more make one photograph hardly quicker."""
_OFF = {"RAY_USAGE_STATS_ENABLED": "0", "RAY_BACKEND_LOG_LEVEL": "fatal", "RAY_DATA_DISABLE_PROGRESS_BARS": "1"}


@dataclass(frozen=True, slots=True)
class Workers:
    """The actors of a batch."""

    least: int | None = None
    """None for as many as the cluster has room for at the start."""
    most: int | None = None
    """None for no more than at the start. Above it, a cluster that scales itself gets nodes."""
    cpus: int | None = None
    """Of each; None for those of the smallest node, four at most."""
    gpus: float = 0.0
    """Of each; may be a part of one."""


@contextmanager
def connected(address: str) -> Iterator[None]:
    """Be connected to a cluster until the block ends.

    Args:
        address: `auto` for the one that runs here or that RAY_ADDRESS names, else one on this machine for this batch;
            or HOST:PORT.

    Raises:
        ScaleMissing: the extra is not installed.
        ClusterUnavailable: it cannot be started or reached.
    """
    if address.startswith("ray://"):
        raise BadOptions(
            f"{address}: a batch is no client of a cluster, it runs in it",
            "start it on a node of the cluster (ray job submit, or kubectl exec) with --ray auto",
        )
    for name, value in _OFF.items():
        os.environ.setdefault(name, value)  # Ray reads them when it is imported
    try:
        import ray
        import ray.data
    except ImportError:
        raise ScaleMissing("--ray needs an extra that is not installed", "pip install 'alphadrop[scale]'") from None
    if address != "auto":
        _refuse_unreachable(address)
    warnings.simplefilter("ignore", ray.util.annotations.RayDeprecationWarning)  # of what pyproject.toml says
    try:
        with _no_remarks():
            ray.init(
                None if address == "auto" else address,
                include_dashboard=None if _is_elsewhere(address) else False,
                log_to_driver=False,
                logging_level=logging.ERROR,
            )
    except (ConnectionError, RuntimeError, ValueError, OSError) as error:
        raise ClusterUnavailable(f"Ray: {error}", "check the address, or leave it to: --ray auto") from error
    logging.getLogger("ray.data").setLevel(logging.CRITICAL)  # a lost worker is told by the rows that are missing
    try:
        yield
    finally:
        ray.shutdown()


def _refuse_unreachable(address: str) -> None:
    """Raise ClusterUnavailable where nobody answers: Ray itself would try for minutes."""
    host, _, port = address.rpartition(":")
    if not host or not port.isdecimal():
        raise BadOptions(f"{address!r} is no address of a cluster", "write auto, or HOST:PORT")
    try:
        socket.create_connection((host.strip("[]"), int(port)), _SECONDS).close()
    except (OSError, OverflowError) as error:
        raise ClusterUnavailable(f"Ray: {address}: {error}", "check the address, or leave it to: --ray auto") from error


@contextmanager
def _no_remarks() -> Iterator[None]:
    """Keep from the terminal what Ray's C++ says when it begins; what goes wrong is an exception."""
    sys.stderr.flush()
    kept, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)


def _is_elsewhere(address: str) -> bool:
    return address != "auto" or bool(os.environ.get("RAY_ADDRESS"))


def on_ray(brief: Brief, address: str, workers: Workers) -> Cutting:
    """Return the way that is a cluster's; raises as `connected` and `cut_on_ray` when it is gone."""

    def cutting(jobs: Iterator[Job], _: Manifest) -> Iterator[list[Row]]:
        with connected(address):
            yield from cut_on_ray(brief, jobs, workers)

    return cutting


def cut_on_ray(brief: Brief, jobs: Iterable[Job], workers: Workers) -> Iterator[list[Row]]:
    """Yield rows as blocks are done. Photographs whose worker was lost have none; the caller knows them.

    Args:
        brief: of the batch.
        jobs: what is to do.
        workers: the actors that are wanted.

    Raises:
        ClusterUnavailable: the cluster has no room for a worker, was lost, or its workers cannot begin.
    """
    import ray
    from ray.data import ActorPoolStrategy, DataContext

    cpus, most_at_first = room_for(ray.nodes(), workers)
    least = workers.least or most_at_first
    brief = replace(brief, recipe=replace(brief.recipe, threads=cpus))
    context = DataContext.get_current()
    context.enable_progress_bars = False
    context.max_errored_blocks = -1  # what was lost is done again by whoever called this
    at_once = cpus + 1
    left = iter(jobs)
    while window := list(islice(left, _WINDOW)):
        block = max(1, min(_BLOCK, len(window) // (2 * at_once * least)))
        tables = [_table(window[at : at + block]) for at in range(0, len(window), block)]
        data = ray.data.from_arrow(tables).map_batches(
            _Warm,
            fn_constructor_args=(brief,),
            batch_size=None,
            batch_format="pyarrow",
            compute=ActorPoolStrategy(
                min_size=least,
                max_size=max(workers.most or least, least),
                max_tasks_in_flight_per_actor=at_once + 1,
                max_concurrent_calls_per_actor=at_once,
                enable_true_multi_threading=True,
            ),
            num_cpus=cpus,
            num_gpus=workers.gpus,
            # An actor that is lost comes back; a task that was lost with it does not: it may have been the reason.
            max_restarts=-1,
            max_task_retries=0,
        )
        try:
            for table in data.iter_batches(batch_size=None, batch_format="pyarrow", prefetch_batches=0):
                rows = [from_line(line) for line in table["row"].to_pylist()]
                yield [row for row in rows if row is not None]
        except ray.exceptions.RayError as error:
            raise ClusterUnavailable(
                f"Ray: {_last_line(error)}", "the same command goes on where this one was"
            ) from error


class _Warm:
    """What an actor is: a cutter with its network loaded."""

    def __init__(self, brief: Brief) -> None:
        return_big_blocks()
        self._cutter = Cutter(brief)
        self._cutter.warm()

    def __call__(self, table: pa.Table) -> pa.Table:
        import pyarrow as pa

        return pa.table({"row": [to_line(self._cutter.cut(_job(line))) for line in table["job"].to_pylist()]})


def room_for(nodes: list[dict[str, Any]], workers: Workers) -> tuple[int, int]:
    """Return the processors of a worker, and how many workers there is room for."""
    alive = [node["Resources"] for node in nodes if node["Alive"]]
    have = [int(node.get("CPU", 0)) for node in alive]
    cpus = workers.cpus or min(min((each for each in have if each), default=1), _MOST_CPUS)
    room = 0
    for node, processors in zip(alive, have, strict=True):
        by_gpu = int(node.get("GPU", 0) / workers.gpus) if workers.gpus else processors
        room += min(processors // cpus, by_gpu)
    if not room and not workers.most:
        raise ClusterUnavailable(
            f"no node of the cluster has room for a worker of {cpus} CPUs and {workers.gpus:g} GPUs",
            "--worker-cpus and --worker-gpus ask for less",
        )
    return cpus, max(room, 1)


def _table(jobs: list[Job]) -> pa.Table:
    import pyarrow as pa

    return pa.table({"job": [_job_line(job) for job in jobs]})


def _job_line(job: Job) -> str:
    found = job.found
    return json.dumps([found.name, found.content.size, found.content.mtime_ns, job.output, job.suspect])


def _job(line: str) -> Job:
    name, size, modified, output, suspect = json.loads(line)
    return Job(Found(name, Content(size, modified)), output, suspect)


def _last_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[-1]
