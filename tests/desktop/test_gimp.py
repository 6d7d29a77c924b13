"""The plug-in written, looked at and removed, in folders of a test's own."""

from __future__ import annotations

import os
import stat
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from alphadrop import __version__, paths
from alphadrop.desktop import gimp
from alphadrop.desktop.desk import starting_command
from alphadrop.desktop.gimp import Edition, State, bake, examine, install, uninstall
from alphadrop.desktop.gimp_places import Place
from alphadrop.errors import CannotRead, CannotWrite, GimpNotStarted, PlugInUnusable, TargetExists

SOURCE = paths.gimp_plugin().read_text(encoding="utf-8")
EDITION = Edition(SOURCE, ("/opt/alphadrop/bin/alphadrop",), "1.2.0")


@pytest.fixture
def place(tmp_path: Path) -> Place:
    (tmp_path / "3.0").mkdir()
    return Place(tmp_path / "3.0" / "plug-ins", "3.0")


def file_of(place: Place) -> Path:
    return place.plug_ins / "alphadrop" / "alphadrop.py"


def put(place: Place, content: bytes, mode: int = 0o755) -> Path:
    file = file_of(place)
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(content)
    file.chmod(mode)
    return file


def given(content: bytes) -> dict[str, object]:
    """The values of the two names, as Python reads them; the rest, which needs GIMP, is compiled and not run."""
    text = content.decode()
    compile(text, "alphadrop.py", "exec")
    lines = [line for line in text.splitlines() if line.startswith(("PROGRAM", "VERSION"))]
    values: dict[str, object] = {}
    exec("\n".join(lines), values)
    return {name: values[name] for name in ("PROGRAM", "VERSION")}


@pytest.mark.parametrize(
    "program",
    [
        ["/usr/bin/alphadrop"],
        ["C:\\Users\\new\\table\\alphadrop.exe"],
        ['/home/o\'brien/"quoted"/python', "-m", "alphadrop"],
        ["/home/josé/日本/🙂/alphadrop"],
        ["/tmp/line\nfeed\ttab/{braces}/\\u0041"],
        [os.fsdecode(b"/home/\xff\xfe/alphadrop")],
        [],
    ],
    ids=["plain", "backslashes", "quotes", "unicode", "controls", "not_utf8", "none"],
)
def test_what_is_filled_in_is_read_as_it_was_meant(program: Sequence[str]) -> None:
    assert given(bake(SOURCE, program, "1.2.0")) == {"PROGRAM": list(program), "VERSION": "1.2.0"}


def test_nothing_but_the_two_lines_is_changed() -> None:
    before = SOURCE.splitlines()
    after = EDITION.content().decode().splitlines()
    changed = [old for old, new in zip(before, after, strict=True) if old != new]
    assert sorted(changed) == ["PROGRAM: list[str] = []", 'VERSION: str = ""']


@pytest.mark.parametrize("line", ["PROGRAM: list[str] = []", 'VERSION: str = ""'])
def test_a_line_that_is_missing_or_there_twice_is_refused(line: str) -> None:
    with pytest.raises(PlugInUnusable, match="0 times"):
        bake(SOURCE.replace(line, "other = 1"), [], "1")
    with pytest.raises(PlugInUnusable, match="2 times"):
        bake(f"{SOURCE}\n{line}\n", [], "1")


def test_the_edition_here_is_this_alphadrops() -> None:
    edition = Edition.here(__version__)
    assert edition.version == __version__
    assert os.path.isabs(edition.program[0])
    assert gimp._OURS in edition.content()


def test_an_installation_without_the_plug_in_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(paths, "gimp_plugin", lambda: tmp_path / "alphadrop.py")
    with pytest.raises(CannotRead):
        Edition.here("1")
    (tmp_path / "alphadrop.py").write_text("no plug-in")
    with pytest.raises(PlugInUnusable):
        Edition.here("1")


