"""Crop, margin, aspect and canvas: pure geometry, tried on a few plain cases and on many random ones."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from alphadrop.engine.framing import Frame, frame, subject_box
from alphadrop.engine.options import ALIGNMENTS, Alignment, Canvas, CutOptions, from_preset
from alphadrop.errors import BadOptions


def matte(size: tuple[int, int], box: tuple[int, int, int, int]) -> NDArray[np.uint8]:
    """A matte of that width and height, opaque in the box."""
    alpha = np.zeros(size[::-1], np.uint8)
    alpha[box[1] : box[3], box[0] : box[2]] = 255
    return alpha


def framed(alpha: NDArray[np.uint8], **options: object) -> Frame:
    found = frame(alpha, CutOptions(**options))  # type: ignore[arg-type]
    assert found is not None
    return found


SUBJECT = matte((100, 80), (20, 10, 60, 70))
"""40 wide, 60 high."""


def test_box_is_what_can_be_seen() -> None:
    assert subject_box(SUBJECT) == (20, 10, 60, 70)
    faint = SUBJECT.copy()
    faint[0, 0] = 12
    assert subject_box(faint) == (20, 10, 60, 70)
    faint[0, 0] = 13
    assert subject_box(faint) == (0, 0, 60, 70)


@pytest.mark.parametrize("value", [0, 12])
def test_nothing_to_see_has_no_box(value: int) -> None:
    assert subject_box(np.full((5, 5), value, np.uint8)) is None


@pytest.mark.parametrize("box", [(0, 0, 1, 1), (99, 79, 100, 80), (0, 0, 100, 80), (7, 0, 8, 80)])
def test_box_at_the_borders(box: tuple[int, int, int, int]) -> None:
    assert subject_box(matte((100, 80), box)) == box


def test_defaults_leave_the_photograph_as_it_is() -> None:
    assert frame(SUBJECT, CutOptions()) is None


def test_crop_to_the_subject() -> None:
    assert framed(SUBJECT, crop="subject") == Frame((20, 10, 60, 70), (40, 60), (0, 0), (40, 60))


def test_margin_is_a_part_of_the_longer_finished_side() -> None:
    found = framed(SUBJECT, crop="subject", margin=0.1)
    assert found.size == (40 + 2 * 7.5, 75)
    assert found.offset[1] in (7, 8)


def test_margin_may_reach_beyond_the_photograph() -> None:
    found = framed(matte((100, 80), (0, 0, 100, 80)), crop="subject", margin=0.25)
    assert found.size == (200, 180)
    assert found.offset == (50, 50)


def test_size_scales_the_subject_into_the_canvas() -> None:
    found = framed(SUBJECT, crop="subject", canvas=Canvas(size=(300, 300)))
    assert (found.placed, found.size, found.offset) == ((200, 300), (300, 300), (50, 0))
    assert found.scale == 5


def test_size_without_crop_takes_the_whole_photograph() -> None:
    found = framed(SUBJECT, canvas=Canvas(size=(50, 50)))
    assert (found.window, found.placed, found.offset) == ((0, 0, 100, 80), (50, 40), (0, 5))


@pytest.mark.parametrize(("aspect", "size"), [(1.0, (100, 100)), (2.0, (160, 80)), (0.5, (100, 200))])
def test_aspect_extends_and_never_cuts(aspect: float, size: tuple[int, int]) -> None:
    found = framed(SUBJECT, canvas=Canvas(aspect=aspect))
    assert (found.size, found.placed, found.window) == (size, (100, 80), (0, 0, 100, 80))


@pytest.mark.parametrize("align", ALIGNMENTS)
def test_alignment_moves_the_subject_to_its_side(align: Alignment) -> None:
    wide = framed(matte((100, 100), (0, 0, 40, 60)), canvas=Canvas(size=(200, 100), align=align))
    assert wide.offset == {"left": (0, 0), "right": (100, 0)}.get(align, (50, 0))
    tall = framed(matte((100, 100), (0, 0, 40, 60)), canvas=Canvas(size=(100, 200), align=align))
    assert tall.offset == {"top": (0, 0), "bottom": (0, 100)}.get(align, (0, 50))


def random_case(rng: np.random.Generator) -> tuple[NDArray[np.uint8], tuple[int, int, int, int]]:
    width, height = int(rng.integers(1, 400)), int(rng.integers(1, 400))
    left, top = int(rng.integers(width)), int(rng.integers(height))
    box = (left, top, int(rng.integers(left, width)) + 1, int(rng.integers(top, height)) + 1)
    return matte((width, height), box), box


def free(found: Frame) -> tuple[int, int, int, int]:
    """What is left free at left, top, right and bottom."""
    (left, top), (width, height) = found.offset, found.placed
    return left, top, found.size[0] - left - width, found.size[1] - top - height


def test_subject_keeps_its_margin_on_a_canvas_of_any_size() -> None:
    rng = np.random.default_rng(7)
    tried = 0
    while tried < 2000:
        alpha, box = random_case(rng)
        size = (int(rng.integers(1, 2000)), int(rng.integers(1, 2000)))
        margin = float(rng.choice([0, 0.05, 0.2, 0.45]))
        align: Alignment = ALIGNMENTS[int(rng.integers(len(ALIGNMENTS)))]
        try:
            options = CutOptions(crop="subject", margin=margin, canvas=Canvas(size=size, align=align))
        except BadOptions:
            assert 2 * margin * max(size) >= min(size)
            continue
        tried += 1
        found = frame(alpha, options)
        assert found is not None
        assert found.window == box
        assert found.size == size
        wanted = margin * max(size)
        assert min(free(found)) >= wanted - 1.01, (found, wanted)
        if min(found.placed) > 1:  # where a side would vanish it is kept at a pixel
            across, down = (side - 2 * wanted for side in size)
            assert abs(found.placed[0] - across) <= 1 or abs(found.placed[1] - down) <= 1, "it fills one side"


def test_subject_keeps_its_margin_at_any_aspect() -> None:
    rng = np.random.default_rng(8)
    tried = 0
    while tried < 2000:
        alpha, box = random_case(rng)
        aspect = None if rng.random() < 0.3 else float(np.exp(rng.uniform(np.log(0.05), np.log(20))))
        margin = float(rng.choice([0, 0.05, 0.2, 0.45]))
        align: Alignment = ALIGNMENTS[int(rng.integers(len(ALIGNMENTS)))]
        try:
            options = CutOptions(crop="subject", margin=margin, canvas=Canvas(aspect=aspect, align=align))
        except BadOptions:
            assert aspect is not None
            assert 2 * margin * max(aspect, 1 / aspect) >= 1
            continue
        tried += 1
        try:
            found = frame(alpha, options)
        except BadOptions as error:
            assert "pixels" in error.message  # noqa: PT017 - larger than any canvas, by margin and aspect
            continue
        assert found is not None
        assert found.window == box
        assert found.placed == (box[2] - box[0], box[3] - box[1]), "without a size nothing is scaled"
        assert min(free(found)) >= margin * max(found.size) - 1.01, (found, margin, aspect)
        if aspect is not None:
            width, height = found.size
            assert abs(width - height * aspect) <= 1 + aspect


def test_whole_photograph_is_inside_any_canvas() -> None:
    rng = np.random.default_rng(9)
    for _ in range(500):
        alpha, _box = random_case(rng)
        size = (int(rng.integers(1, 500)), int(rng.integers(1, 500)))
        found = framed(alpha, canvas=Canvas(size=size))
        assert found.window == (0, 0, *alpha.shape[::-1])
        assert min(free(found)) >= 0


def test_alignment_stands_at_its_side_with_the_margin() -> None:
    rng = np.random.default_rng(10)
    for _ in range(500):
        alpha, _box = random_case(rng)
        for align in ALIGNMENTS:
            found = framed(alpha, crop="subject", margin=0.05, canvas=Canvas(size=(400, 300), align=align))
            left, top, right, bottom = free(found)
            side = {"left": left, "right": right, "top": top, "bottom": bottom}
            if align == "centre":
                assert abs(left - right) <= 1
                assert abs(top - bottom) <= 1
            else:
                assert side[align] == pytest.approx(20, abs=1)


def test_growth_beyond_every_canvas_is_refused_not_tried() -> None:
    alpha = np.full((4000, 4000), 255, np.uint8)
    with pytest.raises(BadOptions, match="40000 x 40000"):
        framed(alpha, crop="subject", margin=0.45)
    with pytest.raises(BadOptions, match="pixels"):
        framed(alpha, canvas=Canvas(aspect=20))
    large = np.full((1, 31_000), 255, np.uint8)
    assert framed(large, crop="subject").size == (31_000, 1)


def test_shop_square_fills_85_percent_of_the_longer_side() -> None:
    found = frame(SUBJECT, from_preset("shop-square"))
    assert found is not None
    assert found.size == (2000, 2000)
    assert max(found.placed) == 1700


def test_enlargement_is_the_scale() -> None:
    assert framed(SUBJECT, crop="subject", canvas=Canvas(size=(80, 120))).scale == 2
    assert framed(SUBJECT, crop="subject", margin=0.1).scale == 1
