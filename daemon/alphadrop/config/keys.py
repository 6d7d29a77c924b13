"""Keys for other programs of the user's: how they are made, named and told apart by their hashes.

A key is 256 random bits, so that its plain hash gives nothing away.
"""

from __future__ import annotations

import hashlib
import re
import secrets

from alphadrop.config.settings import NamedKey
from alphadrop.errors import BadOptions

__all__ = ["checked_name", "make_key", "sha256_of"]

_BYTES = 32
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


def make_key(name: str) -> tuple[str, NamedKey]:
    """Return a new key, and what the configuration holds of it.

    Raises:
        BadOptions: the name is not one.
    """
    key = secrets.token_urlsafe(_BYTES)
    return key, NamedKey(checked_name(name), sha256_of(key.encode("ascii")))


def sha256_of(key: bytes) -> str:
    """Return the hash by which a key is known."""
    return hashlib.sha256(key).hexdigest()


def checked_name(name: str) -> str:
    """Return the name of a key.

    Raises:
        BadOptions: it is not one.
    """
    if not _NAME.fullmatch(name):
        raise BadOptions(f"{name[:60]!a} is no name for a key", "up to 64 letters, digits, and . _ - after the first")
    return name
