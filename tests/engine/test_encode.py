"""Every encoded file decodes to the pixels that went in, by Pillow and by a strict reader of PNG written here."""

from __future__ import annotations

import io
import struct
import zlib
from dataclasses import dataclass, field, replace

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import ExifTags, Image

from alphadrop.engine.encode import Picture, encode
from alphadrop.engine.options import FORMATS, PNG_EFFORTS, Format, PngEffort
from alphadrop.errors import BadOptions
from icc_profiles import grey_profile, wide_profile

SIZES = [(1, 1), (1, 2), (2, 1), (7, 3), (61, 47), (5000, 1), (1, 1000), *((3, high) for high in (127, 128, 129, 256))]
"""Width and height; strips are 128 rows."""
MODES = {1: "L", 2: "LA", 3: "RGB", 4: "RGBA"}


def noise(width: int, height: int, channels: int, seed: int = 0) -> NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(0, 256, (height, width, channels), dtype=np.uint8)


def opened(pieces: list[bytes]) -> Image.Image:
    image = Image.open(io.BytesIO(b"".join(pieces)))
    image.load()
    return image


def as_array(image: Image.Image) -> NDArray[np.uint8]:
    pixels = np.asarray(image)
    return pixels if pixels.ndim == 3 else pixels[..., np.newaxis]


@dataclass
class StrictPng:
    """A PNG file read as the Recommendation says, with no mercy for anything Pillow might forgive."""

    data: bytes
    chunks: list[tuple[bytes, bytes]] = field(default_factory=list)

    def __post_init__(self) -> None:
        assert self.data[:8] == b"\x89PNG\r\n\x1a\n"
        at = 8
        while at < len(self.data):
            (length,) = struct.unpack_from(">I", self.data, at)
            kind, content = self.data[at + 4 : at + 8], self.data[at + 8 : at + 8 + length]
            (checksum,) = struct.unpack_from(">I", self.data, at + 8 + length)
            assert len(content) == length
            assert zlib.crc32(kind + content) == checksum
            self.chunks.append((kind, content))
            at += 12 + length
        assert at == len(self.data)
        kinds = [kind for kind, _ in self.chunks]
        assert kinds[0] == b"IHDR"
        assert kinds[-1] == b"IEND"
        first, last = kinds.index(b"IDAT"), len(kinds) - 1 - kinds[::-1].index(b"IDAT")
        assert set(kinds[first : last + 1]) == {b"IDAT"}, "the image data are one run of chunks"
        assert all(kinds.count(kind) == 1 for kind in set(kinds) - {b"IDAT", b"tEXt"})
        for kind in (b"iCCP", b"pHYs"):
            assert kind not in kinds or kinds.index(kind) < first

    def content(self, wanted: bytes) -> bytes | None:
        found = [content for kind, content in self.chunks if kind == wanted]
        return b"".join(found) if found else None

    @property
    def pixels(self) -> NDArray[np.uint8]:
        width, height, bits, colour, compression, filters, interlace = struct.unpack(">IIBBBBB", self.chunks[0][1])
        assert (bits, compression, filters, interlace) == (8, 0, 0, 0)
        channels = {0: 1, 4: 2, 2: 3, 6: 4}[colour]
        inflate = zlib.decompressobj()  # checks the Adler-32
        raw = inflate.decompress(self.content(b"IDAT") or b"") + inflate.flush()
        assert inflate.eof
        assert inflate.unused_data == b""
        rows = np.frombuffer(raw, np.uint8).reshape(height, width * channels + 1)
        assert set(np.unique(rows[:, 0])) == {2}, "every row is filtered with Up"
        return np.cumsum(rows[:, 1:], axis=0, dtype=np.uint8).reshape(height, width, channels)


@pytest.mark.parametrize("channels", MODES)
@pytest.mark.parametrize(("width", "height"), SIZES)
def test_fast_png_decodes_to_the_pixels_that_went_in(width: int, height: int, channels: int) -> None:
    for pixels in (noise(width, height, channels), np.full((height, width, channels), 77, np.uint8)):
        pieces = encode(Picture(pixels), "png")
        np.testing.assert_array_equal(StrictPng(b"".join(pieces)).pixels, pixels)
        image = opened(pieces)
        assert image.mode == MODES[channels]
        np.testing.assert_array_equal(as_array(image), pixels)


@pytest.mark.parametrize("threads", [0, 1, 2, 7])
def test_png_does_not_depend_on_the_number_of_threads(threads: int) -> None:
    picture = Picture(noise(40, 700, 4))
    assert encode(picture, "png", threads=threads) == encode(picture, "png", threads=3)


