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
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import Any, Literal, get_args

from alphadrop.errors import LedgerDamaged, LedgerError, NoSuchJob, printable
from alphadrop.hotfolder import schema
from alphadrop.hotfolder.stability import Content
from alphadrop.pipeline.order import Kind

__all__ = ["STATES", "Claim", "Ledger", "Original", "Row", "State"]

State = Literal["pending", "working", "done", "failed", "skipped", "missing"]
STATES: tuple[State, ...] = get_args(State)
Original = Literal["", "due", "going", "moved", "deleted", "returning"]
"""What became of the photograph itself: left where it is, to be moved or deleted, on its way, moved, deleted, on its
way back."""

_NAMES_AT_ONCE = 500
"""Question marks in one statement."""
_NEW_UNDER_AN_OLD_NAME = 600.0
"""Seconds that a file must have been gone, for another under its name to be another photograph."""
_DAMAGED_KEPT = 3
_KNOWN = "state != 'missing' AND original NOT IN ('moved', 'deleted')"
"""A row whose photograph, if it has the same content, was not dropped again."""
_WARNED = "warnings != '[]'"
_TO_GO = "original IN ('due', 'going')"
_BY_ORIGINAL = "files INDEXED BY files_by_original"
"""By itself SQLite would look at every row of the folder."""
_TELLING = """
PRAGMA temp_store = MEMORY;
CREATE TEMP TRIGGER tell_new AFTER INSERT ON main.files BEGIN SELECT tell_change(new.id); END;
CREATE TEMP TRIGGER tell_changed AFTER UPDATE ON main.files BEGIN SELECT tell_change(new.id); END;
"""
_NO_SPACE = "is there space left on its disk?"


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
    suspect: bool
    """It was being worked on when the process ended without notice."""
    crashes: int
    """How often it ended a process that worked on nothing else."""
    settings: str
    """Fingerprint of the settings it was done with."""
    model: str
    seconds: Mapping[str, float]
    """Wall time of each stage."""
    warnings: tuple[str, ...]
    """What to know of the outputs before they are used, in words."""
    noted_at: float
    """Wall clock, seconds since the epoch; as are `started_at` and `finished_at`."""
    started_at: float | None
    finished_at: float | None
    original: Original
    original_at: Path | None
    """Where the photograph was moved to."""

    @property
    def file(self) -> Path:
        """The photograph's whole path."""
        return self.folder / self.path


@dataclass(frozen=True, slots=True)
class Claim:
    """An output's name and whose it is."""

    target: Path
    file: int
    ours: tuple[Content, ...]
    """What the output is like where only we touched it: as last written, or as by a write that a crash broke off."""


