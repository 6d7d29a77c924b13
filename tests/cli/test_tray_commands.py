"""tray where there is no panel, and what doctor says of it; in panels it is tested in tests/desktop."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from daemon_process import PATIENCE, Home

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="other systems always have a panel")


@pytest.fixture
def home(tmp_path: Path) -> Home:
    home = Home(tmp_path)
    home.configure()
    return home


@pytest.mark.parametrize("backend", [[], ["--backend", "xorg"], ["--backend", "gtk"], ["--backend", "appindicator"]])
@pytest.mark.parametrize("display", ["", ":no such display"])
def test_without_a_panel_it_says_so_and_what_to_do(home: Home, backend: list[str], display: str) -> None:
    environment = {key: value for key, value in home.environment.items() if key not in {"WAYLAND_DISPLAY"}}
    told = subprocess.run(
        [sys.executable, "-m", "alphadrop", "tray", *backend],
        env={**environment, "DISPLAY": display},
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert told.returncode == 1
    message, hint = told.stderr.splitlines()[:2]
    assert message.startswith("alphadrop: no icon")
    assert hint.strip()
    assert "Traceback" not in told.stderr


def test_doctor_says_which_way_is_used_and_what_would_be_better(home: Home) -> None:
    findings = {each["what"]: each for each in json.loads(home.alphadrop("doctor", "--json").stdout)}
    assert findings["tray"]["verdict"] == "note"
    assert findings["tray"]["told"].startswith("no icon")
    assert findings["tray"]["remedy"]
    assert findings["notifications"]["verdict"] == "ok"
