"""What is found inside the embedded network, and in U-shaped networks small enough to be made in the test."""

from __future__ import annotations

import builtins
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from onnxruntime import quantization
from PIL import Image

from alphadrop import paths
from alphadrop.engine import models
from alphadrop.engine.cancellation import Cancellation
from alphadrop.engine.explain import Explainer, Explanation, Shown, compare
from alphadrop.engine.models import ModelSpec
from alphadrop.engine.onnx_runtime import OnnxSegmenter
from alphadrop.engine.photo import Photo, from_image
from alphadrop.errors import BadOptions, Cancelled, ExplainFailed, ModelDamaged

EMBEDDED = models.registry()["u2net-int8"]
U2NET = {
    "en1": (64, 320, 320),
    "en2": (128, 160, 160),
    "en3": (256, 80, 80),
    "en4": (512, 40, 40),
    "en5": (512, 20, 20),
    "en6": (512, 10, 10),
    "de5": (512, 20, 20),
    "de4": (256, 40, 40),
    "de3": (128, 80, 80),
    "de2": (64, 160, 160),
    "de1": (64, 320, 320),
}
"""Channels, height and width of each stage, from table 1 of the paper."""
U2NETP = {name: (64, *shape[1:]) for name, shape in U2NET.items()}
SIDES = [f"side-{number}" for number in range(1, 7)]
SIDE = 32
TINY = replace(EMBEDDED, name="tiny", file="tiny.onnx", input_size=SIDE, sha256=None, size=None)


@pytest.fixture(scope="module")
def embedded_file() -> Path:
    return paths.embedded_models() / EMBEDDED.file


@pytest.fixture(scope="module")
def embedded(embedded_file: Path) -> Explainer:
    return Explainer(EMBEDDED, embedded_file)


@pytest.fixture(scope="module")
def photo(astronaut: NDArray[np.uint8]) -> Photo:
    return from_image(Image.fromarray(astronaut))


@pytest.fixture(scope="module")
def explanation(embedded: Explainer, photo: Photo) -> Explanation:
    return embedded.explain(photo)


def large_network(file: str) -> Path:
    """A network in 32 bits, `u2netp.onnx` being beside the file that `ALPHADROP_U2NET` names."""
    network = os.environ.get("ALPHADROP_U2NET")
    if not network:
        pytest.skip("ALPHADROP_U2NET is not set: it names the FP32 u2net.onnx, which is not in the repository")
    path = Path(network).with_name(file)
    if not path.is_file():
        pytest.skip(f"{file} is not beside u2net.onnx")
    return path


# The embedded network


def test_every_stage_of_the_embedded_network_is_found(explanation: Explanation) -> None:
    assert {stage.name: stage.shape for stage in explanation.stages} == U2NET
    assert [stage.name for stage in explanation.stages] == list(U2NET), "the way from the photograph and back"
    assert [side.name for side in explanation.sides] == SIDES
    assert {side.shape for side in explanation.sides} == {(1, 320, 320)}
    assert explanation.fused.shape == (1, 320, 320)


def test_stages_are_the_sums_of_the_graph(explanation: Explanation, embedded_file: Path) -> None:
    graph = onnx.load(str(embedded_file)).graph
    shapes = {info.name: tuple(size.dim_value for size in info.type.tensor_type.shape.dim) for info in graph.value_info}
    sums = [node.output[0] for node in graph.node if node.op_type == "Add"]
    assert [stage.tensor for stage in explanation.stages] == sums
    assert [(1, *stage.shape) for stage in explanation.stages] == [shapes[name] for name in sums]
    assert [explanation.fused.tensor, *(side.tensor for side in explanation.sides)] == [
        output.name for output in graph.output
    ]


@pytest.mark.parametrize("name", ["coffee", "cat", "large and see-through"])
def test_fused_map_is_the_saliency_map_to_the_bit(
    embedded: Explainer, embedded_file: Path, photographs: dict[str, Path], name: str
) -> None:
    image: Image.Image = Image.open(photographs.get(name, photographs["astronaut"]))
    if name not in photographs:
        image = image.resize((2000, 1500))
        image.putalpha(Image.linear_gradient("L").resize(image.size))
    photo = from_image(image)
    wanted = OnnxSegmenter(EMBEDDED, embedded_file).saliency(photo.view(EMBEDDED.input_size))
    told = embedded.explain(photo)
    assert wanted.std() > 0.1
    np.testing.assert_array_equal(told.fused.array[0], wanted)
    np.testing.assert_array_equal(told.view, photo.view(EMBEDDED.input_size))


