"""The record of every file seen and what became of it, in SQLite.

A row is a file: folder and path below it, as bytes, for names need not be text. Its content is told by size and time
of change. A claim is an output's name that one row owns for good, so that names stay the same and never collide.
"""

from __future__ import annotations

import contextlib
import json
import os
import sqlite3
import threading
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import Literal

from alphadrop.errors import LedgerError, printable
from alphadrop.hotfolder.naming import Kind
from alphadrop.hotfolder.stability import Content

__all__ = ["VERSION", "Claim", "Ledger", "Row", "State"]

VERSION = 1
State = Literal["pending", "working", "done", "failed"]

_SCHEMA = """
CREATE TABLE files (
    id          INTEGER PRIMARY KEY,
    folder      BLOB    NOT NULL,
    path        BLOB    NOT NULL,
    size        INTEGER NOT NULL,
    mtime_ns    INTEGER NOT NULL,
    state       TEXT    NOT NULL CHECK (state IN ('pending', 'working', 'done', 'failed')),
    outcome     TEXT    NOT NULL DEFAULT '',
    reason      TEXT    NOT NULL DEFAULT '',
    attempts    INTEGER NOT NULL DEFAULT 0,
    not_before  REAL    NOT NULL DEFAULT 0,
    settings    TEXT    NOT NULL DEFAULT '',
    model       TEXT    NOT NULL DEFAULT '',
    seconds     TEXT    NOT NULL DEFAULT '{}',
    noted_at    REAL    NOT NULL,
    finished_at REAL,
    UNIQUE (folder, path)
);
CREATE INDEX files_by_state ON files (state, not_before, id);
CREATE TABLE claims (
    target   BLOB    PRIMARY KEY,
    file     INTEGER NOT NULL REFERENCES files (id) ON DELETE CASCADE,
    kind     TEXT    NOT NULL,
    size     INTEGER,
    mtime_ns INTEGER,
    next_size     INTEGER,
    next_mtime_ns INTEGER,
    UNIQUE (file, kind)
) WITHOUT ROWID;
"""


@dataclass(frozen=True, slots=True)
class Row:
    """One file of the ledger."""

    id: int
    folder: Path
    path: PurePath
    content: Content
    state: State
    outcome: str
    """`done`, `no_subject`, `skipped`, or the code of an error."""
    reason: str
    attempts: int
    noted_at: float
    """Wall clock, seconds since the epoch; as is `finished_at`."""
    finished_at: float | None


@dataclass(frozen=True, slots=True)
class Claim:
    """An output's name and whose it is."""

    target: Path
    file: int
    ours: tuple[Content, ...]
    """What the output is like where only we touched it: as last written, or as by a write that a crash broke off."""


