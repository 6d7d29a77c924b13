"""Every command of the manual, as it stands there, in a home of its own, with a daemon where one is spoken of."""

from __future__ import annotations

import functools
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest
from PIL import Image

from alphadrop.client import Client
from daemon_process import PATIENCE, Home, running, wait_for
from manual import PAGES, Block, blocks_of, fences_of

NOT_RUN = {
    "pip install 'alphadrop[explain]'": "asks a package index; `make install` has it installed",
    "pip install 'alphadrop[quantize]'": "asks a package index; `make install` has it installed",
    "alphadrop tray &": "needs a panel; tests/desktop/test_tray_on_screen.py has some",
    "sudo apt install python3-gi gir1.2-ayatanaappindicator3-0.1": "changes the system",
    "alphadrop batch s3://shop/raw s3://shop/cut --ray auto": "needs a bucket; tests/scale has one",
    "alphadrop batch s3://shop/raw s3://shop/cut --ray auto --workers 4:40 --worker-cpus 4": "needs forty nodes",
    "ray start --head": "leaves a cluster behind; tests/scale has one of its own",
    "ray start --address=HEAD:6379": "needs a second machine",
    "pip install 'alphadrop[openvino]'": "asks a package index; `make install` has it installed",
    "alphadrop models pull u2net": "fetches 176 MB from another host; tests/engine/test_models.py fetches from here",
    "alphadrop models pull bria-rmbg --accept-licence": "fetches a gigabyte from another host",
    "alphadrop models quantize u2net.onnx --calibrate photographs/ -o u2net-int8.onnx": (
        "takes minutes and gigabytes; tests/engine/test_quantize.py quantizes"
    ),
    "make networks .venv-score/.installed": "fetches networks from another host; CI does it before it measures",
    "python benchmarks/edges.py --eval DIR --scorer .venv-score/bin/python": (
        "needs photographs with true masks; the programs of benchmarks/ are no part of the tests"
    ),
}
"""What the test cannot run, and why."""
STARTS = {"make run", "alphadrop run", "alphadrop run &"}
"""What goes on until it is ended: the test starts the same daemon, and waits until it is ready, as a reader would."""
ENDLESS = {"curl --unix-socket $socket --no-buffer http://localhost/v1/events": "event: begin"}
"""What never ends by itself, and what it says first."""
NEEDS_A_DAEMON = {"api.md", "explain.md", "troubleshooting.md"}
"""Pages that take it for granted that one runs."""
FIRST_DAY = {"README.md", "index.md"}
"""Pages that are read before there is a configuration."""
PROMISED = {
    "README.md": ("Pictures/Alphadrop/Out/photo.png", "here/cat.cutout.png", "here/shop/one.jpg"),
    "index.md": ("Pictures/Alphadrop/Out/photo.png", "here/cat.cutout.png", "here/shop/two.jpg"),
    "command-line.md": ("here/cutouts/coffee.png", "here/shoe-white.jpg", "here/cat-mask.png", "here/softer.webp"),
    "explain.md": ("here/explained/explain.png", "here/explained/difference.png"),
    "api.md": ("here/cat.png", "here/shoe.jpg"),
    "models.md": ("here/cat-p.png",),
}
"""Files that are there when a page has been followed."""
QUICK = {"README.md", "api.md", "desktop.md", "gimp.md", "library.md", "models.md", "web.md"}
WITH_COMMANDS = [page for page in PAGES if blocks_of(page)]
WITH_PYTHON = [page for page in PAGES if any(language == "python" for language, _ in fences_of(page))]


@dataclass(frozen=True)
class Reader(Home):
    """A home in which nothing is set but where it is, and whoever follows a page there."""

    daemon: ExitStack = field(default_factory=ExitStack)
    process: list[subprocess.Popen[bytes]] = field(default_factory=list)

    @property
    def run(self) -> Path:
        return self.root / ".local" / "share" / "alphadrop" / "run"

    @property
    def here(self) -> Path:
        return self.root / "here"

    @property
    def environment(self) -> dict[str, str]:
        names = {"ALPHADROP_RUN_DIR", "ALPHADROP_DATA_DIR", "ALPHADROP_CONFIG", "XDG_PICTURES_DIR", "BROWSER"}
        names.add("DBUS_SESSION_BUS_ADDRESS")  # the systemd and the desktop of whoever runs the tests
        scripts = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        return {key: value for key, value in super().environment.items() if key not in names} | {"PATH": scripts}

    def start(self) -> None:
        """Run a daemon, where none runs, until this reader leaves."""
        if self.process and self.process[-1].poll() is None:
            return
        self.process.append(self.daemon.enter_context(running(self)))

    def follow(self, block: Block) -> None:
        """Type what a block says."""
        script: list[str] = []
        for command in block:
            if command in STARTS:
                self._type(script)
                script = []
                self.start()
            elif command in ENDLESS:
                script.append(f'grep --quiet --max-count 1 "{ENDLESS[command]}" < <(timeout {PATIENCE:.0f} {command})')
            elif command not in NOT_RUN:
                script.append(command)
        self._type(script)

    def _type(self, script: list[str]) -> None:
        for begins, prepare in PREPARED.items():
            if any(command.startswith(begins) for command in script):
                prepare(self)
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", "\n".join(script)],
            env=self.environment, cwd=self.here, capture_output=True, text=True, timeout=PATIENCE, check=False,
        )  # fmt: skip
        assert done.returncode == 0, f"{script}: {done.returncode}\n{done.stdout}\n{done.stderr}"
        if "alphadrop stop" in script:
            self.process[-1].wait(PATIENCE)


