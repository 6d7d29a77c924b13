"""A matted photograph to a finished picture: straight alpha, framing, background."""

from __future__ import annotations

import io
from pathlib import Path
from typing import cast

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageCms, ImageOps

from alphadrop.engine.encode import Picture
from alphadrop.engine.foreground import cleaned
from alphadrop.engine.framing import Frame, frame
from alphadrop.engine.options import Background, CutOptions
from alphadrop.engine.patched import Patched
from alphadrop.engine.photo import Photo, decode, to_srgb
from alphadrop.engine.straight import StraightRows
from alphadrop.errors import CannotRead, PhotoError, printable, reading_failed

__all__ = ["cutout_picture", "enlargement", "mask_picture", "straight_rgba"]

_SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB"))


def cutout_picture(photo: Photo, alpha: NDArray[np.uint8], options: CutOptions) -> Picture:
    """Return the cut-out of a photograph.

    Colours are straight: never multiplied by alpha. Where alpha is 255 they are the photograph's own to the bit;
    decontaminated, the soft edge holds the subject's colour; farther than two pixels from the subject they are zero.

    Args:
        photo: the photograph.
        alpha: its matte, shape (H, W), uint8.
        options: edges, decontaminate, crop, margin, canvas and background.

    Raises:
        CannotRead: the background picture cannot be used; PhotoError where its bytes were given.
    """
    image, icc = photo.image, photo.icc
    if options.background is not None and not _can_hold(image.mode, icc, options.background):
        image, icc = to_srgb(image, icc), None
    rows = _straight(image, alpha, clean=options.cleans_colour)
    framed = frame(alpha, options)
    if framed is None and options.background is None:
        return Picture(rows, icc, photo.dpi, photo.exif)
    finished = Image.fromarray(np.asarray(rows))
    if framed is not None:
        finished = _place(finished, framed)
    if options.background is not None:
        finished = _over(finished, options.background, icc)
    return Picture(np.atleast_3d(np.asarray(finished)), icc, photo.dpi, photo.exif)


def straight_rgba(photo: Photo, matte: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return the colours of a photograph with a matte; shape (H, W, 4), uint8.

    The colours are the photograph's own where the matte is 255, the subject's in the soft edge, and zero farther than
    two pixels from the subject.
    """
    return np.asarray(_straight(photo.image.convert("RGB"), matte, clean=True))


def mask_picture(photo: Photo, alpha: NDArray[np.uint8], options: CutOptions) -> Picture:
    """Return the matte as a grey picture, framed like the cut-out."""
    framed = frame(alpha, options)
    if framed is not None:
        alpha = np.asarray(_place(Image.fromarray(alpha), framed))
    return Picture(alpha[..., np.newaxis], dpi=photo.dpi)


def enlargement(alpha: NDArray[np.uint8], options: CutOptions) -> float:
    """Return how much the canvas enlarges the photograph's pixels; 1 where there is none."""
    framed = frame(alpha, options)
    return framed.scale if framed is not None else 1.0


def _straight(image: Image.Image, alpha: NDArray[np.uint8], *, clean: bool) -> StraightRows:
    return StraightRows(cleaned(image, alpha) if clean else Patched(image), alpha)


def _place(image: Image.Image, framed: Frame) -> Image.Image:
    part = image.crop(framed.window)
    if part.size != framed.placed:
        part = part.resize(framed.placed, Image.Resampling.LANCZOS)
    canvas = Image.new(image.mode, framed.size)
    canvas.paste(part, framed.offset)
    return canvas


def _over(cutout: Image.Image, background: Background, icc: bytes | None) -> Image.Image:
    """Return a cut-out over a background, opaque, in the colours of the photograph's profile."""
    if isinstance(background, Path | bytes):
        behind = ImageOps.fit(_background_picture(background), cutout.size, Image.Resampling.LANCZOS)
    elif background is not None:
        behind = Image.new("RGB", cutout.size, background)
    mode = "L" if cutout.mode == "LA" else "RGB"
    to_own = _from_srgb(mode, icc) if icc is not None else None
    behind = cast("Image.Image", ImageCms.applyTransform(behind, to_own)) if to_own else behind.convert(mode)
    return Image.composite(cutout.convert(mode), behind, cutout.getchannel("A"))


def _background_picture(path: Path | bytes) -> Image.Image:
    if isinstance(path, bytes):
        photo = decode(io.BytesIO(path), "the background picture")
        return to_srgb(photo.image, photo.icc)
    try:
        with path.open("rb") as stream:
            photo = decode(stream, printable(path))
    except OSError as error:
        raise reading_failed(path, error) from error
    except PhotoError as error:  # not the photograph's fault, which can be cut as soon as this is mended
        raise CannotRead(f"the background picture {error.message}", error.hint) from error
    return to_srgb(photo.image, photo.icc)


def _can_hold(mode: str, icc: bytes | None, background: Background) -> bool:
    """Return whether a background can be said in the colours of a photograph."""
    grey = isinstance(background, tuple) and len(set(background)) == 1
    return (mode == "RGB" or grey) and (icc is None or _from_srgb(mode, icc) is not None)


def _from_srgb(mode: str, icc: bytes) -> ImageCms.ImageCmsTransform | None:
    """Return the way from sRGB into the colours of a profile; a scanner's may have only the other way."""
    try:
        return ImageCms.buildTransform(_SRGB, ImageCms.ImageCmsProfile(io.BytesIO(icc)), "RGB", mode)
    except ImageCms.PyCMSError:
        return None
