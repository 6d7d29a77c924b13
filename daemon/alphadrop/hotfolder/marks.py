"""Marks of ownership: each output says what it was made from, so that it can be told without the ledger.

A mark is an XMP packet (ISO 16684-1) in the place each format has for one. Whoever may write to the output folder may
write a mark as well: it is read with suspicion, and from the file's headers alone. Pillow is not asked for it, since it
reads a WebP file whole, refuses a PNG with a profile of more than a mebibyte, and believes any length a header claims.
"""

from __future__ import annotations

import hashlib
import os
import re
import struct
import zlib
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import BinaryIO, get_args
from urllib.parse import quote_from_bytes, unquote_to_bytes
from xml.etree import ElementTree as ET

from alphadrop.hotfolder.scan import open_input
from alphadrop.hotfolder.stability import Content
from alphadrop.pipeline.order import Kind

__all__ = ["Mark", "folder_tag", "is_untouched", "mark_in", "read_mark", "to_xmp"]

_NAMESPACE = "https://alphadrop.dev/ns/1/"
_RDF = "http://www.w3.org/1999/02/22-rdf-syntax-ns#"
_PACKET = (
    '<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>\n'
    '<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="{rdf}">\n'
    '<rdf:Description rdf:about="" xmlns:alphadrop="{namespace}"{properties}/>\n'
    "</rdf:RDF></x:xmpmeta>\n"
    '<?xpacket end="w"?>'
)
_LONGEST_PACKET = 16_384
_LONGEST_TEXT = 255
"""Bytes of a name, before they are percent-encoded."""
_MOST_PARTS = 4_096
"""Chunks, segments or directory entries that are looked at."""
_TAG = re.compile(r"[0-9a-f]{16}")
_NUMBER = re.compile(r"0|-?[1-9][0-9]{0,18}")
_WHOLE = range(-(2**63), 2**63)
"""Numbers that the ledger can hold."""
_COARSEST_TIME_NS = 2_000_000_000
"""FAT tells times to two seconds."""

_PNG = b"\x89PNG\r\n\x1a\n"
_PNG_XMP = b"XML:com.adobe.xmp\x00\x00\x00\x00\x00"
_JPEG = b"\xff\xd8"
_JPEG_XMP = b"http://ns.adobe.com/xap/1.0/\x00"
_APP1 = 0xE1
_WITHOUT_HEADERS = {0xD8, 0xD9, 0xDA}
"""Markers of a JPEG at which its headers are over: another start, the end, the pixels."""
_TIFF_XMP = 700
_TIFF_TYPES = {1, 7}
"""BYTE and UNDEFINED."""


@dataclass(frozen=True, slots=True)
class Mark:
    """What an output says of where it came from."""

    folder: str
    """What `folder_tag` gives for the input folder."""
    source: str
    """The photograph's last name, as the file system has it: 1 to 255 bytes."""
    content: Content
    """What the photograph was like when it was read."""
    settings: str
    """The settings' fingerprint: any text of 1 to 255 bytes."""
    kind: Kind
    made_ns: int
    """The time of change the output was given, nanoseconds since the epoch."""


def folder_tag(folder: Path) -> str:
    """Return what stands for an input folder in a mark, 16 hexadecimal digits, which tell nobody where it is."""
    return hashlib.sha256(os.fsencode(folder)).hexdigest()[:16]


def to_xmp(mark: Mark) -> bytes:
    """Return a mark as an XMP packet: UTF-8, fewer than 2,500 bytes."""
    values = {
        "folder": mark.folder,
        "source": _percent_encoded(mark.source),
        "size": str(mark.content.size),
        "modified": str(mark.content.mtime_ns),
        "settings": _percent_encoded(mark.settings),
        "kind": mark.kind,
        "made": str(mark.made_ns),
    }
    properties = "".join(f' alphadrop:{name}="{value}"' for name, value in values.items())
    return _PACKET.format(rdf=_RDF, namespace=_NAMESPACE, properties=properties).encode("utf-8")


def read_mark(root: Path, relative: PurePath) -> Mark | None:
    """Return the mark of a file; None where it has none, is damaged, or is no regular file reached without a link.

    Args:
        root: the output folder.
        relative: the file's path below it.
    """
    try:
        with os.fdopen(open_input(root, relative), "rb") as stream:
            return mark_in(stream)
    except Exception:  # whatever is wrong, the file is not ours
        return None


def mark_in(stream: BinaryIO) -> Mark | None:
    """Return the mark of a picture file at its start, seekable; None where it has none or is damaged."""
    try:
        packet = _packet(stream)
        return None if packet is None else _from_xmp(packet)
    except Exception:  # hostile bytes may end the reading anywhere, and whatever is wrong, the file is not ours
        return None


def is_untouched(mark: Mark, output: Content) -> bool:
    """Return whether an output has the time of change it was given: an editor may change a picture and keep its mark.

    Args:
        mark: of the output.
        output: what the output is like now.
    """
    return abs(output.mtime_ns - mark.made_ns) <= _COARSEST_TIME_NS


def _percent_encoded(text: str) -> str:
    return quote_from_bytes(os.fsencode(text), safe="")


