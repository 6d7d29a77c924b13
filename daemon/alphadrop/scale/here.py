"""A batch on this machine: one warm network, several photographs in hand, never more waiting than there are hands."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait

from alphadrop.engine.cpus import usable_cpus
from alphadrop.scale.cutter import Cutter
from alphadrop.scale.inventory import Job
from alphadrop.scale.manifest import Row

__all__ = ["cut_here", "hands"]


def hands() -> int:
    """Return how many photographs are in hand at once: while the network looks at one, others are read and written."""
    return usable_cpus() + 1


def cut_here(cutter: Cutter, jobs: Iterable[Job], at_once: int) -> Iterator[list[Row]]:
    """Yield rows as they are done; where the caller stops early, what is in hand is ended first.

    Args:
        cutter: that does them.
        jobs: asked for the next one only when there is a hand for it, or soon will be.
        at_once: photographs in hand.
    """
    in_hand: set[Future[Row]] = set()
    with ThreadPoolExecutor(at_once, thread_name_prefix="cutting") as threads:
        try:
            for job in jobs:
                in_hand.add(threads.submit(cutter.cut, job))
                if len(in_hand) > at_once:
                    finished, in_hand = wait(in_hand, return_when=FIRST_COMPLETED)
                    yield [each.result() for each in finished]
            while in_hand:
                finished, in_hand = wait(in_hand, return_when=FIRST_COMPLETED)
                yield [each.result() for each in finished]
        except BaseException:
            cutter.cancel()
            raise
