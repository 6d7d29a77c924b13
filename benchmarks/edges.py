"""Measure mattes and edge colours against rembg's, in one run: the tables of docs/quality.md.

    python benchmarks/edges.py [--eval DIR] [--scorer PYTHON] [--no-peer]

Mattes are those of the accuracy set in DIR ($ALPHADROP_EVAL), photograph by photograph beside rembg's default and, for
the photographs with a soft truth, its `-a` (closed-form matting). Colours are those of composites that are made here,
given their true alpha, beside rembg's default and its `-dc`. rembg 2.0.86 is installed into an environment of its own
and given the FP32 network that `benchmarks/fetch_networks.py` fetched.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from alphadrop.engine.cutout import Engine, Look
from alphadrop.engine.foreground import cleaned
from alphadrop.engine.matte import alpha_matte
from alphadrop.engine.options import Edges
from alphadrop.engine.photo import Photo, from_image
from composites import Composite, composites
from photographs import camera_photograph
from rembg_environment import peer_python, peer_variables
from stopwatch import median_of
from tables import Line, print_table, ratio

PEER = """
import json, sys, time
from PIL import Image
from rembg import new_session, remove
from rembg.bg import decontaminate_cutout, naive_cutout
session = new_session("u2net")
for line in sys.stdin:
    way, source, mask, target = json.loads(line)
    image = Image.open(source).convert("RGB")
    image.load()
    started = time.perf_counter()
    if way in ("default", "-a"):
        made = remove(image, session=session, alpha_matting=way == "-a")
    else:
        made = (decontaminate_cutout if way == "-dc" else naive_cutout)(image, Image.open(mask))
    took = time.perf_counter() - started
    made.save(target, compress_level=1)
    print(json.dumps(took), flush=True)
"""
FOUND = 0.8
"""Intersection over union of a subject that was found."""
WITH_ALPHA_MATTING = (500_000, 2_000_000)
"""Pixels; at 12 million closed-form matting needs more memory than such a machine has."""
ROUNDS = 3


@dataclass(frozen=True)
class Truth:
    """A photograph of the accuracy set."""

    image: Path
    alpha: NDArray[np.uint8]
    soft: bool


@dataclass(frozen=True)
class MatteErrors:
    """How far a matte is from the truth, in the units of alphamatting.com's tables."""

    sad: float
    """Sum of absolute differences / 1000."""
    mse: float
    """Mean squared difference * 1000."""
    gradient: float
    """Sum of squared differences of the gradients' lengths / 1000; of Gaussian derivatives, sigma 1.4."""


class Peer:
    """rembg in a process that keeps its model."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._process = subprocess.Popen(
            [peer_python(), "-c", PEER],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=os.environ | peer_variables(),
        )

    def cut(self, way: str, source: Path, mask: Path | None = None) -> tuple[NDArray[np.uint8], float]:
        """Return the pixels of a cut-out, shape (H, W, 4), and the seconds it took without files."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        target = self._folder / "peer.png"
        self._process.stdin.write(json.dumps([way, str(source), str(mask), str(target)]) + "\n")
        self._process.stdin.flush()
        took = float(json.loads(self._process.stdout.readline()))
        return np.array(Image.open(target).convert("RGBA")), took

    def end(self) -> None:
        self._process.communicate()


def main() -> int:
    chosen = _arguments()
    engine = Engine()
    engine.warm()
    with tempfile.TemporaryDirectory() as folder:
        peer = Peer(Path(folder)) if chosen.peer else None
        if chosen.eval is not None:
            truths = _truths(chosen.eval)
            _print_soft(engine, peer, [truth for truth in truths if truth.soft])
            if chosen.scorer is not None:
                _print_scores(engine, peer, truths, chosen.eval, chosen.scorer)
        _print_colours(Path(folder), peer)
        _print_times(engine, Path(folder), peer)
        if peer is not None:
            peer.end()
    return 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--eval", type=Path, default=os.environ.get("ALPHADROP_EVAL"), metavar="DIR")
    parser.add_argument("--scorer", metavar="PYTHON", help="has what score.py needs; without it that table is left out")
    parser.add_argument("--no-peer", dest="peer", action="store_false", help="leave rembg out")
    chosen = parser.parse_args()
    chosen.eval = Path(chosen.eval) if chosen.eval else None
    return chosen


