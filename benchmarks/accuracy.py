"""Measure how well and how fast models find the subject.

    python benchmarks/accuracy.py --eval DIR --model u2net-int8 u2net.onnx u2netp

DIR holds `score.py`, `public/images` and `public/manifest.csv`; without --eval it is taken from $ALPHADROP_EVAL. A
model is a name of the registry, or the path of an ONNX file that is fed as U2-Net is. Each map is enlarged to its
photograph and scored as it is: what is measured is the network and how it is fed, not the refinement of edges.

One row a model and a way of feeding it. `seconds` is the median of eleven runs with two threads in a process of its
own, `resident` the memory that process holds afterwards.
"""

from __future__ import annotations

import argparse
import csv
import itertools
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from alphadrop.engine import providers
from alphadrop.engine.models import ModelSpec, find_spec, locate, registry
from alphadrop.engine.options import PROVIDERS
from alphadrop.engine.quantize import measure
from alphadrop.engine.segmenter import Segmenter

_RUNS = 11
_THREADS = 2
_MAE_LOST, _S_LOST = 0.0015, 0.005
"""What the 8-bit network may be worse by on ECSSD."""
_FILTERS = {
    "bicubic": (Image.Resampling.BICUBIC, None),
    "bicubic-gap": (Image.Resampling.BICUBIC, 3.0),
    "bilinear": (Image.Resampling.BILINEAR, None),
    "lanczos": (Image.Resampling.LANCZOS, None),
}
"""Name -> Pillow's filter and its reducing gap. The engine uses `bicubic-gap` for the view and `bicubic` to enlarge."""


@dataclass(frozen=True, slots=True)
class Way:
    """One way of feeding a network and of using what it says."""

    view: str
    """Filter that makes the photograph as small as the network's view."""
    enlarge: str
    """Filter that makes the map as large as the photograph."""
    stretch: bool
    """Whether each map is stretched to fill 0..1."""

    def __str__(self) -> str:
        return f"{self.view}/{self.enlarge}{'/stretched' if self.stretch else ''}"


def main() -> int:
    """Print the table; return the exit status."""
    arguments = _arguments()
    rows: list[dict[str, Any]] = []
    for name in arguments.model:
        spec, path = _model(name)
        cost = measure(spec, path, threads=_THREADS, provider=arguments.provider, runs=_RUNS)
        segmenter = providers.load(spec, path, threads=_THREADS, provider=arguments.provider)
        for view in arguments.view:
            maps = dict(_maps(segmenter, arguments.eval, view))
            for enlarge, stretch in itertools.product(arguments.enlarge, arguments.stretch):
                way = Way(view, enlarge, stretch == "yes")
                scores = _score(maps, arguments.eval, way, arguments.scorer)
                rows.append(
                    {
                        "model": spec.name,
                        "way": str(way),
                        "seconds": round(cost.seconds, 3),
                        "resident": cost.resident,
                        "scores": scores,
                    }
                )
                if not arguments.json:
                    _print(rows[-1], header=len(rows) == 1)
    if arguments.json:
        print(json.dumps(rows, indent=1))
    else:
        _print_promise(rows)
    return 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--eval", type=Path, default=os.environ.get("ALPHADROP_EVAL"), metavar="DIR")
    parser.add_argument("--model", nargs="+", default=["u2net-int8"], metavar="NAME-OR-PATH")
    parser.add_argument("--view", nargs="+", default=["bicubic-gap"], choices=_FILTERS)
    parser.add_argument("--enlarge", nargs="+", default=["bicubic"], choices=_FILTERS)
    parser.add_argument("--stretch", nargs="+", default=["no"], choices=["no", "yes"])
    parser.add_argument("--provider", default="cpu", choices=PROVIDERS)
    parser.add_argument("--scorer", default=sys.executable, metavar="PYTHON", help="has what score.py needs")
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    arguments = parser.parse_args()
    if arguments.eval is None or not (Path(arguments.eval) / "score.py").is_file():
        parser.error("--eval (or $ALPHADROP_EVAL) names no folder with a score.py")
    return arguments


