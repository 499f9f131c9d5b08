"""The pairs of features that the training rows had: gates and scores to look up, and what they do over all rows.

A look-up is a binary search among the sorted keys, in memory that is mapped from the model's file.
"""

from __future__ import annotations

from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from jobs.errors import UnsupportedModel
from jobs.predictors.tensors import Expected, Floats, Indices, Tensors, parts_of

_TYPES = {"keys": "int64", "gates": "float32", "scores": "float32", "support": "int64", "contribution": "float64"}
_OF_SEVERAL = {"kept": "int64", "spread": "float64"}


def table_tensors(tensors: Tensors) -> tuple[Expected, Expected]:
    """Return what a table needs and may have, as long as its keys are."""
    pairs = (tensors["table.keys"].size if "table.keys" in tensors else 0,)
    needed, optional = (
        {f"table.{name}": (type, pairs) for name, type in types.items()} for types in (_TYPES, _OF_SEVERAL)
    )
    return needed, optional


class PairTable:
    """Pairs by key, `low · (features + 1) + high`.

    Raises:
        UnsupportedModel: The keys do not rise, or name features that there are not.
    """

    def __init__(self, tensors: Tensors, *, features: int) -> None:
        self._features = features
        self.keys: Indices = tensors["table.keys"]
        self.gates: NDArray[np.float32] = tensors["table.gates"]
        self.scores: NDArray[np.float32] = tensors["table.scores"]
        self.support: Indices = tensors["table.support"]
        self.contribution: Floats = tensors["table.contribution"]
        self.kept: Indices | None = tensors.get("table.kept")
        self.spread: Floats | None = tensors.get("table.spread")
        self._check()

    def _check(self) -> None:
        # In parts, as a table of millions is mapped from its file and shall not be copied whole.
        for keys in parts_of(self.keys, overlap=1):
            low, high = self.features_of(keys)
            if (np.diff(keys) <= 0).any() or (low < 0).any() or (low > high).any():
                raise UnsupportedModel("expected table.keys to rise, each low · (features + 1) + high of two features")
        if any((support < 1).any() for support in parts_of(self.support)):
            raise UnsupportedModel("expected table.support of 1 at least: a pair that no row has is not in the table")

    def features_of(self, keys: Indices) -> tuple[Indices, Indices]:
        """Return the two features of each key, the lower one first."""
        low, high = np.divmod(keys, self._features + 1)
        return low, high

    def find(self, low: Indices, high: Indices) -> tuple[Indices, NDArray[np.bool_]]:
        """Return the place of each pair, `(n,)`, and whether the table has it."""
        keys = low * (self._features + 1) + high
        if not len(self.keys):
            return np.zeros_like(keys), np.zeros(len(keys), bool)
        place = np.minimum(np.searchsorted(self.keys, keys), len(self.keys) - 1)
        return place, self.keys[place] == keys

    def places(self, feature: int | None) -> Indices:
        """Return the places of a feature's pairs, or of all, by weight."""
        if feature is None:
            return self._by_weight
        width = self._features + 1
        # What has it as the lower one lies together: keys rise.
        begin, end = np.searchsorted(self.keys, [feature * width, (feature + 1) * width]).tolist()
        higher = np.flatnonzero(self.keys[:begin] % width == feature)
        return self._heaviest_first(np.concatenate([higher, np.arange(begin, end)]))

    @cached_property
    def _by_weight(self) -> Indices:
        return self._heaviest_first(np.arange(len(self.keys)))

    def _heaviest_first(self, places: Indices) -> Indices:
        """Sort by |mean contribution| · support: so a pair of a single row does not come first."""
        weights = np.abs(self.contribution[places]) * self.support[places]
        ordered: Indices = places[np.argsort(-weights, kind="stable")]
        return ordered
