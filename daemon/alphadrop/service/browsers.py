"""The browsers that are let in: codes that are good once and for a minute, and the keys that they are exchanged for.

A code travels in a file that only the user can read, and gets the browser that opens it a key of its own. Of a key its
hash is kept, so that it outlasts a restart and can be revoked by its name.
"""

from __future__ import annotations

import hashlib
import json
import logging
import secrets
import threading
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

from alphadrop import atomic
from alphadrop.config import make_key
from alphadrop.errors import CodeRefused, NoSuchKey, printable

__all__ = ["CODE_SECONDS", "BrowserKey", "Browsers"]

_log = logging.getLogger(__name__)
CODE_SECONDS = 60.0
"""How long a code is good."""
_CODES = 20
"""That are good at once; the oldest is forgotten for another."""
_KEYS = 100
"""As many browsers; the one let in first is forgotten for another."""
_FAMILIES = {"Edg": "edge", "OPR": "opera", "Firefox": "firefox", "Chrom": "chrome", "Safari": "safari"}
"""What browsers call themselves, in this order: most name others, too."""


@dataclass(frozen=True, slots=True)
class BrowserKey:
    """A browser that was let in. The key itself is kept nowhere."""

    name: str
    sha256: str
    """Of the key, 64 hexadecimal digits in lower case."""
    made_at: float
    """Seconds since the epoch."""


class Browsers:
    """Who has a key for the web page; used by several threads."""

    def __init__(
        self, file: Path, *, clock: Callable[[], float] = time.monotonic, now: Callable[[], float] = time.time
    ) -> None:
        """Know the browsers that a file names.

        Args:
            file: where they are kept; there may be none yet.
            clock: by which codes grow old, seconds.
            now: wall clock, seconds since the epoch.
        """
        self._file = file
        self._clock = clock
        self._now = now
        self._codes: dict[str, float] = {}
        self._changing = threading.Lock()
        self._keys = _read(file)

    @property
    def keys(self) -> tuple[BrowserKey, ...]:
        """Those that are let in, the first one first."""
        return self._keys

    def is_known(self, sha256: str) -> bool:
        """Return whether this is the hash of a key."""
        return any(key.sha256 == sha256 for key in self._keys)

    def make_code(self) -> str:
        """Return a code that is good once, and soon no more."""
        code = secrets.token_urlsafe(32)
        with self._changing:
            while len(self._codes) >= _CODES:
                del self._codes[next(iter(self._codes))]
            self._codes[_hash(code)] = self._clock() + CODE_SECONDS
        return code

    def exchange(self, code: str, agent: str) -> tuple[str, BrowserKey]:
        """Return a new key for a code, which is used up by this.

        Args:
            code: as it was made.
            agent: what the browser calls itself (User-Agent).

        Raises:
            CodeRefused: it is used up, too old, or none.
            DiskFull, CannotWrite: the key cannot be kept.
        """
        with self._changing:
            if self._clock() > self._codes.pop(_hash(code), float("-inf")):
                raise CodeRefused("this code is used up or too old", "open the page anew with: alphadrop web")
            key, row = make_key(_free_name(_family(agent), {each.name for each in self._keys}))
            kept = BrowserKey(row.name, row.sha256, self._now())
            self._keep((*self._keys, kept)[-_KEYS:])
        return key, kept

    def revoke(self, name: str) -> None:
        """Let a browser in no more.

        Raises:
            NoSuchKey: none has a key of this name.
            DiskFull, CannotWrite: that cannot be written down; it counts until the daemon ends.
        """
        with self._changing:
            left = tuple(key for key in self._keys if key.name != name)
            if left == self._keys:
                raise NoSuchKey(
                    f"{printable(name)}: no browser has a key of this name", "see them: alphadrop web --keys"
                )
            self._keys = left
            self._keep(left)

    def _keep(self, keys: tuple[BrowserKey, ...]) -> None:
        atomic.write_text(self._file, json.dumps({"keys": [asdict(key) for key in keys]}, indent=1) + "\n", mode=0o600)
        self._keys = keys


def _read(file: Path) -> tuple[BrowserKey, ...]:
    try:
        return tuple(BrowserKey(**row) for row in json.loads(file.read_bytes())["keys"])
    except FileNotFoundError:
        return ()
    except (OSError, ValueError, TypeError, KeyError) as error:
        _log.warning("%s: cannot be used (%s); browsers are let in anew: alphadrop web", printable(file), error)
        return ()


def _hash(code: str) -> str:
    return hashlib.sha256(code.encode("utf-8", "replace")).hexdigest()


def _family(agent: str) -> str:
    return next((name for sign, name in _FAMILIES.items() if sign in agent), "browser")


def _free_name(name: str, taken: set[str]) -> str:
    number = 1
    while (numbered := name if number == 1 else f"{name}-{number}") in taken:
        number += 1
    return numbered
