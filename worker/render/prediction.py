"""prediction.png: rows as graphs, and below each the sum of its edges, which is the prediction (Fig. 6b of L0-SIGN)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from worker.render.colours import INK, MUTED
from worker.render.png import encode
from worker.render.row_graph import MOST_NODES, PALE_BELOW, ROOM, Edge, drawn_edges, row_graph, strongest_part
from worker.render.sheet import LINE, TEXT_SIZE, TITLE_SIZE, Block, blank, lines, sheet
from worker.render.signed_rows import SignedRow, signed_rows
from worker.render.text import count, fit, number, width, wrap, write

MOST_TERMS = 8
_NAMES, _WORDS = 330, 92
_CERTAIN = 0.999


def prediction(rows: Sequence[Mapping[str, Any]], unit: str) -> bytes:
    """Draw predictions as PNG bytes.

    Args:
        rows: As in rows.json.
    """
    title = blank(ROOM, TITLE_SIZE + 8)
    write(title, (0, 0), "How predictions add up, edge by edge", TITLE_SIZE, INK)
    legend = [
        "A line joins two features whose edge was kept; a ring is a feature's edge with itself; a hollow point has no "
        f"edge. Brown raises the prediction, blue lowers it; the wider, the more; pale: below {PALE_BELOW:.0%} of the "
        "row's largest. Points stand in the row's order; their places have no other meaning.",
        f"Bars and sums: contributions, in {unit}, each rounded to three digits.",
    ]
    if any(row.get("values") for row in rows):
        legend.append("In brackets: the value of a feature where it is not 1, as the network takes it.")
    return encode(sheet([title, *(block for row in rows for block in _blocks(row)), lines(legend, ROOM)]))


def kept_edges(row: Mapping[str, Any]) -> list[Edge]:
    """The row's edges whose gate is not 0, strongest first."""
    kept = [Edge(edge["a"], edge["b"], edge["contribution"]) for edge in row["edges"] if edge["gate"] > 0]
    return sorted(kept, key=lambda edge: -abs(edge.contribution))


def sum_of(row: Mapping[str, Any]) -> str:
    """The sum as a line: what raises it, what has no term of its own, what lowers it, the bias, and what comes out."""
    shown, rest = kept_edges(row)[:MOST_TERMS], _rest(row)
    terms = [number(edge.contribution) for edge in sorted(shown, key=lambda edge: -edge.contribution)]
    if rest is not None:
        terms.append(f"{number(rest.value)} ({rest.name})")
    terms.append(f"{number(row['bias'])} (bias)")
    total = " + ".join(terms).replace("+ −", "− ")
    return f"{total} = {number(row['margin'])}"


def verdict(row: Mapping[str, Any]) -> str:
    """What the sum says, and what is true."""
    if row.get("predicted") is None:
        return f"The row's number is {number(row['label'])}."
    sign = ">" if row["margin"] > 0 else "≤"
    return f"{number(row['margin'])} {sign} 0 → predicted {row['predicted']}. The row's label is {row['label']}."


def _rest(row: Mapping[str, Any]) -> SignedRow | None:
    """Edges that have no term of their own, with those that rows.json only sums up."""
    edges, unlisted = kept_edges(row)[MOST_TERMS:], row["rest"]
    if not (kept := len(edges) + unlisted["kept"]):
        return None
    total = sum(edge.contribution for edge in edges) + unlisted["contribution"]
    return SignedRow(count(kept, "other edge"), total, number(total), hollow=True)


def _blocks(row: Mapping[str, Any]) -> list[Block]:
    edges, names = kept_edges(row), _names(row)
    graph = [row_graph(*strongest_part(names, edges))] if names else []
    terms = [SignedRow(_pair(edge, names), edge.contribution, number(edge.contribution)) for edge in edges[:MOST_TERMS]]
    if (rest := _rest(row)) is not None:
        terms.append(rest)
    terms.append(SignedRow("bias", row["bias"], number(row["bias"]), hollow=True))
    return [_heading(row, edges), *graph, signed_rows(terms, ROOM, names=_NAMES, words=_WORDS), _sum(row)]


def _names(row: Mapping[str, Any]) -> list[str]:
    """Names of the row's features, with their values where these are not 1."""
    values = row.get("values") or [1.0] * len(row["features"])
    return [
        name if value == 1 else f"{name} ({number(value)})" for name, value in zip(row["features"], values, strict=True)
    ]


def _pair(edge: Edge, names: Sequence[str]) -> str:
    if edge.first == edge.second:
        return f"{fit(names[edge.first], TEXT_SIZE, _NAMES - 60)} alone"
    one, other = names[edge.first], names[edge.second]
    room = _NAMES - 10 - width(" × ", TEXT_SIZE)
    shorter = min(width(fit(name, TEXT_SIZE, room), TEXT_SIZE) for name in (one, other))
    most = max(room // 2, room - shorter)
    return f"{fit(one, TEXT_SIZE, most)} × {fit(other, TEXT_SIZE, most)}"


def _heading(row: Mapping[str, Any], edges: Sequence[Edge]) -> Block:
    block = blank(ROOM, 2 * LINE + 2)
    kept = f"{len(edges) + row['rest']['kept']:,} of {count(len(row['edges']) + row['rest']['edges'], 'edge')} kept"
    if not row["edges"]:
        kept = "a row without features"
    between = sum(edge.first != edge.second for edge in edges)
    if between > (lines_drawn := len(drawn_edges(edges))):
        kept += f", the {lines_drawn} strongest between two features drawn"
    if len(row["features"]) > MOST_NODES:
        kept += f", {MOST_NODES} of {len(row['features']):,} features"
    write(block, (0, 0), fit(f"Row {row['row']}: {_outcome(row)}", TEXT_SIZE + 2, ROOM), TEXT_SIZE + 2, INK)
    write(block, (0, LINE + 2), kept, TEXT_SIZE, MUTED)
    return block


def _outcome(row: Mapping[str, Any]) -> str:
    if row.get("predicted") is None:
        return f"predicted {number(row['margin'])}"
    return f"predicted {row['predicted']} with probability {_certainty(row)}"


def _certainty(row: Mapping[str, Any]) -> str:
    probability = row["probability"] if row["margin"] > 0 else 1 - row["probability"]
    return number(probability) if probability < _CERTAIN else f"above {_CERTAIN}"


def _sum(row: Mapping[str, Any]) -> Block:
    wrapped = [*wrap(sum_of(row), TEXT_SIZE, ROOM), verdict(row)]
    block = blank(ROOM, LINE * len(wrapped) + 14)
    for at, line in enumerate(wrapped):
        write(block, (0, LINE * at), fit(line, TEXT_SIZE, ROOM), TEXT_SIZE, INK)
    return block
