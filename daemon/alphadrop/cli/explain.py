"""explain: what a network sees in a photograph, stage by stage."""

from __future__ import annotations

import argparse
import io
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from alphadrop import atomic
from alphadrop.cli.config import settings_in_force
from alphadrop.cli.terminal import DONE, Progress
from alphadrop.errors import BadOptions, printable, reading_failed, writing_failed

if TYPE_CHECKING:
    from alphadrop.config import Settings
    from alphadrop.engine.explain import Difference, Explanation
    from alphadrop.engine.models import ModelSpec
    from alphadrop.engine.photo import Photo

__all__ = ["define_explain"]

_DIFFERENCE, _ARRAYS = "difference.png", "arrays.npz"


def define_explain(command: argparse.ArgumentParser) -> None:
    """Say what `explain` takes."""
    command.description = (
        "Show what each stage of a network makes of a photograph: begin with DIR/explain.png.\n"
        "Needs the extra: pip install 'alphadrop[explain]'"
    )
    command.epilog = (
        "examples:\n"
        "  alphadrop explain cat.jpg -o cat-explained/\n"
        "  alphadrop explain cat.jpg -o cat-explained/ --compare u2net    # what 8 bits cost on this photograph\n"
        "  alphadrop explain cat.jpg -o cat-explained/ --model u2netp --arrays\n\n"
        "written into DIR, in place of files of the same names:\n"
        "  explain.png                the way from the photograph to the alpha matte, on one sheet\n"
        "  stage-en1.png and so on    each stage: its mean, its strongest channels, its principal components\n"
        "  side-1.png and so on       the map that each stage gives by itself\n"
        "  fused.png                  the saliency map\n"
        "  difference.png             with --compare: where two networks differ, and by how much\n"
        "  arrays.npz                 with --arrays: all of it as numbers"
    )
    command.add_argument("image", type=Path, metavar="IMAGE", help="a photograph")
    command.add_argument(
        "-o", "--output", type=Path, required=True, metavar="DIR", help="a folder for the pictures, made if missing"
    )
    command.add_argument("--model", metavar="NAME", help="of the registry; see: alphadrop models list")
    command.add_argument(
        "--compare", metavar="NAME", help="show the differences to this network too: u2net for u2net-int8"
    )
    command.add_argument("--arrays", action="store_true", help="write the tensors as well, for numpy.load")
    command.set_defaults(command=_explain)


def _explain(chosen: argparse.Namespace) -> int:
    from alphadrop.engine.checksums import find_verified
    from alphadrop.engine.cutout import Engine
    from alphadrop.engine.explain import compare
    from alphadrop.engine.stage_pictures import picture_names

    settings = settings_in_force(None)
    started = time.perf_counter()
    engine = Engine(chosen.model or settings.model, own_models=settings.models, provider=settings.provider)
    compared = [engine.model, *([chosen.compare] if chosen.compare else [])]
    models = [find_verified(name, engine.known) for name in compared]
    photo = _photo(chosen.image, settings)
    for warning in photo.warnings:
        print(f"alphadrop: {photo.name}: {warning}", file=sys.stderr)
    explanation, *references = [_explained(photo, spec, path, settings) for spec, path in models]
    differences = compare(explanation, references[0]) if references else ()
    names = [*picture_names(explanation), *([_DIFFERENCE] if references else []), *([_ARRAYS] if chosen.arrays else [])]
    _make_room(chosen.output, names, chosen.image)
    progress = Progress(len(names), "file")
    try:
        for name, content in _files(photo, explanation, references, differences, arrays=chosen.arrays):
            atomic.write(chosen.output / name, content, replace=True)
            progress.advance()
    finally:
        progress.close()
    shown = [(each.name, "x".join(map(str, each.shape)), each.tensor) for each in explanation.all]
    _print_table(("stage", "size", "tensor"), shown)
    if references:
        print(f"\n{explanation.model} beside {references[0].model}, differences:")
        _print_table(("stage", "mean", "largest", "relative", "flipped"), [_row(each) for each in differences])
    seconds = time.perf_counter() - started
    print(f"\n{photo.name} -> {printable(chosen.output)}  ({len(names)} files, {seconds:.2f} s)")
    return DONE


def _photo(source: Path, settings: Settings) -> Photo:
    from alphadrop.engine.photo import decode, own_pillow_limits

    own_pillow_limits()
    try:
        data = source.read_bytes()
    except OSError as error:
        raise reading_failed(source, error) from error
    return decode(io.BytesIO(data), printable(source), max_pixels=settings.limits.pixels)


def _explained(photo: Photo, spec: ModelSpec, path: Path, settings: Settings) -> Explanation:
    """Return what a network makes of a photograph; the network is let go again."""
    from alphadrop.engine.explain import Explainer

    return Explainer(spec, path, threads=settings.threads, provider=settings.provider).explain(photo)


def _make_room(folder: Path, names: Sequence[str], source: Path) -> None:
    """Make the folder of the pictures; raise where one of them would replace the photograph."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if any((folder / name).exists() and (folder / name).samefile(source) for name in names):
            raise BadOptions(f"{printable(source)}: an input is never overwritten", "choose another folder with -o")
    except OSError as error:
        raise writing_failed(folder, error) from error


def _files(
    photo: Photo,
    explanation: Explanation,
    references: Sequence[Explanation],
    differences: Sequence[Difference],
    *,
    arrays: bool,
) -> Iterator[tuple[str, Iterable[bytes]]]:
    """Return the name and the content of each file, one made after the other is written."""
    import numpy as np

    from alphadrop.engine.encode import Picture, encode
    from alphadrop.engine.stage_pictures import draw, draw_difference

    for name, picture in draw(explanation, photo):
        yield name, encode(Picture(np.asarray(picture)), "png")
    for reference in references:
        picture = draw_difference(explanation, reference, differences, photo)
        yield _DIFFERENCE, encode(Picture(np.asarray(picture)), "png")
    if arrays:
        stream = io.BytesIO()
        np.savez(stream, allow_pickle=False, **{shown.name: shown.array for shown in explanation.all})
        yield _ARRAYS, [stream.getvalue()]


def _row(difference: Difference) -> tuple[str, ...]:
    flipped = "" if difference.flipped is None else f"{difference.flipped:.2%}"
    figures = f"{difference.mean:.4f}", f"{difference.largest:.3f}", f"{difference.relative:.1%}"
    return difference.name, *figures, flipped


def _print_table(heads: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> None:
    widths = [max(map(len, column)) for column in zip(heads, *rows, strict=True)]
    for row in (heads, *rows):
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
