"""Make the reference saliency maps: what the FP32 U2-Net says of four photographs anyone may use.

    python tests/engine/make_references.py U2NET.onnx

Written without a line of Alphadrop's engine, as the network's authors feed it, so that both can be wrong only apart.
The photographs are scikit-image's, encoded as the fixture `photographs` does.
"""

from __future__ import annotations

import io
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray
from PIL import Image

FOLDER = Path(__file__).parent / "references"
PICTURES = {"astronaut": "astronaut", "cat": "chelsea", "coffee": "coffee", "rocket": "rocket"}
"""Names of the fixture, and scikit-image's own."""
SIDE = 320


def saliency_map(session: Any, photograph: Image.Image) -> NDArray[np.uint8]:
    """Return the saliency map of an RGB photograph as the network says it; shape (320, 320), 255 is wholly subject."""
    small = np.asarray(photograph.resize((SIDE, SIDE), Image.Resampling.BICUBIC), np.float32)
    scaled = (small / small.max() - (0.485, 0.456, 0.406)) / (0.229, 0.224, 0.225)
    planes = scaled.transpose(2, 0, 1)[np.newaxis].astype(np.float32)
    saliency: NDArray[np.float32] = session.run(None, {session.get_inputs()[0].name: planes})[0]
    eight_bit: NDArray[np.uint8] = np.rint(np.clip(saliency[0, 0], 0, 1) * 255).astype(np.uint8)
    return eight_bit


def session_of(network: str | Path) -> Any:
    """Return a session of a network file, on the CPU."""
    return ort.InferenceSession(str(network), providers=["CPUExecutionProvider"])


def main(network: str) -> None:
    """Write the four maps."""
    from skimage import data

    session = session_of(network)
    FOLDER.mkdir(exist_ok=True)
    for name, picture in PICTURES.items():
        stream = io.BytesIO()
        Image.fromarray(getattr(data, picture)()).save(stream, "JPEG", quality=92)
        Image.fromarray(saliency_map(session, Image.open(stream))).save(FOLDER / f"{name}.png", optimize=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
