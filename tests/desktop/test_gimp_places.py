"""Where GIMP is on each system, from what a test says is there."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import pytest

from alphadrop.desktop.desk import Desk
from alphadrop.desktop.gimp_places import (
    Ask,
    Gimp,
    Place,
    find_gimps,
    find_places,
    named_place,
    none_found,
    settings_folders,
)
from alphadrop.errors import BadOptions, CannotRead


def desk(home: Path, system: str = "linux", **environment: str) -> Desk:
    return Desk(system, {"PATH": str(home / "bin"), **environment}, home)


def program(home: Path, name: str) -> Path:
    """An executable that nobody runs: what it says is up to the test."""
    file = home / "bin" / name
    file.parent.mkdir(exist_ok=True)
    file.write_text("#!/bin/sh\n")
    file.chmod(0o755)
    return file


def saying(**answers: str) -> Ask:
    return lambda command: answers.get(os.path.basename(command[0]).replace("-", "_").replace(".", "_"), "")


def test_linux_has_the_folders_of_system_flatpak_and_snap() -> None:
    home = Path("/home/u")
    assert settings_folders(desk(home)) == {
        "system": home / ".config/GIMP",
        "flatpak": home / ".var/app/org.gimp.GIMP/config/GIMP",
        "snap": home / "snap/gimp/current/.config/GIMP",
    }
    assert settings_folders(desk(home, XDG_CONFIG_HOME="/elsewhere"))["system"] == Path("/elsewhere/GIMP")
    assert settings_folders(desk(home, XDG_CONFIG_HOME="relative"))["system"] == home / ".config/GIMP"


def test_windows_and_macos_have_one_folder() -> None:
    home = Path("/home/u")
    assert settings_folders(desk(home, "win32", APPDATA="/roaming")) == {"system": Path("/roaming/GIMP")}
    assert settings_folders(desk(home, "win32")) == {"system": home / "AppData/Roaming/GIMP"}
    assert settings_folders(desk(home, "darwin")) == {"system": home / "Library/Application Support/GIMP"}


@pytest.mark.parametrize(
    ("system", "root"),
    [("linux", ".config/GIMP"), ("win32", "AppData/Roaming/GIMP"), ("darwin", "Library/Application Support/GIMP")],
)
def test_every_3_x_folder_is_found_and_no_other(tmp_path: Path, system: str, root: str) -> None:
    for name in ("2.10", "2.99", "3.0", "3.2", "3.10", "3.0-backup", "themes"):
        (tmp_path / root / name).mkdir(parents=True)
    (tmp_path / root / "3.4").write_text("no folder")
    places = find_places(desk(tmp_path, system), ())
    assert [place.series for place in places] == ["3.0", "3.2", "3.10"]
    assert [place.plug_ins for place in places] == [
        tmp_path / root / name / "plug-ins" for name in ("3.0", "3.2", "3.10")
    ]
    assert all(place.started for place in places)


def test_each_kind_of_gimp_is_told_to_look_where_it_does(tmp_path: Path) -> None:
    for root in (".config", ".var/app/org.gimp.GIMP/config", "snap/gimp/current/.config"):
        (tmp_path / root / "GIMP/3.0").mkdir(parents=True)
    system, flatpak, snap = Gimp("3.0.4", "system"), Gimp("3.0.6", "flatpak"), Gimp("3.0.8", "snap")
    places = find_places(desk(tmp_path), (system, flatpak, snap))
    assert [place.gimps for place in places] == [(system, flatpak), (flatpak,), (snap,)]


def test_one_folder_under_two_names_is_one_place(tmp_path: Path) -> None:
    (tmp_path / ".config/GIMP/3.0").mkdir(parents=True)
    (tmp_path / ".var/app/org.gimp.GIMP").mkdir(parents=True)
    (tmp_path / ".var/app/org.gimp.GIMP/config").symlink_to(tmp_path / ".config")
    assert len(find_places(desk(tmp_path), ())) == 1


def test_the_variable_of_gimp_is_heeded_as_gimp_does(tmp_path: Path) -> None:
    (tmp_path / ".config/GIMP/3.0").mkdir(parents=True)
    (place,) = find_places(desk(tmp_path, GIMP3_DIRECTORY="/profile/3.2"), (Gimp("3.2.0", "system"),))
    assert (place.plug_ins, place.series, place.started) == (Path("/profile/3.2/plug-ins"), "3.2", False)
    (place,) = find_places(desk(tmp_path, GIMP3_DIRECTORY="profile"), ())
    assert (place.plug_ins, place.series) == (tmp_path / "profile" / "plug-ins", "")


def test_a_gimp_that_never_started_gets_its_folder_where_nothing_is_lost_by_it(tmp_path: Path) -> None:
    gimps = (Gimp("2.10.38", "system"), Gimp("3.2.1", "system"), Gimp("3.2.0", "flatpak"))
    (place,) = find_places(desk(tmp_path), gimps)
    assert place == Place(tmp_path / ".config/GIMP/3.2/plug-ins", "3.2", gimps[1:], started=False)


@pytest.mark.parametrize("older", ["2.10", "3.0"])
def test_a_gimp_that_would_take_over_older_settings_makes_its_folder_itself(tmp_path: Path, older: str) -> None:
    (tmp_path / ".config/GIMP" / older).mkdir(parents=True)
    place = find_places(desk(tmp_path), (Gimp("3.2.1", "system"),))[-1]
    assert not place.started
    assert f"GIMP {older}" in place.obstacle


def test_a_snap_makes_its_folders_itself(tmp_path: Path) -> None:
    (place,) = find_places(desk(tmp_path), (Gimp("3.0.4", "snap"),))
    assert "snap" in place.obstacle
    (tmp_path / "snap/gimp/current").mkdir(parents=True)
    (place,) = find_places(desk(tmp_path), (Gimp("3.0.4", "snap"),))
    assert place.obstacle == ""
    assert place.plug_ins == tmp_path / "snap/gimp/current/.config/GIMP/3.0/plug-ins"


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_folder_that_cannot_be_listed_is_named(tmp_path: Path) -> None:
    root = tmp_path / ".config/GIMP"
    root.mkdir(parents=True)
    root.chmod(0)
    with pytest.raises(CannotRead, match="GIMP"):
        find_places(desk(tmp_path), ())


def test_programs_are_asked_once_each_whatever_their_names(tmp_path: Path) -> None:
    (tmp_path / "bin").mkdir()
    for link in ("gimp", "gimp-3"):
        (tmp_path / "bin" / link).symlink_to("gimp-3.0")
    program(tmp_path, "gimp-3.0")
    program(tmp_path, "gimp-2.10")
    program(tmp_path, "gimp-script-fu-interpreter-3.0")
    program(tmp_path, "gimp-console")
    asked = []

    def ask(command: Sequence[str]) -> str:
        asked.append(os.path.basename(command[0]))
        return "GNU Image Manipulation Program version " + ("2.10.38\n" if "2.10" in command[0] else "3.0.4\n")

    assert find_gimps(desk(tmp_path), ask) == (Gimp("2.10.38", "system"), Gimp("3.0.4", "system"))
    assert asked == ["gimp", "gimp-2.10"]


def test_flatpak_is_asked_too(tmp_path: Path) -> None:
    program(tmp_path, "flatpak")
    told = "\nGNU Image Manipulation Program\n\n          ID: org.gimp.GIMP\n     Version: 3.0.6\n     Runtime: x/50\n"
    assert find_gimps(desk(tmp_path), saying(flatpak=told)) == (Gimp("3.0.6", "flatpak"),)
    assert find_gimps(desk(tmp_path), saying()) == ()


def test_windows_asks_the_console_program_where_the_installer_puts_it(tmp_path: Path) -> None:
    folder = tmp_path / "GIMP 3" / "bin"
    folder.mkdir(parents=True)
    for name in ("gimp-3.0.exe", "gimp-console-3.0.exe"):
        (folder / name).write_text("")
        (folder / name).chmod(0o755)
    here = desk(tmp_path, "win32", ProgramFiles=str(tmp_path))
    assert find_gimps(here, lambda command: "version 3.0.4" if "console" in command[0] else "") == (
        Gimp("3.0.4", "system"),
    )


def test_macos_asks_the_program_of_the_application(tmp_path: Path) -> None:
    folder = tmp_path / "Applications/GIMP.app/Contents/MacOS"
    folder.mkdir(parents=True)
    (folder / "gimp").write_text("")
    (folder / "gimp").chmod(0o755)
    assert find_gimps(desk(tmp_path, "darwin"), saying(gimp="version 3.0.4")) == (Gimp("3.0.4", "system"),)


def test_a_real_program_is_run_and_one_that_fails_is_passed_over(tmp_path: Path) -> None:
    program(tmp_path, "gimp").write_text("#!/bin/sh\necho GNU Image Manipulation Program version 3.0.4\n")
    program(tmp_path, "gimp-3.2").write_text("#!/bin/sh\necho version 3.2.0\nexit 1\n")
    program(tmp_path, "gimp-3.4").write_text("no program")
    assert find_gimps(desk(tmp_path)) == (Gimp("3.0.4", "system"),)


def test_a_folder_is_named_by_hand(tmp_path: Path) -> None:
    profile = tmp_path / "GIMP" / "3.0"
    (profile / "plug-ins" / "alphadrop").mkdir(parents=True)
    expected = Place(profile / "plug-ins", "3.0")
    for named in (profile, profile / "plug-ins", profile / "plug-ins" / "alphadrop"):
        assert named_place(named) == expected
    (tmp_path / "mine").mkdir()
    assert named_place(tmp_path / "mine") == Place(tmp_path / "mine", "")
    (tmp_path / "mine" / "gimprc").write_text("")
    assert named_place(tmp_path / "mine") == Place(tmp_path / "mine" / "plug-ins", "")
    (tmp_path / "2.10").mkdir()
    with pytest.raises(BadOptions, match=r"belongs to GIMP 2\.10"):
        named_place(tmp_path / "2.10")
    with pytest.raises(BadOptions, match="no such folder"):
        named_place(tmp_path / "missing")


def test_the_lack_of_gimp_3_is_said_with_what_there_is() -> None:
    assert "no GIMP 3" in none_found(()).message
    assert "--folder" in none_found(()).hint
    error = none_found((Gimp("2.10.38", "system"),))
    assert "only GIMP 2.10.38" in error.message
    assert "needs GIMP 3" in error.message
