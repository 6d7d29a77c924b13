"""Every row ends as one whole output or as a named failure, and nobody's file is ever written over."""

from __future__ import annotations

import contextlib
import errno
import os
import stat as stat_module
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path, PurePath
from typing import Any, NoReturn

import pytest
from PIL import Image

from alphadrop import atomic
from alphadrop.engine.options import CutOptions
from alphadrop.errors import CrashesDecoder, ModelMissing
from alphadrop.hotfolder import worker as worker_module
from alphadrop.hotfolder.ledger import Ledger, Row
from alphadrop.hotfolder.originals import put_away
from alphadrop.hotfolder.scan import look_at
from alphadrop.hotfolder.settings import FolderSettings
from alphadrop.hotfolder.worker import Worker
from alphadrop.pipeline.order import Finished
from daemon_process import PATIENCE
from fake_segmenter import BLUE, GREEN, RED, Ground, photograph


@pytest.fixture
def ground(tmp_path: Path) -> Iterator[Ground]:
    ground = Ground(tmp_path)
    yield ground
    ground.ledger.close()


def with_settings(ground: Ground, **settings: object) -> Ground:
    """Give the ground other settings, as a restart with another configuration would."""
    ground.settings = replace(ground.settings, **settings)  # type: ignore[arg-type]
    return ground


def test_a_photograph_becomes_a_cut_out_of_the_same_pixels(ground: Ground) -> None:
    ground.cut("a.png", GREEN)
    assert ground.outputs() == {"a.png": GREEN}
    with Image.open(ground.output / "a.png") as image:
        assert (image.mode, image.size) == ("RGBA", (48, 40))
        assert image.getpixel((0, 0)) == (0, 0, 0, 0)
    row = ground.row("a.png")
    assert (row.state, row.outcome, row.attempts) == ("done", "done", 1)
    assert (ground.input / "a.png").exists()


FRAMES = "only the first of several frames was cut"


def test_what_a_cut_out_comes_with_a_warning_of_is_recorded(ground: Ground) -> None:
    frames = [Image.new("RGB", (48, 40), colour) for colour in (GREEN, BLUE)]
    frames[0].save(ground.input / "a.png", save_all=True, append_images=frames[1:])
    ground.note("a.png")
    ground.work()
    ground.cut("b.png")
    assert (ground.row("a.png").warnings, ground.row("b.png").warnings) == ((FRAMES,), ())
    assert ground.fake.segmenter is not None
    ground.fake.segmenter.subject = False
    ground.ledger.retry(ground.row("a.png"))
    ground.work()
    assert (ground.row("a.png").outcome, ground.row("a.png").warnings) == ("no_subject", ()), "there is no cut-out"


def test_what_a_ledger_begun_anew_knows_nothing_of_is_not_written(
    ground: Ground, monkeypatch: pytest.MonkeyPatch
) -> None:
    cut = ground.pipeline.cut

    def cut_and_forget(*given: Any) -> Finished:
        finished = cut(*given)
        ground.ledger._db.execute("UPDATE files SET path = 'another.jpg'")
        return finished

    ground.drop("a.jpg")
    ground.note("a.jpg")
    monkeypatch.setattr(ground.pipeline, "cut", cut_and_forget)
    assert ground.worker.work()
    assert ground.outputs() == {}


def test_nothing_due_is_no_work(ground: Ground) -> None:
    assert not ground.worker.work()
    assert ground.worker.next_due() is None


def test_sub_folders_are_mirrored(ground: Ground) -> None:
    ground.cut("x/a.png", RED)
    ground.cut("y/z/a.png", GREEN)
    assert ground.outputs() == {"x/a.png": RED, "y/z/a.png": GREEN}


@pytest.mark.parametrize("order", [("foo.jpg", "foo.png"), ("foo.png", "foo.jpg")], ids=lambda order: order[0])
def test_two_photographs_of_one_name_get_two_names_and_keep_them(ground: Ground, order: tuple[str, str]) -> None:
    first, second = order
    ground.cut(first, RED)
    ground.cut(second, GREEN)
    second_name = f"{second}.png"
    assert ground.outputs() == {"foo.png": RED, second_name: GREEN}
    ground.cut(second, BLUE)
    ground.cut(first, GREEN)
    assert ground.outputs() == {"foo.png": GREEN, second_name: BLUE}


