"""Folders as stores, and how stores are named."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from alphadrop.errors import BadOptions, InputChanged, ScaleMissing, TargetExists
from alphadrop.hotfolder.stability import Content
from alphadrop.scale.stores import Folder, Found, open_store, refuse_cycles


def test_a_folder_is_named_by_a_path_or_a_file_url(tmp_path: Path) -> None:
    odd = tmp_path / "a b%20c"
    assert open_store(str(odd)).text == str(odd)
    assert open_store(f"file://{tmp_path}/a%20b%2520c").text == str(odd)
    assert open_store(os.path.relpath(odd)).text == str(odd)


@pytest.mark.parametrize(
    "text", ["http://shop/x", "ftp://x", "file://elsewhere/x", "s3://", "s3://shop/../x", "s3://shop/x?y=1"]
)
def test_urls_that_name_no_store_are_refused(text: str) -> None:
    with pytest.raises(BadOptions):
        open_store(text)


def test_without_the_extra_that_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(ScaleMissing, match=r"alphadrop\[scale\]"):
        open_store("s3://shop/raw")


def test_links_and_hidden_files_are_passed_over(tmp_path: Path) -> None:
    for name in ("a.jpg", ".b.jpg", "c/d.jpg", ".e/f.jpg"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"1")
    (tmp_path / "link.jpg").symlink_to(tmp_path / "a.jpg")
    (tmp_path / "links").symlink_to(tmp_path / "c")
    assert [found.name for found in Folder(tmp_path).walk()] == ["a.jpg", "c/d.jpg"]
    assert [found.name for found in Folder(tmp_path).walk(Folder(tmp_path / "c"))] == ["a.jpg"]


def test_a_photograph_that_changes_while_it_is_read_is_not_believed(tmp_path: Path) -> None:
    path = tmp_path / "a.jpg"
    path.write_bytes(b"1234")
    (found,) = Folder(tmp_path).walk()
    with Folder(tmp_path).read(found) as source:
        path.write_bytes(b"12345")
        with pytest.raises(InputChanged):
            source.refuse_if_changed()
    with pytest.raises(InputChanged), Folder(tmp_path).read(Found("a.jpg", Content(4, 0))):
        pass


def test_a_file_is_put_whole_with_its_time(tmp_path: Path) -> None:
    store = Folder(tmp_path / "new")
    assert store.put("a/b.png", [b"12", b"3"], replace=False, modified_ns=1_600_000_000_000_000_000) == 3
    assert (store.path / "a" / "b.png").stat().st_mtime == 1_600_000_000
    with pytest.raises(TargetExists):
        store.put("a/b.png", [b"4"], replace=False)

    def refuse() -> None:
        raise InputChanged("changed")

    with pytest.raises(InputChanged):
        store.put("a/b.png", [b"5"], replace=True, before=refuse)
    assert os.listdir(store.path / "a") == ["b.png"]
    assert (store.path / "a" / "b.png").read_bytes() == b"123"


def test_cycles_are_refused(tmp_path: Path) -> None:
    inner, outer = Folder(tmp_path / "a"), Folder(tmp_path)
    refuse_cycles(outer, inner)
    refuse_cycles(inner, Folder(tmp_path / "ab"))
    for source, target in ((inner, inner), (inner, outer)):
        with pytest.raises(BadOptions):
            refuse_cycles(source, target)
