"""The explanation: the strongest interactions with their names, the order profile, the checks, the indices."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Literal

import torch
from pydantic import JsonValue
from torch import Tensor

from jobs.schemas import Cost, Explanation, Interaction
from worker.methods import _transforms as transforms
from worker.methods._coalitions import coalitions, members
from worker.methods._indices import IndexValues, index_values
from worker.methods._registry import Subject
from worker.methods.and_or import comparison, orders
from worker.methods.and_or.checks import checks
from worker.methods.and_or.findings import Findings
from worker.methods.and_or.interchange import documents
from worker.methods.and_or.notes import notes
from worker.methods.and_or.params import AndOrParams
from worker.methods.and_or.summary import summary

MOST_LISTED = 1000
"""Salient interactions in the answer; of many players there may be tens of thousands, and the arrays hold them all."""
_BRIEF = 10


def answer(subject: Subject, params: AndOrParams, found: Findings) -> Explanation:
    """Write the explanation of one input."""
    played = found.played
    chosen = strongest(found, params)
    values = [
        index_values(found.table, index, order=min(params.index_order, played.n))
        for index in dict.fromkeys(params.indices)
    ]
    compared = None if params.compare_with is None else comparison.compare(params.compare_with, found.table)
    return Explanation(
        method="and-or",
        explained=played.explained(subject),
        unit=unit(played.value, outputs=len(played.logits)),
        players=played.players,
        interactions=tuple(interactions(found, chosen)),
        checks=(*checks(params, found), *([] if compared is None else [comparison.check(compared)])),
        cost=Cost(forwards=found.forwards),
        orders=summary(found.atoms[None], threshold=found.threshold, delta=params.delta),
        details={
            **details(params, found),
            "indices": {one.index: _brief(one, found) for one in values},
            "compared_with": None if compared is None else comparison.details(compared, played.players.names or ()),
        },
        notes=tuple(notes(params, found, listed=len(chosen))),
        documents=documents(found.atoms, bias(found), values, evaluations=len(found.table)),
        arrays=_arrays(found),
        kept={"atoms": found.atoms.cpu().numpy(), "table": found.table.numpy()},
    )


def unit(value: str, *, outputs: int) -> str:
    """Say what a strength is measured in."""
    if outputs == 1 and value != "probability":
        return "output of the network"
    return {
        "log-odds": "log-odds of the class, log p/(1 - p)",
        "logit": "logit of the class",
        "probability": "probability of the class",
        "contrast": "difference of the two classes' logits",
    }[value]


def strongest(found: Findings, params: AndOrParams) -> list[int]:
    """List the interactions that the answer names, strongest first, as flat places in `(2, 2^n)`."""
    strengths = found.atoms.abs().clone()
    strengths[:, 0] = 0.0
    order = strengths.flatten().argsort(descending=True, stable=True)
    if params.top_k is not None:
        there = int((strengths > 0).sum())
        return order[: min(params.top_k, there)].tolist()
    return order[: min(int(orders.salient(found.atoms, found.threshold).sum()), MOST_LISTED)].tolist()


def interactions(found: Findings, places: list[int]) -> Iterator[Interaction]:
    """Describe interactions by their flat places in `(2, 2^n)`."""
    n, names, atoms = found.played.n, found.played.players.names or (), found.atoms.flatten().tolist()
    for place in places:
        disjunctive, state = divmod(place, 1 << n)
        players = members(coalitions(torch.tensor([state]), n)[0])
        yield Interaction(
            kind=_kind(len(players), disjunctive=bool(disjunctive)), members=tuple(players), order=len(players),
            strength=atoms[place], details={"players": [names[player] for player in players]},
        )  # fmt: skip


def _kind(order: int, *, disjunctive: bool) -> Literal["main", "and", "or"]:
    if order == 1:
        return "main"
    return "or" if disjunctive else "and"


def details(params: AndOrParams, found: Findings) -> dict[str, JsonValue]:
    """Return the numbers of the answer that have no place of their own."""
    played, solution, table = found.played, found.solution, found.table
    return {
        "players": played.who,
        "baseline": played.baseline,
        "layer": played.layer,
        "value": played.value,
        "states": len(table),
        "table_cached": found.cached,
        "output_all_masked": float(table[0]),
        "output_all_present": float(table[-1]),
        "bias": bias(found),
        "solver": params.solver,
        "objective": float(solution.objective[0]),
        "bound": float(solution.bound[0]),
        "gap": float(solution.gap[0]),
        "iterations": solution.iterations,
        "noise_band": float(found.problem.bands[0]),
        "threshold": found.threshold,
        "salient": counts(found.atoms, found.threshold),
        "distinct_interactions": 2 * len(table) - played.n - 2,
        "chunk_halved_to": min(played.halved, default=None),
    }


def bias(found: Findings) -> float:
    """Return the logical model's value with all players masked: v(∅), and the constant atom where there is one."""
    return float(found.table[0] + found.atoms[0, 0])


def counts(atoms: Tensor, threshold: float) -> dict[str, JsonValue]:
    """Count the salient interactions of `(2, 2^n)` by kind."""
    marked = orders.salient(atoms, threshold)
    single = transforms.orders(transforms.player_count(atoms), device=atoms.device) == 1
    main = int(marked[:, single].sum())
    return {"main": main, "and": int(marked[0].sum()) - main, "or": int(marked[1].sum())}


def _brief(values: IndexValues, found: Findings) -> JsonValue:
    """Name the sets with the largest values; the document has all."""
    names = found.played.players.names or ()
    order = values.values.abs().argsort(descending=True, stable=True)[:_BRIEF].tolist()
    strongest: list[JsonValue] = [
        {"players": [names[player] for player in values.sets[at]], "members": list(values.sets[at]),
         "value": float(values.values[at])}
        for at in order
    ]  # fmt: skip
    return {"order": values.order, "strongest": strongest}


def _arrays(found: Findings) -> Mapping[str, Any]:
    labels = found.played.player_labels
    strengths = found.atoms.abs()[distinct(found.played.n)].sort(descending=True).values
    tables = {"table": found.table.numpy(), "atoms": found.atoms.cpu().numpy()}
    picture = {} if labels is None else {"player_labels": labels.cpu().numpy().astype("int32")}
    return {"strengths": strengths.cpu().numpy(), **tables, **picture}


def distinct(n: int) -> Tensor:
    """Mark the 2^(n + 1) - n - 2 interactions that are different functions and not constant: `(2, 2^n)` bool."""
    sizes = transforms.orders(n)
    return torch.stack([sizes >= 1, sizes >= 2])
