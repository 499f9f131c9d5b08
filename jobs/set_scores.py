"""IDG-Vis: the score of a set of features, from path gradients that were computed before.

Stage two of H-Sets. A subset T of a set S points from the baseline to the input along its own features: z_T, with
z = x - x' on T and 0 elsewhere. Its integrated directional gradient is the mean over the path of |G_j . z_T| / |z_T|
(eq. 7), and the score of S is the mean over random subsets T (eq. 6). All subsets of all sets share the gradients G_j,
so a score is a product of two small matrices: no network runs, and the gateway can score a set that a user draws.

Needs NumPy alone. Source: "H-Sets: Hessian-Guided Discovery of Set-Level Feature Interactions in Image Classifiers",
https://github.com/ayushimehrotra/H-Sets
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

Formula = Literal["paper", "published"]

Floats: TypeAlias = NDArray[np.float64]
Indices: TypeAlias = NDArray[np.int64]

_BLOCK_CELLS = 1 << 20
"""Cells of one block of the subset matrix: 8 MiB as float64, which stays in the cache's reach at any set size."""


@dataclass(frozen=True, kw_only=True)
class SetScore:
    """The score of one set.

    Attributes:
        value: phi(S), in logits per unit of distance in the model's input space; `paper`: the mean over the subsets,
            `published`: their sum.
        standard_error: Of `value`, from the spread over the subsets; None with a single subset.
        full_set_value: The directional gradient of S itself, the one subset T = S.
        subsets: How many subsets were drawn.
    """

    value: float
    standard_error: float | None
    full_set_value: float
    subsets: int


def score(
    path_gradients: NDArray[Any],
    difference: NDArray[Any],
    members: ArrayLike,
    *,
    formula: Formula,
    subsets: int,
    seed: int,
) -> SetScore:
    """Score a set of features.

    A subset that is empty, or whose features all equal the baseline, has no direction and counts as 0. (The published
    code divides 0 by 0 there, and loses the whole set.)

    Args:
        path_gradients: `(m + 1, d)`, row j at alpha = j/m; a memory map is read only at the members.
        difference: `(d,)`, x - x'.
        members: Flat indices of the set, in any order; repetitions count once.
        formula: `paper`: mean over j = 1..m of |sum_T G_ji z_i| / |z_T|, then the mean over subsets (eq. 6 and 7).
            `published`: |z_T * mean over j = 0..m of |G_j|| / |z_T|, then the sum over subsets, as the authors' code.
        subsets: Random subsets T to draw, each feature with probability 1/2.
        seed: The same seed and set give the same subsets, hence the same score.

    Raises:
        ValueError: No members, a member outside of the input, or fewer than one subset.
    """
    chosen = _checked(members, players=difference.size)
    if subsets < 1:
        raise ValueError(f"expected at least 1 subset, got {subsets}")
    steps = np.asarray(path_gradients[:, chosen], dtype=np.float64)  # (m + 1, s)
    direction = np.asarray(difference.reshape(-1)[chosen], dtype=np.float64)  # (s,)
    value_of = _Directional(steps, direction, formula=formula)
    values = np.concatenate([value_of(block) for block in subset_blocks(chosen, subsets=subsets, seed=seed)])
    scale = 1.0 if formula == "paper" else float(subsets)
    spread = float(values.std(ddof=1)) / math.sqrt(subsets) if subsets > 1 else None
    return SetScore(
        value=scale * float(values.mean()),
        standard_error=None if spread is None else scale * spread,
        full_set_value=float(value_of(np.ones((1, len(chosen))))[0]),
        subsets=subsets,
    )


class _Directional:
    """The integrated directional gradient of subsets of one set."""

    def __init__(self, steps: Floats, direction: Floats, *, formula: Formula) -> None:
        self._squares = direction**2  # (s,)
        self._paper = formula == "paper"
        if self._paper:
            self._changes = (steps[1:] * direction).T  # (s, m), alpha > 0 as in eq. 7
        else:
            self._energies = self._squares * np.abs(steps).mean(axis=0) ** 2  # (s,)

    def __call__(self, subsets: Floats) -> Floats:
        """Return `(n,)` values from an `(n, s)` matrix of zeros and ones."""
        lengths: Floats = np.sqrt(subsets @ self._squares)
        sizes: Floats = (
            np.abs(subsets @ self._changes).mean(axis=1) if self._paper else np.sqrt(subsets @ self._energies)
        )
        values: Floats = np.divide(sizes, lengths, out=np.zeros_like(sizes), where=lengths > 0)
        return values


def subset_blocks(members: Indices, *, subsets: int, seed: int) -> Iterator[Floats]:
    """Yield `subsets` random subsets of sorted `members` as blocks of rows of zeros and ones, `(n, len(members))`."""
    generator = np.random.PCG64(np.random.SeedSequence([seed, *_fingerprint(members)]))
    words = -(-len(members) // 64)
    rows = max(1, _BLOCK_CELLS // len(members))
    for start in range(0, subsets, rows):
        count = min(rows, subsets - start)
        # Whole 64-bit words a row: the subsets do not depend on the block size.
        raw = generator.random_raw(count * words).reshape(count, words).astype("<u8")
        yield np.unpackbits(raw.view(np.uint8), axis=1, count=len(members)).astype(np.float64)


def _fingerprint(members: Indices) -> list[int]:
    digest = hashlib.sha256(members.astype("<i8").tobytes()).digest()
    return [int(word) for word in np.frombuffer(digest, dtype="<u4")]


def _checked(members: ArrayLike, *, players: int) -> Indices:
    chosen = np.unique(np.asarray(members, dtype=np.int64))
    if chosen.size == 0:
        raise ValueError("expected a set of at least one member, got none")
    if chosen[0] < 0 or chosen[-1] >= players:
        raise ValueError(f"expected members from 0 to {players - 1}, got {chosen[0]} to {chosen[-1]}")
    return chosen


# ---------------------------------------------------------------- sets that a user draws


def members_of_mask(mask: ArrayLike, *, shape: Sequence[int]) -> Indices:
    """Return the flat members of a mask: `(height, width)` for all channels of a pixel, or the input's own shape.

    Raises:
        ValueError: The mask has another shape, or marks nothing.
    """
    marked = np.asarray(mask, dtype=bool)
    if marked.shape not in (tuple(shape), tuple(shape[1:])):
        raise ValueError(f"expected a mask of shape {list(shape[1:])} or {list(shape)}, got {list(marked.shape)}")
    members: Indices = np.flatnonzero(np.broadcast_to(marked, tuple(shape))).astype(np.int64)
    if members.size == 0:
        raise ValueError("expected a mask that marks at least one pixel, got none")
    return members


def members_of_box(box: Sequence[int], *, shape: Sequence[int]) -> Indices:
    """Return the flat members of the pixels with left <= x < right and top <= y < bottom, in all channels.

    Args:
        box: left, top, right, bottom, in pixels of the model's input.
        shape: channels, height, width.

    Raises:
        ValueError: The box is empty or reaches out of the picture.
    """
    left, top, right, bottom = box
    _, height, width = shape
    if not (0 <= left < right <= width and 0 <= top < bottom <= height):
        raise ValueError(
            f"expected 0 <= left < right <= {width} and 0 <= top < bottom <= {height}, got {[left, top, right, bottom]}"
        )
    mask = np.zeros((height, width), dtype=bool)
    mask[top:bottom, left:right] = True
    return members_of_mask(mask, shape=shape)
