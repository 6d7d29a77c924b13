"""batch: all photographs of a folder or a bucket, on this machine or on a Ray cluster."""

from __future__ import annotations

import argparse
import shlex
import signal
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from alphadrop.cli.config import settings_in_force
from alphadrop.cli.cut import add_cut_options, chosen_options, refuse_unusable
from alphadrop.cli.terminal import DONE, SOME_FAILED, Progress
from alphadrop.errors import BadOptions, printable
from alphadrop.memory import return_big_blocks

if TYPE_CHECKING:
    from alphadrop.config import Settings
    from alphadrop.scale.batch import Cutting
    from alphadrop.scale.cutter import Brief
    from alphadrop.scale.inventory import Counts
    from alphadrop.scale.manifest import Row
    from alphadrop.scale.plan import Estimate

__all__ = ["define_batch"]

_INTERRUPTED = 130


def define_batch(command: argparse.ArgumentParser) -> None:
    """Say what `batch` takes."""
    command.description = (
        "Cut the subject out of every photograph below SRC, into DST. Either is a folder or a URL:\n"
        "s3://BUCKET/PREFIX, gs://BUCKET/PREFIX or az://CONTAINER/PREFIX (these and --ray need the extra:\n"
        "pip install 'alphadrop[scale]'). Run it again and it does only what is missing or has changed.\n"
        "What became of each photograph stands in DST/.alphadrop/manifest. A second batch on the same\n"
        "folder is refused; on the same bucket nothing keeps it out, so start only one."
    )
    command.epilog = (
        "examples:\n"
        "  alphadrop batch shoot/ cutouts/ --plan                 # how many, how long\n"
        "  alphadrop batch shoot/ shop/ --preset shop-square\n"
        "  alphadrop batch s3://shop/raw s3://shop/cut --ray auto --workers 4:40\n"
        "  alphadrop batch shoot/ cutouts/ --retry-failed --parquet cutouts.parquet"
    )
    command.add_argument("source", metavar="SRC", help="a folder or URL; hidden files and links are passed over")
    command.add_argument("target", metavar="DST", help="a folder or URL, made if missing; it may lie inside SRC")
    add_cut_options(command)
    command.add_argument("--overwrite", action="store_true", help="replace files in DST that are not ours")
    command.add_argument("--retry-failed", action="store_true", help="try those again too that could not be cut")
    command.add_argument("--parquet", type=Path, metavar="FILE", help="write the manifest as Parquet when it is done")
    command.add_argument("--plan", action="store_true", help="count, measure, say how long it would take; do nothing")
    command.add_argument("--nodes", type=int, metavar="N", help="with --plan: machines like this one")
    command.add_argument(
        "--ray",
        metavar="auto|HOST:PORT",
        help="on Ray: the cluster that runs here, else one for this batch; or its address",
    )
    command.add_argument(
        "--workers",
        metavar="N|MIN:MAX",
        help="photographs in hand, one more than processors; with --ray actors, as many as there is room for",
    )
    command.add_argument("--worker-cpus", type=int, metavar="N", help="with --ray: processors of each actor")
    command.add_argument(
        "--worker-gpus", type=float, metavar="N", help="with --ray: GPUs of each actor, or a part of one: 0.25"
    )
    command.add_argument("--config", type=Path, metavar="FILE", help="take model and limits from this configuration")
    command.set_defaults(command=_batch)


def _batch(chosen: argparse.Namespace) -> int:
    _refuse_contradictions(chosen)
    settings = settings_in_force(chosen.config)
    refuse_unusable(chosen.model, settings)
    brief = _brief(chosen, settings)
    if chosen.plan:
        return _plan(chosen, brief)
    from alphadrop.scale.batch import run

    return_big_blocks()
    looking = _Looking(chosen.source)
    if hasattr(signal, "SIGIO"):
        signal.signal(signal.SIGIO, signal.SIG_IGN)  # the kernel's word that somebody wants to write a file we look at
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # who ends a container asks so
    try:
        counts = run(brief, _cutting(chosen, brief), looking, retry_failed=chosen.retry_failed)
    except KeyboardInterrupt:
        looking.close()
        print(
            f"interrupted: {looking.seen:,} of {looking.photographs:,} are done and recorded; "
            "the same command goes on there",
            file=sys.stderr,
        )
        return _INTERRUPTED
    finally:
        looking.close()
    print(_summary(counts, looking.seconds))
    if chosen.parquet is not None:
        _export(brief, chosen.parquet)
    if not _sum(counts, "failed"):
        return DONE
    print(f"what failed, and why, is in {printable(_manifest_of(brief))}", file=sys.stderr)
    print(f"try it again: {shlex.join(['alphadrop', *_words_again()])}", file=sys.stderr)
    return SOME_FAILED