def test_more_photographs_of_one_name_are_numbered(ground: Ground) -> None:
    ground = with_settings(ground, name="all")
    for name, colour in (("a.jpg", RED), ("b.jpg", GREEN), ("c.jpg", BLUE)):
        ground.cut(name, colour)
    assert ground.outputs() == {"all.png": RED, "all.jpg.png": GREEN, "all-2.png": BLUE}


def test_a_mask_or_both_are_written_where_the_settings_say_so(ground: Ground) -> None:
    with_settings(ground, result="both").cut("a.jpg", GREEN)
    assert ground.outputs() == {"a.mask.png": (255, 255, 255), "a.png": GREEN}
    with_settings(ground, result="mask").cut("b.jpg", GREEN)
    assert sorted(ground.outputs()) == ["a.mask.png", "a.png", "b.mask.png"]


def test_another_format_has_its_own_suffix(ground: Ground) -> None:
    options = CutOptions(edges="plain", format="webp", quality=100)
    with_settings(ground, cut=options).cut("a.jpg", GREEN)
    assert ground.outputs() == {"a.webp": GREEN}


@pytest.mark.parametrize("name", ["x" * 251 + ".jpg", "木" * 83 + ".jpg", os.fsdecode(b"\xff" * 251 + b".jpg")])
def test_the_longest_names_are_cut_and_leave_no_temporary(ground: Ground, name: str) -> None:
    ground.cut(name, GREEN)
    assert [len(os.fsencode(each)) for each in os.listdir(ground.output)] == [len(os.fsencode(name))]
    assert list(ground.outputs().values()) == [GREEN]


@pytest.mark.parametrize("name", [b"\xff.jpg", b"new\nline.jpg", b"-dash.jpg"])
def test_any_name_is_cut(ground: Ground, name: bytes) -> None:
    ground.cut(os.fsdecode(name), GREEN)
    assert os.listdir(os.fsencode(ground.output)) == [name.replace(b".jpg", b".png")]


def test_no_subject_is_an_outcome_and_writes_nothing(ground: Ground) -> None:
    ground.fake.subject = False
    ground.cut("a.jpg")
    assert ground.outputs() == {}
    assert (ground.row("a.jpg").state, ground.row("a.jpg").outcome) == ("done", "no_subject")


def test_a_passing_error_is_tried_again_after_growing_bounded_waits(ground: Ground) -> None:
    ground.fake.missing = ModelMissing("the model is not here", "fetch it")
    ground.drop("a.jpg")
    ground.note("a.jpg")
    waits = []
    for attempt in range(1, 13):
        assert ground.work() == 1
        row = ground.row("a.jpg")
        assert (row.state, row.outcome, row.attempts) == ("pending", "model_missing", attempt)
        due = ground.worker.next_due()
        assert due is not None
        waits.append(due)
        ground.clock.now += due
    assert waits[:4] == [2, 4, 8, 16]
    assert waits == sorted(waits)
    assert waits[-1] == 300
    ground.fake.missing = None
    assert ground.work() == 1
    assert ground.outputs() == {"a.png": RED}


