"""Figures beside what they should be, as a table."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Sequence
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


def pairs(
    what: str, times: Sequence[float], units: Sequence[float], *, most: float | None = None, least: float | None = None
) -> Line:
    """Return a line on two things measured in turn: the median of their ratios, the lowest and the highest.

    Args:
        what: is measured.
        times: seconds of the one.
        units: seconds of the other, each measured beside the time of the same place.
        most: what the median may be at most, where there is such a goal.
        least: what it must be at least, where there is such a goal.
    """
    ratios = [time / unit for time, unit in zip(times, units, strict=True)]
    middle = statistics.median(ratios)
    told = (
        f"{middle:.2f} ({min(ratios):.2f} to {max(ratios):.2f}; "
        f"{statistics.median(times) * 1000:.0f} / {statistics.median(units) * 1000:.0f} ms; pairs: {len(ratios)})"
    )
    if most is not None:
        return Line(what, told, f"at most {most:g}", middle <= most)
    if least is not None:
        return Line(what, told, f"at least {least:g}", middle >= least)
    return Line(what, told)


def print_table(lines: Iterable[Line]) -> list[Line]:
    """Print lines as a table, each as soon as it is known; return them."""
    print("| what | measured | goal | |")
    print("|---|---|---|---|", flush=True)
    printed = []
    for line in lines:
        verdict = {None: "", True: "met", False: "**missed**"}[line.met]
        print(f"| {line.what} | {line.measured} | {line.goal} | {verdict} |", flush=True)
        printed.append(line)
    return printed
