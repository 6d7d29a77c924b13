"""Thunar's list of actions: one is added and taken out, and nothing else changes, whatever wrote the file."""

from __future__ import annotations

import xml.etree.ElementTree as ET

import pytest

from alphadrop.desktop.thunar import EMPTY, with_action, without_action
from alphadrop.errors import CannotRead
from home_tree import THUNAR

COMMAND = ("/a b/alpha&drop 100%", "desktop", "open", "--")
OTHER = b"<action>\n\t<name>alphadrop-cut-out</name>\n\t<unique-id>2</unique-id>\n</action>"
LISTS = [
    EMPTY,
    THUNAR,
    b"<actions>" + OTHER + b"</actions>",
    b"<actions></actions>",
    EMPTY.replace(b"\n", b"\r\n"),
    b"\xef\xbb\xbf" + EMPTY,
]


@pytest.mark.parametrize("content", LISTS, ids=range(len(LISTS)))
def test_the_action_is_added_and_taken_out_to_the_byte(content: bytes) -> None:
    changed = with_action(content, COMMAND)
    actions = ET.fromstring(changed)
    ours = [each for each in actions if each.findtext("unique-id") == "alphadrop-cut-out"]
    assert len(ours) == 1
    assert len(actions) == len(ET.fromstring(content)) + 1
    assert ours[0].findtext("command") == "'/a b/alpha&drop 100%%' desktop open -- %F"
    assert ours[0].find("image-files") is not None
    names = {each.get("{http://www.w3.org/XML/1998/namespace}lang"): each.text for each in ours[0].iterfind("name")}
    assert names == {None: "Cut Out with Alphadrop", "zh_CN": "用 Alphadrop 抠图"}
    assert without_action(changed) == content
    assert with_action(changed, COMMAND) == changed


def test_it_is_replaced_where_it_was_another_command() -> None:
    once = with_action(THUNAR, ("/old/alphadrop", "desktop", "open"))
    again = with_action(once, COMMAND)
    assert again.count(b"<unique-id>alphadrop-cut-out</unique-id>") == 1
    assert b"/old/" not in again


def test_it_is_found_when_thunar_has_written_the_list_anew() -> None:
    changed = with_action(THUNAR, COMMAND)
    rewritten = changed.replace(b"<patterns>*</patterns>\n\t<image-files/>", b"<range></range>\n\t<image-files/>")
    assert rewritten != changed
    assert b"alphadrop" not in without_action(rewritten)


@pytest.mark.parametrize(
    "content",
    [b"", b"nonsense", b"<actions><action></actions>", b"<other></other>", b"<actions/>", b"<actions></actions><"],
)
def test_what_is_no_such_list_is_refused(content: bytes) -> None:
    with pytest.raises(CannotRead, match="not a list of Thunar's actions"):
        with_action(content, COMMAND)


def test_an_end_that_is_none_is_found_out() -> None:
    with pytest.raises(CannotRead, match="its end"):
        with_action(b"<actions></actions><?mine </actions> ?>", COMMAND)
