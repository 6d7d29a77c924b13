"""cut: photographs named on the command line."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from alphadrop.cli.config import settings_in_force
from alphadrop.cli.terminal import DONE, SOME_FAILED, Progress, complain
from alphadrop.engine import options
from alphadrop.errors import AlphadropError, BadOptions, printable, writing_failed

if TYPE_CHECKING:
    from alphadrop.engine.cutout import CutReport
    from alphadrop.engine.options import CutOptions

__all__ = ["define_cut"]


def define_cut(command: argparse.ArgumentParser) -> None:
    """Say what `cut` takes."""
    command.description = (
        "Cut the subject out of photographs. Without -o the result stands beside the input as NAME.cutout.png."
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
        "-o", "--output", type=Path, metavar="FILE-OR-FOLDER", help="a file for one input, or a folder, made if missing"
    )
    command.add_argument("--model", metavar="NAME", help="of the registry; see: alphadrop models list")
    command.add_argument("--mask", action="store_true", help="write the alpha matte as a grey picture")
    command.add_argument(
        "--edges", choices=options.EDGES, help="follow the photograph's edges, or only enlarge the map"
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


_CUT_OPTIONS = ("edges", "background", "crop", "margin", "align", "preset", "format", "png", "quality", "keep_gps")


def _cut(chosen: argparse.Namespace) -> int:
    from alphadrop.engine.cutout import Engine, write_cut
    from alphadrop.engine.photo import own_pillow_limits

    own_pillow_limits()
    settings = settings_in_force(chosen.config)
    options = _cut_options(chosen, keep_gps=settings.keep_gps)
    inputs: list[Path] = chosen.inputs
    targets = _targets(inputs, chosen.output, options, mask=chosen.mask)
    engine = Engine(
        settings.model,
        own_models=settings.models,
        threads=settings.threads,
        provider=settings.provider,
        max_pixels=settings.limits.pixels,
    )
    engine.warm(chosen.model)
    if chosen.output is not None and not chosen.output.suffix:
        _make_folder(chosen.output)
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
                report = write_cut(
                    source, target, options, engine, model=chosen.model, mask=chosen.mask, overwrite=chosen.overwrite
                )
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


def _cut_options(chosen: argparse.Namespace, *, keep_gps: bool) -> CutOptions:
    from alphadrop.engine.cutout import options_from
    from alphadrop.engine.options import format_of, parse_aspect, parse_size

    given: dict[str, Any] = {"keep_gps": keep_gps}
    given |= {name: getattr(chosen, name) for name in _CUT_OPTIONS if getattr(chosen, name) is not None}
    if chosen.size:
        given["size"] = parse_size(chosen.size)
    if chosen.aspect:
        given["aspect"] = parse_aspect(chosen.aspect)
    if chosen.output is not None and chosen.output.suffix and not chosen.output.is_dir() and not chosen.mask:
        given["format"] = format_of(chosen.output)
    return options_from(**given)


def _targets(inputs: list[Path], output: Path | None, options: CutOptions, *, mask: bool) -> list[Path]:
    """Return where each input's result goes; two results never share a name."""
    from alphadrop.engine.options import suffix_of

    suffix = ".png" if mask else suffix_of(options.format)
    if output is None:
        kind = "mask" if mask else "cutout"
        return _apart([source.parent / f"{source.stem}.{kind}{suffix}" for source in inputs], inputs)
    if output.is_dir() or not output.suffix:
        return _apart([output / f"{source.stem}{suffix}" for source in inputs], inputs)
    if len(inputs) > 1:
        raise BadOptions(f"{printable(output)}: is one file, and there are {len(inputs)} inputs", "name a folder")
    return [output]


def _apart(targets: list[Path], inputs: list[Path]) -> list[Path]:
    taken: set[Path] = set()
    apart = []
    for target, source in zip(targets, inputs, strict=True):
        unique = target if target not in taken else target.with_name(f"{source.name}{target.suffix}")
        number = 2
        while unique in taken:
            unique = target.with_name(f"{target.stem}-{number}{target.suffix}")
            number += 1
        taken.add(unique)
        apart.append(unique)
    return apart


def _tell(report: CutReport) -> None:
    source = printable(report.source)
    for warning in report.warnings:
        print(f"alphadrop: {source}: {warning}", file=sys.stderr)
    if report.target is None:
        print(f"alphadrop: {source}: no subject was found, nothing was written", file=sys.stderr)
    else:
        print(f"{source} -> {printable(report.target)}  ({sum(report.seconds.values()):.2f} s)")
