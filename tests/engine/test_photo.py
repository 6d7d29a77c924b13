"""Guarded decode: what is opened, how it looks then, what comes with it, and what is refused."""

from __future__ import annotations

import errno
import io
import itertools
import struct
import sys
import warnings
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import ExifTags, Image, ImageCms, ImageFile

from alphadrop.engine.photo import SUFFIXES, Photo, count_pixels, decode, from_image
from alphadrop.errors import AlphadropError, CannotRead, DamagedPhoto, EmptyPhoto, PhotoTooLarge, UnsupportedFormat
from icc_profiles import SRGB, cmyk_profile, empty_profile, grey_profile, wide_profile

Transposed = Image.Transpose
AS_STORED = {
    1: None,
    2: Transposed.FLIP_LEFT_RIGHT,
    3: Transposed.ROTATE_180,
    4: Transposed.FLIP_TOP_BOTTOM,
    5: Transposed.TRANSPOSE,
    6: Transposed.ROTATE_90,
    7: Transposed.TRANSVERSE,
    8: Transposed.ROTATE_270,
}
"""How a camera held that way stores an upright picture."""


def decoded(data: bytes, name: str = "photo.jpg", max_pixels: int = 10**9, keep_gps: bool = False) -> Photo:
    return decode(io.BytesIO(data), name, max_pixels=max_pixels, keep_gps=keep_gps)


def encoded(image: Image.Image, format: str, **options: object) -> bytes:
    stream = io.BytesIO()
    image.save(stream, format, **options)
    return stream.getvalue()


def pixels(image: Image.Image | None) -> NDArray[np.uint8]:
    assert image is not None
    return np.asarray(image)


@pytest.fixture(scope="module")
def picture(astronaut: NDArray[np.uint8]) -> Image.Image:
    """A small photograph, wider than high, no two quarters alike."""
    return Image.fromarray(astronaut).crop((130, 0, 370, 160)).resize((96, 64))


def difference(one: Image.Image, other: Image.Image) -> float:
    assert one.size == other.size
    return float(np.abs(pixels(one).astype(int) - pixels(other)).mean())


# Orientation


@pytest.mark.parametrize("orientation", AS_STORED)
@pytest.mark.parametrize(("format", "lossless"), [("PNG", {}), ("TIFF", {}), ("WEBP", {"lossless": True})])
def test_every_orientation_comes_out_upright(
    picture: Image.Image, format: str, lossless: dict[str, object], orientation: int
) -> None:
    how = AS_STORED[orientation]
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    stored = picture if how is None else picture.transpose(how)
    photo = decoded(encoded(stored, format, exif=exif, **lossless))
    np.testing.assert_array_equal(pixels(photo.image), pixels(picture))
    assert photo.size == picture.size
    assert photo.exif is None or ExifTags.Base.Orientation not in read_exif(photo.exif)


@pytest.mark.parametrize("orientation", AS_STORED)
def test_jpeg_of_every_orientation_comes_out_upright(picture: Image.Image, orientation: int) -> None:
    how = AS_STORED[orientation]
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    exif[ExifTags.Base.Make] = "maker"
    stored = picture if how is None else picture.transpose(how)
    photo = decoded(encoded(stored, "JPEG", exif=exif, quality=95, subsampling=0))
    assert difference(photo.image, picture) < 2
    assert photo.exif is not None
    assert dict(read_exif(photo.exif)) == {ExifTags.Base.Make: "maker"}


@pytest.mark.parametrize("orientation", [0, 9, 99])
def test_orientation_that_means_nothing_is_ignored(picture: Image.Image, orientation: int) -> None:
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    photo = decoded(encoded(picture, "PNG", exif=exif))
    np.testing.assert_array_equal(pixels(photo.image), pixels(picture))


def test_alpha_and_resolution_turn_with_the_picture(picture: Image.Image) -> None:
    alpha = Image.linear_gradient("L").resize(picture.size)
    upright = picture.convert("RGBA")
    upright.putalpha(alpha)
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 6
    photo = decoded(encoded(upright.transpose(Transposed.ROTATE_90), "PNG", exif=exif, dpi=(300, 150)))
    np.testing.assert_array_equal(pixels(photo.alpha), pixels(alpha))
    assert photo.dpi == pytest.approx((150, 300), abs=0.02)


@pytest.mark.parametrize("orientation", AS_STORED)
def test_picture_not_yet_read_from_its_file_is_turned_once(picture: Image.Image, orientation: int) -> None:
    how = AS_STORED[orientation]
    stored = picture if how is None else picture.transpose(how)
    lazy = Image.open(io.BytesIO(encoded(stored, "TIFF", tiffinfo={274: orientation})))
    np.testing.assert_array_equal(pixels(from_image(lazy).image), pixels(picture))


