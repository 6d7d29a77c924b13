"""The soak takes no folder that nobody named."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

SOAK = Path(__file__).with_name("soak.py")


@pytest.mark.parametrize(
    ("photos", "odd", "variable"), [("", "odd", "ALPHADROP_PHOTOS"), ("photos", "", "ALPHADROP_ODD")]
)
def test_a_variable_that_is_not_set_is_named(tmp_path: Path, photos: str, odd: str, variable: str) -> None:
    (tmp_path / "a.jpg").touch()  # which would be taken for a photograph
    command = [sys.executable, str(SOAK), "--minutes", "0", "--photos", photos, "--odd", odd]
    told = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False)
    assert told.returncode == 2
    assert f"set {variable} to one" in told.stderr
