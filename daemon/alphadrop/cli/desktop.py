"""desktop: Alphadrop in the menus of the desktop and its file managers, and what those menus call."""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from alphadrop.cli.autostart import record, said_of, tell
from alphadrop.cli.terminal import DONE, SOME_FAILED, add_action, carry_out
from alphadrop.errors import BadOptions, printable

if TYPE_CHECKING:
    from alphadrop.desktop.desk import Desk
    from alphadrop.desktop.menus import Menus
    from alphadrop.desktop.written import Done

__all__ = ["define_desktop", "menus_of", "uninstall"]

_INSTALL = """\
Put Alphadrop into the menus of your desktop (Linux): a launcher with its icon, which opens the web page, pauses and
resumes; "Open With > Alphadrop" for photographs; and an action in the file managers that are installed: Nautilus
(Scripts), Dolphin and Thunar. A photograph that is opened with it is cut out beside the original, as NAME.cutout.png.
What is written is said, and written down, so that `alphadrop desktop uninstall` takes exactly that away. Doing it again
is harmless, and needed after Alphadrop was moved. Of Thunar's list of actions all else stays as it is."""

_UNINSTALL = """\
Remove what `alphadrop desktop install` wrote, and its action from Thunar's list, in which all else stays as it is.
A file that you have changed since is left."""

_OPEN = """\
What the menus call: cut photographs out beside their originals, as `alphadrop cut` does, or open the web page where
none is named, with a daemon that is started where none runs. What came of it is shown as a message of the desktop,
since nobody sees the terminal."""


def define_desktop(command: argparse.ArgumentParser) -> None:
    """Say what the actions of `desktop` take."""
    command.epilog = "begin with: alphadrop desktop install"
    actions = command.add_subparsers(title="actions", metavar="ACTION")

    install = add_action(
        actions, "install", "put it there", _INSTALL, "examples:\n  alphadrop desktop install\n"
        "  alphadrop desktop install --for thunar"
    )  # fmt: skip
    _add_managers(install)
    install.set_defaults(command=_install)

    off = add_action(actions, "uninstall", "take it away again", _UNINSTALL)
    off.set_defaults(command=_uninstall)

    status = add_action(
        actions,
        "status",
        "say what is there, and whether it is in order",
        epilog="exit status: 0 everything is in order, 1 it is not, or not there",
    )
    _add_managers(status)
    status.add_argument("--json", action="store_true", help="for programs")
    status.set_defaults(command=_status)

    opening = add_action(
        actions, "open", "what the menus call: cut photographs out, or open the web page", _OPEN,
        "examples:\n  alphadrop desktop open cat.jpg\n  alphadrop desktop open",
    )  # fmt: skip
    opening.add_argument("photographs", nargs="*", type=Path, metavar="PHOTOGRAPH")
    instead = opening.add_mutually_exclusive_group()
    for name, help in (
        ("pause", "let the hot folders rest"),
        ("resume", "let them go on"),
        ("settings", "open the configuration, made where there is none yet"),
    ):
        instead.add_argument(f"--{name}", dest="instead", action="store_const", const=name, help=help)
    opening.set_defaults(command=_open)


def _add_managers(action: argparse.ArgumentParser) -> None:
    action.add_argument(
        "--for",
        dest="managers",
        action="append",
        choices=["nautilus", "dolphin", "thunar"],
        metavar="FILE-MANAGER",
        help="nautilus, dolphin or thunar, may be repeated; without it, those that are installed",
    )


def menus_of(desk: Desk, managers: Sequence[str] | None = None) -> Menus:
    """Return the menus of a user.

    Args:
        desk: of the user.
        managers: the file managers that are meant; None for those that are installed.

    Raises:
        BadOptions: the desktop is not one that has such menus.
    """
    from alphadrop.desktop import menus
    from alphadrop.desktop.desk import command_of_this

    if desk.system in ("win32", "darwin"):
        raise BadOptions("there are no menus of this kind on this system", "they are of Linux desktops")
    chosen = menus.file_managers(desk) if managers is None else managers
    return menus.Menus(desk, command_of_this(), [name for name in menus.FILE_MANAGERS if name in chosen])


