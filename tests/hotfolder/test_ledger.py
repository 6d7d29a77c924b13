"""The ledger: what it is told it keeps, whoever tells it, and what was unfinished it gives out again."""

from __future__ import annotations

import os
import random
import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path, PurePath

import pytest

from alphadrop.errors import LedgerDamaged, LedgerError, LedgerTooNew, NoSuchJob
from alphadrop.hotfolder import schema
from alphadrop.hotfolder.ledger import STATES, Ledger, Original, Row, State
from alphadrop.hotfolder.stability import Content

FOLDER, OTHER = Path("/in"), Path("/other")
X, Y, Z = PurePath("x.jpg"), PurePath("y.jpg"), PurePath("sub/z.jpg")
OLD, NEW = Content(10, 1), Content(20, 2)
TARGET, MASK = Path("/out/x.png"), Path("/out/x.mask.png")
LATER = 1e9


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "data" / "ledger.sqlite"


@pytest.fixture
def ledger(file: Path) -> Iterator[Ledger]:
    ledger = Ledger(file)
    yield ledger
    ledger.close()


def noted(ledger: Ledger, path: PurePath = X, content: Content = OLD, now: float = 50.0, folder: Path = FOLDER) -> None:
    ledger.note(folder, [(path, content)], now)


def taken(ledger: Ledger, clock: float = 100.0, folder: Path = FOLDER) -> Row:
    row = ledger.take(folder, clock, now=1000.0 + clock)
    assert row is not None
    return row


def noted_and_taken(ledger: Ledger, path: PurePath = X, content: Content = OLD) -> Row:
    noted(ledger, path, content)
    row = taken(ledger)
    assert row.path == path
    return row


def done(ledger: Ledger, path: PurePath = X, content: Content = OLD, *, due: float | None = None) -> Row:
    row = noted_and_taken(ledger, path, content)
    ledger.finish(row, "done", "done", now=101.0, settings="abc", original_due=due)
    return ledger.row(row.id)


def ours(ledger: Ledger, target: Path = TARGET) -> tuple[Content, ...]:
    claim = ledger.claim_of(target)
    assert claim is not None
    return claim.ours


# Noting -------------------------------------------------------------------------------------------------------------


def test_a_noted_file_is_taken_once(ledger: Ledger) -> None:
    row = noted_and_taken(ledger)
    assert (row.folder, row.path, row.content, row.state, row.attempts) == (FOLDER, X, OLD, "working", 1)
    assert (row.file, row.noted_at, row.started_at) == (FOLDER / X, 50.0, 1100.0)
    assert ledger.take(FOLDER, LATER, 0.0) is None


def test_files_are_noted_together_or_not_at_all(ledger: Ledger) -> None:
    ledger.note(FOLDER, [(X, OLD), (Y, OLD)], 1.0)
    ledger.note(FOLDER, [], 1.0)
    assert [row.path for row in ledger.rows()] == [Y, X]

    def breaks_off() -> Iterator[tuple[PurePath, Content]]:
        yield X, NEW
        yield Z, OLD
        raise InterruptedError

    with pytest.raises(InterruptedError):
        ledger.note(FOLDER, breaks_off(), 2.0)
    assert [(row.path, row.content) for row in ledger.rows()] == [(Y, OLD), (X, OLD)]


def test_who_notes_late_what_has_been_done_meanwhile_makes_no_work(ledger: Ledger) -> None:
    row = noted_and_taken(ledger)
    assert ledger.unknown(FOLDER, [(X, NEW)]) == [X]
    ledger.change(row, NEW)
    ledger.finish(ledger.row(row.id), "done", "done", now=101.0, settings="abc")
    noted(ledger, content=NEW)
    assert ledger.row(row.id).state == "done"


def test_a_new_content_is_work_as_if_never_seen(ledger: Ledger) -> None:
    row = noted_and_taken(ledger)
    ledger.crashed(row)
    ledger.recover()
    row = taken(ledger)
    ledger.finish(
        row, "done", "done", now=101.0, settings="abc", model="m", seconds={"a": 1.0}, reason="why", original_due=500.0
    )
    ledger.aim_original(row, Path("/finished/x.jpg"))
    ledger.gone(FOLDER, X, 102.0)
    noted(ledger, content=NEW, now=200.0)
    again = ledger.row(row.id)
    assert (again.content, again.state, again.outcome, again.reason) == (NEW, "pending", "", "")
    assert (again.attempts, again.suspect, again.crashes) == (0, False, 0)
    assert (again.noted_at, again.started_at, again.finished_at) == (200.0, None, None)
    assert (again.original, again.original_at) == ("", None)
    assert ledger.look_after(FOLDER, 0, 10) == [(row.id, X, NEW, True)]
    assert taken(ledger, 0.0).id == row.id


def test_a_photograph_changed_in_place_keeps_the_names_of_its_outputs(ledger: Ledger) -> None:
    row = done(ledger)
    ledger.claim(TARGET, row.id, "cutout", OLD)
    noted(ledger, content=NEW)
    assert ours(ledger) == (OLD,)


@pytest.mark.parametrize("original", ["moved", "deleted"])
def test_where_the_photograph_was_put_away_the_next_of_its_name_is_another(ledger: Ledger, original: Original) -> None:
    row = done(ledger, due=0.0)
    ledger.claim(TARGET, row.id, "cutout", OLD)
    ledger.claim(MASK, row.id, "mask", OLD)
    ledger.settle_original(row, original)
    noted(ledger)
    assert ledger.claim_of(TARGET) is not None
    ledger.finish(taken(ledger), "done", "done", now=101.0, settings="abc", original_due=0.0)
    ledger.settle_original(row, original)
    noted(ledger, content=NEW)
    assert ledger.claim_of(TARGET) is None
    assert ledger.claim_of(MASK) is None


@pytest.mark.parametrize(("after", "content", "kept"), [(599, NEW, True), (600, NEW, False), (10_000, OLD, True)])
def test_a_photograph_that_was_gone_for_ten_minutes_and_comes_back_different_is_another(
    ledger: Ledger, after: float, content: Content, kept: bool
) -> None:
    row = done(ledger)
    other = done(ledger, Y)
    ledger.claim(TARGET, row.id, "cutout", OLD)
    ledger.claim(Path("/out/y.png"), other.id, "cutout", OLD)
    ledger.gone(FOLDER, X, 1000.0)
    ledger.gone(FOLDER, X, 5000.0)
    ledger.gone(FOLDER, Y, 1000.0)
    noted(ledger, content=content, now=1000.0 + after)
    assert (ledger.claim_of(TARGET) is not None) is kept
    assert ledger.claim_of(Path("/out/y.png")) is not None


def test_a_photograph_that_came_back_in_between_was_not_gone(ledger: Ledger) -> None:
    row = done(ledger)
    ledger.claim(TARGET, row.id, "cutout", OLD)
    ledger.gone(FOLDER, X, 1000.0)
    ledger.looked_after([], [row.id], 1100.0)
    noted(ledger, content=NEW, now=10_000.0)
    assert ledger.claim_of(TARGET) is not None


def test_unknown_are_the_files_that_are_new_or_changed(ledger: Ledger) -> None:
    noted(ledger)
    assert ledger.unknown(FOLDER, [(X, OLD), (Y, OLD)]) == [Y]
    assert ledger.unknown(FOLDER, [(X, NEW)]) == [X]
    assert ledger.unknown(FOLDER, [(X, Content(OLD.size, 2))]) == [X]
    assert ledger.unknown(OTHER, [(X, OLD)]) == [X]
    assert ledger.unknown(FOLDER, []) == []


