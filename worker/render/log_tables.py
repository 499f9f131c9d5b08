"""The tables of a training of L0-SIGN in its report: beside other models, and the strongest pairs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from statistics import mean, stdev
from typing import Any

from worker.render.report_tables import Titled
from worker.render.text import with_error

SHOWN_IN_TABLES = frozenset(("networks", "compare"))
"""Details that the tables show."""

_NUMBERS = ("auc", "accuracy", "r2", "loss", "edges_kept")
_COSTS = ("parameters", "epochs", "seconds")
_MOST_PAIRS = 30


def log_tables(result: Mapping[str, Any]) -> Iterator[Titled]:
    """Yield what there is.

    Args:
        result: The content of result.json.
    """
    details = result.get("details") or {}
    if "networks" not in details:
        return
    yield _models(details, own="L0-SIGN" if details["gates"] else "SIGN")
    if result.get("interactions"):
        yield _pairs(result)


def _models(details: Mapping[str, Any], *, own: str) -> Titled:
    """Own network first, the mean over all of its kind below it, then the others as they were asked for."""
    networks, rivals = details["networks"], details.get("compare") or ()
    models = [{"name": own, **networks[0], "parameters": details["parameters"]}]
    if len(networks) > 1:
        models.append(_together(networks, f"{own}, mean of {len(networks)} networks ± standard deviation"))
    models += rivals
    names = [name for name in (*_NUMBERS, *_COSTS) if any(name in model for model in models)]
    head = ("on test rows", *(name.replace("_", " ") for name in names))
    return "Beside other models", head, [(model["name"], *(model.get(name) for name in names)) for model in models]


def _together(networks: Sequence[Mapping[str, Any]], name: str) -> dict[str, Any]:
    shared = [number for number in _NUMBERS if all(number in network for network in networks)]
    values = {number: [network[number] for network in networks] for number in shared}
    return {"name": name, **{number: with_error(mean(found), stdev(found)) for number, found in values.items()}}


def _pairs(result: Mapping[str, Any]) -> Titled:
    """The strongest pairs; over several networks also in how many a pair was kept, and how far they differ."""
    names, found = result["players"]["names"], result["interactions"][:_MOST_PAIRS]
    head = ["pair", "over all training rows", "where it is", "rows with it", "gate"]
    sure = any("networks" in one["details"] for one in found)
    rows = [_pair(one, names, sure=sure) for one in found]
    return (
        "The strongest pairs, by their mean contribution",
        [*head, "kept in", "mean over networks"] if sure else head,
        rows,
    )


def _pair(one: Mapping[str, Any], names: Sequence[str], *, sure: bool) -> list[Any]:
    members, about = [names[member] for member in one["members"]], one["details"]
    name = " × ".join(members) if len(members) > 1 else f"{members[0]} alone"
    row = [name, one["strength"], about["contribution"], about["support"], about["gate"]]
    if sure:
        row += [
            f"{about['kept_in']} of {about['networks']}", with_error(about["mean_contribution"], about["spread"])
        ]  # fmt: skip
    return row
