"""`alphadrop cut` in a process of its own: where results go, what is said, and the exit status."""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import struct
import subprocess
import sys
import termios
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from alphadrop import cut_out
from daemon_process import Home

Ran = subprocess.CompletedProcess[str]


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path / "home")


@pytest.fixture
def folder(tmp_path: Path, photographs: dict[str, Path]) -> Path:
    """A folder with two photographs, one file that is none, and a picture of nothing."""
    folder = tmp_path / "pictures"
    folder.mkdir()
    for name in ("astronaut", "coffee"):
        shutil.copy(photographs[name], folder)
    (folder / "notes.jpg").write_text("dear diary")
    Image.new("RGB", (300, 200), "white").save(folder / "white.png")
    return folder


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def cut(home: Home, *arguments: str | Path, status: int = 0) -> Ran:
    """Run `alphadrop cut`, expecting an exit status and never a traceback."""
    ran = home.alphadrop("cut", *arguments)
    assert "Traceback" not in ran.stderr
    assert ran.returncode == status, ran.stderr
    return ran


def opened(path: Path) -> Image.Image:
    with Image.open(path) as image:
        image.load()
        return image


def test_result_stands_beside_the_input(home: Home, folder: Path) -> None:
    before = names(folder)
    ran = cut(home, folder / "astronaut.jpg")
    assert names(folder) == sorted([*before, "astronaut.cutout.png"])
    image = opened(folder / "astronaut.cutout.png")
    assert (image.mode, image.size) == ("RGBA", (512, 512))
    assert image.getchannel("A").getextrema() == (0, 255)
    assert ran.stdout.startswith(f"{folder}/astronaut.jpg -> {folder}/astronaut.cutout.png  (")
    assert ran.stderr == ""


def test_one_bad_file_among_good_ones_costs_only_itself(home: Home, folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    inputs = [folder / name for name in ("astronaut.jpg", "notes.jpg", "white.png", "absent.jpg", "coffee.jpg")]
    ran = cut(home, *inputs, "-o", out, status=1)
    assert names(out) == ["astronaut.png", "coffee.png"]
    said = [line for line in ran.stderr.splitlines() if line.startswith("alphadrop: ")]
    assert len(said) == 3
    assert f"{folder}/notes.jpg: not a picture" in said[0]
    assert f"{folder}/white.png: no subject was found, nothing was written" in said[1]
    assert f"{folder}/absent.jpg: cannot be read" in said[2]
    assert len(ran.stdout.splitlines()) == 2


def test_no_subject_is_no_failure(home: Home, folder: Path) -> None:
    before = names(folder)
    ran = cut(home, folder / "white.png")
    assert "no subject was found" in ran.stderr
    assert ran.stdout == ""
    assert names(folder) == before


def test_results_of_the_same_name_do_not_meet(home: Home, folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (folder / "again").mkdir()
    opened(folder / "coffee.jpg").save(folder / "astronaut.png")
    shutil.copy(folder / "astronaut.jpg", folder / "again")
    inputs = [folder / "astronaut.jpg", folder / "astronaut.png", folder / "again" / "astronaut.jpg"]
    cut(home, *inputs, "-o", out)
    assert names(out) == ["astronaut.jpg.png", "astronaut.png", "astronaut.png.png"]
    assert opened(out / "astronaut.png").size == (512, 512)
    assert opened(out / "astronaut.png.png").size == (600, 400)
    assert (out / "astronaut.jpg.png").read_bytes() == (out / "astronaut.png").read_bytes()


def test_masks(home: Home, folder: Path, tmp_path: Path) -> None:
    cut(home, folder / "astronaut.jpg", "--mask")
    beside = opened(folder / "astronaut.mask.png")
    assert (beside.mode, beside.size) == ("L", (512, 512))
    (tmp_path / "out").mkdir()
    cut(home, folder / "astronaut.jpg", "--mask", "-o", tmp_path / "out")
    assert names(tmp_path / "out") == ["astronaut.png"]
    np.testing.assert_array_equal(np.asarray(opened(tmp_path / "out" / "astronaut.png")), np.asarray(beside))


def test_preset_gives_what_a_shop_asks_for(home: Home, folder: Path) -> None:
    ran = cut(home, folder / "coffee.jpg", "--preset", "shop-square")
    image = opened(folder / "coffee.cutout.jpg")
    assert (image.format, image.mode, image.size) == ("JPEG", "RGB", (2000, 2000))
    assert image.getpixel((2, 2)) == (255, 255, 255)
    seen = np.nonzero(np.asarray(image.convert("L")) < 248)  # a twentieth of the subject's colour, which counts as seen
    assert max(np.ptp(seen[0]), np.ptp(seen[1])) + 1 == pytest.approx(1700, abs=12)
    assert "the subject was enlarged" in ran.stderr


def test_options_reach_the_picture(home: Home, folder: Path, tmp_path: Path) -> None:
    target = tmp_path / "out.webp"
    arguments = (
        "--edges plain --background #102030 --crop subject --margin 0.1 --size 300x200 --align left --quality 100"
    )
    cut(home, folder / "astronaut.jpg", "-o", target, *arguments.split())
    image = opened(target)
    assert (image.format, image.mode, image.size) == ("WEBP", "RGB", (300, 200))
    assert image.getpixel((299, 0)) == (16, 32, 48)


def test_edge_controls_reach_the_picture(home: Home, folder: Path, tmp_path: Path) -> None:
    controls = "--smallest-part 0.1 --fill-holes 0.05 --feather 1.5 --hardness 0.5 --shift-edge -4 --decontaminate off"
    cut(home, folder / "astronaut.jpg", "-o", tmp_path / "out.png", *controls.split())
    wanted = cut_out(
        folder / "astronaut.jpg",
        smallest_part=0.1, fill_holes=0.05, feather=1.5, hardness=0.5, shift_edge=-4, decontaminate=False,
    )  # fmt: skip
    np.testing.assert_array_equal(np.asarray(opened(tmp_path / "out.png")), np.asarray(wanted))


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--margin", "0.1"], "crop"),
        (["--feather", "101"], "feather is 0 to 100 pixels, not 101"),
        (["--shift-edge", "0.5"], "--shift-edge"),
        (["--decontaminate", "maybe"], "--decontaminate"),
        (["--format", "jpeg"], "JPEG cannot be transparent"),
        (["--background", "wite"], "wite"),
        (["--size", "big"], "big"),
        (["--edges", "soft"], "--edges"),
        (["-o", "out.gif"], ".gif"),
        (["coffee.jpg", "-o", "one.png"], "is one file"),
    ],
)
def test_bad_usage_is_told_before_anything_is_done(home: Home, folder: Path, arguments: list[str], said: str) -> None:
    before = names(folder)
    ran = cut(home, folder / "astronaut.jpg", *arguments, status=2)
    assert said in ran.stderr
    assert ran.stdout == ""
    assert names(folder) == before


