"""From the drop to the cut-out, with the real daemon and the real model, by every way a file can arrive."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from alphadrop.client import Client
from daemon_process import Home, running, wait_for
from fake_segmenter import assert_cut_from


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Home]:
    """A home in which a daemon runs that no rescan helps: only events and hints lead it."""
    home = Home(tmp_path_factory.mktemp("h"))
    home.configure(folder="settle: 0.2\nrescan: 1h")
    with running(home) as process:
        yield home
        assert process.poll() is None
    errors = (home.root / "stderr.txt").read_text(errors="replace")
    assert "Traceback" not in errors
    assert [name for name in os.listdir(home.output) if name.startswith(".")] == []


def counts(home: Home) -> dict[str, Any]:
    return dict(Client(home.run).status()["folders"][0])


def done(home: Home, more: int, before: dict[str, Any]) -> None:
    wait_for(lambda: counts(home)["done"] == before["done"] + more, f"{more} more to be done")


def test_a_slow_copy_that_stalls_while_it_is_open_comes_out_whole(home: Home, photographs: dict[str, Path]) -> None:
    before = counts(home)
    whole = photographs["astronaut"].read_bytes()
    with (home.input / "slow.jpg").open("wb") as stream:
        for start in range(0, len(whole) // 2, 8192):
            stream.write(whole[start : min(start + 8192, len(whole) // 2)])
            stream.flush()
        wait_for(lambda: counts(home)["pending"] or counts(home)["working"], "the half to look settled")
        assert not (home.output / "slow.png").exists()
        stream.write(whole[len(whole) // 2 :])
    done(home, 1, before)
    assert_cut_from(home.output / "slow.png", photographs["astronaut"])


def test_a_copy_that_breaks_off_and_goes_on_later_comes_out_whole(home: Home, photographs: dict[str, Path]) -> None:
    before = counts(home)
    whole = photographs["cat"].read_bytes()
    (home.input / "broken.jpg").write_bytes(whole[: len(whole) // 2])
    wait_for(lambda: counts(home)["failed"] == before["failed"] + 1, "the half to fail")
    with (home.input / "broken.jpg").open("ab") as stream:
        stream.write(whole[len(whole) // 2 :])
    done(home, 1, before)
    assert_cut_from(home.output / "broken.png", photographs["cat"])
    assert counts(home)["failed"] == before["failed"]


def test_a_file_renamed_into_place_is_cut_and_its_temporary_is_not(home: Home, photographs: dict[str, Path]) -> None:
    before = counts(home)
    shutil.copy(photographs["cat"], home.input / "download.jpg.part")
    (home.input / "download.jpg.part").rename(home.input / "download.jpg")
    done(home, 1, before)
    assert_cut_from(home.output / "download.png", photographs["cat"])


def test_a_file_moved_in_from_elsewhere_is_cut(home: Home, photographs: dict[str, Path]) -> None:
    before = counts(home)
    shutil.copy(photographs["cat"], home.root / "moved.jpg")
    (home.root / "moved.jpg").rename(home.input / "moved.jpg")
    done(home, 1, before)
    assert_cut_from(home.output / "moved.png", photographs["cat"])


def test_a_folder_that_is_copied_in_is_mirrored(home: Home, photographs: dict[str, Path]) -> None:
    before = counts(home)
    album = home.root / "album"
    (album / "deep" / "deeper").mkdir(parents=True)
    shutil.copy(photographs["cat"], album / "a.jpg")
    shutil.copy(photographs["astronaut"], album / "deep" / "deeper" / "a.jpg")
    shutil.copytree(album, home.input / "copied")
    album.rename(home.input / "moved in")
    done(home, 4, before)
    for name in ("copied", "moved in"):
        assert_cut_from(home.output / name / "a.png", photographs["cat"])
        assert_cut_from(home.output / name / "deep" / "deeper" / "a.png", photographs["astronaut"])


def test_a_name_that_is_not_utf_8_is_cut_and_can_be_told_of(home: Home, photographs: dict[str, Path]) -> None:
    before = counts(home)
    name = os.fsdecode(b"\xff\xfe\n.jpg")
    shutil.copy(photographs["cat"], home.input / name)
    done(home, 1, before)
    assert_cut_from(home.output / os.fsdecode(b"\xff\xfe\n.png"), photographs["cat"])
    log = home.root / "data" / "log" / "alphadrop.log"
    wait_for(lambda: "/\\xff\\xfe\\n.jpg -> " in log.read_text(encoding="utf-8"), "the log to tell of it")


def test_a_photograph_overwritten_with_another_is_cut_again(home: Home, photographs: dict[str, Path]) -> None:
    before = counts(home)
    shutil.copy(photographs["cat"], home.input / "same.jpg")
    done(home, 1, before)
    assert_cut_from(home.output / "same.png", photographs["cat"])
    first = (home.output / "same.png").stat()
    shutil.copy(photographs["astronaut"], home.input / "same.jpg")
    wait_for(lambda: (home.output / "same.png").stat().st_ino != first.st_ino, "the new output")
    done(home, 1, before)
    assert_cut_from(home.output / "same.png", photographs["astronaut"])
    assert not (home.output / "same.jpg.png").exists()


def test_what_is_no_photograph_is_left_alone_or_named(home: Home, photographs: dict[str, Path]) -> None:
    before = counts(home)
    (home.input / "notes.txt").write_text("hello")
    (home.input / "text.jpg").write_text("hello")
    (home.input / "loop").symlink_to(".")
    os.mkfifo(home.input / "pipe.jpg")
    shutil.copy(photographs["cat"], home.input / ".hidden.jpg")
    wait_for(lambda: counts(home)["failed"] == before["failed"] + 1, "the text to fail")
    shutil.copy(photographs["cat"], home.input / "last.jpg")
    done(home, 1, before)
    after = counts(home)
    assert (after["pending"], after["working"], after["failed"]) == (0, 0, before["failed"] + 1)


def test_a_daemon_whose_networks_openvino_runs_does_the_same(tmp_path: Path, photographs: dict[str, Path]) -> None:
    home = Home(tmp_path)
    home.configure(folder="settle: 0.2", top="provider: openvino")
    with running(home):
        home.drop(photographs["cat"], "cat.jpg")
        done(home, 1, {"done": 0})
        assert Client(home.run).status()["model"]["device"].startswith("openvino, ")
    assert_cut_from(home.output / "cat.png", photographs["cat"])


def test_an_input_is_never_touched(home: Home, photographs: dict[str, Path]) -> None:
    before = counts(home)
    shutil.copy2(photographs["cat"], home.input / "kept.jpg")
    status = (home.input / "kept.jpg").stat()
    done(home, 1, before)
    after = (home.input / "kept.jpg").stat()
    assert (after.st_ino, after.st_mtime_ns, after.st_size) == (status.st_ino, status.st_mtime_ns, status.st_size)
    assert (home.input / "kept.jpg").read_bytes() == photographs["cat"].read_bytes()
