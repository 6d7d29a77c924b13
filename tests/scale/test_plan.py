"""What a batch would take: counted and measured, with nothing written."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from alphadrop.engine.cutout import EngineRecipe
from alphadrop.engine.options import CutOptions
from alphadrop.hotfolder.settings import FolderSettings
from alphadrop.scale import plan
from alphadrop.scale.batch import Survey, surveyed
from alphadrop.scale.cutter import Brief, Cutter
from alphadrop.scale.plan import Estimate, estimate
from fake_segmenter import RED, FakeEngine, photograph


@pytest.fixture
def brief(tmp_path: Path) -> Brief:
    (tmp_path / "in").mkdir()
    settings = FolderSettings(tmp_path / "in", tmp_path / "out", "u2net-int8", CutOptions(edges="plain"))
    return Brief(str(tmp_path / "in"), str(tmp_path / "out"), settings, EngineRecipe(), 40_000_000)


@pytest.fixture
def survey(brief: Brief) -> Iterator[Survey]:
    for number in range(6):
        photograph(Path(brief.source, f"{number}.png"), RED, (100, 50))
    Path(brief.source, "bad.jpg").write_bytes(b"no picture")
    with surveyed(brief) as survey:
        yield survey


def test_photographs_and_pixels_are_counted_and_some_are_cut(brief: Brief, survey: Survey) -> None:
    found = estimate(survey, Cutter(brief, FakeEngine().engine))
    assert (found.photographs, found.headers, found.unreadable) == (7, 7, 1)
    assert found.pixels == pytest.approx(6 * 5000)
    assert (found.cut, found.cut_pixels) == (6, 6 * 5000)
    assert found.cut_seconds > 0
    assert not Path(brief.target).exists()


def test_of_many_a_sample_stands_for_all(brief: Brief, survey: Survey, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plan, "_HEADERS", 3)
    found = estimate(survey, Cutter(brief, FakeEngine().engine))
    assert (found.photographs, found.headers) == (7, 3)
    assert found.pixels == pytest.approx(7 * 5000, rel=0.4)


def test_nothing_to_do_takes_no_time_and_no_model(brief: Brief) -> None:
    with surveyed(brief) as survey:
        found = estimate(survey, Cutter(brief))
    assert (found.photographs, found.pixels, found.cut, found.seconds()) == (0, 0, 0, 0)


def test_the_reckoning() -> None:
    found = Estimate(1_000_000, 2000, 0, 10e12, 8, 80_000_000, 4.0, cpus=2)
    assert found.seconds_per_megapixel == pytest.approx(0.05)
    assert found.seconds() == pytest.approx(500_000)
    assert found.seconds(10) == pytest.approx(50_000)
    assert found.core_hours == pytest.approx(500_000 * 2 / 3600)
    assert replace(found, cut=0, cut_pixels=0).seconds() == 0
