"""Rows 12 to 16: events that are lost, refused or never come, and folders that go and come again."""

from __future__ import annotations

import ctypes
import errno
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path, PurePath
from threading import Thread

import pytest
from watchdog.events import FileSystemEvent
from watchdog.observers.api import BaseObserver

from alphadrop.hotfolder import folder as folder_module
from alphadrop.hotfolder import hotfolders
from alphadrop.hotfolder.hotfolders import HotFolders
from alphadrop.hotfolder.scan import look_at
from alphadrop.hotfolder.watch import Watch
from daemon_process import PATIENCE, wait_for
from fake_segmenter import BLUE, GREEN, RED, Ground, photograph, started, until_done

linux_only = pytest.mark.skipif(sys.platform != "linux", reason="speaks of inotify")
a_thread_dies = pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")

_HOT_FOLDERS = """
import sys
from pathlib import Path
from alphadrop.hotfolder import folder
from fake_segmenter import Ground, started

folder._POLL = 0.2
ground = Ground(Path(sys.argv[1]), settle=0.1, rescan=float(sys.argv[2]))
for name in sys.argv[3:]:
    (ground.input / name).mkdir()
limit = None
for line in sys.stdin:
    command, *rest = line.split()
    if command == "limit":
        Path("/proc/sys/user", rest[0]).write_text(rest[1])
    elif command == "begin":
        running = started(ground)
        folders = running.__enter__()
    elif command == "end":
        running.__exit__(None, None, None)
    health = folders.status()[0].health if command == "health" else None
    print("done" if health is None else f"{health.state}; {health.remedy}", flush=True)
"""


