"""Networks run by OpenVINO on the processor: twice as fast as by ONNX Runtime where it knows the instructions.

An extra, because it is six times as large. Both are modules of their own and live side by side.
"""

from __future__ import annotations

import mmap
import sys
import threading
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from alphadrop.engine.cancellation import Cancellation
from alphadrop.engine.cpus import usable_cpus
from alphadrop.engine.models import ModelSpec
from alphadrop.engine.segmenter import as_saliency, normalise
from alphadrop.errors import Cancelled, ModelDamaged, ProviderUnavailable, printable

# Everything stays here. Where this package is not to be had, OpenVINO neither marks the machine nor calls its maker.
sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]
try:
    import openvino
except ImportError as error:
    raise ProviderUnavailable(
        "the provider openvino is not installed", "use cpu, or: pip install 'alphadrop[openvino]'"
    ) from error

__all__ = ["OpenvinoSegmenter"]


class OpenvinoSegmenter:
    """A network loaded once and kept; safe to call from several threads, which take turns."""

    def __init__(self, spec: ModelSpec, path: Path, *, threads: int = 0, compiled: Path | None = None) -> None:
        """Load a network.

        Args:
            spec: how to feed it.
            path: its ONNX file.
            threads: for one run; 0 means one for each CPU this process may use.
            compiled: the folder where the network is kept as it was made for this processor, which loads it three times
                as fast; OpenVINO makes it anew where the network, itself or the processor is another.

        Raises:
            ModelDamaged: the file is not a network that can be run as the spec says.
        """
        self._threads = threads or usable_cpus()
        self._spec = spec
        try:
            self._network = _compiled(path, spec.input_size, self._threads, compiled)
        except Exception as error:  # OpenVINO raises bare RuntimeErrors
            raise ModelDamaged(
                f"{printable(path)}: cannot be loaded as a network: {_reason(error)}",
                f"fetch it again: alphadrop models pull {spec.name}",
            ) from error
        self._running = threading.Lock()

    @property
    def spec(self) -> ModelSpec:
        """The model this is."""
        return self._spec

    @property
    def device(self) -> str:
        """The execution provider in use and its threads."""
        return f"openvino, {self._threads} thread{'s' if self._threads > 1 else ''}"

    def saliency(
        self, view: NDArray[np.uint8], cancellation: Cancellation | None = None, *, sparing: bool = False
    ) -> NDArray[np.float32]:
        """Return the saliency map of a view; see `Segmenter.saliency`."""
        with self._running:
            try:
                run = self._network.create_infer_request()  # its own: it may be ended when the next has begun
                with (cancellation or Cancellation()).stopping_by(run.cancel):
                    run.start_async({0: normalise(view, self._spec)})
                    run.wait()
            except Cancelled:
                raise
            except Exception as error:  # OpenVINO raises bare RuntimeErrors
                raise ModelDamaged(
                    f"{self._spec.name}: the network failed: {_reason(error)}",
                    "check the registry's row of this model: its input size may be wrong",
                ) from error
            saliency = as_saliency(run.get_output_tensor(0).data, self._spec)
            if sparing:
                self._network.release_memory()
            return saliency

    def rest(self) -> None:
        """Give back the memory that only runs need, 45 MB of a U²-Net; see `Segmenter.rest`."""
        with self._running:
            self._network.release_memory()


def _compiled(path: Path, side: int, threads: int, folder: Path | None) -> Any:
    """Return a network made for this processor.

    What an 8-bit network leaves in 32 bits may be computed in 16: it makes no difference to how well it cuts. A network
    in 32 bits stays in them.
    """
    core = openvino.Core()
    if folder is not None:
        core.set_property({"CACHE_DIR": str(folder)})
    how = {
        "PERFORMANCE_HINT": "LATENCY",
        "NUM_STREAMS": 1,
        "INFERENCE_NUM_THREADS": threads,
        "ENABLE_CPU_PINNING": False,  # a thread that is bound to a processor waits there for whatever else it does
    }
    if not _is_quantized(path):
        how["INFERENCE_PRECISION_HINT"] = "f32"
    network = core.compile_model(str(path), "CPU", how)  # by its path: what is kept of it is used without reading it
    if network.input(0).partial_shape.is_static:
        return network
    sized = core.read_model(path)
    sized.reshape([1, 3, side, side])
    return core.compile_model(sized, "CPU", how)


def _is_quantized(path: Path) -> bool:
    with path.open("rb") as stream, mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as content:
        return content.find(b"QuantizeLinear") >= 0


def _reason(error: Exception) -> str:
    """Return what OpenVINO complains of, without the lines that say where in its sources."""
    lines = [line for line in str(error).splitlines() if line.strip() and not line.startswith("Exception from ")]
    return (lines or [type(error).__name__])[-1]