# Colour


@pytest.mark.parametrize("format", ["PNG", "TIFF", "JPEG", "WEBP"])
def test_rgb_profile_is_carried_bit_for_bit_and_pixels_are_not_converted(picture: Image.Image, format: str) -> None:
    profile = wide_profile()
    lossless = {"lossless": True} if format == "WEBP" else {}
    data = encoded(picture, format, icc_profile=profile, **lossless)
    photo = decoded(data)
    assert photo.icc == profile
    assert photo.warnings == ()
    with Image.open(io.BytesIO(data)) as plain:
        np.testing.assert_array_equal(pixels(photo.image), np.asarray(plain))


@pytest.mark.parametrize("format", ["PNG", "TIFF", "JPEG"])
def test_grey_profile_is_carried_bit_for_bit(picture: Image.Image, format: str) -> None:
    profile = grey_profile()
    photo = decoded(encoded(picture.convert("L"), format, icc_profile=profile))
    assert photo.image.mode == "L"
    assert photo.icc == profile
    assert photo.warnings == ()


def test_network_sees_srgb_whatever_the_profile(picture: Image.Image) -> None:
    profile = wide_profile()
    wide = ImageCms.ImageCmsProfile(io.BytesIO(profile))
    srgb = ImageCms.ImageCmsProfile(io.BytesIO(SRGB))
    converted = ImageCms.profileToProfile(picture, srgb, wide)
    assert converted is not None
    assert difference(picture, converted) > 10, "the test's profile is too near to sRGB to tell"
    seen = decoded(encoded(converted, "PNG", icc_profile=profile)).view(64).astype(int)
    wanted = decoded(encoded(picture, "PNG")).view(64)
    assert np.abs(seen - wanted).mean() < 1.5


def test_network_sees_grey_in_srgb() -> None:
    linear = decoded(encoded(Image.new("L", (20, 20), 128), "PNG", icc_profile=grey_profile(1.0)))
    np.testing.assert_allclose(linear.view(32), 188, atol=1)  # the sRGB value of linear 128/255


def test_network_sees_transparent_parts_as_nothing(picture: Image.Image) -> None:
    hidden = picture.convert("RGBA")
    hidden.putalpha(0)
    np.testing.assert_array_equal(decoded(encoded(hidden, "PNG")).view(32), np.full((32, 32, 3), (124, 116, 104)))


@pytest.mark.parametrize(
    "profile", [b"not a profile at all", SRGB[:100], empty_profile()], ids=["text", "cut off", "without colours"]
)
@pytest.mark.parametrize("format", ["PNG", "JPEG", "TIFF"])
def test_damaged_profile_costs_a_warning_only(picture: Image.Image, format: str, profile: bytes) -> None:
    photo = decoded(encoded(picture, format, icc_profile=profile))
    assert photo.icc is None
    assert "colour profile" in " ".join(photo.warnings)
    assert photo.view(32).shape == (32, 32, 3)


@pytest.mark.parametrize(("mode", "space"), [("RGB", "GRAY"), ("L", "RGB"), ("RGB", "CMYK"), ("CMYK", "RGB")])
def test_profile_of_another_kind_of_colour_costs_a_warning_only(picture: Image.Image, mode: str, space: str) -> None:
    profile = {"GRAY": grey_profile(), "RGB": SRGB, "CMYK": cmyk_profile()}[space]
    photo = decoded(encoded(picture.convert(mode), "TIFF", icc_profile=profile))
    assert photo.icc is None
    assert f"its colour profile is for {space} and was left out" in photo.warnings


def test_cmyk_without_profile_becomes_srgb() -> None:
    photo = decoded(encoded(Image.new("CMYK", (8, 8), (255, 0, 0, 0)), "TIFF"))
    assert (photo.image.mode, photo.icc, photo.image.getpixel((0, 0))) == ("RGB", None, (0, 255, 255))


@pytest.mark.parametrize("format", ["TIFF", "JPEG"])
def test_cmyk_with_profile_becomes_srgb_by_that_profile(format: str) -> None:
    inks = Image.new("CMYK", (16, 16), (255, 0, 0, 0))
    data = encoded(inks, format, icc_profile=cmyk_profile(), **({"quality": 100} if format == "JPEG" else {}))
    photo = decoded(data)
    assert (photo.image.mode, photo.icc, photo.warnings) == ("RGB", None, ())
    # The profile says Lab (70, 60, -60) of pure cyan ink: a light violet, far from the naive cyan.
    red, green, blue = pixels(photo.image)[8, 8].tolist()
    assert red > 200
    assert green < 160
    assert blue > 240