@pytest.mark.parametrize("count", [499, 500, 501, 1_700])
def test_however_many_are_asked_for_each_is_told_in_order(ledger: Ledger, count: int) -> None:
    found = [(PurePath(f"{number}.jpg"), Content(number, number)) for number in range(count)]
    ledger.note(FOLDER, found[::2], 1.0)
    assert ledger.unknown(FOLDER, found) == [path for path, _ in found[1::2]]


def test_a_missing_file_is_unknown_should_it_come_back(ledger: Ledger) -> None:
    row = noted_and_taken(ledger)
    assert ledger.knows(FOLDER, X, OLD)
    ledger.miss(row, 60.0)
    assert not ledger.knows(FOLDER, X, OLD)
    assert ledger.unknown(FOLDER, [(X, OLD)]) == [X]
    noted(ledger)
    assert ledger.knows(FOLDER, X, OLD)
    assert taken(ledger).id == row.id


def test_times_beyond_64_bits_of_nanoseconds_are_kept(ledger: Ledger) -> None:
    for number, time in enumerate((2**63 - 1, 2**63, 10**20, -(2**63), -(2**63) - 1)):
        path, content, target = PurePath(f"{number}.jpg"), Content(5, time), Path(f"/out/{number}.png")
        row = noted_and_taken(ledger, path, content)
        assert row.content == content
        assert ledger.knows(FOLDER, path, content)
        assert not ledger.knows(FOLDER, path, replace(content, mtime_ns=time + 1))
        ledger.change(row, replace(content, size=6))
        assert ledger.row(row.id).content == Content(6, time)
        ledger.claim(target, row.id, "cutout", content)
        assert ours(ledger, target) == (content,)
        ledger.writing(target, Content(7, time))
        ledger.wrote(target)
        assert ours(ledger, target) == (Content(7, time),)
        ledger.finish(row, "done", "done", now=1.0, settings="", original_due=0.0)
        ledger.settle_original(ledger.row(row.id), "deleted")
        assert ledger.row(row.id).original == "deleted"


# Work ---------------------------------------------------------------------------------------------------------------


def test_the_oldest_is_taken_first_and_only_of_the_folder_asked_for(ledger: Ledger) -> None:
    noted(ledger, X, folder=OTHER)
    noted(ledger, Y)
    noted(ledger, X)
    assert [taken(ledger).path, taken(ledger).path] == [Y, X]
    assert ledger.take(FOLDER, LATER, 0.0) is None
    assert ledger.next_due([]) is None


def test_what_was_put_off_comes_after_what_was_not_and_by_its_time(ledger: Ledger) -> None:
    for path, until in ((X, 90.0), (Y, 80.0)):
        ledger.postpone(noted_and_taken(ledger, path), "disk_full", "no space", until=until)
    noted(ledger, Z)
    assert [taken(ledger).path for _ in range(3)] == [Z, Y, X]


def test_what_is_in_hand_is_not_taken_though_it_is_work_again(ledger: Ledger) -> None:
    rows = [noted_and_taken(ledger, path) for path in (X, Y)]
    for path in (X, Y):
        noted(ledger, path, NEW)
    assert ledger.take(FOLDER, LATER, 0.0, in_hand=[row.id for row in rows]) is None
    row = ledger.take(FOLDER, LATER, 0.0, in_hand=[rows[0].id])
    assert row is not None
    assert (row.path, row.content, row.attempts) == (Y, NEW, 1)


def test_a_postponed_file_is_due_at_its_time(ledger: Ledger) -> None:
    ledger.postpone(noted_and_taken(ledger), "disk_full", "no space", until=160.0)
    (row,) = ledger.rows(state="pending")
    assert (row.outcome, row.reason) == ("disk_full", "no space")
    assert ledger.next_due([FOLDER]) == 160.0
    assert ledger.take(FOLDER, 159.9, 0.0) is None
    assert taken(ledger, 160.0).attempts == 2


def test_the_next_due_is_the_first_of_the_folders(ledger: Ledger) -> None:
    assert ledger.next_due([FOLDER, OTHER]) is None
    noted(ledger, X)
    ledger.postpone(taken(ledger), "disk_full", "", until=500.0)
    noted(ledger, Y, folder=OTHER)
    assert ledger.next_due([FOLDER, OTHER]) == 0.0
    ledger.postpone(taken(ledger, folder=OTHER), "disk_full", "", until=400.0)
    assert ledger.next_due([FOLDER, OTHER]) == 400.0
    assert ledger.next_due([FOLDER]) == 500.0


def test_the_next_original_due_is_the_first_of_the_folders(ledger: Ledger) -> None:
    assert ledger.next_original_due([FOLDER, OTHER]) is None
    row = done(ledger, due=300.0)
    assert ledger.next_due([FOLDER]) is None
    assert ledger.next_original_due([FOLDER, OTHER]) == 300.0
    assert ledger.next_original_due([OTHER]) is None
    ledger.let_original_go(row)
    assert ledger.next_original_due([FOLDER]) == 300.0
    ledger.postpone_original(row, 400.0)
    assert ledger.next_original_due([FOLDER]) == 400.0
    ledger.settle_original(row, "moved", Path("/finished/x.jpg"))
    assert ledger.next_original_due([FOLDER]) is None


def test_a_finished_file_is_not_taken_again(ledger: Ledger) -> None:
    row = noted_and_taken(ledger)
    ledger.finish(row, "done", "done", now=101.0, settings="abc", model="m", seconds={"decode": 0.5}, reason="a line")
    assert ledger.take(FOLDER, LATER, 0.0) is None
    assert ledger.next_due([FOLDER]) is None
    (row,) = ledger.rows(state="done")
    assert (row.outcome, row.reason, row.finished_at) == ("done", "a line", 101.0)
    assert (row.settings, row.model, row.seconds) == ("abc", "m", {"decode": 0.5})
    assert row.original == ""


UNSURE = "the network is unsure of the subject"


def warned(ledger: Ledger, path: PurePath = X) -> Row:
    row = noted_and_taken(ledger, path)
    ledger.finish(row, "done", "done", now=101.0, settings="abc", warnings=(UNSURE, "a name \udcff"))
    return ledger.row(row.id)


def test_warnings_are_kept_over_restarts_and_can_be_asked_for(file: Path) -> None:
    first = Ledger(file)
    done(first, Y)
    assert "warned" not in first.counts(FOLDER)
    number = warned(first).id
    first.close()
    ledger = Ledger(file)
    assert ledger.row(number).warnings == (UNSURE, "a name \\xff"), "as can be said everywhere"
    assert [row.id for row in ledger.rows(warned=True)] == [number]
    assert ledger.rows(warned=True, state="failed") == []
    assert {row.path: bool(row.warnings) for row in ledger.rows()} == {X: True, Y: False}
    assert ledger.counts(FOLDER) == {"done": 2, "warned": 1}
    assert ledger.counts(OTHER) == {}
    ledger.close()


@pytest.mark.parametrize("how", ["new content", "retry", "made anew"])
def test_warnings_are_of_the_last_result_only(ledger: Ledger, how: str) -> None:
    row = warned(ledger)
    if how == "new content":
        noted(ledger, content=NEW)
    elif how == "retry":
        ledger.retry(row)
    else:
        ledger.adopt(FOLDER, X, NEW, "abc", 200.0, there=True)
    assert ledger.row(row.id).warnings == ()
    assert ledger.rows(warned=True) == []


