"""Whoever waits for a disk is known to stand still only when nothing at all comes back."""

from __future__ import annotations

import io
import math
import os
from pathlib import Path
from threading import Event, Thread
from types import SimpleNamespace

import pytest

from alphadrop.hotfolder import answers as module
from alphadrop.hotfolder.answers import Answers, AskedFile, ask
from daemon_process import PATIENCE, wait_for
from fake_segmenter import Clock


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(module, "time", SimpleNamespace(monotonic=clock))
    return clock


def test_who_asks_nothing_waits_for_nothing(clock: Clock) -> None:
    answers = Answers()
    clock.now += 1000
    assert not answers.is_silent
    assert answers.silent_in == math.inf


def test_a_question_without_an_answer_is_silence_until_it_comes(clock: Clock) -> None:
    answers = Answers()
    with answers.awaited():
        clock.now += 59
        assert answers.silent_in == 1
        assert not answers.is_silent
        clock.now += 1
        assert answers.is_silent
        answers.came()
        assert not answers.is_silent
        clock.now += 60
        assert answers.is_silent
    assert not answers.is_silent


def test_work_that_takes_long_and_every_entry_that_comes_slowly_are_no_silence(clock: Clock) -> None:
    answers = Answers()
    with answers.awaited():
        for _ in answers.each(range(10)):
            clock.now += 59
            assert not answers.is_silent
        with answers.not_awaited():
            clock.now += 1000
            assert not answers.is_silent
            with answers.awaited():
                clock.now += 60
                assert answers.is_silent
            assert not answers.is_silent
        clock.now += 60
        assert answers.is_silent


@pytest.mark.parametrize("size", [0, 10, 3 << 20])
def test_a_file_is_read_as_any_other(tmp_path: Path, size: int) -> None:
    whole = os.urandom(size)
    (tmp_path / "a").write_bytes(whole)
    with io.BufferedReader(AskedFile(os.open(tmp_path / "a", os.O_RDONLY), Answers())) as stream:
        assert stream.read() == whole
        stream.seek(0)
        assert stream.read(7) == whole[:7]
        stream.seek(size // 2)
        assert b"".join(iter(lambda: stream.read(1 << 16), b"")) == whole[size // 2 :]
        assert os.fstat(stream.fileno()).st_size == size


@pytest.mark.parametrize("size", [-1, 4])
def test_reading_that_stands_still_is_silence_though_what_reads_is_work(clock: Clock, size: int) -> None:
    reading, writing = os.pipe()  # it answers when somebody writes to it
    answers, read = Answers(), list[bytes]()

    def work() -> None:
        with answers.awaited(), answers.not_awaited(), AskedFile(reading, answers) as file:
            read.append(file.read(size))

    thread = Thread(target=work, daemon=True)
    thread.start()
    wait_for(lambda: answers.silent_in < math.inf, "the question")
    clock.now += 60
    assert answers.is_silent
    os.write(writing, b"abcd")
    os.close(writing)
    thread.join(PATIENCE)
    assert read == [b"abcd"]
    assert not answers.is_silent


def test_of_several_questions_those_are_answered_that_can_be(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_SOON", 0.1)
    back = Event()
    asked = []

    def answer(place: str) -> bool:
        asked.append(place)
        return place == "soon" or back.wait(PATIENCE)

    for _ in range(3):
        assert ask(answer, ["soon", "never"]) == {"soon": True}
    assert asked.count("never") == 1, "who hangs is not joined by others"
    back.set()
    wait_for(lambda: ask(answer, ["never"]) == {"never": True}, "it to be asked again")


def test_questions_that_are_all_answered_are_not_waited_for_longer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_SOON", PATIENCE)
    assert ask(str, range(3)) == {0: "0", 1: "1", 2: "2"}
    assert ask(str, []) == {}
