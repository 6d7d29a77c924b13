"""What opens photographs is found in what GLib says, and added to a list."""

from __future__ import annotations

import pytest

from alphadrop.desktop.defaults import instead_of_ours, types_of, with_defaults

OURS = """\
Default application for ?image/jpeg?: alphadrop.desktop
Registered applications:
\talphadrop.desktop
\tviewer.desktop
\teditor.desktop
Recommended applications:
\talphadrop.desktop
"""


def test_the_next_one_is_to_open_it_where_ours_would() -> None:
    assert instead_of_ours(OURS) == "viewer.desktop"


@pytest.mark.parametrize(
    "told",
    [
        "",
        "No default applications for ?image/avif?\n",
        OURS.replace("?: alphadrop", "?: viewer"),
        OURS.replace("\tviewer.desktop\n\teditor.desktop\n", ""),
        OURS.partition("Registered")[0],
    ],
    ids=["nobody tells", "nothing opens it", "another opens it", "nothing else opens it", "no more is told"],
)
def test_nothing_is_to_be_done_otherwise(told: str) -> None:
    assert instead_of_ours(told) is None


def test_defaults_are_added_to_those_there_are() -> None:
    first = with_defaults(b"", {"image/jpeg": "viewer.desktop"})
    assert first == b"[Default Applications]\nimage/jpeg=viewer.desktop;\n"
    again = with_defaults(first, {"image/png": "viewer.desktop"})
    assert again == first + b"image/png=viewer.desktop;\n"
    assert with_defaults(first, {"image/jpeg": "editor.desktop"}) == first.replace(b"viewer", b"editor")


def test_types_are_those_of_the_entry() -> None:
    assert types_of(b"[Desktop Entry]\nMimeType=image/jpeg;image/png;\nName=A\n") == ("image/jpeg", "image/png")
