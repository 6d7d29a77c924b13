"""The registry of models: what each is, where its file is, and how it gets here."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

__all__ = ["ModelSpec"]


@dataclass(frozen=True, slots=True)
class ModelSpec:
    """One row of the registry: everything needed to fetch a network and to feed it rightly."""

    name: str
    file: str
    """File name; for a model of the user's own, its absolute path."""
    input_size: int
    """Side of the square the network sees, in pixels."""
    scale: Literal["max", "255"]
    """What pixels are divided by first: the largest value in the picture, or 255."""
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    activation: Literal["none", "sigmoid"]
    """What still has to be applied to the output to bring it to 0..1."""
    licence: str
    commercial: bool | None
    """Whether commercial use is allowed; None where the authors have not said."""
    description: str = ""
    url: str | None = None
    sha256: str | None = None
    md5: str | None = None
    """Only where the authors publish no SHA-256."""
    size: int | None = None
    """Of the file, in bytes."""
