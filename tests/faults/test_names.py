"""Faults of names: two photographs of one name, outputs that are not ours, bytes that are no text, names too long."""

from __future__ import annotations

import json
import os
import shutil
import socket
import unicodedata
from dataclasses import replace
from pathlib import Path, PurePath

import pytest
from PIL import Image

from alphadrop.client import Client, socket_file
from alphadrop.hotfolder.ledger import Row
from alphadrop.hotfolder.scan import look_at
from daemon_process import PATIENCE, Home, running, wait_for
from fake_segmenter import BLUE, GREEN, RED, Ground, photograph, started, until_done

ONE_NAME = {"foo.jpg": RED, "foo.png": GREEN}


def all_settled(ground: Ground, count: int) -> list[Row]:
    """Wait until so many files have ended in any way, and what is to become of their originals has; return them."""

    def rows() -> list[Row]:
        found = ground.ledger.rows(limit=10_000)
        ended = all(row.state not in ("pending", "working") and row.original not in ("due", "going") for row in found)
        return found if len(found) == count and ended else []

    return wait_for(rows, f"{count} files to end")


def until_up_to_date(ground: Ground) -> None:
    """Wait until every photograph has been cut as it is now."""

    def up_to_date() -> bool:
        rows = ground.ledger.rows(limit=10_000)
        return all(row.state == "done" and row.content == look_at(row.folder, row.path) for row in rows)

    wait_for(up_to_date, "all to be cut as they are now")


# 20: one name, two photographs


def test_row_20_two_photographs_of_one_name_have_two_outputs_and_keep_their_names(ground: Ground) -> None:
    def targets() -> dict[str, list[str]]:
        return {str(row.path): [target.name for target in ground.ledger.outputs(row)] for row in ground.ledger.rows()}

    for name, colour in ONE_NAME.items():
        ground.drop(name, colour)
    with started(ground):
        until_done(ground, 2)
    first = targets()
    assert sorted(ground.outputs().values()) == sorted(ONE_NAME.values())
    assert sorted(name for names in first.values() for name in names) in (
        ["foo.jpg.png", "foo.png"],
        ["foo.png", "foo.png.png"],
    )

    for turn in range(3):
        for name in reversed(ONE_NAME):
            photograph(ground.root / "new.png", BLUE, size=(50 + turn, 50)).replace(ground.input / name)
        with started(ground) as folders:
            until_up_to_date(ground)
            folders.retry(ground.row("foo.png").id)
            until_done(ground, 2)
        assert targets() == first
    assert set(ground.outputs().values()) == {BLUE}
    assert len(ground.outputs()) == 2


def test_row_20_their_names_outlive_the_ledger(tmp_path: Path) -> None:
    (tmp_path / "1").mkdir()
    ground = Ground(tmp_path / "1", settle=0.1)
    for name, colour in ONE_NAME.items():
        ground.drop(name, colour)
    with started(ground):
        until_done(ground, 2)
    before = ground.outputs()
    ground.ledger.close()

    (tmp_path / "2").mkdir()
    later = Ground(tmp_path / "2")
    later.settings = ground.settings
    later.input, later.output = ground.input, ground.output
    runs = later.fake.runs
    with started(later) as folders:
        until_done(later, 2)
        assert later.fake.runs == runs
        for row in later.ledger.rows():
            folders.retry(row.id)
        until_done(later, 2)
    assert later.outputs() == before
    later.ledger.close()


# 21: one name, several folders


def test_row_21_sub_folders_are_mirrored(ground: Ground) -> None:
    colours = {"x.jpg": RED, "a/x.jpg": GREEN, "b/x.jpg": BLUE, "b/c/x.jpg": RED, "b/c/y.jpg": GREEN}
    elsewhere = ground.root / "elsewhere"
    with started(ground):
        for name, colour in colours.items():
            if not name.startswith("b/"):
                ground.drop(name, colour)
        for name, colour in colours.items():
            if name.startswith("b/"):
                (elsewhere / name).parent.mkdir(parents=True, exist_ok=True)
                photograph(elsewhere / name, colour)
        (elsewhere / "b").rename(ground.input / "b")  # a whole tree comes in with one event
        until_done(ground, len(colours))
    assert ground.outputs() == {name.replace(".jpg", ".png"): colour for name, colour in colours.items()}


