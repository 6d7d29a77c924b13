"""Every text of the plug-in that a user may see is there in Simplified Chinese."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from alphadrop import paths

TREE = ast.parse(paths.gimp_plugin().read_bytes())
SAID_TO_THE_USER = {"Failed", "message", "progress_init", "progress_set_text", "set_menu_label", "set_tooltip_text"}


def _calls(name: str) -> Iterator[ast.Call]:
    for node in ast.walk(TREE):
        if isinstance(node, ast.Call) and ast.unparse(node.func).split(".")[-1] == name:
            yield node


def _chinese() -> dict[str, str]:
    for node in TREE.body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "CHINESE":
            pairs: dict[str, str] = ast.literal_eval(node.value)
            return pairs
    raise AssertionError("there is no CHINESE")


def _asked_for() -> set[str]:
    return {ast.literal_eval(call.args[0]) for call in _calls("_")}


def test_every_text_has_its_translation_and_none_is_left_over() -> None:
    assert _asked_for() == set(_chinese())


def test_translations_name_the_same_things() -> None:
    for english, chinese in _chinese().items():
        assert sorted(re.findall(r"\{\w+\}", english)) == sorted(re.findall(r"\{\w+\}", chinese)), english
        assert re.search("[\u4e00-\u9fff]", chinese), english
        assert ("_" in english) == ("(_" in chinese), english
        assert english.endswith("...") == chinese.endswith("..."), english


def test_no_text_reaches_the_user_untranslated() -> None:
    for name in SAID_TO_THE_USER:
        for call in _calls(name):
            for argument in call.args:
                literals = [node for node in ast.walk(argument) if isinstance(node, ast.Constant)]
                translated = {
                    id(part)
                    for node in ast.walk(argument)
                    if isinstance(node, ast.Call) and ast.unparse(node.func) == "_"
                    for part in ast.walk(node)
                }
                bare = [node.value for node in literals if id(node) not in translated and isinstance(node.value, str)]
                assert not [text for text in bare if re.search("[a-z] [a-z]", text)], ast.unparse(call)
