"""Pictures to be looked at: what was written for a photograph of a hot folder, and smaller ones of any.

Which file was written the ledger says, and never a client. It may be gone since, or another's: so it is opened without
following a link, and decoded as guardedly as a photograph.
"""

from __future__ import annotations

import io
import os
import stat
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from alphadrop.engine.photo import Photo, decode, to_srgb
from alphadrop.errors import JobRefused, printable, reading_failed
from alphadrop.hotfolder.ledger import Ledger

__all__ = ["Output", "output_of", "preview_of", "thumbnail_of"]

_READ_ONLY = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
_THUMBNAIL = 320
"""Longer side of a small picture, in pixels."""
_PREVIEW = 2560
"""Longer side of a large one, in pixels."""
_QUALITY = 88
_MEDIA_TYPES = {
    ".png": "image/png", ".webp": "image/webp", ".tiff": "image/tiff", ".jpg": "image/jpeg", ".jpeg": "image/jpeg",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Output:
    """A file that was written."""

    data: bytes
    media_type: str


def output_of(ledger: Ledger, number: int) -> Output:
    """Return what was written for a photograph; of several files the cut-out.

    Raises:
        NoSuchJob: no photograph has this number.
        JobRefused: nothing was written for it.
        CannotRead: the file is gone, or none any more.
    """
    outputs = ledger.outputs(ledger.row(number))
    if not outputs:
        raise JobRefused(f"{number}: nothing was written for it", "see why with: alphadrop jobs")
    file = outputs[0]
    return Output(_read(file), _MEDIA_TYPES.get(file.suffix.lower(), "application/octet-stream"))


def thumbnail_of(ledger: Ledger, number: int, *, max_pixels: int) -> bytes:
    """Return a small PNG of what was written for a photograph.

    Args:
        ledger: the record of files.
        number: of the photograph.
        max_pixels: a file of more is not opened.

    Raises:
        NoSuchJob, JobRefused, CannotRead: as `output_of`.
        PhotoError: the file is no longer a picture.
    """
    data = output_of(ledger, number).data
    photo = decode(io.BytesIO(data), f"the output of {number}", max_pixels=max_pixels)
    small = _reduced(photo, _THUMBNAIL)
    stream = io.BytesIO()
    small.save(stream, "PNG", compress_level=1)
    return stream.getvalue()


def preview_of(data: bytes | bytearray, *, max_pixels: int) -> bytes:
    """Return a JPEG of a photograph for programs that do not know its format: upright, sRGB, on white.

    Args:
        data: the bytes of its file.
        max_pixels: a photograph of more is not opened.

    Raises:
        PhotoError: it cannot be opened.
    """
    seen = _reduced(decode(io.BytesIO(data), "the picture", max_pixels=max_pixels), _PREVIEW)
    if seen.mode == "RGBA":
        white = Image.new("RGBA", seen.size, "white")
        seen = Image.alpha_composite(white, seen).convert("RGB")
    stream = io.BytesIO()
    seen.save(stream, "JPEG", quality=_QUALITY)
    return stream.getvalue()


def _reduced(photo: Photo, side: int) -> Image.Image:
    """Return a photograph in sRGB with its alpha, mode RGB or RGBA, no side longer than asked."""
    small = photo.image
    small.thumbnail((side, side), Image.Resampling.BOX)
    small = to_srgb(small, photo.icc)
    if photo.alpha is not None:
        small.putalpha(photo.alpha.resize(small.size, Image.Resampling.BOX))
    return small


def _read(file: Path) -> bytes:
    try:
        with open(os.open(file, _READ_ONLY), "rb") as stream:
            if not stat.S_ISREG(os.fstat(stream.fileno()).st_mode):
                raise JobRefused(f"{printable(file)}: this is not a file any more")
            return stream.read()
    except OSError as error:
        raise reading_failed(file, error) from error
