"""gimp: the plug-in in GIMP, put there, looked at and taken out."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from alphadrop import __version__
from alphadrop.cli.terminal import DONE, SOME_FAILED, add_action, complain
from alphadrop.errors import AlphadropError, printable

if TYPE_CHECKING:
    from alphadrop.desktop.gimp import Found
    from alphadrop.desktop.gimp_places import Gimp, Place

__all__ = ["define_gimp", "told_of", "uninstall"]

_T = TypeVar("_T")

_FOLDERS = """\
Every GIMP 3 of yours is looked for: of the system, Flatpak and snap, and on Windows and macOS where GIMP says that
its settings are (untested there). GIMP3_DIRECTORY is heeded as GIMP does. GIMP 2 cannot use the plug-in."""

_INSTALL = f"""\
Write the plug-in into the folders of plug-ins, so that GIMP finds it at its next start. It remembers this Alphadrop,
to start it when it does not run. Doing it again is harmless, and needed after Alphadrop was updated or moved.
{_FOLDERS}"""

_INSTALL_EPILOG = """\
examples:
  alphadrop gimp install
  alphadrop gimp install --folder ~/.config/GIMP/3.0/plug-ins

exit status: 0 the current plug-in is in every folder, 1 in some it could not be put (each named on standard error)"""

_UNINSTALL = """\
Remove the plug-in from every folder of plug-ins that has it, and its own folder unless something else is in that.
Nothing else is touched; a plug-in of somebody else's with the same name is left."""

_STATUS = f"""\
Say of each folder of plug-ins which GIMP it belongs to, whether the plug-in is there and the current one, and what to
do where it is not.
{_FOLDERS}"""

_STATUS_EPILOG = """\
examples:
  alphadrop gimp status
  alphadrop gimp status --json

exit status: 0 every folder holds the current plug-in, 1 one does not, or there is no GIMP 3"""


def define_gimp(command: argparse.ArgumentParser) -> None:
    """Say what the actions of `gimp` take."""
    command.epilog = (
        "begin with: alphadrop gimp install\nthen restart GIMP, and choose Layer > Transparency > Remove Background..."
    )
    actions = command.add_subparsers(title="actions", metavar="ACTION")

    install = add_action(actions, "install", "put the plug-in into every GIMP 3", _INSTALL, _INSTALL_EPILOG)
    _add_folder(install)
    install.add_argument(
        "--overwrite", action="store_true", help="replace another plug-in, or a link, that is named alphadrop"
    )
    install.set_defaults(command=_gimp_install)

    uninstall = add_action(
        actions, "uninstall", "take the plug-in out again", _UNINSTALL, "example:\n  alphadrop gimp uninstall"
    )
    _add_folder(uninstall)
    uninstall.set_defaults(command=_gimp_uninstall)

    status = add_action(
        actions, "status", "say where the plug-in is, and whether it is current", _STATUS, _STATUS_EPILOG
    )
    _add_folder(status)
    status.add_argument("--json", action="store_true", help="for programs")
    status.set_defaults(command=_gimp_status)


def told_of(found: Found) -> tuple[str, str]:
    """Return how the plug-in is in a place, and what to do about it; nothing where it is in order."""
    from alphadrop.desktop.gimp import State

    again = "alphadrop gimp install"
    if found.place.started:
        missing = (f"not installed in {printable(found.place.plug_ins)}", again)
    elif found.place.obstacle:
        missing = (
            f"not installed, since GIMP {found.place.series} has not been started yet",
            f"start it, then: {again}",
        )
    else:
        missing = (f"not installed: {printable(found.place.plug_ins)} is not there yet", f"{again} makes it")
    linked = f"to replace it: {again} --overwrite"
    if found.place.plug_ins.is_symlink():
        linked = f"name the folder it leads to: {again} --folder {printable(os.path.realpath(found.place.plug_ins))}"
    version = found.version or "an older one, or copied by hand"
    what, remedy = {
        State.ABSENT: missing,
        State.CURRENT: (f"current, {version}, in", "" if found.executable else again),
        State.OLDER: (f"older: {version}, in", again),
        State.NEWER: (f"newer: {version}, in", f"update this Alphadrop, or put its own there: {again}"),
        State.ELSEWHERE: (
            f"{version}, of another Alphadrop on this machine, in",
            f"to have it start this one: {again}",
        ),
        State.CHANGED: (f"{version}, changed by hand, in", f"to have it as it was: {again}"),
        State.FOREIGN: ("another plug-in has its name:", f"to replace it: {again} --overwrite"),
        State.LINKED: ("not looked at, since there is a symbolic link in", linked),
    }[found.state]
    if found.state is State.ABSENT:
        return what, remedy
    refused = "" if found.executable else "; it may not be executed, so that GIMP passes over it"
    return f"{what} {printable(found.file)}{refused}", remedy


