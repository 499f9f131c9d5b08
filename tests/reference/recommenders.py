"""Six recommender models, slowly: one row at a time, loops over features and coordinates, scalars only.

`weights` are a model's parameters by name, as nested lists; a row is a list of (feature, value), feature -1: unknown.
"""

from __future__ import annotations

from itertools import combinations
from math import exp
from typing import Any

Vector = list[float]
Node = tuple[int, float]
Weights = dict[str, Any]


def dot(a: Vector, b: Vector) -> float:
    return sum(x * y for x, y in zip(a, b, strict=True))


def relu(x: Vector) -> Vector:
    return [max(one, 0.0) for one in x]


def linear(weights: Weights, name: str, x: Vector) -> Vector:
    rows = weights[f"{name}.weight"]
    bias = weights.get(f"{name}.bias", [0.0] * len(rows))
    return [dot(row, x) + b for row, b in zip(rows, bias, strict=True)]


def perceptron(weights: Weights, x: Vector) -> float:
    return linear(weights, "deep.outer", relu(linear(weights, "deep.inner", x)))[0]


def first_order(weights: Weights, row: list[Node]) -> float:
    return weights["first.bias"] + sum(weights["first.weight"][feature] * value for feature, value in row)


def vectors(weights: Weights, row: list[Node]) -> list[Vector]:
    return [[value * v for v in weights["vectors.weight"][feature]] for feature, value in row]


def product(a: Vector, b: Vector) -> Vector:
    return [x * y for x, y in zip(a, b, strict=True)]


def added(weights: Weights, of: list[Vector]) -> Vector:
    size = len(weights["vectors.weight"][0])
    return [sum(one[at] for one in of) for at in range(size)]


def joined(weights: Weights, of: list[Vector], fields: int | None) -> Vector:
    return added(weights, of) if fields is None else [x for one in of for x in one]


def fm(weights: Weights, row: list[Node], fields: int | None) -> float:
    """w_0 + Σ w_i x_i + Σ_{i<j} <v_i, v_j> x_i x_j."""
    pairs = combinations(vectors(weights, row), 2)
    return first_order(weights, row) + sum(dot(u, v) for u, v in pairs)


def afm(weights: Weights, row: list[Node], fields: int | None) -> float:
    """… + p · Σ_{i<j} softmax(h · ReLU(W (v_i ⊙ v_j) x_i x_j + b)) (v_i ⊙ v_j) x_i x_j."""
    products = [product(u, v) for u, v in combinations(vectors(weights, row), 2)]
    raised = [exp(linear(weights, "attending", relu(linear(weights, "attention", one)))[0]) for one in products]
    p = weights["prediction.weight"][0]
    return first_order(weights, row) + sum(
        a / sum(raised) * dot(p, one) for a, one in zip(raised, products, strict=True)
    )


def nfm(weights: Weights, row: list[Node], fields: int | None) -> float:
    """… + MLP(Σ_{i<j} x_i v_i ⊙ x_j v_j)."""
    pooled = added(weights, [product(u, v) for u, v in combinations(vectors(weights, row), 2)])
    return first_order(weights, row) + perceptron(weights, pooled)


def deepfm(weights: Weights, row: list[Node], fields: int | None) -> float:
    """y_FM + MLP(v_1, …, v_m)."""
    return fm(weights, row, fields) + perceptron(weights, joined(weights, vectors(weights, row), fields))


def xdeepfm(weights: Weights, row: list[Node], fields: int | None) -> float:
    """Eq. 6 to 8, 11: X^k_h = Σ_i Σ_j W^{k,h}_ij X^{k−1}_i ⊙ X^0_j, sums of all maps, a linear output; and an MLP.

    Of a set, W^{k,h}_ij is the same for all places.
    """
    zero = vectors(weights, row)
    before, sums = zero, []
    for layer in (0, 1):
        maps = []
        for kernel in weights[f"compress.{layer}.weight"]:
            total = [0.0] * len(weights["vectors.weight"][0])
            for i, u in enumerate(before):
                for j, v in enumerate(zero):
                    shared = 0 if layer == 0 else i
                    weight = kernel[shared] if fields is None else kernel[i * len(zero) + j]
                    total = [t + weight * x for t, x in zip(total, product(u, v), strict=True)]
            maps.append(total)
        sums += [sum(one) for one in maps]
        before = maps
    deep = perceptron(weights, joined(weights, zero, fields))
    return first_order(weights, row) + linear(weights, "output", sums)[0] + deep


def autoint(weights: Weights, row: list[Node], fields: int | None) -> float:
    """Eq. 5 to 9: two layers of two heads; of a set, the output weights are the same for all places, and a mean."""
    nodes = vectors(weights, row)
    for layer in ("layers.0", "layers.1"):
        query, key, value, residual = (
            [linear(weights, f"{layer}.{name}", one) for one in nodes] for name in ("query", "key", "value", "residual")
        )
        nodes = [relu([h + r for h, r in zip(_heads(query[m], key, value), residual[m], strict=True)])
                 for m in range(len(nodes))]  # fmt: skip
    if fields is not None:
        return linear(weights, "output", [x for one in nodes for x in one])[0]
    w, bias = weights["output.weight"][0], weights["output.bias"][0]
    return bias + sum(dot(w, one) for one in nodes) / max(len(nodes), 1)


def _heads(query: Vector, keys: list[Vector], values: list[Vector]) -> Vector:
    size = len(query) // 2
    outputs: Vector = []
    for head in (slice(0, size), slice(size, 2 * size)):
        raised = [exp(dot(query[head], key[head])) for key in keys]
        attention = [one / sum(raised) for one in raised]
        outputs += [sum(a * v for a, v in zip(attention, column, strict=True))
                    for column in zip(*(value[head] for value in values), strict=True)]  # fmt: skip
    return outputs
