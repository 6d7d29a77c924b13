"""The fastest of networks that cut equally well: measured here, remembered for this machine and no other."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from alphadrop import paths
from alphadrop.engine.cutout import DEFAULT_MODEL, Engine
from alphadrop.engine.fastest import Machine, fastest, rivals, speeds, write_speeds
from alphadrop.engine.models import ModelSpec, find_spec, registry
from alphadrop.errors import UnknownModel

HERE = Machine("a processor", 2, "cpu", "1.31.1")


@pytest.fixture
def known(tmp_path: Path) -> dict[str, ModelSpec]:
    """Three networks of one family, one of them not on this machine, and one of another family."""
    one = find_spec(DEFAULT_MODEL, registry())
    family = {name: replace(one, name=name, file=str(tmp_path / name)) for name in ("a", "b", "absent")}
    other = replace(one, name="other", file=str(tmp_path / "other"), family=None)
    for name in ("a", "b", "other"):
        (tmp_path / name).touch()
    return {**family, "other": other}


def test_the_fastest_of_a_family_is_taken_and_no_other(known: dict[str, ModelSpec]) -> None:
    measured = {"a": 0.3, "b": 0.2, "other": 0.01, "absent": 0.01}
    assert [spec.name for spec in rivals("a", known)] == ["a", "b"]
    assert fastest("a", known, measured) == "b"
    assert fastest("a", known, {**measured, "a": 0.1}) == "a"
    assert fastest("other", known, measured) == "other"


def test_what_was_never_measured_leaves_the_default(known: dict[str, ModelSpec]) -> None:
    assert fastest("a", known, {}) == "a"
    with pytest.raises(UnknownModel):
        fastest("nobody", known, {})


def test_a_speed_holds_for_the_machine_it_was_measured_on(tmp_path: Path) -> None:
    file = tmp_path / "speeds.json"
    write_speeds(file, HERE, {"a": 0.25})
    assert speeds(file, HERE) == {"a": 0.25}
    for other in (replace(HERE, cpus=4), replace(HERE, provider="openvino"), replace(HERE, runtime="2.0")):
        assert speeds(file, other) == {}


@pytest.mark.parametrize("content", [None, b"", b"[]", b'{"machine": 1}', b'{"machine": "%s", "seconds": [1]}'])
def test_a_damaged_record_is_no_record(content: bytes | None, tmp_path: Path) -> None:
    file = tmp_path / "speeds.json"
    if content is not None:
        file.write_bytes(content.replace(b"%s", str(HERE).encode()))
    assert speeds(file, HERE) == {}


def test_auto_is_what_was_measured_and_the_embedded_one_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALPHADROP_DATA_DIR", str(tmp_path))
    assert Engine("auto").model == DEFAULT_MODEL
    twin = replace(find_spec(DEFAULT_MODEL, registry()), name="twin", file=str(tmp_path / "twin.onnx"))
    (tmp_path / "twin.onnx").touch()
    write_speeds(paths.speeds_file(), Machine.here("cpu"), {DEFAULT_MODEL: 0.2, "twin": 0.1})
    assert Engine("auto", own_models=[twin]).model == "twin"
    assert Engine("auto").model == DEFAULT_MODEL