def test_an_output_folder_is_made_when_it_is_missing(home: Home, folder: Path) -> None:
    cut(home, folder / "astronaut.jpg", "-o", folder / "new" / "cutouts")
    assert names(folder / "new" / "cutouts") == ["astronaut.png"]


def test_unknown_model_is_told_with_the_nearest(home: Home, folder: Path) -> None:
    ran = cut(home, folder / "astronaut.jpg", "--model", "u2net-int9", status=2)
    assert "'u2net-int9'" in ran.stderr
    assert "did you mean u2net-int8?" in ran.stderr


def test_output_that_exists_is_replaced_only_when_asked(home: Home, folder: Path) -> None:
    target = folder / "astronaut.cutout.png"
    target.write_bytes(b"theirs")
    ran = cut(home, folder / "astronaut.jpg", status=1)
    assert "astronaut.cutout.png: exists already" in ran.stderr
    assert target.read_bytes() == b"theirs"
    cut(home, folder / "astronaut.jpg", "--overwrite")
    assert opened(target).size == (512, 512)


def test_no_input_is_ever_overwritten_not_even_another_one(home: Home, folder: Path) -> None:
    opened(folder / "coffee.jpg").save(folder / "astronaut.png")
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    ran = cut(home, folder / "astronaut.jpg", folder / "astronaut.png", "-o", folder, "--overwrite", status=1)
    assert "astronaut.png: an input is never overwritten" in ran.stderr
    after = {path.name: path.read_bytes() for path in folder.iterdir()}
    assert {name: after[name] for name in before} == before
    assert sorted(after) == sorted([*before, "astronaut.png.png"])


