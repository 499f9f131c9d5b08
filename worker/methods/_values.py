"""Value functions: the one number of a model's answer that a game is played for.

Each maps logits `(batch, outputs)` to `(batch,)` float64, whatever the precision of the logits: interactions are small
differences of these numbers.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Literal

import torch
from torch import Tensor

from jobs.errors import InvalidParameters
from jobs.schemas import Target

ValueName = Literal["log-odds", "logit", "probability"]


def log_odds(logits: Tensor, target: Target) -> Tensor:
    """Return log p/(1 - p) of the target's softmax probability, the paper's v (Eq. 1 of the AND-OR paper).

    It is z_y - logsumexp of the other logits, and never goes through p, which rounds to 1 when the model is sure. Of
    a single output, the logit of a sigmoid, it is that output.
    """
    z = logits.double()
    if z.shape[1] == 1:
        return z[:, target.index]
    others = [index for index in range(z.shape[1]) if index != target.index]
    return z[:, target.index] - z[:, others].logsumexp(dim=1)


def logit(logits: Tensor, target: Target) -> Tensor:
    """Return the target's logit, or output of a regression."""
    return logits[:, target.index].double()


def probability(logits: Tensor, target: Target) -> Tensor:
    """Return the target's softmax probability; of a single output, the sigmoid's."""
    return torch.sigmoid(log_odds(logits, target))


def contrast(logits: Tensor, target: Target) -> Tensor:
    """Return the logit of class `index` minus that of class `against`: the log-odds of the one against the other."""
    return logits[:, target.index].double() - logits[:, target.against].double()


_BY_NAME: Mapping[ValueName, Callable[[Tensor, Target], Tensor]] = {
    "log-odds": log_odds,
    "logit": logit,
    "probability": probability,
}


def value_function(name: ValueName, target: Target) -> Callable[[Tensor], Tensor]:
    """Return the function from logits to values; a target with `against` is a contrast of two logits.

    Raises:
        InvalidParameters: A contrast of probabilities.
    """
    if target.against is None:
        function = _BY_NAME[name]
    elif name == "probability":
        raise InvalidParameters("expected log-odds or logit for a contrast of two classes, got probability")
    else:
        function = contrast
    return lambda logits: function(logits, target)
