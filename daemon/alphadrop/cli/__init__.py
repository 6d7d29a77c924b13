"""The command line; the only room that knows every other.

One module a group of commands, imported only when one of them is called; each imports what it needs when it runs. So
`alphadrop --help` and `alphadrop status` answer at once.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from importlib import import_module

from alphadrop import __version__

__all__ = ["COMMANDS", "main"]

COMMANDS = {
    "run": ("daemon", "watch the hot folders, in the foreground"),
    "status": ("daemon", "say how the daemon and its folders are"),
    "pause": ("daemon", "let the hot folders rest, for a while or until resumed"),
    "resume": ("daemon", "let the hot folders go on"),
    "stop": ("daemon", "let the daemon finish the file at work, and end it"),
    "jobs": ("jobs", "list the photographs of the hot folders and what became of them"),
    "retry": ("jobs", "cut photographs of the hot folders again"),
    "undo": ("jobs", "bring originals back that were moved away"),
    "cut": ("cut", "cut out the photographs named here"),
    "explain": ("explain", "show what each stage of a network makes of a photograph"),
    "web": ("web", "open the web page in your browser, say which browsers are let in"),
    "tray": ("tray", "show an icon in the panel, with what is done and a menu"),
    "models": ("models", "list, fetch, check and quantize networks"),
    "config": ("config", "make, check and show the configuration"),
    "gimp": ("gimp", "put the plug-in into GIMP, take it out, say how it is there"),
    "doctor": ("doctor", "look at the installation, say what is wrong and how to mend it"),
}
"""Each command's module in this room, where `define_<command>` adds its arguments, and its help."""

_EXIT_STATUS = """\
exit status: 0 done (no subject included), 1 some inputs failed (each named on standard error),
2 bad usage or configuration, 3 another daemon runs, 4 no daemon runs"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; return the process's exit status."""
    words = sys.argv[1:] if arguments is None else arguments
    parser = _parser(next((word for word in words if not word.startswith("-")), None))
    chosen = parser.parse_args(words)
    command = getattr(chosen, "command", None)
    if command is None:
        getattr(chosen, "parser", parser).print_help(sys.stderr)
        return 2
    from alphadrop.cli.terminal import carry_out

    return carry_out(command, chosen)


def _parser(wanted: str | None) -> argparse.ArgumentParser:
    """Return the parser of all commands, with the arguments of the one that is wanted."""
    parser = argparse.ArgumentParser(
        prog="alphadrop",
        description="Transparent cut-outs of photographs: drop them into a folder, or name them here. All local.",
        epilog=f"begin with: alphadrop run\n\n{_EXIT_STATUS}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"alphadrop {__version__}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND")
    for name, (module, help) in COMMANDS.items():
        command = commands.add_parser(
            name,
            help=help,
            description=f"{help[0].upper()}{help[1:]}.",
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        command.set_defaults(parser=command)
        if name == wanted:
            getattr(import_module(f"alphadrop.cli.{module}"), f"define_{name}")(command)
    return parser
