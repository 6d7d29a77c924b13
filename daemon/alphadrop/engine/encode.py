"""Pixels to bytes of a picture file: PNG and TIFF written fast and in parallel, the other formats through Pillow.

PNG (W3C Recommendation, third edition): the rows are cut into strips, each filtered and deflated on its own and ended
with a full flush, so that the strips are one valid zlib stream end to end and can be made by several threads.
TIFF (Revision 6.0, sections 14 and 18): each strip is a zlib stream of its own. Through Pillow it would be written by
libtiff, which cannot write the EXIF data of a camera.
"""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from isal import isal_zlib
from numpy.typing import NDArray
from PIL import ExifTags, Image, PngImagePlugin, TiffImagePlugin, TiffTags

from alphadrop import __version__
from alphadrop.engine.options import Format, PngEffort
from alphadrop.engine.straight import StraightRows
from alphadrop.errors import BadOptions

__all__ = ["Picture", "encode", "encoded"]

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_COLOUR_TYPES = {1: 0, 2: 4, 3: 2, 4: 6}
_UP = 2
_STRIP_ROWS = 128
_LEVEL = 1
_ZLIB_HEADER = b"\x78\x01"
_LAST_BLOCK = b"\x03\x00"
_ADLER_BASE = 65521
_TIFF_DEFLATE = 8
_TIFF_XMP = 700
_UNASSOCIATED_ALPHA = 2
_PNG_XMP = b"XML:com.adobe.xmp"
_PLAIN_TEXT = b"\x00\x00\x00\x00\x00"
"""Between keyword and text of an iTXt chunk: not compressed, of no language, the keyword not translated."""


@dataclass(frozen=True, slots=True)
class Picture:
    """A finished picture and what is said of it."""

    pixels: NDArray[np.uint8] | StraightRows
    """Shape (H, W, C): grey, grey and alpha, RGB, or RGBA with straight alpha."""
    icc: bytes | None = None
    dpi: tuple[float, float] | None = None
    exif: bytes | None = None
    """Starts with the TIFF header."""
    xmp: bytes | None = None
    """An XMP packet, UTF-8; a JPEG holds 65,504 bytes of it at most."""

    @property
    def size(self) -> tuple[int, int]:
        """Width and height in pixels."""
        return self.pixels.shape[1], self.pixels.shape[0]


def encode(
    picture: Picture, format: Format, *, png: PngEffort = "fast", quality: int = 92, threads: int = 2
) -> list[bytes]:
    """Return the encoded file in pieces, to be written one after the other; see `encoded`."""
    return list(encoded(picture, format, png=png, quality=quality, threads=threads))


def encoded(
    picture: Picture, format: Format, *, png: PngEffort = "fast", quality: int = 92, threads: int = 2
) -> Iterator[bytes]:
    """Return the pieces of the encoded file, each as soon as it is made where they can be made one by one.

    Args:
        picture: what to write; JPEG takes only pictures without alpha.
        format: of the file.
        png: `fast` deflates lightly in parallel; `small` takes Pillow's time for about a fifth fewer bytes.
        quality: of JPEG and WebP, 1 to 100; WebP is lossless at 100.
        threads: that may be used for a PNG or a TIFF.

    Raises:
        BadOptions: the picture has more pixels on a side than the format can say; at once.
    """
    longest = _LONGEST_SIDE.get(format)
    if longest is not None and max(picture.size) > longest:
        across, down = picture.size
        raise BadOptions(f"{across} x {down} pixels: a side of {format} is at most {longest}", "choose png or tiff")
    if format == "png" and png == "fast":
        return _png(picture, threads)
    if format == "tiff":
        return iter(_tiff(picture, threads))
    pixels = np.asarray(picture.pixels)
    image = Image.fromarray(pixels if pixels.shape[2] > 1 else pixels[..., 0])
    options = _pillow_options(picture, format, quality)
    try:
        return iter([_saved(image, format, options)])
    except OSError:
        if not options.get("optimize"):
            raise
        # Pillow guesses how much room an optimised file takes, and of noise guesses too little; others need no guess.
        return iter([_saved(image, format, options | {"optimize": False})])


