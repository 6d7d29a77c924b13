"""doctor: is everything here that is needed, and what is used."""

from __future__ import annotations

import argparse
import contextlib
import functools
import json
import os
import platform
import shutil
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from alphadrop import __version__
from alphadrop.cli.config import settings_in_force
from alphadrop.cli.terminal import DONE, SOME_FAILED
from alphadrop.errors import AlphadropError, ModelError, NotRunning, printable
from alphadrop.hotfolder.answers import ask

if TYPE_CHECKING:
    from alphadrop.config import Settings

__all__ = ["define_doctor"]

_WORTH_IT = 0.9
"""Of a run's time: what is not at least this much quicker is not recommended."""
_PCS = ("x86_64", "AMD64")
_LITTLE_SPACE = 1_000_000_000
_FEW_WATCHES = 8192


@dataclass(frozen=True, slots=True)
class _Finding:
    """One thing looked at."""

    what: str
    verdict: Literal["ok", "note", "wrong"]
    told: str
    remedy: str = ""


def define_doctor(command: argparse.ArgumentParser) -> None:
    """Say what `doctor` takes."""
    command.description = (
        "Look at everything Alphadrop needs and measure the model. Exit status 1 when something is wrong."
    )
    command.epilog = "examples:\n  alphadrop doctor\n  alphadrop doctor --bundle alphadrop.zip"
    command.add_argument("--json", action="store_true", help="for programs")
    command.add_argument(
        "--bundle",
        type=Path,
        metavar="FILE.zip",
        help="write what was found, the status, the settings and the log into an archive for somebody who is to help, "
        "without the names of your files",
    )
    command.set_defaults(command=_doctor)


def _doctor(chosen: argparse.Namespace) -> int:
    findings = []
    for finding in _look():
        findings.append(finding)
        if not chosen.json:
            mark = {"ok": "  ok", "note": "note", "wrong": " !! "}[finding.verdict]
            print(f"{mark}  {finding.what:14} {finding.told}", flush=True)
            if finding.remedy:
                print(f"{'':20} {finding.remedy}")
    if chosen.json:
        print(json.dumps([asdict(finding) for finding in findings], indent=2))
    if chosen.bundle is not None:
        from alphadrop.cli.bundle import write_bundle

        write_bundle(chosen.bundle, [asdict(finding) for finding in findings])
        print(f"wrote {printable(chosen.bundle)}; look through it before you hand it on", file=sys.stderr)
    return SOME_FAILED if any(finding.verdict == "wrong" for finding in findings) else DONE


def _look() -> Iterator[_Finding]:
    yield _Finding("alphadrop", "ok", f"{__version__}, Python {platform.python_version()}, {sys.executable}")
    tested = sys.platform == "linux"
    yield _Finding("system", "ok" if tested else "note", platform.platform(), "" if tested else "not tested here")
    settings = None
    try:
        settings = settings_in_force(None)
    except AlphadropError as error:
        yield _Finding("configuration", "wrong", error.message, error.hint)
    else:
        made = settings.file.exists()
        told = printable(settings.file) if made else "none yet, the defaults are used"
        yield _Finding(
            "configuration", "ok" if made else "note", told, "" if made else "make it: alphadrop config init"
        )
        for warning in settings.warnings:
            yield _Finding("configuration", "note", warning)
        yield from _models(settings)
        yield _provider(settings)
        yield from _folders(settings)
    yield from _events()
    yield _daemon()
    yield _heic()
    yield from _gimp()
    yield _tray()
    yield _notifications()
    yield _autostart()


