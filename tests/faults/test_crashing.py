"""Rows 8 and 9: a real daemon that is killed without notice, while it looks at a photograph and while it writes."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image

from alphadrop.client import Client
from alphadrop.errors import DaemonError
from alphadrop.hotfolder import originals
from alphadrop.hotfolder.ledger import Ledger, Row
from daemon_process import Home, running, wait_for
from fake_segmenter import RED, Ground, assert_cut_from

pytestmark = [pytest.mark.long, pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="speaks of signals")]


@pytest.fixture
def home(tmp_path_factory: pytest.TempPathFactory) -> Home:
    home = Home(tmp_path_factory.mktemp("h"))
    home.configure(folder="settle: 0")
    return home


_REACHED = """
import os, pathlib, sys, threading
output, reached = sys.argv[1:3]
def within(name):
    return os.fsdecode(name).startswith(output)
def rest():
    pathlib.Path(reached).write_text("reached")
    threading.Event().wait()
"""
_DAEMON = """
from alphadrop.cli import main
sys.argv[1:] = ["run"]
sys.exit(main())
"""


@contextmanager
def resting(home: Home, where: str) -> Iterator[None]:
    """Run a daemon that comes to rest at some place in its work; when the block ends it has, and is killed there.

    Args:
        home: of the daemon.
        where: Python that has it call `rest()` there; `within(name)` tells of the output folder's files.
    """
    reached = home.root / "reached"
    reached.unlink(missing_ok=True)
    command = [sys.executable, "-c", _REACHED + where + _DAEMON, os.fspath(home.output), os.fspath(reached)]
    with (home.root / "stderr.txt").open("ab") as log:
        process = subprocess.Popen(command, env=home.environment, stdout=log, stderr=log, cwd=home.root)
        try:
            yield

            def has_come() -> bool:
                assert process.poll() is None, (home.root / "stderr.txt").read_text(errors="replace")
                return reached.exists()

            wait_for(has_come, "the daemon to come to where it rests")
        finally:
            process.kill()
            process.wait()


def rows(home: Home) -> list[Row]:
    ledger = Ledger(home.root / "data" / "ledger.sqlite")
    try:
        return ledger.rows()
    finally:
        ledger.close()


def done(home: Home) -> int:
    """Return how many photographs are done."""
    try:
        return int(Client(home.run).status()["folders"][0]["done"])
    except DaemonError:
        return 0


def files_below(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if not path.is_dir())


# 8 ------------------------------------------------------------------------------------------------------------------

_IN_THE_NETWORK = """
from alphadrop.engine import onnx_runtime
onnx_runtime.OnnxSegmenter.saliency = lambda *_, **__: rest()
"""


@pytest.mark.parametrize("folder", ["", pytest.param("originals: delete", marks=pytest.mark.long)])
def test_row_08_what_was_killed_during_inference_is_finished_after_the_restart_and_only_once(
    home: Home, photographs: dict[str, Path], folder: str
) -> None:
    home.configure(folder=f"settle: 0\n{folder}")
    for name in ("cat", "coffee"):
        shutil.copy(photographs[name], home.input)
    with resting(home, _IN_THE_NETWORK):
        pass
    assert files_below(home.output) == []
    assert files_below(home.input) == ["cat.jpg", "coffee.jpg"]
    with running(home):
        wait_for(lambda: done(home) == 2, "both to be done")
        if folder:
            wait_for(lambda: files_below(home.input) == [], "the originals to be deleted")
    assert files_below(home.output) == ["cat.png", "coffee.png"]
    for name in ("cat", "coffee"):
        assert_cut_from(home.output / f"{name}.png", photographs[name])
    assert [(row.state, row.outcome, row.suspect) for row in rows(home)] == [("done", "done", False)] * 2


@pytest.mark.long
def test_row_08_killed_again_and_again_during_inference_it_still_gives_one_output(
    home: Home, photographs: dict[str, Path]
) -> None:
    shutil.copy(photographs["cat"], home.input)
    apart = "from alphadrop.pipeline.pipeline import Pipeline\nPipeline.cut_apart = lambda *_: rest()\n"
    for where in (_IN_THE_NETWORK, apart, apart, apart, apart):
        with resting(home, where):
            pass
        assert files_below(home.output) == []
        assert files_below(home.input) == ["cat.jpg"]
    with running(home):
        wait_for(lambda: done(home) == 1, "it to be done")
    assert files_below(home.output) == ["cat.png"]
    assert_cut_from(home.output / "cat.png", photographs["cat"])


# 9 ------------------------------------------------------------------------------------------------------------------

_HALF_WRITTEN = """
fdopen = os.fdopen
def half(descriptor, mode="r", *given, **named):
    if mode == "wb" and within(os.readlink(f"/proc/self/fd/{descriptor}")):
        os.write(descriptor, b"\\x89PNG and no more")
        rest()
    return fdopen(descriptor, mode, *given, **named)
os.fdopen = half
"""
_WRITTEN = """
fsync = os.fsync
def resting(descriptor):
    file = os.readlink(f"/proc/self/fd/{descriptor}")
    if within(file) and file.endswith(".part"):
        rest()
    fsync(descriptor)
os.fsync = resting
"""
_BEFORE = """
{call} = os.{call}
def resting(source, target, **named):
    if within(target):
        rest()
    {call}(source, target, **named)
os.{call} = resting
"""
_AFTER = """
{call} = os.{call}
def resting(source, target, **named):
    {call}(source, target, **named)
    if within(target):
        rest()
