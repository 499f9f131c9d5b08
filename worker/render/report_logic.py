"""The tables of report.html that interactions of orders fill: the interactions, the orders, the checkpoints."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from html import escape
from typing import Any

from jobs.order_profiles import Checkpoint, Disentangling, Disturbed, OrderProfile, SignedProfile, Similarity
from jobs.schemas import Players
from worker.render.players import player_names
from worker.render.report_tables import cell, muted, table
from worker.render.signs import joint, strength_text
from worker.render.text import amount, count, number

MOST_ROWS = 200
_OPEN_ROWS = 20
_MOST_MEMBERS = 20


def of_logic(found: Sequence[Mapping[str, Any]]) -> bool:
    """Whether interactions have kinds, and are more than sets of inputs."""
    return any(item["kind"] != "set" for item in found)


def interaction_table(result: Mapping[str, Any]) -> str:
    """Kind, order, strength and members by name, strongest first."""
    found = sorted(result["interactions"], key=lambda item: -abs(item["strength"]))
    players = Players.model_validate(result["players"])
    rows = [_interaction(rank, item, players) for rank, item in enumerate(found[:MOST_ROWS], 1)]
    more = len(found) - len(rows)
    rest = muted(f"{count(more, 'weaker interaction')} in result.json.") if more else ""
    return muted(f"Strength: {result['unit']}.") + _table(rows[:_OPEN_ROWS]) + _folded(rows[_OPEN_ROWS:]) + rest


def _folded(rows: Sequence[Sequence[str]]) -> str:
    if not rows:
        return ""
    return f"<details><summary>{count(len(rows), 'weaker interaction')}</summary>{_table(rows)}</details>"


def _table(rows: Sequence[Sequence[str]]) -> str:
    return table(["rank", "kind", "order", "strength", "members"], rows)


def _interaction(rank: int, item: Mapping[str, Any], players: Players) -> list[str]:
    kind = item["kind"]
    shown = escape(kind.upper() if kind in ("and", "or") else kind)
    return [str(rank), shown, str(item["order"]), strength_text(item["strength"]), escape(_members(item, players))]


def _members(item: Mapping[str, Any], players: Players) -> str:
    """Names; of places in a picture, the numbers that stand there first."""
    listed, names = item["members"][:_MOST_MEMBERS], player_names(players)
    more = f" and {item['order'] - len(listed):,} more" if item["order"] > len(listed) else ""
    if players.kind in ("patch", "region") and players.names is not None:
        numbers = f" {joint(item['kind'])} ".join(map(str, listed))
        return f"{numbers}{more}: {'; '.join(names[member] for member in listed)}"
    return f" {joint(item['kind'])} ".join(names[member] for member in listed) + more


def order_table(result: Mapping[str, Any]) -> str:
    """Strength by order, and the parts of it."""
    if result.get("orders") is None:
        return ""
    profile = OrderProfile.model_validate(result["orders"])
    columns = dict(_columns(profile))
    head = ["order", *(f"{name} {sign}" for name in columns for sign in "+−")]
    rows = [
        [str(order + 1), *(number(side[order]) for one in columns.values() for side in (one.positive, one.negative))]
        for order in range(len(profile.all.positive))
    ]
    return table(head, rows) + _sensitivity(profile.disentangled)


def _columns(profile: OrderProfile) -> Iterator[tuple[str, SignedProfile]]:
    yield "all", profile.all
    yield "salient", profile.salient
    if profile.disentangled is not None:
        yield "decay", profile.disentangled.decay
        yield "spindle", profile.disentangled.spindle
        yield "residual", profile.disentangled.residual


def _sensitivity(split: Disentangling | None) -> str:
    if split is None or not split.sensitivity:
        return ""
    rows = [[number(one.delta), number(one.spindle_share), number(one.error)] for one in split.sensitivity]
    text = f"How much the spindle share hangs on δ, which is {number(split.delta)} above"
    return f"<details><summary>{text}</summary>{table(['δ', 'spindle share', 'residual'], rows)}</details>"


def checkpoint_table(result: Mapping[str, Any]) -> str:
    """The gauges of every checkpoint."""
    steps = [Checkpoint.model_validate(step) for step in result.get("sequence") or ()]
    rows = [_checkpoint(at, step) for at, step in enumerate(steps, 1)]
    head = ["", "checkpoint", "mean order", "salient", "spindle share", "residual", "strength", "emerged", "model"]
    return table(head, rows) if rows else ""


def _checkpoint(at: int, step: Checkpoint) -> list[str]:
    profile, split = step.orders, step.orders.disentangled
    emerged = None if step.emerged is None else sum(step.emerged.positive) + sum(step.emerged.negative)
    total = sum(profile.all.positive) + sum(profile.all.negative)
    return [
        str(at), escape(step.name), number(profile.mean_order), amount(profile.salient_count),
        cell(split and split.spindle_share), cell(split and split.error), number(total),
        "–" if emerged is None else strength_text(emerged), escape(step.model),
    ]  # fmt: skip


def disturbance_table(result: Mapping[str, Any]) -> str:
    """What every disturbance added."""
    rows = [
        [
            escape(one.kind), number(one.size), number(sum(one.change.positive)), number(sum(one.change.negative)),
            number(one.spindle.error), number(one.orders.mean_order), amount(one.orders.salient_count),
        ]
        for one in (Disturbed.model_validate(item) for item in result.get("disturbed") or ())
    ]  # fmt: skip
    head = ["disturbance", "size", "change +", "change −", "without a spindle", "mean order", "salient"]
    return table(head, rows) if rows else ""


def similarity_table(result: Mapping[str, Any]) -> str:
    """What is shared, a column an order."""
    compared = [Similarity.model_validate(item) for item in result.get("similarities") or ()]
    rows = [[escape(one.one), escape(one.other), *map(cell, one.by_order)] for one in compared]
    orders = range(1, 1 + max((len(one.by_order) for one in compared), default=0))
    return table(["one", "other", *(f"order {order}" for order in orders)], rows) if rows else ""


def index_table(result: Mapping[str, Any]) -> str:
    """The largest Shapley values and other indices, a block of rows each; `details.indices` has them."""
    found = (result.get("details") or {}).get("indices")
    if not isinstance(found, Mapping):
        return ""
    rows = [
        [escape(index), str(rank), strength_text(item["value"]), escape(" × ".join(item["players"]))]
        for index, values in found.items()
        for rank, item in enumerate(values["strongest"], 1)
    ]
    return table(["index", "rank", "value", "players"], rows) if rows else ""
