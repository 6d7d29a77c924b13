"""Settings to YAML, and the annotated file that a new user starts with."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

import yaml

from alphadrop import atomic, paths
from alphadrop.config.settings import Settings
from alphadrop.engine.models import ModelSpec
from alphadrop.engine.options import Background, Canvas
from alphadrop.errors import reading_failed, writing_failed
from alphadrop.hotfolder.settings import FolderSettings

__all__ = ["as_mapping", "as_yaml", "create_default"]

_PICTURES = re.compile(r"^(\s*(?:- )?(?:input|output): )~/Pictures/(\S+)", re.MULTILINE)


def as_yaml(settings: Settings) -> str:
    """Return every setting in force as YAML, presets resolved; reading it gives the same settings."""
    return yaml.safe_dump(
        as_mapping(settings), sort_keys=False, allow_unicode=True, default_flow_style=None, width=1000
    )


def as_mapping(settings: Settings) -> dict[str, Any]:
    """Return every setting in force as the file would say it: numbers, texts, lists and mappings alone."""
    return {
        "model": settings.model,
        "threads": settings.threads,
        "provider": settings.provider,
        "quiet": settings.quiet,
        "limits": {"pixels": settings.limits.megapixels, "in_flight": settings.limits.in_flight_megapixels},
        "keep_gps": settings.keep_gps,
        "history": settings.history,
        "web": {"enabled": settings.web.enabled, "port": settings.web.port},
        "keys": [{"name": key.name, "sha256": key.sha256} for key in settings.keys],
        "allow_origins": list(settings.allow_origins),
        "log": {"level": settings.log_level},
        "notifications": settings.notifications,
        "tray": settings.tray,
        "folders": [_folder(folder) for folder in settings.folders],
        "models": [_model(model) for model in settings.models],
    }


def create_default(file: Path, pictures: Path | None = None) -> Path:
    """Write the annotated default configuration, and make the two folders it watches.

    Args:
        file: where to; its folder is made.
        pictures: the folder for `Alphadrop/In` and `Alphadrop/Out`; the user's Pictures folder where not given.

    Returns:
        `file`.

    Raises:
        TargetExists: there is a configuration already.
        CannotRead: the default cannot be read: the installation is incomplete.
        DiskFull, CannotWrite: the file system refused.
    """
    pictures = pictures or paths.pictures_folder()
    template = paths.default_config()
    try:
        text = template.read_text(encoding="utf-8")
    except OSError as error:
        raise reading_failed(template, error) from error
    text = _PICTURES.sub(lambda match: match[1] + _scalar(_portable(pictures / match[2])), text)
    _make(file.parent)
    atomic.write_text(file, text, replace=False)
    for name in ("In", "Out"):
        _make(pictures / "Alphadrop" / name)
    return file


def _make(folder: Path) -> None:
    try:
        os.makedirs(folder, exist_ok=True)
    except OSError as error:
        raise writing_failed(folder, error) from error


def _portable(path: Path) -> str:
    """Return a path as the file says it: below the home folder with `~`."""
    home = Path.home()
    return f"~/{_literal(path.relative_to(home))}" if path.is_relative_to(home) else _literal(path)


def _literal(path: Path) -> str:
    return str(path).replace("$", "$$")


def _scalar(text: str) -> str:
    dumped = yaml.safe_dump(text, allow_unicode=True, width=10_000)
    return dumped.removesuffix("\n").removesuffix("\n...")


def _folder(folder: FolderSettings) -> dict[str, Any]:
    places = {"finished": folder.finished, "failed": folder.failed}
    return {
        "input": _literal(folder.input),
        "output": _literal(folder.output),
        "recursive": folder.recursive,
        "model": folder.model,
        "result": folder.result,
        "format": folder.cut.format,
        "png": folder.cut.png,
        "quality": folder.cut.quality,
        "edges": folder.cut.edges,
        **({} if folder.cut.decontaminate is None else {"decontaminate": folder.cut.decontaminate}),
        "smallest_part": folder.cut.smallest_part,
        "fill_holes": folder.cut.fill_holes,
        "feather": folder.cut.feather,
        "hardness": folder.cut.hardness,
        "shift_edge": folder.cut.shift_edge,
        "background": _background(folder.cut.background),
        "crop": folder.cut.crop,
        "margin": folder.cut.margin,
        "canvas": _canvas(folder.cut.canvas),
        "name": folder.name,
        "if_exists": folder.if_exists,
        "originals": folder.originals,
        **{key: _literal(place) for key, place in places.items() if place is not None},
        "settle": folder.settle,
        "rescan": folder.rescan,
        "poll": folder.poll,
        "include": list(folder.include),
        "exclude": list(folder.exclude),
    }


def _background(background: Background) -> str:
    if background is None:
        return "transparent"
    return _literal(background) if isinstance(background, Path) else "#{:02x}{:02x}{:02x}".format(*background)


def _canvas(canvas: Canvas) -> dict[str, Any]:
    shape: dict[str, Any] = {}
    if canvas.size is not None:
        shape["size"] = list(canvas.size)
    if canvas.aspect is not None:
        shape["aspect"] = canvas.aspect
    return {**shape, "align": canvas.align}


def _model(model: ModelSpec) -> dict[str, Any]:
    return {
        "name": model.name,
        "file": _literal(Path(model.file)),
        "input_size": model.input_size,
        "scale": model.scale,
        "mean": list(model.mean),
        "std": list(model.std),
        "activation": model.activation,
        "licence": model.licence,
    }
