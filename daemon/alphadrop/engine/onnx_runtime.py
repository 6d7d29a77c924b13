"""Networks run by ONNX Runtime: on the processor, and on the devices for which there are builds of it."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from pathlib import Path

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from alphadrop.engine.cancellation import Cancellation
from alphadrop.engine.cpus import usable_cpus
from alphadrop.engine.models import ModelSpec
from alphadrop.engine.options import Provider
from alphadrop.engine.segmenter import as_saliency, normalise
from alphadrop.errors import Cancelled, ModelDamaged, ProviderUnavailable, printable

__all__ = ["VERSION", "OnnxProbe", "OnnxSegmenter", "providers"]

VERSION: str = ort.__version__

_NAMES: dict[Provider, str] = {
    "cpu": "CPUExecutionProvider",
    "cuda": "CUDAExecutionProvider",
    "directml": "DmlExecutionProvider",
    "coreml": "CoreMLExecutionProvider",
}

_PACKAGES: dict[Provider, str] = {
    "cpu": "onnxruntime",
    "cuda": "onnxruntime-gpu",
    "directml": "onnxruntime-directml",
    "coreml": "onnxruntime",
}
"""What carries them. All of these are one module: a second one damages the first."""


class OnnxSegmenter:
    """A network loaded once and kept; safe to call from several threads."""

    def __init__(self, spec: ModelSpec, path: Path, *, threads: int = 0, provider: Provider = "cpu") -> None:
        """Load a network.

        Args:
            spec: how to feed it.
            path: its ONNX file.
            threads: for one run; 0 means one for each CPU this process may use.
            provider: the execution provider; never replaced silently by another.

        Raises:
            ProviderUnavailable: the provider is not in this onnxruntime, or did not take the network.
            ModelDamaged: the file is not a network that can be run as the spec says.
        """
        self._session = _opened(str(path), printable(path), spec, threads, provider)
        self._input = self._session.get_inputs()[0].name
        self._output = self._session.get_outputs()[0].name
        self._spec = spec
        self._device = provider
        self._threads = threads or usable_cpus()

    @property
    def spec(self) -> ModelSpec:
        """The model this is."""
        return self._spec

    @property
    def device(self) -> str:
        """The execution provider in use and its threads."""
        threads = "1 thread" if self._threads == 1 else f"{self._threads} threads"
        return f"{self._device}, {threads}" if self._device == "cpu" else self._device

    def saliency(
        self, view: NDArray[np.uint8], cancellation: Cancellation | None = None, *, sparing: bool = False
    ) -> NDArray[np.float32]:
        """Return the saliency map of a view; see `Segmenter.saliency`."""
        run = ort.RunOptions()
        if sparing and self._device == "cpu":
            run.add_run_config_entry("memory.enable_memory_arena_shrinkage", "cpu:0")
        (output,) = _run(self._session, self._input, [self._output], view, self._spec, run, cancellation)
        return as_saliency(output, self._spec)

    def rest(self) -> None:
        """Do nothing: what runs need is kept by the arena of all networks, which can give it back after a run only."""


class OnnxProbe:
    """A network that also gives what is inside it, fed and run to the bit as `OnnxSegmenter` runs its own."""

    def __init__(self, graph: bytes, spec: ModelSpec, *, threads: int = 0, provider: Provider = "cpu") -> None:
        """Load a network.

        Args:
            graph: an ONNX model whose outputs are what can be asked for.
            spec: how to feed it.
            threads: for one run; 0 means one for each CPU this process may use.
            provider: the execution provider.

        Raises:
            ProviderUnavailable, ModelDamaged: as for `OnnxSegmenter`.
        """
        self._session = _opened(graph, spec.name, spec, threads, provider)
        self._input = self._session.get_inputs()[0].name
        self._spec = spec

    def outputs(
        self, view: NDArray[np.uint8], names: Sequence[str], cancellation: Cancellation | None = None
    ) -> list[NDArray[np.float32]]:
        """Return outputs of one run, in the order of their names.

        Args:
            view: sRGB, shape (S, S, 3), uint8, S being the spec's `input_size`.
            names: of outputs of the graph.
            cancellation: by which another thread may end the run.

        Raises:
            Cancelled: it was ended.
            ModelDamaged: the network cannot be run.
        """
        outputs = _run(self._session, self._input, names, view, self._spec, ort.RunOptions(), cancellation)
        return [np.asarray(output, np.float32) for output in outputs]


def _opened(
    network: str | bytes, called: str, spec: ModelSpec, threads: int, provider: Provider
) -> ort.InferenceSession:
    """Return a session of a network, given by its path or its bytes; raise as `OnnxSegmenter` does."""
    if provider not in providers():
        raise ProviderUnavailable(
            f"the provider {provider} is not in this onnxruntime (it has {', '.join(providers())})",
            f"use cpu, or: pip uninstall onnxruntime; pip install {_PACKAGES[provider]}",
        )
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads or usable_cpus()
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    _register_thrifty_arena()
    options.add_session_config_entry("session.use_env_allocators", "1")
    options.enable_mem_pattern = False  # it would take one block for a whole run, and a third more memory
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")  # an idle daemon uses no CPU
    if spec.thrifty:  # the layout that is quickest to convolve fills channels up, and is made anew of every tensor
        options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_EXTENDED
    wanted = _NAMES[provider]
    try:
        session = ort.InferenceSession(network, options, providers=[wanted])
    except Exception as error:  # onnxruntime has no common base of its errors
        raise ModelDamaged(
            f"{called}: cannot be loaded as a network: {str(error).splitlines()[0]}",
            f"fetch it again: alphadrop models pull {spec.name}",
        ) from error
    if session.get_providers()[0] != wanted:
        raise ProviderUnavailable(
            f"{spec.name} was to run on {provider}, and onnxruntime chose {session.get_providers()[0]}",
            "use cpu, or mend the provider's installation",
        )
    return session


def _run(
    session: ort.InferenceSession,
    input: str,
    names: Sequence[str],
    view: NDArray[np.uint8],
    spec: ModelSpec,
    run: ort.RunOptions,
    cancellation: Cancellation | None,
) -> list[NDArray[np.floating]]:
    """Return outputs of one run; raise as `Segmenter.saliency` does."""
    try:
        with (cancellation or Cancellation()).stopping_by(lambda: setattr(run, "terminate", True)):
            outputs: list[NDArray[np.floating]] = session.run(names, {input: normalise(view, spec)}, run)
    except Cancelled:
        raise
    except Exception as error:  # onnxruntime has no common base of its errors
        raise ModelDamaged(
            f"{spec.name}: the network failed: {str(error).splitlines()[0]}",
            "check the registry's row of this model: its input size may be wrong",
        ) from error
    return outputs


@cache
def _register_thrifty_arena() -> None:
    """Let all sessions of this process share one arena that grows by what is asked for, not to the next power of two.

    Without an arena every run gives its memory back and faults it in again, which costs a fifth of its time.
    """
    memory = ort.OrtMemoryInfo("Cpu", ort.OrtAllocatorType.ORT_ARENA_ALLOCATOR, 0, ort.OrtMemType.DEFAULT)
    as_requested = {
        "max_mem": 0,
        "arena_extend_strategy": 1,
        "initial_chunk_size_bytes": -1,
        "max_dead_bytes_per_chunk": -1,
    }
    ort.create_and_register_allocator(memory, ort.OrtArenaCfg(as_requested))


def providers() -> Sequence[Provider]:
    """Return the execution providers that this build of ONNX Runtime carries."""
    carried = set(ort.get_available_providers())
    return [name for name, theirs in _NAMES.items() if theirs in carried]
