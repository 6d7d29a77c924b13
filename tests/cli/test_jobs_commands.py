"""jobs, retry and undo as a user types them: against a real daemon, and as tables against made-up answers."""

from __future__ import annotations

import json
import os
import shutil
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from alphadrop.cli import main
from alphadrop.client import Client
from daemon_process import Home, running, wait_for


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory, photographs: dict[str, Path]) -> Iterator[Home]:
    """A home in which a daemon has moved two photographs and failed with two."""
    home = Home(tmp_path_factory.mktemp("h"))
    configure(home)
    for name in ("done", "failed"):
        (home.root / name).mkdir()
    shutil.copy(photographs["cat"], home.input / "cat.jpg")
    with Image.open(photographs["coffee"]) as coffee:
        coffee.save(home.input / "coffee.jpg", icc_profile=b"no colours " * 20)
    (home.input / "damaged.jpg").write_bytes(photographs["cat"].read_bytes()[:3000])
    (home.input / "text.png").write_text("not a picture")
    with running(home):
        wait_for(lambda: settled(home) == 4, "four photographs to be done and moved")
        yield home


def configure(home: Home, folder: str = "") -> None:
    places = f"finished: {home.root / 'done'}\nfailed: {home.root / 'failed'}"
    home.configure(folder=f"settle: 100ms\noriginals: move\n{places}\n{folder}")


def settled(home: Home) -> int:
    return sum(job["original"] == "moved" for job in Client(home.run).jobs())


def all_settled(home: Home) -> bool:
    return all(
        job["state"] in ("done", "failed") and job["original"] not in ("due", "going")
        for job in Client(home.run).jobs()
    )


def numbers(home: Home) -> dict[str, int]:
    return {job["path"]: job["id"] for job in Client(home.run).jobs()}


def test_jobs_say_what_became_of_each_photograph(home: Home) -> None:
    told = home.alphadrop("jobs")
    assert (told.returncode, told.stderr) == (0, "")
    rows = {line.split("/")[-1]: line for line in told.stdout.splitlines() if "~/Pictures/Alphadrop/In/" in line}
    assert set(rows) == {"cat.jpg", "coffee.jpg", "damaged.jpg", "text.png"}
    assert "  done, moved    ~/" in rows["cat.jpg"]
    assert "  failed, moved  ~/" in rows["text.png"]
    assert rows["text.png"].split()[0] == str(numbers(home)["text.png"])
    assert "   not a picture that is opened here" in told.stdout


def test_jobs_can_be_chosen_and_limited(home: Home) -> None:
    failed = home.alphadrop("jobs", "--failed").stdout
    assert "damaged.jpg" in failed
    assert "cat.jpg" not in failed
    limited = home.alphadrop("jobs", "--limit", "1").stdout
    assert limited.count("~/Pictures") == 1
    assert limited.endswith("there are more: alphadrop jobs --limit 10\n")
    assert "there are more" not in home.alphadrop("jobs", "--limit", "4").stdout


def test_those_whose_cut_out_came_with_a_warning_can_be_seen_alone(home: Home) -> None:
    told = home.alphadrop("jobs", "--warned")
    row, warning = told.stdout.splitlines()
    assert (told.returncode, row.split()[0]) == (0, str(numbers(home)["coffee.jpg"]))
    assert (warning.strip(), warning[:3]) == ("its colour profile is damaged and was left out", "   ")
    (job,) = json.loads(home.alphadrop("jobs", "--warned", "--json").stdout)
    assert job["warnings"] == ["its colour profile is damaged and was left out"]
    assert "2 done (1 with a warning: alphadrop jobs --warned), 2 failed; " in home.alphadrop("status").stdout


def test_jobs_for_programs_are_the_list_of_the_api(home: Home) -> None:
    told = home.alphadrop("jobs", "--json", "--limit", "2")
    assert json.loads(told.stdout) == Client(home.run).jobs(limit=2)


def test_what_was_moved_comes_back_and_is_not_cut_again(home: Home) -> None:
    cat = numbers(home)["cat.jpg"]
    told = home.alphadrop("undo", str(cat))
    assert (told.returncode, told.stdout) == (0, f"{cat}: ~/Pictures/Alphadrop/In/cat.jpg is back\n")
    assert (home.input / "cat.jpg").is_file()
    assert not (home.root / "done" / "cat.jpg").exists()
    assert (home.output / "cat.png").is_file()
    again = home.alphadrop("undo", str(cat))
    assert again.returncode == 1
    assert "was not moved away" in again.stderr
    told = home.alphadrop("undo", "--all")
    assert (told.returncode, told.stdout) == (0, "3 photographs are back\n")
    assert home.alphadrop("undo", "--all").stdout == "no original was moved away\n"
    told = home.alphadrop("undo")
    assert (told.returncode, told.stdout) == (1, "")
    assert "nothing to undo" in told.stderr
    assert {job["state"] for job in Client(home.run).jobs()} == {"done", "failed"}