def _from_xmp(packet: bytes) -> Mark | None:
    """Return the mark in a packet; None where it has none.

    Raises:
        ValueError, KeyError, ET.ParseError: it is not what we write.
    """
    text = packet.decode("utf-8")
    if "<!" in text:  # entities that grow without end are declared so, and no packet needs it
        return None
    root = ET.fromstring(text)  # noqa: S314  short, and without declarations
    described = [_properties(each) for each in root.iter(f"{{{_RDF}}}Description")]
    found = [properties for properties in described if properties]
    if len(found) != 1:
        return None
    said = found[0]
    return Mark(
        folder=_tag(said["folder"]),
        source=_name(said["source"]),
        content=Content(_number(said["size"], least=0), _number(said["modified"])),
        settings=_text(said["settings"]),
        kind=_kind(said["kind"]),
        made_ns=_number(said["made"], least=0),
    )


def _properties(description: ET.Element) -> dict[str, str]:
    """Return the properties in our namespace, written as attributes, as we do, or as elements, as some editors do."""
    said = [*description.items(), *((child.tag, child.text or "") for child in description)]
    ours = f"{{{_NAMESPACE}}}"
    named = [(name.removeprefix(ours), value) for name, value in said if name.startswith(ours)]
    properties = dict(named)
    if len(properties) != len(named):
        raise ValueError("said twice")
    return properties


def _tag(text: str) -> str:
    if _TAG.fullmatch(text) is None:
        raise ValueError("not a tag")
    return text


def _number(text: str, *, least: int = _WHOLE.start) -> int:
    if _NUMBER.fullmatch(text) is None or int(text) not in _WHOLE or int(text) < least:
        raise ValueError("not a number of ours")
    return int(text)


def _text(encoded: str) -> str:
    raw = unquote_to_bytes(encoded)
    text = os.fsdecode(raw)
    if not 1 <= len(raw) <= _LONGEST_TEXT or _percent_encoded(text) != encoded:
        raise ValueError("not a text of ours")
    return text


def _name(encoded: str) -> str:
    """Return a name that leads nowhere but to a file in its own folder."""
    name = _text(encoded)
    if name == ".." or "\0" in name or PurePath(name).name != name:
        raise ValueError("not the name of a file")
    return name


def _kind(text: str) -> Kind:
    kind: Kind
    for kind in get_args(Kind):
        if kind == text:
            return kind
    raise ValueError("not a kind")


def _packet(stream: BinaryIO) -> bytes | None:
    """Return the XMP packet of a picture file at its start; None where there is none that could be ours.

    Raises:
        EOFError, ValueError, struct.error, OSError: cut off, damaged, or unreadable.
    """
    head = stream.read(12)
    if head.startswith(_PNG):
        stream.seek(len(_PNG))
        return _png_packet(stream)
    if head.startswith(_JPEG):
        stream.seek(len(_JPEG))
        return _jpeg_packet(stream)
    if head.startswith(b"RIFF") and head.endswith(b"WEBP"):
        return _webp_packet(stream)
    if head.startswith((b"II*\x00", b"MM\x00*")):
        return _tiff_packet(stream, "<" if head.startswith(b"II") else ">", head)
    return None


def _png_packet(stream: BinaryIO) -> bytes | None:
    for _ in range(_MOST_PARTS):
        length, kind = struct.unpack(">I4s", _exactly(stream, 8))
        if kind == b"IDAT":
            return None
        if kind != b"iTXt" or length > len(_PNG_XMP) + _LONGEST_PACKET:
            stream.seek(length + 4, os.SEEK_CUR)
            continue
        data = _exactly(stream, length)
        (checksum,) = struct.unpack(">I", _exactly(stream, 4))
        if zlib.crc32(kind + data) != checksum:
            raise ValueError("a damaged chunk")
        if data.startswith(_PNG_XMP):
            return data.removeprefix(_PNG_XMP)
    return None


def _jpeg_packet(stream: BinaryIO) -> bytes | None:
    for _ in range(_MOST_PARTS):
        start, marker, length = struct.unpack(">BBH", _exactly(stream, 4))
        if start != 0xFF or marker in _WITHOUT_HEADERS or length < 2:
            return None
        length -= 2
        if marker != _APP1 or length > len(_JPEG_XMP) + _LONGEST_PACKET:
            stream.seek(length, os.SEEK_CUR)
            continue
        data = _exactly(stream, length)
        if data.startswith(_JPEG_XMP):
            return data.removeprefix(_JPEG_XMP)
    return None


def _webp_packet(stream: BinaryIO) -> bytes | None:
    for _ in range(_MOST_PARTS):
        kind, length = struct.unpack("<4sI", _exactly(stream, 8))
        if kind == b"XMP ":
            return _exactly(stream, length) if length <= _LONGEST_PACKET else None
        stream.seek(length + length % 2, os.SEEK_CUR)
    return None


def _tiff_packet(stream: BinaryIO, order: str, head: bytes) -> bytes | None:
    """Return the packet of a TIFF file's first picture; `order` is that of its bytes, as `struct` says it."""
    (directory,) = struct.unpack_from(f"{order}I", head, 4)
    stream.seek(directory)
    (entries,) = struct.unpack(f"{order}H", _exactly(stream, 2))
    for _ in range(min(entries, _MOST_PARTS)):
        tag, kind, length, place = struct.unpack(f"{order}HHII", _exactly(stream, 12))
        if tag == _TIFF_XMP:
            if kind not in _TIFF_TYPES or length > _LONGEST_PACKET:
                return None
            stream.seek(place)
            return _exactly(stream, length)
    return None


def _exactly(stream: BinaryIO, length: int) -> bytes:
    """Return the next bytes of a stream.

    Raises:
        EOFError: there are fewer.
    """
    data = stream.read(length)
    if len(data) != length:
        raise EOFError("cut off")
    return data
