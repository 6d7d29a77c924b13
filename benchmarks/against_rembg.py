"""Alphadrop and rembg on the same photographs, in turn, in one run.

    python benchmarks/against_rembg.py PHOTOGRAPHS... [--rounds 3]

rembg 2.0.86 is installed into a virtual environment of its own in the user's cache, and given the same u2net.onnx that
`benchmarks/fetch_networks.py` fetched. Each of the two is one process that keeps its model; a photograph's time is from
its file to the PNG file. rembg's default, its `decontaminate` option and Alphadrop's plain and refined edges take turns
photograph by photograph, so that the machine's moods meet all alike.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from rembg_environment import peer_python, peer_variables

PEER_PROCESS = """
import json, sys, time
from PIL import Image
from rembg import new_session, remove
session = new_session("u2net")
for line in sys.stdin:
    source, target, way = json.loads(line)
    started = time.perf_counter()
    with Image.open(source) as image:
        remove(image, session=session, **({"decontaminate": True} if way == "decontaminate" else {})).save(target)
    took = time.perf_counter() - started
    peak = next(line for line in open("/proc/self/status") if line.startswith("VmHWM")).split()[1]
    print(json.dumps([took, int(peak) / 1000]), flush=True)
"""
OUR_PROCESS = """
import json, sys, time
from alphadrop.engine.cutout import Engine, cut_file
engine = Engine(); engine.warm()
for line in sys.stdin:
    source, target, way = json.loads(line)
    started = time.perf_counter()
    cut_file(source, target, edges=way, engine=engine)
    took = time.perf_counter() - started
    peak = next(line for line in open("/proc/self/status") if line.startswith("VmHWM")).split()[1]
    print(json.dumps([took, int(peak) / 1000]), flush=True)
"""
WAYS = (("rembg", "default"), ("rembg", "decontaminate"), ("alphadrop", "plain"), ("alphadrop", "refined"))


def main() -> int:
    """Print a table of medians."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photographs", nargs="+", type=Path)
    parser.add_argument("--rounds", type=int, default=3)
    chosen = parser.parse_args()
    # One process a way: a peak is the process's own.
    processes = {way: _start(*way) for way in WAYS}
    times: dict[tuple[str, str], list[float]] = {way: [] for way in WAYS}
    peaks = dict.fromkeys(WAYS, 0.0)
    sizes = dict.fromkeys(WAYS, 0)
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder, "out.png")
        for turn in range(chosen.rounds + 1):
            for photograph in chosen.photographs if turn else chosen.photographs[:1]:  # the first turn warms up
                for way, process in processes.items():
                    took, peaks[way] = _ask(process, photograph, target, way[1])
                    if turn:
                        times[way].append(took)
                        sizes[way] += target.stat().st_size if target.exists() else 0
                    target.unlink(missing_ok=True)
    for process in processes.values():
        process.communicate()
    print("| way | seconds a photograph, median | mean | peak memory, MB | output, MB a photograph |")
    print("|---|---|---|---|---|")
    for way in WAYS:
        count = len(times[way])
        print(
            f"| {way[0]}, {way[1]} | {statistics.median(times[way]):.2f} | {statistics.mean(times[way]):.2f} "
            f"| {peaks[way]:.0f} | {sizes[way] / count / 1e6:.1f} |"
        )
    return 0


def _start(program: str, _way: str) -> subprocess.Popen[str]:
    python, code = (peer_python(), PEER_PROCESS) if program == "rembg" else (sys.executable, OUR_PROCESS)
    environment = os.environ | peer_variables()
    return subprocess.Popen(
        [python, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
    )


def _ask(process: subprocess.Popen[str], source: Path, target: Path, way: str) -> tuple[float, float]:
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(json.dumps([str(source), str(target), way]) + "\n")
    process.stdin.flush()
    took, peak = json.loads(process.stdout.readline())
    return took, peak


if __name__ == "__main__":
    sys.exit(main())
