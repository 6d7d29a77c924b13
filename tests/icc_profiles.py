"""Small ICC profiles made here (ICC.1:2001-04): matrix and curve, grey, and lookup tables of three or four channels."""

from __future__ import annotations

import itertools
import struct
from collections.abc import Callable, Sequence

__all__ = ["SRGB", "cmyk_profile", "empty_profile", "grey_profile", "one_way_profile", "wide_profile"]

Colour = tuple[float, float, float]


def wide_profile(gamma: float = 1.8) -> bytes:
    """Return an RGB profile with primaries far from sRGB's: those of ROMM, relative to D50."""
    primaries = {
        b"rXYZ": (0.7977, 0.2880, 0.0),
        b"gXYZ": (0.1352, 0.7119, 0.0),
        b"bXYZ": (0.0313, 0.0001, 0.8249),
    }
    curve = _curve(gamma)
    tags = {name: _xyz(value) for name, value in primaries.items()}
    return _profile(b"mntr", b"RGB ", b"XYZ ", {**tags, b"rTRC": curve, b"gTRC": curve, b"bTRC": curve})


def grey_profile(gamma: float = 1.0) -> bytes:
    """Return a grey profile."""
    return _profile(b"mntr", b"GRAY", b"XYZ ", {b"kTRC": _curve(gamma)})


def cmyk_profile() -> bytes:
    """Return a CMYK profile of inks far from the naive ones: lightness falls with all, the hue is turned."""

    def lab(inks: Sequence[float]) -> Colour:
        cyan, magenta, yellow, black = inks
        lightness = 100 * (1 - black) * (1 - 0.3 * (cyan + magenta + yellow))
        return max(0.0, lightness), 60 * (1 - black) * (cyan - magenta), 60 * (1 - black) * (yellow - cyan)

    return _profile(b"prtr", b"CMYK", b"Lab ", {b"A2B0": _table(4, lab)})


def one_way_profile() -> bytes:
    """Return a scanner's RGB profile: there is a way from its colours, and none back."""

    def lab(rgb: Sequence[float]) -> Colour:
        red, green, blue = rgb
        return 100 * (0.3 * red + 0.6 * green + 0.1 * blue), 80 * (red - green), 80 * (green - blue)

    return _profile(b"scnr", b"RGB ", b"Lab ", {b"A2B0": _table(3, lab)})


def empty_profile(space: bytes = b"RGB ") -> bytes:
    """Return a profile whose header is right, and that says nothing of its colours."""
    return _profile(b"mntr", space, b"XYZ ", {})


def _profile(kind: bytes, space: bytes, connection: bytes, tags: dict[bytes, bytes]) -> bytes:
    text = b"made for a test"
    tags = {
        b"desc": b"desc\0\0\0\0" + struct.pack(">I", len(text) + 1) + text + bytes(79),
        b"cprt": b"text\0\0\0\0" + text + b"\0",
        b"wtpt": _xyz((0.9642, 1.0, 0.8249)),
        **tags,
    }
    table, data = struct.pack(">I", len(tags)), b""
    start = 128 + 4 + 12 * len(tags)
    for name, content in tags.items():
        table += name + struct.pack(">II", start + len(data), len(content))
        data += content + bytes(-len(content) % 4)
    header = struct.pack(">I4sI4s4s4s", start + len(data), b"\0\0\0\0", 0x02400000, kind, space, connection)
    header += struct.pack(">6H4s", 2024, 1, 1, 0, 0, 0, b"acsp") + bytes(28)
    header += struct.pack(">III", 0xF6D6, 0x10000, 0xD32D)
    return header.ljust(128, b"\0") + table + data


def _xyz(value: Colour) -> bytes:
    return b"XYZ \0\0\0\0" + struct.pack(">3i", *(round(part * 65536) for part in value))


def _curve(gamma: float) -> bytes:
    return b"curv\0\0\0\0" + struct.pack(">IH", 1, round(gamma * 256)) + b"\0\0"


def _table(inputs: int, lab: Callable[[Sequence[float]], Colour]) -> bytes:
    """Return an 8-bit table (lut8Type) with nine points a channel."""
    points = 9
    straight = bytes(range(256))
    identity = struct.pack(">9i", 65536, 0, 0, 0, 65536, 0, 0, 0, 65536)
    content = bytearray()
    for place in itertools.product(range(points), repeat=inputs):
        lightness, a, b = lab([step / (points - 1) for step in place])
        content += bytes(min(255, max(0, round(v))) for v in (lightness * 2.55, a + 128, b + 128))
    head = b"mft1\0\0\0\0" + bytes([inputs, 3, points, 0]) + identity
    return head + straight * inputs + bytes(content) + straight * 3


def _srgb() -> bytes:
    from PIL import ImageCms

    return ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


SRGB = _srgb()
