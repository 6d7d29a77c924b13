"""A ledger that knows nothing of a folder learns from the marks in its outputs what has been done."""

from __future__ import annotations

from pathlib import PurePath

from alphadrop import atomic
from alphadrop.engine.options import SUFFIXES
from alphadrop.hotfolder.answers import Answers
from alphadrop.hotfolder.ledger import Ledger, Row
from alphadrop.hotfolder.marks import Mark, folder_tag, is_untouched, read_mark
from alphadrop.hotfolder.naming import kinds
from alphadrop.hotfolder.scan import look_at, walk
from alphadrop.hotfolder.settings import FolderSettings
from alphadrop.hotfolder.stability import Content
from alphadrop.pipeline.order import Kind

__all__ = ["rebuild"]


def rebuild(settings: FolderSettings, ledger: Ledger, answers: Answers | None = None) -> int:
    """Record as done what the outputs of a folder show was done, and whose they are; return how many photographs.

    Outputs that somebody has changed since keep their name and are not ours any more. Temporaries that a crash left in
    the folders on the way are removed.

    Args:
        settings: of the folder.
        ledger: that is to learn.
        answers: told of every file that was read.

    Raises:
        CannotRead: the output folder cannot be listed.
        LedgerError: nothing can be recorded.
    """
    answers = answers or Answers()
    tag, output = folder_tag(settings.input), settings.output
    newest: dict[tuple[int, Kind], tuple[tuple[int, bool, int], Content]] = {}
    swept: set[PurePath] = set()
    for path, content in answers.each(walk(output, recursive=settings.recursive)):
        if path.parent not in swept:
            swept.add(path.parent)
            atomic.sweep(output / path.parent)
        mark = read_mark(output, path) if path.suffix.lower() in SUFFIXES else None
        if mark is None or mark.folder != tag:
            continue
        number = _adopt(path, mark, settings, ledger)
        untouched = is_untouched(mark, content)
        rank = (mark.made_ns, untouched, -len(path.name))  # copies of an output are as old, and have longer names
        best = newest.get((number, mark.kind))
        if best is None or best[0] < rank:
            newest[number, mark.kind] = rank, mark.content
            ledger.claim(output / path, number, mark.kind, content if untouched else None)
    numbers = {number for number, _ in newest}
    for number in answers.each(numbers):
        made_from = [newest[number, kind][1] for kind in kinds(settings) if (number, kind) in newest]
        if len(made_from) < len(kinds(settings)) or len(set(made_from)) > 1:
            _have_done_again(ledger.row(number), ledger)
    return len(numbers)


def _adopt(output: PurePath, mark: Mark, settings: FolderSettings, ledger: Ledger) -> int:
    source = output.parent / mark.source
    there = look_at(settings.input, source) is not None
    return ledger.adopt(settings.input, source, mark.content, mark.settings, mark.made_ns / 1e9, there=there)


def _have_done_again(row: Row, ledger: Ledger) -> None:
    """Make a photograph work to do whose outputs are not all there, or not of one content."""
    if (row.state, row.outcome) == ("done", "done") and look_at(row.folder, row.path) is not None:
        ledger.retry(row)
