"""What can be asked of one hot folder."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, get_args

from alphadrop.engine.options import CutOptions

__all__ = ["IF_EXISTS", "ORIGINALS", "RESULTS", "FolderSettings", "IfExists", "Originals", "Result"]

Result = Literal["cutout", "mask", "both"]
IfExists = Literal["number", "skip", "overwrite"]
Originals = Literal["keep", "move", "delete"]

RESULTS: tuple[Result, ...] = get_args(Result)
IF_EXISTS: tuple[IfExists, ...] = get_args(IfExists)
ORIGINALS: tuple[Originals, ...] = get_args(Originals)


@dataclass(frozen=True, slots=True)
class FolderSettings:
    """One watched folder and what becomes of the photographs in it."""

    input: Path
    output: Path
    model: str
    cut: CutOptions = field(default_factory=CutOptions)
    result: Result = "cutout"
    originals: Originals = "keep"
    """What becomes of a photograph once its output is safe on the disk."""
    finished: Path | None = None
    """Where originals go that are moved."""
    failed: Path | None = None
    """Where originals go that cannot be cut, each with a line saying why; without it they stay where they are."""
    recursive: bool = True
    name: str = "{stem}"
    """Template of the output's name without its suffix; knows {stem} and {ext}."""
    if_exists: IfExists = "number"
    """What to do where a file that is not ours has the output's name."""
    settle: float = 2.0
    """Seconds a file must stay unchanged before it is read."""
    rescan: float = 60.0
    """Seconds between two looks at the whole folder."""
    poll: bool = False
    """Look through the folder every few seconds instead of waiting for events, which network shares may not report."""
    include: tuple[str, ...] = ()
    """Glob patterns on the path below the folder; none means every file with a photograph's suffix."""
    exclude: tuple[str, ...] = ()

    @property
    def set_apart(self) -> tuple[Path, ...]:
        """The folders that may lie inside the input and are never taken for photographs."""
        return tuple(folder for folder in (self.output, self.finished, self.failed) if folder is not None)

    @property
    def places(self) -> tuple[Path, ...]:
        """Every folder that is read or written."""
        return (self.input, *self.set_apart)

    def fingerprint(self) -> str:
        """Return a short hash of everything that changes the output's pixels or kind."""
        telling = repr((self.model, self.cut, self.result))
        return hashlib.sha256(telling.encode("utf-8", "surrogateescape")).hexdigest()[:16]
