"""The manual says what the program is: every command, option and error there is, and no other."""

from __future__ import annotations

import argparse
import re
from collections.abc import Iterator

import pytest

from alphadrop import errors
from alphadrop.cli import COMMANDS, _parser
from alphadrop.config import parse
from alphadrop.engine.models import registry
from alphadrop.service import refusals
from manual import CHECKOUT, PAGES, fences_of, named_commands, page_file, sections_of

_LINK = re.compile(r"\]\(([^)\s]+)\)")
_ANY_NUMBER = {"N": "1", "ID": "1"}
ROOTS = {"desktop", "error", "photo", "file", "model", "gimp"}
"""Codes of branches of the tree: nobody raises these."""


def commands() -> Iterator[tuple[str, argparse.ArgumentParser]]:
    for name in COMMANDS:
        every = next(_subcommands(_parser(name)))
        yield from _leaves(f"alphadrop {name}", every[name])


def _leaves(name: str, parser: argparse.ArgumentParser) -> Iterator[tuple[str, argparse.ArgumentParser]]:
    actions = next(_subcommands(parser), None)
    if actions is None:
        yield name, parser
        return
    for action, below in actions.items():
        yield from _leaves(f"{name} {action}", below)


def _subcommands(parser: argparse.ArgumentParser) -> Iterator[dict[str, argparse.ArgumentParser]]:
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            yield dict(action.choices)


def options(parser: argparse.ArgumentParser) -> set[str]:
    return {word for action in parser._actions for word in action.option_strings} - {"-h", "--help"}


def test_the_command_line_page_has_every_command_and_every_option_and_no_other() -> None:
    told = {title.strip("`"): text for title, text in sections_of("command-line.md", 3).items()}
    real = dict(commands())
    assert set(told) == set(real)
    for name, parser in real.items():
        rows = re.findall(r"^\| (`-.+?) \|", told[name], re.MULTILINE)
        named = {word.strip("` ") for row in rows for word in row.split(",")}
        assert named == options(parser), name
        assert f"\n{name}" in told[name] or f" {name}" in told[name], f"no example of {name}"


@pytest.mark.parametrize("page", PAGES)
def test_every_command_that_a_sentence_names_is_one(page: str) -> None:
    for code, words in named_commands(page):
        if words in ([], ["COMMAND"], ["--version"]):
            continue
        parser = _parser(next((word for word in words if not word.startswith("-")), None))
        given = [_ANY_NUMBER.get(word, word) for word in words]
        try:
            parser.parse_args(given)
        except SystemExit as ended:
            if ended.code != 0 and not _is_a_part(words):
                pytest.fail(f"{page}: `{code}` is no command")


def _is_a_part(words: list[str]) -> bool:
    """Return whether a sentence names a command without what it is done to, as `alphadrop cut`."""
    found = dict(commands())
    at = max((n for n in range(len(words) + 1) if " ".join(["alphadrop", *words[:n]]) in found), default=0)
    if at == 0:
        return len(words) == 1 and words[0] in COMMANDS
    return all(word in options(found[" ".join(["alphadrop", *words[:at]])]) for word in words[at:])


@pytest.mark.parametrize("page", PAGES)
def test_every_configuration_that_is_shown_is_a_right_one(page: str) -> None:
    for language, text in fences_of(page):
        if language == "yaml":
            parse(text, CHECKOUT / "alphadrop.yaml", known=("u2net-int8",))


def test_the_table_of_models_is_the_registry() -> None:
    table = sections_of("models.md", 2)["Which to choose"]
    rows = [
        [cell.strip("` ") for cell in line.split("|")[1:4]] for line in table.splitlines() if line.startswith("| `")
    ]
    told = {(name, size.partition(",")[0], side) for name, size, side in rows}
    assert told == {
        (spec.name, f"{spec.size / 1e6:.0f}" if spec.size else "", f"{spec.input_size}") for spec in registry().values()
    }


def every_code() -> set[str]:
    found, left = set(), [errors.AlphadropError]
    while left:
        kind = left.pop()
        found.add(kind.code)
        left += kind.__subclasses__()
    service = CHECKOUT / "daemon" / "alphadrop" / "service"
    for module in ("trust.py", "refusals.py"):
        source = (service / module).read_text(encoding="utf-8")
        found |= set(re.findall(r'(?:_refused|_answer)\(\s*\d+,\s*"(\w+)"', source))
    return (found | set(refusals._CODES.values()) | {"http"}) - ROOTS


def test_every_code_that_a_user_can_meet_has_a_row_with_a_remedy() -> None:
    below = sections_of("troubleshooting.md", 2)["Every code"]
    rows = re.findall(r"^\| `(\w+)` \| (.+) \| (.+) \|$", below, re.MULTILINE)
    assert sorted(code for code, _, _ in rows) == sorted(every_code())
    assert all(len(what) > 10 and len(remedy) > 8 for _, what, remedy in rows)


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_somewhere_on_a_code_host_too(page: str) -> None:
    file = page_file(page)
    for link in _LINK.findall(file.read_text(encoding="utf-8")):
        if link.startswith("https://"):
            continue
        path, _, anchor = link.partition("#")
        target = (file.parent / path).resolve() if path else file
        assert target.is_file(), f"{page}: {link}"
        if page != "README.md":
            assert target.parent.is_relative_to(CHECKOUT / "docs"), f"{page}: {link} is not part of the site"
        if anchor:
            headings = re.findall(r"^#+ (.+)$", target.read_text(encoding="utf-8"), re.MULTILINE)
            assert anchor in map(_anchor, headings), f"{page}: {link}"


def _anchor(heading: str) -> str:
    """Return where a code host puts a heading."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")
