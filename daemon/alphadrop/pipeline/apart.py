"""One photograph in a process of its own, for when it may end the process that opens it.

A decoder that crashes takes its process with it. A file that was being worked on when the daemon ended without notice
is suspected of that, and goes this way: should it crash again, only this process ends, and it is known which file it
was. Run as a program, this module is the other end.
"""

from __future__ import annotations

import io
import pickle
import subprocess
import sys

from alphadrop.engine.cancellation import Cancellation
from alphadrop.engine.cutout import Engine, EngineRecipe
from alphadrop.engine.photo import own_pillow_limits
from alphadrop.errors import Cancelled, CrashesDecoder
from alphadrop.pipeline.child import Refusal, child, how_it_ended, was_asked_to_end
from alphadrop.pipeline.order import Finished, Order, draw

__all__ = ["cut_apart", "main"]

_LONGEST = 600.0
"""Seconds; a photograph that takes longer is held to hang."""
_ADVICE = "export it again with another program"


def cut_apart(data: bytes, order: Order, recipe: EngineRecipe, cancellation: Cancellation) -> Finished:
    """Do a photograph in a process of its own.

    Args:
        data: the encoded file.
        order: what is wanted of it.
        recipe: of the engine.
        cancellation: by which another thread may end it.

    Raises:
        CrashesDecoder: the process ended before it had an answer, or never came to an end.
        PhotoError, ModelError: as the engine.
        Cancelled: it was ended, by this or by whoever ends the daemon.
    """
    with child("alphadrop.pipeline.apart") as process:
        try:
            with cancellation.stopping_by(process.kill):
                answer, _ = process.communicate(pickle.dumps((data, order, recipe)), timeout=_LONGEST)
                cancellation.check()
        except subprocess.TimeoutExpired as error:
            raise CrashesDecoder(f"{order.name}: took more than {_LONGEST:.0f} s", _ADVICE) from error
    if was_asked_to_end(process.returncode):
        raise Cancelled(f"{order.name}: the process it was cut in was asked to end")
    if process.returncode != 0:
        raise CrashesDecoder(f"{order.name}: {how_it_ended(process.returncode)}", _ADVICE)
    finished: Finished | Refusal = pickle.loads(answer)  # noqa: S301 - written by our own process
    if isinstance(finished, Refusal):
        raise finished.error
    return finished


def main() -> None:
    """Do the photograph on standard input; write what became of it to standard output."""
    data, order, recipe = pickle.loads(sys.stdin.buffer.read())  # noqa: S301 - written by our own process
    own_pillow_limits()
    answer: Finished | Refusal
    try:
        engine = Engine.of(recipe)
        cut = engine.cut(io.BytesIO(data), order.name, order.options, model=order.model)
        answer = draw(engine, cut, order)
    except Exception as error:  # a mistake of ours is no crash of the decoder
        answer = Refusal.of(error)
    sys.stdout.buffer.write(pickle.dumps(answer))


if __name__ == "__main__":
    from alphadrop.pipeline import apart  # under its own name, by which the other end knows its classes

    apart.main()
