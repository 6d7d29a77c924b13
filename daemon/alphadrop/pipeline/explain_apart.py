"""What a network sees in a photograph, found and drawn in a process of its own.

A network that is listened to keeps all that passes through it, and what takes it apart is large: some hundred megabytes
that a resident process would keep for ever, and that this one gives back by ending. Run as a program, this module is
the other end.
"""

from __future__ import annotations

import io
import pickle
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import IO, cast

from alphadrop.engine.cancellation import Cancellation
from alphadrop.engine.cutout import EngineRecipe
from alphadrop.errors import Cancelled, CrashesDecoder
from alphadrop.pipeline.child import Refusal, child, how_it_ended, was_asked_to_end

__all__ = ["Apart", "Explained", "File", "Question", "ShownTensor", "explain_apart", "main"]

_LONGEST = 300.0
"""Seconds; whatever takes longer is held to hang."""
_QUALITY = 88
"""Of the pictures without words, which are JPEG."""


@dataclass(frozen=True, slots=True)
class Question:
    """What is to be explained."""

    name: str
    """How errors call the photograph."""
    model: str
    compare: str | None = None
    """The network that the differences are shown to."""


@dataclass(frozen=True, slots=True)
class Apart:
    """How far a network is from the one it is compared with, at one place; see `engine.explain.Difference`."""

    mean: float
    largest: float
    relative: float
    flipped: float | None


@dataclass(frozen=True, slots=True)
class ShownTensor:
    """A stage or a map, and the files of its pictures."""

    name: str
    tensor: str
    shape: tuple[int, int, int]
    """Channels, height, width."""
    file: str
    """The sheet for reading."""
    walk: Mapping[str, str]
    """The pictures without words, by what they show."""
    apart: Apart | None


@dataclass(frozen=True, slots=True)
class Explained:
    """What there is to be seen."""

    model: str
    size: tuple[int, int]
    """Width and height of the photograph."""
    subject: bool
    shown: tuple[ShownTensor, ...]
    ends: Mapping[str, str]
    """The files of the first and the last steps: photograph, alpha, cutout."""
    files: tuple[str, ...]
    """The names of all pictures, in the order in which they are drawn."""
    warnings: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class File:
    """A picture, encoded."""

    name: str
    content: bytes


def explain_apart(
    data: bytes | bytearray,
    question: Question,
    recipe: EngineRecipe,
    cancellation: Cancellation,
    take: Callable[[Explained, File], None],
) -> Explained:
    """Explain a photograph in a process of its own.

    Args:
        data: the encoded file.
        question: what is wanted.
        recipe: of the engine whose models and threads are used.
        cancellation: by which another thread may end it.
        take: is given every picture as soon as it is drawn, and what there will be of them.

    Raises:
        PhotoError: the photograph cannot be opened; CrashesDecoder where the process ended before it had an answer.
        ModelError, BadOptions: as `Explainer` and `compare`.
        Cancelled: it was ended, by this or by whoever ends the daemon.
    """
    explained: Explained | None = None
    with child("alphadrop.pipeline.explain_apart") as process, cancellation.stopping_by(process.kill):
        ending = threading.Timer(_LONGEST, process.kill)
        ending.start()
        try:
            for told in _said(process, pickle.dumps((data, question, recipe))):
                if isinstance(told, Refusal):
                    raise told.error
                if isinstance(told, Explained):
                    explained = told
                elif explained is not None:
                    take(explained, told)
            process.wait()
        finally:
            ending.cancel()
        cancellation.check()
    if was_asked_to_end(process.returncode):
        raise Cancelled(f"{question.name}: the process it was explained in was asked to end")
    if explained is None or process.returncode != 0:
        raise CrashesDecoder(f"{question.name}: {how_it_ended(process.returncode)}", "export it with another program")
    return explained


def _said(process: subprocess.Popen[bytes], order: bytes) -> Iterator[Explained | File | Refusal]:
    """Yield what the process at the other end says until it says no more."""
    to, out = cast("IO[bytes]", process.stdin), cast("IO[bytes]", process.stdout)
    try:
        with to:
            to.write(order)
        while True:
            yield pickle.load(out)  # noqa: S301 - written by our own process
    except (EOFError, OSError, pickle.UnpicklingError):
        return


def main() -> None:
    """Explain the photograph on standard input; write what there is to be seen, picture by picture."""
    from alphadrop.engine.photo import own_pillow_limits

    data, question, recipe = pickle.load(sys.stdin.buffer)  # noqa: S301 - written by our own process
    own_pillow_limits()
    out = sys.stdout.buffer
    try:
        for told in _explained(data, question, recipe):
            pickle.dump(told, out)
            out.flush()
    except Exception as error:
        pickle.dump(Refusal.of(error), out)


def _explained(data: bytes, question: Question, recipe: EngineRecipe) -> Iterator[Explained | File]:
    import numpy as np

    from alphadrop.engine import checksums, models, stage_pictures, stage_walk
    from alphadrop.engine.encode import Picture, encode
    from alphadrop.engine.explain import Explainer, Explanation, compare
    from alphadrop.engine.photo import decode
    from alphadrop.engine.subject import has_subject

    known = models.registry(recipe.own_models)
    names = [name for name in (question.model, question.compare) if name is not None]
    found = [checksums.find_verified(name, known) for name in names]
    photo = decode(io.BytesIO(data), question.name, max_pixels=recipe.max_pixels)

    def look(number: int) -> Explanation:
        spec, path = found[number]
        return Explainer(spec, path, threads=recipe.threads, provider=recipe.provider).explain(photo)

    explanation = look(0)
    reference = look(1) if len(found) > 1 else None
    differences = () if reference is None else compare(explanation, reference)
    _, *sheets = stage_pictures.picture_names(explanation)
    shown = tuple(
        ShownTensor(
            name=each.name,
            tensor=each.tensor,
            shape=each.shape,
            file=sheet,
            walk=stage_walk.walk_names(each, compared=bool(differences)),
            apart=Apart(apart.mean, apart.largest, apart.relative, apart.flipped) if apart is not None else None,
        )
        for each, sheet, apart in zip(explanation.all, sheets, differences or [None] * len(sheets), strict=True)
    )
    walk = [*stage_walk.ENDS.values(), *(file for each in shown for file in each.walk.values())]
    drawn = ["explain.png", *sheets, *(["difference.png"] if reference is not None else [])]
    yield Explained(
        model=explanation.model,
        size=photo.size,
        subject=has_subject(explanation.fused.array[0]),
        shown=shown,
        ends=stage_walk.ENDS,
        files=(*walk, *drawn),
        warnings=photo.warnings,
    )
    for name, picture in stage_walk.draw_walk(explanation, photo, differences):
        yield File(name, b"".join(encode(Picture(np.asarray(picture)), "jpeg", quality=_QUALITY)))
    for name, picture in stage_pictures.draw(explanation, photo):
        yield File(name, b"".join(encode(Picture(np.asarray(picture)), "png")))
    if reference is not None:
        picture = stage_pictures.draw_difference(explanation, reference, differences, photo)
        yield File("difference.png", b"".join(encode(Picture(np.asarray(picture)), "png")))


if __name__ == "__main__":
    from alphadrop.pipeline import (
        explain_apart as other,  # under its own name, by which the other end knows its classes
    )

    other.main()
