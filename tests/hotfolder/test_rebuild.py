"""What was done is learnt from the marks in the outputs, and nothing is believed that they do not say."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path, PurePath

import numpy as np
import pytest

from alphadrop import atomic
from alphadrop.engine.encode import Picture, encode
from alphadrop.engine.options import Format
from alphadrop.errors import CannotRead, LedgerError
from alphadrop.hotfolder.ledger import Ledger
from alphadrop.hotfolder.marks import Mark, folder_tag, to_xmp
from alphadrop.hotfolder.rebuild import rebuild
from alphadrop.hotfolder.settings import FolderSettings
from alphadrop.hotfolder.stability import Content
from alphadrop.pipeline.order import Kind

SECOND = 1_000_000_000
MADE = 1_760_000_000 * SECOND
"""When most outputs of these tests were made."""
AS_IT_WAS, AS_IT_IS = Content(4, 1 * SECOND), Content(7, 2 * SECOND)
PIXELS = np.random.default_rng(1).integers(0, 60, (20, 20, 4), dtype=np.uint8)


@dataclass
class Ground:
    """Two folders and a ledger that knows nothing of them."""

    settings: FolderSettings
    ledger: Ledger

    def photograph(self, name: str, content: Content = AS_IT_IS) -> None:
        path = self.settings.input / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"p" * content.size)
        os.utime(path, ns=(content.mtime_ns, content.mtime_ns))

    def output(
        self,
        name: str,
        source: str = "x.jpg",
        *,
        of: Content = AS_IT_IS,
        kind: Kind = "cutout",
        made_ns: int = MADE,
        settings: str = "abc",
        folder: Path | None = None,
        format: Format = "png",
    ) -> Content:
        """Write an output as the worker does; return what it is like."""
        path = self.settings.output / name
        path.parent.mkdir(parents=True, exist_ok=True)
        mark = Mark(folder_tag(folder or self.settings.input), source, of, settings, kind, made_ns)
        pixels = PIXELS[..., :3] if format == "jpeg" else PIXELS
        written = atomic.write(
            path, encode(Picture(pixels, xmp=to_xmp(mark)), format), replace=False, modified_ns=made_ns
        )
        return Content(written.st_size, written.st_mtime_ns)

    def touch(self, name: str) -> None:
        later = MADE + 60 * SECOND
        os.utime(self.settings.output / name, ns=(later, later))

    def rebuild(self) -> int:
        return rebuild(self.settings, self.ledger)

    @property
    def rows(self) -> dict[str, str]:
        """Each file of the ledger and its state."""
        return {row.path.as_posix(): row.state for row in self.ledger.rows(limit=-1)}

    def claim(self, name: str) -> tuple[str, tuple[Content, ...]] | None:
        """Return whose an output is, and what it is like where it is ours."""
        claim = self.ledger.claim_of(self.settings.output / name)
        return None if claim is None else (self.ledger.row(claim.file).path.as_posix(), claim.ours)

    def is_work(self, name: str, content: Content = AS_IT_IS) -> bool:
        """Return whether a photograph that is there would be cut."""
        row = next((row for row in self.ledger.rows(limit=-1) if row.path == PurePath(name)), None)
        known = self.ledger.knows(self.settings.input, PurePath(name), content)
        return not known or (row is not None and row.state == "pending")


@pytest.fixture
def ground(tmp_path: Path) -> Iterator[Ground]:
    for name in ("in", "out"):
        (tmp_path / name).mkdir()
    ledger = Ledger(tmp_path / "ledger.sqlite")
    yield Ground(FolderSettings(tmp_path / "in", tmp_path / "out", "model"), ledger)
    ledger.close()


@pytest.mark.parametrize(
    ("format", "name"), [("png", "x.png"), ("webp", "x.webp"), ("tiff", "x.tif"), ("jpeg", "X.JPG")]
)
def test_a_photograph_with_an_output_is_done_and_the_output_ours(ground: Ground, format: Format, name: str) -> None:
    ground.photograph("x.jpg")
    output = ground.output(name, format=format, settings="0123456789abcdef")
    assert ground.rebuild() == 1
    (row,) = ground.ledger.rows()
    assert (row.folder, row.path, row.content) == (ground.settings.input, PurePath("x.jpg"), AS_IT_IS)
    assert (row.state, row.outcome, row.settings) == ("done", "done", "0123456789abcdef")
    assert row.finished_at == MADE / SECOND
    assert ground.claim(name) == ("x.jpg", (output,))
    assert not ground.is_work("x.jpg")


def test_an_empty_output_folder_teaches_nothing(ground: Ground) -> None:
    ground.photograph("x.jpg")
    assert ground.rebuild() == 0
    assert ground.rows == {}


def test_a_photograph_changed_since_is_work_and_its_output_is_known_as_ours(ground: Ground) -> None:
    ground.photograph("x.jpg", AS_IT_IS)
    output = ground.output("x.png", of=AS_IT_WAS)
    ground.rebuild()
    assert ground.is_work("x.jpg")
    assert ground.claim("x.png") == ("x.jpg", (output,))


def test_foreign_files_are_left_alone(ground: Ground) -> None:
    ground.photograph("x.jpg")
    output = ground.settings.output
    (output / "x.png").write_bytes(b"".join(encode(Picture(PIXELS), "png")))
    (output / "y.png").write_bytes(b"no picture")
    (output / "notes.txt").write_text("mine")
    (output / "link.png").symlink_to(output / "x.png")
    (output / "folder.png").mkdir()
    os.mkfifo(output / "pipe.png")
    ground.output("z.png.bak")
    assert ground.rebuild() == 0
    assert ground.rows == {}
    assert {path.name for path in output.iterdir()} == {
        "x.png", "y.png", "notes.txt", "link.png", "folder.png", "pipe.png", "z.png.bak",
    }  # fmt: skip


def test_outputs_of_another_folder_are_not_ours(ground: Ground) -> None:
    ground.photograph("x.jpg")
    ground.output("x.png", folder=Path("/elsewhere"))
    ground.output("y.png", "y.jpg")
    assert ground.rebuild() == 1
    assert ground.rows == {"y.jpg": "done"}
    assert ground.claim("x.png") is None


def test_an_output_that_somebody_changed_keeps_its_name_and_is_not_ours(ground: Ground) -> None:
    ground.photograph("x.jpg")
    ground.output("x.png")
    ground.touch("x.png")
    assert ground.rebuild() == 1
    assert ground.claim("x.png") == ("x.jpg", ())
    assert not ground.is_work("x.jpg"), "what somebody has worked on is not made again unasked"


@pytest.mark.parametrize("newest", ["x-10.png", "x-2.png", "x.jpg.png", "x.png"])
def test_of_several_outputs_of_a_photograph_the_newest_counts(ground: Ground, newest: str) -> None:
    ground.photograph("x.jpg", AS_IT_IS)
    for age, name in enumerate(("x-10.png", "x-2.png", "x.jpg.png", "x.png"), start=1):
        if name != newest:
            ground.output(name, of=AS_IT_WAS, made_ns=MADE - age * SECOND, settings="old")
    output = ground.output(newest, of=AS_IT_IS, settings="new")
    assert ground.rebuild() == 1
    (row,) = ground.ledger.rows()
    assert (row.content, row.settings, row.state) == (AS_IT_IS, "new", "done")
    assert ground.claim(newest) == ("x.jpg", (output,))
    others = {"x-10.png", "x-2.png", "x.jpg.png", "x.png"} - {newest}
    assert [ground.claim(name) for name in others] == [None] * 3


# Of a copy with its time and a name as long nobody can tell.
@pytest.mark.parametrize(
    ("copy", "with_its_time"),
    [
        (copy, with_its_time)
        for copy in ("a copy of x.png", "x (2).png", "x copy.png", "y.png", "z x.png", "a.png")
        for with_its_time in (True, False)
        if len(copy) > len("x.png") or not with_its_time
    ],
)
def test_a_copy_that_somebody_made_is_not_taken_for_the_output(ground: Ground, copy: str, with_its_time: bool) -> None:
    output = ground.output("x.png")
    ground.output(copy)
    if not with_its_time:
        ground.touch(copy)
    assert ground.rebuild() == 1
    assert ground.claim("x.png") == ("x.jpg", (output,))
    assert ground.claim(copy) is None


def test_of_cut_out_and_mask_each_is_known(ground: Ground) -> None:
    ground.settings = replace(ground.settings, result="both")
    ground.photograph("x.jpg")
    cutout, mask = ground.output("x.png"), ground.output("x.mask.png", kind="mask")
    assert ground.rebuild() == 1
    assert ground.rows == {"x.jpg": "done"}
    assert ground.claim("x.png") == ("x.jpg", (cutout,))
    assert ground.claim("x.mask.png") == ("x.jpg", (mask,))


@pytest.mark.parametrize("kind", ["cutout", "mask"])
def test_where_one_of_two_is_missing_both_are_made_again(ground: Ground, kind: Kind) -> None:
    ground.settings = replace(ground.settings, result="both")
    ground.photograph("x.jpg")
    output = ground.output("x.png", kind=kind)
    assert ground.rebuild() == 1
    assert ground.rows == {"x.jpg": "pending"}
    assert ground.claim("x.png") == ("x.jpg", (output,))


def test_where_two_are_of_different_contents_both_are_made_again(ground: Ground) -> None:
    ground.settings = replace(ground.settings, result="both")
    ground.photograph("x.jpg", AS_IT_IS)
    ground.output("x.png", of=AS_IT_IS)
    ground.output("x.mask.png", of=AS_IT_WAS, kind="mask", made_ns=MADE - SECOND)
    assert ground.rebuild() == 1
    assert ground.rows == {"x.jpg": "pending"}


def test_where_a_mask_is_wanted_and_a_cut_out_is_there_the_mask_is_made(ground: Ground) -> None:
    ground.settings = replace(ground.settings, result="mask")
    ground.photograph("x.jpg")
    ground.output("x.png")
    ground.rebuild()
    assert ground.rows == {"x.jpg": "pending"}


@pytest.mark.parametrize("result", ["cutout", "both"])
def test_a_photograph_that_is_gone_is_known_and_soon_forgotten(ground: Ground, result: str) -> None:
    if result == "both":
        ground.settings = replace(ground.settings, result="both")
    ground.output("x.png")
    assert ground.rebuild() == 1
    assert ground.rows == {"x.jpg": "done"}
    ((*_, is_there),) = ground.ledger.look_after(ground.settings.input, 0, 9)
    assert not is_there
    assert not ground.is_work("x.jpg"), "should it come back as it was"
    assert ground.ledger.purge([ground.settings.input], 1.0, 0.0) == 1


def test_another_photograph_under_the_name_of_one_that_is_gone_leaves_its_output_alone(ground: Ground) -> None:
    ground.output("x.png", of=AS_IT_WAS)
    ground.rebuild()
    ground.ledger.note(ground.settings.input, [(PurePath("x.jpg"), AS_IT_IS)], 1.76e9)
    assert ground.claim("x.png") is None


def test_names_need_not_be_text(ground: Ground) -> None:
    source, name = os.fsdecode(b"\xff\nx.jpg"), os.fsdecode(b"\xff\nx.png")
    ground.photograph(source)
    output = ground.output(name, source)
    assert ground.rebuild() == 1
    (row,) = ground.ledger.rows()
    assert os.fsencode(row.path) == b"\xff\nx.jpg"
    assert ground.claim(name) == (source, (output,))
    assert not ground.is_work(source)


def test_sub_folders_of_the_output_are_those_of_the_input(ground: Ground) -> None:
    for folder in ("", "a/", "a/b/"):
        ground.photograph(f"{folder}x.jpg")
        ground.output(f"{folder}x.png")
    assert ground.rebuild() == 3
    assert ground.rows == {"x.jpg": "done", "a/x.jpg": "done", "a/b/x.jpg": "done"}
    assert not any(ground.is_work(name) for name in ground.rows)
    claim = ground.claim("a/b/x.png")
    assert claim is not None
    assert claim[0] == "a/b/x.jpg"


def test_without_recursion_sub_folders_are_left_alone(ground: Ground) -> None:
    ground.settings = replace(ground.settings, recursive=False)
    ground.output("x.png")
    ground.output("a/y.png", "y.jpg")
    assert ground.rebuild() == 1
    assert ground.rows == {"x.jpg": "done"}


def test_what_a_crash_left_in_the_folders_is_removed_and_nothing_else(ground: Ground) -> None:
    ground.output("a/x.png")
    for folder in ("", "a", "a/b"):
        place = ground.settings.output / folder
        place.mkdir(exist_ok=True)
        (place / ".alphadrop-0123456789abcdef.part").write_bytes(b"half")
        (place / ".hidden.part").write_bytes(b"mine")
    ground.rebuild()
    left = sorted(path.relative_to(ground.settings.output).as_posix() for path in ground.settings.output.rglob("*.p*"))
    assert left == [".hidden.part", "a/.hidden.part", "a/b/.hidden.part", "a/x.png"]


def test_the_same_is_learnt_only_once(ground: Ground) -> None:
    ground.photograph("x.jpg")
    ground.output("x.png")
    ground.rebuild()
    before = ground.ledger.rows()
    assert ground.rebuild() == 1
    assert ground.ledger.rows() == before


def test_what_the_ledger_knows_already_stays(ground: Ground) -> None:
    ground.settings = replace(ground.settings, result="both")
    folder, ledger = ground.settings.input, ground.ledger
    for name in ("failed", "no subject", "pending"):
        ground.photograph(f"{name}.jpg")
        ground.output(f"{name}.png", f"{name}.jpg", of=AS_IT_WAS)
        ledger.note(folder, [(PurePath(f"{name}.jpg"), AS_IT_IS)], 1.9e9)
    for end in ("failed", "no subject"):
        row = ledger.take(folder, 0.0, 1.9e9)
        assert row is not None
        assert row.path.stem == end
        if end == "failed":
            ledger.fail(row, "damaged", "cut off", now=1.9e9)
        else:
            ledger.finish(row, "done", "no_subject", now=1.9e9, settings="abc")
    before = ledger.rows()
    ground.rebuild()
    assert ledger.rows() == before


def test_an_output_folder_that_cannot_be_listed_is_a_typed_error(ground: Ground) -> None:
    ground.settings.output.rmdir()
    with pytest.raises(CannotRead):
        ground.rebuild()


def test_a_ledger_that_takes_nothing_is_a_typed_error(ground: Ground) -> None:
    ground.output("x.png")
    ground.ledger.close()
    with pytest.raises(LedgerError):
        ground.rebuild()
