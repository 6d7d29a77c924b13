"""alphadrop batch as it is called: with the real network, on a few small photographs, in folders."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from alphadrop.cli import main
from daemon_process import Home, wait_for
from fake_segmenter import assert_cut_from


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path)


@pytest.fixture
def shoot(tmp_path: Path, photographs: dict[str, Path]) -> Path:
    """A folder of two photographs, one in a sub-folder."""
    folder = tmp_path / "shoot"
    (folder / "more").mkdir(parents=True)
    for name, place in (("cat", "cat.jpg"), ("astronaut", "more/astronaut.jpg")):
        with Image.open(photographs[name]) as picture:
            picture.resize((240, 160)).save(folder / place, quality=95)
    return folder


def rows(target: Path) -> list[dict[str, Any]]:
    files = sorted((target / ".alphadrop" / "manifest").iterdir())
    return [json.loads(line) for file in files for line in file.read_text().splitlines()]


def unchanged(path: Path) -> tuple[int, int, int]:
    """Return what stays the same of a file that is only read."""
    known = path.stat()
    return known.st_ino, known.st_size, known.st_mtime_ns


def statuses(target: Path) -> list[str]:
    return [row["status"] for row in rows(target)]


def test_a_folder_is_cut_out_and_then_there_is_nothing_to_do(home: Home, shoot: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    ran = home.alphadrop("batch", shoot, out)
    assert (ran.returncode, ran.stderr) == (0, "")
    assert "cut out                2           0" in ran.stdout
    assert_cut_from(out / "cat.png", shoot / "cat.jpg")
    assert_cut_from(out / "more" / "astronaut.png", shoot / "more" / "astronaut.jpg")
    before = {path: unchanged(path) for path in out.rglob("*.png")}
    ran = home.alphadrop("batch", shoot, f"file://{out}")
    assert (ran.returncode, ran.stderr) == (0, "")
    assert "cut out                0           2\n" in ran.stdout
    assert "nothing was to do" in ran.stdout
    assert {path: unchanged(path) for path in out.rglob("*.png")} == before
    assert [row["status"] for row in rows(out)] == ["done", "done"]


def test_the_same_photograph_gives_the_same_bytes_wherever_it_is_cut(home: Home, shoot: Path, tmp_path: Path) -> None:
    for name in ("one", "two"):
        assert home.alphadrop("batch", shoot, tmp_path / name, "--edges", "plain").returncode == 0
    one, two = ((tmp_path / name / "cat.png").read_bytes() for name in ("one", "two"))
    assert one == two


def test_options_of_cut_reach_the_picture(home: Home, shoot: Path, tmp_path: Path) -> None:
    ran = home.alphadrop("batch", shoot, tmp_path / "out", "--preset", "shop-square", "--size", "300")
    assert ran.returncode == 0
    with Image.open(tmp_path / "out" / "cat.jpg") as picture:
        assert (picture.format, picture.size, picture.getpixel((1, 1))) == ("JPEG", (300, 300), (255, 255, 255))
    home.alphadrop("batch", shoot, tmp_path / "out", "--mask")
    with Image.open(tmp_path / "out" / "cat.mask.png") as picture:
        assert picture.mode == "L"


def test_failures_are_named_and_the_exit_status_says_so(home: Home, shoot: Path, tmp_path: Path) -> None:
    (shoot / "bad.jpg").write_bytes(b"\xff\xd8\xff nothing")
    Image.new("RGB", (64, 64)).save(shoot / "black.png")
    out = tmp_path / "out"
    ran = home.alphadrop("batch", shoot, out)
    assert ran.returncode == 1
    assert f"{shoot}/bad.jpg: not a picture that is opened here" in ran.stderr
    assert f"{shoot}/black.png: no subject was found, nothing was written" in ran.stderr
    assert f"{out}/.alphadrop/manifest" in ran.stderr
    assert "--retry-failed" in ran.stderr
    assert home.alphadrop("batch", shoot, out).returncode == 1
    (shoot / "bad.jpg").unlink()
    assert home.alphadrop("batch", shoot, out).returncode == 0


def test_a_plan_writes_nothing(home: Home, shoot: Path, tmp_path: Path) -> None:
    ran = home.alphadrop("batch", shoot, tmp_path / "out", "--plan", "--nodes", "10")
    assert (ran.returncode, ran.stderr) == (0, "")
    assert "photographs             2 to do, 0 done before" in ran.stdout
    assert "seconds a megapixel" in ran.stdout
    assert "10 machines like it" in ran.stdout
    assert not (tmp_path / "out").exists()


def test_a_kill_loses_nothing_tears_nothing_and_repeats_nothing(home: Home, shoot: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    for number in range(14):
        os.link(shoot / "cat.jpg", shoot / f"{number:02}.jpg")
    started = begin(home, shoot, out)
    wait_for(lambda: len(list(out.rglob("*.png"))) >= 3, "three cut-outs")
    started.kill()
    started.communicate()
    finished = {path: unchanged(path) for path in out.rglob("*.png")}
    assert len(finished) < 16
    ran = home.alphadrop("batch", shoot, out)
    assert ran.returncode == 0
    assert {path: unchanged(path) for path in finished} == finished
    assert [row["status"] for row in rows(out)] == ["done"] * 16
    assert len(list(out.rglob("*.png"))) == 16
    same = {path.read_bytes().partition(b"IDAT")[2] for path in out.glob("*.png")}
    assert len(same) == 1


def test_an_interrupt_ends_it_cleanly_and_says_how_to_go_on(home: Home, shoot: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    for number in range(14):
        os.link(shoot / "cat.jpg", shoot / f"{number:02}.jpg")
    started = begin(home, shoot, out)
    wait_for(lambda: (out / ".alphadrop" / "manifest").exists() and "done" in statuses(out), "a cut-out")
    started.send_signal(signal.SIGINT)
    _, told = started.communicate(timeout=120)
    assert started.returncode == 130
    assert "of 16 are done and recorded; the same command goes on there" in told
    assert "Traceback" not in told
    assert set(statuses(out)) == {"done"}
    assert home.alphadrop("batch", shoot, out).returncode == 0
    assert len(list(out.rglob("*.png"))) == len(rows(out)) == 16


def begin(home: Home, source: Path, target: Path) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "alphadrop", "batch", str(source), str(target)]
    return subprocess.Popen(
        command,
        env=home.environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        cwd=home.root,
        # A shell lets what it starts in the background ignore interrupts, and so would what that starts.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--nodes", "3"], "--plan"),
        (["--plan", "--nodes", "0"], "--nodes is 1 or more"),
        (["--worker-cpus", "2"], "--ray"),
        (["--workers", "2:4"], "--ray"),
        (["--workers", "0"], "number of workers"),
        (["--workers", "many"], "number of workers"),
        (["--ray", "ray://x:10001"], "runs in it"),
        (["--mask", "--format", "webp"], "a mask is a PNG"),
        (["--background", "wite"], "wite"),
        (["--model", "u2net-int9"], "did you mean u2net-int8?"),
    ],
)
def test_bad_usage_is_told(
    shoot: Path, tmp_path: Path, arguments: list[str], said: str, capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setenv("ALPHADROP_CONFIG", str(tmp_path / "none.yaml"))
    assert main(["batch", str(shoot), str(tmp_path / "out"), *arguments]) == 2
    assert said in capsys.readouterr().err
    assert not list((tmp_path / "out").glob("*.png"))


def test_a_target_around_the_source_is_bad_usage(home: Home, shoot: Path) -> None:
    ran = home.alphadrop("batch", shoot, shoot)
    assert ran.returncode == 2
    assert "the photographs lie in it" in ran.stderr


def test_folders_need_neither_ray_nor_arrow(home: Home, shoot: Path, tmp_path: Path) -> None:
    program = (
        "import sys\nfrom alphadrop.cli import main\nstatus = main(sys.argv[1:])\n"
        "print(sorted({'ray', 'pyarrow', 'pandas', 'fsspec'} & set(sys.modules)), status, file=sys.stderr)\n"
    )
    ran = subprocess.run(
        [sys.executable, "-c", program, "batch", str(shoot), str(tmp_path / "out")],
        env=home.environment,
        capture_output=True,
        text=True,
        timeout=300,
        check=True,
    )
    assert ran.stderr == "[] 0\n"
