"""Figures beside what they should be, as a table."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True)
class Line:
    """One figure and what it should be."""

    what: str
    measured: str
    goal: str = ""
    met: bool | None = None


def ratio(what: str, value: float, unit: float, most: float | None = None) -> Line:
    """Return a line that says how many times as long as something else a thing took; both in seconds."""
    told = f"{value / unit:.2f} ({value * 1000:.0f} / {unit * 1000:.0f} ms)"
    return Line(what, told, f"at most {most:g}" if most else "", value / unit <= most if most else None)


def print_table(lines: Iterable[Line]) -> None:
    """Print lines as a table."""
    print("| what | measured | goal | |")
    print("|---|---|---|---|")
    for line in lines:
        verdict = {None: "", True: "met", False: "**missed**"}[line.met]
        print(f"| {line.what} | {line.measured} | {line.goal} | {verdict} |")
