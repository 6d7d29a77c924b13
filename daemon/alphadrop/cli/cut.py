"""cut: photographs named on the command line."""

from __future__ import annotations

import argparse
import itertools
import os
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from alphadrop.cli.config import settings_in_force
from alphadrop.cli.terminal import DONE, SOME_FAILED, Progress, complain
from alphadrop.engine import options
from alphadrop.engine.options import suffix_of
from alphadrop.errors import (
    AlphadropError,
    BadOptions,
    DaemonAnswered,
    DaemonError,
    TargetExists,
    printable,
    reading_failed,
    writing_failed,
)

if TYPE_CHECKING:
    from alphadrop.client import Client
    from alphadrop.config import Settings
    from alphadrop.engine.options import CutOptions

__all__ = ["define_cut"]

_ON_OR_OFF = {"on": True, "off": False}
_LONGEST_NAME = 5000
"""Characters that the API takes as a name."""


def define_cut(command: argparse.ArgumentParser) -> None:
    """Say what `cut` takes."""
    command.description = (
        "Cut the subject out of photographs. Without -o the result stands beside the input as NAME.cutout.png.\n"
        "A daemon that runs lends its warm model; without one it works all the same."
    )
    command.epilog = (
        "examples:\n"
        "  alphadrop cut cat.jpg\n"
        "  alphadrop cut *.jpg -o cutouts/\n"
        "  alphadrop cut shoe.jpg -o shoe-white.jpg --background white --crop subject --margin 0.1\n"
        "  alphadrop cut shoes/*.jpg -o shop/ --preset shop-square"
    )
    command.add_argument("inputs", nargs="+", type=Path, metavar="INPUT", help="photographs")
    command.add_argument(
        "-o", "--output", metavar="FILE-OR-FOLDER", help="a file for one input, or a folder, made if missing"
    )
    command.add_argument("--model", metavar="NAME", help="of the registry (see: alphadrop models list), or auto")
    command.add_argument("--mask", action="store_true", help="write the alpha matte as a grey picture")
    command.add_argument(
        "--edges", choices=options.EDGES, help="follow the photograph's edges, or only enlarge the map"
    )
    command.add_argument(
        "--decontaminate", choices=list(_ON_OR_OFF), help="the subject's own colour in the soft edge, or what was seen"
    )
    command.add_argument(
        "--smallest-part", type=float, metavar="FRACTION", help="drop parts smaller than this, of the largest: 0.05"
    )
    command.add_argument(
        "--fill-holes", type=float, metavar="FRACTION", help="fill holes smaller than this, of the subject: 0.01"
    )
    command.add_argument("--feather", type=float, metavar="PIXELS", help="soften the edge, 0 to 100")
    command.add_argument("--hardness", type=float, metavar="0-1", help="contrast of the edge: 1 is all or nothing")
    command.add_argument(
        "--shift-edge", type=int, metavar="PIXELS", help="move the edge: 2 expands the subject, -2 contracts it"
    )
    command.add_argument(
        "--background", metavar="COLOUR-OR-PICTURE", help="instead of transparency: white, '#f0f0f0', wall.jpg"
    )
    command.add_argument("--crop", choices=options.CROPS, help="keep the whole photograph, or what the subject fills")
    command.add_argument(
        "--margin", type=float, metavar="PART", help="of the longer side, kept free around the subject: 0.05"
    )
    command.add_argument("--size", metavar="WxH", help="canvas in pixels: 2000 or 1600x2000")
    command.add_argument("--aspect", metavar="W:H", help="extend the picture to this shape: 4:5")
    command.add_argument("--align", choices=options.ALIGNMENTS, help="where the subject stands on its canvas")
    command.add_argument("--preset", choices=list(options.PRESETS), help="a named set of the options above")
    command.add_argument(
        "--format", choices=options.FORMATS, help="of the output; a named output file's suffix says it too"
    )
    command.add_argument("--png", choices=options.PNG_EFFORTS, help="quickly written, or a fifth smaller")
    command.add_argument("--quality", type=int, metavar="1-100", help="of JPEG and WebP")
    command.add_argument("--keep-gps", action="store_true", default=None, help="leave the place in the metadata")
    command.add_argument("--overwrite", action="store_true", help="replace outputs that exist")
    command.add_argument("--config", type=Path, metavar="FILE", help="take model and limits from this configuration")
    command.set_defaults(command=_cut)


