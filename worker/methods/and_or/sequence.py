"""Several inputs, the checkpoints of a training, and disturbances: how the strength by order changes.

The players of an input and its explained class are the same at every checkpoint: those of the model, the last one.
Networks are looked at one by one, and of each only its profile is kept.

Source: Sections 2.2.1 and 2.2.2 of https://arxiv.org/abs/2502.10162
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from torch import Tensor

from jobs.order_profiles import Checkpoint, Disturbed, OrderProfile, Similarity
from worker.methods._registry import Checkpoint as Network
from worker.methods._registry import NoTables, Subject
from worker.methods._seats import refused
from worker.methods.and_or import disturbances
from worker.methods.and_or.changes import change, difference, similarity, spindle_fit
from worker.methods.and_or.moment import Moment, Steps, observe
from worker.methods.and_or.params import AndOrParams
from worker.methods.and_or.summary import normaliser, signed, summary

Kind = Literal["weight-noise", "fgsm"]


@dataclass(frozen=True, kw_only=True)
class Course:
    """What a series shows.

    Attributes:
        last: The inputs at the explained model.
        orders: Of it, averaged over the inputs.
        sequence: Every checkpoint, the model last; empty where the request names none.
        reference: Place in `sequence` that emerged strength is counted from.
        gap: Largest relative gap of all logical models.
    """

    last: Moment
    orders: OrderProfile
    sequence: tuple[Checkpoint, ...]
    reference: int | None
    disturbed: tuple[Disturbed, ...]
    similarities: tuple[Similarity, ...]
    gap: float
    forwards: int
    backwards: int


def is_series(subject: Subject, params: AndOrParams) -> bool:
    """Whether there is anything beside one input of one network, or something asks for it."""
    asked = params.reference is not None or params.compare_first is not None or params.decay_from == "later"
    return bool(asked or subject.samples or subject.checkpoints or params.weight_noise or params.fgsm)


def follow(subject: Subject, params: AndOrParams) -> Course:
    """Look at all inputs at all checkpoints, and at the model under all disturbances.

    Raises:
        InterplayError: As `observe`.
        InvalidParameters: A reference, or a comparison, that there is nothing for.
    """
    _check(subject, params)
    return _Series(subject, params).course()


def _check(subject: Subject, params: AndOrParams) -> None:
    networks, inputs = 1 + len(subject.checkpoints), 1 + len(subject.samples)
    if networks == 1 and params.decay_from == "later":
        raise refused("decay_from", "expected earlier checkpoints with decay_from later, got none")
    if params.reference is not None and (networks == 1 or params.reference >= networks):
        there = f"one of the {networks} checkpoints, counted from 0" if networks > 1 else "no reference"
        raise refused("reference", f"expected {there}, got {params.reference}")
    if params.compare_first is not None and params.compare_first >= inputs:
        raise refused("compare_first", f"expected fewer than the {inputs} input(s), got {params.compare_first}")
    if params.fgsm and subject.words is not None:
        raise refused("fgsm", "expected a picture or features for FGSM, got tokens, between which there are no steps")


class _Series:
    """One run over all networks; counts what it costs."""

    def __init__(self, subject: Subject, params: AndOrParams) -> None:
        self._subject = subject
        self._params = params
        self._inputs = [replace(one, samples=(), checkpoints=()) for one in (subject, *subject.samples)]
        networks = 1 + len(subject.checkpoints) + len(params.weight_noise) + len(params.fgsm)
        self._steps = Steps(subject.report, networks * len(self._inputs))
        self._gap = 0.0
        self._forwards = 0
        self._backwards = 0

    def course(self) -> Course:
        last = self._observe(self._inputs, "")
        # From here on every input is explained for the class that the model predicted, or that was asked for.
        self._inputs = [
            replace(one, target=found.played.target) for one, found in zip(self._inputs, last.findings, strict=True)
        ]
        seen = [self._earlier(network, last) for network in self._subject.checkpoints]
        orders = self._profile(last, last)
        sequence, reference = self._sequence([profile for profile, _ in seen], orders)
        return Course(
            last=last, orders=orders, sequence=sequence, reference=reference,
            disturbed=(*self._weight_noise(last), *self._fgsm(last)),
            similarities=(*_of_samples(last, self._params), *(shared for _, shared in seen)),
            gap=self._gap, forwards=self._forwards, backwards=self._backwards,
        )  # fmt: skip

    def _observe(self, inputs: Sequence[Subject], where: str) -> Moment:
        moment = observe(inputs, self._params, self._steps, where=where)
        self._forwards += moment.forwards
        self._gap = max(self._gap, *(float(found.solution.gap[0]) for found in moment.findings))
        return moment

    def _profile(self, moment: Moment, last: Moment) -> OrderProfile:
        """State a profile; the last network has no later one, so its own interactions are its start."""
        if self._params.decay_from == "self" or moment is last:
            return summary(moment.atoms, threshold=moment.threshold, delta=self._params.delta)
        return summary(moment.atoms, threshold=moment.threshold, delta=None, converged=last.atoms)

    def _earlier(self, network: Network, last: Moment) -> tuple[Checkpoint, Similarity]:
        module = network.load()
        inputs = [
            replace(one, model=module, tables=network.tables, model_id=network.id, model_name=network.name)
            for one in self._inputs
        ]
        moment = self._observe(inputs, f"checkpoint {network.id}")
        shared = Similarity(
            between="checkpoints",
            one=network.name,
            other=self._subject.model_name,
            by_order=similarity(moment.atoms, last.atoms, thresholds=(moment.threshold, last.threshold), relative=True),
        )
        return Checkpoint(model=network.id, name=network.name, orders=self._profile(moment, last)), shared

    def _sequence(
        self, earlier: Sequence[Checkpoint], orders: OrderProfile
    ) -> tuple[tuple[Checkpoint, ...], int | None]:
        """Return all checkpoints with what emerged since the reference, and the reference's place."""
        if not earlier:
            return (), None
        model = Checkpoint(model=self._subject.model_id, name=self._subject.model_name, orders=orders)
        every, place = (*earlier, model), self._params.reference
        if place is None:
            # Without a salient interaction there is no order to be the smallest.
            with_orders = [at for at, one in enumerate(every) if one.orders.salient_count]
            place = min(with_orders, key=lambda at: every[at].orders.mean_order, default=len(earlier))
        return tuple(one if at == place else _emerged(one, every[place]) for at, one in enumerate(every)), place

    def _weight_noise(self, last: Moment) -> Iterator[Disturbed]:
        for size in self._params.weight_noise:
            module = disturbances.noisy(self._subject.model, size, seed=self._subject.seed)
            inputs = [replace(one, model=module, tables=NoTables()) for one in self._inputs]
            moment = self._observe(inputs, f"weight noise {size:g}")
            yield _disturbed("weight-noise", size, self._profile(moment, moment), moment.atoms, last)

    def _fgsm(self, last: Moment) -> Iterator[Disturbed]:
        if not self._params.fgsm:
            return
        directions = [self._direction(one) for one in self._inputs]
        for size in self._params.fgsm:
            inputs = [
                replace(one, input=disturbances.stepped(one, direction, size))
                for one, direction in zip(self._inputs, directions, strict=True)
            ]
            moment = self._observe(inputs, f"FGSM step {size:g}")
            yield _disturbed("fgsm", size, self._profile(moment, moment), moment.atoms, last)

    def _direction(self, one: Subject) -> Tensor:
        self._steps.within("gradient", 0, 0)
        self._forwards += 1
        self._backwards += 1
        assert one.target is not None  # noqa: S101  # fixed by the first look at the model
        return disturbances.against(one, one.target)


