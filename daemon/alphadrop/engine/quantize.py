"""Turn a 32-bit network into an 8-bit one, and report what that costs.

Apart from the rest of the engine because it alone needs the package `onnx`, which a mere user does not install.

Static quantization after Jacob et al., "Quantization and Training of Neural Networks for Efficient
Integer-Arithmetic-Only Inference" (CVPR 2018): 8-bit unsigned activations, whose ranges are observed on photographs,
and weights with one scale for each output channel. Weights use 7 of their 8 bits, because on processors without VNNI
the sum of two products of 8-bit weights can overflow 16 bits. The last convolution before each output stays in
floating point: in 8 bits it would leave a few dozen levels of alpha. The graph keeps all its outputs, and its operators
stay those of the ONNX standard, so that every ONNX Runtime may optimise it for its own processor.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import os
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from alphadrop import atomic
from alphadrop.engine import providers
from alphadrop.engine.models import ModelSpec
from alphadrop.engine.options import Provider
from alphadrop.engine.segmenter import normalise
from alphadrop.errors import ModelMissing, QuantizeFailed, printable, reading_failed, writing_failed

if TYPE_CHECKING:
    import onnx

__all__ = ["Cost", "QuantizeReport", "measure", "quantize"]

Progress = Callable[[str, float], None]
"""Called with what is being done and how much of the whole is done, 0..1."""

_OPSET = 13  # the first in which DequantizeLinear takes one scale for each channel
_HELD_OUT = 10
_RUNS = 5
_BLOCK = 1 << 20


@dataclass(frozen=True, slots=True)
class Cost:
    """What running a network costs, measured in a process of its own."""

    seconds: float
    """Median of one run."""
    resident: int | None
    """Bytes of memory the process holds after running; None where the system does not tell."""


@dataclass(frozen=True, slots=True)
class QuantizeReport:
    """What was gained and what was lost."""

    source_size: int
    """Of the file, in bytes."""
    target_size: int
    calibrated_on: int
    """Photographs."""
    compared_on: int
    """Photographs, none of them used for the calibration where there were two or more."""
    difference: float
    """Mean absolute difference of the two saliency maps, 0..1."""
    source_cost: Cost
    target_cost: Cost
    sha256: str
    """Of the target."""


def quantize(
    source: Path,
    calibration: Path,
    target: Path,
    *,
    spec: ModelSpec,
    photographs: int = 100,
    progress: Progress | None = None,
) -> QuantizeReport:
    """Write an 8-bit version of a network. The same input gives the same file to the bit.

    Args:
        source: the 32-bit network.
        calibration: a folder of typical photographs; sub-folders and other files in it are ignored.
        target: where the 8-bit network goes; replaced if it is there.
        spec: how the network is fed.
        photographs: how many are used at most, in the order of their names. About a tenth of them, ten at most, is
            kept back to compare the two networks on.
        progress: told what is being done.

    Raises:
        QuantizeFailed: `onnx` is not installed, the folder has no photograph, or the graph cannot be converted or, once
            converted, run.
        ModelMissing: there is no source.
        ModelDamaged: the source is not a network that can be run as the spec says.
        CannotRead: the folder cannot be listed.
        DiskFull, CannotWrite: the target, or a temporary file, cannot be written.
    """
    _require_onnx()
    if not source.is_file():
        raise ModelMissing(f"{printable(source)}: there is no such file", "name the 32-bit network")
    say = progress or (lambda _step, _part: None)
    say("choosing photographs", 0.0)
    chosen = _pictures(calibration, photographs)
    kept_back = min(_HELD_OUT, max(1, len(chosen) // 10))
    calibrating = chosen[:-kept_back] or chosen
    comparing = chosen[-kept_back:]
    with _temporary_folder() as folder:
        made = _convert(source, folder, calibrating, spec, say)
        say("comparing", 0.8)
        difference = _difference(spec, source, made, comparing)
        say("measuring", 0.9)
        costs = measure(spec, source), measure(spec, made)
        sha256 = _sha256(made)
        size = made.stat().st_size
        atomic.write(target, _blocks(made), replace=True)
    say("done", 1.0)
    return QuantizeReport(
        source_size=source.stat().st_size,
        target_size=size,
        calibrated_on=len(calibrating),
        compared_on=len(comparing),
        difference=difference,
        source_cost=costs[0],
        target_cost=costs[1],
        sha256=sha256,
    )


def measure(spec: ModelSpec, path: Path, *, threads: int = 0, provider: Provider = "cpu", runs: int = _RUNS) -> Cost:
    """Run a network in a fresh process and return what that cost.

    Args:
        spec: how the network is fed.
        path: its ONNX file.
        threads: for one run; 0 means one for each CPU this process may use.
        provider: what runs it.
        runs: how many are timed, after one that is not.

    Raises:
        QuantizeFailed: the process ended without a figure.
    """
    how = {"threads": threads, "provider": provider}
    task = json.dumps({"path": sys.path, "spec": asdict(spec), "file": str(path), "how": how, "runs": runs})
    script = (
        "import json, sys; task = json.load(sys.stdin); sys.path[:] = task['path']; "
        "from alphadrop.engine.quantize import _cost_here; print(json.dumps(_cost_here(task)))"
    )
    done = subprocess.run([sys.executable, "-c", script], input=task, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        lines = done.stderr.strip().splitlines() or [f"exit status {done.returncode}"]
        raise QuantizeFailed(f"{printable(path)}: could not be measured: {lines[-1]}")
    answer = json.loads(done.stdout)
    return Cost(answer["seconds"], answer["resident"])


def _cost_here(task: dict[str, Any]) -> dict[str, float | int | None]:
    spec = ModelSpec(**task["spec"])
    segmenter = providers.load(spec, Path(task["file"]), **task["how"])
    view = np.random.default_rng(0).integers(0, 256, (spec.input_size, spec.input_size, 3), np.uint8)
    segmenter.saliency(view)
    taken = []
    for _ in range(task["runs"]):
        begun = time.perf_counter()
        segmenter.saliency(view)
        taken.append(time.perf_counter() - begun)
    return {"seconds": float(np.median(taken)), "resident": _resident()}


def _resident() -> int | None:
    try:
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    except OSError:
        return None
    return pages * os.sysconf("SC_PAGE_SIZE")


def _require_onnx() -> None:
    try:
        import onnx
    except ImportError as error:
        raise QuantizeFailed(
            "quantizing needs the package onnx, which is not installed", "pip install 'alphadrop[quantize]'"
        ) from error
    del onnx


def _convert(source: Path, folder: Path, calibrating: Sequence[Path], spec: ModelSpec, say: Progress) -> Path:
    import onnx
    from onnx import version_converter
    from onnxruntime import quantization
    from onnxruntime.quantization.shape_inference import quant_pre_process

    raised, prepared, made = folder / "raised.onnx", folder / "prepared.onnx", folder / "made.onnx"
    try:
        say("raising the operator set", 0.02)
        graph = onnx.load(str(source))
        if _opset(graph) < _OPSET:
            graph = version_converter.convert_version(graph, _OPSET)
        for index, node in enumerate(graph.graph.node):
            node.name = node.name or f"node_{index}"
        onnx.save(graph, str(raised))
        say("preparing the graph", 0.05)
        with _quiet():
            quant_pre_process(str(raised), str(prepared), skip_symbolic_shape=True)
            quantization.quantize_static(
                str(prepared),
                str(made),
                _reader(graph, calibrating, spec, say),
                quant_format=quantization.QuantFormat.QDQ,
                per_channel=True,
                reduce_range=True,
                activation_type=quantization.QuantType.QUInt8,
                weight_type=quantization.QuantType.QInt8,
                nodes_to_exclude=_heads(onnx.load(str(prepared)).graph),
                calibrate_method=quantization.CalibrationMethod.MinMax,
            )
        providers.load(spec, made)
    except OSError:
        raise
    except Exception as error:
        lines = str(error).splitlines() or [type(error).__name__]
        raise QuantizeFailed(f"{printable(source)}: cannot be quantized: {lines[0]}") from error
    return made


@contextlib.contextmanager
def _temporary_folder() -> Iterator[Path]:
    where = Path(tempfile.gettempdir())
    try:
        with tempfile.TemporaryDirectory(prefix="alphadrop-quantize-") as folder:
            where = Path(folder)
            yield where
    except OSError as error:
        raise writing_failed(where, error) from error


def _heads(graph: onnx.GraphProto) -> list[str]:
    """Return the nodes that make the outputs: from each output back to the first convolution, and what joins those."""
    producer = {name: node for node in graph.node for name in node.output}
    consumers: dict[str, set[str]] = {}
    for node in graph.node:
        for name in node.input:
            consumers.setdefault(name, set()).add(node.name)
    heads: set[str] = set()
    waiting = [item.name for item in graph.output]
    while waiting:
        found = producer.get(waiting.pop())
        if found is not None and found.name not in heads:
            heads.add(found.name)
            if found.op_type not in ("Conv", "Shape"):
                waiting.extend(found.input)
    for node in graph.node:
        before = {producer[name].name for name in node.input if name in producer}
        after = {user for name in node.output for user in consumers.get(name, ())}
        if before and after and before | after <= heads:
            heads.add(node.name)
    if not any(node.op_type == "Conv" and node.name not in heads for node in graph.node):
        raise ValueError("no convolution but those that make the outputs")
    return sorted(heads)


def _opset(graph: onnx.ModelProto) -> int:
    return max((item.version for item in graph.opset_import if item.domain in ("", "ai.onnx")), default=0)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep the quantizer from writing advice to the root logger that is not for the user."""
    root = logging.getLogger()
    before = root.level
    root.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        root.setLevel(before)


