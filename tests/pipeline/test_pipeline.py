"""Several photographs at once: people overtake folders, steps overlap, memory is bounded, and anything can be ended."""

from __future__ import annotations

import copy
import io
import threading
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from alphadrop.engine import cutout, encode
from alphadrop.engine.cancellation import Cancellation
from alphadrop.engine.cutout import Cut, Engine, EngineRecipe
from alphadrop.engine.models import ModelSpec
from alphadrop.engine.options import CutOptions
from alphadrop.engine.photo import Photo, decode, from_image
from alphadrop.errors import (
    AlphadropError,
    BadOptions,
    Cancelled,
    CrashesDecoder,
    DamagedPhoto,
    EmptyPhoto,
    ModelDamaged,
    PhotoTooLarge,
    UnknownModel,
)
from alphadrop.pipeline import pipeline as module
from alphadrop.pipeline.order import Finished, Kind, Order, draw
from alphadrop.pipeline.pipeline import Pipeline
from alphadrop.pipeline.turns import PixelBudget
from daemon_process import PATIENCE, wait_for
from fake_segmenter import FakeEngine, FakeSegmenter

SMALL = (48, 40)
PLAIN = CutOptions(edges="plain")


def encoded(size: tuple[int, int] = SMALL) -> bytes:
    stream = io.BytesIO()
    Image.new("RGB", size, (220, 30, 40)).save(stream, "PNG")
    return stream.getvalue()


def order(name: str, **other: Any) -> Order:
    return Order(name, **{"options": PLAIN, "model": "u2net-int8", **other})


class Job:
    """Something done in a thread of that name, and what came of it."""

    def __init__(self, name: str, work: Callable[[Cancellation], Any]) -> None:
        self.cancellation = Cancellation()
        self._work = work
        self._result: Any = None
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        try:
            self._result = self._work(self.cancellation)
        except BaseException as error:
            self._error = error

    @property
    def ended(self) -> bool:
        return not self._thread.is_alive()

    def error(self) -> BaseException | None:
        """Wait for the end; return what it failed with."""
        self._thread.join(PATIENCE)
        assert self.ended, f"{self._thread.name} never ends"
        return self._error

    def result(self) -> Any:
        """Wait for the end; return what came of it."""
        error = self.error()
        if error is not None:
            raise error
        return self._result


