"""What is written is written down, and taken back exactly: whatever somebody did to it meanwhile."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from alphadrop.desktop.written import Done, Piece, Record, State
from alphadrop.errors import FileError
from home_tree import tree


@pytest.fixture
def home(tmp_path: Path) -> Path:
    (tmp_path / ".config").mkdir()
    (tmp_path / ".config" / "mine").write_text("mine")
    return tmp_path


def record(home: Path) -> Record:
    """The record as another process finds it."""
    return Record(home / ".local" / "share" / "alphadrop" / "written.json")


def unit(home: Path, content: bytes = b"unit") -> Piece:
    return Piece(home / ".config" / "systemd" / "user" / "a.service", content)


def link(home: Path) -> Piece:
    return Piece(home / ".config" / "systemd" / "user" / "wants" / "a.service", b"../a.service", "link")


def test_what_was_written_is_taken_back_with_its_folders(home: Path) -> None:
    before = tree(home)
    pieces = [unit(home), link(home)]
    assert [record(home).write("autostart", piece) for piece in pieces] == [
        Done(piece.path, "wrote") for piece in pieces
    ]
    assert unit(home).path.read_bytes() == b"unit"
    assert link(home).path.read_bytes() == b"unit"
    assert [record(home).state(piece) for piece in pieces] == [State.CURRENT, State.CURRENT]
    assert [record(home).write("autostart", piece).what for piece in pieces] == ["kept", "kept"]
    assert [done.what for done in record(home).take_back("autostart")] == ["removed", "removed"]
    assert tree(home) == before
    assert list(record(home).take_back("autostart")) == []
    assert tree(home) == before


def test_a_newer_one_takes_the_place_of_an_older_one(home: Path) -> None:
    record(home).write("autostart", unit(home))
    newer = unit(home, b"newer")
    assert record(home).state(newer) is State.OLDER
    assert record(home).write("autostart", newer).what == "wrote"
    assert newer.path.read_bytes() == b"newer"
    assert [done.what for done in record(home).take_back("autostart")] == ["removed"]


def test_one_that_was_changed_since_is_left_and_forgotten_when_it_is_gone(home: Path) -> None:
    piece = unit(home)
    record(home).write("autostart", piece)
    piece.path.write_bytes(b"mine now")
    assert record(home).state(piece) is State.CHANGED
    assert record(home).write("autostart", piece).what == "left"
    (done,) = record(home).take_back("autostart")
    assert (done.what, done.path) == ("left", piece.path)
    assert "changed" in done.why
    assert piece.path.read_bytes() == b"mine now"
    piece.path.unlink()
    assert list(record(home).take_back("autostart")) == []
    assert tree(home).keys() == {".config", ".config/mine"}


def test_what_was_never_written_is_left_alone(home: Path) -> None:
    piece = unit(home)
    piece.path.parent.mkdir(parents=True)
    piece.path.write_bytes(b"another's")
    before = tree(home)
    assert record(home).state(piece) is State.FOREIGN
    done = record(home).write("autostart", piece)
    assert (done.what, "not Alphadrop's" in done.why) == ("left", True)
    assert list(record(home).take_back("autostart", [piece])) == []
    assert tree(home) == before


@pytest.mark.parametrize("kind", ["link", "folder"])
def test_a_link_or_a_folder_in_its_place_is_not_followed(home: Path, kind: str) -> None:
    piece = unit(home)
    piece.path.parent.mkdir(parents=True)
    if kind == "link":
        (home / "elsewhere").write_bytes(b"unit")
        piece.path.symlink_to(home / "elsewhere")
    else:
        piece.path.mkdir()
    assert record(home).state(piece) is State.FOREIGN
    assert record(home).write("autostart", piece).what == "left"


def test_without_its_record_what_would_be_written_now_is_ours(home: Path) -> None:
    record(home).write("autostart", unit(home))
    (home / ".local" / "share" / "alphadrop" / "written.json").write_text("{nonsense")
    assert record(home).state(unit(home)) is State.CURRENT
    assert [done.what for done in record(home).take_back("autostart", [unit(home)])] == ["removed"]
    assert not unit(home).path.exists()


def test_of_two_things_one_is_taken_back_and_what_is_to_stay_stays(home: Path) -> None:
    other = Piece(home / ".config" / "other", b"other")
    kept = record(home)
    for piece in (unit(home), link(home)):
        kept.write("autostart", piece)
    kept.write("desktop", other)
    assert [done.path for done in record(home).take_back("autostart", keep=[unit(home)])] == [link(home).path]
    assert not link(home).path.parent.exists()
    assert [done.path for done in record(home).take_back("desktop")] == [other.path]
    assert [done.path for done in record(home).take_back("autostart")] == [unit(home).path]


def test_a_folder_that_somebody_uses_stays(home: Path) -> None:
    record(home).write("autostart", unit(home))
    (unit(home).path.parent / "mine.service").touch()
    assert [done.what for done in record(home).take_back("autostart")] == ["removed"]
    assert (unit(home).path.parent / "mine.service").exists()


def test_a_write_that_was_broken_off_is_taken_back_as_far_as_it_came(home: Path) -> None:
    before = tree(home)
    piece = Piece(home / ".config" / "mine" / "a", b"a")  # a file is where its folder should be
    with pytest.raises(FileError):
        record(home).write("autostart", piece)
    assert list(record(home).take_back("autostart")) == []
    assert tree(home) == before


def test_an_edited_file_has_its_old_time_when_it_is_as_it_was(home: Path) -> None:
    file = home / ".config" / "mine"
    os.utime(file, (1_500_000_000, 1_500_000_000))
    before = tree(home)
    record(home).remember("desktop", file, b"")
    file.write_text("edited")
    record(home).remember("desktop", file, b"")
    file.write_text("mine")
    assert record(home).settle(file) == Done(file, "mended")
    assert tree(home) == before
    assert record(home).settle(file) is None


def test_an_edited_file_that_was_none_is_removed_when_nothing_is_in_it(home: Path) -> None:
    before = tree(home)
    file = home / ".config" / "new" / "list"
    record(home).remember("desktop", file, b"empty")
    file.write_bytes(b"empty")
    assert record(home).settle(file) == Done(file, "removed")
    assert tree(home) == before


def test_an_edited_file_that_somebody_edited_too_stays(home: Path) -> None:
    file = home / ".config" / "new" / "list"
    record(home).remember("desktop", file, b"empty")
    file.write_bytes(b"mine")
    assert record(home).settle(file) == Done(file, "mended")
    assert file.read_bytes() == b"mine"
    assert not (home / ".local").exists()
