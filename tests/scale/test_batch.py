"""A batch with a network that takes no time: what is done, what is not done twice, what an end in the middle leaves."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from alphadrop.engine.cutout import EngineRecipe
from alphadrop.engine.options import CutOptions
from alphadrop.errors import BadOptions, BatchRunning, BatchStopped, CannotRead, ModelMissing
from alphadrop.hotfolder.settings import FolderSettings
from alphadrop.scale.batch import here, run
from alphadrop.scale.cutter import Brief
from alphadrop.scale.inventory import Counts, Job
from alphadrop.scale.manifest import FOLDER, Manifest, Row
from alphadrop.scale.stores import Folder
from fake_segmenter import BLUE, GREEN, RED, FakeEngine, middle, photograph


@dataclass
class Seen:
    """An observer that remembers."""

    rows: list[Row] = field(default_factory=list)
    lost: int = 0

    def begin(self, photographs: int) -> None:
        self.to_do = photographs

    def see(self, row: Row) -> None:
        self.rows.append(row)

    def lose(self, photographs: int) -> None:
        self.lost += photographs

    @property
    def statuses(self) -> dict[str, str]:
        return {row.input: row.status for row in self.rows}


class Shop:
    """A source, a target and a fake engine."""

    def __init__(self, root: Path) -> None:
        self.source, self.target = root / "in", root / "out"
        self.source.mkdir()
        self.fake = FakeEngine()
        settings = FolderSettings(self.source, self.target, "u2net-int8", CutOptions(edges="plain"))
        self.brief = Brief(str(self.source), str(self.target), settings, EngineRecipe(), 40_000_000)

    def run(self, brief: Brief | None = None, *, retry_failed: bool = False) -> tuple[Seen, Counts]:
        seen, brief = Seen(), brief or self.brief
        counts = run(brief, here(brief, 2, self.fake.engine), seen, retry_failed=retry_failed)
        return seen, counts

    def drop(self, name: str, colour: tuple[int, int, int] = RED) -> Path:
        path = self.source / name
        path.parent.mkdir(parents=True, exist_ok=True)
        return photograph(path, colour)

    def outputs(self) -> dict[str, bytes]:
        files = (path for path in self.target.rglob("*.png") if path.is_file())
        return {path.relative_to(self.target).as_posix(): path.read_bytes() for path in files}

    def rows(self) -> list[Row]:
        return list(Manifest(Folder(self.target)).rows())


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    return Shop(tmp_path)


def test_every_photograph_gets_one_output_and_one_row(shop: Shop) -> None:
    for name in ("a.png", "sub/a.png", "sub/deep/b.jpg"):
        shop.drop(name)
    seen, counts = shop.run()
    assert counts.now == {"done": 3}
    assert shop.outputs().keys() == {"a.png", "sub/a.png", "sub/deep/b.png"}
    assert all(middle(shop.target / name) == RED for name in shop.outputs())
    assert sorted(seen.rows, key=lambda row: row.input) == shop.rows()
    first = shop.rows()[0]
    assert (first.output, first.bytes, first.pixels) == ("a.png", len(shop.outputs()["a.png"]), 48 * 40)
    assert first.model == "u2net-int8"
    assert 0 < first.started <= first.finished


def test_a_second_run_does_nothing(shop: Shop) -> None:
    shop.drop("a.png")
    shop.drop("b.png")
    shop.run()
    before, files = shop.rows(), sorted((shop.target / FOLDER).iterdir())
    seen, counts = shop.run()
    assert (seen.to_do, shop.fake.runs) == (0, 2)
    assert (counts.now, counts.before) == ({}, {"done": 2})
    assert (shop.rows(), sorted((shop.target / FOLDER).iterdir())) == (before, files)


def test_what_changed_is_done_again_in_its_own_place(shop: Shop) -> None:
    shop.drop("a.png")
    shop.drop("b.png")
    shop.run()
    photograph(shop.source / "a.png", BLUE, (50, 44))
    shop.run()
    assert shop.fake.runs == 3
    assert (middle(shop.target / "a.png"), middle(shop.target / "b.png")) == (BLUE, RED)
    assert [row.input for row in shop.rows()] == ["a.png", "b.png"]


def test_an_output_that_was_removed_is_made_again_with_the_same_bytes(shop: Shop) -> None:
    shop.drop("a.png")
    shop.run()
    before = shop.outputs()
    (shop.target / "a.png").unlink()
    shop.run()
    assert shop.outputs() == before


def test_other_settings_do_everything_again(shop: Shop) -> None:
    shop.drop("a.png")
    shop.run()
    settings = replace(shop.brief.settings, cut=CutOptions(edges="plain", crop="subject"))
    _, counts = shop.run(replace(shop.brief, settings=settings))
    assert counts.now == {"done": 1}
    assert shop.fake.runs == 2


def test_failures_are_rows_and_are_left_alone_until_asked(shop: Shop) -> None:
    shop.drop("good.png")
    (shop.source / "bad.jpg").write_bytes(b"\xff\xd8\xff nothing")
    (shop.source / "empty.png").touch()
    _, counts = shop.run()
    assert counts.now == {"done": 1, "failed": 2}
    assert [(row.input, row.code) for row in shop.rows() if row.status == "failed"] == [
        ("bad.jpg", "unsupported_format"),
        ("empty.png", "empty"),
    ]
    assert shop.run()[0].rows == []
    seen, counts = shop.run(retry_failed=True)
    assert seen.statuses == {"bad.jpg": "failed", "empty.png": "failed"}
    assert counts.before == {"done": 1}
    shop.drop("empty.png")
    assert shop.run()[0].statuses == {"empty.png": "done"}


def test_no_subject_is_an_outcome_without_an_output(shop: Shop) -> None:
    shop.fake.subject = False
    shop.drop("a.png")
    _, counts = shop.run()
    assert counts.now == {"no_subject": 1}
    assert shop.outputs() == {}
    assert shop.run()[0].to_do == 0


def test_files_that_are_not_ours_are_never_replaced_unless_asked(shop: Shop) -> None:
    shop.drop("a.png")
    shop.target.mkdir()
    theirs = photograph(shop.target / "a.png", GREEN).read_bytes()
    shop.run()
    (row,) = shop.rows()
    assert (row.status, row.code) == ("failed", "target_exists")
    assert "--overwrite" in row.reason
    assert (shop.target / "a.png").read_bytes() == theirs
    shop.run(replace(shop.brief, overwrite=True), retry_failed=True)
    assert middle(shop.target / "a.png") == RED


def test_an_output_somebody_has_painted_on_is_theirs(shop: Shop) -> None:
    shop.drop("a.png")
    shop.run()
    photograph(shop.target / "a.png", GREEN)
    photograph(shop.source / "a.png", BLUE, (50, 44))
    shop.run()
    assert middle(shop.target / "a.png") == GREEN
    assert shop.rows()[0].code == "target_exists"


def test_a_target_inside_the_source_is_passed_over(shop: Shop) -> None:
    brief = replace(shop.brief, target=str(shop.source / "out"))
    shop.drop("a.png")
    shop.run(brief)
    seen, counts = shop.run(brief)
    assert (seen.to_do, counts.before) == (0, {"done": 1})


@pytest.mark.parametrize("target", ["in", ".", "in/../in", "link"])
def test_a_target_around_the_source_is_refused(shop: Shop, target: str) -> None:
    shop.drop("a.png")
    root = shop.source.parent
    (root / "link").symlink_to(root / "in")
    before = sorted(root.rglob("*"))
    with pytest.raises(BadOptions, match="the photographs lie in it"):
        shop.run(replace(shop.brief, target=str(root / target)))
    assert [path for path in sorted(root.rglob("*")) if ".alphadrop" not in path.as_posix()] == before


def test_a_source_that_is_not_there_is_told(shop: Shop) -> None:
    with pytest.raises(CannotRead, match="nowhere"):
        shop.run(replace(shop.brief, source=str(shop.source / "nowhere")))


def test_a_second_batch_on_one_target_is_refused(shop: Shop) -> None:
    shop.drop("a.png")
    with Folder(shop.target).lock(), pytest.raises(BatchRunning, match="another batch"):
        shop.run()
    assert shop.run()[1].now == {"done": 1}


def test_an_end_in_the_middle_loses_nothing_and_repeats_nothing(shop: Shop) -> None:
    for number in range(20):
        shop.drop(f"{number:02}.png")
    seen = Seen()

    def see(row: Row) -> None:
        seen.rows.append(row)
        if len(seen.rows) == 7:
            raise KeyboardInterrupt

    seen.see = see  # type: ignore[method-assign]
    with pytest.raises(KeyboardInterrupt):
        run(shop.brief, here(shop.brief, 2, shop.fake.engine), seen)
    recorded = {row.input for row in shop.rows()}
    assert {row.input for row in seen.rows} <= recorded
    assert all(row.status == "done" for row in shop.rows())
    finished = {name: (shop.target / name).stat().st_ino for name in shop.outputs()}
    _, counts = shop.run()
    assert sum(counts.now.values()) + sum(counts.before.values()) == 20
    assert len(shop.outputs()) == len(shop.rows()) == 20
    assert {name: (shop.target / name).stat().st_ino for name in finished} == finished


def test_an_output_whose_row_was_never_written_is_found_by_its_mark(shop: Shop) -> None:
    shop.drop("a.png")
    shop.run()
    for file in (shop.target / FOLDER).iterdir():
        file.unlink()
    there = (shop.target / "a.png").stat()
    _, counts = shop.run()
    assert counts.now == {"done": 1}
    assert shop.fake.runs == 1
    after = (shop.target / "a.png").stat()  # only when it was last read may be another
    assert (after.st_ino, after.st_mtime_ns, after.st_ctime_ns) == (there.st_ino, there.st_mtime_ns, there.st_ctime_ns)
    assert shop.rows()[0].output == "a.png"


def test_what_ended_the_process_is_tried_in_one_of_its_own(shop: Shop) -> None:
    shop.drop("a.png")
    content = (shop.source / "a.png").stat()
    begun = Row("a.png", content.st_size, content.st_mtime_ns, shop.brief.settings.fingerprint(), "working")
    Manifest(Folder(shop.target)).begin(begun)
    seen, _ = shop.run()
    assert shop.fake.runs == 0  # the process apart has an engine of its own
    assert seen.statuses.keys() == {"a.png"}
    assert [row.status for row in shop.rows()] == [seen.statuses["a.png"]]


def test_what_is_lost_with_its_worker_is_tried_once_more_and_then_named(shop: Shop) -> None:
    for name in ("a.png", "b.png", "c.png"):
        shop.drop(name)
    tries: list[tuple[str, bool]] = []

    def forgetful(jobs: Iterator[Job], _: Manifest) -> Iterator[list[Row]]:
        for job in jobs:
            tries.append((job.found.name, job.suspect))
            if job.found.name == "a.png" or (job.found.name == "b.png" and job.suspect):
                yield [Row(job.found.name, 1, 1, "x", "done", job.output)]

    seen = Seen()
    run(shop.brief, forgetful, seen)
    expected = [("a.png", False), ("b.png", False), ("c.png", False), ("b.png", True), ("c.png", True)]
    assert (tries, seen.lost) == (expected, 3)
    assert seen.statuses == {"a.png": "done", "b.png": "done", "c.png": "failed"}
    (row,) = [row for row in shop.rows() if row.status == "failed"]
    assert (row.code, row.passing) == ("worker_lost", True)


def test_what_concerns_everything_stops_the_batch_and_the_next_run_goes_on(shop: Shop) -> None:
    for number in range(60):
        shop.drop(f"{number:02}.png")
    shop.fake.engine.warm("u2net-int8")

    def missing() -> None:
        raise ModelMissing("the model is not on this machine", "fetch it")

    shop.fake.before = missing
    with pytest.raises(BatchStopped, match="20 photographs in a row"):
        shop.run()
    assert 20 <= len(shop.rows()) < 40
    shop.fake.before = lambda: None
    assert shop.run()[1].now == {"done": 60}


def test_at_most_so_many_are_in_hand(shop: Shop) -> None:
    for number in range(12):
        shop.drop(f"{number:02}.png")
    lock, now, most = threading.Lock(), [0], [0]
    cut = shop.fake.engine.look

    def counted(*arguments: object, **named: object) -> object:
        with lock:
            now[0] += 1
            most[0] = max(most[0], now[0])
        try:
            return cut(*arguments, **named)  # type: ignore[arg-type]
        finally:
            with lock:
                now[0] -= 1

    shop.fake.engine.look = counted  # type: ignore[assignment, method-assign]
    shop.run()
    assert 1 <= most[0] <= 2
