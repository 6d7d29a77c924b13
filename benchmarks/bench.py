"""Measure what is promised, and print one page of tables: `make bench`.

    PYTHONPATH=tests python benchmarks/bench.py [--quick] [--strict]

Each section is a program of its own, which says how it measures. Goals are ratios of two things measured in turn in the
same run, but for the few that are a promise in seconds or megabytes. Real camera files are taken from the folder that
ALPHADROP_PHOTOS names, scikit-image's photographs where it is not set. What rembg is held against is installed when it
is first needed.
"""

from __future__ import annotations

import sys

import against_rembg
import growth
import limit
import output_size
import quantized
import resident
import throughput
from page import Section, print_page

SECTIONS = (
    Section("How near to the limit", limit.measure),
    Section("One photograph after the other, beside rembg", against_rembg.measure),
    Section("A folder of photographs, beside rembg", throughput.measure),
    Section("Growth", growth.measure),
    Section("Output size", output_size.measure),
    Section("Start, and idling", resident.measure),
    Section("The embedded network", quantized.measure),
)

if __name__ == "__main__":
    sys.exit(print_page(__doc__, SECTIONS))
