"""One thread ends what another does for it: the order itself, and the real network under it."""

from __future__ import annotations

import copy
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from alphadrop.engine.cancellation import Cancellation
from alphadrop.engine.cutout import Engine
from alphadrop.engine.onnx_runtime import OnnxSegmenter
from alphadrop.engine.photo import from_image
from alphadrop.errors import Cancelled, ModelDamaged
from daemon_process import PATIENCE


def test_without_the_order_nothing_is_ended() -> None:
    cancellation, stopped = Cancellation(), []
    assert not cancellation.cancelled
    cancellation.check()
    with cancellation.stopping_by(lambda: stopped.append(1)):
        pass
    assert not stopped


def test_order_ends_what_is_being_done_once() -> None:
    cancellation, stopped = Cancellation(), []
    with cancellation.stopping_by(lambda: stopped.append(1)):
        cancellation.cancel()
        cancellation.cancel()
    assert stopped == [1]
    assert cancellation.cancelled
    with pytest.raises(Cancelled):
        cancellation.check()


def test_order_that_was_given_before_lets_nothing_begin() -> None:
    cancellation, stopped = Cancellation(), []
    cancellation.cancel()
    with pytest.raises(Cancelled), cancellation.stopping_by(lambda: stopped.append(1)):
        raise AssertionError("it began")
    assert not stopped


def test_what_is_over_is_not_ended() -> None:
    cancellation, stopped = Cancellation(), []
    with cancellation.stopping_by(lambda: stopped.append("over")):
        pass
    with pytest.raises(ZeroDivisionError), cancellation.stopping_by(lambda: stopped.append("failed")):
        raise ZeroDivisionError
    cancellation.cancel()
    assert not stopped


def test_one_way_to_end_it_that_is_given_twice_is_over_once_only() -> None:
    cancellation, stopped = Cancellation(), []

    def stop() -> None:
        stopped.append(1)

    with cancellation.stopping_by(stop):
        with cancellation.stopping_by(stop):
            pass
        cancellation.cancel()
    assert stopped == [1]


def test_everything_that_is_done_under_one_order_is_ended() -> None:
    cancellation, stopped = Cancellation(), []
    with (
        cancellation.stopping_by(lambda: stopped.append("outer")),
        cancellation.stopping_by(lambda: stopped.append("inner")),
    ):
        cancellation.cancel()
    assert sorted(stopped) == ["inner", "outer"]


def test_error_because_of_the_order_is_the_order() -> None:
    cancellation = Cancellation()

    def breaking_off() -> None:
        with cancellation.stopping_by(lambda: None):
            cancellation.cancel()
            raise ValueError("broken off")

    with pytest.raises(Cancelled) as caught:
        breaking_off()
    assert isinstance(caught.value.__context__, ValueError)


def test_error_without_the_order_stays_what_it_is() -> None:
    with pytest.raises(ValueError, match="its own"), Cancellation().stopping_by(lambda: None):
        raise ValueError("its own")


def test_result_that_was_there_before_the_order_is_kept() -> None:
    cancellation, results = Cancellation(), []
    with cancellation.stopping_by(lambda: None):
        results.append(1)
        cancellation.cancel()
    assert results == [1]


def test_order_from_another_thread_is_never_lost() -> None:
    for _ in range(300):
        cancellation, woken, ready = Cancellation(), threading.Event(), threading.Barrier(2)

        def give(cancellation: Cancellation = cancellation, ready: threading.Barrier = ready) -> None:
            ready.wait(PATIENCE)
            cancellation.cancel()

        thread = threading.Thread(target=give)
        thread.start()
        ready.wait(PATIENCE)
        try:
            with cancellation.stopping_by(woken.set):
                assert woken.wait(PATIENCE), "the order was lost"
        except Cancelled:
            pass
        thread.join(PATIENCE)


# The real network


