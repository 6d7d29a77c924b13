"""Faults of files: no files at all, not to be read, broken, bombs, and the odd ones that photographs come as."""

from __future__ import annotations

import contextlib
import csv
import io
import os
import resource
import shutil
import socket
import stat
import struct
import sys
import tempfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import ExifTags, Image, ImageCms

from alphadrop.client import Client
from alphadrop.engine.photo import SUFFIXES
from alphadrop.hotfolder import folder, hotfolders, worker
from daemon_process import PATIENCE, Home, running, wait_for
from fake_segmenter import GREEN, RED, Ground, photograph, started, until_done
from icc_profiles import SRGB, cmyk_profile, wide_profile

needs_links = pytest.mark.skipif(os.name != "posix", reason="speaks of links, pipes and users")
needs_root = pytest.mark.skipif(
    not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root can become another user"
)
needs_linux = pytest.mark.skipif(sys.platform != "linux", reason="limits of memory are Linux's")
NOBODY = 65534


@pytest.fixture(autouse=True)
def what_waits_does_not_wait_long(monkeypatch: pytest.MonkeyPatch) -> None:
    """What takes seconds, so as not to burden a machine, takes tenths of them."""
    monkeypatch.setattr(folder, "_POLL", 0.1)
    monkeypatch.setattr(hotfolders, "_MOST_WAIT", 0.2)
    monkeypatch.setattr(worker, "_LONGEST_WAIT", 0.2)


def states(ground: Ground) -> dict[str, str]:
    return {str(row.path): row.state for row in ground.ledger.rows(limit=10_000)}


# 29: what is no regular file


def place_what_is_no_file(folder: Path, elsewhere: Path) -> None:
    """Fill a folder with what is named like photographs, and is none."""
    folder.mkdir(exist_ok=True)
    (folder / "loop").symlink_to(".")
    (folder / "loop.jpg").symlink_to("loop.jpg")
    (folder / "dangling.jpg").symlink_to("nothing")
    (folder / "out.jpg").symlink_to(elsewhere / "secret.jpg")
    (folder / "out").symlink_to(elsewhere)
    os.mkfifo(folder / "pipe.jpg")
    with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX) as server:  # its path may be too long
        server.bind(os.path.relpath(folder / "socket.jpg"))
    with contextlib.suppress(PermissionError):  # only root can make a device
        os.mknod(folder / "device.jpg", stat.S_IFCHR | 0o666, os.makedev(1, 5))  # endless zeros
    (folder / "folder.jpg").mkdir()
    photograph(folder / "folder.jpg" / "inside.png", GREEN)


@needs_links
@pytest.mark.parametrize("when", ["before the start", "while it runs"])
def test_row_29_links_pipes_devices_and_folders_named_like_photographs_are_left_alone(
    ground: Ground, when: str
) -> None:
    elsewhere, ready = ground.root / "elsewhere", ground.root / "ready"
    elsewhere.mkdir()
    photograph(elsewhere / "secret.jpg", RED)
    photograph(elsewhere / "secret.png", RED)
    ground.settings = replace(ground.settings, rescan=0.2)
    if when == "before the start":
        place_what_is_no_file(ground.input, elsewhere)
        place_what_is_no_file(ground.input / "below", elsewhere)
    with started(ground) as folders:
        if when == "while it runs":
            place_what_is_no_file(ground.input, elsewhere)
            place_what_is_no_file(ready, elsewhere)
            ready.rename(ground.input / "below")
        until_done(ground, 2)
        ground.drop("good.jpg", RED)
        until_done(ground, 3)
        assert folders.status()[0].health.state == "watching"
    assert states(ground) == {
        "folder.jpg/inside.png": "done",
        "below/folder.jpg/inside.png": "done",
        "good.jpg": "done",
    }
    assert ground.outputs() == {
        "folder.jpg/inside.png": GREEN,
        "below/folder.jpg/inside.png": GREEN,
        "good.png": RED,
    }