def _refuse_contradictions(chosen: argparse.Namespace) -> None:
    if chosen.nodes is not None and not chosen.plan:
        raise BadOptions("--nodes belongs to --plan", "add --plan, or leave it out")
    if chosen.nodes is not None and chosen.nodes < 1:
        raise BadOptions(f"--nodes is 1 or more, not {chosen.nodes}")
    if not chosen.ray and (chosen.worker_cpus is not None or chosen.worker_gpus is not None):
        raise BadOptions("--worker-cpus and --worker-gpus belong to --ray", "add --ray auto, or leave them out")
    if (chosen.worker_cpus or 1) < 1 or (chosen.worker_gpus or 0) < 0:
        raise BadOptions("a worker has at least one processor, and no fewer than no GPUs")
    least, most = _workers(chosen.workers)
    if not chosen.ray and most is not None and most != least:
        raise BadOptions("--workers MIN:MAX belongs to --ray", "here it is one number")


def _workers(text: str | None) -> tuple[int | None, int | None]:
    """Read `4` or `2:40`."""
    if text is None:
        return None, None
    first, _, second = text.partition(":")
    try:
        least, most = int(first), int(second or first)
    except ValueError:
        raise BadOptions(f"{text!r} is no number of workers", "write 4, or with --ray 2:40") from None
    if not 1 <= least <= most:
        raise BadOptions(f"{text!r} is no number of workers", "at least one, and the larger number last")
    return least, most


def _brief(chosen: argparse.Namespace, settings: Settings) -> Brief:
    from alphadrop.engine.cutout import EngineRecipe
    from alphadrop.hotfolder.settings import FolderSettings
    from alphadrop.scale.cutter import Brief
    from alphadrop.scale.stores import open_store

    cut = chosen_options(chosen, keep_gps=settings.keep_gps)
    if isinstance(cut.background, Path):
        cut = replace(cut, background=cut.background.absolute())
    source, target = open_store(chosen.source).text, open_store(chosen.target).text
    model = chosen.model or settings.model
    provider = "cuda" if chosen.worker_gpus and settings.provider == "cpu" else settings.provider
    return Brief(
        source,
        target,
        FolderSettings(Path(source), Path(target), model, cut, "mask" if chosen.mask else "cutout"),
        EngineRecipe(model, settings.models, settings.threads, provider, settings.limits.pixels),
        settings.limits.in_flight_pixels,
        chosen.overwrite,
    )


def _cutting(chosen: argparse.Namespace, brief: Brief) -> Cutting:
    least, most = _workers(chosen.workers)
    if chosen.ray:
        from alphadrop.scale.cluster import Workers, on_ray

        return on_ray(brief, chosen.ray, Workers(least, most, chosen.worker_cpus, chosen.worker_gpus or 0.0))
    from alphadrop.scale.batch import here

    return here(brief, least)


class _Looking:
    """What is shown of a batch while it runs: a bar, and a line for each photograph that gave no cut-out."""

    def __init__(self, source: str) -> None:
        self._source = source.rstrip("/")
        self._progress: Progress | None = None
        self._began = time.monotonic()
        self.photographs = self.seen = 0

    @property
    def seconds(self) -> float:
        return time.monotonic() - self._began

    def begin(self, photographs: int) -> None:
        self.photographs = photographs
        self._began = time.monotonic()
        self._progress = Progress(photographs, "photo")

    def see(self, row: Row) -> None:
        self.seen += 1
        if self._progress is None:
            return
        if row.status == "failed" or row.status == "no_subject" or row.warnings:
            self._progress.clear()
            name = printable(f"{self._source}/{row.input}")
            for warning in row.warnings:
                print(f"alphadrop: {name}: {warning}", file=sys.stderr)
            if row.status == "no_subject":
                print(f"alphadrop: {name}: no subject was found, nothing was written", file=sys.stderr)
            if row.status == "failed":
                told = row.reason.removeprefix(f"{printable(row.input)}: ")
                print(f"alphadrop: {name}: {told}", file=sys.stderr)
        self._progress.advance()

    def lose(self, photographs: int) -> None:
        if self._progress is not None:
            self._progress.clear()
        print(f"alphadrop: {photographs:,} photographs lost with their worker are tried again", file=sys.stderr)

    def close(self) -> None:
        if self._progress is not None:
            self._progress.close()
            self._progress = None