def test_a_failed_file_rests_until_it_changes(ledger: Ledger) -> None:
    ledger.fail(noted_and_taken(ledger), "damaged", "cut off", now=101.0)
    assert ledger.take(FOLDER, LATER, 0.0) is None
    assert ledger.next_due([FOLDER]) is None
    (row,) = ledger.rows(state="failed")
    assert (row.outcome, row.reason, row.finished_at) == ("damaged", "cut off", 101.0)
    assert ledger.knows(FOLDER, X, OLD)
    assert not ledger.knows(FOLDER, X, NEW)
    noted(ledger, content=NEW, now=200.0)
    again = taken(ledger)
    assert (again.id, again.content, again.attempts, again.outcome) == (row.id, NEW, 1, "")


def test_what_is_handed_back_was_never_tried(ledger: Ledger) -> None:
    row = noted_and_taken(ledger)
    ledger.postpone(row, "disk_full", "", until=0.0)
    ledger.hand_back(taken(ledger))
    (row,) = ledger.rows()
    assert (row.state, row.attempts) == ("pending", 1)
    assert taken(ledger, 0.0).attempts == 2


def test_a_content_that_changed_in_hand_is_tried_from_the_beginning(ledger: Ledger) -> None:
    row = noted_and_taken(ledger)
    ledger.crashed(row)
    ledger.recover()
    row = taken(ledger)
    assert (row.attempts, row.suspect, row.crashes) == (2, True, 1)
    ledger.change(row, NEW)
    row = ledger.row(row.id)
    assert (row.content, row.state, row.attempts, row.suspect, row.crashes) == (NEW, "working", 0, False, 0)
    ledger.postpone(row, "input_changed", "", until=0.0)
    assert taken(ledger).attempts == 1


ENDS: dict[str, Callable[[Ledger, Row], object]] = {
    "finish": lambda ledger, row: ledger.finish(row, "done", "done", now=101.0, settings="", original_due=1.0),
    "fail": lambda ledger, row: ledger.fail(row, "damaged", "cut off", now=101.0, original_due=1.0),
    "postpone": lambda ledger, row: ledger.postpone(row, "disk_full", "no space", until=500.0),
    "hand_back": lambda ledger, row: ledger.hand_back(row),
    "miss": lambda ledger, row: ledger.miss(row, 101.0),
    "change": lambda ledger, row: ledger.change(row, Content(30, 3)),
    "crashed": lambda ledger, row: ledger.crashed(row),
}


@pytest.mark.parametrize("end", ENDS)
def test_a_new_content_noted_during_the_work_is_not_lost_when_the_work_ends(ledger: Ledger, end: str) -> None:
    row = noted_and_taken(ledger)
    noted(ledger, content=NEW, now=60.0)
    before = ledger.row(row.id)
    ENDS[end](ledger, row)
    assert ledger.row(row.id) == before
    again = taken(ledger, 0.0)
    assert (again.content, again.outcome, again.attempts) == (NEW, "", 1)


@pytest.mark.parametrize("end", ENDS)
def test_what_has_ended_does_not_end_again(ledger: Ledger, end: str) -> None:
    row = done(ledger)
    ENDS[end](ledger, row)
    assert ledger.row(row.id) == row


@pytest.mark.parametrize("end", ENDS)
def test_the_end_of_a_row_that_is_no_longer_there_is_no_matter(ledger: Ledger, end: str) -> None:
    row = replace(done(ledger), id=77)
    ENDS[end](ledger, row)
    assert len(ledger.rows()) == 1


def test_crashes_are_counted_until_it_is_done(ledger: Ledger) -> None:
    row = noted_and_taken(ledger)
    for crashes in (1, 2, 3):
        assert ledger.crashed(row) == crashes
        ledger.postpone(row, "crashes_decoder", "", until=0.0)
        row = taken(ledger)
        assert row.crashes == crashes
    ledger.finish(row, "done", "done", now=1.0, settings="")
    assert ledger.row(row.id).crashes == 0


def test_a_missing_file_says_nothing_of_its_outcome_and_since_when(ledger: Ledger) -> None:
    row = noted_and_taken(ledger)
    ledger.postpone(row, "disk_full", "no space", until=0.0)
    ledger.miss(taken(ledger), 300.0)
    row = ledger.row(row.id)
    assert (row.state, row.outcome, row.reason) == ("missing", "", "")
    assert ledger.take(FOLDER, LATER, 0.0) is None
    assert ledger.purge([FOLDER], 300.0, 0.0) == 0
    assert ledger.purge([FOLDER], 300.1, 0.0) == 1


# After a crash ------------------------------------------------------------------------------------------------------


def test_what_a_crash_left_unfinished_is_given_out_again_as_suspect(ledger: Ledger) -> None:
    done(ledger)
    noted_and_taken(ledger, Y)
    (row,) = ledger.recover()
    assert (row.path, row.state, row.suspect, row.attempts) == (Y, "pending", True, 1)
    again = taken(ledger, 0.0)
    assert (again.path, again.suspect, again.attempts) == (Y, True, 2)
    assert [row.path for row in ledger.recover()] == [Y]
    ledger.finish(taken(ledger), "done", "done", now=1.0, settings="")
    assert not ledger.row(again.id).suspect
    assert ledger.recover() == []


def test_times_of_the_last_process_clock_begin_anew(ledger: Ledger) -> None:
    ledger.postpone(noted_and_taken(ledger), "disk_full", "", until=1e6)
    row = done(ledger, Y, due=1e6)
    assert ledger.recover() == []
    assert not taken(ledger, 0.0).suspect
    original = ledger.take_original([FOLDER], 0.0)
    assert original is not None
    assert original.id == row.id


def test_what_is_in_nobodys_hand_is_put_back_without_suspicion(ledger: Ledger) -> None:
    kept, lost = noted_and_taken(ledger, X), noted_and_taken(ledger, Y)
    ended = done(ledger, Z)
    ledger.put_back([kept.id])
    assert [ledger.row(row.id).state for row in (kept, lost, ended)] == ["working", "pending", "done"]
    assert not ledger.row(lost.id).suspect
    ledger.put_back([])
    assert ledger.row(kept.id).state == "pending"


# Originals ----------------------------------------------------------------------------------------------------------


def test_an_original_is_due_at_its_time_and_until_it_is_settled(ledger: Ledger) -> None:
    row = done(ledger, due=200.0)
    assert row.original == "due"
    assert ledger.take_original([FOLDER], 199.9) is None
    assert ledger.take_original([OTHER], 200.0) is None
    assert ledger.take_original([], 200.0) is None
    for _ in range(2):
        assert ledger.take_original([FOLDER], 200.0) == row
    ledger.postpone_original(row, 300.0)
    assert ledger.take_original([FOLDER], 299.0) is None
    ledger.settle_original(row, "moved", Path(os.fsdecode(b"/finished/\xff.jpg")))
    assert ledger.take_original([FOLDER], LATER) is None
    settled = ledger.row(row.id)
    assert (settled.state, settled.original) == ("done", "moved")
    assert settled.original_at == Path(os.fsdecode(b"/finished/\xff.jpg"))


def test_the_original_of_a_failed_file_may_be_due_as_well(ledger: Ledger) -> None:
    ledger.fail(noted_and_taken(ledger), "damaged", "cut off", now=1.0, original_due=7.0)
    row = ledger.take_original([FOLDER], 7.0)
    assert row is not None
    assert (row.state, row.original, row.reason) == ("failed", "due", "cut off")


