"""The ledger: what it is told it keeps, whoever tells it, and what was unfinished it gives out again."""

from __future__ import annotations

import os
import sqlite3
import threading
from collections.abc import Iterator
from pathlib import Path, PurePath

import pytest

from alphadrop.errors import LedgerError
from alphadrop.hotfolder import ledger as module
from alphadrop.hotfolder.ledger import Ledger, Row
from alphadrop.hotfolder.stability import Content

FOLDER, OTHER = Path("/in"), Path("/other")
X, Y = PurePath("x.jpg"), PurePath("y.jpg")
OLD, NEW = Content(10, 1), Content(20, 2)


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    ledger = Ledger(tmp_path / "data" / "ledger.sqlite")
    yield ledger
    ledger.close()


def taken(ledger: Ledger, now: float = 100.0, folder: Path = FOLDER) -> Row:
    row = ledger.take([folder], now)
    assert row is not None
    return row


def test_a_noted_file_is_taken_once(ledger: Ledger) -> None:
    ledger.note(FOLDER, X, OLD, 50.0)
    row = taken(ledger)
    assert (row.folder, row.path, row.content, row.state, row.attempts) == (FOLDER, X, OLD, "working", 1)
    assert ledger.take([FOLDER], 100.0) is None


def test_the_oldest_is_taken_first_and_only_of_the_folders_asked_for(ledger: Ledger) -> None:
    ledger.note(OTHER, X, OLD, 1.0)
    ledger.note(FOLDER, Y, OLD, 2.0)
    ledger.note(FOLDER, X, OLD, 3.0)
    assert [taken(ledger).path, taken(ledger).path] == [Y, X]
    assert ledger.take([FOLDER], 100.0) is None
    assert ledger.take([], 100.0) is None
    assert ledger.next_due([]) is None


def test_a_finished_file_is_not_taken_again(ledger: Ledger) -> None:
    ledger.note(FOLDER, X, OLD, 50.0)
    ledger.finish(taken(ledger), "done", now=101.0, settings="abc", model="m", seconds={"decode": 0.5})
    assert ledger.take([FOLDER], 1000.0) is None
    (row,) = ledger.rows(state="done")
    assert (row.outcome, row.finished_at) == ("done", 101.0)


def test_a_failed_file_rests_until_it_changes(ledger: Ledger) -> None:
    ledger.note(FOLDER, X, OLD, 50.0)
    ledger.fail(taken(ledger), "damaged", "cut off", now=101.0)
    assert ledger.take([FOLDER], 1e9) is None
    assert ledger.next_due([FOLDER]) is None
    (row,) = ledger.rows(state="failed")
    assert (row.outcome, row.reason) == ("damaged", "cut off")
    assert ledger.knows(FOLDER, X, OLD)
    assert not ledger.knows(FOLDER, X, NEW)
    ledger.note(FOLDER, X, NEW, 200.0)
    again = taken(ledger)
    assert (again.id, again.content, again.attempts, again.outcome) == (row.id, NEW, 1, "")


def test_a_postponed_file_is_due_at_its_time(ledger: Ledger) -> None:
    ledger.note(FOLDER, X, OLD, 50.0)
    ledger.postpone(taken(ledger), "disk_full", "no space", until=160.0)
    assert ledger.next_due([FOLDER]) == 160.0
    assert ledger.take([FOLDER], 159.9) is None
    assert taken(ledger, 160.0).attempts == 2


def test_unknown_are_the_files_that_are_new_or_changed(ledger: Ledger) -> None:
    ledger.note(FOLDER, X, OLD, 50.0)
    assert ledger.unknown(FOLDER, [(X, OLD), (Y, OLD)]) == [Y]
    assert ledger.unknown(FOLDER, [(X, NEW)]) == [X]
    assert ledger.unknown(OTHER, [(X, OLD)]) == [X]


