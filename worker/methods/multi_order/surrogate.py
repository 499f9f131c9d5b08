"""A surrogate of a game: kernel ridge regression on coalitions, whose interactions are known in closed form.

The kernel is the heat kernel of the hypercube, κ(h) = ((1 - τ)/(1 + τ))^h of the number h of players that differ: as
a prior it gives every monomial of s players the variance τ^s, so that interactions of few players come first. It
looks alike from everywhere, therefore the mean of the surrogate over a stratum depends on its training coalitions
only through their sizes and which of the two players they hold: a hypergeometric sum, with one matrix product for all
pairs.

A surrogate is a control variate: what it misses is estimated from fresh evaluations, so no trust in it is needed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from worker.methods.multi_order.strata import BOTH, HELD, NONE, ONE, stratum_sums

_MEAN_ORDERS = (0.3, 0.75, 1.5, 3.0)
"""Mean number of players in a monomial under the prior, tried in turn; τ follows from it."""
_NUGGETS = (1e-5, 1e-3, 3e-2)
"""Variance, relative to the prior's, that is left to what the kernel cannot represent."""
_CHOICE = 250
"""Training coalitions that choose among those; enough to tell them apart, and cubic in time."""
_ROWS = 4096


@dataclass(frozen=True, kw_only=True)
class Surrogate:
    """A fitted surrogate.

    Attributes:
        coalitions: `(training, n)` bool.
        weights: `(training,)` float64, one of each kernel.
        offset: The constant that it starts from.
        kernel: `(n + 1,)`, κ by the number of players that differ.
    """

    coalitions: Tensor
    weights: Tensor
    offset: float
    kernel: Tensor

    def __call__(self, coalitions: Tensor) -> Tensor:
        """Predict `(n_coalitions,)`."""
        parts = [
            self.kernel[_distances(part, self.coalitions)] @ self.weights for part in torch.split(coalitions, _ROWS)
        ]
        return self.offset + torch.cat(parts)

    def stratum_means(self, sizes: Sequence[int]) -> dict[int, Tensor]:
        """Return its mean over every stratum of these coalition sizes, `(3, n, n)` each, in closed form."""
        n = self.coalitions.shape[1]
        training_sizes = self.coalitions.sum(1)
        classes = torch.unique(training_sizes)
        sums = torch.stack(
            [
                stratum_sums(self.coalitions[training_sizes == size], self.weights[training_sizes == size])
                for size in classes
            ]
        )  # (classes, 3, n, n)
        # Without the pair: training patterns in the order both, i only, j only, none.
        patterns = ((sums[:, BOTH], 1, 1), (sums[:, ONE], 1, 0), (sums[:, ONE].mT, 0, 1), (sums[:, NONE], 0, 0))
        contexts = sorted({size - held for size in sizes for held in HELD if 0 <= size - held <= n - 2})
        kernels = self._mean_kernels(contexts, range(n - 1))  # (3, contexts, n - 1)
        found = {}
        for size in sizes:
            means = sums.new_full((3, n, n), self.offset)
            for pattern, (i, j) in enumerate(((1, 1), (1, 0), (0, 0))):
                if size - i - j not in contexts:
                    continue
                place = contexts.index(size - i - j)
                for weights, i_held, j_held in patterns:
                    rest = classes - i_held - j_held
                    real = (rest >= 0) & (rest <= n - 2)
                    differing = int(i != i_held) + int(j != j_held)
                    share = kernels[differing, place, rest[real]]
                    means[pattern] += torch.einsum("c,cij->ij", share, weights[real])
            found[size] = means
        return found

    def _mean_kernels(self, contexts: Sequence[int], rests: Sequence[int]) -> Tensor:
        """Average κ over random contexts of the n - 2 other players, against fixed sets of them.

        Returns:
            `(3, contexts, rests)`: players of the pair that differ, size of the random and of the fixed set.
        """
        others = self.coalitions.shape[1] - 2
        drawn = torch.tensor(contexts, dtype=torch.float64)[:, None, None]
        fixed = torch.tensor(list(rests), dtype=torch.float64)[None, :, None]
        common = torch.arange(others + 1, dtype=torch.float64)
        log_chance = _log_comb(fixed, common) + _log_comb(others - fixed, drawn - common) - _log_comb(others, drawn)
        differ = (drawn + fixed - 2 * common).long().clamp(0, others)
        return torch.stack([(log_chance.exp() * self.kernel[differ + extra]).sum(-1) for extra in range(3)])


def _log_comb(n: Tensor | float, k: Tensor) -> Tensor:
    n = torch.as_tensor(n, dtype=torch.float64)
    possible = (k >= 0) & (k <= n)
    inside = torch.where(possible, k, torch.zeros_like(k))
    log = torch.lgamma(n + 1) - torch.lgamma(inside + 1) - torch.lgamma(n - inside + 1)
    return torch.where(possible, log, torch.full_like(log, -torch.inf))


def fit(coalitions: Tensor, values: Tensor, *, most: int, generator: torch.Generator) -> Surrogate:
    """Fit a surrogate, with kernel and nugget of the least leave-one-out error.

    Args:
        coalitions: `(n_coalitions, n)` bool.
        values: `(n_coalitions,)` float64.
        most: Training coalitions, drawn where there are more; the time is cubic in them.
    """
    drawn = torch.randperm(len(values), generator=generator)[:most]
    coalitions, values = coalitions[drawn], values[drawn]
    few, few_values = coalitions[:_CHOICE], values[:_CHOICE]
    choices = [(_heat_kernel(coalitions.shape[1], order), nugget) for order in _MEAN_ORDERS for nugget in _NUGGETS]
    kernel, nugget = min(choices, key=lambda choice: _error_left_out(few, few_values, *choice))
    offset = float(values.mean())
    factor = _factor(coalitions, kernel, nugget)
    weights = torch.cholesky_solve((values - offset)[:, None], factor)[:, 0]
    return Surrogate(coalitions=coalitions, weights=weights, offset=offset, kernel=kernel)


def _heat_kernel(n: int, mean_order: float) -> Tensor:
    """Return κ(h), h = 0..n, whose prior has monomials of `mean_order` players on average."""
    tau = mean_order / max(n - mean_order, mean_order)
    return ((1 - tau) / (1 + tau)) ** torch.arange(n + 1, dtype=torch.float64)


def _error_left_out(coalitions: Tensor, values: Tensor, kernel: Tensor, nugget: float) -> float:
    """Return the mean squared error of prediction, each value left out in turn."""
    factor = _factor(coalitions, kernel, nugget)
    weights = torch.cholesky_solve((values - values.mean())[:, None], factor)[:, 0]
    # The residual of a value left out is its weight over the diagonal of the inverse.
    return float((weights / torch.cholesky_inverse(factor).diagonal()).square().mean())


def _factor(coalitions: Tensor, kernel: Tensor, nugget: float) -> Tensor:
    gram = kernel[_distances(coalitions, coalitions)]
    gram.diagonal().add_(nugget)
    factor: Tensor = torch.linalg.cholesky(gram)
    return factor


def _distances(rows: Tensor, columns: Tensor) -> Tensor:
    """Count the players in which coalitions differ: `(rows, columns)` int64."""
    a, b = rows.float(), columns.float()  # exact up to 2^24
    return (a.sum(1)[:, None] + b.sum(1)[None, :] - 2 * a @ b.T).long()
