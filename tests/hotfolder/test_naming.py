"""Which files are photographs to cut, and what their outputs are called."""

from __future__ import annotations

import os
from itertools import islice
from pathlib import Path, PurePath

import pytest

from alphadrop.hotfolder.naming import kinds, names, wanted
from alphadrop.hotfolder.settings import FolderSettings


def settings(**given: object) -> FolderSettings:
    return FolderSettings(Path("/in"), Path("/out"), "u2net-int8", **given)  # type: ignore[arg-type]


def first(photo: str, count: int = 3, **given: object) -> list[str]:
    return [path.as_posix() for path in islice(names(PurePath(photo), settings(**given), "cutout"), count)]


def test_sub_folders_are_mirrored() -> None:
    assert first("a/b/foo.jpg", 1) == ["a/b/foo.png"]


def test_the_second_name_carries_the_suffix_and_then_they_are_numbered() -> None:
    assert first("foo.jpg", 4) == ["foo.png", "foo.jpg.png", "foo-2.png", "foo-3.png"]
    assert first("foo.png", 2) == ["foo.png", "foo.png.png"]


def test_a_template_makes_the_name() -> None:
    assert first("foo.jpg", 3, name="{stem}-cut") == ["foo-cut.png", "foo-cut.jpg.png", "foo-cut-2.png"]
    assert first("foo.jpg", 2, name="{stem}_{ext}") == ["foo_jpg.png", "foo_jpg-2.png"]


def test_what_looks_like_a_template_in_a_photographs_own_name_stays_as_it_is() -> None:
    assert first("a{ext}.jpg", 1) == ["a{ext}.png"]
    assert first("a{stem}.jpg", 1, name="{ext}-{stem}") == ["jpg-a{stem}.png"]


def test_a_mask_says_so_in_its_name() -> None:
    assert next(names(PurePath("a/foo.jpg"), settings(), "mask")) == PurePath("a/foo.mask.png")
    assert kinds(settings(result="mask")) == ("mask",)
    assert kinds(settings(result="both")) == ("cutout", "mask")
    assert kinds(settings()) == ("cutout",)


@pytest.mark.parametrize(
    "stem",
    ["x" * 251, "ü" * 125, "木" * 83, "🐈" * 62, os.fsdecode(b"\xff" * 251), os.fsdecode(b"\x80" * 251)],
    ids=["ascii", "two bytes", "three bytes", "four bytes", "not UTF-8", "continuations alone"],
)
def test_a_name_of_255_bytes_gives_names_that_fit_and_differ(stem: str) -> None:
    name = f"{stem}.jpg"
    assert 250 <= len(os.fsencode(name)) <= 255
    for kind in ("cutout", "mask"):
        given = [path.name for path in islice(names(PurePath(name), settings(), kind), 12)]
        assert all(len(os.fsencode(each)) <= 255 for each in given)
        assert len(set(given)) == len(given)


@pytest.mark.parametrize("character", ["ü", "木", "🐈"])
def test_a_long_name_is_never_cut_inside_a_character(character: str) -> None:
    for pad in range(4):
        given = next(names(PurePath("x" * pad + character * 90 + "x" * 100), settings(), "mask"))
        given.name.encode("utf-8")  # would fail on half a character
        assert "~" in given.name


def test_two_long_names_that_begin_alike_do_not_become_one() -> None:
    one, other = (next(names(PurePath("x" * 250 + end), settings(), "mask")) for end in ("a", "b"))
    assert one != other


def test_a_name_that_is_not_utf_8_keeps_its_bytes() -> None:
    given = next(names(PurePath(os.fsdecode(b"\xff\xfe.jpg")), settings(), "cutout"))
    assert os.fsencode(given) == b"\xff\xfe.png"


@pytest.mark.parametrize("name", ["a.jpg", "A.JPG", "b/c.png", "x.jpeg", "x.tif", "-x.jpg", "a\nb.webp", "x.heic"])
def test_photographs_are_wanted(name: str) -> None:
    assert wanted(PurePath(name), settings())


@pytest.mark.parametrize(
    "name", [".a.jpg", ".hidden/a.jpg", "a/.b/c.jpg", "a.txt", "a", "x.jpg.part", "x.jpg.crdownload", "jpg"]
)
def test_hidden_files_other_files_and_half_downloads_are_not(name: str) -> None:
    assert not wanted(PurePath(name), settings())


def test_our_own_temporaries_are_never_wanted_even_where_a_pattern_asks_for_all() -> None:
    assert not wanted(PurePath(".alphadrop-0123456789abcdef.part"), settings(include=("*",)))


def test_include_replaces_the_suffixes_and_exclude_wins() -> None:
    some = settings(include=("*.jpg", "new/*"), exclude=("*-draft.*",))
    assert wanted(PurePath("deep/a.JPG"), some)
    assert wanted(PurePath("new/a.png"), some)
    assert not wanted(PurePath("old/a.png"), some)
    assert not wanted(PurePath("new/a-Draft.png"), some)