_CUT_OPTIONS = (
    "edges", "smallest_part", "fill_holes", "feather", "hardness", "shift_edge",
    "background", "crop", "margin", "align", "preset", "format", "png", "quality", "keep_gps",
)  # fmt: skip


def _cut(chosen: argparse.Namespace) -> int:
    settings = settings_in_force(chosen.config)
    inputs: list[Path] = list(dict.fromkeys(chosen.inputs))
    place = _place(chosen.output, len(inputs))
    options = _cut_options(chosen, place, keep_gps=settings.keep_gps)
    targets = _targets(inputs, place, options, mask=chosen.mask)
    _refuse_unusable(chosen.model, settings)
    way = _way(chosen, options, settings)
    if place.folder is not None:
        _make_folder(place.folder)
    known = {_identity(source) for source in inputs}
    failed = 0
    progress = Progress(len(inputs), "photo")
    try:
        for source, target in zip(inputs, targets, strict=True):
            try:
                if _identity(target) in known - {None}:
                    raise BadOptions(
                        f"{printable(target)}: an input is never overwritten", "choose another name with -o"
                    )
                report = way(source, target)
            except TargetExists as error:
                failed += 1
                progress.clear()
                complain(TargetExists(error.message, "--overwrite replaces it, -o names another place"))
            except AlphadropError as error:
                failed += 1
                progress.clear()
                complain(error)
            else:
                progress.clear()
                _tell(report)
            progress.advance()
    finally:
        progress.close()
    return SOME_FAILED if failed else DONE


@dataclass(frozen=True, slots=True)
class _Report:
    """What became of one photograph."""

    source: Path
    target: Path | None
    """None where there was no subject."""
    warnings: tuple[str, ...]
    seconds: float


_Way = Callable[[Path, Path], _Report]


def _refuse_unusable(model: str | None, settings: Settings) -> None:
    """Raise ModelError where a model that was named is not known, or not on this machine."""
    from alphadrop.engine.models import AUTO, find_spec, locate, registry

    if model is not None and model != AUTO:
        locate(find_spec(model, registry(settings.models)))


def _way(chosen: argparse.Namespace, options: CutOptions, settings: Settings) -> _Way:
    """Return how photographs are cut: by the daemon where one runs, and by this process where none does.

    A configuration of its own, and a background picture, which the daemon takes from nobody, are for this process.
    """
    here = cache(lambda: _in_this_process(chosen, options, settings))
    if chosen.config is not None or isinstance(options.background, Path):
        return here()
    from alphadrop.client import Client

    client = Client()
    try:
        if client.status()["state"] != "ready":
            return here()
    except DaemonError:
        return here()
    by_daemon = _by_daemon(client, chosen, options)

    def either(source: Path, target: Path) -> _Report:
        try:
            return by_daemon(source, target)
        except DaemonAnswered as error:
            if error.remote_code != "too_busy":
                raise
        except DaemonError:
            pass  # it has ended, or makes no sense: the photograph can be cut all the same
        return here()(source, target)

    return either


def _in_this_process(chosen: argparse.Namespace, options: CutOptions, settings: Settings) -> _Way:
    from alphadrop.engine.cutout import Engine, write_cut
    from alphadrop.engine.photo import own_pillow_limits

    own_pillow_limits()
    engine = Engine(
        settings.model,
        own_models=settings.models,
        threads=settings.threads,
        provider=settings.provider,
        max_pixels=settings.limits.pixels,
    )
    engine.warm(chosen.model)

    def cut(source: Path, target: Path) -> _Report:
        report = write_cut(
            source, target, options, engine, model=chosen.model, mask=chosen.mask, overwrite=chosen.overwrite
        )
        return _Report(source, report.target, report.warnings, sum(report.seconds.values()))

    return cut


def _by_daemon(client: Client, chosen: argparse.Namespace, options: CutOptions) -> _Way:
    """Return the way by a daemon: it gets the bytes and answers with others; files are read and written here."""
    from alphadrop import atomic

    wishes = _wishes(chosen, options)

    def cut(source: Path, target: Path) -> _Report:
        started = time.perf_counter()
        try:
            data = source.read_bytes()
        except OSError as error:
            raise reading_failed(source, error) from error
        done = client.cutout(data, {**wishes, "name": printable(source)[-_LONGEST_NAME:]})
        if done.picture is not None:
            atomic.write(target, [done.picture], replace=chosen.overwrite)
        written = None if done.picture is None else target
        return _Report(source, written, done.warnings, time.perf_counter() - started)

    return cut


