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
    means = np.array(strengths, dtype=np.float64)
    while len(groups) > 1:
        np.fill_diagonal(means, -1.0)
        first, second = sorted(int(place) for place in np.unravel_index(int(means.argmax()), means.shape))
        means[first] = _averaged(means[first], means[second], len(groups[first]), len(groups[second]))
        means[:, first] = means[first]
        groups[first] = _joined(groups[first], groups.pop(second), strengths)
        means = np.delete(np.delete(means, second, axis=0), second, axis=1)
    return groups[0] if groups else []


def _averaged(one: Floats, other: Floats, size: int, other_size: int) -> Floats:
    """Return how strongly two groups, taken together, belong to each other group."""
    return (size * one + other_size * other) / (size + other_size)


def _joined(one: list[int], other: list[int], strengths: Floats) -> list[int]:
    """Put two groups side by side, turned so that what touches belongs together most."""
    turns = [(left, right) for left in (one, one[::-1]) for right in (other, other[::-1])]
    left, right = max(turns, key=lambda turn: float(strengths[turn[0][-1], turn[1][0]]))
    return left + right
