"""Memory that is no longer needed goes back to the system, also where the C library would keep it for later."""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Callable

__all__ = ["return_big_blocks", "return_what_is_free"]

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD, _M_ARENA_MAX = -1, -3, -8
"""Of mallopt(3)."""
_BIG_BLOCK = 4_000_000
"""Bytes: less than a photograph has, more than a strip of one."""
_KEPT = 16_000_000
"""Bytes at the end of an arena that are kept for the next strip: else a third of an encode is page faults."""
_ARENAS = 2
"""Each thread would have one of its own, and keep as much of it."""


def return_big_blocks() -> None:
    """Let glibc give every freed picture back to the system at once, and keep what strips of pictures are made in.

    Left to itself it learns to keep blocks of up to 32 MB for later: with 12-megapixel photographs and several threads
    the resident memory grows by a third in the first minutes. For the whole process, from now on.
    """
    mallopt = _of_glibc("mallopt")
    if mallopt is not None:
        mallopt(_M_MMAP_THRESHOLD, _BIG_BLOCK)
        mallopt(_M_TRIM_THRESHOLD, _KEPT)
        mallopt(_M_ARENA_MAX, _ARENAS)


def return_what_is_free() -> None:
    """Let glibc give all else that is free back, which costs some milliseconds.

    What is freed in the middle of an arena stays there: after a burst some 60 MB.
    """
    trim = _of_glibc("malloc_trim")
    if trim is not None:
        trim(0)


def _of_glibc(name: str) -> Callable[..., int] | None:
    """Return a function of the C library; musl has neither, and needs none."""
    return getattr(ctypes.CDLL(None), name, None) if sys.platform == "linux" else None