class Ledger:
    """The database; safe to use from several threads.

    Every method raises LedgerError where the database cannot be used at the moment, LedgerDamaged where it is none.
    """

    def __init__(self, file: Path) -> None:
        """Open or make the database; a damaged one is set aside, and an empty one takes its place.

        Raises:
            LedgerError: it is of a newer version, or cannot be made.
        """
        self._lock = threading.RLock()
        self._file = file
        self._interrupted: set[int] = set()
        self.on_change: Callable[[int], None] = lambda _: None
        """Told the number of every row that changes, while it does: it must be quick and ask nothing."""
        self.notes: tuple[str, ...] = ()
        """What had to be done to open it, in words."""
        try:
            self._db = self._open()
        except LedgerDamaged as error:
            self._set_aside(error)
            self._db = self._open()

    def close(self) -> None:
        """Close the database; what was told to it is on the disk."""
        with self._using():
            self._db.close()

    def mend(self) -> bool:
        """After an error: open the database anew if it needs it, an empty one where it is damaged or removed.

        Returns:
            Whether it was opened anew; the last of `notes` then says why.

        Raises:
            LedgerError: it cannot be used now, and may be later.
        """
        with self._lock:
            damage = ""
            try:
                # A damaged index makes errors too, and the quick check does not look for that.
                (found,) = self._db.execute("PRAGMA integrity_check(1)").fetchone()
                if found == "ok" and os.path.exists(self._file):
                    return False
                damage = "" if found == "ok" else found
            except (sqlite3.Error, UnicodeDecodeError) as error:
                # Else closed, by an attempt that failed, or its disk is or was away: opening shows.
                damage = str(error) if schema.tells_of_damage(error) else ""
            with contextlib.suppress(sqlite3.Error):
                self._db.close()
            noted, removed = len(self.notes), not os.path.exists(self._file)
            if damage and not removed:
                self._set_aside(schema.damaged(self._file, damage))
            try:
                self._db = self._open()
            except LedgerDamaged as error:
                self._set_aside(error)
                self._db = self._open()
            if len(self.notes) == noted:
                self._add_note(
                    f"{printable(self._file)}: "
                    + ("had been removed, and is begun anew from the outputs" if removed else "was opened again")
                )
            return True

    def recover(self) -> list[Row]:
        """Put back what the last process left unfinished, as suspect; return its rows.

        Times to wait are of the last process's clock, and begin anew.
        """
        with self._changing():
            rows = self._db.execute("SELECT id FROM files WHERE original IN ('going', 'returning')").fetchall()
            self._interrupted = {number for (number,) in rows}
            self._db.execute("UPDATE files SET not_before = 0 WHERE not_before > 0")
            return self._rows("UPDATE files SET state = 'pending', suspect = 1 WHERE state = 'working' RETURNING *")

    def put_back(self, in_hand: Collection[int]) -> None:
        """Put back what is recorded as being worked on, and is not: its end could not be recorded."""
        self._change(
            f"UPDATE files SET state = 'pending' WHERE state = 'working' AND id NOT IN ({_marks(in_hand)})",
            tuple(in_hand),
        )

    # Files that are there -------------------------------------------------------------------------------------------

    def unknown(self, folder: Path, found: Sequence[tuple[PurePath, Content]]) -> list[PurePath]:
        """Return those of the files found whose content the ledger has not noted.

        One that it had missed, or whose photograph it has moved or deleted, was dropped again.
        """
        known: dict[bytes, Content] = {}
        for start in range(0, len(found), _NAMES_AT_ONCE):
            names = [os.fsencode(path) for path, _ in found[start : start + _NAMES_AT_ONCE]]
            rows = self._fetch(
                f"SELECT path, size, mtime_ns FROM files WHERE folder = ? AND path IN ({_marks(names)}) AND {_KNOWN}",
                (os.fsencode(folder), *names),
            )
            known |= {path: Content(size, int(mtime_ns)) for path, size, mtime_ns in rows}
        return [path for path, content in found if known.get(os.fsencode(path)) != content]

    def knows(self, folder: Path, path: PurePath, content: Content) -> bool:
        """Return whether this content of this file has been noted, and not missed since."""
        return not self.unknown(folder, [(path, content)])

    def note(self, folder: Path, settled: Iterable[tuple[PurePath, Content]], now: float) -> None:
        """Note settled files as work to do; a known one with a new content is work again.

        What another thread has noted meanwhile with this content stays as it is: its work may be done already.
        Where the photograph of that name is going, or was moved, deleted, or gone for a while, the new one is another:
        its outputs get names of their own.
        """
        key = os.fsencode(folder)
        with self._changing():
            for path, content in settled:
                name, modified = os.fsencode(path), _stored(content.mtime_ns)
                self._db.execute(
                    "DELETE FROM claims WHERE file IN (SELECT id FROM files WHERE folder = ? AND path = ? "
                    "AND (size, mtime_ns) != (?, ?) "
                    "AND (original IN ('going', 'moved', 'deleted') OR gone_since <= ?))",
                    (key, name, content.size, modified, now - _NEW_UNDER_AN_OLD_NAME),
                )
                self._db.execute(
                    """INSERT INTO files (folder, path, size, mtime_ns, state, noted_at)
                       VALUES (?, ?, ?, ?, 'pending', ?)
                       ON CONFLICT (folder, path) DO UPDATE SET size = excluded.size, mtime_ns = excluded.mtime_ns,
                       state = 'pending', outcome = '', reason = '', attempts = 0, suspect = 0, crashes = 0,
                       not_before = 0, warnings = '[]', noted_at = excluded.noted_at, started_at = NULL,
                       finished_at = NULL, original = '', original_at = NULL, gone_since = NULL
                       WHERE (size, mtime_ns) != (excluded.size, excluded.mtime_ns) OR NOT ("""
                    f"{_KNOWN})",
                    (key, name, content.size, modified, now),
                )

    def gone(self, folder: Path, path: PurePath, now: float) -> None:
        """Record that a file is no longer there."""
        self._change(
            "UPDATE files SET gone_since = ? WHERE folder = ? AND path = ? AND gone_since IS NULL",
            (now, os.fsencode(folder), os.fsencode(path)),
        )

    def look_after(self, folder: Path, after: int, count: int) -> list[tuple[int, PurePath, Content, bool]]:
        """Return some rows of a folder, by number from after one on: number, path, content, whether it was there."""
        rows = self._fetch(
            "SELECT id, path, size, mtime_ns, gone_since IS NULL FROM files WHERE folder = ? AND id > ? "
            "ORDER BY id LIMIT ?",
            (os.fsencode(folder), after, count),
        )
        return [
            (number, PurePath(os.fsdecode(path)), Content(size, int(mtime_ns)), bool(there))
            for number, path, size, mtime_ns, there in rows
        ]

    def looked_after(self, gone: Collection[int], there: Collection[int], now: float) -> None:
        """Record which rows' files have gone and which have come back."""
        with self._changing():
            self._db.execute(f"UPDATE files SET gone_since = ? WHERE id IN ({_marks(gone)})", (now, *gone))
            self._db.execute(f"UPDATE files SET gone_since = NULL WHERE id IN ({_marks(there)})", tuple(there))

    def purge(self, folders: Iterable[Path], before: float, now: float) -> int:
        """Forget the files that have been gone, or whose folder has not been watched, since a time; return how many.

        Args:
            folders: those that are watched.
            before: that time, wall clock.
            now: wall clock; the watched folders are known to have been watched until then.
        """
        keys = _keys(folders)
        watched = f"folder IN ({_marks(keys)})"
        watched_at = "(SELECT nullif(watched_at, 0) FROM folders WHERE folders.folder = files.folder)"
        last_watched = f"coalesce({watched_at}, finished_at, noted_at)"
        with self._changing():
            self._db.execute(f"UPDATE folders SET watched_at = ? WHERE {watched}", (now, *keys))
            forgotten = self._db.execute(
                f"""DELETE FROM files WHERE
                    (gone_since < ? AND state NOT IN ('pending', 'working') AND NOT {_TO_GO})
                    OR ({last_watched} < ? AND state != 'working' AND NOT {watched})""",
                (before, before, *keys),
            ).rowcount
            # Should such a folder be watched again, what was forgotten is learnt from its outputs.
            self._db.execute(
                f"DELETE FROM folders WHERE NOT {watched} AND folder NOT IN (SELECT folder FROM files)", tuple(keys)
            )
        return forgotten

    # Work -----------------------------------------------------------------------------------------------------------

    def take(self, folder: Path, clock: float, now: float, in_hand: Collection[int] = ()) -> Row | None:
        """Return the oldest row of a folder that is due, marked `working`; None where nothing is.

        Args:
            folder: whose rows.
            clock: monotonic seconds, the clock of `postpone`.
            now: wall clock, seconds since the epoch.
            in_hand: numbers of rows that are being done, though a new content of them may have been noted since.
        """
        rows = self._rows(
            f"""UPDATE files SET state = 'working', attempts = attempts + 1, started_at = ? WHERE id = (
                  SELECT id FROM files WHERE folder = ? AND state = 'pending' AND not_before <= ?
                  AND id NOT IN ({_marks(in_hand)}) ORDER BY not_before, id LIMIT 1) RETURNING *""",
            (now, os.fsencode(folder), clock, *in_hand),
        )
        return rows[0] if rows else None

    def next_due(self, folders: Iterable[Path], in_hand: Collection[int] = ()) -> float | None:
        """Return when work in one of the folders is due first, by the clock of `postpone`; None for never.

        Args:
            folders: whose rows.
            in_hand: numbers of rows that `take` would not give.
        """
        # One folder after the other: so the first of each is found without looking at all that wait.
        first = (
            f"SELECT not_before FROM files WHERE folder = ? AND state = 'pending' AND id NOT IN ({_marks(in_hand)}) "
        )
        found = [self._fetch(f"{first} ORDER BY not_before LIMIT 1", (key, *in_hand)) for key in _keys(folders)]
        return min((float(due) for rows in found for (due,) in rows), default=None)

    def next_original_due(self, folders: Iterable[Path]) -> float | None:
        """Return when a photograph in one of the folders is to be moved or deleted first; as `next_due`."""
        keys = _keys(folders)
        rows = self._fetch(
            f"SELECT not_before FROM {_BY_ORIGINAL} WHERE {_TO_GO} AND folder IN ({_marks(keys)}) "
            "ORDER BY not_before LIMIT 1",
            keys,
        )
        return float(rows[0][0]) if rows else None

    def finish(
        self,
        row: Row,
        state: State,
        outcome: str,
        *,
        now: float,
        settings: str,
        model: str = "",
        seconds: Mapping[str, float] | None = None,
        reason: str = "",
        warnings: Sequence[str] = (),
        original_due: float | None = None,
    ) -> None:
        """Record that a file is done: cut out, without a subject, or skipped.

        Nothing is recorded where a new content was noted meanwhile: that is still to be done; as for `fail`.

        Args:
            row: as it was taken.
            state: `done` or `skipped`.
            outcome: for programs.
            now: wall clock.
            settings: the fingerprint of those it was done with.
            model: that was used.
            seconds: wall time of each stage.
            reason: for people.
            warnings: for people, of what was written.
            original_due: when the photograph is to be moved or deleted, by the clock of `postpone`; None for never.
        """
        self._end(
            row,
            """UPDATE files SET state = ?, outcome = ?, reason = ?, settings = ?, model = ?, seconds = ?, warnings = ?,
               suspect = 0, crashes = 0, finished_at = ?, original = ?, not_before = ?
               WHERE id = ? AND state = 'working'""",
            (
                state,
                outcome,
                printable(reason),
                settings,
                model,
                json.dumps(seconds or {}),
                json.dumps([printable(warning) for warning in warnings]),
                now,
                "" if original_due is None else "due",
                original_due or 0.0,
                row.id,
            ),
        )

    def fail(self, row: Row, code: str, reason: str, *, now: float, original_due: float | None = None) -> None:
        """Record that a file cannot be cut out, until it changes or is retried; arguments as for `finish`."""
        self._end(
            row,
            """UPDATE files SET state = 'failed', outcome = ?, reason = ?, finished_at = ?, original = ?, not_before = ?
               WHERE id = ? AND state = 'working'""",
            (code, printable(reason), now, "" if original_due is None else "due", original_due or 0.0, row.id),
        )

    def postpone(self, row: Row, code: str, reason: str, *, until: float) -> None:
        """Put a row back, to be tried again when the monotonic clock says `until`."""
        self._change(
            "UPDATE files SET state = 'pending', outcome = ?, reason = ?, not_before = ? WHERE id = ? "
            "AND state = 'working'",
            (code, printable(reason), until, row.id),
        )

    def change(self, row: Row, content: Content) -> None:
        """Record that a file in hand has another content than when it was taken, to be done from the beginning."""
        self._change(
            "UPDATE files SET size = ?, mtime_ns = ?, attempts = 0, suspect = 0, crashes = 0 "
            "WHERE id = ? AND state = 'working'",
            (content.size, _stored(content.mtime_ns), row.id),
        )

    def hand_back(self, row: Row) -> None:
        """Put a row back as if it had not been taken: nothing was wrong with it."""
        self._change(
            "UPDATE files SET state = 'pending', attempts = max(attempts - 1, 0) WHERE id = ? AND state = 'working'",
            (row.id,),
        )

    def crashed(self, row: Row) -> int:
        """Count that a row ended a process that worked on nothing else; return how often it has.

        That is never where a new content was noted meanwhile.
        """
        with self._changing():
            counted = self._db.execute(
                "UPDATE files SET crashes = crashes + 1 WHERE id = ? AND state = 'working' RETURNING crashes", (row.id,)
            ).fetchall()
        return int(counted[0][0]) if counted else 0

    def miss(self, row: Row, now: float) -> None:
        """Record that a file was gone before it was done; should it come back, it is done after all."""
        self._change(
            "UPDATE files SET state = 'missing', reason = '', outcome = '', gone_since = coalesce(gone_since, ?) "
            "WHERE id = ? AND state = 'working'",
            (now, row.id),
        )

    # Originals ------------------------------------------------------------------------------------------------------

    def take_original(self, folders: Iterable[Path], clock: float) -> Row | None:
        """Return a row whose photograph is now to be moved or deleted."""
        keys = _keys(folders)
        rows = self._rows(
            f"SELECT * FROM {_BY_ORIGINAL} WHERE {_TO_GO} AND not_before <= ? AND folder IN ({_marks(keys)}) "
            "ORDER BY not_before LIMIT 1",
            (clock, *keys),
        )
        return rows[0] if rows else None

    def postpone_original(self, row: Row, until: float) -> None:
        """Look at a row's photograph later."""
        self._change(f"UPDATE files SET not_before = ? WHERE id = ? AND {_TO_GO}", (until, row.id))

    def let_original_go(self, row: Row) -> bool:
        """Record that a row's photograph gives up its name: another one under it is another photograph.

        Returns:
            Whether it is still to go; the row may have been made work again.
        """
        content = row.content.size, _stored(row.content.mtime_ns)
        return bool(
            self._change(
                f"UPDATE files SET original = 'going' WHERE id = ? AND {_TO_GO} AND (size, mtime_ns) = (?, ?)",
                (row.id, *content),
            )
        )

    def keep_original(self, row: Row) -> None:
        """Record that a row's photograph has its name again."""
        self._change("UPDATE files SET original = 'due' WHERE id = ? AND original = 'going'", (row.id,))

    def aim_original(self, row: Row, at: Path) -> None:
        """Record where a photograph is about to be moved to."""
        self._change(f"UPDATE files SET original_at = ? WHERE id = ? AND {_TO_GO}", (os.fsencode(at), row.id))

    def expect_original(self, row: Row, content: Content) -> None:
        """Record that a photograph is about to be moved back, and what it is like: it was not dropped again."""
        self._change(
            "UPDATE files SET original = 'returning', size = ?, mtime_ns = ?, gone_since = NULL WHERE id = ? "
            "AND original IN ('moved', 'returning')",
            (content.size, _stored(content.mtime_ns), row.id),
        )

    def interrupted(self, folder: Path) -> list[Row]:
        """Return the rows of a folder whose photograph was on its way out or back when the last process ended; once."""
        with self._using():
            on_their_way = self._rows(
                "SELECT * FROM files WHERE folder = ? AND original IN ('going', 'returning')", (os.fsencode(folder),)
            )
            found = [row for row in on_their_way if row.id in self._interrupted]
            self._interrupted -= {row.id for row in found}
        return found

    def to_go(self) -> list[Row]:
        """Return every row whose photograph is to be moved or deleted, or on its way."""
        return self._rows(f"SELECT * FROM {_BY_ORIGINAL} WHERE {_TO_GO}")

    def settle_original(self, row: Row, original: Original, at: Path | None = None) -> None:
        """Record what became of a photograph; where it was moved to."""
        modified = _stored(row.content.mtime_ns)
        self._change(
            "UPDATE files SET original = ?, original_at = ?, not_before = 0 WHERE id = ? AND (size, mtime_ns) = (?, ?)",
            (original, None if at is None else os.fsencode(at), row.id, row.content.size, modified),
        )

    @contextlib.contextmanager
    def durably(self) -> Iterator[None]:
        """Have what is recorded within on the disk before it ends: for what cannot be found out again."""
        with self._using():
            self._db.execute("PRAGMA synchronous = FULL")
            try:
                yield
            finally:
                self._db.execute("PRAGMA synchronous = NORMAL")

    # Asked for by people --------------------------------------------------------------------------------------------

    def row(self, number: int) -> Row:
        """Return a row by its number.

        Raises:
            NoSuchJob: there is none.
        """
        rows = self._rows("SELECT * FROM files WHERE id = ?", (number,))
        if not rows:
            raise NoSuchJob(f"{number}: no file has this number", "see the numbers with: alphadrop jobs")
        return rows[0]

    def has(self, row: Row) -> bool:
        """Return whether a row is still that of its file: in a ledger begun anew its number may be another's."""
        found = self._fetch("SELECT folder, path FROM files WHERE id = ?", (row.id,))
        return found == [(os.fsencode(row.folder), os.fsencode(row.path))]

    def numbers(self, *, state: State | None = None, original: Original | None = None) -> list[int]:
        """Return the numbers of all rows in a state, however many, those that changed last first."""
        rows = self._fetch(
            "SELECT id FROM files WHERE (? IS NULL OR state = ?) AND (? IS NULL OR original = ?) "
            "ORDER BY coalesce(finished_at, noted_at) DESC, id DESC",
            (state, state, original, original),
        )
        return [number for (number,) in rows]

    def rows(
        self,
        *,
        state: State | None = None,
        original: Original | None = None,
        warned: bool = False,
        limit: int = 100,
    ) -> list[Row]:
        """Return the rows that changed last, newest first; of some, only those in a state, or that have warnings."""
        return self._rows(
            f"SELECT * FROM files WHERE (? IS NULL OR state = ?) AND (? IS NULL OR original = ?) "
            f"{f'AND {_WARNED} ' if warned else ''}ORDER BY coalesce(finished_at, noted_at) DESC, id DESC LIMIT ?",
            (state, state, original, original, limit),
        )

    def outputs(self, row: Row) -> list[Path]:
        """Return the outputs that were written for a row."""
        rows = self._fetch("SELECT target FROM claims WHERE file = ? AND size IS NOT NULL ORDER BY kind", (row.id,))
        return [Path(os.fsdecode(target)) for (target,) in rows]

    def changed(self, fingerprints: Mapping[Path, str]) -> list[int]:
        """Return the numbers of the rows that were done with other settings than their folder's now, and are there."""
        found: list[int] = []
        for folder, fingerprint in fingerprints.items():
            rows = self._fetch(
                "SELECT id FROM files WHERE folder = ? AND state IN ('done', 'skipped') AND settings != ? "
                "AND gone_since IS NULL AND original IN ('', 'due', 'going')",
                (os.fsencode(folder), fingerprint),
            )
            found += [number for (number,) in rows]
        return found

    def let_go(self) -> None:
        """Make everything due at once that waits for another attempt."""
        self._change("UPDATE files SET not_before = 0 WHERE state = 'pending' AND not_before > 0")

    def retry(self, row: Row) -> None:
        """Make a row work to do, as if it had just been noted."""
        self._change(
            """UPDATE files SET state = 'pending', outcome = '', reason = '', attempts = 0, suspect = 0, crashes = 0,
               not_before = 0, warnings = '[]', started_at = NULL, finished_at = NULL, original = '',
               original_at = NULL, gone_since = NULL WHERE id = ? AND state NOT IN ('pending', 'working')""",
            (row.id,),
        )

    def counts(self, folder: Path) -> dict[str, int]:
        """Return how many rows of a folder are in each state, and how many are `warned`, that have warnings.

        `done` is without those that had no subject.
        """
        rows = self._fetch(
            """SELECT CASE WHEN state = 'done' THEN outcome ELSE state END AS kind, count(*)
               FROM files WHERE folder = :folder GROUP BY kind
               UNION ALL SELECT 'warned', count(*) FROM files WHERE folder = :folder AND """
            f"{_WARNED} GROUP BY folder",
            {"folder": os.fsencode(folder)},
        )
        return {str(kind): int(count) for kind, count in rows}

    # Names of outputs -----------------------------------------------------------------------------------------------

    def claim_of(self, target: Path) -> Claim | None:
        """Return who owns an output's name."""
        return self._claim("target = ?", os.fsencode(target))

    def claim_by(self, file: int, kind: Kind) -> Claim | None:
        """Return the output's name that a row owns."""
        return self._claim("file = ? AND kind = ?", file, kind)

    def claim(self, target: Path, file: int, kind: Kind, content: Content | None = None) -> None:
        """Give an output's name to a row, in place of the one it had; with what is there, where that is ours."""
        pair = (None, None) if content is None else (content.size, _stored(content.mtime_ns))
        self._change(
            "INSERT OR REPLACE INTO claims (target, file, kind, size, mtime_ns) VALUES (?, ?, ?, ?, ?)",
            (os.fsencode(target), file, kind, *pair),
        )

    def writing(self, target: Path, content: Content) -> None:
        """Record what an output will be like, just before it gets its name."""
        self._change(
            "UPDATE claims SET next_size = ?, next_mtime_ns = ? WHERE target = ?",
            (content.size, _stored(content.mtime_ns), os.fsencode(target)),
        )

    def wrote(self, target: Path) -> None:
        """Record that an output has got its name."""
        self._change(
            "UPDATE claims SET size = next_size, mtime_ns = next_mtime_ns, next_size = NULL, next_mtime_ns = NULL "
            "WHERE target = ?",
            (os.fsencode(target),),
        )

    def unfinished(self, folder: Path) -> list[Path]:
        """Return where a crash may have broken off a write: outputs of files not done, originals on their way."""
        key = os.fsencode(folder)
        rows = self._fetch(
            f"""SELECT target FROM claims JOIN files ON files.id = claims.file
               WHERE folder = ? AND state IN ('pending', 'working')
               UNION SELECT original_at FROM files WHERE folder = ? AND {_TO_GO} AND original_at IS NOT NULL""",
            (key, key),
        )
        return [Path(os.fsdecode(target)) for (target,) in rows]

    # Folders and the rest -------------------------------------------------------------------------------------------

    def has_met(self, folder: Path, output: Path) -> bool:
        """Return whether this folder with this output has been seen before."""
        rows = self._fetch("SELECT output FROM folders WHERE folder = ?", (os.fsencode(folder),))
        return rows == [(os.fsencode(output),)]

    def meet(self, folder: Path, output: Path) -> None:
        """Record that a folder has been seen with this output."""
        self._change(
            "INSERT INTO folders (folder, output) VALUES (?, ?) "
            "ON CONFLICT (folder) DO UPDATE SET output = excluded.output",
            (os.fsencode(folder), os.fsencode(output)),
        )

    def was_mounted(self, folder: Path) -> bool:
        """Return whether a folder was the root of a mounted disk when it was last seen."""
        return bool(self._fetch("SELECT 1 FROM mounts WHERE folder = ?", (os.fsencode(folder),)))

    def see_mounted(self, folder: Path, mounted: bool) -> None:
        """Record whether a folder is the root of a mounted disk."""
        statement = "INSERT OR IGNORE INTO mounts VALUES (?)" if mounted else "DELETE FROM mounts WHERE folder = ?"
        self._change(statement, (os.fsencode(folder),))

    def adopt(self, folder: Path, path: PurePath, content: Content, settings: str, made: float, *, there: bool) -> int:
        """Record a file as done whose outputs were found, or that it was done later than known; return its number.

        Args:
            folder: the file's.
            path: below it.
            content: that the outputs were made from.
            settings: the fingerprint of those they were made with.
            made: when, by the wall clock.
            there: whether the file is still there.
        """
        with self._changing():
            self._db.execute(
                """INSERT INTO files (folder, path, size, mtime_ns, state, outcome, settings, noted_at, finished_at,
                   gone_since) VALUES (?, ?, ?, ?, 'done', 'done', ?, ?, ?, ?)
                   ON CONFLICT (folder, path) DO UPDATE SET size = excluded.size, mtime_ns = excluded.mtime_ns,
                   settings = excluded.settings, warnings = '[]', noted_at = excluded.noted_at,
                   finished_at = excluded.finished_at
                   WHERE state = 'done' AND outcome = 'done' AND original = ''
                   AND finished_at < excluded.finished_at""",
                (
                    os.fsencode(folder),
                    os.fsencode(path),
                    content.size,
                    _stored(content.mtime_ns),
                    settings,
                    made,
                    made,
                    None if there else 0.0,
                ),
            )
            ((number,),) = self._db.execute(
                "SELECT id FROM files WHERE folder = ? AND path = ?", (os.fsencode(folder), os.fsencode(path))
            ).fetchall()
        return int(number)

    def read_note(self, key: str) -> str:
        """Return what was kept under a key; nothing where nothing was."""
        rows = self._fetch("SELECT value FROM notes WHERE key = ?", (key,))
        return str(rows[0][0]) if rows else ""

    def keep_note(self, key: str, value: str) -> None:
        """Keep a value under a key, over restarts."""
        with self.durably():
            self._change("INSERT OR REPLACE INTO notes (key, value) VALUES (?, ?)", (key, value))

    # Underneath -----------------------------------------------------------------------------------------------------

    def _open(self) -> sqlite3.Connection:
        try:
            self._file.parent.mkdir(parents=True, exist_ok=True)
            db = sqlite3.connect(self._file, check_same_thread=False, isolation_level=None, timeout=10)
            try:
                if done := schema.prepare(db, self._file):
                    self._add_note(done)
                db.create_function("tell_change", 1, self._tell_change)
                db.executescript(_TELLING)
            except BaseException:
                db.close()
                raise
        except (sqlite3.Error, OSError) as error:
            raise LedgerError(
                f"{printable(self._file)}: the ledger cannot be opened: {error}",
                "is its folder yours, and is there space left on its disk?",
            ) from error
        return db

    def _set_aside(self, error: LedgerDamaged) -> None:
        kept = self._file.with_name(f"{self._file.name}.damaged-{time.strftime('%Y%m%d-%H%M%S')}")
        try:
            os.replace(self._file, kept)
            for ending in ("-wal", "-shm"):
                with contextlib.suppress(FileNotFoundError):
                    os.replace(f"{self._file}{ending}", f"{kept}{ending}")
            older = sorted(self._file.parent.glob(f"{self._file.name}.damaged-????????-??????"))[:-_DAMAGED_KEPT]
            for old in older:
                for ending in ("", "-wal", "-shm"):
                    old.with_name(f"{old.name}{ending}").unlink(missing_ok=True)
        except OSError as refused:
            raise LedgerError(
                f"{error.message}; it cannot be set aside: {refused}", f"move {printable(self._file)} away"
            ) from refused
        self._add_note(f"{error.message}; kept as {printable(kept)}, and begun anew from the outputs")

    def _tell_change(self, number: int) -> None:
        with contextlib.suppress(Exception):  # whoever listens, nothing recorded is undone by it
            self.on_change(number)

    def _add_note(self, note: str) -> None:
        self.notes = (*(each for each in self.notes if each != note), note)

    @contextlib.contextmanager
    def _using(self) -> Iterator[None]:
        """Have the database for oneself; its errors become ours."""
        with self._lock:
            try:
                yield
            except sqlite3.Error as error:
                if schema.tells_of_damage(error):
                    raise schema.damaged(self._file, str(error)) from error
                raise LedgerError(f"the ledger cannot be used: {error}", _NO_SPACE) from error

    @contextlib.contextmanager
    def _changing(self) -> Iterator[None]:
        """Change several things or none."""
        with self._using():
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield
                self._db.execute("COMMIT")
            except BaseException:
                with contextlib.suppress(sqlite3.Error):
                    self._db.execute("ROLLBACK")
                raise

    def _end(self, row: Row, statement: str, values: tuple[object, ...]) -> None:
        """Record the end of a row, and give up the names that nothing was written under."""
        with self._changing():
            if self._db.execute(statement, values).rowcount:
                self._db.execute("DELETE FROM claims WHERE file = ? AND size IS NULL AND next_size IS NULL", (row.id,))

    def _change(self, statement: str, values: tuple[object, ...] = ()) -> int:
        with self._using():
            return self._db.execute(statement, values).rowcount

    def _fetch(self, statement: str, values: Sequence[object] | Mapping[str, object] = ()) -> list[Any]:
        with self._using():
            return self._db.execute(statement, values).fetchall()

    def _rows(self, statement: str, values: tuple[object, ...] = ()) -> list[Row]:
        with self._using():
            cursor = self._db.execute(statement, values)
            names = [column[0] for column in cursor.description]
            return [_row(dict(zip(names, each, strict=True))) for each in cursor.fetchall()]

    def _claim(self, where: str, *values: object) -> Claim | None:
        rows = self._fetch(
            f"SELECT target, file, size, mtime_ns, next_size, next_mtime_ns FROM claims WHERE {where}", values
        )
        if not rows:
            return None
        target, file, *pairs = rows[0]
        ours = [Content(size, int(time)) for size, time in (pairs[:2], pairs[2:]) if None not in (size, time)]
        return Claim(Path(os.fsdecode(target)), file, tuple(ours))


