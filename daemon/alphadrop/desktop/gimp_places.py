"""Where GIMP 3 is: the programs that are installed, and the folders that they take plug-ins from.

GIMP looks for a user's plug-ins in his own settings folder, one for each `3.x`. What is known of each system is here,
as pure functions of a `Desk`, so that all of them can be tested on any.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from alphadrop.desktop.desk import Desk
from alphadrop.errors import BadOptions, NoGimp, printable, reading_failed

__all__ = ["Gimp", "Place", "find_gimps", "find_places", "named_place", "none_found", "settings_folders"]

Way = Literal["system", "flatpak", "snap"]
"""How a GIMP came to this machine."""
Ask = Callable[[Sequence[str]], str]
"""Runs a command and returns what it printed; nothing where it cannot be run or fails."""

_FLATPAK = "org.gimp.GIMP"
_PLUG_INS = "plug-ins"
_VERSION = re.compile(r"\b(\d+\.\d+)(\.\d+)*")
_SERIES = re.compile(r"\d+\.\d+")
_PATIENCE = 20.0
"""Seconds for a program to say its version: the first start from a slow disk takes a while."""


@dataclass(frozen=True, slots=True)
class Gimp:
    """A GIMP that is installed."""

    version: str
    """As it says itself, such as `3.0.4`."""
    way: Way

    @property
    def series(self) -> str:
        """The first two numbers: GIMP keeps settings for each."""
        return ".".join(self.version.split(".")[:2])

    def __str__(self) -> str:
        return self.version if self.way == "system" else f"{self.version} ({self.way.capitalize()})"


@dataclass(frozen=True, slots=True)
class Place:
    """A folder that a GIMP takes plug-ins from."""

    plug_ins: Path
    series: str
    """Such as `3.0`; empty where that cannot be told."""
    gimps: tuple[Gimp, ...] = ()
    """The installed programs that look here."""
    started: bool = True
    """Whether GIMP has made its settings folder."""
    obstacle: str = ""
    """Why nobody but GIMP may make that; empty where it is there or anybody may."""


def settings_folders(desk: Desk) -> dict[Way, Path]:
    """Return the folders in which GIMP keeps a folder of settings for each version, whether they exist or not."""
    if desk.system == "win32":
        roaming = desk.environment.get("APPDATA")
        return {"system": (Path(roaming) if roaming else desk.home / "AppData" / "Roaming") / "GIMP"}
    if desk.system == "darwin":
        return {"system": desk.home / "Library" / "Application Support" / "GIMP"}
    return {
        "system": desk.config_home / "GIMP",
        "flatpak": desk.home / ".var" / "app" / _FLATPAK / "config" / "GIMP",
        "snap": desk.home / "snap" / "gimp" / "current" / ".config" / "GIMP",
    }


def find_gimps(desk: Desk, ask: Ask | None = None) -> tuple[Gimp, ...]:
    """Return the GIMPs of any version that are installed, each asked for its version."""
    run = ask or _asked
    found: dict[Gimp, None] = {}
    for program, way in _programs(desk).items():
        version = _VERSION.search(run([program, "--version"]))
        if version:
            found[Gimp(version[0], way)] = None
    flatpak = shutil.which("flatpak", path=desk.environment.get("PATH", ""))
    told = run([flatpak, "info", _FLATPAK]) if flatpak and desk.system == "linux" else ""
    for line in told.splitlines():
        label, _, value = line.partition(":")
        version = _VERSION.match(value.strip())
        if label.strip() == "Version" and version:
            found[Gimp(version[0], "flatpak")] = None
    return tuple(sorted(found, key=lambda gimp: (_numbers(gimp.version), gimp.way)))


def find_places(desk: Desk, gimps: Iterable[Gimp]) -> tuple[Place, ...]:
    """Return the folders of plug-ins of every GIMP 3: those that it has made, and those of GIMPs not started yet.

    `GIMP3_DIRECTORY`, where it is set, is the one folder that GIMP looks into, and so the one that is returned.

    Raises:
        CannotRead: a folder of settings cannot be looked into.
    """
    able = [gimp for gimp in gimps if _numbers(gimp.version) >= (3,)]
    override = desk.environment.get("GIMP3_DIRECTORY")
    if override:
        profile = desk.home / override
        return (Place(profile / _PLUG_INS, _series(profile), tuple(able), started=profile.is_dir()),)
    roots = settings_folders(desk)
    places: list[Place] = []
    seen = set()
    for way, root in roots.items():
        for series in _made(root):
            profile = root / series
            real = os.path.realpath(profile)
            if _numbers(series) >= (3,) and real not in seen:
                seen.add(real)
                looking = tuple(gimp for gimp in able if gimp.series == series and _looks_into(gimp.way, way))
                places.append(Place(profile / _PLUG_INS, series, looking))
    return (*places, *_not_started(desk, roots, able, places))


def named_place(folder: Path) -> Place:
    """Return the place a user means by a folder: one of plug-ins, or the settings folder around it.

    Raises:
        BadOptions: there is no such folder, or it is that of a GIMP before 3.
    """
    named = Path(os.path.abspath(folder.expanduser()))
    if not named.is_dir():
        raise BadOptions(f"{printable(folder)}: there is no such folder", "name one that GIMP takes plug-ins from")
    if named.name == "alphadrop" and named.parent.name == _PLUG_INS:
        named = named.parent
    is_settings = bool(_series(named)) or (named / "gimprc").is_file() or (named / _PLUG_INS).is_dir()
    plug_ins = named / _PLUG_INS if is_settings else named
    series = _series(plug_ins.parent)
    if series and _numbers(series) < (3,):
        raise BadOptions(f"{printable(folder)}: belongs to GIMP {series}", "the plug-in needs GIMP 3.0 or later")
    return Place(plug_ins, series)


def none_found(gimps: Iterable[Gimp]) -> NoGimp:
    """Return the error for a machine without GIMP 3, which may have an older one."""
    older = [f"GIMP {gimp}" for gimp in gimps]
    if older:
        return NoGimp(
            f"only {' and '.join(older)} is here, and the plug-in needs GIMP 3",
            "install GIMP 3.0 or later beside it or in its place, then: alphadrop gimp install",
        )
    return NoGimp(
        "no GIMP 3 was found",
        "install GIMP 3.0 or later, then: alphadrop gimp install; where it is here already, name its folder of "
        "plug-ins (in GIMP: Edit > Preferences > Folders > Plug-ins) with --folder",
    )


def _not_started(desk: Desk, roots: dict[Way, Path], gimps: Iterable[Gimp], places: Iterable[Place]) -> Iterator[Place]:
    """Yield the places of GIMPs that have made no settings folder yet."""
    looked_into = {gimp for place in places for gimp in place.gimps}
    missing: dict[Path, list[Gimp]] = {}
    for gimp in gimps:
        if gimp not in looked_into:
            # A Flatpak GIMP is given the folder of the others.
            root = roots["snap" if gimp.way == "snap" and "snap" in roots else "system"]
            missing.setdefault(root / gimp.series, []).append(gimp)
    for profile, waiting in missing.items():
        older = _made(profile.parent)
        obstacle = ""
        if older:
            # Seen with GIMP 3.0: a settings folder that is there already is not filled from the one before.
            obstacle = f"it takes over the settings of GIMP {older[-1]} only while it has no folder of its own"
        elif waiting[0].way == "snap" and not os.path.isdir(desk.home / "snap" / "gimp" / "current"):
            obstacle = "a snap makes its folders itself"
        yield Place(profile / _PLUG_INS, profile.name, tuple(waiting), started=False, obstacle=obstacle)


def _looks_into(gimp: Way, root: Way) -> bool:
    return gimp == root or (gimp == "flatpak" and root == "system")


def _made(root: Path) -> list[str]:
    """Return the versions of GIMP, of whatever age, that have settings in a folder, in order."""
    try:
        names = os.listdir(root)
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as error:
        raise reading_failed(root, error) from error
    return sorted((name for name in names if _SERIES.fullmatch(name) and (root / name).is_dir()), key=_numbers)


def _programs(desk: Desk) -> dict[str, Way]:
    """Return the programs that may be a GIMP, each once whatever its names."""
    wanted = re.compile(r"gimp-console(-\d+(\.\d+)?)?\.exe" if desk.system == "win32" else r"gimp(-\d+(\.\d+)?)?")
    programs: dict[str, Way] = {}
    seen = set()
    for folder in _program_folders(desk):
        try:
            names = sorted(name for name in os.listdir(folder) if wanted.fullmatch(name))
        except OSError:  # of what is on a PATH, not everything exists or may be listed
            continue
        for name in names:
            program = os.path.join(folder, name)
            snap = os.path.join(os.sep, "snap", "bin") == os.path.normpath(folder)
            # Every command of /snap/bin is a link to the same program.
            real = program if snap else os.path.realpath(program)
            if real not in seen and os.access(program, os.X_OK):
                seen.add(real)
                programs[program] = "snap" if snap else "system"
    return programs


def _program_folders(desk: Desk) -> Iterator[str]:
    separator = ";" if desk.system == "win32" else ":"
    yield from filter(os.path.isabs, desk.environment.get("PATH", "").split(separator))
    if desk.system == "darwin":
        for applications in (Path("/Applications"), desk.home / "Applications"):
            yield os.fspath(applications / "GIMP.app" / "Contents" / "MacOS")
    if desk.system == "win32":
        for variable, *below in (("ProgramFiles",), ("LOCALAPPDATA", "Programs")):
            base = desk.environment.get(variable)
            if base:
                yield os.path.join(base, *below, "GIMP 3", "bin")


def _asked(command: Sequence[str]) -> str:
    try:
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            timeout=_PATIENCE,
            env={**os.environ, "LC_ALL": "C"},
            check=False,
        )
    except (OSError, subprocess.SubprocessError):
        return ""
    return done.stdout.decode("utf-8", "replace") if done.returncode == 0 else ""


def _series(profile: Path) -> str:
    return profile.name if _SERIES.fullmatch(profile.name) else ""


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split("."))