def test_without_a_number_the_one_moved_last_comes_back(home: Home) -> None:
    cat = numbers(home)["cat.jpg"]
    assert home.alphadrop("retry", str(cat)).returncode == 0
    wait_for(lambda: (home.root / "done" / "cat.jpg").exists() and all_settled(home), "the cat to be moved")
    assert home.alphadrop("undo").stdout == f"{cat}: ~/Pictures/Alphadrop/In/cat.jpg is back\n"


def test_some_that_cannot_be_brought_back_are_named_and_the_others_are(home: Home) -> None:
    (number,) = [number for name, number in numbers(home).items() if name == "coffee.jpg"]
    home.alphadrop("retry", str(number), str(numbers(home)["cat.jpg"]))
    wait_for(lambda: settled(home) == 2 and all_settled(home), "both to be moved")
    (home.root / "done" / "coffee.jpg").rename(home.root / "coffee.jpg")
    told = home.alphadrop("undo", "--all")
    assert (told.returncode, told.stdout) == (1, "1 photograph is back\n")
    assert told.stderr.startswith(f"alphadrop: {home.root / 'done' / 'coffee.jpg'}: is no longer there")
    (home.root / "coffee.jpg").rename(home.root / "done" / "coffee.jpg")
    assert home.alphadrop("undo").returncode == 0


def test_what_failed_can_be_cut_again(home: Home, photographs: dict[str, Path]) -> None:
    damaged = numbers(home)["damaged.jpg"]
    told = home.alphadrop("retry", "--all")
    assert (told.returncode, told.stdout) == (0, "2 photographs are cut again\n")
    wait_for(lambda: all_settled(home) and settled(home) == 2, "both to have failed again")
    told = home.alphadrop("retry", str(damaged), "999999")
    assert (told.returncode, told.stdout) == (1, f"{damaged}: ~/Pictures/Alphadrop/In/damaged.jpg is cut again\n")
    assert "999999: no file has this number" in told.stderr
    wait_for(lambda: all_settled(home), "it to have failed once more")


def test_what_has_gone_is_counted_and_exit_status_1(home: Home) -> None:
    (home.root / "failed" / "text.png").rename(home.root / "text.png")
    told = home.alphadrop("retry", "--all")
    assert (told.returncode, told.stdout) == (1, "1 photograph is cut again\n")
    assert told.stderr.startswith("alphadrop: 1 photograph is not cut again\n")
    (home.root / "text.png").rename(home.root / "failed" / "text.png")
    wait_for(lambda: all_settled(home), "the other to have failed again")


def test_what_was_cut_with_other_settings_can_be_cut_again(home: Home) -> None:
    home.alphadrop("undo", "--all")
    told = home.alphadrop("retry", "--changed")
    assert (told.returncode, told.stdout) == (0, "every photograph was cut with the settings of now\n")
    configure(home, "edges: plain")
    log = home.root / "stderr.txt"
    wait_for(lambda: "the configuration was read again" in log.read_text(errors="replace"), "other settings")
    assert home.alphadrop("retry", "--changed").stdout == "2 photographs are cut again\n"
    wait_for(lambda: all_settled(home) and settled(home) == 2, "both to be cut and moved")
    assert home.alphadrop("retry", "--changed").stdout == "every photograph was cut with the settings of now\n"


def test_in_a_pause_it_is_said_when_a_retry_happens(home: Home) -> None:
    cat = str(numbers(home)["cat.jpg"])
    home.alphadrop("pause")
    try:
        assert home.alphadrop("retry", cat).stdout.endswith("\npaused: that happens after: alphadrop resume\n")
        assert "  pending " in home.alphadrop("jobs", "--limit", "9").stdout
    finally:
        assert home.alphadrop("resume").stdout.startswith("resumed; ")
    wait_for(lambda: all_settled(home), "it to be cut")