def _add_folder(action: argparse.ArgumentParser) -> None:
    action.add_argument(
        "--folder", type=Path, metavar="DIR", help="only this folder of plug-ins, or this settings folder of GIMP's"
    )


def _gimp_install(chosen: argparse.Namespace) -> int:
    from alphadrop.desktop import gimp, gimp_places

    edition = gimp.Edition.here(__version__)
    gimps, places = _look(chosen.folder)
    if not places:
        raise gimp_places.none_found(gimps)
    found, status = _each(places, lambda place: gimp.install(place, edition, overwrite=chosen.overwrite))
    for before in found:
        print(f"{_name(before.place)}: {_written(before)}")
    if any(not before.in_order for before in found):
        print(f"Restart GIMP to see it: {gimp.MENU}")
    return status


def _written(before: Found) -> str:
    """Return what installing did where this was found before."""
    from alphadrop.desktop.gimp import State

    file = printable(before.file)
    if before.in_order:
        return f"already current, {file}"
    if before.state is State.CURRENT:
        return f"was current and is executable now, {file}"
    instead = {
        State.OLDER: f", in the place of {before.version or 'an older one'}",
        State.NEWER: f", in the place of {before.version}",
        State.ELSEWHERE: ", in the place of another Alphadrop's",
        State.CHANGED: ", in the place of one that was changed by hand",
        State.FOREIGN: ", in the place of another plug-in",
        State.LINKED: ", in the place of a symbolic link",
    }.get(before.state, "")
    made = "" if before.place.started else " (GIMP has not been started yet; its folder was made for it)"
    return f"wrote {file}{instead}{made}"


def _gimp_uninstall(chosen: argparse.Namespace) -> int:
    removed, status = uninstall(chosen.folder)
    for path in removed:
        print(f"removed {printable(path)}")
    if status == DONE and not removed:
        print("the plug-in is in no folder of GIMP's")
    return status


def uninstall(folder: Path | None = None) -> tuple[list[Path], int]:
    """Take the plug-in out of every folder of plug-ins, or of one; return what was removed, and the exit status."""
    from alphadrop.desktop import gimp

    edition = gimp.Edition.here(__version__)
    _, places = _look(folder, ask=False)
    removed, status = _each(places, lambda place: gimp.uninstall(place, edition))
    return [path for paths in removed for path in paths], status


def _gimp_status(chosen: argparse.Namespace) -> int:
    from alphadrop.desktop import gimp, gimp_places

    edition = gimp.Edition.here(__version__)
    gimps, places = _look(chosen.folder)
    found, status = _each(places, lambda place: gimp.examine(place, edition))
    if chosen.json:
        told = {
            "version": edition.version,
            "program": list(edition.program),
            "gimps": [{"version": each.version, "way": each.way} for each in gimps],
            "folders": [_as_json(each) for each in found],
        }
        print(json.dumps(told, indent=2))
    else:
        for each in found:
            how, remedy = told_of(each)
            print(f"{_name(each.place)}: {how}")
            if remedy:
                print(f"  {remedy}")
    if not places:
        complain(gimp_places.none_found(gimps))
    return status if found and all(each.in_order for each in found) else SOME_FAILED


def _as_json(found: Found) -> dict[str, object]:
    how, remedy = told_of(found)
    return {
        "folder": printable(found.place.plug_ins),
        "gimp": found.place.series,
        "installed": [each.version for each in found.place.gimps],
        "started": found.place.started,
        "state": found.state.value,
        "version": found.version,
        "executable": found.executable,
        "in_order": found.in_order,
        "told": how,
        "remedy": remedy,
    }


def _look(folder: Path | None, *, ask: bool = True) -> tuple[tuple[Gimp, ...], tuple[Place, ...]]:
    """Return the GIMPs that are here (unless they need not be asked), and the places meant by the command."""
    from alphadrop.desktop import gimp_places
    from alphadrop.desktop.desk import Desk

    if folder is not None:
        return (), (gimp_places.named_place(folder),)
    desk = Desk.here()
    gimps = gimp_places.find_gimps(desk) if ask else ()
    return gimps, gimp_places.find_places(desk, gimps)


def _each(places: Iterable[Place], do: Callable[[Place], _T]) -> tuple[list[_T], int]:
    """Do something with every place, whatever becomes of the others; return the results and the exit status."""
    results: list[_T] = []
    status = DONE
    for place in places:
        try:
            results.append(do(place))
        except AlphadropError as error:
            sys.stdout.flush()
            complain(error)
            status = SOME_FAILED
    return results, status


def _name(place: Place) -> str:
    installed = ", ".join(map(str, place.gimps))
    name = f"GIMP {place.series}".rstrip()
    return f"{name} ({installed} is installed)" if installed else name
