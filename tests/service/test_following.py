"""When the configuration is read again, and what may pass tried again: by a clock of the test's own."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from alphadrop import config
from alphadrop.config import Settings
from alphadrop.errors import AlphadropError, BadOptions, ModelMissing
from alphadrop.service.following import FollowedSettings


@dataclass
class Followed:
    """A configuration that is followed, and the attempts to put it into force, which may fail."""

    file: Path
    now: float = 1000.0
    error: AlphadropError | None = None
    tried_at: list[float] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.write("info")
        self.following = FollowedSettings(config.load(self.file), self._use, clock=lambda: self.now)

    def _use(self, _: Settings) -> None:
        self.tried_at.append(self.now)
        if self.error is not None:
            raise self.error

    def problems(self) -> tuple[str, ...]:
        return self.following.problems

    def level(self) -> str:
        return self.following.settings.log_level

    def write(self, level: str) -> None:
        self.file.write_text(f"folders: []\nlog: {{level: {level}}}\n")

    def change(self, level: str) -> None:
        """Write another file and look until it has been read."""
        self.write(level)
        for _ in range(2):
            self.following.look()

    def look_for(self, seconds: int) -> list[float]:
        """Look every second; return after how many there was an attempt."""
        before, known = self.now, len(self.tried_at)
        for _ in range(seconds):
            self.now += 1
            self.following.look()
        return [at - before for at in self.tried_at[known:]]


@pytest.fixture
def followed(tmp_path: Path) -> Followed:
    return Followed(tmp_path / "alphadrop.yaml")


MISSING = ModelMissing("own: its file is not there", "put it there")


def test_what_may_pass_is_tried_again_after_growing_waits_until_it_works(followed: Followed) -> None:
    followed.error = MISSING
    followed.change("debug")
    assert len(followed.tried_at) == 1
    assert followed.look_for(1500) == [2, 6, 14, 30, 62, 126, 254, 510, 810, 1110, 1410]
    assert followed.problems() == (str(MISSING),)
    assert followed.level() == "info"
    followed.error = None
    assert len(followed.look_for(300)) == 1
    assert followed.problems() == ()
    assert followed.level() == "debug"
    assert followed.look_for(1500) == []


def test_what_will_not_pass_is_tried_once(followed: Followed) -> None:
    followed.error = BadOptions("they contradict each other")
    followed.change("debug")
    assert len(followed.tried_at) == 1
    assert followed.look_for(1500) == []
    assert followed.problems() == (str(followed.error),)


def test_a_file_that_changes_is_tried_at_once_and_its_waits_begin_anew(followed: Followed) -> None:
    followed.error = MISSING
    followed.change("debug")
    followed.look_for(40)
    followed.change("warning")
    assert followed.tried_at[-1] == followed.now
    assert followed.look_for(20) == [2, 6, 14]


def test_a_file_that_was_good_again_is_not_tried_any_more(followed: Followed, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "alphadrop")
    followed.error = MISSING
    followed.change("debug")
    followed.change("info")
    assert followed.problems() == ()
    assert followed.look_for(1500) == []
    assert [record.message for record in caplog.records].count("the configuration was read again") == 1


def test_what_is_wrong_is_said_once_as_long_as_it_stays_the_same(
    followed: Followed, caplog: pytest.LogCaptureFixture
) -> None:
    def said() -> list[str]:
        told = [record.message for record in caplog.records if record.levelno == logging.ERROR]
        caplog.clear()
        return [each for each in told if "last good one" not in each]

    followed.error = MISSING
    followed.change("debug")
    followed.look_for(100)
    assert said() == [str(MISSING)]
    followed.error = ModelMissing("own: half a file is there")
    followed.look_for(100)
    assert said() == [str(followed.error)]
    followed.change("warning")
    assert said() == [str(followed.error)]


def test_a_configuration_that_cannot_be_read_for_a_while_is_read_when_it_can_be(
    followed: Followed, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(config, "load", lambda _: (_ for _ in ()).throw(MISSING))
    followed.change("debug")
    assert followed.problems() == (str(MISSING),)
    monkeypatch.undo()
    assert followed.look_for(2) == [2]
