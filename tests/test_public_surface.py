"""What others may import, and that looking at it costs nothing."""

from __future__ import annotations

import importlib
import pkgutil
import subprocess
import sys

import pytest

import alphadrop

MODULES = sorted(module.name for module in pkgutil.walk_packages(alphadrop.__path__, "alphadrop."))


def test_the_front_door_is_this_and_no_more() -> None:
    assert alphadrop.__all__ == ["AlphadropError", "CutReport", "__version__", "cut_file", "cut_out"]


def test_all_of_it_is_there() -> None:
    from alphadrop.engine import cutout
    from alphadrop.errors import AlphadropError

    assert alphadrop.AlphadropError is AlphadropError
    assert alphadrop.CutReport is cutout.CutReport
    assert alphadrop.cut_file is cutout.cut_file
    assert alphadrop.cut_out is cutout.cut_out
    parts = alphadrop.__version__.split(".")
    assert len(parts) == 3
    assert all(part.isdigit() for part in parts)


def test_what_is_not_there_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        alphadrop.nonsense  # noqa: B018


def loaded(statement: str) -> set[str]:
    """Return the modules that a fresh interpreter has loaded after a statement, as -X importtime saw them."""
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-c", statement], capture_output=True, text=True, timeout=60, check=True
    )
    return {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}


@pytest.mark.parametrize(
    "statement", ["import alphadrop", "import alphadrop.errors, alphadrop.client, alphadrop.paths"]
)
def test_importing_it_loads_nothing_large(statement: str) -> None:
    modules = loaded(statement)
    assert "alphadrop" in modules
    assert not modules & {"numpy", "onnxruntime", "PIL", "yaml", "fastapi", "pydantic", "watchdog", "platformdirs"}


@pytest.mark.parametrize("name", [name for name in MODULES if not name.endswith("__main__")])
def test_every_module_says_what_it_is_and_its_list_of_names_is_right(name: str) -> None:
    module = importlib.import_module(name)
    assert module.__doc__
    names = getattr(module, "__all__", [])
    assert len(set(names)) == len(names)
    for each in names:
        assert hasattr(module, each), f"{name}.__all__ names {each}"
        assert not each.startswith("_") or each == "__version__"
