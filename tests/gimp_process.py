"""A real GIMP in a Debian root of its own, with the plug-in installed; it is started anew for each job.

GIMP runs without a network unless asked: all that it reaches of the daemon is its socket, in the one folder that both
see.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from alphadrop import paths
from icc_profiles import grey_profile, wide_profile

__all__ = ["Gimp", "artefact", "gimp_root", "lay_out", "lay_pictures"]

HERE = Path(__file__).with_name("gimp")
BUILD = HERE / "build_root.sh"
PATIENCE = 560.0
"""Seconds for one GIMP, start and end included."""
GIMPRC = """\
(config-version "{version}")
(plug-in-path "/mnt/{plug_ins}:${{gimp_plug_in_dir}}/plug-ins")
(check-updates no)
(show-welcome-dialog no)
(color-profile-policy keep)
(restore-session no)
(save-session-info no)
"""


@dataclass(frozen=True)
class Gimp:
    """A GIMP of one version; it leaves nothing behind outside `shared`."""

    root: Path
    shared: Path
    """The folder that GIMP sees as /mnt."""
    suite: str
    """Of Debian: `trixie` has GIMP 3.0, `forky` 3.2."""

    def install(self, name: str, program: list[str] | None = None) -> None:
        """Make a profile of this name, whose plug-in knows the daemon's program or does not."""
        plugin = self.shared / f"plug-ins-{name}" / "alphadrop" / "alphadrop.py"
        plugin.parent.mkdir(parents=True)
        shutil.copy(paths.gimp_plugin(), plugin)
        if program is not None:
            line = "PROGRAM: list[str] = []\n"
            source = plugin.read_text()
            assert source.count(line) == 1
            plugin.write_text(source.replace(line, f"PROGRAM: list[str] = {json.dumps(program)}\n"))
        folder = self.shared / name
        folder.mkdir()
        (folder / "gimprc").write_text(GIMPRC.format(version=self._version(), plug_ins=plugin.parents[1].name))

    def _version(self) -> str:
        """Return the version as GIMP says it: a profile of another one is greeted with a window."""
        installed = (self.root / "var" / "lib" / "dpkg" / "status").read_text()
        found = re.search(r"^Package: gimp\n(?:.+\n)*?Version: (?:\d+:)?([\d.]+)", installed, re.MULTILINE)
        assert found
        return found[1]

    def run(
        self,
        job: str,
        *,
        screen: bool = False,
        network: bool = False,
        run_folder: str = "/mnt/r",
        profile: str = "profile",
        environment: Mapping[str, str] | None = None,
        **arguments: Any,
    ) -> dict[str, Any]:
        """Do a job of inside_gimp.py; return its answer, with all that GIMP wrote under `log`."""
        answer = self.shared / "answer.json"
        answer.unlink(missing_ok=True)
        (self.shared / "job.json").write_text(json.dumps({"job": job, **arguments}))
        gimp = [
            *("gimp -n -s -c" if screen else "gimp-console -n -i").split(),
            "--batch-interpreter=python-fu-eval",
            *("-b", "exec(open('/mnt/inside_gimp.py').read())"),
            "--quit",
        ]
        variables = {
            "PATH": "/usr/sbin:/usr/bin:/sbin:/bin",
            "LANG": "C.UTF-8",
            "HOME": "/mnt/home",
            "GIMP3_DIRECTORY": f"/mnt/{profile}",
            "XDG_DATA_HOME": "/mnt/elsewhere",
            **({"ALPHADROP_RUN_DIR": run_folder} if run_folder else {}),
            **(environment or {}),
        }
        ended = subprocess.run(
            # Namespaces of its own: mounts, processes and the screen's sockets end with it, however it ends.
            ["unshare", "-mpf", *([] if network else ["-n"]), "--kill-child", "sh", "-euc", _ENTER, "sh", *gimp],
            env={**variables, "ROOT": str(self.root), "SHARED": str(self.shared), "SCREEN": "yes" if screen else ""},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            timeout=PATIENCE,
            check=False,
        )
        assert ended.returncode == 0, ended.stdout
        assert "Traceback" not in ended.stdout, ended.stdout
        return {**json.loads(answer.read_text()), "log": ended.stdout}


_ENTER = """
mount --bind "$ROOT" "$ROOT"
mount -o remount,bind,ro "$ROOT"
mount -t proc proc "$ROOT/proc"
mount -t tmpfs tmpfs "$ROOT/tmp"
mount --bind "$SHARED" "$ROOT/mnt"
if [ -n "$SCREEN" ]; then
    mkfifo "$ROOT/tmp/display"
    chroot "$ROOT" Xvfb -displayfd 3 -screen 0 1280x1024x24 3>"$ROOT/tmp/display" >"$ROOT/tmp/xvfb" 2>&1 &
    read -r number <"$ROOT/tmp/display"
    export DISPLAY=":$number"
fi
inside=$ROOT
unset ROOT SHARED SCREEN
exec chroot "$inside" "$@"
"""


def gimp_root(suite: str) -> Path:
    """Return the folder of a Debian with GIMP, kept outside the checkout; nothing is written to it.

    Where there is none the test is skipped, but not in CI: there it is built, or the test fails.
    """
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    root = cache / "alphadrop" / f"gimp-{suite}"
    if os.environ.get("ALPHADROP_GIMP") == "1" or os.environ.get("CI") == "true":
        built = subprocess.run([BUILD, suite], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
        if built.returncode != 0:
            pytest.fail(f"{BUILD.name} ended with {built.returncode}:\n{built.stdout}", pytrace=False)
    elif not root.is_dir():
        pytest.skip(f"no GIMP to test in: build it with tests/gimp/{BUILD.name} {suite}, as root with mmdebstrap")
    if os.geteuid() != 0:
        pytest.skip("GIMP's root can be entered by root only")
    return root


def lay_out(shared: Path) -> None:
    """Make of a folder one that GIMP can be given its jobs in."""
    for script in ("inside_gimp.py", "photograph_screen.py"):
        shutil.copy(HERE / script, shared)
    (shared / "home").mkdir()


def lay_pictures(shared: Path, photographs: Mapping[str, Path]) -> None:
    """Put into GIMP's folder the pictures and profiles of the tests."""
    (shared / "wide.icc").write_bytes(wide_profile())
    (shared / "grey.icc").write_bytes(grey_profile(1.4))
    astronaut, coffee = (Image.open(photographs[name]).convert("RGB") for name in ("astronaut", "coffee"))
    across = np.tile(np.linspace(255, 40, astronaut.width).astype(np.uint8), (astronaut.height, 1))
    transparent = astronaut.copy()
    transparent.putalpha(Image.fromarray(across))
    pictures = {
        "astronaut": astronaut,
        "coffee": coffee,
        "grey": astronaut.convert("L"),
        "small-grey": astronaut.convert("L").resize((200, 200)),
        "transparent": transparent,
        "nothing": Image.new("RGB", (300, 200), (120, 130, 140)),
        "small": astronaut.resize((200, 200)),
        "large": astronaut.resize((2000, 1500)),
    }
    for name, picture in pictures.items():
        picture.save(shared / f"{name}.png")


def artefact(gimp: Gimp, picture: str, name: str) -> None:
    """Keep a picture of the screen for people to look at."""
    folder = Path(os.environ.get("ALPHADROP_ARTEFACTS") or Path(__file__).parents[1] / "build" / "artefacts")
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copy(gimp.shared / f"{picture}.png", folder / f"gimp-{gimp.suite}-{name}.png")
