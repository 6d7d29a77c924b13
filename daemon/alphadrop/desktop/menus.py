"""Alphadrop in the menus of a Linux desktop: the launcher, *Open With*, the icon, and actions of file managers."""

from __future__ import annotations

import contextlib
import os
import shlex
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Literal, get_args

from alphadrop import atomic
from alphadrop.desktop import app_icon, defaults, thunar
from alphadrop.desktop.desk import Desk
from alphadrop.desktop.entries import entry, placed
from alphadrop.desktop.quoting import refuse_unwritable
from alphadrop.desktop.written import Done, Piece, Record
from alphadrop.errors import CannotRead, reading_failed

__all__ = ["FILE_MANAGERS", "FileManager", "Menus", "file_managers"]

FileManager = Literal["nautilus", "dolphin", "thunar"]
FILE_MANAGERS: tuple[FileManager, ...] = get_args(FileManager)

_SCRIPT_NAME = {"en": "Cut Out with Alphadrop", "zh_CN": "用 Alphadrop 抠图"}
"""Nautilus shows the file's name: there is room for one language."""
_SCRIPT = """\
#!/bin/sh
# What Nautilus hands over are the selected files, by name, in the folder that it shows.
exec {command} desktop open -- "$@"
"""
_TAKES_OVER = (
    "it is not as Alphadrop wrote it; a double click on a photograph may now cut it out, unless you choose another "
    "program for that in your file manager"
)
_EMPTY_CACHE = b"[MIME Cache]\n"
_PATIENCE = 60.0


def file_managers(desk: Desk) -> tuple[FileManager, ...]:
    """Return those that are installed, or have been used, or been given an action."""
    traces = {
        "nautilus": (desk.data_home / "nautilus",),
        "dolphin": (desk.data_home / "dolphin", desk.data_home / "kio" / "servicemenus" / "alphadrop.desktop"),
        "thunar": (desk.config_home / "Thunar",),
    }
    return tuple(
        name for name in FILE_MANAGERS if desk.find_program(name) or any(path.exists() for path in traces[name])
    )