def test_lab_becomes_srgb() -> None:
    lab = Image.new("LAB", (8, 8), (138, 128 + 80, 128 + 67))
    photo = decoded(encoded(lab, "TIFF"))
    assert (photo.image.mode, photo.icc) == ("RGB", None)
    red, green, blue = pixels(photo.image)[0, 0].tolist()
    assert red > 250
    assert max(green, blue) < 60


# Depth


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(size: tuple[int, int], bits: int, colour: int, lines: bytes, *further: bytes) -> bytes:
    """A PNG file from its lines, each with its filter's byte."""
    header = struct.pack(">IIBBBBB", *size, bits, colour, 0, 0, 0)
    body = b"".join(further) + chunk(b"IDAT", zlib.compress(lines))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + body + chunk(b"IEND", b"")


def tiff(size: tuple[int, int], bits: list[int], photometric: int, data: bytes, **further: tuple[int, int]) -> bytes:
    """A little-endian TIFF file of one strip."""
    width, height = size
    tags: dict[int, tuple[int, list[int]]] = {
        256: (4, [width]),
        257: (4, [height]),
        258: (3, bits),
        259: (3, [1]),
        262: (3, [photometric]),
        273: (4, [0]),
        277: (3, [len(bits)]),
        278: (4, [height]),
        279: (4, [len(data)]),
    }
    tags |= {number: (3, [value]) for number, value in further.values()}
    after = 8 + 2 + 12 * len(tags) + 4
    outside = b"".join(struct.pack("<H", v) for v in bits) if len(bits) > 2 else b""
    entries = b""
    for number, (kind, values) in sorted(tags.items()):
        raw = b"".join(struct.pack("<H" if kind == 3 else "<I", value) for value in values)
        if number == 273:
            raw = struct.pack("<I", after + len(outside))
        elif len(raw) > 4:
            raw = struct.pack("<I", after)
        entries += struct.pack("<HHI", number, kind, len(values)) + raw.ljust(4, b"\0")
    return b"II*\0" + struct.pack("<IH", 8, len(tags)) + entries + b"\0\0\0\0" + outside + data


SIXTEEN = [0x0000, 0x8080, 0xFFFF]
"""Values of 16 bits that are 0, 128 and 255 of 8."""


def line(*values: int) -> bytes:
    return b"\0" + struct.pack(f">{len(values)}H", *values)


@pytest.mark.parametrize(
    ("data", "wanted"),
    [
        (png((3, 1), 16, 0, line(*SIXTEEN)), [0, 128, 255]),
        (tiff((3, 1), [16], 1, struct.pack("<3H", *SIXTEEN)), [0, 128, 255]),
        (tiff((3, 1), [16], 0, struct.pack("<3H", *SIXTEEN)), [255, 127, 0]),
        (png((1, 1), 16, 2, line(*SIXTEEN)), [[0, 128, 255]]),
        (tiff((1, 1), [16] * 3, 2, struct.pack("<3H", *SIXTEEN)), [[0, 128, 255]]),
    ],
    ids=["grey PNG", "grey TIFF", "grey TIFF, zero is white", "RGB PNG", "RGB TIFF"],
)
def test_sixteen_bit_is_reduced_with_a_warning(data: bytes, wanted: list[int]) -> None:
    photo = decoded(data)
    assert pixels(photo.image)[0].tolist() == wanted
    assert photo.warnings == ("16 bit was reduced to 8",)


def test_twelve_bit_is_not_taken_for_sixteen() -> None:
    photo = decoded(tiff((4, 1), [12], 1, bytes([0x00, 0x0F, 0xFF, 0x80, 0x08, 0x00])))
    assert pixels(photo.image)[0].tolist() == [0, 255, 128, 128]
    assert photo.warnings == ("12 bit was reduced to 8",)


def test_sixteen_bit_grey_and_alpha_stays_grey() -> None:
    photo = decoded(png((2, 1), 16, 4, line(0x8080, 0xFFFF, 0x4040, 0x8080)))
    assert photo.image.mode == "L"
    assert (pixels(photo.image)[0].tolist(), pixels(photo.alpha)[0].tolist()) == ([128, 64], [255, 128])


@pytest.mark.parametrize("mode", ["RGB", "L"])
def test_eight_bit_pixels_are_untouched(picture: Image.Image, mode: str) -> None:
    image = picture.convert(mode)
    for format in ("PNG", "TIFF", "BMP"):
        photo = decoded(encoded(image, format))
        np.testing.assert_array_equal(pixels(photo.image), pixels(image))
        assert (photo.image.mode, photo.alpha, photo.warnings) == (mode, None, ())


# Palettes and transparency


