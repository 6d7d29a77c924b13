"""The tree of errors: what its docstring promises, what programs read, and names made fit to print."""

from __future__ import annotations

import errno
import inspect
import os
import re
from pathlib import Path

import pytest

import alphadrop
from alphadrop import errors
from alphadrop.errors import (
    AlphadropError,
    CannotRead,
    CannotWrite,
    ConfigError,
    ConfigProblem,
    DaemonAnswered,
    DiskFull,
    FileError,
    PhotoError,
    TargetExists,
    printable,
    reading_failed,
    removing_failed,
    writing_failed,
)


def subclasses(kind: type[AlphadropError]) -> list[type[AlphadropError]]:
    return [found for child in kind.__subclasses__() for found in (child, *subclasses(child)) if ours(found)]


def ours(kind: type) -> bool:
    return kind.__module__ == errors.__name__


ALL: list[type[AlphadropError]] = [AlphadropError, *subclasses(AlphadropError)]


def drawn_tree() -> dict[str, str | None]:
    """Each error that the module's docstring draws, with the one it stands under."""
    parents: dict[str, str | None] = {}
    path: list[str] = []
    for found in re.finditer(r"^( *)[*+-] (\w+)", errors.__doc__ or "", re.MULTILINE):
        depth, name = len(found[1]) // 2, found[2]
        del path[depth:]
        parents[name] = path[-1] if path else None
        path.append(name)
    return parents


def test_docstring_draws_the_tree_that_is() -> None:
    real = {kind.__name__: kind.__bases__[0].__name__ if kind is not AlphadropError else None for kind in ALL}
    assert drawn_tree() == real


def test_all_names_what_there_is() -> None:
    defined = {
        name
        for name, value in vars(errors).items()
        if (inspect.isclass(value) or inspect.isfunction(value))
        and value.__module__ == errors.__name__
        and not name.startswith("_")
    }
    assert set(errors.__all__) == defined
    assert errors.__all__ == sorted(errors.__all__)


def test_codes_are_unique_and_plain() -> None:
    codes = [kind.code for kind in ALL]
    assert len(set(codes)) == len(codes)
    assert all(re.fullmatch(r"[a-z]+(_[a-z]+)*", code) for code in codes)
    assert all("code" in vars(kind) for kind in ALL), "each has its own, none inherits one"


def test_every_error_has_a_docstring() -> None:
    assert all(kind.__doc__ for kind in ALL)


def test_no_photograph_is_tried_again() -> None:
    assert not any(kind.transient for kind in ALL if issubclass(kind, PhotoError))
    assert {kind.__name__ for kind in ALL if issubclass(kind, FileError) and not kind.transient} == {"TargetExists"}


def test_error_says_message_and_hint() -> None:
    error = AlphadropError("cat.jpg: cut off", "copy it again")
    assert (error.message, error.hint) == ("cat.jpg: cut off", "copy it again")
    assert str(error) == "cat.jpg: cut off (copy it again)"
    assert str(AlphadropError("cat.jpg: cut off")) == "cat.jpg: cut off"


def test_configuration_error_says_every_problem_with_its_place() -> None:
    problems = (ConfigProblem(Path("a\n.yaml"), 3, "wrong"), ConfigProblem(Path("b.yaml"), 9, "worse"))
    error = ConfigError(problems)
    assert error.problems == problems
    assert str(error).splitlines() == ["2 problems in the configuration:", "  a\\n.yaml:3: wrong", "  b.yaml:9: worse"]
    assert "1 problem in" in str(ConfigError(problems[:1]))


def test_answer_of_the_daemon_is_passed_on() -> None:
    error = DaemonAnswered(503, "busy", "the queue is full", "try again")
    assert (error.status, error.remote_code, error.hint) == (503, "busy", "try again")


@pytest.mark.parametrize(
    ("number", "kind", "hint"),
    [
        (errno.ENOSPC, DiskFull, "space"),
        (errno.EDQUOT, DiskFull, "space"),
        (errno.EEXIST, TargetExists, "another name"),
        (errno.EACCES, CannotWrite, "permission"),
        (errno.EROFS, CannotWrite, "read-only"),
        (errno.ENOENT, CannotWrite, "folder"),
        (errno.ENAMETOOLONG, CannotWrite, "shorter"),
        (errno.EIO, CannotWrite, ""),
    ],
)
def test_refusal_to_write_is_told_by_its_number(number: int, kind: type[FileError], hint: str) -> None:
    error = writing_failed(Path("folder/cat.png"), OSError(number, os.strerror(number)))
    assert type(error) is kind
    assert "folder/cat.png" in error.message
    assert hint in error.hint


@pytest.mark.parametrize(
    ("number", "hint"), [(errno.EACCES, "permission"), (errno.ENOENT, "name"), (errno.EIO, "disk")]
)
def test_refusal_to_read_is_told_by_its_number(number: int, hint: str) -> None:
    error = reading_failed(b"folder/\xff.png", OSError(number, os.strerror(number)))
    assert type(error) is CannotRead
    assert "folder/\\xff.png" in error.message
    assert hint in error.hint


def test_refusal_to_remove_names_what_stays() -> None:
    error = removing_failed(Path("folder/cat.png"), OSError(errno.EACCES, os.strerror(errno.EACCES)))
    assert error.message == "folder/cat.png: cannot be removed: permission denied"
    assert "permission" in error.hint


def test_refusal_without_a_number_is_told_too() -> None:
    assert "odd" in writing_failed("x", OSError("odd")).message
    assert "odd" in reading_failed("x", OSError("odd")).message
    assert "odd" in removing_failed("x", OSError("odd")).message


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("plain name.jpg", "plain name.jpg"),
        ("größe 猫 🐈.jpg", "größe 猫 🐈.jpg"),
        (Path("folder/cat.jpg"), "folder/cat.jpg"),
        (b"caf\xc3\xa9.jpg", "café.jpg"),
        (b"caf\xe9.jpg", "caf\\xe9.jpg"),
        (os.fsdecode(b"caf\xe9.jpg"), "caf\\xe9.jpg"),
        (Path(os.fsdecode(b"caf\xe9.jpg")), "caf\\xe9.jpg"),
        ("two\nlines\r\t.jpg", "two\\nlines\\r\\t.jpg"),
        ("\x1b[31mred\x7f", "\\x1b[31mred\\x7f"),
        ("right\u202eto left", "right\\u202eto left"),
        ("null\0", "null\\x00"),
        ("half \ud83d", "half \\ud83d"),
        ("", ""),
    ],
)
def test_name_is_made_printable(text: str | bytes | Path, wanted: str) -> None:
    assert printable(text) == wanted
    assert printable(text).isprintable()
    printable(text).encode("utf-8")


def test_every_byte_is_printable() -> None:
    for value in range(256):
        shown = printable(bytes([value]))
        assert shown.isprintable()
        assert shown == printable(os.fsdecode(bytes([value])))


def test_front_door_is_what_it_says() -> None:
    assert alphadrop.AlphadropError is AlphadropError
    for name in alphadrop.__all__:
        assert getattr(alphadrop, name)
    with pytest.raises(AttributeError):
        alphadrop.nothing_of_the_kind  # noqa: B018
