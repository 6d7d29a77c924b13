"""Sections of a page of figures, printed as they are measured; and the command line that every such benchmark has."""

from __future__ import annotations

import argparse
import platform
import subprocess
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from alphadrop.engine.cpus import usable_cpus
from tables import Line, print_table


@dataclass(frozen=True)
class Section:
    """One question and what answers it."""

    title: str
    measure: Callable[[bool], Iterable[Line]]
    """Takes whether to be quick."""


def print_page(description: str | None, sections: Sequence[Section]) -> int:
    """Measure what the command line asks for and print it; return the exit status."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="fewer runs of fewer things")
    parser.add_argument("--strict", action="store_true", help="exit with 1 where a goal is missed")
    chosen = parser.parse_args()
    print(f"{platform.platform()}, Python {platform.python_version()}, {usable_cpus()} CPUs, {_processor()}")
    lines: list[Line] = []
    for section in sections:
        print(f"\n## {section.title}\n")
        lines += print_table(section.measure(chosen.quick))
    missed = [line.what for line in lines if line.met is False]
    print(f"\n{sum(line.met is True for line in lines)} goals met, {len(missed)} missed")
    return 1 if chosen.strict and missed else 0


def without_peer(error: OSError | subprocess.CalledProcessError) -> Line:
    """Return the line that stands where rembg cannot be had."""
    return Line("beside rembg", f"left out, it cannot be installed: {error}")


def _processor() -> str:
    try:
        info = Path("/proc/cpuinfo").read_text()
    except OSError:
        return platform.processor()
    name = next((line.partition(":")[2].strip() for line in info.splitlines() if line.startswith("model name")), "")
    known = [flag for flag in ("avx2", "avx512f", "avx512_vnni", "avx_vnni") if flag in info]
    return f"{name} ({', '.join(known)})"