def _models(settings: Settings) -> Iterator[_Finding]:
    """Measure the model in force, and those that cut equally well; what is the fastest is remembered."""
    from alphadrop import paths
    from alphadrop.engine.cutout import Engine
    from alphadrop.engine.fastest import Machine, rivals, seconds_a_run, write_speeds
    from alphadrop.engine.models import AUTO

    engine = Engine(settings.model, own_models=settings.models, threads=settings.threads, provider=settings.provider)
    try:
        segmenter = engine.warm()
        measured = {engine.model: seconds_a_run(segmenter)}
    except AlphadropError as error:
        yield _Finding("model", "wrong", error.message, error.hint)
        return
    told = f"{engine.model} on {segmenter.device}: {measured[engine.model]:.2f} s a run, checksum right"
    yield _Finding("model", "ok", told)
    del segmenter
    try:
        for rival in rivals(engine.model, engine.known):
            if rival.name not in measured:
                measured[rival.name] = seconds_a_run(engine.warm(rival.name))
        os.makedirs(paths.data_folder(), exist_ok=True)
        write_speeds(paths.speeds_file(), Machine.here(settings.provider), measured)
    except AlphadropError as error:
        yield _Finding("fastest model", "note", error.message, error.hint)
        return
    best = min(measured, key=measured.__getitem__)
    compared = ", ".join(f"{name} {seconds:.2f} s" for name, seconds in sorted(measured.items(), key=lambda it: it[1]))
    if settings.model in (AUTO, best):
        yield _Finding("fastest model", "ok", compared)
    else:
        yield _Finding("fastest model", "note", compared, f"{best} cuts as well and is faster; say so: model: {AUTO}")


def _provider(settings: Settings) -> _Finding:
    """Say what networks run on and why, and whether another provider that is installed would be quicker."""
    from alphadrop.engine import providers
    from alphadrop.engine.cutout import Engine
    from alphadrop.engine.fastest import seconds_a_run

    installed = providers.available()
    told = f"{settings.provider}, as configured, by {providers.runtime(settings.provider)}"
    took: dict[str, float] = {}
    for provider in installed if len(installed) > 1 else ():
        engine = Engine(settings.model, own_models=settings.models, threads=settings.threads, provider=provider)
        with contextlib.suppress(ModelError):  # a device that is not there; the one in force was looked at
            took[provider] = seconds_a_run(engine.warm())
    if took:
        told += f" ({', '.join(f'{provider} {seconds:.2f} s' for provider, seconds in took.items())})"
        best = min(took, key=took.__getitem__)
        if took[best] < took.get(settings.provider, float("inf")) * _WORTH_IT:
            return _Finding("provider", "note", told, f"quicker here: provider: {best}")
    may_be = "often more than twice as fast: pip install 'alphadrop[openvino]', and say provider: openvino"
    return _Finding("provider", "ok", told, may_be if installed == ("cpu",) and platform.machine() in _PCS else "")


def _folders(settings: Settings) -> Iterator[_Finding]:
    for folder in settings.folders:
        takes_away = folder.originals != "keep" or folder.failed is not None
        need = os.R_OK | (os.W_OK if takes_away else 0)
        found = ask(functools.partial(_folder, need=need), [folder.input])
        yield found.get(folder.input) or _silent(folder.input)
        apart = dict.fromkeys(folder.set_apart)
        found = ask(_folder_to_write, apart)
        yield from (found.get(path) or _silent(path) for path in apart)


def _silent(path: Path) -> _Finding:
    return _Finding("folder", "wrong", f"{printable(path)} does not answer", "see that its disk or server is reachable")


def _folder_to_write(path: Path) -> _Finding:
    found = _folder(path, os.W_OK)
    return _space(path) if found.verdict == "ok" else found


def _folder(path: Path, need: int) -> _Finding:
    name = printable(path)
    if not os.path.isdir(path):
        return _Finding("folder", "wrong", f"{name} is not there", "make it, or mount its disk")
    for kind, verb in ((os.R_OK, "read"), (os.W_OK, "written to")):
        if need & kind and not os.access(path, kind | os.X_OK):
            return _Finding("folder", "wrong", f"{name} cannot be {verb}", "give yourself permission")
    return _Finding("folder", "ok", name)


