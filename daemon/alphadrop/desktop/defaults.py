"""What a double click on a photograph starts stays what it was: Alphadrop is offered, and takes nothing over.

Desktops with GLib (GNOME, Xfce, Cinnamon, MATE) prefer an entry of the user's own to those of the system wherever
nobody has chosen. So what they would start without it is written into `defaults.list` beside it, which counts for less
than whatever the user chooses. Pure: made from what `gio mime TYPE` says.
"""

from __future__ import annotations

from collections.abc import Mapping

__all__ = ["ENTRY", "instead_of_ours", "types_of", "with_defaults"]

ENTRY = "alphadrop.desktop"
_TITLE = "[Default Applications]"
_DEFAULT = "Default application for "
_REGISTERED = "Registered applications:"


def types_of(entry: bytes) -> tuple[str, ...]:
    """Return the types of files that a desktop entry says it opens."""
    lines = entry.decode().splitlines()
    (listed,) = [line.removeprefix("MimeType=") for line in lines if line.startswith("MimeType=")]
    return tuple(filter(None, listed.split(";")))


def instead_of_ours(told: str) -> str | None:
    """Return the entry that is to open a type of files in the place of ours.

    Args:
        told: by `gio mime TYPE`, in English.

    Returns:
        None where another one opens it already, or there is no other.
    """
    first, *lines = told.splitlines() or [""]
    if not (first.startswith(_DEFAULT) and first.endswith(f": {ENTRY}")) or _REGISTERED not in lines:
        return None
    for line in lines[lines.index(_REGISTERED) + 1 :]:
        if not line.startswith("\t"):
            break
        if line.strip() != ENTRY:
            return line.strip()
    return None


def with_defaults(content: bytes, chosen: Mapping[str, str]) -> bytes:
    """Return a list of defaults with some more, or others than before.

    Args:
        content: the list as it is; empty where there is none.
        chosen: an entry for each type.
    """
    lines = content.decode(errors="replace").splitlines()
    kept = [line for line in lines if line not in ("", _TITLE) and line.partition("=")[0] not in chosen]
    return "\n".join([_TITLE, *kept, *(f"{type}={entry};" for type, entry in chosen.items()), ""]).encode()
