"""What is there, what was done and what is to do: a small database for as long as a batch runs.

The truth is the manifest, the source and the target. They are read into this at the start, on the disk, so that memory
stays the same for a thousand photographs and for a million.
"""

from __future__ import annotations

import sqlite3
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path, PurePath
from typing import TypeVar

from alphadrop.errors import CannotWrite, printable
from alphadrop.hotfolder.naming import kinds, names, wanted
from alphadrop.hotfolder.settings import FolderSettings
from alphadrop.hotfolder.stability import Content
from alphadrop.pipeline.order import Kind
from alphadrop.scale.manifest import Row, Status, from_line, to_line
from alphadrop.scale.stores import Found

__all__ = ["Counts", "Inventory", "Job"]

T = TypeVar("T")

_AT_ONCE = 100
"""Rows that are read or written in one go."""
_QUICK = "PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF; PRAGMA cache_size = -512;"
"""Nothing here outlives the run. What the cache leaves out, in kB, the system's own cache of the file has."""
_TABLES = """
CREATE TABLE rows(
  input BLOB PRIMARY KEY, size, modified, settings, status, output BLOB, passing, pixels, line
) WITHOUT ROWID;
CREATE TABLE suspects(input BLOB PRIMARY KEY) WITHOUT ROWID;
CREATE TABLE found(input BLOB PRIMARY KEY, size, modified, output BLOB) WITHOUT ROWID;
CREATE TABLE there(output BLOB PRIMARY KEY) WITHOUT ROWID;
CREATE TABLE claims(output BLOB PRIMARY KEY) WITHOUT ROWID;
CREATE TABLE todo(number INTEGER PRIMARY KEY, input BLOB UNIQUE, size, modified, output BLOB, suspect, done DEFAULT 0);
"""
_TO_DO = """
INSERT INTO todo(input, size, modified, output, suspect)
SELECT found.input, found.size, found.modified, found.output, suspects.input IS NOT NULL
FROM found LEFT JOIN rows USING (input) LEFT JOIN suspects USING (input)
WHERE rows.input IS NULL
  OR (rows.size, rows.modified, rows.settings) IS NOT (found.size, found.modified, :settings)
  OR (rows.status = 'failed' AND (rows.passing OR :failed))
  OR (rows.status = 'done' AND rows.output NOT IN there)
ORDER BY found.input
"""


@dataclass(frozen=True, slots=True)
class Job:
    """One photograph to do."""

    found: Found
    output: str
    """The name of its output below the target."""
    suspect: bool = False
    """Whether it may have ended the process that worked on it."""


@dataclass(frozen=True, slots=True)
class Counts:
    """How many photographs of the source there are, by what became of them, in this run or before."""

    now: dict[Status, int]
    before: dict[Status, int]
    pixels: int
    """Of those done in this run."""