class Endless:
    """A session whose every run is repeated until it is ended."""

    def __init__(self, session: Any) -> None:
        self.session = session
        self.began = threading.Event()

    def run(self, outputs: list[str], inputs: dict[str, NDArray[np.float32]], options: object) -> Any:
        for _ in range(10_000):
            self.session.run(outputs, inputs, options)
            self.began.set()
        raise AssertionError("it was never ended")


def endless(segmenter: OnnxSegmenter) -> tuple[OnnxSegmenter, Endless]:
    """Return the same network, running until it is ended."""
    twin = copy.copy(segmenter)
    twin._session = running = Endless(segmenter._session)
    return twin, running


@pytest.fixture(scope="module")
def segmenter(engine: Engine) -> OnnxSegmenter:
    found = engine.warm()
    assert isinstance(found, OnnxSegmenter)
    return found


@pytest.fixture(scope="module")
def view(astronaut: NDArray[np.uint8], segmenter: OnnxSegmenter) -> NDArray[np.uint8]:
    return from_image(Image.fromarray(astronaut)).view(segmenter.spec.input_size)


def end_when_begun(running: Endless, cancellation: Cancellation) -> threading.Thread:
    def end() -> None:
        assert running.began.wait(PATIENCE)
        cancellation.cancel()

    thread = threading.Thread(target=end)
    thread.start()
    return thread


def test_run_of_the_network_is_ended_from_another_thread(segmenter: OnnxSegmenter, view: NDArray[np.uint8]) -> None:
    before = segmenter.saliency(view)
    for _ in range(3):
        cancellation, (twin, running) = Cancellation(), endless(segmenter)
        thread = end_when_begun(running, cancellation)
        with pytest.raises(Cancelled):
            twin.saliency(view, cancellation)
        thread.join(PATIENCE)
        np.testing.assert_array_equal(segmenter.saliency(view, Cancellation()), before)


def test_order_of_one_run_leaves_another_alone(segmenter: OnnxSegmenter, view: NDArray[np.uint8]) -> None:
    before = segmenter.saliency(view)
    found: list[NDArray[np.float32]] = []
    stop = threading.Event()

    def others() -> None:
        while not (stop.is_set() and found):
            found.append(segmenter.saliency(view, Cancellation()))

    other = threading.Thread(target=others)
    other.start()
    try:
        cancellation, (twin, running) = Cancellation(), endless(segmenter)
        thread = end_when_begun(running, cancellation)
        with pytest.raises(Cancelled):
            twin.saliency(view, cancellation)
        thread.join(PATIENCE)
    finally:
        stop.set()
        other.join(PATIENCE)
    assert found
    for each in found:
        np.testing.assert_array_equal(each, before)


def test_order_given_before_keeps_the_network_from_running(segmenter: OnnxSegmenter, view: NDArray[np.uint8]) -> None:
    cancellation, (twin, running) = Cancellation(), endless(segmenter)
    cancellation.cancel()
    with pytest.raises(Cancelled):
        twin.saliency(view, cancellation)
    assert not running.began.is_set()


def test_network_that_fails_by_itself_is_not_taken_for_ended(segmenter: OnnxSegmenter) -> None:
    with pytest.raises(ModelDamaged):
        segmenter.saliency(np.zeros((7, 7, 3), np.uint8), Cancellation())


def test_ended_look_gives_its_turn_back(segmenter: OnnxSegmenter, astronaut: NDArray[np.uint8]) -> None:
    events: list[str] = []

    @contextmanager
    def turn() -> Iterator[None]:
        events.append("taken")
        try:
            yield
        finally:
            events.append("given back")

    cancellation, photo = Cancellation(), from_image(Image.fromarray(astronaut))
    twin, running = endless(segmenter)
    thread = end_when_begun(running, cancellation)
    with pytest.raises(Cancelled):
        Engine(load=lambda *_: twin).look(photo, turn=turn(), cancellation=cancellation)
    thread.join(PATIENCE)
    assert events == ["taken", "given back"]
