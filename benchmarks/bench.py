"""Measure what is promised, and print one page of tables: `make bench`.

    python benchmarks/bench.py [--quick] [--strict] [--fp32 U2NET.onnx]

Every goal is a ratio of two things measured in the same run, but for the few that are a promise in seconds or
megabytes. `--strict` exits with 1 where a goal is missed. Real camera files are taken from the folder that
ALPHADROP_PHOTOS names, scikit-image's photographs where it is not set; the FP32 network is fetched by
`benchmarks/fetch_networks.py`, and its rows are left out without it.
"""

from __future__ import annotations

import argparse
import os
import platform
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from alphadrop.client import Client
from alphadrop.engine.cpus import usable_cpus
from alphadrop.engine.cutout import Engine, cut_file
from alphadrop.engine.models import find_spec, locate, registry
from alphadrop.errors import DaemonError
from photographs import camera_photograph
from tables import Line, print_table, ratio

MEASURE_MEMORY = """
import sys
from pathlib import Path
import numpy as np
from alphadrop.engine.models import find_spec, registry
from alphadrop.engine.segmenter import OnnxSegmenter
spec = find_spec("u2net", registry())
segmenter = OnnxSegmenter(spec, Path(sys.argv[1]))
view = np.random.default_rng(0).integers(0, 256, (320, 320, 3), np.uint8)
for _ in range(5):
    segmenter.saliency(view)
print(next(line for line in open("/proc/self/status") if line.startswith("VmRSS")).split()[1])
"""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="fewer runs, and ten seconds of idling instead of sixty")
    parser.add_argument("--strict", action="store_true", help="exit with 1 where a goal is missed")
    parser.add_argument("--fp32", type=Path, default=_fetched("u2net.onnx"), help="the FP32 network to compare with")
    chosen = parser.parse_args()
    runs = 5 if chosen.quick else 15
    print(f"{platform.platform()}, Python {platform.python_version()}, {usable_cpus()} CPUs, {_processor()}\n")
    lines = [
        *_command_line(runs),
        *_photograph(runs),
        *_quantized(chosen.fp32, runs),
        *_daemon(10 if chosen.quick else 60),
    ]
    print_table(lines)
    return 1 if chosen.strict and any(line.met is False for line in lines) else 0


def _command_line(runs: int) -> list[Line]:
    alphadrop = Path(sys.executable).with_name("alphadrop")
    nothing = _median(lambda: _process([sys.executable, "-c", "pass"]), runs)
    helped = _median(lambda: _process([str(alphadrop), "--help"]), runs)
    return [ratio("alphadrop --help / python -c pass", helped, nothing, most=5)]


