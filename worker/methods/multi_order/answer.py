"""The explanation: the strength of every context order, the strongest pairs, and the checks."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from pydantic import JsonValue

from jobs.context_orders import ContextOrders
from jobs.schemas import Check, Cost, Explanation, Interaction
from worker.methods._play import Played
from worker.methods._registry import Subject
from worker.methods.multi_order.estimates import Estimate
from worker.methods.multi_order.measure import computation, estimator
from worker.methods.multi_order.pairs import wanted_pairs
from worker.methods.multi_order.params import MultiOrderParams
from worker.methods.multi_order.profile import Several, context_orders

EXACT = 1e-9
"""Bound of an identity's residual relative to the largest |v|: float64 sums over up to 2^20 values keep 1e-12."""
_FEW_SAMPLES = 10
"""Fewer give the bootstrap too little to resample."""
_UNITS = {"log-odds": "log-odds", "logit": "logits", "contrast": "logits", "probability": "probability"}


def answer(subject: Subject, params: MultiOrderParams, played: Played, found: Several, *, forwards: int) -> Explanation:
    """Write the explanation.

    Args:
        played: The first input's.
        forwards: Passes of all inputs.
    """
    contexts = context_orders(found, level=params.level)
    return Explanation(
        method="multi-order",
        explained=played.explained(subject),
        unit=f"{_UNITS[played.value]}: mean of |I(i, j)| over the context orders {_listed(contexts.orders)}",
        players=played.players,
        interactions=() if found.silent else tuple(_interactions(params, found)),
        checks=tuple(_checks(params, found)),
        cost=Cost(forwards=forwards),
        contexts=contexts,
        details=_details(params, played, found),
        notes=(*played.notes, *_notes(params, found, contexts, wanted=len(wanted_pairs(played, params)))),
        arrays=_arrays(played, found),
    )


def _listed(orders: tuple[int, ...]) -> str:
    if orders == tuple(range(len(orders))):
        return f"0 to {orders[-1]}"
    return ", ".join(map(str, orders))


def _interactions(params: MultiOrderParams, found: Several) -> Iterator[Interaction]:
    """List the pairs with the largest mean |I^(m)| over the grid."""
    estimate = found.first
    n = estimate.values.shape[-1]
    i, j = torch.triu_indices(n, n, offset=1)
    means = estimate.values[:, i, j].abs().nanmean(dim=0)
    ranked = means.nan_to_num(nan=-1.0).argsort(descending=True, stable=True)[: params.top].tolist()
    for pair in (pair for pair in ranked if not means[pair].isnan()):
        members = int(i[pair]), int(j[pair])
        yield _interaction(estimate, members, float(means[pair]), found)


def _interaction(estimate: Estimate, members: tuple[int, int], strength: float, found: Several) -> Interaction:
    values, errors = estimate.values[:, *members], estimate.standard_errors[:, *members]
    index = found.samples[0].whole.index[members] if found.samples[0].whole else None
    known = errors.isfinite().all()
    return Interaction(
        kind="pair",
        members=members,
        order=2,
        strength=strength,
        standard_error=float(errors.square().sum().sqrt()) / len(errors) if known and errors.any() else None,
        details={
            "mean_over_orders": float(values.nanmean()),
            "shapley_interaction_index": None if index is None else float(index),
            "by_order": _or_none(values),
            "standard_errors": _or_none(errors),
        },
    )


def _or_none(values: torch.Tensor) -> list[JsonValue]:
    return [None if value != value else value for value in values.tolist()]


def _checks(params: MultiOrderParams, found: Several) -> Iterator[Check]:
    yield from _identities(found)
    reached = found.precision
    known = reached < float("inf")
    yield Check(
        name="standard-error",
        value=reached if known else None,
        passed=None if params.precision is None else known and reached <= params.precision,
        meaning="Standard error of an interaction, as root mean square over the pairs of the worst order and input; "
        "0 where exact. Passed where it is at most the wanted precision.",
    )
    yield Check(
        name="noise-share",
        value=_noise_share(found.first),
        meaning="Largest share of the mean squared interaction of a context order that is noise of sampling, on the "
        "first input: near 1 that order's strength says nothing; relative strengths with the noise off leave it out.",
    )


