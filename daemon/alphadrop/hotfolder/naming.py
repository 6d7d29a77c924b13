"""Names, purely: which files are photographs to cut, and what their outputs are called."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterator
from fnmatch import fnmatch
from pathlib import PurePath

from alphadrop.engine.options import suffix_of
from alphadrop.engine.photo import SUFFIXES
from alphadrop.hotfolder.settings import FolderSettings
from alphadrop.pipeline.order import Kind

__all__ = ["fitted", "kinds", "names", "wanted"]

_LONGEST_NAME = 255
"""In bytes, of nearly every file system."""
_NUMBERS = 1_000
_FIELD = re.compile(r"\{stem\}|\{ext\}")


def wanted(relative: PurePath, settings: FolderSettings) -> bool:
    """Return whether a file below the input folder is to be cut, judging by its name alone.

    Hidden files and folders never are, and so neither is a temporary file of ours. Patterns match the whole relative
    path or the last name, ignoring case.
    """
    if any(part.startswith(".") for part in relative.parts):
        return False
    if _matches(relative, settings.exclude):
        return False
    if settings.include:
        return _matches(relative, settings.include)
    return relative.suffix.lower() in SUFFIXES


def kinds(settings: FolderSettings) -> tuple[Kind, ...]:
    """Return what a photograph of this folder becomes."""
    return ("cutout", "mask") if settings.result == "both" else (settings.result,)


def names(relative: PurePath, settings: FolderSettings, kind: Kind) -> Iterator[PurePath]:
    """Yield the output's possible paths below the output folder, the best first.

    `a/foo.jpg` gives `a/foo.png`, then `a/foo.jpg.png` for when another photograph has the first, then `a/foo-2.png`
    and so on. A name too long for the file system is cut and ends in a hash of the whole.
    """
    suffix = ".mask.png" if kind == "mask" else suffix_of(settings.cut.format)
    extension = relative.suffix.removeprefix(".")
    fields = {"{stem}": relative.stem, "{ext}": extension}
    stem = _FIELD.sub(lambda field: fields[field[0]], settings.name)
    yield relative.with_name(fitted(stem, suffix))
    if extension and "{ext}" not in settings.name:
        yield relative.with_name(fitted(f"{stem}.{extension}", suffix))
    for number in range(2, _NUMBERS):
        yield relative.with_name(fitted(stem, f"-{number}{suffix}"))


def _matches(relative: PurePath, patterns: tuple[str, ...]) -> bool:
    path, name = relative.as_posix().lower(), relative.name.lower()
    return any(fnmatch(path, pattern.lower()) or fnmatch(name, pattern.lower()) for pattern in patterns)


def fitted(stem: str, suffix: str) -> str:
    """Return a name that a file system can hold: the stem is cut where it must be, and then ends in a hash of it."""
    raw = os.fsencode(stem)
    room = _LONGEST_NAME - len(os.fsencode(suffix))
    if len(raw) <= room:
        return stem + suffix
    mark = "~" + hashlib.sha256(raw).hexdigest()[:8]
    short = raw[: room - len(mark)]
    while short and (short[-1] & 0xC0) == 0x80:  # inside a character
        short = short[:-1]
    if short and short[-1] >= 0xC0:
        short = short[:-1]
    return os.fsdecode(short) + mark + suffix
