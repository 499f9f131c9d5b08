"""The tables of a search for interactions of columns in its report: pairs, sets, and other methods beside."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from worker.render.report_tables import Titled
from worker.render.text import number

TABLED = frozenset(("comparison", "known"))
"""Details that the tables show."""

_MOST = 30


def column_tables(result: Mapping[str, Any]) -> Iterator[Titled]:
    """Yield what there is.

    Args:
        result: The content of result.json.
    """
    details = result.get("details") or {}
    if "comparison" not in details:
        return
    known = [frozenset(members) for members in details["known"]]
    for kind, title in (("pair", "The strongest pairs"), ("set", "The strongest sets of any size")):
        if found := [one for one in result["interactions"] if one["kind"] == kind][:_MOST]:
            yield _interactions(title, found, result["players"]["names"], known)
    if details["comparison"]:
        yield _methods(details["comparison"])


def _interactions(
    title: str, found: Sequence[Mapping[str, Any]], names: Sequence[str], known: Sequence[frozenset[int]]
) -> Titled:
    others = list(found[0]["details"].get("others") or {})
    head = ["rank", "columns", "strength", "over trials", "over L1 weights", "ranks in trials", "selected in"]
    rows = [_row(one, names, others) for one in found]
    if known:
        head.append("known")
        rows = [[*row, _is_known(one, known)] for row, one in zip(rows, found, strict=True)]
    return title, [*head[:7], *(f"{name}: value (rank)" for name in others), *head[7:]], rows


def _row(one: Mapping[str, Any], names: Sequence[str], others: Sequence[str]) -> list[Any]:
    about = one["details"]
    return [
        about["rank"],
        " × ".join(names[member] for member in one["members"]),
        one["strength"],
        _between(about["over_trials"]),
        _between(about["over_l1"]),
        _between(about["rank_range"]) if "rank_range" in about else None,
        f"{about['selected_in']} of {about['trials']}",
        *(_valued(about["others"][name]) for name in others),
    ]


def _is_known(one: Mapping[str, Any], known: Sequence[frozenset[int]]) -> bool:
    return any(set(one["members"]) <= members for members in known)


def _between(ends: Sequence[float]) -> str:
    return f"{number(ends[0])} to {number(ends[1])}"


def _valued(other: Mapping[str, Any]) -> str | None:
    return None if other["rank"] is None else f"{number(other['strength'])} ({other['rank']})"


def _methods(comparison: Sequence[Mapping[str, Any]]) -> Titled:
    head = ("method", "pairs", "rank correlation", "of the first pairs, shared", "AUC of known pairs", "seconds", "how")
    return "Beside other methods", head, [_method(one) for one in comparison]


def _method(one: Mapping[str, Any]) -> list[Any]:
    if one["failed"]:
        return [one["method"], None, None, None, None, one["seconds"], f"failed: {one['how']}"]
    return [
        one["method"], one["pairs"], one["rank_correlation"], f"{one['shared']} of {one['first']}", one["known_auc"],
        one["seconds"], f"{one['how']} In the table: {one['unit']}.",
    ]  # fmt: skip
