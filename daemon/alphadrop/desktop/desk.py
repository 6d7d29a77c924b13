"""Where a user's desktop keeps things, and how this Alphadrop is started from there.

What is known of each system is in pure functions of a `Desk`, so that all of them can be tested on any.
"""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from alphadrop.desktop.texts import language_of
from alphadrop.errors import NotWhole

__all__ = ["Desk", "Language", "command_of_this", "starting_command"]

Language = Literal["en", "zh_CN"]

_NAME = "alphadrop"
_KEPT = ("ALPHADROP_CONFIG", "ALPHADROP_DATA_DIR", "ALPHADROP_RUN_DIR")


@dataclass(frozen=True, slots=True)
class Desk:
    """What tells where a user's programs and settings are."""

    system: str
    """As in `sys.platform`."""
    environment: Mapping[str, str]
    home: Path

    @classmethod
    def here(cls) -> Desk:
        """Return this user's."""
        return cls(sys.platform, os.environ, Path.home())

    @property
    def config_home(self) -> Path:
        """The folder of settings, where XDG is kept to."""
        return self._xdg("XDG_CONFIG_HOME", self.home / ".config")

    @property
    def data_home(self) -> Path:
        """The folder of data, where XDG is kept to."""
        return self._xdg("XDG_DATA_HOME", self.home / ".local" / "share")

    @property
    def config_folders(self) -> tuple[Path, ...]:
        """The folders of the system's own settings, the most important first."""
        named = self.environment.get("XDG_CONFIG_DIRS") or "/etc/xdg"
        return tuple(Path(each) for each in named.split(":") if os.path.isabs(each))

    @property
    def language(self) -> Language:
        """The language of texts that have room for one only."""
        return "zh_CN" if language_of(self.environment) == "zh" else "en"

    @property
    def own_places(self) -> dict[str, str]:
        """The variables that tell where Alphadrop's own files are, where they are set."""
        given = {name: self.environment.get(name, "") for name in _KEPT}
        return {name: os.path.abspath(self._home_in(value)) for name, value in given.items() if value}

    def find_program(self, name: str) -> str | None:
        """Return the path of an installed program; None where there is none."""
        return shutil.which(name, path=self.environment.get("PATH", ""))

    def _home_in(self, path: str) -> str:
        return os.path.join(self.home, path[2:]) if path.startswith(f"~{os.sep}") else path

    def _xdg(self, name: str, usual: Path) -> Path:
        named = self.environment.get(name, "")
        return Path(named) if os.path.isabs(named) else usual


def starting_command(executable: str = sys.executable) -> tuple[str, ...]:
    """Return the command that starts this Alphadrop from anywhere; nothing where its interpreter is not known."""
    if not executable:
        return ()
    interpreter = os.path.abspath(executable)
    script = os.path.join(os.path.dirname(interpreter), _NAME + (".exe" if os.name == "nt" else ""))
    if os.path.isfile(script) and os.access(script, os.X_OK):
        return (script,)
    return (interpreter, "-m", _NAME)


def command_of_this() -> tuple[str, ...]:
    """Return the command that starts this Alphadrop.

    Raises:
        NotWhole: it cannot be told.
    """
    command = starting_command()
    if not command:
        raise NotWhole("it cannot be told which program this is", "start it by its path")
    return command