def _emerged(one: Checkpoint, reference: Checkpoint) -> Checkpoint:
    normalised, base = one.orders.normalised, reference.orders.normalised
    return one.model_copy(
        update={
            "emerged": difference(one.orders.salient, reference.orders.salient),
            "emerged_normalised": difference(normalised, base) if normalised and base else None,
        }
    )


def _disturbed(kind: Kind, size: float, orders: OrderProfile, atoms: Tensor, last: Moment) -> Disturbed:
    emerged, scale = change(atoms, last.atoms), normaliser(last.atoms, last.threshold)
    return Disturbed(
        kind=kind,
        size=size,
        orders=orders,
        change=signed(emerged),
        change_normalised=None if scale is None else signed(emerged / scale),
        spindle=spindle_fit(emerged),
    )


def _of_samples(last: Moment, params: AndOrParams) -> Iterator[Similarity]:
    """Compare the first inputs with the others, where players mean the same in all of them."""
    inputs, who = len(last.findings), last.findings[0].played.who
    if inputs == 1 or who == "words" or (who == "regions" and params.prior != "given"):
        return
    first = params.compare_first or inputs // 2
    yield Similarity(
        between="samples",
        one=_numbered(1, first),
        other=_numbered(first + 1, inputs),
        by_order=similarity(last.atoms[:first], last.atoms[first:], thresholds=(last.threshold, last.threshold)),
    )


def _numbered(first: int, last: int) -> str:
    return f"input {first}" if first == last else f"inputs {first} to {last}"