class Menus:
    """What is written for one user, so that his desktop shows this Alphadrop."""

    def __init__(self, desk: Desk, command: Sequence[str], managers: Sequence[FileManager]) -> None:
        """Get ready; nothing is written yet.

        Args:
            desk: of the user.
            command: that starts this Alphadrop.
            managers: the file managers to write an action for.

        Raises:
            BadOptions: the command cannot be written into such files.
        """
        refuse_unwritable([*command, *desk.own_places.values()])
        self._desk, self._command, self._managers = desk, tuple(command), managers
        self._applications = desk.data_home / "applications"
        self._icons = desk.data_home / "icons" / "hicolor"
        self._defaults = self._applications / "defaults.list"
        self._actions = desk.config_home / "Thunar" / "uca.xml"

    @property
    def actions(self) -> Path | None:
        """Thunar's list of actions; None where it is not edited."""
        return self._actions if "thunar" in self._managers else None

    def pieces(self) -> tuple[Piece, ...]:
        """Return the files to be written, but for those of the user's that are edited.

        Raises:
            CannotRead: this installation is not whole.
        """
        desk, command = self._desk, self._command
        found = [Piece(self._applications / defaults.ENTRY, entry("alphadrop", desk, command))]
        found += [
            Piece(self._icons / f"{size}x{size}" / "apps" / "alphadrop.png", app_icon.png(size))
            for size in app_icon.SIZES
        ]
        found.append(Piece(self._icons / "scalable" / "apps" / "alphadrop.svg", app_icon.svg()))
        if "nautilus" in self._managers:
            script = _SCRIPT.format(command=shlex.join(placed(desk, command)))
            scripts = desk.data_home / "nautilus" / "scripts"
            found.append(Piece(scripts / _SCRIPT_NAME[desk.language], script.encode(), mode=0o755))
        if "dolphin" in self._managers:
            service_menus = desk.data_home / "kio" / "servicemenus"
            # KDE heeds only those that may be executed.
            found.append(Piece(service_menus / "alphadrop.desktop", entry("dolphin", desk, command), mode=0o755))
        return tuple(found)

    def install(self, record: Record) -> Iterator[Done]:
        """Write all of it, and yield what became of each file.

        Raises:
            CannotRead, CannotWrite, DiskFull: the file system refused.
        """
        pieces = self.pieces()
        yield from record.take_back("desktop", keep=(*pieces, Piece(self._defaults, b"")))
        for piece in pieces:
            yield record.write("desktop", piece)
        if "thunar" in self._managers:
            yield self._add_action(record)
        self._refresh(record, installed=True)
        if done := self._keep_defaults(record, pieces[0]):
            yield done

    def uninstall(self, record: Record) -> Iterator[Done]:
        """Take all of it back, and yield what became of each file.

        Raises:
            CannotRead, CannotWrite: the file system refused.
        """
        done = list(record.take_back("desktop", self.pieces()))
        if action := self._take_action_out(record):
            done.append(action)
        if done:
            self._refresh(record, installed=False)
        yield from done

    def has_action(self) -> bool:
        """Return whether Thunar's list has our action."""
        try:
            content = self._actions.read_bytes()
            return thunar.without_action(content) != content
        except (OSError, CannotRead):
            return False

    @property
    def _cache(self) -> Path:
        return self._applications / "mimeinfo.cache"

    # Thunar -----------------------------------------------------------------------------------------------------------

    def _add_action(self, record: Record) -> Done:
        file = Path(os.path.realpath(self._actions))  # a link leads to where the user keeps his settings
        before = _read(self._actions)
        base = before if before is not None else self._usual_actions()
        try:
            content = thunar.with_action(base, (*placed(self._desk, self._command), "desktop", "open", "--"))
        except CannotRead as error:
            return Done(self._actions, "left", error.message)
        if content == before:
            return Done(self._actions, "kept")
        record.remember("desktop", file, base)
        _replace(file, content)
        return Done(self._actions, "wrote")

    def _take_action_out(self, record: Record) -> Done | None:
        file = Path(os.path.realpath(self._actions))
        content = _read(self._actions)
        done = None
        if content is not None:
            try:
                bare = thunar.without_action(content)
            except CannotRead as error:
                return Done(self._actions, "left", error.message)
            if bare != content:
                _replace(file, bare)
                done = Done(self._actions, "mended")
        return record.settle(file) or done

    def _usual_actions(self) -> bytes:
        """Return the actions that Thunar shows while the user has none of his own."""
        for folder in self._desk.config_folders:
            try:
                return (folder / "Thunar" / "uca.xml").read_bytes()
            except OSError:
                continue
        return thunar.EMPTY

    # What desktops keep of all entries --------------------------------------------------------------------------------

    def _refresh(self, record: Record, *, installed: bool) -> None:
        """Have desktops look again: they keep what they read of entries and icons."""
        if self._icons.is_dir():
            os.utime(self._icons)  # this is what the icon theme specification has them look at
        tool = self._desk.find_program("update-desktop-database")
        if tool is None or not self._applications.is_dir():
            return
        if installed:
            record.remember("desktop", self._cache, _EMPTY_CACHE)
        with contextlib.suppress(OSError, subprocess.SubprocessError):  # then desktops notice later
            subprocess.run(
                [tool, "--quiet", os.fspath(self._applications)],
                stdin=subprocess.DEVNULL,
                capture_output=True,
                timeout=_PATIENCE,
                check=False,
            )
        if not installed:
            record.settle(self._cache)

    def _keep_defaults(self, record: Record, entry: Piece) -> Done | None:
        """Have photographs opened by what opened them before; None where nothing is to be done for that."""
        chosen = {}
        for type in defaults.types_of(entry.content):
            if other := defaults.instead_of_ours(self._told_of(type)):
                chosen[type] = other
        if not chosen:
            return None
        before = _read(self._defaults) or b""
        done = record.write("desktop", Piece(self._defaults, defaults.with_defaults(before, chosen)))
        if done.what == "left":
            return Done(self._defaults, "left", _TAKES_OVER)
        return done

    def _told_of(self, type: str) -> str:
        """Return what is known of a type of files, in English; nothing where nobody can tell."""
        tool = self._desk.find_program("gio")
        if tool is None:
            return ""
        with contextlib.suppress(OSError, subprocess.SubprocessError):
            return subprocess.run(
                [tool, "mime", type],
                env={**self._desk.environment, "HOME": os.fspath(self._desk.home), "LC_ALL": "C"},
                stdin=subprocess.DEVNULL, capture_output=True, timeout=_PATIENCE, check=False,
                encoding="utf-8", errors="replace",
            ).stdout  # fmt: skip
        return ""


def _read(file: Path) -> bytes | None:
    """Return a file of the user's; None where there is none."""
    try:
        return file.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise reading_failed(file, error) from error


def _replace(file: Path, content: bytes) -> None:
    """Write a file of the user's anew, who may do with it what he could do before."""
    mode = file.stat().st_mode & 0o7777 if file.exists() else 0o644
    atomic.write(file, [content], replace=True, mode=mode)
    os.chmod(file, mode)
