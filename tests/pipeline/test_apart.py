"""One photograph in a real process of its own: the same bytes, typed errors, and a crash that ends nothing else."""

from __future__ import annotations

import gc
import io
import os
import signal
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil
import pytest
from PIL import Image

from alphadrop.engine.cancellation import Cancellation
from alphadrop.engine.cutout import Engine, EngineRecipe
from alphadrop.engine.models import registry
from alphadrop.engine.options import CutOptions
from alphadrop.errors import (
    AlphadropError,
    BadOptions,
    Cancelled,
    CrashesDecoder,
    DamagedPhoto,
    EmptyPhoto,
    ModelMissing,
    PhotoTooLarge,
    UnknownModel,
    UnsupportedFormat,
)
from alphadrop.pipeline import apart
from alphadrop.pipeline.apart import cut_apart
from alphadrop.pipeline.order import Finished, Order, draw
from alphadrop.pipeline.quiet import lower_priority
from daemon_process import PATIENCE, wait_for

RECIPE = EngineRecipe()

SITECUSTOMIZE = """
import os, sys
if "alphadrop.pipeline.apart" in sys.orig_argv:
    import signal, threading
    from PIL import Image
    plain = Image.open
    def tell():
        with open(os.environ["ALPHADROP_TEST_PID"], "w") as file:
            file.write(f"{os.getpid()} {os.nice(0)}")
    def opening(stream, *arguments, **options):
        data = stream.getvalue()
        if data.startswith(b"marked:"):
            exec(data.removeprefix(b"marked:"))
        return plain(stream, *arguments, **options)
    Image.open = opening
"""


@pytest.fixture(autouse=True)
def nothing_is_left() -> Iterator[None]:
    """After each test there is no other process, not even an ended one, and no descriptor that was not there before."""
    gc.collect()
    here = psutil.Process()
    before, children = here.num_fds(), set(here.children())
    yield
    assert set(here.children()) == children
    gc.collect()
    assert here.num_fds() == before


