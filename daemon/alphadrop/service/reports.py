"""What the API says, as its OpenAPI document describes it."""

from __future__ import annotations

import os
from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field

from alphadrop.engine.cutout import Engine
from alphadrop.engine.models import ModelSpec, locate
from alphadrop.errors import ModelMissing, printable
from alphadrop.hotfolder.hotfolders import FolderStatus
from alphadrop.hotfolder.ledger import Ledger, Row
from alphadrop.hotfolder.ledger import State as JobState

__all__ = [
    "BroughtBack",
    "ConfigurationInForce",
    "ConfigurationReport",
    "Described",
    "FolderReport",
    "JobReport",
    "Jobs",
    "LedgerReport",
    "ModelReport",
    "Models",
    "PauseReport",
    "Pausing",
    "RegisteredModel",
    "Retried",
    "Status",
    "Stopping",
    "Which",
    "folder_report",
    "job_report",
    "registered_model",
]


class Described(BaseModel, use_attribute_docstrings=True):
    """What a field's docstring says stands in the OpenAPI document too."""


class ModelReport(Described):
    """The model in use."""

    name: str
    state: str
    """`loading`, `ready`, or `missing` with a message and a hint."""
    device: str = ""
    message: str = ""
    hint: str = ""


class FolderReport(Described):
    """One hot folder."""

    input: str
    output: str
    health: str
    """`watching`, `polling`, or what keeps it from that, such as `missing` or `disk full`."""
    remedy: str = ""
    warning: str = ""
    """What is not wrong yet, such as a disk that is nearly full."""
    pending: int = 0
    working: int = 0
    done: int = 0
    no_subject: int = 0
    skipped: int = 0
    failed: int = 0
    missing: int = 0
    warned: int = 0
    """Of those that are done, whose result came with a warning."""


class LedgerReport(Described):
    """The record of files."""

    state: str
    """`opening`, `ready`, or `trouble` with a message and a hint."""
    message: str = ""
    hint: str = ""
    notes: list[str] = []
    """What had to be done to open it."""


class ConfigurationReport(Described):
    """The file that says what is done, and what is wrong in it since it was changed."""

    file: str
    problems: list[str] = []


class PauseReport(Described):
    """The hot folders rest."""

    until: float | None = None
    """Seconds since the epoch; none for until told otherwise."""


class Status(Described):
    """What the daemon says of itself."""

    api: int
    version: str
    pid: int
    state: str
    """`starting`, `ready`, `waiting for a model`, `waiting for the ledger`, or `stopping`."""
    uptime: float
    """Seconds."""
    paused: PauseReport | None = None
    configuration: ConfigurationReport
    model: ModelReport
    ledger: LedgerReport
    folders: list[FolderReport]
    notifications: bool = True
    """Whether clients on the desktop may say by themselves what happens."""


class Pausing(Described, extra="forbid"):
    """For how long to rest."""

    seconds: Annotated[float, Field(gt=0, le=366 * 86_400)] | None = None
    """None for until told otherwise."""


class JobReport(Described):
    """One photograph of a hot folder and what became of it."""

    id: int
    folder: str
    path: str
    """Below the folder."""
    state: JobState
    outcome: str
    """`done`, `no_subject`, `skipped`, or the code of an error."""
    reason: str
    attempts: int
    suspect: bool
    """It was being cut when the daemon ended without notice."""
    size: int
    """Bytes."""
    model: str
    seconds: dict[str, float]
    """Wall time of each stage."""
    warnings: list[str]
    """What to know of the result before it is used, in words; such as that the network is unsure of the subject."""
    noted_at: float
    """Seconds since the epoch, as are the following."""
    started_at: float | None
    finished_at: float | None
    original: str
    """`due`, `going`, then `moved` or `deleted` where it does not stay; `returning` while it is brought back."""
    original_at: str
    """Where it was moved to."""
    outputs: list[str]


class Jobs(Described):
    """Photographs, those that changed last first."""

    jobs: list[JobReport]


class Retried(Described):
    """What became of a request to do several photographs again."""

    retried: int
    refused: int
    """Among others, those that are no longer there."""


class BroughtBack(Described):
    """What became of a request to bring originals back."""

    brought_back: int
    refused: list[str]


class Which(Described, extra="forbid"):
    """Which photographs to do again."""

    which: Literal["failed", "changed"]
    """`changed`: those done with other settings than are in force now."""


class Stopping(Described):
    """The answer to a request to stop."""

    stopping: bool = True
    pid: int


class RegisteredModel(Described):
    """One network that is known by name."""

    name: str
    description: str
    licence: str
    commercial: bool | None
    """Whether commercial use is allowed; none where its authors have not said."""
    input_size: int
    """Side of the square that it sees, in pixels."""
    size: int | None
    """Bytes of its file."""
    installed: bool
    """Whether it is on this machine; others are fetched with `alphadrop models pull`."""
    default: bool
    """Whether it is used where none is named."""
    device: str = ""
    """What it runs on; empty while it is not loaded."""
    seconds: float | None = None
    """Of one run here, the median of the last; none before the first."""


class Models(Described):
    """All networks that are known by name."""

    models: list[RegisteredModel]


class ConfigurationInForce(Described):
    """What the daemon does as it is told, and what it was told that it cannot do."""

    file: str
    settings: dict[str, Any]
    """Every setting, those that the file leaves out too; a file that says all this gives the same."""
    warnings: list[str] = []
    problems: list[str] = []
    """What is wrong in the file since it was changed; the settings are the last good ones."""


def job_report(row: Row, ledger: Ledger) -> JobReport:
    """Return what the API says of a row."""
    return JobReport(
        id=row.id,
        folder=printable(row.folder),
        path=printable(os.fsencode(row.path)),
        state=row.state,
        outcome=row.outcome,
        reason=row.reason,
        attempts=row.attempts,
        suspect=row.suspect,
        size=row.content.size,
        model=row.model,
        seconds=dict(row.seconds),
        warnings=list(row.warnings),
        noted_at=row.noted_at,
        started_at=row.started_at,
        finished_at=row.finished_at,
        original=row.original,
        original_at="" if row.original_at is None else printable(row.original_at),
        outputs=[printable(output) for output in ledger.outputs(row)],
    )


def folder_report(folder: FolderStatus) -> FolderReport:
    """Return what the API says of a folder."""
    return FolderReport(
        input=printable(folder.input),
        output=printable(folder.output),
        health=folder.health.state,
        remedy=folder.health.remedy,
        warning=folder.health.warning,
        **folder.counts,
    )


def registered_model(spec: ModelSpec, engine: Engine) -> RegisteredModel:
    """Return what the API says of a network."""
    try:
        locate(spec)
        installed = True
    except ModelMissing:
        installed = False
    return RegisteredModel(
        name=spec.name,
        description=spec.description,
        licence=spec.licence,
        commercial=spec.commercial,
        input_size=spec.input_size,
        size=spec.size,
        installed=installed,
        default=spec.name == engine.model,
        device=engine.loaded.get(spec.name, ""),
        seconds=engine.seconds.get(spec.name),
    )