def test_the_original_longest_due_comes_first(ledger: Ledger) -> None:
    rows = [done(ledger, path, due=due) for path, due in ((X, 30.0), (Y, 10.0), (Z, 20.0))]
    order = []
    while (row := ledger.take_original([FOLDER, OTHER], 100.0)) is not None:
        order.append(row.path)
        ledger.settle_original(row, "deleted")
    assert order == [Y, Z, X]
    assert len(rows) == 3


def test_where_an_original_goes_is_known_before_it_goes(ledger: Ledger) -> None:
    row = done(ledger, due=0.0)
    with ledger.durably():
        ledger.aim_original(row, Path("/finished/x.jpg"))
    aimed = ledger.take_original([FOLDER], 0.0)
    assert aimed is not None
    assert (aimed.original, aimed.original_at) == ("due", Path("/finished/x.jpg"))


def test_only_the_original_of_the_same_content_is_settled(ledger: Ledger) -> None:
    row = done(ledger, due=0.0)
    noted(ledger, content=NEW)
    ledger.aim_original(row, Path("/finished/x.jpg"))
    ledger.postpone_original(row, 500.0)
    ledger.settle_original(row, "moved", Path("/finished/x.jpg"))
    now = ledger.row(row.id)
    assert (now.state, now.content, now.original, now.original_at) == ("pending", NEW, "", None)
    assert taken(ledger, 0.0).content == NEW


def test_an_original_that_was_brought_back_is_as_if_never_moved(ledger: Ledger) -> None:
    row = done(ledger, due=0.0)
    ledger.settle_original(row, "moved", Path("/finished/x.jpg"))
    ledger.settle_original(ledger.row(row.id), "")
    now = ledger.row(row.id)
    assert (now.state, now.original, now.original_at) == ("done", "", None)
    assert ledger.take_original([FOLDER], LATER) is None


def test_what_must_not_be_lost_waits_for_the_disk_and_the_rest_does_not(ledger: Ledger) -> None:
    def synchronous() -> int:
        (level,) = ledger._db.execute("PRAGMA synchronous").fetchone()
        return int(level)

    normal, full = 1, 2
    assert synchronous() == normal
    with ledger.durably():
        assert synchronous() == full
    with pytest.raises(InterruptedError), ledger.durably():
        raise InterruptedError
    assert synchronous() == normal


# Asked for by people ------------------------------------------------------------------------------------------------


def test_a_row_is_found_by_its_number(ledger: Ledger) -> None:
    row = noted_and_taken(ledger)
    assert ledger.row(row.id) == row
    with pytest.raises(NoSuchJob, match="77") as raised:
        ledger.row(77)
    assert "alphadrop jobs" in raised.value.hint


def test_rows_come_newest_first_and_no_more_than_asked(ledger: Ledger) -> None:
    for number in range(5):
        noted(ledger, PurePath(f"{number}.jpg"), now=float(number))
    assert [row.path.name for row in ledger.rows(limit=2)] == ["4.jpg", "3.jpg"]
    assert len(ledger.rows(limit=-1)) == 5


def test_rows_are_told_by_state_and_by_what_became_of_the_original(ledger: Ledger) -> None:
    moved, kept = done(ledger, X, due=0.0), done(ledger, Y)
    ledger.fail(noted_and_taken(ledger, Z), "damaged", "", now=1.0)
    ledger.settle_original(moved, "moved", Path("/finished/x.jpg"))

    def names(state: State | None = None, original: Original | None = None) -> set[str]:
        rows = ledger.rows(state=state, original=original)
        assert ledger.numbers(state=state, original=original) == [row.id for row in rows]
        return {row.path.name for row in rows}

    assert names() == {"x.jpg", "y.jpg", "z.jpg"}
    assert names("failed") == {"z.jpg"}
    assert names("done") == {"x.jpg", "y.jpg"}
    assert names("done", "moved") == {"x.jpg"}
    assert names(original="") == {"y.jpg", "z.jpg"}
    assert names("missing") == set()
    assert ledger.row(kept.id).original == ""


def test_outputs_are_those_that_were_written(ledger: Ledger) -> None:
    row = noted_and_taken(ledger)
    ledger.claim(TARGET, row.id, "cutout")
    ledger.claim(MASK, row.id, "mask")
    ledger.writing(MASK, OLD)
    assert ledger.outputs(row) == []
    ledger.wrote(MASK)
    assert ledger.outputs(row) == [MASK]
    ledger.writing(TARGET, OLD)
    ledger.wrote(TARGET)
    assert ledger.outputs(row) == [TARGET, MASK]


def test_changed_are_the_photographs_still_there_that_were_done_otherwise(ledger: Ledger) -> None:
    def end(number: int, state: State, settings: str, due: float | None = None) -> Row:
        row = noted_and_taken(ledger, PurePath(f"{number}.jpg"))
        ledger.finish(row, state, state, now=1.0, settings=settings, original_due=due)
        return ledger.row(row.id)

    otherwise, _, skipped, due = (
        end(0, "done", "old"),
        end(1, "done", "new"),
        end(2, "skipped", "old"),
        end(3, "done", "old", 5.0),
    )
    gone, moved = end(4, "done", "old"), end(5, "done", "old", 0.0)
    ledger.gone(FOLDER, gone.path, 1.0)
    ledger.settle_original(moved, "moved", Path("/finished/5.jpg"))
    ledger.fail(noted_and_taken(ledger, PurePath("6.jpg")), "damaged", "", now=1.0)
    noted(ledger, PurePath("7.jpg"))
    assert set(ledger.changed({FOLDER: "new"})) == {otherwise.id, skipped.id, due.id}
    assert ledger.changed({OTHER: "new"}) == []
    assert ledger.changed({}) == []


def test_what_is_retried_is_work_as_if_just_noted(ledger: Ledger) -> None:
    row = noted_and_taken(ledger)
    ledger.claim(TARGET, row.id, "cutout", OLD)
    ledger.crashed(row)
    ledger.recover()
    ledger.fail(taken(ledger), "crashes_decoder", "why", now=1.0, original_due=1.0)
    ledger.settle_original(row, "moved", Path("/failed/x.jpg"))
    ledger.gone(FOLDER, X, 1.0)
    ledger.retry(ledger.row(row.id))
    now = ledger.row(row.id)
    assert (now.state, now.outcome, now.reason, now.attempts) == ("pending", "", "", 0)
    assert (now.suspect, now.crashes, now.finished_at) == (False, 0, None)
    assert (now.original, now.original_at, now.content) == ("", None, OLD)
    assert ours(ledger) == (OLD,)
    assert ledger.look_after(FOLDER, 0, 9) == [(row.id, X, OLD, True)]
    assert taken(ledger, 0.0).id == row.id


def test_what_was_put_off_is_due_at_once_when_it_is_let_go(ledger: Ledger) -> None:
    original = done(ledger, X, due=500.0)
    row = noted_and_taken(ledger, Y)
    ledger.postpone(row, "disk_full", "no space", until=500.0)
    ledger.let_go()
    again = taken(ledger, 0.0)
    assert (again.id, again.attempts, again.outcome) == (row.id, 2, "disk_full")
    assert ledger.row(original.id) == original
    assert ledger.take_original([FOLDER], 499.0) is None


def test_what_is_work_already_is_not_retried(ledger: Ledger) -> None:
    row = noted_and_taken(ledger)
    ledger.retry(row)
    assert ledger.row(row.id) == row
    ledger.postpone(row, "disk_full", "", until=500.0)
    ledger.retry(row)
    assert ledger.next_due([FOLDER]) == 500.0


