"""A real daemon in a process of its own, with a home, folders and a socket of its own."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from alphadrop.client import Client, endpoint_file
from alphadrop.errors import DaemonError

T = TypeVar("T")
PATIENCE = 240.0
"""Seconds after which a condition is held never to come true."""


def wait_for(condition: Callable[[], T], what: str, patience: float = PATIENCE) -> T:
    """Return the first true value of a condition; fail the test where there is none in time."""
    deadline = time.monotonic() + patience
    while time.monotonic() < deadline:
        value = condition()
        if value:
            return value
        time.sleep(0.02)
    raise AssertionError(f"waited {patience:.0f} s in vain for {what}")


@dataclass(frozen=True)
class Home:
    """A user's home of a test's own."""

    root: Path

    @property
    def input(self) -> Path:
        return self.root / "Pictures" / "Alphadrop" / "In"

    @property
    def output(self) -> Path:
        return self.root / "Pictures" / "Alphadrop" / "Out"

    @property
    def run(self) -> Path:
        return self.root / "r"

    @property
    def environment(self) -> dict[str, str]:
        """The variables of a process that lives in this home."""
        inherited = {
            key: value
            for key, value in os.environ.items()
            if not key.startswith(("XDG_", "ALPHADROP_")) and key not in {"HOME", "DISPLAY"}
        }
        return {
            **inherited,
            "HOME": str(self.root),
            "ALPHADROP_RUN_DIR": str(self.run),
            "ALPHADROP_DATA_DIR": str(self.root / "data"),
            "ALPHADROP_CONFIG": str(self.root / "alphadrop.yaml"),
            "XDG_PICTURES_DIR": str(self.root / "Pictures"),
        }

    def configure(self, folder: str = "", top: str = "") -> None:
        """Write a configuration for the two folders, made where they are missing, with further lines of YAML.

        Unless they say otherwise work is never quiet: other tests keep the processors busy.
        """
        self.input.mkdir(parents=True, exist_ok=True)
        self.output.mkdir(parents=True, exist_ok=True)
        lines = [f"- input: {self.input}", f"  output: {self.output}"]
        lines += [f"  {line}" for line in folder.splitlines()]
        lines += [] if "quiet:" in top else ["quiet: never"]
        (self.root / "new.yaml").write_text("\n".join([top, "folders:", *lines, ""]))
        (self.root / "new.yaml").replace(self.root / "alphadrop.yaml")

    def drop(self, photograph: Path, name: str) -> None:
        """Put a photograph into the input folder in one step: of a copy, the daemon may see the half."""
        shutil.copy(photograph, self.root / name)
        (self.root / name).rename(self.input / name)

    def alphadrop(self, *arguments: str | Path, timeout: float = PATIENCE) -> subprocess.CompletedProcess[str]:
        """Run a command to its end."""
        command = [sys.executable, "-m", "alphadrop", *map(str, arguments)]
        return subprocess.run(
            command, env=self.environment, capture_output=True, text=True, timeout=timeout, check=False
        )


def state_of(home: Home) -> str:
    """Return what the daemon of a home says that it is; nothing where none answers."""
    try:
        return str(Client(home.run).status()["state"])
    except DaemonError:
        return ""


@contextmanager
def running(home: Home) -> Iterator[subprocess.Popen[bytes]]:
    """Run a daemon until the block ends; it is ready when the block begins, and ended by its id."""
    log = (home.root / "stderr.txt").open("ab")
    process = subprocess.Popen(
        [sys.executable, "-m", "alphadrop", "run"], env=home.environment, stdout=log, stderr=log, cwd=home.root
    )
    try:

        def ready() -> bool:
            assert process.poll() is None, (home.root / "stderr.txt").read_text(errors="replace")
            return state_of(home) == "ready" and endpoint_file(home.run).exists()

        wait_for(ready, "the daemon to be ready")
        yield process
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(timeout=30)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        log.close()
