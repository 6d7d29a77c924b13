"""A ledger of an older version is brought to this one whole or not at all; one of a newer is not touched."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path, PurePath

import pytest

from alphadrop.errors import LedgerDamaged, LedgerError, LedgerTooNew
from alphadrop.hotfolder import schema
from alphadrop.hotfolder.ledger import Ledger
from alphadrop.hotfolder.stability import Content

VERSION_1 = """
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
PRAGMA user_version = 1;
"""
"""What the first version made, to the letter."""

VERSION_2 = """
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
    UNIQUE (folder, path)
);
CREATE INDEX files_by_state ON files (folder, state, not_before, id);
CREATE INDEX files_by_outcome ON files (folder, state, outcome);
CREATE INDEX files_by_end ON files (finished_at);
CREATE INDEX files_by_original ON files (original, not_before);
CREATE INDEX files_gone ON files (gone_since) WHERE gone_since IS NOT NULL;
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
PRAGMA user_version = 2;
"""
"""What the second version made, to the letter."""

FOLDER = b"/in \xfe"
# id, path, size, mtime_ns, state, outcome, reason, attempts, not_before, settings, model, seconds, noted_at,
# finished_at
FILES: list[tuple[object, ...]] = [
    (1, b"done.jpg", 10, 11, "done", "done", "", 1, 0.0, "abc", "isnet", '{"decode": 0.5}', 1.5, 2.5),
    (2, b"no subject.jpg", 20, 21, "done", "no_subject", "", 2, 0.0, "abc", "isnet", "{}", 3.0, 4.0),
    (3, b"skipped.jpg", 30, 31, "done", "skipped", "it exists already", 1, 0.0, "abc", "isnet", "{}", 5.0, 6.0),
    (4, b"failed.jpg", 40, 41, "failed", "damaged", "cut off", 1, 0.0, "", "", "{}", 7.0, 8.0),
    (5, b"pending.jpg", 50, 51, "pending", "disk_full", "no space", 3, 1.7e9, "", "", "{}", 9.0, None),
    (7, b"sub/\xff\nworking.jpg", 70, -71, "working", "", "", 1, 0.0, "", "", "{}", 10.0, None),
    (9, b"forgotten.jpg", -1, -1, "done", "done", "", 1, 0.0, "", "", "{}", 11.0, None),
]
# id, path, size, mtime_ns, state, outcome, reason, attempts, suspect, crashes, not_before, settings, model, seconds,
# noted_at, started_at, finished_at, original, original_at, gone_since
FILES_OF_2: list[tuple[object, ...]] = [
    (1, b"done.jpg", 10, 11, "done", "done", "", 1, 0, 0, 0.0, "abc", "isnet", '{"decode": 0.5}', 1.5, 2.0, 2.5,
     "moved", b"/finished/\xff.jpg", 3.5),
    (4, b"failed.jpg", 40, 41, "failed", "damaged", "cut off", 1, 0, 3, 0.0, "", "", "{}", 7.0, 7.5, 8.0, "due", None,
     None),
    (7, b"sub/\xff\nworking.jpg", 70, -71, "working", "", "", 1, 1, 2, 9.0, "", "", "{}", 10.0, 11.0, None, "", None,
     None),
]  # fmt: skip
# target, file, kind, size, mtime_ns, next_size, next_mtime_ns
CLAIMS: list[tuple[object, ...]] = [
    (b"/out/done.mask.png", 1, "mask", 101, 102, None, None),
    (b"/out/done.png", 1, "cutout", 111, 112, 121, 122),
    (b"/out/forgotten.png", 9, "cutout", 901, 902, None, None),
    (b"/out/sub/\xff\nworking.png", 7, "cutout", None, None, 701, 702),
]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A ledger as the first version left it."""
    file = tmp_path / "ledger.sqlite"
    with opened(file) as db:
        db.execute("PRAGMA journal_mode = WAL")
        db.executescript(VERSION_1)
        for number, *values in FILES:
            db.execute(f"INSERT INTO files VALUES (?, ?, {', '.join('?' for _ in values)})", (number, FOLDER, *values))
        for claim in CLAIMS:
            db.execute("INSERT INTO claims VALUES (?, ?, ?, ?, ?, ?, ?)", claim)
    return file


