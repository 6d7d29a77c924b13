"""What is freed in the middle of what is kept goes back to the system, too."""

from __future__ import annotations

import subprocess
import sys

import pytest

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