# 22: an output that is not ours


@pytest.mark.parametrize("there", ["file", "link", "folder", "pipe"])
@pytest.mark.parametrize("if_exists", ["number", "skip"])
def test_row_22_what_is_not_ours_is_never_written_over(ground: Ground, if_exists: str, there: str) -> None:
    ground.settings = replace(ground.settings, if_exists=if_exists)  # type: ignore[arg-type]
    own, victim = ground.output / "a.png", ground.root / "victim.png"
    victim.write_bytes(b"of somebody")
    if there == "file":
        own.write_bytes(b"of somebody")
    elif there == "link":
        own.symlink_to(victim)
    elif there == "folder":
        own.mkdir()
    else:
        os.mkfifo(own)
    before = os.lstat(own)
    ground.drop("a.jpg", GREEN)
    with started(ground):
        (row,) = all_settled(ground, 1)
    after = os.lstat(own)
    assert (after.st_ino, after.st_mode, after.st_mtime_ns) == (before.st_ino, before.st_mode, before.st_mtime_ns)
    assert victim.read_bytes() == b"of somebody"
    if if_exists == "skip":
        assert (row.state, os.listdir(ground.output)) == ("skipped", ["a.png"])
        assert f"{own} exists already" in row.reason
    else:
        assert (row.state, sorted(os.listdir(ground.output))) == ("done", ["a.jpg.png", "a.png"])


def test_row_22_an_output_that_somebody_has_retouched_is_his(ground: Ground) -> None:
    with started(ground):
        ground.drop("a.png", RED)
        until_done(ground, 1)
        photograph(ground.output / "a.png", BLUE)
        photograph(ground.root / "new.png", GREEN, size=(60, 60)).replace(ground.input / "a.png")
        until_up_to_date(ground)
        wait_for(lambda: len(os.listdir(ground.output)) == 2, "the new content's output")
    assert sorted(ground.outputs().values()) == sorted([BLUE, GREEN])
    assert ground.outputs()["a.png"] == BLUE


def test_row_22_the_settings_may_allow_it_and_then_a_link_is_replaced_and_not_written_through(ground: Ground) -> None:
    ground.settings = replace(ground.settings, if_exists="overwrite")
    victim = photograph(ground.root / "victim.png", BLUE)
    whole = victim.read_bytes()
    (ground.output / "a.png").symlink_to(victim)
    photograph(ground.output / "b.png", BLUE)
    ground.drop("a.jpg", RED)
    ground.drop("b.jpg", GREEN)
    with started(ground):
        until_done(ground, 2)
    assert ground.outputs() == {"a.png": RED, "b.png": GREEN}
    assert victim.read_bytes() == whole


# 23: a new content under an old name


@pytest.mark.parametrize("how", ["written over", "renamed over", "older", "of the same size", "removed before"])
def test_row_23_a_new_content_under_the_same_name_is_cut_and_replaces_our_output(ground: Ground, how: str) -> None:
    new = photograph(ground.root / "new.bmp", GREEN, size=(48, 40) if how == "of the same size" else (60, 60))
    with started(ground):
        dropped = ground.drop("a.bmp", RED)
        until_done(ground, 1)
        if how == "removed before":
            dropped.unlink()
        if how in ("renamed over", "removed before"):
            new.rename(dropped)
        elif how == "older":
            with dropped.open("wb", buffering=0) as stream:
                stream.write(new.read_bytes())
                os.utime(stream.fileno(), ns=(10**18, 10**18))  # while it is open: one new content, not two
        else:
            shutil.copyfile(new, dropped)
        wait_for(lambda: ground.shows("a.png", GREEN), "the new content's output")
        until_up_to_date(ground)
    assert ground.fake.runs == 2


# 26, 27: names of any kind

ODD_NAMES = {
    "a line\nand another": "newline",
    "-rf": "leading dash",
    "--help": "two dashes",
    "tab\tbell\x07": "control characters",
    "%s %d {stem} $HOME `id` ; * ? [a] 'b' \"c\" \\": "what shells and templates would read",
    " space before and after ": "spaces",
    "\u202etxt": "right to left",
    "\N{FAMILY}\N{ZERO WIDTH JOINER}": "symbols",
}


