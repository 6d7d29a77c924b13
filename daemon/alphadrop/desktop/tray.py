"""The icon in the panel itself: the one module that knows pystray.

pystray looks for a panel when it is imported, and whatever is wrong with the desktop is thrown there: so it is imported
when an icon is made, the way into the panel having been chosen before, and any exception is a `NoTray`.
"""

from __future__ import annotations

import html
import logging
import os
import signal
import threading
from collections.abc import Callable
from typing import Any

from alphadrop.desktop.backends import Choice
from alphadrop.desktop.icons import Look, TrayPicture
from alphadrop.desktop.tray_menu import SEPARATOR, Action, Item
from alphadrop.errors import NoTray

__all__ = ["TrayIcon"]

_FAREWELL = 2.0
"""Seconds for the panel to let go of the icon."""


class TrayIcon:
    """An icon that shows what it is given and passes on what is chosen."""

    def __init__(self, choice: Choice, chosen: Callable[[Action], None]) -> None:
        """Make it; nothing is seen before `run`.

        Args:
            choice: the way into the panel.
            chosen: called with what the user chooses, in the thread of `run`, which it must not keep.

        Raises:
            NoTray: there is no panel, or it cannot be reached.
        """
        if choice.backend is None:
            raise NoTray(choice.told, choice.remedy)
        self._pystray = _pystray(choice)
        self._chosen = chosen
        self._is_tile = choice.backend == "xorg"
        self._has_toolkit = choice.backend in ("appindicator", "gtk")
        self._lines = _Lines()
        self._is_ending = False
        self._ended = threading.Event()
        try:
            self._icon = self._pystray.Icon("alphadrop", self._picture(Look("off")), "Alphadrop")
            if choice.backend == "xorg":
                _ask_for_clicks(self._icon)
                _dock_once(self._icon)
        except Exception as error:  # as at the import
            raise _no_tray(choice, error) from error

    def run(self, begun: Callable[[], None]) -> None:
        """Show it until `stop`; to be called in the main thread.

        Args:
            begun: called in a thread of its own when it is there.

        Raises:
            NoTray: the panel cannot be reached.
        """

        def begin(icon: Any) -> None:
            icon.visible = True
            begun()

        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: self.stop())
        try:
            self._icon.run(begin)
        except Exception as error:  # taking back the icon may fail when the desktop is gone
            if not self._is_ending:
                raise NoTray(
                    f"the icon is gone: {error or type(error).__name__}", "start it again: alphadrop tray"
                ) from error
        finally:
            self._ended.set()

    def show(self, look: Look, title: str) -> None:
        """Change the picture and the words beside it."""
        self._icon.icon = self._picture(look)
        self._icon.title = title

    def set_menu(self, items: tuple[Item, ...]) -> None:
        """Change the menu; where only words change, in place, so that it stays open."""
        if self._lines.take(items):
            if self._has_toolkit:
                _in_the_toolkits_thread(self._relabel)
            else:
                self._icon.update_menu()
            return
        self._lines = _Lines(items)
        self._icon.menu = self._menu(self._lines, items)

    def _relabel(self) -> None:
        handle = self._icon._menu_handle  # noqa: SLF001
        if handle is not None:
            _relabel(handle, self._lines.items)

    def stop(self) -> None:
        """Take it away; `run` returns, or the process ends. May be called from anywhere, a signal too."""
        self._is_ending = True
        threading.Thread(target=self._icon.stop, name="stopping", daemon=True).start()
        threading.Thread(target=self._end, name="ending", daemon=True).start()

    def _end(self) -> None:
        # Some panels take the window away without telling, and an X server that is gone tells nothing at all: then
        # nothing wakes those who wait for that.
        if not self._ended.wait(_FAREWELL):
            os._exit(0)

    def _picture(self, look: Look) -> TrayPicture:
        return TrayPicture(look, tile=self._is_tile)

    def _menu(self, lines: _Lines, items: tuple[Item, ...], above: tuple[int, ...] = ()) -> Any:
        made = [self._item(lines, item, (*above, number)) for number, item in enumerate(items)]
        return self._pystray.Menu(*made)

    def _item(self, lines: _Lines, item: Item, place: tuple[int, ...]) -> Any:
        if item == SEPARATOR:
            return self._pystray.Menu.SEPARATOR

        def choose(_icon: Any, _item: Any) -> None:
            if (action := lines.at(place).action) is not None:
                self._chosen(action)

        return self._pystray.MenuItem(
            lambda _: lines.at(place).text,
            self._menu(lines, item.items, place) if item.items else choose,
            default=item.is_default,
            enabled=lambda _: lines.at(place).can_be_chosen,
        )


