"""What a picture shows, in words, for readers who do not see it: the alternative texts of report.html."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from jobs.context_orders import ContextOrders
from jobs.order_profiles import Checkpoint, Disturbed, OrderProfile, SignedProfile, Similarity
from jobs.schemas import Players
from worker.render.players import player_names
from worker.render.signs import joint, strength_text
from worker.render.text import amount, count, number

_TOLD = 5


def alternative(name: str, result: Mapping[str, Any]) -> str:
    """A sentence or two; the file's name where the page's tables say more than a sentence could."""
    if name in ("interactions.png", "ranking.png"):
        return _interactions(result)
    if name == "orders.png":
        return _orders(OrderProfile.model_validate(result["orders"]))
    if name == "sparsity.png":
        return "Strengths of all interactions in falling order on a logarithmic axis, with the salience threshold."
    if name in ("bottleneck.png", "pairs.png"):
        return _contexts(ContextOrders.model_validate(result["contexts"]), name)
    if name == "dynamics.png":
        return _dynamics([Checkpoint.model_validate(step) for step in result["sequence"]])
    if name == "disturbances.png":
        return _disturbances([Disturbed.model_validate(one) for one in result["disturbed"]])
    if name == "similarities.png":
        return _similarities([Similarity.model_validate(one) for one in result["similarities"]])
    return name


def _interactions(result: Mapping[str, Any]) -> str:
    found = sorted(result["interactions"], key=lambda item: -abs(item["strength"]))
    names = player_names(Players.model_validate(result["players"]))
    told = [_interaction(item, names) for item in found[:_TOLD]]
    if not told:
        return "No interaction."
    more = f"; and {len(found) - len(told):,} weaker" if len(found) > len(told) else ""
    return f"The strongest interactions: {'; '.join(told)}{more}."


def _interaction(item: Mapping[str, Any], names: Any) -> str:
    members = f" {joint(item['kind'])} ".join(names[member] for member in item["members"][:_TOLD])
    more = f" … {count(item['order'], 'member')}" if item["order"] > _TOLD else ""
    return f"{members}{more} {strength_text(item['strength'])}"


def _orders(profile: OrderProfile) -> str:
    strengths = [sum(pair) for pair in zip(profile.all.positive, profile.all.negative, strict=True)]
    peak = strengths.index(max(strengths)) + 1
    return (
        f"Bars of strength by order, 1 to {len(strengths)}; strongest at order {peak}; mean order of the "
        f"{amount(profile.salient_count)} salient interactions {number(profile.mean_order)}."
    )


def _contexts(contexts: ContextOrders, name: str) -> str:
    measured = contexts.corrected or contexts.relative
    if measured is None:
        return "No pair interacts."
    if name == "pairs.png":
        return "The strongest pairs at " + ", ".join(f"m = {place.order}" for place in contexts.strongest) + "."
    strengths = zip(contexts.orders, measured.values, strict=True)
    told = ", ".join(f"{number(value)} at m = {order}" for order, value in strengths)
    return f"Relative strength of interactions by context order: {told}."


def _dynamics(steps: list[Checkpoint]) -> str:
    means = ", ".join(number(step.orders.mean_order) for step in steps)
    counts = ", ".join(amount(step.orders.salient_count) for step in steps)
    return f"{count(len(steps), 'checkpoint')} in the order of training. Mean order: {means}. Salient: {counts}."


def _disturbances(disturbed: list[Disturbed]) -> str:
    told = (f"{one.kind} {number(one.size)}: {number(_total(one.change))}" for one in disturbed)
    return f"Strength that disturbances added. {'; '.join(told)}."


def _total(profile: SignedProfile) -> float:
    return sum(profile.positive) + sum(profile.negative)


def _similarities(compared: list[Similarity]) -> str:
    told = (f"{one.one} and {one.other}: {', '.join(map(_share, one.by_order))}" for one in compared)
    return f"Similarity by order, from 1 on. {'; '.join(told)}."


def _share(share: float | None) -> str:
    return "none" if share is None else number(share)
