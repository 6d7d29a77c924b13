"""run, status, pause, resume, stop: the resident process."""

from __future__ import annotations

import argparse
import json
import os
import re
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from alphadrop.cli.config import load
from alphadrop.cli.terminal import DONE, SOME_FAILED, complain
from alphadrop.errors import AlphadropError, NotRunning, TargetExists, printable

__all__ = ["define_pause", "define_resume", "define_run", "define_status", "define_stop", "moment", "stop"]

_PATIENCE = 20.0
"""Seconds for the file at work, and some."""
_LONGEST_FAREWELL = 5.0
_DURATION = re.compile(r"([0-9]{1,9}(?:\.[0-9]{1,3})?) ?([smhd])")
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}
_LONGEST_PAUSE = 366 * 86_400
_SOON = 600.0
"""Seconds below which it matters which second is meant."""
_GO_ON = "go on: alphadrop resume"
_COUNTS = ("pending", "working", "done", "no_subject", "skipped", "failed", "missing")


def define_run(command: argparse.ArgumentParser) -> None:
    """Say what `run` takes."""
    command.description = (
        "Watch the folders of the configuration and cut out what is dropped into them, until Ctrl+C.\n"
        "The configuration is made, with comments, when there is none yet."
    )
    command.add_argument("--config", type=Path, metavar="FILE", help="use this configuration")
    command.set_defaults(command=_run)


def _run(chosen: argparse.Namespace) -> int:
    from alphadrop import config, paths

    file = chosen.config or paths.config_file()
    if chosen.config is None and not file.exists():
        try:
            config.create_default(file)
            print(f"made a configuration: {printable(file)}", file=sys.stderr)
        except TargetExists:
            pass  # another alphadrop made it in this moment
    settings = load(file)
    if settings.tray and "INVOCATION_ID" not in os.environ:  # what systemd starts has no panel, and ends with its unit
        _show_tray()
    from alphadrop.service import lifecycle

    lifecycle.run(settings)


def _show_tray() -> None:
    """Start the icon, which goes on when the daemon ends; where there is one already, that one stays."""
    from alphadrop.desktop import opening

    try:
        opening.start_tray()
    except AlphadropError as error:
        complain(error)


def define_status(command: argparse.ArgumentParser) -> None:
    """Say what `status` takes."""
    command.description = (
        "Say how the daemon is: whether it rests, its model, its configuration, and each\n"
        "folder with what became of its photographs. What is wrong stands with its remedy."
    )
    command.epilog = "see also: alphadrop jobs, alphadrop doctor"
    command.add_argument("--json", action="store_true", help="for programs")
    command.set_defaults(command=_status)


def _status(chosen: argparse.Namespace) -> int:
    from alphadrop.client import Client

    status = Client().status()
    if chosen.json:
        print(json.dumps(status, indent=2))
        return DONE
    print(f"alphadrop {status['version']}, process {status['pid']}: {status['state']}")
    for title, lines in _parts(status):
        for number, line in enumerate(lines):
            print(f"{'' if number else title:9}{line}")
    return DONE


def _parts(status: Mapping[str, Any]) -> Iterator[tuple[str, list[str]]]:
    """Yield what there is to say, as titles with lines."""
    if status["paused"] is not None:
        yield "paused", [_paused(status["paused"]), _GO_ON]
    yield "model", _about_model(status["model"])
    yield "config", _about_configuration(status["configuration"])
    if lines := _about_ledger(status["ledger"]):
        yield "ledger", lines
    for folder in status["folders"]:
        yield "folder", [f"{folder['input']}: {folder['health']}", *filter(None, (folder["remedy"], folder["warning"]))]
        yield "      ->", [folder["output"], _counted(folder)]
    if not status["folders"] and status["state"] == "ready":
        yield "folder", ["none is watched; add one to the configuration"]


def _paused(pause: Mapping[str, Any]) -> str:
    until = "until you resume" if pause["until"] is None else f"until {moment(pause['until'])}"
    return f"{until}; what is dropped is noted and cut afterwards"


def _about_model(model: Mapping[str, Any]) -> list[str]:
    first = f"{model['name']}: {model['state']}{', ' if model['device'] else ''}{model['device']}"
    return [first, *filter(None, (model["message"], model["hint"]))]