@pytest.fixture
def decoder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Have the decoder of other processes do what a marked file says; return the file in which it tells its number."""
    folder = tmp_path / "site"
    folder.mkdir()
    (folder / "sitecustomize.py").write_text(SITECUSTOMIZE)
    inherited = os.environ.get("PYTHONPATH")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(folder), *([inherited] if inherited else [])]))
    monkeypatch.setenv("ALPHADROP_TEST_PID", str(tmp_path / "pid"))
    return tmp_path / "pid"


def order(name: str = "suspect.jpg", **other: Any) -> Order:
    return Order(name, **{"options": CutOptions(), "model": "u2net-int8", **other})


def marked(program: str) -> bytes:
    return b"marked:" + program.encode()


def encoded(image: Image.Image, format: str = "PNG") -> bytes:
    stream = io.BytesIO()
    image.save(stream, format)
    return stream.getvalue()


# What comes back


def test_the_same_bytes_come_back_as_from_this_process(engine: Engine, photographs: dict[str, Path]) -> None:
    data = photographs["cat"].read_bytes()
    wanted = order(
        "cat.jpg",
        options=CutOptions(crop="subject", margin=0.1),
        kinds=("cutout", "mask"),
        xmp={"cutout": b"<x:xmpmeta xmlns:x='adobe:ns:meta/'/>"},
    )
    found = cut_apart(data, wanted, engine.recipe, Cancellation())
    here = draw(engine, engine.cut(io.BytesIO(data), "cat.jpg", wanted.options), wanted)
    assert found.outputs == here.outputs
    assert set(found.outputs) == {"cutout", "mask"}
    assert (found.subject, found.warnings, found.model) == (here.subject, here.warnings, here.model)
    assert set(found.seconds) == set(here.seconds)


def test_no_subject_and_warnings_come_back(engine: Engine) -> None:
    data = encoded(Image.new("I;16", (64, 64), 30_000))
    found = cut_apart(data, order("grey.png"), engine.recipe, Cancellation())
    assert (found.subject, dict(found.outputs), found.warnings) == (False, {}, ("16 bit was reduced to 8",))


REFUSED: dict[str, tuple[bytes, type[AlphadropError]]] = {
    "empty.jpg": (b"", EmptyPhoto),
    "text.jpg": (b"dear diary\n" * 50, UnsupportedFormat),
    "half.jpg": (encoded(Image.effect_noise((64, 64), 90), "JPEG")[:900], DamagedPhoto),
    "large.png": (encoded(Image.new("1", (200, 200))), PhotoTooLarge),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refusal_comes_back_as_it_is_here(name: str) -> None:
    data, kind = REFUSED[name]
    recipe = EngineRecipe(max_pixels=10_000)
    with pytest.raises(AlphadropError) as here:
        Engine.of(recipe).cut(io.BytesIO(data), name, CutOptions())
    with pytest.raises(AlphadropError) as there:
        cut_apart(data, order(name), recipe, Cancellation())
    assert type(there.value) is type(here.value) is kind
    assert (there.value.message, there.value.hint) == (here.value.message, here.value.hint)
    assert name in there.value.message


def test_own_models_go_along(tmp_path: Path, photographs: dict[str, Path]) -> None:
    own = replace(registry()["u2net-int8"], name="own", file=str(tmp_path / "own.onnx"))
    data = photographs["cat"].read_bytes()
    with pytest.raises(ModelMissing, match="own"):
        cut_apart(data, order(model="own"), EngineRecipe(own_models=(own,)), Cancellation())
    with pytest.raises(UnknownModel):
        cut_apart(data, order(model="own"), RECIPE, Cancellation())


def test_options_that_do_not_fit_the_photograph_come_back_as_such(photographs: dict[str, Path]) -> None:
    wide = encoded(Image.open(photographs["astronaut"]).resize((16_384, 64)))
    options = CutOptions(format="webp")
    with pytest.raises(BadOptions, match=r"wide\.png: 16384 x 64"):
        cut_apart(wide, order("wide.png", options=options), RECIPE, Cancellation())


def test_mistake_of_ours_is_not_taken_for_a_crash(photographs: dict[str, Path]) -> None:
    wrong = order(xmp={"cutout": 5})
    with pytest.raises(RuntimeError, match="TypeError"):
        cut_apart(photographs["astronaut"].read_bytes(), wrong, RECIPE, Cancellation())


def test_folder_it_is_started_in_is_not_imported_from(
    photographs: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("alphadrop", "numpy", "PIL"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text(f"open({str(tmp_path / 'imported')!r}, 'w'); raise SystemExit(7)")
    monkeypatch.chdir(tmp_path)
    found = cut_apart(photographs["rocket"].read_bytes(), order(), RECIPE, Cancellation())
    assert isinstance(found, Finished)
    assert not (tmp_path / "imported").exists()


@pytest.mark.skipif(sys.platform != "linux", reason="threads have a priority of their own on Linux only")
def test_priority_of_the_thread_that_asks_is_that_of_the_process(decoder: Path) -> None:
    def ask() -> None:
        lower_priority()
        with pytest.raises(CrashesDecoder):
            cut_apart(marked("tell(); os._exit(1)"), order(), RECIPE, Cancellation())

    with ThreadPoolExecutor(1) as threads:
        threads.submit(ask).result(PATIENCE)
    assert int(decoder.read_text().split()[1]) == max(10, os.nice(0))


# Crashes


@pytest.mark.parametrize("number", [signal.SIGABRT, signal.SIGSEGV, signal.SIGKILL])
def test_process_that_crashes_is_said_to_by_the_name_of_its_signal(decoder: Path, number: signal.Signals) -> None:
    data = marked(f"os.kill(os.getpid(), {int(number)}); threading.Event().wait()")
    with pytest.raises(CrashesDecoder, match=rf"suspect\.jpg: .*\({number.name}\)") as caught:
        cut_apart(data, order(), RECIPE, Cancellation())
    assert caught.value.hint
    assert not caught.value.transient


def test_process_that_aborts_is_said_to(decoder: Path) -> None:
    with pytest.raises(CrashesDecoder, match="SIGABRT"):
        cut_apart(marked("os.abort()"), order(), RECIPE, Cancellation())


def test_process_that_ends_itself_is_said_to_by_its_status(decoder: Path) -> None:
    with pytest.raises(CrashesDecoder, match="status 3"):
        cut_apart(marked("os._exit(3)"), order(), RECIPE, Cancellation())


def test_crash_of_one_leaves_another_alone(decoder: Path, photographs: dict[str, Path]) -> None:
    data = photographs["rocket"].read_bytes()
    with ThreadPoolExecutor(2) as threads:
        crashing = threads.submit(cut_apart, marked("os.abort()"), order(), RECIPE, Cancellation())
        other = threads.submit(cut_apart, data, order("rocket.jpg"), RECIPE, Cancellation())
        assert isinstance(crashing.exception(PATIENCE), CrashesDecoder)
        assert isinstance(other.result(PATIENCE), Finished)


def test_process_that_never_comes_to_an_end_is_ended(decoder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(apart, "_LONGEST", 2.0)
    with pytest.raises(CrashesDecoder, match="more than 2 s"):
        cut_apart(marked("threading.Event().wait()"), order(), RECIPE, Cancellation())


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_process_that_is_asked_to_end_with_the_daemon_has_not_crashed(decoder: Path, number: signal.Signals) -> None:
    end = f"signal.signal({int(number)}, signal.SIG_DFL); os.kill(os.getpid(), {int(number)})"  # nohup ignores SIGHUP
    data = marked(f"{end}; threading.Event().wait()")
    with pytest.raises(Cancelled, match=r"suspect\.jpg"):
        cut_apart(data, order(), RECIPE, Cancellation())


# Ended from another thread


def process_in(file: Path) -> int:
    """Return the number of the process that works on a marked file, once it does."""
    return int(wait_for(lambda: file.read_text() if file.exists() else "", "the other process").split()[0])


def test_ended_while_it_works_its_process_is_gone(decoder: Path) -> None:
    cancellation = Cancellation()
    # Far more than a pipe holds, and neither politeness nor a signal that can be ignored would end it.
    data = marked("[signal.signal(n, signal.SIG_IGN) for n in (2, 15)]; tell(); threading.Event().wait() #") + bytes(
        10**7
    )
    with ThreadPoolExecutor(1) as threads:
        future = threads.submit(cut_apart, data.replace(b"\0", b"#"), order(), RECIPE, cancellation)
        process = process_in(decoder)
        assert not future.done()
        cancellation.cancel()
        assert isinstance(future.exception(PATIENCE), Cancelled)
    assert not psutil.pid_exists(process)


def test_ended_at_any_moment_it_leaves_nothing(photographs: dict[str, Path]) -> None:
    data = photographs["rocket"].read_bytes()
    with ThreadPoolExecutor(1) as threads:
        for delay in (0.0, 0.001, 0.01, 0.1, 0.4, 0.8):
            cancellation = Cancellation()
            future = threads.submit(cut_apart, data, order(), RECIPE, cancellation)
            threading.Event().wait(delay)
            cancellation.cancel()
            error = future.exception(PATIENCE)
            assert error is None or isinstance(error, Cancelled)


def test_ended_before_it_began() -> None:
    cancellation = Cancellation()
    cancellation.cancel()
    with pytest.raises(Cancelled):
        cut_apart(b"", order(), RECIPE, cancellation)
