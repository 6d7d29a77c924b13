"""Text to YAML nodes that are safe to walk, and the list on which everything wrong is written down.

Nodes rather than plain data, because only nodes know their lines. A configuration may be hostile: it is bounded in
bytes, depth and number of nodes before anything is built from it.
"""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn

import yaml

from alphadrop.errors import BadOptions, ConfigError, ConfigProblem, printable

__all__ = ["MAX_BYTES", "Reader", "Reading", "Section", "Table", "compose", "line_of", "nearest", "quoted", "section"]

MAX_BYTES = 1_000_000
_MAX_DEPTH = 20
_MAX_NODES = 20_000
_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_NOT_TEXT = re.compile("[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_NULL = "tag:yaml.org,2002:null"
_MERGE = "tag:yaml.org,2002:merge"


@dataclass(slots=True)
class Reading:
    """One reading of one configuration: where it is, and what was found wrong so far."""

    file: Path
    text: str
    environ: Mapping[str, str]
    """What `~` and variables in paths are expanded with."""
    problems: list[ConfigProblem] = field(default_factory=list)
    warnings: list[ConfigProblem] = field(default_factory=list)
    visits: int = 0

    @property
    def folder(self) -> Path:
        """The folder that relative paths start from."""
        return Path(os.path.abspath(self.file)).parent

    def problem(self, line: int, message: str, hint: str = "") -> None:
        """Write down an error."""
        self.problems.append(ConfigProblem(self.file, line, f"{message}; {hint}" if hint else message))

    def warn(self, line: int, message: str) -> None:
        """Write down what does not stop anything."""
        self.warnings.append(ConfigProblem(self.file, line, message))

    def visit(self, node: yaml.Node) -> None:
        """Count one step of the walk; aliases could make it endless.

        Raises:
            ConfigError: there were too many.
        """
        self.visits += 1
        if self.visits > _MAX_NODES:
            self.stop(line_of(node), "the configuration repeats itself too often", "use fewer aliases (*name)")

    def stop(self, line: int, message: str, hint: str = "") -> NoReturn:
        """Write down an error and give up.

        Raises:
            ConfigError: always, with everything found so far.
        """
        self.problem(line, message, hint)
        raise self.error()

    def error(self) -> ConfigError:
        """Return everything wrong, each once, in the order of the lines."""
        return ConfigError(tuple(sorted(dict.fromkeys(self.problems), key=lambda problem: problem.line)))


Reader = Callable[[yaml.Node, Reading], Any]
"""Turns a node into a value; raises BadOptions where it cannot."""
Table = Mapping[str, Reader]
"""What may stand in a section: each key with its reader."""


@dataclass(frozen=True, slots=True)
class Section:
    """One mapping of the file, read by a table: its good values, and where each key stands."""

    line: int
    values: dict[str, Any]
    lines: dict[str, int]

    def line_of(self, key: str) -> int:
        """Return the line of a key, or of the section where the key was not given."""
        return self.lines.get(key, self.line)


def compose(reading: Reading) -> yaml.Node:
    """Return the root of a configuration's text.

    Raises:
        ConfigError: it is no YAML, is too large, or says nothing.
    """
    if (strange := _NOT_TEXT.search(reading.text)) is not None:
        line = reading.text.count("\n", 0, strange.start()) + 1
        reading.stop(line, f"a character that no text has: U+{ord(strange[0]):04X}", "is this the right file?")
    root: yaml.Node | None = None
    try:
        _bound(reading)
        root = yaml.compose(reading.text, _LOADER)
    except yaml.MarkedYAMLError as error:
        line, message, hint = _explain(error, reading.text)
        reading.stop(line, message, hint)
    except yaml.YAMLError as error:
        reading.stop(1, f"this is no YAML: {printable(str(error).splitlines()[0])}")
    if root is None:
        reading.stop(1, "the file says nothing", "`alphadrop config init` writes one to start from")
    return root


def section(node: yaml.Node, table: Table, reading: Reading, what: str, elsewhere: Mapping[str, str]) -> Section:
    """Read a mapping by a table of its keys; everything wrong in it is written down.

    Args:
        node: the mapping.
        table: its keys.
        reading: where problems go.
        what: the section's name, for messages.
        elsewhere: keys that belong to other sections, and the name of those.
    """
    part = Section(line_of(node), {}, {})
    if not isinstance(node, yaml.MappingNode):
        reading.problem(part.line, f"{what} is a group of `key: value` lines", "check the dashes and colons")
        return part
    for key, value in _entries(node, reading):
        name, line = key.value, line_of(key)
        part.lines[name] = line
        if name not in table:
            reading.problem(line, f"unknown key {quoted(name)}", _advice(name, table, elsewhere))
        elif value.tag == _NULL:
            reading.problem(line, f"{quoted(name)} has no value", _empty(value, reading.text))
        else:
            try:
                part.values[name] = table[name](value, reading)
            except BadOptions as error:
                reading.problem(line_of(value), f"{name}: {error.message}", error.hint)
    return part


def line_of(node: yaml.Node) -> int:
    """Return the line a node begins in, from 1."""
    return int(node.start_mark.line) + 1


def quoted(text: str) -> str:
    """Return what stands in the file as a message can hold it."""
    shown = printable(text.encode("utf-8", "backslashreplace"))
    return f"`{shown if len(shown) <= 60 else shown[:57] + '...'}`"


def nearest(word: str, words: Collection[str]) -> str:
    """Return the advice `did you mean ...?`, or nothing where no word is near."""
    if len(word) > 60:
        return ""
    near = difflib.get_close_matches(word.lower().replace("-", "_"), words, n=1) or difflib.get_close_matches(
        word.lower(), words, n=1
    )
    return f"did you mean `{near[0]}`?" if near else ""


def _entries(node: yaml.MappingNode, reading: Reading, depth: int = 0) -> Iterator[tuple[yaml.ScalarNode, yaml.Node]]:
    """Yield the keys and values of a mapping, then those that `<<` brings along and that it does not say itself."""
    first: dict[str, int] = {}
    merged: list[yaml.Node] = []
    for key, value in node.value:
        reading.visit(key)
        if key.tag == _MERGE:
            merged += value.value if isinstance(value, yaml.SequenceNode) else [value]
        elif not isinstance(key, yaml.ScalarNode):
            reading.problem(line_of(key), "a key is one word", "put text that begins with [ or { in quotes")
        elif key.value in first:
            reading.problem(line_of(key), f"{quoted(key.value)} stands here twice", f"first in line {first[key.value]}")
        else:
            first[key.value] = line_of(key)
            yield key, value
    for other in merged:
        reading.visit(other)
        if depth == _MAX_DEPTH or not isinstance(other, yaml.MappingNode):
            reading.problem(line_of(node), "`<<` brings in another group, and not itself", "write <<: *name")
            continue
        for key, value in _entries(other, reading, depth + 1):
            if key.value not in first:
                first[key.value] = line_of(key)
                yield key, value


def _bound(reading: Reading) -> None:
    """Refuse what is too deep or too long, before the composer, which is recursive, sees it."""
    depth = nodes = 0
    for event in yaml.parse(reading.text, _LOADER):
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        nodes += isinstance(event, yaml.NodeEvent)
        if depth > _MAX_DEPTH or nodes > _MAX_NODES:
            line = event.start_mark.line + 1 if event.start_mark is not None else 1
            reading.stop(line, "the configuration is nested too deeply or too long")


def _advice(name: str, table: Table, elsewhere: Mapping[str, str]) -> str:
    if name in elsewhere:
        return f"it belongs to {elsewhere[name]}"
    return nearest(name, table) or f"the keys here are {', '.join(table)}"


def _empty(value: yaml.Node, text: str) -> str:
    if isinstance(value, yaml.ScalarNode) and value.value == "~":
        return "put it in quotes where your home folder is meant: '~'"
    lines = text.splitlines()
    rest = lines[value.start_mark.line] if value.start_mark.line < len(lines) else ""
    if "#" in rest:
        return "what follows a # is a comment; put it in quotes where it is meant: '#ffffff'"
    return "give it one or leave the key out"


def _explain(error: yaml.MarkedYAMLError, text: str) -> tuple[int, str, str]:
    """Return the line, the message and the hint of what YAML complains of."""
    context, problem = error.context or "", error.problem or "this is no YAML"
    mark = error.problem_mark or error.context_mark
    if "quoted scalar" in context and "end of" in problem:
        mark = error.context_mark or mark
    row = int(mark.line) if mark is not None else 0
    lines = text.splitlines()
    row = min(row, max(len(lines) - 1, 0))
    here = lines[row] if lines else ""
    if "\t" in here and ("token" in problem or "tab" in problem):
        return row + 1, "a tab", "indent with spaces"
    if "another document" in problem:
        return row + 1, "a second document begins here", "remove the line ---"
    if "undefined alias" in problem or "alias" in context:
        return row + 1, f"YAML: {printable(problem)}", "put text that begins with * in quotes: '*.jpg'"
    if "mapping values" in problem:
        hint = "check the indentation and the spaces after colons; put text that holds a colon in quotes"
    elif "quoted scalar" in context:
        hint = "a quotation mark is missing, or a \\ in double quotes; use single quotes"
    elif "token" in problem or "expected" in problem:
        hint = "check the indentation and the brackets; put text that begins with a sign such as { [ @ % ! in quotes"
    else:
        hint = ""
    return row + 1, f"YAML: {printable(problem)}", hint
