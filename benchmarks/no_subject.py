"""Measure what tells a photograph with a subject from one without.

    python benchmarks/no_subject.py --eval DIR --subjects DIR ... --empty FILE ... --model u2net-int8 u2netp

Maps of photographs known to have a subject (the accuracy set of --eval, and every picture in --subjects) are held
against maps of pictures known to have none: those of --empty, flat colours, gradients, noise, textures, and the largest
windows of the accuracy set that are free of any ground truth. Many of those windows still hold a thing that stands out,
so they are counted apart and mean little.

For each statistic of a map: the threshold that separates best, and how often it is wrong on each side. The last row is
the rule the engine uses.
"""

from __future__ import annotations

import argparse
import csv
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from alphadrop.engine.models import find_spec, locate, registry
from alphadrop.engine.onnx_runtime import OnnxSegmenter
from alphadrop.engine.subject import THRESHOLD, evidence

_SMALLEST_WINDOW = 160
_COARSE = 4
"""The search for windows steps by this many pixels."""

Map = NDArray[np.float32]


def _top(share: float) -> Callable[[Map], float]:
    def statistic(saliency: Map) -> float:
        count = max(1, round(saliency.size * share))
        return float(np.partition(saliency, -count, axis=None)[-count:].mean())

    return statistic


STATISTICS: dict[str, Callable[[Map], float]] = {
    "largest value": lambda saliency: float(saliency.max()),
    "mean of the top 0.1 %": _top(0.001),
    "mean of the top 0.5 %": _top(0.005),
    "mean of the top 1 %": _top(0.01),
    "mean of the top 5 %": _top(0.05),
    "mean": lambda saliency: float(saliency.mean()),
    "area above 0.5": lambda saliency: float((saliency > 0.5).mean()),
    "area above 0.9": lambda saliency: float((saliency > 0.9).mean()),
    "mean of what is above 0.5": lambda saliency: float(saliency[saliency > 0.5].mean()) if saliency.max() > 0.5 else 0,
    "confidence, mean |2s - 1|": lambda saliency: float(np.abs(2 * saliency - 1).mean()),
    "sum s^2 / sum s": lambda saliency: float((saliency**2).sum() / max(float(saliency.sum()), 1e-6)),
}


def main() -> int:
    """Print one table a model."""
    arguments = _arguments()
    for name in arguments.model:
        spec = find_spec(name, registry())
        segmenter = OnnxSegmenter(spec, locate(spec, [*arguments.models, *_default_folders()]))
        side = spec.input_size
        maps: dict[str, list[Map]] = {"subject": [], "empty": [], "window": []}
        for kind, picture in pictures(arguments.eval, arguments.subjects, arguments.empty):
            view = picture.convert("RGB").resize((side, side), Image.Resampling.BICUBIC, reducing_gap=3.0)
            maps[kind].append(segmenter.saliency(np.asarray(view)))
        _print(name, maps)
    return 0


def _default_folders() -> list[Path]:
    from alphadrop import paths

    return [paths.model_folder(), paths.embedded_models()]


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--eval", type=Path, default=os.environ.get("ALPHADROP_EVAL"), metavar="DIR")
    parser.add_argument("--subjects", type=Path, nargs="*", default=[], metavar="DIR")
    parser.add_argument("--empty", type=Path, nargs="*", default=[], metavar="FILE")
    parser.add_argument("--model", nargs="+", default=["u2net-int8"], metavar="NAME")
    parser.add_argument("--models", type=Path, nargs="*", default=[], metavar="DIR", help="more folders of models")
    arguments = parser.parse_args()
    if arguments.eval is None:
        parser.error("--eval (or $ALPHADROP_EVAL) names no folder")
    arguments.eval = Path(arguments.eval)
    return arguments


def pictures(folder: Path, subjects: list[Path], empty: list[Path]) -> Iterator[tuple[str, Image.Image]]:
    """Yield every picture with what is known of it: `subject`, `empty` or `window`."""
    with (folder / "public" / "manifest.csv").open(newline="", encoding="utf-8") as stream:
        names = [row["image"] for row in csv.DictReader(stream)]
    for name in names:
        with Image.open(folder / "public" / "images" / name) as picture:
            yield "subject", picture
            window = _free_window(next((folder / "public" / "gt").glob(f"{Path(name).stem}.*")))
            if window is not None:
                yield "window", picture.crop(window)
    for path in sorted(path for place in subjects for path in place.glob("*.jp*g")):
        with Image.open(path) as picture:
            yield "subject", picture
    for path in empty:
        with Image.open(path) as picture:
            yield "empty", picture
    yield from (("empty", made) for made in (*_textures(), *_flat(), *_gradients(), *_noise()))