def _model(name: str) -> tuple[ModelSpec, Path]:
    known = registry()
    if name.endswith(".onnx"):
        path = Path(name).resolve()
        spec = replace(known["u2net"], name=path.stem, file=str(path), sha256=None, md5=None, size=None)
        return spec, path
    spec = find_spec(name, known)
    return spec, locate(spec)


def _maps(segmenter: Segmenter, folder: Path, view: str) -> Iterator[tuple[str, NDArray[np.float32]]]:
    side = segmenter.spec.input_size
    resampling, gap = _FILTERS[view]
    for path in _images(folder):
        with Image.open(path) as picture:
            small = picture.convert("RGB").resize((side, side), resampling, reducing_gap=gap)
        yield path.name, segmenter.saliency(np.asarray(small))


def _images(folder: Path) -> list[Path]:
    with (folder / "public" / "manifest.csv").open(newline="", encoding="utf-8") as stream:
        return [folder / "public" / "images" / row["image"] for row in csv.DictReader(stream)]


def _score(maps: dict[str, NDArray[np.float32]], folder: Path, way: Way, scorer: str) -> dict[str, dict[str, float]]:
    with tempfile.TemporaryDirectory(prefix="alphadrop-accuracy-") as mattes:
        for path in _images(folder):
            with Image.open(path) as picture:
                size = picture.size
            _matte(maps[path.name], size, way).save(Path(mattes) / f"{path.stem}.png", compress_level=1)
        answer = Path(mattes) / "scores.json"
        command = [scorer, str(folder / "score.py"), mattes, "--json", str(answer)]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        scores: dict[str, dict[str, float]] = json.loads(answer.read_text(encoding="utf-8"))
    return scores


def _matte(saliency: NDArray[np.float32], size: tuple[int, int], way: Way) -> Image.Image:
    if way.stretch:
        lowest, highest = float(saliency.min()), float(saliency.max())
        saliency = (saliency - lowest) / max(highest - lowest, 1e-6)
    resampling, gap = _FILTERS[way.enlarge]
    large = np.asarray(Image.fromarray(saliency).resize(size, resampling, reducing_gap=gap))
    return Image.fromarray(np.rint(np.clip(large, 0, 1) * 255).astype(np.uint8))


def _print_promise(rows: list[dict[str, Any]]) -> None:
    """Say whether the 8-bit network is as good as promised, where it was measured beside the 32-bit one."""
    scores = {row["model"]: row["scores"].get("ecssd") for row in rows}
    full, small = scores.get("u2net"), scores.get("u2net-int8")
    if full is None or small is None:
        return
    error, structure = small["mae"] - full["mae"], full["sm"] - small["sm"]
    met = error <= _MAE_LOST and structure <= _S_LOST
    print(
        f"\nINT8 against FP32 on ECSSD: mae {error:+.4f} (at most +{_MAE_LOST}), S {-structure:+.4f} "
        f"(at most -{_S_LOST}): {'met' if met else 'MISSED'}"
    )


def _print(row: dict[str, Any], *, header: bool) -> None:
    if header:
        print("| model | view/enlarge | seconds | resident, MB | source | mae | iou | maxF | S | median SAD |")
        print("|---|---|---|---|---|---|---|---|---|---|")
    scores, resident = row["scores"], row["resident"]
    memory = f"{resident / 1e6:.0f}" if isinstance(resident, int) else "-"
    for source, values in scores.items():
        figures = [values.get(key, "-") for key in ("mae", "iou", "maxf", "sm", "medsad")]
        cells = [row["model"], row["way"], row["seconds"], memory, source, *figures]
        print(f"| {' | '.join(map(str, cells))} |", flush=True)


if __name__ == "__main__":
    sys.exit(main())
