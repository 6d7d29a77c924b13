"""The process behind the icon: it follows the daemon's events, keeps the icon up to date and does what is chosen.

The main thread is the panel's. `following` listens to the daemon and comes back when that does, `showing` brings the
icon up to date, at most once a second, so that an open menu can be read, and each deed has a thread for as long as it
takes.
"""

from __future__ import annotations

import logging
import os
import queue
import threading
import time
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from alphadrop import paths
from alphadrop.client import Client, Event
from alphadrop.desktop import opening
from alphadrop.desktop.announcing import Announcer, Notice
from alphadrop.desktop.backends import Choice
from alphadrop.desktop.notices import Notices, are_possible
from alphadrop.desktop.only_one import Lock
from alphadrop.desktop.surroundings import has_tray
from alphadrop.desktop.texts import Words
from alphadrop.desktop.tray import TrayIcon
from alphadrop.desktop.tray_menu import Action, Item, look_of, menu_of, seconds_until_tomorrow, title_of
from alphadrop.desktop.tray_state import NOT_RUNNING, State, lost, with_job, with_jobs, with_picture, with_status
from alphadrop.errors import AlphadropError, NotRunning

__all__ = ["Tray"]

_log = logging.getLogger(__name__)
_AGAIN = 2.0
"""Seconds between two attempts to reach a daemon that does not run."""
_AT_MOST_EVERY = 1.0
"""Seconds between two changes of the icon."""
_AT_LEAST_EVERY = 600.0
"""Seconds after which the words are made anew: some tell the time."""
_LOOK_FOR_PANEL = 5.0
"""Seconds between two looks for a panel, where nobody tells of one."""
_LAST_JOBS = 50
"""Asked for at first: the last results and what is at work are among them."""


