"""What the embedded 8-bit network costs beside the 32-bit one it was made of.

    python benchmarks/quantized.py [--quick] [--strict]

The 32-bit network is the one that `benchmarks/fetch_networks.py` fetched; without it the section is empty.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator

import numpy as np

from alphadrop.engine.models import find_spec, locate, registry
from alphadrop.engine.onnx_runtime import OnnxSegmenter
from page import Section, print_page
from rembg_environment import CACHE
from stopwatch import seconds_of
from tables import Line, pairs

RUNS = 15
MEASURE_MEMORY = """
import sys
from pathlib import Path
import numpy as np
from alphadrop.engine.models import find_spec, registry
from alphadrop.engine.onnx_runtime import OnnxSegmenter
spec = find_spec("u2net", registry())
segmenter = OnnxSegmenter(spec, Path(sys.argv[1]))
view = np.random.default_rng(0).integers(0, 256, (320, 320, 3), np.uint8)
for _ in range(5):
    segmenter.saliency(view)
print(next(line for line in open("/proc/self/status") if line.startswith("VmRSS")).split()[1])
"""


def measure(quick: bool) -> Iterator[Line]:
    """Yield the lines of the section."""
    known = registry()
    fp32_file, int8_file = CACHE / "networks" / "u2net.onnx", locate(find_spec("u2net-int8", known))
    if not fp32_file.is_file():
        yield Line("INT8 beside FP32", "left out: no FP32 network; benchmarks/fetch_networks.py")
        return
    fp32 = OnnxSegmenter(find_spec("u2net", known), fp32_file)
    int8 = OnnxSegmenter(find_spec("u2net-int8", known), int8_file)
    view = np.random.default_rng(0).integers(0, 256, (320, 320, 3), np.uint8)
    slow, fast = [], []
    for _ in range(1 + (RUNS // 3 if quick else RUNS)):  # the first warms up
        slow.append(seconds_of(lambda: fp32.saliency(view)))
        fast.append(seconds_of(lambda: int8.saliency(view)))
    yield pairs("INT8: times as fast as FP32", slow[1:], fast[1:], least=2.5)
    more, less = (_memory(str(file)) for file in (fp32_file, int8_file))
    yield Line(
        "INT8: resident memory less than FP32",
        f"{1 - less / more:.0%} ({less:.0f} of {more:.0f} MB)",
        "at least 60 %",
        1 - less / more >= 0.6,
    )


def _memory(file: str) -> float:
    """Return the megabytes that a process holds after some runs of a network."""
    command = [sys.executable, "-c", MEASURE_MEMORY, file]
    return int(subprocess.run(command, check=True, capture_output=True, text=True).stdout) * 1024 / 1e6


if __name__ == "__main__":
    sys.exit(print_page(__doc__, [Section("The embedded network", measure)]))
