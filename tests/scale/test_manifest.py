"""The manifest: lines that survive a kill, one row for each photograph in the end, in folders and in object stores."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from alphadrop.scale.manifest import FOLDER, Manifest, Row, from_line, to_line
from alphadrop.scale.stores import Folder

ROW = Row("a/cat.jpg", 1234, 1_700_000_000_000_000_001, "0123456789abcdef", "done", "a/cat.png", 99, model="u2net-int8")
FAILED = replace(ROW, input="b.jpg", status="failed", output=None, bytes=0, code="damaged", reason="b.jpg: damaged")


class Objects(Folder):
    """A folder that behaves like an object store: files are put whole."""

    appends = False


def files(root: Path) -> list[str]:
    return sorted(path.name for path in (root / FOLDER).iterdir())


def written(store: Folder) -> list[Row]:
    return list(Manifest(store).rows())


@pytest.mark.parametrize(
    "row",
    [
        ROW,
        FAILED,
        replace(ROW, input="caf\udce9\n.jpg", warnings=("16 bit was reduced to 8", "ü")),
        Row("a", 0, 0, "x", "working"),
    ],
)
def test_a_row_is_one_line_of_ascii_and_comes_back(row: Row) -> None:
    line = to_line(row)
    assert line.isascii()
    assert line.index("\n") == len(line) - 1
    assert from_line(line) == row


@pytest.mark.parametrize(
    "line",
    [
        "", "\n", "{}", "[]", "null", "7", '"text"', to_line(ROW)[:-20],
        '{"input":"a","size":1,"modified":2,"settings":"x","status":"unheard of"}',
        '{"input":7,"size":1,"modified":2,"settings":"x","status":"done"}',
        '{"input":"a","size":"1","modified":2,"settings":"x","status":"done"}',
        '{"input":"a","size":1,"modified":2,"settings":"x","status":"done","warnings":5}',
        b"\xff\xfe",
    ],
)  # fmt: skip
def test_what_is_no_row_is_none(line: str | bytes) -> None:
    assert from_line(line) is None


def test_fields_of_a_later_version_are_passed_over() -> None:
    assert from_line(json.dumps({**json.loads(to_line(ROW)), "colour": "red"})) == ROW


def test_a_folder_has_one_file_a_run_that_grows(tmp_path: Path) -> None:
    store = Folder(tmp_path)
    for run in range(2):
        manifest = Manifest(store)
        manifest.begin(replace(ROW, status="working"))
        manifest.add([replace(ROW, size=run)])
        manifest.add([])
        manifest.add([FAILED, replace(FAILED, input="c.jpg")])
    assert files(tmp_path) == ["00000001-00000001.jsonl", "00000002-00000001.jsonl"]
    assert [(row.input, row.size) for row in written(store) if row.status == "done"] == [
        ("a/cat.jpg", 0),
        ("a/cat.jpg", 1),
    ]


def test_an_object_store_gets_a_part_for_each_block_or_when_rows_have_waited(tmp_path: Path) -> None:
    now = [0.0]
    store = Objects(tmp_path)
    manifest = Manifest(store, lambda: now[0])
    manifest.begin(replace(ROW, status="working"))
    rows = [replace(ROW, input=f"{number}.jpg") for number in range(250)]
    for row in rows[:199]:
        manifest.add([row])
    assert not (tmp_path / FOLDER).exists()
    manifest.add(rows[199:210])
    assert files(tmp_path) == ["00000001-00000001.jsonl"]
    assert written(store) == rows[:210]
    manifest.add(rows[210:])
    now[0] = 31.0
    manifest.add([])
    assert files(tmp_path) == ["00000001-00000001.jsonl", "00000001-00000002.jsonl"]
    assert written(store) == rows


@pytest.mark.parametrize("kind", [Folder, Objects])
def test_tidying_leaves_one_file_and_later_runs_come_after_it(tmp_path: Path, kind: type[Folder]) -> None:
    store = kind(tmp_path)
    first = Manifest(store)
    first.add([replace(ROW, input=f"{number}.jpg") for number in range(300)])
    assert not first.is_tidy
    first.compact([ROW, FAILED])
    assert first.is_tidy
    assert len(files(tmp_path)) == 1
    assert written(store) == [ROW, FAILED]
    later = Manifest(store)
    assert later.is_tidy
    later.add([replace(ROW, size=5)] * 200)
    assert [row.size for row in written(store)][-1] == 5
    later.compact([replace(ROW, size=5), FAILED])
    assert [row.size for row in written(store)] == [5, 1234]


def test_a_line_cut_off_by_a_power_cut_spoils_no_other(tmp_path: Path) -> None:
    store = Folder(tmp_path)
    Manifest(store).add([ROW, FAILED])
    (file,) = (tmp_path / FOLDER).iterdir()
    file.write_bytes(file.read_bytes()[:-7])
    Manifest(store).add([replace(ROW, input="later.jpg")])
    manifest = Manifest(store)
    assert [row.input for row in manifest.rows()] == ["a/cat.jpg", "later.jpg"]
    assert manifest.damaged == 1
    assert not manifest.is_tidy


def test_a_line_that_could_not_be_written_whole_is_taken_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import os

    from alphadrop.errors import DiskFull

    store = Folder(tmp_path)
    manifest = Manifest(store)
    manifest.add([ROW])

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", full)
        with pytest.raises(DiskFull):
            manifest.add([FAILED])
    manifest.add([replace(ROW, input="later.jpg")])
    assert [row.input for row in written(store)] == ["a/cat.jpg", "later.jpg"]


def test_tidying_that_fails_leaves_what_was_there(tmp_path: Path) -> None:
    store = Folder(tmp_path)
    manifest = Manifest(store)
    manifest.add([ROW, FAILED])

    def rows() -> Iterable[Row]:
        yield ROW
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        manifest.compact(rows())
    assert written(store) == [ROW, FAILED]


def test_what_others_put_there_is_passed_over(tmp_path: Path) -> None:
    (tmp_path / FOLDER).mkdir(parents=True)
    for name in ("notes.txt", "x.jsonl", "²-1.jsonl"):
        (tmp_path / FOLDER / name).write_text("nonsense\n")
    manifest = Manifest(Folder(tmp_path))
    assert list(manifest.rows()) == []
    assert manifest.damaged == 2


def test_parquet_has_a_line_for_each_row(tmp_path: Path) -> None:
    parquet: Any = pytest.importorskip("pyarrow.parquet")
    from alphadrop.scale.objects import write_parquet

    odd = replace(ROW, input="caf\udce9.jpg", warnings=("one", "two"))
    write_parquet([odd, FAILED], tmp_path / "m.parquet")
    first, second = parquet.read_table(tmp_path / "m.parquet").to_pylist()
    assert (first["input"], first["warnings"], first["bytes"]) == ("caf\\xe9.jpg", ["one", "two"], 99)
    assert first["modified"].timestamp() == pytest.approx(1_700_000_000)
    assert (second["status"], second["code"], second["output"]) == ("failed", "damaged", None)