def test_counts_are_by_state_and_of_the_finished_those_without_a_subject_apart(ledger: Ledger) -> None:
    for number in range(7):
        noted(ledger, PurePath(f"{number}.jpg"))
    ends: list[tuple[State, str]] = [("done", "done"), ("done", "no_subject"), ("skipped", "skipped")]
    for state, outcome in ends:
        ledger.finish(taken(ledger), state, outcome, now=1.0, settings="")
    ledger.fail(taken(ledger), "damaged", "", now=1.0)
    ledger.miss(taken(ledger), 1.0)
    taken(ledger)
    assert ledger.counts(FOLDER) == {
        "done": 1, "no_subject": 1, "skipped": 1, "failed": 1, "missing": 1, "working": 1, "pending": 1,
    }  # fmt: skip
    assert set(STATES) <= set(ledger.counts(FOLDER))
    assert ledger.counts(OTHER) == {}


# Names of outputs ---------------------------------------------------------------------------------------------------


def test_a_claim_is_kept_over_a_restart_and_through_new_contents(file: Path) -> None:
    target = Path(os.fsdecode(b"/out/\xff.png"))
    first = Ledger(file)
    row = noted_and_taken(first)
    first.claim(target, row.id, "cutout")
    noted(first, content=NEW)
    first.close()
    second = Ledger(file)
    claim = second.claim_by(row.id, "cutout")
    assert claim is not None
    assert claim == second.claim_of(target)
    assert (claim.target, claim.file) == (target, row.id)
    assert second.claim_by(row.id, "mask") is None
    assert second.notes == ()
    second.close()


def test_a_file_owns_one_name_of_a_kind_and_a_new_one_frees_the_old(ledger: Ledger) -> None:
    row = noted_and_taken(ledger)
    for name in ("a.png", "b.png"):
        ledger.claim(Path("/out", name), row.id, "cutout")
    ledger.claim(Path("/out/a.mask.png"), row.id, "mask")
    assert ledger.claim_of(Path("/out/a.png")) is None
    claim = ledger.claim_by(row.id, "cutout")
    assert claim is not None
    assert claim.target == Path("/out/b.png")


def test_an_output_is_ours_as_it_was_and_as_it_will_be_until_the_write_is_done(ledger: Ledger) -> None:
    row = noted_and_taken(ledger)
    ledger.claim(TARGET, row.id, "cutout")
    assert ours(ledger) == ()
    ledger.writing(TARGET, OLD)
    assert ours(ledger) == (OLD,)
    ledger.wrote(TARGET)
    assert ours(ledger) == (OLD,)
    ledger.writing(TARGET, NEW)
    assert ours(ledger) == (OLD, NEW)
    ledger.wrote(TARGET)
    assert ours(ledger) == (NEW,)
    ledger.finish(row, "done", "done", now=101.0, settings="")
    assert ours(ledger) == (NEW,)


def test_unfinished_are_the_outputs_of_what_is_not_done_and_the_originals_on_their_way(ledger: Ledger) -> None:
    row = noted_and_taken(ledger)
    ledger.claim(TARGET, row.id, "cutout")
    ledger.claim(MASK, row.id, "mask")
    assert set(ledger.unfinished(FOLDER)) == {TARGET, MASK}
    assert ledger.unfinished(OTHER) == []
    ledger.recover()
    assert set(ledger.unfinished(FOLDER)) == {TARGET, MASK}
    ledger.finish(taken(ledger), "done", "done", now=101.0, settings="", original_due=0.0)
    assert ledger.unfinished(FOLDER) == []
    finished = Path(os.fsdecode(b"/finished/\xff.jpg"))
    ledger.aim_original(row, finished)
    assert ledger.unfinished(FOLDER) == [finished]
    ledger.settle_original(row, "moved", finished)
    assert ledger.unfinished(FOLDER) == []


def test_a_name_is_claimed_with_what_is_there(ledger: Ledger) -> None:
    row = done(ledger)
    ledger.claim(TARGET, row.id, "cutout", NEW)
    assert ours(ledger) == (NEW,)
    ledger.claim(TARGET, row.id, "cutout")
    assert ours(ledger) == ()


def test_a_name_cannot_be_given_to_a_file_that_is_not_there(ledger: Ledger) -> None:
    with pytest.raises(LedgerError):
        ledger.claim(TARGET, 77, "cutout")


def test_names_that_are_not_utf_8_and_reasons_that_name_them_are_kept(ledger: Ledger) -> None:
    folder, path = Path(os.fsdecode(b"/\xfein")), PurePath(os.fsdecode(b"\xff\n.jpg"))
    noted(ledger, path, folder=folder)
    row = taken(ledger, folder=folder)
    assert (row.folder, row.path) == (folder, path)
    ledger.postpone(row, "internal", f"ValueError: {path}", until=0.0)
    ledger.fail(taken(ledger, folder=folder), "internal", f"ValueError: {path}", now=1.0)
    (row,) = ledger.rows()
    row.reason.encode("utf-8")
    assert ledger.look_after(folder, 0, 9) == [(row.id, path, OLD, True)]


# What is still there ------------------------------------------------------------------------------------------------


def test_rows_are_looked_after_by_number_some_at_a_time(ledger: Ledger) -> None:
    paths = [PurePath(f"{number}.jpg") for number in range(5)]
    for path in paths:
        noted(ledger, path)
        noted(ledger, path, folder=OTHER)
    seen, after = [], 0
    while some := ledger.look_after(FOLDER, after, 2):
        assert len(some) <= 2
        seen += [path for _, path, *_ in some]
        after = some[-1][0]
    assert seen == paths


def test_what_has_gone_and_come_back_is_remembered(ledger: Ledger) -> None:
    rows = [done(ledger, path) for path in (X, Y, Z)]

    def there() -> list[bool]:
        return [is_there for *_, is_there in ledger.look_after(FOLDER, 0, 9)]

    ledger.looked_after([rows[0].id, rows[1].id], [], 500.0)
    assert there() == [False, False, True]
    ledger.looked_after([rows[2].id], [rows[0].id], 600.0)
    assert there() == [True, False, False]
    ledger.looked_after([], [], 700.0)
    assert ledger.purge([FOLDER], 550.0, 0.0) == 1
    assert {row.path for row in ledger.rows()} == {X, Z}


# Forgetting ---------------------------------------------------------------------------------------------------------


def test_a_photograph_is_forgotten_with_its_names_when_it_has_been_gone_long_enough(ledger: Ledger) -> None:
    row = done(ledger)
    ledger.claim(TARGET, row.id, "cutout", OLD)
    ledger.gone(FOLDER, X, 1000.0)
    assert ledger.purge([FOLDER], 1000.0, 0.0) == 0
    assert ledger.claim_of(TARGET) is not None
    assert ledger.purge([FOLDER], 1000.1, 0.0) == 1
    assert ledger.rows() == []
    assert ledger.claim_of(TARGET) is None


def test_a_photograph_that_is_still_there_is_never_forgotten(ledger: Ledger) -> None:
    row = done(ledger)
    ledger.fail(noted_and_taken(ledger, Y), "damaged", "", now=1.0)
    assert ledger.purge([OTHER, FOLDER], LATER, 0.0) == 0
    assert ledger.row(row.id) == row


def test_work_and_originals_still_to_be_put_away_are_never_forgotten(ledger: Ledger) -> None:
    rows = [noted_and_taken(ledger, X), done(ledger, Y, due=5.0)]
    noted(ledger, Z)
    for path in (X, Y, Z):
        ledger.gone(FOLDER, path, 1.0)
    assert ledger.purge([FOLDER], LATER, 0.0) == 0
    assert [ledger.row(row.id).state for row in rows] == ["working", "done"]


