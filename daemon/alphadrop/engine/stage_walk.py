"""The way through a network, step by step: pictures of one size and without words, to be laid over each other.

Apart from the sheets, which are for reading: these are for whoever writes the words himself, in a language of his own.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from PIL import Image

from alphadrop.engine.explain import Difference, Explanation, Shown
from alphadrop.engine.photo import Photo
from alphadrop.engine.stage_panels import (
    alpha_at,
    blended,
    components_of,
    fitted,
    grey,
    grid,
    mean_over,
    over_chequers,
    photo_at,
    strongest_channels,
    where_apart,
)

__all__ = ["ENDS", "draw_walk", "walk_names"]

_WIDTH = 720
"""Of a picture, in pixels."""
_STAGE_WAYS, _MAP_WAYS = ("mean", "channels", "components"), ("map", "over")
ENDS: Mapping[str, str] = {name: f"walk-{name}.jpg" for name in ("photograph", "alpha", "cutout")}
"""The first and the last steps, and the files of their pictures."""


def walk_names(shown: Shown, *, compared: bool) -> dict[str, str]:
    """Return the ways in which a stage or a map is shown, and the file of each.

    Args:
        shown: the stage: `mean`, `channels` and `components`; or the map: `map` and `over`.
        compared: whether there is a `difference`, too.
    """
    ways = [*(_MAP_WAYS if shown.is_map else _STAGE_WAYS), *(["difference"] if compared else [])]
    return {way: f"walk-{shown.name}-{way}.jpg" for way in ways}


def draw_walk(
    explanation: Explanation, photo: Photo, differences: Sequence[Difference] = ()
) -> Iterator[tuple[str, Image.Image]]:
    """Draw the steps from the photograph to its matte, one picture after the other.

    Args:
        explanation: what the network made of it.
        photo: the photograph itself.
        differences: to another network, as `compare` returns them.

    Returns:
        File names and pictures, mode RGB, all of one size: those of `ENDS` and of `walk_names`.
    """
    small = photo_at(photo, fitted(photo.size, _WIDTH))
    alpha_before = None if photo.alpha is None else photo.alpha.resize(small.size)
    alpha = alpha_at(explanation, replace(photo, image=small, alpha=alpha_before, icc=None), small.size)
    yield ENDS["photograph"], small
    yield ENDS["alpha"], alpha.convert("RGB")
    yield ENDS["cutout"], over_chequers(photo, small, alpha)
    for place, shown in enumerate(explanation.all):
        names = walk_names(shown, compared=bool(differences))
        for way, picture in _drawn(shown, small):
            yield names[way], picture
        if differences:
            yield names["difference"], where_apart(differences[place], small.size)


def _drawn(shown: Shown, small: Image.Image) -> Iterator[tuple[str, Image.Image]]:
    if shown.is_map:
        yield "map", grey(shown.array[0], small.size)
        yield "over", blended(shown.array[0], small)
    else:
        yield "mean", mean_over(shown, small)
        yield "channels", grid(shown.array, strongest_channels(shown.array), small.size)
        yield "components", components_of(shown.array).drawn(small.size)
