"""What an output says of itself is read back exactly, from the headers alone, and nothing hostile gets through."""

from __future__ import annotations

import io
import os
import struct
import zlib
from dataclasses import replace
from pathlib import Path, PurePath

import numpy as np
import pytest
from PIL import Image, PngImagePlugin

from alphadrop import atomic
from alphadrop.engine.encode import Picture, encode
from alphadrop.engine.options import Format, PngEffort, suffix_of
from alphadrop.hotfolder import marks
from alphadrop.hotfolder.marks import Mark, folder_tag, is_untouched, read_mark, to_xmp
from alphadrop.hotfolder.settings import FolderSettings
from alphadrop.hotfolder.stability import Content
from alphadrop.pipeline.order import Kind

EVERY: list[tuple[Format, PngEffort]] = [
    ("png", "fast"),
    ("png", "small"),
    ("webp", "fast"),
    ("tiff", "fast"),
    ("jpeg", "fast"),
]
every_format = pytest.mark.parametrize(("format", "png"), EVERY, ids=["png", "small png", "webp", "tiff", "jpeg"])
MARK = Mark(
    folder=folder_tag(Path("/home/someone/Pictures/in")),
    source="holiday.jpg",
    content=Content(4_321_987, 1_714_550_400_123_456_789),
    settings="0123456789abcdef",
    kind="cutout",
    made_ns=1_760_000_000_987_654_321,
)
RAW_NAMES = [
    b"plain.jpg",
    b"\xff.jpg",
    b"two\nlines\r\t.jpg",
    b"\"double\" and 'single'.jpg",
    b"<&>]]>.jpg",
    b"100%41 sure.jpg",
    b" spaces at both ends ",
    b"{rdf}.jpg",
    b"\\back\\slashes",
    b"-->",
    "größer 🏖️.jpg".encode(),
    b"x" * 251 + b".jpg",
    b"\xfe" * 255,
    bytes(number for number in range(1, 256) if number != ord("/")),
]


def pixels(format: Format) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    channels = 3 if format == "jpeg" else 4
    return np.random.default_rng(1).integers(0, 60, (150, 120, channels), dtype=np.uint8)


def encoded(format: Format, png: PngEffort = "fast", *, xmp: bytes | None, icc: bytes | None = None) -> bytes:
    return b"".join(encode(Picture(pixels(format), icc=icc, xmp=xmp), format, png=png))


def read(path: Path) -> Mark | None:
    return read_mark(path.parent, PurePath(path.name))


def read_packet(folder: Path, packet: bytes) -> Mark | None:
    path = folder / "doctored.png"
    path.write_bytes(encoded("png", xmp=packet))
    return read(path)


@every_format
@pytest.mark.parametrize("kind", ["cutout", "mask"])
def test_mark_of_a_written_output_is_read_back(tmp_path: Path, format: Format, png: PngEffort, kind: Kind) -> None:
    mark = replace(MARK, kind=kind)
    path = tmp_path / "sub" / f"out{suffix_of(format)}"
    path.parent.mkdir()
    pieces = encode(Picture(pixels(format), xmp=to_xmp(mark)), format, png=png)
    written = atomic.write(path, pieces, replace=False, modified_ns=mark.made_ns)
    assert read_mark(tmp_path, PurePath("sub") / path.name) == mark
    assert is_untouched(mark, Content(written.st_size, written.st_mtime_ns))
    with Image.open(path) as image:
        image.load()
        assert image.info["xmp"] == to_xmp(mark)


@every_format
@pytest.mark.parametrize("raw", RAW_NAMES, ids=lambda raw: raw[:12].hex())
def test_every_name_a_file_can_have_survives(tmp_path: Path, format: Format, png: PngEffort, raw: bytes) -> None:
    mark = replace(MARK, source=os.fsdecode(raw))
    path = tmp_path / "out"
    path.write_bytes(encoded(format, png, xmp=to_xmp(mark)))
    found = read(path)
    assert found == mark
    assert os.fsencode(found.source) == raw