@pytest.fixture
def second(tmp_path: Path) -> Path:
    """A ledger as the second version left it."""
    file = tmp_path / "second.sqlite"
    with opened(file) as db:
        db.execute("PRAGMA journal_mode = WAL")
        db.executescript(VERSION_2)
        for number, *values in FILES_OF_2:
            db.execute(f"INSERT INTO files VALUES (?, ?, {', '.join('?' for _ in values)})", (number, FOLDER, *values))
        db.execute("INSERT INTO claims VALUES (?, ?, ?, ?, ?, ?, ?)", (b"/out/done.png", 1, "cutout", 1, 2, None, None))
        db.execute("INSERT INTO folders VALUES (?, ?, ?)", (FOLDER, b"/out", 5.0))
        db.execute("INSERT INTO mounts VALUES (?)", (FOLDER,))
        db.execute("INSERT INTO notes VALUES ('paused', 'until noon')")
    return file


@contextmanager
def opened(file: Path) -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(file, isolation_level=None)) as db:
        yield db


def version_of(file: Path) -> int:
    with opened(file) as db:
        (version,) = db.execute("PRAGMA user_version").fetchone()
    return int(version)


def tables_of(file: Path) -> set[tuple[str, str, str]]:
    """Return everything that was created, without regard to spaces and to how names are quoted."""
    with opened(file) as db:
        made = db.execute("SELECT type, name, tbl_name, coalesce(sql, '') FROM sqlite_master").fetchall()
    return {(type, f"{name} on {table}", " ".join(sql.replace('"', "").split())) for type, name, table, sql in made}


def everything_in(file: Path) -> tuple[list[tuple[object, ...]], list[tuple[object, ...]]]:
    with opened(file) as db:
        files = db.execute("SELECT * FROM files ORDER BY id").fetchall()
        claims = db.execute("SELECT * FROM claims ORDER BY target").fetchall()
    return files, claims


def assert_is_version_1(file: Path) -> None:
    assert version_of(file) == 1
    files, claims = everything_in(file)
    assert files == [(number, FOLDER, *values) for number, *values in FILES]
    assert claims == CLAIMS
    with opened(file) as db:
        assert db.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        assert db.execute("PRAGMA foreign_key_check").fetchall() == []


def test_nothing_of_an_old_ledger_is_lost(file: Path) -> None:
    Ledger(file).close()
    assert version_of(file) == schema.VERSION
    with opened(file) as db:
        files = db.execute(
            "SELECT id, folder, path, size, mtime_ns, outcome, reason, attempts, settings, model, seconds, noted_at, "
            "finished_at FROM files ORDER BY id"
        ).fetchall()
        states = dict(db.execute("SELECT id, state FROM files").fetchall())
        claims = db.execute("SELECT * FROM claims ORDER BY target").fetchall()
        assert db.execute("PRAGMA foreign_key_check").fetchall() == []
        assert db.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    assert files == [(row[0], FOLDER, *row[1:4], *row[5:8], *row[9:]) for row in FILES]
    gone = {row[0]: "missing" for row in FILES if row[2] == -1}
    assert states == {row[0]: "skipped" if row[5] == "skipped" else row[4] for row in FILES} | gone
    assert claims == CLAIMS


def test_the_ledger_goes_on_where_the_old_one_was(file: Path) -> None:
    folder = Path(os.fsdecode(FOLDER))
    ledger = Ledger(file)
    assert ledger.counts(folder) == {
        "done": 1, "missing": 1, "no_subject": 1, "skipped": 1, "failed": 1, "pending": 1, "working": 1,
    }  # fmt: skip
    assert ledger.row(1).seconds == {"decode": 0.5}
    (suspect,) = ledger.recover()
    assert (suspect.path, suspect.content) == (PurePath(os.fsdecode(b"sub/\xff\nworking.jpg")), Content(70, -71))
    # The old times to wait were by the wall clock, which is far ahead of the monotonic one.
    row = ledger.take(folder, 0.0, 0.0)
    assert row is not None
    assert row.path == PurePath("pending.jpg")
    claim = ledger.claim_of(Path("/out/done.png"))
    assert claim is not None
    assert (claim.file, claim.ours) == (1, (Content(111, 112), Content(121, 122)))
    assert ledger.knows(folder, PurePath("done.jpg"), Content(10, 11))
    assert ledger.unknown(folder, [(PurePath("forgotten.jpg"), Content(90, 91))]) == [PurePath("forgotten.jpg")]
    assert not ledger.has_met(folder, Path("/out"))
    ledger.close()


