"""AND-OR interactions: the sparsest logical model that matches a network on every masked state.

Of n players all 2^n masked states are evaluated. `problem` states the sparse problem (Eq. 12 with its noise band) on
that table, `solver` solves it with a certificate, `orders` and `disentangling` summarise the answer, `published`
repeats the published recipe for comparison, `sequence` follows several inputs over the checkpoints of a training.

Source: "Revisiting Generalization Power of a DNN in Terms of Symbolic Interactions",
https://arxiv.org/abs/2502.10162
"""

from __future__ import annotations

from jobs.schemas import Capability, Explanation
from worker.methods._game_rules import PLAYER_COUNT
from worker.methods._registry import Subject, register
from worker.methods.and_or.answer import answer
from worker.methods.and_or.comparison import read
from worker.methods.and_or.findings import find
from worker.methods.and_or.gauge import with_series
from worker.methods.and_or.params import AndOrParams
from worker.methods.and_or.sequence import follow, is_series
from worker.methods.and_or.series_params import GRADIENTS, TABLES

__all__ = ["AndOrParams", "explain"]


@register(
    "and-or",
    title="AND-OR interactions",
    summary="The sparsest logical model, of ANDs and ORs of players, that matches the network on every masked state.",
    source="https://arxiv.org/abs/2502.10162",
    params=AndOrParams,
    needs=(Capability.FORWARD,),
    inputs=("image", "features", "tokens"),
    cost={
        "forwards": f"{TABLES} * (2 ** ({PLAYER_COUNT}) + 6) + {GRADIENTS}",
        "backwards": GRADIENTS,
        "hessian_rows": "0",
    },
    series=("samples", "checkpoints"),
)
def explain(subject: Subject, params: AndOrParams) -> Explanation:
    """Find the sparsest logical model of the explained output."""
    if params.compare_with is not None:
        read(params.compare_with)  # refused before the network runs
    if not is_series(subject, params):
        return answer(subject, params, find(subject, params))
    course = follow(subject, params)
    return with_series(answer(subject, params, course.last.findings[0]), course, params)
