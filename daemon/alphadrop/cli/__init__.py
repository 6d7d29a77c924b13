"""The command line; the only room that knows every other.

One module a group of commands. Each command imports what it needs when it runs, so that `alphadrop --help` and
`alphadrop status` answer at once.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Sequence

from alphadrop import __version__
from alphadrop.cli import config, cut, daemon, doctor, models
from alphadrop.cli.terminal import BAD_USAGE, SOME_FAILED, complain, status_of
from alphadrop.errors import AlphadropError

__all__ = ["main"]

_EXIT_STATUS = """\
exit status: 0 done (no subject included), 1 some inputs failed (each named on standard error),
2 bad usage or configuration, 3 another daemon runs, 4 no daemon runs"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; return the process's exit status."""
    parser = _parser()
    chosen = parser.parse_args(arguments)
    command: Callable[[argparse.Namespace], int] | None = getattr(chosen, "command", None)
    if command is None:
        getattr(chosen, "parser", parser).print_help(sys.stderr)
        return BAD_USAGE
    try:
        return command(chosen)
    except AlphadropError as error:
        complain(error)
        return status_of(error)
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return SOME_FAILED


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="alphadrop",
        description="Transparent cut-outs of photographs: drop them into a folder, or name them here. All local.",
        epilog=f"begin with: alphadrop run\n\n{_EXIT_STATUS}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"alphadrop {__version__}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND")
    for room in (daemon, cut, models, config, doctor):
        room.add_to(commands)
    return parser
