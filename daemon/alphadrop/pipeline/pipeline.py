"""Photographs through the engine, several at once: while the network looks at one, others are decoded and encoded.

Whoever has a photograph brings a thread; this room says when it may go on. There are no queues here: the backlog of hot
folders lives in the ledger, that of people in the connections they hold.
"""

from __future__ import annotations

import io
import time
from collections.abc import Callable
from dataclasses import replace
from typing import BinaryIO

from alphadrop.engine.cancellation import Cancellation
from alphadrop.engine.cutout import Cut, Engine, EngineRecipe, Look
from alphadrop.engine.options import CutOptions
from alphadrop.engine.photo import Photo, count_pixels, decode
from alphadrop.pipeline.apart import cut_apart
from alphadrop.pipeline.explain_apart import Explained, File, Question, explain_apart
from alphadrop.pipeline.idle import Idle
from alphadrop.pipeline.order import Finished, Order, draw
from alphadrop.pipeline.quiet import Surroundings
from alphadrop.pipeline.turns import PixelBudget, Turns

__all__ = ["Pipeline"]

_IDLE_AFTER = 10.0
"""Seconds without work."""


class Pipeline:
    """The way of all photographs of this process through one engine."""

    def __init__(
        self,
        engine: Engine,
        *,
        in_flight_pixels: int = 40_000_000,
        is_quiet: Callable[[], bool] | None = None,
        apart: Callable[[bytes, Order, EngineRecipe, Cancellation], Finished] = cut_apart,
        when_idle: Callable[[], None] = lambda: None,
    ) -> None:
        """Make a pipeline.

        Args:
            engine: that cuts; another may be put in its place at any time.
            in_flight_pixels: of background work at once.
            is_quiet: whether background work is to take one processor only, asked before each photograph.
            apart: how a photograph is done in a process of its own.
            when_idle: called by a thread of its own when nothing has been done for a while, and the engine rests.
        """
        self.engine = engine
        self.budget = PixelBudget(in_flight_pixels)
        self.is_quiet = is_quiet or Surroundings("never").are_quiet
        self._apart = apart
        self._turns = Turns()
        self._idle = Idle(_IDLE_AFTER, self._rest)
        self._when_idle = when_idle
        self._for_people = PixelBudget(in_flight_pixels)
        """Of what somebody waits for, which does not wait for background work."""

    def limit(self, in_flight_pixels: int) -> None:
        """Have other limits for what comes from now on."""
        self.budget, self._for_people = PixelBudget(in_flight_pixels), PixelBudget(in_flight_pixels)

    def cut(self, stream: BinaryIO, order: Order, cancellation: Cancellation) -> Finished:
        """Do a photograph of a hot folder, giving way to whatever somebody waits for.

        Args:
            stream: the encoded file, seekable, at its start.
            order: what is wanted of it.
            cancellation: by which another thread may end it.

        Raises:
            PhotoError, ModelError, BadOptions, CannotRead: as the engine.
            Cancelled: it was ended.
        """
        engine, budget, quiet = self.engine, self.budget, self.is_quiet()
        threads = 1 if quiet else engine.threads
        pixels = count_pixels(stream, order.name, max_pixels=engine.max_pixels)
        # With one processor a second photograph in flight would only take memory: all the room is its own.
        with self._idle.working(), budget.hold(max(pixels, budget.pixels) if quiet else pixels, cancellation):
            self._turns.give_way(cancellation)
            started = time.perf_counter()
            photo = decode(stream, order.name, max_pixels=engine.max_pixels, keep_gps=order.options.keep_gps)
            decoding = time.perf_counter() - started
            self._turns.give_way(cancellation)
            look = engine.look(
                photo,
                model=order.model,
                threads=threads,
                turn=self._turns.network(interactive=False, cancellation=cancellation),
                cancellation=cancellation,
            )
            self._turns.give_way(cancellation)
            cut = engine.find_matte(look, order.options, decoding=decoding)
            self._turns.give_way(cancellation)
            return draw(engine, cut, order, threads)

    def cut_apart(self, data: bytes, order: Order, cancellation: Cancellation) -> Finished:
        """Do a photograph in a process of its own, because it may end the one that opens it.

        Args:
            data: the encoded file.
            order: what is wanted of it.
            cancellation: by which another thread may end it.

        Raises:
            CrashesDecoder: it does.
            PhotoError, ModelError, BadOptions, CannotRead, Cancelled: as `cut`.
        """
        recipe, budget = self.engine.recipe, self.budget
        if self.is_quiet():
            recipe = replace(recipe, threads=1)
        # How many pixels it has, only opening it would tell: all the room is its own.
        with self._idle.working(), budget.hold(budget.pixels, cancellation):
            self._turns.give_way(cancellation)
            return self._apart(data, order, recipe, cancellation)

    def cut_file_now(self, stream: BinaryIO, order: Order, cancellation: Cancellation) -> Finished:
        """Do an encoded photograph that somebody waits for, before everything else.

        Raises:
            PhotoError, ModelError, BadOptions, CannotRead, Cancelled: as `cut`.
        """
        return self.cut_again_now(stream, order, None, cancellation)[0]

    def cut_again_now(
        self, stream: BinaryIO, order: Order, seen: Look | None, cancellation: Cancellation
    ) -> tuple[Finished, Look]:
        """Do an encoded photograph as `cut_file_now`; return also what was seen in it.

        Args:
            stream: the encoded file, seekable, at its start.
            order: what is wanted of it.
            seen: what this returned for the same photograph, model and `keep_gps`: it is not looked at again then.
            cancellation: by which another thread may end it.

        Raises:
            PhotoError, ModelError, BadOptions, CannotRead, Cancelled: as `cut`.
        """
        engine, decoding = self.engine, 0.0
        pixels = count_pixels(stream, order.name, max_pixels=engine.max_pixels)
        with self._idle.working(), self._turns.interactive(), self._for_people.hold(pixels, cancellation):
            if seen is None:
                started = time.perf_counter()
                photo = decode(stream, order.name, max_pixels=engine.max_pixels, keep_gps=order.options.keep_gps)
                decoding = time.perf_counter() - started
                turn = self._turns.network(interactive=True, cancellation=cancellation)
                seen = engine.look(photo, model=order.model, turn=turn, cancellation=cancellation)
            finished = draw(engine, engine.find_matte(seen, order.options, decoding=decoding), order)
        return finished, replace(seen, seconds={})

    def cut_now(
        self, photo: Photo, options: CutOptions, *, model: str | None = None, cancellation: Cancellation | None = None
    ) -> Cut:
        """Find the matte of a photograph that somebody waits for, before everything else.

        Raises:
            ModelError, Cancelled: as `cut`.
        """
        cancellation = cancellation or Cancellation()
        width, height = photo.size
        with self._idle.working(), self._turns.interactive(), self._for_people.hold(width * height, cancellation):
            turn = self._turns.network(interactive=True, cancellation=cancellation)
            look = self.engine.look(photo, model=model, turn=turn, cancellation=cancellation)
            return self.engine.find_matte(look, options)

    def explain_now(
        self,
        data: bytes | bytearray,
        question: Question,
        cancellation: Cancellation,
        take: Callable[[Explained, File], None],
    ) -> Explained:
        """Explain a photograph to somebody who waits, in a process of its own; see `explain_apart`."""
        recipe = self.engine.recipe
        with io.BytesIO(data) as stream:
            pixels = count_pixels(stream, question.name, max_pixels=recipe.max_pixels)
        with self._idle.working(), self._turns.interactive(), self._for_people.hold(pixels, cancellation):
            return explain_apart(data, question, recipe, cancellation, take)

    def _rest(self) -> None:
        self.engine.rest()
        self._when_idle()