def _reader(graph: onnx.ModelProto, pictures: Sequence[Path], spec: ModelSpec, say: Progress) -> Any:
    from onnxruntime.quantization import CalibrationDataReader

    weights = {tensor.name for tensor in graph.graph.initializer}
    name = next(item.name for item in graph.graph.input if item.name not in weights)

    class Reader(CalibrationDataReader):  # type: ignore[misc, unused-ignore]
        def __init__(self) -> None:
            self._left = iter(enumerate(pictures))

        def get_next(self) -> dict[str, NDArray[np.float32]] | None:
            for index, path in self._left:
                say("calibrating", 0.1 + 0.6 * index / len(pictures))
                return {name: normalise(_view(path, spec.input_size), spec)}
            return None

    return Reader()


def _difference(spec: ModelSpec, source: Path, made: Path, pictures: Sequence[Path]) -> float:
    before = _maps(spec, source, pictures)
    after = _maps(spec, made, pictures)
    return float(np.mean([np.abs(one - other).mean() for one, other in zip(before, after, strict=True)]))


def _maps(spec: ModelSpec, path: Path, pictures: Sequence[Path]) -> list[NDArray[np.float32]]:
    segmenter = providers.load(spec, path)
    return [segmenter.saliency(_view(picture, spec.input_size)) for picture in pictures]


def _pictures(folder: Path, wanted: int) -> list[Path]:
    from PIL import Image

    try:
        files = sorted(path for path in folder.iterdir() if path.is_file())
    except OSError as error:
        raise reading_failed(folder, error) from error
    found: list[Path] = []
    for path in files:
        if len(found) >= wanted:
            break
        try:
            with Image.open(path) as picture:
                picture.load()
        except (OSError, SyntaxError, ValueError, Image.DecompressionBombError):
            continue
        found.append(path)
    if not found:
        raise QuantizeFailed(
            f"{printable(folder)}: no photograph to calibrate on",
            "name a folder of a hundred typical photographs",
        )
    return found


def _view(path: Path, side: int) -> NDArray[np.uint8]:
    from PIL import Image, ImageOps

    with Image.open(path) as picture:
        upright = ImageOps.exif_transpose(picture).convert("RGB")
    return np.asarray(upright.resize((side, side), Image.Resampling.BICUBIC, reducing_gap=3.0))


def _blocks(path: Path) -> Iterator[bytes]:
    with path.open("rb") as stream:
        while block := stream.read(_BLOCK):
            yield block


def _sha256(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