def _summary(counts: Counts, seconds: float) -> str:
    """Return the table that ends a batch."""
    named = {"done": "cut out", "no_subject": "no subject", "failed": "failed"}
    lines = [f"{'':<12}{'this time':>12}{'before':>12}"]
    for status, name in named.items():
        now, before = counts.now.get(status, 0), counts.before.get(status, 0)  # type: ignore[call-overload]
        lines.append(f"{name:<12}{now:>12,}{before:>12,}")
    done = sum(counts.now.values())
    if done:
        rate = f"{done / seconds:.2f} photographs a second" if seconds else ""
        area = f"{counts.pixels / 1e6:,.0f} megapixels, " if counts.pixels else ""
        lines.append(f"{done:,} photographs, {area}in {_span(seconds)}: {rate}")
    else:
        lines.append("nothing was to do")
    return "\n".join(lines)


def _sum(counts: Counts, status: str) -> int:
    return int(counts.now.get(status, 0) + counts.before.get(status, 0))  # type: ignore[call-overload]


def _manifest_of(brief: Brief) -> str:
    from alphadrop.scale.manifest import FOLDER

    return f"{brief.target}/{FOLDER}"


def _words_again() -> list[str]:
    words = sys.argv[1:]
    return words if "--retry-failed" in words else [*words, "--retry-failed"]


def _export(brief: Brief, file: Path) -> None:
    from alphadrop.scale.manifest import Manifest
    from alphadrop.scale.objects import write_parquet
    from alphadrop.scale.stores import open_store

    write_parquet(Manifest(open_store(brief.target)).rows(), file)
    print(f"the manifest is in {printable(file)} too")


def _plan(chosen: argparse.Namespace, brief: Brief) -> int:
    from alphadrop.scale.batch import surveyed
    from alphadrop.scale.cutter import Cutter
    from alphadrop.scale.plan import estimate

    with surveyed(brief, retry_failed=chosen.retry_failed) as survey:
        before = sum(survey.inventory.counts().before.values())
        found = estimate(survey, Cutter(brief))
    print(_told(found, before, chosen.nodes or 1))
    return DONE


def _told(found: Estimate, before: int, nodes: int) -> str:
    """Return a plan as a table."""
    about = "about " if found.headers < found.photographs else ""
    unread = f", {found.unreadable:,} cannot be opened" if found.unreadable else ""
    rows = [
        ("photographs", f"{found.photographs:,} to do, {before:,} done before"),
        ("megapixels", f"{about}{found.pixels / 1e6:,.0f} ({found.headers:,} headers read{unread})"),
    ]
    if found.cut:
        measured = f"measured on {found.cut} photographs of {found.cut_pixels / 1e6:.0f} megapixels"
        rows.append(("this machine", f"{found.seconds_per_megapixel:.3f} seconds a megapixel, {measured}"))
        for count in sorted({1, nodes}):
            machines = f"{count} machine{'s' if count > 1 else ''} like it"
            rows.append((machines, f"{_span(found.seconds(count))}, {found.core_hours:,.1f} core-hours"))
    elif found.photographs:
        rows.append(("this machine", "could not be measured: none of the sample can be cut"))
    return "\n".join(f"{name:<24}{told}" for name, told in rows)


def _span(seconds: float) -> str:
    """Return a time as people say it: two units at most."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, hours, days = seconds / 60, seconds / 3600, seconds / 86400
    if minutes < 60:
        return f"{int(minutes)} min {int(seconds % 60)} s"
    if hours < 48:
        return f"{int(hours)} h {int(minutes % 60)} min"
    return f"{int(days)} d {int(hours % 24)} h"
