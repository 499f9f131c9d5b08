"""What is said of the context orders: strengths with intervals, theory, efficiency, the strongest pairs of an order."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from jobs.context_orders import (
    Band,
    ContextOrders,
    Efficiency,
    RelativeStrength,
    StrongestPairs,
    StrongPair,
    TheoryCurve,
)
from worker.methods.multi_order import theory
from worker.methods.multi_order.estimates import Estimate
from worker.methods.multi_order.measure import Measured, Whole
from worker.methods.multi_order.strength import Strength, contextual_variability, of_estimates

MOST_DRAWN = 6
"""Pairs listed at each of the low, middle and high order."""
_FEWEST_FOR_THEORY = 4
"""Players; fewer have at most two context orders, through which any curve goes."""
ROUNDINGS = 8
"""A second difference of numbers of one size: four of them, each rounded within the network more than once."""
SUMS = 1e-12
"""What differences of sums over a table in float64 leave of its largest value, at most."""


@dataclass(frozen=True, kw_only=True)
class Sample:
    """What is kept of every sample: all but its pairs."""

    whole: Whole | None
    evaluations: int
    precision: float
    scale: float


@dataclass(frozen=True, kw_only=True)
class Several:
    """Samples measured one after the other.

    Attributes:
        first: The estimate of the first, with its pairs.
        samples: All of them.
        strength: Over all of them.
        rounding: Relative precision of the network's numbers.
    """

    first: Estimate
    samples: tuple[Sample, ...]
    strength: Strength
    rounding: float

    @property
    def silent(self) -> bool:
        """Whether no pair interacts beyond what rounding alone may give."""
        floor = (ROUNDINGS * self.rounding + SUMS) * max(sample.scale for sample in self.samples)
        return float(self.strength.strength.max()) <= floor

    @property
    def precision(self) -> float:
        """The worst sample's."""
        return max(sample.precision for sample in self.samples)

    @property
    def wholes(self) -> list[Whole]:
        """Of every sample; empty where sampled."""
        return [sample.whole for sample in self.samples if sample.whole is not None]


def joined(measured: Iterable[Measured], *, rounding: float, level: float, generator: torch.Generator) -> Several:
    """Go through the samples once, keeping the pairs of the first only."""
    first: list[Estimate] = []
    samples: list[Sample] = []

    def estimates() -> Iterator[Estimate]:
        for one in measured:
            found = one.estimate
            first[:] = first or [found]
            samples.append(
                Sample(whole=one.whole, evaluations=found.evaluations, precision=found.precision, scale=one.scale)
            )
            yield found

    strength = of_estimates(estimates(), generator=generator, level=level)
    return Several(first=first[0], samples=tuple(samples), strength=strength, rounding=rounding)


def context_orders(found: Several, *, level: float) -> ContextOrders:
    """Describe the strength by context order."""
    measured, n = found.strength, found.first.values.shape[-1]
    variability = contextual_variability(n)
    return ContextOrders(
        orders=measured.orders,
        players=n,
        pairs=_pairs(found.first),
        samples=len(found.samples),
        strength=_numbers(measured.strength),
        relative=None if found.silent else _relative(measured.relative, measured.interval),
        corrected=None if found.silent else _relative(measured.corrected, measured.corrected_interval),
        resampled=measured.resampled,
        level=level,
        log_contexts=_numbers(variability[list(measured.orders)]),
        theory=() if found.silent else tuple(_theory(measured, n)),
        strongest=() if found.silent else tuple(_strongest(found.first)),
        efficiency=_efficiency(found.wholes) if found.wholes else None,
    )


def _numbers(values: Tensor) -> tuple[float, ...]:
    return tuple(values.double().tolist())


def _pairs(estimate: Estimate) -> int:
    """Count the pairs that were estimated at some order."""
    return int((~estimate.values.isnan()).any(dim=0).triu(1).sum())


def _relative(values: Tensor, interval: Tensor) -> RelativeStrength | None:
    if values.isnan().any():
        return None
    low, high = interval
    known = not interval.isnan().any()
    return RelativeStrength(
        values=_numbers(values), interval=Band(low=_numbers(low), high=_numbers(high)) if known else None
    )


def _theory(measured: Strength, n: int) -> Iterator[TheoryCurve]:
    """Fit to what noise is off of, where something is left at order 0."""
    orders, values = torch.tensor(measured.orders), measured.corrected
    if n < _FEWEST_FOR_THEORY or orders[0] != 0 or not values[0] > 0:
        return
    for with_weight in (False, True):
        fitted = theory.fit(values, orders, n, with_weight=with_weight)
        yield TheoryCurve(
            with_weight=with_weight, n_prime=fitted.n_prime, values=_numbers(fitted.curve), error=fitted.error
        )


def _strongest(estimate: Estimate) -> Iterator[StrongestPairs]:
    middle = (estimate.values.shape[-1] - 2) / 2
    places: dict[Literal["low", "middle", "high"], int] = {
        "low": 0,
        "middle": min(range(len(estimate.orders)), key=lambda place: abs(estimate.orders[place] - middle)),
        "high": len(estimate.orders) - 1,
    }
    seen = {place: name for name, place in reversed(places.items())}  # of few orders, one may be low and middle
    for place, name in sorted(seen.items()):
        yield StrongestPairs(place=name, order=estimate.orders[place], pairs=tuple(_largest(estimate, place)))


def _largest(estimate: Estimate, place: int) -> Iterator[StrongPair]:
    n = estimate.values.shape[-1]
    i, j = torch.triu_indices(n, n, offset=1)
    values, errors = estimate.values[place, i, j], estimate.standard_errors[place, i, j]
    # Of many noisy pairs the largest is largest by its noise; and of two samples the error itself may be near 0.
    doubt = errors.clamp(min=errors.nanmedian())
    surely = (values.abs() - 2 * doubt).masked_fill(errors.isnan(), -torch.inf)
    for at in surely.argsort(descending=True, stable=True)[:MOST_DRAWN].tolist():
        if not values[at].isnan():
            known = not errors[at].isnan()
            yield StrongPair(
                members=(int(i[at]), int(j[at])), strength=float(values[at]),
                standard_error=float(errors[at]) if known else None,
            )  # fmt: skip


def _efficiency(wholes: Sequence[Whole]) -> Efficiency:
    return Efficiency(
        output=sum(whole.output for whole in wholes) / len(wholes),
        own_effects=sum(float(whole.own_effects.sum()) for whole in wholes) / len(wholes),
        by_order=_numbers(torch.stack([whole.by_order for whole in wholes]).mean(0)),
        residual=max(abs(whole.residual) for whole in wholes),
    )