class Tray:
    """The icon of this user, from its start to its end."""

    def __init__(self, choice: Choice, words: Words, client: Client | None = None) -> None:
        """Take the lock and make the icon.

        Raises:
            TrayRuns: another process has the icon.
            NoTray: there is no panel, or it cannot be reached.
            DiskFull, CannotWrite: the run folder cannot be used.
        """
        self._words = words
        self._client = client or Client()
        self._lock = Lock(paths.run_folder() / "tray.lock")
        try:
            self._icon = TrayIcon(choice, self._chosen)
        except BaseException:
            self._lock.close()
            raise
        self._needs_docking = choice.backend == "xorg"
        self._notices: Notices | None = None
        if are_possible():
            self._notices = Notices(paths.run_folder() / "thumbnails", self._client.thumbnail, opening.open_path)
        self._announcer = Announcer(words)
        self._state = NOT_RUNNING
        self._changing = threading.Lock()
        self._changed = threading.Event()
        self._heard: queue.SimpleQueue[Mapping[str, Any] | None] = queue.SimpleQueue()
        """Photographs that changed, for the notifications; None for anything else."""
        self._come_back = threading.Event()
        self._knows_jobs = False

    @property
    def notifies(self) -> bool:
        """Whether notifications can be shown."""
        return self._notices is not None

    def run(self) -> None:
        """Be there until told to end.

        Raises:
            NoTray: the panel was lost.
        """
        try:
            self._icon.run(self._begin)
        finally:
            if self._notices is not None:
                self._notices.close()
            self._lock.close()

    def _begin(self) -> None:
        for name, work in (("following", self._follow), ("showing", self._show), ("announcing", self._announce)):
            threading.Thread(target=work, name=name, daemon=True).start()
        if self._needs_docking:
            threading.Thread(target=self._keep_docked, name="docking", daemon=True).start()

    # --- following

    def _follow(self) -> None:
        """Listen for as long as this lives."""
        after, is_second = "", False
        while True:
            try:
                for event in self._client.events(after):
                    self._hear(event)
                    after, is_second = event.number, False
                is_lost = True
            except NotRunning:
                is_lost = True
            except AlphadropError as error:
                _log.debug("%s", error)
                is_lost, is_second = is_second, True
            if is_lost:
                self._become(lost)
                after = ""
            self._come_back.wait(_AGAIN)
            self._come_back.clear()

    def _hear(self, event: Event) -> None:
        if event.kind in ("begin", "reset"):
            status, self._knows_jobs = self._client.status(), False
            self._become(lambda state: with_status(lost(state), status))
        elif event.kind == "status":
            status = dict(event.told)
            self._now(status)
        elif event.kind == "job":
            self._become(lambda state: with_job(state, event.told), event.told)
            return
        elif event.kind == "picture":
            self._become(lambda state: with_picture(state, event.told))
            return
        else:
            return
        if not self._knows_jobs and status["ledger"]["state"] == "ready":
            jobs = self._client.jobs(limit=_LAST_JOBS)
            self._become(lambda state: with_jobs(state, jobs))
            self._knows_jobs = True

    def _become(self, change: Callable[[State], State], job: Mapping[str, Any] | None = None) -> None:
        with self._changing:
            state = change(self._state)
            is_other, self._state = state != self._state, state
        if is_other or job is not None:
            self._changed.set()
            self._heard.put(job)

    # --- showing

    def _show(self) -> None:
        """Bring the icon up to date whenever something changes, and when a day is over."""
        shown: tuple[object, str] | None = None
        menu: tuple[Item, ...] | None = None
        while True:
            self._changed.clear()
            state, now = self._state, datetime.now().astimezone()
            seen = (look_of(state), title_of(state, self._words, now))
            if seen != shown:
                shown = seen
                self._icon.show(*seen)
            if (items := menu_of(state, self._words, now)) != menu:
                menu = items
                self._icon.set_menu(items)
            shown_at = time.monotonic()
            self._changed.wait(_AT_LEAST_EVERY)
            time.sleep(max(0.0, shown_at + _AT_MOST_EVERY - time.monotonic()))

    def _keep_docked(self) -> None:
        """Go into a panel that comes, or comes anew, and end with the X server: no toolkit does that here."""
        was_there: bool | None = False  # it may have come after the icon looked for it
        while True:
            time.sleep(_LOOK_FOR_PANEL)
            is_there = has_tray()
            if is_there is None and was_there is None:
                self._icon.stop()
            if is_there and not was_there:
                self._icon.show(look_of(self._state), title_of(self._state, self._words, datetime.now().astimezone()))
            was_there = is_there

    # --- announcing

    def _announce(self) -> None:
        while True:
            state = self._state
            try:
                job = self._heard.get(timeout=self._announcer.wait(state, time.monotonic()))
            except queue.Empty:
                job = None
            state, now = self._state, time.monotonic()
            if job is not None:
                self._announcer.job(job, now)
            for notice in self._announcer.look(state, now):
                self._say(notice)

    def _say(self, notice: Notice) -> None:
        if self._notices is not None:
            self._notices.show(notice)

    # --- doing

    def _chosen(self, action: Action) -> None:
        if action.deed == "quit":
            self._icon.stop()
            return
        threading.Thread(target=self._do, args=(action,), name=action.deed, daemon=True).start()

    def _do(self, action: Action) -> None:
        try:
            self._deeds()[action.deed](action)
        except AlphadropError as error:
            _log.warning("%s", error)
            self._say(Notice(self._words.say("did_not_work"), "\n".join(filter(None, (error.message, error.hint)))))

    def _deeds(self) -> Mapping[str, Callable[[Action], object]]:
        client = self._client
        return {
            "pause": lambda action: self._now(client.pause(action.seconds)),
            "pause_until_tomorrow": lambda _: self._pause_until_tomorrow(),
            "resume": lambda _: self._now(client.resume()),
            "open": lambda action: opening.open_path(action.path),
            "page": lambda _: opening.page(),
            "retry": lambda _: client.retry_several("failed"),
            "settings": lambda _: opening.open_path(self._state.configuration or os.fspath(paths.config_file())),
            "start": lambda _: self._start(),
            "stop": lambda _: client.stop(),
        }

    def _now(self, status: Mapping[str, Any]) -> None:
        """Show what the daemon answered before it tells it as an event."""
        self._become(lambda state: with_status(state, status))

    def _pause_until_tomorrow(self) -> None:
        self._now(self._client.pause(seconds_until_tomorrow(datetime.now().astimezone())))

    def _start(self) -> None:
        """Start the daemon, and follow it as soon as it answers."""
        opening.have_daemon(self._client)
        self._come_back.set()
