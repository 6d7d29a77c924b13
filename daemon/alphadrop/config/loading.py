"""A configuration file to settings, or to the whole list of what is wrong with it."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Collection, Mapping
from dataclasses import replace
from pathlib import Path

from alphadrop.config import schema
from alphadrop.config.checks import check_folders
from alphadrop.config.document import MAX_BYTES, Reading, compose
from alphadrop.config.settings import Settings
from alphadrop.errors import ConfigError, ConfigProblem, reading_failed

__all__ = ["load", "parse"]


def load(file: Path, *, known: Collection[str] | None = None) -> Settings:
    """Read a configuration file.

    Args:
        file: where it is.
        known: the names of the models that come with Alphadrop; asked of the registry where not given.

    Raises:
        CannotRead: the file cannot be read.
        ConfigError: everything that is wrong in it.
        ModelError: the registry cannot be used.
    """
    text = _text(file)
    if known is None:
        from alphadrop.engine.models import registry

        known = registry().keys()
    return parse(text, file, known=known)


def parse(text: str, file: Path, *, known: Collection[str], environ: Mapping[str, str] | None = None) -> Settings:
    """Read a configuration's text. The disk is only looked at: whether folders are there, and which are the same.

    Args:
        text: YAML.
        file: where it stands, for messages and relative paths.
        known: the names of the models that come with Alphadrop.
        environ: the variables that paths may use; those of this process where not given.

    Raises:
        ConfigError: everything that is wrong in it.
    """
    reading = Reading(file, text, os.environ if environ is None else environ)
    part = schema.top(compose(reading), reading)
    own, names = schema.models(part.values.get("models", []), known, reading)
    every = {*known, *names}
    schema.known_model(part, every, reading)
    settings = schema.settings(part, reading, own)
    found = [schema.folder(node, settings, every, reading) for node in part.values.get("folders", [])]
    folders = [placed for placed in found if placed is not None]
    check_folders(folders, reading)
    if reading.problems:
        raise reading.error()
    if not folders:
        reading.warn(part.line_of("folders"), "no folder is watched; add one under `folders`")
    return replace(
        settings,
        folders=tuple(placed.settings for placed in folders),
        warnings=tuple(str(warning) for warning in reading.warnings),
    )


def _text(file: Path) -> str:
    """Return what stands in a file; only a regular one is read, so that a pipe blocks nobody."""
    try:
        descriptor = os.open(file, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
        with os.fdopen(descriptor, "rb") as stream:
            regular = stat.S_ISREG(os.fstat(stream.fileno()).st_mode)
            raw = stream.read(MAX_BYTES + 1) if regular else b""
    except OSError as error:
        raise reading_failed(file, error) from error
    if not regular:
        raise reading_failed(file, OSError(errno.EINVAL, "not a file"))
    if len(raw) > MAX_BYTES:
        large = f"larger than {MAX_BYTES // 1_000_000} MB; is this the right file?"
        raise ConfigError((ConfigProblem(file, 1, large),))
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise ConfigError((ConfigProblem(file, line, "this is not UTF-8; save the file as UTF-8"),)) from error
