"""The ledger's tables, and the way from each older version of them to this one."""

from __future__ import annotations

import contextlib
import os
import sqlite3
from pathlib import Path

from alphadrop.errors import LedgerDamaged, LedgerTooNew, printable

__all__ = ["VERSION", "damaged", "known_paths", "prepare", "tells_of_damage"]

VERSION = 3

_TABLES = """
CREATE TABLE files (
    id          INTEGER PRIMARY KEY,
    folder      BLOB    NOT NULL,
    path        BLOB    NOT NULL,
    size        INTEGER NOT NULL,
    mtime_ns    INTEGER NOT NULL,
    state       TEXT    NOT NULL CHECK (state IN ('pending', 'working', 'done', 'failed', 'skipped', 'missing')),
    outcome     TEXT    NOT NULL DEFAULT '',
    reason      TEXT    NOT NULL DEFAULT '',
    attempts    INTEGER NOT NULL DEFAULT 0,
    suspect     INTEGER NOT NULL DEFAULT 0,
    crashes     INTEGER NOT NULL DEFAULT 0,
    not_before  REAL    NOT NULL DEFAULT 0,
    settings    TEXT    NOT NULL DEFAULT '',
    model       TEXT    NOT NULL DEFAULT '',
    seconds     TEXT    NOT NULL DEFAULT '{}',
    noted_at    REAL    NOT NULL,
    started_at  REAL,
    finished_at REAL,
    original    TEXT    NOT NULL DEFAULT '' CHECK (original IN ('', 'due', 'going', 'moved', 'deleted', 'returning')),
    original_at BLOB,
    gone_since  REAL,
    warnings    TEXT    NOT NULL DEFAULT '[]',
    UNIQUE (folder, path)
);
CREATE INDEX files_by_state ON files (folder, state, not_before, id);
CREATE INDEX files_by_outcome ON files (folder, state, outcome);
CREATE INDEX files_by_end ON files (finished_at);
CREATE INDEX files_by_original ON files (original, not_before);
CREATE INDEX files_gone ON files (gone_since) WHERE gone_since IS NOT NULL;
CREATE INDEX files_warned ON files (folder) WHERE warnings != '[]';
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
CREATE TABLE folders (
    folder     BLOB PRIMARY KEY,
    output     BLOB NOT NULL,
    watched_at REAL NOT NULL DEFAULT 0
) WITHOUT ROWID;
CREATE TABLE mounts (
    folder BLOB PRIMARY KEY
) WITHOUT ROWID;
CREATE TABLE notes (
    key   TEXT PRIMARY KEY,
    value TEXT NOT NULL
) WITHOUT ROWID;
"""

_FROM_1 = f"""
ALTER TABLE files RENAME TO old_files;
ALTER TABLE claims RENAME TO old_claims;
DROP INDEX files_by_state;
{_TABLES}
INSERT INTO files (id, folder, path, size, mtime_ns, state, outcome, reason, attempts, settings, model, seconds,
                   noted_at, finished_at)
    SELECT id, folder, path, size, mtime_ns,
           CASE WHEN size = -1 THEN 'missing' WHEN outcome = 'skipped' THEN 'skipped' ELSE state END,
           outcome, reason, attempts, settings, model, seconds, noted_at, finished_at FROM old_files;
INSERT INTO claims SELECT target, file, kind, size, mtime_ns, next_size, next_mtime_ns FROM old_claims;
DROP TABLE old_claims;
DROP TABLE old_files;
"""
_FROM_2 = """
ALTER TABLE files ADD COLUMN warnings TEXT NOT NULL DEFAULT '[]';
CREATE INDEX files_warned ON files (folder) WHERE warnings != '[]';
"""
_STEPS = {0: _TABLES, 1: _FROM_1, 2: _FROM_2}


def prepare(db: sqlite3.Connection, file: Path) -> str:
    """Check a database and bring it to this version; return what was done, in words, or nothing.

    Raises:
        LedgerDamaged: it is no database, or a damaged one.
        LedgerTooNew: it was written by a newer Alphadrop.
    """
    try:
        return _prepare(db, file)
    except (sqlite3.Error, UnicodeDecodeError) as error:
        # A sound database of an older version holds nothing that this one refuses.
        if tells_of_damage(error) or isinstance(error, sqlite3.IntegrityError):
            raise damaged(file, str(error)) from error
        raise


def tells_of_damage(error: Exception) -> bool:
    """Return whether an error is met only in a database that is damaged, or in none."""
    # An error that quotes a damaged table's name cannot be decoded.
    return (
        error.__class__ is sqlite3.DatabaseError
        or isinstance(error, UnicodeDecodeError)
        or "unsupported file format" in str(error)
    )


def damaged(file: Path, found: str) -> LedgerDamaged:
    """Return the error that says what was found."""
    return LedgerDamaged(
        f"{printable(file)}: damaged: {printable(' '.join(found.split()))}",
        "it is set aside, and a new one is made from the outputs",
    )


def _prepare(db: sqlite3.Connection, file: Path) -> str:
    # The version first: what is in a newer database need not look sound to this one.
    (version,) = db.execute("PRAGMA user_version").fetchone()
    if version > VERSION:
        raise LedgerTooNew(
            f"{printable(file)}: the ledger was written by a newer Alphadrop (version {version}, here {VERSION})",
            "update Alphadrop",
        )
    (found,) = db.execute("PRAGMA quick_check(1)").fetchone()
    if found != "ok":
        raise damaged(file, found)
    (tables,) = db.execute("SELECT count(*) FROM sqlite_master").fetchone()
    if version < 0 or (version == 0 and tables):
        raise damaged(file, f"version {version}")
    db.execute("PRAGMA journal_mode = WAL")
    # A lost last moment is made good by the marks in the outputs; what must not be lost asks for more: see `durably`.
    db.execute("PRAGMA synchronous = NORMAL")
    done = ""
    if version != VERSION:
        if version:
            copy = file.with_name(f"{file.name}.v{version}")
            with contextlib.suppress(FileNotFoundError):
                copy.unlink()
            db.execute("VACUUM INTO CAST(? AS TEXT)", (os.fsencode(copy),))  # a name need not be text
            done = f"the ledger was brought from version {version} to {VERSION}; a copy is kept: {printable(copy)}"
        db.executescript(f"BEGIN IMMEDIATE; {_STEPS[version]} PRAGMA user_version = {VERSION}; COMMIT;")
    db.execute("PRAGMA foreign_keys = ON")
    return done


def known_paths(file: Path) -> set[bytes]:
    """Return every path that a ledger knows, of photographs and their results; none where it cannot be read.

    It is looked at from outside, and not changed: the daemon may be using it.
    """
    asked = "SELECT folder, path FROM files", "SELECT original_at FROM files", "SELECT target FROM claims"
    found: set[bytes] = set()
    with (
        contextlib.suppress(sqlite3.Error),
        contextlib.closing(sqlite3.connect(f"{file.absolute().as_uri()}?mode=ro", uri=True)) as database,
    ):
        for query in asked:
            found |= {os.path.join(*row) for row in database.execute(query) if None not in row}
    return found
