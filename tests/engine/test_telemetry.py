"""Everything stays on the machine: the network's runtime neither marks it nor calls its maker."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

STATEMENTS = [
    "from alphadrop import cut_out; cut_out(sys.argv[1])",
    "from alphadrop.engine import onnx_runtime",
    "from alphadrop.engine import openvino_runtime",
    "from alphadrop.engine import quantize; from onnxruntime import quantization",
    "from alphadrop.pipeline import apart; import onnxruntime",
]


@pytest.mark.parametrize("statement", STATEMENTS)
def test_the_runtime_leaves_nothing_in_the_users_home(
    statement: str, photographs: dict[str, Path], tmp_path: Path
) -> None:
    own = {"HOME": str(tmp_path), "USERPROFILE": str(tmp_path), "PYTHONDONTWRITEBYTECODE": "1"}
    inherited = {
        key: value for key, value in os.environ.items() if not key.startswith(("XDG_", "ORT_")) and key not in own
    }
    subprocess.run(
        [sys.executable, "-c", f"import sys; {statement}", photographs["astronaut"]],
        env={**inherited, **own}, check=True, timeout=120,
    )  # fmt: skip
    assert list(tmp_path.rglob("*")) == []


def test_who_wants_it_may_say_so() -> None:
    chosen = {**os.environ, "ORT_DISABLE_TELEMETRY": "0"}
    program = "import os, alphadrop.engine; print(os.environ['ORT_DISABLE_TELEMETRY'])"
    told = subprocess.run([sys.executable, "-c", program], env=chosen, capture_output=True, text=True, check=True)
    assert told.stdout == "0\n"