@pytest.mark.parametrize("format", ["PNG", "GIF", "TIFF", "BMP"])
def test_palette_becomes_its_colours(picture: Image.Image, format: str) -> None:
    palette = picture.quantize(32)
    photo = decoded(encoded(palette, format))
    assert photo.image.mode == "RGB"
    np.testing.assert_array_equal(pixels(photo.image), pixels(palette.convert("RGB")))
    assert photo.alpha is None


@pytest.mark.parametrize("format", ["PNG", "GIF"])
def test_palette_with_a_transparent_colour_keeps_it(picture: Image.Image, format: str) -> None:
    palette = picture.quantize(32)
    photo = decoded(encoded(palette, format, transparency=3))
    assert photo.image.mode == "RGB"
    np.testing.assert_array_equal(pixels(photo.alpha), np.where(pixels(palette) == 3, 0, 255))


def test_palette_with_partial_transparency_keeps_it(picture: Image.Image) -> None:
    palette = picture.quantize(4)
    photo = decoded(encoded(palette, "PNG", transparency=bytes([0, 100, 200, 255])))
    np.testing.assert_array_equal(pixels(photo.alpha), np.array([0, 100, 200, 255])[pixels(palette)])


@pytest.mark.parametrize("format", ["PNG", "TIFF", "BMP"])
def test_one_bit_becomes_black_and_white(picture: Image.Image, format: str) -> None:
    photo = decoded(encoded(picture.convert("1"), format))
    assert photo.image.mode == "L"
    assert set(np.unique(pixels(photo.image))) == {0, 255}
    np.testing.assert_array_equal(pixels(photo.image), pixels(picture.convert("1").convert("L")))


@pytest.mark.parametrize(
    ("data", "wanted"),
    [
        (png((8, 1), 1, 0, b"\0\xf0", chunk(b"tRNS", b"\0\1")), [0] * 4 + [255] * 4),
        (png((4, 1), 2, 0, b"\0\x1b", chunk(b"tRNS", b"\0\1")), [255, 0, 255, 255]),
        (png((2, 1), 4, 0, b"\0\x5a", chunk(b"tRNS", b"\0\5")), [0, 255]),
        (png((2, 1), 8, 0, b"\0\x05\x55", chunk(b"tRNS", b"\0\5")), [0, 255]),
        (png((2, 1), 16, 0, line(5, 0x0505), chunk(b"tRNS", b"\0\5")), [0, 255]),
        (png((2, 1), 8, 2, b"\0\1\2\3\4\5\6", chunk(b"tRNS", b"\0\1\0\2\0\3")), [0, 255]),
        (png((2, 1), 16, 2, line(0x0102, 0x0304, 0x0506, 1, 2, 3), chunk(b"tRNS", b"\1\2\3\4\5\6")), [0, 255]),
    ],
    ids=["1 bit", "2 bits", "4 bits", "8 bits", "16 bits", "RGB", "RGB of 16 bits"],
)
def test_transparent_colour_of_a_png_is_transparent_at_any_depth(data: bytes, wanted: list[int]) -> None:
    assert pixels(decoded(data).alpha)[0].tolist() == wanted


@pytest.mark.parametrize(
    ("format", "mode"), [("PNG", "RGBA"), ("PNG", "LA"), ("TIFF", "RGBA"), ("TIFF", "LA"), ("WEBP", "RGBA")]
)
def test_colour_under_transparency_is_kept(picture: Image.Image, mode: str, format: str) -> None:
    image = picture.convert(mode)
    image.putalpha(Image.linear_gradient("L").resize(picture.size))
    photo = decoded(encoded(image, format, **({"lossless": True, "exact": True} if format == "WEBP" else {})))
    np.testing.assert_array_equal(pixels(photo.image), pixels(picture.convert(mode[:-1])))
    np.testing.assert_array_equal(pixels(photo.alpha), pixels(image.getchannel("A")))


# Frames


@pytest.mark.parametrize("format", ["GIF", "PNG", "WEBP", "TIFF"])
def test_of_an_animation_the_first_frame_is_taken_with_a_warning(format: str) -> None:
    first, second = Image.new("RGB", (20, 10), "red"), Image.new("RGB", (20, 10), "blue")
    lossless = {"lossless": True} if format == "WEBP" else {}
    photo = decoded(encoded(first, format, save_all=True, append_images=[second], **lossless))
    assert photo.image.getpixel((5, 5)) == (255, 0, 0)
    assert photo.warnings == ("only the first of several frames was cut",)


