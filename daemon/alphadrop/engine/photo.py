"""Guarded decode: a file nobody has vouched for in, an upright 8-bit photograph and what belongs to it out.

Pillow does the decoding. This module decides what is opened at all, before a pixel is read, and turns every way a
decoder can fail into an error that names the file.
"""

from __future__ import annotations

import errno
import io
import logging
import math
import struct
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import BinaryIO, cast

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image, ImageCms, JpegImagePlugin, UnidentifiedImageError

from alphadrop.engine.pixels import prepare_memory
from alphadrop.engine.tiles import shrunk
from alphadrop.errors import (
    AlphadropError,
    DamagedPhoto,
    EmptyPhoto,
    PhotoTooLarge,
    UnsupportedFormat,
    reading_failed,
)

__all__ = [
    "DEFAULT_MAX_PIXELS",
    "SUFFIXES",
    "Photo",
    "count_pixels",
    "decode",
    "from_image",
    "own_pillow_limits",
    "to_srgb",
]

DEFAULT_MAX_PIXELS = 200_000_000
SUFFIXES = frozenset(".jpg .jpeg .jpe .jfif .mpo .png .webp .tif .tiff .bmp .dib .gif .avif .heic .heif".split())
"""Suffixes of files that a hot folder takes for photographs; what a file is, its content decides."""

_FORMATS = ("JPEG", "PNG", "WEBP", "TIFF", "BMP", "DIB", "GIF", "AVIF")
_FORMAT_NAMES = "JPEG, PNG, WebP, TIFF, BMP, GIF, AVIF"
_HEIF_BRANDS = {b"heic", b"heix", b"hevc", b"hevx", b"heim", b"heis", b"mif1", b"msf1"}
_SAID_BY_THE_FILE = {None, errno.EINVAL, errno.EOVERFLOW}
"""Numbers of an OSError that speak of the photograph: Pillow gives none, places no file has give these; others speak of
the disk or the share it is on."""
_MAKER_NOTE = 0x927C
_EXIF_DAMAGED = "its EXIF data are damaged and were left out"
_TRANSPOSITIONS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB"))
_REDUCING_GAP = 3.0
"""Times that a picture is larger, at least, before it is resampled: up to there whole pixels are averaged."""
_MEAN_GREY = (124, 116, 104)
"""ImageNet's mean colour: to the networks trained on it, nothing at all."""


@dataclass(frozen=True, slots=True)
class Photo:
    """A photograph as it is looked at: upright, 8 bit, in its own colours."""

    name: str
    image: Image.Image
    """Mode RGB or L, in the colour space of `icc` (sRGB where that is None)."""
    alpha: Image.Image | None = None
    """Mode L: the transparency the file came with."""
    icc: bytes | None = None
    dpi: tuple[float, float] | None = None
    exif: bytes | None = None
    """Without orientation, thumbnail and maker note; starts with the TIFF header."""
    warnings: tuple[str, ...] = ()

    @property
    def size(self) -> tuple[int, int]:
        """Width and height in pixels."""
        return self.image.size

    def view(self, side: int) -> NDArray[np.uint8]:
        """Return what a network sees: sRGB, squeezed to a square, transparency over ImageNet's mean colour.

        Returns:
            Shape (side, side, 3), uint8.
        """
        small = to_srgb(_squeezed(self.image, side), self.icc)
        if self.alpha is not None:
            mask = _squeezed(self.alpha, side)
            small = Image.composite(small, Image.new("RGB", small.size, _MEAN_GREY), mask)
        return np.asarray(small)


def decode(stream: BinaryIO, name: str, *, max_pixels: int = DEFAULT_MAX_PIXELS, keep_gps: bool = False) -> Photo:
    """Decode a photograph.

    Args:
        stream: the encoded file, seekable, at its start.
        name: how errors call it.
        max_pixels: refuse a picture whose header claims more.
        keep_gps: whether the place stays in the EXIF data.

    Raises:
        EmptyPhoto, UnsupportedFormat, DamagedPhoto, PhotoTooLarge: each names the file.
        CannotRead: the disk or the share says no.
    """
    with _opened(stream, name, max_pixels) as opened:
        notes = _notes_before_load(opened)
        grey_with_alpha = opened.format == "PNG" and any(raw.startswith("LA") for raw in _rawmodes(opened))
        _scale_see_through(opened)
        if isinstance(opened, JpegImagePlugin.JpegImageFile) and opened.mode in ("RGB", "L"):
            opened.load_prepare()  # makes its memory, as `load` would, and decodes nothing yet
            prepare_memory(opened)
        opened.load()
        # Only now: Pillow turns some TIFF files upright itself, and drops their orientation, while it loads.
        exif, orientation, exif_notes = _exif(opened, keep_gps=keep_gps)
        image = opened.convert("LA") if grey_with_alpha else opened
        return _upright(image, name, exif, orientation, notes + exif_notes)