os.{call} = resting
"""
_BEFORE_IT_IS_RECORDED = """
from alphadrop.hotfolder.ledger import Ledger
Ledger.wrote = lambda *_: rest()
"""
_LINUX_ONLY = pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
_LONG = pytest.mark.long


@pytest.mark.parametrize(
    ("where", "left"),
    [
        pytest.param(_HALF_WRITTEN, (), marks=_LINUX_ONLY, id="half a temporary"),
        pytest.param(_WRITTEN, (), marks=[_LINUX_ONLY, _LONG], id="a whole temporary"),
        pytest.param(_BEFORE.format(call="link"), (), id="before it gets its name"),
        pytest.param(_AFTER.format(call="link"), ("sub/cat.png",), id="with both names"),
        pytest.param(_BEFORE_IT_IS_RECORDED, ("sub/cat.png",), marks=_LONG, id="before that is recorded"),
    ],
)
def test_row_09_what_was_killed_during_the_first_write_leaves_no_truncated_output_and_no_temporary(
    home: Home, photographs: dict[str, Path], where: str, left: tuple[str, ...]
) -> None:
    (home.input / "sub").mkdir()
    shutil.copy(photographs["cat"], home.input / "sub" / "cat.jpg")
    with resting(home, where):
        pass
    temporaries = [name for name in files_below(home.output) if Path(name).name.startswith(".alphadrop-")]
    assert len(temporaries) == (where != _BEFORE_IT_IS_RECORDED)
    assert tuple(set(files_below(home.output)) - set(temporaries)) == left
    for name in left:
        assert_cut_from(home.output / name, photographs["cat"])
    with running(home):
        wait_for(lambda: done(home) == 1, "it to be done")
    assert files_below(home.output) == ["sub/cat.png"]
    assert_cut_from(home.output / "sub" / "cat.png", photographs["cat"])


@pytest.mark.parametrize(
    ("where", "left"),
    [
        pytest.param(_HALF_WRITTEN, "cat", marks=[_LINUX_ONLY, _LONG], id="half a temporary"),
        pytest.param(_BEFORE.format(call="replace"), "cat", id="before it gets its name"),
        pytest.param(_AFTER.format(call="replace"), "coffee", id="after it got its name"),
    ],
)
def test_row_09_what_was_killed_while_an_output_was_replaced_leaves_the_old_or_the_new_one_whole(
    home: Home, photographs: dict[str, Path], where: str, left: str
) -> None:
    photograph = home.input / "a.jpg"
    shutil.copy(photographs["cat"], photograph)
    with running(home):
        wait_for(lambda: done(home) == 1, "the first content to be done")
    shutil.copy(photographs["coffee"], photograph)
    with resting(home, where):
        pass
    assert_cut_from(home.output / "a.png", photographs[left])
    with running(home):
        wait_for(lambda: done(home) == 1, "the second content to be done")
    assert files_below(home.output) == ["a.png"]
    assert_cut_from(home.output / "a.png", photographs["coffee"])


def test_row_09_temporaries_of_a_write_that_goes_on_and_files_of_others_are_not_swept(
    home: Home, photographs: dict[str, Path]
) -> None:
    fcntl = pytest.importorskip("fcntl")
    shutil.copy(photographs["cat"], home.input)
    theirs = [home.output / ".alphadrop-notes.txt", home.output / ".hidden.part", home.output / "alphadrop-1.part"]
    for file in theirs:
        file.write_bytes(b"mine")
    (home.output / ".alphadrop-0123456789abcdef.part").write_bytes(b"half of an output")
    with (home.output / ".alphadrop-fedcba9876543210.part").open("wb") as writing:
        fcntl.flock(writing, fcntl.LOCK_EX)
        with running(home):
            wait_for(lambda: done(home) == 1, "it to be done")
        left = {*files_below(home.output)}
    assert left == {"cat.png", ".alphadrop-fedcba9876543210.part", *(file.name for file in theirs)}


@pytest.mark.parametrize("with_a_place", [True, False])
def test_row_09_an_original_that_a_crash_left_under_its_hidden_name_gets_its_own_back_if_it_is_to_stay_now(
    ground: Ground, with_a_place: bool
) -> None:
    finished = ground.root / "finished"
    finished.mkdir()
    ground.settings = replace(ground.settings, originals="move", finished=finished)
    ground.cut("a.jpg", RED)
    photograph = (ground.input / "a.jpg").read_bytes()
    row = ground.row("a.jpg")
    (ground.input / "a.jpg").rename(originals._aside(row))
    ground.restart()
    ground.settings = replace(ground.settings, originals="keep", finished=finished if with_a_place else None)
    ground.clock.now += 100
    ground.work()
    assert files_below(ground.input) == ["a.jpg"]
    assert (ground.input / "a.jpg").read_bytes() == photograph
    assert files_below(finished) == []
    assert not ground.ledger.unknown(ground.input, [(row.path, row.content)])
    with Image.open(ground.output / "a.png") as image:
        image.load()


@pytest.mark.parametrize("what", ["move", "delete"])
def test_row_09_an_original_that_a_crash_left_under_its_hidden_name_goes_on_its_way(ground: Ground, what: str) -> None:
    finished = ground.root / "finished"
    finished.mkdir()
    ground.settings = replace(ground.settings, originals=what, finished=finished if what == "move" else None)  # type: ignore[arg-type]
    ground.cut("a.jpg", RED)
    photograph = (ground.input / "a.jpg").read_bytes()
    (ground.input / "a.jpg").rename(originals._aside(ground.row("a.jpg")))
    ground.restart()
    ground.clock.now += 100
    ground.work()
    assert files_below(ground.input) == []
    assert files_below(finished) == (["a.jpg"] if what == "move" else [])
    if what == "move":
        assert (finished / "a.jpg").read_bytes() == photograph
