"""What is wanted of a photograph, and what became of it."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

from alphadrop.engine.cutout import Cut, Engine
from alphadrop.engine.matte import hardened
from alphadrop.engine.options import CutOptions

__all__ = ["Finished", "Kind", "Order", "draw"]

Kind = Literal["cutout", "mask"]


@dataclass(frozen=True, slots=True)
class Order:
    """What is wanted of a photograph."""

    name: str
    """How errors call it."""
    options: CutOptions
    model: str
    kinds: Sequence[Kind] = ("cutout",)
    xmp: Mapping[Kind, bytes] = field(default_factory=dict)
    """Packets that the outputs are to carry."""
    hard: bool = False
    """Whether the matte is to be all or nothing, smoothed and without specks."""
    blank: bool = False
    """Whether a photograph without a subject gets outputs too, in which nothing is left of it."""


@dataclass(frozen=True, slots=True)
class Finished:
    """What became of a photograph, encoded and not yet written anywhere."""

    subject: bool
    outputs: Mapping[Kind, list[bytes]]
    """Empty where there is no subject, unless ordered `blank`."""
    warnings: tuple[str, ...]
    model: str
    seconds: Mapping[str, float]
    """Wall time of each stage, waits between them left out."""


def draw(engine: Engine, cut: Cut, order: Order, threads: int | None = None) -> Finished:
    """Encode what is wanted of a photograph whose matte is found; by default with the engine's number of threads."""
    started = time.perf_counter()
    outputs: dict[Kind, list[bytes]] = {}
    if order.hard:
        cut = replace(cut, alpha=hardened(cut.alpha))
    for kind in order.kinds if cut.subject or order.blank else ():
        xmp = order.xmp.get(kind)
        if kind == "mask":
            outputs[kind] = list(engine.draw_mask(cut, order.options, xmp=xmp, threads=threads))
        else:
            outputs[kind] = list(engine.draw(cut, order.options, xmp=xmp, threads=threads))
    seconds = {**cut.seconds, "encode": time.perf_counter() - started}
    return Finished(cut.subject, outputs, cut.warnings, cut.model, seconds)
