"""Row 40: a configuration that is broken, half saved or gone changes nothing; a good one only what it changes."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from alphadrop import config, paths
from alphadrop.client import Client
from alphadrop.config import Settings
from alphadrop.errors import DaemonError
from alphadrop.hotfolder import folder, hotfolders
from alphadrop.hotfolder.scan import walk
from alphadrop.hotfolder.watch import Watch
from alphadrop.service.following import FollowedSettings
from daemon_process import PATIENCE, Home, wait_for
from fake_segmenter import GREEN, RED, Ground, started, until_done

_ATTENTIVE = """
import sys
from alphadrop.service import following
following._LOOK_EVERY = 0.2
from alphadrop.cli import main
sys.exit(main())
"""


@dataclass
class Daemon:
    """A daemon that looks at its configuration more often than usual."""

    home: Home

    def configure(self, *, top: str = "", **lines: str) -> None:
        """Write a configuration for folders by name, each with further lines of YAML."""
        text = f"{top}\nfolders:\n"
        for name, more in lines.items():
            for kind in ("in", "out"):
                (self.home.root / name / kind).mkdir(parents=True, exist_ok=True)
            text += f"- input: {self.home.root / name / 'in'}\n  output: {self.home.root / name / 'out'}\n"
            text += "  settle: 0\n  edges: plain\n" + "".join(f"  {line}\n" for line in more.splitlines())
        (self.home.root / "alphadrop.yaml").write_text(text)

    def problems(self) -> list[str]:
        """Return what a user is shown to be wrong."""
        told = self.home.alphadrop("status", "--json")
        return list(json.loads(told.stdout)["configuration"]["problems"])

    def status(self) -> Mapping[str, Any]:
        return Client(self.home.run).status()

    def folders(self) -> list[str]:
        return [Path(each["input"]).parent.name for each in self.status()["folders"]]

    def cuts(self, name: str, photograph: Path, output: str) -> None:
        """Fail unless a photograph dropped into a folder comes out of it."""
        there = self.home.root / name
        shutil.copy(photograph, there / "in" / Path(output).with_suffix(".jpg").name)
        wait_for((there / "out" / output).exists, f"{output} in {name}")


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    daemon = Daemon(Home(tmp_path_factory.mktemp("h")))
    daemon.configure(a="", b="")
    with begun(daemon):
        yield daemon


@contextmanager
def begun(daemon: Daemon) -> Iterator[None]:
    home = daemon.home

    def ready() -> bool:
        try:
            return bool(daemon.status()["state"] == "ready")
        except DaemonError:
            return False

    with (home.root / "stderr.txt").open("ab") as log:
        process = subprocess.Popen(
            [sys.executable, "-c", _ATTENTIVE, "run"], env=home.environment, stdout=log, stderr=log, cwd=home.root
        )
    try:
        wait_for(ready, "the daemon")
        yield
        process.terminate()
        assert process.wait(timeout=PATIENCE) == 0
    finally:
        process.kill()
        process.wait()
    assert "Traceback" not in (home.root / "stderr.txt").read_text(errors="replace")


@pytest.fixture
def file(daemon: Daemon) -> Iterator[Path]:
    """The configuration, good again afterwards."""
    yield daemon.home.root / "alphadrop.yaml"
    daemon.configure(a="", b="")
    wait_for(lambda: daemon.folders() == ["a", "b"] and not daemon.status()["configuration"]["problems"], "both")


def test_row_40_every_mistake_is_shown_and_the_last_good_configuration_goes_on(
    daemon: Daemon, file: Path, photographs: dict[str, Path]
) -> None:
    daemon.configure(a="settel: 2s\nbackground: no such colour", b="edges: soft", top="threads: -1")
    wait_for(daemon.problems, "the mistakes to be shown")
    problems = daemon.problems()
    for word in ("settel", "background", "edges", "threads"):
        assert any(word in problem for problem in problems), word
    assert all(str(file) in problem for problem in problems)
    assert daemon.folders() == ["a", "b"]
    daemon.cuts("a", photographs["cat"], "mistakes.png")
    told = daemon.home.alphadrop("status").stdout
    assert "settel" in told


def test_row_40_half_a_file_and_no_file_change_nothing(
    daemon: Daemon, file: Path, photographs: dict[str, Path]
) -> None:
    whole = file.read_text()
    for number, half in enumerate([whole[: whole.rindex("  output")] + "  outp", "folders: [", "\0", "\tfolders:"]):
        file.write_text(half)
        wait_for(daemon.problems, "half a file to be shown")
        assert daemon.folders() == ["a", "b"]
        daemon.cuts("b", photographs["cat"], f"half-{number}.png")
        file.write_text(whole)
        wait_for(lambda: not daemon.problems(), "the whole file to be taken")
    file.unlink()
    wait_for(daemon.problems, "the missing file to be shown")
    assert "alphadrop.yaml" in daemon.problems()[0]
    assert daemon.folders() == ["a", "b"]
    daemon.cuts("b", photographs["cat"], "no-file.png")


def test_row_40_a_file_that_is_still_being_saved_is_not_read(tmp_path: Path) -> None:
    text = "".join(f"- input: {tmp_path}/in{number}\n  output: {tmp_path}/out{number}\n" for number in range(20))
    file = tmp_path / "alphadrop.yaml"
    file.write_text("folders: []\n")
    used: list[Settings] = []
    following = FollowedSettings(config.load(file), used.append)
    with file.open("w") as stream:
        for line in ("folders:\n", *text.splitlines(keepends=True)):
            stream.write(line)
            stream.flush()
            following.look()
    assert (used, following.problems) == ([], ())
    following.look()
    assert [len(settings.folders) for settings in used] == [20]
    assert following.problems == ()


def test_row_40_folders_are_added_changed_and_removed_while_it_runs(
    daemon: Daemon, file: Path, photographs: dict[str, Path]
) -> None:
    daemon.configure(a="", b="", c="name: '{stem}-c'")
    wait_for(lambda: daemon.folders() == ["a", "b", "c"], "the new folder")
    shutil.copy(photographs["cat"], daemon.home.root / "c" / "in" / "new.jpg")
    wait_for((daemon.home.root / "c" / "out" / "new-c.png").exists, "the new folder's photograph")
    daemon.configure(b="format: webp", c="name: '{stem}-c'")
    wait_for(lambda: daemon.folders() == ["b", "c"], "the folder to be gone")
    daemon.cuts("b", photographs["cat"], "changed.webp")
    shutil.copy(photographs["cat"], daemon.home.root / "a" / "in" / "unwatched.jpg")
    daemon.cuts("b", photographs["coffee"], "later.webp")
    assert not (daemon.home.root / "a" / "out" / "unwatched.png").exists()
    daemon.configure(a="", b="format: webp")
    wait_for((daemon.home.root / "a" / "out" / "unwatched.png").exists, "what was dropped meanwhile")
    assert sorted(path.name for path in (daemon.home.root / "b" / "out").glob("*changed*")) == ["changed.webp"]


def test_row_40_a_model_that_is_not_there_keeps_the_old_one(
    daemon: Daemon, file: Path, photographs: dict[str, Path]
) -> None:
    own = f"model: own\nmodels: [{{name: own, file: {daemon.home.root / 'own.onnx'}, licence: MIT}}]"
    daemon.configure(a="", b="", top=own)
    wait_for(daemon.problems, "the missing model to be shown")
    assert any("own.onnx" in problem for problem in daemon.problems())
    model = daemon.status()["model"]
    assert (model["name"], model["state"]) == ("u2net-int8", "ready")
    daemon.cuts("a", photographs["cat"], "old-model.png")
    daemon.configure(a="", b="", top="model: u2net-int9")
    wait_for(lambda: any("u2net-int9" in problem for problem in daemon.problems()), "the unknown model to be shown")
    assert daemon.status()["model"]["name"] == "u2net-int8"


def test_row_40_a_model_that_comes_later_is_taken_by_itself(
    daemon: Daemon, file: Path, photographs: dict[str, Path]
) -> None:
    model = daemon.home.root / "later.onnx"
    daemon.configure(a="", b="", top=f"model: later\nmodels: [{{name: later, file: {model}, licence: MIT}}]")
    wait_for(daemon.problems, "the missing model to be shown")
    daemon.cuts("a", photographs["cat"], "sooner.png")
    shutil.copy(paths.embedded_models() / "u2net-int8.onnx", daemon.home.root / "half")
    (daemon.home.root / "half").rename(model)
    wait_for(lambda: daemon.status()["model"]["name"] == "later", "the model to be taken")
    wait_for(lambda: not daemon.problems(), "the problem to be over")
    daemon.cuts("a", photographs["coffee"], "later.png")
    assert (daemon.home.root / "stderr.txt").read_text().count("later.onnx") == 1, "said more than once"


def test_row_40_what_stays_as_it_is_goes_on_undisturbed(ground: Ground, monkeypatch: pytest.MonkeyPatch) -> None:
    watches: Counter[Path] = Counter()
    scans: Counter[Path] = Counter()
    watch = Watch.__init__

    def walking(root: Path, **options: Any) -> Any:
        scans[root] += 1
        return walk(root, **options)

    def watching(self: Watch, watched: Path, **options: Any) -> None:
        watches[watched] += 1
        watch(self, watched, **options)

    monkeypatch.setattr(hotfolders, "_GAP", 3600.0)  # nor is a busy machine one that slept
    monkeypatch.setattr(folder, "walk", walking)
    monkeypatch.setattr(Watch, "__init__", watching)
    ground.settings = replace(ground.settings, settle=1.0)
    other = replace(ground.settings, input=ground.root / "other", output=ground.root / "other out")
    third = replace(other, input=ground.root / "third", output=ground.root / "third out")
    for each in (other, third):
        each.input.mkdir()
        each.output.mkdir()
    with started(ground, other) as folders:
        before = scans[ground.input], watches[ground.input]
        ground.drop("settling.png", GREEN)  # what is known of it while it settles must not be lost
        folders.use([third, replace(other, name="{stem}-2"), ground.settings])
        wait_for(lambda: len(folders.status()) == 3 and watches[other.input] == 2, "the change")
        folders.use([ground.settings])
        wait_for(lambda: len(folders.status()) == 1, "the other change")
        until_done(ground, 1)
        ground.drop("after.png", RED)
        until_done(ground, 2)
        assert (scans[ground.input], watches[ground.input]) == before == (1, 1)
    assert ground.outputs() == {"settling.png": GREEN, "after.png": RED}