class Ledger:
    """The database; safe to use from several threads."""

    def __init__(self, file: Path) -> None:
        """Open or make the database.

        Raises:
            LedgerError: it is damaged, of a newer version, or cannot be made.
        """
        self._lock = threading.RLock()
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
            self._db = sqlite3.connect(file, check_same_thread=False, isolation_level=None, timeout=10)
            try:
                self._prepare(file)
            except BaseException:
                self._db.close()
                raise
        except (sqlite3.Error, OSError) as error:
            raise LedgerError(
                f"{printable(file)}: the ledger cannot be opened: {error}",
                "move the file away; a new one is made and files without an output are done again",
            ) from error

    def _prepare(self, file: Path) -> None:
        self._db.execute("PRAGMA journal_mode = WAL")
        self._db.execute("PRAGMA synchronous = FULL")
        self._db.execute("PRAGMA foreign_keys = ON")
        (version,) = self._db.execute("PRAGMA user_version").fetchone()
        if version > VERSION:
            raise LedgerError(
                f"{printable(file)}: the ledger was written by a newer Alphadrop (version {version}, here {VERSION})",
                "update Alphadrop",
            )
        if version == 0:
            self._db.executescript(f"BEGIN; {_SCHEMA} PRAGMA user_version = {VERSION}; COMMIT;")

    def close(self) -> None:
        """Close the database; what was told to it is on the disk."""
        with self._using():
            self._db.close()

    def recover(self) -> int:
        """Put back what a crash left unfinished; return how many rows."""
        return self._write("UPDATE files SET state = 'pending', not_before = 0 WHERE state = 'working'")

    def unknown(self, folder: Path, found: Iterable[tuple[PurePath, Content]]) -> list[PurePath]:
        """Return those of the files found whose content the ledger has not noted."""
        with self._using():
            known = {
                path: Content(size, mtime_ns)
                for path, size, mtime_ns in self._db.execute(
                    "SELECT path, size, mtime_ns FROM files WHERE folder = ?", (os.fsencode(folder),)
                )
            }
        return [path for path, content in found if known.get(os.fsencode(path)) != content]

    def knows(self, folder: Path, path: PurePath, content: Content) -> bool:
        """Return whether this content of this file has been noted."""
        with self._using():
            row = self._db.execute(
                "SELECT size, mtime_ns FROM files WHERE folder = ? AND path = ?",
                (os.fsencode(folder), os.fsencode(path)),
            ).fetchone()
        return row is not None and Content(*row) == content

    def note(self, folder: Path, path: PurePath, content: Content, now: float) -> None:
        """Note a settled file as work to do; a known one with a new content is work again."""
        self._write(
            """INSERT INTO files (folder, path, size, mtime_ns, state, noted_at) VALUES (?, ?, ?, ?, 'pending', ?)
               ON CONFLICT (folder, path) DO UPDATE SET size = excluded.size, mtime_ns = excluded.mtime_ns,
               state = 'pending', outcome = '', reason = '', attempts = 0, not_before = 0,
               noted_at = excluded.noted_at, finished_at = NULL""",
            (os.fsencode(folder), os.fsencode(path), content.size, content.mtime_ns, now),
        )

    def take(self, folders: Iterable[Path], now: float) -> Row | None:
        """Return the oldest row that is due in one of the folders, marked `working`; None where nothing is."""
        keys = _keys(folders)
        with self._using():
            due = self._db.execute(
                f"SELECT id FROM files WHERE state = 'pending' AND not_before <= ? AND folder IN ({_marks(keys)}) "
                "ORDER BY not_before, id LIMIT 1",
                (now, *keys),
            ).fetchone()
            if due is None:
                return None
            taken = self._db.execute(
                f"UPDATE files SET state = 'working', attempts = attempts + 1 WHERE id = ? RETURNING {_COLUMNS}",
                due,
            ).fetchone()
        return _row(taken)

    def next_due(self, folders: Iterable[Path]) -> float | None:
        """Return when the first pending row of the folders is due, by the wall clock; None where none is pending."""
        keys = _keys(folders)
        with self._using():
            (due,) = self._db.execute(
                f"SELECT min(not_before) FROM files WHERE state = 'pending' AND folder IN ({_marks(keys)})", keys
            ).fetchone()
        return None if due is None else float(due)

    def finish(
        self,
        row: Row,
        outcome: str,
        *,
        now: float,
        settings: str,
        model: str = "",
        seconds: Mapping[str, float] | None = None,
        reason: str = "",
    ) -> None:
        """Record that a file is done: cut out, without a subject, or skipped.

        Nothing is recorded where a new content was noted meanwhile: that is still to be done; as for `fail`.
        """
        self._write(
            """UPDATE files SET state = 'done', outcome = ?, reason = ?, settings = ?, model = ?, seconds = ?,
               finished_at = ? WHERE id = ? AND state = 'working'""",
            (outcome, printable(reason), settings, model, json.dumps(seconds or {}), now, row.id),
        )

    def fail(self, row: Row, code: str, reason: str, *, now: float) -> None:
        """Record that a file cannot be cut out, until it changes."""
        self._write(
            "UPDATE files SET state = 'failed', outcome = ?, reason = ?, finished_at = ? "
            "WHERE id = ? AND state = 'working'",
            (code, printable(reason), now, row.id),
        )

    def postpone(self, row: Row, code: str, reason: str, *, until: float) -> None:
        """Put a row back, to be tried again when the wall clock says `until`."""
        self._write(
            "UPDATE files SET state = 'pending', outcome = ?, reason = ?, not_before = ? WHERE id = ?",
            (code, printable(reason), until, row.id),
        )

    def forget(self, row: Row) -> None:
        """Drop a row whose file is gone before it was done.

        Where an older content has an output, the row and its names are kept: the file may come back, as it does when
        a program saves it by deleting it first.
        """
        with self._using():
            self._write(
                "DELETE FROM files WHERE id = ? AND state = 'working' "
                "AND NOT EXISTS (SELECT 1 FROM claims WHERE file = files.id AND size IS NOT NULL)",
                (row.id,),
            )
            self._write(
                "UPDATE files SET state = 'done', outcome = 'done', reason = '', size = -1, mtime_ns = -1 "
                "WHERE id = ? AND state = 'working'",
                (row.id,),
            )

    def claim_of(self, target: Path) -> Claim | None:
        """Return who owns an output's name."""
        with self._using():
            row = self._db.execute(
                "SELECT target, file, size, mtime_ns, next_size, next_mtime_ns FROM claims WHERE target = ?",
                (os.fsencode(target),),
            ).fetchone()
        return None if row is None else _claim(row)

    def claim_by(self, file: int, kind: Kind) -> Claim | None:
        """Return the output's name that a row owns."""
        with self._using():
            row = self._db.execute(
                "SELECT target, file, size, mtime_ns, next_size, next_mtime_ns FROM claims WHERE file = ? AND kind = ?",
                (file, kind),
            ).fetchone()
        return None if row is None else _claim(row)

    def claim(self, target: Path, file: int, kind: Kind) -> None:
        """Give an output's name to a row, in place of the one it had."""
        self._write(
            "INSERT OR REPLACE INTO claims (target, file, kind) VALUES (?, ?, ?)", (os.fsencode(target), file, kind)
        )

    def writing(self, target: Path, content: Content) -> None:
        """Record what an output will be like, just before it gets its name."""
        self._write(
            "UPDATE claims SET next_size = ?, next_mtime_ns = ? WHERE target = ?",
            (content.size, content.mtime_ns, os.fsencode(target)),
        )

    def wrote(self, target: Path) -> None:
        """Record that an output has got its name."""
        self._write(
            "UPDATE claims SET size = next_size, mtime_ns = next_mtime_ns, next_size = NULL, next_mtime_ns = NULL "
            "WHERE target = ?",
            (os.fsencode(target),),
        )

    def unfinished(self) -> list[Path]:
        """Return the outputs claimed by the files that are being worked on."""
        with self._using():
            rows = self._db.execute(
                "SELECT target FROM claims JOIN files ON files.id = claims.file WHERE files.state = 'working'"
            ).fetchall()
        return [Path(os.fsdecode(target)) for (target,) in rows]

    def counts(self, folder: Path) -> dict[str, int]:
        """Return how many rows of a folder are in each state; `done` is split by outcome."""
        with self._using():
            rows = self._db.execute(
                """SELECT CASE WHEN state = 'done' THEN outcome ELSE state END AS kind, count(*)
                   FROM files WHERE folder = ? GROUP BY kind""",
                (os.fsencode(folder),),
            ).fetchall()
        return {str(kind): int(count) for kind, count in rows}

    def rows(self, *, state: State | None = None, limit: int = 100) -> list[Row]:
        """Return the rows that changed last, newest first."""
        with self._using():
            rows = self._db.execute(
                f"SELECT {_COLUMNS} FROM files WHERE ? IS NULL OR state = ? "
                "ORDER BY coalesce(finished_at, noted_at) DESC LIMIT ?",
                (state, state, limit),
            ).fetchall()
        return [_row(row) for row in rows]

    @contextlib.contextmanager
    def _using(self) -> Iterator[None]:
        """Have the database for oneself; its errors become ours."""
        with self._lock:
            try:
                yield
            except sqlite3.Error as error:
                raise LedgerError(f"the ledger cannot be used: {error}", "is there space left on its disk?") from error

    def _write(self, statement: str, values: tuple[object, ...] = ()) -> int:
        with self._using():
            return self._db.execute(statement, values).rowcount


_COLUMNS = "id, folder, path, size, mtime_ns, state, outcome, reason, attempts, noted_at, finished_at"


def _keys(folders: Iterable[Path]) -> list[bytes]:
    return [os.fsencode(folder) for folder in folders]


def _marks(values: list[bytes]) -> str:
    return ", ".join("?" for _ in values)


def _row(values: tuple[object, ...]) -> Row:
    number, folder, path, size, mtime_ns, *rest = values
    return Row(
        number,  # type: ignore[arg-type]
        Path(os.fsdecode(folder)),  # type: ignore[arg-type]
        PurePath(os.fsdecode(path)),  # type: ignore[arg-type]
        Content(size, mtime_ns),  # type: ignore[arg-type]
        *rest,  # type: ignore[arg-type]
    )


def _claim(values: tuple[bytes, int, int | None, int | None, int | None, int | None]) -> Claim:
    target, file, *pairs = values
    ours = [Content(size, time) for size, time in (pairs[:2], pairs[2:]) if size is not None and time is not None]
    return Claim(Path(os.fsdecode(target)), file, tuple(ours))