def test_of_an_mpo_the_first_picture_is_taken_without_a_warning(picture: Image.Image) -> None:
    data = encoded(picture, "MPO", save_all=True, append_images=[Image.new("RGB", picture.size)])
    with Image.open(io.BytesIO(data)) as opened:
        assert opened.format == "MPO"
    photo = decoded(data)
    assert difference(photo.image, picture) < 8
    assert photo.warnings == ()


# Metadata


def read_exif(data: bytes) -> Image.Exif:
    exif = Image.Exif()
    exif.load(data)
    return exif


def exif_of_a_camera() -> bytes:
    exif = Image.Exif()
    exif[ExifTags.Base.Make] = "Maker"
    exif[ExifTags.Base.Artist] = "A. Photographer"
    exif[ExifTags.Base.Orientation] = 1
    exif.get_ifd(ExifTags.IFD.Exif).update({0x9003: "2024:05:01 10:00:00", 0x927C: b"secret of the maker", 0xA002: 96})
    exif.get_ifd(ExifTags.IFD.GPSInfo).update({1: "N", 2: (48.0, 8.0, 0.0)})
    return exif.tobytes()


@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP", "TIFF"])
def test_exif_is_kept_without_orientation_maker_note_and_place(picture: Image.Image, format: str) -> None:
    photo = decoded(encoded(picture, format, exif=exif_of_a_camera()))
    assert photo.exif is not None
    assert photo.exif[:4] in (b"II*\0", b"MM\0*")
    exif = read_exif(photo.exif)
    assert (exif[ExifTags.Base.Make], exif[ExifTags.Base.Artist]) == ("Maker", "A. Photographer")
    assert ExifTags.Base.Orientation not in exif
    assert dict(exif.get_ifd(ExifTags.IFD.Exif)) == {0x9003: "2024:05:01 10:00:00"}
    assert ExifTags.IFD.GPSInfo not in exif
    assert b"secret" not in photo.exif
    assert photo.warnings == ()


@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP", "TIFF"])
def test_place_is_kept_where_that_is_asked_for(picture: Image.Image, format: str) -> None:
    photo = decoded(encoded(picture, format, exif=exif_of_a_camera()), keep_gps=True)
    assert photo.exif is not None
    place = read_exif(photo.exif).get_ifd(ExifTags.IFD.GPSInfo)
    assert (place[1], place[2]) == ("N", (48.0, 8.0, 0.0))


def test_exif_that_has_only_its_inner_part_is_kept(picture: Image.Image) -> None:
    exif = Image.Exif()
    exif.get_ifd(ExifTags.IFD.Exif)[0x9003] = "2024:05:01 10:00:00"
    photo = decoded(encoded(picture, "JPEG", exif=exif))
    assert photo.exif is not None
    assert read_exif(photo.exif).get_ifd(ExifTags.IFD.Exif)[0x9003] == "2024:05:01 10:00:00"


def test_exif_of_nothing_worth_keeping_is_none(picture: Image.Image) -> None:
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 1
    assert decoded(encoded(picture, "JPEG", exif=exif)).exif is None


def test_thumbnail_is_not_kept_for_it_shows_the_background(picture: Image.Image) -> None:
    thumbnail = encoded(picture.resize((24, 16)), "JPEG")
    make = struct.pack("<HHI4s", 0x010F, 2, 4, b"abc\0")
    second = 8 + 2 + 12 + 4
    start = second + 2 + 3 * 12 + 4
    tags = [(0x0103, 3, 6), (0x0201, 4, start), (0x0202, 4, len(thumbnail))]
    body = b"II*\0" + struct.pack("<IH", 8, 1) + make + struct.pack("<IH", second, len(tags))
    body += b"".join(struct.pack("<HHII", number, kind, 1, value) for number, kind, value in tags) + b"\0\0\0\0"
    exif = b"Exif\0\0" + body + thumbnail
    data = encoded(picture, "JPEG", exif=exif)
    with Image.open(io.BytesIO(data)) as opened:
        assert opened.getexif().get_ifd(ExifTags.IFD.IFD1)[0x0202] == len(thumbnail), "the test's file has none"
    photo = decoded(data)
    assert photo.exif is not None
    assert thumbnail[:40] not in photo.exif
    assert len(photo.exif) < 100
    assert read_exif(photo.exif)[ExifTags.Base.Make] == "abc"


@pytest.mark.parametrize(
    "exif",
    [
        b"Exif\0\0nonsense, and no TIFF header at all",
        b"Exif\0\0II*\0\x08\0\0\0\xff\xff" + b"\x12\x01\x03\0",
        b"Exif\0\0II*\0" + struct.pack("<IHHHII", 8, 1, 0x8769, 4, 1, 0xFFFFFF00),
    ],
    ids=["no header", "cut off", "points nowhere"],
)
def test_damaged_exif_costs_a_warning_at_most(picture: Image.Image, exif: bytes) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Pillow says it too, and our processes silence it
        photo = decoded(encoded(picture, "JPEG", exif=exif))
    assert difference(photo.image, picture) < 8
    assert all("EXIF" in warning for warning in photo.warnings)


