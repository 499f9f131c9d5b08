"""The ten synthetic functions of the NID paper (Table 1), and the interactions that each of them has.

Inputs are uniform on (-1, 1), but for F1, whose roots and quotients need other ranges (Hooker 2004): x4, x5, x8 and
x10 on (0.6, 1) and the others on (0, 1). The square root of F2 takes |x7|, without which it has no value for half of
the inputs.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import combinations
from math import pi

import torch
from torch import Tensor

INPUTS = 10


@dataclass(frozen=True)
class Function:
    """One function of ten inputs.

    Attributes:
        compute: Ten columns to values.
        interactions: The maximal sets that interact, 0-based.
    """

    name: str
    compute: Callable[[Sequence[Tensor]], Tensor]
    interactions: tuple[tuple[int, ...], ...]

    @property
    def pairs(self) -> frozenset[tuple[int, int]]:
        """Every pair inside an interaction, sorted."""
        return frozenset(pair for members in self.interactions for pair in combinations(members, 2))

    def draw(self, rows: int, *, seed: int) -> tuple[Tensor, Tensor]:
        """Draw `(rows, 10)` inputs and `(rows,)` values, float64."""
        x = torch.rand(rows, INPUTS, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
        if self.name == "F1":
            x[:, [3, 4, 7, 9]] = 0.6 + 0.4 * x[:, [3, 4, 7, 9]]
        else:
            x = 2 * x - 1
        return x, self.compute([x[:, column] for column in range(INPUTS)])


def _f1(x: Sequence[Tensor]) -> Tensor:
    x1, x2, x3, x4, x5, _, x7, x8, x9, x10 = x
    product = pi ** (x1 * x2) * (2 * x3).sqrt() - x4.asin() + (x3 + x5).log()
    return product - x9 / x10 * (x7 / x8).sqrt() - x2 * x7


def _f2(x: Sequence[Tensor]) -> Tensor:
    x1, x2, x3, x4, x5, _, x7, x8, x9, x10 = x
    product = pi ** (x1 * x2) * (2 * x3.abs()).sqrt() - (x4 / 2).asin() + ((x3 + x5).abs() + 1).log()
    return product + x9 / (1 + x10.abs()) * (x7.abs() / (1 + x8.abs())).sqrt() - x2 * x7


def _f3(x: Sequence[Tensor]) -> Tensor:
    x1, x2, x3, x4, x5, _, x7, x8, x9, x10 = x
    power = x3.square() ** x4.abs()  # x3^(2|x4|), which is real for negative x3 too
    squares = (x4**2 + x5**2 + x7**2 + x8**2).log()
    return (x1 - x2).abs().exp() + (x2 * x3).abs() - power + squares + x9 + 1 / (1 + x10**2)


def _f4(x: Sequence[Tensor]) -> Tensor:
    return _f3(x) + (x[0] * x[3]) ** 2


def _f5(x: Sequence[Tensor]) -> Tensor:
    x1, x2, x3, x4, x5, x6, x7, x8, x9, x10 = x
    return 1 / (1 + x1**2 + x2**2 + x3**2) + (x4 + x5).exp().sqrt() + (x6 + x7).abs() + x8 * x9 * x10


def _f6(x: Sequence[Tensor]) -> Tensor:
    x1, x2, x3, x4, x5, x6, _, x8, x9, x10 = x
    exponentials = ((x1 * x2).abs() + 1).exp() - ((x3 + x4).abs() + 1).exp()
    return exponentials + (x5 + x6 - x8).cos() + (x8**2 + x9**2 + x10**2).sqrt()


def _f7(x: Sequence[Tensor]) -> Tensor:
    x1, x2, x3, x4, x5, x6, x7, x8, x9, _ = x
    bounded = (x1.atan() + x2.atan()) ** 2 + (x3 * x4 + x6).clamp(min=0) - 1 / (1 + (x4 * x5 * x6 * x7 * x8) ** 2)
    return bounded + (x7.abs() / (1 + x9.abs())) ** 5 + torch.stack(list(x)).sum(0)


def _f8(x: Sequence[Tensor]) -> Tensor:
    x1, x2, x3, x4, x5, x6, x7, x8, x9, x10 = x
    powers = 2 ** (x3 + x5 + x6) + 2 ** (x3 + x4 + x5 + x7)
    return x1 * x2 + powers + (x7 * (x8 + x9).sin()).sin() + (0.9 * x10).acos()


def _f9(x: Sequence[Tensor]) -> Tensor:
    x1, x2, x3, x4, x5, x6, x7, x8, x9, x10 = x
    product = (x1 * x2 + x3 * x4).tanh() * x5.abs().sqrt() + (x5 + x6).exp()
    return product + ((x6 * x7 * x8) ** 2 + 1).log() + x9 * x10 + 1 / (1 + x10.abs())


def _f10(x: Sequence[Tensor]) -> Tensor:
    x1, x2, x3, x4, x5, _, x7, _, x9, _ = x
    return (x1 + x2).sinh() + (x3 + x5 + x7).tanh().acos() + (x4 + x5).cos() + 1 / (x7 * x9).cos()


FUNCTIONS: tuple[Function, ...] = (
    Function("F1", _f1, ((0, 1, 2), (2, 4), (6, 7, 8, 9), (1, 6))),
    Function("F2", _f2, ((0, 1, 2), (2, 4), (6, 7, 8, 9), (1, 6))),
    Function("F3", _f3, ((0, 1), (1, 2), (2, 3), (3, 4, 6, 7))),
    Function("F4", _f4, ((0, 1), (1, 2), (2, 3), (0, 3), (3, 4, 6, 7))),
    Function("F5", _f5, ((0, 1, 2), (3, 4), (5, 6), (7, 8, 9))),
    Function("F6", _f6, ((0, 1), (2, 3), (4, 5, 7), (7, 8, 9))),
    Function("F7", _f7, ((0, 1), (2, 3, 5), (3, 4, 5, 6, 7), (6, 8))),
    Function("F8", _f8, ((0, 1), (2, 4, 5), (2, 3, 4, 6), (6, 7, 8))),
    Function("F9", _f9, ((0, 1, 2, 3, 4), (4, 5), (5, 6, 7), (8, 9))),
    Function("F10", _f10, ((0, 1), (2, 4, 6), (3, 4), (6, 8))),
)