def test_a_broken_photograph_fails_once_with_its_reason_and_the_others_go_on(ground: Ground) -> None:
    (ground.input / "empty.jpg").touch()
    (ground.input / "text.jpg").write_text("this is no photograph")
    whole = ground.drop("whole.png").read_bytes()
    (ground.input / "cut.png").write_bytes(whole[: len(whole) // 2])
    for name in ("empty.jpg", "text.jpg", "cut.png", "whole.png"):
        ground.note(name)
    assert ground.work() == 4
    outcomes = {name: ground.row(name).outcome for name in ("empty.jpg", "text.jpg", "cut.png", "whole.png")}
    assert outcomes == {
        "empty.jpg": "empty", "text.jpg": "unsupported_format", "cut.png": "damaged", "whole.png": "done",
    }  # fmt: skip
    assert ground.row("cut.png").state == "failed"
    assert "cut.png" in ground.row("cut.png").reason
    ground.clock.now += 1e6
    assert ground.work() == 0
    assert ground.outputs() == {"whole.png": RED}


def test_a_failed_photograph_is_cut_when_it_has_been_mended(ground: Ground) -> None:
    (ground.input / "a.png").write_text("this is no photograph")
    ground.note("a.png")
    ground.work()
    assert ground.row("a.png").state == "failed"
    ground.cut("a.png", GREEN)
    assert ground.outputs() == {"a.png": GREEN}
    assert ground.row("a.png").state == "done"


def test_what_nobody_foresaw_is_recorded_and_stops_nothing(ground: Ground, caplog: pytest.LogCaptureFixture) -> None:
    odd = os.fsdecode(b"\xff.jpg")
    ground.drop(odd)
    ground.drop("b.jpg", GREEN)
    ground.note(odd)
    ground.note("b.jpg")

    def burst() -> NoReturn:
        ground.fake.before = lambda: None
        raise ZeroDivisionError(f"in {odd}")

    ground.fake.before = burst
    assert ground.work() == 2
    row = ground.row(odd)
    assert (row.state, row.outcome) == ("failed", "internal")
    assert row.reason == "ZeroDivisionError: in \\xff.jpg"
    assert "not foreseen" in caplog.text
    assert ground.outputs() == {"b.png": GREEN}


def test_a_file_that_changes_while_it_is_cut_is_cut_again_and_the_old_content_never_comes_out(ground: Ground) -> None:
    ground.drop("a.png", RED)
    ground.note("a.png")

    def overwrite() -> None:
        ground.fake.before = lambda: None
        photograph(ground.input / "a.png", GREEN, size=(64, 40))

    ground.fake.before = overwrite
    assert ground.work() == 1
    assert ground.outputs() == {}
    assert (ground.row("a.png").state, ground.row("a.png").outcome) == ("pending", "input_changed")
    ground.clock.now += 1
    assert ground.work() == 1
    assert ground.outputs() == {"a.png": GREEN}


def test_a_change_that_was_noted_during_the_work_is_done_although_the_old_content_had_no_subject(
    ground: Ground,
) -> None:
    ground.drop("a.png", RED)
    ground.note("a.png")

    def overwrite() -> None:
        ground.fake.before = show
        photograph(ground.input / "a.png", GREEN, size=(64, 40))
        ground.note("a.png")  # as the looking thread does when the new content has settled

    def show() -> None:
        assert ground.fake.segmenter is not None
        ground.fake.segmenter.subject = True

    ground.fake.subject = False
    ground.fake.before = overwrite
    assert ground.work() == 2
    assert ground.outputs() == {"a.png": GREEN}


def test_a_file_swapped_for_another_while_it_is_cut_is_cut_again(ground: Ground) -> None:
    ground.drop("a.png", RED)
    ground.note("a.png")

    def swap() -> None:
        ground.fake.before = lambda: None
        photograph(ground.input / "new.png", GREEN, size=(64, 40)).replace(ground.input / "a.png")

    ground.fake.before = swap
    ground.work()
    assert ground.outputs() == {}
    ground.clock.now += 1
    ground.work()
    assert ground.outputs() == {"a.png": GREEN}


def test_a_file_swapped_for_a_link_while_it_is_cut_gives_nothing(ground: Ground) -> None:
    secret = photograph(ground.root / "secret.png", BLUE)
    ground.drop("a.png", RED)
    ground.note("a.png")

    def swap() -> None:
        ground.fake.before = lambda: None
        (ground.input / "a.png").unlink()
        (ground.input / "a.png").symlink_to(secret)

    ground.fake.before = swap
    ground.work()
    ground.clock.now += 1e6
    ground.work()
    assert ground.outputs() == {}


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has leases")
def test_a_file_that_somebody_has_open_for_writing_waits_until_he_closes_it(ground: Ground) -> None:
    ground.drop("a.png", RED)
    ground.note("a.png")
    with (ground.input / "a.png").open("ab"):
        assert ground.work() == 1
        assert ground.fake.runs == 0
        assert ground.row("a.png").state == "pending"
    ground.clock.now += 1
    ground.work()
    assert ground.outputs() == {"a.png": RED}


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has leases")
def test_a_file_that_stays_open_for_hours_is_looked_at_now_and_then_and_spoken_of_once(
    ground: Ground, caplog: pytest.LogCaptureFixture
) -> None:
    ground = with_settings(ground, settle=2.0)
    ground.drop("a.png", RED)
    ground.note("a.png")
    caplog.set_level("INFO")
    waits = []
    with (ground.input / "a.png").open("ab"):
        for _ in range(10):
            assert ground.work() == 1
            due = ground.worker.next_due()
            assert due is not None
            waits.append(due)
            ground.clock.now += due
    assert waits == [2, 4, 6, 8, 10, 10, 10, 10, 10, 10]
    assert caplog.text.count("is open for writing") == 1
    ground.work()
    assert ground.outputs() == {"a.png": RED}


def test_half_a_file_is_never_recorded_as_damaged_when_the_rest_came_while_it_was_read(
    ground: Ground, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = ground.drop("a.png", GREEN).read_bytes()
    (ground.input / "a.png").write_bytes(whole[:-60])
    ground.note("a.png")
    cut = ground.pipeline.cut

    def slow(*given, **named):  # type: ignore[no-untyped-def]
        monkeypatch.undo()
        try:
            return cut(*given, **named)
        finally:
            (ground.input / "a.png").write_bytes(whole)

    monkeypatch.setattr(ground.pipeline, "cut", slow)
    ground.work()
    assert ground.row("a.png").state == "pending"
    ground.clock.now += 1
    ground.work()
    assert ground.outputs() == {"a.png": GREEN}


def test_a_users_own_file_of_that_name_is_never_written_over(ground: Ground) -> None:
    photograph(ground.output / "a.png", BLUE)
    photograph(ground.output / "a.jpg.png", BLUE)
    ground.cut("a.jpg", RED)
    assert ground.outputs() == {"a.png": BLUE, "a.jpg.png": BLUE, "a-2.png": RED}


def test_a_link_a_pipe_and_a_folder_of_that_name_are_never_written_over_either(ground: Ground) -> None:
    (ground.output / "a.png").symlink_to("nowhere")
    os.mkfifo(ground.output / "a.jpg.png")
    (ground.output / "a-2.png").mkdir()
    ground.cut("a.jpg", RED)
    assert (ground.output / "a.png").is_symlink()
    assert (ground.output / "a.jpg.png").is_fifo()
    assert (ground.output / "a-2.png").is_dir()
    assert (ground.output / "a-3.png").is_file()


def test_skip_leaves_it_and_says_so(ground: Ground) -> None:
    photograph(ground.output / "a.png", BLUE)
    with_settings(ground, if_exists="skip").cut("a.jpg", RED)
    assert ground.outputs() == {"a.png": BLUE}
    row = ground.row("a.jpg")
    assert (row.state, row.outcome) == ("skipped", "skipped")
    assert row.reason.endswith("a.png exists already")


def test_overwrite_writes_over_it(ground: Ground) -> None:
    photograph(ground.output / "a.png", BLUE)
    with_settings(ground, if_exists="overwrite").cut("a.jpg", RED)
    assert ground.outputs() == {"a.png": RED}


@pytest.mark.parametrize("if_exists", ["number", "skip", "overwrite"])
def test_our_own_untouched_output_is_replaced_when_its_input_changes(ground: Ground, if_exists: str) -> None:
    with_settings(ground, if_exists=if_exists)
    for colour in (RED, GREEN, BLUE):
        ground.cut("a.jpg", colour)
        assert ground.outputs() == {"a.png": colour}


@pytest.mark.parametrize(
    ("if_exists", "expected"),
    [
        ("number", {"a.png": BLUE, "a.jpg.png": GREEN}),
        ("skip", {"a.png": BLUE}),
        ("overwrite", {"a.png": GREEN}),
    ],
)
def test_an_output_that_the_user_retouched_is_his(
    ground: Ground, if_exists: str, expected: dict[str, tuple[int, int, int]]
) -> None:
    with_settings(ground, if_exists=if_exists)
    ground.cut("a.jpg", RED)
    photograph(ground.output / "a.png", BLUE, size=(50, 50))
    ground.cut("a.jpg", GREEN)
    assert ground.outputs() == expected


def test_after_that_the_new_name_stays(ground: Ground) -> None:
    ground.cut("a.jpg", RED)
    photograph(ground.output / "a.png", BLUE, size=(50, 50))
    for colour in (GREEN, RED):
        ground.cut("a.jpg", colour)
        assert ground.outputs() == {"a.png": BLUE, "a.jpg.png": colour}


def test_an_output_that_was_moved_away_is_made_anew_under_its_name(ground: Ground) -> None:
    ground.cut("a.jpg", RED)
    (ground.output / "a.png").rename(ground.root / "kept.png")
    ground.cut("a.jpg", GREEN)
    assert ground.outputs() == {"a.png": GREEN}


def test_something_put_there_between_the_claim_and_the_write_is_not_ours(
    ground: Ground, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> NoReturn:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    ground.drop("a.jpg")
    ground.note("a.jpg")
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        ground.work()
    (ground.output / "a.png").symlink_to("nowhere")
    ground.clock.now += 1000
    ground.work()
    assert (ground.output / "a.png").is_symlink()
    assert (ground.output / "a.jpg.png").is_file()


def test_a_name_taken_in_the_last_moment_is_left_to_whoever_took_it(
    ground: Ground, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = atomic.write

    def late(target: Path, *given: object, **named: object) -> os.stat_result:
        monkeypatch.undo()
        photograph(target, BLUE)
        return write(target, *given, **named)  # type: ignore[arg-type]

    monkeypatch.setattr(atomic, "write", late)
    ground.cut("a.jpg", RED)
    assert ground.outputs() == {"a.png": BLUE, "a.jpg.png": RED}


def test_a_crash_around_the_rename_leaves_an_output_that_is_known_as_ours(
    ground: Ground, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Killed(BaseException):
        pass

    def kill(*_: object, **__: object) -> NoReturn:
        raise Killed

    for module, place in ((os, "link"), (os, "replace"), (atomic, "sync_folder")):
        for colour in (RED, GREEN):  # the first write of an output, then its replacement
            ground.drop("a.jpg", colour)
            ground.note("a.jpg")
            with monkeypatch.context() as patch:
                patch.setattr(module, place, kill)
                with contextlib.suppress(Killed):
                    ground.work()
            ground.ledger.put_back([])
            ground.work()
            assert ground.outputs() == {"a.png": colour}, place


def test_an_output_folder_that_is_missing_is_waited_for_and_not_made(ground: Ground) -> None:
    ground.drop("a.jpg")
    ground.note("a.jpg")
    ground.output.rmdir()
    assert ground.work() == 1
    assert not ground.output.exists()
    row = ground.row("a.jpg")
    assert (row.state, row.outcome) == ("pending", "cannot_write")
    ground.output.mkdir()
    ground.clock.now += 2
    ground.work()
    assert ground.outputs() == {"a.png": RED}


def test_a_full_disk_is_waited_for_and_nothing_is_left_on_it(ground: Ground, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_: int) -> NoReturn:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    ground.drop("a.jpg")
    ground.note("a.jpg")
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        for attempt in (1, 2):
            assert ground.work() == 1
            row = ground.row("a.jpg")
            assert (row.state, row.outcome, row.attempts) == ("pending", "disk_full", attempt)
            assert os.listdir(ground.output) == []
            ground.clock.now += 300
    assert ground.work() == 1
    assert ground.outputs() == {"a.png": RED}
    assert ground.row("a.jpg").state == "done"


def test_a_file_that_is_gone_before_it_is_cut_is_missing_and_done_when_it_comes_back(ground: Ground) -> None:
    ground.drop("a.jpg").unlink()
    ground.drop("b.jpg", GREEN)
    ground.note("b.jpg")
    ground.drop("a.jpg")
    ground.note("a.jpg")
    (ground.input / "a.jpg").unlink()
    ground.work()
    assert ground.outputs() == {"b.png": GREEN}
    assert ground.row("a.jpg").state == "missing"
    ground.cut("a.jpg", RED)
    assert ground.outputs() == {"a.png": RED, "b.png": GREEN}


def test_a_file_that_goes_while_it_is_cut_gives_nothing(ground: Ground) -> None:
    ground.drop("a.jpg")
    ground.note("a.jpg")
    ground.fake.before = (ground.input / "a.jpg").unlink
    ground.work()
    assert ground.outputs() == {}
    assert ground.row("a.jpg").state == "missing"


def test_a_file_that_is_saved_anew_by_deleting_it_first_keeps_its_outputs_name(ground: Ground) -> None:
    ground.cut("a.jpg", RED)
    first = (ground.input / "a.jpg").stat()
    ground.drop("a.jpg", GREEN)
    ground.note("a.jpg")
    ground.fake.before = (ground.input / "a.jpg").unlink
    ground.work()
    assert ground.outputs() == {"a.png": RED}
    ground.fake.before = lambda: None
    ground.drop("a.jpg", RED)
    os.utime(ground.input / "a.jpg", ns=(first.st_atime_ns, first.st_mtime_ns))
    for colour in (RED, BLUE):  # the very first content is work again, too
        content = look_at(ground.input, PurePath("a.jpg"))
        assert content is not None
        assert not ground.ledger.knows(ground.input, PurePath("a.jpg"), content)
        ground.note("a.jpg")
        ground.work()
        assert ground.outputs() == {"a.png": colour}
        ground.drop("a.jpg", BLUE)


def test_files_of_a_folder_that_went_away_are_kept_in_the_ledger(ground: Ground) -> None:
    ground.drop("a.jpg")
    ground.note("a.jpg")
    ground.input.rename(ground.root / "away")
    ground.work()
    assert ground.row("a.jpg").state == "pending"
    (ground.root / "away").rename(ground.input)
    ground.clock.now += 300
    ground.work()
    assert ground.outputs() == {"a.png": RED}


def test_the_ledger_keeps_names_over_a_restart(ground: Ground) -> None:
    ground.cut("foo.png", RED)
    ground.cut("foo.jpg", GREEN)
    ground.ledger.close()
    ground.ledger = Ledger(ground.root / "ledger.sqlite")
    ground.restart()
    ground.cut("foo.jpg", BLUE)
    assert ground.outputs() == {"foo.png": RED, "foo.jpg.png": BLUE}


def test_outputs_follow_the_umask(ground: Ground) -> None:
    umask = os.umask(0o002)
    try:
        ground.cut("a.jpg")
    finally:
        os.umask(umask)
    assert (ground.output / "a.png").stat().st_mode & 0o777 == 0o664


def test_a_sub_folder_whose_place_a_file_takes_is_a_passing_error(ground: Ground) -> None:
    (ground.output / "sub").write_text("mine")
    ground.cut("sub/a.jpg")
    assert ground.row("sub/a.jpg").state == "pending"
    (ground.output / "sub").unlink()
    ground.clock.now += 300
    ground.work()
    assert ground.outputs() == {"sub/a.png": RED}


def test_of_two_results_only_the_one_whose_name_is_taken_is_skipped(ground: Ground) -> None:
    (ground.output / "a.mask.png").write_bytes(b"theirs")
    with_settings(ground, result="both", if_exists="skip").cut("a.jpg", RED)
    assert (ground.output / "a.mask.png").read_bytes() == b"theirs"
    row = ground.row("a.jpg")
    assert (row.state, row.outcome) == ("done", "done")
    assert "a.mask.png exists already" in row.reason
    with Image.open(ground.output / "a.png") as image:
        assert image.mode == "RGBA"


def test_a_broken_background_picture_is_waited_for_and_the_photograph_named(ground: Ground) -> None:
    wall = ground.root / "wall.png"
    wall.write_bytes(b"no picture")
    options = CutOptions(edges="plain", background=wall)
    with_settings(ground, cut=options).cut("a.jpg", GREEN)
    row = ground.row("a.jpg")
    assert row.state == "pending"
    assert "wall.png" in row.reason
    assert "a.jpg" in row.reason
    Image.new("RGB", (8, 8), BLUE).save(wall)
    ground.clock.now += 600
    ground.work()
    assert ground.row("a.jpg").state == "done"


def test_a_full_disk_holds_up_the_folder_and_not_each_of_its_files(
    ground: Ground, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_: int) -> NoReturn:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    for name in ("a.jpg", "b.jpg", "c.jpg"):
        ground.drop(name)
        ground.note(name)
    waits = []
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        for attempt in range(1, 12):
            assert ground.work() == 1
            assert ground.fake.runs == attempt
            hold = ground.worker.hold(ground.input)
            assert hold is not None
            assert hold.error.code == "disk_full"
            due = ground.worker.next_due()
            assert due is not None
            waits.append(due)
            ground.clock.now += due
    assert waits[:4] == [2, 4, 8, 16]
    assert waits[-1] == 300
    assert ground.work() == 3
    assert ground.worker.hold(ground.input) is None
    assert len(ground.outputs()) == 3


def test_folders_take_turns(ground: Ground) -> None:
    other = replace(ground.settings, input=ground.root / "other in", output=ground.root / "other out")
    other.input.mkdir()
    other.output.mkdir()
    for number in range(6):
        ground.drop(f"{number}.jpg")
        ground.note(f"{number}.jpg")
    path = photograph(other.input / "alone.jpg", GREEN)
    content = look_at(other.input, PurePath(path.name))
    assert content is not None
    ground.ledger.note(other.input, [(PurePath(path.name), content)], 0.0)
    worker = Worker(ground.pipeline, ground.ledger, lambda: [ground.settings, other], ground.clock)
    assert worker.work()
    assert worker.work()
    assert os.listdir(other.output) == ["alone.png"]


def test_a_row_in_hand_is_not_given_out_again_when_a_new_content_of_it_is_noted(ground: Ground) -> None:
    ground.drop("a.png", RED)
    ground.note("a.png")
    others_work = []

    def overwrite() -> None:
        ground.fake.before = lambda: None
        photograph(ground.input / "a.png", GREEN, size=(64, 40))
        ground.note("a.png")
        others_work.append(ground.worker.work())

    ground.fake.before = overwrite
    ground.work()
    assert others_work == [False]
    assert ground.outputs() == {"a.png": GREEN}


def forget_claims(ground: Ground) -> None:
    """Lose what the ledger was told last, as a power cut may."""
    ground.ledger._change("DELETE FROM claims")
    ground.ledger._change("UPDATE files SET state = 'pending'")


def test_an_output_whose_record_was_lost_is_known_by_its_mark_and_replaced(ground: Ground) -> None:
    ground.cut("a.jpg", RED)
    forget_claims(ground)
    ground.work()
    assert ground.outputs() == {"a.png": RED}


def test_an_output_that_was_changed_since_is_not_ours_although_it_has_a_mark(ground: Ground) -> None:
    ground.cut("a.jpg", RED)
    output = ground.output / "a.png"
    made = output.stat().st_mtime_ns
    os.utime(output, ns=(made, made + 60 * 10**9))
    forget_claims(ground)
    ground.work()
    assert sorted(ground.outputs()) == ["a.jpg.png", "a.png"]
    assert output.stat().st_mtime_ns == made + 60 * 10**9


def test_an_output_of_another_content_is_not_replaced_where_its_record_was_lost(ground: Ground) -> None:
    ground.cut("a.jpg", RED)
    forget_claims(ground)
    ground.drop("a.jpg", GREEN)
    ground.note("a.jpg")
    ground.work()
    assert ground.outputs() == {"a.jpg.png": GREEN, "a.png": RED}


def test_what_was_in_hand_at_a_crash_is_tried_in_a_process_of_its_own_and_the_others_are_not(ground: Ground) -> None:
    for name in ("a.jpg", "b.jpg"):
        ground.drop(name)
        ground.note(name)
    assert ground.ledger.take(ground.input, ground.clock.now, 0.0) is not None
    ground.restart()
    assert len(ground.ledger.recover()) == 1
    ground.work()
    assert ground.tried_apart == [str(ground.input / "a.jpg")]
    assert len(ground.outputs()) == 2
    assert not ground.row("a.jpg").suspect


def test_a_file_that_crashes_three_times_apart_is_failed_until_it_changes(ground: Ground) -> None:
    def crash(*_: object) -> NoReturn:
        raise CrashesDecoder("a.jpg: ends the process that opens it (SIGSEGV)", "export it again")

    ground.drop("a.jpg")
    ground.note("a.jpg")
    assert ground.ledger.take(ground.input, ground.clock.now, 0.0) is not None
    ground.ledger.recover()
    apart, ground.pipeline._apart = ground.pipeline._apart, crash
    for _ in range(3):
        assert ground.row("a.jpg").state == "pending"
        ground.clock.now += 300
        assert ground.work() == 1
    row = ground.row("a.jpg")
    assert (row.state, row.outcome) == ("failed", "crashes_decoder")
    assert "SIGSEGV" in row.reason
    ground.pipeline._apart = apart
    ground.cut("a.jpg", GREEN)
    assert ground.outputs() == {"a.png": GREEN}


def test_what_is_broken_off_is_put_back_as_if_it_had_not_been_taken(ground: Ground) -> None:
    ground.drop("a.jpg")
    ground.note("a.jpg")
    ground.fake.before = ground.worker.cancel
    assert ground.worker.work()
    row = ground.row("a.jpg")
    assert (row.state, row.attempts, row.outcome) == ("pending", 0, "")
    ground.fake.before = lambda: None
    ground.work()
    assert ground.outputs() == {"a.png": RED}


def test_names_are_given_in_the_order_photographs_came_in_not_that_in_which_they_are_done(
    ground: Ground, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, colour in (("foo.jpg", RED), ("foo.png", GREEN)):
        ground.drop(name, colour)
        ground.note(name)
    cut = ground.pipeline.cut

    def overtaken(*given):  # type: ignore[no-untyped-def]
        monkeypatch.undo()
        assert ground.worker.work()
        return cut(*given)

    monkeypatch.setattr(ground.pipeline, "cut", overtaken)
    assert ground.worker.work()
    assert ground.outputs() == {"foo.png": RED, "foo.png.png": GREEN}


def test_a_name_that_nothing_was_written_under_is_free_again(ground: Ground) -> None:
    (ground.input / "foo.jpg").write_text("no photograph")
    ground.note("foo.jpg")
    ground.work()
    ground.cut("foo.png", GREEN)
    assert ground.outputs() == {"foo.png": GREEN}


# Disks that do not answer


@contextlib.contextmanager
def one_hand_is_kept(worker: Worker, until: threading.Event) -> Iterator[None]:
    """Have a thread work that is kept by a disk until the block ends."""
    thread = threading.Thread(target=worker.work, daemon=True)
    thread.start()
    try:
        yield
    finally:
        until.set()
        thread.join(PATIENCE)
        assert not thread.is_alive()


@pytest.fixture
def both(ground: Ground) -> tuple[Worker, Ground]:
    """A worker of two folders, and the ground of the second."""
    (ground.root / "other").mkdir()
    other = Ground(ground.root / "other")
    other.ledger.close()
    other.ledger = ground.ledger
    return Worker(ground.pipeline, ground.ledger, lambda: [ground.settings, other.settings], ground.clock), other


def test_an_output_that_does_not_answer_when_names_are_given_keeps_nobody_else(
    ground: Ground, both: tuple[Worker, Ground], monkeypatch: pytest.MonkeyPatch
) -> None:
    worker, other = both
    lexists, asked, back = os.path.lexists, threading.Event(), threading.Event()

    def ask(path: Path) -> bool:
        if path.parent == ground.output:
            asked.set()
            assert back.wait(PATIENCE)
        return lexists(path)

    monkeypatch.setattr(os.path, "lexists", ask)
    for name in ("a.png", "b.png"):
        ground.drop(name, RED)
        ground.note(name)
    other.drop("c.png", GREEN)
    other.note("c.png")
    with one_hand_is_kept(worker, back):
        assert asked.wait(PATIENCE)
        assert worker.work()
        assert not worker.work(), "a second hand went where the first is kept"
        assert other.outputs() == {"c.png": GREEN}
        assert len(worker.in_hand) == 1
        assert worker.asking == {ground.input}
    assert worker.asking == set()
    assert worker.work()
    assert ground.outputs() == {"a.png": RED, "b.png": RED}


def test_an_original_that_cannot_be_put_away_for_want_of_an_answer_keeps_no_other(
    ground: Ground, both: tuple[Worker, Ground], monkeypatch: pytest.MonkeyPatch
) -> None:
    worker, other = both
    asked, back = threading.Event(), threading.Event()

    def ask(row: Row, settings: FolderSettings, ledger: Ledger, copied: Callable[[], object]) -> bool:
        if row.folder == ground.input:
            asked.set()
            assert back.wait(PATIENCE)
        return put_away(row, settings, ledger, copied)

    monkeypatch.setattr(worker_module, "put_away", ask)
    for each in (ground, other):
        each.change(originals="delete", settle=1.0)
        each.drop("a.png", GREEN)
        each.note("a.png")
        assert worker.work()
    ground.clock.now += 1
    with one_hand_is_kept(worker, back):
        assert asked.wait(PATIENCE)
        assert worker.work()
        assert not (other.input / "a.png").exists()
        assert (ground.input / "a.png").exists()
        assert worker.asking == {ground.input}
        assert worker.hands_in([ground.input]) == 1
    assert not (ground.input / "a.png").exists()


@pytest.mark.parametrize("place", ["input", "output"])
def test_a_disk_that_goes_away_in_the_midst_of_it_makes_no_photograph_a_failed_one(
    ground: Ground, place: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    stat, fstat = os.stat, os.fstat

    def gone(path: int | str | Path, **options: Any) -> os.stat_result:
        if path == ground.output:
            raise OSError(errno.ENOTCONN, os.strerror(errno.ENOTCONN))
        return stat(path, **options)

    def lost(descriptor: int) -> os.stat_result:
        if stat_module.S_ISREG(fstat(descriptor).st_mode):
            raise OSError(errno.ESTALE, os.strerror(errno.ESTALE))
        return fstat(descriptor)

    ground.drop("a.png", GREEN)
    ground.note("a.png")
    with monkeypatch.context() as patch:
        patch.setattr(os, "fstat", lost) if place == "input" else patch.setattr(os, "stat", gone)
        ground.work()
    row = ground.row("a.png")
    assert (row.state, row.outcome) == ("pending", "cannot_read" if place == "input" else "cannot_write")
    ground.clock.now += 60
    ground.work()
    assert ground.outputs() == {"a.png": GREEN}
