"""Memory comes in large pages, and what is no longer needed goes back, also where the C library would keep it."""

from __future__ import annotations

import ctypes
import mmap
import sys
from collections.abc import Callable

__all__ = ["prefer_large_pages", "return_big_blocks", "return_what_is_free"]

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD, _M_ARENA_MAX = -1, -3, -8
"""Of mallopt(3)."""
_BIG_BLOCK = 4_000_000
"""Bytes: less than a photograph has, more than a strip of one."""
_KEPT = 16_000_000
"""Bytes at the end of an arena that are kept for the next strip: else a third of an encode is page faults."""
_ARENAS = 2
"""Each thread would have one of its own, and keep as much of it."""
_WORTH_LARGE_PAGES = 1 << 22
"""Bytes, two of these pages, as numpy has it for its own arrays."""


def prefer_large_pages(address: int, length: int) -> None:
    """Let memory that nothing was written to yet be had from the system in pages of 2 MB, where it has those.

    The pages of a 12-megapixel photograph are then 24 to be asked for and cleared, not twelve thousand.

    Args:
        address: of its first byte.
        length: in bytes.
    """
    madvise = _of_libc("madvise")
    if sys.platform == "linux" and madvise is not None and length >= _WORTH_LARGE_PAGES:
        skipped = -address % mmap.PAGESIZE
        madvise(ctypes.c_void_p(address + skipped), ctypes.c_size_t(length - skipped), mmap.MADV_HUGEPAGE)


def return_big_blocks() -> None:
    """Let glibc give every freed picture back to the system at once, and keep what strips of pictures are made in.

    Left to itself it learns to keep blocks of up to 32 MB for later: with 12-megapixel photographs and several threads
    the resident memory grows by a third in the first minutes. For the whole process, from now on.
    """
    mallopt = _of_libc("mallopt")
    if mallopt is not None:
        mallopt(_M_MMAP_THRESHOLD, _BIG_BLOCK)
        mallopt(_M_TRIM_THRESHOLD, _KEPT)
        mallopt(_M_ARENA_MAX, _ARENAS)


def return_what_is_free() -> None:
    """Let glibc give all else that is free back, which costs some milliseconds.

    What is freed in the middle of an arena stays there: after a burst some 60 MB.
    """
    trim = _of_libc("malloc_trim")
    if trim is not None:
        trim(0)


def _of_libc(name: str) -> Callable[..., int] | None:
    """Return a function of the C library; musl has neither of `mallopt` and `malloc_trim`, and needs none."""
    return getattr(ctypes.CDLL(None), name, None) if sys.platform == "linux" else None
