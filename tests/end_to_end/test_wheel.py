"""What a user installs: the wheel, built from this checkout, in a clean virtual environment, without the checkout."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import venv
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from daemon_process import PATIENCE, Home, wait_for
from fake_segmenter import assert_cut_from

pytestmark = [pytest.mark.long, pytest.mark.timeout(1800)]

CHECKOUT = Path(__file__).parents[2]
_LONG = 1200


@dataclass
class Installed:
    """A virtual environment with the wheel in it, and a home to use it in."""

    environment: Path
    home: Home

    @property
    def variables(self) -> dict[str, str]:
        inherited = {key: value for key, value in self.home.environment.items() if not key.startswith("PYTHON")}
        return {**inherited, "PYTHONWARNINGS": "error"}

    def run(self, program: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        command = [str(self.environment / "bin" / program), *arguments]
        return subprocess.run(
            command, env=self.variables, cwd=self.home.root, capture_output=True, text=True,
            timeout=PATIENCE, check=False,
        )  # fmt: skip

    def folder(self) -> dict[str, Any]:
        told = self.run("alphadrop", "status", "--json")
        return dict(json.loads(told.stdout)["folders"][0]) if told.returncode == 0 else {}


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", str(folder), str(CHECKOUT)]
    built = subprocess.run(command, capture_output=True, text=True, timeout=_LONG, check=False)
    assert built.returncode == 0, built.stderr
    (file,) = folder.glob("alphadrop-*.whl")
    return file


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Installed:
    root = tmp_path_factory.mktemp("i")
    venv.create(root / "venv", with_pip=True)
    constraints = CHECKOUT / "constraints.txt"
    command = [str(root / "venv" / "bin" / "python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    command += ["-c", str(constraints)] if constraints.exists() else []
    done = subprocess.run([*command, str(wheel)], capture_output=True, text=True, timeout=_LONG, check=False)
    assert done.returncode == 0, done.stderr
    home = Home(root / "home")
    home.root.mkdir()
    return Installed(root / "venv", home)


@contextmanager
def begun(installed: Installed) -> Iterator[subprocess.Popen[bytes]]:
    with (installed.home.root / "stderr.txt").open("ab") as log:
        process = subprocess.Popen(
            [str(installed.environment / "bin" / "alphadrop"), "run"],
            env=installed.variables, cwd=installed.home.root, stdout=log, stderr=log,
        )  # fmt: skip
        try:
            yield process
        finally:
            process.kill()
            process.wait()


def test_the_wheel_holds_what_is_needed_and_nothing_else(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
    carried = {name.partition("_resources/")[2] for name in names if "_resources/" in name}
    assert {"models/registry.yaml", "models/u2net-int8.onnx", "config/alphadrop.yaml"} <= carried
    assert {"plugins/gimp/alphadrop/alphadrop.py", "config/desktop/alphadrop.desktop"} <= carried
    assert "alphadrop/py.typed" in names
    assert {f"alphadrop/service/page/{name}" for name in ("index.html", "style.css", "main.js")} <= set(names)
    assert any(re.search(r"dist-info/.*LICENSE", name) for name in names)
    assert {name.partition("/")[0].partition("-")[0] for name in names} == {"alphadrop"}
    assert not [name for name in names if "__pycache__" in name or name.endswith((".part", ".pyc"))]


_FIND = """
import json
from pathlib import Path
import alphadrop
from alphadrop import paths
from alphadrop.engine import models
spec = models.registry()["u2net-int8"]
print(json.dumps({
    "package": str(Path(alphadrop.__file__).parent),
    "resources": str(paths.resources()),
    "model": str(models.locate(spec)),
    "there": [file.is_file() for file in (paths.registry_file(), paths.default_config(), paths.gimp_plugin())],
    "units": len(list(paths.units().iterdir())),
}))
"""


def test_the_installed_package_finds_everything_inside_itself(installed: Installed) -> None:
    told = installed.run("python", "-c", _FIND)
    assert told.returncode == 0, told.stderr
    found = json.loads(told.stdout)
    assert Path(found["package"]).is_relative_to(installed.environment)
    assert found["resources"] == f"{found['package']}/_resources"
    assert Path(found["model"]).is_relative_to(found["package"])
    assert found["there"] == [True, True, True]
    assert found["units"] >= 1


def test_the_doctor_finds_nothing_wrong(installed: Installed) -> None:
    installed.run("alphadrop", "config", "init")
    told = installed.run("alphadrop", "doctor")
    assert told.returncode == 0, told.stdout + told.stderr


def test_photographs_dropped_slowly_and_in_folders_come_out_whole(
    installed: Installed, photographs: dict[str, Path]
) -> None:
    home = installed.home
    with begun(installed) as process:
        wait_for(lambda: "ready in" in (home.root / "stderr.txt").read_text(errors="replace"), "the daemon")
        (home.input / "album").mkdir(exist_ok=True)
        shutil.copy(photographs["cat"], home.input / "album" / "cat.jpg")
        whole = photographs["astronaut"].read_bytes()
        half = len(whole) // 2
        with (home.input / "astronaut.jpg").open("wb") as stream:
            for start in range(0, half, 4096):
                stream.write(whole[start : min(start + 4096, half)])
                stream.flush()
            wait_for(lambda: installed.folder().get("done") == 1, "the other one")
            wait_for(lambda: installed.folder().get("pending") == 1, "a look at the half")
            assert not (home.output / "astronaut.png").exists()
            stream.write(whole[half:])
        wait_for(lambda: installed.folder().get("done") == 2, "both")
        told = installed.run("alphadrop", "status")
        assert told.returncode == 0
        assert f"folder   {home.input}: watching" in told.stdout
        assert "2 done" in told.stdout
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=PATIENCE) == 0
    assert_cut_from(home.output / "astronaut.png", photographs["astronaut"])
    assert_cut_from(home.output / "album" / "cat.png", photographs["cat"])
    assert sorted(os.listdir(home.output)) == ["album", "astronaut.png"]
    assert installed.run("alphadrop", "status").returncode == 4
    log = (home.root / "stderr.txt").read_text(errors="replace")
    assert "Traceback" not in log
    assert "Warning" not in log


def test_the_library_works_from_the_wheel(installed: Installed, photographs: dict[str, Path]) -> None:
    statement = "import sys; from alphadrop import cut_out; cut_out(sys.argv[1]).save(sys.argv[2])"
    target = installed.home.root / "cut.png"
    told = installed.run("python", "-c", statement, str(photographs["cat"]), str(target))
    assert (told.returncode, told.stderr) == (0, "")
    assert_cut_from(target, photographs["cat"])