def test_a_folder_no_longer_watched_is_forgotten_and_learnt_of_anew(ledger: Ledger) -> None:
    for folder in (FOLDER, OTHER):
        noted(ledger, folder=folder)
        ledger.finish(taken(ledger, folder=folder), "done", "done", now=1000.0, settings="")
        ledger.meet(folder, Path("/out"))
    assert ledger.purge([FOLDER], 1000.0, 0.0) == 0
    assert ledger.has_met(OTHER, Path("/out"))
    assert ledger.purge([FOLDER], 1000.1, 0.0) == 1
    assert [row.folder for row in ledger.rows()] == [FOLDER]
    assert ledger.has_met(FOLDER, Path("/out"))
    assert not ledger.has_met(OTHER, Path("/out")), "what was done there is in its outputs only"


def test_what_was_to_be_done_in_a_folder_no_longer_watched_is_forgotten_too(ledger: Ledger) -> None:
    done(ledger, Y, due=5.0)
    noted(ledger, Z)
    assert ledger.purge([], LATER, 0.0) == 2


def test_the_ledger_does_not_grow_with_the_years(ledger: Ledger) -> None:
    history, each_day = 10, 20
    for day in range(60):
        paths = [PurePath(f"{day}-{number}.jpg") for number in range(each_day)]
        ledger.note(FOLDER, [(path, OLD) for path in paths], float(day))
        for path in paths:
            row = taken(ledger)
            ledger.claim(Path("/out", path), row.id, "cutout", OLD)
            ledger.finish(row, "done", "done", now=float(day), settings="")
            if not path.name.endswith("-0.jpg"):  # one a day stays
                ledger.gone(FOLDER, path, float(day))
        ledger.purge([FOLDER], day - history, 0.0)
        there = day + 1
        assert len(ledger.rows(limit=-1)) <= there + (history + 1) * each_day
    (claims,) = ledger._db.execute("SELECT count(*) FROM claims").fetchone()
    assert claims == len(ledger.rows(limit=-1))


# Folders and the rest -----------------------------------------------------------------------------------------------


def test_a_folder_is_met_with_its_output(ledger: Ledger) -> None:
    folder, output = Path(os.fsdecode(b"/\xfein")), Path(os.fsdecode(b"/\xfeout"))
    assert not ledger.has_met(folder, output)
    ledger.meet(folder, output)
    assert ledger.has_met(folder, output)
    assert not ledger.has_met(folder, OTHER)
    assert not ledger.has_met(OTHER, output)
    ledger.meet(folder, OTHER)
    assert ledger.has_met(folder, OTHER)
    assert not ledger.has_met(folder, output)


def test_what_is_a_mounted_disk_is_remembered(ledger: Ledger) -> None:
    assert not ledger.was_mounted(FOLDER)
    for _ in range(2):
        ledger.see_mounted(FOLDER, True)
        assert ledger.was_mounted(FOLDER)
    assert not ledger.was_mounted(OTHER)
    ledger.see_mounted(FOLDER, False)
    assert not ledger.was_mounted(FOLDER)


@pytest.mark.parametrize("there", [True, False])
def test_a_file_is_adopted_as_done(ledger: Ledger, there: bool) -> None:
    number = ledger.adopt(FOLDER, X, OLD, "abc", 70.0, there=there)
    row = ledger.row(number)
    assert (row.folder, row.path, row.content, row.settings) == (FOLDER, X, OLD, "abc")
    assert (row.state, row.outcome, row.finished_at, row.original) == ("done", "done", 70.0, "")
    assert ledger.knows(FOLDER, X, OLD)
    assert ledger.take(FOLDER, LATER, 0.0) is None
    assert ledger.purge([FOLDER], 60.0, 0.0) == (0 if there else 1)


def test_a_file_adopted_twice_is_as_it_was_made_last(ledger: Ledger) -> None:
    number = ledger.adopt(FOLDER, X, NEW, "new", 70.0, there=True)
    assert ledger.adopt(FOLDER, X, OLD, "old", 60.0, there=True) == number
    assert (ledger.row(number).content, ledger.row(number).settings) == (NEW, "new")
    assert ledger.adopt(FOLDER, X, OLD, "old", 80.0, there=True) == number
    assert (ledger.row(number).content, ledger.row(number).settings) == (OLD, "old")


def test_what_the_ledger_knows_better_is_not_adopted(ledger: Ledger) -> None:
    pending, failed, finished = X, Y, Z
    ledger.fail(noted_and_taken(ledger, failed), "damaged", "", now=1.0)
    done(ledger, finished)
    noted(ledger, pending)
    for row in ledger.rows():
        assert ledger.adopt(FOLDER, row.path, NEW, "new", 2.0, there=True) == row.id
        assert ledger.row(row.id) == row


def test_notes_are_kept_over_restarts(file: Path) -> None:
    first = Ledger(file)
    assert first.read_note("paused") == ""
    first.keep_note("paused", "until noon")
    first.keep_note("paused", "until five")
    first.close()
    second = Ledger(file)
    assert second.read_note("paused") == "until five"
    assert second.read_note("other") == ""
    second.close()


# Errors -------------------------------------------------------------------------------------------------------------


def test_a_ledger_of_a_newer_version_is_refused_and_left_as_it_is(file: Path) -> None:
    Ledger(file).close()
    with closing(sqlite3.connect(file)) as database:
        database.execute(f"PRAGMA user_version = {schema.VERSION + 1}")
    before = file.read_bytes()
    with pytest.raises(LedgerTooNew, match="newer Alphadrop") as raised:
        Ledger(file)
    assert raised.value.hint == "update Alphadrop"
    assert file.read_bytes() == before
    assert os.listdir(file.parent) == [file.name]


def test_a_folder_that_cannot_be_made_is_a_typed_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(LedgerError):
        Ledger(tmp_path / "file" / "ledger.sqlite")


