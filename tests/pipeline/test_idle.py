"""What is done when there is no work comes once, after the last of it."""

from __future__ import annotations

import threading

import pytest

from alphadrop.pipeline.idle import Idle
from daemon_process import PATIENCE, wait_for


def test_it_comes_once_after_the_last_work() -> None:
    done: list[int] = []
    idle = Idle(0.05, lambda: done.append(1))
    with idle.working():
        with idle.working():
            pass
        assert not threading.Event().wait(0.2), "time enough to be called too early"
        assert done == []
    wait_for(lambda: done, "it to be done")
    with idle.working():
        pass
    wait_for(lambda: len(done) == 2, "it to be done again")


def test_it_does_not_come_where_there_is_work_again_in_time() -> None:
    called = threading.Event()
    idle = Idle(PATIENCE, called.set)
    with idle.working():
        pass
    waiting = [thread for thread in threading.enumerate() if thread.name == "idle"]
    with idle.working():
        for thread in waiting:
            thread.join(PATIENCE / 2)
            assert not thread.is_alive(), "it was told not to wait any longer"
    assert not called.is_set()


def test_it_comes_also_after_work_that_failed() -> None:
    called = threading.Event()
    idle = Idle(0.0, called.set)
    with pytest.raises(ValueError, match="no number"), idle.working():
        raise ValueError("no number")
    assert called.wait(PATIENCE)
