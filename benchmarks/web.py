"""Measure how long somebody waits for the web page, in a real Chromium.

    PYTHONPATH=tests python benchmarks/web.py

First paint is from the start of the navigation to the first content that is painted, the browser knowing the page. From
the drop to the result is until the cut-out has been decoded and lies on the stage; beside it stands `alphadrop cut` of
the same file, a process that asks the same daemon, in turn with it. Where there is no Chromium that is said.
"""

from __future__ import annotations

import base64
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page

from browser_process import chromium, let_in, opened
from daemon_process import Home, running
from photographs import camera_photograph
from tables import Line, print_table

ROUNDS = 5
SIZES = (1.5, 12)
"""Megapixels."""
DROP = """async ([bytes, name]) => {
  const transfer = new DataTransfer();
  transfer.items.add(new File([Uint8Array.from(atob(bytes), (each) => each.charCodeAt(0))], name));
  const picture = document.querySelector("#stage .after");
  const began = performance.now();
  document.querySelector("main").dispatchEvent(
    new DragEvent("drop", { bubbles: true, cancelable: true, dataTransfer: transfer }));
  return new Promise((done) => new MutationObserver(() => {
    if (picture.querySelector("img:not([hidden])")) done((performance.now() - began) / 1000);
  }).observe(picture, { childList: true, subtree: true, attributes: true }));
}"""
PAINTED = """() => new Promise((done) => new PerformanceObserver((list) => {
  const found = list.getEntriesByName("first-contentful-paint");
  if (found.length) done(found[0].startTime / 1000);
}).observe({ type: "paint", buffered: true }))"""


def main() -> None:
    try:
        print_table(_in_the_browser())
    except (pytest.skip.Exception, pytest.fail.Exception) as reason:
        print_table([Line("the web page", f"not measured: {reason}")])


def _in_the_browser() -> list[Line]:
    with tempfile.TemporaryDirectory(prefix="a") as folder, chromium() as browser:
        home = Home(Path(folder))
        home.configure()
        with running(home), opened(browser, viewport={"width": 1280, "height": 800}) as page:
            let_in(page, home)
            painted = statistics.median(_painted(page) for _ in range(ROUNDS))
            lines = [Line("the web page, first paint", f"{painted * 1000:.0f} ms")]
            for megapixels in SIZES:
                photograph = home.root / f"{megapixels}.jpg"
                camera_photograph(int(megapixels * 1e6)).save(photograph, quality=92)
                rounds = list(_rounds(page, home, photograph))[1:]  # the first one warms up
                dropped, cut = (statistics.median(took) for took in zip(*rounds, strict=True))
                told = f"{dropped:.2f} / {cut:.2f} s: {dropped / cut:.2f} times"
                lines.append(Line(f"{megapixels:g} MP, from the drop to the result / alphadrop cut", told))
    return lines


def _painted(page: Page) -> float:
    page.reload()
    return float(page.evaluate(PAINTED))


def _rounds(page: Page, home: Home, photograph: Path) -> Iterator[tuple[float, float]]:
    data = base64.b64encode(photograph.read_bytes()).decode()
    target = home.root / "out.png"
    command = [sys.executable, "-m", "alphadrop", "cut", str(photograph), "-o", str(target), "--overwrite"]
    for _ in range(ROUNDS + 1):
        page.reload()  # an empty bench
        page.wait_for_selector("#welcome")
        dropped = float(page.evaluate(DROP, [data, photograph.name]))
        began = time.perf_counter()
        subprocess.run(command, env=home.environment, check=True, stdout=subprocess.DEVNULL)
        yield dropped, time.perf_counter() - began


if __name__ == "__main__":
    main()