def count_pixels(stream: BinaryIO, name: str, *, max_pixels: int = DEFAULT_MAX_PIXELS) -> int:
    """Return how many pixels a photograph's header claims; the stream is left at its start.

    Raises:
        EmptyPhoto, UnsupportedFormat, DamagedPhoto, PhotoTooLarge, CannotRead: as `decode`.
    """
    with _opened(stream, name, max_pixels) as opened:
        count = opened.width * opened.height
    stream.seek(0)
    return count


@contextmanager
def _opened(stream: BinaryIO, name: str, max_pixels: int) -> Iterator[Image.Image]:
    """Open a photograph whose header may be believed; whatever goes wrong with it becomes an error that names it."""
    head = stream.read(16)
    stream.seek(0)
    if not head:
        raise EmptyPhoto(f"{name}: the file is empty", "copy it again")
    try:
        with Image.open(stream, formats=_formats_for(head)) as opened:
            _refuse_size(opened.size, name, max_pixels)
            yield opened
    except AlphadropError:
        raise
    except UnidentifiedImageError:
        raise _not_opened(head, name) from None
    except OSError as error:
        if error.errno in _SAID_BY_THE_FILE:
            raise _damaged(name, error) from error
        raise reading_failed(name, error) from error
    except (Image.DecompressionBombError, MemoryError) as error:
        raise PhotoTooLarge(f"{name}: too large to be opened safely", "make it smaller first") from error
    except Exception as error:  # decoders of hostile bytes raise whatever they like
        raise _damaged(name, error) from error


def _damaged(name: str, error: Exception) -> DamagedPhoto:
    reason = str(error).strip().rstrip(".") or type(error).__name__
    return DamagedPhoto(f"{name}: damaged or cut off ({reason})", "copy or export it again")


def from_image(image: Image.Image, name: str = "image") -> Photo:
    """Take a picture that is already decoded, as a library's caller has it; orientation and profile are honoured.

    It is not copied: its pixels must stay as they are while the photograph is used.
    """
    try:
        image.load()  # first: see `decode`
    except OSError as error:
        raise DamagedPhoto(f"{name}: damaged or cut off ({error})", "copy or export it again") from error
    _refuse_size(image.size, name, sys.maxsize)
    exif, orientation, notes = _exif(image, keep_gps=False)
    return _upright(image, name, exif, orientation, notes)


def own_pillow_limits() -> None:
    """Make `max_pixels` the only limit, and Pillow silent about what `decode` refuses or forgives.

    For processes that are ours; in somebody else's program Pillow's own limit holds beside ours.
    """
    Image.MAX_IMAGE_PIXELS = None
    warnings.filterwarnings("ignore", module="PIL")
    logging.getLogger("PIL").setLevel(logging.CRITICAL)


def _squeezed(image: Image.Image, side: int) -> Image.Image:
    return shrunk(image, (side, side), Image.Resampling.BICUBIC, _REDUCING_GAP)


def to_srgb(image: Image.Image, icc: bytes | None) -> Image.Image:
    """Return a picture in sRGB, mode RGB."""
    if icc is None:
        return image.convert("RGB")
    source = ImageCms.ImageCmsProfile(io.BytesIO(icc))
    converted = ImageCms.profileToProfile(image, source, _SRGB, outputMode="RGB")
    return cast("Image.Image", converted)


def _formats_for(head: bytes) -> tuple[str, ...]:
    if head[4:8] == b"ftyp" and head[8:12] in _HEIF_BRANDS and _heif_opener():
        return (*_FORMATS, "HEIF")
    return _FORMATS


def _heif_opener() -> bool:
    try:
        import pillow_heif
    except ImportError:
        return False
    pillow_heif.register_heif_opener(thumbnails=False)
    return True


def _not_opened(head: bytes, name: str) -> UnsupportedFormat:
    if head[4:8] == b"ftyp" and head[8:12] in _HEIF_BRANDS:
        return UnsupportedFormat(f"{name}: HEIC needs an extra", "pip install 'alphadrop[heic]'")
    return UnsupportedFormat(f"{name}: not a picture that is opened here", f"use one of {_FORMAT_NAMES}")


def _refuse_size(size: tuple[int, int], name: str, max_pixels: int) -> None:
    width, height = size
    if width < 1 or height < 1:
        raise DamagedPhoto(f"{name}: it has {width} x {height} pixels", "copy or export it again")
    if width * height > max_pixels:
        raise PhotoTooLarge(
            f"{name}: {width} x {height} pixels are more than the limit of {max_pixels / 1e6:.0f} megapixels",
            "make it smaller, or raise limits: pixels in the configuration",
        )