class Inventory:
    """The tables; for one thread."""

    def __init__(self, settings: FolderSettings) -> None:
        """Begin with nothing.

        Args:
            settings: of the cut-outs; says how they are called.
        """
        self._settings = settings
        self.fingerprint = settings.fingerprint()
        """Of the settings: a photograph that was cut by others is to do."""
        self._folder = tempfile.TemporaryDirectory(prefix="alphadrop-")
        self._tables = sqlite3.connect(Path(self._folder.name, "inventory.sqlite"), isolation_level=None)
        self._tables.executescript(f"{_QUICK}{_TABLES}")

    def close(self) -> None:
        """Forget everything."""
        self._tables.close()
        self._folder.cleanup()

    def learn(self, rows: Iterable[Row]) -> None:
        """Take rows of the manifest, each in the place of an earlier one of the same photograph."""
        for some in _groups(rows):
            self._tables.execute("BEGIN")
            for row in some:
                if row.status == "working":
                    self._tables.execute("INSERT OR IGNORE INTO suspects VALUES (?)", (_key(row.input),))
                else:
                    self._tables.execute("DELETE FROM suspects WHERE input = ?", (_key(row.input),))
                    self._keep(row)
            self._tables.execute("COMMIT")

    def find(self, found: Iterable[Found], there: Iterable[Found]) -> None:
        """Take what is in the source and in the target, and give every photograph a name for its output."""
        for some in _groups(each for each in found if wanted(PurePath(each.name), self._settings)):
            rows = [(_key(each.name), each.content.size, each.content.mtime_ns) for each in some]
            self._many("INSERT OR REPLACE INTO found(input, size, modified) VALUES (?, ?, ?)", rows)
        for some in _groups(there):
            self._many("INSERT OR IGNORE INTO there VALUES (?)", [(_key(each.name),) for each in some])
        self._claim()

    def plan(self, *, retry_failed: bool) -> int:
        """Find out what is to do; return how many photographs that are."""
        self._tables.execute(_TO_DO, {"settings": self.fingerprint, "failed": retry_failed})
        return self._count("SELECT count(*) FROM todo")

    def jobs(self) -> Iterator[Job]:
        """Yield what is to do and not done yet, in the order of names; rows may be recorded meanwhile."""
        last = 0
        while True:
            some = self._tables.execute(
                "SELECT number, input, size, modified, output, suspect FROM todo WHERE number > ? AND NOT done "
                "ORDER BY number LIMIT ?",
                (last, _AT_ONCE),
            ).fetchall()
            for _, input, size, modified, output, suspect in some:
                yield Job(Found(_name(input), Content(size, modified)), _name(output), bool(suspect))
            if not some:
                return
            last = some[-1][0]

    def sample(self, count: int) -> list[Job]:
        """Return so many of the photographs to do, spread evenly; all where there are no more."""
        total = self._count("SELECT count(*) FROM todo")
        numbers = sorted(
            {1 + index * total // count for index in range(count)} if total > count else range(1, total + 1)
        )
        return [job for number in numbers for job in self._numbered(number)]

    def record(self, rows: Iterable[Row]) -> None:
        """Note what became of photographs."""
        self._tables.execute("BEGIN")
        for row in rows:
            self._keep(row)
            self._tables.execute("UPDATE todo SET done = 1 WHERE input = ?", (_key(row.input),))
        self._tables.execute("COMMIT")

    def suspect_the_rest(self) -> int:
        """Hold every photograph that is not done for one that ended who worked on it; return how many."""
        return self._tables.execute("UPDATE todo SET suspect = 1 WHERE NOT done").rowcount

    def rows(self) -> Iterator[Row]:
        """Yield the row of every photograph, in the order of names; for the manifest."""
        for (line,) in self._tables.execute("SELECT line FROM rows ORDER BY input"):
            row = from_line(line)
            if row is not None:
                yield row

    def counts(self) -> Counts:
        """Count the photographs of the source."""
        now: dict[Status, int] = {}
        before: dict[Status, int] = {}
        pixels = 0
        grouped = (
            "SELECT rows.status, coalesce(todo.done, 0), count(*), sum(rows.pixels) FROM found JOIN rows USING (input) "
            "LEFT JOIN todo USING (input) WHERE todo.input IS NULL OR todo.done GROUP BY 1, 2"
        )
        for status, is_new, count, area in self._tables.execute(grouped):
            (now if is_new else before)[status] = count
            pixels += area if is_new else 0
        return Counts(now, before, pixels)

    def left(self) -> int:
        """Return how many photographs are still to do."""
        return self._count("SELECT count(*) FROM todo WHERE NOT done")

    def _claim(self) -> None:
        """Give each photograph a name: its own of before, else in the order of names the first that is free."""
        self._tables.execute("INSERT OR IGNORE INTO claims SELECT output FROM rows WHERE output IS NOT NULL")
        kind = kinds(self._settings)[0]
        query = (
            "SELECT found.input, rows.output FROM found LEFT JOIN rows USING (input) "
            "WHERE found.input > ? ORDER BY found.input LIMIT ?"
        )
        last = b""
        while some := self._tables.execute(query, (last, _AT_ONCE)).fetchall():
            self._tables.execute("BEGIN")
            for input, own in some:
                output = self._output_for(PurePath(_name(input)), own, kind)
                if output is None:
                    raise CannotWrite(f"{printable(input)}: every name for its output is taken", "tidy the target")
                self._tables.execute("INSERT OR IGNORE INTO claims VALUES (?)", (output,))
                self._tables.execute("UPDATE found SET output = ? WHERE input = ?", (output, input))
            self._tables.execute("COMMIT")
            last = some[-1][0]

    def _output_for(self, photograph: PurePath, own: bytes | None, kind: Kind) -> bytes | None:
        if own is not None and own in (_key(each.as_posix()) for each in names(photograph, self._settings, kind)):
            return own
        possible = (_key(each.as_posix()) for each in names(photograph, self._settings, kind))
        return next((each for each in possible if self._is_free(each)), None)

    def _is_free(self, output: bytes) -> bool:
        return self._tables.execute("SELECT 1 FROM claims WHERE output = ?", (output,)).fetchone() is None

    def _keep(self, row: Row) -> None:
        self._tables.execute(
            "INSERT OR REPLACE INTO rows VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                _key(row.input), row.size, row.modified, row.settings, row.status,
                None if row.output is None else _key(row.output), row.passing, row.pixels, to_line(row),
            ),
        )  # fmt: skip

    def _numbered(self, number: int) -> Iterator[Job]:
        for input, size, modified, output in self._tables.execute(
            "SELECT input, size, modified, output FROM todo WHERE number = ?", (number,)
        ):
            yield Job(Found(_name(input), Content(size, modified)), _name(output))

    def _count(self, query: str) -> int:
        (count,) = self._tables.execute(query).fetchone()
        return int(count)

    def _many(self, statement: str, rows: Sequence[tuple[bytes | int, ...]]) -> None:
        self._tables.execute("BEGIN")
        self._tables.executemany(statement, rows)
        self._tables.execute("COMMIT")


def _groups(items: Iterable[T]) -> Iterator[list[T]]:
    left = iter(items)
    while some := list(islice(left, _AT_ONCE)):
        yield some


def _key(name: str) -> bytes:
    """Return a name's bytes: SQLite has no text that is not UTF-8, and bytes have one order on every machine."""
    return name.encode("utf-8", "surrogateescape")


def _name(key: bytes) -> str:
    return key.decode("utf-8", "surrogateescape")