def _saved(image: Image.Image, format: Format, options: dict[str, Any]) -> bytes:
    stream = io.BytesIO()
    image.save(stream, _PILLOW_NAMES[format], **options)
    return stream.getvalue()


_PILLOW_NAMES: dict[Format, str] = {"png": "PNG", "webp": "WEBP", "jpeg": "JPEG"}
_LONGEST_SIDE: dict[Format, int] = {"webp": 16_383, "jpeg": 65_500}
_LONGEST_EXIF_OF_JPEG = 65_533 - 6
"""Of one marker segment, less the name in front of the data."""


def _pillow_options(picture: Picture, format: Format, quality: int) -> dict[str, Any]:
    options: dict[str, Any] = {}
    if picture.icc:
        options["icc_profile"] = picture.icc
    if picture.exif and (format != "jpeg" or len(picture.exif) <= _LONGEST_EXIF_OF_JPEG):
        options["exif"] = b"Exif\x00\x00" + picture.exif
    if picture.dpi and format != "webp":
        options["dpi"] = picture.dpi
    if picture.xmp and format == "png":
        options["pnginfo"] = PngImagePlugin.PngInfo()
        options["pnginfo"].add_itxt(_PNG_XMP, picture.xmp)
    elif picture.xmp:
        options["xmp"] = picture.xmp
    match format:
        case "webp":
            options |= {"quality": quality, "lossless": quality == 100, "exact": True, "method": 4}
        case "jpeg":
            options |= {"quality": quality, "subsampling": 0, "optimize": True}
    return options


def _png(picture: Picture, threads: int) -> Iterator[bytes]:
    height, width, channels = picture.pixels.shape
    yield _SIGNATURE
    yield _chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, _COLOUR_TYPES[channels], 0, 0, 0))
    if picture.icc:
        yield _chunk(b"iCCP", b"ICC profile\x00\x00" + zlib.compress(picture.icc))
    if picture.dpi:
        per_metre = [round(value / 0.0254) for value in picture.dpi]
        yield _chunk(b"pHYs", struct.pack(">IIB", *per_metre, 1))
    yield _chunk(b"tEXt", b"Software\x00Alphadrop " + __version__.encode("ascii"))
    if picture.exif:
        yield _chunk(b"eXIf", picture.exif)
    if picture.xmp:
        yield _chunk(b"iTXt", _PNG_XMP + _PLAIN_TEXT + picture.xmp)
    tops = range(0, height, _STRIP_ROWS)
    checksum = 1
    with ThreadPoolExecutor(max_workers=max(1, threads)) as workers:
        strips = workers.map(lambda top: _strip(picture.pixels, top), tops)
        for top, (deflated, adler, length) in zip(tops, strips, strict=True):
            checksum = _join_adler(checksum, adler, length)
            start = _ZLIB_HEADER if top == 0 else b""
            end = _LAST_BLOCK + struct.pack(">I", checksum) if top == tops[-1] else b""
            yield _chunk(b"IDAT", start + deflated + end)
    yield _chunk(b"IEND", b"")


def _strip(pixels: NDArray[np.uint8] | StraightRows, top: int) -> tuple[bytes, int, int]:
    """Return one strip filtered and deflated, the Adler-32 of what was deflated, and its length."""
    rows = pixels[max(0, top - 1) : top + _STRIP_ROWS]
    flat = rows.reshape(len(rows), -1)
    filtered = np.empty((len(rows) - (top > 0), flat.shape[1] + 1), np.uint8)
    filtered[:, 0] = _UP
    if top:
        np.subtract(flat[1:], flat[:-1], out=filtered[:, 1:])
    else:
        filtered[0, 1:] = flat[0]
        np.subtract(flat[1:], flat[:-1], out=filtered[1:, 1:])
    raw = filtered.data.cast("B")
    deflate = isal_zlib.compressobj(_LEVEL, isal_zlib.DEFLATED, -isal_zlib.MAX_WBITS)
    deflated = deflate.compress(raw) + deflate.flush(isal_zlib.Z_FULL_FLUSH)
    return deflated, isal_zlib.adler32(raw), raw.nbytes


