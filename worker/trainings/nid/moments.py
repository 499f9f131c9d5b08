"""Mean and standard deviation of numbers of any size."""

from __future__ import annotations

from torch import Tensor


def moments(values: Tensor) -> tuple[float, float]:
    """Return mean and standard deviation, `(n,)` float64, n at least 1; of a constant exactly 0.

    Numbers are divided by the largest first, so that squares neither overflow nor vanish.
    """
    size = float(values.abs().max()) or 1.0
    shares = values / size
    varies = bool((values != values[0]).any())  # A constant may differ from its mean by a rounding error.
    return size * float(shares.mean()), size * float(shares.std(correction=0)) if varies else 0.0
