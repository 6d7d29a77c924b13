"""A Pillow image's own memory as a numpy array.

Pillow gives it out by the C data interface of Arrow (https://arrow.apache.org/docs/format/CDataInterface.html) where it
is in one block. What numpy is given otherwise is a copy, for which the whole image is gone through twice.
"""

from __future__ import annotations

import contextlib
import ctypes
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from alphadrop.memory import prefer_large_pages

__all__ = ["pixels", "prepare_memory", "words"]

# Pillow puts large images together from blocks of 16 MB unless it is told otherwise.
Image.core.set_use_block_allocator(True)  # type: ignore[attr-defined]


class _ArrowArray(ctypes.Structure):
    pass


_ArrowArray._fields_ = [
    ("length", ctypes.c_int64),
    ("null_count", ctypes.c_int64),
    ("offset", ctypes.c_int64),
    ("n_buffers", ctypes.c_int64),
    ("n_children", ctypes.c_int64),
    ("buffers", ctypes.POINTER(ctypes.c_void_p)),
    ("children", ctypes.POINTER(ctypes.POINTER(_ArrowArray))),
    ("dictionary", ctypes.c_void_p),
    ("release", ctypes.c_void_p),
    ("private_data", ctypes.c_void_p),
]
_address_in = ctypes.pythonapi.PyCapsule_GetPointer
_address_in.restype = ctypes.c_void_p
_address_in.argtypes = [ctypes.py_object, ctypes.c_char_p]


@dataclass(frozen=True, slots=True)
class _Memory:
    """What numpy makes an array of, and keeps as long as that."""

    __array_interface__: dict[str, Any]
    image: object
    """The capsule that holds the image."""


def pixels(image: Image.Image) -> NDArray[np.uint8]:
    """Return the pixels of an image, for reading only: its own memory, or a copy where that is not in one block.

    Args:
        image: mode RGB or L.

    Returns:
        Shape (H, W, 4) for RGB, the fourth value being nothing, and (H, W, 1) for L.
    """
    shape = (image.height, image.width, _bytes_of_pixel(image))
    try:
        _, capsule = image.__arrow_c_array__()
    except ValueError:
        return np.asarray(image.convert("RGBX") if image.mode == "RGB" else image).reshape(shape)
    interface = {"version": 3, "typestr": "|u1", "shape": shape, "data": (_address_of(capsule), True)}
    return np.asarray(_Memory(interface, capsule))


def words(pixels: NDArray[np.uint8]) -> NDArray[Any]:
    """Return pixels of shape (h, w, 4) or (h, w, 1) as numbers of shape (h, w), the first value in the lowest bits.

    What is done to whole numbers one after the other is several times as fast as to every fourth byte.
    """
    numbers: NDArray[Any] = pixels.view("<i4" if pixels.shape[2] == 4 else np.uint8)[..., 0]
    return numbers


def prepare_memory(image: Image.Image) -> None:
    """Let an image that nothing was written to yet have its pixels in large pages, where it is in one block.

    Args:
        image: mode RGB or L; one that is being opened is not decoded by this.
    """
    with contextlib.suppress(ValueError):
        block = _address_of(image.im.__arrow_c_array__())
        prefer_large_pages(block, image.height * image.width * _bytes_of_pixel(image))


def _bytes_of_pixel(image: Image.Image) -> int:
    return 4 if image.mode == "RGB" else 1


def _address_of(capsule: object) -> int:
    """Return where the block of an image is, given its Arrow array."""
    array = ctypes.cast(_address_in(capsule, b"arrow_array"), ctypes.POINTER(_ArrowArray)).contents
    values = array.children[0].contents if array.n_children else array
    address: int = values.buffers[1]
    return address
