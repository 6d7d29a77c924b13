"""Thunar's own list of actions, with one of ours in it: all else in the file stays as it is, byte for byte."""

from __future__ import annotations

import re
import shlex
import xml.etree.ElementTree as ET
from collections.abc import Sequence
from xml.sax.saxutils import escape

from alphadrop.errors import CannotRead

__all__ = ["EMPTY", "with_action", "without_action"]

EMPTY = b'<?xml version="1.0" encoding="UTF-8"?>\n<actions>\n</actions>\n'
"""A list of no actions."""
_ID = b"alphadrop-cut-out"
_ACTION = """\
<action>
\t<icon>alphadrop</icon>
\t<name>Cut Out with Alphadrop</name>
\t<name xml:lang="zh_CN">用 Alphadrop 抠图</name>
\t<unique-id>{id}</unique-id>
\t<command>{command}</command>
\t<description>Make a transparent cut-out beside the photograph</description>
\t<description xml:lang="zh_CN">在照片旁边生成透明背景的抠图</description>
\t<patterns>*</patterns>
\t<image-files/>
</action>
"""
_END = b"</actions>"
_EACH = re.compile(rb"<action>(?:(?!</action>).)*?</action>\n?", re.DOTALL)


def with_action(content: bytes, command: Sequence[str]) -> bytes:
    """Return a list with our action at its end, in the place of an older one of ours.

    Args:
        content: of the file.
        command: that cuts the files out that are named after it.

    Raises:
        CannotRead: it is not such a list.
    """
    bare = without_action(content)
    told = escape(f"{shlex.join(command)}".replace("%", "%%") + " %F")
    action = _ACTION.format(id=_ID.decode(), command=told).encode()
    start, _, end = bare.rpartition(_END)
    changed = start + action + _END + end
    if _ID.decode() not in [each.text for each in _understood(changed).iterfind("action/unique-id")]:
        raise _strange("its end is not where it seems to be")
    return changed


def without_action(content: bytes) -> bytes:
    """Return a list without our action.

    Raises:
        CannotRead: it is not such a list.
    """
    if _END not in content:
        raise _strange("it has no end")
    _understood(content)
    marked = b"<unique-id>" + _ID + b"</unique-id>"
    bare = _EACH.sub(lambda found: b"" if marked in found[0] else found[0], content)
    _understood(bare)
    return bare


def _understood(content: bytes) -> ET.Element:
    try:
        root = ET.fromstring(content)  # noqa: S314 -- the user's own settings
    except ET.ParseError as error:
        raise _strange(str(error)) from error
    if root.tag != "actions":
        raise _strange(f"it begins with <{root.tag}>")
    return root


def _strange(reason: str) -> CannotRead:
    return CannotRead(f"not a list of Thunar's actions: {reason}", "mend it in Thunar: Edit > Configure custom actions")
