"""Explanations made up for tests of the renderer: AND, OR and main interactions of cells, columns and words."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations
from typing import Any, Literal

import numpy as np

from jobs.order_profiles import (
    Checkpoint,
    DeltaFit,
    Disentangling,
    Disturbed,
    OrderProfile,
    SignedProfile,
    Similarity,
    SpindleFit,
)
from jobs.schemas import Explained, Explanation, Interaction, Players

Kind = Literal["patch", "region", "feature", "token"]


def of_players(
    n: int,
    *,
    kind: Kind = "feature",
    names: tuple[str, ...] | None = None,
    found: Sequence[Interaction] | None = None,
    scale: float = 1.0,
    split: bool = True,
    **changes: Any,
) -> Explanation:
    """Interactions of `n` players, without a picture."""
    listed = tuple(interactions(n, scale=scale) if found is None else found)
    return Explanation(
        method="and-or",
        explained=Explained(index=4, label="four", value=9.56, baseline_value=-0.788, probability=0.97),
        unit="log-odds of the class",
        players=Players(kind=kind, shape=(n,), names=names),
        interactions=listed,
        orders=profile(n, scale=scale, split=split),
        arrays={"strengths": strengths(n, scale=scale)},
    ).model_copy(update=changes)


def of_cells(
    side: int = 32, *, cells: int = 4, players: Sequence[int] = (1, 2, 4, 5, 6, 9, 10, 13), **changes: Any
) -> Explanation:
    """Interactions of some of the `cells` × `cells` cells of a picture; the others are nobody's."""
    down = np.arange(side) * cells // side
    cell = down[:, None] * cells + down
    labels = np.full((side, side), -1)
    for player, place in enumerate(players):
        labels[cell == place] = player
    names = tuple(f"row {place // cells + 1}, column {place % cells + 1}" for place in players)
    explanation = of_players(len(players), kind="patch", names=names)
    return explanation.model_copy(update={"arrays": {**explanation.arrays, "player_labels": labels}, **changes})


def interactions(n: int, *, most: int = 14, scale: float = 1.0) -> list[Interaction]:
    """Falling strengths of either sign, of every kind and of orders up to 5."""
    sets = [members for order in (1, 2, 3, 5) for members in list(combinations(range(n), order))[:: 1 + order]]
    kinds: tuple[Literal["and", "or"], ...] = ("and", "or")
    return [
        Interaction(
            kind="main" if len(members) == 1 else kinds[rank % 2], members=members, order=len(members),
            strength=scale * 4 * 0.8**rank * (-1 if rank % 3 == 2 else 1),
        )
        for rank, members in enumerate(sets[:most])
    ]  # fmt: skip


def strengths(n: int, *, scale: float = 1.0) -> np.ndarray:
    """Every |strength| of `n` players, falling, the last third of them 0."""
    total = 2 ** (n + 1) - n - 2
    falling = scale * 4 / np.arange(1.0, total + 1) ** 1.5
    falling[2 * total // 3 + 1 :] = 0
    return falling


def profile(n: int, *, scale: float = 1.0, peak: float = 2.0, split: bool = True) -> OrderProfile:
    """A bell over the orders, around `peak`."""
    orders = np.arange(1, n + 1)
    positive = scale * 8 * np.exp(-((orders - peak) ** 2) / 4)
    everything = np.stack([positive, 0.5 * positive])
    return OrderProfile(
        all=signed(everything),
        salient=signed(0.8 * everything),
        threshold=0.1 * scale,
        salient_count=14,
        mean_order=float(peak),
        disentangled=disentangling(everything) if split else None,
    )


def disentangling(everything: np.ndarray, *, share: float = 0.2) -> Disentangling:
    """Decay and spindle that add up to a little less than the profile."""
    return Disentangling(
        mode="self", alpha=0.4, beta=0.2, gamma=0.9, delta=1e-3,
        decay=signed((0.9 - share) * everything), spindle=signed(share * everything), residual=signed(0.1 * everything),
        spindle_share=share, error=0.1,
        sensitivity=tuple(DeltaFit(delta=10.0**power, spindle_share=0.1 * (4 + power), error=0.1) for power in (-4, 0)),
    )  # fmt: skip


def checkpoints(count: int, *, n: int = 8, split: bool = True) -> tuple[Checkpoint, ...]:
    """A training in two phases: the peak goes down to order 1 and up again; the middle one is the reference."""
    steps = np.linspace(-1, 1, count) if count > 1 else np.zeros(1)
    profiles = [profile(n, peak=1 + 3 * step**2, scale=2 + step, split=split) for step in steps.tolist()]
    reference = profiles[count // 2]
    return tuple(
        Checkpoint(
            model=f"model_{at}", name=f"epoch {10 * at}", orders=one,
            emerged=None if at == count // 2 else difference(one.all, reference.all),
        )
        for at, one in enumerate(profiles)
    )  # fmt: skip


def difference(later: SignedProfile, earlier: SignedProfile) -> SignedProfile:
    """ΔA of two profiles."""
    return signed(np.array([later.positive, later.negative]) - np.array([earlier.positive, earlier.negative]))


def signed(values: np.ndarray) -> SignedProfile:
    """`(2, n)` as a value."""
    return SignedProfile(positive=tuple(values[0].tolist()), negative=tuple(values[1].tolist()))


def disturbed(count: int, *, n: int = 8) -> tuple[Disturbed, ...]:
    """Weight noise and FGSM in turn, that add the more the larger they are."""
    kinds: tuple[Literal["weight-noise", "fgsm"], ...] = ("weight-noise", "fgsm")
    changes = [profile(n, peak=3, scale=0.1 * (1 + at), split=False) for at in range(count)]
    return tuple(
        Disturbed(
            kind=kinds[at % 2], size=0.1 * (1 + at), orders=one, change=one.all,
            spindle=SpindleFit(alpha=0.4, beta=0.2, profile=one.salient, error=0.2),
        )
        for at, one in enumerate(changes)
    )  # fmt: skip


def similarities(count: int, *, n: int = 8) -> tuple[Similarity, ...]:
    """Shares that fall with the order; of the highest order there is nothing to compare."""
    shares = (*(1 / order for order in range(1, n)), None)
    return tuple(
        Similarity(between="checkpoints", one=f"epoch {at}", other="epoch 40", by_order=shares) for at in range(count)
    )
