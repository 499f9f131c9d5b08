"""L0-SIGN, slowly: every row, every pair (i, j) in both directions, scalars only; the paper's model and the code's."""

from __future__ import annotations

from dataclasses import dataclass
from math import exp, inf, log
from typing import Any

Vector = list[float]
Node = tuple[int, float]
"""Feature (-1: unknown) and value."""
Draws = dict[tuple[int, int, int], tuple[float, list[bool] | None]]
"""Of row, and positions i ≤ j in it: the uniform number behind the gate, and which hidden units stay."""

BETA, GAMMA, ZETA = 0.66, -0.1, 1.1


def sigmoid(t: float) -> float:
    return 1 / (1 + exp(-t)) if t >= 0 else exp(t) / (1 + exp(t))


def dot(a: Vector, b: Vector) -> float:
    return sum(x * y for x, y in zip(a, b, strict=True))


@dataclass
class Row:
    """What one row gives: outputs, π and ‖z‖² by (i, j), updated nodes."""

    outputs: Vector
    pi: dict[tuple[int, int], float]
    squares: dict[tuple[int, int], float]
    nodes: list[Vector]


@dataclass
class Model:
    """Weights by the names of the network's parameters, as nested lists."""

    weights: dict[str, Any]
    published: bool
    gated: bool = True
    mean: str = "neighbours"

    def mlp(self, name: str, x: Vector, kept: list[bool] | None = None) -> Vector:
        w = self.weights
        inner = zip(w[f"{name}.inner.weight"], w[f"{name}.inner.bias"], strict=True)
        hidden = [max(dot(row, x) + bias, 0.0) for row, bias in inner]
        if kept is not None:
            hidden = [2 * value if stays else 0.0 for value, stays in zip(hidden, kept, strict=True)]
        outer = zip(w[f"{name}.outer.weight"], w[f"{name}.outer.bias"], strict=True)
        return [dot(row, hidden) + bias for row, bias in outer]

    def message(self, one: Node, other: Node) -> Vector:
        u, v = ([self.value(node) * c for c in self.weights["nodes"][node[0]]] for node in (one, other))
        return self.mlp("pair", [a * b for a, b in zip(u, v, strict=True)])

    def value(self, node: Node) -> float:
        return 1.0 if self.published else node[1]

    def gate(self, one: Node, other: Node, draw: tuple[float, list[bool] | None] | None) -> tuple[float, float]:
        """(e_ij, π_ij)."""
        if not self.gated:
            return 1.0, 0.0
        u, v = self.weights["edge_nodes"][one[0]], self.weights["edge_nodes"][other[0]]
        kept = draw[1] if draw else None
        log_alpha = self.mlp("edge", [a * b for a, b in zip(u, v, strict=True)], kept)[0]
        base = log(2) if self.published else 1.0
        s = sigmoid(log_alpha)
        if draw:
            noise = (log(draw[0]) if draw[0] > 0 else -inf) - log(1 - draw[0])
            s = sigmoid((log_alpha + noise / base) / BETA)
        e = min(1.0, max(0.0, s * (ZETA - GAMMA) + GAMMA))
        return e, sigmoid(log_alpha - BETA * log(-GAMMA / ZETA) / base)

    def row(self, nodes: list[Node], row: int, draws: Draws | None) -> Row:
        n = len(nodes)
        pi, squares, updated = {}, {}, []
        for j in range(n):
            said: list[Vector] = []
            for i in range(j + 1) if self.published else range(n):
                draw = draws[row, min(i, j), max(i, j)] if draws else None
                e, pi[i, j] = self.gate(nodes[i], nodes[j], draw)
                z = self.message(nodes[i], nodes[j])
                squares[i, j] = sum(c * c for c in z)
                if e > 0 or self.mean == "nodes":
                    said.append([e * c for c in z])
            width = len(self.weights["nodes"][0])
            updated.append([sum(one[k] for one in said) / max(len(said), 1) for k in range(width)])
        head = zip(self.weights["head.weight"], self.weights["head.bias"], strict=True)
        outputs = [
            bias + sum(self.value(node) * dot(w, v) for node, v in zip(nodes, updated, strict=True)) / max(n, 1)
            for w, bias in head
        ]
        return Row(outputs, pi, squares, updated)

    def risk(
        self, rows: list[list[Node]], labels: list[int], l0: float, l2: float, draws: Draws | None = None
    ) -> float:
        """Eq. 6, or what the published code minimises."""
        found = [self.row(nodes, at, draws) for at, nodes in enumerate(rows)]
        if self.published:
            squares = [
                (output - (label == c)) ** 2
                for one, label in zip(found, labels, strict=True)
                for c, output in enumerate(one.outputs)
            ]
            pi = [p for one in found for p in one.pi.values()]
            nodes = sum(c * c for one in found for node in one.nodes for c in node)
            return sum(squares) / len(squares) + l0 * sum(pi) / len(pi) + l2 * nodes
        total = 0.0
        for one, label in zip(found, labels, strict=True):
            total -= log(sigmoid(one.outputs[0] if label else -one.outputs[0]))
            total += l0 * sum(one.pi.values()) + l2 * sum(one.squares.values())
        return total / len(rows)