def test_the_menu_that_is_promised_is_the_plug_ins() -> None:
    label = gimp.MENU.rpartition(" > ")[2]
    assert f'"{label.replace("Background", "_Background")}"' in SOURCE
    assert "<Image>/Layer/Transparency" in SOURCE


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX names")
def test_it_is_started_by_the_script_beside_the_interpreter_or_by_that(tmp_path: Path) -> None:
    python = tmp_path / "python3"
    assert starting_command(str(python)) == (str(python), "-m", "alphadrop")
    (tmp_path / "alphadrop").write_text("#!/bin/sh\n")
    assert starting_command(str(python)) == (str(python), "-m", "alphadrop")
    (tmp_path / "alphadrop").chmod(0o755)
    assert starting_command(str(python)) == (str(tmp_path / "alphadrop"),)
    assert starting_command("") == ()


@pytest.mark.parametrize("umask", [0o022, 0o077, 0o177])
def test_it_is_written_so_that_gimp_runs_it(place: Place, umask: int) -> None:
    before = os.umask(umask)
    try:
        place.plug_ins.parent.chmod(0o755)
        (place.plug_ins / "alphadrop").mkdir(parents=True)
        (place.plug_ins / "alphadrop").chmod(0o755)
        place.plug_ins.chmod(0o755)
        assert install(place, EDITION).state is State.ABSENT
    finally:
        os.umask(before)
    mode = stat.S_IMODE(file_of(place).stat().st_mode)
    assert mode & 0o100
    assert umask != 0o022 or mode == 0o755
    assert file_of(place).read_bytes() == EDITION.content()
    assert os.listdir(file_of(place).parent) == ["alphadrop.py"]
    assert examine(place, EDITION).in_order


def test_a_second_time_changes_nothing(place: Place) -> None:
    install(place, EDITION)
    before = file_of(place).stat()
    assert install(place, EDITION).in_order
    after = file_of(place).stat()
    assert (before.st_ino, before.st_mtime_ns) == (after.st_ino, after.st_mtime_ns)


def test_what_is_there_is_told_apart(place: Place) -> None:
    def found(content: bytes) -> tuple[State, str]:
        put(place, content)
        seen = examine(place, EDITION)
        return seen.state, seen.version

    current = EDITION.content()
    assert examine(place, EDITION).state is State.ABSENT
    assert found(current) == (State.CURRENT, "1.2.0")
    assert found(bake(SOURCE, ["/a"], "1.1.9")) == (State.OLDER, "1.1.9")
    assert found(bake(SOURCE, ["/a"], "1.10.0")) == (State.NEWER, "1.10.0")
    assert found(bake(SOURCE, ["/another/alphadrop"], "1.2.0")) == (State.ELSEWHERE, "1.2.0")
    assert found(current + b"# mine\n") == (State.CHANGED, "1.2.0")
    assert found(SOURCE.encode()) == (State.OLDER, "")
    assert found(current.replace(b"VERSION: str", b"OTHER: str")) == (State.OLDER, "")
    assert found(current.replace(b"'1.2.0'", b"((((")) == (State.OLDER, "")
    assert found(b"#!/usr/bin/env python3\nprint('another')\n") == (State.FOREIGN, "")
    assert found(b"\xff\xfe\x00") == (State.FOREIGN, "")


def test_one_without_the_run_bit_is_found_and_mended(place: Place) -> None:
    put(place, EDITION.content(), 0o644)
    found = examine(place, EDITION)
    assert (found.state, found.executable, found.in_order) == (State.CURRENT, False, False)
    assert not install(place, EDITION).in_order
    assert examine(place, EDITION).in_order


@pytest.mark.parametrize("version", ["1.1.0", "1.3.0"])
def test_ours_is_replaced_whatever_its_age(place: Place, version: str) -> None:
    put(place, bake(SOURCE, [], version))
    install(place, EDITION)
    assert examine(place, EDITION).in_order


def test_another_plug_in_is_replaced_only_when_asked_and_never_removed(place: Place) -> None:
    file = put(place, b"another")
    with pytest.raises(TargetExists, match="another plug-in") as refused:
        install(place, EDITION)
    assert "--overwrite" in refused.value.hint
    with pytest.raises(TargetExists, match="another plug-in"):
        uninstall(place, EDITION)
    assert file.read_bytes() == b"another"
    install(place, EDITION, overwrite=True)
    assert examine(place, EDITION).in_order


