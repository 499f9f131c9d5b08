"""Rows of the Hessian of one output at one input, as many as are asked for, from one graph.

The model's copy has smooth ReLUs, so that its gradient is a differentiable function of the input; a row H_i is the
gradient of that gradient's entry i (a double backward). Building the graph costs one forward and one backward, and
every set shares it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from jobs.errors import NumericalError
from jobs.schemas import Target
from worker.methods._chunks import map_chunks
from worker.methods._outputs import output
from worker.methods.h_sets.frozen import FrozenWeights
from worker.methods.h_sets.slopes import stored_slopes
from worker.models.surgery import attention_on_math


class HessianRows:
    """The Hessian of the target's output at `input`, row by row.

    Attributes:
        gradient: `(d,)`, the gradient that the rows are derivatives of.
        count: Rows computed so far.
    """

    def __init__(
        self,
        gradient: Tensor,
        point: Tensor,
        *,
        chunk: int,
        on_rows: Callable[[int], None],
        on_halved: Callable[[int], None] | None,
    ) -> None:
        self.gradient = gradient
        self.count = 0
        self._point = point
        self._chunk = chunk
        self._on_rows = on_rows
        self._on_halved = on_halved

    def __call__(self, indices: Sequence[int]) -> NDArray[np.floating[Any]]:
        """Return `(n, d)` rows, on the host, in the order of `indices`.

        Raises:
            NumericalError: An entry is not finite.
        """
        wanted = torch.tensor(indices, device=self.gradient.device)
        rows = torch.cat(map_chunks(self._rows, wanted, chunk=self._chunk, on_halved=self._halved))
        if not torch.isfinite(rows).all():
            raise NumericalError(
                "expected finite second derivatives, got a Hessian row that is not; check the model's weights, or "
                "raise smoothing_t"
            )
        self.count += len(indices)
        self._on_rows(self.count)
        return rows.cpu().numpy()

    def _halved(self, chunk: int) -> None:
        self._chunk = chunk  # what did not fit once will not fit in the next round
        if self._on_halved is not None:
            self._on_halved(chunk)

    def _rows(self, indices: Tensor) -> Tensor:
        if not self.gradient.requires_grad:  # a linear model: its gradient is a constant
            return self.gradient.new_zeros(len(indices), self.gradient.numel())
        if len(indices) == 1:
            outputs, weights, batched = self.gradient[indices[0]], None, False
        else:
            weights = nn.functional.one_hot(indices, self.gradient.numel()).to(self.gradient.dtype)
            outputs, batched = self.gradient, True
        rows = torch.autograd.grad(
            outputs, self._point, grad_outputs=weights, is_grads_batched=batched, retain_graph=True, allow_unused=True,
            materialize_grads=True,
        )[0]  # fmt: skip
        return rows.detach().reshape(len(indices), -1)


@contextmanager
def hessian_rows(
    model: nn.Module,
    input: Tensor,
    target: Target,
    *,
    chunk: int = 1,
    on_rows: Callable[[int], None] = lambda count: None,
    on_halved: Callable[[int], None] | None = None,
) -> Iterator[HessianRows]:
    """Build the graph for the length of the context; leaving it frees the graph.

    Args:
        model: Twice differentiable, see `worker.models.surgery.twice_differentiable`.
        input: `shape`.
        chunk: Rows of one double backward.
        on_rows: Told the count after every batch of rows.
    """
    point = input.detach().clone().requires_grad_()
    with torch.enable_grad(), attention_on_math(), stored_slopes(model), FrozenWeights():
        value = output(model(point[None]), target)[0]
        gradient = torch.autograd.grad(value, point, create_graph=True)[0].flatten()
    rows = HessianRows(gradient, point, chunk=chunk, on_rows=on_rows, on_halved=on_halved)
    try:
        yield rows
    finally:
        rows.gradient = gradient.detach()
