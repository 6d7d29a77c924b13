"""Whether a saliency map shows a subject at all, and how sure it is of it.

Apart from the matte, because a map of nothing must be told before anything is made of it: stretched or refined, its
noise would come out as a cut-out.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["SHARE", "SURER", "THRESHOLD", "UNSURE", "clearness", "evidence", "has_subject"]

SHARE = 0.005
"""Part of the map that is looked at: its surest values. The square of a fourteenth of the picture's side."""
THRESHOLD = 0.5
"""The mean of those values from which on there is a subject: a sure subject may be as small as a 400th of the map."""
UNSURE = 0.8
"""Clearness below which another network's map may be the better one (docs/quality.md); a cut-out from such a map is
worth a warning: of 15 among the 197 photographs there, 10 overlap the truth by less than .8."""
SURER = 0.05
"""By how much the other's must be clearer."""
_AT_LEAST = 0.1
"""Values below it are nothing, and say nothing of the subject."""


def has_subject(saliency: NDArray[np.float32]) -> bool:
    """Return whether a map shows a subject.

    How often it is wrong (`benchmarks/no_subject.py`): of 297 photographs with a subject it denies none by u2net-int8
    and u2net, and 4 by u2netp: in three of those no pixel of the subject reaches 0.5, the truth of one is not known.
    Of 33 pictures of nothing (a sunset, textures, flat colours, gradients, noise) it takes 1 by u2net-int8 and u2netp,
    a brick wall, and none by u2net.

    Args:
        saliency: of any shape and size, float32, 0..1, as the network says it: not stretched.
    """
    return evidence(saliency) >= THRESHOLD


def evidence(saliency: NDArray[np.float32]) -> float:
    """Return the mean of the surest values of a map, 0..1; 0 for an empty one."""
    if saliency.size == 0:
        return 0.0
    count = max(1, round(saliency.size * SHARE))
    return float(np.partition(saliency, -count, axis=None)[-count:].mean(dtype=np.float64))


def clearness(saliency: NDArray[np.float32]) -> float:
    """Return how sure a map is of its subject: the mean of |2 p - 1| over what is not nothing, 0..1."""
    subject = saliency[saliency > _AT_LEAST]
    return float(np.abs(2 * subject - 1).mean()) if subject.size else 0.0
