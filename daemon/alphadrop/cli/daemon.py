"""run, status, stop: the resident process."""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path

from alphadrop.cli.config import load
from alphadrop.cli.terminal import DONE, SOME_FAILED
from alphadrop.errors import AlphadropError, NotRunning, TargetExists, printable

__all__ = ["define_run", "define_status", "define_stop"]

_PATIENCE = 20.0
"""Seconds for the file at work, and some."""
_LONGEST_FAREWELL = 5.0


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
    from alphadrop.service import lifecycle

    lifecycle.run(settings)
    return DONE


def define_status(command: argparse.ArgumentParser) -> None:
    """Say what `status` takes."""
    command.add_argument("--json", action="store_true", help="for programs")
    command.set_defaults(command=_status)


def _status(chosen: argparse.Namespace) -> int:
    from alphadrop.client import Client

    status = Client().status()
    if chosen.json:
        print(json.dumps(status, indent=2))
        return DONE
    model = status["model"]
    print(f"alphadrop {status['version']}, process {status['pid']}: {status['state']}")
    print(f"model    {model['name']}: {model['state']}{', ' if model['device'] else ''}{model['device']}")
    if model["message"]:
        print(f"         {model['message']}\n         {model['hint']}")
    for folder in status["folders"]:
        print(f"folder   {folder['input']}: {folder['health']}")
        print(f"      -> {folder['output']}")
        counts = ("pending", "working", "done", "no_subject", "skipped", "failed")
        told = [f"{folder[name]} {name.replace('_', ' ')}" for name in counts if folder[name] or name == "done"]
        print(f"         {', '.join(told)}")
        if folder["remedy"]:
            print(f"         {folder['remedy']}")
    return DONE


def define_stop(command: argparse.ArgumentParser) -> None:
    """Say what `stop` takes."""
    command.set_defaults(command=_stop)


def _stop(_: argparse.Namespace) -> int:
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
