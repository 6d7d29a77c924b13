"""A unit that `autostart enable` wrote, run by a real systemd of the user's: started, watched, ended."""

from __future__ import annotations

import os
import secrets
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import pytest

from alphadrop.client import Client
from alphadrop.errors import DaemonError
from daemon_process import PATIENCE, Home, wait_for

_UNIT = "alphadrop.service"

_BOOTED = """
set -e
mount --make-rprivate /
mount -t tmpfs tmpfs /run
mkdir -p /run/systemd/system
mkdir -m 700 -p "$XDG_RUNTIME_DIR"
mount -t cgroup2 none /sys/fs/cgroup
mkdir "/sys/fs/cgroup/$1"
echo $$ > "/sys/fs/cgroup/$1/cgroup.procs"
exec /lib/systemd/systemd --user --log-target=console
"""
"""Begins a systemd of the user's in a machine that another one may have booted: it sees a /run of its own."""

_CLEARED = """
mount --make-rprivate / && mount -t cgroup2 none "$1"
find "$1" -depth -type d -path "*/$2*" -exec rmdir {} +
"""
"""Removes the control groups that are left of it."""


@dataclass
class Session:
    """A user's session with a systemd of its own."""

    home: Home
    environment: dict[str, str]
    process: subprocess.Popen[bytes]

    def run(self, *command: str) -> subprocess.CompletedProcess[str]:
        """Run a command inside the session."""
        inside = ["nsenter", "--mount", "--target", str(self.process.pid), "--", *command]
        return subprocess.run(
            inside, env=self.environment, capture_output=True, text=True, timeout=PATIENCE, check=False
        )

    def systemctl(self, *words: str) -> str:
        return self.run("systemctl", "--user", *words).stdout.strip()

    def told(self, name: str) -> str:
        return self.systemctl("show", f"--property={name}", "--value", _UNIT)

    def differ(self, *settings: str) -> None:
        """Have the unit differ, as a user would, without a change in the file."""
        folder = self.home.root / ".config" / "systemd" / "user" / f"{_UNIT}.d"
        folder.mkdir(parents=True)
        (folder / "test.conf").write_text("\n".join(["[Service]", *settings, ""]))

    def alphadrop(self, *words: str) -> subprocess.CompletedProcess[str]:
        return self.run(sys.executable, "-m", "alphadrop", *words)


@contextmanager
def begun(home: Home) -> Iterator[Session]:
    group = f"alphadrop-test-{secrets.token_hex(4)}"
    environment = home.environment | {"XDG_RUNTIME_DIR": f"/run/user/{os.getuid()}"}
    with (home.root / "systemd.txt").open("wb") as log:
        process = subprocess.Popen(
            ["unshare", "--mount", "--cgroup", "sh", "-c", _BOOTED, "sh", group],
            env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
        )  # fmt: skip
        try:
            yield Session(home, environment, process)
        finally:
            process.terminate()
            try:
                process.wait(timeout=60)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            place = home.root / "cgroups"
            place.mkdir()
            subprocess.run(["unshare", "--mount", "sh", "-c", _CLEARED, "sh", place, group], timeout=60, check=False)


@pytest.fixture
def session(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Session]:
    needed = ("unshare", "nsenter", "systemctl", "mount")
    if sys.platform != "linux" or os.getuid() or not all(map(shutil.which, needed)):
        pytest.skip("a systemd of one's own needs root rights and the packages systemd and util-linux")
    if not os.access("/lib/systemd/systemd", os.X_OK):
        pytest.skip("there is no systemd here: install the package systemd")
    home = Home(tmp_path_factory.mktemp("h"))
    home.configure(folder="settle: 0\nedges: plain")
    with begun(home) as session:

        def is_up() -> bool:
            if session.process.poll() is not None:
                pytest.skip(f"no systemd can be run here: {(home.root / 'systemd.txt').read_text()[-300:]}")
            return session.systemctl("is-system-running") in ("running", "degraded")

        wait_for(is_up, "systemd")
        yield session


def is_answering(home: Home) -> bool:
    try:
        return bool(Client(home.run).status()["state"] == "ready")
    except DaemonError:
        return False