def assert_dequantized(stage: Shown, path: Path) -> None:
    """Assert that all values are whole steps of the sum's own scale, in 8 bits."""
    graph = onnx.load(str(path)).graph
    constants = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
    sum = next(node for node in graph.node if node.output[0] == stage.tensor)
    if sum.op_type == "QLinearAdd":
        scale = constants[sum.input[6]]
    else:
        scale = constants[next(node for node in graph.node if node.input[0] == stage.tensor).input[1]]
    steps = stage.array / scale
    np.testing.assert_allclose(steps, np.rint(steps), atol=1e-3)
    assert stage.array.dtype == np.float32
    assert 0 <= steps.min() < steps.max() <= 255.001


def test_sums_are_dequantized(explanation: Explanation, embedded_file: Path) -> None:
    for stage in explanation.stages:
        assert_dequantized(stage, embedded_file)
        assert len(np.unique(stage.array)) > 50


def test_side_maps_find_the_subject(explanation: Explanation) -> None:
    for side in explanation.sides:
        assert 0 <= side.array.min() < side.array.max() <= 1
        assert side.array[0, 200:300, 100:200].mean() > 0.9, "of the space suit"
        assert side.array[0, :60, 250:].mean() < 0.1, "of the wall"


@pytest.mark.parametrize(("file", "shapes"), [("u2net.onnx", U2NET), ("u2netp.onnx", U2NETP)])
def test_every_stage_of_the_networks_in_32_bits_is_found(
    photo: Photo, file: str, shapes: dict[str, tuple[int, int, int]]
) -> None:
    path = large_network(file)
    spec = models.registry()[path.stem]
    told = Explainer(spec, path).explain(photo)
    assert {stage.name: stage.shape for stage in told.stages} == shapes
    assert [side.name for side in told.sides] == SIDES
    np.testing.assert_array_equal(told.fused.array[0], OnnxSegmenter(spec, path).saliency(told.view))


def test_what_eight_bits_cost_is_small(explanation: Explanation, photo: Photo) -> None:
    reference = Explainer(models.registry()["u2net"], large_network("u2net.onnx")).explain(photo)
    differences = {each.name: each for each in compare(explanation, reference)}
    assert list(differences) == [*U2NET, *SIDES, "fused"]
    assert all(differences[f"en{number}"].relative < 0.1 for number in range(1, 7))
    assert 0 < differences["fused"].mean < 0.01
    assert 0 < (differences["fused"].flipped or 0) < 0.01


# Networks made in the test


class Drawing:
    """A graph while it is drawn: nodes, weights, and names that tell nothing."""

    def __init__(self, seed: int = 7) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.weights: dict[str, NDArray[np.float32]] = {}
        self._random = np.random.default_rng(seed)

    def node(self, kind: str, *inputs: str, **attributes: Any) -> str:
        name = f"t{self._random.integers(1 << 48):x}"
        self.nodes.append(helper.make_node(kind, inputs, [name], name=f"n{name}", **attributes))
        return name

    def constant(self, values: Any) -> str:
        name = f"w{self._random.integers(1 << 48):x}"
        self.weights[name] = np.asarray(values, np.float32)
        return name

    def convolution(self, source: str, before: int, after: int) -> str:
        weights = self.constant(self._random.normal(0, 0.35 / np.sqrt(before), (after, before, 3, 3)))
        return self.node("Conv", source, weights, pads=[1] * 4)

    def activated(self, source: str, before: int, after: int) -> str:
        return self.node("Relu", self.convolution(source, before, after))

    def twice(self, source: str) -> str:
        scales = self.constant([1, 1, 2, 2])
        return self.node("Resize", source, "", scales, mode="linear", coordinate_transformation_mode="half_pixel")

    def half(self, source: str) -> str:
        return self.node("MaxPool", source, kernel_shape=[2, 2], strides=[2, 2])

    def u_block(self, source: str, before: int) -> str:
        entry = self.activated(source, before, 8)
        outer = self.activated(entry, 8, 8)
        inner = self.activated(self.half(outer), 8, 8)
        joined = self.node("Concat", self.twice(inner), outer, axis=1)
        return self.node("Add", self.activated(joined, 16, 8), entry)

    def save(self, path: Path, outputs: list[str]) -> Path:
        graph = helper.make_graph(
            self.nodes,
            "drawn",
            [helper.make_tensor_value_info("input", TensorProto.FLOAT, [1, 3, SIDE, SIDE])],
            [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, 1, SIDE, SIDE]) for name in outputs],
            [numpy_helper.from_array(values, name) for name, values in self.weights.items()],
        )
        onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8), str(path))
        return path


