"""A real Thunar: what `alphadrop desktop install` wrote is in its menu, cuts the photograph out, and says so.

What the screen showed is kept as pictures in $ALPHADROP_ARTEFACTS, or in build/artefacts.
"""

from __future__ import annotations

import contextlib
import shutil
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image

from daemon_process import Home, wait_for
from desktop_process import Desktop, desktop

pytestmark = pytest.mark.long

AT_ONCE = 20.0
"""Seconds after which a menu is held to have missed the keys."""
SELECTED = (53, 132, 228)
"""The colour behind what is selected, in Gtk's own theme."""
FOLDER = (180, 110, 630, 450)
"""Where Thunar shows what is in the folder; what is selected above is the folder's name."""
LEAST_WINDOW = 100
"""Pixels; Thunar has smaller windows, which are never shown."""


@pytest.fixture
def screen(tmp_path_factory: pytest.TempPathFactory, photographs: dict[str, Path]) -> Iterator[Desktop]:
    """A session with messages, and a folder with one photograph in the user's home."""
    home = Home(tmp_path_factory.mktemp("h"))
    with desktop(home, ["thunar", "dbus-daemon", "dunst", "dunstctl"]) as screen:
        (home.root / "Pictures").mkdir()
        shutil.copy(photographs["cat"], home.root / "Pictures" / "my cat.jpg")
        screen.start_bus()
        screen.start("dunst", "-conf", "/dev/null")
        wait_for(lambda: screen.run("dunstctl", "count", "displayed").strip() == "0", "the notification daemon")
        yield screen


def windows(screen: Desktop) -> set[str]:
    """Return Thunar's windows and menus that are seen."""
    return set(screen.run("xdotool", "search", "--onlyvisible", "--class", "thunar").split())


def is_selected(screen: Desktop) -> bool:
    return SELECTED in {colour for _, colour in screen.screen().crop(FOLDER).getcolors(1_000_000) or []}


def choose(screen: Desktop, *keys: str) -> None:
    """Select the photograph, and choose from its menu; anew where the menu missed the keys."""
    screen.start("thunar", str(screen.home.root / "Pictures"))
    screen.place_of("thunar", LEAST_WINDOW)

    def selected() -> bool:  # it can be as soon as Thunar has read the folder
        screen.press("ctrl+a")
        return is_selected(screen)

    def chosen() -> bool:
        screen.press("Menu")
        with contextlib.suppress(AssertionError):
            wait_for(lambda: windows(screen) > window, "the menu", AT_ONCE)
            screen.press(*keys)
            screen.keep(f"thunar-{'-'.join(keys)}".lower())
            screen.press("Return")
            wait_for(lambda: windows(screen) == window, "the menu to be closed", AT_ONCE)
            return True
        screen.press("Escape", "Escape")
        return False

    wait_for(selected, "the photograph to be selected")
    window = windows(screen)
    wait_for(chosen, "a choice from its menu")


def expect_cut_out(screen: Desktop) -> None:
    file = screen.home.root / "Pictures" / "my cat.cutout.png"
    wait_for(file.exists, "the cut-out")
    with Image.open(file) as image:
        assert (image.mode, image.size) == ("RGBA", (451, 300))
    wait_for(lambda: screen.run("dunstctl", "count", "displayed").strip() == "1", "the message")
    screen.keep("thunar-cut-out")


def test_the_action_cuts_out_beside_the_original_and_is_taken_back(screen: Desktop) -> None:
    home = screen.home
    assert home.alphadrop("desktop", "install", "--for", "thunar").returncode == 0
    shutil.rmtree(home.root / ".local" / "share" / "applications")  # Open With cannot have done it
    choose(screen, "Up", "Up")  # the last but one: below it are the properties only
    expect_cut_out(screen)
    screen.run("thunar", "-q")
    listed = home.root / ".config" / "Thunar" / "uca.xml"
    assert b"<range>" in listed.read_bytes(), "Thunar has written its list anew"
    assert home.alphadrop("desktop", "uninstall").returncode == 0
    assert [action.findtext("name") for action in ET.parse(listed).getroot()] == ["Open Terminal Here"]


def test_open_with_cuts_out_where_there_is_no_action(screen: Desktop) -> None:
    assert screen.home.alphadrop("desktop", "install", "--for", "nautilus").returncode == 0
    choose(screen, "Down", "Down", "Right")  # the first of the other programs, for a double click starts another
    expect_cut_out(screen)
