"""jobs, retry, undo: the photographs of the hot folders, one by one."""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
import textwrap
import unicodedata
from collections.abc import Callable, Sequence
from typing import Any

from alphadrop.cli.daemon import moment
from alphadrop.cli.terminal import DONE, SOME_FAILED, complain
from alphadrop.errors import BadOptions, DaemonAnswered

__all__ = ["define_jobs", "define_retry", "define_undo"]

_SHOWN = 20
_MOST = 10_000
_LARGEST_NUMBER = 2**63 - 1
_NUMBERS = "see the numbers with: alphadrop jobs"
_LEAST_ROOM = 20
"""Columns for the photograph's name, however narrow the terminal."""
_APART = "it was being cut when Alphadrop ended; it is tried in a process of its own"


def define_jobs(command: argparse.ArgumentParser) -> None:
    """Say what `jobs` takes."""
    command.description = (
        "List the photographs of the hot folders, those that changed last first: number,\n"
        "time, what became of it, the photograph; below it why it failed or has to wait,\n"
        "or what to know of the cut-out before you use it."
    )
    command.epilog = (
        "the words:\n"
        "  pending     to be cut\n"
        "  working     being cut\n"
        "  done        the result is there\n"
        "  no subject  nothing stands out in it; nothing was written\n"
        "  skipped     a file of yours has the result's name\n"
        "  failed      it cannot be cut, unless it changes\n"
        "  missing     gone before it was cut\n"
        "  moved, deleted: what became of the original\n\n"
        "examples:\n"
        "  alphadrop jobs --failed\n"
        "  alphadrop jobs --warned\n"
        "  alphadrop jobs --limit 1000 --json\n\n"
        "The number is what `alphadrop retry` and `alphadrop undo` want."
    )
    only = command.add_mutually_exclusive_group()
    only.add_argument("--failed", action="store_true", help="only those that could not be cut")
    only.add_argument("--warned", action="store_true", help="only those whose cut-out came with a warning")
    command.add_argument(
        "--limit", type=_limit, default=_SHOWN, metavar="N", help=f"how many at most, up to {_MOST} ({_SHOWN})"
    )
    command.add_argument("--json", action="store_true", help="for programs")
    command.set_defaults(command=_jobs)


def _jobs(chosen: argparse.Namespace) -> int:
    from alphadrop.client import Client

    state = "failed" if chosen.failed else None
    limit = chosen.limit
    # One more tells whether there are more.
    most = limit if chosen.json else min(limit + 1, _MOST)
    found = Client().jobs(state=state, warned=chosen.warned, limit=most)
    if chosen.json:
        print(json.dumps(found, indent=2))
        return DONE
    if not found:
        print(_nothing(chosen))
        return DONE
    for line in _table(found[:limit], _columns()):
        print(line)
    if len(found) > limit:
        print(f"\nthere are more: alphadrop jobs{_only(chosen)} --limit {min(10 * limit, _MOST)}")
    return DONE


def _only(chosen: argparse.Namespace) -> str:
    return " --failed" if chosen.failed else " --warned" if chosen.warned else ""


def _nothing(chosen: argparse.Namespace) -> str:
    if chosen.failed:
        return "no photograph has failed"
    return "no cut-out came with a warning" if chosen.warned else "no photograph has been dropped yet"


def define_retry(command: argparse.ArgumentParser) -> None:
    """Say what `retry` takes."""
    command.description = (
        "Cut photographs of the hot folders again, with the settings in force now.\n"
        "An original that was moved away is brought back first.\n"
        "A cut-out that you have not changed is replaced."
    )
    command.epilog = f"{_NUMBERS}\n\nexamples:\n  alphadrop retry 12 15\n  alphadrop retry --all"
    command.add_argument("numbers", nargs="*", type=_number, metavar="ID", help="number of a photograph")
    several = command.add_mutually_exclusive_group()
    several.add_argument("--all", action="store_true", help="every one that failed")
    several.add_argument(
        "--changed", action="store_true", help="every one that was cut with other settings than are in force now"
    )
    command.set_defaults(command=_retry)


def _retry(chosen: argparse.Namespace) -> int:
    from alphadrop.client import Client

    if bool(chosen.numbers) == (chosen.all or chosen.changed):
        raise BadOptions("retry wants either numbers, or --all, or --changed", _NUMBERS)
    client = Client()
    if chosen.numbers:
        retried, refused = _each(chosen.numbers, client.retry, "is cut again")
    else:
        answer = client.retry_several("failed" if chosen.all else "changed")
        retried, refused = answer["retried"], answer["refused"]
        _tell_several(retried, refused, "failed" if chosen.all else "changed")
    if retried and client.status()["paused"] is not None:
        print("paused: that happens after: alphadrop resume")
    return SOME_FAILED if refused else DONE


def _tell_several(retried: int, refused: int, which: str) -> None:
    if retried:
        print(f"{_photographs(retried)} cut again")
    elif not refused:
        nothing = {"failed": "no photograph has failed", "changed": "every photograph was cut with the settings of now"}
        print(nothing[which])
    if refused:
        print(f"alphadrop: {_photographs(refused)} not cut again", file=sys.stderr)
        print("  they may be no longer there; the log says why, one by one", file=sys.stderr)


