"""The log: bounded, one line a record, whatever bytes a name is made of."""

from __future__ import annotations

import logging
import logging.handlers
import os
import subprocess
import sys
from pathlib import Path

import pytest

from alphadrop.errors import CannotWrite, FileError
from alphadrop.service import logs


def told(file: Path, statements: str, level: str = "info") -> tuple[str, str]:
    """Run statements in a process that logs; return what stands in the file and on standard error."""
    program = (
        "import logging, os, sys, warnings\nfrom pathlib import Path\nfrom alphadrop.service import logs\n"
        f"logs.set_up(Path(sys.argv[1]), {level!r})\nlog = logging.getLogger('alphadrop.test')\n{statements}"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(file)], capture_output=True, text=True, timeout=60, check=True
    )
    return file.read_text(encoding="utf-8"), done.stderr


def test_a_record_goes_to_the_file_and_to_standard_error(tmp_path: Path) -> None:
    file, errors = told(tmp_path / "new" / "folder" / "log", "log.info('hello %s', 'world'); log.debug('not this')")
    assert file == errors
    assert file.rstrip().endswith("info    hello world")
    assert "not this" not in file


def test_a_name_that_is_not_utf_8_and_one_with_a_newline_are_one_safe_line(tmp_path: Path) -> None:
    statements = r"log.info('%s', os.fsdecode(b'\xff\xfe.jpg')); log.info('%s', 'a\nb\x1b[31m.jpg')"
    file, errors = told(tmp_path / "log", statements)
    assert [line.split("info    ")[1] for line in file.splitlines()] == ["\\xff\\xfe.jpg", "a\\nb\\x1b[31m.jpg"]
    assert file == errors


def test_a_traceback_keeps_its_lines(tmp_path: Path) -> None:
    statements = "try:\n  1 / 0\nexcept ZeroDivisionError:\n  log.exception('failed')"
    file, _ = told(tmp_path / "log", statements)
    assert "error   failed\nTraceback (most recent call last):\n" in file
    assert file.endswith("ZeroDivisionError: division by zero\n")


def test_a_traceback_may_name_what_is_not_utf_8(tmp_path: Path) -> None:
    statements = "try:\n  raise OSError(os.fsdecode(b'\\xff'))\nexcept OSError:\n  log.exception('failed')"
    file, _ = told(tmp_path / "log", statements)
    assert "OSError: \\udcff" in file


def test_the_level_is_ours_and_others_are_heard_from_warning_on(tmp_path: Path) -> None:
    statements = (
        "other = logging.getLogger('other'); other.info('no'); other.warning('yes')\n"
        "log.debug('debug'); warnings.warn('old', stacklevel=1)"
    )
    file, _ = told(tmp_path / "log", statements, level="debug")
    assert "yes" in file
    assert "debug   debug" in file
    assert "old" in file
    assert "no\n" not in file


def test_the_file_is_bounded(tmp_path: Path) -> None:
    statements = "logs_ = 9_000\nfor _ in range(logs_): log.info('%s', 'x' * 1000)\n"
    told(tmp_path / "log", f"logging.getLogger().handlers[1].setLevel('CRITICAL')\n{statements}")
    files = sorted(path.name for path in tmp_path.iterdir())
    assert files == ["log", "log.1", "log.2", "log.3", "log.4"]
    assert all(path.stat().st_size <= 1_000_000 for path in tmp_path.iterdir())


def test_that_no_client_can_be_let_in_is_said_once_in_many_and_all_else_each_time(tmp_path: Path) -> None:
    statements = (
        "others = logging.getLogger('asyncio')\nfor _ in range(50):\n"
        "  others.error('socket.accept() out of system resource\\nsocket: <...>')\n  others.error('something else')"
    )
    file, _ = told(tmp_path / "log", statements)
    assert (file.count("out of system resource"), file.count("something else")) == (1, 50)


def test_what_is_said_seldom_is_said_again_after_a_minute() -> None:
    now = [1000.0]
    seldom = logs._Seldom("no room", clock=lambda: now[0])

    def is_said(text: str) -> bool:
        return bool(seldom.filter(logging.LogRecord("asyncio", logging.ERROR, "", 0, text, (), None)))

    assert is_said("no room for one")
    now[0] += 59
    assert not is_said("no room for another")
    assert is_said("something else")
    now[0] += 1
    assert is_said("no room for a third")
    assert not is_said("no room for a fourth")


def test_a_place_where_no_log_can_be_made_is_a_typed_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    before = list(logging.getLogger().handlers)
    with pytest.raises(FileError):
        logs.set_up(tmp_path / "file" / "log", "info")
    os.mkdir(tmp_path / "log")
    with pytest.raises(CannotWrite):
        logs.set_up(tmp_path / "log", "info")
    assert logging.getLogger().handlers == before