def _notes_before_load(opened: Image.Image) -> tuple[str, ...]:
    notes = []
    if (bits := _bits(opened)) > 8:
        notes.append(f"{bits} bit was reduced to 8")
    if opened.format != "MPO" and getattr(opened, "n_frames", 1) > 1:
        notes.append("only the first of several frames was cut")
    return tuple(notes)


def _bits(opened: Image.Image) -> int:
    """Return the bits of a channel, read from what the decoder was told to do."""
    if opened.format == "TIFF":
        declared = cast("dict[int, object]", getattr(opened, "tag_v2", {})).get(258, 8)
        return max(declared) if isinstance(declared, tuple) else int(cast("int", declared))
    if opened.mode.startswith(("I", "F")):
        return 16
    return 16 if any(";16" in rawmode for rawmode in _rawmodes(opened)) else 8


def _rawmodes(opened: Image.Image) -> list[str]:
    """Return what the decoder was told of the layout of the file's pixels; nothing once they are loaded."""
    return [str(tile[3]) for tile in getattr(opened, "tile", [])]


def _scale_see_through(opened: Image.Image) -> None:
    """Bring a PNG's transparent colour, which Pillow leaves at the file's depth, to the 8 bits of its pixels."""
    colour = opened.info.get("transparency")
    rawmode = "".join(_rawmodes(opened)[:1]) if opened.format == "PNG" else ""
    if isinstance(colour, int) and rawmode in ("L;2", "L;4"):
        opened.info["transparency"] = colour * (85 if rawmode == "L;2" else 17)
    elif isinstance(colour, tuple) and rawmode == "RGB;16B":
        opened.info["transparency"] = tuple(value >> 8 for value in colour)


def _exif(opened: Image.Image, *, keep_gps: bool) -> tuple[bytes | None, int, tuple[str, ...]]:
    """Return the EXIF data worth keeping, the orientation, and what to say of it."""
    raw = opened.info.get("exif")
    if raw and not raw.removeprefix(b"Exif\x00\x00").startswith((b"II", b"MM")):
        return None, 1, (_EXIF_DAMAGED,)  # Pillow would make nothing of them, and say nothing
    try:
        exif = opened.getexif()
        orientation = exif.get(ExifTags.Base.Orientation, 1)
        kept = Image.Exif()
        kept.update({tag: value for tag, value in exif.items() if tag not in _DROPPED_TAGS})
        pointers = (ExifTags.IFD.Exif, ExifTags.IFD.GPSInfo) if keep_gps else (ExifTags.IFD.Exif,)
        for pointer in pointers:
            tags = {tag: value for tag, value in exif.get_ifd(pointer).items() if tag not in _DROPPED_TAGS}
            if tags:
                kept.get_ifd(pointer).update(tags)
        data = kept.tobytes() if len(kept) or any(kept.get_ifd(pointer) for pointer in pointers) else b""
    except Exception:
        return None, 1, (_EXIF_DAMAGED,)
    return (data.removeprefix(b"Exif\x00\x00") or None), orientation if isinstance(orientation, int) else 1, ()


_DROPPED_TAGS = {
    ExifTags.Base.Orientation,
    ExifTags.IFD.Exif,
    ExifTags.IFD.GPSInfo,
    ExifTags.IFD.Interop,
    _MAKER_NOTE,
    ExifTags.Base.ExifImageWidth,
    ExifTags.Base.ExifImageHeight,
    # The layout of the file the tags came from; in ours it is another.
    ExifTags.Base.ImageWidth,
    ExifTags.Base.ImageLength,
    ExifTags.Base.BitsPerSample,
    ExifTags.Base.Compression,
    ExifTags.Base.PhotometricInterpretation,
    ExifTags.Base.StripOffsets,
    ExifTags.Base.SamplesPerPixel,
    ExifTags.Base.RowsPerStrip,
    ExifTags.Base.StripByteCounts,
    ExifTags.Base.PlanarConfiguration,
    ExifTags.Base.TransferFunction,
    ExifTags.Base.Predictor,
    ExifTags.Base.ColorMap,
    ExifTags.Base.TileWidth,
    ExifTags.Base.TileLength,
    ExifTags.Base.TileOffsets,
    ExifTags.Base.TileByteCounts,
    ExifTags.Base.SubIFDs,
    ExifTags.Base.ExtraSamples,
    ExifTags.Base.SampleFormat,
    ExifTags.Base.JPEGTables,
    ExifTags.Base.YCbCrCoefficients,
    ExifTags.Base.YCbCrSubSampling,
    ExifTags.Base.YCbCrPositioning,
    ExifTags.Base.ReferenceBlackWhite,
    ExifTags.Base.XMLPacket,
    ExifTags.Base.ImageResources,
    ExifTags.Base.InterColorProfile,
    ExifTags.Base.JpegIFOffset,
    ExifTags.Base.JpegIFByteCount,
}