@needs_links
@pytest.mark.parametrize("now", ["pipe", "link", "loop", "folder", "device"])
def test_row_29_a_photograph_that_has_become_something_else_is_neither_waited_for_nor_followed(
    ground: Ground, now: str
) -> None:
    path = ground.drop("a.jpg")
    ground.note("a.jpg")
    path.unlink()
    if now == "pipe":
        os.mkfifo(path)
    elif now == "link":
        path.symlink_to(photograph(ground.root / "secret.jpg", RED))
    elif now == "loop":
        path.symlink_to("a.jpg")
    elif now == "folder":
        path.mkdir()
    else:
        _make_device(path)
    ground.work()
    assert states(ground) == {"a.jpg": "missing"}
    assert os.listdir(ground.output) == []


def _make_device(path: Path) -> None:
    try:
        os.mknod(path, stat.S_IFCHR | 0o666, os.makedev(1, 5))
    except PermissionError:
        pytest.skip("only root can make a device")


# 30: no permission


@contextlib.contextmanager
def as_nobody() -> Iterator[None]:
    """Have the permissions of a user who has none of his own."""
    os.setresgid(NOBODY, NOBODY, 0)
    os.setresuid(NOBODY, NOBODY, 0)
    try:
        yield
    finally:
        os.setresuid(0, 0, 0)
        os.setresgid(0, 0, 0)


@pytest.fixture
def his_ground() -> Iterator[Ground]:
    """Ground that belongs to a user who is not root."""
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        os.chown(root, NOBODY, NOBODY)
        with as_nobody():
            ground = Ground(root, settle=0.1, rescan=0.2)
            ground.cut("warm.jpg")  # whatever is imported late is imported now
            (ground.input / "warm.jpg").unlink()
            (ground.output / "warm.png").unlink()
        yield ground
        ground.ledger.close()


@needs_root
def test_row_30_a_file_without_permission_is_tried_again_until_it_has_it(his_ground: Ground) -> None:
    ground = his_ground
    with as_nobody(), started(ground) as folders:
        closed = ground.root / "closed.jpg"
        photograph(closed, RED)
        closed.chmod(0)
        closed.rename(ground.input / "closed.jpg")
        ground.drop("open.jpg", GREEN)
        wait_for(lambda: states(ground).get("open.jpg") == "done", "the other photograph")
        wait_for(lambda: states(ground).get("closed.jpg"), "the one that may not be read to be noted")
        wait_for(lambda: ground.row("closed.jpg").attempts >= 3, "a few attempts")
        assert folders.status()[0].health.state == "watching"
        row = ground.row("closed.jpg")
        assert (row.state in ("pending", "working"), row.outcome) == (True, "cannot_read")
        assert "closed.jpg" in row.reason
        (ground.input / "closed.jpg").chmod(0o600)
        wait_for(lambda: ground.row("closed.jpg").state == "done", "the photograph that may be read now")
    assert ground.outputs() == {"closed.png": RED, "open.png": GREEN}


@needs_root
def test_row_30_a_folder_without_permission_says_so_and_goes_on_when_it_has_it(his_ground: Ground) -> None:
    ground = his_ground
    other = replace(ground.settings, input=ground.root / "other")
    with as_nobody():
        other.input.mkdir()
        with started(ground, other) as folders:
            ground.drop("a.jpg", RED)
            wait_for(lambda: states(ground).get("a.jpg") == "done", "the first")
            ground.input.chmod(0)
            wait_for(lambda: folders.status()[0].health.state == "no permission", "the want of permission to be seen")
            assert folders.status()[0].health.remedy == "give yourself permission to read the folder"
            photograph(other.input / "b.jpg", GREEN)
            wait_for(lambda: ground.ledger.counts(other.input) == {"done": 1}, "the other folder to go on")
            ground.input.chmod(0o700)
            ground.drop("c.jpg", GREEN)
            wait_for(lambda: states(ground).get("c.jpg") == "done", "the folder to be picked up")
            assert folders.status()[0].health.state == "watching"
    assert ground.outputs() == {"a.png": RED, "b.png": GREEN, "c.png": GREEN}
    assert ground.row("a.jpg").attempts == 1