def draw_u(path: Path, *, fuses: bool = True) -> tuple[Path, list[str]]:
    """Save a U of two encoders and a decoder; return its path and the names of the three sums."""
    drawing = Drawing()
    first = drawing.u_block("input", 3)
    second = drawing.u_block(drawing.half(first), 8)
    back = drawing.u_block(drawing.node("Concat", drawing.twice(second), first, axis=1), 16)
    sides = [drawing.convolution(back, 8, 1), drawing.twice(drawing.convolution(second, 8, 1))]
    logits = [drawing.convolution(drawing.node("Concat", *sides, axis=1), 2, 1)] if fuses else []
    outputs = [drawing.node("Sigmoid", each) for each in (*logits, *sides)]
    return drawing.save(path, outputs), [first, second, back]


def quantized(source: Path, target: Path, format: quantization.QuantFormat) -> Path:
    class Views(quantization.CalibrationDataReader):  # type: ignore[misc]
        def __init__(self) -> None:
            random = np.random.default_rng(5)
            self._views = iter([{"input": random.normal(0, 1, (1, 3, SIDE, SIDE)).astype(np.float32)}] * 2)

        def get_next(self) -> dict[str, NDArray[np.float32]] | None:
            return next(self._views, None)

    quantization.quantize_static(
        str(source), str(target), Views(), quant_format=format, reduce_range=True,
        activation_type=quantization.QuantType.QUInt8, weight_type=quantization.QuantType.QInt8,
    )  # fmt: skip
    return target


@pytest.fixture
def noise() -> Photo:
    pixels = np.random.default_rng(3).integers(0, 256, (SIDE, SIDE, 3), np.uint8)
    return from_image(Image.fromarray(pixels))


@pytest.fixture(scope="module")
def u_network(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[str]]:
    return draw_u(tmp_path_factory.mktemp("u") / "tiny.onnx")


def test_a_small_u_is_found_by_how_it_is_built(u_network: tuple[Path, list[str]], noise: Photo) -> None:
    path, sums = u_network
    before = path.read_bytes()
    told = Explainer(TINY, path).explain(noise)
    assert {stage.name: stage.shape for stage in told.stages} == {
        "en1": (8, 32, 32),
        "en2": (8, 16, 16),
        "de1": (8, 32, 32),
    }
    assert [stage.tensor for stage in told.stages] == sums
    assert [side.name for side in told.sides] == ["side-1", "side-2"]
    np.testing.assert_array_equal(told.fused.array[0], OnnxSegmenter(TINY, path).saliency(told.view))
    assert path.read_bytes() == before


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("format", [quantization.QuantFormat.QDQ, quantization.QuantFormat.QOperator], ids=str)
def test_both_ways_of_quantizing_give_the_sums_dequantized(
    u_network: tuple[Path, list[str]], noise: Photo, tmp_path: Path, format: quantization.QuantFormat
) -> None:
    path = quantized(u_network[0], tmp_path / "int8.onnx", format)
    kinds = {node.op_type for node in onnx.load(str(path)).graph.node}
    assert ("QLinearAdd" in kinds) == (format is quantization.QuantFormat.QOperator)
    one, reference = Explainer(TINY, path).explain(noise), Explainer(TINY, u_network[0]).explain(noise)
    for difference in compare(one, reference):
        assert 0 < difference.relative < 0.15, difference.name
    for stage in one.stages:
        assert_dequantized(stage, path)
    np.testing.assert_array_equal(one.fused.array[0], OnnxSegmenter(TINY, path).saliency(one.view))


def test_where_openvino_runs_the_networks_onnx_runtime_is_listened_to(
    u_network: tuple[Path, list[str]], noise: Photo
) -> None:
    told = Explainer(TINY, u_network[0], provider="openvino").explain(noise)
    np.testing.assert_array_equal(told.fused.array[0], OnnxSegmenter(TINY, u_network[0]).saliency(told.view))


def test_a_network_that_does_not_fuse_takes_its_first_side_map(noise: Photo, tmp_path: Path) -> None:
    told = Explainer(TINY, draw_u(tmp_path / "isnet.onnx", fuses=False)[0]).explain(noise)
    assert [side.name for side in told.sides] == ["side-1", "side-2"]
    assert told.fused.tensor == told.sides[0].tensor
    np.testing.assert_array_equal(told.fused.array, told.sides[0].array)