@pytest.mark.parametrize(
    "mark",
    [
        replace(MARK, content=Content(0, 0)),
        replace(MARK, content=Content(2**63 - 1, 2**63 - 1), made_ns=0),
        replace(MARK, content=Content(1, -(2**63))),
        replace(MARK, settings=FolderSettings(Path("/in"), Path("/out"), "model").fingerprint()),
        replace(MARK, settings='"any" <text>\n'),
    ],
)
def test_extremes_survive(tmp_path: Path, mark: Mark) -> None:
    assert read_packet(tmp_path, to_xmp(mark)) == mark


def test_a_packet_is_small_and_plain() -> None:
    packet = to_xmp(replace(MARK, source=os.fsdecode(b"\xfe" * 255), settings=os.fsdecode(b"\xfe" * 255)))
    assert len(packet) < 2_500
    assert packet.startswith(b"<?xpacket begin=")
    assert packet.endswith(b"?>")
    assert b"/home" not in to_xmp(MARK)


def test_tag_of_a_folder_is_of_its_bytes() -> None:
    tags = {folder_tag(Path(os.fsdecode(raw))) for raw in (b"/in", b"/in2", b"/\xff", "/ÿ".encode())}
    assert len(tags) == 4
    assert all(len(tag) == 16 and set(tag) <= set("0123456789abcdef") for tag in tags)
    assert folder_tag(Path("/in")) == "86121fea66864109"


@every_format
def test_mark_is_read_beside_a_large_profile(tmp_path: Path, format: Format, png: PngEffort) -> None:
    profile = np.random.default_rng(0).bytes(3_000_000)
    picture = Picture(np.zeros((2_000, 2_000, 3), np.uint8), icc=profile, xmp=to_xmp(MARK))
    path = tmp_path / "out"
    path.write_bytes(b"".join(encode(picture, format, png=png)))
    assert read(path) == MARK


@pytest.mark.parametrize("format", ["png", "tiff", "jpeg"])
def test_mark_is_read_without_a_pixel(tmp_path: Path, format: Format) -> None:
    whole = encoded(format, xmp=to_xmp(MARK))
    begins = {"png": b"IDAT", "tiff": b'end="w"?>', "jpeg": b"\xff\xda"}[format]
    end = whole.index(begins) + len(begins) + (2 if format == "jpeg" else 0)
    assert len(whole) - end > 8_000
    path = tmp_path / "out"
    path.write_bytes(whole[:end])
    assert read(path) == MARK
    with pytest.raises(OSError, match=r"(?i)truncated|decoder error"), Image.open(path) as image:
        image.load()


def test_pixels_of_a_webp_are_passed_over(tmp_path: Path) -> None:
    whole = bytearray(encoded("webp", xmp=to_xmp(MARK)))
    at = whole.index(b"VP8 ") + 8
    whole[at : at + 2_000] = bytes(2_000)
    path = tmp_path / "out.webp"
    path.write_bytes(whole)
    assert read(path) == MARK


def test_headers_are_all_that_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lengths: list[int] = []
    exactly = marks._exactly

    def counted(stream: io.BufferedReader, length: int) -> bytes:
        lengths.append(length)
        return exactly(stream, length)

    monkeypatch.setattr(marks, "_exactly", counted)
    path = tmp_path / "out"
    for format, png in EVERY:
        path.write_bytes(encoded(format, png, xmp=to_xmp(MARK), icc=bytes(20_000)))
        lengths.clear()
        assert read(path) == MARK
        assert sum(lengths) < 2_000


