"""training.png and the report of a training: its curves by epoch, its numbers, and the models that came out."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping, Sequence
from html import escape
from itertools import groupby
from typing import Any

from PIL import ImageDraw

from jobs.trainings import Curve, TrainingResult
from worker.render.axes import Axis, axis_around, centred, write_ticks
from worker.render.colours import INK, MUTED, PALETTE, Colour
from worker.render.column_pictures import column_pictures
from worker.render.column_tables import TABLED, column_tables
from worker.render.log_pictures import log_pictures
from worker.render.log_tables import SHOWN_IN_TABLES, log_tables
from worker.render.modulation import before_and_after, modulation_pictures
from worker.render.png import encode
from worker.render.report import figure, notes_section, page_style, page_template
from worker.render.report_tables import cell, table
from worker.render.sheet import TEXT_SIZE, TITLE_SIZE, Block, blank, sheet
from worker.render.text import fit, number, write
from worker.render.training_alternatives import training_alternative

ROOM = 640
_HEIGHT = 240
_LEFT, _RIGHT = 64, 158
_TOP, _BOTTOM = 30, 40
_COLOURS = (PALETTE[0], PALETTE[1], PALETTE[2], PALETTE[4], PALETTE[6])


def training_pictures(result: TrainingResult) -> dict[str, bytes]:
    """Draw a training as PNG bytes by artifact name: one chart for each name of a curve, and what else it found."""
    found = column_pictures(result) | log_pictures(result)
    found |= modulation_pictures(result.modulation) if result.modulation else {}
    if not result.curves:
        return found
    parts = list(dict.fromkeys(curve.part for curve in result.curves))
    charts = groupby(sorted(result.curves, key=lambda curve: curve.name), key=lambda curve: curve.name)
    blocks = [_title(f"How the training by {result.method} went"), *(_chart(list(group), parts) for _, group in charts)]
    return {"training.png": encode(sheet(blocks)), **found}


def _title(text: str) -> Block:
    block = blank(ROOM, TITLE_SIZE + 8)
    write(block, (0, 0), fit(text, TITLE_SIZE, ROOM), TITLE_SIZE, INK)
    return block


def _chart(curves: Sequence[Curve], parts: Sequence[str]) -> Block:
    """Draw curves of one name over the epochs, each with its part and last value at its end; a part has one colour."""
    block = blank(ROOM, _HEIGHT)
    known = [[(at, y) for at, y in zip(one.at, one.values, strict=True) if y is not None] for one in curves]
    axis = axis_around([y for points in known for _, y in points], _HEIGHT - _BOTTOM, _TOP)
    epochs = [at for points in known for at, _ in points] or [0.0]
    across = Axis(min(epochs), max(max(epochs), min(epochs) + 1), _LEFT, ROOM - _RIGHT)
    unit = f" ({curves[0].unit})" if curves[0].unit else ""
    write(block, (0, 0), fit(curves[0].name + unit, TEXT_SIZE, ROOM), TEXT_SIZE, INK)
    write_ticks(block, axis, _LEFT, ROOM - _RIGHT, most=4)
    for tick in (at for at in across.ticks(8) if at == round(at)):
        centred(block, (across.place(tick), _HEIGHT - _BOTTOM + 5), number(tick))
    centred(block, ((_LEFT + ROOM - _RIGHT) // 2, _HEIGHT - 18), "epoch")
    taken: list[int] = []
    for curve, points in zip(curves, known, strict=True):
        colour = _COLOURS[parts.index(curve.part) % len(_COLOURS)]
        _line(block, [(across.place(at), axis.place(y)) for at, y in points], colour)
        if points:
            _name(block, curve, points[-1][1], axis.place(points[-1][1]), colour, taken)
    return block


def _line(block: Block, points: Sequence[tuple[int, int]], colour: Colour) -> None:
    draw = ImageDraw.Draw(block)
    if len(points) > 1:
        draw.line([place for point in points for place in point], fill=colour, width=2)
    if len(points) <= 40:
        for column, row in points:
            draw.ellipse((column - 3, row - 3, column + 3, row + 3), fill=colour)


def _name(block: Block, curve: Curve, last: float, row: int, colour: Colour, taken: list[int]) -> None:
    """Write a curve's part beside its end, below those that stand there already."""
    while any(abs(row - other) < 18 for other in taken):
        row += 18
    taken.append(row)
    left = ROOM - _RIGHT + 10
    ImageDraw.Draw(block).line((left, row, left + 8, row), fill=colour, width=3)
    text = f"{curve.part} {number(last)}".strip()
    write(block, (left + 12, row - 8), fit(text, TEXT_SIZE, _RIGHT - 22), TEXT_SIZE, MUTED)


