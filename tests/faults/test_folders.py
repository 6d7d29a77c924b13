"""Faults of whole folders: renamed, unmounted, missing, one inside the other, one after the other."""

from __future__ import annotations

import contextlib
import functools
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from alphadrop.client import Client
from alphadrop.errors import DaemonError
from alphadrop.hotfolder import answers, folder, hotfolders, scan, worker
from alphadrop.hotfolder.hotfolders import HotFolders
from alphadrop.hotfolder.settings import FolderSettings
from daemon_process import PATIENCE, Home, wait_for
from fake_segmenter import BLUE, GREEN, RED, Ground, photograph, started, until_done

_WITHIN = "ALPHADROP_TEST_HAS_MOUNTS_OF_ITS_OWN"


def with_mounts_of_its_own(test: Callable[..., None]) -> Callable[..., None]:
    """Have a test run again in a process that may mount what it likes, and nobody else sees it."""

    @functools.wraps(test)
    def run(**fixtures: Any) -> None:
        if _WITHIN in os.environ:
            test(**fixtures)
            return
        apart = ["unshare", "--mount", "--propagation", "private"]
        try:
            subprocess.run([*apart, "mount", "-t", "tmpfs", "none", "/tmp"], check=True, capture_output=True)
        except (OSError, subprocess.CalledProcessError):
            pytest.skip("nothing may be mounted here")
        name = os.environ["PYTEST_CURRENT_TEST"].rpartition("::")[2].removesuffix(" (call)")
        command = [*apart, sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", f"{__file__}::{name}"]
        ran = subprocess.run(command, env={**os.environ, _WITHIN: "1"}, capture_output=True, text=True, check=False)
        assert ran.returncode == 0, ran.stdout + ran.stderr

    return run


@pytest.fixture(autouse=True)
def looks_are_frequent(monkeypatch: pytest.MonkeyPatch) -> None:
    """What takes seconds, so as not to burden a machine, takes tenths of them."""
    monkeypatch.setattr(folder, "_POLL", 0.1)
    monkeypatch.setattr(hotfolders, "_MOST_WAIT", 0.2)
    monkeypatch.setattr(worker, "_LONGEST_WAIT", 0.2)


def health(folders: HotFolders, index: int = 0) -> str:
    return folders.status()[index].health.state


def wait_for_health(folders: HotFolders, state: str, index: int = 0) -> None:
    wait_for(lambda: health(folders, index) == state, f"the folder to be {state}")


def written(ground: Ground) -> dict[str, tuple[int, int]]:
    """Return every output with what changes whenever it is written again."""
    files = [path for path in ground.output.rglob("*") if path.is_file()]
    return {str(path.relative_to(ground.output)): (path.stat().st_ino, path.stat().st_mtime_ns) for path in files}


# 17: renamed


def test_row_17_a_renamed_folder_is_an_error_and_what_happens_in_it_is_not_taken_for_the_old_ones(
    ground: Ground,
) -> None:
    renamed = ground.root / "renamed"
    with started(ground) as folders:
        ground.drop("a.png", RED)
        until_done(ground, 1)
        ground.input.rename(renamed)
        photograph(renamed / "b.png", GREEN)
        wait_for_health(folders, "missing")
        (status,) = folders.status()
        assert "make the folder" in status.health.remedy
        photograph(renamed / "c.png", BLUE)
        assert status.counts == {"done": 1}
        assert [str(row.path) for row in ground.ledger.rows()] == ["a.png"]
        assert ground.outputs() == {"a.png": RED}

        renamed.rename(ground.input)
        until_done(ground, 3)
        assert health(folders) == "watching"
    assert ground.outputs() == {"a.png": RED, "b.png": GREEN, "c.png": BLUE}
    assert ground.fake.runs == 3


def test_row_17_another_folder_under_the_old_name_is_watched_and_the_renamed_one_is_not(ground: Ground) -> None:
    renamed = ground.root / "renamed"
    with started(ground):
        ground.drop("a.png", RED)
        until_done(ground, 1)
        ground.input.rename(renamed)
        ground.input.mkdir()
        photograph(renamed / "stray.png", BLUE)
        ground.drop("b.png", GREEN)
        until_done(ground, 2)
        ground.drop("c.png", GREEN)
        until_done(ground, 3)
    assert ground.outputs() == {"a.png": RED, "b.png": GREEN, "c.png": GREEN}


# 18: its disk is gone


def mount_disk(kind: str, content: Path, at: Path) -> None:
    """Mount a disk with a folder's content: the same disk each time, or each time another device number."""
    if kind == "bind":
        subprocess.run(["mount", "--bind", content, at], check=True)
    else:
        subprocess.run(["mount", "-t", "tmpfs", "none", at], check=True)
        shutil.copytree(content, at, dirs_exist_ok=True)


def unmount(at: Path) -> None:
    """Unmount a disk as soon as nobody has a file on it open."""
    wait_for(lambda: subprocess.run(["umount", at], capture_output=True, check=False).returncode == 0, "the unmounting")


@pytest.mark.parametrize("kind", ["bind", "tmpfs"])
@with_mounts_of_its_own
def test_row_18_an_unmounted_input_is_missing_and_when_it_is_back_nothing_is_done_again(
    ground: Ground, kind: str
) -> None:
    disk, other = ground.root / "disk", ground.root / "other"
    disk.mkdir()
    other.mkdir()
    photograph(disk / "a.png", RED)
    photograph(disk / "b.png", GREEN)
    another = replace(ground.settings, input=other)
    mount_disk(kind, disk, ground.input)
    device = ground.input.stat().st_dev
    with started(ground, another) as folders:
        until_done(ground, 2)
        folders.pause()
        photograph(disk / "c.png", BLUE)
        shutil.copy2(disk / "c.png", ground.input / "c.png") if kind == "tmpfs" else None
        wait_for(lambda: ground.ledger.counts(ground.input).get("pending") == 1, "the third to be noted")
        before = written(ground)
        unmount(ground.input)
        wait_for_health(folders, "missing")
        assert "mount" in folders.status()[0].health.remedy

        folders.resume()
        photograph(other / "d.png", RED)
        wait_for(lambda: ground.ledger.counts(other) == {"done": 1}, "the other folder to go on")
        assert health(folders) == "missing"
        assert ground.ledger.counts(ground.input) == {"done": 2, "pending": 1}

        mount_disk("tmpfs", other, other)  # takes the device number that has become free
        mount_disk(kind, disk, ground.input)
        assert (ground.input.stat().st_dev == device) == (kind == "bind")
        until_done(ground, 3)
        ground.drop("e.png", GREEN)
        until_done(ground, 4)
        assert health(folders) == "watching"
    after = written(ground)
    assert {name: after[name] for name in before} == before
    assert ground.outputs() == {"a.png": RED, "b.png": GREEN, "c.png": BLUE, "d.png": RED, "e.png": GREEN}
    assert ground.fake.runs == 5


@contextmanager
def silent_server(at: Path) -> Iterator[None]:
    """Mount a folder of a server that answers nothing, until the block ends, and what asked it gets an error."""
    try:
        server = os.open("/dev/fuse", os.O_RDWR)
    except OSError:
        pytest.skip("no file system of one's own can be made here")
    options = f"fd={server},rootmode=40000,user_id={os.getuid()},group_id={os.getgid()}"
    try:
        subprocess.run(["mount", "-i", "-t", "fuse", "-o", options, "silent", at], check=True, pass_fds=[server])
        yield
    finally:
        os.close(server)
        subprocess.run(["umount", "--lazy", at], check=False)


@pytest.fixture
def patience_is_short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(answers, "_PATIENCE", 0.5)
    monkeypatch.setattr(hotfolders, "_AFTER_AN_ERROR", 0.1)


@pytest.fixture
def other(ground: Ground) -> FolderSettings:
    """Settings of another folder, with its disks at home."""
    for name in ("other", "other-out"):
        (ground.root / name).mkdir()
    return replace(ground.settings, input=ground.root / "other", output=ground.root / "other-out")


def until_done_in(settings: FolderSettings, ground: Ground, count: int) -> None:
    wait_for(lambda: ground.ledger.counts(settings.input).get("done", 0) == count, "the other folder's photographs")


@with_mounts_of_its_own
@pytest.mark.usefixtures("patience_is_short")
def test_row_18_a_server_that_goes_silent_keeps_its_own_folder_only_until_it_is_back(
    ground: Ground, other: FolderSettings
) -> None:
    with started(ground, other) as folders:
        ground.drop("a.png", RED)
        until_done(ground, 1)
        with silent_server(ground.input):
            wait_for_health(folders, "not answering")
            for number in range(3):
                photograph(other.input / f"{number}.png", GREEN)
                until_done_in(other, ground, number + 1)
            wait_for_health(folders, "watching", 1)
            assert health(folders) == "not answering"
        wait_for_health(folders, "watching")
        ground.drop("b.png", BLUE)
        until_done(ground, 2)
    assert ground.outputs() == {"a.png": RED, "b.png": BLUE}
    assert ground.fake.runs == 5


@pytest.mark.parametrize("place", ["input", "output"])
@with_mounts_of_its_own
@pytest.mark.usefixtures("patience_is_short")
def test_row_18_photographs_at_work_on_a_server_that_goes_silent_wait_and_others_are_cut(
    ground: Ground, other: FolderSettings, place: str
) -> None:
    at_work, go_on = threading.Event(), threading.Event()

    def hold() -> None:
        at_work.set()
        assert go_on.wait(PATIENCE)

    ground.fake.before = hold
    with started(ground, other) as folders:
        for number in range(8):
            ground.drop(f"{number}.png", GREEN)
        assert at_work.wait(PATIENCE)
        with silent_server(getattr(ground, place)):
            go_on.set()
            photograph(other.input / "a.png", RED)
            until_done_in(other, ground, 1)
            wait_for_health(folders, "not answering")
            photograph(other.input / "b.png", RED)
            until_done_in(other, ground, 2)
        until_done(ground, 8)
        wait_for_health(folders, "watching")
    assert ground.outputs() == {f"{number}.png": GREEN for number in range(8)}


_IMPATIENT = """
import sys
from alphadrop.hotfolder import answers
from alphadrop.service import lifecycle
answers._PATIENCE = answers._SOON = lifecycle._GRACE = 1.0
from alphadrop.cli import main
sys.exit(main())
"""


@pytest.mark.long
@with_mounts_of_its_own
def test_row_19_a_daemon_starts_works_and_ends_beside_a_server_that_is_silent_from_the_beginning(
    tmp_path_factory: pytest.TempPathFactory, photographs: dict[str, Path]
) -> None:
    home = Home(tmp_path_factory.mktemp("h"))
    away = home.root / "away"
    away.mkdir()
    home.configure(folder="settle: 0\nedges: plain", top="quiet: never")
    with (home.root / "alphadrop.yaml").open("a") as configuration:
        configuration.write(f"- input: {away}\n  output: {home.root}\n")
    client = Client(home.run)

    def status() -> dict[str, Any]:
        with contextlib.suppress(DaemonError):
            return client.status()
        return {}

    with silent_server(away), (home.root / "stderr.txt").open("ab") as log:
        command = [sys.executable, "-c", _IMPATIENT]
        process = subprocess.Popen([*command, "run"], env=home.environment, stdout=log, stderr=log, cwd=home.root)
        try:
            wait_for(lambda: status().get("state") == "ready", "the daemon")
            told = ["watching", "not answering"]
            wait_for(lambda: [folder["health"] for folder in status()["folders"]] == told, "the words for both")
            home.drop(photographs["cat"], "cat.jpg")
            wait_for((home.output / "cat.png").exists, "the cut-out")
            doctor = subprocess.run(
                [*command, "doctor"], env=home.environment, capture_output=True, text=True, check=False
            )
            assert f"{away} does not answer" in doctor.stdout
            process.terminate()
            assert process.wait(timeout=PATIENCE) == 0
        finally:
            process.kill()
            process.wait()
    log_text = (home.root / "stderr.txt").read_text(errors="replace")
    assert f"{away}: waits for its disk or server" in log_text
    assert "took too long" not in log_text


@pytest.mark.parametrize("kind", ["bind", "tmpfs"])
@with_mounts_of_its_own
def test_row_18_nothing_is_written_where_the_disk_of_the_output_should_be(ground: Ground, kind: str) -> None:
    disk = ground.root / "disk"
    disk.mkdir()
    mount_disk(kind, disk, ground.output)
    with started(ground) as folders:
        ground.drop("a.png", RED)
        until_done(ground, 1)
        shutil.copytree(ground.output, disk, dirs_exist_ok=True) if kind == "tmpfs" else None
        unmount(ground.output)
        # Nobody looks at the output by himself: the rescan is a day away, and only the photograph makes an event.
        ground.drop("b.png", GREEN)
        wait_for(
            lambda: health(folders) in ("cannot write", "output missing") or os.listdir(ground.output),
            "the photograph's turn",
        )
        assert os.listdir(ground.output) == []
        # In each of its attempts it is at work for a moment, and nothing is said of the folder.
        wait_for(lambda: "mount" in folders.status()[0].health.remedy, "the remedy")
        wait_for(lambda: ground.ledger.counts(ground.input) == {"done": 1, "pending": 1}, "the photograph to wait")

        mount_disk(kind, disk, ground.output)
        until_done(ground, 2)
        wait_for_health(folders, "watching")
    assert ground.outputs() == {"a.png": RED, "b.png": GREEN}
    unmount(ground.output)
    assert os.listdir(ground.output) == []


@with_mounts_of_its_own
def test_row_18_a_start_without_the_disks_that_were_there_waits_for_them(ground: Ground) -> None:
    disks = {place: ground.root / f"disk of {place.name}" for place in (ground.input, ground.output)}
    for place, disk in disks.items():
        disk.mkdir()
        mount_disk("bind", disk, place)
    ground.drop("a.png", RED)
    with started(ground):
        until_done(ground, 1)
    for place in disks:
        unmount(place)
    with started(ground) as folders:
        assert health(folders) == "missing"
        mount_disk("bind", disks[ground.input], ground.input)
        ground.drop("b.png", GREEN)
        wait_for_health(folders, "output missing")
        assert os.listdir(ground.output) == []
        mount_disk("bind", disks[ground.output], ground.output)
        until_done(ground, 2)
    assert ground.outputs() == {"a.png": RED, "b.png": GREEN}
    assert ground.fake.runs == 2


# 19: not there yet


def test_row_19_a_folder_that_is_missing_at_the_start_is_picked_up_when_it_appears(ground: Ground) -> None:
    ground.input.rmdir()
    with started(ground) as folders:
        assert health(folders) == "missing"
        ready = ground.root / "ready"
        ready.mkdir()
        photograph(ready / "a.png", RED)
        ready.rename(ground.input)
        until_done(ground, 1)
        ground.drop("b.png", GREEN)
        until_done(ground, 2)
        assert health(folders) == "watching"
    assert ground.outputs() == {"a.png": RED, "b.png": GREEN}


def test_row_19_of_two_folders_the_one_that_is_there_does_not_wait_for_the_other(ground: Ground) -> None:
    late = replace(ground.settings, input=ground.root / "late", output=ground.root / "late-out")
    ground.drop("a.png", RED)
    with started(ground, late) as folders:
        until_done(ground, 1)
        assert [health(folders, index) for index in range(2)] == ["watching", "missing"]
        late.input.mkdir()
        wait_for_health(folders, "output missing", 1)
        photograph(late.input / "b.png", GREEN)
        late.output.mkdir()
        wait_for(lambda: ground.ledger.counts(late.input) == {"done": 1}, "the late folder's photograph")
        assert [health(folders, index) for index in range(2)] == ["watching", "watching"]
    assert os.listdir(late.output) == ["b.png"]
    assert ground.fake.runs == 2


# 24: one inside the other


@pytest.mark.parametrize("linked", [False, True], ids=["folders", "links to folders"])
def test_row_24_outputs_and_originals_inside_the_input_are_not_taken_for_photographs(
    ground: Ground, linked: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    scans: list[Path] = []

    def counted(root: Path, **options: Any) -> Any:
        scans.append(root)
        return scan.walk(root, **options)

    monkeypatch.setattr(folder, "walk", counted)
    places = {name: ground.input / name for name in ("output", "finished", "failed")}
    for name, place in places.items():
        if linked:
            (ground.input / f"real {name}").mkdir()
            place.symlink_to(f"real {name}")
        else:
            place.mkdir()
    ground.settings = replace(ground.settings, originals="move", rescan=0.05, **places)  # type: ignore[arg-type]
    with started(ground):
        for name in ("a.png", "sub/b.png"):
            ground.drop(name, RED)
        (ground.input / "text.png").write_text("no picture")

        def all_is_done() -> bool:
            rows = ground.ledger.rows()
            return len(rows) >= 3 and all(row.original == "moved" for row in rows)

        wait_for(all_is_done, "all to be done and moved")
        seen = len(scans)
        wait_for(lambda: len(scans) >= seen + 5, "five further scans")
    assert {str(row.path): row.state for row in ground.ledger.rows()} == {
        "a.png": "done",
        "sub/b.png": "done",
        "text.png": "failed",
    }
    assert ground.fake.runs == 2
    files = {path for path in ground.input.rglob("*") if path.is_file()}
    assert {str(path.resolve().relative_to(ground.input)).removeprefix("real ") for path in files} == {
        "output/a.png",
        "output/sub/b.png",
        "finished/a.png",
        "finished/sub/b.png",
        "failed/text.png",
        "failed/text.png.txt",
    }


# 25: one after the other


def test_row_25_what_comes_out_of_one_folder_may_go_into_the_next(ground: Ground) -> None:
    last = ground.root / "last"
    last.mkdir()
    masks = replace(ground.settings, input=ground.output, output=last, result="mask")
    with started(ground, masks):
        ground.drop("a.png", RED)
        ground.drop("sub/b.png", GREEN)
        wait_for(lambda: ground.ledger.counts(ground.output) == {"done": 2}, "both to have gone the whole way")
        photograph(ground.root / "new.png", BLUE, size=(60, 60)).replace(ground.input / "a.png")
        wait_for(lambda: ground.shows("a.png", BLUE), "the new content")
        wait_for(lambda: ground.ledger.counts(ground.output) == {"done": 2}, "the new content's mask")
    assert ground.outputs() == {"a.png": BLUE, "sub/b.png": GREEN}
    assert sorted(str(path.relative_to(last)) for path in last.rglob("*.png")) == ["a.mask.png", "sub/b.mask.png"]


def test_row_25_folders_that_would_send_photographs_round_for_ever_are_refused_with_the_line(tmp_path: Path) -> None:
    home = Home(tmp_path)
    for name in ("a", "b", "c"):
        (tmp_path / name).mkdir()
    (tmp_path / "link").symlink_to("a")
    pairs = [("a", "b"), ("b", "c"), ("c", "link")]
    lines = [f"- input: {tmp_path / source}\n  output: {tmp_path / target}" for source, target in pairs]
    (tmp_path / "alphadrop.yaml").write_text("\n".join(["folders:", *lines, ""]))
    for command in (["config", "check"], ["run"]):
        told = home.alphadrop(*command, timeout=PATIENCE)
        assert told.returncode == 2, told.stderr
        assert f"alphadrop.yaml:7: photographs would go round for ever: {tmp_path}/a -> " in told.stdout + told.stderr
    assert not home.run.exists() or os.listdir(home.run) in ([], ["daemon.lock"])

    (tmp_path / "alphadrop.yaml").write_text("\n".join(["folders:", *lines[:2], ""]))
    told = home.alphadrop("config", "check")
    assert told.returncode == 0, told.stderr