class _Lines:
    """The lines of the menu that is shown: their words may change while it is open, their number may not."""

    def __init__(self, items: tuple[Item, ...] = ()) -> None:
        self.items = items

    def take(self, items: tuple[Item, ...]) -> bool:
        """Take other words, and return true, where nothing else is other."""
        if _shape(items) != _shape(self.items):
            return False
        self.items = items
        return True

    def at(self, place: tuple[int, ...]) -> Item:
        """Return a line by its number, that in the menu that this opens, and so on."""
        item, items = SEPARATOR, self.items
        for number in place:
            item = items[number]
            items = item.items
        return item


def _shape(items: tuple[Item, ...]) -> tuple[Any, ...]:
    return tuple((item == SEPARATOR, item.is_default, _shape(item.items)) for item in items)


def _relabel(menu: Any, items: tuple[Item, ...]) -> None:
    """Give the lines of a menu of the toolkit's the words that they should have."""
    for line, item in zip(menu.get_children(), items, strict=False):
        if item == SEPARATOR:
            continue
        line.set_sensitive(item.can_be_chosen)
        if item.is_default:
            line.get_child().set_markup(f"<b>{html.escape(item.text)}</b>")  # as pystray made it
        elif line.get_label() != item.text:
            line.set_label(item.text)
        if item.items and (below := line.get_submenu()) is not None:
            _relabel(below, item.items)


def _in_the_toolkits_thread(work: Callable[[], None]) -> None:
    from gi.repository import GLib

    def once() -> bool:
        work()
        return False

    GLib.idle_add(once)


def _pystray(choice: Choice) -> Any:
    os.environ["PYSTRAY_BACKEND"] = str(choice.backend)
    if choice.backend == "gtk":
        os.environ.setdefault("GDK_BACKEND", "x11")  # the trays that it knows are of X
    try:
        import pystray
    except Exception as error:  # a display that is gone, a typelib that is missing, a library that is broken
        raise _no_tray(choice, error) from error
    # It tells at length that there is no panel yet, which is no mistake at a login.
    logging.getLogger("pystray").setLevel(logging.CRITICAL)
    return pystray


def _ask_for_clicks(icon: Any) -> None:
    """Have the X server tell of clicks: pystray 0.19 acts on them, and does not ask for them."""
    from Xlib import X

    window = icon._window  # noqa: SLF001
    mask = window.get_attributes().your_event_mask
    window.change_attributes(event_mask=mask | X.ButtonPressMask)


def _dock_once(icon: Any) -> None:
    """Ask a panel for room once only: pystray 0.19 asks at each picture, and some panels take that for another icon."""
    dock = icon._assert_docked  # noqa: SLF001

    def dock_where_it_is_not() -> None:
        if icon._systray_manager is None:  # noqa: SLF001
            dock()

    icon._assert_docked = dock_where_it_is_not  # noqa: SLF001


def _no_tray(choice: Choice, error: Exception) -> NoTray:
    return NoTray(
        f"no icon by {choice.backend}: {error or type(error).__name__}", choice.remedy or "see: alphadrop doctor"
    )
