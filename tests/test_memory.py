"""Memory comes in large pages, and what is freed in the middle of what is kept goes back to the system, too."""

from __future__ import annotations

import ctypes
import mmap
import subprocess
import sys
from pathlib import Path

import pytest

from alphadrop.memory import prefer_large_pages

PROGRAM = """
import threading
import psutil
from alphadrop.memory import return_what_is_free
kept = []
def work():
    blocks = [bytearray(50_000) for _ in range(2_000)]
    kept.extend(blocks[::50])
thread = threading.Thread(target=work)
thread.start()
thread.join()
process = psutil.Process()
before = process.memory_info().rss
return_what_is_free()
print(before - process.memory_info().rss)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="other C libraries keep nothing that would have to be asked for")
def test_what_is_free_between_what_is_kept_is_given_back() -> None:
    ran = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True, timeout=120)
    assert int(ran.stdout) > 50_000_000


@pytest.mark.skipif(not Path("/sys/kernel/mm/transparent_hugepage").exists(), reason="this system has no large pages")
@pytest.mark.parametrize(("length", "asked"), [(8_000_000, True), (1_000_000, False)])
def test_large_pages_are_asked_for_where_they_are_worth_it(length: int, asked: bool) -> None:
    with mmap.mmap(-1, 16_000_000, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS) as memory:
        held = ctypes.c_char.from_buffer(memory)
        address = ctypes.addressof(held)
        prefer_large_pages(address + 1, length)
        assert ("hg" in _flags_at(address + 500_000)) == asked
        del held


def _flags_at(address: int) -> list[str]:
    """Return what the kernel notes of the memory at an address."""
    inside = False
    for line in Path("/proc/self/smaps").read_text(encoding="utf-8").splitlines():
        first, *rest = line.split()
        if "-" in first and not first.endswith(":"):
            start, end = (int(each, 16) for each in first.split("-"))
            inside = start <= address < end
        elif inside and first == "VmFlags:":
            return rest
    raise AssertionError(f"{address:#x} is in no memory of this process")
