"""Which way into the panel is taken, and what is said where it is not the best."""

from __future__ import annotations

from dataclasses import replace

import pytest

from alphadrop.desktop.backends import Surroundings, choose

NOTHING = Surroundings()
X_ONLY = Surroundings(has_x=True, has_tray=True, has_bus=True, has_watcher=False)
ALL = replace(X_ONLY, has_watcher=True, gi="here", has_gtk=True, has_indicator=True)


def test_where_everything_is_there_is_nothing_to_mend() -> None:
    choice = choose(ALL)
    assert (choice.backend, choice.remedy) == ("appindicator", "")


def test_a_panel_that_knows_only_the_older_icons_is_served_with_menu_and_clicks() -> None:
    choice = choose(replace(ALL, has_watcher=False))
    assert (choice.backend, choice.remedy) == ("gtk", "")
    assert choose(replace(ALL, has_indicator=False)).backend == "gtk"


def test_at_a_login_the_icon_may_be_there_before_the_panel() -> None:
    choice = choose(replace(ALL, has_watcher=False, has_tray=False))
    assert choice.backend == "appindicator"
    assert "no panel" in choice.told
    assert choice.remedy


def test_where_nobody_can_be_asked_the_best_is_tried() -> None:
    assert choose(replace(ALL, has_watcher=None, has_tray=False)).backend == "appindicator"


@pytest.mark.parametrize("desktop", ["GNOME", "ubuntu:GNOME"])
@pytest.mark.parametrize("is_wayland", [True, False])
def test_gnome_without_the_extension_says_which(desktop: str, is_wayland: bool) -> None:
    gnome = replace(ALL, desktop=desktop, is_wayland=is_wayland, has_watcher=False, has_tray=False)
    choice = choose(gnome)
    assert choice.backend == "appindicator"
    assert "GNOME" in choice.told
    assert "gnome-shell-extension-appindicator" in choice.remedy


@pytest.mark.parametrize(
    ("lacking", "why", "remedy"),
    [
        ({"gi": "missing"}, "no PyGObject", "python3-gi"),
        ({"gi": "missing"}, "no PyGObject", "--system-site-packages"),
        ({"gi": "of another Python"}, "another Python", "/usr/bin/python3"),
        ({"gi": "here"}, "no Gtk 3", "gir1.2-ayatanaappindicator3-0.1"),
        ({"gi": "here", "has_gtk": True, "has_tray": False}, "no AppIndicator", "gir1.2-ayatanaappindicator3-0.1"),
        ({"gi": "here", "has_gtk": True, "has_bus": False}, "no session bus", "dbus-run-session"),
    ],
)
def test_what_a_menu_lacks_is_said_with_its_remedy(lacking: dict[str, object], why: str, remedy: str) -> None:
    choice = choose(replace(X_ONLY, **lacking))  # type: ignore[arg-type]
    assert choice.backend == "xorg"
    assert "no menu" in choice.told or "not seen" in choice.told or "no panel" in choice.told
    assert why in choice.told
    assert remedy in choice.remedy


def test_an_icon_that_will_not_be_seen_is_not_promised() -> None:
    for unseen in (
        Surroundings(has_x=True, is_wayland=True, has_bus=True, has_watcher=True),
        Surroundings(has_x=True, desktop="GNOME", has_bus=True, has_watcher=False),
    ):
        choice = choose(unseen)
        assert choice.backend == "xorg"
        assert "not seen" in choice.told
        assert "python3-gi" in choice.remedy


def test_wayland_without_x_needs_the_indicator() -> None:
    choice = choose(Surroundings(is_wayland=True, has_bus=True, has_watcher=True))
    assert choice.backend is None
    assert "Wayland" in choice.told
    assert "python3-gi" in choice.remedy


def test_without_a_display_there_is_none() -> None:
    choice = choose(NOTHING)
    assert choice.backend is None
    assert "display" in choice.told
    assert "session" in choice.remedy


def test_the_other_systems_have_one_way() -> None:
    assert choose(Surroundings("win32")).backend == "win32"
    assert choose(Surroundings("darwin")).backend == "darwin"
