"""Averages over samples, changes and similarities of interactions, set by set: small n only.

Interactions are `atoms[sample][kind][S]`, kind 0 AND and 1 OR, `S` a bit mask.
"""

from __future__ import annotations

from collections.abc import Sequence

Atoms = Sequence[Sequence[Sequence[float]]]
Profile = tuple[list[float], list[float]]


def order(S: int) -> int:
    return S.bit_count()


def profile(atoms: Atoms, threshold: float = 0.0) -> Profile:
    """A^(m)+ and A^(m)- of Eq. 4, averaged over samples; entry m - 1 is order m."""
    n = len(atoms[0][0]).bit_length() - 1
    positive, negative = [0.0] * n, [0.0] * n
    for sample in atoms:
        for kind in sample:
            for S, strength in enumerate(kind):
                if S and abs(strength) > threshold:
                    positive[order(S) - 1] += max(strength, 0.0) / len(atoms)
                    negative[order(S) - 1] += max(-strength, 0.0) / len(atoms)
    return positive, negative


def threshold(tables: Sequence[Sequence[float]], share: float) -> float:
    """τ: a share of the mean |v(N) - v(∅)|."""
    return share * sum(abs(table[-1] - table[0]) for table in tables) / len(tables)


def salient_count(atoms: Atoms, threshold: float) -> float:
    """Salient interactions of a sample, on average."""
    return sum(
        S > 0 and abs(one) > threshold for sample in atoms for kind in sample for S, one in enumerate(kind)
    ) / len(atoms)


def mean_order(found: Profile) -> float:
    strengths = [positive + negative for positive, negative in zip(*found, strict=True)]
    return sum(m * strength for m, strength in enumerate(strengths, 1)) / sum(strengths)


def difference(later: Profile, earlier: Profile) -> Profile:
    """ΔA^(m)±: profile minus profile."""
    positive, negative = (
        [a - b for a, b in zip(one, other, strict=True)] for one, other in zip(later, earlier, strict=True)
    )
    return positive, negative


def change(noisy: Atoms, clean: Atoms) -> Profile:
    """Eq. 5: interaction minus interaction, then the sums of Eq. 4."""
    return profile(
        [
            [[a - b for a, b in zip(one, other, strict=True)] for one, other in zip(some, others, strict=True)]
            for some, others in zip(noisy, clean, strict=True)
        ]
    )


def jaccard(some: Atoms, others: Atoms, thresholds: tuple[float, float]) -> list[float | None]:
    """Definition 2.2 of the salient interactions, order by order; None where there is none."""
    n = len(some[0][0]).bit_length() - 1
    shared, either = [0.0] * n, [0.0] * n
    for kind in (0, 1):
        for sign in (1, -1):
            for S in range(1, 2**n):
                one, other = (
                    sum(max(sign * sample[kind][S], 0.0) for sample in atoms if abs(sample[kind][S]) > limit)
                    / len(atoms)
                    for atoms, limit in zip((some, others), thresholds, strict=True)
                )
                shared[order(S) - 1] += min(one, other)
                either[order(S) - 1] += max(one, other)
    return [part / whole if whole else None for part, whole in zip(shared, either, strict=True)]
