"""Has this file stopped changing? A pure judgement: who looks, and when, comes from outside."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from pathlib import PurePath

__all__ = ["Content", "Settling"]


@dataclass(frozen=True, slots=True)
class Content:
    """What tells one content of a file from another without reading it."""

    size: int
    mtime_ns: int


@dataclass(slots=True)
class Settling:
    """The files that may still be changing, and since when each has not."""

    settle: float
    """Seconds a file must stay as it is."""
    _seen: dict[PurePath, tuple[Content, float]] = field(default_factory=dict)

    def add(self, path: PurePath) -> None:
        """Start to look at a file; what is known of it already is kept."""
        self._seen.setdefault(path, (Content(-1, -1), -math.inf))

    def drop(self, path: PurePath) -> None:
        """Stop looking at a file."""
        self._seen.pop(path, None)

    def look(self, path: PurePath, content: Content, now: float) -> bool:
        """Take one look; return whether the file has been like this for the whole settle time.

        Args:
            path: the file.
            content: what it is like now.
            now: monotonic seconds; never the wall clock, which jumps.
        """
        last, since = self._seen.get(path, (None, now))
        if last != content:
            self._seen[path] = (content, now)
            return self.settle <= 0
        return now - since >= self.settle

    def next_look(self, now: float) -> float | None:
        """Return in how many seconds the first file could have settled; None where there is none."""
        if not self._seen:
            return None
        return max(0.0, min(since for _, since in self._seen.values()) + self.settle - now)

    def due(self, now: float) -> list[PurePath]:
        """Return the files that could have settled, and those not looked at yet."""
        return [path for path, (_, since) in self._seen.items() if now - since >= self.settle]

    def __contains__(self, path: PurePath) -> bool:
        return path in self._seen

    def __len__(self) -> int:
        return len(self._seen)
