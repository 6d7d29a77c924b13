"""rembg 2.0.86 in virtual environments of its own, in the user's cache: what the benchmarks hold Alphadrop against."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "alphadrop"
VERSION = "2.0.86"


def peer_python(*, command_line: bool = False) -> str:
    """Return the Python of an environment that has rembg; make it where there is none.

    The command line has an environment of its own: what it needs besides wants an older Pillow than the library does.
    """
    folder = CACHE / (f"rembg-{VERSION}-cli" if command_line else f"rembg-{VERSION}")
    python = folder / "bin" / "python"
    if not (folder / ".installed").exists():
        shutil.rmtree(folder, ignore_errors=True)
        package = f"rembg[{'cpu,cli' if command_line else 'cpu'}]=={VERSION}"
        subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
        subprocess.run([str(python), "-m", "pip", "install", "--quiet", package], check=True, stdout=sys.stderr)
        (folder / ".installed").touch()
    return str(python)


def peer_variables() -> dict[str, str]:
    """Return the variables that give rembg the network `benchmarks/fetch_networks.py` fetched, and all processors.

    Its ONNX Runtime calls nobody either.
    """
    return {
        "U2NET_HOME": str(CACHE / "networks"),
        "OMP_NUM_THREADS": str(os.cpu_count()),
        "ORT_DISABLE_TELEMETRY": "1",
    }
