"""The GIMP plug-in as it is, in a real GIMP, with a real daemon: masks compared with the library's own mattes.

GIMP runs without a network: all that it reaches of the daemon is its socket, in the one folder that both see.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from alphadrop import paths
from alphadrop.engine.cutout import Engine
from alphadrop.engine.options import CutOptions, Edges
from alphadrop.engine.photo import from_image
from daemon_process import Home, running

pytestmark = [pytest.mark.long, pytest.mark.timeout(900)]

GIMPRC = """\
(plug-in-path "/mnt/plug-ins:${gimp_plug_in_dir}/plug-ins")
(check-updates no)
(show-welcome-dialog no)
(color-profile-policy keep)
(restore-session no)
(save-session-info no)
"""
CUT = (
    "rgb",
    "grey",
    "grey_transparent",
    "indexed",
    "transparent",
    "linear_16_bit",
    "offset",
    "selection",
    "group",
    "two_layers",
)
MULTIPLIED = ("masked", "mask_selected")
LEFT_ALONE = ("nothing", "channel")
BUILD = Path(__file__).with_name("build_root.sh")
PATIENCE = 240.0
"""Seconds for one GIMP, start and end included."""


@dataclass(frozen=True)
class Gimp:
    """A GIMP with the plug-in installed, started anew for each job; it leaves nothing behind outside `shared`."""

    root: Path
    shared: Path
    """The folder that GIMP sees as /mnt."""

    def run(self, job: str, *, screen: bool = False, run_folder: str = "/mnt/r", **arguments: Any) -> dict[str, Any]:
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
        environment = {
            "PATH": "/usr/sbin:/usr/bin:/sbin:/bin",
            "LANG": "C.UTF-8",
            "HOME": "/mnt/home",
            "GIMP3_DIRECTORY": "/mnt/profile",
            "XDG_DATA_HOME": "/mnt/elsewhere",
            **({"ALPHADROP_RUN_DIR": run_folder} if run_folder else {}),
        }
        ended = subprocess.run(
            # Namespaces of its own: mounts, processes and the screen's sockets end with it, however it ends.
            ["unshare", "-m", "-p", "-n", "-f", "--kill-child", "sh", "-euc", _ENTER, "sh", *gimp],
            env={**environment, "ROOT": str(self.root), "SHARED": str(self.shared), "SCREEN": "yes" if screen else ""},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            timeout=PATIENCE,
            check=False,
        )
        assert ended.returncode == 0, ended.stdout
        assert "Traceback" not in ended.stdout
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


@pytest.fixture(scope="module")
def gimp_root() -> Path:
    """The folder of a Debian with GIMP, built once and kept outside the checkout; nothing is written to it."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    root = cache / "alphadrop" / "gimp-trixie"
    if os.environ.get("ALPHADROP_GIMP") == "1" or os.environ.get("CI") == "true":
        built = subprocess.run([BUILD], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
        if built.returncode != 0:
            pytest.fail(f"{BUILD.name} ended with {built.returncode}:\n{built.stdout}", pytrace=False)
    elif not root.is_dir():
        pytest.skip("no GIMP to test in: build it with ALPHADROP_GIMP=1, or by hand with tests/gimp/build_root.sh")
    if os.geteuid() != 0:
        pytest.skip("GIMP's root can be entered by root only")
    return root


@pytest.fixture(scope="module")
def gimp(gimp_root: Path, photographs: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gimp]:
    """GIMP, and in its folder the photographs."""
    shared = tmp_path_factory.mktemp("gimp")
    plugin = shared / "plug-ins" / "alphadrop" / "alphadrop.py"
    plugin.parent.mkdir(parents=True)
    shutil.copy(paths.gimp_plugin(), plugin)
    shutil.copy(Path(__file__).with_name("inside_gimp.py"), shared)
    for folder in ("home", "profile"):
        (shared / folder).mkdir()
    (shared / "profile" / "gimprc").write_text(GIMPRC)
    _save_pictures(photographs, shared)
    yield Gimp(gimp_root, shared)
    shutil.rmtree(shared)


def _save_pictures(photographs: dict[str, Path], folder: Path) -> None:
    astronaut, coffee = (Image.open(photographs[name]).convert("RGB") for name in ("astronaut", "coffee"))
    across = np.tile(np.linspace(255, 40, astronaut.width).astype(np.uint8), (astronaut.height, 1))
    transparent = astronaut.copy()
    transparent.putalpha(Image.fromarray(across))
    pictures = {
        "astronaut": astronaut,
        "coffee": coffee,
        "grey": astronaut.convert("L"),
        "transparent": transparent,
        "nothing": Image.new("RGB", (300, 200), (120, 130, 140)),
        "large": astronaut.resize((2000, 1500)),
    }
    for name, picture in pictures.items():
        picture.save(folder / f"{name}.png")


@pytest.fixture(scope="module")
def daemon(gimp: Gimp) -> Iterator[None]:
    """The daemon, with its socket where GIMP sees it, under the folder's own name and under the one in the home."""
    home = Home(gimp.shared)
    home.configure()
    usual = gimp.shared / "home" / ".local" / "share" / "alphadrop"
    usual.mkdir(parents=True)
    os.symlink("/mnt/r", usual / "run")
    with running(home):
        yield


@pytest.fixture(scope="module")
def answers(gimp: Gimp, daemon: None) -> dict[str, Any]:
    """What became of an image of each kind, in one GIMP that finds the daemon without being told where."""
    return gimp.run(
        "kinds", run_folder="", names=[*CUT, *MULTIPLIED, *LEFT_ALONE], edges="refined", mode="NONINTERACTIVE"
    )


def _pixels(gimp: Gimp, kind: str, number: int, state: dict[str, Any]) -> NDArray[np.uint8]:
    """A layer's pixels with the channels that the layer has."""
    width, height = state["size"]
    pixels = np.fromfile(gimp.shared / f"{kind}-{number}.pixels", np.uint8).reshape(height, width, 4)
    colour = pixels[..., :1] if kind.startswith("grey") else pixels[..., :3]
    return np.squeeze(np.concatenate([colour, pixels[..., 3:]], axis=-1) if state["alpha"] else colour)


def _mask(gimp: Gimp, kind: str, number: int, state: dict[str, Any]) -> NDArray[np.float64]:
    width, height = state["size"]
    return np.fromfile(gimp.shared / f"{kind}-{number}.mask", np.uint8).reshape(height, width).astype(np.float64)


def _matte(engine: Engine, pixels: NDArray[np.uint8], edges: Edges = "refined") -> NDArray[np.uint8]:
    cut = engine.cut_photo(from_image(Image.fromarray(pixels)), CutOptions(edges=edges))
    assert cut.subject
    return cut.matte


def _without_mask(states: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{**state, "mask": None} for state in states]


@pytest.mark.parametrize("kind", CUT)
def test_mask_is_the_matte_of_the_same_pixels(kind: str, gimp: Gimp, answers: dict[str, Any], engine: Engine) -> None:
    answer = answers[kind]
    assert (answer["status"], answer["message"]) == ("success", "")
    for number, state in enumerate(answer["after"]):
        expected = _matte(engine, _pixels(gimp, kind, number, state))
        assert 0.02 < expected.mean() / 255 < 0.98
        assert np.abs(_mask(gimp, kind, number, state) - expected).mean() < 1


@pytest.mark.parametrize("kind", [*CUT, *MULTIPLIED])
def test_nothing_but_the_mask_is_changed(kind: str, answers: dict[str, Any]) -> None:
    answer = answers[kind]
    assert answer["before"] != answer["after"]
    assert _without_mask(answer["before"]) == _without_mask(answer["after"])


@pytest.mark.parametrize(("kind", "picture"), [("rgb", "astronaut"), ("offset", "astronaut"), ("grey", "grey")])
def test_pixels_reach_the_daemon_as_they_are_in_the_file(
    kind: str, picture: str, gimp: Gimp, answers: dict[str, Any]
) -> None:
    with Image.open(gimp.shared / f"{picture}.png") as opened:
        assert np.array_equal(_pixels(gimp, kind, 0, answers[kind]["after"][0]), np.asarray(opened))


@pytest.mark.parametrize("kind", MULTIPLIED)
def test_a_mask_that_was_there_is_multiplied(kind: str, gimp: Gimp, answers: dict[str, Any], engine: Engine) -> None:
    (state,) = answers[kind]["after"]
    width = state["size"][0]
    ramp = np.array([255 * x // (width - 1) for x in range(width)])
    expected = _matte(engine, _pixels(gimp, kind, 0, state)) * ramp / 255
    assert np.abs(_mask(gimp, kind, 0, state) - expected).mean() < 1


def test_a_layer_without_a_subject_is_left_alone_and_that_is_said(answers: dict[str, Any]) -> None:
    answer = answers["nothing"]
    assert answer["status"] == "success"
    assert answer["before"] == answer["after"]
    assert "no subject was found" in answers["log"]


def test_a_channel_is_refused(answers: dict[str, Any]) -> None:
    answer = answers["channel"]
    assert answer["status"] == "execution-error"
    assert answer["message"] == "“red” is not a layer.\nSelect one or more layers."
    assert answer["before"] == answer["after"]


def test_plain_edges_are_another_matte(gimp: Gimp, daemon: None, engine: Engine) -> None:
    answer = gimp.run("kinds", names=["rgb"], edges="plain", mode="NONINTERACTIVE")["rgb"]
    (state,) = answer["after"]
    mask, pixels = _mask(gimp, "rgb", 0, state), _pixels(gimp, "rgb", 0, state)
    assert np.abs(mask - _matte(engine, pixels, "plain")).mean() < 1
    assert np.abs(mask - _matte(engine, pixels, "refined")).mean() > 1


def test_last_values_need_no_dialog(gimp: Gimp, daemon: None) -> None:
    answer = gimp.run("kinds", names=["rgb"], edges="refined", mode="WITH_LAST_VALS")["rgb"]
    assert answer["status"] == "success"
    assert answer["after"][0]["mask"]


@pytest.mark.parametrize("kind", ["rgb", "masked", "group"])
def test_one_undo_restores_the_image(kind: str, gimp: Gimp, daemon: None) -> None:
    answer = gimp.run("undo", screen=True, kind=kind)
    before, cut, undone, redone = answer["states"]
    assert cut["mask"]
    assert cut != before
    assert undone == before
    assert redone == cut


@pytest.mark.parametrize(("key", "status"), [("Return", "success"), ("Escape", "cancel")])
def test_dialog(key: str, status: str, gimp: Gimp, daemon: None) -> None:
    answer = gimp.run("dialog", screen=True, key=key)
    assert answer["status"] == status
    assert bool(answer["after"]["mask"]) == (status == "success")


def test_without_a_daemon_it_says_how_to_start_one(gimp: Gimp) -> None:
    answer = gimp.run("kinds", run_folder="/mnt/nowhere", names=["rgb"], edges="refined", mode="NONINTERACTIVE")["rgb"]
    assert answer["status"] == "execution-error"
    assert answer["message"] == "Alphadrop is not running.\nStart it in a terminal with: alphadrop run"
    assert answer["before"] == answer["after"]


def test_what_the_daemon_refuses_is_said_in_its_own_words(gimp: Gimp) -> None:
    home = Home(gimp.shared / "s")
    home.configure(top="limits: {pixels: 1}")
    with running(home):
        answer = gimp.run("kinds", run_folder="/mnt/s/r", names=["large"], edges="refined", mode="NONINTERACTIVE")[
            "large"
        ]
    assert answer["status"] == "execution-error"
    assert answer["message"].splitlines()[0] == "2000 x 1500 pixels are more than the limit of 1 megapixels"
    assert answer["before"] == answer["after"]


def test_a_daemon_of_another_version_is_named(gimp: Gimp) -> None:
    folder = gimp.shared / "v"
    folder.mkdir()
    (folder / "endpoint.json").write_text('{"api": 2}')
    answer = gimp.run("kinds", run_folder="/mnt/v", names=["rgb"], edges="refined", mode="NONINTERACTIVE")["rgb"]
    assert answer["status"] == "execution-error"
    assert answer["message"].startswith("The daemon speaks version 2 of the API, this plug-in version 1.")
