"""One photograph in a process of its own, for when it may end the process that opens it.

A decoder that crashes takes its process with it. A file that was being worked on when the daemon ended without notice
is suspected of that, and goes this way: should it crash again, only this process ends, and it is known which file it
was. Run as a program, this module is the other end.
"""

from __future__ import annotations

import contextlib
import io
import pickle
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass

from alphadrop.engine.cancellation import Cancellation
from alphadrop.engine.cutout import Engine, EngineRecipe
from alphadrop.engine.photo import own_pillow_limits
from alphadrop.errors import AlphadropError, Cancelled, CrashesDecoder
from alphadrop.pipeline.order import Finished, Order, draw

__all__ = ["cut_apart", "main"]

_LONGEST = 600.0
"""Seconds; a photograph that takes longer is held to hang."""
_ADVICE = "export it again with another program"
_ASKED_TO_END = {signal.SIGINT, signal.SIGTERM, getattr(signal, "SIGHUP", signal.SIGTERM)}
"""What a whole group of processes is sent when the daemon is to end; no decoder ends by these."""


@dataclass(frozen=True, slots=True)
class _Refusal:
    kind: type[AlphadropError] | None
    """None for a failure that was not foreseen."""
    message: str
    hint: str = ""


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
    with _process() as child:
        try:
            with cancellation.stopping_by(child.kill):
                answer, _ = child.communicate(pickle.dumps((data, order, recipe)), timeout=_LONGEST)
                cancellation.check()
        except subprocess.TimeoutExpired as error:
            raise CrashesDecoder(f"{order.name}: took more than {_LONGEST:.0f} s", _ADVICE) from error
    if -child.returncode in _ASKED_TO_END:
        raise Cancelled(f"{order.name}: the process it was cut in was asked to end")
    if child.returncode != 0:
        raise CrashesDecoder(f"{order.name}: {_how_it_ended(child.returncode)}", _ADVICE)
    finished: Finished | _Refusal = pickle.loads(answer)  # noqa: S301 - written by our own process
    if isinstance(finished, Finished):
        return finished
    if finished.kind is None:
        raise RuntimeError(finished.message)
    raise finished.kind(finished.message, finished.hint)


@contextlib.contextmanager
def _process() -> Iterator[subprocess.Popen[bytes]]:
    # -P: the folder it is started in says nothing about what is imported.
    command = [sys.executable, "-P", "-m", "alphadrop.pipeline.apart"]
    child = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    try:
        yield child
    finally:
        child.kill()
        child.wait()
        for pipe in (child.stdin, child.stdout):
            if pipe is not None:
                with contextlib.suppress(OSError):
                    pipe.close()


def _how_it_ended(status: int) -> str:
    if status < 0:
        with contextlib.suppress(ValueError):
            return f"ends the process that opens it ({signal.Signals(-status).name})"
    return f"ends the process that opens it (status {status})"


def main() -> None:
    """Do the photograph on standard input; write what became of it to standard output."""
    data, order, recipe = pickle.loads(sys.stdin.buffer.read())  # noqa: S301 - written by our own process
    own_pillow_limits()
    answer: Finished | _Refusal
    try:
        engine = Engine.of(recipe)
        cut = engine.cut(io.BytesIO(data), order.name, order.options, model=order.model)
        answer = draw(engine, cut, order)
    except AlphadropError as error:
        answer = _Refusal(type(error), error.message, error.hint)
    except Exception as error:  # a mistake of ours is no crash of the decoder
        answer = _Refusal(None, f"{type(error).__name__}: {error}")
    sys.stdout.buffer.write(pickle.dumps(answer))


if __name__ == "__main__":
    from alphadrop.pipeline import apart  # under its own name, by which the other end knows its classes

    apart.main()
