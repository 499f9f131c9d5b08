"""Strengths of pairs, from the first layer's weights and what its units can do to the output."""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce

import torch
from torch import Tensor

from worker.methods.nid.averages import Average, of_pairs


def influence(later: Sequence[Tensor]) -> Tensor:
    """Bound how fast the output moves with each unit of the first layer: z = |w_y|ᵀ |W_L| … |W_2| (Lemma 3).

    Args:
        later: Weight matrices `(fan_out, fan_in)` of the layers behind the first, input side first; of an ensemble,
            `(members, fan_out, fan_in)`. Activations are 1-Lipschitz, or their constant is multiplied in.

    Returns:
        `(..., units)`, summed over outputs.
    """
    onto_output, *before = [matrix.abs() for matrix in reversed(later)]
    row = onto_output.sum(-2, keepdim=True)
    return reduce(torch.matmul, before, row).squeeze(-2)


def pairwise_strengths(first: Tensor, influences: Tensor, *, average: Average = "minimum") -> Tensor:
    """Compute ω({i, j}) = Σ_s z_s μ(|W_si|, |W_sj|), every pair's strength.

    Args:
        first: `(units, p)`, weights of the first layer.
        influences: `(units,)`, z.

    Returns:
        `(p, p)`, symmetric, at least 0, zero diagonal.
    """
    # Every average μ(ca, cb) is c μ(a, b), so that an influence can be part of the weights.
    sizes = (influences[:, None] * first.abs()).T.contiguous()  # (p, units)
    strengths = sizes.new_zeros(len(sizes), len(sizes))
    for one in range(len(sizes) - 1):
        strengths[one, one + 1 :] = of_pairs(average, sizes[one], sizes[one + 1 :]).sum(1)
    return strengths + strengths.T
