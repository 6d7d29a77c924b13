"""What became of each photograph of a batch: lines of JSON in the target, which only ever grow until they are tidied.

`TARGET/.alphadrop/manifest/` holds files named by the run and its part, and later lines count more than earlier ones.
A folder has one file a run, that grows and is synced before a photograph counts as done; an object store gets a part
for each block, since its objects are put whole. A run that ends puts one file with one line for each photograph in
place of them all. A kill at any moment leaves lines that are whole, but for the last one perhaps, which is not read.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, fields
from itertools import islice
from typing import Any, Literal, get_args

from alphadrop.scale.stores import OWN, Store

__all__ = ["FOLDER", "Manifest", "Row", "Status", "from_line", "to_line"]

FOLDER = f"{OWN}/manifest"
_SUFFIX = ".jsonl"
_PIECE = 100
"""Lines that are put together before they are written."""
_BLOCK = 200
"""Rows of a part in an object store. Those of one that is never written are found again by the marks of the outputs."""
_LONGEST = 30.0
"""Seconds that a part waits for more rows."""

Status = Literal["working", "done", "no_subject", "failed"]


@dataclass(frozen=True, slots=True)
class Row:
    """What became of one photograph."""

    input: str
    """Its path below the source, with slashes; bytes that are not UTF-8 are surrogates."""
    size: int
    modified: int
    """The time of change it had, nanoseconds since the epoch."""
    settings: str
    """The fingerprint of the model asked for and of all options."""
    status: Status
    """`working` is written before, and counts only where a run ended without notice."""
    output: str | None = None
    """Its path below the target, where one was written."""
    bytes: int = 0
    """Of the output."""
    code: str = ""
    """Of the error; stable."""
    reason: str = ""
    passing: bool = False
    """Whether the reason may pass: the next run tries again by itself."""
    warnings: tuple[str, ...] = ()
    pixels: int = 0
    """Of the photograph; 0 where that is not known."""
    model: str = ""
    """The network that found the subject."""
    seconds: float = 0.0
    """Of work, waits left out."""
    started: float = 0.0
    """Seconds since the epoch, by the clock of the machine that did it."""
    finished: float = 0.0
    host: str = ""


_FIELDS = {field.name for field in fields(Row)}
_TYPES: dict[str, type | tuple[type, ...]] = {
    "input": str, "size": int, "modified": int, "settings": str, "output": (str, type(None)), "bytes": int,
    "code": str, "pixels": int, "passing": bool,
}  # fmt: skip


def to_line(row: Row) -> str:
    """Return a row as a line of JSON, with its end; what is empty is left out."""
    told = {name: value for name, value in asdict(row).items() if value or name in ("size", "modified")}
    return json.dumps(told, separators=(",", ":")) + "\n"


def from_line(line: str | bytes) -> Row | None:
    """Return the row of a line, without fields that are not known; None where it is cut off, damaged or no row."""
    try:
        told: dict[str, Any] = {name: value for name, value in json.loads(line).items() if name in _FIELDS}
        told["warnings"] = tuple(told.get("warnings", ()))
        row = Row(**told)
    except (ValueError, TypeError, AttributeError):
        return None
    is_right = all(isinstance(getattr(row, name), kind) for name, kind in _TYPES.items())
    return row if is_right and row.status in get_args(Status) else None


class Manifest:
    """The manifest of one target, for one run."""

    def __init__(self, store: Store, clock: Callable[[], float] = time.monotonic) -> None:
        """Look what is there; nothing is written before the first row.

        Args:
            store: the target.
            clock: monotonic seconds.

        Raises:
            CannotRead, StoreRefused: the target says no.
        """
        self._store = store
        self._old = [name for name in store.names(FOLDER) if name.endswith(_SUFFIX)]
        self._run = 1 + max((_run_of(name) for name in self._old), default=0)
        self._new: list[str] = []
        self._block: list[Row] = []
        self._clock = clock
        self._due = clock() + _LONGEST
        self.damaged = 0
        """Lines that were not understood."""

    @property
    def is_tidy(self) -> bool:
        """Whether it is one file of whole lines, to which nothing was added."""
        return not (self._new or self._block or self.damaged or len(self._old) > 1)

    def rows(self) -> Iterator[Row]:
        """Yield what earlier runs wrote, in that order: of rows of one photograph the last one counts."""
        for name in self._old:
            with self._store.peek(f"{FOLDER}/{name}") as stream:
                for line in stream:
                    row = from_line(line)
                    if row is not None:
                        yield row
                    elif line.strip():
                        self.damaged += 1

    def begin(self, row: Row) -> None:
        """Say that a photograph is being worked on, where that costs little: should this process end by it, one knows.

        Raises:
            DiskFull, CannotWrite: the target says no.
        """
        if self._store.appends:
            self._store.append(self._growing(), to_line(row).encode("ascii"), sync=False)

    def add(self, rows: Sequence[Row]) -> None:
        """Record rows: in a folder at once, in an object store when a block is full or has waited for long.

        Raises:
            DiskFull, CannotWrite, StoreRefused: the target says no.
        """
        if self._store.appends and rows:
            self._store.append(self._growing(), _lines(rows), sync=True)
            return
        self._block += rows
        now = self._clock()
        if len(self._block) >= _BLOCK or (self._block and now >= self._due):
            self._store.put(self._next(), [_lines(self._block)], replace=False)
            self._block, self._due = [], now + _LONGEST

    def compact(self, rows: Iterable[Row]) -> None:
        """Put one file in the place of all there is.

        Args:
            rows: one for each photograph, in the order of names, those added last too.

        Raises:
            DiskFull, CannotWrite, StoreRefused: the target says no; what was there stays.
        """
        past = [*(f"{FOLDER}/{name}" for name in self._old), *self._new]
        whole = f"{FOLDER}/{self._run + 1:08}-{0:08}{_SUFFIX}"
        self._store.put(whole, _pieces(rows), replace=True)
        for name in past:
            self._store.remove(name)
        self._old, self._new, self._block, self._run = [whole.rpartition("/")[2]], [], [], self._run + 2

    def _growing(self) -> str:
        return self._new[-1] if self._new else self._next()

    def _next(self) -> str:
        name = f"{FOLDER}/{self._run:08}-{len(self._new) + 1:08}{_SUFFIX}"
        self._new.append(name)
        return name


def _run_of(name: str) -> int:
    number = name.partition("-")[0]
    return int(number) if number.isdecimal() and number.isascii() else 0


def _lines(rows: Iterable[Row]) -> bytes:
    return "".join(map(to_line, rows)).encode("ascii")


def _pieces(rows: Iterable[Row]) -> Iterator[bytes]:
    left = iter(rows)
    while some := list(islice(left, _PIECE)):
        yield _lines(some)