def test_what_a_crash_left_unfinished_is_given_out_again(ledger: Ledger) -> None:
    for path in (X, Y):
        ledger.note(FOLDER, path, OLD, 50.0)
    ledger.finish(taken(ledger), "done", now=101.0, settings="")
    taken(ledger)
    assert ledger.recover() == 1
    assert taken(ledger, 0.0).path == Y
    assert ledger.recover() == 1


def test_a_new_content_noted_during_the_work_is_not_lost_when_the_work_ends(ledger: Ledger) -> None:
    for end in ("finish", "fail"):
        ledger.note(FOLDER, X, OLD, 50.0)
        row = taken(ledger)
        ledger.note(FOLDER, X, NEW, 60.0)
        if end == "finish":
            ledger.finish(row, "done", now=101.0, settings="")
        else:
            ledger.fail(row, "damaged", "cut off", now=101.0)
        again = taken(ledger)
        assert (again.content, again.outcome) == (NEW, "")


def test_a_forgotten_file_is_unknown_and_its_names_are_free(ledger: Ledger) -> None:
    ledger.note(FOLDER, X, OLD, 50.0)
    row = taken(ledger)
    ledger.claim(Path("/out/x.png"), row.id, "cutout")
    ledger.forget(row)
    assert not ledger.knows(FOLDER, X, OLD)
    assert ledger.claim_of(Path("/out/x.png")) is None


def test_a_claim_is_kept_over_a_restart_and_through_new_contents(tmp_path: Path) -> None:
    target = Path(os.fsdecode(b"/out/\xff.png"))
    first = Ledger(tmp_path / "ledger.sqlite")
    first.note(FOLDER, X, OLD, 50.0)
    row = taken(first)
    first.claim(target, row.id, "cutout")
    first.note(FOLDER, X, NEW, 60.0)
    first.close()
    second = Ledger(tmp_path / "ledger.sqlite")
    claim = second.claim_by(row.id, "cutout")
    assert claim is not None
    assert claim == second.claim_of(target)
    assert (claim.target, claim.file) == (target, row.id)
    assert second.claim_by(row.id, "mask") is None
    second.close()


def test_a_file_owns_one_name_of_a_kind_and_a_new_one_frees_the_old(ledger: Ledger) -> None:
    ledger.note(FOLDER, X, OLD, 50.0)
    row = taken(ledger)
    for name in ("a.png", "b.png"):
        ledger.claim(Path("/out", name), row.id, "cutout")
    ledger.claim(Path("/out/a.mask.png"), row.id, "mask")
    assert ledger.claim_of(Path("/out/a.png")) is None
    claim = ledger.claim_by(row.id, "cutout")
    assert claim is not None
    assert claim.target == Path("/out/b.png")


def test_an_output_is_ours_as_it_was_and_as_it_will_be_until_the_write_is_done(ledger: Ledger) -> None:
    ledger.note(FOLDER, X, OLD, 50.0)
    row, target = taken(ledger), Path("/out/sub/x.png")
    ledger.claim(target, row.id, "cutout")

    def ours() -> tuple[Content, ...]:
        claim = ledger.claim_of(target)
        assert claim is not None
        return claim.ours

    assert ours() == ()
    ledger.writing(target, OLD)
    assert ours() == (OLD,)
    ledger.wrote(target)
    assert ours() == (OLD,)
    ledger.writing(target, NEW)
    assert ours() == (OLD, NEW)
    assert ledger.unfinished() == [target]
    ledger.wrote(target)
    assert ours() == (NEW,)
    ledger.finish(row, "done", now=101.0, settings="")
    assert ledger.unfinished() == []


def test_names_that_are_not_utf_8_and_reasons_that_name_them_are_kept(ledger: Ledger) -> None:
    folder, path = Path(os.fsdecode(b"/\xfein")), PurePath(os.fsdecode(b"\xff\n.jpg"))
    ledger.note(folder, path, OLD, 50.0)
    row = taken(ledger, folder=folder)
    assert (row.folder, row.path) == (folder, path)
    ledger.postpone(row, "internal", f"ValueError: {path}", until=0.0)
    ledger.fail(taken(ledger, folder=folder), "internal", f"ValueError: {path}", now=1.0)
    (row,) = ledger.rows()
    row.reason.encode("utf-8")


