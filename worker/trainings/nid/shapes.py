"""Shape functions of an additive model: what each column, and each pair of columns, adds to the answer.

A pair's network may also hold what depends on one of its columns alone. That part is moved to the column's own curve,
so that a pair's surface has mean zero along both of its sides, over the values that training rows have.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from worker.methods.nid.networks import Design, Parameters, main_effects
from worker.methods.nid.training import predict
from worker.trainings.nid.cutoff import Cutoff
from worker.trainings.nid.encoding import Field, Fields
from worker.trainings.nid.search import Material

POINTS = 32


@dataclass(frozen=True)
class Grid:
    """Values of one column at which functions are read off.

    Attributes:
        at: Numbers in the column's unit, rising, or names of levels.
        inputs: `(points, width)`: the field's inputs there.
        weights: `(points,)`: share of training rows around each; sums to 1.
    """

    field: Field
    at: tuple[float | str, ...]
    inputs: Tensor
    weights: Tensor


@dataclass
class Shapes:
    """Functions on grids, in the target's unit or logits.

    Attributes:
        mains: `(points, outputs)` of each column.
        pairs: `(points of the first, points of the second, outputs)` by pair.
        larger: Interactions of more than two, which no picture holds.
    """

    grids: list[Grid]
    mains: list[Tensor]
    pairs: dict[tuple[int, int], Tensor]
    larger: list[tuple[int, ...]]


def shapes_of(cutoff: Cutoff, material: Material) -> Shapes:
    """Read the chosen model's functions."""
    chosen = torch.arange(len(cutoff.sets)) == cutoff.chosen
    whole = cutoff.fitted
    design, parameters = whole.design.of(chosen), whole.parameters.of(*whole.design.rows(chosen))
    grids = [_grid(field, material.train.x[:, place]) for field, place in _placed(material.fields)]
    mains = [_main(index, grid, design, parameters, material) for index, grid in enumerate(grids)]
    shapes = Shapes(grids, mains, {}, [])
    for part, members in enumerate(cutoff.sets[cutoff.chosen]):
        if len(members) > 2:
            shapes.larger.append(members)
            continue
        first, second = members
        surface = _surface(part, (first, second), grids, design, parameters, material)
        shapes.pairs[first, second] = _purified(surface, first, second, shapes)
    return _centred(shapes)


def as_document(shapes: Shapes, *, unit: str, classes: tuple[str, ...]) -> dict[str, Any]:
    """Return shapes as JSON, one list of numbers an output."""
    names = [grid.field.name for grid in shapes.grids]
    return {
        "unit": unit,
        "outputs": list(classes),
        "mains": [
            {
                "name": grid.field.name, "numeric": grid.field.numeric, "at": list(grid.at),
                "weights": grid.weights.tolist(), "values": main.movedim(-1, 0).tolist(),
            }
            for grid, main in zip(shapes.grids, shapes.mains, strict=True)
        ],
        "pairs": [
            {"names": [names[a], names[b]], "members": [a, b], "values": surface.movedim(-1, 0).tolist()}
            for (a, b), surface in shapes.pairs.items()
        ],
        "larger": [[names[member] for member in members] for members in shapes.larger],
    }  # fmt: skip


def _placed(fields: Fields) -> Iterator[tuple[Field, slice]]:
    return zip(fields.fields, fields.slices, strict=True)


def _grid(field: Field, inputs: Tensor) -> Grid:
    if not field.numeric:
        return Grid(field, field.levels, torch.eye(field.width), inputs.double().mean(0))
    values = inputs[inputs[:, 1] == 0, 0] if field.levels else inputs[:, 0]
    points = values.double().quantile(
        (torch.arange(POINTS, dtype=torch.float64) + 0.5) / POINTS, interpolation="nearest"
    )
    at, counts = torch.unique(points, return_counts=True)
    rows = torch.zeros(len(at), field.width)
    rows[:, 0] = at.float()
    return Grid(field, _readable((at * field.std + field.mean).tolist(), field.std), rows, counts / counts.sum())


def _readable(values: list[float], std: float) -> tuple[float, ...]:
    """Round to a millionth of the spread: float32 inputs bring a 0 back as 1e-7."""
    digits = 6 - math.floor(math.log10(std))
    return tuple(round(value, digits) for value in values)


def _main(index: int, grid: Grid, design: Design, parameters: Parameters, material: Material) -> Tensor:
    place = material.fields.slices[index]
    x = torch.zeros(len(grid.at), material.fields.inputs)
    x[:, place] = grid.inputs
    with torch.no_grad():
        effects = main_effects(design, parameters, x[None])[0, place].sum(0)
    return effects.double() * material.target.unit


def _surface(
    part: int, pair: tuple[int, int], grids: list[Grid], design: Design, parameters: Parameters, material: Material
) -> Tensor:
    one, other = (grids[member] for member in pair)
    x = torch.zeros(len(one.at), len(other.at), material.fields.inputs)
    x[..., material.fields.slices[pair[0]]] = one.inputs[:, None]
    x[..., material.fields.slices[pair[1]]] = other.inputs[None]
    alone = Design(
        design.inputs, design.outputs, 1, torch.zeros(1, dtype=torch.int64), design.sees[part : part + 1],
        mains=False, hidden=design.hidden,
    )  # fmt: skip
    answers = predict(alone, Parameters(parameters.deep[part : part + 1], parameters.mains[:0]), x.flatten(0, 1))
    return answers[0].view(len(one.at), len(other.at), -1).double() * material.target.unit


def _purified(surface: Tensor, first: int, second: int, shapes: Shapes) -> Tensor:
    """Move what depends on one side alone to the columns' own curves."""
    down, across = (shapes.grids[side].weights.double() for side in (first, second))
    rows, columns = torch.einsum("abo,b->ao", surface, across), torch.einsum("abo,a->bo", surface, down)
    mean = torch.einsum("ao,a->o", rows, down)
    shapes.mains[first] = shapes.mains[first] + rows
    shapes.mains[second] = shapes.mains[second] + columns
    return surface - rows[:, None] - columns[None] + mean


def _centred(shapes: Shapes) -> Shapes:
    shapes.mains = [
        main - grid.weights.double() @ main for main, grid in zip(shapes.mains, shapes.grids, strict=True)
    ]  # fmt: skip
    return shapes
