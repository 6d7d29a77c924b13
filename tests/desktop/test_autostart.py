"""What starts Alphadrop with the session, on each system, looked at by the tools that will read it."""

from __future__ import annotations

import os
import plistlib
import re
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest

from alphadrop import paths
from alphadrop.desktop.autostart import UNIT, UserManager, pieces
from alphadrop.desktop.desk import Desk
from alphadrop.desktop.quoting import for_entry, for_startup_file, for_systemd
from alphadrop.errors import BadOptions

ODD = ("/opt/a b/100% $HOME \"x\" 'y'\\z/alphadrop", "-m", "$USER")
HARDENING = {
    "NoNewPrivileges": "yes",
    "LockPersonality": "yes",
    "RestrictAddressFamilies": "AF_UNIX AF_INET AF_INET6",
    "SystemCallArchitectures": "native",
}
NAMESPACES = re.compile(
    r"^(Protect|Private|ReadOnly|ReadWrite|Inaccessible|TemporaryFileSystem|Bind|Root)", re.MULTILINE
)


def desk(home: Path, system: str = "linux", **environment: str) -> Desk:
    return Desk(system, environment, home)


def unit(home: Path, command: Sequence[str], **environment: str) -> str:
    return pieces(desk(home, **environment), command, tray=False)[0].content.decode()


def settings(unit: str) -> dict[str, str]:
    return dict(line.split("=", 1) for line in unit.splitlines() if "=" in line and not line.startswith("#"))


# systemd ------------------------------------------------------------------------------------------------------------


def test_the_unit_is_the_template_with_the_program_that_is_installed(tmp_path: Path) -> None:
    told = unit(tmp_path, ["/opt/alphadrop"])
    template = (paths.units() / UNIT).read_text()
    assert told == template[template.index("[Unit]") :].replace("%h/.local/bin/alphadrop run", "/opt/alphadrop run")
    said = settings(told)
    assert said["Type"] == "notify"
    assert said["Restart"] == "on-failure"
    assert set(said["RestartPreventExitStatus"].split()) == {"2", "3"}
    assert {name: said[name] for name in HARDENING} == HARDENING


def test_no_file_system_of_its_own_hides_folders_from_it(tmp_path: Path) -> None:
    assert not NAMESPACES.search(unit(tmp_path, ["/opt/alphadrop"]))


def test_it_goes_where_xdg_says_and_a_link_has_systemd_start_it(tmp_path: Path) -> None:
    file, link = pieces(desk(tmp_path, XDG_CONFIG_HOME=str(tmp_path / "c")), ["/a"], tray=False)
    assert file.path == tmp_path / "c" / "systemd" / "user" / "alphadrop.service"
    assert link.path == file.path.parent / "default.target.wants" / "alphadrop.service"
    assert (link.kind, link.path.parent / link.content.decode()) == (
        "link",
        file.path.parent / "default.target.wants" / "../alphadrop.service",
    )
    relative = pieces(desk(tmp_path, XDG_CONFIG_HOME="relative"), ["/a"], tray=False)
    assert relative[0].path == tmp_path / ".config" / "systemd" / "user" / "alphadrop.service"


def test_where_the_users_own_files_are_is_told_to_it(tmp_path: Path) -> None:
    told = unit(tmp_path, ["/a"], ALPHADROP_RUN_DIR="~/r 1", ALPHADROP_CONFIG=str(tmp_path / '"%'))
    assert (
        f'\nEnvironment="ALPHADROP_CONFIG={tmp_path}/\\"%%"\nEnvironment="ALPHADROP_RUN_DIR={tmp_path}/r 1"\n' in told
    )


def analyzed(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    if shutil.which("systemd-analyze") is None:
        pytest.skip("systemd-analyze is not here: install the package systemd")
    environment = {**os.environ, "HOME": str(folder), "XDG_RUNTIME_DIR": str(folder)}
    command = ["systemd-analyze", *arguments]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=False)


