"""A command as each system wants it written down: every one has rules of its own for spaces, quotes and signs."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from alphadrop.errors import BadOptions, printable

__all__ = ["for_entry", "for_startup_file", "for_systemd", "refuse_unwritable"]

_RESERVED = re.compile(r"""[\s"'\\><~|&;$*?#()`]""")
_PLAIN = re.compile(r"[\w@%+=:,./-]+", re.ASCII)


def refuse_unwritable(words: Sequence[str]) -> None:
    """Raise BadOptions where a command cannot be written into a file of text that others read.

    Raises:
        BadOptions: a word is no UTF-8, or has a sign that none of these files can hold.
    """
    for word in words:
        if not word.isprintable() or any("\ud800" <= sign <= "\udfff" for sign in word):
            raise BadOptions(
                f"{printable(word)}: cannot be written into a desktop's files",
                "install Alphadrop in a folder whose name is plain text",
            )


def for_entry(words: Sequence[str]) -> str:
    """Return a command as the key Exec of a desktop entry holds it (Desktop Entry Specification, "The Exec key")."""
    return " ".join(_entry_word(word) for word in words)


def for_systemd(words: Sequence[str], variables: Mapping[str, str] | None = None) -> tuple[str, list[str]]:
    """Return a command as ExecStart holds it (systemd.service(5)), and the lines that set variables for it."""
    # Of a program's own name systemd takes neither quotes nor backslashes.
    program, *arguments = ("/usr/bin/env", *words) if re.search(r"[\"'\\]", words[0]) else words
    # In the program's own name nothing is put in the place of a variable.
    command = [_systemd_word(program), *(_systemd_word(word).replace("$", "$$") for word in arguments)]
    return " ".join(command), [
        f"Environment={_systemd_word(f'{name}={value}', always=True)}" for name, value in (variables or {}).items()
    ]


def for_startup_file(words: Sequence[str]) -> str:
    """Return a command as a batch file of Windows holds it."""
    return " ".join(f'"{word}"' if re.search(r"[\s&()^;,=]", word) else word for word in words).replace("%", "%%")


def _entry_word(word: str) -> str:
    if _RESERVED.search(word) or not word:
        quoted = re.sub(r'(["`$\\])', r"\\\1", word)
        word = f'"{quoted}"'.replace("\\", "\\\\")
    return word.replace("%", "%%")


def _systemd_word(word: str, *, always: bool = False) -> str:
    if always or not _PLAIN.fullmatch(word):
        escaped = word.replace("\\", "\\\\").replace('"', '\\"')
        word = f'"{escaped}"'
    return word.replace("%", "%%")