def _truths(folder: Path) -> list[Truth]:
    public = folder / "public"
    with (public / "manifest.csv").open(newline="", encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream))
    return [
        Truth(
            public / "images" / row["image"],
            np.asarray(Image.open(next((public / "gt").glob(Path(row["image"]).stem + ".*"))).convert("L")),
            row["gt_kind"] != "binary",
        )
        for row in rows
    ]


def _matte(engine: Engine, source: Path, edges: Edges) -> NDArray[np.uint8]:
    look = _look(engine, Image.open(source))
    return alpha_matte(look.saliency, look.photo.image, edges)


def _look(engine: Engine, image: Image.Image) -> Look:
    photo: Photo = from_image(image.convert("RGB"))
    return engine.look(photo)


def _print_soft(engine: Engine, peer: Peer | None, truths: Iterable[Truth]) -> None:
    errors: dict[str, list[MatteErrors]] = {}
    found = 0
    for truth in truths:
        mattes = {f"ours, {edges}": _matte(engine, truth.image, edges) for edges in ("plain", "refined")}
        if peer is not None:
            mattes |= {f"rembg {way}": peer.cut(way, truth.image)[0][..., 3] for way in ("default", "-a")}
        unrefined = [mattes[name] for name in ("ours, plain", "rembg default") if name in mattes]
        if any(_overlap(matte, truth.alpha) <= FOUND for matte in unrefined):
            continue
        found += 1
        for name, matte in mattes.items():
            errors.setdefault(name, []).append(_errors(matte, truth.alpha))
    print(f"\n{found} photographs with a soft truth whose subject is found (IoU above {FOUND})\n")
    print("| matte | SAD | MSE | gradient error |\n|---|---|---|---|")
    for name, each in errors.items():
        means = (statistics.mean(getattr(one, figure) for one in each) for figure in ("sad", "mse", "gradient"))
        print(f"| {name} | {' | '.join(f'{mean:.3f}' for mean in means)} |", flush=True)


def _overlap(matte: NDArray[np.uint8], truth: NDArray[np.uint8]) -> float:
    ours, theirs = matte > 127, truth > 127
    return float((ours & theirs).sum() / max(1, (ours | theirs).sum()))


def _errors(matte: NDArray[np.uint8], truth: NDArray[np.uint8]) -> MatteErrors:
    ours, theirs = matte / 255, truth / 255
    steepness = ((_steepness(ours) - _steepness(theirs)) ** 2).sum()
    return MatteErrors(
        float(np.abs(ours - theirs).sum() / 1000),
        float(((ours - theirs) ** 2).mean() * 1000),
        float(steepness / 1000),
    )


def _steepness(matte: NDArray[np.float64], sigma: float = 1.4) -> NDArray[np.float64]:
    """Return the length of the gradient, by Gaussian derivatives."""
    reach = np.arange(-6, 7)
    smooth = np.exp(-(reach**2) / (2 * sigma**2))
    smooth /= smooth.sum()
    slope = -reach / sigma**2 * smooth
    across = _filtered(_filtered(matte, smooth, 0), slope, 1)
    down = _filtered(_filtered(matte, slope, 0), smooth, 1)
    length: NDArray[np.float64] = np.hypot(across, down)
    return length


def _filtered(values: NDArray[np.float64], kernel: NDArray[np.float64], axis: int) -> NDArray[np.float64]:
    reach = len(kernel) // 2
    padded = np.pad(values, [(reach, reach) if each == axis else (0, 0) for each in (0, 1)], mode="symmetric")
    length = values.shape[axis]
    parts = (weight * padded.take(range(at, at + length), axis) for at, weight in enumerate(kernel[::-1]))
    return sum(parts, start=np.zeros_like(values))


def _print_scores(engine: Engine, peer: Peer | None, truths: list[Truth], folder: Path, scorer: str) -> None:
    print("\n| matte | source | mae | iou | maxF | S |\n|---|---|---|---|---|---|")
    ways: dict[str, Callable[[Path], NDArray[np.uint8]]] = {
        "ours, plain": lambda path: _matte(engine, path, "plain"),
        "ours, refined": lambda path: _matte(engine, path, "refined"),
    }
    if peer is not None:
        ways["rembg default"] = lambda path: peer.cut("default", path)[0][..., 3]
    for name, way in ways.items():
        for source, scores in _scores(truths, way, folder, scorer).items():
            figures = [scores.get(key, "-") for key in ("mae", "iou", "maxf", "sm")]
            print(f"| {name} | {source} | {' | '.join(map(str, figures))} |", flush=True)