def _identities(found: Several) -> Iterator[Check]:
    if not found.wholes:
        return
    scale = max(sample.scale for sample in found.samples)
    for name, value, meaning in (
        ("efficiency-residual", max(abs(whole.residual) for whole in found.wholes),
         "Largest gap of Eq. 5: v(N) - v(∅) against the players' own effects plus the weighted interactions."),
        ("modulation-residual", max(whole.modulation_residual for whole in found.wholes),
         "Largest gap of Theorem 2: mean differences between coalitions of two sizes against weighted interactions."),
        ("index-gap", max(whole.index_gap for whole in found.wholes),
         "Largest gap between the mean over orders and the Shapley interaction index, computed on its own way."),
    ):  # fmt: skip
        bound = f"At most {EXACT} of the largest |v|: an identity, so that more would be an error of computation."
        yield Check(name=name, value=value, passed=value <= EXACT * scale, meaning=f"{meaning} {bound}")


def _noise_share(estimate: Estimate) -> float | None:
    """Return the worst order's; None where an order has no pair of known error."""
    noise = estimate.standard_errors.square().nanmean(dim=(1, 2))
    total = estimate.values.masked_fill(estimate.standard_errors.isnan(), torch.nan).square().nanmean(dim=(1, 2))
    share = torch.where(noise == 0, 0.0, noise / total)
    return None if share.isnan().any() else min(1.0, float(share.max()))


def _details(params: MultiOrderParams, played: Played, found: Several) -> dict[str, JsonValue]:
    exact = computation(params, played.n) == "exact"
    return {
        "computation": "exact" if exact else "sampled",
        "estimator": None if exact else estimator(params, played.n, len(wanted_pairs(played, params))),
        "pairs": params.pairs,
        "players": played.who,
        "baseline": played.baseline,
        "value": played.value,
        "layer": played.layer,
        "evaluations_by_input": [sample.evaluations for sample in found.samples],
        "table_cached": any(whole.known_before for whole in found.wholes) if exact else None,
        "chunk_halved_to": min(played.halved, default=None),
    }


def _notes(params: MultiOrderParams, found: Several, contexts: ContextOrders, *, wanted: int) -> Iterator[str]:
    if found.silent:
        yield "No interaction found: second differences are as small as the rounding of the network's numbers."
        return
    if contexts.corrected is None:
        yield "Noise of sampling explains all that was measured: nothing can be said without a larger budget."
    elif hidden := contexts.hidden:
        yield (
            f"Noise of sampling explains all that was measured at the context orders {_listed(hidden)}: their strength "
            "is not 0 but unknown; a larger budget tells more."
        )
    if contexts.pairs < wanted:
        yield f"The budget was enough for {contexts.pairs} of the {wanted} wanted pairs only."
    if found.strength.resampled == "pairs":
        yield (
            "The intervals are over the pairs of one input: they say nothing of other inputs. Send samples to average "
            "over several."
        )
    elif len(found.samples) < _FEW_SAMPLES:
        yield f"The intervals are resampled from {len(found.samples)} inputs only, so they are rather too narrow."
    if len(found.samples) > 1:
        yield "Strengths by order are means over all inputs; the pairs listed and drawn are those of the first."
    if params.pairs != "all":
        yield f"Strengths are of {contexts.pairs} chosen pairs, which may interact more, or less, than all pairs do."
    if params.precision is not None and found.precision > params.precision:
        yield f"The wanted precision of {params.precision} was not reached within the budget of {params.budget}."


def _arrays(played: Played, found: Several) -> dict[str, Any]:
    whole = found.samples[0].whole
    arrays: dict[str, Any] = {
        "interactions": found.first.values.numpy(),
        "standard_errors": found.first.standard_errors.numpy(),
    }
    if whole is not None:
        arrays["interaction_index"] = whole.index.numpy()
    if played.player_labels is not None:
        arrays["player_labels"] = played.player_labels.numpy()
    return arrays
