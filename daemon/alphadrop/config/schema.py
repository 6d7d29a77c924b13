"""The keys of the file: one table per section, and what becomes of a section that was read.

A key is known when it stands in a table here. Defaults are those of the dataclasses.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any, TypeVar, get_args, get_type_hints

import yaml

from alphadrop.config.document import Reading, Section, Table, nearest, quoted, section
from alphadrop.config.keys import checked_name
from alphadrop.config.settings import LOG_LEVELS, Limits, NamedKey, Settings, Web
from alphadrop.config.values import (
    aspect,
    background,
    boolean,
    choice,
    duration,
    items,
    number,
    origins,
    path,
    patterns,
    sha256,
    size,
    template,
    text,
    triple,
    whole,
)
from alphadrop.engine.models import AUTO, ModelSpec
from alphadrop.engine.options import (
    ALIGNMENTS,
    CROPS,
    EDGES,
    FORMATS,
    PNG_EFFORTS,
    PRESETS,
    PROVIDERS,
    QUIETS,
    Canvas,
    CutOptions,
)
from alphadrop.errors import BadOptions, printable
from alphadrop.hotfolder.answers import ask
from alphadrop.hotfolder.settings import IF_EXISTS, ORIGINALS, RESULTS, FolderSettings

__all__ = ["SECTIONS", "PlacedFolder", "folder", "keys", "models", "top"]

T = TypeVar("T")

_MODEL_TYPES = get_type_hints(ModelSpec)
_OWN_MODEL: Mapping[str, Any] = {
    "input_size": 320,
    "scale": "max",
    "mean": (0.485, 0.456, 0.406),  # ImageNet's, with which nearly every published network was trained
    "std": (0.229, 0.224, 0.225),
    "activation": "none",
    "licence": "unknown",
    "commercial": None,
}

CANVAS: Table = {"size": size, "aspect": aspect, "align": choice(ALIGNMENTS)}
LIMITS: Table = {"pixels": number(1, 1000), "in_flight": number(1, 10_000)}
LOG: Table = {"level": choice(LOG_LEVELS)}
WEB: Table = {"enabled": boolean, "port": whole(1024, 65_535)}
KEY: Table = {"name": lambda node, reading: checked_name(text(node, reading)), "sha256": sha256}
MODEL: Table = {
    "name": text,
    "file": path,
    "input_size": whole(16, 4096),
    "scale": choice(get_args(_MODEL_TYPES["scale"])),
    "mean": triple(),
    "std": triple(0.001),
    "activation": choice(get_args(_MODEL_TYPES["activation"])),
    "licence": text,
}
FOLDER: Table = {
    "input": path,
    "output": path,
    "recursive": boolean,
    "model": text,
    "result": choice(RESULTS),
    "preset": choice(tuple(PRESETS)),
    "format": choice(FORMATS),
    "png": choice(PNG_EFFORTS),
    "quality": whole(),
    "edges": choice(EDGES),
    "decontaminate": boolean,
    "smallest_part": number(),
    "fill_holes": number(),
    "feather": number(),
    "hardness": number(),
    "shift_edge": whole(),
    "background": background,
    "crop": choice(CROPS),
    "margin": number(),
    "canvas": lambda node, reading: _section(node, CANVAS, reading, "`canvas`"),
    "name": template,
    "if_exists": choice(IF_EXISTS),
    "originals": choice(ORIGINALS),
    "finished": path,
    "failed": path,
    "settle": duration(0, 3600),
    "rescan": duration(1, 86_400),
    "poll": boolean,
    "include": patterns,
    "exclude": patterns,
}
TOP: Table = {
    "model": text,
    "folders": items,
    "models": items,
    "threads": whole(0, 1024),
    "provider": choice(PROVIDERS),
    "quiet": choice(QUIETS),
    "limits": lambda node, reading: _section(node, LIMITS, reading, "`limits`"),
    "keep_gps": boolean,
    "history": duration(3600, 3650 * 86_400),
    "web": lambda node, reading: _section(node, WEB, reading, "`web`"),
    "keys": items,
    "allow_origins": origins,
    "log": lambda node, reading: _section(node, LOG, reading, "`log`"),
    "notifications": boolean,
    "tray": boolean,
}
SECTIONS: dict[str, Table] = {
    "a folder": FOLDER,
    "the top of the file": TOP,
    "`canvas`": CANVAS,
    "`limits`": LIMITS,
    "`web`": WEB,
    "`log`": LOG,
    "a row of `keys`": KEY,
    "a row of `models`": MODEL,
}
"""Every table by its name in messages."""

_CUT_KEYS = {field.name for field in fields(CutOptions)} - {"keep_gps"}
_LIMIT_FIELDS = {"pixels": "megapixels", "in_flight": "in_flight_megapixels"}
_TOP_KEYS = (
    "model",
    "threads",
    "provider",
    "quiet",
    "keep_gps",
    "history",
    "allow_origins",
    "notifications",
    "tray",
)
_FOLDER_KEYS = {field.name for field in fields(FolderSettings)} - {"cut"}


@dataclass(frozen=True, slots=True)
class PlacedFolder:
    """A folder's settings and where its keys stand."""

    settings: FolderSettings
    section: Section