def training_report(result: Mapping[str, Any], pictures: Mapping[str, bytes]) -> bytes:
    """Write the page of one finished training.

    Args:
        result: The content of result.json.
        pictures: PNG bytes by artifact name.
    """
    style = page_style()
    page = page_template("report.html").substitute(
        style=style,
        style_hash=base64.b64encode(hashlib.sha256(style.encode()).digest()).decode(),
        title=escape(f"A training by {result['method']}"),
        summary=_summary(result),
        notes=notes_section(result.get("notes") or ()),
        passage="",
        figures="".join(_figure(name, png, result) for name, png in pictures.items()),
        sections="".join(_sections(result)),
        version=escape(str((result.get("provenance") or {}).get("code_version", ""))),
    )
    return page.encode()


_CAPTIONS = {
    "training.png": "Each number after every epoch; the last value stands beside the end of its line.",
    "prediction.png": "Test rows with the highest, the lowest and the middle prediction, of those with up to 40 "
    "features where there are such: the edges that were kept, and the sum that is the prediction.",
    "feature.png": "The feature whose pairs weigh most: what it adds together with others, and in how many rows.",
    "edges.png": "How many edges were kept after every epoch, and how well the network then predicted.",
    "fields.png": "Which fields, or which of the most frequent features, contribute together.",
    "heatmap.png": "How strongly every two columns act together; columns that belong together stand side by side.",
    "ranking.png": "The strongest pairs and sets, and how far trials agree about them.",
    "comparison.png": "Which pairs other methods rank first, beside the networks.",
    "cutoff.png": "How many interactions an additive model needs to be as good as networks that see everything.",
    "shapes.png": "What the additive model adds for each value of a column, and of a pair of columns.",
}


def _figure(name: str, png: bytes, result: Mapping[str, Any]) -> str:
    return figure(png, training_alternative(name, result), _CAPTIONS.get(name, name))


def _summary(result: Mapping[str, Any]) -> str:
    made = f"It made the model <strong>{escape(str(result['model']))}</strong>. " if result.get("model") else ""
    if reason := (result.get("details") or {}).get("not_trusted_because"):
        made += f"<strong>{escape(reason)}</strong> "
    numbers = ", ".join(f"{escape(_words(name))} {number(value)}" for name, value in result["metrics"].items())
    return f"{made}At the end: {numbers}." if numbers else made


def _words(name: str) -> str:
    return name.replace("_", " ")


def _sections(result: Mapping[str, Any]) -> list[str]:
    found = [_section("Numbers", ("number", "value"), result["metrics"].items())]
    if changed := result.get("modulation"):
        rows = before_and_after(changed)
        found.append(_section("Before and after", ("on held-out rows", "before", "after"), rows))
    models = [(model["id"], model["name"], model["epoch"]) for model in result.get("models") or ()]
    found.append(_section("Models", ("id", "name", "epoch"), models))
    checks = [(one["name"], one["value"], one["passed"], one["meaning"]) for one in result.get("checks") or ()]
    found.append(_section("Checks", ("check", "value", "passed", "meaning"), checks))
    found += [_section(*one) for one in (*column_tables(result), *log_tables(result))]
    details = {
        name: value for name, value in (result.get("details") or {}).items() if name not in SHOWN_IN_TABLES | TABLED
    }
    found.append(_section("Details", ("what", "value"), details.items()))
    found.append(_section("Provenance", ("what", "value"), (result.get("provenance") or {}).items()))
    return found


def _section(title: str, head: Sequence[str], rows: Any) -> str:
    cells = [[cell(value) for value in row] for row in rows]
    return f"<section><h2>{escape(title)}</h2>{table(head, cells)}</section>" if cells else ""
