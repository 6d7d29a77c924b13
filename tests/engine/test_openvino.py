"""The embedded network run by OpenVINO: the same subject, the same seam as ONNX Runtime's."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from PIL import Image

from alphadrop.engine import models, providers
from alphadrop.engine.cancellation import Cancellation
from alphadrop.engine.cutout import Engine, cut_file
from alphadrop.engine.openvino_runtime import OpenvinoSegmenter
from alphadrop.engine.photo import from_image
from alphadrop.errors import Cancelled, ModelDamaged
from daemon_process import PATIENCE
from fake_segmenter import assert_cut_from

SMALL = models.registry()["u2netp"]


@pytest.fixture(scope="module")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("compiled") / "deeper"


@pytest.fixture(scope="module")
def segmenter(compiled: Path) -> OpenvinoSegmenter:
    return OpenvinoSegmenter(SMALL, models.locate(SMALL), threads=2, compiled=compiled)


@pytest.fixture(scope="module")
def view(astronaut: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return from_image(Image.fromarray(astronaut)).view(SMALL.input_size)


@pytest.mark.parametrize(("name", "most"), [("u2net-int8", 0.01), ("u2netp", 1e-4)])
@pytest.mark.parametrize("photograph", ["astronaut", "cat", "coffee"])
def test_the_map_is_that_of_onnx_runtime_to_rounding(
    name: str, most: float, photograph: str, photographs: dict[str, Path], compiled: Path
) -> None:
    spec = models.registry()[name]
    seen = from_image(Image.open(photographs[photograph])).view(spec.input_size)
    theirs, ours = (
        providers.load(spec, models.locate(spec), provider=provider, compiled=compiled).saliency(seen)
        for provider in ("cpu", "openvino")
    )
    assert (ours.shape, ours.dtype) == (theirs.shape, theirs.dtype)
    assert ours.min() >= 0
    assert ours.max() <= 1
    assert np.abs(ours - theirs).mean() < most
    assert np.mean((ours > 0.5) != (theirs > 0.5)) < most


def test_an_engine_cuts_with_it_and_says_so(
    photographs: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ALPHADROP_DATA_DIR", str(tmp_path / "data"))
    engine = Engine(provider="openvino", threads=2)
    cut_file(photographs["cat"], tmp_path / "cat.png", engine=engine)
    assert_cut_from(tmp_path / "cat.png", photographs["cat"])
    assert engine.loaded["u2net-int8"] == "openvino, 2 threads"
    assert list((tmp_path / "data" / "compiled").iterdir()), "it is made for this processor once"


def test_what_was_made_for_this_processor_is_used_again_and_made_anew_where_it_is_torn(
    view: NDArray[np.uint8], tmp_path: Path
) -> None:
    def made() -> NDArray[np.float32]:
        return OpenvinoSegmenter(SMALL, models.locate(SMALL), compiled=tmp_path).saliency(view)

    first = made()
    (file,) = tmp_path.iterdir()
    whole = file.stat()
    np.testing.assert_array_equal(made(), first)
    assert file.stat().st_mtime_ns == whole.st_mtime_ns
    os.chmod(file, 0o600)
    os.truncate(file, whole.st_size // 2)
    np.testing.assert_array_equal(made(), first)
    assert [again.stat().st_size for again in tmp_path.iterdir()] == [whole.st_size]


def test_a_run_is_ended_from_another_thread_and_no_other_run_with_it(
    segmenter: OpenvinoSegmenter, view: NDArray[np.uint8]
) -> None:
    before, ended, kept = segmenter.saliency(view), 0, []
    for _ in range(20):
        cancellation = Cancellation()
        ending = threading.Timer(0.01, cancellation.cancel)
        ending.start()
        try:
            kept.append(segmenter.saliency(view, cancellation))
        except Cancelled:
            ended += 1
        kept.append(segmenter.saliency(view, Cancellation()))
        ending.join(PATIENCE)
    assert ended
    for each in kept:
        np.testing.assert_array_equal(each, before)


def test_an_order_given_before_keeps_it_from_running(segmenter: OpenvinoSegmenter, view: NDArray[np.uint8]) -> None:
    cancellation = Cancellation()
    cancellation.cancel()
    with pytest.raises(Cancelled):
        segmenter.saliency(view, cancellation)


def test_several_threads_and_sparing_runs_get_the_same_map(
    segmenter: OpenvinoSegmenter, view: NDArray[np.uint8]
) -> None:
    before = segmenter.saliency(view)
    found: list[NDArray[np.float32]] = []

    def look(sparing: bool) -> None:
        found.extend(segmenter.saliency(view, sparing=sparing) for _ in range(3))

    threads = [threading.Thread(target=look, args=(sparing,)) for sparing in (False, True, False)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE)
    assert len(found) == 9
    for each in found:
        np.testing.assert_array_equal(each, before)


def test_it_gives_memory_back_while_it_rests_and_finds_the_same_after(view: NDArray[np.uint8], tmp_path: Path) -> None:
    np.save(tmp_path / "view.npy", view)
    program = (
        "import sys, numpy as np\n"
        "from pathlib import Path\n"
        "from alphadrop.engine import models, providers\n"
        "from alphadrop.memory import return_what_is_free\n"
        "def pages():\n"
        "    return_what_is_free()\n"
        "    return int(Path('/proc/self/statm').read_text().split()[1])\n"
        "spec, view = models.registry()['u2netp'], np.load(sys.argv[1])\n"
        "segmenter = providers.load(spec, models.locate(spec), provider='openvino')\n"
        "before, awake = segmenter.saliency(view), pages()\n"
        "segmenter.rest()\n"
        "print(awake - pages(), np.array_equal(segmenter.saliency(view), before))\n"
    )
    command = [sys.executable, "-c", program, str(tmp_path / "view.npy")]
    told = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
    assert int(told[0]) * os.sysconf("SC_PAGE_SIZE") > 10_000_000
    assert told[1] == "True"


@pytest.mark.parametrize("content", [b"", b"no network", models.locate(SMALL).read_bytes()[:100_000]])
def test_a_file_that_is_no_network_is_named_in_one_line(content: bytes, tmp_path: Path) -> None:
    file = tmp_path / "damaged.onnx"
    file.write_bytes(content)
    with pytest.raises(ModelDamaged) as told:
        OpenvinoSegmenter(SMALL, file)
    assert str(file) in told.value.message
    assert "\n" not in told.value.message
    assert "models pull u2netp" in told.value.hint


def test_a_view_of_another_size_is_a_wrong_row_of_the_registry(segmenter: OpenvinoSegmenter) -> None:
    with pytest.raises(ModelDamaged, match="u2netp: the network failed"):
        segmenter.saliency(np.zeros((7, 7, 3), np.uint8))


def test_a_network_for_any_number_of_pixels_is_made_for_those_of_its_row(
    segmenter: OpenvinoSegmenter, view: NDArray[np.uint8], tmp_path: Path
) -> None:
    network = onnx.load(models.locate(SMALL))
    for dimension in network.graph.input[0].type.tensor_type.shape.dim:
        dimension.dim_param = "any"
    onnx.save(network, tmp_path / "any.onnx")
    found = OpenvinoSegmenter(SMALL, tmp_path / "any.onnx").saliency(view)
    np.testing.assert_array_equal(found, segmenter.saliency(view))


def test_where_it_is_not_installed_an_error_says_how_to_get_it() -> None:
    program = (
        "import sys; sys.modules['openvino'] = None\n"
        "from alphadrop.engine.cutout import Engine\n"
        "from alphadrop.errors import ProviderUnavailable\n"
        "try: Engine(provider='openvino').warm()\n"
        "except ProviderUnavailable as error: print(error.hint)\n"
    )
    told = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert "pip install 'alphadrop[openvino]'" in told.stdout


def test_onnx_runtime_is_not_loaded_beside_it() -> None:
    program = (
        "import sys\n"
        "from alphadrop.engine import models, providers\n"
        "spec = models.registry()['u2netp']\n"
        "providers.load(spec, models.locate(spec), provider='openvino')\n"
        "print('onnxruntime' in sys.modules)\n"
    )
    told = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert told.stdout == "False\n"
