"""A network that takes no time, and the ground to try hot folders on: a ledger, two folders, one quick engine."""

from __future__ import annotations

import io
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePath

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from alphadrop.engine.cancellation import Cancellation
from alphadrop.engine.cutout import Engine, EngineRecipe
from alphadrop.engine.models import ModelSpec
from alphadrop.engine.options import CutOptions
from alphadrop.errors import AlphadropError
from alphadrop.hotfolder.hotfolders import HotFolders
from alphadrop.hotfolder.ledger import Ledger, Row
from alphadrop.hotfolder.scan import look_at
from alphadrop.hotfolder.settings import FolderSettings
from alphadrop.hotfolder.worker import Worker
from alphadrop.pipeline.order import Finished, Order, draw
from alphadrop.pipeline.pipeline import Pipeline
from daemon_process import PATIENCE, wait_for

RED, GREEN, BLUE = (220, 30, 40), (30, 200, 60), (20, 60, 210)


@dataclass
class FakeSegmenter:
    """Finds a square in the middle of everything; `before` is called first and may raise, wait or change files."""

    spec: ModelSpec
    before: Callable[[], None] = lambda: None
    subject: bool = True
    device: str = "fake"
    runs: int = 0
    rests: int = 0

    def saliency(
        self, view: NDArray[np.uint8], cancellation: Cancellation | None = None, *, sparing: bool = False
    ) -> NDArray[np.float32]:
        self.runs += 1
        self.before()
        if cancellation is not None:
            cancellation.check()
        found = np.zeros(view.shape[:2], np.float32)
        if self.subject:
            quarter = view.shape[0] // 4
            found[quarter:-quarter, quarter:-quarter] = 1
        return found

    def rest(self) -> None:
        self.rests += 1


@dataclass
class FakeEngine:
    """An engine around a fake, which is made when the engine first needs it."""

    segmenter: FakeSegmenter | None = None
    missing: AlphadropError | None = None
    before: Callable[[], None] = lambda: None
    subject: bool = True
    engine: Engine = field(init=False)

    def __post_init__(self) -> None:
        self.engine = Engine(load=self._load, threads=1)

    def _load(self, spec: ModelSpec, threads: int) -> FakeSegmenter:
        if self.missing is not None:
            raise self.missing
        self.segmenter = FakeSegmenter(spec, before=lambda: self.before(), subject=self.subject)
        return self.segmenter

    @property
    def runs(self) -> int:
        return 0 if self.segmenter is None else self.segmenter.runs


@dataclass
class Clock:
    """Time that passes when it is told to."""

    now: float = 1_000_000.0

    def __call__(self) -> float:
        return self.now


