"""tray: the icon in the desktop's panel."""

from __future__ import annotations

import argparse
import os
import sys

from alphadrop.cli.terminal import DONE

__all__ = ["define_tray"]


def define_tray(command: argparse.ArgumentParser) -> None:
    """Say what `tray` takes."""
    command.description = (
        "Show an icon in the panel: it says what the daemon does and what is wrong, a click pauses\n"
        "and resumes, and its menu opens results, folders and the web page. It runs until Ctrl+C,\n"
        "starts and stops the daemon, and comes back by itself when the daemon does."
    )
    command.epilog = (
        "examples:\n  alphadrop tray &\n  alphadrop doctor      # says which way into the panel is used, and why\n\n"
        "exit status: 0 it was closed, 1 there is no panel for it, 3 the icon is there already"
    )
    command.add_argument(
        "--backend",
        choices=("appindicator", "gtk", "xorg"),
        help="take this way into the panel, on Linux, rather than the best that is found",
    )
    command.set_defaults(command=_tray)


def _tray(chosen: argparse.Namespace) -> int:
    from alphadrop.desktop.backends import Choice, choose
    from alphadrop.desktop.notices import HOW_TO_GET
    from alphadrop.desktop.surroundings import look
    from alphadrop.desktop.texts import Words, language_of
    from alphadrop.desktop.tray_process import Tray

    choice = Choice(chosen.backend, "as asked") if chosen.backend else choose(look())
    tray = Tray(choice, Words(language_of(os.environ)))
    for line in filter(None, (choice.told, choice.remedy)):
        print(line, file=sys.stderr)
    if not tray.notifies:
        print(f"without notifications; to have them: {HOW_TO_GET}", file=sys.stderr)
    tray.run()
    return DONE
