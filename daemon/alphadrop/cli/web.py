"""web: open the page in the user's browser, and say which browsers are let in."""

from __future__ import annotations

import argparse
import html
import os
import sys
from pathlib import Path

from alphadrop.cli.daemon import moment
from alphadrop.cli.terminal import DONE
from alphadrop.errors import printable

__all__ = ["define_web"]

_LETTER = """\
<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="referrer" content="no-referrer">
<meta http-equiv="refresh" content="0; url={address}">
<title>Alphadrop</title>
<p><a href="{address}">Alphadrop</a></p>
</html>
"""
"""The code stands in the fragment, which no browser sends to anybody."""


def define_web(command: argparse.ArgumentParser) -> None:
    """Say what `web` takes."""
    command.description = (
        "Open the web page of the running daemon in your browser, and let that browser in:\n"
        "it gets a key of its own, which stays good until you revoke it."
    )
    command.epilog = "examples:\n  alphadrop web\n  alphadrop web --keys\n  alphadrop web --revoke firefox"
    instead = command.add_mutually_exclusive_group()
    instead.add_argument("--keys", action="store_true", help="list the browsers that are let in")
    instead.add_argument("--revoke", metavar="NAME", help="let a browser in no more")
    instead.add_argument(
        "--address",
        action="store_true",
        help="print an address that lets one browser in, once and within a minute, instead of opening it",
    )
    command.set_defaults(command=_web)


def _web(chosen: argparse.Namespace) -> int:
    from alphadrop.client import Client

    client = Client()
    if chosen.keys:
        return _list(client.web_keys())
    if chosen.revoke is not None:
        client.revoke_web_key(chosen.revoke)
        print(f"{printable(chosen.revoke)} is let in no more")
        return DONE
    told = client.web_code()
    address = f"{told['address']}#code={told['code']}"
    if chosen.address:
        print(address)
        return DONE
    return _open(address, told["address"])


def _list(keys: list[dict[str, object]]) -> int:
    if not keys:
        print("no browser has been let in yet; do it with: alphadrop web")
    for key in keys:
        print(f"{key['name']}  since {moment(float(str(key['made_at'])))}")
    return DONE


def _open(address: str, page: str) -> int:
    """Hand the browser a file with the address: whoever looks at the list of processes sees the file's name alone."""
    from alphadrop import atomic, paths

    letter = paths.run_folder() / "open.html"
    atomic.write_text(letter, _LETTER.format(address=html.escape(address, quote=True)), mode=0o600)
    if _has_browser() and _opened(letter):
        print(f"opened {page} in your browser")
        return DONE
    print(letter)
    print(
        "no browser was found: open this file with yours within a minute;\n"
        "if it may not read it, use what this prints: alphadrop web --address",
        file=sys.stderr,
    )
    return DONE


def _has_browser() -> bool:
    """Return whether a window can be opened; browsers that need none would take the terminal."""
    if sys.platform in ("win32", "darwin"):
        return True
    return any(os.environ.get(name) for name in ("BROWSER", "DISPLAY", "WAYLAND_DISPLAY"))


def _opened(letter: Path) -> bool:
    import webbrowser

    try:
        return webbrowser.open(letter.resolve().as_uri())
    except (OSError, webbrowser.Error):
        return False
