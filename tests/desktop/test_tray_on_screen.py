"""The icon in a real panel: clicks, its menu, its states, the daemon's end and return, and notifications.

What the screen showed is kept as pictures in $ALPHADROP_ARTEFACTS, or in build/artefacts.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from PIL import Image

from alphadrop.client import Client
from alphadrop.desktop.icons import COLOURS
from alphadrop.desktop.surroundings import has_tray, look
from alphadrop.errors import DaemonError
from daemon_process import Home, running, wait_for
from desktop_process import Desktop, desktop, needs, sees_gi

TRAYER = "trayer --edge top --align right --widthtype request --heighttype pixel --transparent false".split()
CLICKS_ONLY = "alphadrop"
"""The class of the window that needs no toolkit."""
AT_ONCE = 20.0
"""Seconds that a deed of the menu may take, the daemon's start among them."""
PANEL = (0, 0, 800, 80)
"""Where every panel is; what else is seen there is of other colours."""

with_menu = pytest.mark.skipif(
    not sees_gi() and os.environ.get("CI") != "true", reason="the system's PyGObject is of another Python than this one"
)


@pytest.fixture
def home(tmp_path_factory: pytest.TempPathFactory) -> Home:
    home = Home(tmp_path_factory.mktemp("h"))
    home.configure("settle: 100ms\nrescan: 1s")
    return home


@pytest.fixture
def with_trayer(home: Home) -> Iterator[Desktop]:
    """A panel with an XEmbed tray, and no session bus."""
    with desktop(home, ["trayer"]) as screen:
        screen.start(*TRAYER, "--height", "32")
        wait_for(lambda: has_tray(screen.environment), "the panel's tray")
        yield screen


@pytest.fixture
def with_xfce(home: Home) -> Iterator[Desktop]:
    """A panel that shows icons of both kinds, a session bus, and PyGObject for the icon."""
    with desktop(home, ["xfce4-panel", "dbus-daemon"]) as screen:
        screen.start_bus()
        screen.lend_gi()
        screen.start_xfce()
        wait_for(lambda: look(screen.environment).has_watcher, "the panel's area for icons")
        yield screen


def told(home: Home) -> dict[str, Any]:
    try:
        return Client(home.run).status()
    except DaemonError:
        return {}


def has_menu(screen: Desktop) -> bool:
    """Return whether there is anything below the panel."""
    return screen.screen().crop((0, 45, 400, 300)).getbbox() is not None


def open_menu(screen: Desktop) -> None:
    screen.click(12, 16)
    wait_for(lambda: has_menu(screen), "the menu")


def close_menu(screen: Desktop) -> None:
    wait_for(lambda: not has_menu(screen), "the menu to be closed")


def what_is_opened(screen: Desktop) -> Path:
    """Have what is opened written down instead, a line each; return the file."""
    opened, programs = screen.home.root / "opened", screen.home.root / "bin"
    programs.mkdir()
    (programs / "xdg-open").write_text(f'#!/bin/sh\nprintf "%s\\n" "$*" >>{opened}\n')
    (programs / "xdg-open").chmod(0o755)
    screen.variables["PATH"] = f"{programs}:{os.environ['PATH']}"
    return opened


def is_tray_of(process: psutil.Process, home: Home) -> bool:
    try:
        return process.cmdline()[-1:] == ["tray"] and process.environ().get("ALPHADROP_RUN_DIR") == str(home.run)
    except psutil.Error:
        return False


def is_paused(home: Home) -> bool:
    return "paused   until you resume" in home.alphadrop("status").stdout


def colours(screen: Desktop) -> set[Any]:
    return {colour for _, colour in screen.screen().crop(PANEL).getcolors(1_000_000) or []}


