"""The GIMP plug-in put into GIMP's folders, looked at there, and taken out again.

It is written as `alphadrop/alphadrop.py` with two lines filled in, so that it can start the Alphadrop it came from and
say how old it is. GIMP passes over a plug-in silently where it may not be executed.
"""

from __future__ import annotations

import ast
import contextlib
import os
import re
import stat
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from alphadrop import atomic, paths
from alphadrop.desktop.desk import starting_command
from alphadrop.desktop.gimp_places import Place
from alphadrop.errors import (
    CannotWrite,
    GimpNotStarted,
    PlugInUnusable,
    TargetExists,
    printable,
    reading_failed,
    removing_failed,
    writing_failed,
)

__all__ = ["MENU", "Edition", "Found", "State", "bake", "examine", "install", "uninstall"]

MENU = "Layer > Transparency > Remove Background..."
"""Where GIMP shows it."""
_NAME = "alphadrop"
_FILE = f"{_NAME}.py"
_OURS = b"plug-in-alphadrop-remove-background"
"""The procedure's name, which a plug-in of somebody else's has no reason to hold."""
_PROGRAM = "PROGRAM: list[str] = "
_VERSION = "VERSION: str = "
_ENOUGH = 1 << 20
"""Bytes of a file that are read: our plug-in is far smaller."""
_COMPILED = re.compile(rf"{_NAME}\.[\w-]+(\.opt-\d)?\.pyc")


class State(Enum):
    """What is found in a folder of plug-ins."""

    ABSENT = "absent"
    """Nothing of that name."""
    CURRENT = "current"
    """What would be written now."""
    OLDER = "older"
    """Of an older Alphadrop, or copied by hand."""
    NEWER = "newer"
    """Of a newer Alphadrop."""
    ELSEWHERE = "elsewhere"
    """The same version, of another Alphadrop on this machine."""
    CHANGED = "changed"
    """Ours, and edited since."""
    FOREIGN = "foreign"
    """A plug-in of somebody else's with the same name."""
    LINKED = "linked"
    """A symbolic link, which leads out of GIMP's folder."""


@dataclass(frozen=True, slots=True)
class Edition:
    """The plug-in as one Alphadrop writes it."""

    source: str
    program: tuple[str, ...]
    """The command that starts that Alphadrop."""
    version: str

    @classmethod
    def here(cls, version: str) -> Edition:
        """Return that of this Alphadrop, which is of a version.

        Raises:
            CannotRead, PlugInUnusable: this installation is not whole.
        """
        file = paths.gimp_plugin()
        try:
            source = file.read_text(encoding="utf-8")
        except OSError as error:
            raise reading_failed(file, error) from error
        except UnicodeError as error:
            raise PlugInUnusable(f"{printable(file)}: is not text", "install Alphadrop again") from error
        edition = cls(source, starting_command(), version)
        edition.content()
        return edition

    def content(self) -> bytes:
        """Return the file to write.

        Raises:
            PlugInUnusable: as for `bake`.
        """
        return bake(self.source, self.program, self.version)


@dataclass(frozen=True, slots=True)
class Found:
    """What was found in a place."""

    place: Place
    file: Path
    state: State
    version: str = ""
    """The version that a plug-in of ours says it is of; empty where it says none."""
    executable: bool = True
    """Whether GIMP would run it."""

    @property
    def in_order(self) -> bool:
        """Whether it is the current one and GIMP runs it."""
        return self.state is State.CURRENT and self.executable


def bake(source: str, program: Sequence[str], version: str) -> bytes:
    """Return the plug-in with the two lines filled in that say what it was installed by.

    Raises:
        PlugInUnusable: one of the two lines is not there exactly once.
    """
    lines = source.split("\n")
    for blank, value in (
        (f"{_PROGRAM}[]", f"{_PROGRAM}{list(program)!a}"),
        (f'{_VERSION}""', f"{_VERSION}{version!a}"),
    ):
        if lines.count(blank) != 1:
            raise PlugInUnusable(
                f"the plug-in has the line {blank!r} {lines.count(blank)} times, and must have it once",
                "install Alphadrop again",
            )
        lines[lines.index(blank)] = value
    return "\n".join(lines).encode("utf-8")


def examine(place: Place, edition: Edition) -> Found:
    """Look for the plug-in in a place.

    Raises:
        CannotRead: something is there and cannot be read.
    """
    folder = place.plug_ins / _NAME
    file = folder / _FILE
    try:
        # What is above the settings folder is the user's to arrange, and GIMP's to follow.
        if any(path.is_symlink() for path in (place.plug_ins, folder, file)):
            return Found(place, file, State.LINKED)
        kind = os.lstat(file).st_mode
        if not stat.S_ISREG(kind):
            return Found(place, file, State.FOREIGN)
        with open(file, "rb") as stream:
            content = stream.read(_ENOUGH)
    except FileNotFoundError:
        return Found(place, file, State.ABSENT)
    except NotADirectoryError:
        return Found(place, file, State.FOREIGN)
    except OSError as error:
        raise reading_failed(file, error) from error
    version = _said(content, _VERSION)
    version = version if isinstance(version, str) else ""
    return Found(place, file, _state(content, version, edition), version, os.access(file, os.X_OK))


