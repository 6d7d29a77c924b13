"""One value of the file: the readers from which the schema's tables are made.

Each takes a node and returns a value, or raises BadOptions that says what is allowed. What YAML takes a plain word for
(`4:5` is 245 in base sixty, `no` is false) is of no interest: readers go by what the user wrote.
"""

from __future__ import annotations

import math
import os
import re
import unicodedata
from collections.abc import Callable, Sequence
from pathlib import Path

import yaml

from alphadrop.config.document import Reader, Reading, line_of, nearest, quoted
from alphadrop.engine.options import Background, parse_aspect, parse_background, parse_size
from alphadrop.errors import BadOptions

__all__ = [
    "aspect",
    "background",
    "boolean",
    "choice",
    "duration",
    "items",
    "number",
    "origins",
    "path",
    "patterns",
    "sha256",
    "size",
    "template",
    "text",
    "triple",
    "whole",
]

_LONGEST_TEXT = 4096
_STANDARD_TAG = "tag:yaml.org,2002:"
_READ_AS = {"int": "a number", "float": "a number", "bool": "a yes or no", "timestamp": "a date"}
_TRUTH = {"true": True, "yes": True, "on": True, "false": False, "no": False, "off": False}
_SECONDS = {"": 1.0, "s": 1.0, "ms": 0.001, "m": 60.0, "h": 3600.0, "d": 86_400.0}
_DURATION = re.compile(r"([0-9.]+(?:e[-+]?[0-9]+)?) ?(ms|s|m|h|d|)")
_NUMBER = re.compile(r"[-+]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:e[-+]?[0-9]+)?", re.IGNORECASE)
_WHOLE = re.compile(r"[-+]?[0-9]{1,9}")
_SHA256 = re.compile(r"[0-9a-fA-F]{64}")
_ORIGIN = re.compile(r"(?:https?|[a-z][a-z0-9+.-]*-extension)://(?:[a-z0-9._-]+|\[[0-9a-f:.]+\])(?::([0-9]{1,5}))?")
_DEFAULT_PORTS = {"http": ":80", "https": ":443"}
_VARIABLE = re.compile(r"\$(?:(\$)|\{(\w+)\}|([A-Za-z_]\w*))")


def text(node: yaml.Node, _reading: Reading) -> str:
    """Read text; a number or a date that is meant as text has to be in quotes."""
    value = _scalar(node)
    kind = node.tag.removeprefix(_STANDARD_TAG)
    if kind != "str":
        shown = quoted(value)
        raise BadOptions(f"YAML reads {shown} as {_READ_AS.get(kind, kind)}", f"put it in quotes: '{shown[1:-1]}'")
    if not value.strip():
        raise BadOptions("empty text", "give it a value or leave the key out")
    if any(unicodedata.category(character) in {"Cc", "Cs"} for character in value):
        raise BadOptions(f"{quoted(value)} holds control characters", "a \\ is literal only in single quotes")
    return value


def boolean(node: yaml.Node, _reading: Reading) -> bool:
    """Read `true` or `false`, `yes` or `no`, `on` or `off`."""
    value = _scalar(node)
    if value.lower() not in _TRUTH:
        raise BadOptions(f"{quoted(value)} is neither true nor false")
    return _TRUTH[value.lower()]


def choice(allowed: Sequence[str]) -> Reader:
    """Return a reader of one of several words."""

    def read(node: yaml.Node, _reading: Reading) -> str:
        value = _scalar(node)
        if value in allowed:
            return value
        every = f"it is {' or '.join([', '.join(allowed[:-1]), allowed[-1]] if len(allowed) > 1 else allowed)}"
        near = nearest(value, allowed)
        raise BadOptions(f"{quoted(value)} is not one of its values", f"{every}; {near}" if near else every)

    return read


def whole(low: int | None = None, high: int | None = None) -> Reader:
    """Return a reader of a whole number."""

    def read(node: yaml.Node, _reading: Reading) -> int:
        value = _scalar(node)
        if _in_quotes(node) or not _WHOLE.fullmatch(value):
            raise BadOptions(f"{quoted(value)} is not a whole number", "write digits without quotes")
        _within(float(value), low, high, value)
        return int(value)

    return read


