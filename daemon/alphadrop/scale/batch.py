"""A batch from its beginning to its end: what is to do, who does it, and what is written down before it counts.

Who does it is somebody else's: threads here (`here.py`) or actors of Ray (`cluster.py`). One process, the driver, reads
the lists, gives the names and writes the manifest.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from typing import Protocol

from alphadrop.engine.cutout import Engine
from alphadrop.errors import BatchStopped
from alphadrop.scale.cutter import Brief, Cutter
from alphadrop.scale.here import cut_here, hands
from alphadrop.scale.inventory import Counts, Inventory, Job
from alphadrop.scale.manifest import Manifest, Row
from alphadrop.scale.stores import Store, open_store, refuse_cycles

__all__ = ["Cutting", "Observer", "Survey", "here", "run", "surveyed"]

_IN_A_ROW = 20
"""Failures of one kind that may pass, with nothing done between them: they concern more than single photographs."""

Cutting = Callable[[Iterator[Job], Manifest], Iterator[list[Row]]]
"""Does jobs, and gives rows as they are done; a job that gets no row was lost with who had it."""


class Observer(Protocol):
    """Somebody who looks on."""

    def begin(self, photographs: int) -> None:
        """So many are to be done."""

    def see(self, row: Row) -> None:
        """One is done, and that is recorded."""

    def lose(self, photographs: int) -> None:
        """So many were lost with their worker, and are tried once more."""


@dataclass(frozen=True, slots=True)
class Survey:
    """What is there, before anything is done."""

    source: Store
    manifest: Manifest
    inventory: Inventory
    to_do: int


@contextmanager
def surveyed(brief: Brief, *, retry_failed: bool = False) -> Iterator[Survey]:
    """Look at source, target and manifest; nothing is changed.

    Args:
        brief: of the batch.
        retry_failed: whether photographs are to do again that cannot be cut, as far as is known.

    Raises:
        BadOptions: the photographs lie in the target.
        CannotRead, StoreRefused: source or target cannot be listed.
    """
    source, target = open_store(brief.source), open_store(brief.target)
    refuse_cycles(source, target)
    inventory = Inventory(brief.settings)
    try:
        manifest = Manifest(target)
        inventory.learn(manifest.rows())
        inventory.find(source.walk(target), target.walk() if target.is_there() else ())
        yield Survey(source, manifest, inventory, inventory.plan(retry_failed=retry_failed))
    finally:
        inventory.close()


def run(brief: Brief, cutting: Cutting, observer: Observer, *, retry_failed: bool = False) -> Counts:
    """Do what is missing or changed; return what became of all photographs of the source.

    However it ends, what was done is in the manifest, and another run goes on there.

    Raises:
        BatchRunning: another batch works on this target.
        BatchStopped: what was met concerns all that is left.
        BadOptions, FileError, BatchError: see `surveyed`, and what the cutting raises.
    """
    with open_store(brief.target).lock(), surveyed(brief, retry_failed=retry_failed) as survey:
        observer.begin(survey.to_do)
        try:
            if survey.to_do:
                _do(survey, cutting, observer)
        finally:
            if not survey.manifest.is_tidy:
                survey.manifest.compact(survey.inventory.rows())
        return survey.inventory.counts()


def here(brief: Brief, at_once: int | None = None, engine: Engine | None = None) -> Cutting:
    """Return the way that is this machine's: one warm network, all processors.

    Args:
        brief: of the batch.
        at_once: photographs in hand; None for one more than there are processors.
        engine: that cuts; by default one made by the brief's recipe.
    """

    def cutting(jobs: Iterator[Job], manifest: Manifest) -> Iterator[list[Row]]:
        cutter = Cutter(brief, engine)
        cutter.warm()

        def begun() -> Iterator[Job]:
            for job in jobs:
                manifest.begin(cutter.working(job))
                yield job

        return cut_here(cutter, begun(), at_once or hands())

    return cutting


def _do(survey: Survey, cutting: Cutting, observer: Observer) -> None:
    inventory, manifest = survey.inventory, survey.manifest
    streak = _Streak()

    def record(rows: list[Row]) -> None:
        inventory.record(rows)  # first: whoever interrupts while the other is written has it compacted from here
        manifest.add(rows)
        for row in rows:
            observer.see(row)
        for row in rows:
            streak.see(row)

    for _ in range(2):  # what is lost with its worker is tried once more, each photograph in a process of its own
        with closing(cutting(inventory.jobs(), manifest)) as done:  # type: ignore[type-var]
            for rows in done:
                record(rows)
        lost = inventory.suspect_the_rest()
        if not lost:
            return
        observer.lose(lost)
    record([_lost(job, survey) for job in inventory.jobs()])


def _lost(job: Job, survey: Survey) -> Row:
    begun = Row(
        job.found.name, job.found.content.size, job.found.content.mtime_ns, survey.inventory.fingerprint, "working"
    )
    return replace(
        begun, status="failed", code="worker_lost", reason="the worker that had it was lost, twice", passing=True
    )


class _Streak:
    """Failures that follow each other."""

    def __init__(self) -> None:
        self._code, self._length = "", 0

    def see(self, row: Row) -> None:
        """Raise BatchStopped where there are too many."""
        code = row.code if row.passing else ""
        self._length = self._length + 1 if code and code == self._code else 1
        self._code = code
        if code and self._length >= _IN_A_ROW:
            raise BatchStopped(
                f"{_IN_A_ROW} photographs in a row failed alike; the last: {row.reason}",
                "the same command goes on when that is mended",
            )
