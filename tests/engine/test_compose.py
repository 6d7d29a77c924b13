"""A matted photograph to a finished picture: straight alpha, framing, and backgrounds in the right colours."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageCms

from alphadrop.engine.compose import cutout_picture, enlargement, mask_picture
from alphadrop.engine.encode import Picture
from alphadrop.engine.masks import near
from alphadrop.engine.options import EDGES, Canvas, CutOptions, Edges, from_preset
from alphadrop.engine.photo import Photo, to_srgb
from alphadrop.engine.straight import REACH
from alphadrop.errors import CannotRead
from icc_profiles import SRGB, grey_profile, one_way_profile, wide_profile

SIZE = (120, 90)


@pytest.fixture
def alpha() -> NDArray[np.uint8]:
    """A disc with a soft edge; shape (90, 120)."""
    rows, columns = np.ogrid[: SIZE[1], : SIZE[0]]
    distance = np.hypot(rows - 45, columns - 50)
    disc: NDArray[np.uint8] = np.rint(np.clip((30 - distance) / 6 + 0.5, 0, 1) * 255).astype(np.uint8)
    return disc


def photo(mode: str = "RGB", icc: bytes | None = None, seed: int = 0) -> Photo:
    """Noise, in which every pixel that is changed can be told, and none is zero."""
    pixels = np.random.default_rng(seed).integers(1, 256, (SIZE[1], SIZE[0], 3), dtype=np.uint8)
    return Photo("photo", Image.fromarray(pixels if mode == "RGB" else pixels[..., 0]), icc=icc)


def colours(image: Image.Image) -> NDArray[np.uint8]:
    return np.atleast_3d(np.asarray(image))


def finished(picture: Picture) -> Image.Image:
    return Image.fromarray(np.squeeze(pixels_of(picture)))


# Straight alpha


def pixels_of(picture: Picture) -> NDArray[np.uint8]:
    return np.asarray(picture.pixels)


@pytest.mark.parametrize("mode", ["RGB", "L"])
@pytest.mark.parametrize("edges", EDGES)
def test_opaque_pixels_are_the_photographs_own_to_the_bit(alpha: NDArray[np.uint8], mode: str, edges: Edges) -> None:
    taken = photo(mode)
    pixels = pixels_of(cutout_picture(taken, alpha, CutOptions(edges=edges)))
    assert pixels.shape == (*alpha.shape, 4 if mode == "RGB" else 2)
    np.testing.assert_array_equal(pixels[..., :-1][alpha == 255], colours(taken.image)[alpha == 255])
    np.testing.assert_array_equal(pixels[..., -1], alpha)


@pytest.mark.parametrize("mode", ["RGB", "L"])
def test_plain_edges_leave_every_colour_near_the_subject_as_it_was(alpha: NDArray[np.uint8], mode: str) -> None:
    taken = photo(mode)
    pixels = pixels_of(cutout_picture(taken, alpha, CutOptions(edges="plain")))
    around = near(alpha > 0, REACH)
    np.testing.assert_array_equal(pixels[..., :-1][around], colours(taken.image)[around])


@pytest.mark.parametrize("mode", ["RGB", "L"])
@pytest.mark.parametrize("edges", EDGES)
def test_colour_is_zero_farther_than_two_pixels_and_only_there(
    alpha: NDArray[np.uint8], mode: str, edges: Edges
) -> None:
    bright = photo(mode)
    bright = replace(bright, image=bright.image.point([150 + value * 2 // 5 for value in range(256)] * len(mode)))
    pixels = pixels_of(cutout_picture(bright, alpha, CutOptions(edges=edges)))[..., :-1]
    around = near(alpha > 0, 2)
    assert not pixels[~around].any()
    assert pixels[around].all()


@pytest.mark.parametrize("edges", EDGES)
def test_colours_are_never_multiplied_by_alpha(alpha: NDArray[np.uint8], edges: Edges) -> None:
    white = Photo("white", Image.new("RGB", SIZE, (250, 240, 230)))
    pixels = pixels_of(cutout_picture(white, alpha, CutOptions(edges=edges)))
    around = near(alpha > 0, 2)
    assert np.abs(pixels[..., :3][around].astype(int) - (250, 240, 230)).max() <= 2


@pytest.mark.parametrize("value", [0, 255])
@pytest.mark.parametrize("mode", ["RGB", "L"])
def test_matte_of_nothing_or_everything(value: int, mode: str) -> None:
    taken = photo(mode)
    pixels = pixels_of(cutout_picture(taken, np.full(SIZE[::-1], value, np.uint8), CutOptions()))
    np.testing.assert_array_equal(pixels[..., :-1], colours(taken.image) * (value // 255))


def test_photograph_and_matte_are_left_as_they_were(alpha: NDArray[np.uint8]) -> None:
    taken, before = photo(), alpha.copy()
    bytes_before = taken.image.tobytes()
    for options in (CutOptions(), from_preset("shop-square"), CutOptions(crop="subject", background=(1, 2, 3))):
        cutout_picture(taken, alpha, options)
        mask_picture(taken, alpha, options)
    assert taken.image.tobytes() == bytes_before
    np.testing.assert_array_equal(alpha, before)


def test_what_belongs_to_the_photograph_goes_with_it(alpha: NDArray[np.uint8]) -> None:
    taken = Photo("photo", photo().image, icc=SRGB, dpi=(300, 300), exif=b"II*\0")
    for options in (CutOptions(), CutOptions(crop="subject"), CutOptions(background=(9, 9, 9))):
        picture = cutout_picture(taken, alpha, options)
        assert (picture.icc, picture.dpi, picture.exif) == (SRGB, (300, 300), b"II*\0")


# Framing


def test_crop_takes_the_pixels_as_they_are(alpha: NDArray[np.uint8]) -> None:
    whole = pixels_of(cutout_picture(photo(), alpha, CutOptions()))
    cropped = pixels_of(cutout_picture(photo(), alpha, CutOptions(crop="subject")))
    rows, columns = np.nonzero(alpha >= 13)
    wanted = whole[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1]
    np.testing.assert_array_equal(cropped, wanted)


@pytest.mark.parametrize("mode", ["RGB", "L"])
def test_mask_is_framed_like_the_cut_out(alpha: NDArray[np.uint8], mode: str) -> None:
    for options in (CutOptions(), CutOptions(crop="subject", margin=0.1), from_preset("sticker")):
        mask = mask_picture(photo(mode), alpha, options)
        cutout = cutout_picture(photo(mode), alpha, options)
        assert pixels_of(mask).shape == (*pixels_of(cutout).shape[:2], 1)
        assert np.abs(pixels_of(mask)[..., 0].astype(int) - pixels_of(cutout)[..., -1]).max() <= 1


def test_scaling_shows_no_dark_rim(alpha: NDArray[np.uint8]) -> None:
    bright = Photo("bright", Image.new("RGB", SIZE, (250, 240, 230)))
    options = CutOptions(crop="subject", margin=0.05, canvas=Canvas(size=(500, 400)))
    pixels = pixels_of(cutout_picture(bright, alpha, options))
    seen = pixels[..., 3] > 40  # below, eight bits cannot hold the colour while it is scaled
    off = np.abs(pixels[..., :3][seen].astype(int) - (250, 240, 230))
    assert off.max() < 20
    assert off.mean() < 2


def test_enlargement_is_told() -> None:
    alpha = np.full((10, 20), 255, np.uint8)
    assert enlargement(alpha, CutOptions()) == 1
    assert enlargement(alpha, CutOptions(crop="subject", canvas=Canvas(size=(200, 100)))) == 10


def test_shop_square_is_white_and_the_subject_fills_85_percent(alpha: NDArray[np.uint8]) -> None:
    dark = Photo("dark", Image.new("RGB", SIZE, (20, 40, 60)))
    picture = cutout_picture(dark, alpha, from_preset("shop-square"))
    assert picture.size == (2000, 2000)
    assert pixels_of(picture).shape[2] == 3
    assert pixels_of(picture)[0, 0].tolist() == [255, 255, 255]
    rows, columns = np.nonzero(pixels_of(picture).min(axis=2) < 245)
    longer = max(np.ptp(rows), np.ptp(columns)) + 1
    assert longer == pytest.approx(1700, abs=2)


# Backgrounds


def seen_in_srgb(picture: Picture) -> NDArray[np.uint8]:
    """The pixels as a screen shows them; shape (H, W, 3)."""
    return np.asarray(to_srgb(finished(picture), picture.icc))


@pytest.mark.parametrize("colour", [(255, 255, 255), (240, 240, 240), (200, 30, 60), (0, 0, 0)])
@pytest.mark.parametrize("mode", ["RGB", "L"])
def test_background_has_exactly_its_colour(alpha: NDArray[np.uint8], colour: tuple[int, int, int], mode: str) -> None:
    picture = cutout_picture(photo(mode), alpha, CutOptions(background=colour))
    assert (seen_in_srgb(picture)[alpha == 0] == colour).all()
    wanted = colours(photo(mode).image.convert("RGB"))
    np.testing.assert_array_equal(seen_in_srgb(picture)[alpha == 255], wanted[alpha == 255])


def test_grey_photograph_on_grey_stays_grey(alpha: NDArray[np.uint8]) -> None:
    assert cutout_picture(photo("L"), alpha, CutOptions(background=(240, 240, 240))).pixels.shape[2] == 1
    assert cutout_picture(photo("L"), alpha, CutOptions(background=(240, 240, 241))).pixels.shape[2] == 3


@pytest.mark.parametrize("colour", [(255, 255, 255), (240, 240, 240), (128, 128, 128), (150, 120, 100)])
@pytest.mark.parametrize(
    ("mode", "profile"), [("RGB", wide_profile()), ("L", grey_profile(1.0)), ("L", grey_profile(2.2))]
)
def test_background_has_its_colour_in_a_photograph_of_another_profile(
    alpha: NDArray[np.uint8], colour: tuple[int, int, int], mode: str, profile: bytes
) -> None:
    picture = cutout_picture(photo(mode, profile), alpha, CutOptions(background=colour))
    assert np.abs(seen_in_srgb(picture)[alpha == 0].astype(int) - colour).max() <= 2
    if len(set(colour)) == 1 or mode == "RGB":
        assert picture.icc == profile
        np.testing.assert_array_equal(pixels_of(picture)[alpha == 255], colours(photo(mode).image)[alpha == 255])
    else:
        assert picture.icc is None


def test_photograph_whose_profile_has_no_way_back_becomes_srgb(alpha: NDArray[np.uint8]) -> None:
    taken = photo("RGB", one_way_profile())
    picture = cutout_picture(taken, alpha, CutOptions(background=(240, 200, 100)))
    assert picture.icc is None
    assert (pixels_of(picture)[alpha == 0] == (240, 200, 100)).all()
    wanted = np.asarray(to_srgb(taken.image, taken.icc))
    np.testing.assert_array_equal(pixels_of(picture)[alpha == 255], wanted[alpha == 255])


def test_background_mixes_with_the_subject_by_its_alpha(alpha: NDArray[np.uint8]) -> None:
    flat = Photo("flat", Image.new("RGB", SIZE, (200, 100, 0)))
    picture = cutout_picture(flat, alpha, CutOptions(background=(0, 100, 200), edges="plain"))
    part = alpha[..., np.newaxis] / 255
    wanted = part * (200, 100, 0) + (1 - part) * (0, 100, 200)
    assert np.abs(pixels_of(picture) - wanted).max() <= 1


@pytest.fixture
def wall(tmp_path: Path) -> Path:
    """A picture of another shape: red on the left, blue on the right."""
    image = Image.new("RGB", (300, 40), (255, 0, 0))
    image.paste((0, 0, 255), (150, 0, 300, 40))
    image.save(tmp_path / "wall.png")
    return tmp_path / "wall.png"


@pytest.mark.parametrize("mode", ["RGB", "L"])
def test_background_picture_covers_everything_and_keeps_its_proportion(
    alpha: NDArray[np.uint8], wall: Path, mode: str
) -> None:
    options = CutOptions(background=wall, canvas=Canvas(size=(400, 400)))
    picture = cutout_picture(photo(mode), alpha, options)
    assert pixels_of(picture).shape == (400, 400, 3)
    assert pixels_of(picture)[5, 5].tolist() == [255, 0, 0]
    assert pixels_of(picture)[395, 395].tolist() == [0, 0, 255]
    middle = pixels_of(picture)[5].astype(int)
    assert np.count_nonzero(middle[:, 0] > middle[:, 2]) == pytest.approx(200, abs=3)


def test_background_picture_is_upright_and_in_srgb(alpha: NDArray[np.uint8], tmp_path: Path) -> None:
    profile = wide_profile()
    own = ImageCms.ImageCmsProfile(io.BytesIO(profile))
    top_red = Image.new("RGB", (40, 40), (180, 60, 50))
    top_red.paste((50, 60, 180), (0, 20, 40, 40))
    srgb = ImageCms.ImageCmsProfile(io.BytesIO(SRGB))
    stored = ImageCms.profileToProfile(top_red, srgb, own)
    assert stored is not None
    exif = Image.Exif()
    exif[274] = 3
    stored.transpose(Image.Transpose.ROTATE_180).save(tmp_path / "turned.png", exif=exif, icc_profile=profile)
    picture = cutout_picture(photo(), np.zeros_like(alpha), CutOptions(background=tmp_path / "turned.png"))
    assert np.abs(pixels_of(picture)[5, 5].astype(int) - (180, 60, 50)).max() <= 3
    assert np.abs(pixels_of(picture)[-5, 5].astype(int) - (50, 60, 180)).max() <= 3


def test_background_picture_that_cannot_be_used_is_an_error_that_names_it(
    alpha: NDArray[np.uint8], tmp_path: Path
) -> None:
    (tmp_path / "text.jpg").write_text("no picture")
    Image.new("RGB", (50, 50)).save(tmp_path / "whole.png")
    (tmp_path / "half.png").write_bytes((tmp_path / "whole.png").read_bytes()[:60])
    for name in ("absent.jpg", "text.jpg", "half.png"):
        with pytest.raises(CannotRead, match=name):  # which passes: the photograph itself is not at fault
            cutout_picture(photo(), alpha, CutOptions(background=tmp_path / name))
