"""A home as it is, byte for byte: what an uninstall has to leave behind."""

from __future__ import annotations

import hashlib
import os
import stat
from pathlib import Path


def tree(home: Path) -> dict[str, tuple[str, int, int]]:
    """Return every path below a folder: a hash of its content or where it leads, its mode, and its time of change.

    The time of change of a folder is not told: what is written into one and removed again changes it.
    """
    found = {}
    for path in sorted(home.rglob("*")):
        status = path.lstat()
        if stat.S_ISLNK(status.st_mode):
            content = os.readlink(path)
        else:
            content = "" if path.is_dir() else hashlib.sha256(path.read_bytes()).hexdigest()
        modified_ns = 0 if path.is_dir() and not path.is_symlink() else status.st_mtime_ns
        found[str(path.relative_to(home))] = (content, status.st_mode, modified_ns)
    return found


def lived_in(home: Path) -> None:
    """Put into a home what a user may have there, of odd modes and old."""
    files = {
        ".config/Thunar/uca.xml": THUNAR,
        ".config/Thunar/accels.scm": b"; accels\n",
        ".config/autostart/other.desktop": b"[Desktop Entry]\nType=Application\nName=Other\nExec=true\n",
        ".config/systemd/user/other.service": b"[Service]\nExecStart=/bin/true\n",
        ".local/share/applications/other.desktop": (
            b"[Desktop Entry]\nType=Application\nName=Other\nExec=true %F\nMimeType=image/png;\n"
        ),
        ".local/share/applications/mimeinfo.cache": b"[MIME Cache]\nimage/png=other.desktop;\n",
        ".local/share/icons/hicolor/16x16/apps/other.png": b"other",
        ".local/share/nautilus/scripts/other": b"#!/bin/sh\n",
    }
    for number, (name, content) in enumerate(files.items()):
        path = home / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        path.chmod(0o600 if number % 2 else 0o664)
        os.utime(path, (1_500_000_000 + number, 1_500_000_000 + number))


THUNAR = """\
<?xml version="1.0" encoding="UTF-8"?>
<!DOCTYPE actions [
	<!ELEMENT actions (action)+>
]>
<actions>
<action>\r
	<icon>utilities-terminal</icon>
	<name>Open Terminal Here &amp; now</name>
	<name xml:lang="zh_CN">在此打开终端</name>
	<unique-id>1430000000000000-1</unique-id>
	<command>exo-open --working-directory %f</command>
	<patterns>*</patterns>
	<directories/>
</action>
  </actions>
<!-- mine -->
""".encode()