# Against made-up answers ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "command",
    [
        ["retry"], ["retry", "--all", "1"], ["retry", "--changed", "1"], ["undo", "1", "--all"],
    ],
    ids=" ".join,
)  # fmt: skip
def test_what_contradicts_itself_is_bad_usage(command: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(command) == 2
    assert "wants either" in capsys.readouterr().err


@pytest.mark.parametrize(
    "command",
    [
        ["retry", "x"], ["retry", "0"], ["retry", str(2**63)], ["retry", "9" * 5000], ["retry", "1.5"], ["undo", "٣"],
        ["retry", "--all", "--changed"], ["jobs", "--failed", "--warned"], ["jobs", "--limit", "0"],
        ["jobs", "--limit", "10001"], ["jobs", "--limit", "9" * 5000], ["jobs", "--limit", "many"],
    ],
    ids=lambda command: " ".join(command)[:30],
)  # fmt: skip
def test_what_nobody_understands_is_bad_usage(command: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(command)
    assert ended.value.code == 2
    assert capsys.readouterr().out == ""


def job(**told: Any) -> dict[str, Any]:
    return {
        "id": 1, "folder": "/in", "path": "photo.jpg", "state": "done", "outcome": "done", "reason": "", "attempts": 1,
        "suspect": False, "size": 1, "model": "m", "seconds": {}, "warnings": [], "noted_at": time.time(),
        "started_at": None, "finished_at": None, "original": "", "original_at": "", "outputs": [], **told,
    }  # fmt: skip


@pytest.fixture
def lines(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Any:
    """A function that returns what `jobs` writes of made-up jobs, to a terminal of so many columns."""

    def lines(jobs: list[dict[str, Any]], columns: int | None = None, *options: str) -> list[str]:
        monkeypatch.setattr(Client, "jobs", lambda *_, **__: jobs)
        monkeypatch.setattr(sys.stdout, "isatty", lambda: columns is not None, raising=False)
        monkeypatch.setenv("COLUMNS", str(columns or 80))
        assert main(["jobs", *options]) == 0
        return capsys.readouterr().out.splitlines()

    return lines


def test_where_nothing_is_it_is_said(lines: Any) -> None:
    assert lines([]) == ["no photograph has been dropped yet"]
    assert lines([], None, "--failed") == ["no photograph has failed"]
    assert lines([], None, "--warned") == ["no cut-out came with a warning"]
    assert lines([], None, "--json") == ["[]"]


@pytest.mark.parametrize("columns", [80, 100, 200])
def test_a_table_is_no_wider_than_its_terminal(lines: Any, columns: int) -> None:
    long = "a folder with quite a long name/" * 5 + "photo.jpg"
    wide = "写真" * 60 + ".jpg"
    reason = f"/in/{long}: damaged or cut off (" + "words " * 40 + "copy or export it again)"
    jobs = [
        job(id=123_456, path=long, state="failed", outcome="damaged", reason=reason, original="moved", noted_at=0.0),
        job(path=wide, outcome="no_subject"),
        job(path="short.jpg", original="deleted"),
    ]
    told = lines(jobs, columns)
    assert all(len(line) + sum(character in "写真" for character in line) <= columns for line in told)
    assert told[0].startswith("123456  19")
    assert "  failed, moved  …" in told[0]
    assert told[0].endswith("/photo.jpg")
    assert told[1].startswith("        damaged or cut off (words")
    assert any(
        line.startswith("     1  ") and line.endswith("写真.jpg") and "  no subject     …" in line for line in told
    )
    assert told[-1].endswith("  done, deleted  /in/short.jpg")


def test_nothing_is_cut_off_where_no_terminal_is(lines: Any) -> None:
    long = "folder/" * 50 + "photo.jpg"
    told = lines([job(path=long, state="skipped", outcome="skipped", reason="words " * 50)])
    assert told[0].endswith(f"  skipped  /in/{long}")
    assert told[1] == "   " + "words " * 50


def test_each_warning_has_a_line_of_its_own(lines: Any) -> None:
    told = lines([job(id=12, warnings=["the subject was enlarged 2.0 times", "16 bit was reduced to 8"])] * 2, 80)
    assert told[1:3] == ["    the subject was enlarged 2.0 times", "    16 bit was reduced to 8"]
    assert len(told) == 6


def test_there_may_be_more_with_a_warning(lines: Any) -> None:
    told = lines([job(warnings=["16 bit was reduced to 8"])] * 2, 80, "--warned", "--limit", "1")
    assert told[-1] == "there are more: alphadrop jobs --warned --limit 10"


def test_a_photograph_that_is_suspect_says_so(lines: Any) -> None:
    told = lines([job(state="pending", outcome="", suspect=True)])
    assert told[1] == "   it was being cut when Alphadrop ended; it is tried in a process of its own"


def test_names_below_the_home_folder_are_written_short(lines: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/me")
    assert lines([job(folder="/home/me/in")])[0].endswith(f"  ~{os.sep}in/photo.jpg")
    assert lines([job(folder="/home/men/in")])[0].endswith("  /home/men/in/photo.jpg")
