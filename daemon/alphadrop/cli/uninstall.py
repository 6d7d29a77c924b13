"""uninstall: everything that was put outside the package, taken back."""

from __future__ import annotations

import argparse
import contextlib
import os
import sys
from collections.abc import Iterator
from pathlib import Path

from alphadrop.cli.autostart import tell
from alphadrop.cli.terminal import DONE, SOME_FAILED, complain
from alphadrop.errors import AlphadropError, AlreadyRunning, NotRunning, printable, removing_failed

__all__ = ["define_uninstall"]

_DESCRIPTION = """\
Take back everything that Alphadrop has put outside its own package: what starts it with your session, what is in the
menus of your desktop and file managers, the plug-in in GIMP. A daemon that runs is ended first, after the file at work;
an icon in the panel stays until you quit it. What was changed since, or is not Alphadrop's, is left. Everything that is
removed or left is said.

Your settings and the record of photographs stay, so that Alphadrop can be installed again and goes on where it was;
--all removes them too. Photographs and cut-outs are never touched."""

_DATA = ("ledger.sqlite*", "browsers.json", "speeds.json")
_MODELS = ("models/*.onnx*", "compiled/*.blob")
_LOG = "alphadrop.log*"
_RUN = ("daemon.lock", "open.html", "endpoint.json", "api.sock", "tray.lock", "thumbnails/*")


def define_uninstall(command: argparse.ArgumentParser) -> None:
    """Say what `uninstall` takes."""
    command.description = _DESCRIPTION
    command.epilog = (
        "examples:\n  alphadrop uninstall\n  alphadrop uninstall --all\n\n"
        "Then remove the package in the way it was installed: pipx uninstall alphadrop, or pip uninstall alphadrop"
    )
    command.add_argument(
        "--all",
        action="store_true",
        help="also the settings, the record of photographs, the browsers' keys, fetched models and the log",
    )
    command.set_defaults(command=_uninstall)


def _uninstall(chosen: argparse.Namespace) -> int:
    _end_daemon()
    status = DONE
    for step in (_autostart, _desktop, _gimp):
        try:
            status = max(status, step())
        except AlphadropError as error:  # the others are taken back all the same
            sys.stdout.flush()
            complain(error)
            status = SOME_FAILED
    kept = list(_own_files())
    if chosen.all:
        for path in kept:
            _remove(path)
    else:
        for path in kept:
            print(f"kept {printable(path)}")
        if kept:
            print("  these are your settings and the record of photographs; --all removes them too")
    print("photographs and cut-outs are where they were")
    return status


def _end_daemon() -> None:
    from alphadrop.cli.daemon import stop
    from alphadrop.client import Client

    with contextlib.suppress(NotRunning):
        Client().status()
        if stop() != DONE:
            raise AlreadyRunning("the daemon is still finishing a file", "wait for it, then do this again")
        print("ended the daemon")


def _autostart() -> int:
    from alphadrop.cli.autostart import disable

    done, _ = disable()
    return tell(done)


def _desktop() -> int:
    from alphadrop.cli.desktop import uninstall

    return DONE if sys.platform in ("win32", "darwin") else tell(uninstall())


def _gimp() -> int:
    from alphadrop.cli.gimp import uninstall

    removed, status = uninstall()
    for path in removed:
        print(f"removed {printable(path)}")
    return status


# Alphadrop's own files ------------------------------------------------------------------------------------------------


def _own_files() -> Iterator[Path]:
    """Yield the settings, and what Alphadrop has kept in its own folders."""
    from alphadrop import paths

    data, log, run = paths.data_folder(), paths.log_file().parent, paths.run_folder()
    places = [(paths.config_file().parent, (paths.config_file().name,)), (data, (*_DATA, *_MODELS)), (log, (_LOG,))]
    for folder, patterns in (*places, (run, _RUN)):
        for pattern in patterns:
            yield from sorted(path for path in folder.glob(pattern) if path.is_file() or path.is_socket())


def _remove(path: Path) -> None:
    """Remove a file, and the folders of Alphadrop's own above it that nothing is in any more."""
    try:
        os.unlink(path)
    except OSError as error:
        raise removing_failed(path, error) from error
    print(f"removed {printable(path)}")
    for folder in path.parents:
        if folder.name not in ("alphadrop", "models", "compiled", "log", "run", "thumbnails"):
            break
        try:
            os.rmdir(folder)
        except OSError:  # something is in it
            break
        print(f"removed {printable(folder)}")
