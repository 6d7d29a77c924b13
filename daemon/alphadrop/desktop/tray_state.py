"""What the icon in the panel knows of the daemon: a state, and what each event makes of it.

Pure: it is told what the API says, and knows no daemon, no panel and no clock.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

__all__ = [
    "NOT_RUNNING",
    "Folder",
    "Result",
    "State",
    "Trouble",
    "lost",
    "with_job",
    "with_jobs",
    "with_picture",
    "with_status",
]

_RESULTS = 5
_AT_WORK = ("watching", "polling", "starting")
"""States of a folder with which nothing is wrong."""


@dataclass(frozen=True, slots=True)
class Folder:
    """A hot folder."""

    input: str
    output: str


@dataclass(frozen=True, slots=True)
class Trouble:
    """What keeps the daemon from its work until somebody sees to it."""

    kind: Literal["folder", "configuration", "model", "ledger"]
    name: str = ""
    """Of a folder: its last part."""
    state: str = ""
    """Of a folder: what the daemon calls it, such as `missing`."""
    remedy: str = ""
    """In the daemon's words."""


@dataclass(frozen=True, slots=True)
class Result:
    """A photograph that was cut out."""

    number: int
    """Of its job."""
    name: str
    """Of the photograph."""
    file: str
    """What was written; of several the first."""


@dataclass(frozen=True, slots=True)
class State:
    """All that the icon, its menu and the notifications are made from."""

    phase: str = ""
    """What the daemon says of itself, such as `ready`; empty where none runs."""
    is_paused: bool = False
    paused_until: float | None = None
    """Seconds since the epoch; None for until told otherwise."""
    folders: tuple[Folder, ...] = ()
    troubles: tuple[Trouble, ...] = ()
    remaining: int = 0
    """Photographs of the hot folders that wait or are being cut."""
    ended: int = 0
    """Photographs of the hot folders that are done with, however it went."""
    failed: int = 0
    began_at: int = 0
    """`ended` when there was last nothing to do."""
    at_work: Mapping[int, str] = field(default_factory=dict)
    """Jobs that are being cut, each with its photograph's name."""
    pictures: frozenset[int] = frozenset()
    """Pictures of other programs that are being cut."""
    results: tuple[Result, ...] = ()
    """The last ones, newest first."""
    may_notify: bool = True
    configuration: str = ""
    """The file."""

    @property
    def runs(self) -> bool:
        """Whether a daemon answers."""
        return bool(self.phase)

    @property
    def waiting(self) -> int:
        """How many photographs wait for their turn."""
        return max(0, self.remaining - len(self.at_work))

    @property
    def progress(self) -> float:
        """How much is done of what has been there since there was last nothing to do, 0 to 1."""
        done = max(0, self.ended - self.began_at)
        return done / (done + self.remaining) if self.remaining else 0.0


NOT_RUNNING = State()


def lost(state: State) -> State:
    """Return a state after the daemon was lost; its folders and results are still there to be opened."""
    return replace(
        NOT_RUNNING,
        folders=state.folders,
        results=state.results,
        may_notify=state.may_notify,
        configuration=state.configuration,
    )


def with_status(state: State, status: Mapping[str, Any]) -> State:
    """Return a state after the daemon said how it is."""
    told = status["folders"]
    remaining = sum(folder["pending"] + folder["working"] for folder in told)
    ended = sum(folder[name] for folder in told for name in ("done", "no_subject", "skipped", "failed", "missing"))
    began_at = min(state.began_at, ended) if remaining and state.remaining else ended
    paused = status["paused"]
    return replace(
        state,
        phase=status["state"],
        is_paused=paused is not None,
        paused_until=None if paused is None else paused["until"],
        folders=tuple(Folder(folder["input"], folder["output"]) for folder in told),
        troubles=tuple(_troubles(status)),
        remaining=remaining,
        ended=ended,
        failed=sum(folder["failed"] for folder in told),
        began_at=began_at,
        at_work=state.at_work if remaining else {},
        may_notify=status.get("notifications", True),
        configuration=status["configuration"]["file"],
    )


def with_jobs(state: State, jobs: Sequence[Mapping[str, Any]]) -> State:
    """Return a state that knows no other photographs than these, which changed last, newest first."""
    state = replace(state, at_work={}, results=())
    for job in reversed(jobs):
        state = with_job(state, job)
    return state


def with_job(state: State, job: Mapping[str, Any]) -> State:
    """Return a state after a photograph of a hot folder changed."""
    number, name = job["id"], Path(job["path"]).name
    at_work = {other: at for other, at in state.at_work.items() if other != number}
    if job["state"] == "working":
        at_work[number] = name
    results = tuple(result for result in state.results if result.number != number)
    if job["state"] == "done" and job["outputs"]:
        known = next((at for at, result in enumerate(state.results) if result.number == number), 0)
        # What happens to an original later is no new result.
        results = (*results[:known], Result(number, name, job["outputs"][0]), *results[known:])[:_RESULTS]
    return replace(state, at_work=at_work, results=results)


def with_picture(state: State, picture: Mapping[str, Any]) -> State:
    """Return a state after a picture of another program changed."""
    number, busy = picture["picture"], picture["state"] in ("waiting", "working")
    return replace(state, pictures=state.pictures | {number} if busy else state.pictures - {number})


def _troubles(status: Mapping[str, Any]) -> list[Trouble]:
    troubles = []
    if problems := status["configuration"]["problems"]:
        troubles.append(Trouble("configuration", remedy=problems[0]))
    if status["model"]["state"] == "missing":
        troubles.append(Trouble("model", remedy=status["model"]["hint"] or status["model"]["message"]))
    if status["ledger"]["state"] == "trouble":
        troubles.append(Trouble("ledger", remedy=status["ledger"]["hint"] or status["ledger"]["message"]))
    for folder in status["folders"]:
        if folder["health"] not in _AT_WORK:
            troubles.append(Trouble("folder", Path(folder["input"]).name, folder["health"], folder["remedy"]))
        elif folder["warning"]:
            troubles.append(Trouble("folder", Path(folder["input"]).name, folder["warning"]))
    return troubles
