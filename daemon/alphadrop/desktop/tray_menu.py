"""What the icon in the panel shows: which picture, which words, and its menu as data.

Pure: made from a state, the words of a language and the time of day.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from datetime import datetime, time, timedelta
from pathlib import Path
from typing import Literal

from alphadrop.desktop.icons import Look
from alphadrop.desktop.texts import Words
from alphadrop.desktop.tray_state import State, Trouble

__all__ = [
    "SEPARATOR",
    "Action",
    "Deed",
    "Item",
    "look_of",
    "menu_of",
    "seconds_until_tomorrow",
    "title_of",
    "told_of",
    "trouble_told",
]

Deed = Literal["pause", "pause_until_tomorrow", "resume", "open", "page", "retry", "settings", "start", "stop", "quit"]

_QUARTER, _HOUR = 15 * 60.0, 60 * 60.0
_MORNING = time(6)
_LONGEST = 48
"""Characters of a name or a remedy; menus are as wide as their widest line."""


@dataclass(frozen=True, slots=True)
class Action:
    """What is done when an item is chosen."""

    deed: Deed
    seconds: float | None = None
    """Of a pause; None for until told otherwise."""
    path: str = ""
    """What is opened."""


@dataclass(frozen=True, slots=True)
class Item:
    """One line of the menu."""

    text: str
    action: Action | None = None
    """None for what is only to be read."""
    items: tuple[Item, ...] = ()
    """A menu of its own."""
    is_default: bool = False
    """Whether a click on the icon does it where the panel has clicks."""

    @property
    def can_be_chosen(self) -> bool:
        """Whether anything happens then."""
        return self.action is not None or bool(self.items)


SEPARATOR = Item("")


def look_of(state: State) -> Look:
    """Return the picture that says how things are; what hinders the work comes before the work."""
    if not state.runs:
        return Look("off")
    if state.troubles:
        return Look("attention")
    if state.is_paused and not state.at_work:
        return Look("paused")
    if state.at_work or state.pictures:
        return Look("working", state.progress)
    return Look("idle")


def title_of(state: State, words: Words, now: datetime) -> str:
    """Return one line on how things are, for who points at the icon."""
    if not state.runs:
        return words.say("not_running")
    return f"Alphadrop: {told_of(state, words, now)}"


def told_of(state: State, words: Words, now: datetime) -> str:
    """Return one line on what is done, and what waits."""
    if state.phase in ("starting", "stopping"):
        return words.say(state.phase)
    names = list(state.at_work.values())
    parts = []
    if len(names) == 1:
        parts.append(words.say("cutting", name=_short(names[0])))
    elif names:
        parts.append(words.say("cutting_several", count=len(names)))
    elif state.pictures:
        parts.append(words.say("cutting_for_others"))
    if state.is_paused:
        parts.append(_paused(state.paused_until, words, now))
    if state.waiting:
        parts.append(words.say("waiting", count=state.waiting))
    return words.join(parts) if parts else words.say("idle")


def menu_of(state: State, words: Words, now: datetime) -> tuple[Item, ...]:
    """Return the menu."""
    last = Item(words.say("quit"), Action("quit"))
    if not state.runs:
        start = Item(words.say("start"), Action("start"), is_default=True)
        told = Item(words.say("not_running"))
        return (start, SEPARATOR, told, *_places(state, words), SEPARATOR, _settings(words), SEPARATOR, last)
    return (
        _resting(state, words),
        _pauses(words),
        SEPARATOR,
        Item(told_of(state, words, now)),
        *_troubles(state, words),
        SEPARATOR,
        *_places(state, words),
        _retry(state, words),
        SEPARATOR,
        Item(words.say("page"), Action("page")),
        _settings(words),
        SEPARATOR,
        Item(words.say("stop"), Action("stop")),
        last,
    )


def seconds_until_tomorrow(now: datetime) -> float:
    """Return how long it is until six in the morning of the next day."""
    morning = datetime.combine(now.date() + timedelta(days=1), _MORNING)
    return (morning.astimezone() - now.astimezone()).total_seconds()


def trouble_told(trouble: Trouble, words: Words) -> str:
    """Return what is wrong as one line."""
    if trouble.kind == "folder":
        return words.say("trouble_folder", name=_short(trouble.name), state=trouble.state)
    return words.say(f"trouble_{trouble.kind}")


def _resting(state: State, words: Words) -> Item:
    deed: Literal["pause", "resume"] = "resume" if state.is_paused else "pause"
    return Item(words.say(deed), Action(deed), is_default=True)


def _pauses(words: Words) -> Item:
    choices = (
        Item(words.say("quarter"), Action("pause", _QUARTER)),
        Item(words.say("hour"), Action("pause", _HOUR)),
        Item(words.say("tomorrow"), Action("pause_until_tomorrow")),
    )
    return Item(words.say("pause_for"), items=choices)


def _troubles(state: State, words: Words) -> tuple[Item, ...]:
    """Return what needs attention, each with its remedy below it."""
    if not state.troubles:
        return ()
    lines = []
    for trouble in state.troubles:
        lines.append(Item(_short(trouble_told(trouble, words))))
        lines += [Item(f"    {_short(trouble.remedy)}")] if trouble.remedy else []
    return (Item(words.say("attention_count", count=len(state.troubles)), items=tuple(lines)),)


def _places(state: State, words: Words) -> tuple[Item, ...]:
    results = [Item(_short(result.name), Action("open", path=result.file)) for result in state.results]
    folders = []
    for folder in state.folders:
        folders.append(Item(words.say("folder_in", path=_near(folder.input)), Action("open", path=folder.input)))
        folders.append(Item(words.say("folder_out", path=_near(folder.output)), Action("open", path=folder.output)))
    return (
        Item(words.say("results"), items=tuple(results or [Item(words.say("no_results"))])),
        *([Item(words.say("folders"), items=tuple(folders))] if folders else []),
    )


def _retry(state: State, words: Words) -> Item:
    if not state.failed:
        return Item(words.say("retry_none"))
    return Item(words.say("retry", count=state.failed), Action("retry"))


def _settings(words: Words) -> Item:
    return Item(words.say("settings"), Action("settings"))


def _paused(until: float | None, words: Words, now: datetime) -> str:
    if until is None:
        return words.say("paused")
    there = datetime.fromtimestamp(until).astimezone()
    shown = there.strftime("%H:%M" if there.date() == now.date() else "%Y-%m-%d %H:%M")
    return words.say("paused_until", when=shown)


def _near(path: str) -> str:
    """Return a path as people read it, from their home folder on."""
    home = os.fspath(Path.home())
    return _short("~" + path[len(home) :] if path.startswith(home + os.sep) else path)


def _short(text: str) -> str:
    """Return a text with its middle left out where it is too long; the end of a name tells most."""
    if len(text) <= _LONGEST:
        return text
    half = (_LONGEST - 1) // 2
    return f"{text[:half]}…{text[-half:]}"
