"""What the disks are like that folders are on: roots of mounts, file systems of other machines, space left."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from pathlib import Path

from alphadrop.hotfolder.ledger import Ledger

__all__ = [
    "disk_is_away",
    "free_bytes",
    "is_mount",
    "is_remote",
    "kind_of",
    "looks_unmounted",
    "mount_points",
    "refuses_leases",
]

_REMOTE = ("nfs", "cifs", "smb", "9p", "ceph", "afs", "fuse", "gfs", "ocfs", "lustre", "gpfs")
"""How the names of file systems begin that may be changed, and locked, by other machines."""
_LOCAL_THOUGH = "fuseblk"
_ESCAPED = re.compile(r"\\([0-7]{3})")


def is_mount(folder: Path) -> bool:
    """Return whether a folder is the root of something mounted, a bind mount included where the system tells."""
    lines = _mountinfo()
    if not lines:
        return os.path.ismount(folder)
    return os.path.realpath(folder) in mount_points(lines)


def looks_unmounted(folder: Path) -> bool:
    """Return whether a folder that was the root of a disk is now an empty one on the disk below."""
    try:
        with os.scandir(folder) as entries:
            return not is_mount(folder) and not any(entries)
    except OSError:
        return False


def disk_is_away(folder: Path, ledger: Ledger) -> bool:
    """Return whether a folder was the root of a disk when it was last seen, and is an empty one below it now."""
    return ledger.was_mounted(folder) and looks_unmounted(folder)


def is_remote(folder: Path) -> bool:
    """Return whether other machines may change a folder without this one hearing of it."""
    try:
        kind = kind_of(os.stat(folder).st_dev, _mountinfo())
    except OSError:
        return False
    return kind.startswith(_REMOTE) and kind != _LOCAL_THOUGH


def refuses_leases(device: int) -> bool:
    """Return whether a file system refuses a lease for reasons of its own, with nobody writing."""
    return kind_of(device, _mountinfo()).startswith(_REMOTE)


def free_bytes(folder: Path) -> int | None:
    """Return how much a user may still write below a folder; None where nobody knows."""
    try:
        if hasattr(os, "statvfs"):
            found = os.statvfs(folder)
            return found.f_bavail * found.f_frsize
        import shutil

        return shutil.disk_usage(folder).free
    except OSError:
        return None


def mount_points(lines: Iterable[str]) -> set[str]:
    """Return the roots of everything mounted.

    Args:
        lines: of `/proc/self/mountinfo` (proc(5)).
    """
    roots = (root for line in lines for root in line.split(" ")[4:5])
    return {_ESCAPED.sub(lambda octal: chr(int(octal[1], 8)), root) for root in roots}


def kind_of(device: int, lines: Iterable[str]) -> str:
    """Return the name of the file system that is on a device; nothing where it is not mounted.

    Args:
        device: `st_dev` of a file.
        lines: of `/proc/self/mountinfo`.
    """
    number = f"{os.major(device)}:{os.minor(device)}"
    for line in lines:
        mounted, _, described = line.partition(" - ")
        if mounted.split(" ")[2:3] == [number]:
            return described.split(" ")[0]
    return ""


def _mountinfo() -> list[str]:
    """Return what is mounted now: the number of a device that is gone is soon another's."""
    try:
        with open("/proc/self/mountinfo", encoding="utf-8", errors="surrogateescape", newline="\n") as mounts:
            return mounts.read().split("\n")[:-1]  # names may hold whatever else ends a line
    except OSError:
        return []
