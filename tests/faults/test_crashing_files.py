"""Row 42: a file that ends the process that opens it is found out alone, and the innocent are done."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from PIL import Image

from alphadrop.client import Client
from alphadrop.errors import DaemonError
from alphadrop.hotfolder.ledger import Ledger, Row
from daemon_process import PATIENCE, Home, wait_for
from fake_segmenter import assert_cut_from

pytestmark = pytest.mark.long

MARK = b"this file ends whoever decodes it"
# In the daemon and in the process of its own alike: what decoders do to a file that they have a bug for.
SITECUSTOMIZE = f"""
import os, sys
if "alphadrop" in sys.orig_argv or "alphadrop.pipeline.apart" in sys.orig_argv:
    from PIL import Image
    plain = Image.open
    def opening(stream, *arguments, **options):
        here = stream.tell()
        data = stream.read()
        stream.seek(here)
        if data.endswith({MARK!r}):
            os.abort()
        return plain(stream, *arguments, **options)
    Image.open = opening
if "alphadrop" in sys.orig_argv:
    from alphadrop.hotfolder import worker
    worker._LONGEST_WAIT = 0.2
"""


@pytest.fixture
def home(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Home:
    """A home whose processes have a decoder that marked files crash."""
    home = Home(tmp_path_factory.mktemp("h"))
    home.configure(folder="settle: 0\nedges: plain", top="quiet: never")
    site = home.root / "site"
    site.mkdir()
    (site / "sitecustomize.py").write_text(SITECUSTOMIZE)
    inherited = os.environ.get("PYTHONPATH")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(site), *([inherited] if inherited else [])]))
    return home


@contextmanager
def begun(home: Home) -> Iterator[subprocess.Popen[bytes]]:
    """Run a daemon, which may end at any time."""
    with (home.root / "stderr.txt").open("ab") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "alphadrop", "run"], env=home.environment, stdout=log, stderr=log, cwd=home.root
        )
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def counts(home: Home) -> dict[str, int]:
    """Return how many photographs are in each state; nothing where no daemon answers."""
    try:
        return dict(Client(home.run).status()["folders"][0])
    except (DaemonError, IndexError):
        return {}


def rows(home: Home) -> dict[str, Row]:
    ledger = Ledger(home.root / "data" / "ledger.sqlite")
    try:
        return {row.path.name: row for row in ledger.rows()}
    finally:
        ledger.close()


@pytest.mark.timeout(900)
def test_row_42_a_file_that_crashes_the_decoder_fails_after_three_crashes_alone_and_the_innocent_are_done(
    home: Home, photographs: dict[str, Path]
) -> None:
    for number in range(4):
        shutil.copy(photographs["cat"], home.input / f"{number}.jpg")
    guilty = home.input / "2b.jpg"
    guilty.write_bytes(photographs["coffee"].read_bytes() + MARK)
    deaths = []
    for _ in range(5):
        with begun(home) as process:

            def is_over(process: subprocess.Popen[bytes] = process) -> bool:
                found = counts(home)
                settled = (found.get("done"), found.get("failed")) == (4, 1)
                return settled or process.poll() is not None

            wait_for(is_over, "all to be settled, or the daemon to die", 5 * PATIENCE)
            if process.poll() is None:
                process.terminate()
                assert process.wait(timeout=PATIENCE) == 0
                break
            deaths.append(process.returncode)
    assert deaths == [-6], "the daemon must die of it once, and not again"
    found = rows(home)
    failed = found.pop("2b.jpg")
    assert (failed.state, failed.outcome, failed.crashes) == ("failed", "crashes_decoder", 3)
    assert "SIGABRT" in failed.reason
    assert guilty.read_bytes().endswith(MARK)
    assert {(row.state, row.crashes) for row in found.values()} == {("done", 0)}
    assert sorted(os.listdir(home.output)) == [f"{number}.png" for number in range(4)]
    for number in range(4):
        assert_cut_from(home.output / f"{number}.png", photographs["cat"])


def test_row_42_kills_from_outside_never_make_a_good_file_fail(home: Home, photographs: dict[str, Path]) -> None:
    home.configure(folder="settle: 0")
    large = home.root / "large.jpg"
    with Image.open(photographs["astronaut"]) as image:
        image.resize((3464, 3464)).save(large)
    shutil.copy(large, home.input / "a.jpg")
    for _ in range(4):
        with begun(home) as process:
            wait_for(lambda: counts(home).get("working") == 1, "the file to be at work")
            process.kill()
            process.wait()
        (row,) = rows(home).values()
        assert (row.state, row.crashes) == ("working", 0)
        assert not (home.output / "a.png").exists()
    with begun(home):
        wait_for(lambda: counts(home).get("done") == 1, "the file to be done")
    (row,) = rows(home).values()
    assert (row.state, row.outcome, row.crashes, row.suspect) == ("done", "done", 0, False)
    assert_cut_from(home.output / "a.png", large)
