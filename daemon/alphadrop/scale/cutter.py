"""One photograph of a batch: read from one store, cut by the pipeline of the daemon, written to another, told in a row.

It is the same on this machine and in an actor of Ray; what is needed to make one can be sent there.
"""

from __future__ import annotations

import logging
import socket
import time
from dataclasses import dataclass, replace
from pathlib import PurePath

from alphadrop.engine.cancellation import Cancellation
from alphadrop.engine.cutout import Engine, EngineRecipe
from alphadrop.engine.photo import count_pixels, own_pillow_limits
from alphadrop.errors import AlphadropError, Cancelled, TargetExists, printable, reading_failed
from alphadrop.hotfolder.marks import Mark, folder_tag, to_xmp
from alphadrop.hotfolder.naming import kinds
from alphadrop.hotfolder.settings import FolderSettings
from alphadrop.pipeline.order import Order
from alphadrop.pipeline.pipeline import Pipeline
from alphadrop.scale.inventory import Job
from alphadrop.scale.manifest import Row
from alphadrop.scale.stores import Store, open_store

__all__ = ["Brief", "Cutter", "failed"]

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Brief:
    """All that must be known to take part in a batch."""

    source: str
    target: str
    settings: FolderSettings
    """Of the cut-outs; its folders are the two stores' texts."""
    recipe: EngineRecipe
    in_flight_pixels: int
    overwrite: bool = False
    """Whether files that are not ours may be replaced."""


class Cutter:
    """Cuts photographs with one warm engine; safe to use from several threads."""

    def __init__(self, brief: Brief, engine: Engine | None = None) -> None:
        """Open the stores.

        Args:
            brief: of the batch.
            engine: that cuts; by default one made by the brief's recipe.
        """
        own_pillow_limits()
        self.engine = engine or Engine.of(brief.recipe)
        self._brief = brief
        self._source: Store = open_store(brief.source)
        self._target: Store = open_store(brief.target)
        self._pipeline = Pipeline(self.engine, in_flight_pixels=brief.in_flight_pixels)
        self._fingerprint = brief.settings.fingerprint()
        self._cancellation = Cancellation()

    def warm(self) -> None:
        """Load the network; raise ModelError where that cannot be."""
        self.engine.warm(self._brief.settings.model)

    def cancel(self) -> None:
        """End what is under way, in other threads, with Cancelled."""
        self._cancellation.cancel()

    def cut(self, job: Job) -> Row:
        """Do a photograph; whatever goes wrong with it is in its row.

        Raises:
            Cancelled: it was ended.
        """
        begun = self.working(job)
        try:
            row = self._cut(job, begun)
        except Cancelled:
            raise
        except AlphadropError as error:
            row = failed(begun, error)
        except OSError as error:  # whatever a disk or a server says that goes away in the midst of it
            row = failed(begun, reading_failed(job.found.name, error))
        except Exception as error:
            _log.exception("%s: failed in a way that was not foreseen", printable(job.found.name))
            row = replace(begun, status="failed", code="internal", reason=f"{type(error).__name__}: {error}")
        return replace(row, finished=round(time.time(), 3))

    def working(self, job: Job) -> Row:
        """Return the row of a photograph that is being begun."""
        found = job.found
        return Row(
            found.name,
            found.content.size,
            found.content.mtime_ns,
            self._fingerprint,
            "working",
            started=round(time.time(), 3),
            host=socket.gethostname(),
        )

    def measure(self, job: Job) -> int:
        """Cut a photograph and write nothing; return how many pixels it has.

        Raises:
            AlphadropError: it cannot be cut.
        """
        settings, name = self._brief.settings, printable(job.found.name)
        with self._source.read(job.found) as source:
            pixels = count_pixels(source.stream, name, max_pixels=self.engine.max_pixels)
            self._pipeline.cut(source.stream, Order(name, settings.cut, settings.model), self._cancellation)
        return pixels

    def _cut(self, job: Job, begun: Row) -> Row:
        settings, name = self._brief.settings, printable(job.found.name)
        kind, content = kinds(settings)[0], job.found.content
        # Not the time of day: the same photograph is to give the same bytes, whenever and wherever it is cut.
        made_ns = max(0, content.mtime_ns)
        last_name = PurePath(job.found.name).name
        mark = Mark(folder_tag(settings.input), last_name, content, self._fingerprint, kind, made_ns)
        replaces = self._may_replace(job.output, mark)
        if replaces is None:
            return replace(begun, status="done", output=job.output, model=settings.model)
        with self._source.read(job.found) as source:
            order = Order(name, settings.cut, settings.model, (kind,), {kind: to_xmp(mark)})
            if job.suspect:
                pixels, done = 0, self._pipeline.cut_apart(source.stream.read(), order, self._cancellation)
            else:
                pixels = count_pixels(source.stream, name, max_pixels=self.engine.max_pixels)
                done = self._pipeline.cut(source.stream, order, self._cancellation)
            row = replace(begun, status="no_subject", pixels=pixels, model=done.model, warnings=done.warnings)
            seconds = sum(done.seconds.values())
            if done.subject:
                clock = time.perf_counter()
                size = self._target.put(
                    job.output,
                    done.outputs[kind],
                    replace=replaces,
                    modified_ns=made_ns,
                    before=source.refuse_if_changed,
                )
                seconds += time.perf_counter() - clock
                row = replace(row, status="done", output=job.output, bytes=size)
        return replace(row, seconds=round(seconds, 3))

    def _may_replace(self, output: str, mark: Mark) -> bool | None:
        """Return whether what has the output's name may be replaced; None where it is what would be written.

        Raises:
            TargetExists: it is not ours.
        """
        if not self._target.has(output):
            return self._brief.overwrite
        there = self._target.mark(output)
        if there == mark:
            return None  # a run that ended before it could say so
        if there is not None and (there.folder, there.source, there.kind) == (mark.folder, mark.source, mark.kind):
            return True
        if self._brief.overwrite:
            return True
        raise TargetExists(
            f"{printable(output)}: exists in the target already, and is not ours", "--overwrite replaces it"
        )


def failed(begun: Row, error: AlphadropError) -> Row:
    """Return the row of a photograph that could not be cut."""
    return replace(begun, status="failed", code=error.code, reason=str(error), passing=error.transient)