def _about_configuration(configuration: Mapping[str, Any]) -> list[str]:
    file, problems = configuration["file"], configuration["problems"]
    if not problems:
        return [file]
    return [file, "it was changed and cannot be used; the last good one is in force:", *problems]


def _about_ledger(ledger: Mapping[str, Any]) -> list[str]:
    """Return what to know of the ledger; nothing where all is as it should be."""
    trouble = [ledger["message"], ledger["hint"]] if ledger["state"] == "trouble" else []
    return [line for line in (*trouble, *ledger["notes"]) if line]


def _counted(folder: Mapping[str, Any]) -> str:
    words = {name: name.replace("_", " ") for name in _COUNTS}
    if folder["warned"]:
        words["done"] += f" ({folder['warned']} with a warning: alphadrop jobs --warned)"
    told = [f"{folder[name]} {said}" for name, said in words.items() if folder[name] or name == "done"]
    return f"{', '.join(told)}{'; see why: alphadrop jobs --failed' if folder['failed'] else ''}"


def moment(at: float) -> str:
    """Return a moment as people write it: without its day where that is today, with seconds where it is near."""
    there, now = time.localtime(at), time.localtime()
    if there[:3] != now[:3]:
        return time.strftime("%Y-%m-%d %H:%M", there)
    return time.strftime("%H:%M:%S" if abs(at - time.time()) < _SOON else "%H:%M", there)


def define_pause(command: argparse.ArgumentParser) -> None:
    """Say what `pause` takes."""
    command.description = (
        "Let the hot folders rest: the photographs being cut are finished, and what is\n"
        "dropped is noted and cut afterwards. A pause outlasts a restart of the daemon.\n"
        "GIMP and `alphadrop cut` are served all the same."
    )
    command.epilog = "examples:\n  alphadrop pause\n  alphadrop pause --for 1h"
    command.add_argument(
        "--for", dest="seconds", type=_seconds, metavar="DURATION", help="30s, 15m, 1h or 2d; else until resumed"
    )
    command.set_defaults(command=_pause)


def _pause(chosen: argparse.Namespace) -> int:
    from alphadrop.client import Client

    paused = Client().pause(chosen.seconds)["paused"] or {"until": time.time() + chosen.seconds}
    print(f"paused {_paused(paused)}")
    print(_GO_ON)
    return DONE


def define_resume(command: argparse.ArgumentParser) -> None:
    """Say what `resume` takes."""
    command.description = "Let the hot folders go on, beginning with what was dropped meanwhile."
    command.set_defaults(command=_resume)


def _resume(_: argparse.Namespace) -> int:
    from alphadrop.client import Client

    status = Client().resume()
    to_cut = sum(folder["pending"] + folder["working"] for folder in status["folders"])
    print(f"resumed; {to_cut} {'photograph' if to_cut == 1 else 'photographs'} to cut")
    return DONE


def _seconds(text: str) -> float:
    found = _DURATION.fullmatch(text.strip().lower())
    if found is None:
        raise argparse.ArgumentTypeError(f"{text!r} is not a duration; write 30s, 15m, 1h or 2d")
    seconds = float(found[1]) * _SECONDS[found[2]]
    if not 0 < seconds <= _LONGEST_PAUSE:
        raise argparse.ArgumentTypeError(f"{text!r} is not between no time and {_LONGEST_PAUSE // 86_400}d")
    return seconds


def define_stop(command: argparse.ArgumentParser) -> None:
    """Say what `stop` takes."""
    command.set_defaults(command=lambda _: stop())


def stop() -> int:
    """Have the daemon end, and wait for it; return the exit status.

    Raises:
        NotRunning, DaemonError: it cannot be told to.
    """
    from alphadrop import paths
    from alphadrop.client import Client, endpoint_file

    client = Client()
    client.stop()
    announced = endpoint_file(paths.run_folder())
    deadline = time.monotonic() + _PATIENCE
    silent_since = None
    while time.monotonic() < deadline:
        try:
            client.status()
        except NotRunning:
            silent_since = silent_since or time.monotonic()
            # The last thing it takes back; one that was killed on its way leaves it.
            if not announced.exists() or time.monotonic() - silent_since > _LONGEST_FAREWELL:
                return DONE
        except AlphadropError:
            pass  # it is closing the socket in this moment
        time.sleep(0.02)
    print("alphadrop: the daemon is still finishing a file", file=sys.stderr)
    return SOME_FAILED
