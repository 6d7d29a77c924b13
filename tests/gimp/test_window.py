"""The GIMP plug-in on a screen: the menu item, the dialog, repetition, undo, Cancel, and the offer to start the daemon.

What the screen showed is kept as pictures in $ALPHADROP_ARTEFACTS, or in build/artefacts.
"""

from __future__ import annotations

import threading
import time
from typing import Any

import psutil
import pytest

from daemon_process import Home, running, wait_for
from gimp_process import Gimp, artefact

pytestmark = [pytest.mark.long, pytest.mark.timeout(1800)]
in_3_0_only = pytest.mark.parametrize("gimp", ["trixie"], ids=["3.0"], indirect=True, scope="module")
in_3_2_only = pytest.mark.parametrize("gimp", ["forky"], ids=["3.2"], indirect=True, scope="module")

DIALOG = "^Remove Background"
QUESTION = "^Alphadrop"
OK = "alt+o"
ERASE_PLAIN_IN_SELECTION = ("alt+t", "Down", "Down", "alt+m", "Down", "alt+e", "Down", "alt+n")


def test_menu_dialog_and_repetition(gimp: Gimp, gimp_daemon: int) -> None:
    answer = gimp.run("menu", screen=True, window=DIALOG, keys=[*ERASE_PLAIN_IN_SELECTION, OK])
    artefact(gimp, "menu-dialog", "dialog")
    artefact(gimp, "menu-done", "erased")
    before, cut, undone, again = answer["states"]
    assert undone == before
    ((was,), (now,)) = (state["layers"] for state in (before, cut))
    assert now["alpha"]
    assert now["mask"] is None
    assert now["pixels"] != was["pixels"]
    assert again == cut
    same = {"selected": {"kind": "selected", "arguments": {"result": "erase", "edges": "plain", "selection": True}}}
    without_dialog = gimp.run("cases", cases=same)["selected"]["after"]
    assert [layer["pixels"] for layer in without_dialog["layers"]] == [now["pixels"]]


def test_one_undo_restores_the_image(gimp: Gimp, gimp_daemon: int) -> None:
    kinds: dict[str, tuple[dict[str, Any], str]] = {
        "rgb": ({"kind": "rgb"}, "mask"),
        "deep": ({"kind": "deep", "of": {"precision": "U32_LINEAR"}}, "erase"),
        "masked": ({"kind": "masked"}, "mask"),
        "masked_erased": ({"kind": "masked"}, "erase"),
        "two_layers": ({"kind": "two_layers"}, "new-layer"),
        "group": ({"kind": "group"}, "new-layer"),
        "selected": ({"kind": "selected"}, "erase"),
    }
    cases = {
        name: {**case, "arguments": {"result": result, "selection": name == "selected"}}
        for name, (case, result) in kinds.items()
    }
    answers = gimp.run("undo", screen=True, cases=cases)
    for name in cases:
        assert answers[name]["status"] == "success", name
        before, cut, undone, redone = answers[name]["states"]
        assert cut != before, name
        assert undone == before, name
        assert redone == cut, name


@in_3_2_only
def test_the_dialog_can_be_left(gimp: Gimp, gimp_daemon: int) -> None:
    answer = gimp.run("dialog", screen=True, steps=[(DIALOG, "Escape", "")])
    assert answer["status"] == "cancel"
    assert answer["before"] == answer["after"]


@in_3_2_only
def test_dialog_in_chinese(gimp: Gimp, gimp_daemon: int) -> None:
    environment = {"LANGUAGE": "zh_CN"}
    gimp.install("chinese")
    answer = gimp.run(
        "dialog", screen=True, profile="chinese", environment=environment, steps=[("^移除背景", OK, "chinese")]
    )
    artefact(gimp, "chinese", "dialog-chinese")
    assert answer["status"] == "success"
    assert answer["before"] != answer["after"]


@in_3_2_only
def test_cancel_frees_the_daemon_and_leaves_the_image(gimp: Gimp, gimp_daemon: int) -> None:
    process = psutil.Process(gimp_daemon)

    def spent() -> float:
        children = process.children(recursive=True)
        return sum(sum(each.cpu_times()[:2]) for each in (process, *children))

    def watch() -> None:
        before = spent()
        wait_for(lambda: spent() > before + 0.5, "the daemon to be at work")
        (gimp.shared / "at-work").touch()
        wait_for((gimp.shared / "cancelled").exists, "Cancel")
        last = spent()
        while (now := spent()) > last + 0.05 or last == 0:
            last = now
            time.sleep(1)
        (gimp.shared / "at-rest").touch()

    watching = threading.Thread(target=watch)
    watching.start()
    answer = gimp.run("cancel", screen=True, window=DIALOG)
    watching.join()
    artefact(gimp, "cancel", "at-work")
    assert answer["before"] == answer["after"]
    assert answer["status"] == "success"


@in_3_0_only
def test_the_daemon_is_started_if_the_user_wants_it(gimp: Gimp) -> None:
    home = Home(gimp.shared / "d")
    home.configure()
    program = gimp.shared / "program"
    program.write_text('#!/bin/sh\n[ "$*" = "--quietly run" ] && touch /mnt/asked-for && exec sleep 600\n')
    program.chmod(0o755)
    gimp.install("knowing", ["/mnt/program", "--quietly"])
    there, over = threading.Event(), threading.Event()

    def be_the_daemon() -> None:
        while not (gimp.shared / "asked-for").exists():
            if over.wait(0.05):
                return
        with running(home):
            there.set()
            over.wait()

    serving = threading.Thread(target=be_the_daemon)
    serving.start()
    try:
        answer = gimp.run(
            "dialog",
            screen=True,
            profile="knowing",
            run_folder="/mnt/d/r",
            steps=[(DIALOG, OK, "without-daemon"), (QUESTION, "Return", "question")],
        )
    finally:
        over.set()
        serving.join()
    artefact(gimp, "without-daemon", "dialog-without-daemon")
    artefact(gimp, "question", "offer-to-start")
    assert there.is_set()
    assert answer["status"] == "success"
    assert answer["before"] != answer["after"]


@in_3_0_only
def test_in_a_sandbox_a_start_is_not_offered(gimp: Gimp) -> None:
    gimp.install("sandboxed", ["/usr/bin/true"])
    answer = gimp.run(
        "dialog",
        screen=True,
        profile="sandboxed",
        run_folder="/mnt/nowhere",
        environment={"FLATPAK_ID": "org.gimp.GIMP"},
        steps=[(DIALOG, OK, "")],
    )
    assert answer["status"] == "execution-error"
    assert answer["message"] == "Alphadrop is not running.\nStart it in a terminal with: alphadrop run"


@in_3_0_only
def test_a_program_that_does_not_start_is_reported(gimp: Gimp) -> None:
    gimp.install("broken", ["/usr/bin/false"])
    answer = gimp.run(
        "dialog",
        screen=True,
        profile="broken",
        run_folder="/mnt/nowhere",
        steps=[(DIALOG, OK, ""), (QUESTION, "Return", "")],
    )
    assert answer["status"] == "execution-error"
    assert answer["message"].startswith("Alphadrop did not start.")