def test_what_the_registry_still_applies_is_applied_to_all_maps(
    u_network: tuple[Path, list[str]], noise: Photo
) -> None:
    plain = Explainer(TINY, u_network[0]).explain(noise)
    bent = Explainer(replace(TINY, activation="sigmoid"), u_network[0]).explain(noise)
    for before, after in zip((*plain.sides, plain.fused), (*bent.sides, bent.fused), strict=True):
        np.testing.assert_allclose(after.array, 1 / (1 + np.exp(-before.array)), rtol=1e-6)
    np.testing.assert_array_equal(bent.stages[0].array, plain.stages[0].array)


def test_residual_blocks_of_other_networks_are_no_stages(tmp_path: Path) -> None:
    drawing = Drawing()
    stem = drawing.activated("input", 3, 8)
    wide = drawing.node(
        "Add", drawing.convolution(drawing.activated(stem, 8, 8), 8, 8), drawing.convolution(stem, 8, 8)
    )
    inverted = drawing.convolution(drawing.activated(wide, 8, 8), 8, 8)
    last = drawing.node("Add", drawing.convolution(drawing.activated(inverted, 8, 8), 8, 8), inverted)
    branches = drawing.node("Concat", drawing.activated(last, 8, 8), drawing.activated(last, 8, 8), axis=1)
    beside = drawing.convolution(last, 8, 8)
    last = drawing.node("Add", drawing.convolution(branches, 16, 8), beside)
    path = drawing.save(tmp_path / "residual.onnx", [drawing.node("Sigmoid", drawing.convolution(last, 8, 1))])
    with pytest.raises(ExplainFailed, match=r"residual\.onnx: has no stages") as raised:
        Explainer(TINY, path)
    assert "u2net-int8" in raised.value.hint


@pytest.mark.parametrize("content", [b"not a graph", b""], ids=["noise", "nothing"])
def test_a_file_that_is_no_graph(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "odd.onnx"
    path.write_bytes(content)
    with pytest.raises(ExplainFailed, match=r"odd\.onnx"):
        Explainer(TINY, path)


def test_a_wrong_input_size_is_told_as_elsewhere(u_network: tuple[Path, list[str]], noise: Photo) -> None:
    with pytest.raises(ModelDamaged, match="tiny: the network failed"):
        Explainer(replace(TINY, input_size=SIDE * 2), u_network[0]).explain(noise)


def test_it_can_be_ended(u_network: tuple[Path, list[str]], noise: Photo) -> None:
    cancellation = Cancellation()
    cancellation.cancel()
    with pytest.raises(Cancelled):
        Explainer(TINY, u_network[0]).explain(noise, cancellation)


def test_without_onnx(u_network: tuple[Path, list[str]], monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def without(name: str, *rest: Any) -> Any:
        if name == "onnx":
            raise ImportError(name)
        return real(name, *rest)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(ExplainFailed, match="needs the package onnx") as raised:
        Explainer(TINY, u_network[0])
    assert raised.value.hint == "pip install 'alphadrop[explain]'"


# Differences


def told(stage: NDArray[np.float32], fused: NDArray[np.float32], spec: ModelSpec = TINY) -> Explanation:
    view = np.zeros((SIDE, SIDE, 3), np.uint8)
    return Explanation(spec.name, view, (Shown("en1", "s", stage),), (), Shown("fused", "f", fused))


def test_differences_are_measured_by_the_reference() -> None:
    stage, fused = np.full((2, 4, 4), 2, np.float32), np.full((1, 4, 4), 0.4, np.float32)
    other, changed = stage.copy(), fused.copy()
    other[0, 1, 2] += 4
    changed[0, 0] = 0.6
    of_stage, of_map = compare(told(other, changed), told(stage, fused))
    assert (of_stage.name, of_stage.shape, of_stage.flipped) == ("en1", (2, 4, 4), None)
    assert of_stage.mean == pytest.approx(4 / 32)
    assert of_stage.largest == pytest.approx(4)
    assert of_stage.relative == pytest.approx(np.sqrt(16 / 32) / 2)
    assert of_stage.where[1, 2] == pytest.approx(2)
    assert np.count_nonzero(of_stage.where) == 1
    assert of_map.flipped == pytest.approx(0.25)


def test_networks_that_are_not_built_alike_are_not_compared() -> None:
    fused = np.zeros((1, 4, 4), np.float32)
    with pytest.raises(BadOptions, match="not built alike: they differ in en1"):
        compare(told(np.zeros((2, 4, 4), np.float32), fused), told(np.zeros((3, 4, 4), np.float32), fused))


def test_nothing_compared_with_nothing_is_no_difference() -> None:
    nothing = told(np.zeros((2, 4, 4), np.float32), np.zeros((1, 4, 4), np.float32))
    assert {each.relative for each in compare(nothing, nothing)} == {0.0}
