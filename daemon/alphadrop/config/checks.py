"""Folders against each other: what would be cut for ever, or twice.

Folders are compared by their real paths, so that symbolic links hide nothing.
"""

from __future__ import annotations

import graphlib
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from alphadrop.config.document import Reading
from alphadrop.config.schema import PlacedFolder
from alphadrop.errors import printable

__all__ = ["check_folders"]


def check_folders(folders: Sequence[PlacedFolder], reading: Reading) -> None:
    """Write down outputs that are inputs, inputs watched twice, and photographs that would go round for ever.

    That one folder's output is another's input is a chain, and allowed. So is an output inside its own input, where
    results are never taken for photographs.
    """
    inputs: dict[str, int] = {}
    for index, placed in enumerate(folders):
        real = _real(placed.settings.input)
        if real == _real(placed.settings.output):
            reading.problem(
                placed.section.line_of("output"),
                "the output is the input",
                "choose another: results would be cut again",
            )
        if real in inputs:
            first = folders[inputs[real]].section.line_of("input")
            reading.problem(
                placed.section.line_of("input"),
                f"{printable(placed.settings.input)} is watched twice",
                f"first in line {first}",
            )
        inputs.setdefault(real, index)
    for cycle in _cycles(_sources(folders, inputs)):
        chain = " -> ".join(printable(folders[index].settings.input) for index in [*cycle, cycle[0]])
        reading.problem(
            folders[cycle[-1]].section.line_of("output"),
            f"photographs would go round for ever: {chain}",
            "send the results elsewhere",
        )


def _sources(folders: Sequence[PlacedFolder], inputs: dict[str, int]) -> dict[int, set[int]]:
    """Return for each folder the others whose results it would see."""
    sources: dict[int, set[int]] = {index: set() for index in range(len(folders))}
    for index, placed in enumerate(folders):
        output = Path(_real(placed.settings.output))
        for seen in (output, *output.parents):
            other = inputs.get(str(seen))
            if other is not None and other != index and (seen == output or folders[other].settings.recursive):
                sources[other].add(index)
    return sources


def _cycles(sources: dict[int, set[int]]) -> Iterator[list[int]]:
    """Yield the cycles, each from its first folder in the file; the graph is used up."""
    while True:
        try:
            graphlib.TopologicalSorter(sources).prepare()
        except graphlib.CycleError as error:
            cycle: list[int] = error.args[1][:-1]
            start = cycle.index(min(cycle))
            cycle = cycle[start:] + cycle[:start]
            yield cycle
            sources[cycle[0]].discard(cycle[-1])
        else:
            return


def _real(folder: Path) -> str:
    return os.path.normcase(os.path.realpath(folder))
