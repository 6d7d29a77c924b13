"""What a whole configuration says, once it has been read. The defaults stand here and nowhere else."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, get_args

from alphadrop.engine.models import ModelSpec
from alphadrop.engine.options import Provider, Quiet
from alphadrop.hotfolder.settings import FolderSettings

__all__ = ["LOG_LEVELS", "Limits", "LogLevel", "NamedKey", "Settings", "Web"]

LogLevel = Literal["debug", "info", "warning", "error"]

LOG_LEVELS: tuple[LogLevel, ...] = get_args(LogLevel)


@dataclass(frozen=True, slots=True)
class Limits:
    """How much photographs may ask for: one alone, and all that are worked on at once."""

    megapixels: float = 200.0
    """A photograph of more is refused by its header; `pixels` in the file."""
    in_flight_megapixels: float = 40.0
    """Worked on at once; a larger photograph is done alone. `in_flight` in the file."""

    @property
    def pixels(self) -> int:
        """The limit of one photograph in pixels."""
        return round(self.megapixels * 1_000_000)

    @property
    def in_flight_pixels(self) -> int:
        """The limit of all that are worked on at once in pixels."""
        return round(self.in_flight_megapixels * 1_000_000)


@dataclass(frozen=True, slots=True)
class Web:
    """What is to be had over TCP, on this machine alone."""

    enabled: bool = True
    """Whether there is a web page; programs are answered either way."""
    port: int = 7878
    """Of 127.0.0.1: this one, or the first free one after it."""


@dataclass(frozen=True, slots=True)
class NamedKey:
    """A key that another program of the user's has for the picture calls. The key itself is kept nowhere."""

    name: str
    sha256: str
    """Of the key, 64 hexadecimal digits in lower case."""


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
    quiet: Quiet = "auto"
    """When work on hot folders keeps to one processor and one photograph at a time."""
    limits: Limits = field(default_factory=Limits)
    keep_gps: bool = False
    history: float = 90 * 86_400.0
    """Seconds for which the record of a photograph is kept that is gone from its folder."""
    web: Web = field(default_factory=Web)
    keys: tuple[NamedKey, ...] = ()
    allow_origins: tuple[str, ...] = ()
    """Of the web pages that may use the picture calls: `scheme://host` or `scheme://host:port`."""
    log_level: LogLevel = "info"
    notifications: bool = True
    """Whether the icon in the panel may say on the desktop what was done and what is wrong."""
    tray: bool = False
    """Whether `alphadrop run` shows that icon, too."""
    warnings: tuple[str, ...] = field(default=(), compare=False)
    """What does not stop the daemon and should be known, such as a folder that is not there; each with file:line."""
