"""Explanations made up for tests of the renderer: scattered sets, signed maps, features."""

from __future__ import annotations

from typing import Any

import numpy as np

from jobs.schemas import Check, Cost, Explained, Explanation, Interaction, Players


def picture(side: int = 32) -> np.ndarray:
    """A smooth colour picture: `(side, side, 3)` in [0, 1]."""
    rows, columns = np.mgrid[:side, :side] / (side - 1)
    return np.stack([rows, columns, 0.5 + 0.5 * np.sin(6 * rows * columns)], axis=-1)


def scattered_sets(
    side: int = 32, *, sets: int = 5, size: int = 40, scale: float = 1.0, seed: int = 0, **explained: Any
) -> Explanation:
    """Sets of single channel values, scattered around a centre each, as H-Sets returns them."""
    random = np.random.default_rng(seed)
    shape = (3, side, side)
    attribution = np.zeros(shape, np.float32)
    found = []
    for rank in range(sets):
        members = _cloud(random, shape, size)
        strength = scale * 0.7**rank
        attribution.reshape(-1)[list(members)] += strength
        found.append(
            Interaction(
                members=members, order=len(members), strength=strength, standard_error=strength / 200,
                details={"region": rank, "rows": 3, "stopped": "full"},
            )
        )  # fmt: skip
    return _explanation(shape, attribution, found, method="h-sets", preset="paper", **explained)


def signed_map(side: int = 32, *, channels: int = 3, seed: int = 0, scale: float = 1.0) -> Explanation:
    """Attributions of either sign and no sets, as integrated gradients gives them."""
    random = np.random.default_rng(seed)
    attribution = scale * random.normal(size=(channels, side, side)).astype(np.float32)
    return _explanation(attribution.shape, attribution, [], method="integrated-gradients")


def of_features(values: list[float], names: tuple[str, ...] | None = None) -> Explanation:
    """Attributions of a table's columns, and one set of the first two."""
    found = [Interaction(members=(0, 1), order=2, strength=-0.5, standard_error=0.1)]
    return _explanation((len(values),), np.array(values), found, method="archipelago", names=names)


def _cloud(random: np.random.Generator, shape: tuple[int, int, int], size: int) -> tuple[int, ...]:
    channels, side, _ = shape
    centre = random.uniform(0.2, 0.8, 2) * side
    places = np.clip(random.normal(centre, 0.08 * side, (4 * size, 2)), 0, side - 1).astype(int)
    flat = np.ravel_multi_index((random.integers(0, channels, 4 * size), places[:, 0], places[:, 1]), shape)
    return tuple(int(index) for index in dict.fromkeys(flat.tolist()))[:size]


def _explanation(
    shape: tuple[int, ...],
    attribution: np.ndarray,
    found: list[Interaction],
    *,
    method: str,
    preset: str | None = None,
    names: tuple[str, ...] | None = None,
    label: str | None = "tabby",
) -> Explanation:
    return Explanation(
        method=method,
        preset=preset,
        explained=Explained(index=281, label=label, value=12.345, baseline_value=0.31, probability=0.97),
        unit="logit",
        players=Players(kind="feature" if len(shape) == 1 else "pixel-channel", shape=shape, names=names),
        interactions=tuple(found),
        checks=(
            Check(name="completeness", value=0.012, passed=True, meaning="Small is good."),
            Check(name="asymmetry", value=0.4, passed=False, meaning="A Hessian is symmetric."),
            Check(name="coverage", value=None, passed=None, meaning="Share of the output."),
        ),
        cost=Cost(forwards=31, backwards=31, hessian_rows=17),
        notes=("The baseline is mean grey.",),
        arrays={"attribution": attribution},
    )
