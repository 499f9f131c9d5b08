"""What a network minimises (Eq. 6): a loss, λ1 times the edges to be expected, λ2 times the size of the messages.

The λ2 term is written ‖z_n‖², and z_n is not defined. The paper calls the output of h(u_i, u_j) z_ij, says that the
term "minimizes a Kullback–Leibler divergence between every z_ij and a multivariate standard distribution N(0, I)", and
tells z from the gated s = e z. So z_n is read as all messages of sample n before the gate: ‖z_n‖² = Σ_ij ‖z_ij‖². Both
sums run over i, j ∈ X_n as written, so a pair of two different features counts twice and a feature with itself once;
the mean is over samples.

The published code instead takes the squared error against a one-hot target, the mean of π over all pairs of the batch,
and for λ2 the squares of the updated nodes summed over the batch, so that λ2 weighs more in larger batches.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits, one_hot

from worker.methods.l0_sign.model import Evaluation

Objective = Literal["cross-entropy", "squared"]


@dataclass(frozen=True, kw_only=True)
class Lambdas:
    """Weights of the penalties: of open gates (λ1) and of the messages' size (λ2)."""

    gates: float
    messages: float


def binary_targets(labels: Tensor) -> Tensor:
    """Return labels 0 and 1 unchanged.

    Raises:
        ValueError: There is another label.
    """
    if (other := labels[(labels != 0) & (labels != 1)]).numel():
        raise ValueError(f"expected labels 0 and 1, got {other[0].item()}")
    return labels


def risk(
    evaluation: Evaluation, targets: Tensor, lambdas: Lambdas, *, objective: Objective, weights: Tensor | None = None
) -> Tensor:
    """Return R of one batch, a scalar.

    Args:
        targets: `(rows,)`: 0 or 1; any numbers for `squared` on a network with one output.
        weights: `(rows,)`, of the losses of the rows; None: all 1.

    Raises:
        ValueError: A label of a class is neither 0 nor 1.
    """
    losses = _losses(evaluation.outputs, targets, objective)
    if weights is not None:
        losses = losses * weights
    total = losses.mean() + lambdas.messages * message_penalty(evaluation)
    return total + lambdas.gates * gate_penalty(evaluation)


def gate_penalty(evaluation: Evaluation) -> Tensor:
    """Return Σ_ij π_ij, mean over rows; published: the mean over the pairs of the batch; without gates 0."""
    if evaluation.penalty is None:
        return evaluation.outputs.new_zeros(())
    if evaluation.nodes is not None:
        return evaluation.penalty.sum() / max(len(evaluation.penalty), 1)
    return evaluation.times @ evaluation.penalty / max(len(evaluation.rows), 1)


def message_penalty(evaluation: Evaluation) -> Tensor:
    """Return ‖z_n‖², mean over rows; published: the squared nodes, summed over the batch."""
    if evaluation.nodes is not None:
        return evaluation.nodes.square().sum()
    return evaluation.times @ evaluation.squares / max(len(evaluation.rows), 1)


def _losses(outputs: Tensor, targets: Tensor, objective: Objective) -> Tensor:
    """Return the loss of each row, `(rows,)`."""
    if outputs.shape[1] == 2:
        return (outputs - one_hot(binary_targets(targets).long(), 2)).square().mean(1)
    if objective == "squared":
        return (outputs[:, 0] - targets).square()
    return binary_cross_entropy_with_logits(outputs[:, 0], binary_targets(targets).to(outputs.dtype), reduction="none")