def _upright(opened: Image.Image, name: str, exif: bytes | None, orientation: int, notes: tuple[str, ...]) -> Photo:
    icc, icc_notes = _profile(opened)
    dpi = _dpi(opened.info.get("dpi"))
    image, alpha, icc = _separate(opened, name, icc)
    transposition = _TRANSPOSITIONS.get(orientation)
    if transposition is not None:
        image = image.transpose(transposition)
        alpha = alpha.transpose(transposition) if alpha is not None else None
        if dpi is not None and orientation >= 5:
            dpi = dpi[::-1]
    return Photo(name, image, alpha, icc, dpi, exif, notes + icc_notes)


def _separate(
    opened: Image.Image, name: str, icc: bytes | None
) -> tuple[Image.Image, Image.Image | None, bytes | None]:
    """Return colour, transparency and the profile that now describes the colour."""
    mode = opened.mode
    if mode in ("RGB", "L") and "transparency" not in opened.info:
        return opened, None, icc
    if mode == "1" and "transparency" not in opened.info:
        return opened.convert("L"), None, icc
    if mode.startswith("I;16"):
        return *_from_sixteen_bit(opened), icc
    if mode in ("I", "F"):
        raise UnsupportedFormat(
            f"{name}: its pixels are {'floating point' if mode == 'F' else 'signed or 32-bit'} numbers",
            "export it with 8 or 16 bits a channel",
        )
    if mode == "CMYK":
        return to_srgb(opened, icc) if icc else opened.convert("RGB"), None, None
    if mode == "LAB":
        lab = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB"))
        converted = ImageCms.profileToProfile(opened, lab, _SRGB, outputMode="RGB")
        return cast("Image.Image", converted), None, None
    if mode in ("LA", "La", "1") or (mode == "L" and "transparency" in opened.info):
        grey = opened.convert("LA")
        return grey.getchannel("L"), grey.getchannel("A"), icc
    if mode in ("RGBA", "RGBa", "PA") or "transparency" in opened.info:
        colour = opened.convert("RGBA")
        return colour.convert("RGB"), colour.getchannel("A"), icc
    return opened.convert("RGB"), None, icc


def _from_sixteen_bit(opened: Image.Image) -> tuple[Image.Image, Image.Image | None]:
    values = np.asarray(opened).astype(np.uint32)
    largest = (1 << min(16, _bits(opened))) - 1
    if cast("dict[int, object]", getattr(opened, "tag_v2", {})).get(ExifTags.Base.PhotometricInterpretation) == 0:
        values = largest - values  # zero is white, which Pillow minds only up to 8 bits
    grey = Image.fromarray(((values * 255 + largest // 2) // largest).astype(np.uint8))
    see_through = opened.info.get("transparency")
    if not isinstance(see_through, int):
        return grey, None
    return grey, Image.fromarray(np.where(values == see_through, 0, 255).astype(np.uint8))


def _profile(opened: Image.Image) -> tuple[bytes | None, tuple[str, ...]]:
    """Return the ICC profile where it can be read and fits the picture's channels."""
    icc = opened.info.get("icc_profile")
    if not icc:
        return None, ()
    grey = opened.mode in ("1", "L", "LA", "La") or opened.mode.startswith("I")
    expected = {"CMYK": "CMYK", "LAB": "Lab"}.get(opened.mode, "GRAY" if grey else "RGB")
    try:
        profile = ImageCms.ImageCmsProfile(io.BytesIO(icc))
        space = profile.profile.xcolor_space.strip()
        if space == expected:
            mode = {"CMYK": "CMYK", "Lab": "LAB", "GRAY": "L"}.get(space, "RGB")
            ImageCms.buildTransform(profile, _SRGB, mode, "RGB")  # it may be whole, and say nothing of its colours
    except (OSError, struct.error, ValueError, TypeError, ImageCms.PyCMSError):
        return None, ("its colour profile is damaged and was left out",)
    return (icc, ()) if space == expected else (None, (f"its colour profile is for {space} and was left out",))


def _dpi(value: object) -> tuple[float, float] | None:
    if not isinstance(value, tuple) or len(value) != 2:
        return None
    try:
        across, down = float(value[0]), float(value[1])
    except (TypeError, ValueError, ZeroDivisionError):
        return None
    return (across, down) if all(math.isfinite(v) and 1 <= v <= 100_000 for v in (across, down)) else None