CALLS: dict[str, Callable[[Ledger, Row], object]] = {
    **ENDS,
    "recover": lambda ledger, row: ledger.recover(),
    "put_back": lambda ledger, row: ledger.put_back([1]),
    "unknown": lambda ledger, row: ledger.unknown(FOLDER, [(X, OLD)]),
    "knows": lambda ledger, row: ledger.knows(FOLDER, X, OLD),
    "note": lambda ledger, row: ledger.note(FOLDER, [(X, NEW)], 1.0),
    "gone": lambda ledger, row: ledger.gone(FOLDER, X, 1.0),
    "look_after": lambda ledger, row: ledger.look_after(FOLDER, 0, 9),
    "looked_after": lambda ledger, row: ledger.looked_after([1], [2], 1.0),
    "purge": lambda ledger, row: ledger.purge([FOLDER], 1.0, 0.0),
    "take": lambda ledger, row: ledger.take(FOLDER, 1.0, 1.0),
    "next_original_due": lambda ledger, row: ledger.next_original_due([FOLDER]),
    "next_due": lambda ledger, row: ledger.next_due([FOLDER]),
    "take_original": lambda ledger, row: ledger.take_original([FOLDER], 1.0),
    "postpone_original": lambda ledger, row: ledger.postpone_original(row, 1.0),
    "aim_original": lambda ledger, row: ledger.aim_original(row, OTHER),
    "let_original_go": lambda ledger, row: ledger.let_original_go(row),
    "expect_original": lambda ledger, row: ledger.expect_original(row, NEW),
    "keep_original": lambda ledger, row: ledger.keep_original(row),
    "interrupted": lambda ledger, row: ledger.interrupted(FOLDER),
    "to_go": lambda ledger, row: ledger.to_go(),
    "settle_original": lambda ledger, row: ledger.settle_original(row, ""),
    "durably": lambda ledger, row: ledger.durably().__enter__(),
    "row": lambda ledger, row: ledger.row(row.id),
    "rows": lambda ledger, row: ledger.rows(),
    "has": lambda ledger, row: ledger.has(row),
    "numbers": lambda ledger, row: ledger.numbers(),
    "outputs": lambda ledger, row: ledger.outputs(row),
    "changed": lambda ledger, row: ledger.changed({FOLDER: ""}),
    "let_go": lambda ledger, row: ledger.let_go(),
    "retry": lambda ledger, row: ledger.retry(row),
    "counts": lambda ledger, row: ledger.counts(FOLDER),
    "claim_of": lambda ledger, row: ledger.claim_of(TARGET),
    "claim_by": lambda ledger, row: ledger.claim_by(row.id, "cutout"),
    "claim": lambda ledger, row: ledger.claim(TARGET, row.id, "cutout"),
    "writing": lambda ledger, row: ledger.writing(TARGET, OLD),
    "wrote": lambda ledger, row: ledger.wrote(TARGET),
    "unfinished": lambda ledger, row: ledger.unfinished(FOLDER),
    "has_met": lambda ledger, row: ledger.has_met(FOLDER, OTHER),
    "meet": lambda ledger, row: ledger.meet(FOLDER, OTHER),
    "was_mounted": lambda ledger, row: ledger.was_mounted(FOLDER),
    "see_mounted": lambda ledger, row: ledger.see_mounted(FOLDER, True),
    "adopt": lambda ledger, row: ledger.adopt(FOLDER, X, OLD, "", 1.0, there=True),
    "read_note": lambda ledger, row: ledger.read_note("key"),
    "keep_note": lambda ledger, row: ledger.keep_note("key", "value"),
}


def test_every_method_is_tried() -> None:
    methods = {name for name, value in vars(Ledger).items() if callable(value) and not name.startswith("_")}
    assert methods - {"close", "mend"} == set(CALLS)


@pytest.mark.parametrize("call", CALLS)
def test_what_the_database_refuses_is_a_typed_error(ledger: Ledger, call: str) -> None:
    row = noted_and_taken(ledger)
    ledger._db.close()
    with pytest.raises(LedgerError, match="the ledger cannot be used") as raised:
        CALLS[call](ledger, row)
    assert not isinstance(raised.value, LedgerDamaged)


@pytest.mark.parametrize("call", sorted(CALLS.keys() - {"durably"}))
def test_what_the_database_does_not_understand_any_more_is_a_typed_error(ledger: Ledger, call: str) -> None:
    row = noted_and_taken(ledger)
    for table in ("claims", "files", "folders", "mounts", "notes"):
        ledger._db.execute(f"DROP TABLE {table}")
    with pytest.raises(LedgerError, match="the ledger cannot be used: no such table"):
        CALLS[call](ledger, row)


def filled(file: Path, count: int = 600) -> Ledger:
    """Make a ledger of many pages."""
    ledger = Ledger(file)
    paths = [PurePath(f"a name that is not very short {number}.jpg") for number in range(count)]
    ledger.note(FOLDER, [(path, OLD) for path in paths], 1.0)
    for number in range(count):
        row = taken(ledger)
        ledger.claim(Path(f"/out/a name that is not very short {number}.png"), row.id, "cutout", OLD)
        ledger.finish(row, "done", "done", now=1.0, settings="0123456789abcdef", model="isnet", seconds={"decode": 0.5})
    return ledger


def forget_what_was_read(ledger: Ledger) -> None:
    """Have the database look at its file again, as it must in one too large for its memory."""
    ledger._db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    ledger._db.execute("PRAGMA shrink_memory")


def rubbish(size: int) -> bytes:
    return random.Random(1).randbytes(size)


def overwrite(file: Path, start: int, data: bytes) -> None:
    with open(file, "r+b") as stream:
        stream.seek(start)
        stream.write(data)