class Ground:
    """Two folders, a ledger, a fake engine and a worker, in a folder of a test's own."""

    def __init__(self, root: Path, **settings: object) -> None:
        self.root = root
        self.input = root / "in"
        self.output = root / "out"
        self.input.mkdir()
        self.output.mkdir()
        plain = FolderSettings(self.input, self.output, "u2net-int8", cut=CutOptions(edges="plain"), settle=0.0)
        self.settings = replace(plain, **settings)  # type: ignore[arg-type]
        self.ledger = Ledger(root / "ledger.sqlite")
        self.fake = FakeEngine()
        self.pipeline = Pipeline(self.fake.engine, apart=self._apart)
        self.clock = Clock()
        self.tried_apart: list[str] = []
        self.restart()

    def restart(self) -> None:
        """Work on as a new process would, with the same ledger."""
        self.worker = Worker(self.pipeline, self.ledger, lambda: [self.settings], self.clock)

    def _apart(self, data: bytes, order: Order, _recipe: EngineRecipe, _cancellation: Cancellation) -> Finished:
        self.tried_apart.append(order.name)
        engine = self.fake.engine
        return draw(engine, engine.cut(io.BytesIO(data), order.name, order.options, model=order.model), order)

    def change(self, **settings: object) -> None:
        """Have other settings from now on."""
        self.settings = replace(self.settings, **settings)  # type: ignore[arg-type]

    def drop(self, name: str, colour: tuple[int, int, int] = RED) -> Path:
        """Put a photograph of one colour into the input folder."""
        path = self.input / name
        path.parent.mkdir(parents=True, exist_ok=True)
        return photograph(path, colour)

    def note(self, name: str) -> None:
        """Tell the ledger of a file as it is now."""
        content = look_at(self.input, PurePath(name))
        assert content is not None, name
        self.ledger.note(self.input, [(PurePath(name), content)], time.time())

    def work(self) -> int:
        """Do everything that is due; return how many rows were taken."""
        done = 0
        while self.worker.work():
            done += 1
            assert done < 1000, "the worker takes the same rows again and again"
        return done

    def cut(self, name: str, colour: tuple[int, int, int] = RED) -> None:
        """Drop a photograph, note it and do it."""
        self.drop(name, colour)
        self.note(name)
        self.work()

    def row(self, name: str) -> Row:
        """Return the ledger's row of a file."""
        (row,) = [row for row in self.ledger.rows(limit=10_000) if str(row.path) == name]
        return row

    def shows(self, name: str, colour: tuple[int, int, int]) -> bool:
        """Tell whether an output is there and has a colour in its middle; may be asked while work goes on."""
        path = self.output / name
        return path.exists() and middle(path) == colour

    def outputs(self) -> dict[str, tuple[int, int, int]]:
        """Return every file in the output folder, temporaries too, with the colour of its middle; work must rest."""
        files = sorted(path for path in self.output.rglob("*") if not path.is_dir())
        return {path.relative_to(self.output).as_posix(): middle(path) for path in files}


@contextmanager
def started(ground: Ground, *further: FolderSettings) -> Iterator[HotFolders]:
    """Watch the ground's folder, and further ones, and work on what is dropped, until the block ends."""
    folders = HotFolders([ground.settings, *further], ground.pipeline, ground.ledger)
    folders.start()
    folders.begin_work()
    try:
        folders.wait_until_armed()
        yield folders
    finally:
        assert folders.close(PATIENCE)


def until_done(ground: Ground, count: int) -> None:
    """Wait until so many files of the ground are cut out."""
    wait_for(lambda: ground.ledger.counts(ground.input).get("done", 0) == count, f"{count} files to be done")


def photograph(path: Path, colour: tuple[int, int, int], size: tuple[int, int] = (48, 40)) -> Path:
    """Write a picture of one colour, which a lossless format keeps as it is."""
    format = {".jpg": "PNG", "": "PNG"}.get(path.suffix.lower())
    with path.open("wb") as stream:
        Image.new("RGB", size, colour).save(stream, format or Image.registered_extensions()[path.suffix.lower()])
    return path


def middle(path: Path) -> tuple[int, int, int]:
    """Return the colour of the middle of an output, which must be whole and there opaque."""
    with Image.open(path) as image:
        image.load()
        if image.mode == "L":
            value = int(np.asarray(image)[image.height // 2, image.width // 2])
            return value, value, value
        red, green, blue, alpha = (
            int(v) for v in np.asarray(image.convert("RGBA"))[image.height // 2, image.width // 2]
        )
    assert alpha == 255, path
    return red, green, blue


def assert_cut_from(output: Path, source: Path) -> None:
    """Fail unless an output is a whole cut-out of a photograph: its size, and its colours wherever it is opaque."""
    with Image.open(source) as photo, Image.open(output) as cut:
        pixels, found = np.asarray(photo.convert("RGB")), np.asarray(cut)
    assert found.shape == (*pixels.shape[:2], 4), output
    opaque = found[..., 3] == 255
    assert 0.05 < opaque.mean() < 0.95, output
    assert np.array_equal(found[opaque][:, :3], pixels[opaque]), output
