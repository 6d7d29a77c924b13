"""The photographs that are measured with, at any size.

They are a camera's where ALPHADROP_PHOTOS names a folder of them, scikit-image's otherwise.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from PIL import Image, ImageOps

_PICTURES = ("astronaut", "coffee", "chelsea", "rocket")
"""Of scikit-image."""
_CAMERA_PIXELS = 12_000_000


def camera_photograph(pixels: int) -> Image.Image:
    """Return a real photograph at about so many pixels, mode RGB."""
    folder = os.environ.get("ALPHADROP_PHOTOS")
    if folder:
        picture = Image.open(Path(folder, "vintage_car.jpg")).convert("RGB")
    else:
        from skimage import data

        picture = Image.fromarray(data.astronaut())
    return _scaled(picture, pixels)


def lay_out(folder: Path, pixels: int | None = None, *, few: bool = False) -> list[Path]:
    """Write photographs into a folder as JPEG files, and return their paths.

    Args:
        folder: is made where it is missing.
        pixels: about so many each; None leaves a camera's files as they are.
        few: every fifth of them.
    """
    folder.mkdir(exist_ok=True)
    files = []
    for name, source in _sources()[:: 5 if few else 1]:
        file = folder / f"{name}.jpg"
        if pixels is None and isinstance(source, Path):
            shutil.copyfile(source, file)
        else:
            picture = Image.open(source) if isinstance(source, Path) else source
            upright = ImageOps.exif_transpose(picture).convert("RGB")
            _scaled(upright, pixels or _CAMERA_PIXELS).save(file, quality=92)
        files.append(file)
    return files


def _sources() -> list[tuple[str, Path | Image.Image]]:
    folder = os.environ.get("ALPHADROP_PHOTOS")
    if folder:
        return [(path.stem, path) for path in sorted(Path(folder).glob("*.jpg"))]
    from skimage import data

    return [(name, Image.fromarray(getattr(data, name)())) for name in _PICTURES]


def _scaled(picture: Image.Image, pixels: int) -> Image.Image:
    scale = (pixels / (picture.width * picture.height)) ** 0.5
    return picture.resize((round(picture.width * scale), round(picture.height * scale)), Image.Resampling.LANCZOS)
