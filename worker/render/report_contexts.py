"""The tables of report.html that context orders fill: strength, theory, efficiency, the strongest pairs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from html import escape
from typing import Any

from jobs.context_orders import ContextOrders, Efficiency, RelativeStrength
from jobs.schemas import Players
from worker.render.players import player_names
from worker.render.report_tables import muted, table
from worker.render.text import number, with_error


def context_table(result: Mapping[str, Any]) -> str:
    """Everything by context order."""
    if result.get("contexts") is None:
        return ""
    contexts = ContextOrders.model_validate(result["contexts"])
    columns = dict(_columns(contexts))
    rows = [[str(order), *(column[at] for column in columns.values())] for at, order in enumerate(contexts.orders)]
    return (
        table(["context order", *columns], rows)
        + muted(_theory(contexts))
        + _efficiency(contexts.efficiency)
        + _strongest(contexts, player_names(Players.model_validate(result["players"])))
    )


def _columns(contexts: ContextOrders) -> Iterator[tuple[str, list[str]]]:
    yield "mean |I|", [number(value) for value in contexts.strength]
    for name, measured in (("J", contexts.relative), ("J, noise off", contexts.corrected)):
        if measured is not None:
            yield name, _with_interval(measured)
    for curve in contexts.theory:
        name = "theory F/F(0)" + (", with weight" if curve.with_weight else "")
        yield name, [number(value) for value in curve.values]
    yield "log of contexts", [number(value) for value in contexts.log_contexts]


def _with_interval(measured: RelativeStrength) -> list[str]:
    if measured.interval is None:
        return [number(value) for value in measured.values]
    band = zip(measured.values, measured.interval.low, measured.interval.high, strict=True)
    return [f"{number(value)} ({number(low)} to {number(high)})" for value, low, high in band]


def _theory(contexts: ContextOrders) -> str:
    fits = [
        f"n′ = {number(curve.n_prime)} {'with' if curve.with_weight else 'without'} the order's weight, off by "
        f"{number(curve.error)} of J(0)"
        for curve in contexts.theory
    ]
    return f"Theory fitted to J, noise off: {'; '.join(fits)}." if fits else "No theory was fitted."


def _efficiency(found: Efficiency | None) -> str:
    if found is None:
        return ""
    rows = [
        ["players by themselves", number(found.own_effects)],
        *([f"pairs, context order {order}", number(value)] for order, value in enumerate(found.by_order)),
        ["output, all present minus all absent", number(found.output)],
        ["largest gap of an input", number(found.residual)],
    ]
    return f"<details><summary>What adds up to the output (Eq. 5)</summary>{table(['part', 'value'], rows)}</details>"


def _strongest(contexts: ContextOrders, names: Sequence[str]) -> str:
    rows = [
        [str(place.order), with_error(pair.strength, pair.standard_error or None),
         escape(" × ".join(names[member] for member in pair.members))]
        for place in contexts.strongest
        for pair in place.pairs
    ]  # fmt: skip
    return table(["context order", "interaction", "pair"], rows) if rows else ""
