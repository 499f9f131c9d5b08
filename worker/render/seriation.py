"""An order in which things that belong together stand together: the leaves of a tree of average linkage."""

from __future__ import annotations

import numpy as np

from worker.render.arrays import Floats


def clustered(strengths: Floats) -> list[int]:
    """Order things by how strongly pairs of them belong together.

    Args:
        strengths: `(n, n)`, symmetric, at least 0; the diagonal is not looked at.
    """
    groups = [[index] for index in range(len(strengths))]
    while len(groups) > 1:
        first, second = _closest(groups, strengths)
        joined = _joined(groups[first], groups[second], strengths)
        groups = [group for index, group in enumerate(groups) if index not in (first, second)] + [joined]
    return groups[0] if groups else []


def _closest(groups: list[list[int]], strengths: Floats) -> tuple[int, int]:
    means = np.array([[strengths[np.ix_(one, other)].mean() for other in groups] for one in groups])
    means[np.tril_indices(len(groups))] = -1.0
    first, second = np.unravel_index(int(means.argmax()), means.shape)
    return int(first), int(second)


def _joined(one: list[int], other: list[int], strengths: Floats) -> list[int]:
    """Put two groups side by side, turned so that what touches belongs together most."""
    turns = [(left, right) for left in (one, one[::-1]) for right in (other, other[::-1])]
    left, right = max(turns, key=lambda turn: float(strengths[turn[0][-1], turn[1][0]]))
    return left + right