def test_row_26_composed_and_decomposed_names_are_two_photographs(ground: Ground) -> None:
    names = [unicodedata.normalize(form, "Häß\N{ANGSTROM SIGN}é") for form in ("NFC", "NFD")]
    for name, colour in zip(names, (RED, GREEN), strict=True):
        ground.drop(f"{name}.jpg", colour)
    if len(os.listdir(ground.input)) == 1:
        pytest.skip("this file system takes the two for one")
    with started(ground):
        until_done(ground, 2)
    assert ground.outputs() == {f"{names[0]}.png": RED, f"{names[1]}.png": GREEN}


@pytest.mark.parametrize("name", ODD_NAMES, ids=list(ODD_NAMES.values()))
def test_row_26_any_name_goes_the_whole_way_and_into_one_line_of_the_log(
    ground: Ground, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    for place in ("finished", "failed"):
        (ground.root / place).mkdir()
    ground.settings = replace(
        ground.settings, originals="move", finished=ground.root / "finished", failed=ground.root / "failed"
    )
    caplog.set_level("INFO", "alphadrop")
    with started(ground):
        ground.drop(f"{name}.jpg", GREEN)
        ground.drop(f"{name}/{name}.jpg", BLUE)
        (ground.input / f"{name}.png").write_bytes(b"no picture")
        all_settled(ground, 3)
    assert ground.outputs() == {f"{name}.png": GREEN, f"{name}/{name}.png": BLUE}
    assert sorted(os.listdir(ground.root / "finished")) == sorted([name, f"{name}.jpg"])
    assert sorted(os.listdir(ground.root / "failed")) == sorted([f"{name}.png", f"{name}.png.txt"])
    assert all(record.getMessage().isprintable() for record in caplog.records)


NOT_TEXT = os.fsdecode(b"\xff\xfe")


def get(run: Path, path: str) -> bytes:
    """Ask the daemon as a foreign client would; return the body of its answer."""
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(PATIENCE)
        client.connect(str(socket_file(run)))
        client.sendall(f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode())
        answer = b"".join(iter(lambda: client.recv(1 << 16), b""))
    head, _, body = answer.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200"), answer
    assert b"chunked" not in head.lower()
    return body


def test_row_27_a_name_that_is_no_text_is_cut_and_all_that_is_said_of_it_is(
    tmp_path_factory: pytest.TempPathFactory, photographs: dict[str, Path]
) -> None:
    home = Home(tmp_path_factory.mktemp("h"))
    below = home.root / NOT_TEXT
    home.configure(folder="settle: 0\noriginals: move\nfinished: finished\nfailed: failed")
    for place in ("finished", "failed"):
        (home.root / place).mkdir()
    below.mkdir()
    shutil.copy(photographs["cat"], below / f"{NOT_TEXT}.jpg")
    (below / f"bad{NOT_TEXT}\n.jpg").write_bytes(b"no picture")
    with running(home):
        below.rename(home.input / NOT_TEXT)

        def both_are_moved() -> bool:
            return [job["original"] for job in Client(home.run).jobs()] == ["moved", "moved"]

        wait_for(both_are_moved, "both to end")
        jobs = json.loads(get(home.run, "/v1/jobs").decode("utf-8"))["jobs"]
        status = json.loads(get(home.run, "/v1/status").decode("utf-8"))
        told = [home.alphadrop(command, "--json").stdout for command in ("status", "jobs")]
        plain = [home.alphadrop(command) for command in ("status", "jobs")]
        log = (home.root / "data" / "log" / "alphadrop.log").read_bytes()
    assert {job["path"]: job["state"] for job in jobs} == {
        "\\xff\\xfe/\\xff\\xfe.jpg": "done",
        "\\xff\\xfe/bad\\xff\\xfe\\n.jpg": "failed",
    }
    assert (status["folders"][0]["done"], status["folders"][0]["failed"]) == (1, 1)
    for text in (*told, *map(json.dumps, (jobs, status))):
        json.loads(text)
        text.encode("utf-8")
    assert all(said.returncode == 0 and said.stdout.encode("utf-8") for said in plain)
    lines = log.decode("utf-8").splitlines()
    assert all(line.isprintable() for line in lines)
    assert any("\\xff\\xfe.jpg -> " in line for line in lines)
    assert any("bad\\xff\\xfe\\n.jpg: not a picture" in line for line in lines)
    assert (home.root / "stderr.txt").read_bytes().decode("utf-8")

    raw = os.fsencode(NOT_TEXT)
    assert os.listdir(os.fsencode(home.output / NOT_TEXT)) == [raw + b".png"]
    assert os.listdir(os.fsencode(home.root / "finished" / NOT_TEXT)) == [raw + b".jpg"]
    failed = os.fsencode(home.root / "failed" / NOT_TEXT)
    assert sorted(os.listdir(failed)) == [b"bad" + raw + b"\n.jpg", b"bad" + raw + b"\n.jpg.txt"]


# 28: names as long as they can be

LONGEST = {
    "one byte a character": "x" * 251 + ".jpg",
    "three bytes a character": "\N{SNOWMAN}" * 83 + "ab.jpg",
    "combining": unicodedata.normalize("NFD", "é") * 83 + "ab.jpg",
    "no text": os.fsdecode(b"\xff" * 251) + ".jpg",
    "a long suffix": "x" * 250 + ".jpeg",
    "short, with a long folder": "d" * 255 + "/" + "x" * 251 + ".jpg",
}


@pytest.fixture
def moving(ground: Ground) -> Ground:
    """Ground whose originals are moved away, whatever becomes of them."""
    places = {name: ground.root / name for name in ("finished", "failed")}
    for place in places.values():
        place.mkdir()
    ground.settings = replace(ground.settings, originals="move", **places)  # type: ignore[arg-type]
    return ground


@pytest.mark.parametrize("name", LONGEST.values(), ids=list(LONGEST))
def test_row_28_the_longest_names_are_cut_moved_and_brought_back(moving: Ground, name: str) -> None:
    raw = os.fsencode(name)
    assert max(map(len, raw.split(b"/"))) == 255
    moving.settings = replace(moving.settings, result="both")
    with started(moving) as folders:
        moving.drop(name, GREEN)
        (row,) = all_settled(moving, 1)
        assert (row.state, row.original) == ("done", "moved"), row.reason
        outputs = moving.ledger.outputs(row)
        assert len(outputs) == 2
        assert files(moving.output) == sorted(os.fsencode(path.relative_to(moving.output)) for path in outputs)
        assert files(moving.root / "finished") == [raw]
        assert files(moving.input) == []

        moving.drop(name, BLUE)  # another photograph of that name
        wait_for(lambda: len(files(moving.root / "finished")) == 2, "the second to be moved")
        (row,) = all_settled(moving, 1)
        assert len(files(moving.output)) == 4
        folders.undo(row.id)
        assert files(moving.input) == [raw]
    assert len(files(moving.root / "finished")) == 1
    for path in moving.output.rglob("*.png"):
        with Image.open(path) as image:
            image.load()


@pytest.mark.parametrize("name", LONGEST.values(), ids=list(LONGEST))
def test_row_28_the_longest_names_that_fail_have_their_reason_beside_them(moving: Ground, name: str) -> None:
    with started(moving) as folders:
        path = moving.input / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"no picture")
        (row,) = all_settled(moving, 1)
        assert (row.state, row.original) == ("failed", "moved")
        moved = [path for path in (moving.root / "failed").rglob("*") if path.is_file()]
        (reason,) = [path for path in moved if path.suffix == ".txt"]
        assert "not a picture" in reason.read_text(encoding="utf-8")
        assert [path for path in moved if path != reason] == [moving.root / "failed" / name]
        folders.undo(row.id)
    assert files(moving.root / "failed") == []
    assert files(moving.input) == [os.fsencode(name)]


def test_row_28_the_longest_names_that_differ_at_their_ends_have_outputs_of_their_own(ground: Ground) -> None:
    names = {"x" * 250 + f"{number}.jpg": colour for number, colour in enumerate((RED, GREEN, BLUE))}
    with started(ground):
        for name, colour in names.items():
            ground.drop(name, colour)
        until_done(ground, 3)
    assert sorted(ground.outputs().values()) == sorted(names.values())


def files(folder: Path) -> list[bytes]:
    """Return every file below a folder, hidden ones too."""
    found = [path for path in folder.rglob("*") if not path.is_dir()]
    return sorted(os.fsencode(PurePath(path).relative_to(folder)) for path in found)