class Apart:
    """Hot folders in a process of their own, which can be stopped or have limits of its own."""

    def __init__(self, process: subprocess.Popen[str], root: Path) -> None:
        self.process = process
        self.input, self.output = root / "in", root / "out"

    def tell(self, command: str) -> str:
        """Have something done; return what is said of it."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(f"{command}\n")
        self.process.stdin.flush()
        told = self.process.stdout.readline()
        assert told, f"it ended at: {command}"
        return told.strip()

    def until_there(self, *names: str) -> None:
        wait_for(lambda: sorted(os.listdir(self.output)) == sorted(names), f"the outputs {names}")


@contextmanager
def apart(root: Path, *folders: str, rescan: float = 86_400.0, wrapper: tuple[str, ...] = ()) -> Iterator[Apart]:
    """Have hot folders in another process, which begin when they are told to."""
    command = [*wrapper, sys.executable, "-c", _HOT_FOLDERS, str(root), str(rescan), *folders]
    paths = [str(Path(__file__).parents[1]), os.environ.get("PYTHONPATH", "")]
    process = subprocess.Popen(
        command,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths[::-1]))},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        yield Apart(process, root)
        assert process.poll() is None
    finally:
        process.kill()
        process.communicate(timeout=PATIENCE)


# 12 -----------------------------------------------------------------------------------------------------------------


def test_row_12_the_rescan_finds_what_no_event_told_of(ground: Ground, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Watch, "dispatch", lambda *_: None)
    ground.settings = replace(ground.settings, rescan=0.3)
    with started(ground):
        ground.drop("a.png", RED)
        ground.drop("sub/b.png", GREEN)
        until_done(ground, 2)
        photograph(ground.input / "a.png", BLUE, (64, 40))
        content = look_at(ground.input, PurePath("a.png"))
        wait_for(lambda: (ground.row("a.png").content, ground.row("a.png").state) == (content, "done"), "the new one")
    assert ground.outputs() == {"a.png": BLUE, "sub/b.png": GREEN}
    assert ground.fake.runs == 3


@linux_only
def test_row_12_a_real_overflow_of_events_loses_no_photograph(tmp_path: Path) -> None:
    at_most = int(Path("/proc/sys/fs/inotify/max_queued_events").read_text())
    if at_most > 200_000:
        pytest.skip(f"this system queues {at_most} events")
    with apart(tmp_path, rescan=1.0) as folders:
        folders.tell("begin")
        folders.process.send_signal(signal.SIGSTOP)
        for number in range(at_most // 2 + 100):  # each is opened and closed, and no two of one name in a row
            (folders.input / f"noise-{number % 2}.txt").open("w").close()
        for number in range(20):
            photograph(folders.input / f"{number}.png", GREEN)
        (folders.input / "sub").mkdir()
        photograph(folders.input / "sub" / "x.png", GREEN)
        folders.process.send_signal(signal.SIGCONT)
        folders.until_there(*(f"{number}.png" for number in range(20)), "sub")
        wait_for(lambda: os.listdir(folders.output / "sub") == ["x.png"], "the one below")
        photograph(folders.input / "later.png", RED)
        wait_for((folders.output / "later.png").exists, "the one after")
        assert folders.tell("health").startswith("watching;")


# 13 -----------------------------------------------------------------------------------------------------------------

_USER_NAMESPACE = ("unshare", "--user", "--map-root-user")


@pytest.fixture(scope="module")
def limits_of_ones_own() -> None:
    """Skip where a process may not be given limits of its own."""
    lowering = "echo 0 > /proc/sys/user/max_inotify_watches"
    try:
        tried = subprocess.run([*_USER_NAMESPACE, "sh", "-c", lowering], capture_output=True, check=False, timeout=60)
    except OSError:
        pytest.skip("there is no unshare(1) here")
    if tried.returncode:
        pytest.skip("user namespaces are not permitted here")


@linux_only
@pytest.mark.usefixtures("limits_of_ones_own")
@pytest.mark.parametrize(
    ("limit", "remedy"),
    [
        ("max_inotify_watches", "fs.inotify.max_user_watches"),
        ("max_inotify_instances", "fs.inotify.max_user_instances"),
    ],
)
def test_row_13_a_limit_that_is_reached_is_named_and_the_folder_polled_until_it_is_raised(
    tmp_path: Path, limit: str, remedy: str
) -> None:
    with apart(tmp_path, wrapper=_USER_NAMESPACE) as folders:
        folders.tell(f"limit {limit} 0")
        photograph(folders.input / "before.png", RED)
        folders.tell("begin")
        state, told = folders.tell("health").split("; ")
        assert state == "polling"
        assert f"raise {remedy}" in told
        photograph(folders.input / "polled.png", GREEN)
        folders.until_there("before.png", "polled.png")
        folders.tell(f"limit {limit} 1000")
        wait_for(lambda: folders.tell("health").startswith("watching;"), "events again")
        photograph(folders.input / "watched.png", BLUE)
        folders.until_there("before.png", "polled.png", "watched.png")


@linux_only
@pytest.mark.usefixtures("limits_of_ones_own")
def test_row_13_a_limit_that_lets_only_some_of_the_sub_folders_be_watched_is_named_too(tmp_path: Path) -> None:
    with apart(tmp_path, *"abcdef", wrapper=_USER_NAMESPACE) as folders:
        folders.tell("limit max_inotify_watches 4")
        folders.tell("begin")
        state, told = folders.tell("health").split("; ")
        assert state == "polling"
        assert "raise fs.inotify.max_user_watches" in told
        for name in "abcdef":
            photograph(folders.input / name / "x.png", GREEN)
        wait_for(lambda: len([*folders.output.glob("*/x.png")]) == 6, "those in every sub-folder")
        folders.tell("limit max_inotify_watches 1000")
        wait_for(lambda: folders.tell("health").startswith("watching;"), "events again")


@linux_only
@pytest.mark.parametrize(
    ("number", "refusing", "remedy"),
    [
        (errno.ENOSPC, "inotify_add_watch", "raise fs.inotify.max_user_watches"),
        (errno.EMFILE, "inotify_init", "raise fs.inotify.max_user_instances"),
    ],
)
def test_row_13_whatever_the_system_refuses_is_named_and_files_are_processed_all_the_same(
    ground: Ground, monkeypatch: pytest.MonkeyPatch, number: int, refusing: str, remedy: str
) -> None:
    from watchdog.observers import inotify_c

    def refuse(*_: object) -> int:
        ctypes.set_errno(number)
        return -1

    monkeypatch.setattr(folder_module, "_POLL", 0.2)
    with monkeypatch.context() as patch:
        patch.setattr(inotify_c, refusing, refuse)
        with started(ground) as folders:
            ground.drop("a.png", RED)
            ground.drop("sub/b.png", GREEN)
            until_done(ground, 2)
            health = folders.status()[0].health
            assert health.state == "polling"
            assert remedy in health.remedy
            patch.undo()
            wait_for(lambda: folders.status()[0].health.state == "watching", "events again")
            ground.drop("c.png", BLUE)
            until_done(ground, 3)
    assert ground.outputs() == {"a.png": RED, "c.png": BLUE, "sub/b.png": GREEN}


def watch_of(folders: HotFolders) -> Watch:
    watch = folders._lookouts[0].folder._watch
    assert watch is not None
    return watch


def until_watched_anew(folders: HotFolders, first: Watch, monkeypatch: pytest.MonkeyPatch) -> None:
    """Wait until another watch is armed; from then on only its events lead to a look."""

    def is_another() -> bool:
        watch = folders._lookouts[0].folder._watch
        return watch is not None and watch is not first and watch.alive

    wait_for(is_another, "another watch")
    monkeypatch.setattr(hotfolders, "_MOST_WAIT", 3600.0)


# 14 and 15 ----------------------------------------------------------------------------------------------------------


@a_thread_dies
def test_row_14_an_exception_in_an_event_handler_does_not_end_the_watching(
    ground: Ground, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hotfolders, "_MOST_WAIT", 0.2)  # when nothing happens it looks, and finds the watch dead
    dispatch, burst = Watch.dispatch, list[FileSystemEvent]()

    def dispatch_badly(self: Watch, event: FileSystemEvent) -> None:
        if not burst:
            burst.append(event)
            raise RuntimeError("a handler's own fault")
        dispatch(self, event)

    with started(ground) as folders:
        first = watch_of(folders)
        monkeypatch.setattr(Watch, "dispatch", dispatch_badly)
        ground.drop("a.png", RED)
        until_done(ground, 1)
        assert burst
        until_watched_anew(folders, first, monkeypatch)
        ground.drop("b.png", GREEN)
        until_done(ground, 2)
        assert folders.status()[0].health.state == "watching"
    assert ground.outputs() == {"a.png": RED, "b.png": GREEN}


def _end_the_observer(observer: BaseObserver) -> Thread:
    observer.stop()
    return observer


def _end_the_emitter(observer: BaseObserver) -> Thread:
    (emitter,) = observer.emitters
    emitter.stop()
    return emitter


def _end_the_reader(observer: BaseObserver) -> Thread:
    """End the thread that reads from the system, which watchdog itself would not miss."""
    (emitter,) = observer.emitters
    reader = getattr(emitter, "_inotify_fd", None) or getattr(emitter, "_inotify", None)
    if not isinstance(reader, Thread):
        pytest.skip("this watchdog has none here")
    reader.stop()  # type: ignore[attr-defined]
    return reader


@pytest.mark.parametrize("end", [_end_the_observer, _end_the_emitter, _end_the_reader])
def test_row_15_a_thread_of_the_watching_that_dies_is_replaced_and_the_folder_scanned(
    ground: Ground, monkeypatch: pytest.MonkeyPatch, end: object
) -> None:
    monkeypatch.setattr(hotfolders, "_MOST_WAIT", 0.5)
    with started(ground) as folders:
        first = watch_of(folders)
        assert callable(end)
        thread = end(first._observer)
        thread.join(PATIENCE)
        assert not thread.is_alive()
        ground.drop("a.png", RED)
        ground.drop("sub/b.png", GREEN)
        until_done(ground, 2)
        until_watched_anew(folders, first, monkeypatch)
        ground.drop("sub/c.png", BLUE)
        until_done(ground, 3)
        assert folders.status()[0].health.state == "watching"
    assert ground.outputs() == {"a.png": RED, "sub/b.png": GREEN, "sub/c.png": BLUE}


# 16 -----------------------------------------------------------------------------------------------------------------


@pytest.mark.filterwarnings("ignore:Callback with id:RuntimeWarning")  # watchdog's, where folders come within folders
def test_row_16_a_folder_that_is_removed_and_made_again_is_watched_again(
    ground: Ground, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(folder_module, "_POLL", 0.2)
    with started(ground) as folders:
        for number in range(3):
            monkeypatch.setattr(hotfolders, "_MOST_WAIT", 1.0)
            first = watch_of(folders)
            shutil.rmtree(ground.input)
            ground.input.mkdir()
            ground.drop(f"at-once-{number}.png", RED)
            ground.drop(f"sub/{number}.png", GREEN)
            wait_for((ground.output / f"at-once-{number}.png").exists, "what was dropped at once")
            wait_for((ground.output / "sub" / f"{number}.png").exists, "what was dropped below it")
            until_watched_anew(folders, first, monkeypatch)
            ground.drop(f"later-{number}.png", BLUE)
            wait_for((ground.output / f"later-{number}.png").exists, "what was dropped later")
        shutil.rmtree(ground.input)
        wait_for(lambda: folders.status()[0].health.state == "missing", "the folder to be missed")
        ground.input.mkdir()
        ground.drop("last.png", RED)
        wait_for((ground.output / "last.png").exists, "what was dropped after a while")
        wait_for(lambda: folders.status()[0].health.state == "watching", "the watching")
    assert len(ground.outputs()) == ground.fake.runs == 10


def test_row_16_a_sub_folder_that_is_removed_and_made_again_is_watched_again(ground: Ground) -> None:
    with started(ground):
        for number in range(3):
            ground.drop(f"sub/{number}.png", GREEN)
            until_done(ground, number + 1)
            shutil.rmtree(ground.input / "sub")
    assert len(ground.outputs()) == 3