def test_systemd_starts_it_when_it_is_ready_watches_it_and_ends_it(session: Session) -> None:
    session.differ("RestartSec=0")
    told = session.alphadrop("autostart", "enable", "--now", "--no-tray")
    assert told.returncode == 0, told.stderr
    assert "systemd starts the daemon now, and whenever you log in" in told.stdout
    wait_for(lambda: session.told("ActiveState") == "active", "systemd to hear that it is ready")
    assert is_answering(session.home)
    assert session.told("StatusText") == "ready, hot folders: 1"
    assert session.told("UnitFileState") == "enabled"
    assert session.told("WatchdogUSec") == "3min"
    first = session.told("MainPID")
    assert int(first) == Client(session.home.run).status()["pid"]
    told = session.alphadrop("autostart", "status", "--no-tray")
    assert (told.returncode, told.stdout.splitlines()[-1]) == (0, "your systemd runs the daemon")

    # One that was killed is started again; one that was told to stop is not.
    os.kill(int(first), signal.SIGKILL)
    wait_for(lambda: session.told("MainPID") not in ("0", first) and is_answering(session.home), "a second one")
    assert session.told("NRestarts") == "1"
    assert session.alphadrop("stop").returncode == 0
    wait_for(lambda: session.told("ActiveState") == "inactive", "it to end")
    assert (session.told("Result"), session.told("NRestarts")) == ("success", "1")

    assert session.alphadrop("autostart", "disable").returncode == 0
    assert session.told("LoadState") == "not-found"


@pytest.mark.long
def test_one_that_hangs_is_ended_without_a_dump_and_started_again(session: Session) -> None:
    session.differ("WatchdogSec=4", "RestartSec=0")
    assert session.alphadrop("autostart", "enable", "--no-tray").returncode == 0
    session.systemctl("start", _UNIT)
    first = session.told("MainPID")
    assert session.told("ActiveState") == "active"
    os.kill(int(first), signal.SIGSTOP)
    wait_for(lambda: session.told("NRestarts") == "1", "the watchdog")
    wait_for(lambda: session.told("MainPID") not in ("0", first) and is_answering(session.home), "a second one")
    log = (session.home.root / "data" / "log" / "alphadrop.log").read_text()
    assert log.count("info    ended") == 1, "it was told to end, and not killed"


def test_a_second_daemon_and_a_wrong_configuration_are_not_tried_again(session: Session) -> None:
    assert session.alphadrop("autostart", "enable", "--no-tray").returncode == 0
    (session.home.root / "alphadrop.yaml").write_text("nonsense: 1\n")
    session.systemctl("start", _UNIT)
    assert (session.told("ActiveState"), session.told("ExecMainStatus")) == ("failed", "2")
    assert session.told("NRestarts") == "0"

    session.home.configure()
    session.systemctl("start", _UNIT)
    assert session.told("ActiveState") == "active"
    second = session.alphadrop("run")
    assert second.returncode == 3
    assert session.told("ActiveState") == "active"


def test_the_menus_have_it_started_by_systemd_and_say_how_to_see_why_not(session: Session) -> None:
    session.environment |= {"BROWSER": "true", "DBUS_SESSION_BUS_ADDRESS": "unix:path=/nowhere"}
    assert session.alphadrop("autostart", "enable", "--no-tray").returncode == 0
    (session.home.root / "alphadrop.yaml").write_text("nonsense: 1\n")
    told = session.alphadrop("desktop", "open")
    assert told.returncode == 4
    assert "see why: systemctl --user status alphadrop.service" in told.stderr

    session.home.configure()
    assert session.alphadrop("desktop", "open").returncode == 0
    wait_for(lambda: session.told("ActiveState") == "active", "it to be ready")
    assert int(session.told("MainPID")) == Client(session.home.run).status()["pid"]


def test_logging_out_ends_it_in_order(session: Session) -> None:
    assert session.alphadrop("autostart", "enable", "--now", "--no-tray").returncode == 0
    wait_for(lambda: session.told("ActiveState") == "active", "it to be ready")
    session.process.terminate()
    assert session.process.wait(timeout=PATIENCE) == 0
    log = session.home.root / "data" / "log" / "alphadrop.log"
    assert log.read_text().rstrip().endswith("info    ended")
    assert sorted(os.listdir(session.home.run)) == ["daemon.lock"]
