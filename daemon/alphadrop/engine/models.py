"""The registry of models: what each is, and where its file is.

Apart from the segmenter, because knowing a model needs neither ONNX Runtime nor numpy.
"""

from __future__ import annotations

import difflib
import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from alphadrop import paths
from alphadrop.errors import ModelMissing, UnknownModel, printable, reading_failed

__all__ = ["AUTO", "ModelSpec", "find_spec", "locate", "registry"]

AUTO = "auto"
"""Stands for the fastest network on this machine of those that cut as well as the embedded one."""


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
    second: str | None = None
    """The model that is asked too where this one is unsure of its subject."""
    family: str | None = None
    """Shared by models that cut equally well, of which `model: auto` takes the fastest."""
    thrifty: bool = False
    """Whether a run is to take less memory rather than less time."""


def registry(own: Sequence[ModelSpec] = ()) -> dict[str, ModelSpec]:
    """Return every known model by name, in the order of the registry; the user's own rows win over ours.

    Raises:
        CannotRead: the registry, a part of the installation, is not there.
    """
    return {spec.name: spec for spec in (*_rows(paths.registry_file()), *own)}


def find_spec(name: str, known: Mapping[str, ModelSpec]) -> ModelSpec:
    """Return the row of a name.

    Raises:
        UnknownModel: no row has it; the hint names the nearest spelling and all there are.
    """
    if name in known:
        return known[name]
    near = difflib.get_close_matches(name.lower(), known, n=1, cutoff=0.5)
    guess = f"did you mean {near[0]}? " if near else ""
    raise UnknownModel(f"no model is called {name!r}", f"{guess}the models are {', '.join(known)}")


def locate(spec: ModelSpec, folders: Sequence[Path] | None = None) -> Path:
    """Return where a model's file is, without looking into it.

    Args:
        spec: the model.
        folders: searched in this order; by default the user's folder of models, then the one that comes with Alphadrop.

    Raises:
        ModelMissing: it is in none of them; the hint says how to get it there.
    """
    places = _places() if folders is None else folders
    for folder in places:
        path = folder / spec.file
        if path.is_file():
            return path
    own = Path(spec.file)
    if own.is_absolute():
        raise ModelMissing(
            f"the model {spec.name}: {printable(own)}: there is no such file",
            "put it there, or correct its path in the configuration",
        )
    if spec.url is None:
        where = printable(places[0]) if places else "a folder of models"
        raise ModelMissing(f"the model {spec.name} is not on this machine", f"put {spec.file} into {where}")
    accept = " --accept-licence" if spec.commercial is False else ""
    raise ModelMissing(f"the model {spec.name} is not on this machine", f"alphadrop models pull {spec.name}{accept}")


@functools.cache
def _rows(file: Path) -> tuple[ModelSpec, ...]:
    import yaml

    try:
        with file.open("rb") as stream:
            table = yaml.load(stream, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))  # noqa: S506 - both are safe
    except OSError as error:
        raise reading_failed(file, error) from error
    return tuple(ModelSpec(**{**row, "mean": tuple(row["mean"]), "std": tuple(row["std"])}) for row in table["models"])


def _places() -> Sequence[Path]:
    return (paths.model_folder(), paths.embedded_models())