def test_counts_are_by_state_and_the_finished_by_outcome(ledger: Ledger) -> None:
    for number in range(6):
        ledger.note(FOLDER, PurePath(f"{number}.jpg"), OLD, 50.0)
    for outcome in ("done", "no_subject", "skipped"):
        ledger.finish(taken(ledger), outcome, now=1.0, settings="")
    ledger.fail(taken(ledger), "damaged", "", now=1.0)
    taken(ledger)
    assert ledger.counts(FOLDER) == {
        "done": 1, "no_subject": 1, "skipped": 1, "failed": 1, "working": 1, "pending": 1,
    }  # fmt: skip
    assert ledger.counts(OTHER) == {}


def test_rows_come_newest_first_and_no_more_than_asked(ledger: Ledger) -> None:
    for number in range(5):
        ledger.note(FOLDER, PurePath(f"{number}.jpg"), OLD, float(number))
    assert [row.path.name for row in ledger.rows(limit=2)] == ["4.jpg", "3.jpg"]


def test_a_ledger_of_a_newer_version_is_refused_and_left_as_it_is(tmp_path: Path) -> None:
    file = tmp_path / "ledger.sqlite"
    Ledger(file).close()
    database = sqlite3.connect(file)
    database.execute(f"PRAGMA user_version = {module.VERSION + 1}")
    database.close()
    before = file.read_bytes()
    with pytest.raises(LedgerError, match="newer Alphadrop") as raised:
        Ledger(file)
    assert raised.value.hint == "update Alphadrop"
    assert file.read_bytes() == before


@pytest.mark.parametrize("damage", [b"not a database at all, by no means" * 40, b"SQLite format 3\0" + b"\xff" * 2000])
def test_a_damaged_ledger_is_a_typed_error_that_says_what_to_do(tmp_path: Path, damage: bytes) -> None:
    file = tmp_path / "ledger.sqlite"
    file.write_bytes(damage)
    with pytest.raises(LedgerError, match=r"ledger\.sqlite") as raised:
        Ledger(file)
    assert "move the file away" in raised.value.hint
    assert file.read_bytes() == damage


def test_a_folder_that_cannot_be_made_is_a_typed_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(LedgerError):
        Ledger(tmp_path / "file" / "ledger.sqlite")


def test_what_the_database_refuses_is_a_typed_error(ledger: Ledger) -> None:
    ledger.note(FOLDER, X, OLD, 50.0)
    row = taken(ledger)
    ledger.close()
    for call in (
        lambda: ledger.note(FOLDER, X, NEW, 1.0),
        lambda: ledger.take([FOLDER], 1.0),
        lambda: ledger.finish(row, "done", now=1.0, settings=""),
        lambda: ledger.counts(FOLDER),
        ledger.recover,
        ledger.rows,
    ):
        with pytest.raises(LedgerError, match="the ledger cannot be used"):
            call()


def test_two_threads_never_take_the_same_file(ledger: Ledger) -> None:
    count, start = 60, threading.Barrier(3)
    rows: list[Row] = []

    def note() -> None:
        start.wait()
        for number in range(count):
            ledger.note(FOLDER, PurePath(f"{number}.jpg"), OLD, float(number))

    def work() -> None:
        start.wait()
        while len(rows) < count:
            row = ledger.take([FOLDER], 1e9)
            if row is not None:
                rows.append(row)
                ledger.finish(row, "done", now=1.0, settings="")

    threads = [threading.Thread(target=each) for each in (note, work, work)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=120)
    assert sorted(int(row.path.stem) for row in rows) == list(range(count))
    assert ledger.counts(FOLDER) == {"done": count}