def define_undo(command: argparse.ArgumentParser) -> None:
    """Say what `undo` takes."""
    command.description = (
        "Bring originals back from the folder for finished or failed photographs to where\n"
        "they were dropped. Without a number, the one that was moved last.\n"
        "They are not cut again, and their cut-outs stay; nothing that has their place\n"
        "meanwhile is overwritten. What was deleted cannot be brought back."
    )
    command.epilog = f"{_NUMBERS}\n\nexamples:\n  alphadrop undo\n  alphadrop undo 12 15\n  alphadrop undo --all"
    command.add_argument("numbers", nargs="*", type=_number, metavar="ID", help="number of a photograph")
    command.add_argument("--all", action="store_true", help="every one that was moved")
    command.set_defaults(command=_undo)


def _undo(chosen: argparse.Namespace) -> int:
    from alphadrop.client import Client

    if chosen.numbers and chosen.all:
        raise BadOptions("undo wants either numbers or --all", _NUMBERS)
    client = Client()
    if chosen.all:
        return _undo_all(client.undo_all())
    if chosen.numbers:
        _, refused = _each(chosen.numbers, client.undo, "is back")
        return SOME_FAILED if refused else DONE
    job = client.undo_last()
    print(f"{job['id']}: {_short(_file(job))} is back")
    return DONE


def _undo_all(answer: dict[str, Any]) -> int:
    count, refused = answer["brought_back"], answer["refused"]
    if count:
        print(f"{_photographs(count)} back")
    elif not refused:
        print("no original was moved away")
    for reason in refused:
        print(f"alphadrop: {reason}", file=sys.stderr)
    return SOME_FAILED if refused else DONE


def _each(numbers: Sequence[int], call: Callable[[int], dict[str, Any]], told: str) -> tuple[int, int]:
    """Do something with photographs, one by one; return with how many it was done, and with how many it could not."""
    done = refused = 0
    for number in dict.fromkeys(numbers):
        try:
            job = call(number)
        except DaemonAnswered as error:
            refused += 1
            complain(error)
        else:
            done += 1
            print(f"{number}: {_short(_file(job))} {told}")
    return done, refused


# What is written -----------------------------------------------------------------------------------------------------


def _table(jobs: Sequence[dict[str, Any]], columns: int | None) -> list[str]:
    """Return the lines that tell of photographs.

    Args:
        jobs: at least one.
        columns: that a line may have; None for as many as it takes.
    """
    cells = [(str(job["id"]), moment(_when(job)), _what_became_of(job)) for job in jobs]
    wide = [max(map(len, column)) for column in zip(*cells, strict=True)]
    room = None if columns is None else max(_LEAST_ROOM, columns - sum(wide) - 6)
    lines = []
    for job, (number, when, what) in zip(jobs, cells, strict=True):
        start = f"{number:>{wide[0]}}  {when:{wide[1]}}  {what:{wide[2]}}"
        lines.append(f"{start}  {_end_of(_short(_file(job)), room)}")
        for told in (_reason(job), *job["warnings"]):
            lines += _indented(told, wide[0] + 2, columns)
    return lines


def _columns() -> int | None:
    """Return how wide the terminal is; None where it is none, and nothing need be cut off."""
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else None


def _indented(text: str, indent: int, columns: int | None) -> list[str]:
    margin = " " * indent
    if columns is None:
        return [margin + text] if text else []
    return textwrap.wrap(
        text,
        max(indent + _LEAST_ROOM, columns),
        initial_indent=margin,
        subsequent_indent=margin,
        break_on_hyphens=False,
    )


def _when(job: dict[str, Any]) -> float:
    return float(job["finished_at"] or job["started_at"] or job["noted_at"])


def _what_became_of(job: dict[str, Any]) -> str:
    state = str(job["outcome"] if job["state"] == "done" else job["state"]).replace("_", " ")
    return f"{state}, {job['original']}" if job["original"] in ("moved", "deleted") else state


def _reason(job: dict[str, Any]) -> str:
    """Return why a photograph is as it is, without its name, which stands above."""
    if job["suspect"] and not job["reason"] and job["state"] in ("pending", "working"):
        return _APART
    return str(job["reason"]).removeprefix(f"{_file(job)}: ")


def _file(job: dict[str, Any]) -> str:
    return os.path.join(str(job["folder"]), str(job["path"]))


def _short(file: str) -> str:
    """Return a path as people write it."""
    home = os.path.join(os.path.expanduser("~"), "")
    return f"~{os.sep}{file.removeprefix(home)}" if file.startswith(home) and home != os.sep else file


def _end_of(text: str, room: int | None) -> str:
    """Return a text, or as much of its end as there is room for: of a path, the end tells."""
    if room is None or _width(text) <= room:
        return text
    while _width(text) > room - 1:
        text = text[1:]
    return f"…{text}"


def _width(text: str) -> int:
    """Return how many columns a terminal gives to a text."""
    return sum(2 if unicodedata.east_asian_width(character) in "WF" else 1 for character in text)


def _photographs(count: int) -> str:
    return "1 photograph is" if count == 1 else f"{count} photographs are"


def _number(text: str) -> int:
    if not (text.isascii() and text.isdigit() and 1 <= int(text[:20]) <= _LARGEST_NUMBER):
        raise argparse.ArgumentTypeError(f"{text!r} is not the number of a photograph; {_NUMBERS}")
    return int(text)


def _limit(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= len(str(_MOST)) and 1 <= int(text) <= _MOST):
        raise argparse.ArgumentTypeError(f"{text!r} is not a number from 1 to {_MOST}")
    return int(text)