def test_the_old_ledger_is_kept_as_a_copy_that_the_old_version_can_use(file: Path) -> None:
    ledger = Ledger(file)
    ledger.close()
    copy = file.with_name("ledger.sqlite.v1")
    assert_is_version_1(copy)
    (note,) = ledger.notes
    assert f"from version 1 to {schema.VERSION}" in note
    assert str(copy) in note
    assert sorted(os.listdir(file.parent)) == ["ledger.sqlite", "ledger.sqlite.v1"]
    again = Ledger(file)
    assert again.notes == ()
    again.close()


def test_a_copy_of_an_earlier_attempt_makes_way(file: Path) -> None:
    copy = file.with_name("ledger.sqlite.v1")
    copy.write_bytes(b"half a copy")
    Ledger(file).close()
    assert_is_version_1(copy)


def test_what_was_still_in_the_journal_is_brought_over_too(file: Path) -> None:
    with opened(file) as last:
        last.execute("UPDATE files SET reason = 'the last word' WHERE id = 4")
        assert b"the last word" in Path(f"{file}-wal").read_bytes()
        ledger = Ledger(file)
        assert ledger.row(4).reason == "the last word"
        ledger.close()


def test_an_old_ledger_becomes_like_a_new_one(file: Path) -> None:
    new = file.with_name("new.sqlite")
    Ledger(new).close()
    Ledger(file).close()
    assert tables_of(file) == tables_of(new)
    assert len(tables_of(new)) > 8


def test_names_go_with_the_file_that_owns_them(file: Path) -> None:
    ledger = Ledger(file)
    ledger.purge([], 1e9, 0.0)
    ledger.close()
    files, claims = everything_in(file)
    assert [row[0] for row in files] == [7], "only what may be in hand"
    assert [claim[0] for claim in claims] == [b"/out/sub/\xff\nworking.png"]


def test_a_folder_whose_name_is_not_text_may_hold_the_ledger(file: Path) -> None:
    folder = file.parent / os.fsdecode(b"data \xff")
    folder.mkdir()
    moved = file.rename(folder / "ledger.sqlite")
    ledger = Ledger(moved)
    ledger.close()
    assert sorted(os.listdir(folder)) == ["ledger.sqlite", "ledger.sqlite.v1"]
    (note,) = ledger.notes
    note.encode("utf-8")


