"""The photograph that is measured with, at any size."""

from __future__ import annotations

import os
from pathlib import Path

from PIL import Image


def camera_photograph(pixels: int) -> Image.Image:
    """Return a real photograph at about so many pixels, mode RGB.

    It is a camera's where ALPHADROP_PHOTOS names a folder of them, one of scikit-image's otherwise.
    """
    folder = os.environ.get("ALPHADROP_PHOTOS")
    if folder:
        picture = Image.open(Path(folder, "vintage_car.jpg")).convert("RGB")
    else:
        from skimage import data

        picture = Image.fromarray(data.astronaut())
    scale = (pixels / (picture.width * picture.height)) ** 0.5
    return picture.resize((round(picture.width * scale), round(picture.height * scale)), Image.Resampling.LANCZOS)
