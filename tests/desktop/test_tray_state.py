"""What the icon knows, from what the daemon tells."""

from __future__ import annotations

from typing import Any

import pytest

from alphadrop.desktop.tray_state import (
    NOT_RUNNING,
    Folder,
    Trouble,
    lost,
    with_job,
    with_jobs,
    with_picture,
    with_status,
)
from told import folder, job, status


def test_without_a_daemon_there_is_nothing_to_know() -> None:
    assert not NOT_RUNNING.runs
    assert NOT_RUNNING.progress == 0


def test_a_status_says_what_there_is_to_do_and_where() -> None:
    two = status(folder("A", pending=3, working=1, failed=2), folder("B", pending=1, done=9))
    state = with_job(with_status(NOT_RUNNING, two), job(1, "working"))
    assert state.runs
    assert state.folders == (Folder("/home/u/A", "/home/u/A-out"), Folder("/home/u/B", "/home/u/B-out"))
    assert (state.remaining, state.waiting, state.failed) == (5, 4, 2)
    assert state.at_work == {1: "1.jpg"}
    assert state.configuration == "/home/u/alphadrop.yaml"


def test_progress_counts_from_when_there_was_last_nothing_to_do() -> None:
    state = NOT_RUNNING
    seen = []
    for pending, done in ((0, 10), (4, 10), (3, 11), (1, 13), (0, 14), (2, 14), (1, 15)):
        state = with_status(state, status(folder(pending=pending, done=done)))
        seen.append(state.progress)
    assert seen == [0, 0, 0.25, 0.75, 0, 0, 0.5]


def test_progress_never_leaves_its_range_when_photographs_are_done_again() -> None:
    state = with_status(NOT_RUNNING, status(folder(failed=5)))
    state = with_status(state, status(folder(pending=5)))
    state = with_status(state, status(folder(pending=3, done=2)))
    assert state.progress == 0.4


def test_the_last_five_results_are_known_newest_first() -> None:
    state = with_jobs(NOT_RUNNING, [job(number) for number in (7, 6, 5, 4, 3, 2)])
    assert [result.number for result in state.results] == [7, 6, 5, 4, 3]
    state = with_job(state, job(8))
    assert [result.number for result in state.results] == [8, 7, 6, 5, 4]
    assert state.results[0].name == "8.jpg"
    assert state.results[0].file == "/home/u/In-out/8.png"


def test_a_result_whose_original_is_moved_is_no_newer_for_that() -> None:
    state = with_jobs(NOT_RUNNING, [job(3), job(2), job(1)])
    assert [result.number for result in with_job(state, job(2, original="moved")).results] == [3, 2, 1]


@pytest.mark.parametrize("change", [job(2, "pending"), job(2, "failed", "damaged"), job(2, outcome="no_subject")])
def test_what_has_no_result_any_more_is_not_offered(change: dict[str, Any]) -> None:
    state = with_jobs(NOT_RUNNING, [job(2), job(1)])
    assert [result.number for result in with_job(state, change).results] == [1]


def test_jobs_at_work_come_and_go() -> None:
    state = with_job(with_job(NOT_RUNNING, job(1, "working")), job(2, "working"))
    assert state.at_work == {1: "1.jpg", 2: "2.jpg"}
    assert with_job(state, job(1)).at_work == {2: "2.jpg"}
    assert with_status(state, status()).at_work == {}


def test_pictures_of_other_programs_are_counted_until_their_end() -> None:
    state = with_picture(NOT_RUNNING, {"picture": 1, "call": "cutout", "state": "waiting"})
    state = with_picture(state, {"picture": 1, "call": "cutout", "state": "working"})
    assert state.pictures == {1}
    for end in ("done", "failed", "cancelled"):
        assert not with_picture(state, {"picture": 1, "call": "cutout", "state": end}).pictures


@pytest.mark.parametrize(
    ("told", "trouble"),
    [
        (
            status(folder(health="missing", remedy="mount its disk")),
            Trouble("folder", "In", "missing", "mount its disk"),
        ),
        (status(folder(warning="nearly full")), Trouble("folder", "In", "nearly full")),
        (
            status(configuration={"file": "a.yaml", "problems": ["a.yaml:3: unknown key"]}),
            Trouble("configuration", remedy="a.yaml:3: unknown key"),
        ),
        (
            status(model={"name": "x", "state": "missing", "message": "gone", "hint": "pull it"}),
            Trouble("model", remedy="pull it"),
        ),
        (status(ledger={"state": "trouble", "message": "locked", "hint": ""}), Trouble("ledger", remedy="locked")),
    ],
)
def test_what_hinders_the_work_is_trouble(told: dict[str, Any], trouble: Trouble) -> None:
    assert with_status(NOT_RUNNING, told).troubles == (trouble,)


@pytest.mark.parametrize("health", ["watching", "polling", "starting"])
def test_what_is_as_it_should_be_is_none(health: str) -> None:
    assert with_status(NOT_RUNNING, status(folder(health=health, failed=3))).troubles == ()


def test_when_the_daemon_is_lost_its_folders_and_results_can_still_be_opened() -> None:
    state = with_job(with_job(with_status(NOT_RUNNING, status(folder(pending=2))), job(1)), job(2, "working"))
    after = lost(state)
    assert not after.runs
    assert (after.folders, after.results) == (state.folders, state.results)
    assert (after.remaining, after.at_work, after.troubles) == (0, {}, ())
