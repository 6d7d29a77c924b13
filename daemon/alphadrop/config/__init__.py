"""YAML to typed settings: every error at once, each with its file and line and the right spelling where it is near.

* `load` and `parse` read a configuration, or raise one `ConfigError` that holds everything wrong with it.
* `create_default` writes the annotated default for a new user; `as_yaml` and `as_mapping` say
  what is in force.
* `make_key` makes a key for another program, of which the file holds the hash.

Inside, one direction: `document` (text to guarded YAML nodes), `values` (one value), `schema` (the tables of keys, and
what becomes of them), `checks` (folders against each other), `loading` and `writing`.
"""

from __future__ import annotations

from alphadrop.config.keys import make_key, sha256_of
from alphadrop.config.loading import load, parse
from alphadrop.config.settings import Limits, LogLevel, NamedKey, Settings, Web
from alphadrop.config.writing import as_mapping, as_yaml, create_default

__all__ = [
    "Limits",
    "LogLevel",
    "NamedKey",
    "Settings",
    "Web",
    "as_mapping",
    "as_yaml",
    "create_default",
    "load",
    "make_key",
    "parse",
    "sha256_of",
]