def _photograph(runs: int) -> list[Line]:
    engine = Engine()
    segmenter = engine.warm()
    view = np.random.default_rng(0).integers(0, 256, (320, 320, 3), np.uint8)
    lines = []
    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder, "photo.jpg"), Path(folder, "photo.png")
        small = camera_photograph(1_500_000)
        small.save(source, quality=92)
        times: dict[str, list[float]] = {"network": [], "plain": [], "refined": []}
        for _ in range(runs + 1):  # in turn, so that the machine's moods meet all alike; the first warms up
            times["network"].append(_time(lambda: segmenter.saliency(view)))
            for edges in ("plain", "refined"):
                times[edges].append(_time(lambda edges=edges: cut_file(source, target, edges=edges, engine=engine)))  # type: ignore[misc]
        network, plain, refined = (statistics.median(times[name][1:]) for name in ("network", "plain", "refined"))
        size = f"{small.width} x {small.height}"
        lines += [
            Line("the network, one run", f"{network * 1000:.0f} ms", "", None),
            ratio(f"JPEG to PNG file, {size}, plain edges / network", plain, network, most=2),
            ratio(f"JPEG to PNG file, {size}, refined edges / network", refined, network, most=2),
        ]
        camera_photograph(12_000_000).save(source, quality=92)
        for edges in ("plain", "refined"):
            reports = [cut_file(source, target, edges=edges, engine=engine) for _ in range(max(3, runs // 3))]
            stages = {
                stage: statistics.median(report.seconds[stage] for report in reports) for stage in reports[0].seconds
            }
            told = ", ".join(f"{stage} {seconds * 1000:.0f}" for stage, seconds in stages.items())
            lines.append(Line(f"12 MP, {edges} edges, stages in ms", told, "", None))
    return lines


def _quantized(fp32: Path | None, runs: int) -> list[Line]:
    if fp32 is None or not fp32.is_file():
        return [Line("INT8 against FP32", "left out: no FP32 network; benchmarks/fetch_networks.py", "", None)]
    from alphadrop.engine.segmenter import OnnxSegmenter

    known = registry()
    int8_file = locate(find_spec("u2net-int8", known))
    float_network = OnnxSegmenter(find_spec("u2net", known), fp32)
    int8_network = OnnxSegmenter(find_spec("u2net-int8", known), int8_file)
    view = np.random.default_rng(0).integers(0, 256, (320, 320, 3), np.uint8)
    slow, fast = [], []
    for _ in range(runs + 1):
        slow.append(_time(lambda: float_network.saliency(view)))
        fast.append(_time(lambda: int8_network.saliency(view)))
    memory = {
        file: int(_output([sys.executable, "-c", MEASURE_MEMORY, str(file)])) / 1000 for file in (fp32, int8_file)
    }
    speed = statistics.median(slow[1:]) / statistics.median(fast[1:])
    saved = 1 - memory[int8_file] / memory[fp32]
    return [
        Line("INT8: times as fast as FP32", f"{speed:.2f}", "at least 2.5", speed >= 2.5),
        Line(
            "INT8: resident memory less than FP32",
            f"{saved:.0%} ({memory[int8_file]:.0f} of {memory[fp32]:.0f} MB)",
            "at least 60 %",
            saved >= 0.6,
        ),
    ]


def _daemon(idle: float) -> list[Line]:
    with tempfile.TemporaryDirectory(prefix="a") as folder:
        home = Path(folder)
        for name in ("In", "Out"):
            (home / name).mkdir()
        (home / "alphadrop.yaml").write_text(f"folders:\n- input: {home}/In\n  output: {home}/Out\n")
        environment = os.environ | {
            "ALPHADROP_RUN_DIR": str(home / "r"),
            "ALPHADROP_DATA_DIR": str(home / "data"),
            "ALPHADROP_CONFIG": str(home / "alphadrop.yaml"),
        }
        starts = []
        for _ in range(3):
            daemon, took = _start_daemon(environment, home)
            starts.append(took)
            _end_daemon(daemon)
        daemon, _ = _start_daemon(environment, home)
        try:
            photograph = camera_photograph(12_000_000)
            photograph.save(home / "In" / "a.jpg", quality=92)
            _until(lambda: Client(home / "r").status()["folders"][0]["done"] == 1)
            time.sleep(2)
            before = _cpu_seconds(daemon.pid)
            time.sleep(idle)
            used = (_cpu_seconds(daemon.pid) - before) / idle
            resident = _resident(daemon.pid)
        finally:
            _end_daemon(daemon)
    ready = statistics.median(starts)
    return [
        Line("the daemon: process start to ready", f"{ready:.2f} s", "at most 1.5 s", ready <= 1.5),
        Line(
            "the idle daemon after a 12 MP photograph, resident",
            f"{resident:.0f} MB",
            "at most 350 MB",
            resident <= 350,
        ),
        Line(f"the idle daemon, CPU over {idle:.0f} s", f"{used:.2%} of one core", "below 0.5 %", used < 0.005),
    ]


def _start_daemon(environment: dict[str, str], home: Path) -> tuple[subprocess.Popen[bytes], float]:
    client = Client(home / "r")
    with (home / "log.txt").open("ab") as log:
        started = time.perf_counter()
        daemon = subprocess.Popen([sys.executable, "-m", "alphadrop", "run"], env=environment, stdout=log, stderr=log)

    def ready() -> bool:
        try:
            return bool(client.status()["state"] == "ready")
        except DaemonError:
            return False

    _until(ready)
    return daemon, time.perf_counter() - started


def _end_daemon(daemon: subprocess.Popen[bytes]) -> None:
    daemon.send_signal(signal.SIGTERM)
    daemon.wait(timeout=30)


def _until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 120
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError("waited two minutes in vain")
        time.sleep(0.01)


def _cpu_seconds(process: int) -> float:
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _resident(process: int) -> float:
    status = Path(f"/proc/{process}/status").read_text().splitlines()
    return int(next(line for line in status if line.startswith("VmRSS")).split()[1]) / 1000


def _fetched(name: str) -> Path:
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return cache / "alphadrop" / "networks" / name


def _median(action: Callable[[], object], runs: int) -> float:
    action()
    return statistics.median(_time(action) for _ in range(runs))


def _time(action: Callable[[], object]) -> float:
    started = time.perf_counter()
    action()
    return time.perf_counter() - started


def _process(command: list[str]) -> None:
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)


def _output(command: list[str]) -> str:
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def _processor() -> str:
    try:
        info = Path("/proc/cpuinfo").read_text()
    except OSError:
        return platform.processor()
    name = next((line.partition(":")[2].strip() for line in info.splitlines() if line.startswith("model name")), "")
    known = [flag for flag in ("avx2", "avx512f", "avx512_vnni", "avx_vnni") if flag in info]
    return f"{name} ({', '.join(known)})"


if __name__ == "__main__":
    sys.exit(main())
