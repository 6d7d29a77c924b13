"""config: make, check and show the configuration, and make keys for it."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from alphadrop.cli.terminal import DONE, add_action
from alphadrop.errors import BadOptions, CannotRead, TargetExists, printable

if TYPE_CHECKING:
    from alphadrop.config import Settings

__all__ = ["define_config", "load", "settings_in_force"]


def define_config(command: argparse.ArgumentParser) -> None:
    """Say what the actions of `config` take."""
    actions = command.add_subparsers(title="actions", metavar="ACTION")

    init = add_action(actions, "init", "write the default configuration, with comments, where there is none")
    init.set_defaults(command=_config_init)

    check = add_action(actions, "check", "say everything that is wrong in a configuration, with its lines")
    check.add_argument("file", nargs="?", type=Path, metavar="FILE")
    check.set_defaults(command=_config_check)

    show = add_action(actions, "show", "print the settings in force, defaults included")
    show.add_argument("file", nargs="?", type=Path, metavar="FILE")
    show.set_defaults(command=_config_show)

    key = add_action(
        actions,
        "key",
        "make a key for another program, and say what to write into the configuration",
        "Make a key with which another program of yours may have pictures cut. It is printed\n"
        "once, on standard output, and kept nowhere: the configuration holds its hash.",
        "example:\n  alphadrop config key my-shop",
    )
    key.add_argument("name", metavar="NAME", help="who the key is for")
    key.set_defaults(command=_config_key)


def _config_init(_: argparse.Namespace) -> int:
    from alphadrop import config, paths

    try:
        print(printable(config.create_default(paths.config_file())))
    except TargetExists as error:
        raise TargetExists(error.message, "it is left as it is; look at it with: alphadrop config check") from error
    return DONE


def _config_check(chosen: argparse.Namespace) -> int:
    from alphadrop import paths

    file = chosen.file or paths.config_file()
    if chosen.file is None and not file.exists():
        raise BadOptions(f"{printable(file)}: there is none yet", "make it: alphadrop config init")
    settings = load(file)
    for warning in settings.warnings:
        print(f"warning: {warning}", file=sys.stderr)
    print(
        f"{printable(file)}: no errors, {len(settings.folders)} {'folder' if len(settings.folders) == 1 else 'folders'}"
    )
    return DONE


def _config_show(chosen: argparse.Namespace) -> int:
    from alphadrop import config

    print(config.as_yaml(settings_in_force(chosen.file)), end="")
    return DONE


def _config_key(chosen: argparse.Namespace) -> int:
    from alphadrop import config, paths

    key, row = config.make_key(chosen.name)
    print(key, flush=True)
    print(
        "\nThis is the key; it is not shown again. It counts when its hash stands under `keys:`\n"
        f"in {printable(paths.config_file())}:\n\n"
        f"keys:\n  - name: '{row.name}'\n    sha256: '{row.sha256}'\n\n"
        "The program sends it as the header: Authorization: Bearer KEY",
        file=sys.stderr,
    )
    return DONE


def settings_in_force(file: Path | None) -> Settings:
    """Return the settings of a configuration, of the user's own, or the defaults where there is none."""
    from alphadrop import config, paths

    if file is not None:
        return load(file)
    file = paths.config_file()
    return load(file) if file.exists() else config.Settings(file)


def load(file: Path) -> Settings:
    """Read a configuration; one that cannot be read is bad usage, as one with mistakes is.

    Raises:
        BadOptions, ConfigError: there is none, or it has mistakes.
    """
    from alphadrop import config

    try:
        return config.load(file)
    except CannotRead as error:
        raise BadOptions(error.message, error.hint) from error
