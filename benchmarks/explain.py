"""How long it takes to explain a photograph, beside one run of the same network. Prints a table.

.venv/bin/python benchmarks/explain.py [--photograph FILE] u2net-int8 [u2netp=FILE u2net=FILE]
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import numpy as np
from PIL import Image

from alphadrop.engine import models
from alphadrop.engine.encode import Picture, encode
from alphadrop.engine.explain import Explainer
from alphadrop.engine.models import ModelSpec
from alphadrop.engine.onnx_runtime import OnnxSegmenter
from alphadrop.engine.photo import Photo, from_image
from alphadrop.engine.stage_pictures import draw
from photographs import camera_photograph

T = TypeVar("T")


def timed(step: Callable[[], T]) -> tuple[float, T]:
    begun = time.perf_counter()
    result = step()
    return time.perf_counter() - begun, result


def figures(spec: ModelSpec, path: Path, photo: Photo, runs: int) -> list[float]:
    loading, segmenter = timed(lambda: OnnxSegmenter(spec, path))
    dissecting, explainer = timed(lambda: Explainer(spec, path))
    segmenter.saliency(photo.view(spec.input_size))
    explanation = explainer.explain(photo)
    running, explaining = [], []
    for _ in range(runs):  # in turns, so that what else the machine does meets both
        running.append(timed(lambda: segmenter.saliency(photo.view(spec.input_size)))[0])
        explaining.append(timed(lambda: explainer.explain(photo))[0])
    drawing, _ = timed(lambda: [encode(Picture(np.asarray(picture)), "png") for _, picture in draw(explanation, photo)])
    run, explained = statistics.median(running), statistics.median(explaining)
    return [loading, dissecting, run, explained, explained / run, drawing]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photograph", type=Path, help="by default one of 1.5 megapixels")
    parser.add_argument("models", nargs="+", metavar="NAME[=FILE]")
    parser.add_argument("--runs", type=int, default=7)
    chosen = parser.parse_args()
    photo = from_image(Image.open(chosen.photograph) if chosen.photograph else camera_photograph(1_500_000))
    print(
        "| model | loaded, s | taken apart and loaded, s | one run, s | explained, s | times | drawn and encoded, s |"
    )
    print("|---|---|---|---|---|---|---|")
    for wanted in chosen.models:
        name, _, file = wanted.partition("=")
        spec = models.find_spec(name, models.registry())
        told = figures(spec, Path(file) if file else models.locate(spec), photo, chosen.runs)
        print(f"| {name} | {' | '.join(f'{figure:.2f}' for figure in told)} |", flush=True)


if __name__ == "__main__":
    main()
