"""Decides what is worth a notification: the first result of a batch, its end, and what needs attention.

Pure: it is told what happens and what time it is. A batch is what is cut out between two times without anything to do;
photographs that come one by one become one batch rather than a notification each.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from alphadrop.desktop.texts import Words
from alphadrop.desktop.tray_menu import trouble_told
from alphadrop.desktop.tray_state import State, Trouble

__all__ = ["Announcer", "Notice"]

_GAP = 30.0
"""Seconds between the notifications of one batch and of the next."""
_REST = 5.0
"""Seconds without anything to do after which a batch is over."""
_LASTS = 10.0
"""Seconds after which trouble is not held to pass by itself; servers come late after a login."""
_COUNTED = 1.0
"""Seconds after which the daemon has said how many more there are; it counts twice a second."""
_AGAIN = 3600.0
"""Seconds until the same trouble is told again."""
_REMEMBERED = 5000
"""Photographs whose end is known, so that what becomes of the original later is not taken for another."""


@dataclass(frozen=True, slots=True)
class Notice:
    """One notification."""

    title: str
    text: str = ""
    picture: int | None = None
    """The job whose thumbnail is shown."""
    path: str = ""
    """What a click opens."""
    is_urgent: bool = False


@dataclass(slots=True)
class _Batch:
    cut: int = 0
    failed: int = 0
    no_subject: int = 0
    first: Mapping[str, Any] | None = None
    """Its first result, where that is told."""
    first_at: float = 0.0
    is_announced: bool = False
    """Whether that was told."""
    last: Mapping[str, Any] | None = None

    @property
    def ended(self) -> int:
        return self.cut + self.failed + self.no_subject


class Announcer:
    """Remembers what was told."""

    def __init__(self, words: Words) -> None:
        """Speak in these words."""
        self._words = words
        self._batch = _Batch()
        self._told_at = float("-inf")
        """When a batch was last spoken of."""
        self._busy_at = float("-inf")
        self._since: dict[Trouble, float] = {}
        """When trouble that is still there was first seen."""
        self._told_of: dict[Trouble, float] = {}
        self._ends: OrderedDict[int, float] = OrderedDict()

    def job(self, job: Mapping[str, Any], now: float) -> None:
        """Take notice of a photograph of a hot folder that changed."""
        if job["state"] in ("pending", "working"):
            self._busy_at = now
        if job["state"] not in ("done", "failed") or not self._ends_now(job):
            return
        batch = self._batch
        self._busy_at = now
        batch.last = job
        if job["state"] == "failed":
            batch.failed += 1
        elif job["outcome"] == "no_subject":
            batch.no_subject += 1
        else:
            batch.cut += 1
            if batch.first is None and now - self._told_at >= _GAP:
                batch.first, batch.first_at = job, now

    def look(self, state: State, now: float) -> tuple[Notice, ...]:
        """Return what is to be said now; to be asked after every event, and when `wait` is over."""
        if not state.runs:
            self._batch, self._since = _Batch(), {}
            return ()
        if state.remaining:
            self._busy_at = now
        notices = (*self._batch_begun(state, now), *self._batch_over(state, now), *self._attention(state, now))
        return notices if state.may_notify else ()

    def wait(self, state: State, now: float) -> float | None:
        """Return the seconds until there may be something to say though nothing happens; None for none."""
        due = [since + _LASTS for trouble, since in self._since.items() if self._is_untold(trouble, now)]
        if self._batch.first is not None and not self._batch.is_announced:
            due.append(self._batch.first_at + _COUNTED)
        if self._batch.ended and not state.remaining:
            due.append(self._over_at())
        return max(0.0, min(due) - now) if due else None

    def _batch_begun(self, state: State, now: float) -> tuple[Notice, ...]:
        batch = self._batch
        if batch.first is None or batch.is_announced or now < batch.first_at + _COUNTED:
            return ()
        batch.is_announced = True
        self._told_at = now
        return (self._first(batch.first, state),)

    def _batch_over(self, state: State, now: float) -> tuple[Notice, ...]:
        batch = self._batch
        if not batch.ended or state.remaining or now < self._over_at():
            return ()
        self._batch = _Batch()
        if batch.is_announced and batch.ended == 1:
            return ()
        self._told_at = now
        return (self._last(batch, state),)

    def _over_at(self) -> float:
        over = self._busy_at + _REST
        return over if self._batch.is_announced else max(over, self._told_at + _GAP)

    def _attention(self, state: State, now: float) -> tuple[Notice, ...]:
        self._since = {trouble: self._since.get(trouble, now) for trouble in state.troubles}
        self._told_of = {trouble: at for trouble, at in self._told_of.items() if now - at < _AGAIN}
        lasting = [
            trouble for trouble, since in self._since.items() if now - since >= _LASTS and self._is_untold(trouble, now)
        ]
        if not lasting:
            return ()
        self._told_of |= dict.fromkeys(lasting, now)
        lines = [line for each in lasting for line in (trouble_told(each, self._words), each.remedy) if line]
        is_configuration = any(trouble.kind == "configuration" for trouble in lasting)
        path = state.configuration if is_configuration else ""
        return (Notice(self._words.say("attention"), "\n".join(lines), path=path, is_urgent=True),)

    def _is_untold(self, trouble: Trouble, now: float) -> bool:
        return now - self._told_of.get(trouble, float("-inf")) >= _AGAIN

    def _first(self, job: Mapping[str, Any], state: State) -> Notice:
        more = self._words.say("more_to_come", count=state.remaining) if state.remaining else ""
        title = self._words.say("first", name=_name(job))
        return Notice(title, more, job["id"], job["outputs"][0] if job["outputs"] else "")

    def _last(self, batch: _Batch, state: State) -> Notice:
        say, last = self._words.say, batch.last
        if batch.ended == 1 and last is not None and not batch.cut:
            if batch.failed:
                return Notice(say("one_failed", name=_name(last)), last["reason"], path=last["folder"])
            return Notice(say("one_no_subject", name=_name(last)), path=last["folder"])
        if batch.ended == 1 and last is not None:
            return self._first(last, state)
        parts = [say("batch_done", cut=batch.cut)]
        parts += [say("batch_failed", failed=batch.failed)] if batch.failed else []
        parts += [say("batch_no_subject", no_subject=batch.no_subject)] if batch.no_subject else []
        output = next((folder.output for folder in state.folders if last and folder.input == last["folder"]), "")
        return Notice(self._words.join(parts), path=output)

    def _ends_now(self, job: Mapping[str, Any]) -> bool:
        """Return whether this end of a photograph was not told yet."""
        if self._ends.get(job["id"]) == job["finished_at"]:
            return False
        self._ends[job["id"]] = job["finished_at"]
        self._ends.move_to_end(job["id"])
        if len(self._ends) > _REMEMBERED:
            self._ends.popitem(last=False)
        return True


def _name(job: Mapping[str, Any]) -> str:
    return str(job["path"]).rpartition("/")[2]