def _join_adler(first: int, second: int, second_length: int) -> int:
    """Return the Adler-32 of two pieces one after the other from the checksums of each (RFC 1950, section 8.2)."""
    low = (first & 0xFFFF) + (second & 0xFFFF) - 1
    high = (first >> 16) + (second >> 16) + second_length * ((first & 0xFFFF) - 1)
    return (high % _ADLER_BASE) << 16 | low % _ADLER_BASE


def _tiff(picture: Picture, threads: int) -> list[bytes]:
    tops = range(0, picture.size[1], _STRIP_ROWS)
    with ThreadPoolExecutor(max_workers=max(1, threads)) as workers:
        strips = list(workers.map(lambda top: _differences(picture.pixels[top : top + _STRIP_ROWS]), tops))
    lengths = [len(strip) for strip in strips]
    try:
        head = _tiff_head(picture, lengths)
    except Exception:  # EXIF data hold what nobody has checked: a value may not be of its tag's type
        head = _tiff_head(replace(picture, exif=None), lengths)
    return [head, *strips]


def _differences(rows: NDArray[np.uint8]) -> bytes:
    """Return rows with each pixel less the one to its left (section 14), deflated."""
    differences = np.array(rows)
    np.subtract(rows[:, 1:], rows[:, :-1], out=differences[:, 1:])
    deflated: bytes = isal_zlib.compress(differences.data.cast("B"), _LEVEL)
    return deflated


def _tiff_head(picture: Picture, lengths: list[int]) -> bytes:
    """Return header and directory of a TIFF file, to be followed by strips of these lengths."""
    height, width, channels = picture.pixels.shape
    directory = TiffImagePlugin.ImageFileDirectory_v2(prefix=b"II")
    if picture.exif:
        exif = Image.Exif()
        exif.load(picture.exif)
        for tag in exif:
            directory[tag] = exif.get_ifd(tag) if tag in TiffTags.TAGS_V2_GROUPS else exif[tag]
    directory[ExifTags.Base.ImageWidth] = width
    directory[ExifTags.Base.ImageLength] = height
    directory[ExifTags.Base.BitsPerSample] = (8,) * channels
    directory[ExifTags.Base.Compression] = _TIFF_DEFLATE
    directory[ExifTags.Base.PhotometricInterpretation] = 2 if channels > 2 else 1
    directory[ExifTags.Base.SamplesPerPixel] = channels
    directory[ExifTags.Base.RowsPerStrip] = _STRIP_ROWS
    directory[ExifTags.Base.PlanarConfiguration] = 1
    directory[ExifTags.Base.Predictor] = 2
    if channels in (2, 4):
        directory[ExifTags.Base.ExtraSamples] = _UNASSOCIATED_ALPHA
    if picture.dpi:
        directory[ExifTags.Base.ResolutionUnit] = 2
        directory[ExifTags.Base.XResolution], directory[ExifTags.Base.YResolution] = picture.dpi
    if picture.icc:
        directory[ExifTags.Base.InterColorProfile] = picture.icc
    if picture.xmp:
        directory[_TIFF_XMP] = picture.xmp
    for tag, values in (
        (ExifTags.Base.StripOffsets, [sum(lengths[:before]) for before in range(len(lengths))]),
        (ExifTags.Base.StripByteCounts, lengths),
    ):
        directory.tagtype[tag] = TiffTags.LONG
        directory[tag] = tuple(values)  # the offsets are counted from the end of the directory, and moved by it
    stream = io.BytesIO()
    directory.save(stream)
    return stream.getvalue()


def _chunk(kind: bytes, data: bytes) -> bytes:
    checksum = isal_zlib.crc32(data, isal_zlib.crc32(kind))
    return b"".join((struct.pack(">I", len(data)), kind, data, struct.pack(">I", checksum)))
