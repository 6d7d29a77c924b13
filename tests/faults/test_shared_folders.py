"""Rows 46 and 47: in a folder that others may write nobody makes us read his secrets, and what we make is shared."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from alphadrop.hotfolder import worker
from alphadrop.hotfolder.scan import open_input
from daemon_process import wait_for
from fake_segmenter import BLUE, GREEN, RED, Ground, photograph, started, until_done

# Row 46 --------------------------------------------------------------------------------------------------------------


@pytest.fixture
def secret(ground: Ground) -> Path:
    """A photograph elsewhere, of the same size in bytes as every other of its format and colour depth."""
    folder = ground.root / "secret"
    folder.mkdir()
    return photograph(folder / "a.bmp", RED)


def by_a_link(victim: Path, secret: Path) -> None:
    victim.unlink()
    victim.symlink_to(secret)


def by_a_relative_link(victim: Path, secret: Path) -> None:
    victim.unlink()
    victim.symlink_to(os.path.relpath(secret, victim.parent))


def by_a_linked_folder(victim: Path, secret: Path) -> None:
    victim.parent.rename(secret.parents[1] / "was")
    victim.parent.symlink_to(secret.parent)


def by_a_linked_grandparent(victim: Path, secret: Path) -> None:
    elsewhere = secret.parent.parent / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / victim.parent.name).symlink_to(secret.parent)
    victim.parents[1].rename(secret.parents[1] / "was")
    victim.parents[1].symlink_to(elsewhere)


SWAPS = [by_a_link, by_a_relative_link, by_a_linked_folder, by_a_linked_grandparent]
Swap = Callable[[Path, Path], None]


def victim_like(secret: Path, ground: Ground) -> Path:
    """Drop a photograph that size and time of change do not tell from the secret."""
    victim = ground.drop("deep/er/a.bmp", GREEN)
    status = secret.stat()
    os.utime(victim, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert victim.stat().st_size == status.st_size
    return victim


def assert_nothing_of_it_came_out(ground: Ground, secret: Path, before: tuple[bytes, os.stat_result]) -> None:
    content, status = before
    assert RED not in ground.outputs().values()
    assert secret.read_bytes() == content
    assert secret.stat().st_ino == status.st_ino
    assert sorted(secret.parent.iterdir()) == [secret]


@pytest.mark.parametrize("swap", SWAPS)
def test_row_46_a_file_swapped_for_a_link_between_the_scan_and_the_open_is_not_read(
    ground: Ground, secret: Path, monkeypatch: pytest.MonkeyPatch, swap: Swap
) -> None:
    before = secret.read_bytes(), secret.stat()
    swapped: list[Path] = []

    def open_too_late(root: Path, path: Path) -> int:
        if path.name == "a.bmp" and not swapped:
            swapped.append(path)
            swap(root / path, secret)
        return open_input(root, path)

    monkeypatch.setattr(worker, "open_input", open_too_late)
    monkeypatch.setattr(worker, "_LONGEST_WAIT", 0.2)
    (ground.input / "deep" / "er").mkdir(parents=True)
    with started(ground):
        victim_like(secret, ground)
        wait_for(lambda: swapped, "the race")
        ground.drop("z.bmp", BLUE)
        wait_for(lambda: ground.row("deep/er/a.bmp").state == "missing", "the file to be given up")
        until_done(ground, 1)
    assert ground.fake.runs == 1
    assert ground.outputs() == {"z.png": BLUE}
    assert_nothing_of_it_came_out(ground, secret, before)


@pytest.mark.parametrize("swap", SWAPS)
def test_row_46_a_file_swapped_for_a_link_while_it_is_cut_gives_nothing(
    ground: Ground, secret: Path, swap: Swap
) -> None:
    before = secret.read_bytes(), secret.stat()
    victim = victim_like(secret, ground)
    ground.note("deep/er/a.bmp")
    swapped: list[Path] = []

    def swap_once() -> None:
        if not swapped:
            swapped.append(victim)
            swap(victim, secret)

    ground.fake.before = swap_once
    ground.work()
    assert swapped
    assert ground.outputs() == {}
    assert ground.row("deep/er/a.bmp").state == "missing"
    assert_nothing_of_it_came_out(ground, secret, before)


@pytest.mark.parametrize("originals", ["move", "delete"])
@pytest.mark.parametrize("swap", SWAPS)
def test_row_46_a_file_swapped_for_a_link_after_it_was_cut_has_nothing_moved_or_deleted_elsewhere(
    ground: Ground, secret: Path, swap: Swap, originals: str
) -> None:
    before = secret.read_bytes(), secret.stat()
    finished = ground.root / "finished"
    finished.mkdir()
    ground.settings = replace(ground.settings, originals=originals, finished=finished)  # type: ignore[arg-type]
    victim = victim_like(secret, ground)
    ground.note("deep/er/a.bmp")
    assert ground.work() == 1
    assert ground.outputs() == {"deep/er/a.png": GREEN}
    swap(victim, secret)
    for _ in range(20):
        ground.clock.now += 3600
        ground.work()
    assert_nothing_of_it_came_out(ground, secret, before)
    assert not list(finished.rglob("*.bmp"))


@pytest.mark.parametrize("originals", ["move", "delete"])
@pytest.mark.parametrize("swap", SWAPS)
def test_row_46_a_file_swapped_for_a_link_in_the_moment_it_is_put_away_has_nothing_moved_or_deleted_elsewhere(
    ground: Ground, secret: Path, monkeypatch: pytest.MonkeyPatch, swap: Swap, originals: str
) -> None:
    before = secret.read_bytes(), secret.stat()
    finished = ground.root / "finished"
    finished.mkdir()
    ground.settings = replace(ground.settings, originals=originals, finished=finished)  # type: ignore[arg-type]
    victim = victim_like(secret, ground)
    rename = os.rename
    swapped: list[Path] = []

    def rename_too_late(source: Path, target: Path) -> None:
        if source == victim and not swapped:
            swapped.append(source)
            swap(victim, secret)
        rename(source, target)

    ground.note("deep/er/a.bmp")
    assert ground.work() == 1
    with monkeypatch.context() as patches:
        patches.setattr(os, "rename", rename_too_late)
        for _ in range(20):
            ground.clock.now += 3600
            ground.work()
    assert swapped
    assert_nothing_of_it_came_out(ground, secret, before)
    assert not list(finished.rglob("*.bmp"))


# Row 47 --------------------------------------------------------------------------------------------------------------

GROUP = 65_534


@contextmanager
def umask(mask: int) -> Iterator[None]:
    before = os.umask(mask)
    try:
        yield
    finally:
        os.umask(before)


def modes(folder: Path) -> dict[str, int]:
    return {path.relative_to(folder).as_posix(): stat.S_IMODE(path.stat().st_mode) for path in folder.rglob("*")}


@pytest.mark.parametrize(
    ("mask", "file", "folder"), [(0o002, 0o664, 0o775), (0o022, 0o644, 0o755), (0o077, 0o600, 0o700)], ids=oct
)
def test_row_47_what_is_written_has_the_mode_that_the_umask_gives_every_new_file(
    ground: Ground, mask: int, file: int, folder: int
) -> None:
    failed = ground.root / "failed"
    failed.mkdir()
    ground.settings = replace(ground.settings, result="both", failed=failed)
    with umask(mask), started(ground):
        ground.drop("sub/a.png", GREEN)
        (ground.input / "text.png").write_text("no picture")
        until_done(ground, 1)
        wait_for((failed / "text.png.txt").exists, "the failed one to be moved")
        # The same again, over our own output.
        photograph(ground.root / "new.png", BLUE, size=(60, 60)).replace(ground.input / "sub" / "a.png")
        wait_for(lambda: ground.shows("sub/a.png", BLUE), "the new content")
    assert modes(ground.output) == {"sub": folder, "sub/a.png": file, "sub/a.mask.png": file}
    assert modes(failed)["text.png.txt"] == file


@pytest.mark.skipif(os.name != "posix" or os.geteuid() != 0, reason="only root can give a folder to another group")
def test_row_47_what_is_written_belongs_to_the_group_that_shares_the_folder(ground: Ground) -> None:
    os.chown(ground.output, -1, GROUP)
    ground.output.chmod(0o2775)
    with umask(0o002), started(ground):
        ground.drop("sub/a.png", GREEN)
        until_done(ground, 1)
    for path in (ground.output / "sub", ground.output / "sub" / "a.png"):
        assert path.stat().st_gid == GROUP
    assert modes(ground.output) == {"sub": 0o2775, "sub/a.png": 0o664}
