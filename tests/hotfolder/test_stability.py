"""A file has settled when it has stayed as it is for the settle time, by a clock that never jumps."""

from __future__ import annotations

from pathlib import PurePath

from alphadrop.hotfolder.stability import Content, Settling

X, Y = PurePath("x.jpg"), PurePath("y.jpg")
SMALL, LARGE = Content(10, 1), Content(20, 2)


def test_the_first_look_never_settles_a_file() -> None:
    settling = Settling(2.0)
    settling.add(X)
    assert not settling.look(X, SMALL, 100.0)


def test_a_file_settles_after_the_whole_time_and_not_before() -> None:
    settling = Settling(2.0)
    settling.add(X)
    settling.look(X, SMALL, 100.0)
    assert not settling.look(X, SMALL, 101.99)
    assert settling.look(X, SMALL, 102.0)


def test_every_change_begins_the_time_anew() -> None:
    settling = Settling(2.0)
    settling.add(X)
    settling.look(X, SMALL, 100.0)
    assert not settling.look(X, LARGE, 101.9)
    assert not settling.look(X, LARGE, 103.8)
    assert settling.look(X, LARGE, 103.9)


def test_a_change_of_time_alone_is_a_change() -> None:
    settling = Settling(2.0)
    settling.look(X, Content(10, 1), 0.0)
    assert not settling.look(X, Content(10, 2), 5.0)


def test_hearing_of_a_file_again_does_not_begin_its_time_anew() -> None:
    settling = Settling(2.0)
    settling.add(X)
    settling.look(X, SMALL, 100.0)
    settling.add(X)
    assert settling.look(X, SMALL, 102.0)


def test_no_settle_time_settles_at_the_first_look() -> None:
    settling = Settling(0.0)
    settling.add(X)
    assert settling.look(X, SMALL, 100.0)


def test_the_next_look_is_when_the_first_file_could_have_settled() -> None:
    settling = Settling(2.0)
    assert settling.next_look(100.0) is None
    settling.look(X, SMALL, 100.0)
    settling.look(Y, SMALL, 101.0)
    assert settling.next_look(101.5) == 0.5
    assert settling.next_look(110.0) == 0.0
    settling.drop(X)
    assert settling.next_look(101.5) == 1.5


def test_a_dropped_file_is_no_longer_looked_at() -> None:
    settling = Settling(2.0)
    settling.add(X)
    settling.add(Y)
    for path in settling.due(100.0):
        settling.drop(path)
    assert len(settling) == 0
    assert settling.due(1e9) == []
    settling.drop(X)


def test_due_are_the_files_that_could_have_settled_and_those_not_looked_at_yet() -> None:
    settling = Settling(2.0)
    settling.look(X, SMALL, 100.0)
    settling.add(Y)
    assert settling.due(100.0) == [Y]
    settling.look(Y, SMALL, 101.0)
    assert settling.due(101.9) == []
    assert settling.due(102.0) == [X]
    assert settling.due(103.0) == [X, Y]
    settling.look(X, LARGE, 103.0)
    assert settling.due(103.0) == [Y]


def test_without_a_settle_time_every_file_is_due_at_once() -> None:
    settling = Settling(0.0)
    settling.look(X, SMALL, 100.0)
    settling.add(Y)
    assert settling.due(100.0) == [X, Y]


def test_a_file_not_looked_at_yet_is_to_be_looked_at_now() -> None:
    settling = Settling(2.0)
    settling.look(X, SMALL, 100.0)
    settling.add(Y)
    assert settling.next_look(100.0) == 0.0
