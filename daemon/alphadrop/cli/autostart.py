"""autostart: the daemon, and the icon in the tray, started with the user's session."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterable
from typing import TYPE_CHECKING

from alphadrop.cli.terminal import DONE, SOME_FAILED, add_action
from alphadrop.errors import printable

if TYPE_CHECKING:
    from alphadrop.desktop.autostart import UserManager
    from alphadrop.desktop.desk import Desk
    from alphadrop.desktop.written import Done, Piece, Record, State

__all__ = ["define_autostart", "disable", "of_this_user", "record", "said_of", "tell"]

_WHAT = """\
Linux: a unit of your systemd, alphadrop.service, and an entry for the tray in the autostart folder of your desktop.
macOS: agents of launchd. Windows: files in the Startup folder. (Written for these two, and untested there.)"""

_ENABLE = f"""\
Have your session start Alphadrop: the daemon, and the icon in the panel where there is one. What is written is
said, and written down, so that `alphadrop autostart disable` takes exactly that away. Doing it again is harmless, and
needed after Alphadrop was moved. A file of another program's, or one that you have changed, is left.

{_WHAT}"""

_DISABLE = """\
Remove what `alphadrop autostart enable` wrote. A file that you have changed since is left. A daemon that runs goes on
until you log out, or stop it."""

_STATUS = f"""\
Say of each file that starts Alphadrop with your session whether it is there and as it would be written now.

{_WHAT}"""

_TOLD = {
    "absent": "not there",
    "current": "in order",
    "older": "written for an earlier, or another, Alphadrop",
    "changed": "changed by hand",
    "foreign": "not Alphadrop's",
}


def define_autostart(command: argparse.ArgumentParser) -> None:
    """Say what the actions of `autostart` take."""
    command.epilog = "begin with: alphadrop autostart enable"
    actions = command.add_subparsers(title="actions", metavar="ACTION")

    enable = add_action(
        actions,
        "enable",
        "start Alphadrop with your session",
        _ENABLE,
        "examples:\n  alphadrop autostart enable --now\n  alphadrop autostart enable --no-tray",
    )
    _add_tray(enable, "the icon in the panel too, as it is without either", default=True)
    enable.add_argument("--now", action="store_true", help="have systemd start the daemon at once, too")
    enable.set_defaults(command=_enable)

    off = add_action(actions, "disable", "start it no more", _DISABLE, "example:\n  alphadrop autostart disable")
    off.set_defaults(command=_disable)

    status = add_action(
        actions,
        "status",
        "say what starts it, and whether that is in order",
        _STATUS,
        "exit status: 0 the daemon is started with your session, 1 it is not, or not by this Alphadrop",
    )
    _add_tray(status, "whether the icon counts; without either, where something starts it", default=None)
    status.add_argument("--json", action="store_true", help="for programs")
    status.set_defaults(command=_status)


def record() -> Record:
    """Return the record of what was written outside Alphadrop's own folders."""
    from alphadrop import paths
    from alphadrop.desktop.written import Record

    return Record(paths.written_file())


def tell(done: Iterable[Done]) -> int:
    """Say what became of files; return the exit status."""
    status = DONE
    for each in done:
        words = {"kept": "already there:", "mended": "took Alphadrop's part out of"}.get(each.what, each.what)
        if each.what == "left":
            sys.stdout.flush()
            print(f"alphadrop: left {printable(each.path)}: {each.why}", file=sys.stderr)
            status = SOME_FAILED
        else:
            print(f"{words} {printable(each.path)}")
    return status


def said_of(state: State) -> str:
    """Return how a file is found, in words."""
    return _TOLD[state.value]


def of_this_user(tray: bool | None = None) -> list[tuple[Piece, State]]:
    """Return what starts Alphadrop with this user's session, the daemon first, and how it is found.

    Args:
        tray: whether what starts the icon counts; None for where there is something of that name.
    """
    from alphadrop.desktop.written import State

    (_, daemon), (_, pieces) = _pieces(tray=False), _pieces(tray=tray is not False)
    kept = record()
    states = [(piece, kept.state(piece)) for piece in pieces]
    return [(piece, state) for piece, state in states if tray or piece in daemon or state is not State.ABSENT]


def _add_tray(action: argparse.ArgumentParser, help: str, *, default: bool | None) -> None:
    action.add_argument("--tray", action=argparse.BooleanOptionalAction, default=default, help=help)


def _enable(chosen: argparse.Namespace) -> int:
    from alphadrop.desktop.autostart import UserManager

    desk, pieces = _pieces(tray=chosen.tray)
    kept = record()
    status = tell(kept.take_back("autostart", keep=pieces))
    status = max(status, tell(kept.write("autostart", piece) for piece in pieces))
    if desk.system != "linux":
        print("it is started when you log in the next time (untested on this system)")
        return status
    _tell_of_manager(UserManager(desk), now=chosen.now)
    return status


def _tell_of_manager(manager: UserManager, *, now: bool) -> None:
    """Have systemd know of the unit, and say when the daemon is started."""
    from alphadrop.desktop.autostart import UNIT

    if not manager.is_there or not manager.reload():
        print(
            "no systemd of yours runs here: the daemon is started when you log in to a system that has one.\n"
            "Without it, start it by hand: alphadrop run"
        )
    elif manager.is_running:
        print("systemd runs the daemon already")
    elif now and manager.start():
        print("systemd starts the daemon now, and whenever you log in; see: alphadrop status")
    else:
        print(f"systemd starts the daemon when you log in; to start it now: systemctl --user start {UNIT}")


def _disable(_: argparse.Namespace) -> int:
    done, goes_on = disable()
    status = tell(done)
    if not done:
        print("nothing of Alphadrop is started with your session")
    if goes_on:
        print("the daemon goes on until you log out; to end it now: alphadrop stop")
    return status


def disable() -> tuple[list[Done], bool]:
    """Take away what starts Alphadrop; return what became of each file, and whether systemd still runs the daemon."""
    from alphadrop.desktop.autostart import UserManager

    desk, pieces = _pieces(tray=True)
    done = list(record().take_back("autostart", pieces))
    manager = UserManager(desk)
    goes_on = bool(done) and manager.is_there and manager.reload() and manager.is_running
    return done, goes_on


def _status(chosen: argparse.Namespace) -> int:
    from alphadrop.desktop.autostart import UserManager
    from alphadrop.desktop.desk import Desk
    from alphadrop.desktop.written import State

    states = of_this_user(chosen.tray)
    desk = Desk.here()
    manager = UserManager(desk)
    runs, there = manager.is_running, manager.is_there
    if chosen.json:
        told = {
            "files": [{"path": printable(piece.path), "state": state.value} for piece, state in states],
            "systemd": there,
            "systemd_runs_it": runs,
        }
        print(json.dumps(told, indent=2))
    else:
        for piece, state in states:
            print(f"{printable(piece.path)}: {said_of(state)}")
        if desk.system == "linux":
            print("your systemd " + ("runs the daemon" if runs else "does not run it" if there else "is not here"))
    if all(state is State.CURRENT for _, state in states):
        return DONE
    if not chosen.json:
        print("to start Alphadrop with your session: alphadrop autostart enable")
    return SOME_FAILED


def _pieces(*, tray: bool) -> tuple[Desk, tuple[Piece, ...]]:
    from alphadrop.desktop import autostart
    from alphadrop.desktop.desk import Desk, command_of_this

    desk = Desk.here()
    return desk, autostart.pieces(desk, command_of_this(), tray=tray)
