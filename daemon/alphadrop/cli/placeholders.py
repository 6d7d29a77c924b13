"""Names that tell of a user, replaced by placeholders that stay the same throughout.

Not what is known to be private is taken out, but what is known to be Alphadrop's own is left in: its words, numbers,
and what systems and Python say. Whatever else a log may hold, a name of a file that nobody thought of included, becomes
a placeholder.
"""

from __future__ import annotations

import ast
import builtins
import errno
import os
import platform
import re
import sys
from collections import defaultdict
from collections.abc import Iterable, Mapping
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

from alphadrop.errors import printable

__all__ = ["Placeholders"]

_WORD = re.compile(r"[^\W\d_]+")
_TOKEN = re.compile(r"\S+")
_MARKED = re.compile(r"(<[a-z]+(?:-\d+)?>)")
_SUFFIX = re.compile(r"\.(jpe?g|png|webp|tiff?|bmp|gif|avif|hei[cf]|yaml|sqlite|onnx|zip)$", re.IGNORECASE)
_AROUND = re.compile(r"^([\"'(\[{]*)(.*?)([\"')\]},.:;!?]*)$", re.DOTALL)
_SOURCE_LINE = re.compile(r'\s*File "<(python|alphadrop)>[^"]*", line \d+, in ')
_LONGEST_WORD = 40


class Placeholders:
    """What names have become so far."""

    def __init__(self, own: Mapping[Path, str], folders: Iterable[str], names: Iterable[str], people: Iterable[str]):
        """Learn what is known beforehand.

        Args:
            own: Alphadrop's own files and folders, with the word that stands for each.
            folders: paths that photographs are in.
            names: paths of photographs and their results.
            people: names of the user, his home and his machine.
        """
        self._given: dict[tuple[str, str], str] = {}
        self._count: dict[str, int] = defaultdict(int)
        self._names = set(names)
        self._lengths = sorted({len(name) for name in self._names}, reverse=True)
        self._folders = sorted({*folders, *map(os.path.dirname, self._names)} - {"", os.sep}, key=len, reverse=True)
        ours = {printable(path): f"<{word}>" for path, word in own.items()}
        ours |= {os.path.dirname(__file__).rpartition(os.sep)[0]: "<alphadrop>"}
        ours |= dict.fromkeys({sys.prefix, sys.base_prefix, os.path.dirname(os.__file__)}, "<python>")
        self._ours = {path: ours[path] for path in sorted(ours, key=len, reverse=True) if len(path) > 1}
        starts = [*self._folders, *self._ours]
        self._start = re.compile("|".join(map(re.escape, sorted(starts, key=len, reverse=True)))) if starts else None
        known = sorted({name for name in people if name}, key=len, reverse=True)
        self._people = re.compile(rf"(?<![^\W_])(?:{'|'.join(map(re.escape, known))})(?![^\W_])") if known else None

    def hide(self, text: str) -> str:
        """Return a text, of one or more lines, with placeholders in it."""
        lines = []
        is_source = False
        for line in text.splitlines():
            hidden = self._hide_paths(line)
            # The line of a program that a traceback shows is Alphadrop's or Python's, not the user's.
            lines.append(line if is_source and line.startswith("    ") else self._hide_words(hidden))
            is_source = _SOURCE_LINE.match(hidden) is not None
        return "\n".join(lines)

    def hide_in(self, value: Any) -> Any:
        """Return a value of JSON with placeholders in its texts; the keys of mappings stay."""
        if isinstance(value, str):
            return self.hide(value)
        if isinstance(value, Mapping):
            return {key: self.hide_in(each) for key, each in value.items()}
        return [self.hide_in(each) for each in value] if isinstance(value, list | tuple) else value

    def _hide_paths(self, line: str) -> str:
        """Replace the paths that are known, of a photograph as a whole however many words it has."""
        done, at = [], 0
        while self._start is not None and (found := self._start.search(line, at)):
            start = found.start()
            done.append(line[at:start])
            length = next((each for each in self._lengths if line[start : start + each] in self._names), 0)
            if length:
                name = line[start : start + length]
                done.append(f"{self._hide_paths(os.path.dirname(name))}{os.sep}{self._placeholder('photo', name)}")
                at = start + length
            else:
                done.append(self._ours.get(found[0]) or self._placeholder("folder", found[0]))
                at = found.end()
        return "".join([*done, line[at:]])

    def _hide_words(self, line: str) -> str:
        if self._people is not None:
            line = self._people.sub("<user>", line)
        return _TOKEN.sub(lambda found: self._hide_token(found[0]), line)

    def _hide_token(self, token: str) -> str:
        before, core, after = _AROUND.match(token).groups()  # type: ignore[union-attr]  # it takes everything
        if core.startswith(("<alphadrop>", "<python>")) or self._is_harmless(core):
            return token
        parts = [part if _MARKED.fullmatch(part) else self._hide_part(part) for part in _MARKED.split(core) if part]
        return f"{before}{''.join(parts)}{after}"

    def _hide_part(self, part: str) -> str:
        """Replace what stands beside placeholders, or alone."""
        if self._is_harmless(part) or _SUFFIX.fullmatch(part):
            return part
        separator = os.sep if part.startswith(os.sep) and part != os.sep else ""
        kind = "path" if os.sep in part[len(separator) :] else "file" if _SUFFIX.search(part) else "word"
        return separator + self._placeholder(kind, part[len(separator) :])

    def _is_harmless(self, core: str) -> bool:
        """Return whether a text holds Alphadrop's own words and numbers only, and is no name of a file."""
        bare = _MARKED.sub("", core)
        if bare.startswith(os.sep) or _SUFFIX.search(bare) or "\\" in bare:
            return bare == os.sep
        return all(word.casefold() in _vocabulary() for word in _WORD.findall(bare))

    def _placeholder(self, kind: str, text: str) -> str:
        if (kind, text) not in self._given:
            self._count[kind] += 1
            suffix = _SUFFIX.search(text)
            self._given[kind, text] = f"<{kind}-{self._count[kind]}>{suffix[0].lower() if suffix else ''}"
        return self._given[kind, text]


@cache
def _vocabulary() -> frozenset[str]:
    """Return the words that Alphadrop's programs, the system's errors and Python's tracebacks are made of."""
    texts = [*map(os.strerror, errno.errorcode), *dir(builtins), *sys.stdlib_module_names]
    texts += ["Traceback (most recent call last): File line in <module>", platform.platform(), sys.version]
    for module in _modules(Path(str(files("alphadrop")))):
        texts += _said_in(module)
    words = (word.casefold() for text in texts for word in _WORD.findall(text))
    return frozenset(word for word in words if len(word) <= _LONGEST_WORD)


def _modules(package: Path) -> Iterable[Path]:
    return sorted(package.rglob("*.py"))


def _said_in(module: Path) -> list[str]:
    """Return the texts in a program, but for what only its readers see, and the names that it gives to things."""
    found, nodes = [], list(ast.walk(ast.parse(module.read_bytes())))
    docstrings = {id(node.value) for node in nodes if isinstance(node, ast.Expr)}
    for node in nodes:
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in docstrings:
            found.append(node.value)
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            found.append(node.name)
    return found