PAGE = 4096
DAMAGES: dict[str, Callable[[Path], object]] = {
    "a text": lambda file: file.write_bytes(b"not a database at all, by no means" * 40),
    "a header only": lambda file: file.write_bytes(b"SQLite format 3\0" + b"\xff" * 2000),
    "the header overwritten": lambda file: overwrite(file, 0, rubbish(100)),
    "the first sector of zeros": lambda file: overwrite(file, 0, bytes(512)),
    "the names of the tables overwritten": lambda file: overwrite(file, 3072, rubbish(PAGE - 3072)),
    "a page overwritten": lambda file: overwrite(file, file.stat().st_size // 2 // PAGE * PAGE, rubbish(PAGE)),
    "a page of zeros": lambda file: overwrite(file, file.stat().st_size // 2 // PAGE * PAGE, bytes(PAGE)),
    "the last page overwritten": lambda file: overwrite(file, file.stat().st_size - PAGE, rubbish(PAGE)),
    "cut off": lambda file: os.truncate(file, file.stat().st_size // 2),
    "a version that never was": lambda file: overwrite(file, 60, b"\xff\xff\xff\xff"),
}


def kept_copies(file: Path) -> list[Path]:
    return sorted(each for each in file.parent.iterdir() if ".damaged-" in each.name)


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_ledger_is_set_aside_as_it_is_and_an_empty_one_works(file: Path, damage: str) -> None:
    filled(file).close()
    DAMAGES[damage](file)
    damaged = file.read_bytes()
    ledger = Ledger(file)
    assert ledger.rows() == []
    noted_and_taken(ledger)
    (kept,) = kept_copies(file)
    assert kept.read_bytes() == damaged
    (note,) = ledger.notes
    assert str(kept) in note
    assert "damaged" in note
    assert note.isprintable()
    ledger.close()
    again = Ledger(file)
    assert again.notes == ()
    assert len(again.rows()) == 1
    again.close()


def test_a_damaged_ledger_is_kept_with_its_journal_where_that_is_in_use(file: Path) -> None:
    ledger = filled(file)
    with closing(sqlite3.connect(file)) as other:
        other.execute("SELECT count(*) FROM files").fetchone()
        forget_what_was_read(ledger)
        ledger.keep_note("key", "in the journal")
        for page in range(1, file.stat().st_size // PAGE):
            overwrite(file, page * PAGE, rubbish(PAGE))
        ledger.close()
        journal = Path(f"{file}-wal").read_bytes()
        assert b"in the journal" in journal
        ledger = Ledger(file)
        kept = kept_copies(file)
        assert [path.name[-4:] for path in kept[1:]] == ["-shm", "-wal"]
        assert kept[2].read_bytes() == journal
        noted_and_taken(ledger)
        ledger.close()


def test_no_more_than_three_damaged_ledgers_are_kept(file: Path) -> None:
    file.parent.mkdir()
    older = [file.with_name(f"{file.name}.damaged-2024010{day}-000000") for day in range(1, 6)]
    for each in older:
        each.touch()
        each.with_name(f"{each.name}-wal").touch()
    (file.parent / "ledger.sqlite.damaged-by-me").touch()
    file.write_bytes(b"not a database" * 100)
    Ledger(file).close()
    names = [each.name for each in kept_copies(file)]
    assert names[:4] == [f"{each.name}{ending}" for each in older[3:] for ending in ("", "-wal")]
    assert names[4].startswith("ledger.sqlite.damaged-2")
    assert names[5:] == ["ledger.sqlite.damaged-by-me"]


def test_a_damaged_ledger_that_cannot_be_set_aside_is_a_typed_error(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file.parent.mkdir()
    file.write_bytes(b"not a database" * 100)

    def refuse(*_: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "replace", refuse)
    with pytest.raises(LedgerError, match="cannot be set aside") as raised:
        Ledger(file)
    assert str(file) in raised.value.hint


def test_a_sound_ledger_needs_no_mending(ledger: Ledger) -> None:
    row = noted_and_taken(ledger)
    assert not ledger.mend()
    assert ledger.notes == ()
    assert ledger.row(row.id) == row


def test_a_ledger_damaged_while_in_use_is_mended(file: Path) -> None:
    ledger = filled(file)
    forget_what_was_read(ledger)
    for page in range(1, file.stat().st_size // PAGE):
        overwrite(file, page * PAGE, rubbish(PAGE))
    with pytest.raises(LedgerDamaged):
        ledger.rows(limit=-1)
    assert ledger.mend()
    assert "damaged" in ledger.notes[-1]
    assert ledger.rows() == []
    noted_and_taken(ledger)
    assert len([path for path in kept_copies(file) if not path.name.endswith(("-wal", "-shm"))]) == 1
    assert not ledger.mend()
    ledger.close()


def test_a_damage_that_only_shows_in_an_index_is_mended_as_well(file: Path) -> None:
    ledger = filled(file)
    # As a bit that fell over would do: the index has entries that the table does not.
    ledger._db.execute("PRAGMA writable_schema = ON")
    ledger._db.execute("UPDATE sqlite_master SET sql = replace(sql, '(finished_at)', '(id)')")
    ledger._db.execute("PRAGMA writable_schema = RESET")
    assert ledger._db.execute("PRAGMA quick_check(1)").fetchone() == ("ok",)
    assert ledger.mend()
    assert "damaged" in ledger.notes[-1]
    noted_and_taken(ledger)
    ledger.close()


def test_a_ledger_removed_while_in_use_is_made_anew(ledger: Ledger, file: Path) -> None:
    noted(ledger)
    file.unlink()
    assert ledger.mend()
    assert "removed" in ledger.notes[-1]
    assert ledger.rows() == []
    noted(ledger)
    assert file.exists()
    assert not ledger.mend()


def test_a_ledger_removed_with_its_folder_is_made_anew(ledger: Ledger, file: Path) -> None:
    noted(ledger)
    file.parent.rename(file.parent.with_name("away"))
    assert ledger.mend()
    noted_and_taken(ledger)
    assert file.exists()


def test_a_ledger_closed_by_a_failed_attempt_opens_again_with_what_it_had(
    ledger: Ledger, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    noted(ledger)
    with monkeypatch.context() as patched:
        patched.setattr(os.path, "exists", lambda path: False)
        patched.setattr(sqlite3, "connect", _refuse)
        for _ in range(3):
            with pytest.raises(LedgerError, match="cannot be opened"):
                ledger.mend()
            with pytest.raises(LedgerError, match="cannot be used"):
                ledger.rows()
    assert ledger.mend()
    assert "opened again" in ledger.notes[-1]
    assert [row.path for row in ledger.rows()] == [X]
    assert not ledger.mend()


def _refuse(*_: object, **__: object) -> None:
    raise sqlite3.OperationalError("unable to open database file")


def test_mending_again_and_again_does_not_add_a_note_each_time(ledger: Ledger) -> None:
    for _ in range(5):
        ledger._db.close()
        assert ledger.mend()
    assert len(ledger.notes) == 1


def fill_the_disk(ledger: Ledger) -> None:
    (pages,) = ledger._db.execute("PRAGMA page_count").fetchone()
    ledger._db.execute(f"PRAGMA max_page_count = {pages}")


def make_room(ledger: Ledger) -> None:
    ledger._db.execute("PRAGMA max_page_count = 1000000")


def test_a_full_disk_is_a_typed_error_nothing_is_half_done_and_later_it_works(ledger: Ledger) -> None:
    row = noted_and_taken(ledger)
    ledger.claim(TARGET, row.id, "cutout", OLD)
    ledger.gone(FOLDER, X, 1.0)
    before = ledger.row(row.id)
    fill_the_disk(ledger)
    # The first of these would change a row and release its claim.
    many = [(X, NEW), *((PurePath(f"{number}.jpg"), OLD) for number in range(2000))]
    for _ in range(2):
        with pytest.raises(LedgerError, match="disk is full") as raised:
            ledger.note(FOLDER, many, 10_000.0)
        assert "space" in raised.value.hint
        assert not isinstance(raised.value, LedgerDamaged)
    assert ledger.rows() == [before]
    assert ours(ledger) == (OLD,)
    assert not ledger.mend()
    assert ledger.notes == ()
    make_room(ledger)
    ledger.note(FOLDER, many, 10_000.0)
    assert len(ledger.rows(limit=-1)) == 2001
    assert ledger.claim_of(TARGET) is None


def test_a_note_that_finds_no_room_leaves_the_ledger_as_quick_as_before(ledger: Ledger) -> None:
    fill_the_disk(ledger)
    with pytest.raises(LedgerError, match="disk is full"):
        ledger.keep_note("key", "x" * 1_000_000)
    assert ledger.read_note("key") == ""
    assert ledger._db.execute("PRAGMA synchronous").fetchone() == (1,)
    make_room(ledger)
    ledger.keep_note("key", "value")
    assert ledger.read_note("key") == "value"


def test_a_ledger_that_another_process_holds_is_a_typed_error_and_works_later(ledger: Ledger, file: Path) -> None:
    ledger._db.execute("PRAGMA busy_timeout = 0")
    with closing(sqlite3.connect(file, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(LedgerError, match="locked"):
            noted(ledger)
        assert not ledger.mend()
        other.execute("COMMIT")
    noted(ledger)
    assert len(ledger.rows()) == 1


def test_what_one_thread_breaks_off_takes_nothing_of_another_with_it(ledger: Ledger) -> None:
    row = noted_and_taken(ledger)
    other = threading.Thread(target=lambda: ledger.finish(row, "done", "done", now=1.0, settings=""))

    def breaks_off() -> Iterator[tuple[PurePath, Content]]:
        yield Y, OLD
        other.start()
        other.join(timeout=0.2)  # it waits for us, and we not for it
        raise InterruptedError

    with pytest.raises(InterruptedError):
        ledger.note(FOLDER, breaks_off(), 1.0)
    other.join(timeout=120)
    assert ledger.counts(FOLDER) == {"done": 1}


def test_threads_that_take_and_note_never_take_the_same_file(ledger: Ledger) -> None:
    count, start = 60, threading.Barrier(4)
    rows: list[Row] = []

    def note() -> None:
        start.wait()
        for number in range(count):
            noted(ledger, PurePath(f"{number}.jpg"))

    def work() -> None:
        start.wait()
        while len(rows) < count:
            row = ledger.take(FOLDER, LATER, 0.0)
            if row is not None:
                rows.append(row)
                ledger.claim(Path(f"/out/{row.path.stem}.png"), row.id, "cutout")
                with ledger.durably():
                    ledger.finish(row, "done", "done", now=1.0, settings="")

    threads = [threading.Thread(target=each) for each in (note, work, work, work)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=120)
    assert sorted(int(row.path.stem) for row in rows) == list(range(count))
    assert ledger.counts(FOLDER) == {"done": count}