def _free_window(truth: Path) -> tuple[int, int, int, int] | None:
    """Return the largest window without any subject, if it is large enough to be a picture."""
    with Image.open(truth) as picture:
        mask = np.asarray(picture.getchannel("A") if picture.mode in ("RGBA", "LA") else picture.convert("L"))
    rows, columns = mask.shape[0] // _COARSE, mask.shape[1] // _COARSE
    cells = mask[: rows * _COARSE, : columns * _COARSE].reshape(rows, _COARSE, columns, _COARSE)
    taken = cells.max(axis=(1, 3)) > 0
    least = _SMALLEST_WINDOW // _COARSE
    best, window = 0, None
    for top in range(rows - least + 1):
        free = np.logical_not(taken[top : top + least].any(axis=0))
        for bottom in range(top + least, rows + 1):
            free = np.logical_and(free, np.logical_not(taken[bottom - 1]))
            edges = np.flatnonzero(np.diff(np.concatenate(([0], free, [0]))))
            for left, right in zip(edges[::2], edges[1::2], strict=True):
                area = int(right - left) * (bottom - top)
                if right - left >= least and area > best:
                    best, window = area, tuple(int(value) * _COARSE for value in (left, top, right, bottom))
    return window  # type: ignore[return-value]


def _textures() -> Iterator[Image.Image]:
    from skimage import data

    for name in ("brick", "grass", "gravel"):
        whole = Image.fromarray(getattr(data, name)())
        yield whole
        yield whole.crop((0, 0, 256, 256))
        yield whole.crop((256, 128, 512, 300))


def _flat() -> Iterator[Image.Image]:
    for colour in ("black", "white", "grey", "red", "green", "navy", "beige", "skyblue"):
        yield Image.new("RGB", (640, 480), colour)


def _gradients() -> Iterator[Image.Image]:
    for size in ((640, 480), (480, 640)):
        upright = Image.linear_gradient("L").resize(size)
        yield upright
        yield Image.linear_gradient("L").rotate(90).resize(size)
        yield Image.merge("RGB", (upright, upright.point(lambda value: 128 + value // 2), Image.new("L", size, 230)))


def _noise() -> Iterator[Image.Image]:
    random = np.random.default_rng(1)
    for size in (64, 320, 640):
        pixels = random.integers(0, 256, (size, size, 3), np.uint8)
        yield Image.fromarray(pixels).resize((640, 480), Image.Resampling.BICUBIC)
        yield Image.fromarray(pixels[:, :, 0]).filter(ImageFilter.GaussianBlur(3)).resize((640, 480))
        yield Image.fromarray((128 + (pixels.astype(np.int16) - 128) // 16).astype(np.uint8)).resize((640, 480))


def _print(name: str, maps: dict[str, list[Map]]) -> None:
    counts = ", ".join(f"{len(found)} {kind}" for kind, found in maps.items())
    print(f"\n{name} ({counts})\n")
    print("| statistic | threshold | subjects missed | empty taken | windows taken |")
    print("|---|---|---|---|---|")
    for title, statistic in STATISTICS.items():
        values = {kind: np.array([statistic(saliency) for saliency in found]) for kind, found in maps.items()}
        _row(title, values, _best(values["subject"], values["empty"]))
    values = {kind: np.array([evidence(saliency) for saliency in found]) for kind, found in maps.items()}
    _row("alphadrop.engine.subject", values, THRESHOLD)


def _row(title: str, values: dict[str, NDArray[np.float64]], threshold: float) -> None:
    missed = int((values["subject"] < threshold).sum())
    taken = [f"{int((values[kind] >= threshold).sum())} of {len(values[kind])}" for kind in ("empty", "window")]
    print(f"| {title} | {threshold:.3f} | {missed} of {len(values['subject'])} | {' | '.join(taken)} |")


def _best(subject: NDArray[np.float64], empty: NDArray[np.float64]) -> float:
    """Return the threshold of least error, both sides weighing the same."""
    every = np.unique(np.concatenate((subject, empty)))
    candidates = np.concatenate((every, (every[1:] + every[:-1]) / 2))
    errors = [(subject < value).mean() + (empty >= value).mean() for value in candidates]
    return float(candidates[int(np.argmin(errors))])


if __name__ == "__main__":
    sys.exit(main())
