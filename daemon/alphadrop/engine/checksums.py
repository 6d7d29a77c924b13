"""Whether a model's file is the one that is meant."""

from __future__ import annotations

import functools
import hashlib
import io
import json
import os
from collections.abc import Mapping
from pathlib import Path

from alphadrop import atomic
from alphadrop.engine.models import ModelSpec, find_spec, locate
from alphadrop.errors import ModelDamaged, ModelMissing, printable, reading_failed

__all__ = ["check", "find_verified", "pin", "pinned_sha256", "verify"]

_PINS = "pins.json"


def find_verified(name: str, known: Mapping[str, ModelSpec]) -> tuple[ModelSpec, Path]:
    """Return the row of a model and its file, which is the one that is meant.

    Raises:
        UnknownModel, ModelMissing, ModelDamaged, CannotRead: it cannot be used.
    """
    spec = find_spec(name, known)
    path = locate(spec)
    verify(spec, path)
    return spec, path


def verify(spec: ModelSpec, path: Path) -> None:
    """Check a model's file: its size, and its SHA-256.

    Where the authors publish only an MD5, it counts until the file has been fetched once; from then on the SHA-256
    seen at that time does, which is kept beside the file.

    Raises:
        ModelMissing: there is no such file.
        ModelDamaged: the file is not the one meant; the message says what was expected and what was found.
        CannotRead: it cannot be read.
    """
    check(spec, path, pinned_sha256(spec, path))


def check(spec: ModelSpec, path: Path, pinned: str | None) -> None:
    """Check a file as `verify` does, against the pin of another name than its own."""
    try:
        with path.open("rb") as stream:
            size = os.fstat(stream.fileno()).st_size
            if spec.size is not None and size != spec.size:
                raise ModelDamaged(f"{printable(path)}: expected {spec.size} bytes, got {size}", _mending(spec))
            kind, expected = ("SHA-256", spec.sha256 or pinned) if spec.sha256 or pinned else ("MD5", spec.md5)
            if expected is None:
                return
            got = _sha256(stream) if kind == "SHA-256" else _md5(stream)
    except FileNotFoundError as error:
        raise ModelMissing(
            f"the model {spec.name}: {printable(path)}: there is no such file", _mending(spec)
        ) from error
    except OSError as error:
        raise reading_failed(path, error) from error
    if got != expected.lower():
        raise ModelDamaged(f"{printable(path)}: expected {kind} {expected.lower()}, got {got}", _mending(spec))


def _mending(spec: ModelSpec) -> str:
    if spec.url is not None:
        return f"fetch it again: alphadrop models pull {spec.name}"
    return "put the right file there" if Path(spec.file).is_absolute() else "install Alphadrop again"


def _sha256(stream: io.BufferedReader) -> str:
    return hashlib.file_digest(stream, "sha256").hexdigest()


def _md5(stream: io.BufferedReader) -> str:
    return hashlib.file_digest(stream, functools.partial(hashlib.md5, usedforsecurity=False)).hexdigest()


def pinned_sha256(spec: ModelSpec, path: Path) -> str | None:
    """Return the SHA-256 seen when this version of the file, by its MD5, was first fetched."""
    pin = _pins(path.parent / _PINS).get(path.name, {})
    return pin.get("sha256") if pin.get("md5") == spec.md5 else None


def _pins(file: Path) -> dict[str, dict[str, str | None]]:
    try:
        pins = json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise reading_failed(file, error) from error
    except ValueError:
        pins = None
    if not isinstance(pins, dict) or not all(isinstance(pin, dict) for pin in pins.values()):
        raise ModelDamaged(f"{printable(file)}: is not the list of checksums it should be", "delete it")
    return pins


def pin(spec: ModelSpec, path: Path) -> None:
    """Keep the SHA-256 of a file that was found good, where the registry has none."""
    if spec.sha256 is not None:
        return
    try:
        with path.open("rb") as stream:
            seen = {"md5": spec.md5, "sha256": _sha256(stream)}
    except OSError as error:
        raise reading_failed(path, error) from error
    file = path.parent / _PINS
    pins = _pins(file)
    if pins.get(path.name) != seen:
        atomic.write_text(file, json.dumps({**pins, path.name: seen}, indent=1, sort_keys=True) + "\n")
