"""An archive that tells somebody else what is wrong, and nothing of whose photographs they are."""

from __future__ import annotations

import contextlib
import getpass
import io
import json
import os
import platform
import re
import socket
import sys
import zipfile
from collections.abc import Iterable, Mapping, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

from alphadrop import __version__, paths
from alphadrop.cli.config import settings_in_force
from alphadrop.cli.placeholders import Placeholders
from alphadrop.errors import AlphadropError, TargetExists, printable

__all__ = ["write_bundle"]

_ABOUT = """\
What `alphadrop doctor` found, for somebody who is to help.

  doctor.json         what was looked at, and what is wrong
  status.json         how the daemon says that it is
  configuration.json  the settings in force
  versions.json       Alphadrop, Python, the system, the packages in use
  alphadrop.log       the daemon's log

Names are replaced, of photographs, folders, people and machines, and every word that is not Alphadrop's own; the same
name has the same placeholder in every file: <photo-1>.jpg, <folder-1>, <user>, <word-1>. There are no pictures in here.
Look through it before you hand it on.
"""
_VARIABLES = ("XDG_SESSION_TYPE", "XDG_CURRENT_DESKTOP", "LANG")
"""Of the session, that tell what desktop this is."""


def write_bundle(target: Path, findings: Sequence[Mapping[str, Any]]) -> None:
    """Write the archive.

    Args:
        target: a file that is not there yet.
        findings: of the doctor.

    Raises:
        TargetExists, DiskFull, CannotWrite: it cannot be written.
    """
    from alphadrop import atomic

    settings, status = _settings(), _status()
    names = _names()
    told = Placeholders(_own(), _folders(settings), names, _people())
    members = {
        "README.txt": _ABOUT,
        "doctor.json": _json(told.hide_in(list(findings))),
        "status.json": _json(told.hide_in(status)),
        "configuration.json": _json(told.hide_in(settings)),
        "versions.json": _json(_versions()),
        "alphadrop.log": told.hide(_log()) + "\n",
    }
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in members.items():
            archive.writestr(name, text.encode("utf-8", "backslashreplace"))
    try:
        atomic.write(target, [packed.getvalue()], replace=False, mode=0o600)
    except TargetExists as error:
        raise TargetExists(error.message, "it is left as it is; name another file") from error


def _settings() -> Any:
    from alphadrop.config import as_mapping

    try:
        settings = as_mapping(settings_in_force(None))
    except AlphadropError as error:
        return {"cannot be used": str(error)}
    settings["keys"] = len(settings["keys"])
    return settings


def _status() -> dict[str, Any]:
    from alphadrop.client import Client

    try:
        return Client().status()
    except AlphadropError as error:
        return {"no answer": str(error)}


def _versions() -> dict[str, Any]:
    packages = {}
    for requirement in metadata.requires("alphadrop") or []:
        name = re.split(r"[^\w.-]", requirement, maxsplit=1)[0]
        try:
            packages[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            packages[name] = "not installed"
    return {
        "alphadrop": __version__,
        "python": platform.python_version(),
        "system": platform.platform(),
        "processors": os.cpu_count(),
        "session": {name: os.environ[name] for name in _VARIABLES if name in os.environ},
        "packages": packages,
    }


def _log() -> str:
    """Return the whole log, the oldest lines first."""
    newest = paths.log_file()
    older = [newest.with_name(f"{newest.name}.{number}") for number in range(9, 0, -1)]
    told = []
    for file in (*older, newest):
        try:
            told.append(file.read_text(encoding="utf-8", errors="backslashreplace"))
        except OSError:  # there are as many as were needed
            continue
    return "".join(told)


def _names() -> set[str]:
    """Return the paths that the record of photographs knows, as a log has them."""
    from alphadrop.hotfolder.schema import known_paths

    return {printable(path) for path in known_paths(paths.ledger_file())}


def _folders(settings: Any) -> set[str]:
    """Return the folders of a configuration."""
    rows: Iterable[Any] = settings.get("folders", []) if isinstance(settings, dict) else []
    named = {
        str(row[key]) for row in rows if isinstance(row, dict) for key in ("input", "output", "finished", "failed")
        if row.get(key)
    }  # fmt: skip
    return {printable(os.path.expanduser(name)) for name in named} | named


def _own() -> dict[Path, str]:
    return {
        paths.config_file(): "settings",
        paths.data_folder(): "data",
        paths.run_folder(): "run",
        paths.log_file(): "log",
        Path.home(): "home",
        Path(sys.executable): "python",
    }


def _people() -> set[str]:
    people = {socket.gethostname(), Path.home().name}
    with contextlib.suppress(KeyError, OSError):  # not every process has been started by somebody with a name
        people.add(getpass.getuser())
    return people


def _json(told: Any) -> str:
    return json.dumps(told, indent=2, ensure_ascii=False) + "\n"