def test_damaged_exif_is_said(picture: Image.Image) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        photo = decoded(encoded(picture, "JPEG", exif=b"Exif\0\0nonsense, and no TIFF header at all"))
    assert photo.warnings == ("its EXIF data are damaged and were left out",)
    assert photo.exif is None


@pytest.mark.parametrize("format", ["JPEG", "PNG", "TIFF", "BMP"])
def test_resolution_is_kept(picture: Image.Image, format: str) -> None:
    assert decoded(encoded(picture, format, dpi=(300, 300))).dpi == pytest.approx((300, 300), abs=0.02)


def test_resolution_that_makes_no_sense_is_left_out(picture: Image.Image) -> None:
    nothing = b"\0" * 8 + b"\1"
    data = encoded(picture, "PNG")
    at = data.index(b"IDAT") - 4
    assert decoded(data[:at] + chunk(b"pHYs", nothing) + data[at:]).dpi is None


# Refusals


def refused(data: bytes, name: str, max_pixels: int = 10**9) -> AlphadropError:
    with pytest.raises(AlphadropError) as caught:
        decoded(data, name, max_pixels)
    assert name in caught.value.message
    return caught.value


def test_empty_file_is_refused() -> None:
    assert isinstance(refused(b"", "empty.jpg"), EmptyPhoto)


@pytest.mark.parametrize(
    "data",
    [b"x", b"this is a text\n" * 20, b"%PDF-1.4\n%EOF", b"\0" * 4096, b"<svg xmlns='http://www.w3.org/2000/svg'/>"],
)
def test_what_is_no_photograph_is_refused_whatever_its_name(data: bytes) -> None:
    assert isinstance(refused(data, "holiday.jpg"), UnsupportedFormat)


@pytest.mark.parametrize("format", ["SGI", "PPM", "TGA", "ICO", "PCX", "JPEG2000", "PDF", "EPS", "DDS"])
def test_formats_outside_the_list_are_refused(picture: Image.Image, format: str) -> None:
    data = encoded(picture.resize((64, 64)), format)
    error = refused(data, f"picture.{format.lower()}")
    assert isinstance(error, UnsupportedFormat)
    assert "PNG" in error.hint


def test_heic_without_its_extra_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    error = refused(b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(200), "phone.heic")
    assert isinstance(error, UnsupportedFormat)
    assert "alphadrop[heic]" in error.hint


@pytest.mark.parametrize("value", [0.5, float("nan")])
def test_floating_point_is_refused(value: float) -> None:
    error = refused(encoded(Image.new("F", (8, 8), value), "TIFF"), "float.tif")
    assert isinstance(error, UnsupportedFormat)
    assert "floating point" in error.message


def test_thirty_two_bit_numbers_are_refused() -> None:
    assert isinstance(refused(encoded(Image.new("I", (8, 8), 70000), "TIFF"), "deep.tif"), UnsupportedFormat)


@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP", "TIFF", "BMP", "GIF", "AVIF"])
@pytest.mark.parametrize("part", [0.3, 0.5, 0.8])
def test_file_that_is_cut_off_is_refused(picture: Image.Image, format: str, part: float) -> None:
    data = encoded(picture, format)
    error = refused(data[: int(len(data) * part)], f"half.{format.lower()}")
    assert isinstance(error, (DamagedPhoto, UnsupportedFormat))


@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP", "TIFF", "BMP", "GIF", "AVIF"])
def test_pixel_cap_holds_for_every_format(picture: Image.Image, format: str) -> None:
    data = encoded(picture, format)
    assert decoded(data, max_pixels=96 * 64).size == (96, 64)
    error = refused(data, "large.bin", max_pixels=96 * 64 - 1)
    assert isinstance(error, PhotoTooLarge)
    assert "96 x 64" in error.message


def claim(format: str, side: int) -> bytes:
    """A small file whose header claims a square of that side."""
    data = bytearray(encoded(Image.new("RGB", (16, 16), "red"), format))
    if format == "JPEG":
        at = data.index(b"\xff\xc0") + 5
        data[at : at + 4] = struct.pack(">HH", side, side)
    elif format == "PNG":
        header = chunk(b"IHDR", struct.pack(">II", side, side) + bytes(data[24:29]))
        data[8 : 8 + len(header)] = header
    elif format == "BMP":
        data[18:26] = struct.pack("<ii", side, side)
    elif format == "GIF":
        data[6:10] = struct.pack("<HH", side, side)
    return bytes(data)