def test_names_that_are_no_text_are_served_and_printed(home: Home, folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    odd = [os.fsdecode(name) for name in (b"caf\xe9", b"two\nlines", "-größe 猫".encode())]
    for name in odd:
        shutil.copy(folder / "astronaut.jpg", folder / f"{name}.jpg")
    ran = cut(home, "-o", out, "--", *(folder / f"{name}.jpg" for name in odd))
    lines = ran.stdout.splitlines()
    assert len(lines) == 3
    for line, shown in zip(lines, ["caf\\xe9", "two\\nlines", "-größe 猫"], strict=True):
        assert f"{shown}.jpg -> {out}/{shown}.png" in line
    assert names(out) == sorted(f"{name}.png" for name in odd)


def test_odd_arguments_end_in_errors_of_ours(home: Home, folder: Path) -> None:
    longest = folder / ("x" * 251 + ".jpg")
    shutil.copy(folder / "astronaut.jpg", longest)
    ran = cut(home, longest, ".", folder, "..", folder / "astronaut.jpg" / "x", status=1)
    said = [line for line in ran.stderr.splitlines() if line.startswith("alphadrop: ")]
    assert len(said) == 5
    assert "choose a shorter name" in ran.stderr
    assert ran.stderr.count("name a file, not a folder") == 3


def test_pixel_limit_of_the_configuration_holds(home: Home, folder: Path, tmp_path: Path) -> None:
    opened(folder / "astronaut.jpg").resize((1001, 1000)).save(folder / "large.png")
    file = tmp_path / "small.yaml"
    file.write_text("limits: {pixels: 1}\n")
    ran = cut(home, folder / "large.png", "--config", file, status=1)
    assert "large.png: 1001 x 1000 pixels are more than the limit of 1 megapixels" in ran.stderr


def test_several_photographs_show_their_progress_on_a_terminal(home: Home, folder: Path) -> None:
    shown = on_a_terminal(home, "cut", folder / "astronaut.jpg", folder / "coffee.jpg", "-o", folder / "out")
    assert "0/2" in shown
    assert "2/2" in shown
    assert "coffee.png" in shown


def test_one_photograph_needs_no_progress_bar(home: Home, folder: Path) -> None:
    shown = on_a_terminal(home, "cut", folder / "astronaut.jpg", "-o", folder / "out")
    assert "astronaut.png" in shown
    assert "0/1" not in shown


def on_a_terminal(home: Home, *arguments: str | Path) -> str:
    """Run a command to its end on a terminal of 80 columns; return all it showed."""
    ours, theirs = os.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
    command = [sys.executable, "-m", "alphadrop", *map(str, arguments)]
    with subprocess.Popen(command, env=home.environment, stdin=theirs, stdout=theirs, stderr=theirs) as process:
        os.close(theirs)
        shown = b""
        # A terminal whose other side is closed ends with an error on Linux, not with an empty read.
        with os.fdopen(ours, "rb", buffering=0) as screen, contextlib.suppress(OSError):
            while block := screen.read(4096):
                shown += block
        assert process.wait() == 0
    return shown.decode()


def test_two_inputs_with_one_stem_keep_the_ending(home: Home, folder: Path) -> None:
    Image.open(folder / "astronaut.jpg").save(folder / "astronaut.png")
    cut(home, folder / "astronaut.jpg", folder / "astronaut.png", folder / "astronaut.jpg")
    made = [name for name in names(folder) if ".cutout." in name]
    assert made == ["astronaut.cutout.png", "astronaut.png.cutout.png"]


@pytest.mark.parametrize("output", ["v1.2/", "v1.2"])
def test_a_folder_may_have_a_dot_in_its_name(home: Home, folder: Path, output: str) -> None:
    several = [folder / "astronaut.jpg", folder / "coffee.jpg"]
    cut(home, *(several if output == "v1.2" else several[:1]), "-o", f"{folder}/{output}")
    assert "astronaut.png" in names(folder / "v1.2")


@pytest.mark.parametrize(
    "arguments", [["--format", "webp", "-o", "y.png"], ["--mask", "--format", "webp"], ["--mask", "-o", "m.gif"]]
)
def test_contradictions_of_format_and_name_are_refused_before_anything_is_done(
    home: Home, folder: Path, arguments: list[str]
) -> None:
    before = names(folder)
    cut(home, folder / "astronaut.jpg", *arguments, status=2)
    assert names(folder) == before


def test_an_existing_output_is_refused_with_the_way_to_replace_it(home: Home, folder: Path) -> None:
    (folder / "astronaut.cutout.png").touch()
    assert "--overwrite" in cut(home, folder / "astronaut.jpg", status=1).stderr
