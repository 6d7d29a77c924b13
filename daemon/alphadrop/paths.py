"""Where things live: on each platform, and inside an installed or an editable package.

Apart from platformdirs (the conventions of each system) everything here is a pure function of the environment.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

__all__ = [
    "browsers_file",
    "compiled_folder",
    "config_file",
    "data_folder",
    "default_config",
    "desktop_entries",
    "embedded_models",
    "gimp_plugin",
    "icon",
    "ledger_file",
    "log_file",
    "model_folder",
    "pictures_folder",
    "registry_file",
    "resources",
    "run_folder",
    "speeds_file",
    "units",
    "written_file",
]

_APP = "alphadrop"
_INSTALLED = Path(__file__).parent / "_resources"


def resources() -> Path:
    """Return the folder that holds `models/`, `config/` and `plugins/`.

    In a wheel they are carried inside the package; in an editable checkout they are the repository's own.
    """
    return _INSTALLED if _INSTALLED.is_dir() else Path(__file__).parents[2]


def embedded_models() -> Path:
    """Return the folder of the models that come with Alphadrop."""
    return resources() / "models"


def registry_file() -> Path:
    """Return the table that describes every known model."""
    return embedded_models() / "registry.yaml"


def default_config() -> Path:
    """Return the annotated default configuration."""
    return resources() / "config" / "alphadrop.yaml"


def units() -> Path:
    """Return the folder of service files for systemd and others."""
    return resources() / "config" / "units"


def desktop_entries() -> Path:
    """Return the folder of entries for menus and file managers."""
    return resources() / "config" / "desktop"


def icon() -> Path:
    """Return the icon, as SVG."""
    return Path(__file__).parent / "service" / "page" / "icon.svg"


def gimp_plugin() -> Path:
    """Return the GIMP 3 plug-in."""
    return resources() / "plugins" / "gimp" / "alphadrop" / "alphadrop.py"


def config_file() -> Path:
    """Return the user's configuration (`ALPHADROP_CONFIG` overrides)."""
    override = os.environ.get("ALPHADROP_CONFIG")
    if override:
        return Path(override).expanduser()
    import platformdirs

    return platformdirs.user_config_path(_APP, appauthor=False) / "alphadrop.yaml"


def data_folder() -> Path:
    """Return the folder of what must be kept: the ledger and downloaded models (`ALPHADROP_DATA_DIR` overrides)."""
    override = os.environ.get("ALPHADROP_DATA_DIR")
    if override:
        return Path(override).expanduser()
    import platformdirs

    return platformdirs.user_data_path(_APP, appauthor=False)


def ledger_file() -> Path:
    """Return the ledger's database."""
    return data_folder() / "ledger.sqlite"


def browsers_file() -> Path:
    """Return the record of the browsers that have a key for the web page."""
    return data_folder() / "browsers.json"


def written_file() -> Path:
    """Return the record of what was written outside Alphadrop's own folders."""
    return data_folder() / "written.json"


def model_folder() -> Path:
    """Return the folder of downloaded models."""
    return data_folder() / "models"


def speeds_file() -> Path:
    """Return the record of how fast the networks are here."""
    return data_folder() / "speeds.json"


def compiled_folder() -> Path:
    """Return the folder of networks as they were made for this processor; whatever is in it can be made anew."""
    return data_folder() / "compiled"


def log_file() -> Path:
    """Return the daemon's log (`ALPHADROP_DATA_DIR` moves it too)."""
    if os.environ.get("ALPHADROP_DATA_DIR"):
        return data_folder() / "log" / "alphadrop.log"
    import platformdirs

    return platformdirs.user_log_path(_APP, appauthor=False) / "alphadrop.log"


def pictures_folder() -> Path:
    """Return the user's Pictures folder under its localised name."""
    import platformdirs

    return platformdirs.user_pictures_path()


def run_folder() -> Path:
    """Return the folder of the lock and the socket (`ALPHADROP_RUN_DIR` overrides).

    On Linux it is literally `~/.local/share/alphadrop/run`: sandboxed clients such as a Flatpak GIMP see rewritten
    XDG variables, and would look elsewhere.
    """
    override = os.environ.get("ALPHADROP_RUN_DIR")
    if override:
        return Path(override).expanduser()
    if sys.platform == "win32":
        import platformdirs

        return platformdirs.user_data_path(_APP, appauthor=False) / "run"
    return Path.home() / ".local" / "share" / _APP / "run"
