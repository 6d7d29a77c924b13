"""What many tests share: real photographs that anyone may use, the real engine, data from outside by environment."""

from __future__ import annotations

import os
import shutil
import signal
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from playwright.sync_api import Browser, Page

from alphadrop.engine.cutout import Engine
from browser_process import chromium, let_in, opened
from daemon_process import Home, running
from fake_segmenter import Ground
from gimp_process import Gimp, gimp_root, lay_out, lay_pictures


@pytest.hookimpl(wrapper=True)
def pytest_report_to_serializable() -> Generator[None, Any, Any]:
    """Let a report name files whose names are not UTF-8 on its way from the process that ran the test."""
    return _printable((yield))


def _printable(told: Any) -> Any:
    if isinstance(told, str):
        return told.encode("utf-8", "backslashreplace").decode("utf-8")
    if isinstance(told, dict):
        return {key: _printable(value) for key, value in told.items()}
    return type(told)(_printable(each) for each in told) if isinstance(told, list | tuple) else told


@pytest.fixture(autouse=True, scope="session")
def lease_breaks_are_ignored() -> Iterator[None]:
    """As the daemon does: the kernel signals whoever holds a lease on a file that is opened for writing."""
    before = signal.signal(signal.SIGIO, signal.SIG_IGN) if hasattr(signal, "SIGIO") else None
    yield
    if before is not None:
        signal.signal(signal.SIGIO, before)


@pytest.fixture
def ground(tmp_path: Path) -> Iterator[Ground]:
    """Two folders whose files settle quickly, and which are looked through only when something happens."""
    ground = Ground(tmp_path, settle=0.1, rescan=86_400.0)
    yield ground
    ground.ledger.close()


@pytest.fixture(scope="session")
def photographs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """CC0 and public-domain photographs that scikit-image ships, as JPEG files."""
    from skimage import data

    folder = tmp_path_factory.mktemp("photographs")
    pictures = {
        "astronaut": data.astronaut(),
        "cat": data.chelsea(),
        "coffee": data.coffee(),
        "rocket": data.rocket(),
    }
    files = {}
    for name, pixels in pictures.items():
        files[name] = folder / f"{name}.jpg"
        Image.fromarray(pixels).save(files[name], quality=92)
    return files


@pytest.fixture(scope="session")
def astronaut(photographs: dict[str, Path]) -> NDArray[np.uint8]:
    """Shape (512, 512, 3), uint8, as decoded from the JPEG file."""
    with Image.open(photographs["astronaut"]) as image:
        return np.asarray(image)


@pytest.fixture(scope="session")
def engine() -> Engine:
    """The real engine with the embedded model, warm."""
    engine = Engine()
    engine.warm()
    return engine


@pytest.fixture(
    scope="module", params=[pytest.param("trixie", id="3.0"), pytest.param("forky", id="3.2", marks=pytest.mark.long)]
)
def gimp(
    request: pytest.FixtureRequest, photographs: dict[str, Path], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Gimp]:
    """GIMP 3.0 and 3.2, and in its folder the photographs."""
    shared = tmp_path_factory.mktemp("gimp")
    gimp = Gimp(gimp_root(request.param), shared, request.param)
    lay_out(shared)
    lay_pictures(shared, photographs)
    gimp.install("profile")
    yield gimp
    shutil.rmtree(shared)


@pytest.fixture(scope="module")
def gimp_daemon(gimp: Gimp) -> Iterator[int]:
    """The id of the daemon; its socket is where GIMP sees it, under the folder's own name and the one in the home."""
    home = Home(gimp.shared)
    home.configure()
    usual = gimp.shared / "home" / ".local" / "share" / "alphadrop"
    usual.mkdir(parents=True)
    os.symlink("/mnt/r", usual / "run")
    with running(home) as process:
        yield process.pid


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """A Chromium for the web page."""
    with chromium() as browser:
        yield browser


@pytest.fixture(scope="module")
def web_home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Home]:
    """A home whose daemon serves the web page and does at once what is dropped."""
    home = Home(tmp_path_factory.mktemp("h"))
    home.configure(folder="settle: 100ms\nrescan: 1s")
    with running(home):
        yield home


@pytest.fixture
def page(browser: Browser, web_home: Home) -> Iterator[Page]:
    """The web page, in a window of its own that has been let in."""
    with opened(browser, viewport={"width": 1280, "height": 800}) as page:
        let_in(page, web_home)
        yield page


def _data(variable: str) -> Path:
    folder = os.environ.get(variable)
    if not folder:
        pytest.skip(f"{variable} is not set: it names a folder of measuring data outside the repository")
    return Path(folder)


@pytest.fixture(scope="session")
def camera_photographs() -> Path:
    """A folder of real camera files, 5 to 14 megapixels."""
    return _data("ALPHADROP_PHOTOS")


@pytest.fixture(scope="session")
def odd_files() -> Path:
    """A folder of odd, hostile and broken files with a manifest.csv."""
    return _data("ALPHADROP_ODD")


@pytest.fixture(scope="session")
def accuracy_set() -> Path:
    """A folder with score.py and public/."""
    return _data("ALPHADROP_EVAL")


@pytest.fixture(scope="session")
def calibration_photographs() -> Path:
    """A folder of photographs to calibrate a quantized model on."""
    return _data("ALPHADROP_CALIBRATION")
