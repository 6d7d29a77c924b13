"""What docs/reliability.md promises, row by row, is proven by tests that are there."""

from __future__ import annotations

import ast
import re
from collections import defaultdict
from pathlib import Path

import pytest

FAULTS = Path(__file__).parent
DOCUMENT = FAULTS.parents[1] / "docs" / "reliability.md"
ROWS = range(1, 48)
_LINE = re.compile(r"^\| (\d+)\*? \| [^|]+ \| [^|]+ \| ([^|]+) \|$", re.MULTILINE)


@pytest.fixture(scope="module")
def promised() -> dict[int, set[str]]:
    """The files that each row names."""
    lines = _LINE.findall(DOCUMENT.read_text(encoding="utf-8"))
    return {int(number): set(re.findall(r"`(test_\w+\.py)`", files)) for number, files in lines}


@pytest.fixture(scope="module")
def proven() -> dict[int, set[str]]:
    """The files that hold tests called after each row."""
    found: dict[int, set[str]] = defaultdict(set)
    for file in FAULTS.glob("test_*.py"):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.FunctionDef) and (row := re.match(r"test_row_(\d\d)_", node.name)):
                found[int(row[1])].add(file.name)
    return dict(found)


def test_every_row_has_a_line(promised: dict[int, set[str]]) -> None:
    assert sorted(promised) == list(ROWS)


def test_every_line_names_the_files_that_hold_the_tests_of_its_row(
    promised: dict[int, set[str]], proven: dict[int, set[str]]
) -> None:
    assert promised == proven
