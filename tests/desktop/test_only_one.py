"""One icon a user, whatever became of the process that had it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from alphadrop.desktop.only_one import Lock
from alphadrop.errors import TrayRuns

HOLD = "import sys, time; from pathlib import Path; from alphadrop.desktop.only_one import Lock; "


def test_whoever_comes_second_is_told(tmp_path: Path) -> None:
    first = Lock(tmp_path / "run" / "tray.lock")
    with pytest.raises(TrayRuns, match="already"):
        Lock(tmp_path / "run" / "tray.lock")
    first.close()
    Lock(tmp_path / "run" / "tray.lock").close()


@pytest.mark.skipif(os.name == "nt", reason="nothing is killed like this there")
def test_one_that_was_killed_holds_nothing(tmp_path: Path) -> None:
    program = f"{HOLD} lock = Lock(Path(sys.argv[1])); print('held', flush=True); time.sleep(600)"
    holder = subprocess.Popen([sys.executable, "-c", program, tmp_path / "l"], stdout=subprocess.PIPE, text=True)
    assert holder.stdout is not None
    with holder.stdout:
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(TrayRuns):
            Lock(tmp_path / "l")
        holder.send_signal(signal.SIGKILL)
        holder.wait()
    Lock(tmp_path / "l").close()