@needs_root
def test_row_30_a_sub_folder_without_permission_is_passed_over_until_it_has_it(his_ground: Ground) -> None:
    ground = his_ground
    with as_nobody():
        ground.drop("below/a.jpg", RED)
        (ground.input / "below").chmod(0)
        with started(ground) as folders:
            ground.drop("b.jpg", GREEN)
            wait_for(lambda: states(ground).get("b.jpg") == "done", "the other photograph")
            assert folders.status()[0].health.state == "watching"
            (ground.input / "below").chmod(0o700)
            wait_for(lambda: states(ground).get("below/a.jpg") == "done", "the sub-folder to be looked into")
    assert ground.outputs() == {"below/a.png": RED, "b.png": GREEN}


@needs_root
def test_row_30_an_output_without_permission_says_so_and_is_tried_again(his_ground: Ground) -> None:
    ground = his_ground
    with as_nobody(), started(ground) as folders:
        ground.output.chmod(0o500)
        ground.drop("a.jpg", RED)
        wait_for(lambda: folders.status()[0].health.state == "cannot write", "the want of permission to be seen")
        assert states(ground)["a.jpg"] in ("pending", "working")
        assert (ground.input / "a.jpg").exists()
        ground.output.chmod(0o700)
        wait_for(lambda: states(ground)["a.jpg"] == "done", "the photograph")
        wait_for(lambda: folders.status()[0].health.state == "watching", "the folder to be well")
    assert ground.outputs() == {"a.png": RED}


# 31: broken


def encoded(image: Image.Image, format: str, **options: object) -> bytes:
    stream = io.BytesIO()
    image.save(stream, format, **options)
    return stream.getvalue()