@every_format
def test_cut_off_file_gives_its_mark_or_none(tmp_path: Path, format: Format, png: PngEffort) -> None:
    whole = encoded(format, png, xmp=to_xmp(MARK))
    path = tmp_path / "out"
    path.write_bytes(whole)
    found = [read(path)]
    for end in range(len(whole) // 50 * 50, -1, -50):
        os.truncate(path, end)
        found.append(read(path))
    assert set(found) == {MARK, None}
    assert found == sorted(found, key=lambda mark: mark is None), "once it is gone it stays so"


def test_digit_that_rotted_in_a_png_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "out.png"
    path.write_bytes(encoded("png", xmp=to_xmp(MARK)).replace(b'"4321987"', b'"4321986"'))
    assert read(path) is None


@pytest.mark.parametrize("length", [7, 8])
def test_parts_of_a_webp_may_be_of_any_length(tmp_path: Path, length: int) -> None:
    path = tmp_path / "out.webp"
    path.write_bytes(encoded("webp", xmp=to_xmp(MARK), icc=bytes(length)))
    assert read(path) == MARK


@every_format
def test_damaged_bytes_give_the_mark_or_none(tmp_path: Path, format: Format, png: PngEffort) -> None:
    whole = encoded(format, png, xmp=to_xmp(MARK))
    rng = np.random.default_rng(5)
    path = tmp_path / "out"
    for _ in range(300):
        damaged = bytearray(whole)
        for at in rng.integers(0, min(len(whole), 1_500), 4):
            damaged[at] = rng.integers(256)
        path.write_bytes(damaged)
        read(path)


@every_format
def test_output_without_a_mark_has_none(tmp_path: Path, format: Format, png: PngEffort) -> None:
    path = tmp_path / "out"
    path.write_bytes(encoded(format, png, xmp=None))
    assert read(path) is None


@pytest.mark.parametrize("name", ["PNG", "WEBP", "TIFF", "JPEG", "GIF", "BMP"])
def test_picture_of_another_program_has_none(tmp_path: Path, name: str) -> None:
    path = tmp_path / "theirs"
    Image.new("RGB", (30, 20)).save(path, name, xmp=b"<x:xmpmeta xmlns:x='adobe:ns:meta/'/>")
    assert read(path) is None


@pytest.mark.parametrize(
    "content", [b"", b"\x89", b"text\n" * 9, to_xmp(MARK), b"RIFF", b"II*\0", b"II*\0\xff\xff\xff\xff", b"\xff\xd8"]
)
def test_file_that_is_no_picture_has_none(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "out.png"
    path.write_bytes(content)
    assert read(path) is None


def test_nothing_but_a_regular_file_reached_without_a_link_has_one(tmp_path: Path) -> None:
    real = tmp_path / "real"
    real.mkdir()
    (real / "out.png").write_bytes(encoded("png", xmp=to_xmp(MARK)))
    (tmp_path / "link.png").symlink_to(real / "out.png")
    (tmp_path / "folder").symlink_to(real)
    os.mkfifo(tmp_path / "pipe.png")
    assert read_mark(tmp_path, PurePath("real/out.png")) == MARK
    for name in ("link.png", "folder/out.png", "pipe.png", "real", "absent.png", "absent/out.png", "a\0b.png"):
        assert read_mark(tmp_path, PurePath(name)) is None


def test_file_that_may_not_be_read_has_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: object) -> int:
        raise MemoryError

    monkeypatch.setattr(marks, "open_input", refused)
    assert read_mark(tmp_path, PurePath("out.png")) is None


NAMES = ["folder", "source", "size", "modified", "settings", "kind", "made"]


def with_value(name: str, value: str) -> bytes:
    """Return the packet of MARK with another value of one property, as it stands in the text."""
    before, start, rest = to_xmp(MARK).decode().partition(f' alphadrop:{name}="')
    assert start
    return f"{before}{start}{value}{rest[rest.index(chr(34)) :]}".encode()


@pytest.mark.parametrize("name", NAMES)
def test_packet_that_lacks_something_is_none(tmp_path: Path, name: str) -> None:
    packet = to_xmp(MARK)
    assert read_packet(tmp_path, packet.replace(f"alphadrop:{name}=".encode(), b"alphadrop:other=")) is None
    assert read_packet(tmp_path, packet.replace(f"alphadrop:{name}=".encode(), f"{name}=".encode())) is None


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *((name, "") for name in NAMES),
        *(
            (name, value)
            for name in ("size", "modified", "made")
            for value in ("x", "1.5", "+1", "-0", "01", " 1", "1_0")
        ),
        *((name, value) for name in ("size", "modified", "made") for value in ("9" * 19, str(2**63), "9" * 9_000, "٣")),
        *((name, "-1") for name in ("size", "made")),
        ("folder", "0123456789ABCDEF"),
        ("folder", "0123456789abcde"),
        ("folder", "0123456789abcdef0"),
        ("kind", "picture"),
        ("kind", "Cutout"),
        ("source", "a/b.jpg"),
        ("source", ".."),
        ("source", "%2E%2E"),
        ("source", "."),
        ("source", "..%2Fsecret.jpg"),
        ("source", "%2Fetc%2Fpasswd"),
        ("source", "a%00b"),
        ("source", "a b.jpg"),
        ("source", "%ff.jpg"),
        ("source", "%G0.jpg"),
        ("source", "größer.jpg"),
        ("source", "%41.jpg"),
        ("source", "x" * 256),
        ("settings", "x" * 256),
    ],
)
def test_packet_with_a_value_that_we_do_not_write_is_none(tmp_path: Path, name: str, value: str) -> None:
    assert read_packet(tmp_path, with_value(name, value)) is None