def _space(path: Path) -> _Finding:
    free = shutil.disk_usage(path).free
    told = f"{printable(path)}, {free / 1e9:.1f} GB free"
    if free < _LITTLE_SPACE:
        return _Finding("folder", "wrong", told, "free some space: a cut-out of 12 megapixels takes about 12 MB")
    return _Finding("folder", "ok", told)


def _events() -> Iterator[_Finding]:
    if sys.platform != "linux":
        return
    limits = {}
    for name in ("max_user_watches", "max_user_instances"):
        try:
            limits[name] = int(Path("/proc/sys/fs/inotify", name).read_text())
        except (OSError, ValueError):
            yield _Finding("events", "note", "no inotify here; folders are scanned instead")
            return
    told = ", ".join(f"{name} {value}" for name, value in limits.items())
    few = limits["max_user_watches"] < _FEW_WATCHES
    remedy = f"for folders with many sub-folders: sysctl fs.inotify.max_user_watches={_FEW_WATCHES * 8}" if few else ""
    yield _Finding("events", "note" if few else "ok", told, remedy)


def _daemon() -> _Finding:
    from alphadrop.client import Client

    try:
        status = Client().status()
    except NotRunning as error:
        return _Finding("daemon", "note", "not running", error.hint)
    except AlphadropError as error:
        return _Finding("daemon", "wrong", error.message, error.hint)
    told = f"process {status['pid']}, {status['state']}, version {status['version']}"
    if status["paused"] is not None:
        return _Finding("daemon", "note", f"{told}, paused", "go on: alphadrop resume")
    return _Finding("daemon", "ok", told)


def _heic() -> _Finding:
    from importlib.util import find_spec

    if find_spec("pillow_heif") is None:
        return _Finding("HEIC", "note", "not opened", "pip install 'alphadrop[heic]'")
    return _Finding("HEIC", "ok", "opened")


def _tray() -> _Finding:
    from alphadrop.desktop.backends import choose
    from alphadrop.desktop.surroundings import look

    choice = choose(look())
    return _Finding("tray", "note" if choice.remedy else "ok", choice.told, choice.remedy)


def _notifications() -> _Finding:
    from alphadrop.desktop.notices import HOW_TO_GET, are_possible

    if are_possible():
        return _Finding("notifications", "ok", "shown by the tray's icon")
    return _Finding("notifications", "note", "not shown", HOW_TO_GET)


def _gimp() -> Iterator[_Finding]:
    from alphadrop.cli.gimp import told_of
    from alphadrop.desktop import gimp, gimp_places
    from alphadrop.desktop.desk import Desk

    what = "GIMP plug-in"
    try:
        edition = gimp.Edition.here(__version__)
    except AlphadropError as error:
        yield _Finding(what, "wrong", error.message, error.hint)
        return
    try:
        desk = Desk.here()
        gimps = gimp_places.find_gimps(desk)
        places = gimp_places.find_places(desk, gimps)
        for place in places:
            found = gimp.examine(place, edition)
            yield _Finding(what, "ok" if found.in_order else "note", *told_of(found))
        if not places:
            yield _Finding(what, "note", gimp_places.none_found(gimps).message)
    except AlphadropError as error:
        yield _Finding(what, "note", error.message, error.hint)


def _autostart() -> _Finding:
    from alphadrop.cli.autostart import of_this_user, said_of
    from alphadrop.desktop.written import State

    what, again = "autostart", "alphadrop autostart enable"
    try:
        states = of_this_user()
    except AlphadropError as error:
        return _Finding(what, "wrong", error.message, error.hint)
    piece, state = states[0]
    if state is State.ABSENT:
        return _Finding(what, "note", "not started with your session", f"to have it started: {again}")
    in_order = all(each is State.CURRENT for _, each in states)
    told = f"{printable(piece.path)}: {said_of(state)}"
    return _Finding(what, "ok" if in_order else "note", told, "" if in_order else again)
