"""Folders against each other: what would be cut for ever, or twice.

Folders are compared by their real paths, so that symbolic links hide nothing; where a server does not answer that asks,
by the paths that are written.
"""

from __future__ import annotations

import graphlib
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path

from alphadrop.config.document import Reading, Section
from alphadrop.config.schema import PlacedFolder
from alphadrop.errors import printable
from alphadrop.hotfolder.answers import ask
from alphadrop.hotfolder.settings import FolderSettings

__all__ = ["check_folders"]

_Sources = dict[int, dict[int, list[str]]]
"""For each folder the others whose photographs it would see, and the keys by which they send them."""

_ANY_NAME = "\0"
"""A file's name that patterns match with wildcards only."""


@dataclass(frozen=True, slots=True)
class _Folder:
    """A folder with its real paths, each asked of the disk once."""

    settings: FolderSettings
    section: Section
    input: Path
    places: Mapping[str, Path]
    """What is set apart from the input, each under its key."""

    def goes_into(self, real: Path) -> bool:
        """Return whether files in a folder are looked at, names and patterns aside."""
        if real == self.input:
            return True
        if not self.settings.recursive or not real.is_relative_to(self.input):
            return False
        if any(part.startswith(".") for part in real.relative_to(self.input).parts):
            return False
        inside = [place for place in self.places.values() if self.input in place.parents]
        return not any(real.is_relative_to(place) for place in inside)

    def lets_pass(self, real: Path) -> bool:
        """Return whether the patterns let any photograph pass in a folder below the input."""
        below = real.relative_to(self.input).as_posix().lower()
        include = [pattern.lower() for pattern in self.settings.include]
        if any(fnmatch(f"{below}/{_ANY_NAME}", pattern.lower()) for pattern in self.settings.exclude):
            return False
        return not include or any(fnmatch(f"{below}/{pattern.rpartition('/')[2]}", pattern) for pattern in include)


def check_folders(folders: Sequence[PlacedFolder], reading: Reading) -> None:
    """Write down what would be cut again, for ever or twice, and originals that would mix with results.

    That one folder's output is another's input is a chain, and allowed. So is an output inside its own input, where
    results are never taken for photographs; the same holds for `finished` and `failed`.
    """
    real = _real_paths({place for placed in folders for place in placed.settings.places})
    found = [_found(placed, real) for placed in folders]
    inputs: dict[Path, int] = {}
    for index, folder in enumerate(found):
        _check_places(folder, reading)
        if folder.input in inputs:
            first = found[inputs[folder.input]].section.line_of("input")
            reading.problem(
                folder.section.line_of("input"),
                f"{printable(folder.settings.input)} is watched twice",
                f"first in line {first}",
            )
        inputs.setdefault(folder.input, index)
    for folder in found:
        _check_nested(folder, [found[inputs[above]] for above in folder.input.parents if above in inputs], reading)
    for cycle, keys in _cycles(_sources(found, inputs)):
        chain = " -> ".join(printable(found[index].settings.input) for index in [*cycle, cycle[0]])
        for key in keys:
            reading.problem(
                found[cycle[-1]].section.line_of(key),
                f"photographs would go round for ever: {chain}",
                "send them elsewhere",
            )


def _found(placed: PlacedFolder, real: Mapping[Path, Path]) -> _Folder:
    settings = placed.settings
    places = {"output": settings.output, "finished": settings.finished, "failed": settings.failed}
    apart = {key: real[place] for key, place in places.items() if place is not None}
    return _Folder(settings, placed.section, real[settings.input], apart)


def _check_places(folder: _Folder, reading: Reading) -> None:
    """Write down what is the folder's own input, and originals that would go to its output."""
    for key, place in folder.places.items():
        line = folder.section.line_of(key)
        if place == folder.input:
            name, what = ("the output", "results") if key == "output" else (f"`{key}`", "originals")
            reading.problem(line, f"{name} is the input", f"choose another: {what} would be cut again")
        if key != "output" and place == folder.places["output"]:
            reading.problem(line, f"`{key}` is the output", "choose another: originals and results would mix")


def _check_nested(inner: _Folder, above: Sequence[_Folder], reading: Reading) -> None:
    """Warn of an input that is seen by another folder as well."""
    for outer in above:
        if outer.goes_into(inner.input) and outer.lets_pass(inner.input):
            reading.warn(
                inner.section.line_of("input"),
                f"{printable(inner.settings.input)} lies inside the input of line {outer.section.line_of('input')}: "
                "its photographs are cut twice; exclude it there, or set `recursive: false` there",
            )
            return


def _sources(folders: Sequence[_Folder], inputs: Mapping[Path, int]) -> _Sources:
    sources: _Sources = {index: {} for index in range(len(folders))}
    for index, folder in enumerate(folders):
        for key, place in folder.places.items():
            if key == "finished" and folder.settings.originals != "move":
                continue
            for seen in (place, *place.parents):
                other = inputs.get(seen)
                if other is not None and other != index and folders[other].goes_into(place):
                    sources[other].setdefault(index, []).append(key)
    return sources


def _cycles(sources: _Sources) -> Iterator[tuple[list[int], list[str]]]:
    """Yield the cycles, each from its first folder in the file, with the keys that close it; the graph is used up."""
    while True:
        try:
            graphlib.TopologicalSorter(sources).prepare()
        except graphlib.CycleError as error:
            cycle: list[int] = error.args[1][:-1]
            start = cycle.index(min(cycle))
            cycle = cycle[start:] + cycle[:start]
            yield cycle, sources[cycle[0]].pop(cycle[-1])
        else:
            return


def _real_paths(folders: Iterable[Path]) -> dict[Path, Path]:
    """Return where folders really are; those whose disk does not answer, as they are written."""
    written = {folder: os.path.abspath(folder) for folder in folders}
    found = written | ask(os.path.realpath, written)
    return {folder: Path(os.path.normcase(path)) for folder, path in found.items()}