def broken() -> dict[str, tuple[bytes, str]]:
    """Return files that are no whole photographs, each with what must be said of it."""
    whole = encoded(Image.effect_noise((200, 160), 90), "JPEG")
    picture = encoded(Image.effect_noise((200, 160), 90), "PNG")
    return {
        "cut off.jpg": (whole[: len(whole) // 2], "damaged or cut off"),
        "cut off.png": (picture[: len(picture) // 2], "damaged or cut off"),
        "head only.jpg": (whole[:20], "not a picture"),
        "empty.jpg": (b"", "the file is empty"),
        "text.jpg": (b"dear diary\n" * 20, "not a picture"),
        "page.png": (b"<!doctype html><title>404</title>", "not a picture"),
        "zeros.jpg": (bytes(5000), "not a picture"),
    }


def test_row_31_broken_files_fail_with_their_reason_once_and_the_others_go_on(
    ground: Ground, caplog: pytest.LogCaptureFixture
) -> None:
    ground.settings = replace(ground.settings, rescan=0.1)
    files = broken()
    with started(ground):
        for name, (data, _) in files.items():
            (ground.root / "new").write_bytes(data)
            (ground.root / "new").rename(ground.input / name)
        for number in range(5):
            ground.drop(f"good{number}.bmp", GREEN)
        until_done(ground, 5)
        wait_for(lambda: ground.ledger.counts(ground.input) == {"done": 5, "failed": len(files)}, "all to end")
        ended = {row.id: row.finished_at for row in ground.ledger.rows()}
    with started(ground):  # nor after a restart
        ground.drop("last.bmp", RED)
        until_done(ground, 6)
    rows = {str(row.path): row for row in ground.ledger.rows()}
    for name, (data, reason) in files.items():
        row = rows[name]
        assert (row.state, row.attempts, row.finished_at) == ("failed", 1, ended[row.id]), name
        assert str(ground.input / name) in row.reason
        assert reason in row.reason
        assert [record.getMessage() for record in caplog.records].count(row.reason) == 1
        assert (ground.input / name).read_bytes() == data
    assert len(ground.outputs()) == 6
    assert ground.fake.runs == 6


def test_row_31_a_broken_file_that_is_mended_is_cut(ground: Ground) -> None:
    whole = encoded(Image.new("RGB", (48, 40), GREEN), "PNG")
    with started(ground):
        (ground.input / "a.png").write_bytes(whole[:40])
        wait_for(lambda: states(ground) == {"a.png": "failed"}, "the half to fail")
        (ground.input / "a.png").write_bytes(whole)
        until_done(ground, 1)
    assert ground.outputs() == {"a.png": GREEN}


def test_row_31_every_odd_file_ends_as_one_whole_output_or_with_a_reason(ground: Ground, odd_files: Path) -> None:
    with (odd_files / "manifest.csv").open(newline="") as stream:
        names = [f"{row['category']}/{row['file']}" for row in csv.DictReader(stream)]
    photographs = [name for name in names if Path(name).suffix.lower() in SUFFIXES]
    with started(ground) as folders:
        for name in names:
            (ground.input / name).parent.mkdir(exist_ok=True)
            shutil.copy(odd_files / name, ground.root / "new")
            (ground.root / "new").rename(ground.input / name)

        def ended() -> bool:
            return set(states(ground)) == set(photographs) and set(states(ground).values()) <= {"done", "failed"}

        wait_for(ended, "all to end")
        assert folders.status()[0].health.state == "watching"
    rows = ground.ledger.rows(limit=1000)
    assert all(row.attempts == 1 for row in rows)
    outputs = [target for row in rows for target in ground.ledger.outputs(row)]
    assert sorted(outputs) == sorted(path for path in ground.output.rglob("*") if path.is_file())
    for row in rows:
        made = ground.ledger.outputs(row)
        assert len(made) == (1 if (row.state, row.outcome) == ("done", "done") else 0), row.path
        assert row.state == "done" or str(row.file) in row.reason, row
        for target in made:
            with Image.open(target) as image:
                image.load()
    broken_ones = {"made/empty.jpg", "made/half.jpg", "corrupt/truncated.jpg", "corrupt/broken_data_stream.png"}
    assert broken_ones <= {str(row.path) for row in rows if row.state == "failed"}


# 32: bombs


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(size: tuple[int, int], bits: int, colour: int, lines: bytes) -> bytes:
    """Return a PNG file of compressed lines, each with its filter's byte."""
    header = struct.pack(">IIBBBBB", *size, bits, colour, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", lines) + chunk(b"IEND", b"")


def tiff(side: int) -> bytes:
    """Return a TIFF file of one strip of zeros that claims to be a large RGB square."""
    strip = zlib.compress(bytes(1 << 20))
    tags = [(256, 4, side), (257, 4, side), (259, 3, 8), (262, 3, 2), (277, 3, 3), (278, 4, side)]
    start = 8 + 2 + 12 * (len(tags) + 3) + 4
    entries = [struct.pack("<HHII", number, kind, 1, value) for number, kind, value in tags]
    entries.insert(2, struct.pack("<HHII", 258, 3, 3, start))
    entries.insert(5, struct.pack("<HHII", 273, 4, 1, start + 6))
    entries.append(struct.pack("<HHII", 279, 4, 1, len(strip)))
    head = b"II*\0" + struct.pack("<IH", 8, len(entries))
    return head + b"".join(entries) + bytes(4) + struct.pack("<HHH", 8, 8, 8) + strip


def bombs() -> dict[str, bytes]:
    """Return small files that claim 60,000 pixels a side, 10 GB in memory; and one with 300 MB of notes."""
    side = 60_000
    zeros = zlib.compressobj(9)
    lines = b"".join(zeros.compress(bytes(1 << 20)) for _ in range(256)) + zeros.flush()
    small = Image.new("RGB", (16, 16), RED)
    jpeg = bytearray(encoded(small, "JPEG"))
    at = jpeg.index(b"\xff\xc0") + 5
    jpeg[at : at + 4] = struct.pack(">HH", side, side)
    gif = bytearray(encoded(small.convert("P"), "GIF"))
    gif[6:10] = struct.pack("<HH", side, side)
    bitmap = bytearray(encoded(small, "BMP"))
    bitmap[18:26] = struct.pack("<ii", side, side)
    webp = bytearray(encoded(small, "WEBP", save_all=True, append_images=[Image.new("RGB", (16, 16), GREEN)]))
    at = webp.index(b"VP8X") + 12
    webp[at : at + 6] = struct.pack("<I", side - 1)[:3] * 2
    comment = png((4, 4), 8, 0, zlib.compress(bytes(20)))
    text = chunk(b"zTXt", b"note\0\0" + zlib.compress(bytes(300 << 20), 9))
    return {
        "bomb.png": png((side, side), 8, 6, lines),
        "bomb.tif": tiff(side),
        "bomb.jpg": bytes(jpeg),
        "bomb.gif": bytes(gif),
        "bomb.bmp": bytes(bitmap),
        "bomb.webp": bytes(webp),
        "text.png": comment[:33] + text + comment[33:],
    }


def memory(process: int, field: str) -> int:
    """Return what the system says of a process's memory, in bytes."""
    with open(f"/proc/{process}/status", encoding="ascii") as stream:
        (line,) = [line for line in stream if line.startswith(f"{field}:")]
    return int(line.split()[1]) * 1024


@needs_linux
def test_row_32_bombs_are_refused_by_their_headers_and_the_memory_stays_flat(
    tmp_path_factory: pytest.TempPathFactory, photographs: dict[str, Path]
) -> None:
    home = Home(tmp_path_factory.mktemp("h"))
    home.configure(folder="settle: 0")
    with running(home) as process:

        def done(count: int) -> bool:
            return bool(Client(home.run).status()["folders"][0]["done"] == count)

        shutil.copy(photographs["cat"], home.input / "first.jpg")
        wait_for(lambda: done(1), "the first photograph")
        room = memory(process.pid, "VmSize") + (400 << 20)
        resource.prlimit(process.pid, resource.RLIMIT_AS, (room, room))
        before = memory(process.pid, "VmHWM")
        for name, data in bombs().items():
            assert len(data) < 1 << 20
            (home.root / "new").write_bytes(data)
            (home.root / "new").rename(home.input / name)

        def ended() -> list[dict[str, Any]]:
            jobs = [job for job in Client(home.run).jobs() if job["path"] != "first.jpg"]
            return jobs if len(jobs) == 7 and all(job["state"] not in ("pending", "working") for job in jobs) else []

        jobs = {job["path"]: job for job in wait_for(ended, "all bombs to end")}
        assert memory(process.pid, "VmHWM") - before < 64 << 20
        shutil.copy(photographs["coffee"], home.input / "last.jpg")
        wait_for(lambda: done(2), "the last photograph")
    for name, job in jobs.items():
        assert (job["state"], job["attempts"], job["suspect"]) == ("failed", 1, False), (name, job)
        if name not in ("text.png", "bomb.webp"):  # which end before there is a size to judge
            assert job["outcome"] == "too_large", (name, job)
            assert "60000 x 60000 pixels are more than the limit of 200 megapixels" in job["reason"], (name, job)
    assert sorted(os.listdir(home.output)) == ["first.png", "last.png"]


# 33: odd, and whole

STORED = {
    1: None,
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_90,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_270,
}
"""How a camera held that way stores an upright picture."""
IN_JPEG = (3, 6)
"""Those of them that nearly all cameras use; PNG keeps pixels as they are, and so has all."""
PROFILE = wide_profile()


@dataclass(frozen=True)
class Odd:
    """What a daemon with the real model made of odd photographs."""

    upright: Image.Image
    """The photograph that all of them show."""
    output: Path
    jobs: dict[str, dict[str, Any]]
    log: str

    def cut(self, name: str, mode: str = "RGBA") -> NDArray[np.uint8]:
        """Return the pixels of an output, which must be whole and of a mode."""
        assert self.jobs[name]["state"] == "done", self.jobs[name]
        with Image.open(self.output / f"{name}.png") as image:
            assert image.mode == mode
            return np.asarray(image)

    def assert_shows(self, name: str, wanted: Image.Image, tolerance: int = 0) -> None:
        """Fail unless an output has a picture's size, some of it is cut out, and its colours are there."""
        cut = self.cut(name, "LA" if wanted.mode == "L" else "RGBA")
        pixels = np.asarray(wanted).reshape(wanted.height, wanted.width, -1).astype(int)
        assert cut.shape[:2] == pixels.shape[:2], name
        opaque = cut[..., -1] == 255
        assert 0.1 < opaque.mean() < 0.9, name
        assert np.abs(cut[opaque][:, :-1] - pixels[opaque]).max() <= tolerance, name


def sixteen_bits(pixels: NDArray[np.uint8]) -> bytes:
    """Return a PNG file of 16 bits a channel whose values are those of 8 bits, stretched."""
    height, width = pixels.shape[:2]
    wide = (pixels.astype(">u2") * 257).astype(">u2")
    lines = b"".join(b"\0" + row.tobytes() for row in wide)
    return png((width, height), 16, 0 if pixels.ndim == 2 else 2, zlib.compress(lines, 1))


def odd_photographs(upright: Image.Image) -> dict[str, bytes]:
    """Return one photograph in every odd way, by the outputs' names with the suffix."""
    pixels = np.asarray(upright)
    made = {}
    for orientation, how in STORED.items():
        stored = upright if how is None else upright.transpose(how)
        exif = Image.Exif()
        exif[ExifTags.Base.Orientation] = orientation
        made[f"exif{orientation}.png"] = encoded(stored, "PNG", exif=exif)
        if orientation in IN_JPEG:
            made[f"exif{orientation}.jpg"] = encoded(stored, "JPEG", exif=exif, quality=100, subsampling=0)
    see_through = upright.convert("RGBA")
    see_through.putalpha(Image.fromarray(left_half(upright)))
    frames = [upright.quantize(200), upright.transpose(Image.Transpose.ROTATE_180).quantize(200)]
    return {
        **made,
        "cmyk.tif": encoded(upright.convert("CMYK"), "TIFF"),
        "cmyk-profile.tif": encoded(upright.convert("CMYK"), "TIFF", icc_profile=cmyk_profile()),
        "cmyk-jpeg.jpg": encoded(upright.convert("CMYK"), "JPEG", quality=100, subsampling=0),
        "grey16.png": sixteen_bits(np.asarray(upright.convert("L"))),
        "rgb16.png": sixteen_bits(pixels),
        "palette.png": encoded(frames[0], "PNG"),
        "icc.png": encoded(upright, "PNG", icc_profile=PROFILE),
        "alpha.png": encoded(see_through, "PNG"),
        "animated.gif": encoded(frames[0], "GIF", save_all=True, append_images=frames[1:], duration=100),
        "animated.webp": encoded(
            upright, "WEBP", save_all=True, append_images=[frames[1].convert("RGB")], duration=100, lossless=True
        ),
        "numbers.tif": encoded(Image.fromarray(pixels[..., 0].astype(np.float32)), "TIFF"),
    }


def left_half(upright: Image.Image) -> NDArray[np.uint8]:
    """Return a transparency that hides the right half of a picture."""
    alpha = np.full((upright.height, upright.width), 255, np.uint8)
    alpha[:, upright.width // 2 :] = 0
    return alpha


@pytest.fixture(scope="module")
def odd(tmp_path_factory: pytest.TempPathFactory, astronaut: NDArray[np.uint8]) -> Odd:
    upright = Image.fromarray(astronaut[:400, 60:380])
    home = Home(tmp_path_factory.mktemp("h"))
    home.configure(folder='settle: 0\nname: "{stem}.{ext}"', top="quiet: never")
    files = odd_photographs(upright)
    with running(home):
        for name, data in files.items():
            (home.root / "new").write_bytes(data)
            (home.root / "new").rename(home.input / name)

        def ended() -> list[dict[str, Any]]:
            jobs = Client(home.run).jobs()
            all_have = all(job["state"] not in ("pending", "working") for job in jobs)
            return jobs if len(jobs) == len(files) and all_have else []

        jobs = {job["path"]: job for job in wait_for(ended, "all to end", 2 * PATIENCE)}
    log = (home.root / "data" / "log" / "alphadrop.log").read_text(encoding="utf-8")
    return Odd(upright, home.output, jobs, log)


def test_row_33_photographs_of_every_orientation_come_out_upright(odd: Odd) -> None:
    first = odd.cut("exif1.png").astype(int)
    for orientation in STORED:
        odd.assert_shows(f"exif{orientation}.png", odd.upright)
    for orientation in IN_JPEG:
        odd.assert_shows(f"exif{orientation}.jpg", odd.upright, tolerance=12)
    for name in (*(f"exif{each}.png" for each in STORED), *(f"exif{each}.jpg" for each in IN_JPEG)):
        assert np.abs(odd.cut(name)[..., -1] - first[..., -1]).mean() < 2, name
        with Image.open(odd.output / f"{name}.png") as image:
            assert image.getexif().get(ExifTags.Base.Orientation, 1) == 1, name


def test_row_33_inks_become_screen_colours_by_their_profile_where_they_have_one(odd: Odd) -> None:
    inks = odd.upright.convert("CMYK")
    odd.assert_shows("cmyk.tif", inks.convert("RGB"))
    odd.assert_shows("cmyk-jpeg.jpg", inks.convert("RGB"), tolerance=24)
    paper, screen = (ImageCms.ImageCmsProfile(io.BytesIO(profile)) for profile in (cmyk_profile(), SRGB))
    converted = ImageCms.profileToProfile(inks, paper, screen, outputMode="RGB")
    assert converted is not None
    assert np.abs(np.asarray(converted).astype(int) - np.asarray(odd.upright)).mean() > 20
    odd.assert_shows("cmyk-profile.tif", converted, tolerance=1)
    with Image.open(odd.output / "cmyk-profile.tif.png") as image:
        assert image.info.get("icc_profile") in (None, SRGB)


def test_row_33_sixteen_bits_are_made_eight_and_it_is_said(odd: Odd) -> None:
    odd.assert_shows("grey16.png", odd.upright.convert("L"))
    odd.assert_shows("rgb16.png", odd.upright)
    for name in ("grey16.png", "rgb16.png"):
        assert f"{name}: 16 bit was reduced to 8" in odd.log


def test_row_33_a_palette_becomes_its_colours(odd: Odd) -> None:
    odd.assert_shows("palette.png", odd.upright.quantize(200).convert("RGB"))


def test_row_33_a_profile_goes_with_its_pixels_bit_for_bit(odd: Odd) -> None:
    odd.assert_shows("icc.png", odd.upright)
    with Image.open(odd.output / "icc.png.png") as image:
        assert image.info["icc_profile"] == PROFILE
    with Image.open(odd.output / "exif1.png.png") as image:
        assert "icc_profile" not in image.info


def test_row_33_what_was_transparent_stays_so(odd: Odd) -> None:
    alpha = odd.cut("alpha.png")[..., -1]
    before = left_half(odd.upright)
    assert (alpha[before == 0] == 0).all()
    assert (alpha[before == 255] == 255).mean() > 0.1
    half = odd.cut("alpha.png")
    opaque = half[..., -1] == 255
    assert np.array_equal(half[opaque][:, :3], np.asarray(odd.upright)[opaque])


@pytest.mark.parametrize("name", ["animated.gif", "animated.webp"])
def test_row_33_of_an_animation_the_first_frame_is_cut_and_it_is_said(odd: Odd, name: str) -> None:
    first = odd.upright.quantize(200).convert("RGB") if name.endswith(".gif") else odd.upright
    odd.assert_shows(name, first)
    assert f"{name}: only the first of several frames was cut" in odd.log


def test_row_33_what_cannot_be_shown_is_refused_with_the_reason(odd: Odd) -> None:
    job = odd.jobs["numbers.tif"]
    assert (job["state"], job["attempts"], job["outputs"]) == ("failed", 1, [])
    assert "numbers.tif: its pixels are floating point numbers" in job["reason"]
    assert "export it with 8 or 16 bits" in job["reason"]
    assert not list(odd.output.glob("numbers*"))
