"""The stages of a U-shaped network, found in its graph by how it is built.

Apart from what is shown of them, because this alone knows graphs. Nothing is found by a node's number or a tensor's
name, so that a network that was quantized, or exported by another, has the same stages as the one it was made from.

In U²-Net (Qin et al., "U²-Net: Going Deeper with Nested U-Structure for Salient Object Detection", Pattern Recognition
106, 2020, section 3.1) every stage is a residual U-block: a convolution looks at the input, a small U looks at what
that saw, and the block gives the sum of the two. An encoder looks at the picture or at the encoder above it, a decoder
at the decoder below it and the encoder beside it, joined. From some stages a further convolution leads to an output: a
side map.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from alphadrop.errors import ExplainFailed, ExtraMissing, printable

if TYPE_CHECKING:
    import onnx

__all__ = ["Dissected", "Tap", "dissect"]

_CONVOLUTIONS = {"Conv", "FusedConv", "QLinearConv"}
_SUMS = {"Add", "QLinearAdd"}
_JOINS = {"Concat", "QLinearConcat"}
_STEPS = {"BatchNormalization", "Cast", "Clip", "DequantizeLinear", "Identity", "LeakyRelu", "QuantizeLinear", "Relu"}
"""Operators that leave each value where it is; the first input is what they work on."""
_LAST_STEPS = _STEPS | {"QLinearSigmoid", "Resize", "Sigmoid", "Upsample"}
"""What may stand between a side map's convolution and the output."""


@dataclass(frozen=True, slots=True)
class Tap:
    """A place where a network is listened to."""

    name: str
    """What the stage or map is called: `en1`, `de1`, `side-1`."""
    tensor: str
    """The tensor's name in the network's own file."""
    output: str
    """The output of the dissected graph that gives it, in floating point."""


@dataclass(frozen=True, slots=True)
class Dissected:
    """A network whose stages have become outputs too."""

    graph: bytes
    """The ONNX model."""
    stages: tuple[Tap, ...]
    """The encoders from the picture on, then the decoders back to it."""
    sides: tuple[Tap, ...]
    """The side maps, by the number of the stage they come from."""
    fused: Tap
    """The first output: what is taken for the saliency map."""


@dataclass(frozen=True, slots=True)
class _Block:
    entry: onnx.NodeProto
    """The convolution that looks at the block's input."""
    sum: onnx.NodeProto


def dissect(path: Path) -> Dissected:
    """Find the stages of a network and make outputs of them.

    Args:
        path: an ONNX file; in floating point, or quantized in either of ONNX's ways (QDQ, QOperator), whose sums are
            then given dequantized.

    Raises:
        ExtraMissing: `onnx` is not installed.
        ExplainFailed: the file cannot be read as a graph, or the graph has no such stages.
    """
    _require_onnx()
    import onnx

    try:
        model = onnx.load(str(path))
    except Exception as error:  # protobuf's errors, onnx's own and the file system's
        lines = str(error).splitlines() or [type(error).__name__]
        raise ExplainFailed(f"{printable(path)}: cannot be read as a graph: {lines[0]}") from error
    wiring = _Wiring(model.graph)
    named = dict(_named(wiring))
    if not named:
        raise ExplainFailed(
            f"{printable(path)}: has no stages that can be shown: no sum of a convolution and of a small U over it",
            "choose a U²-Net or an IS-Net: u2net-int8, u2netp, u2net, isnet-general-use",
        )
    sides = tuple(sorted(_sides(wiring, named), key=lambda tap: int(tap.name.removeprefix("side-"))))
    first = model.graph.output[0].name
    stages = tuple(Tap(name, block.sum.output[0], _listen(wiring, block.sum)) for name, block in named.items())
    try:
        graph = model.SerializeToString()
    except Exception as error:  # protobuf's, of graphs beyond two gigabytes
        raise ExplainFailed(f"{printable(path)}: is too large to be taken apart") from error
    return Dissected(graph, stages, sides, Tap("fused", first, first))


def _require_onnx() -> None:
    try:
        import onnx
    except ImportError as error:
        raise ExtraMissing(
            "looking into a network needs the package onnx, which is not installed", "pip install 'alphadrop[explain]'"
        ) from error
    del onnx