def click_icon(screen: Desktop, done: Callable[[], bool], what: str) -> None:
    """Click the icon once with effect: a panel that is still busy may move it away from under the pointer."""

    def clicked() -> bool:
        left, top, width, height = screen.place_of(CLICKS_ONLY)
        screen.click(left + width // 2, top + height // 2)
        with contextlib.suppress(AssertionError):
            return wait_for(done, what, AT_ONCE)
        return False

    wait_for(clicked, what)


def icon_shows(screen: Desktop, state: str) -> Callable[[], bool]:
    """Return whether the panel shows the colour of a state; a panel that scales it changes that a little."""

    def shows() -> bool:
        wanted = COLOURS[state]
        return any(max(abs(a - b) for a, b in zip(seen, wanted, strict=True)) <= 6 for seen in colours(screen))

    return shows


def test_a_click_on_the_icon_pauses_and_another_resumes(with_trayer: Desktop, home: Home) -> None:
    with running(home):
        tray = with_trayer.start_tray()
        wait_for(icon_shows(with_trayer, "idle"), "the icon to show that nothing is to be done")
        with_trayer.keep("tray-clicks-only", (740, 0, 800, 40))
        click_icon(with_trayer, lambda: is_paused(home), "the pause")
        wait_for(icon_shows(with_trayer, "paused"), "the icon to show the pause")
        click_icon(with_trayer, lambda: not is_paused(home), "the end of the pause")
        second = home.alphadrop("tray")
        assert second.returncode == 3
        assert "already" in second.stderr
        tray.send_signal(signal.SIGTERM)
        assert tray.wait(timeout=60) == 0
    assert "no menu" in with_trayer.log("python")


@pytest.mark.long
def test_the_icon_is_there_before_panel_and_daemon_and_outlives_both(home: Home) -> None:
    with desktop(home, ["trayer"]) as screen:
        screen.start_tray("--backend", "xorg")
        panel = screen.start(*TRAYER, "--height", "32")
        wait_for(icon_shows(screen, "off"), "the icon to show that no daemon runs")
        for _ in range(2):
            with running(home):
                wait_for(icon_shows(screen, "idle"), "the icon to show the daemon")
            wait_for(icon_shows(screen, "off"), "the icon to show the daemon's end")
        panel.terminate()
        panel.wait(timeout=60)
        screen.start(*TRAYER, "--height", "32")
        with running(home):
            wait_for(icon_shows(screen, "idle"), "the icon in the new panel")


@pytest.mark.long
def test_it_ends_with_the_session(home: Home) -> None:
    with desktop(home, ["trayer"]) as screen:
        screen.start(*TRAYER, "--height", "32")
        wait_for(lambda: has_tray(screen.environment), "the panel's tray")
        tray = screen.start_tray("--backend", "xorg")
        wait_for(icon_shows(screen, "off"), "the icon")
        screen.server.terminate()
        screen.server.wait(timeout=60)
        wait_for(lambda: tray.poll() is not None, "the icon's end")


@pytest.mark.long
def test_the_daemon_brings_it_along_where_it_is_told_to(with_trayer: Desktop, home: Home) -> None:
    home.configure(top="tray: on")
    with_trayer.start(sys.executable, "-m", "alphadrop", "run")
    wait_for(icon_shows(with_trayer, "idle"), "the icon")
    assert home.alphadrop("stop").returncode == 0
    wait_for(icon_shows(with_trayer, "off"), "the icon to outlive the daemon")
    (tray,) = [each for each in psutil.process_iter(["cmdline"]) if is_tray_of(each, home)]
    tray.terminate()
    tray.wait(timeout=60)


@pytest.mark.long
@with_menu
def test_the_menu_does_what_it_says(with_xfce: Desktop, home: Home, photographs: dict[str, Path]) -> None:
    opened = what_is_opened(with_xfce)
    with_xfce.variables["PYSTRAY_BACKEND"] = "nonsense"  # it is chosen here, whatever others say
    with running(home):
        with_xfce.start_tray()
        wait_for(icon_shows(with_xfce, "idle"), "the icon")
        home.drop(photographs["cat"], "cat.jpg")
        wait_for(lambda: told(home)["folders"][0]["done"] == 1, "the cut-out")

        def choose_until(keys: list[str], done: Callable[[], Any], what: str) -> None:
            """Choose from the menu; anew where the panel made it anew while keys were pressed."""

            def chosen() -> bool:
                open_menu(with_xfce)
                with_xfce.press(*keys, "Return")
                with contextlib.suppress(AssertionError):
                    wait_for(lambda: not has_menu(with_xfce), "the menu to be closed", AT_ONCE)
                    wait_for(done, what, AT_ONCE)
                    return True
                with_xfce.press("Escape", "Escape", "Escape")
                return bool(done())

            wait_for(chosen, what)

        open_menu(with_xfce)
        with_xfce.press("Down", "Down", "Right")
        with_xfce.keep("tray-menu", (0, 0, 420, 330))
        with_xfce.press("Escape", "Escape", "Escape")
        close_menu(with_xfce)

        open_menu(with_xfce)
        before = with_xfce.screen().crop((0, 33, 420, 330)).tobytes()
        Client(home.run).pause()
        wait_for(icon_shows(with_xfce, "paused"), "the icon to show the pause of another program")
        wait_for(lambda: with_xfce.screen().crop((0, 33, 420, 330)).tobytes() != before, "the menu to tell of it")
        assert has_menu(with_xfce)  # other words are no reason to close it
        with_xfce.press("Escape", "Escape")
        close_menu(with_xfce)
        Client(home.run).resume()
        wait_for(icon_shows(with_xfce, "idle"), "the icon to show the end of that pause")

        choose_until(["Down"], lambda: is_paused(home), "the pause")
        wait_for(icon_shows(with_xfce, "paused"), "the icon to show the pause")
        choose_until(["Down"], lambda: not is_paused(home), "the end of the pause")
        choose_until(["Down", "Down", "Right", "Down"], lambda: told(home)["paused"], "the longer pause")
        assert told(home)["paused"]["until"] is not None
        choose_until(["Down"], lambda: told(home)["paused"] is None, "the end of that pause")
        choose_until(["Down"] * 3 + ["Right"], opened.exists, "the result to be opened")
        assert opened.read_text() == f"{home.output / 'cat.png'}\n"
        choose_until(["Up", "Up"], lambda: not told(home), "the daemon's end")
        wait_for(icon_shows(with_xfce, "off"), "the icon to show the daemon's end")
        open_menu(with_xfce)
        with_xfce.keep("tray-menu-without-daemon", (0, 0, 420, 330))
        with_xfce.press("Escape")
        close_menu(with_xfce)
        choose_until(["Down"], lambda: told(home), "the daemon's start")
        try:
            wait_for(icon_shows(with_xfce, "idle"), "the icon to show the daemon")
        finally:
            assert home.alphadrop("stop").returncode == 0


@pytest.mark.long
@with_menu
@pytest.mark.parametrize("dark", [True, False], ids=["dark", "light"])
@pytest.mark.parametrize("size", [16, 22, 32, 64])
def test_every_state_is_seen_in_every_panel(home: Home, dark: bool, size: int) -> None:
    with desktop(home, ["xfce4-panel", "dbus-daemon"]) as screen:
        screen.start_bus()
        screen.lend_gi()
        screen.start_xfce(dark=dark, size=size + 10, icon=size)
        box = (0, 0, size + 30, size + 10)
        shown: list[Image.Image] = []

        def keep(state: str) -> None:
            wait_for(icon_shows(screen, state), f"the icon to show {state}")
            screen.keep(f"tray-{state}-{'dark' if dark else 'light'}-{size}", box)
            shown.append(screen.screen().crop(PANEL))

        screen.start_tray("--backend", "appindicator")
        keep("off")
        with running(home):
            keep("idle")
            Client(home.run).pause()
            keep("paused")
            home.input.rmdir()
            keep("attention")
        assert len({picture.tobytes() for picture in shown}) == 4


@pytest.mark.long
def test_a_ring_shows_how_far_the_work_is(with_trayer: Desktop, home: Home, photographs: dict[str, Path]) -> None:
    with running(home):
        with_trayer.start_tray()
        wait_for(icon_shows(with_trayer, "idle"), "the icon")
        idle = with_trayer.screen().crop(PANEL).tobytes()
        for number in range(20):
            home.drop(photographs["coffee"], f"{number}.jpg")
        seen: set[bytes] = set()

        def has_moved() -> bool:
            seen.add(with_trayer.screen().crop(PANEL).tobytes())
            with_trayer.keep("tray-working", (740, 0, 800, 40))
            return len(seen - {idle}) >= 3

        wait_for(has_moved, "the ring to move")
        wait_for(lambda: told(home)["folders"][0]["done"] == 20, "the cut-outs")
        wait_for(lambda: with_trayer.screen().crop(PANEL).tobytes() == idle, "the icon to rest")


@pytest.mark.long
def test_notifications_are_received(with_trayer: Desktop, home: Home, photographs: dict[str, Path]) -> None:
    needs("dunst", "dunstctl", "dbus-daemon")
    with_trayer.start_bus()
    with_trayer.start("dunst", "-conf", "/dev/null")
    opened = what_is_opened(with_trayer)

    def notices() -> list[tuple[str, str]]:
        listed = with_trayer.run("dunstctl", "history")
        shown = json.loads(listed)["data"][0] if listed else []
        return [(each["summary"]["data"], each["body"]["data"]) for each in reversed(shown)]

    def are_shown(count: int) -> Callable[[], bool]:
        return lambda: with_trayer.run("dunstctl", "count", "displayed").strip() == str(count)

    wait_for(are_shown(0), "the notification daemon")
    with running(home):
        with_trayer.start_tray()
        wait_for(icon_shows(with_trayer, "idle"), "the icon")
        for name in ("cat", "coffee"):
            home.drop(photographs[name], f"{name}.jpg")
        (home.root / "broken.jpg").write_bytes(photographs["cat"].read_bytes()[:5000])
        (home.root / "broken.jpg").rename(home.input / "broken.jpg")
        wait_for(are_shown(1), "the first result")
        with_trayer.keep("tray-notification", (440, 0, 800, 160))
        with_trayer.run("dunstctl", "action")
        wait_for(opened.exists, "the first result to be opened")
        assert Path(opened.read_text().strip()).parent == home.output
        wait_for(are_shown(2), "the end of the batch")
        with_trayer.keep("tray-notifications", (440, 0, 800, 240))
        with_trayer.run("dunstctl", "close-all")
        (first, _), (last, _) = notices()
        assert first in ("cat.jpg is cut out", "coffee.jpg is cut out")
        assert last == "2 cut out, 1 failed"
        home.input.rename(home.root / "gone")
        wait_for(are_shown(1), "what needs attention")
        with_trayer.run("dunstctl", "close-all")
        title, text = notices()[-1]
        assert title == "Alphadrop needs attention"
        assert text.startswith("In: missing")
        (home.root / "gone").rename(home.input)
        home.configure("settle: 100ms\nrescan: 1s", top="notifications: off")
        wait_for(lambda: not told(home)["notifications"], "the switch")
        home.drop(photographs["rocket"], "rocket.jpg")
        wait_for(lambda: told(home)["folders"][0]["done"] == 3, "the cut-out")
    assert len(notices()) == 3
