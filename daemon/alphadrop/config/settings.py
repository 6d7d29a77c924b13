"""What a whole configuration says, once it has been read. The defaults stand here and nowhere else."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, get_args

from alphadrop.engine.models import ModelSpec
from alphadrop.engine.options import Provider
from alphadrop.hotfolder.settings import FolderSettings

__all__ = ["LOG_LEVELS", "Limits", "LogLevel", "Settings"]

LogLevel = Literal["debug", "info", "warning", "error"]

LOG_LEVELS: tuple[LogLevel, ...] = get_args(LogLevel)


@dataclass(frozen=True, slots=True)
class Limits:
    """How much one photograph may ask for."""

    megapixels: float = 200.0
    """A photograph of more is refused by its header; `pixels` in the file."""

    @property
    def pixels(self) -> int:
        """The same limit in pixels."""
        return round(self.megapixels * 1_000_000)


@dataclass(frozen=True, slots=True)
class Settings:
    """Everything the daemon is told by its configuration."""

    file: Path
    """Where it was read."""
    model: str = "u2net-int8"
    """Of the folders that name none, and of every other way in."""
    folders: tuple[FolderSettings, ...] = ()
    models: tuple[ModelSpec, ...] = ()
    """The user's own networks."""
    threads: int = 0
    """For one run of the network; 0 means one for each CPU."""
    provider: Provider = "cpu"
    limits: Limits = field(default_factory=Limits)
    keep_gps: bool = False
    log_level: LogLevel = "info"
    warnings: tuple[str, ...] = field(default=(), compare=False)
    """What does not stop the daemon and should be known, such as a folder that is not there; each with file:line."""
