"""The steps of the walk, where it can be said beforehand what is drawn of them."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from alphadrop.engine.explain import Explanation, Shown, compare
from alphadrop.engine.photo import from_image
from alphadrop.engine.stage_walk import ENDS, draw_walk, walk_names


def explained(value: float = 1) -> Explanation:
    """A stage and two maps that are bright in the top left quarter."""
    stage, side = np.zeros((3, 20, 20), np.float32), np.zeros((1, 40, 40), np.float32)
    stage[:, :10, :10] = value * np.asarray([0.5, 0.8, 1])[:, np.newaxis, np.newaxis]
    side[:, :20, :20] = 1
    view = np.full((40, 40, 3), 128, np.uint8)
    return Explanation(
        "tiny", view, (Shown("en1", "sum", stage),), (Shown("side-1", "map", side),), Shown("fused", "map", side)
    )


@pytest.mark.parametrize("mode", ["RGB", "L", "RGBA"])
@pytest.mark.parametrize("size", [(90, 60), (10, 400), (1, 1)], ids=str)
def test_every_step_has_the_same_size(size: tuple[int, int], mode: str) -> None:
    drawn = dict(draw_walk(explained(), from_image(Image.new(mode, size, "grey"))))
    steps = [walk_names(each, compared=False) for each in explained().all]
    assert [list(ways) for ways in steps] == [["mean", "channels", "components"], ["map", "over"], ["map", "over"]]
    assert set(drawn) == {*ENDS.values(), *(file for ways in steps for file in ways.values())}
    assert len({picture.size for picture in drawn.values()}) == 1
    assert {picture.mode for picture in drawn.values()} == {"RGB"}


def test_steps_are_bright_where_the_network_is() -> None:
    drawn = dict(draw_walk(explained(), from_image(Image.new("RGB", (90, 60), "grey"))))
    for name in ("walk-en1-mean.jpg", "walk-en1-components.jpg", "walk-fused-map.jpg", "walk-alpha.jpg"):
        grey = np.asarray(drawn[name].convert("L"), float)
        assert grey[:200, :300].mean() > grey[280:, 400:].mean() + 60, name


def test_of_two_networks_the_differences_are_steps_too() -> None:
    photo = from_image(Image.new("RGB", (90, 60), "grey"))
    drawn = dict(draw_walk(explained(), photo, compare(explained(), explained(2))))
    assert walk_names(explained().stages[0], compared=True)["difference"] == "walk-en1-difference.jpg"
    assert np.asarray(drawn["walk-en1-difference.jpg"])[:200, :300].mean() > 200
    assert np.asarray(drawn["walk-fused-difference.jpg"]).max() < 10