def settle(reader: Reader) -> None:
    """Wait until the hot folder has done what it was asked, and put the originals where they belong."""
    client = Client(reader.run)
    busy = ("pending", "working")
    wait_for(lambda: not any(job["state"] in busy for job in client.jobs()), "the hot folder to have done its work")


def drop_three(reader: Reader) -> None:
    """Have three photographs dropped, cut and moved away, one after the other; the last one is damaged."""
    (reader.root / "half").write_bytes((reader.here / "cat.jpg").read_bytes()[:3000])
    for photograph in (reader.here / "cat.jpg", reader.here / "coffee.jpg", reader.root / "half"):
        reader.drop(photograph, f"{photograph.stem}.jpg")
        wait_for(functools.partial(is_away, reader, f"{photograph.stem}.jpg"), f"{photograph.stem} to be moved away")


def is_away(reader: Reader, name: str) -> bool:
    jobs = {job["path"]: job for job in Client(reader.run).jobs()}
    return name in jobs and jobs[name]["original"] == "moved"


def let_firefox_in(reader: Reader) -> None:
    told = Client(reader.run).web_code()
    agent = {"User-Agent": "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"}
    answer = httpx.post(f"{told['address']}v1/web/key", json={"code": told["code"]}, headers=agent, timeout=PATIENCE)
    assert answer.json()["name"] == "firefox"


PREPARED: dict[str, Callable[[Reader], None]] = {
    "alphadrop jobs --limit": drop_three,
    "alphadrop retry": settle,
    "alphadrop web --revoke firefox": let_firefox_in,
}
"""What has to be so before a reader types something that begins like this."""


@pytest.fixture
def reader(tmp_path_factory: pytest.TempPathFactory, photographs: dict[str, Path]) -> Iterator[Reader]:
    """In a folder with the photographs that the manual speaks of, and a GIMP that was started once."""
    reader = Reader(tmp_path_factory.mktemp("h"))
    names = (
        *("cat", "coffee", "astronaut", "shoe", "photo", "shoes", "shoes/one", "shoes/two"),
        *("photographs/one", "shoot/cat", "shoot/coffee"),
    )
    for name in names:
        file = reader.here / f"{name}.jpg"
        file.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(photographs.get(name, photographs["coffee"]), file)
    (reader.here / ".venv").symlink_to(sys.prefix)
    (reader.root / ".config" / "GIMP" / "3.0").mkdir(parents=True)
    with reader.daemon:
        yield reader


def configure(reader: Reader) -> None:
    for folder in (reader.input, reader.output, reader.root / "Done", reader.root / "Failed"):
        folder.mkdir(parents=True)
    file = reader.root / ".config" / "alphadrop" / "alphadrop.yaml"
    file.parent.mkdir()
    file.write_text(
        f"quiet: never\nfolders:\n- {{input: {reader.input}, output: {reader.output}, settle: 100ms, rescan: 1s,\n"
        f"   originals: move, finished: {reader.root}/Done, failed: {reader.root}/Failed}}\n"
    )


def bring_u2net(reader: Reader) -> None:
    network = os.environ.get("ALPHADROP_U2NET")
    if not network:
        pytest.skip("ALPHADROP_U2NET is not set: it names the FP32 u2net.onnx, which is not in the repository")
    models = reader.root / ".local" / "share" / "alphadrop" / "models"
    models.mkdir(parents=True)
    (models / "u2net.onnx").symlink_to(network)


def some_long(pages: list[str]) -> list[Any]:
    return [pytest.param(page, marks=() if page in QUICK else pytest.mark.long) for page in pages]


@pytest.mark.parametrize("page", some_long(WITH_COMMANDS))
def test_the_commands_of_a_page_do_what_it_says(page: str, reader: Reader) -> None:
    if page not in FIRST_DAY:
        configure(reader)
    if any("--compare u2net" in command for block in blocks_of(page) for command in block):
        bring_u2net(reader)
    for block in blocks_of(page):
        if page in NEEDS_A_DAEMON or reader.process:
            reader.start()
        reader.follow(block)
    for promised in PROMISED.get(page, ()):
        wait_for((reader.root / promised).is_file, f"{promised}, which {page} promises")
        with Image.open(reader.root / promised) as picture:
            picture.load()


@pytest.mark.parametrize("page", some_long(WITH_PYTHON))
def test_the_python_of_a_page_runs(page: str, reader: Reader) -> None:
    program = "\n".join(text for language, text in fences_of(page) if language == "python")
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", program],
        env=reader.environment, cwd=reader.here, capture_output=True, text=True, timeout=PATIENCE, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr


def test_nothing_is_left_over_in_the_tables() -> None:
    said = {command for page in PAGES for block in blocks_of(page) for command in block}
    assert set(NOT_RUN) <= said
    assert set(ENDLESS) <= said
    assert STARTS - {"alphadrop run"} <= said
    assert all(any(command.startswith(begins) for command in said) for begins in PREPARED)
    assert {*NEEDS_A_DAEMON, *FIRST_DAY, *PROMISED, *QUICK} <= {*WITH_COMMANDS, *WITH_PYTHON}


def test_no_command_hides_in_a_block_that_is_not_run() -> None:
    for page in PAGES:
        for language, text in fences_of(page):
            lines = () if language == "sh" else text.splitlines()
            assert not [
                line for line in lines if re.match(r"(alphadrop [a-z]|\S+/bin/alphadrop|curl|make|pip) ?", line)
            ]
