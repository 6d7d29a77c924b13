"""What every command says in the same way: errors, exit statuses, progress."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable
from typing import Any

from alphadrop.errors import AlphadropError, AlreadyRunning, BadOptions, ConfigError, NotRunning, TrayRuns, UnknownModel

__all__ = [
    "BAD_USAGE",
    "DONE",
    "NONE_RUNS",
    "OTHER_RUNS",
    "SOME_FAILED",
    "Progress",
    "add_action",
    "carry_out",
    "complain",
    "status_of",
]

DONE, SOME_FAILED, BAD_USAGE, OTHER_RUNS, NONE_RUNS = range(5)


def add_action(actions: Any, name: str, help: str, description: str = "", epilog: str = "") -> argparse.ArgumentParser:
    """Add an action to a command; its description is its help as a sentence where none is given."""
    added: argparse.ArgumentParser = actions.add_parser(
        name,
        help=help,
        description=description or f"{help[0].upper()}{help[1:]}.",
        epilog=epilog,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    added.set_defaults(parser=added)
    return added


def carry_out(command: Callable[[argparse.Namespace], int], chosen: argparse.Namespace) -> int:
    """Run a command; turn whatever ends it into an exit status, and an error into a line on standard error."""
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


def status_of(error: AlphadropError) -> int:
    """Return the exit status that an error ends a command with."""
    if isinstance(error, (ConfigError, BadOptions, UnknownModel)):
        return BAD_USAGE
    if isinstance(error, (AlreadyRunning, TrayRuns)):
        return OTHER_RUNS
    if isinstance(error, NotRunning):
        return NONE_RUNS
    return SOME_FAILED


def complain(error: AlphadropError) -> None:
    """Say an error and what to do about it on standard error."""
    print(f"alphadrop: {error.message}", file=sys.stderr)
    if error.hint:
        print(f"  {error.hint}", file=sys.stderr)


class Progress:
    """A bar on a terminal; nothing where nobody watches or where there is only one thing to do."""

    def __init__(self, total: int | None, unit: str, *, scale: bool = False) -> None:
        """Show a bar.

        Args:
            total: how many units there will be; None where that is not known.
            unit: what is counted.
            scale: whether to say thousands and millions as k and M.
        """
        self._bar = None
        if total != 1 and sys.stderr.isatty():
            from tqdm import tqdm

            self._bar = tqdm(total=total, unit=unit, unit_scale=scale, leave=False, file=sys.stderr)

    def clear(self) -> None:
        """Make room for a line of text."""
        if self._bar is not None:
            self._bar.clear()

    def advance(self) -> None:
        """Count one more."""
        if self._bar is not None:
            self._bar.update()

    def at(self, done: int, total: int | None = None) -> None:
        """Say how much is done."""
        if self._bar is not None:
            self._bar.total = total
            self._bar.update(done - self._bar.n)

    def close(self) -> None:
        """Take the bar away."""
        if self._bar is not None:
            self._bar.close()
