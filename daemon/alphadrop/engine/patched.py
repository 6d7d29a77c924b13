"""A photograph that is another in places: no copy of the whole is made for who only reads it once."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from alphadrop.engine.pixels import pixels

__all__ = ["Patch", "Patched"]


@dataclass(frozen=True, slots=True)
class Patch:
    """A rectangle of other pixels."""

    left: int
    top: int
    pixels: NDArray[np.uint8]
    """Shape (h, w, 4 or 1), as `pixels` has it."""


@dataclass(frozen=True, slots=True)
class Patched:
    """A photograph with patches, which are put in where a part of it is asked for."""

    image: Image.Image
    """Mode L or RGB."""
    patches: tuple[Patch, ...] = ()

    @property
    def mode(self) -> str:
        """Pillow's mode of it."""
        return self.image.mode

    def rows(self, top: int, bottom: int) -> NDArray[np.uint8]:
        """Return some rows, for reading only; shape (bottom - top, W, 4 or 1) as `pixels` has it."""
        rows = pixels(self.image)[top:bottom]
        touched = [patch for patch in self.patches if patch.top < bottom and top < patch.top + len(patch.pixels)]
        if touched:
            rows = rows.copy()
        for patch in touched:
            height, width, _ = patch.pixels.shape
            first, last = max(top, patch.top), min(bottom, patch.top + height)
            place = rows[first - top : last - top, patch.left : patch.left + width]
            place[:] = patch.pixels[first - patch.top : last - patch.top]
        return rows

    def whole(self) -> Image.Image:
        """Return all of it as a new image."""
        whole = self.image.copy()
        for patch in self.patches:
            part = patch.pixels[..., :3] if self.mode == "RGB" else patch.pixels[..., 0]
            whole.paste(Image.fromarray(part), (patch.left, patch.top))
        return whole
