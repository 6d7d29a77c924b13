"""The icon in the panel itself: the one module that knows pystray.

pystray looks for a panel when it is imported, and whatever is wrong with the desktop is thrown there: so it is imported
when an icon is made, the way into the panel having been chosen before, and any exception is a `NoTray`.
"""

from __future__ import annotations

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
        self._is_ending = False
        self._ended = threading.Event()
        try:
            self._icon = self._pystray.Icon("alphadrop", self._picture(Look("off")), "Alphadrop")
            if choice.backend == "xorg":
                _ask_for_clicks(self._icon)
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
        """Change the menu."""
        self._icon.menu = self._menu(items)

    def stop(self) -> None:
        """Take it away; `run` returns, or the process ends. May be called from anywhere, a signal too."""
        self._is_ending = True
        threading.Thread(target=self._stop, name="stopping", daemon=True).start()

    def _stop(self) -> None:
        self._icon.stop()
        # Some panels take the window away without telling: then nothing wakes the one who waits for that.
        if not self._ended.wait(_FAREWELL):
            os._exit(0)

    def _picture(self, look: Look) -> TrayPicture:
        return TrayPicture(look, tile=self._is_tile)

    def _menu(self, items: tuple[Item, ...]) -> Any:
        return self._pystray.Menu(*(self._item(item) for item in items))

    def _item(self, item: Item) -> Any:
        if item == SEPARATOR:
            return self._pystray.Menu.SEPARATOR
        if item.items:
            return self._pystray.MenuItem(item.text, self._menu(item.items))
        action = item.action
        return self._pystray.MenuItem(
            item.text,
            (lambda _icon, _item: None) if action is None else (lambda _icon, _item: self._chosen(action)),
            default=item.is_default,
            enabled=action is not None,
        )


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


def _no_tray(choice: Choice, error: Exception) -> NoTray:
    return NoTray(
        f"no icon by {choice.backend}: {error or type(error).__name__}", choice.remedy or "see: alphadrop doctor"
    )