def test_the_doctoring_itself_is_sound(tmp_path: Path) -> None:
    assert read_packet(tmp_path, with_value("size", "7")) == replace(MARK, content=replace(MARK.content, size=7))


@pytest.mark.parametrize(
    "packet",
    [
        b"",
        b"\0" * 500,
        to_xmp(MARK)[:-200],
        to_xmp(MARK).decode().encode("utf-16"),
        to_xmp(MARK).replace(b"holiday", b"\xff"),
        b"<!DOCTYPE x>" + to_xmp(MARK),
        b'<!DOCTYPE x [<!ENTITY a "9">]>' + with_value("size", "&a;"),
        '<?xml version="1.0" encoding="utf-16"?><!DOCTYPE x>'.encode("utf-16") + to_xmp(MARK),
        with_value("size", "&a;"),
        to_xmp(MARK).replace(b"/ns/1/", b"/ns/2/"),
        to_xmp(MARK).replace(b"22-rdf-syntax-ns#", b"another#"),
        to_xmp(MARK).replace(b"</rdf:RDF>", to_xmp(MARK).split(b"\n")[2] + b"</rdf:RDF>"),
        to_xmp(MARK).replace(b' alphadrop:size="4321987"', b' alphadrop:size="4321987" alphadrop:size="1"'),
        to_xmp(MARK).replace(b"/>\n</rdf:RDF>", b"><alphadrop:size>1</alphadrop:size></rdf:Description></rdf:RDF>"),
        b"<a>" * 5_000,
        b"<a>" * 2_000 + b"</a>" * 2_000,
        to_xmp(MARK) + b" " * 16_384,
        to_xmp(MARK) + b" " * 1_000_000,
    ],
)
@every_format
def test_packet_that_is_not_ours_is_none(tmp_path: Path, format: Format, png: PngEffort, packet: bytes) -> None:
    if format == "jpeg" and len(packet) > 65_504:
        pytest.skip("a JPEG cannot hold it")
    path = tmp_path / "out"
    path.write_bytes(encoded(format, png, xmp=packet))
    assert read(path) is None


def test_mark_that_an_editor_wrote_anew_is_read(tmp_path: Path) -> None:
    elements = "".join(
        f"<a:{name}>{value}</a:{name}>"
        for name, value in {
            "folder": MARK.folder,
            "source": MARK.source,
            "size": MARK.content.size,
            "modified": MARK.content.mtime_ns,
            "settings": MARK.settings,
            "kind": MARK.kind,
            "made": MARK.made_ns,
        }.items()
    )
    packet = (
        "<x:xmpmeta xmlns:x='adobe:ns:meta/'><r:RDF xmlns:r='http://www.w3.org/1999/02/22-rdf-syntax-ns#'>"
        "<r:Description xmlns:dc='http://purl.org/dc/elements/1.1/' dc:format='image/png'/>"
        f"<r:Description r:about='' xmlns:a='https://alphadrop.dev/ns/1/'>{elements}</r:Description>"
        f"</r:RDF></x:xmpmeta>{' ' * 2_000}"
    )
    assert read_packet(tmp_path, packet.encode()) == MARK


