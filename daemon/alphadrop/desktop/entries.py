"""Desktop entries made from those that come with Alphadrop: the command that is really installed is filled in."""

from __future__ import annotations

from collections.abc import Sequence

from alphadrop import paths
from alphadrop.desktop.desk import Desk
from alphadrop.desktop.quoting import for_entry
from alphadrop.errors import reading_failed

__all__ = ["entry", "placed"]

_TRY, _EXEC = "TryExec=alphadrop", "Exec=alphadrop "


def entry(name: str, desk: Desk, command: Sequence[str]) -> bytes:
    """Return an entry for this Alphadrop.

    Args:
        name: of the file in `config/desktop`, without its suffix.
        desk: of the user.
        command: that starts this Alphadrop.

    Raises:
        CannotRead: this installation is not whole.
    """
    file = paths.desktop_entries() / f"{name}.desktop"
    try:
        template = file.read_text(encoding="utf-8")
    except OSError as error:
        raise reading_failed(file, error) from error
    lines = []
    for line in template.splitlines():
        if line == _TRY:
            line = f"TryExec={command[0]}".replace("\\", "\\\\")
        elif line.startswith(_EXEC) or line == _EXEC.rstrip():
            program = placed(desk, command)
            if "%" in program[0]:  # GLib looks for it before it reads the signs
                program = ("env", *program)
            line = f"Exec={for_entry(program)} {line.removeprefix(_EXEC)}"
        lines.append(line)
    return "\n".join([*lines, ""]).encode()


def placed(desk: Desk, command: Sequence[str]) -> tuple[str, ...]:
    """Return a command that finds Alphadrop's own files where the user has put them."""
    variables = [f"{name}={value}" for name, value in desk.own_places.items()]
    return ("env", *variables, *command) if variables else tuple(command)
