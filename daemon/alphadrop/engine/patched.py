"""A photograph that is another in places: no copy of the whole is made for who only reads it once."""

from __future__ import annotations

from dataclasses import dataclass

from PIL import Image

__all__ = ["Patch", "Patched"]


@dataclass(frozen=True, slots=True)
class Patch:
    """A rectangle of other pixels."""

    left: int
    top: int
    image: Image.Image


@dataclass(frozen=True, slots=True)
class Patched:
    """A photograph with patches, which are put in where a part of it is asked for."""

    image: Image.Image
    patches: tuple[Patch, ...] = ()

    @property
    def mode(self) -> str:
        """Pillow's mode of it."""
        return self.image.mode

    def crop(self, box: tuple[int, int, int, int]) -> Image.Image:
        """Return a new image of what is within left, top, right and bottom."""
        left, top, _, bottom = box
        part = self.image.crop(box)
        for patch in self.patches:
            if patch.top < bottom and top < patch.top + patch.image.height:
                part.paste(patch.image, (patch.left - left, patch.top - top))
        return part

    def whole(self) -> Image.Image:
        """Return all of it as a new image."""
        return self.crop((0, 0, *self.image.size))
