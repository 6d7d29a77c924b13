"""What is put into menus: read by the tools that desktops use, and taken back to the byte."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from alphadrop.desktop import menus, thunar
from alphadrop.desktop.desk import Desk
from alphadrop.desktop.entries import entry
from alphadrop.desktop.menus import FILE_MANAGERS, Menus, file_managers
from alphadrop.desktop.written import Record
from alphadrop.errors import CannotRead
from daemon_process import wait_for
from home_tree import THUNAR, lived_in, tree

COMMAND = ("/opt/alphadrop",)
TOOLS = "/usr/bin:/bin"


def desk(home: Path, **environment: str) -> Desk:
    return Desk("linux", {"PATH": TOOLS, **environment}, home)


def record(home: Path) -> Record:
    return Record(home / ".local" / "share" / "alphadrop" / "written.json")


def installed(home: Path, **environment: str) -> Menus:
    menus = Menus(desk(home, **environment), COMMAND, FILE_MANAGERS)
    assert {done.what for done in menus.install(record(home))} == {"wrote"}
    return menus


def needs(tool: str, package: str) -> str:
    found = shutil.which(tool, path=TOOLS)
    if found is None:
        pytest.skip(f"{tool} is not here: install the package {package}")
    return found


@pytest.mark.parametrize("is_lived_in", [False, True], ids=["a new home", "one that is lived in"])
@pytest.mark.parametrize("path", [TOOLS, ""], ids=["with desktop-file-utils", "without"])
def test_install_and_uninstall_leave_the_home_as_it_was_byte_for_byte(
    tmp_path: Path, is_lived_in: bool, path: str
) -> None:
    if is_lived_in:
        lived_in(tmp_path)
    before = tree(tmp_path)
    menus = installed(tmp_path, PATH=path)
    assert tree(tmp_path) != before
    assert {done.what for done in menus.install(record(tmp_path))} == {"kept"}
    done = list(menus.uninstall(record(tmp_path)))
    assert {each.what for each in done} == ({"removed", "mended"} if is_lived_in else {"removed"})
    assert tree(tmp_path) == before
    assert list(menus.uninstall(record(tmp_path))) == []
    assert tree(tmp_path) == before


def test_every_entry_is_valid(tmp_path: Path) -> None:
    tool = needs("desktop-file-validate", "desktop-file-utils")
    odd = ("/opt/a b/100% \"x\" 'y' $z `w`/alpha;drop",)
    for command in (COMMAND, odd):
        for name in ("alphadrop", "alphadrop-tray", "dolphin"):
            file = tmp_path / f"{name}.desktop"
            file.write_bytes(entry(name, desk(tmp_path), command))
            told = subprocess.run([tool, str(file)], capture_output=True, text=True, check=False).stdout
            # What KDE has its service menus say is not in the specification that the tool knows.
            wrong = [line for line in told.splitlines() if not (name == "dolphin" and 'type is "Service"' in line)]
            assert wrong == []


@pytest.mark.parametrize("name", ["alphadrop", "alphadrop-tray", "dolphin"])
def test_whatever_has_an_english_name_has_a_chinese_one(tmp_path: Path, name: str) -> None:
    lines = entry(name, desk(tmp_path), COMMAND).decode().splitlines()
    for key in ("Name", "GenericName", "Comment", "Keywords"):
        english = sum(line.startswith(f"{key}=") for line in lines)
        chinese = sum(line.startswith(f"{key}[zh_CN]=") for line in lines)
        assert chinese == english


@pytest.mark.parametrize("folder", ["plain", "a b % $HOME \"x\" 'y' \\z `w`"])
def test_a_desktop_starts_the_program_with_the_photograph(tmp_path: Path, folder: str) -> None:
    gio = needs("gio", "libglib2.0-bin")
    program = tmp_path / folder / "alphadrop"
    program.parent.mkdir()
    program.write_text(f"#!/bin/sh\nprintf '%s\\n' \"$@\" > {tmp_path}/half && mv {tmp_path}/half {tmp_path}/told\n")
    program.chmod(0o755)
    file = tmp_path / "alphadrop.desktop"
    file.write_bytes(entry("alphadrop", desk(tmp_path), [str(program)]))
    photograph = tmp_path / "my cat, 100%.jpg"
    photograph.touch()
    environment = {"PATH": TOOLS, "HOME": str(tmp_path)}
    subprocess.run([gio, "launch", str(file), str(photograph)], env=environment, check=True, timeout=60)
    told = tmp_path / "told"
    wait_for(told.exists, "the program to be started")
    assert told.read_text().splitlines() == ["desktop", "open", str(photograph)]


@pytest.fixture
def with_a_viewer(tmp_path: Path) -> tuple[Path, dict[str, str]]:
    """A home, on a system that has a program for photographs; and the variables that say so."""
    update = needs("update-desktop-database", "desktop-file-utils")
    needs("gio", "libglib2.0-bin")
    applications = tmp_path / "system" / "applications"
    applications.mkdir(parents=True)
    (applications / "viewer.desktop").write_text(
        "[Desktop Entry]\nType=Application\nName=Viewer\nExec=true %F\nMimeType=image/jpeg;image/png;\n"
    )
    subprocess.run([update, str(applications)], check=True, timeout=60)
    (tmp_path / "home").mkdir()
    return tmp_path / "home", {"XDG_DATA_DIRS": f"{tmp_path}/system:/usr/share"}


def opens(home: Path, type: str, **environment: str) -> str:
    """Return what a double click starts."""
    environment = {"PATH": TOOLS, "HOME": str(home), "LC_ALL": "C", **environment}
    told = subprocess.run(
        ["gio", "mime", type], env=environment, capture_output=True, check=True, timeout=60, encoding="utf-8"
    )
    return told.stdout.splitlines()[0].rpartition(": ")[2]


def test_a_double_click_starts_what_it_started_before(with_a_viewer: tuple[Path, dict[str, str]]) -> None:
    home, variables = with_a_viewer
    before = tree(home)
    menus = Menus(desk(home, **variables), ("/bin/true",), ["nautilus"])
    list(menus.install(record(home)))
    for type in ("image/jpeg", "image/png"):
        assert opens(home, type, **variables) == "viewer.desktop"
    assert {done.what for done in menus.install(record(home))} == {"kept"}
    assert opens(home, "image/jpeg", **variables) == "viewer.desktop"
    assert {done.what for done in menus.uninstall(record(home))} == {"removed"}
    assert tree(home) == before


def test_who_has_chosen_it_for_a_double_click_keeps_it(with_a_viewer: tuple[Path, dict[str, str]]) -> None:
    home, variables = with_a_viewer
    (home / ".config").mkdir()
    (home / ".config" / "mimeapps.list").write_text("[Default Applications]\nimage/jpeg=alphadrop.desktop;\n")
    list(Menus(desk(home, **variables), ("/bin/true",), []).install(record(home)))
    assert opens(home, "image/jpeg", **variables) == "alphadrop.desktop"
    assert opens(home, "image/png", **variables) == "viewer.desktop"


def test_defaults_that_are_another_programs_are_left_and_what_that_means_is_said(
    with_a_viewer: tuple[Path, dict[str, str]],
) -> None:
    home, variables = with_a_viewer
    file = home / ".local/share/applications/defaults.list"
    file.parent.mkdir(parents=True)
    file.write_text("[Default Applications]\ntext/plain=vim.desktop;\n")
    before = tree(home)
    menus = Menus(desk(home, **variables), ("/bin/true",), [])
    (left,) = [done for done in menus.install(record(home)) if done.what == "left"]
    assert left.path == file
    assert "double click" in left.why
    list(menus.uninstall(record(home)))
    assert tree(home) == before


def test_gnome_finds_it_for_photographs(tmp_path: Path) -> None:
    needs("update-desktop-database", "desktop-file-utils")
    lived_in(tmp_path)
    installed(tmp_path)
    cache = (tmp_path / ".local/share/applications/mimeinfo.cache").read_text().splitlines()
    assert "image/jpeg=alphadrop.desktop;" in cache
    assert "image/png=alphadrop.desktop;other.desktop;" in cache


def test_the_script_of_nautilus_hands_names_over_as_they_are(tmp_path: Path) -> None:
    program = tmp_path / "a 'b" / "alphadrop"
    program.parent.mkdir()
    program.write_text("#!/bin/sh\nprintf '%s|' \"$@\"\n")
    program.chmod(0o755)
    list(Menus(desk(tmp_path), [str(program)], ["nautilus"]).install(record(tmp_path)))
    script = tmp_path / ".local/share/nautilus/scripts/Cut Out with Alphadrop"
    assert script.stat().st_mode & 0o777 == 0o755
    told = subprocess.run([script, "-x.jpg", "a b.jpg"], capture_output=True, text=True, check=True).stdout
    assert told == "desktop|open|--|-x.jpg|a b.jpg|"


def test_where_there_is_room_for_one_language_it_is_the_users(tmp_path: Path) -> None:
    installed(tmp_path, LANG="zh_CN.UTF-8")
    assert os.listdir(tmp_path / ".local/share/nautilus/scripts") == ["用 Alphadrop 抠图"]
    list(Menus(desk(tmp_path, LANG="de_DE.UTF-8"), COMMAND, FILE_MANAGERS).install(record(tmp_path)))
    assert os.listdir(tmp_path / ".local/share/nautilus/scripts") == ["Cut Out with Alphadrop"]


def test_xdg_says_where_and_the_users_own_places_are_told(tmp_path: Path) -> None:
    found = {"XDG_CONFIG_HOME": str(tmp_path / "c"), "XDG_DATA_HOME": str(tmp_path / "d"), "ALPHADROP_RUN_DIR": "/r r"}
    installed(tmp_path, **found)
    assert sorted(os.listdir(tmp_path / "d")) == ["applications", "icons", "kio", "nautilus"]
    assert b"'ALPHADROP_RUN_DIR=/r r' /opt/alphadrop desktop open" in (tmp_path / "c/Thunar/uca.xml").read_bytes()
    launcher = (tmp_path / "d/applications/alphadrop.desktop").read_text()
    assert 'Exec=env "ALPHADROP_RUN_DIR=/r r" /opt/alphadrop desktop open %F\n' in launcher
    assert "TryExec=/opt/alphadrop\n" in launcher


# Thunar's list ------------------------------------------------------------------------------------------------------


def thunar_only(home: Path, **environment: str) -> Menus:
    return Menus(desk(home, **environment), COMMAND, ["thunar"])


def test_without_a_list_of_his_own_the_user_keeps_the_actions_of_the_system(tmp_path: Path) -> None:
    usual = tmp_path / "etc" / "Thunar" / "uca.xml"
    usual.parent.mkdir(parents=True)
    usual.write_bytes(THUNAR)
    menus = thunar_only(tmp_path, XDG_CONFIG_DIRS=f"relative:{tmp_path}/none:{tmp_path}/etc")
    list(menus.install(record(tmp_path)))
    own = tmp_path / ".config/Thunar/uca.xml"
    assert thunar.without_action(own.read_bytes()) == THUNAR
    assert menus.has_action()
    list(menus.uninstall(record(tmp_path)))
    assert not (tmp_path / ".config").exists()


def test_actions_that_the_user_made_meanwhile_stay(tmp_path: Path) -> None:
    menus = thunar_only(tmp_path)
    list(menus.install(record(tmp_path)))
    own = tmp_path / ".config/Thunar/uca.xml"
    own.write_bytes(own.read_bytes().replace(b"<actions>", b"<actions><action><unique-id>mine</unique-id></action>"))
    done = list(menus.uninstall(record(tmp_path)))
    assert ("mended", own) in [(each.what, each.path) for each in done]
    assert b"<unique-id>mine</unique-id>" in own.read_bytes()
    assert not menus.has_action()


def test_a_list_that_cannot_be_understood_is_left_and_the_rest_is_done(tmp_path: Path) -> None:
    lived_in(tmp_path)
    own = tmp_path / ".config/Thunar/uca.xml"
    own.write_text("<actions><action>")
    before = tree(tmp_path)
    menus = thunar_only(tmp_path)
    done = list(menus.install(record(tmp_path)))
    assert (done[-1].what, done[-1].path) == ("left", own)
    assert done[0].what == "wrote"
    list(menus.uninstall(record(tmp_path)))
    assert tree(tmp_path) == before


def test_a_link_to_where_the_list_is_kept_stays_a_link(tmp_path: Path) -> None:
    lived_in(tmp_path)
    own, kept = tmp_path / ".config/Thunar/uca.xml", tmp_path / "dotfiles.xml"
    own.rename(kept)
    own.symlink_to(kept)
    before = tree(tmp_path)
    menus = thunar_only(tmp_path)
    list(menus.install(record(tmp_path)))
    assert own.is_symlink()
    assert b"alphadrop" in kept.read_bytes()
    list(menus.uninstall(record(tmp_path)))
    assert tree(tmp_path) == before


def test_a_list_that_cannot_be_read_is_said(tmp_path: Path) -> None:
    (tmp_path / ".config/Thunar/uca.xml").mkdir(parents=True)
    with pytest.raises(CannotRead):
        list(thunar_only(tmp_path).install(record(tmp_path)))


def test_file_managers_are_found_by_their_programs_and_their_traces(tmp_path: Path) -> None:
    here = desk(tmp_path, PATH=str(tmp_path / "bin"))
    assert file_managers(here) == ()
    program = tmp_path / "bin" / "dolphin"
    program.parent.mkdir()
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    (tmp_path / ".config" / "Thunar").mkdir(parents=True)
    assert file_managers(here) == ("dolphin", "thunar")
    program.unlink()
    list(Menus(here, COMMAND, ["dolphin"]).install(record(tmp_path)))
    assert "dolphin" in file_managers(here)


def test_desktops_are_told_to_look_at_the_icons_again(tmp_path: Path) -> None:
    menus_of_one = installed(tmp_path)
    icons = tmp_path / ".local/share/icons/hicolor"
    os.utime(icons, (0, 0))
    list(menus_of_one.install(record(tmp_path)))
    assert icons.stat().st_mtime > 0
    assert menus.FILE_MANAGERS == ("nautilus", "dolphin", "thunar")
