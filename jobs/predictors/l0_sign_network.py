"""L0-SIGN without noise, in NumPy: gates, messages, and predictions as means over neighbours and nodes.

As `worker.methods.l0_sign.model`, which trains it; the equations are numbered there.
"""

from __future__ import annotations

import numpy as np

from jobs.predictors.graphs import Pairs, Rows, summed
from jobs.predictors.tensors import Array, Expected, Floats, Indices, Tensors
from jobs.row_models import L0SignArchitecture

_GAMMA, _ZETA = -0.1, 1.1
"""Ends of the interval to which a hard concrete gate is stretched."""
_PAIRS_AT_ONCE = 1 << 15
"""Columns of a hidden layer, of 32 units 8 MB."""


def network_tensors(architecture: L0SignArchitecture) -> Expected:
    """Return names, types and shapes of the network's tensors."""
    rows, hidden, d = architecture.features + 1, architecture.hidden, architecture.embedding
    outputs = 2 if architecture.compat == "published" else 1
    shapes: dict[str, tuple[int, ...]] = {
        "nodes": (rows, d), "head.weight": (outputs, d), "head.bias": (outputs,), **_perceptron("pair", d, hidden, d)
    }  # fmt: skip
    if architecture.gated:
        b = architecture.edge_embedding
        shapes |= {"edge_nodes": (rows, b), **_perceptron("edge", b, hidden, 1)}
    return {name: ("float32", shape) for name, shape in shapes.items()}


def _perceptron(name: str, into: int, hidden: int, out: int) -> dict[str, tuple[int, ...]]:
    return {
        f"{name}.inner.weight": (hidden, into), f"{name}.inner.bias": (hidden,),
        f"{name}.outer.weight": (out, hidden), f"{name}.outer.bias": (out,),
    }  # fmt: skip


class Network:
    """The network, evaluated in float64."""

    def __init__(self, architecture: L0SignArchitecture, tensors: Tensors) -> None:
        self._architecture = architecture
        self._nodes = tensors["nodes"]
        self._edge_nodes = tensors.get("edge_nodes")
        names = [name for name in network_tensors(architecture) if not name.endswith("nodes")]
        self._weights = {name: tensors[name].astype(np.float64) for name in names}
        self._reads = _margin(self._weights["head.weight"])  # (embedding,): w_g, or the difference of two
        self.bias = float(_margin(self._weights["head.bias"]))

    def gates(self, low: Indices, high: Indices) -> Floats:
        """Return the gate of each pair of features, `(n,)`: σ(log α), stretched and clipped."""
        if self._edge_nodes is None:
            return np.ones(len(low))
        nodes = self._edge_nodes
        parts = [self._hidden("edge", nodes[low[part]], nodes[high[part]]) for part in _portions(len(low))]
        log_alpha = np.concatenate(parts, axis=1)[0]
        with np.errstate(over="ignore"):  # of e^(-log α): the gate is 0 there
            open = 1 / (1 + np.exp(-log_alpha))
        gates: Floats = np.clip(open * (_ZETA - _GAMMA) + _GAMMA, 0, 1)
        return gates

    def scores(self, low: Indices, high: Indices, products: Floats | None) -> Floats:
        """Return w_g · z of each pair, `(n,)`; `products` of the two values are 1 if None."""
        return self._reads @ self.messages(low, high, products)

    def messages(self, low: Indices, high: Indices, products: Floats | None) -> Floats:
        """Return z = h(x_i v_i, x_j v_j), before the gate, `(embedding, n)`."""
        parts = [
            self._hidden(
                "pair", self._nodes[low[part]], self._nodes[high[part]], None if products is None else products[part]
            )
            for part in _portions(len(low))
        ]
        return np.concatenate(parts, axis=1)

    def shares(self, rows: Rows, pairs: Pairs, gates: Floats) -> Floats:
        """Return what each pair's message counts in its row: (x_i / deg_i + x_j / deg_j) / n, `(pairs,)`.

        With one summand if i = j, or if only node j hears the message.
        """
        weight = self._weight(rows, pairs, gates)
        share = weight[pairs.second]
        return share if self._published else share + weight[pairs.first] * pairs.apart

    def margin_of(self, row: Rows, pairs: Pairs) -> float:
        """Return the margin of one row, by way of its updated nodes: every message is computed, none looked up."""
        low, high = ordered(row.features[pairs.first], row.features[pairs.second])
        gates = self.gates(low, high)
        messages = gates * self.messages(low, high, products_of(row, pairs))
        nodes = np.stack([self._heard(part, pairs, len(row.features)) for part in messages])  # (embedding, entries)
        return self.bias + float(self._reads @ nodes @ self._weight(row, pairs, gates))

    def _heard(self, messages: Floats, pairs: Pairs, entries: int) -> Floats:
        heard = summed(pairs.second, messages, entries)
        return heard if self._published else heard + summed(pairs.first, messages * pairs.apart, entries)

    def _weight(self, rows: Rows, pairs: Pairs, gates: Floats) -> Floats:
        """Return what a node's sum of messages counts, `(entries,)`: x_i / (deg_i · n)."""
        lengths = np.repeat(rows.lengths, rows.lengths).astype(np.float64)
        weight = 1 / (lengths * self._neighbours(lengths, pairs, gates))
        return weight if rows.values is None else weight * rows.values

    def _neighbours(self, lengths: Floats, pairs: Pairs, gates: Floats) -> Floats:
        if self._architecture.mean == "nodes":
            return lengths
        return np.maximum(self._heard((gates > 0).astype(np.float64), pairs, len(lengths)), 1)

    @property
    def _published(self) -> bool:
        return self._architecture.compat == "published"

    def _hidden(self, name: str, one: Array, other: Array, times: Floats | None = None) -> Floats:
        """Run a perceptron on products of nodes, `(n, into)` each, and of `times`, `(n,)`: `(out, n)`."""
        products = one.astype(np.float64) * other
        if times is not None:
            products *= times[:, None]
        inner = self._weights[f"{name}.inner.weight"] @ products.T
        units = np.maximum(inner + self._weights[f"{name}.inner.bias"][:, None], 0)
        outer: Floats = self._weights[f"{name}.outer.weight"] @ units + self._weights[f"{name}.outer.bias"][:, None]
        return outer


def ordered(one: Indices, other: Indices) -> tuple[Indices, Indices]:
    """Return the lower and the higher of two features each."""
    return np.minimum(one, other), np.maximum(one, other)


def products_of(rows: Rows, pairs: Pairs) -> Floats | None:
    """Return the products of the pairs' values; None where all are 1."""
    return None if rows.values is None else rows.values[pairs.first] * rows.values[pairs.second]


def _margin(outputs: Floats) -> Floats:
    """Reduce the first axis: one output is the margin, two are the scores of class 0 and 1."""
    margin: Floats = outputs[1] - outputs[0] if len(outputs) == 2 else outputs[0]
    return margin


def _portions(count: int) -> list[slice]:
    return [slice(begin, begin + _PAIRS_AT_ONCE) for begin in range(0, max(count, 1), _PAIRS_AT_ONCE)]
