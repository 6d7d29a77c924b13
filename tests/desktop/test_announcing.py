"""What is worth a notification, by an injected clock."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from alphadrop.desktop.announcing import Announcer, Notice
from alphadrop.desktop.texts import Words
from alphadrop.desktop.tray_state import NOT_RUNNING, State, with_status
from told import folder, job, status

IDLE = with_status(NOT_RUNNING, status())
FULL = with_status(NOT_RUNNING, status(folder(health="disk full", remedy="free some space")))


def left(number: int) -> State:
    return with_status(NOT_RUNNING, status(folder(pending=number)))


class Listener:
    """Does what the tray's process does with its announcer, at times of the test's own."""

    def __init__(self, language: Any = "en") -> None:
        self.announcer = Announcer(Words(language))
        self.now = 1000.0
        self.state = IDLE
        self.told: list[Notice] = []

    def hear(self, state: State, *jobs: dict[str, Any]) -> None:
        self.state = state
        for each in jobs:
            self.announcer.job(each, self.now)
        self.told += self.announcer.look(state, self.now)

    def after(self, seconds: float) -> None:
        """Let time pass, and be asked when the announcer wants to be."""
        end = self.now + seconds
        while (wait := self.announcer.wait(self.state, self.now)) is not None and self.now + wait <= end:
            self.now += wait
            self.told += self.announcer.look(self.state, self.now)
        self.now = end

    @property
    def titles(self) -> list[str]:
        return [notice.title for notice in self.told]


def test_a_batch_is_told_at_its_first_result_and_at_its_end() -> None:
    listener = Listener()
    listener.hear(left(43))
    for number in range(1, 44):
        failed = number == 30
        listener.hear(left(43 - number), job(number, "failed", "damaged") if failed else job(number))
        listener.after(1)
    listener.after(10)
    assert listener.titles == ["1.jpg is cut out", "42 cut out, 1 failed"]
    first, last = listener.told
    assert first == Notice("1.jpg is cut out", "42 more to come", 1, "/home/u/In-out/1.png")
    assert last.path == "/home/u/In-out"


def test_one_photograph_is_told_once_and_nothing_more_is_promised() -> None:
    listener = Listener()
    listener.hear(left(1))
    listener.hear(left(1), job(1))  # the count comes a little later than the photograph
    listener.hear(IDLE)
    listener.after(60)
    assert listener.told == [Notice("1.jpg is cut out", "", 1, "/home/u/In-out/1.png")]


@pytest.mark.parametrize(
    ("ended", "title", "text"),
    [
        (job(1, "failed", "damaged"), "1.jpg cannot be cut out", "cut off"),
        (job(1, outcome="no_subject"), "1.jpg: no subject was found", ""),
    ],
)
def test_one_photograph_without_a_result_says_why(ended: dict[str, Any], title: str, text: str) -> None:
    listener = Listener()
    listener.hear(IDLE, ended)
    listener.after(60)
    assert [(notice.title, notice.text, notice.path) for notice in listener.told] == [(title, text, "/home/u/In")]


def test_what_has_no_subject_is_counted() -> None:
    listener = Listener()
    listener.hear(left(1), job(1, outcome="no_subject"), job(2, "failed", "damaged"))
    listener.hear(IDLE, job(3))
    listener.after(10)
    assert listener.titles[-1] == "1 cut out, 1 failed, 1 without a subject"


def test_photographs_that_come_one_by_one_are_not_a_notification_each() -> None:
    listener = Listener()
    for number in range(1, 31):
        listener.hear(IDLE, job(number))
        listener.after(10)
    listener.after(60)
    assert len(listener.told) <= 12
    assert listener.titles[0] == "1.jpg is cut out"
    counted = sum(1 if ".jpg" in title else int(title.split()[0]) for title in listener.titles)
    assert counted == 30


def test_a_batch_that_rests_for_a_pause_goes_on_afterwards() -> None:
    listener = Listener()
    listener.hear(left(1), job(1))
    listener.after(3600)
    listener.hear(IDLE, job(2))
    listener.after(60)
    assert listener.titles == ["1.jpg is cut out", "2 cut out"]


def test_what_becomes_of_an_original_is_no_second_result() -> None:
    listener = Listener()
    listener.hear(IDLE, job(1))
    listener.after(60)
    listener.hear(IDLE, job(1, original="moved"))
    listener.after(60)
    assert len(listener.told) == 1
    listener.hear(IDLE, job(1, "pending"), job(1, finished_at=99.0))  # done again
    listener.after(60)
    assert len(listener.told) == 2


def test_trouble_is_told_when_it_lasts_once_and_with_its_remedy() -> None:
    listener = Listener()
    listener.hear(FULL)
    assert listener.told == []
    listener.after(600)
    (notice,) = listener.told
    assert (notice.title, notice.text) == ("Alphadrop needs attention", "In: disk full\nfree some space")
    assert notice.is_urgent


def test_trouble_that_passes_is_not_told() -> None:
    listener = Listener()
    for _ in range(20):
        listener.hear(FULL)
        listener.after(8)
        listener.hear(IDLE)
        listener.after(8)
    assert listener.told == []


def test_trouble_that_comes_and_goes_is_told_once_an_hour() -> None:
    listener = Listener()
    for _ in range(120):
        listener.hear(FULL)
        listener.after(30)
        listener.hear(IDLE)
        listener.after(30)
    assert len(listener.told) == 2


def test_a_mistake_in_the_configuration_opens_it() -> None:
    listener = Listener()
    listener.hear(with_status(NOT_RUNNING, status(configuration={"file": "/c.yaml", "problems": ["/c.yaml:3: no"]})))
    listener.after(60)
    assert [(notice.text, notice.path) for notice in listener.told] == [
        ("The configuration has a mistake\n/c.yaml:3: no", "/c.yaml")
    ]


def test_one_switch_turns_all_of_it_off() -> None:
    listener = Listener()
    listener.hear(replace(FULL, may_notify=False), job(1))
    listener.after(600)
    assert listener.told == []
    listener.hear(IDLE)
    listener.after(600)
    assert listener.told == []  # nothing of before is told later


def test_a_daemon_that_was_lost_ends_the_batch_silently() -> None:
    listener = Listener()
    listener.hear(left(5), job(1))
    listener.after(2)
    listener.hear(NOT_RUNNING)
    listener.after(600)
    assert listener.titles == ["1.jpg is cut out"]


def test_it_speaks_chinese() -> None:
    listener = Listener("zh")
    listener.hear(left(1), job(1))
    listener.after(2)
    listener.hear(IDLE, job(2, "failed", "damaged"))
    listener.after(60)
    assert listener.titles == ["1.jpg 抠图完成", "1 张抠图完成，1 张失败"]
    assert listener.told[0].text == "还有 1 张"