@pytest.mark.parametrize("format", ["JPEG", "PNG", "BMP", "GIF"])
def test_bomb_is_refused_by_its_header_before_a_pixel_is_read(monkeypatch: pytest.MonkeyPatch, format: str) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", None)  # as in our processes: only our own limit holds
    harmless, bomb = claim(format, 16), claim(format, 60_000)
    assert decoded(harmless).size == (16, 16)

    def load(self: object) -> None:
        raise AssertionError("a pixel was read")

    monkeypatch.setattr(ImageFile.ImageFile, "load", load)
    with pytest.raises(DamagedPhoto, match="a pixel was read"):
        decoded(harmless)
    error = refused(bomb, "bomb.bin", max_pixels=200_000_000)
    assert isinstance(error, PhotoTooLarge)
    assert "60000 x 60000" in error.message
    assert "200 megapixels" in error.message


def test_pillows_own_limit_is_an_error_of_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1000)
    assert isinstance(refused(claim("PNG", 100), "bomb.png"), PhotoTooLarge)


def test_picture_of_no_pixels_is_refused() -> None:
    with pytest.raises(DamagedPhoto, match="0 x 5 pixels"):
        from_image(Image.new("RGB", (0, 5)))


def test_unread_picture_that_is_cut_off_is_an_error_of_ours(picture: Image.Image) -> None:
    data = encoded(picture, "JPEG")
    with Image.open(io.BytesIO(data[: len(data) // 2])) as lazy, pytest.raises(DamagedPhoto):
        from_image(lazy)


def _scrambled(data: bytes, rng: np.random.Generator) -> bytes:
    scrambled = bytearray(data)
    for _ in range(int(rng.integers(1, 9))):
        scrambled[int(rng.integers(len(data)))] = int(rng.integers(256))
    return bytes(scrambled[: int(rng.integers(len(data) // 2, len(data) + 1))])


@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP", "TIFF", "BMP", "GIF", "AVIF"])
def test_scrambled_files_give_a_photograph_or_an_error_of_ours(
    picture: Image.Image, format: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", None)
    rng = np.random.default_rng(20)
    further = {} if format in ("BMP", "GIF") else {"icc_profile": wide_profile(), "exif": exif_of_a_camera()}
    data = encoded(picture, format, **further)
    came_out = 0
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for _ in range(150):
            try:
                photo = decoded(_scrambled(data, rng), "scrambled", max_pixels=1_000_000)
            except AlphadropError as error:
                assert "scrambled" in error.message  # noqa: PT017 - whether one comes is left open
                continue
            came_out += 1
            assert photo.image.mode in ("RGB", "L")
            assert photo.view(32).shape == (32, 32, 3)
    assert came_out < 150


# Pixels counted by the header


@pytest.mark.parametrize("orientation", [1, 3, 6])
@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP", "TIFF", "BMP", "GIF", "AVIF", "MPO"])
def test_pixels_are_counted_as_they_are_decoded(picture: Image.Image, format: str, orientation: int) -> None:
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    further = {} if format in ("BMP", "GIF") else {"exif": exif}
    stream = io.BytesIO(encoded(picture.crop((0, 0, 95, 61)), format, **further))
    counted = count_pixels(stream, "photo")
    assert stream.tell() == 0, "the stream is left at its start"
    width, height = decode(stream, "photo").size
    assert counted == width * height == 95 * 61


def test_pixels_are_counted_before_a_pixel_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    def load(self: object) -> None:
        raise AssertionError("a pixel was read")

    monkeypatch.setattr(ImageFile.ImageFile, "load", load)
    assert count_pixels(io.BytesIO(claim("PNG", 5000)), "large.png") == 25_000_000


REFUSED_BY_THE_HEADER: dict[str, tuple[bytes, type[AlphadropError]]] = {
    "empty.jpg": (b"", EmptyPhoto),
    "text.jpg": (b"dear diary\n" * 20, UnsupportedFormat),
    "picture.sgi": (encoded(Image.new("RGB", (16, 16)), "SGI"), UnsupportedFormat),
    "head.png": (encoded(Image.new("RGB", (16, 16)), "PNG")[:20], DamagedPhoto),
    "bomb.png": (claim("PNG", 60_000), PhotoTooLarge),
    "bomb.jpg": (claim("JPEG", 60_000), PhotoTooLarge),
    "bomb.gif": (claim("GIF", 60_000), PhotoTooLarge),
}


@pytest.mark.parametrize("name", REFUSED_BY_THE_HEADER)
def test_what_is_not_decoded_is_not_counted_for_the_same_reason(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", None)
    data, kind = REFUSED_BY_THE_HEADER[name]
    told = refused(data, name, max_pixels=200_000_000)
    with pytest.raises(AlphadropError) as caught:
        count_pixels(io.BytesIO(data), name, max_pixels=200_000_000)
    assert type(caught.value) is type(told) is kind
    assert (caught.value.message, caught.value.hint) == (told.message, told.hint)


def test_pixels_of_a_file_that_pillow_itself_holds_to_be_a_bomb_are_not_counted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1000)
    with pytest.raises(PhotoTooLarge, match=r"bomb\.png"):
        count_pixels(io.BytesIO(claim("PNG", 100)), "bomb.png")


class Failing(io.BytesIO):
    """A file whose disk fails behind a certain place."""

    def __init__(self, data: bytes, place: int, number: int) -> None:
        super().__init__(data)
        self.place, self.number = place, number

    def read(self, size: int | None = -1) -> bytes:
        if self.tell() >= self.place:
            raise OSError(self.number, "as the system says it")
        return super().read(size)


@pytest.mark.parametrize("format", ["JPEG", "PNG", "BMP"])
@pytest.mark.parametrize("number", [errno.EIO, errno.ESTALE])
def test_disk_that_fails_does_not_make_the_photograph_a_damaged_one(format: str, number: int) -> None:
    data = encoded(Image.effect_noise((600, 600), 90), format)
    for place in (1, len(data) // 2):
        with pytest.raises(CannotRead, match=r"share\.bin") as caught:
            decode(Failing(data, place, number), "share.bin")
        assert caught.value.transient
    with pytest.raises(CannotRead, match=r"share\.bin"):
        count_pixels(Failing(data, 1, number), "share.bin")


def test_place_that_no_file_has_is_the_fault_of_the_photograph() -> None:
    data = encoded(Image.effect_noise((600, 600), 90), "JPEG")
    with pytest.raises(DamagedPhoto):
        decode(Failing(data, len(data) // 2, errno.EINVAL), "odd.jpg")


# The rest


def test_every_suffix_is_lower_case_with_its_dot() -> None:
    assert all(suffix == suffix.lower() and suffix.startswith(".") for suffix in SUFFIXES)


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".webp", ".tif", ".bmp", ".gif", ".avif", ".mpo"])
def test_what_is_written_under_a_suffix_is_opened(picture: Image.Image, suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"picture{suffix}"
    picture.save(path)
    assert suffix in SUFFIXES
    with path.open("rb") as stream:
        assert decode(stream, path.name).size == picture.size


@pytest.mark.parametrize(
    "make",
    [
        lambda image: image,
        lambda image: image.convert("RGBA"),
        lambda image: image.convert("L"),
        lambda image: image.convert("LA"),
        lambda image: image.convert("P"),
        lambda image: image.convert("1"),
        lambda image: image.convert("CMYK"),
        lambda image: image.convert("YCbCr"),
        lambda image: image.convert("HSV"),
        lambda image: image.convert("RGBa"),
        lambda image: image.convert("RGBX"),
        lambda image: Image.fromarray(np.asarray(image.convert("L")).astype(np.uint16) * 257),
    ],
    ids="RGB RGBA L LA P 1 CMYK YCbCr HSV RGBa RGBX I;16".split(),
)
def test_any_kind_of_picture_in_memory_is_taken(
    picture: Image.Image, make: Callable[[Image.Image], Image.Image]
) -> None:
    image = make(picture)
    photo = from_image(image)
    assert photo.size == picture.size
    assert photo.image.mode in ("RGB", "L")
    assert photo.view(32).shape == (32, 32, 3)
    grey = picture.convert("L")
    if image.mode != "1" and image.mode != "P":
        assert difference(photo.image.convert("L"), grey) < 3


@pytest.mark.parametrize("mode", ["L", "RGB"])
@pytest.mark.parametrize("size", [(3464, 3001), (5, 9000), (9000, 5), (1414, 1061), (300, 200)])
@pytest.mark.parametrize("side", [320, 1024])
def test_view_is_what_pillow_makes_of_the_whole_picture_to_the_bit(mode: str, size: tuple[int, int], side: int) -> None:
    image = Image.effect_noise(size, 90).convert(mode)
    whole = image.resize((side, side), Image.Resampling.BICUBIC, reducing_gap=3.0).convert("RGB")
    np.testing.assert_array_equal(from_image(image).view(side), pixels(whole))


@pytest.mark.parametrize(("width", "height"), list(itertools.product([1, 3, 4000], repeat=2)))
def test_view_of_any_shape_is_a_square(width: int, height: int) -> None:
    assert from_image(Image.new("RGB", (width, height), (9, 8, 7))).view(320).shape == (320, 320, 3)