def _keys(folders: Iterable[Path]) -> list[bytes]:
    return [os.fsencode(folder) for folder in folders]


def _marks(values: Collection[object]) -> str:
    return ", ".join("?" for _ in values)


def _stored(mtime_ns: int) -> int | bytes:
    """Return a time of change as a column can hold it: some file systems have times beyond 64 bits of nanoseconds."""
    return mtime_ns if -(2**63) <= mtime_ns < 2**63 else str(mtime_ns).encode("ascii")


def _row(found: Mapping[str, Any]) -> Row:
    return Row(
        id=found["id"],
        folder=Path(os.fsdecode(found["folder"])),
        path=PurePath(os.fsdecode(found["path"])),
        content=Content(found["size"], int(found["mtime_ns"])),
        state=found["state"],
        outcome=found["outcome"],
        reason=found["reason"],
        attempts=found["attempts"],
        suspect=bool(found["suspect"]),
        crashes=found["crashes"],
        settings=found["settings"],
        model=found["model"],
        seconds=json.loads(found["seconds"]),
        warnings=tuple(json.loads(found["warnings"])),
        noted_at=found["noted_at"],
        started_at=found["started_at"],
        finished_at=found["finished_at"],
        original=found["original"],
        original_at=None if found["original_at"] is None else Path(os.fsdecode(found["original_at"])),
    )