def test_random_sizes_of_png() -> None:
    rng = np.random.default_rng(3)
    for seed in range(60):
        width, height, channels = int(rng.integers(1, 90)), int(rng.integers(1, 600)), int(rng.integers(1, 5))
        pixels = noise(width, height, channels, seed) // int(rng.integers(1, 200))
        pieces = encode(Picture(pixels), "png", threads=2)
        np.testing.assert_array_equal(StrictPng(b"".join(pieces)).pixels, pixels)


def test_pixels_that_are_a_view_of_others_are_encoded_rightly() -> None:
    pixels = noise(300, 300, 4)[10:290:2, 250:3:-1]
    np.testing.assert_array_equal(StrictPng(b"".join(encode(Picture(pixels), "png"))).pixels, pixels)


def test_checksum_of_long_strips_of_the_largest_value_is_right() -> None:
    pixels = np.zeros((300, 20_000, 4), np.uint8)
    pixels[::2] = 255  # after the filter every byte is 255 or 1: the sums wrap as often as they can
    np.testing.assert_array_equal(StrictPng(b"".join(encode(Picture(pixels), "png"))).pixels, pixels)


@pytest.mark.parametrize("channels", MODES)
def test_small_png_decodes_to_the_pixels_that_went_in_and_is_smaller(channels: int) -> None:
    slope = np.add.outer(np.arange(300), np.arange(400))[..., np.newaxis] // 4
    pixels = (slope + noise(400, 300, channels) // 64).astype(np.uint8)
    small = encode(Picture(pixels), "png", png="small")
    np.testing.assert_array_equal(as_array(opened(small)), pixels)
    assert len(b"".join(small)) < len(b"".join(encode(Picture(pixels), "png", png="fast")))


EXIF = Image.Exif()
EXIF[ExifTags.Base.Artist] = "A. Photographer"
EXIF.get_ifd(ExifTags.IFD.Exif)[0x9003] = "2024:05:01 10:00:00"


@pytest.mark.parametrize(
    ("format", "png"), [("png", "fast"), ("png", "small"), ("webp", "fast"), ("tiff", "fast"), ("jpeg", "fast")]
)
@pytest.mark.parametrize("grey", [False, True], ids=["colour", "grey"])
def test_profile_resolution_and_exif_are_kept(format: Format, png: PngEffort, grey: bool) -> None:
    profile = grey_profile() if grey else wide_profile()
    pixels = noise(30, 20, 1 if grey else 3)
    picture = Picture(pixels, icc=profile, dpi=(300, 150), exif=EXIF.tobytes().removeprefix(b"Exif\0\0"))
    image = opened(encode(picture, format, png=png))
    assert image.info["icc_profile"] == profile
    exif = image.getexif()
    assert exif[ExifTags.Base.Artist] == "A. Photographer"
    assert exif.get_ifd(ExifTags.IFD.Exif)[0x9003] == "2024:05:01 10:00:00"
    if format != "webp":  # which has no place for it but EXIF
        assert image.info["dpi"] == pytest.approx((300, 150), abs=0.02)


XMP = "<?xpacket begin='\ufeff'?><x:xmpmeta xmlns:x='adobe:ns:meta/'>größer</x:xmpmeta><?xpacket end='w'?>".encode()
EVERY_FORMAT: list[tuple[Format, PngEffort]] = [
    ("png", "fast"),
    ("png", "small"),
    ("webp", "fast"),
    ("tiff", "fast"),
    ("jpeg", "fast"),
]


@pytest.mark.parametrize(("format", "png"), EVERY_FORMAT)
@pytest.mark.parametrize("grey", [False, True], ids=["colour", "grey"])
@pytest.mark.parametrize("alone", [True, False], ids=["alone", "with all else"])
def test_xmp_is_kept_and_costs_the_rest_nothing(format: Format, png: PngEffort, grey: bool, alone: bool) -> None:
    plain = Picture(noise(30, 200, 1 if grey else 3))
    if not alone:
        profile = grey_profile() if grey else wide_profile()
        plain = replace(plain, icc=profile, dpi=(300, 150), exif=EXIF.tobytes().removeprefix(b"Exif\0\0"))
    bare, image = opened(encode(plain, format, png=png)), opened(encode(replace(plain, xmp=XMP), format, png=png))
    assert image.info["xmp"] == XMP
    assert "xmp" not in bare.info
    np.testing.assert_array_equal(as_array(image), as_array(bare))
    assert image.mode == bare.mode
    for name in ("icc_profile", "dpi"):
        assert image.info.get(name) == bare.info.get(name)
    if not alone:
        assert image.getexif()[ExifTags.Base.Artist] == "A. Photographer"


@pytest.mark.parametrize("png", PNG_EFFORTS)
def test_xmp_of_a_png_is_said_as_its_specification_does(png: PngEffort) -> None:
    data = b"".join(encode(Picture(noise(40, 300, 4), xmp=XMP), "png", png=png))
    chunks, at = [], 8
    while at < len(data):
        (length,) = struct.unpack_from(">I", data, at)
        chunks.append((data[at + 4 : at + 8], data[at + 8 : at + 8 + length]))
        at += 12 + length
    kinds = [kind for kind, _ in chunks]
    assert kinds.count(b"iTXt") == 1
    assert kinds.index(b"iTXt") < kinds.index(b"IDAT")
    assert dict(chunks)[b"iTXt"] == b"XML:com.adobe.xmp" + bytes(5) + XMP
    if png == "fast":
        np.testing.assert_array_equal(StrictPng(data).pixels, noise(40, 300, 4))


def test_xmp_of_a_tiff_is_bytes() -> None:
    image = opened(encode(Picture(noise(3, 3, 4), xmp=XMP), "tiff"))
    assert image.tag_v2.tagtype[700] == 1  # type: ignore[attr-defined]


def test_xmp_of_the_photograph_gives_way_to_that_of_the_picture() -> None:
    exif = Image.Exif()
    exif[700] = b"the photograph's"
    picture = Picture(noise(3, 3, 4), exif=exif.tobytes().removeprefix(b"Exif\0\0"), xmp=XMP)
    image = opened(encode(picture, "tiff"))
    assert image.info["xmp"] == XMP
    assert image.tag_v2.tagtype[700] == 1  # type: ignore[attr-defined]


@pytest.mark.parametrize(("format", "png"), EVERY_FORMAT)
def test_without_xmp_nothing_is_said_of_it(format: Format, png: PngEffort) -> None:
    picture = Picture(noise(20, 20, 3), icc=wide_profile(), dpi=(72, 72))
    data = b"".join(encode(picture, format, png=png))
    assert data == b"".join(encode(replace(picture, xmp=b""), format, png=png))
    assert not any(word in data for word in (b"iTXt", b"XMP ", b"ns.adobe.com"))


def test_fast_png_says_its_metadata_as_the_recommendation_does() -> None:
    exif = EXIF.tobytes().removeprefix(b"Exif\0\0")
    strict = StrictPng(b"".join(encode(Picture(noise(3, 3, 3), wide_profile(), (72, 72), exif), "png")))
    name, _, rest = (strict.content(b"iCCP") or b"").partition(b"\0")
    assert 1 <= len(name) <= 79
    assert rest[0] == 0
    assert zlib.decompress(rest[1:]) == wide_profile()
    assert strict.content(b"pHYs") == struct.pack(">IIB", 2835, 2835, 1)
    assert strict.content(b"eXIf") == exif


@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize("png", PNG_EFFORTS)
def test_nothing_is_said_where_nothing_is_known(format: Format, png: PngEffort) -> None:
    image = opened(encode(Picture(noise(5, 5, 3)), format, png=png))
    assert "icc_profile" not in image.info
    assert not {ExifTags.Base.Artist, ExifTags.IFD.Exif, ExifTags.IFD.GPSInfo} & set(image.getexif())


@pytest.mark.parametrize("channels", [3, 4])
def test_webp_at_100_keeps_every_pixel_even_where_it_is_transparent(channels: int) -> None:
    pixels = noise(64, 48, channels)
    if channels == 4:
        pixels[:24, :, 3] = 0
    np.testing.assert_array_equal(as_array(opened(encode(Picture(pixels), "webp", quality=100))), pixels)


def test_webp_below_100_is_lossy_and_smaller() -> None:
    ramp = np.add.outer(np.arange(200), np.arange(200))[..., np.newaxis].repeat(3, axis=2) // 2
    pixels = (ramp + noise(200, 200, 3) // 16).astype(np.uint8)
    lossy = encode(Picture(pixels), "webp", quality=80)
    assert len(lossy[0]) < len(encode(Picture(pixels), "webp", quality=100)[0])
    assert np.abs(as_array(opened(lossy)).astype(int) - pixels).mean() < 8


def test_alpha_of_a_lossy_webp_is_kept_exactly() -> None:
    pixels = noise(64, 48, 4)
    np.testing.assert_array_equal(as_array(opened(encode(Picture(pixels), "webp", quality=50)))[..., 3], pixels[..., 3])


@pytest.mark.parametrize("channels", MODES)
@pytest.mark.parametrize(("width", "height"), SIZES)
def test_tiff_is_exact_and_its_alpha_unassociated(width: int, height: int, channels: int) -> None:
    pixels = noise(width, height, channels)
    image = opened(encode(Picture(pixels), "tiff"))
    np.testing.assert_array_equal(as_array(image), pixels)
    assert image.mode == MODES[channels]
    extra = dict(image.tag_v2).get(ExifTags.Base.ExtraSamples)  # type: ignore[attr-defined]
    assert extra == ((2,) if channels in (2, 4) else None)


def test_tiff_of_pixels_that_are_a_view_is_exact() -> None:
    pixels = noise(300, 300, 4)[10:290:2, 250:3:-1]
    np.testing.assert_array_equal(as_array(opened(encode(Picture(pixels), "tiff"))), pixels)


def test_exif_that_a_tiff_cannot_hold_does_not_cost_the_picture(monkeypatch: pytest.MonkeyPatch) -> None:
    def get_ifd(self: Image.Exif, tag: int) -> dict[int, object]:
        return {0x9003: {}}  # what a hostile file might make of a date

    monkeypatch.setattr(Image.Exif, "get_ifd", get_ifd)
    pixels = noise(9, 9, 4)
    exif = EXIF.tobytes().removeprefix(b"Exif\0\0")
    np.testing.assert_array_equal(as_array(opened(encode(Picture(pixels, exif=exif), "tiff"))), pixels)


def test_jpeg_is_near_and_keeps_the_resolution_of_colour() -> None:
    pixels = np.zeros((32, 32, 3), np.uint8)
    pixels[:, ::2] = (255, 0, 0)
    near = as_array(opened(encode(Picture(pixels), "jpeg", quality=95)))
    assert np.abs(near.astype(int) - pixels).max() < 40, "with colour at half resolution the stripes run together"


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize(
    ("width", "height", "quality", "profile"),
    [(255, 255, 92, 0), (600, 400, 92, 0), (600, 400, 100, 0), (100, 100, 92, 500_000), (1, 1, 92, 70_000)],
)
def test_jpeg_of_noise_and_with_a_large_profile_is_written(
    width: int, height: int, quality: int, profile: int, channels: int
) -> None:
    pixels, icc = noise(width, height, channels), noise(profile, 1, 1).tobytes()
    image = opened(encode(Picture(pixels, icc=icc or None), "jpeg", quality=quality))
    assert image.size == (width, height)
    assert image.info.get("icc_profile", b"") == icc
    assert np.abs(as_array(image).astype(int) - pixels).mean() < 8


def test_jpeg_of_a_photograph_is_as_small_as_it_gets(astronaut: NDArray[np.uint8]) -> None:
    plain = io.BytesIO()
    Image.fromarray(astronaut).save(plain, "JPEG", quality=92, subsampling=0)
    assert len(encode(Picture(astronaut), "jpeg", quality=92)[0]) < len(plain.getvalue())


@pytest.mark.parametrize("format", ["jpeg", "webp"])
def test_quality_costs_bytes(format: Format) -> None:
    picture = Picture(noise(64, 64, 3))
    assert len(encode(picture, format, quality=30)[0]) < len(encode(picture, format, quality=95)[0])


@pytest.mark.parametrize(("format", "longest"), [("webp", 16_383), ("jpeg", 65_500)])
def test_side_that_a_format_cannot_say_is_refused(format: Format, longest: int) -> None:
    assert opened(encode(Picture(np.zeros((1, longest, 3), np.uint8)), format)).size == (longest, 1)
    with pytest.raises(BadOptions, match=str(longest)):
        encode(Picture(np.zeros((longest + 1, 1, 3), np.uint8)), format)


@pytest.mark.parametrize("length", [65_400, 65_527, 65_528, 80_000])
def test_exif_that_a_jpeg_cannot_hold_does_not_cost_the_picture(length: int) -> None:
    tag = struct.pack("<HHII", ExifTags.Base.Artist, 2, length - 26, 26)
    exif = (b"II*\0" + struct.pack("<IH", 8, 1) + tag + b"\0\0\0\0").ljust(length - 1, b"a") + b"\0"
    assert len(exif) == length
    image = opened(encode(Picture(noise(5, 5, 3), exif=exif), "jpeg"))
    assert (ExifTags.Base.Artist in image.getexif()) is (length <= 65_527)
    assert ExifTags.Base.Artist in opened(encode(Picture(noise(5, 5, 3), exif=exif), "png")).getexif()


def test_size_is_width_and_height() -> None:
    assert Picture(np.zeros((2, 3, 4), np.uint8)).size == (3, 2)