def _scores(
    truths: Iterable[Truth], way: Callable[[Path], NDArray[np.uint8]], folder: Path, scorer: str
) -> dict[str, dict[str, Any]]:
    with tempfile.TemporaryDirectory() as mattes:
        for truth in truths:
            Image.fromarray(way(truth.image)).save(Path(mattes, f"{truth.image.stem}.png"), compress_level=1)
        answer = Path(mattes, "scores.json")
        command = [scorer, str(folder / "score.py"), mattes, "--json", str(answer)]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        scores: dict[str, dict[str, Any]] = json.loads(answer.read_text(encoding="utf-8"))
    return scores


def _print_colours(folder: Path, peer: Peer | None) -> None:
    errors: dict[str, list[float]] = {}
    for composite in composites(800):
        cutouts = {"the photograph's own colours": np.array(composite.image), "ours": _cleaned(composite)}
        if peer is not None:
            source, mask = folder / "composite.png", folder / "mask.png"
            composite.image.save(source)
            Image.fromarray(composite.alpha).save(mask)
            cutouts |= {f"rembg {way}": peer.cut(way, source, mask)[0][..., :3] for way in ("naive", "-dc")}
        for name, colours in cutouts.items():
            errors.setdefault(name, []).append(_colour_error(colours, composite))
    print("\n12 composites of 800 x 800 pixels with known alpha and foreground; the true alpha is given\n")
    print("| colours in the soft edge | mean error over another background, 0..255 |\n|---|---|")
    for name, each in errors.items():
        print(f"| {name} | {statistics.mean(each):.2f} |", flush=True)


def _cleaned(composite: Composite) -> NDArray[np.uint8]:
    return np.asarray(cleaned(composite.image, composite.alpha).whole())


def _colour_error(colours: NDArray[np.uint8], composite: Composite) -> float:
    """Return the mean absolute error in the soft edge over any other background, with the true alpha; 0..255.

    The background's part is the same on both sides: what is left is alpha times the error of the colour.
    """
    soft = (composite.alpha > 0) & (composite.alpha < 255)
    part = composite.alpha[soft][:, np.newaxis] / 255
    return float(np.abs(part * (colours[soft].astype(np.float64) - composite.foreground[soft])).mean())


def _print_times(engine: Engine, folder: Path, peer: Peer | None) -> None:
    lines = [line for pixels in (*WITH_ALPHA_MATTING, 12_000_000) for line in _times(engine, folder, peer, pixels)]
    print()
    print_table(lines)


def _times(engine: Engine, folder: Path, peer: Peer | None, pixels: int) -> list[Line]:
    source, mask = folder / "photograph.png", folder / "mask.png"
    camera_photograph(pixels).save(source, compress_level=1)
    look = _look(engine, Image.open(source))
    image, size = look.photo.image, f"{pixels / 1e6:g} MP"
    matte = alpha_matte(look.saliency, image, "refined")
    plain = median_of(lambda: alpha_matte(look.saliency, image, "plain"), ROUNDS)
    refined = median_of(lambda: alpha_matte(look.saliency, image, "refined"), ROUNDS) - plain
    cleaning = median_of(lambda: cleaned(image, matte), ROUNDS)
    goal = pixels == 12_000_000
    together = refined + cleaning
    lines = [
        Line(
            f"{size}: more than plain edges take",
            f"matte {refined * 1000:.0f}, colours {cleaning * 1000:.0f} ms",
            "at most 250 ms" if goal else "",
            together <= 0.25 if goal else None,
        )
    ]
    if peer is None:
        return lines
    Image.fromarray(matte).save(mask, compress_level=1)
    if pixels in WITH_ALPHA_MATTING:
        matting = _peer_median(peer, "-a", source) - _peer_median(peer, "default", source)
        most = 1 / 20 if pixels == WITH_ALPHA_MATTING[0] else 1 / 50
        lines.append(
            ratio(f"{size}: our matte's time / that of rembg -a, each over its own plain", refined, matting, most)
        )
    else:
        naive = _peer_median(peer, "naive", source, mask)
        estimating = _peer_median(peer, "-dc", source, mask) - naive
        lines.append(ratio(f"{size}: our colours' time / that of rembg -dc", cleaning, estimating, 1 / 20))
    return lines


def _peer_median(peer: Peer, way: str, source: Path, mask: Path | None = None) -> float:
    peer.cut(way, source, mask)
    return statistics.median(peer.cut(way, source, mask)[1] for _ in range(ROUNDS))


if __name__ == "__main__":
    sys.exit(main())
