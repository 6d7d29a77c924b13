"""Quantizing a network small enough to be made in the test, over pictures made in the test."""

from __future__ import annotations

import builtins
import errno
import hashlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from PIL import Image

from alphadrop.engine.models import ModelSpec
from alphadrop.engine.onnx_runtime import OnnxSegmenter
from alphadrop.engine.quantize import QuantizeReport, measure, quantize
from alphadrop.engine.segmenter import normalise
from alphadrop.errors import CannotRead, CannotWrite, DiskFull, ModelDamaged, ModelMissing, QuantizeFailed

SIDE = 32
OUTPUTS = ("fused", "side1_map", "side2_map")
SPEC = ModelSpec(
    name="tiny",
    file="tiny.onnx",
    input_size=SIDE,
    scale="max",
    mean=(0.485, 0.456, 0.406),
    std=(0.229, 0.224, 0.225),
    activation="none",
    licence="CC0-1.0",
    commercial=True,
)


def make_network(path: Path, *, body: bool = True) -> Path:
    """Save a small U2-Net without the U: a body, two side outputs, and their fusion, in the operator set U2-Net has."""
    random = np.random.default_rng(7)
    weights = {
        "w1": random.normal(0, 0.3, (32, 3, 3, 3)),
        "w2": random.normal(0, 0.1, (32, 32, 3, 3)),
        "w3": random.normal(0, 0.2, (1, 32 if body else 3, 3, 3)),
        "w4": random.normal(0, 0.2, (1, 32 if body else 3, 3, 3)),
        "w5": random.normal(0, 1, (1, 2, 1, 1)),
    }
    pads = [1] * 4
    stem = [
        helper.make_node("Conv", ["input.1", "w1"], ["a"], name="first", pads=pads),
        helper.make_node("Relu", ["a"], ["b"], name="relu1"),
        helper.make_node("Conv", ["b", "w2"], ["c"], name="second", pads=pads),
        helper.make_node("Relu", ["c"], ["features"], name="relu2"),
    ]
    last = "features" if body else "input.1"
    heads = [
        helper.make_node("Conv", [last, "w3"], ["d1"], name="side1", pads=pads),
        helper.make_node("Conv", [last, "w4"], ["d2"], name="side2", pads=pads),
        helper.make_node("Concat", ["d1", "d2"], ["d"], name="join", axis=1),
        helper.make_node("Conv", ["d", "w5"], ["d0"], name="fuse"),
        *(helper.make_node("Sigmoid", [f"d{i}"], [name]) for i, name in enumerate(OUTPUTS)),
    ]
    graph = helper.make_graph(
        (stem if body else []) + heads,
        "tiny",
        [helper.make_tensor_value_info("input.1", TensorProto.FLOAT, [1, 3, SIDE, SIDE])],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, 1, SIDE, SIDE]) for name in OUTPUTS],
        [
            numpy_helper.from_array(values.astype(np.float32), name)
            for name, values in weights.items()
            if body or name not in ("w1", "w2")
        ],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 11)], ir_version=7), str(path))
    return path


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_network(tmp_path_factory.mktemp("network") / "tiny.onnx")


@pytest.fixture(scope="module")
def photographs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("photographs")
    random = np.random.default_rng(3)
    for index in range(12):
        pixels = random.integers(0, 256, (8, 12, 3), np.uint8)
        Image.fromarray(pixels).resize((60, 40)).save(folder / f"{index:02}.png")
    (folder / "README.md").write_text("not a picture", encoding="utf-8")
    (folder / "torn.jpg").write_bytes(b"\xff\xd8\xff\xe0 torn")
    (folder / "sub").mkdir()
    return folder


@pytest.fixture(scope="module")
def quantized(
    network: Path, photographs: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, QuantizeReport]:
    target = tmp_path_factory.mktemp("quantized") / "tiny-int8.onnx"
    return target, quantize(network, photographs, target, spec=SPEC)


