"""How the numbers inside a network depend on its inputs, as far as they are sums of functions of single inputs.

Before the first layer that mixes, every number is a function of one input (`Each`); after it, and before an
activation, a weighted sum of such functions (`Sums`). Both remember slopes; where functions are bent, two slopes of
one input must not cancel, and their sizes are added.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from jobs.errors import UnsupportedModel

MOST_WEIGHTS = 1 << 24
"""Of a first layer, in float64: 128 MiB."""


@dataclass(frozen=True)
class Sums:
    """Sums over inputs.

    Attributes:
        slopes: `(width, inputs)` float64.
        exact: Whether the sums are linear in the inputs, so that slopes may cancel.
    """

    slopes: Tensor
    exact: bool

    def scaled(self, factors: Tensor) -> Sums:
        return replace(self, slopes=factors[:, None] * self.slopes)

    def mixed(self, weights: Tensor) -> Sums:
        if self.exact:
            return replace(self, slopes=weights @ self.slopes)
        return replace(self, slopes=weights.abs() @ self.slopes.abs())

    def as_sums(self) -> Sums:
        return self

    @property
    def present(self) -> Tensor:
        """`(width,)`: whether there is a slope other than 0."""
        return self.slopes.ne(0).any(1)


@dataclass(frozen=True)
class Each:
    """A function of one input each.

    Attributes:
        inputs: How many there are.
        places: `(width,)` the input that each number depends on; -1: none.
        slopes: `(width,)` float64, the steepest.
        exact: Whether the functions are linear.
    """

    inputs: int
    places: Tensor
    slopes: Tensor
    exact: bool = True

    def scaled(self, factors: Tensor) -> Each:
        return replace(self, slopes=factors * self.slopes)

    def bent(self, steepest: float) -> Each:
        return replace(self, slopes=steepest * self.slopes, exact=False)

    def without(self, gone: Tensor) -> Each:
        """Leave out the numbers where `gone`, `(width,)`, is true."""
        return replace(self, places=self.places.masked_fill(gone, -1))

    def mixed(self, weights: Tensor) -> Sums:
        """Apply a layer of weights `(outputs, width)`."""
        _check_size(len(weights), self.inputs)
        slopes = weights * self.slopes
        if len(self.places) == self.inputs and bool((self.places == torch.arange(self.inputs)).all()):
            return Sums(slopes, self.exact)
        there = self.present
        if not self.exact and there.any() and int(self.places[there].bincount().amax()) > 1:
            slopes = slopes.abs()
        gathered = weights.new_zeros(len(weights), self.inputs)
        return Sums(gathered.index_add_(1, self.places[there], slopes[:, there]), self.exact)

    def as_sums(self) -> Sums:
        """Return the same as sums of one."""
        _check_size(len(self.places), self.inputs)
        there = self.present.nonzero()[:, 0]
        slopes = self.slopes.new_zeros(len(self.places), self.inputs)
        slopes[there, self.places[there]] = self.slopes[there]
        return Sums(slopes, self.exact)

    @property
    def present(self) -> Tensor:
        """`(width,)`: whether there is an input."""
        return self.places >= 0


Dependence = Each | Sums


def nothing(inputs: int, width: int) -> Each:
    """Return what depends on no input."""
    return Each(inputs, torch.full((width,), -1), torch.zeros(width).double())


def added(parts: Sequence[Dependence]) -> Dependence:
    """Return the dependence of a sum."""
    if all(isinstance(part, Each) for part in parts):
        each = [part for part in parts if isinstance(part, Each)]
        if (joined := _added_each(each)) is not None:
            return joined
    sums = [part.as_sums() for part in parts]
    exact = all(part.exact for part in sums)
    slopes = torch.stack([part.slopes if exact else part.slopes.abs() for part in sums]).sum(0)
    return Sums(slopes, exact)


def _added_each(parts: Sequence[Each]) -> Each | None:
    """Add number by number; None where two of one place depend on different inputs."""
    places = torch.stack([part.places for part in parts])
    joined = places.amax(0)
    if bool(((places != joined) & (places >= 0)).any()):
        return None
    exact = all(part.exact for part in parts)
    slopes = torch.stack([part.slopes if exact else part.slopes.abs() for part in parts])
    return Each(parts[0].inputs, joined, slopes.masked_fill(places < 0, 0).sum(0), exact)


def side_by_side(parts: Sequence[Dependence]) -> Dependence:
    """Return the dependence of a concatenation."""
    exact = all(part.exact for part in parts)
    each = [part for part in parts if isinstance(part, Each)]
    if len(each) == len(parts):
        places, slopes = torch.cat([part.places for part in each]), torch.cat([part.slopes for part in each])
        return Each(each[0].inputs, places, slopes, exact)
    return Sums(torch.cat([part.as_sums().slopes for part in parts]), exact)


def one_each(sums: Sums) -> Each | None:
    """Return sums as functions of one input each, where every one is and they are of different inputs."""
    there = sums.slopes.ne(0)
    if bool((there.sum(1) > 1).any()) or int(there.any(0).sum()) < 2:
        return None
    places = torch.where(there.any(1), there.int().argmax(1), -1)
    return Each(sums.slopes.shape[1], places, sums.slopes.sum(1), sums.exact)


def _check_size(width: int, inputs: int) -> None:
    if width * inputs > MOST_WEIGHTS:
        raise UnsupportedModel(
            f"a layer of {width} units mixes {inputs} inputs; NID reads first layers of at most {MOST_WEIGHTS} weights"
        )
