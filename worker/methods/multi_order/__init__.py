"""Multi-order interactions: how strongly two players interact, by the number of other players that are present.

I^(m)(i, j) is the mean, over contexts of m other players, of how much j changes what i is worth. Networks learn
interactions within small and within nearly full contexts and lack those in between: the interaction bottleneck.
Exactly from a table of 2^n values (`exact`), or by sampling with standard errors (`layered`, `sampled`).

Source: Deng et al., "The Interaction Bottleneck of Deep Neural Networks: Discovery, Proof, and Modulation"; the
quantity itself: Zhang et al., https://arxiv.org/abs/2006.04888 and Deng et al., https://arxiv.org/abs/2111.06236.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import torch

from jobs.errors import FieldError, InvalidParameters
from jobs.schemas import Capability, Explanation
from worker.methods._game_rules import PLAYER_COUNT
from worker.methods._games import check_players
from worker.methods._play import Played, play
from worker.methods._registry import Report, Subject, register
from worker.methods.multi_order.answer import answer
from worker.methods.multi_order.measure import Measured, computation, measure
from worker.methods.multi_order.pairs import wanted_pairs
from worker.methods.multi_order.params import MOST_EXACT, MOST_SAMPLED, MultiOrderParams
from worker.methods.multi_order.profile import joined

__all__ = ["MultiOrderParams", "explain"]

_EXACT = (
    f"computation == 'exact' or computation == 'auto' and {PLAYER_COUNT} <= {MOST_EXACT} "
    f"and 2 ** ({PLAYER_COUNT}) <= budget"
)
_EVALUATIONS = f"2 ** ({PLAYER_COUNT}) if {_EXACT} else budget"


@register(
    "multi-order",
    title="Multi-order interactions",
    summary="How strongly pairs of inputs interact, by how many other inputs are present: the interaction bottleneck.",
    source="https://arxiv.org/abs/2111.06236",
    params=MultiOrderParams,
    needs=(Capability.FORWARD,),
    inputs=("image", "features", "tokens"),
    cost={"forwards": f"given_samples * (({_EVALUATIONS}) + 6)", "backwards": "0", "hessian_rows": "0"},
    series=("samples",),
)
def explain(subject: Subject, params: MultiOrderParams) -> Explanation:
    """Measure the interactions of all wanted pairs, at every context order of the grid, on every sample."""
    subjects = _with_shared_progress([replace(subject, samples=()), *subject.samples])
    first = _play(subjects[0], params)
    forwards = 0

    def measured() -> Iterator[Measured]:
        nonlocal forwards
        for place, sample in enumerate(subjects):
            played = first if place == 0 else _play(sample, params)
            _check_same_number(first, played, place)
            yield measure(sample, played, params, wanted_pairs(played, params))
            forwards += played.forwards + played.game.evaluations

    found = joined(
        measured(), rounding=torch.finfo(first.logits.dtype).eps, level=params.level,
        generator=torch.Generator().manual_seed(subject.seed),
    )  # fmt: skip
    return answer(subject, params, first, found, forwards=forwards)


def _play(subject: Subject, params: MultiOrderParams) -> Played:
    """Make the game; refuse what cannot be measured before it is played."""
    exact = params.computation == "exact"
    played = play(subject, params, most=MOST_EXACT if exact else MOST_SAMPLED, tabled=exact)
    if computation(params, played.n) == "exact":
        check_players(played.n, most=MOST_EXACT, budget_bytes=subject.memory_bytes)
        played.game.expected = 1 << played.n
    elif params.estimator == "sub-cubes" and params.block > played.n:
        detail = f"expected blocks of at most {played.n} players, all there are, got {params.block}"
        raise InvalidParameters(detail, errors=[FieldError(pointer="/params/block", detail=detail)])
    return played


def _check_same_number(first: Played, played: Played, place: int) -> None:
    if played.n != first.n:
        raise InvalidParameters(
            f"expected {first.n} players in every sample, as in the input, got {played.n} in sample {place - 1}; "
            "context orders compare only among equally many: set count"
        )


def _with_shared_progress(subjects: list[Subject]) -> list[Subject]:
    """Let the progress of each run on from where the one before it ended."""

    def shared(report: Report, place: int) -> Report:
        return lambda stage, done, total: report(stage, place * total + done, len(subjects) * total)

    return [replace(one, report=shared(one.report, place)) for place, one in enumerate(subjects)]