def test_result_runs_and_says_nearly_the_same(network: Path, quantized: tuple[Path, QuantizeReport]) -> None:
    target, report = quantized
    view = np.random.default_rng(5).integers(0, 256, (SIDE, SIDE, 3), np.uint8)
    before = OnnxSegmenter(SPEC, network).saliency(view)
    after = OnnxSegmenter(SPEC, target).saliency(view)
    assert before.std() > 0.05
    assert np.abs(before - after).mean() < 0.02
    assert 0 < report.difference < 0.02


def test_report_is_of_this_file(network: Path, quantized: tuple[Path, QuantizeReport]) -> None:
    target, report = quantized
    assert report.sha256 == hashlib.sha256(target.read_bytes()).hexdigest()
    assert (report.source_size, report.target_size) == (network.stat().st_size, target.stat().st_size)
    assert (report.calibrated_on, report.compared_on) == (11, 1)
    assert report.source_cost.seconds > 0
    assert report.target_cost.seconds > 0


def test_weights_have_seven_bits_and_a_scale_for_each_channel(quantized: tuple[Path, QuantizeReport]) -> None:
    graph = onnx.load(str(quantized[0])).graph
    tensors = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
    node = next(node for node in graph.node if node.op_type == "DequantizeLinear" and node.input[0].startswith("w1"))
    weights, scale = tensors[node.input[0]], tensors[node.input[1]]
    assert weights.dtype == np.int8
    assert scale.shape == (32,)
    assert np.abs(weights.astype(int)).max() <= 64


def test_activations_are_unsigned(quantized: tuple[Path, QuantizeReport]) -> None:
    graph = onnx.load(str(quantized[0])).graph
    tensors = {tensor.name: tensor.data_type for tensor in graph.initializer}
    zeros = {tensors[node.input[2]] for node in graph.node if node.op_type == "QuantizeLinear"}
    assert zeros == {TensorProto.UINT8}


def test_what_makes_the_outputs_stays_in_floating_point(quantized: tuple[Path, QuantizeReport]) -> None:
    graph = onnx.load(str(quantized[0])).graph
    kinds = {tensor.name: tensor.data_type for tensor in graph.initializer}
    in_float = {node.name for node in graph.node if node.op_type == "Conv" and node.input[1] in kinds}
    assert in_float == {"side1", "side2", "fuse"}
    join = next(node for node in graph.node if node.op_type == "Concat")
    assert list(join.input) == ["d1", "d2"]
    random = np.random.default_rng(5)
    view = random.integers(0, 256, (SIDE, SIDE, 3), np.uint8)
    assert len(np.unique(OnnxSegmenter(SPEC, quantized[0]).saliency(view))) > 512


def test_nothing_but_heads_is_refused(photographs: Path, tmp_path: Path) -> None:
    source = make_network(tmp_path / "heads.onnx", body=False)
    with pytest.raises(QuantizeFailed, match="no convolution but those"):
        quantize(source, photographs, tmp_path / "t.onnx", spec=SPEC)


def test_all_outputs_stay_and_operators_are_of_the_standard(quantized: tuple[Path, QuantizeReport]) -> None:
    model = onnx.load(str(quantized[0]))
    assert [output.name for output in model.graph.output] == list(OUTPUTS)
    assert {node.domain for node in model.graph.node} <= {"", "ai.onnx"}
    assert max(entry.version for entry in model.opset_import if entry.domain in ("", "ai.onnx")) >= 13


def test_same_input_gives_the_same_file(
    network: Path, photographs: Path, quantized: tuple[Path, QuantizeReport], tmp_path: Path
) -> None:
    again = tmp_path / "again.onnx"
    quantize(network, photographs, again, spec=SPEC)
    assert again.read_bytes() == quantized[0].read_bytes()


def test_calibration_sees_what_the_engine_shows(network: Path, tmp_path: Path) -> None:
    photographs = tmp_path / "photographs"
    photographs.mkdir()
    pixels = np.random.default_rng(9).integers(40, 256, (300, 410, 3), np.uint8)
    Image.fromarray(pixels).save(photographs / "only.png")
    target = tmp_path / "target.onnx"
    quantize(network, photographs, target, spec=SPEC)
    graph = onnx.load(str(target)).graph
    tensors = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
    node = next(node for node in graph.node if node.op_type == "QuantizeLinear" and node.input[0] == "input.1")
    small = Image.fromarray(pixels).resize((SIDE, SIDE), Image.Resampling.BICUBIC, reducing_gap=3.0)
    shown = normalise(np.asarray(small), SPEC)
    reach = max(float(shown.max()), 0) - min(float(shown.min()), 0)
    assert float(tensors[node.input[1]]) == pytest.approx(reach / 255, rel=1e-5)


