"""What the icon and its menu say, and what each line does."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from alphadrop.desktop.icons import Look
from alphadrop.desktop.texts import LANGUAGES, Words
from alphadrop.desktop.tray_menu import (
    SEPARATOR,
    Action,
    Item,
    look_of,
    menu_of,
    seconds_until_tomorrow,
    title_of,
)
from alphadrop.desktop.tray_state import NOT_RUNNING, State, with_job, with_jobs, with_status
from told import folder, job, status

NOW = datetime(2026, 5, 4, 13, 0).astimezone()
ENGLISH, CHINESE = Words("en"), Words("zh")
IDLE = with_status(NOT_RUNNING, status())
PAUSED = replace(IDLE, is_paused=True)
WORKING = with_job(with_status(NOT_RUNNING, status(folder(pending=2, working=1, done=1))), job(7, "working"))
HINDERED = with_status(NOT_RUNNING, status(folder(health="disk full", remedy="free some space", pending=4)))


def lines(items: tuple[Item, ...]) -> Iterator[Item]:
    for item in items:
        yield item
        yield from lines(item.items)


def line(state: State, text: str) -> Item:
    return next(item for item in lines(menu_of(state, ENGLISH, NOW)) if item.text == text)


def test_each_state_has_a_look_of_its_own() -> None:
    assert look_of(NOT_RUNNING) == Look("off")
    assert look_of(IDLE) == Look("idle")
    assert look_of(PAUSED) == Look("paused")
    assert look_of(WORKING) == Look("working", WORKING.progress)
    assert look_of(HINDERED) == Look("attention")


def test_what_hinders_comes_before_the_pause_and_the_last_photograph_before_it() -> None:
    assert look_of(replace(HINDERED, is_paused=True)) == Look("attention")
    assert look_of(replace(WORKING, is_paused=True)).name == "working"
    assert look_of(replace(IDLE, pictures=frozenset({1}))).name == "working"
    assert look_of(replace(PAUSED, pictures=frozenset({1}))).name == "paused"


@pytest.mark.parametrize(
    ("state", "told"),
    [
        (NOT_RUNNING, "Alphadrop is not running"),
        (IDLE, "Alphadrop: Nothing to do"),
        (WORKING, "Alphadrop: Cutting out 7.jpg, 2 waiting"),
        (with_job(WORKING, job(8, "working")), "Alphadrop: Cutting out 2 photographs, 1 waiting"),
        (replace(PAUSED, remaining=3), "Alphadrop: Paused, 3 waiting"),
        (replace(IDLE, pictures=frozenset({1})), "Alphadrop: Cutting out for another program"),
        (replace(IDLE, phase="starting"), "Alphadrop: Starting"),
    ],
)
def test_the_title_says_what_is_done_and_what_waits(state: State, told: str) -> None:
    assert title_of(state, ENGLISH, NOW) == told


@pytest.mark.parametrize(("later", "when"), [(timedelta(hours=1), "14:00"), (timedelta(days=1), "2026-05-05 13:00")])
def test_a_pause_says_when_it_ends(later: timedelta, when: str) -> None:
    state = replace(PAUSED, paused_until=(NOW + later).timestamp())
    assert title_of(state, ENGLISH, NOW) == f"Alphadrop: Paused until {when}"


@pytest.mark.parametrize(
    ("state", "action"),
    [(NOT_RUNNING, Action("start")), (IDLE, Action("pause")), (WORKING, Action("pause")), (PAUSED, Action("resume"))],
)
def test_one_line_is_what_a_click_does_and_it_is_the_first(state: State, action: Action) -> None:
    items = menu_of(state, ENGLISH, NOW)
    assert [item for item in lines(items) if item.is_default] == [items[0]]
    assert items[0].action == action


def test_everything_that_can_be_done_is_there() -> None:
    state = with_jobs(replace(IDLE, failed=2), [job(2), job(1)])
    chosen = [item.action for item in lines(menu_of(state, ENGLISH, NOW)) if item.action]
    assert chosen == [
        Action("pause"),
        Action("pause", 900),
        Action("pause", 3600),
        Action("pause_until_tomorrow"),
        Action("open", path="/home/u/In-out/2.png"),
        Action("open", path="/home/u/In-out/1.png"),
        Action("open", path="/home/u/In"),
        Action("open", path="/home/u/In-out"),
        Action("retry"),
        Action("page"),
        Action("settings"),
        Action("stop"),
        Action("quit"),
    ]


def test_without_a_daemon_what_needs_one_is_not_offered() -> None:
    state = replace(NOT_RUNNING, folders=IDLE.folders)
    deeds = [item.action.deed for item in lines(menu_of(state, ENGLISH, NOW)) if item.action]
    assert deeds == ["start", "open", "open", "settings", "quit"]


def test_what_is_wrong_stands_with_its_remedy() -> None:
    attention = line(HINDERED, "Needs attention (1)")
    assert [item.text for item in attention.items] == ["In: disk full", "    free some space"]


def test_nothing_to_retry_is_said_and_not_offered() -> None:
    assert line(IDLE, "Retry what failed").action is None
    assert line(replace(IDLE, failed=3), "Retry 3 that failed").action == Action("retry")


def test_long_names_keep_their_ends_and_no_menu_is_wider_than_a_screen() -> None:
    state = with_job(IDLE, job(1, path=f"{'a' * 300}.jpg", outputs=["/x"]))
    name = line(state, "Last results").items[0].text
    assert len(name) <= 48
    assert name.endswith("aaa.jpg")


def test_folders_are_named_from_home_on() -> None:
    told = folder()
    told["input"] = os.path.expanduser("~/Pictures/In")
    state = with_status(NOT_RUNNING, status(told))
    assert line(state, "Drop here: ~/Pictures/In").action == Action("open", path=told["input"])


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("state", [NOT_RUNNING, IDLE, PAUSED, WORKING, HINDERED], ids=lambda state: look_of(state).name)
def test_every_menu_has_words_in_every_language(state: State, language: str) -> None:
    words = ENGLISH if language == "en" else CHINESE
    items = list(lines(menu_of(state, words, NOW)))
    assert all(item.text or item == SEPARATOR for item in items)
    assert items[0] != SEPARATOR != items[-1]
    if words is CHINESE:
        shown = "".join(item.text for item in items).replace("Alphadrop", "")
        assert "Pause" not in shown
        assert any("一" <= letter <= "鿿" for letter in shown)


@pytest.mark.skipif(not hasattr(time, "tzset"), reason="the zone is of the whole system here")
@pytest.mark.parametrize(
    ("now", "hours"),
    [
        ("2026-05-04T13:00", 17),
        ("2026-05-04T00:30", 29.5),
        ("2026-03-28T12:00", 17),  # one hour of that night is left out
        ("2026-10-24T12:00", 19),  # and one of that is there twice
    ],
)
def test_tomorrow_begins_at_six(now: str, hours: float, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "CET-1CEST,M3.5.0,M10.5.0/3")
    time.tzset()
    try:
        assert seconds_until_tomorrow(datetime.fromisoformat(now)) == hours * 3600
    finally:
        monkeypatch.undo()
        time.tzset()
