"""Memory that is no longer needed goes back to the system, also where the C library would keep it for later."""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Callable

__all__ = ["return_big_blocks", "return_what_is_free"]

_M_MMAP_THRESHOLD = -3
"""Of mallopt(3)."""
_BIG_BLOCK = 1_000_000


def return_big_blocks() -> None:
    """Let glibc give every freed picture back to the system at once.

    Left to itself it learns to keep blocks of up to 32 MB for later: with 12-megapixel photographs and several threads
    the resident memory grows by a third in the first minutes.
    """
    mallopt = _of_glibc("mallopt")
    if mallopt is not None:
        mallopt(_M_MMAP_THRESHOLD, _BIG_BLOCK)


def return_what_is_free() -> None:
    """Let glibc give all else that is free back, which costs some milliseconds.

    Every thread has an arena of its own, and what is freed in the middle of one stays: after a burst some 65 MB.
    """
    trim = _of_glibc("malloc_trim")
    if trim is not None:
        trim(0)


def _of_glibc(name: str) -> Callable[..., int] | None:
    """Return a function of the C library; musl has neither, and needs none."""
    return getattr(ctypes.CDLL(None), name, None) if sys.platform == "linux" else None