def test_a_file_in_the_place_of_the_folder_is_another_plug_in(place: Place) -> None:
    place.plug_ins.mkdir()
    (place.plug_ins / "alphadrop").write_text("a plug-in of GIMP 2")
    with pytest.raises(TargetExists):
        install(place, EDITION)
    install(place, EDITION, overwrite=True)
    assert examine(place, EDITION).in_order


def test_something_that_is_no_file_is_left(place: Place) -> None:
    file_of(place).mkdir(parents=True)
    assert examine(place, EDITION).state is State.FOREIGN
    with pytest.raises(CannotWrite):
        install(place, EDITION, overwrite=True)
    os.rmdir(file_of(place))
    os.mkfifo(file_of(place))
    assert examine(place, EDITION).state is State.FOREIGN


@pytest.mark.parametrize("which", ["folder", "file"])
def test_a_link_is_followed_neither_to_write_nor_to_remove(place: Place, tmp_path: Path, which: str) -> None:
    checkout = tmp_path / "checkout"
    checkout.mkdir()
    (checkout / "alphadrop.py").write_bytes(EDITION.content())
    (checkout / "alphadrop.py").chmod(0o755)
    folder = place.plug_ins / "alphadrop"
    if which == "folder":
        place.plug_ins.mkdir()
        folder.symlink_to(checkout)
    else:
        folder.mkdir(parents=True)
        (folder / "alphadrop.py").symlink_to(checkout / "alphadrop.py")
    newer = Edition(SOURCE, (), "2.0.0")
    for act in (install, uninstall):
        with pytest.raises(TargetExists, match="symbolic link"):
            act(place, newer)
    assert (checkout / "alphadrop.py").read_bytes() == EDITION.content()
    install(place, newer, overwrite=True)
    assert examine(place, newer).in_order
    assert (checkout / "alphadrop.py").read_bytes() == EDITION.content()


def test_plug_ins_that_lead_out_of_the_settings_are_named_and_left(place: Place, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    place.plug_ins.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(TargetExists) as refused:
        install(place, EDITION, overwrite=True)
    assert f"--folder {tmp_path / 'elsewhere'}" in refused.value.hint
    assert os.listdir(tmp_path / "elsewhere") == []


def test_removing_takes_the_file_and_the_folder(place: Place) -> None:
    assert uninstall(place, EDITION) == ()
    install(place, EDITION)
    (file_of(place).parent / "__pycache__").mkdir()
    (file_of(place).parent / "__pycache__" / "alphadrop.cpython-312.pyc").write_bytes(b"")
    (place.plug_ins / "other").mkdir()
    assert uninstall(place, EDITION) == (file_of(place), file_of(place).parent)
    assert os.listdir(place.plug_ins) == ["other"]


@pytest.mark.parametrize("kept", ["notes.txt", "__pycache__/mine.cpython-312.pyc", "__pycache__/deep/file"])
def test_removing_leaves_what_is_not_ours(place: Place, kept: str) -> None:
    install(place, EDITION)
    other = file_of(place).parent / kept
    other.parent.mkdir(parents=True, exist_ok=True)
    other.write_text("mine")
    assert uninstall(place, EDITION) == (file_of(place),)
    assert other.read_text() == "mine"


def test_removing_takes_one_of_any_age(place: Place) -> None:
    put(place, SOURCE.encode(), 0o644)
    assert uninstall(place, EDITION) == (file_of(place), file_of(place).parent)


def test_a_gimp_that_has_to_start_first_is_named(tmp_path: Path) -> None:
    place = Place(tmp_path / "3.2" / "plug-ins", "3.2", started=False, obstacle="it would lose something")
    with pytest.raises(GimpNotStarted, match=r"GIMP 3\.2 .* it would lose something"):
        install(place, EDITION)
    assert os.listdir(tmp_path) == []


def test_a_folder_that_cannot_be_made_is_named(place: Place) -> None:
    place.plug_ins.write_text("a file")
    with pytest.raises((CannotWrite, TargetExists), match="plug-ins"):
        install(place, EDITION)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_no_permission_is_said_with_the_folders_name(place: Place) -> None:
    place.plug_ins.mkdir(mode=0o555)
    with pytest.raises(CannotWrite, match="alphadrop"):
        install(place, EDITION)