def install(place: Place, edition: Edition, *, overwrite: bool = False) -> Found:
    """Put the plug-in into a place, unless it is there and in order; return what was found before.

    Args:
        place: where to.
        edition: what to write.
        overwrite: whether a plug-in of somebody else's, or a link, may be replaced.

    Raises:
        GimpNotStarted: GIMP has to make the folder itself, first.
        TargetExists: something that is not ours has its name, and `overwrite` is not given.
        CannotRead, CannotWrite, DiskFull: the file system refused.
    """
    if place.obstacle:
        raise GimpNotStarted(
            f"GIMP {place.series} has not been started yet, and {place.obstacle}",
            "start it once and end it, then: alphadrop gimp install",
        )
    found = examine(place, edition)
    if found.in_order:
        return found
    if found.state in (State.FOREIGN, State.LINKED):
        _make_way(found, overwrite=overwrite)
    folder = found.file.parent
    try:
        atomic.make_folder(folder)
    except OSError as error:
        raise writing_failed(folder, error) from error
    atomic.sweep(folder)
    atomic.write(found.file, [edition.content()], replace=found.state is not State.ABSENT, mode=0o755)
    _make_executable(found.file)
    return found


def uninstall(place: Place, edition: Edition) -> tuple[Path, ...]:
    """Take the plug-in out of a place, and its folder where nothing else is in it; return what was removed.

    Raises:
        TargetExists: what is there is not ours, or is reached through a link; it is left.
        CannotRead, CannotWrite: the file system refused.
    """
    found = examine(place, edition)
    if found.state is State.ABSENT:
        return ()
    if found.state in (State.FOREIGN, State.LINKED):
        raise _not_ours(found, "it is left; remove it by hand")
    folder = found.file.parent
    removed = []
    try:
        os.unlink(found.file)
        removed.append(found.file)
        atomic.sweep(folder)
        if _hold_nothing_else(folder):
            for leftover in (folder / "__pycache__").glob("*"):
                os.unlink(leftover)
            with contextlib.suppress(FileNotFoundError):
                os.rmdir(folder / "__pycache__")
            os.rmdir(folder)
            removed.append(folder)
    except OSError as error:
        raise removing_failed(folder, error) from error
    return tuple(removed)


def _state(content: bytes, version: str, edition: Edition) -> State:
    if content == edition.content():
        return State.CURRENT
    if _OURS not in content:
        return State.FOREIGN
    age = _numbers(version)
    if age < _numbers(edition.version):
        return State.OLDER
    if age > _numbers(edition.version):
        return State.NEWER
    program = _said(content, _PROGRAM)
    if isinstance(program, list) and content == bake(edition.source, program, version):
        return State.ELSEWHERE
    return State.CHANGED


def _said(content: bytes, line: str) -> object:
    """Return the value that a plug-in gives to one of the two names; None where it gives none."""
    given = re.search(rf"^{re.escape(line)}(.*)$", content.decode("utf-8", "replace"), re.MULTILINE)
    try:
        return ast.literal_eval(given[1]) if given else None
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return None


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(digits) for digits in re.findall(r"\d+", version))


def _make_way(found: Found, *, overwrite: bool) -> None:
    """Remove a link that bears the plug-in's name, where the user said so; another file is replaced by the writing."""
    if found.place.plug_ins.is_symlink():
        real = printable(os.path.realpath(found.place.plug_ins))
        raise _not_ours(found, f"name the folder it leads to: alphadrop gimp install --folder {real}")
    if not overwrite:
        raise _not_ours(found, "have it replaced: alphadrop gimp install --overwrite")
    folder = found.file.parent
    if folder.is_symlink() or not folder.is_dir():
        try:
            os.unlink(folder)
        except OSError as error:
            raise writing_failed(folder, error) from error


def _not_ours(found: Found, hint: str) -> TargetExists:
    if found.state is State.LINKED:
        link = next(path for path in (found.place.plug_ins, found.file.parent, found.file) if path.is_symlink())
        return TargetExists(f"{printable(link)}: is a symbolic link", hint)
    return TargetExists(f"{printable(found.file)}: another plug-in has this name", hint)


def _make_executable(file: Path) -> None:
    """Give its owner leave to run it, whatever the umask took away."""
    try:
        if not os.access(file, os.X_OK):
            os.chmod(file, stat.S_IMODE(os.stat(file).st_mode) | 0o500)
    except OSError as error:
        raise writing_failed(file, error) from error
    if not os.access(file, os.X_OK):
        raise CannotWrite(
            f"{printable(file)}: was written and cannot be executed, so that GIMP passes over it",
            "its file system may be mounted without leave to run programs (noexec)",
        )


def _hold_nothing_else(folder: Path) -> bool:
    """Return whether all that is left in the plug-in's folder is what Python compiled it to."""
    names = os.listdir(folder)
    if not names:
        return True
    cache = folder / "__pycache__"
    if names != [cache.name] or cache.is_symlink() or not cache.is_dir():
        return False
    return all(_COMPILED.fullmatch(name) for name in os.listdir(cache))