def top(node: yaml.Node, reading: Reading) -> Section:
    """Read the whole file; the items of its lists are left as nodes."""
    return _section(node, TOP, reading, "the top of the file")


def models(nodes: Sequence[yaml.Node], known: Collection[str], reading: Reading) -> tuple[list[ModelSpec], set[str]]:
    """Read the user's own networks.

    Returns:
        The rows that are good, and the names of all, so that a bad row is not reported again where it is used.
    """
    rows: list[ModelSpec] = []
    places: dict[str, int] = {}
    for node in nodes:
        part = _section(node, MODEL, reading, "a row of `models`")
        _required(part, ("name", "file"), "a model", reading)
        name, line = part.values.get("name"), part.line_of("name")
        if name is None:
            continue
        if name in known:
            reading.warn(line, f"{quoted(name)} takes the place of Alphadrop's own model of that name")
        if name in places:
            reading.problem(line, f"two models are called {quoted(name)}", f"first in line {places[name]}")
        places.setdefault(name, line)
        if "file" in part.values:
            if not os.path.isfile(part.values["file"]):
                reading.warn(part.line_of("file"), f"{printable(part.values['file'])}: there is no such file")
            rows.append(ModelSpec(**{**_OWN_MODEL, **part.values, "file": str(part.values["file"])}))
    return rows, set(places)


def keys(nodes: Sequence[yaml.Node], reading: Reading) -> tuple[NamedKey, ...]:
    """Read the keys of other programs; each has a name and a hash of its own."""
    rows: list[NamedKey] = []
    places: dict[tuple[str, str], int] = {}
    for node in nodes:
        part = _section(node, KEY, reading, "a row of `keys`")
        if isinstance(node, yaml.MappingNode):
            _required(part, ("name", "sha256"), "a key", reading)
        for key, value in part.values.items():
            line = part.line_of(key)
            if (key, value) in places:
                reading.problem(line, f"two keys have the {key} {quoted(value)}", f"first in line {places[key, value]}")
            places.setdefault((key, value), line)
        if part.values.keys() == KEY.keys():
            rows.append(NamedKey(**part.values))
    return tuple(rows)


def folder(node: yaml.Node, above: Settings, known: Collection[str], reading: Reading) -> PlacedFolder | None:
    """Read one watched folder; None where it cannot be told what it is.

    Args:
        node: its mapping.
        above: the settings of the whole file.
        known: the names of all models.
        reading: where problems go.
    """
    part = _section(node, FOLDER, reading, "a folder")
    values = part.values
    if isinstance(node, yaml.MappingNode):
        _required(part, ("input", "output"), "a folder", reading)
    base = PRESETS[values["preset"]] if "preset" in values else CutOptions()
    base = replace(base, keep_gps=above.keep_gps)
    asked = {key: value for key, value in values.items() if key in _CUT_KEYS}
    if "canvas" in asked:
        asked["canvas"] = _canvas(base.canvas, asked["canvas"], reading)
    cut = _agreed(lambda **some: replace(base, **some), asked, part, reading)
    known_model(part, known, reading)
    _originals(part, reading)
    _look(part, cut, reading)
    if "input" not in values or "output" not in values:
        return None
    chosen = {"model": above.model, **{key: values[key] for key in _FOLDER_KEYS & values.keys()}}
    return PlacedFolder(FolderSettings(cut=cut, **chosen), part)


def known_model(part: Section, known: Collection[str], reading: Reading) -> None:
    """Write down a `model` that no registry knows."""
    name = part.values.get("model")
    if name is not None and name not in (AUTO, *known):
        every = f"the models are {', '.join(sorted(known))}, and {AUTO}"
        reading.problem(part.line_of("model"), f"no model is called {quoted(name)}", nearest(name, known) or every)