class _Wiring:
    """Who makes and who takes each tensor of a graph."""

    def __init__(self, graph: onnx.GraphProto) -> None:
        self.graph = graph
        self._place = {node.output[0]: place for place, node in enumerate(graph.node)}
        self._maker = {name: node for node in graph.node for name in node.output}
        self._takers: dict[str, list[onnx.NodeProto]] = {}
        for node in graph.node:
            for name in node.input:
                self._takers.setdefault(name, []).append(node)

    def place(self, node: onnx.NodeProto) -> int:
        """Return where a node stands; ONNX has each behind those it takes from."""
        return self._place[node.output[0]]

    def takers(self, name: str) -> Sequence[onnx.NodeProto]:
        """Return the nodes that a tensor goes to."""
        return self._takers.get(name, ())

    def behind(self, name: str, steps: set[str] = _STEPS) -> onnx.NodeProto | None:
        """Return the first node behind a tensor that is more than one of the steps."""
        node = self._maker.get(name)
        while node is not None and node.op_type in steps:
            node = self._maker.get(node.input[0])
        return node

    def leads_to(self, first: onnx.NodeProto, last: onnx.NodeProto) -> bool:
        """Return whether what one node makes goes into what another does."""
        waiting, seen = list(last.input), set(last.input)
        while waiting:
            node = self._maker.get(waiting.pop())
            if node is None or self.place(node) < self.place(first):
                continue
            if self.place(node) == self.place(first):
                return True
            waiting.extend(new for new in node.input if new not in seen)
            seen.update(node.input)
        return False


def _blocks(wiring: _Wiring) -> Iterator[_Block]:
    """Return the residual U-blocks of a graph, in its order.

    The sum of what two convolutions make, one of which the other's input comes from, by a U whose arms are joined in
    front of it. In other networks' residual blocks nothing is joined.
    """
    for node in wiring.graph.node:
        if node.op_type not in _SUMS:
            continue
        ends = [wiring.behind(node.input[place]) for place in ((0, 3) if node.op_type == "QLinearAdd" else (0, 1))]
        found = [end for end in ends if end is not None and end.op_type in _CONVOLUTIONS]
        if len(found) != len(ends):
            continue
        entry, last = sorted(found, key=wiring.place)
        joint = wiring.behind(last.input[0])
        if joint is not None and joint.op_type in _JOINS and wiring.leads_to(entry, last):
            yield _Block(entry, node)


def _named(wiring: _Wiring) -> Iterator[tuple[str, _Block]]:
    """Return the blocks by name: encoders are counted, a decoder has the number of the encoder it is joined with."""
    encoders: dict[int, str] = {}
    """By the place of their sum."""
    for block in _blocks(wiring):
        beside = _beside(wiring, block, encoders)
        if beside is None:
            number = str(len(encoders) + 1)
            encoders[wiring.place(block.sum)] = number
            yield f"en{number}", block
        else:
            yield f"de{beside}", block


def _beside(wiring: _Wiring, block: _Block, encoders: dict[int, str]) -> str | None:
    """Return the number of the encoder whose sum is joined into what a block looks at; None for an encoder."""
    joint = wiring.behind(block.entry.input[0])
    if joint is None or joint.op_type not in _JOINS:
        return None
    arms = [arm for name in joint.input if (arm := wiring.behind(name)) is not None]
    return next((encoders[wiring.place(arm)] for arm in arms if wiring.place(arm) in encoders), None)


def _sides(wiring: _Wiring, named: dict[str, _Block]) -> Iterator[Tap]:
    """Return the outputs that one convolution makes of one stage."""
    stages = {wiring.place(block.sum): name for name, block in named.items()}
    for output in wiring.graph.output:
        head = wiring.behind(output.name, _LAST_STEPS)
        if head is None or head.op_type not in _CONVOLUTIONS:
            continue
        stage = wiring.behind(head.input[0])
        if stage is not None and wiring.place(stage) in stages:
            number = stages[wiring.place(stage)][2:]
            yield Tap(f"side-{number}", output.name, output.name)


def _listen(wiring: _Wiring, sum: onnx.NodeProto) -> str:
    """Make an output of a sum and return its name.

    Where the sum is quantized right away, it is listened to behind that, by a node of its own: made an output itself,
    it would have to be computed in floating point, and the network would no longer say the same.
    """
    from onnx import ValueInfoProto, helper

    made = str(sum.output[0])
    quantizer = next((node for node in wiring.takers(made) if node.op_type == "QuantizeLinear"), None)
    if sum.op_type == "QLinearAdd":
        listened = [made, *sum.input[6:8]]
    elif quantizer is not None:
        listened = [quantizer.output[0], *quantizer.input[1:3]]
    else:
        if made not in {output.name for output in wiring.graph.output}:
            wiring.graph.output.append(ValueInfoProto(name=made))
        return made
    name = f"{made}_dequantized"
    wiring.graph.node.append(helper.make_node("DequantizeLinear", listened, [name], name=name))
    wiring.graph.output.append(ValueInfoProto(name=name))
    return name
