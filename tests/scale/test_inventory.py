"""What is to do, and how outputs are called: by the manifest, the source and the target alone."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from alphadrop.engine.options import CutOptions
from alphadrop.hotfolder.settings import FolderSettings
from alphadrop.hotfolder.stability import Content
from alphadrop.scale.inventory import Inventory, Job
from alphadrop.scale.manifest import Row
from alphadrop.scale.stores import Found

SETTINGS = FolderSettings(Path("/in"), Path("/out"), "u2net-int8")


@pytest.fixture
def inventory() -> Iterator[Inventory]:
    inventory = Inventory(SETTINGS)
    yield inventory
    inventory.close()


def found(*names: str, size: int = 10) -> list[Found]:
    return [Found(name, Content(size, 20)) for name in names]


def row(name: str, output: str | None = None, **changes: object) -> Row:
    made = Row(name, 10, 20, SETTINGS.fingerprint(), "done" if output else "failed", output)
    return replace(made, **changes)  # type: ignore[arg-type]


def to_do(inventory: Inventory, *, retry_failed: bool = False) -> dict[str, str]:
    inventory.plan(retry_failed=retry_failed)
    return {job.found.name: job.output for job in inventory.jobs()}


def test_names_are_those_of_the_hot_folder_whatever_order_they_are_found_in(inventory: Inventory) -> None:
    names = ["sub/foo.jpg", "foo.png", "foo.jpg", ".hidden.jpg", "notes.txt", "sub/.x/a.jpg", "foo.gif"]
    inventory.find(found(*reversed(names)), [])
    assert to_do(inventory) == {
        "foo.gif": "foo.png",
        "foo.jpg": "foo.jpg.png",
        "foo.png": "foo.png.png",
        "sub/foo.jpg": "sub/foo.png",
    }


def test_masks_and_other_formats_have_their_own_names() -> None:
    for settings, name in (
        (replace(SETTINGS, result="mask"), "foo.mask.png"),
        (replace(SETTINGS, cut=CutOptions(format="webp")), "foo.webp"),
    ):
        inventory = Inventory(settings)
        inventory.find(found("foo.jpg"), [])
        assert to_do(inventory) == {"foo.jpg": name}
        inventory.close()


def test_a_name_once_given_is_kept(inventory: Inventory) -> None:
    inventory.learn([row("foo.png", "foo.png")])
    inventory.find(found("foo.jpg", "foo.png", size=11), [])
    assert to_do(inventory) == {"foo.jpg": "foo.jpg.png", "foo.png": "foo.png"}


def test_a_name_is_not_given_again_when_its_photograph_is_gone(inventory: Inventory) -> None:
    inventory.learn([row("foo.jpg", "foo.png")])
    inventory.find(found("foo.png"), [])
    assert to_do(inventory) == {"foo.png": "foo.png.png"}


def test_only_what_is_missing_or_changed_is_to_do(inventory: Inventory) -> None:
    inventory.learn(
        [
            row("done.jpg", "done.png"),
            row("changed.jpg", "changed.png", size=11),
            row("touched.jpg", "touched.png", modified=21),
            row("lost.jpg", "lost.png"),
            row("otherwise.jpg", "otherwise.png", settings="of another run"),
            row("nothing.jpg", status="no_subject"),
            row("bad.jpg", code="damaged"),
            row("away.jpg", code="cannot_read", passing=True),
        ]
    )
    names = [f"{name}.jpg" for name in "done changed touched lost otherwise nothing bad away new".split()]
    inventory.find(found(*names), found("done.png", "changed.png", "touched.png", "otherwise.png"))
    expected = {"away.jpg", "changed.jpg", "lost.jpg", "new.jpg", "otherwise.jpg", "touched.jpg"}
    assert to_do(inventory).keys() == expected


def test_what_failed_is_to_do_again_when_asked(inventory: Inventory) -> None:
    inventory.learn([row("bad.jpg", code="damaged")])
    inventory.find(found("bad.jpg"), [])
    assert to_do(inventory, retry_failed=True) == {"bad.jpg": "bad.png"}


def test_of_rows_of_one_photograph_the_last_one_counts(inventory: Inventory) -> None:
    inventory.learn(
        [row("a.jpg", code="damaged"), row("a.jpg", "a.png"), row("b.jpg", "b.png"), row("b.jpg", code="x")]
    )
    inventory.find(found("a.jpg", "b.jpg"), found("a.png", "b.png"))
    assert to_do(inventory) == {}
    assert [(each.input, each.status) for each in inventory.rows()] == [("a.jpg", "done"), ("b.jpg", "failed")]


def test_what_was_begun_and_never_ended_is_suspect(inventory: Inventory) -> None:
    begun = row("a.jpg", status="working")
    inventory.learn([begun, replace(begun, input="b.jpg"), row("b.jpg", "b.png")])
    inventory.find(found("a.jpg", "b.jpg"), found("b.png"))
    inventory.plan(retry_failed=False)
    assert list(inventory.jobs()) == [Job(Found("a.jpg", Content(10, 20)), "a.png", suspect=True)]


def test_rows_may_be_recorded_while_jobs_are_taken_and_the_rest_is_known(inventory: Inventory) -> None:
    inventory.find(found(*(f"{number:04}.jpg" for number in range(2500))), [])
    inventory.plan(retry_failed=False)
    taken = []
    for job in inventory.jobs():
        taken.append(job.found.name)
        if not job.found.name.endswith("7.jpg"):
            inventory.record([row(job.found.name, job.output, pixels=2)])
    assert taken == sorted(taken)
    assert len(taken) == 2500
    assert inventory.suspect_the_rest() == 250
    assert all(job.suspect for job in inventory.jobs())
    counts = inventory.counts()
    assert (counts.now, counts.before, counts.pixels) == ({"done": 2250}, {}, 4500)


def test_counts_tell_this_run_from_those_before(inventory: Inventory) -> None:
    inventory.learn([row("a.jpg", "a.png"), row("b.jpg", code="x"), row("gone.jpg", "gone.png")])
    inventory.find(found("a.jpg", "b.jpg", "c.jpg"), found("a.png"))
    inventory.plan(retry_failed=False)
    inventory.record([row("c.jpg", status="no_subject")])
    counts = inventory.counts()
    assert (counts.now, counts.before) == ({"no_subject": 1}, {"done": 1, "failed": 1})


def test_a_sample_is_spread_evenly(inventory: Inventory) -> None:
    inventory.find(found(*(f"{number:04}.jpg" for number in range(100))), [])
    inventory.plan(retry_failed=False)
    assert [job.found.name for job in inventory.sample(4)] == ["0000.jpg", "0025.jpg", "0050.jpg", "0075.jpg"]
    assert len(inventory.sample(1000)) == 100


def test_names_that_are_no_text_are_kept(inventory: Inventory) -> None:
    inventory.find(found("caf\udce9/x\udcff.jpg"), [])
    assert to_do(inventory) == {"caf\udce9/x\udcff.jpg": "caf\udce9/x\udcff.png"}
