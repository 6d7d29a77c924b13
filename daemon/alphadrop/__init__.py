"""Alphadrop: transparent cut-outs of photographs, from one resident process.

The library's front door is two functions and the errors:

    from alphadrop import cut_out, cut_file

They are imported when first used, so that `alphadrop --help` stays quick.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

__version__ = "0.1.0"
__all__ = ["AlphadropError", "CutReport", "__version__", "cut_file", "cut_out"]

if TYPE_CHECKING:
    from alphadrop.engine.cutout import CutReport, cut_file, cut_out
    from alphadrop.errors import AlphadropError


def __getattr__(name: str) -> object:
    if name == "AlphadropError":
        from alphadrop.errors import AlphadropError

        return AlphadropError
    if name in {"cut_out", "cut_file", "CutReport"}:
        from alphadrop.engine import cutout

        return getattr(cutout, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