def _wishes(chosen: argparse.Namespace, options: CutOptions) -> dict[str, str]:
    """Return options as the API takes them."""
    canvas, background = options.canvas, options.background
    wishes = {
        "result": "mask" if chosen.mask else "cutout",
        "model": chosen.model,
        "format": options.format,
        "edges": options.edges,
        "decontaminate": None if options.decontaminate is None else str(options.decontaminate).lower(),
        "smallest_part": options.smallest_part,
        "fill_holes": options.fill_holes,
        "feather": options.feather,
        "hardness": options.hardness,
        "shift_edge": options.shift_edge,
        "background": "#{:02x}{:02x}{:02x}".format(*background) if isinstance(background, tuple) else None,
        "crop": options.crop,
        "margin": options.margin,
        "size": None if canvas.size is None else "{}x{}".format(*canvas.size),
        "aspect": canvas.aspect,
        "align": canvas.align,
        "png": options.png,
        "quality": options.quality,
        "keep_gps": "true" if options.keep_gps else "false",
    }
    return {name: str(value) for name, value in wishes.items() if value is not None}


@dataclass(frozen=True, slots=True)
class _Place:
    """What -o means: a folder, a file, or neither where it is not given."""

    folder: Path | None = None
    file: Path | None = None


def _place(output: str | None, inputs: int) -> _Place:
    """Read -o: a folder where it is one, ends like one, has no suffix, or is to take several results."""
    if output is None:
        return _Place()
    path = Path(output)
    if path.is_dir() or not path.suffix or output.endswith(("/", os.sep)):
        return _Place(folder=path)
    if inputs > 1:
        if path.suffix.lower() in options.SUFFIXES:
            raise BadOptions(f"{printable(path)}: is one file, and there are {inputs} inputs", "name a folder")
        return _Place(folder=path)
    return _Place(file=path)


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise writing_failed(folder, error) from error


def _identity(path: Path) -> tuple[int, int] | None:
    """Return what tells a file from every other, whatever it is called; None where there is none."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino


def _cut_options(chosen: argparse.Namespace, place: _Place, *, keep_gps: bool) -> CutOptions:
    given: dict[str, Any] = {"keep_gps": keep_gps}
    given |= {name: getattr(chosen, name) for name in _CUT_OPTIONS if getattr(chosen, name) is not None}
    if chosen.decontaminate:
        given["decontaminate"] = _ON_OR_OFF[chosen.decontaminate]
    if chosen.size:
        given["size"] = options.parse_size(chosen.size)
    if chosen.aspect:
        given["aspect"] = options.parse_aspect(chosen.aspect)
    if chosen.mask and chosen.format:
        raise BadOptions("a mask is a PNG", "name the output file with another suffix, or leave --format out")
    if place.file is not None:
        told = options.format_of(place.file)
        if chosen.format not in (None, told):
            raise BadOptions(f"{printable(place.file)}: --format says {chosen.format}, the suffix {told}", "drop one")
        if not chosen.mask:
            given["format"] = told
    return options.options_from(**given)


def _targets(inputs: list[Path], place: _Place, options: CutOptions, *, mask: bool) -> list[Path]:
    """Return where each input's result goes; two results never share a name."""
    if place.file is not None:
        return [place.file]
    suffix = ".png" if mask else suffix_of(options.format)
    ending = suffix if place.folder is not None else f".{'mask' if mask else 'cutout'}{suffix}"
    taken: set[Path] = set()
    targets = []
    for source in inputs:
        folder = source.parent if place.folder is None else place.folder
        numbered = (f"{source.stem}-{number}" for number in itertools.count(2))
        stems = itertools.chain((source.stem, source.name), numbered)
        target = next(path for stem in stems if (path := folder / f"{stem}{ending}") not in taken)
        taken.add(target)
        targets.append(target)
    return targets


def _tell(report: _Report) -> None:
    source = printable(report.source)
    for warning in report.warnings:
        print(f"alphadrop: {source}: {warning}", file=sys.stderr)
    if report.target is None:
        print(f"alphadrop: {source}: no subject was found, nothing was written", file=sys.stderr)
    else:
        print(f"{source} -> {printable(report.target)}  ({report.seconds:.2f} s)")
