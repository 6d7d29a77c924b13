"""The user's manual as tests read it: its pages, the commands in them, and what is named in code."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import TypeAlias

__all__ = ["CHECKOUT", "PAGES", "Block", "blocks_of", "fences_of", "named_commands", "page_file", "sections_of"]

CHECKOUT = Path(__file__).parents[1]
PAGES = ("README.md", *sorted(file.name for file in (CHECKOUT / "docs").glob("*.md")))
"""The pages of the manual, and the one that a newcomer sees first."""
_FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_CODE = re.compile(r"(?<!`)`([^`\n]+)`(?!`)")
_COMMENT = re.compile(r"\s+#\s.*")


Block: TypeAlias = tuple[str, ...]
"""The commands that a reader copies into a terminal at once."""


def page_file(name: str) -> Path:
    """Return the file of a page."""
    return CHECKOUT / name if name == "README.md" else CHECKOUT / "docs" / name


def fences_of(name: str) -> list[tuple[str, str]]:
    """Return the language and the text of every block of code of a page."""
    return _FENCE.findall(page_file(name).read_text(encoding="utf-8"))


def blocks_of(name: str) -> list[Block]:
    """Return the blocks of commands of a page: each command in one line, without notes."""
    return [tuple(_commands(text)) for language, text in fences_of(name) if language == "sh"]


def named_commands(name: str) -> Iterator[tuple[str, list[str]]]:
    """Yield every `alphadrop ...` that a sentence or a table of a page names, and its words."""
    text = _FENCE.sub("", page_file(name).read_text(encoding="utf-8"))
    for code in _CODE.findall(text):
        if code == "alphadrop" or code.startswith("alphadrop "):
            yield code, shlex.split(code)[1:]


def sections_of(name: str, level: int) -> dict[str, str]:
    """Return the text below each heading of a level, up to the next one of this or a higher level."""
    text = page_file(name).read_text(encoding="utf-8")
    parts = re.split(rf"^(#{{1,{level}}}) (.+)$", text, flags=re.MULTILINE)
    return {
        title: below
        for hashes, title, below in zip(parts[1::3], parts[2::3], parts[3::3], strict=True)
        if len(hashes) == level
    }


def _commands(text: str) -> Iterator[str]:
    for line in re.sub(r"\\\n\s*", "", text).splitlines():
        if command := _COMMENT.sub("", line).strip():
            yield command