def settings(part: Section, reading: Reading, own: Sequence[ModelSpec]) -> Settings:
    """Return what the top of the file says; its folders are still to come."""
    chosen: dict[str, Any] = {key: part.values[key] for key in _TOP_KEYS if key in part.values}
    chosen["limits"] = Limits(**{_LIMIT_FIELDS[key]: value for key, value in _values(part, "limits").items()})
    chosen["web"] = Web(**_values(part, "web"))
    chosen["keys"] = keys(part.values.get("keys", []), reading)
    if "level" in (log := _values(part, "log")):
        chosen["log_level"] = log["level"]
    return Settings(file=reading.file, models=tuple(own), **chosen)


def _section(node: yaml.Node, table: Table, reading: Reading, what: str) -> Section:
    elsewhere = {key: name for name, other in reversed(SECTIONS.items()) if other is not table for key in other}
    return section(node, table, reading, what, elsewhere)


def _values(part: Section, key: str) -> dict[str, Any]:
    inner: Section | None = part.values.get(key)
    return inner.values if inner is not None else {}


def _required(part: Section, keys: Sequence[str], what: str, reading: Reading) -> None:
    for key in keys:
        if key not in part.lines:
            reading.problem(part.line, f"{what} needs `{key}`")


def _canvas(base: Canvas, part: Section, reading: Reading) -> Canvas:
    """Return a preset's canvas with the keys that were given; a size displaces its aspect and an aspect its size."""
    if part.values.keys() & {"size", "aspect"}:
        base = replace(base, size=None, aspect=None)
    return _agreed(lambda **some: replace(base, **some), part.values, part, reading)


def _agreed(make: Callable[..., T], asked: Mapping[str, Any], part: Section, reading: Reading) -> T:
    """Make options of what was asked.

    Options that make no sense are written down at the key without which they would, and made without it, so that the
    next contradiction comes to light as well. Where another key could not be read, it may be what is missing: then
    only what no preset could take is written down.
    """
    chosen = dict(asked)
    unread = part.lines.keys() & FOLDER.keys() - part.values.keys()
    while True:
        try:
            return make(**chosen)
        except BadOptions as error:
            telling = _telling(make, chosen, error)
            if not (unread and _fits_a_preset(telling, chosen[telling])):
                reading.problem(part.line_of(telling), error.message, error.hint)
            del chosen[telling]


def _telling(make: Callable[..., object], chosen: dict[str, Any], error: BadOptions) -> str:
    for key in reversed(chosen):
        try:
            make(**{other: value for other, value in chosen.items() if other != key})
        except BadOptions as remaining:
            if remaining.message == error.message:
                continue
        return key
    return next(reversed(chosen))


def _fits_a_preset(key: str, value: object) -> bool:
    for options in PRESETS.values():
        try:
            replace(options, **{key: value})  # type: ignore[arg-type]
        except (BadOptions, TypeError):
            continue
        return True
    return False


def _originals(part: Section, reading: Reading) -> None:
    """Write down a folder for originals that is missing where they are moved, or given where they are not."""
    moved = part.values.get("originals") == "move"
    if moved and "finished" not in part.lines:
        reading.problem(part.line_of("originals"), "`originals: move` needs `finished`", "say where they go")
    if not moved and "finished" in part.values:
        reading.warn(part.line_of("finished"), "`finished` does nothing without `originals: move`")


def _look(part: Section, cut: CutOptions, reading: Reading) -> None:
    """Warn of folders and pictures that are not there."""
    keys = ("input", "output", "finished", "failed")
    places: dict[str, Path] = {key: place for key in keys if (place := part.values.get(key)) is not None}
    background = cut.background if isinstance(cut.background, Path) else None
    found = ask(_why_no_folder, places.values())
    if background is not None:
        places["background"] = background
        found |= ask(_why_no_picture, [background])
    for key, place in places.items():
        if why := found.get(place, "its disk or server does not answer"):
            reading.warn(part.line_of(key), f"{printable(place)}: {why}")


def _why_no_folder(place: Path) -> str:
    if os.path.isdir(place):
        return ""
    return "this is not a folder" if os.path.exists(place) else "there is no such folder (yet)"


def _why_no_picture(place: Path) -> str:
    return "" if os.path.isfile(place) else "there is no such picture"