@pytest.mark.parametrize("step", ["ALTER TABLE claims", "INSERT INTO claims", "DROP TABLE old_files"])
def test_a_change_that_is_broken_off_leaves_the_old_ledger_whole(
    file: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    steps = schema._STEPS[1]
    assert step in steps
    broken = steps.replace(step, f"SELECT no_such_function(); {step}")
    with monkeypatch.context() as patched:
        patched.setitem(schema._STEPS, 1, broken)
        with pytest.raises(LedgerError, match="no_such_function") as raised:
            Ledger(file)
        assert not isinstance(raised.value, LedgerDamaged)
    assert_is_version_1(file)
    ledger = Ledger(file)
    assert len(ledger.rows()) == len(FILES)
    ledger.close()


def test_without_a_copy_the_old_ledger_stays_as_it_is(file: Path) -> None:
    file.with_name("ledger.sqlite.v1").mkdir()
    with pytest.raises(LedgerError, match="cannot be opened"):
        Ledger(file)
    assert_is_version_1(file)


def test_an_old_ledger_that_is_damaged_is_set_aside(file: Path) -> None:
    with open(file, "r+b") as stream:
        stream.seek(4096)
        stream.write(b"\xa5" * 4096)
    ledger = Ledger(file)
    assert ledger.rows() == []
    assert version_of(file) == schema.VERSION
    assert "damaged" in ledger.notes[0]
    ledger.close()


def test_an_old_ledger_that_holds_what_it_never_could_is_set_aside(file: Path) -> None:
    with opened(file) as db:
        db.execute("PRAGMA ignore_check_constraints = ON")
        db.execute("PRAGMA writable_schema = ON")
        db.execute("UPDATE sqlite_master SET sql = replace(sql, '''failed''', '''failed'', ''odd''')")
        db.execute("PRAGMA writable_schema = RESET")
        db.execute("UPDATE files SET state = 'odd' WHERE id = 4")
    ledger = Ledger(file)
    assert ledger.rows() == []
    assert "damaged" in ledger.notes[-1]
    ledger.close()


def everything_told_by(file: Path) -> list[str]:
    with opened(file) as db:
        return list(db.iterdump())


def test_the_second_version_gets_a_place_for_warnings_and_loses_nothing(second: Path) -> None:
    before = everything_in(second)
    ledger = Ledger(second)
    assert [row.warnings for row in ledger.rows()] == [()] * len(FILES_OF_2)
    assert ledger.rows(warned=True) == []
    assert "warned" not in ledger.counts(Path(os.fsdecode(FOLDER)))
    moved = ledger.row(1)
    assert (moved.original, moved.original_at) == ("moved", Path(os.fsdecode(b"/finished/\xff.jpg")))
    assert ledger.has_met(Path(os.fsdecode(FOLDER)), Path("/out"))
    assert ledger.was_mounted(Path(os.fsdecode(FOLDER)))
    assert ledger.read_note("paused") == "until noon"
    (note,) = ledger.notes
    assert f"from version 2 to {schema.VERSION}" in note
    ledger.close()
    assert version_of(second) == schema.VERSION
    files, claims = everything_in(second)
    assert ([row[:-1] for row in files], claims) == before
    assert {row[-1] for row in files} == {"[]"}


def test_the_second_version_becomes_like_a_new_one(second: Path) -> None:
    new = second.with_name("new.sqlite")
    Ledger(new).close()
    Ledger(second).close()
    assert tables_of(second) == tables_of(new)


def test_the_second_version_is_kept_as_a_copy(second: Path) -> None:
    before = everything_told_by(second)
    Ledger(second).close()
    copy = second.with_name("second.sqlite.v2")
    assert version_of(copy) == 2
    assert everything_told_by(copy) == before


def test_a_change_of_the_second_version_that_is_broken_off_leaves_it_whole(
    second: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = everything_told_by(second)
    with monkeypatch.context() as patched:
        patched.setitem(schema._STEPS, 2, f"{schema._STEPS[2]} SELECT no_such_function();")
        with pytest.raises(LedgerError, match="no_such_function"):
            Ledger(second)
    assert version_of(second) == 2
    assert everything_told_by(second) == before
    ledger = Ledger(second)
    assert len(ledger.rows()) == len(FILES_OF_2)
    ledger.close()


@pytest.mark.parametrize("newer", [schema.VERSION + 1, 2**31 - 1])
def test_a_newer_ledger_is_refused_and_left_as_it_is(file: Path, newer: int) -> None:
    with opened(file) as db:
        db.execute("CREATE TABLE of_tomorrow (a)")
        db.execute(f"PRAGMA user_version = {newer}")
    before = file.read_bytes()
    with pytest.raises(LedgerTooNew, match=f"version {newer}, here {schema.VERSION}") as raised:
        Ledger(file)
    assert raised.value.hint == "update Alphadrop"
    assert file.read_bytes() == before
    assert os.listdir(file.parent) == [file.name]


def test_a_newer_ledger_that_looks_odd_from_here_is_not_taken_for_damaged(file: Path) -> None:
    with opened(file) as db:
        db.execute("PRAGMA writable_schema = ON")
        db.execute("UPDATE sqlite_master SET sql = 'CREATE TABLE files (words of tomorrow,,)' WHERE name = 'files'")
        db.execute(f"PRAGMA user_version = {schema.VERSION + 1}")
    before = file.read_bytes()
    with pytest.raises(LedgerTooNew):
        Ledger(file)
    assert file.read_bytes() == before
