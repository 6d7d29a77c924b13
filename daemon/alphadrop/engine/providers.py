"""What can run a network here, and a network made ready by it. Each runtime is imported only when it is wanted."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path

from alphadrop.engine.models import ModelSpec
from alphadrop.engine.options import Provider
from alphadrop.engine.segmenter import Segmenter

__all__ = ["available", "load", "runtime"]


def load(
    spec: ModelSpec, path: Path, *, threads: int = 0, provider: Provider = "cpu", compiled: Path | None = None
) -> Segmenter:
    """Load a network.

    Args:
        spec: how to feed it.
        path: its ONNX file.
        threads: for one run; 0 means one for each CPU this process may use.
        provider: what runs it; never replaced silently by another.
        compiled: the folder for what OpenVINO makes of networks; None to make it anew each time.

    Raises:
        ProviderUnavailable: the provider is not installed, or did not take the network.
        ModelDamaged: the file is not a network that can be run as the spec says.
    """
    if provider == "openvino":
        from alphadrop.engine.openvino_runtime import OpenvinoSegmenter

        return OpenvinoSegmenter(spec, path, threads=threads, compiled=compiled)
    from alphadrop.engine.onnx_runtime import OnnxSegmenter

    return OnnxSegmenter(spec, path, threads=threads, provider=provider)


def available() -> Sequence[Provider]:
    """Return the providers that are installed."""
    from alphadrop.engine import onnx_runtime

    return (*onnx_runtime.providers(), *(("openvino",) if find_spec("openvino") else ()))


def runtime(provider: Provider) -> str:
    """Return the name of what a provider is a part of, and its version where it is installed."""
    if provider == "openvino":
        try:
            return f"OpenVINO {version('openvino')}"
        except PackageNotFoundError:
            return "OpenVINO"
    from alphadrop.engine import onnx_runtime

    return f"ONNX Runtime {onnx_runtime.VERSION}"