def test_number_of_photographs(network: Path, photographs: Path, tmp_path: Path) -> None:
    report = quantize(network, photographs, tmp_path / "few.onnx", spec=SPEC, photographs=3)
    assert (report.calibrated_on, report.compared_on) == (2, 1)


def test_progress_rises_to_the_end(network: Path, photographs: Path, tmp_path: Path) -> None:
    told: list[tuple[str, float]] = []
    quantize(network, photographs, tmp_path / "t.onnx", spec=SPEC, progress=lambda *now: told.append(now))
    parts = [part for _, part in told]
    assert parts == sorted(parts)
    assert told[-1] == ("done", 1.0)
    assert sum(step == "calibrating" for step, _ in told) == 11


def test_earlier_target_is_replaced_only_by_a_finished_one(network: Path, photographs: Path, tmp_path: Path) -> None:
    target = tmp_path / "target.onnx"
    target.write_bytes(b"earlier")
    with pytest.raises(QuantizeFailed):
        quantize(network, photographs / "sub", target, spec=SPEC)
    assert target.read_bytes() == b"earlier"
    quantize(network, photographs, target, spec=SPEC)
    assert target.stat().st_size > 1000
    assert [path.name for path in tmp_path.iterdir()] == ["target.onnx"]


def test_no_photographs(network: Path, photographs: Path, tmp_path: Path) -> None:
    with pytest.raises(QuantizeFailed, match="no photograph"):
        quantize(network, photographs / "sub", tmp_path / "t.onnx", spec=SPEC)


def test_no_folder(network: Path, tmp_path: Path) -> None:
    with pytest.raises(CannotRead, match="nowhere"):
        quantize(network, tmp_path / "nowhere", tmp_path / "t.onnx", spec=SPEC)


def test_no_source(photographs: Path, tmp_path: Path) -> None:
    with pytest.raises(ModelMissing, match=r"no\.onnx"):
        quantize(tmp_path / "no.onnx", photographs, tmp_path / "t.onnx", spec=SPEC)


def test_source_is_no_network(photographs: Path, tmp_path: Path) -> None:
    (tmp_path / "text.onnx").write_bytes(b"this is no network")
    with pytest.raises(QuantizeFailed, match=r"text\.onnx: cannot be quantized"):
        quantize(tmp_path / "text.onnx", photographs, tmp_path / "t.onnx", spec=SPEC)


def test_source_is_fed_wrongly(network: Path, photographs: Path, tmp_path: Path) -> None:
    with pytest.raises((QuantizeFailed, ModelDamaged)):
        quantize(network, photographs, tmp_path / "t.onnx", spec=replace(SPEC, input_size=2 * SIDE))
    assert list(tmp_path.iterdir()) == []


def test_target_cannot_be_written(network: Path, photographs: Path, tmp_path: Path) -> None:
    with pytest.raises(CannotWrite):
        quantize(network, photographs, tmp_path / "nowhere" / "t.onnx", spec=SPEC)


def test_no_room_for_temporary_files(
    network: Path, photographs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(onnx, "save", full)
    with pytest.raises(DiskFull):
        quantize(network, photographs, tmp_path / "t.onnx", spec=SPEC)


def test_without_onnx(network: Path, photographs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def without(name: str, *rest: Any) -> Any:
        if name == "onnx":
            raise ImportError(name)
        return real(name, *rest)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(QuantizeFailed, match="onnx") as raised:
        quantize(network, photographs, tmp_path / "t.onnx", spec=SPEC)
    assert raised.value.hint == "pip install 'alphadrop[quantize]'"


def test_measure_names_what_failed(tmp_path: Path) -> None:
    with pytest.raises(QuantizeFailed, match=r"no\.onnx: could not be measured"):
        measure(SPEC, tmp_path / "no.onnx")
