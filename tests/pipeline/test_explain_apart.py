"""A photograph explained in a real process of its own: what comes back, typed errors, and an end at any time."""

from __future__ import annotations

import io
import os
import threading
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest
from PIL import Image

from alphadrop.engine.cancellation import Cancellation
from alphadrop.engine.cutout import EngineRecipe
from alphadrop.errors import AlphadropError, Cancelled, CrashesDecoder, ExtraMissing, UnknownModel, UnsupportedFormat
from alphadrop.pipeline.explain_apart import Explained, File, Question, explain_apart
from daemon_process import wait_for

WITHOUT_ONNX = """
import sys
class Nowhere:
    def find_spec(self, name, *_):
        if name == "onnx":
            raise ImportError(name)
sys.meta_path.insert(0, Nowhere())
"""


def explain(
    data: bytes,
    cancellation: Cancellation | None = None,
    *,
    take: Callable[[File], None] = lambda _: None,
    model: str = "u2net-int8",
    compare: str | None = None,
) -> Explained:
    question = Question("photo.jpg", model, compare)
    return explain_apart(data, question, EngineRecipe(), cancellation or Cancellation(), lambda _, file: take(file))


@pytest.fixture
def small(photographs: dict[str, Path]) -> bytes:
    stream = io.BytesIO()
    with Image.open(photographs["coffee"]) as image:
        image.resize((150, 100)).save(stream, "JPEG")
    return stream.getvalue()


def test_every_picture_is_given_as_soon_as_it_is_drawn(small: bytes) -> None:
    files: list[File] = []
    explained = explain(small, take=files.append)
    assert [file.name for file in files] == list(explained.files)
    assert (explained.model, explained.size, explained.subject) == ("u2net-int8", (150, 100), True)
    assert [each.name for each in explained.shown][::6] == ["en1", "de5", "side-2"]
    assert explained.shown[5].shape == (512, 10, 10)
    for file in files:
        with Image.open(io.BytesIO(file.content)) as image:
            image.load()
            assert image.format == ("JPEG" if file.name.startswith("walk-") else "PNG")


@pytest.mark.parametrize(
    ("data", "model", "compare", "kind"),
    [
        (b"dear diary", "u2net-int8", None, UnsupportedFormat),
        (None, "u2nte", None, UnknownModel),
        (None, "u2net-int8", "x", UnknownModel),
    ],
)
def test_errors_come_back_as_what_they_are(
    small: bytes, data: bytes | None, model: str, compare: str | None, kind: type[AlphadropError]
) -> None:
    with pytest.raises(kind) as raised:
        explain(small if data is None else data, model=model, compare=compare)
    assert raised.value.hint


def test_without_the_extra_it_is_said_how_to_get_it(
    small: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "sitecustomize.py").write_text(WITHOUT_ONNX)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")]))
    with pytest.raises(ExtraMissing) as raised:
        explain(small)
    assert raised.value.hint == "pip install 'alphadrop[explain]'"


def test_it_ends_when_nobody_waits_any_more(small: bytes) -> None:
    before, cancellation, seen = set(psutil.Process().children()), Cancellation(), threading.Event()
    failed: list[Exception] = []

    def work() -> None:
        try:
            explain(small, cancellation, take=lambda _: seen.set())
        except Exception as error:
            failed.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    wait_for(seen.is_set, "the first picture")
    cancellation.cancel()
    thread.join(60)
    assert [type(error) for error in failed] == [Cancelled]
    assert set(psutil.Process().children()) == before


def test_a_process_that_dies_is_told(small: bytes) -> None:
    before = set(psutil.Process().children())

    def kill(_: File) -> None:
        for child in set(psutil.Process().children()) - before:
            child.kill()

    with pytest.raises(CrashesDecoder, match="SIGKILL"):
        explain(small, take=kill)