@pytest.mark.parametrize("name", ["alphadrop", "a b%100 $HOME 'y' \"z\""])
def test_systemd_finds_nothing_wrong_with_the_unit(tmp_path: Path, name: str) -> None:
    program = tmp_path / name
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    file, _ = pieces(desk(tmp_path, ALPHADROP_RUN_DIR=str(tmp_path / "r r")), [str(program)], tray=False)
    (tmp_path / UNIT).write_bytes(file.content)
    told = analyzed(tmp_path, "--user", "verify", str(tmp_path / UNIT))
    assert (told.returncode, told.stdout) == (0, ""), told.stderr
    assert UNIT not in told.stderr
    assert name not in told.stderr


def test_systemd_sees_the_hardening(tmp_path: Path) -> None:
    (tmp_path / UNIT).write_text(unit(tmp_path, ["/bin/true"]))
    told = analyzed(tmp_path, "security", "--offline=true", "--no-pager", str(tmp_path / UNIT))
    assert "Overall exposure level for alphadrop.service" in told.stdout, told.stderr
    for name in ("NoNewPrivileges=", "SystemCallArchitectures=", "LockPersonality="):
        (line,) = [line for line in told.stdout.splitlines() if name in line]
        assert line.split()[0] in ("✓", "+"), line


def test_a_manager_that_does_not_answer_is_none(tmp_path: Path) -> None:
    program = tmp_path / "bin" / "systemctl"
    program.parent.mkdir()
    program.write_text("#!/bin/sh\necho 'Failed to connect to bus' >&2\nexit 1\n")
    program.chmod(0o755)
    manager = UserManager(desk(tmp_path, PATH=str(program.parent)))
    assert not manager.is_there
    assert not manager.is_running
    assert not manager.has_failed
    assert not manager.is_to_start_it
    assert not manager.reload()
    assert not manager.start()
    assert not UserManager(desk(tmp_path, PATH="")).is_there
    assert not UserManager(desk(tmp_path, "darwin", PATH=str(program.parent))).is_there


# The other systems --------------------------------------------------------------------------------------------------


def test_macos_has_agents_that_are_started_again_after_a_crash_only(tmp_path: Path) -> None:
    daemon, tray = pieces(desk(tmp_path, "darwin", ALPHADROP_CONFIG="/c"), ODD, tray=True)
    assert daemon.path == tmp_path / "Library" / "LaunchAgents" / "org.alphadrop.daemon.plist"
    told = plistlib.loads(daemon.content)
    assert told["Label"] == daemon.path.stem
    assert told["ProgramArguments"] == [*ODD, "run"]
    assert told["KeepAlive"] == {"Crashed": True}
    assert told["EnvironmentVariables"] == {"ALPHADROP_CONFIG": "/c"}
    assert plistlib.loads(tray.content)["ProgramArguments"] == [*ODD, "tray"]


def test_windows_has_files_in_the_startup_folder(tmp_path: Path) -> None:
    daemon, tray = pieces(desk(tmp_path, "win32", APPDATA=str(tmp_path / "R")), [r"C:\A b\alphadrop.exe"], tray=True)
    startup = tmp_path / "R" / "Microsoft" / "Windows" / "Start Menu" / "Programs" / "Startup"
    assert [daemon.path, tray.path] == [startup / "Alphadrop.cmd", startup / "Alphadrop tray.cmd"]
    lines = daemon.content.decode().split("\r\n")
    assert lines[0] == "@echo off"
    assert lines[-2] == r'start "Alphadrop" /min "C:\A b\alphadrop.exe" run'


# Quoting ------------------------------------------------------------------------------------------------------------


def test_words_are_quoted_as_each_reader_wants_it() -> None:
    assert for_entry(["/a/b", "desktop"]) == "/a/b desktop"
    assert for_entry(["/a b", "50%", 'q"', "$x", "b\\s"]) == r'"/a b" 50%% "q\\"" "\\$x" "b\\\\s"'
    assert for_systemd(["/a b%", "$x", "q'"], {"A": "1 %"}) == ('"/a b%%" "$$x" "q\'"', ['Environment="A=1 %%"'])
    assert for_startup_file([r"C:\a b\c.exe", "100%"]) == r'"C:\a b\c.exe" 100%%'


@pytest.mark.parametrize("word", ["/a\nb", "/a\udc80b", "/a\x07b"])
def test_a_name_that_no_such_file_can_hold_is_refused(tmp_path: Path, word: str) -> None:
    with pytest.raises(BadOptions, match="cannot be written"):
        pieces(desk(tmp_path), [word], tray=False)
