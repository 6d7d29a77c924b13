"""Whatever its size and its alpha, a PNG decodes to exactly the pixels that went in, by readers that are not ours.

Pillow, the pure pypng, and pngcheck, which forgives nothing: checksums, order of chunks, the end of the deflated data.
"""

from __future__ import annotations

import io
import shutil
import struct
import subprocess
import zlib
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import png
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

from alphadrop.engine.encode import Picture, encode
from alphadrop.engine.options import PNG_EFFORTS, PngEffort
from alphadrop.engine.patched import Patch, Patched
from alphadrop.engine.pixels import pixels
from alphadrop.engine.straight import REACH, StraightRows

Pixels = NDArray[np.uint8]
STRIP = 128
"""Rows that are deflated together; what goes wrong goes wrong where two strips meet."""
ROWS = st.integers(1, 2 * STRIP + 10) | st.sampled_from(
    [1, 2, STRIP - 1, STRIP, STRIP + 1, 2 * STRIP - 1, 2 * STRIP, 2 * STRIP + 1, 3 * STRIP + 1]
)
PATTERNS: dict[str, Callable[[np.random.Generator, NDArray[np.intp]], NDArray[np.integer]]] = {
    "nothing": lambda _, down: np.zeros_like(down),
    "everything": lambda _, down: np.full_like(down, 255),
    "nearly nothing": lambda _, down: np.full_like(down, 1),
    "nearly everything": lambda _, down: np.full_like(down, 254),
    "noise": lambda rng, down: rng.integers(0, 256, down.shape),
    "all or nothing": lambda rng, down: rng.integers(0, 2, down.shape) * 255,
    "one pixel": lambda rng, down: (rng.permutation(down.size) == 0).reshape(down.shape) * 255,
    "corners": lambda _, down: _in_corners(down),
    "a row in ten": lambda _, down: (down % 10 == 0) * 255,
    "whole strips": lambda _, down: (down // STRIP % 2) * 255,
    "rows beside the strips' seams": lambda _, down: (((down + 1) % STRIP) < 2) * 200,
    "a ramp": lambda _, down: down % 256,
    "a disc": lambda _, down: _disc(down),
}
"""Alpha of pixels, of which each knows the row it is in; shape (H, W), 0 to 255."""


def _in_corners(down: NDArray[np.intp]) -> NDArray[np.integer]:
    alpha = np.zeros_like(down)
    alpha[[0, 0, -1, -1], [0, -1, 0, -1]] = 255
    return alpha


def _disc(down: NDArray[np.intp]) -> NDArray[np.integer]:
    height, width = down.shape
    distance = np.hypot(down / height - 0.5, np.arange(width) / width - 0.5)
    disc: NDArray[np.intp] = np.clip((0.4 - distance) * 2000, 0, 255).astype(np.intp)
    return disc


@dataclass(frozen=True)
class Drawn:
    """A picture as the property draws it."""

    width: int
    height: int
    channels: int
    pattern: str
    colours: int
    """Each value is below this: few deflate to long matches, many to none."""
    seed: int

    @property
    def alpha(self) -> Pixels:
        down = np.broadcast_to(np.arange(self.height)[:, np.newaxis], (self.height, self.width))
        alpha = PATTERNS[self.pattern](np.random.default_rng(self.seed), down)
        return alpha.astype(np.uint8)

    @property
    def pixels(self) -> Pixels:
        shape = (self.height, self.width, self.channels)
        pixels = np.random.default_rng(self.seed).integers(0, self.colours, shape, dtype=np.uint8)
        if self.channels in (2, 4):
            pixels[..., -1] = self.alpha
        return pixels


PICTURES = st.builds(
    Drawn,
    width=st.integers(1, 40) | st.sampled_from([1, 2, 3, 255, 256, 257]),
    height=ROWS,
    channels=st.integers(1, 4),
    pattern=st.sampled_from(sorted(PATTERNS)),
    colours=st.sampled_from([1, 2, 17, 256]),
    seed=st.integers(0, 2**32 - 1),
)
properly = settings(max_examples=120, deadline=None, database=None, suppress_health_check=[HealthCheck.too_slow])


def by_pillow(data: bytes) -> Pixels:
    with Image.open(io.BytesIO(data), formats=("PNG",)) as image:
        image.load()
        pixels = np.asarray(image)
    return pixels if pixels.ndim == 3 else pixels[..., np.newaxis]


def by_pypng(data: bytes) -> Pixels:
    width, height, rows, info = png.Reader(bytes=data).read()
    assert info["bitdepth"] == 8
    return np.frombuffer(b"".join(map(bytes, rows)), np.uint8).reshape(height, width, info["planes"])


def what_pngcheck_finds(data: bytes) -> str:
    """Return what pngcheck has to say against a file; nothing where it is right."""
    told = subprocess.run(["pngcheck", "-q"], input=data, capture_output=True, timeout=60, check=False)
    return "" if told.returncode == 0 else (told.stdout + told.stderr).decode(errors="replace")


needs_pngcheck = pytest.mark.skipif(
    shutil.which("pngcheck") is None, reason="pngcheck is not installed (Debian: apt-get install pngcheck)"
)


def encoded(pixels: Pixels | StraightRows, effort: PngEffort, threads: int = 2) -> bytes:
    return b"".join(encode(Picture(pixels), "png", png=effort, threads=threads))


@pytest.mark.parametrize("effort", PNG_EFFORTS)
@properly
@example(drawn=Drawn(1, 1, 4, "everything", 256, 0))
@example(drawn=Drawn(1, 1, 1, "nothing", 1, 0))
@example(drawn=Drawn(257, 2 * STRIP + 1, 4, "noise", 256, 0))
@given(drawn=PICTURES)
def test_every_reader_finds_the_pixels_that_went_in(effort: PngEffort, drawn: Drawn) -> None:
    pixels = drawn.pixels
    data = encoded(pixels, effort)
    np.testing.assert_array_equal(by_pillow(data), pixels)
    np.testing.assert_array_equal(by_pypng(data), pixels)


@needs_pngcheck
@pytest.mark.parametrize("effort", PNG_EFFORTS)
@properly
@given(drawn=PICTURES)
def test_pngcheck_finds_nothing_wrong(effort: PngEffort, drawn: Drawn) -> None:
    assert not what_pngcheck_finds(encoded(drawn.pixels, effort))


@needs_pngcheck
def test_pngcheck_finds_a_wrong_checksum_of_the_deflated_data() -> None:
    data = encoded(Drawn(20, 300, 4, "noise", 256, 0).pixels, "fast")
    last = data.rindex(b"IDAT")
    end = last + 4 + struct.unpack_from(">I", data, last - 4)[0]
    content = data[last : end - 1] + bytes([data[end - 1] ^ 1])
    assert "inflate error" in what_pngcheck_finds(
        data[:last] + content + struct.pack(">I", zlib.crc32(content)) + data[end + 4 :]
    )


@pytest.mark.parametrize("effort", PNG_EFFORTS)
@properly
@example(drawn=Drawn(3, STRIP + 1, 4, "rows beside the strips' seams", 256, 0))
@given(drawn=PICTURES)
def test_a_cutout_put_together_while_it_is_encoded_is_exact(effort: PngEffort, drawn: Drawn) -> None:
    colours = drawn.pixels[..., : 3 if drawn.channels > 2 else 1]
    other = np.array(255 - colours[: max(1, drawn.height // 2)])
    patched = np.array(colours)
    patched[drawn.height - len(other) :] = other
    patch = Patch(0, drawn.height - len(other), pixels(_image(other)))
    data = encoded(StraightRows(Patched(_image(colours), (patch,)), drawn.alpha), effort)
    np.testing.assert_array_equal(by_pillow(data), _straight(patched, drawn.alpha))


def _image(colours: Pixels) -> Image.Image:
    return Image.fromarray(colours if colours.shape[2] > 1 else colours[..., 0])


def _straight(colours: Pixels, alpha: Pixels) -> Pixels:
    """Return colours and alpha, black wherever nothing of the subject is within reach."""
    around = np.pad(alpha > 0, REACH)
    steps = range(2 * REACH + 1)
    height, width = alpha.shape
    kept = np.any([around[down : down + height, right : right + width] for down in steps for right in steps], axis=0)
    return np.dstack([colours * kept[..., np.newaxis], alpha])