class Stage:
    """A pipeline around a fake network; who takes which step is noted, and can be held up there."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, **settings: Any) -> None:
        self.taken: list[tuple[str, str]] = []
        self.loaded: list[int] = []
        self._held: dict[tuple[str, str], threading.Event] = {}
        self.engine = self.new_engine(monkeypatch)
        self.pipeline = Pipeline(self.engine, **settings)

        def decoding(stream: io.BytesIO, name: str, **options: Any) -> Photo:
            self.step("decode")
            return decode(stream, name, **options)

        def drawing(*arguments: Any) -> Finished:
            self.step("draw")
            return draw(*arguments)

        monkeypatch.setattr(module, "decode", decoding)
        monkeypatch.setattr(module, "draw", drawing)

    def new_engine(self, monkeypatch: pytest.MonkeyPatch) -> Engine:
        def load(spec: ModelSpec, threads: int) -> FakeSegmenter:
            self.loaded.append(threads)
            return FakeSegmenter(spec, before=lambda: self.step("network"))

        engine = Engine(load=load, threads=4)
        find_matte = engine.find_matte

        def finding(*arguments: Any, **options: Any) -> Cut:
            self.step("matte")
            return find_matte(*arguments, **options)

        monkeypatch.setattr(engine, "find_matte", finding)
        return engine

    def step(self, step: str) -> None:
        """Note that the current thread takes a step, and wait there if it is held."""
        taken = (threading.current_thread().name, step)
        self.taken.append(taken)
        if taken in self._held:
            assert self._held[taken].wait(PATIENCE), taken

    def hold(self, name: str, step: str) -> None:
        self._held[name, step] = threading.Event()

    def let_go(self, name: str, step: str) -> None:
        self._held[name, step].set()

    def has(self, name: str, step: str) -> bool:
        return (name, step) in self.taken

    def wait_for(self, name: str, step: str) -> None:
        wait_for(lambda: self.has(name, step), f"{name} to come to {step}")

    def folder(self, name: str, size: tuple[int, int] = SMALL, data: bytes | None = None, **other: Any) -> Job:
        """Begin a photograph of a hot folder."""
        stream = io.BytesIO(encoded(size) if data is None else data)
        return Job(name, lambda cancellation: self.pipeline.cut(stream, order(name, **other), cancellation))

    def person(self, name: str = "somebody") -> Job:
        """Begin a photograph that somebody waits for."""
        photo = from_image(Image.new("RGB", SMALL, (220, 30, 40)))
        return Job(name, lambda cancellation: self.pipeline.cut_now(photo, PLAIN, cancellation=cancellation))

    def wait_for_turns(self, count: int) -> None:
        """Wait until so many threads wait for their turn."""
        waiters = self.pipeline._turns._changed._waiters  # type: ignore[attr-defined]
        wait_for(lambda: len(waiters) == count, f"{count} threads to wait for their turn")

    def wait_for_room(self, count: int) -> None:
        """Wait until so many threads wait for room."""
        budget = self.pipeline.budget
        wait_for(lambda: len(budget._changed._waiters) == count, f"{count} to wait for room")  # type: ignore[attr-defined]

    @property
    def network(self) -> list[str]:
        """Who had the network, in that order."""
        return [name for name, step in self.taken if step == "network"]

    def assert_free(self) -> None:
        """Fail unless nothing is held and a photograph goes all the way."""
        assert self.pipeline.budget.held == 0
        assert self.folder("afterwards").result().subject
        assert self.person("afterwards").result().subject
        assert self.pipeline.budget.held == 0


@pytest.fixture
def stage(monkeypatch: pytest.MonkeyPatch) -> Stage:
    return Stage(monkeypatch)


# What comes out


def test_photograph_of_a_folder_comes_out_as_from_the_engine(engine: Engine, photographs: dict[str, Path]) -> None:
    xmp: Mapping[Kind, bytes] = {"cutout": b"<x:xmpmeta xmlns:x='adobe:ns:meta/'/>"}
    wanted = order("cat", options=CutOptions(background=(255, 255, 255)), kinds=("cutout", "mask"), xmp=xmp)
    data = photographs["cat"].read_bytes()
    found = Pipeline(engine).cut(io.BytesIO(data), wanted, Cancellation())
    cut = engine.cut(io.BytesIO(data), "cat", wanted.options)
    assert found.outputs == {
        "cutout": list(engine.draw(cut, wanted.options, xmp=xmp["cutout"])),
        "mask": list(engine.draw_mask(cut, wanted.options)),
    }
    assert xmp["cutout"] in b"".join(found.outputs["cutout"])
    assert (found.subject, found.model, found.warnings) == (True, "u2net-int8", ())
    assert {"decode", "network", "matte", "encode"} <= set(found.seconds)


def test_photograph_that_somebody_waits_for_is_cut_as_from_the_engine(
    engine: Engine, photographs: dict[str, Path]
) -> None:
    with Image.open(photographs["cat"]) as image:
        photo = from_image(image)
    found = Pipeline(engine).cut_now(photo, PLAIN)
    np.testing.assert_array_equal(found.alpha, engine.cut_photo(photo, PLAIN).alpha)


def test_where_there_is_no_subject_there_is_no_output(monkeypatch: pytest.MonkeyPatch) -> None:
    engine = Engine(load=lambda spec, _: FakeSegmenter(spec, subject=False))
    found = Pipeline(engine).cut(io.BytesIO(encoded()), order("nothing"), Cancellation())
    assert (found.subject, dict(found.outputs)) == (False, {})


# People before folders


def test_whoever_somebody_waits_for_overtakes_folders_at_every_step(stage: Stage) -> None:
    held = {"drawn": "draw", "matted": "matte", "run": "network", "decoded": "decode"}
    jobs: dict[str, Job] = {}
    for (
        name,
        step,
    ) in held.items():  # from the last step to the first: each has to come there before the network is held
        stage.hold(name, step)
        jobs[name] = stage.folder(name)
        stage.wait_for(name, step)
    jobs["queued"] = stage.folder("queued")
    stage.wait_for_turns(1)
    stage.hold("somebody", "network")
    person = stage.person()
    stage.wait_for_turns(2)
    jobs["late"] = stage.folder("late")
    for name in ("drawn", "matted", "decoded"):
        stage.let_go(name, held[name])
    jobs["drawn"].result()
    stage.wait_for_turns(5)
    assert not person.ended, "one run of a folder was under way, and is not broken off"
    stage.let_go("run", "network")
    stage.wait_for("somebody", "network")
    stage.wait_for_turns(5)  # the same but somebody, and what has run
    assert stage.network == ["drawn", "matted", "run", "somebody"]
    further = {("decoded", "network"), ("matted", "draw"), ("run", "matte"), ("queued", "network"), ("late", "decode")}
    assert not further & set(stage.taken)
    assert not any(job.ended for name, job in jobs.items() if name != "drawn")
    stage.let_go("somebody", "network")
    assert person.result().subject
    for job in jobs.values():
        assert job.result().subject
    assert stage.pipeline.budget.held == 0


def test_each_that_somebody_waits_for_waits_for_one_run_of_a_folder_at_most(stage: Stage) -> None:
    folders = {}
    for number in range(6):
        name = f"folder {number}"
        stage.hold(name, "network")
        folders[name] = stage.folder(name)
    wait_for(lambda: stage.network, "the first of the folders")
    for turn in range(1, 6):
        stage.wait_for_turns(6 - turn)
        running = stage.network[-1]
        person = stage.person(f"somebody {turn}")
        stage.wait_for_turns(7 - turn)
        stage.let_go(running, "network")
        person.result()
        folders[running].result()
        wait_for(lambda turn=turn: len(stage.network) == 2 * turn + 1, "the next of the folders")  # type: ignore[misc]
        assert stage.network[2 * turn - 1] == f"somebody {turn}"
    stage.let_go(stage.network[-1], "network")
    for folder in folders.values():
        folder.result()


def test_folders_go_on_when_what_somebody_waited_for_fails_or_is_ended(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage.hold("run", "network")
    run = stage.folder("run")
    stage.wait_for("run", "network")
    ended = stage.person("ended")
    stage.wait_for_turns(1)
    ended.cancellation.cancel()
    assert isinstance(ended.error(), Cancelled)
    stage.let_go("run", "network")
    run.result()
    with pytest.raises(UnknownModel):
        stage.pipeline.cut_now(from_image(Image.new("RGB", SMALL)), PLAIN, model="no such")
    stage.assert_free()


# Steps that overlap


def test_the_next_photographs_are_decoded_and_the_last_encoded_while_the_network_runs(stage: Stage) -> None:
    stage.hold("last", "draw")
    last = stage.folder("last")
    stage.wait_for("last", "draw")
    stage.hold("first", "network")
    first = stage.folder("first")
    stage.wait_for("first", "network")
    stage.let_go("last", "draw")
    last.result()
    nexts = [stage.folder(name) for name in ("second", "third")]
    for name in ("second", "third"):
        stage.wait_for(name, "decode")
    stage.wait_for_turns(2)
    assert stage.network == ["last", "first"], "only one is looked at at a time"
    stage.let_go("first", "network")
    for each in (first, *nexts):
        each.result()


# Pixels in flight


def test_small_photographs_are_in_flight_together_and_a_large_one_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    stage = Stage(monkeypatch, in_flight_pixels=5 * SMALL[0] * SMALL[1])
    jobs = []
    for name in "abcde":
        stage.hold(name, "decode")
        jobs.append(stage.folder(name))
    for name in "abcde":
        stage.wait_for(name, "decode")
    assert stage.pipeline.budget.held == stage.pipeline.budget.pixels
    stage.hold("large", "decode")
    jobs.append(stage.folder("large", (300, 200)))
    stage.wait_for_room(1)
    jobs.append(stage.folder("later"))
    stage.wait_for_room(2)
    for name in "abcd":
        stage.let_go(name, "decode")
        jobs.pop(0).result()
    assert not stage.has("large", "decode"), "one is in flight yet"
    assert not stage.has("later", "decode"), "it came after the large one"
    stage.let_go("e", "decode")
    stage.wait_for("large", "decode")
    assert stage.pipeline.budget.held == 300 * 200
    assert not stage.has("later", "decode")
    stage.let_go("large", "decode")
    for job in jobs:
        job.result()
    assert stage.pipeline.budget.held == 0


def test_budget_that_is_replaced_is_given_back_what_it_gave(stage: Stage) -> None:
    stage.hold("a", "network")
    job, before = stage.folder("a"), stage.pipeline.budget
    stage.wait_for("a", "network")
    stage.pipeline.budget = PixelBudget(1)
    stage.let_go("a", "network")
    job.result()
    assert before.held == stage.pipeline.budget.held == 0
    stage.assert_free()


def test_engine_that_is_replaced_ends_what_it_began(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    stage.hold("a", "decode")
    job = stage.folder("a")
    stage.wait_for("a", "decode")
    stage.pipeline.engine = stage.new_engine(monkeypatch)
    stage.pipeline.engine.max_pixels = 5
    stage.let_go("a", "decode")
    assert job.result().subject
    assert isinstance(stage.folder("b").error(), PhotoTooLarge)


# Errors


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (b"", EmptyPhoto),
        (encoded((900, 900))[:300], DamagedPhoto),
        (encoded()[:10] + b"\xff" * 90, AlphadropError),
    ],
)
def test_photograph_that_cannot_be_opened_holds_nothing(stage: Stage, data: bytes, kind: type[AlphadropError]) -> None:
    error = stage.folder("odd.png", data=data).error()
    assert isinstance(error, kind)
    assert "odd.png" in error.message
    stage.assert_free()


def test_photograph_above_the_limit_is_refused_before_it_waits_for_room(stage: Stage) -> None:
    stage.engine.max_pixels = 10_000
    stage.hold("small", "network")
    small = stage.folder("small")
    stage.wait_for("small", "network")
    assert isinstance(stage.folder("large", (200, 200)).error(), PhotoTooLarge)
    assert not stage.has("large", "decode")
    stage.let_go("small", "network")
    small.result()


def test_model_that_is_unknown_holds_nothing(stage: Stage) -> None:
    assert isinstance(stage.folder("a", model="no such").error(), UnknownModel)
    stage.assert_free()


@pytest.mark.parametrize("step", ["decode", "network", "matte", "draw"])
@pytest.mark.parametrize("error", [ModelDamaged("broken"), BadOptions("no"), MemoryError(), ZeroDivisionError()])
def test_step_that_fails_holds_nothing(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, step: str, error: Exception
) -> None:
    plain = stage.step

    def failing(taken: str) -> None:
        plain(taken)
        if threading.current_thread().name == "failing" and taken == step:
            raise error

    monkeypatch.setattr(stage, "step", failing)
    assert stage.folder("failing").error() is error
    stage.assert_free()


# Ended from another thread


def test_ended_while_it_waits_for_room(monkeypatch: pytest.MonkeyPatch) -> None:
    stage = Stage(monkeypatch, in_flight_pixels=1)
    stage.hold("first", "network")
    first = stage.folder("first")
    stage.wait_for("first", "network")
    second, third = stage.folder("second"), stage.folder("third")
    stage.wait_for_room(2)
    second.cancellation.cancel()
    assert isinstance(second.error(), Cancelled)
    assert not stage.has("second", "decode")
    assert not third.ended
    stage.let_go("first", "network")
    first.result()
    third.result()
    stage.assert_free()


@pytest.mark.parametrize("step", ["decode", "network", "matte", "draw"])
def test_ended_while_it_gives_way_before_a_step(stage: Stage, step: str) -> None:
    before = {"decode": None, "network": "decode", "matte": "network", "draw": "matte"}[step]
    stage.hold("somebody", "matte")
    if before is None:
        person = stage.person()
        stage.wait_for("somebody", "matte")
        job = stage.folder("a")
    else:
        stage.hold("a", before)
        job = stage.folder("a")
        stage.wait_for("a", before)
        person = stage.person()
        if before != "network":
            stage.wait_for("somebody", "matte")
        else:
            stage.wait_for_turns(1)
        stage.let_go("a", before)
    stage.wait_for("somebody", "matte")
    stage.wait_for_turns(1)
    job.cancellation.cancel()
    assert isinstance(job.error(), Cancelled)
    assert not stage.has("a", step)
    assert stage.pipeline.budget.held == 0, "while somebody still waits"
    stage.let_go("somebody", "matte")
    person.result()
    stage.assert_free()


@pytest.mark.parametrize("waits", ["folder", "person"])
def test_ended_while_it_waits_for_the_network(stage: Stage, waits: str) -> None:
    stage.hold("run", "network")
    run = stage.folder("run")
    stage.wait_for("run", "network")
    job = stage.folder("a") if waits == "folder" else stage.person("a")
    stage.wait_for_turns(1)
    job.cancellation.cancel()
    assert isinstance(job.error(), Cancelled)
    assert stage.network == ["run"]
    stage.let_go("run", "network")
    run.result()
    stage.assert_free()


@pytest.mark.parametrize("step", ["decode", "network", "matte"])
def test_ended_in_a_step_it_ends_after_it(stage: Stage, step: str) -> None:
    stage.hold("a", step)
    job = stage.folder("a")
    stage.wait_for("a", step)
    job.cancellation.cancel()
    stage.let_go("a", step)
    assert isinstance(job.error(), Cancelled)
    assert stage.taken[-1] == ("a", step)
    stage.assert_free()


def test_ended_before_it_began(stage: Stage) -> None:
    cancellation = Cancellation()
    cancellation.cancel()
    with pytest.raises(Cancelled):
        stage.pipeline.cut(io.BytesIO(encoded()), order("a"), cancellation)
    with pytest.raises(Cancelled):
        stage.pipeline.cut_now(from_image(Image.new("RGB", SMALL)), PLAIN, cancellation=cancellation)
    assert stage.taken == []
    stage.assert_free()


class Endless:
    """A session whose every run is repeated until it is ended."""

    def __init__(self, session: Any) -> None:
        self._session = session
        self.began = threading.Event()

    def run(self, *arguments: object) -> object:
        for _ in range(10_000):
            self._session.run(*arguments)
            self.began.set()
        raise AssertionError("it was never ended")


@pytest.mark.parametrize("who", ["folder", "person"])
def test_ended_in_the_real_network(engine: Engine, photographs: dict[str, Path], who: str) -> None:
    twin: Any = copy.copy(engine.warm())
    twin._session = running = Endless(twin._session)
    pipeline = Pipeline(Engine(load=lambda *_: twin))
    data = photographs["cat"].read_bytes()

    def work(cancellation: Cancellation) -> object:
        if who == "folder":
            return pipeline.cut(io.BytesIO(data), order("cat"), cancellation)
        return pipeline.cut_now(decode(io.BytesIO(data), "cat"), PLAIN, cancellation=cancellation)

    wanted = Pipeline(engine).cut(io.BytesIO(data), order("cat"), Cancellation())
    job = Job("ended", work)
    assert running.began.wait(PATIENCE)
    job.cancellation.cancel()
    assert isinstance(job.error(), Cancelled)
    assert pipeline.budget.held == 0
    pipeline.engine = engine  # the same network, which runs once again
    assert pipeline.cut(io.BytesIO(data), order("cat"), Cancellation()).outputs == wanted.outputs


# Quiet work


def test_quiet_work_is_one_photograph_at_a_time_on_one_processor(monkeypatch: pytest.MonkeyPatch) -> None:
    used: list[int] = []

    def encoding(*arguments: Any, threads: int, **options: Any) -> Iterator[bytes]:
        used.append(threads)
        return encode.encoded(*arguments, threads=threads, **options)

    monkeypatch.setattr(cutout, "encoded", encoding)
    stage = Stage(monkeypatch, is_quiet=lambda: True)
    stage.hold("a", "network")
    jobs = [stage.folder("a", kinds=("cutout", "mask"))]
    stage.wait_for("a", "network")
    jobs += [stage.folder(name) for name in "bc"]
    stage.wait_for_room(2)
    assert {name for name, _ in stage.taken} == {"a"}
    stage.let_go("a", "network")
    for job in jobs:
        assert job.result().subject
    steps = [name for name, _ in stage.taken]
    assert steps == sorted(steps, key=steps.index), "none began before the one before it was done"
    assert stage.loaded == [1]
    assert used == [1] * 4
    assert stage.pipeline.budget.held == 0


def test_what_somebody_waits_for_is_never_quiet(monkeypatch: pytest.MonkeyPatch) -> None:
    stage = Stage(monkeypatch, is_quiet=lambda: True)
    stage.hold("a", "decode")
    job = stage.folder("a")
    stage.wait_for("a", "decode")
    assert stage.person().result().subject, "it does not wait for room"
    assert stage.loaded == [4]
    stage.let_go("a", "decode")
    job.result()
    assert stage.loaded == [4, 1]


def test_quiet_is_asked_before_each_photograph(monkeypatch: pytest.MonkeyPatch) -> None:
    quiet = False
    stage = Stage(monkeypatch, is_quiet=lambda: quiet)
    for name in ("loud", "louder"):
        stage.hold(name, "decode")
    jobs = [stage.folder(name) for name in ("loud", "louder")]
    for name in ("loud", "louder"):
        stage.wait_for(name, "decode")
    quiet = True
    stage.hold("quiet", "decode")
    jobs.append(stage.folder("quiet"))
    stage.wait_for_room(1)
    quiet = False
    stage.let_go("loud", "decode")
    jobs[0].result()
    assert not stage.has("quiet", "decode"), "it waits until it is alone"
    stage.let_go("louder", "decode")
    stage.wait_for("quiet", "decode")
    jobs.append(stage.folder("loud again"))
    stage.wait_for_room(1)
    stage.let_go("quiet", "decode")
    for job in jobs:
        job.result()
    assert stage.loaded == [4, 1, 4]


def test_quiet_photograph_larger_than_the_room_is_done(monkeypatch: pytest.MonkeyPatch) -> None:
    stage = Stage(monkeypatch, is_quiet=lambda: True, in_flight_pixels=10)
    assert stage.folder("large", (300, 200)).result().subject
    stage.assert_free()


def test_ended_while_it_waits_for_another_quiet_one(monkeypatch: pytest.MonkeyPatch) -> None:
    stage = Stage(monkeypatch, is_quiet=lambda: True)
    stage.hold("a", "network")
    first = stage.folder("a")
    stage.wait_for("a", "network")
    second = stage.folder("b")
    stage.wait_for_room(1)
    second.cancellation.cancel()
    assert isinstance(second.error(), Cancelled)
    assert not first.ended
    stage.let_go("a", "network")
    first.result()
    stage.assert_free()


# In a process of its own


class Apart:
    """What stands for the other process."""

    def __init__(self, error: Exception | None = None) -> None:
        self.error = error
        self.asked: list[tuple[bytes, Order, EngineRecipe]] = []
        self.go_on = threading.Event()

    def __call__(self, data: bytes, order: Order, recipe: EngineRecipe, cancellation: Cancellation) -> Finished:
        self.asked.append((data, order, recipe))
        with cancellation.stopping_by(self.go_on.set):
            assert self.go_on.wait(PATIENCE)
            cancellation.check()
        if self.error is not None:
            raise self.error
        return Finished(True, {"cutout": [data]}, (), "u2net-int8", {})


def test_suspect_goes_apart_with_all_that_is_needed_and_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    apart = Apart()
    stage = Stage(monkeypatch, apart=apart)
    wanted = order("suspect")
    suspect = Job("suspect", lambda cancellation: stage.pipeline.cut_apart(b"data", wanted, cancellation))
    wait_for(lambda: apart.asked, "the other process")
    assert apart.asked == [(b"data", wanted, stage.engine.recipe)]
    other = stage.folder("other")
    stage.wait_for_room(1)  # nobody knows how large the suspect is
    assert stage.person().result().subject
    apart.go_on.set()
    assert suspect.result().outputs == {"cutout": [b"data"]}
    other.result()
    stage.assert_free()


def test_suspect_gives_way_and_is_quiet_like_others(monkeypatch: pytest.MonkeyPatch) -> None:
    apart = Apart()
    stage = Stage(monkeypatch, apart=apart, is_quiet=lambda: True)
    stage.hold("somebody", "network")
    person = stage.person()
    stage.wait_for("somebody", "network")
    suspect = Job("suspect", lambda cancellation: stage.pipeline.cut_apart(b"", order("suspect"), cancellation))
    stage.wait_for_turns(1)
    assert not apart.asked
    stage.let_go("somebody", "network")
    person.result()
    apart.go_on.set()
    suspect.result()
    assert [recipe.threads for *_, recipe in apart.asked] == [1]


@pytest.mark.parametrize("error", [CrashesDecoder("crashes"), OSError("no process"), EmptyPhoto("empty")])
def test_suspect_that_fails_holds_nothing(monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    apart = Apart(error)
    apart.go_on.set()
    stage = Stage(monkeypatch, apart=apart)
    with pytest.raises(type(error)):
        stage.pipeline.cut_apart(b"", order("suspect"), Cancellation())
    stage.assert_free()


def test_suspect_is_ended_like_others(monkeypatch: pytest.MonkeyPatch) -> None:
    apart = Apart()
    stage = Stage(monkeypatch, apart=apart)
    first, second = (
        Job(name, lambda cancellation: stage.pipeline.cut_apart(b"", order("suspect"), cancellation)) for name in "ab"
    )
    wait_for(lambda: apart.asked, "the other process")
    stage.wait_for_room(1)
    for job in (first, second):
        job.cancellation.cancel()
    for job in (first, second):
        assert isinstance(job.error(), Cancelled)
    stage.assert_free()


def test_networks_rest_when_nothing_has_been_asked_for_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_IDLE_AFTER", 0.05)
    fake, rested = FakeEngine(), threading.Event()
    pipeline = Pipeline(fake.engine, when_idle=rested.set)
    pipeline.cut(io.BytesIO(encoded()), order("cat"), Cancellation())
    assert rested.wait(PATIENCE)
    assert fake.segmenter is not None
    assert fake.segmenter.rests == 1
