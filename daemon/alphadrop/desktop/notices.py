"""Shows notifications on the desktop, by desktop-notifier: an extra, and only known here.

It answers clicks in an event loop; that has a thread of its own, so that no notification holds the icon up.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import shutil
import threading
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from alphadrop.desktop.announcing import Notice
from alphadrop.desktop.icons import Look, draw
from alphadrop.errors import AlphadropError

if TYPE_CHECKING:
    from desktop_notifier import DesktopNotifier

__all__ = ["HOW_TO_GET", "Notices", "are_possible"]

HOW_TO_GET = "pip install 'alphadrop[notifications]'"
_ICON = 64
_KEPT = 20
"""Thumbnails that are kept for notifications still to be seen."""
_log = logging.getLogger(__name__)


def are_possible() -> bool:
    """Return whether the extra is installed and can be loaded."""
    try:
        import desktop_notifier  # noqa: F401
    except Exception:  # whatever is wrong with it, there are no notifications
        return False
    return True


class Notices:
    """Shows notifications until it is closed."""

    def __init__(self, folder: Path, thumbnail: Callable[[int], bytes], opened: Callable[[str], None]) -> None:
        """Begin; nothing is sent yet.

        Args:
            folder: for pictures; it is this object's alone, and emptied.
            thumbnail: returns the PNG of a job, or raises AlphadropError.
            opened: called with the path of a notification that was clicked, in a thread of its own.
        """
        self._thumbnail = thumbnail
        self._opened = opened
        self._folder = folder
        self._pictures: list[Path] = []
        self._icon = folder / "icon.png"
        shutil.rmtree(folder, ignore_errors=True)  # of one that was killed
        with contextlib.suppress(OSError):  # then it is said without pictures
            folder.mkdir(mode=0o700)
            draw(Look("idle"), _ICON).save(self._icon)
        self._loop = asyncio.new_event_loop()
        self._notifier: DesktopNotifier | None = None
        self._has_failed = False
        threading.Thread(target=self._loop.run_forever, name="notices", daemon=True).start()

    def show(self, notice: Notice) -> None:
        """Have a notification shown; what goes wrong is logged once and otherwise passed over."""
        picture = self._picture(notice.picture)
        asyncio.run_coroutine_threadsafe(self._show(notice, picture), self._loop)

    def close(self) -> None:
        """End, and remove the pictures."""
        self._loop.call_soon_threadsafe(self._loop.stop)
        shutil.rmtree(self._folder, ignore_errors=True)

    async def _show(self, notice: Notice, picture: Path | None) -> None:
        try:
            from desktop_notifier import Attachment, DesktopNotifier, Icon, Urgency

            notifier = self._notifier
            if notifier is None:
                # It logs at length what fails, and goes on as if nothing had: so the desktop is asked first.
                logging.getLogger("desktop_notifier").setLevel(logging.CRITICAL)
                notifier = DesktopNotifier("Alphadrop", Icon(path=self._icon))
                await notifier.get_capabilities()
                self._notifier = notifier
            await notifier.send(
                notice.title,
                notice.text,
                urgency=Urgency.Critical if notice.is_urgent else Urgency.Normal,
                attachment=None if picture is None else Attachment(path=picture),
                on_clicked=(lambda: self._open(notice.path)) if notice.path else None,
            )
        except Exception as error:  # of the bus, of the desktop's own program, of whatever a platform has
            if not self._has_failed:
                _log.warning("notifications cannot be shown: %s", error or type(error).__name__)
            self._has_failed = True
            self._notifier = None
        else:
            self._has_failed = False

    def _open(self, path: str) -> None:
        threading.Thread(target=self._opened, args=(path,), daemon=True).start()

    def _picture(self, number: int | None) -> Path | None:
        if number is None:
            return None
        file = self._folder / f"{number}.png"
        try:
            file.write_bytes(self._thumbnail(number))
        except (AlphadropError, OSError):
            return None  # it is said without a picture
        self._pictures.append(file)
        while len(self._pictures) > _KEPT:
            with contextlib.suppress(OSError):
                os.unlink(self._pictures.pop(0))
        return file