def number(low: float | None = None, high: float | None = None) -> Reader:
    """Return a reader of a number."""

    def read(node: yaml.Node, _reading: Reading) -> float:
        value = _scalar(node)
        if _in_quotes(node) or not _NUMBER.fullmatch(value) or not math.isfinite(float(value)):
            raise BadOptions(f"{quoted(value)} is not a number", "write it with a decimal point and without quotes")
        _within(float(value), low, high, value)
        return float(value)

    return read


def duration(low: float, high: float) -> Reader:
    """Return a reader of seconds: `2`, `2s`, `500ms`, `1m`, `90d`."""

    def read(node: yaml.Node, _reading: Reading) -> float:
        value = _scalar(node)
        match = _DURATION.fullmatch(value.strip().lower())
        try:
            seconds = float(match[1]) * _SECONDS[match[2]] if match else math.nan
        except ValueError:
            seconds = math.nan
        if math.isnan(seconds):
            raise BadOptions(f"{quoted(value)} is not a duration", "write seconds, or 500ms, 2s, 1m, 1h, 90d")
        _within(seconds, low, high, value, _span)
        return seconds

    return read


def path(node: yaml.Node, reading: Reading) -> Path:
    """Read a path: `~` and variables are expanded, and a relative one starts at the configuration's folder."""
    return reading.folder / _expanded(text(node, reading), reading)


def background(node: yaml.Node, reading: Reading) -> Background:
    """Read `transparent`, a colour or the path of a picture."""
    value = parse_background(_expanded(text(node, reading), reading))
    return reading.folder / value if isinstance(value, Path) else value


def size(node: yaml.Node, reading: Reading) -> tuple[int, int]:
    """Read `2000`, `1600x2000` or `[1600, 2000]`."""
    if isinstance(node, yaml.SequenceNode):
        sides = items(node, reading)
        if len(sides) != 2:
            raise BadOptions("a size has two sides", "write 2000 for a square, 1600x2000 or [1600, 2000]")
        return whole()(sides[0], reading), whole()(sides[1], reading)
    return parse_size(_scalar(node))


def aspect(node: yaml.Node, _reading: Reading) -> float:
    """Read `4:5` or `0.8`."""
    return parse_aspect(_scalar(node))


def template(node: yaml.Node, reading: Reading) -> str:
    """Read the template of an output's name."""
    value = text(node, reading)
    plain = value.replace("{stem}", "").replace("{ext}", "")
    if "{" in plain or "}" in plain:
        raise BadOptions(f"{quoted(value)} knows {{stem}} and {{ext}} only")
    if "{stem}" not in value:
        raise BadOptions(f"{quoted(value)} gives every photograph the same name", "put {stem} in it")
    if "/" in value or "\\" in value:
        raise BadOptions(f"{quoted(value)} is a name, not a path", "results go to the folder `output`")
    return value


def patterns(node: yaml.Node, reading: Reading) -> tuple[str, ...]:
    """Read one glob pattern or a list of them, on paths below the folder."""
    nodes = items(node, reading) if isinstance(node, yaml.SequenceNode) else [node]
    found = []
    for item in nodes:
        try:
            found.append(_pattern(item, reading))
        except BadOptions as error:
            reading.problem(line_of(item), error.message, error.hint)
    return tuple(found)


def sha256(node: yaml.Node, _reading: Reading) -> str:
    """Read the hash of a key."""
    value = _scalar(node)
    if not _SHA256.fullmatch(value):
        raise BadOptions("this is not the SHA-256 of a key: 64 hexadecimal digits", "`alphadrop config key` makes both")
    return value.lower()


def origins(node: yaml.Node, reading: Reading) -> tuple[str, ...]:
    """Read a list of web origins, each as a browser writes it."""
    found = []
    for item in items(node, reading):
        try:
            found.append(_origin(text(item, reading)))
        except BadOptions as error:
            reading.problem(line_of(item), error.message, error.hint)
    return tuple(found)


