"""A desktop of a test's own: an X server, a panel, a session bus, and the icon in it, each ended by its id.

What the screen showed is kept as pictures in $ALPHADROP_ARTEFACTS, or in build/artefacts.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from PIL import Image

from daemon_process import Home, wait_for

__all__ = ["Desktop", "desktop", "needs", "sees_gi"]

_SYSTEM_GI = Path("/usr/lib/python3/dist-packages/gi")
_PANEL = """\
<?xml version="1.0" encoding="UTF-8"?>
<channel name="xfce4-panel" version="1.0">
  <property name="configver" type="int" value="2"/>
  <property name="panels" type="array">
    <value type="int" value="1"/>
    <property name="dark-mode" type="bool" value="{dark}"/>
    <property name="panel-1" type="empty">
      <property name="position" type="string" value="p=6;x=0;y=0"/>
      <property name="position-locked" type="bool" value="true"/>
      <property name="length" type="uint" value="100"/>
      <property name="size" type="uint" value="{size}"/>
      <property name="plugin-ids" type="array"><value type="int" value="1"/></property>
    </property>
  </property>
  <property name="plugins" type="empty">
    <property name="plugin-1" type="string" value="systray">
      <property name="icon-size" type="int" value="{icon}"/>
    </property>
  </property>
</channel>
"""


def needs(*programs: str) -> None:
    """Skip a test whose programs this machine lacks; in CI there is none to lack."""
    missing = [program for program in programs if shutil.which(program) is None]
    if missing and os.environ.get("CI") == "true":
        pytest.fail(f"not here: {', '.join(missing)}", pytrace=False)
    if missing:
        pytest.skip(f"no desktop to test on: install {', '.join(missing)}")


def sees_gi() -> bool:
    """Return whether the system's PyGObject is of the same Python as this one, so that it can be lent to it."""
    suffix = sysconfig.get_config_var("EXT_SUFFIX")
    return (_SYSTEM_GI / f"_gi{suffix}").is_file()


@dataclass
class Desktop:
    """An X server and what runs on it."""

    home: Home
    display: str
    server: subprocess.Popen[str]
    processes: list[subprocess.Popen[str]] = field(default_factory=list)
    variables: dict[str, str] = field(default_factory=dict)

    @property
    def environment(self) -> Mapping[str, str]:
        return {
            **self.home.environment,
            "DISPLAY": self.display,
            "LANG": "C.UTF-8",
            "NO_AT_BRIDGE": "1",
            **self.variables,
        }

    def start(self, *command: str, output: bool = False) -> subprocess.Popen[str]:
        """Start a program, which is ended with the desktop; what it says is in the home."""
        with (self.home.root / f"{Path(command[0]).name}.txt").open("a") as log:
            process = subprocess.Popen(
                command, env=self.environment, stdout=subprocess.PIPE if output else log, stderr=log, text=True
            )
        self.processes.append(process)
        return process

    def log(self, program: str) -> str:
        file = self.home.root / f"{program}.txt"
        return file.read_text(errors="replace") if file.exists() else ""

    def start_bus(self) -> None:
        bus = self.start("dbus-daemon", "--session", "--nofork", "--print-address", output=True)
        assert bus.stdout is not None
        self.variables["DBUS_SESSION_BUS_ADDRESS"] = bus.stdout.readline().strip()

    def lend_gi(self) -> None:
        """Let the icon's process see the system's PyGObject, and nothing else of the system's."""
        assert sees_gi(), "the system's PyGObject is of another Python than this one, or not installed (python3-gi)"
        lent = self.home.root / "lent"
        lent.mkdir(exist_ok=True)
        with contextlib.suppress(FileExistsError):
            (lent / "gi").symlink_to(_SYSTEM_GI)
        self.variables["PYTHONPATH"] = str(lent)

    def start_xfce(self, *, dark: bool = True, size: int = 32, icon: int = 22) -> None:
        """Start a panel that knows both kinds of icons; needs a bus."""
        folder = self.home.root / ".config/xfce4/xfconf/xfce-perchannel-xml"
        folder.mkdir(parents=True)
        (folder / "xfce4-panel.xml").write_text(_PANEL.format(dark=str(dark).lower(), size=size, icon=icon))
        self.start("xfce4-panel", "--disable-wm-check")

    def start_tray(self, *arguments: str) -> subprocess.Popen[str]:
        return self.start(sys.executable, "-W", "ignore", "-X", "faulthandler", "-m", "alphadrop", "tray", *arguments)

    def run(self, *command: str) -> str:
        """Run a program to its end; return what it said."""
        done = subprocess.run(
            command,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
            stdin=subprocess.DEVNULL,
        )
        return done.stdout

    def place_of(self, window: str, least: int = 8) -> tuple[int, int, int, int]:
        """Return left, top, width and height of a window that is seen, by its class."""

        def found() -> tuple[int, int, int, int] | None:
            for number in self.run("xdotool", "search", "--class", window).split():
                told = dict(
                    line.split("=", 1)
                    for line in self.run("xdotool", "getwindowgeometry", "--shell", number).splitlines()
                    if "=" in line
                )
                place = tuple(int(told.get(name, 0)) for name in ("X", "Y", "WIDTH", "HEIGHT"))
                if len(place) == 4 and min(place[2:]) >= least and min(place[:2]) >= 0:
                    return place
            return None

        place = wait_for(found, f"a window of class {window}")
        assert place is not None
        return place

    def click(self, x: int, y: int, button: int = 1) -> None:
        self.run("xdotool", "mousemove", str(x), str(y), "click", str(button))

    def press(self, *keys: str) -> None:
        self.run("xdotool", "key", "--delay", "150", *keys)

    def screen(self) -> Image.Image:
        """Return what is seen."""
        file = self.home.root / "screen.png"
        self.run("import", "-window", "root", str(file))
        with Image.open(file) as picture:
            return picture.convert("RGB")

    def keep(self, name: str, box: tuple[int, int, int, int] | None = None) -> None:
        """Keep a picture of the screen, or of a part of it, for people to look at."""
        folder = Path(os.environ.get("ALPHADROP_ARTEFACTS") or Path(__file__).parents[1] / "build" / "artefacts")
        folder.mkdir(parents=True, exist_ok=True)
        picture = self.screen()
        (picture if box is None else picture.crop(box)).save(folder / f"{name}.png")


@contextmanager
def desktop(home: Home, programs: Sequence[str], screen: str = "800x500x24") -> Iterator[Desktop]:
    """Run an X server until the block ends, and end whatever was started on it, the last first."""
    needs("Xvfb", "xdotool", "import", *programs)
    read, write = os.pipe()
    with (home.root / "Xvfb.txt").open("a") as log:
        server = subprocess.Popen(
            # Without -noreset it begins anew, deaf meanwhile, whenever its last client goes; and a look at it is one.
            ["Xvfb", "-noreset", "-displayfd", str(write), "-screen", "0", screen],
            pass_fds=[write],
            stdout=log,
            stderr=log,
            text=True,
        )
    os.close(write)
    with os.fdopen(read) as told:
        display = f":{told.readline().strip()}"
    running = Desktop(home, display, server)
    try:
        yield running
    finally:
        processes: list[subprocess.Popen[str]] = [*reversed(running.processes), server]
        for process in processes:
            process.terminate()
            try:
                process.wait(timeout=20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            if process.stdout is not None:
                process.stdout.close()