def _install(chosen: argparse.Namespace) -> int:
    from alphadrop.desktop.desk import Desk
    from alphadrop.desktop.menus import FILE_MANAGERS, file_managers

    desk = Desk.here()
    menus = menus_of(desk, chosen.managers)
    status = tell(menus.install(record()))
    if chosen.managers is None:
        absent = [name.capitalize() for name in FILE_MANAGERS if name not in file_managers(desk)]
        if absent:
            print(f"not here, so that nothing was written for it: {', '.join(absent)}")
    if desk.find_program("update-desktop-database") is None:
        print(
            "alphadrop: update-desktop-database is not here: GNOME shows Open With only where it is\n"
            "  install the package desktop-file-utils, then do this again",
            file=sys.stderr,
        )
    return status


def _uninstall(_: argparse.Namespace) -> int:
    done = uninstall()
    status = tell(done)
    if not done:
        print("nothing of Alphadrop is in the menus")
    return status


def uninstall() -> list[Done]:
    """Take away what was put into menus; return what became of each file."""
    from alphadrop.desktop.desk import Desk
    from alphadrop.desktop.menus import FILE_MANAGERS

    return list(menus_of(Desk.here(), FILE_MANAGERS).uninstall(record()))


def _status(chosen: argparse.Namespace) -> int:
    from alphadrop.desktop.desk import Desk
    from alphadrop.desktop.written import State

    menus, kept = menus_of(Desk.here(), chosen.managers), record()
    states = [(printable(piece.path), kept.state(piece)) for piece in menus.pieces()]
    if menus.actions is not None:
        states.append((printable(menus.actions), State.CURRENT if menus.has_action() else State.ABSENT))
    if chosen.json:
        print(json.dumps([{"path": path, "state": state.value} for path, state in states], indent=2))
    else:
        for path, state in states:
            print(f"{path}: {said_of(state)}")
    if all(state is State.CURRENT for _, state in states):
        return DONE
    if not chosen.json:
        print("to put Alphadrop into the menus: alphadrop desktop install")
    return SOME_FAILED


# What the menus call --------------------------------------------------------------------------------------------------


def _open(chosen: argparse.Namespace) -> int:
    if chosen.photographs and chosen.instead:
        raise BadOptions(f"--{chosen.instead} is for no photograph", "name either")
    if chosen.photographs:
        return _cut([os.fspath(path) for path in chosen.photographs])
    if chosen.instead == "settings":
        return _told(lambda: _settings(), "")
    if chosen.instead:
        return _told(lambda: _main([chosen.instead]), f"hot_folders_{chosen.instead}")
    return _told(lambda: _page(), "")


def _cut(photographs: Sequence[str]) -> int:
    status, written, troubles = _overheard(lambda: _main(["cut", "--", *photographs]))
    done = "cut_out" if written else "no_subject"
    text = "\n".join([*troubles, *written])
    folders = {os.path.dirname(path) for path in photographs}
    for folder in folders - {"", os.sep}:  # of a name, desktops show the beginning
        text = text.replace(printable(os.path.join(folder, "")), "")
    _say(done if status == DONE else "not_all", text, urgent=status != DONE)
    return status


def _told(act: Callable[[], int], title: str) -> int:
    """Do something, and say on the desktop that it is done, or what is wrong."""
    status, _, troubles = _overheard(act)
    if status != DONE:
        _say("did_not_work", "\n".join(troubles), urgent=True)
    elif title:
        _say(title, "")
    return status


def _overheard(act: Callable[[], int]) -> tuple[int, list[str], list[str]]:
    """Do something, and return its exit status with the lines that it printed, on either stream."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        status = carry_out(lambda _: act(), argparse.Namespace())
    for heard, stream in ((out, sys.stdout), (err, sys.stderr)):
        print(heard.getvalue(), end="", file=stream)
    lines = [line.removeprefix("alphadrop: ").strip() for line in err.getvalue().splitlines()]
    return status, out.getvalue().splitlines(), lines


def _main(words: Sequence[str]) -> int:
    from alphadrop.cli import main

    return main(words)


def _say(title: str, text: str, *, urgent: bool = False) -> None:
    from alphadrop.desktop import message
    from alphadrop.desktop.desk import Desk
    from alphadrop.desktop.texts import Words, language_of

    message.show(Desk.here(), Words(language_of(os.environ)).say(title), text, urgent=urgent)


def _settings() -> int:
    from alphadrop import config, paths
    from alphadrop.desktop import opening

    file = paths.config_file()
    if not file.exists():
        config.create_default(file)
    command = opening.opening_command(os.fspath(file), sys.platform, os.environ)
    return SOME_FAILED if subprocess.run(command, check=False).returncode else DONE


def _page() -> int:
    from alphadrop.client import Client
    from alphadrop.desktop import opening

    opening.have_daemon(Client())
    return _main(["web"])
