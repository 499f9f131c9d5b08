"""What a picture of a training shows, in words, for readers who do not see it: the alternative texts of its page."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from worker.render.text import number

_TOLD = 5


def training_alternative(name: str, result: Mapping[str, Any]) -> str:
    """A sentence or two; the file's name of a picture that is not known here.

    Args:
        result: The content of result.json.
    """
    described = _DESCRIBED.get(name)
    return described(result) if described else name


def _curves(result: Mapping[str, Any]) -> str:
    ends = []
    for curve in result["curves"]:
        if known := [value for value in curve["values"] if value is not None]:
            label = f"{curve['part']} {curve['name']}".strip()
            ends.append(f"{label} from {number(known[0])} to {number(known[-1])}")
    return f"Curves by epoch: {', '.join(ends)}."


def _edges(result: Mapping[str, Any]) -> str:
    kept = next((curve for curve in result["curves"] if curve["name"] == "edges_kept"), None)
    shares = [value for value in kept["values"] if value is not None] if kept else []
    if not shares:
        return "Edges kept by epoch."
    best = result["metrics"].get("best_epoch")
    chosen = "" if best is None else f"; the network of epoch {number(best)} was kept"
    return f"Edges kept by epoch, from {shares[0]:.0%} to {shares[-1]:.0%}, above the validation score{chosen}."


def _prediction(result: Mapping[str, Any]) -> str:
    del result
    return (
        "Three test rows as graphs, each with bars for its strongest edges and the sum that is its prediction; "
        "rows.json has the numbers."
    )


def _feature(result: Mapping[str, Any]) -> str:
    del result
    return "Bars: what one feature adds together with each of its strongest partners; feature.json has the numbers."


def _fields(result: Mapping[str, Any]) -> str:
    return f"A heat map of what two fields, or two frequent features, do together. {_strongest(result)}"


def _strongest(result: Mapping[str, Any]) -> str:
    """Name the first pairs and sets, main effects left out."""
    names = (result.get("players") or {}).get("names") or ()
    found = [one for one in result["interactions"] if one["order"] > 1]
    told = [f"{_joined(one['members'], names)} {number(one['strength'])}" for one in found[:_TOLD]]
    return f"The strongest: {'; '.join(told)}." if told else "No interaction was found."


def _joined(members: Sequence[int], names: Sequence[str]) -> str:
    return " × ".join(names[member] if member < len(names) else str(member) for member in members)


_DESCRIBED: Mapping[str, Callable[[Mapping[str, Any]], str]] = {
    "training.png": _curves,
    "edges.png": _edges,
    "prediction.png": _prediction,
    "feature.png": _feature,
    "fields.png": _fields,
    "heatmap.png": lambda result: f"A heat map of the strengths of all pairs of columns. {_strongest(result)}",
    "ranking.png": lambda result: f"Bars with the spread over trials. {_strongest(result)}",
    "comparison.png": lambda _: "The ranks of pairs by several methods, a small table for each.",
    "cutoff.png": lambda _: "The validation score of additive models with more and more interactions.",
    "shapes.png": lambda _: "Curves and surfaces: what the additive model adds for each value; shapes.json has them.",
}