def triple(low: float | None = None) -> Reader:
    """Return a reader of three numbers, for red, green and blue."""

    def read(node: yaml.Node, reading: Reading) -> tuple[float, ...]:
        numbers = items(node, reading)
        if len(numbers) != 3:
            raise BadOptions("three numbers are wanted, for red, green and blue", "write [0.5, 0.5, 0.5]")
        return tuple(number(low)(item, reading) for item in numbers)

    return read


def items(node: yaml.Node, reading: Reading) -> list[yaml.Node]:
    """Return the items of a list."""
    if not isinstance(node, yaml.SequenceNode):
        raise BadOptions("a list is wanted here", "begin each of its items with a dash, or write [a, b]")
    for item in node.value:
        reading.visit(item)
    return list(node.value)


def _origin(value: str) -> str:
    match = _ORIGIN.fullmatch(value)
    if match is None or int(match[1] or 1) not in range(1, 65_536):
        raise BadOptions(
            f"{quoted(value)} is not the origin of a web page",
            "write https://example.org or http://localhost:3000, in small letters, without a path and without *",
        )
    default = _DEFAULT_PORTS.get(value.partition(":")[0])
    if default is not None and match[1] == default[1:]:
        raise BadOptions(f"browsers leave the usual port out of {quoted(value)}", f"write it without {default}")
    return value


def _pattern(node: yaml.Node, reading: Reading) -> str:
    pattern = text(node, reading)
    if pattern.startswith(("/", "~")) or ".." in pattern.split("/"):
        raise BadOptions(f"{quoted(pattern)} leads out of the folder", "patterns are relative to it")
    return pattern


def _scalar(node: yaml.Node) -> str:
    if not isinstance(node, yaml.ScalarNode):
        kind = "a list" if isinstance(node, yaml.SequenceNode) else "a group"
        in_brackets = isinstance(node, yaml.CollectionNode) and node.flow_style
        hint = "put text that begins with { or [ in quotes" if in_brackets else ""
        raise BadOptions(f"one value is wanted here, not {kind}", hint)
    if not node.tag.startswith(_STANDARD_TAG):
        raise BadOptions(f"YAML reads {quoted(node.tag)} as a tag", "put text that begins with ! in quotes")
    if len(node.value) > _LONGEST_TEXT:
        raise BadOptions(f"{quoted(node.value)} is too long")
    return str(node.value)


def _in_quotes(node: yaml.Node) -> bool:
    return isinstance(node, yaml.ScalarNode) and bool(node.style)


def _within(
    value: float,
    low: float | None,
    high: float | None,
    written: str,
    shown: Callable[[float], str] = "{:g}".format,
) -> None:
    if (low is not None and value < low) or (high is not None and value > high):
        least = shown(low or 0)
        limits = f"at least {least}" if high is None else f"{least} to {shown(high)}"
        raise BadOptions(f"it is {limits}, not {quoted(written)}")


def _span(seconds: float) -> str:
    """Return seconds in the largest unit that they fill."""
    unit = next((unit for unit in ("d", "h", "m") if seconds >= _SECONDS[unit]), "s")
    return f"{seconds / _SECONDS[unit]:g}{unit}"


def _expanded(written: str, reading: Reading) -> str:
    """Return a path's text with `~`, `$NAME` and `${NAME}` replaced; `$$` is a dollar sign."""

    def value_of(match: re.Match[str]) -> str:
        name = match[2] or match[3]
        if name is None:
            return "$"
        if name not in reading.environ:
            raise BadOptions(f"the variable ${name} is not set", "write $$ where a dollar sign is meant")
        return reading.environ[name]

    replaced = _VARIABLE.sub(value_of, written)
    if not written.startswith("~"):
        return replaced
    user, _, rest = replaced.partition("/")
    home = reading.environ.get("HOME", "") if user == "~" else ""
    home = home or os.path.expanduser(user)
    if home.startswith("~"):
        raise BadOptions(f"{quoted(user)} is nobody's home folder", f"write ./{user} where a name is meant")
    return os.path.join(home, rest)