@pytest.mark.parametrize("name", ["PNG", "WEBP", "TIFF", "JPEG"])
def test_mark_survives_an_editor_and_the_time_tells_of_it(tmp_path: Path, name: str) -> None:
    ours, edited = tmp_path / "ours.png", tmp_path / "edited"
    atomic.write(ours, [encoded("png", xmp=to_xmp(MARK))], replace=False, modified_ns=MARK.made_ns)
    with Image.open(ours) as image:
        info = PngImagePlugin.PngInfo()
        info.add_itxt("XML:com.adobe.xmp", image.info["xmp"])
        packet: bytes = image.info["xmp"]
        places: dict[str, dict[str, object]] = {"PNG": {"pnginfo": info}, "TIFF": {"tiffinfo": {700: packet}}}
        keep = places.get(name, {"xmp": packet})
        image.convert("RGB").rotate(90).save(edited, name, **keep)
    assert read(edited) == MARK
    status = edited.stat()
    assert not is_untouched(MARK, Content(status.st_size, status.st_mtime_ns))


@pytest.mark.parametrize("order", ["<", ">"])
def test_tiff_of_either_order_of_bytes_is_read(tmp_path: Path, order: str) -> None:
    packet, path = to_xmp(MARK), tmp_path / "out.tif"
    head = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(f"{order}I", 8)
    for kind, found in ((1, MARK), (7, MARK), (2, None), (4, None)):
        entry = struct.pack(f"{order}HHHII", 1, 700, kind, len(packet), 26)
        path.write_bytes(head + entry + bytes(4) + packet)
        assert read(path) == found


def test_claims_of_gigabytes_cost_nothing(tmp_path: Path) -> None:
    huge = 0xFFFF_FFF0
    heads = [
        b"\x89PNG\r\n\x1a\n" + struct.pack(">I", huge) + b"iTXtXML:com.adobe.xmp\0\0\0\0\0",
        b"\x89PNG\r\n\x1a\n" + struct.pack(">I", huge) + b"IHDR",
        b"RIFF" + struct.pack("<I", huge) + b"WEBPXMP " + struct.pack("<I", huge),
        b"RIFF" + struct.pack("<I", huge) + b"WEBPVP8X" + struct.pack("<I", huge),
        b"II*\0" + struct.pack("<IHHHII", 8, 65_535, 700, 1, huge, 0),
        b"II*\0" + struct.pack("<IHHHII", 8, 65_535, 256, 4, 1, 0),
        b"\xff\xd8\xff\xe1\xff\xff",
    ]
    for number, head in enumerate(heads):
        path = tmp_path / str(number)
        path.write_bytes(head)
        os.truncate(path, 5_000_000_000)
        assert read(path) is None


def test_headers_without_end_are_left(tmp_path: Path) -> None:
    path = tmp_path / "out"
    chunk = struct.pack(">I", 0) + b"teXt" + struct.pack(">I", zlib.crc32(b"teXt"))
    whole = encoded("png", xmp=to_xmp(MARK))
    path.write_bytes(whole[:8] + chunk * 5_000 + whole[8:])
    assert read(path) is None
    path.write_bytes(b"\xff\xd8" + b"\xff\xe0\0\2" * 1_000_000)
    assert read(path) is None


def test_header_of_a_decompression_bomb_is_no_danger(tmp_path: Path) -> None:
    whole = bytearray(encoded("png", xmp=None))
    whole[16:24] = struct.pack(">II", 2**31 - 1, 2**31 - 1)
    whole[29:33] = struct.pack(">I", zlib.crc32(bytes(whole[12:29])))
    path = tmp_path / "bomb.png"
    path.write_bytes(whole)
    assert read(path) is None


@pytest.mark.parametrize(
    ("late_ns", "untouched"),
    [(0, True), (1, True), (-2_000_000_000, True), (2_000_000_000, True), (2_000_000_001, False), (-3 * 10**9, False)],
)
def test_untouched_is_to_two_seconds(late_ns: int, untouched: bool) -> None:
    assert is_untouched(MARK, Content(1, MARK.made_ns + late_ns)) is untouched
