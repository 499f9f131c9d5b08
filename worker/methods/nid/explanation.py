"""NID of a network that exists already: which of its inputs interact, from its weights alone, with no input at all."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Literal

import torch
from pydantic import ConfigDict, Field
from torch import Tensor

from jobs import input_groups
from jobs.errors import FieldError, InvalidParameters
from jobs.rules import KEYWORD, Rule
from jobs.schemas import Capability, Explained, Explanation, Interaction, Players, Target
from worker.methods._registry import Params, Subject, register
from worker.methods.nid.averages import Average
from worker.methods.nid.fields import Group, encoded_groups, fields
from worker.methods.nid.patches import patches, smallest_side
from worker.methods.nid.ranking import Ranked, rank_any_order, without_redundant
from worker.methods.nid.reading import Reading, read
from worker.methods.nid.strengths import pairwise_strengths

UNIT = "bound on how fast the output moves, through units that both feed (logits)"
_PROPOSED_PER_KEPT = 4
"""Sets that Algorithm 1 ranks for each that is kept, as redundant ones are dropped afterwards."""

MOST_PATCHES = 4096
_PATCHES = "((height + patch - 1) // patch) * ((width + patch - 1) // patch)"
_RULES = (
    Rule(
        holds="len(scale) == 0 or len(scale) == inputs", expected="a deviation for every input", fitting="inputs",
        got="len(scale)", parameter="scale",
    ),
    Rule(
        holds=f"{_PATCHES} <= {MOST_PATCHES} if patch else 1", expected=f"at most {MOST_PATCHES} patches",
        got=_PATCHES, parameter="patch",
    ),
)  # fmt: skip


class NetworkParams(Params):
    """Parameters of `nid`."""

    model_config = ConfigDict(json_schema_extra={KEYWORD: [rule.model_dump() for rule in _RULES]})

    order: Literal["pairs", "any"] = Field(
        "pairs", description="pairs: all pairs. any: sets of any size (Algorithm 1), without redundant ones."
    )
    largest: int = Field(8, ge=2, le=1000, description="Members of a set at most, with order any.")
    average: Average = Field("minimum", description="How a set's weights into a unit become one number.")
    top_k: int = Field(50, ge=1, le=1000, description="Interactions in the answer; all pairs are in values.npz.")
    groups: tuple[Group, ...] | None = Field(
        None, max_length=1000, json_schema_extra={"x-needs-input": ["features"], input_groups.KEYWORD: True},
        description="Inputs that are one field, such as the categories of a one-hot column; default: the columns of "
        "the manifest's `features`.",
    )  # fmt: skip
    scale: tuple[Annotated[float, Field(gt=0)], ...] = Field(
        (), max_length=10_000,
        description="Standard deviation of each input, in the model's units; default: what a batch norm on the inputs "
        "remembers, or the manifest's `features` or preprocessing say, else 1.",
    )  # fmt: skip
    patch: int | None = Field(
        None, ge=1, le=4096, json_schema_extra={"x-needs-input": ["image"]},
        description="Side in pixels of the patches that are the fields of a picture, all channels together; default: "
        "the smallest that gives at most 1024.",
    )  # fmt: skip


@register(
    "nid",
    title="Neural Interaction Detection",
    summary="Which features a network combines, read off its weights: pairs or sets of any size, without an input.",
    source="https://arxiv.org/abs/1705.04977",
    params=NetworkParams,
    needs=(Capability.MIXING_LAYER,),
    inputs=("features", "image"),
    needs_input=False,
    cost={"forwards": "0", "backwards": "0", "hessian_rows": "0"},
)
def explain(subject: Subject, params: NetworkParams) -> Explanation:
    """Rank interactions of a network's inputs.

    Raises:
        UnsupportedModel: The network is no chain of linear layers, or has no hidden layer.
        InvalidParameters: Groups or scales do not fit the inputs, or the target is no output.
    """
    reading = read(subject.model, subject.input.shape)
    _check_target(subject.target, reading)
    scale, known_by = _scale(params, reading, subject)
    groups = _groups(params, subject)
    first, players = _players(reading.first * scale, groups, params, subject)
    z = reading.influences(subject.target)
    matrix = pairwise_strengths(first, z, average=params.average)
    found = _strongest_pairs(matrix, params.top_k) if params.order == "pairs" else _sets(first, z, params)
    return Explanation(
        method="nid",
        explained=_explained(subject),
        unit=UNIT,
        players=players,
        interactions=_interactions(found, "pair" if params.order == "pairs" else "set"),
        details={"scale": known_by, "units": len(z), "average": params.average, "blind": list(reading.blind)},
        notes=tuple(_notes(known_by, groups, subject.target, reading)),
        arrays={"strengths_matrix": matrix.float().cpu().numpy(), "influences": z.cpu().numpy()},
    )


def _players(first: Tensor, groups: Sequence[Group], params: NetworkParams, subject: Subject) -> tuple[Tensor, Players]:
    """Return `(units, players)` and who plays: fields of a table, patches of a picture."""
    if subject.input.ndim == 3:
        height, width = subject.input.shape[1:]
        side = params.patch or smallest_side(height, width)
        return patches(first, tuple(subject.input.shape), side)
    names = input_groups.input_names(subject.names, first.shape[1])
    joined, field_names = fields(first, names, groups)
    return joined, Players(kind="feature", shape=(len(field_names),), names=field_names)


def _check_target(target: Target | None, reading: Reading) -> None:
    outputs = reading.outputs
    if target is not None and max(target.index, target.against or 0) >= outputs:
        detail = f"expected a class below {outputs}, got {max(target.index, target.against or 0)}"
        raise InvalidParameters(detail, errors=[FieldError(pointer="/target", detail=detail)])


def _scale(params: NetworkParams, reading: Reading, subject: Subject) -> tuple[Tensor, str]:
    """Return `(inputs,)` deviations, and who says so."""
    inputs = reading.first.shape[1]
    if params.scale:
        if len(params.scale) != inputs:
            detail = f"expected {inputs} deviations, one for every input, got {len(params.scale)}"
            raise InvalidParameters(detail, errors=[FieldError(pointer="/params/scale", detail=detail)])
        return torch.tensor(params.scale).to(reading.first), "given"
    if reading.deviations is not None:
        return reading.deviations, "batch norm"
    standardised = subject.features is not None or subject.std
    return reading.first.new_ones(inputs), "manifest" if standardised else "unknown"


def _groups(params: NetworkParams, subject: Subject) -> tuple[Group, ...]:
    if params.groups is not None:
        return params.groups
    return encoded_groups(subject.features) if subject.features is not None else ()


def _strongest_pairs(matrix: Tensor, most: int) -> list[Ranked]:
    rows, columns = torch.triu_indices(len(matrix), len(matrix), 1)
    strengths = matrix[rows, columns]
    if len(strengths) > most:  # only those that can be among the first are sorted, all of equal strength
        kept = (strengths >= strengths.topk(most).values[-1]).nonzero()[:, 0]
        strengths, rows, columns = strengths[kept], rows[kept], columns[kept]
    order = strengths.argsort(descending=True, stable=True)[:most]
    found = zip(rows[order].tolist(), columns[order].tolist(), strengths[order].tolist(), strict=True)
    return [Ranked((row, column), strength) for row, column, strength in found if strength > 0]


def _sets(first: Tensor, z: Tensor, params: NetworkParams) -> list[Ranked]:
    ranked = rank_any_order(
        first, z, most=_PROPOSED_PER_KEPT * params.top_k, largest=params.largest, average=params.average
    )
    return without_redundant(ranked)[: params.top_k]


def _interactions(found: Sequence[Ranked], kind: Literal["pair", "set"]) -> tuple[Interaction, ...]:
    return tuple(
        Interaction(kind=kind, members=one.members, order=len(one.members), strength=one.strength, details={"rank": k})
        for k, one in enumerate(found, start=1)
    )


def _explained(subject: Subject) -> Explained:
    target, classes = subject.target, subject.classes
    if target is None:
        return Explained()
    against = target.against
    return Explained(
        index=target.index, against=against, label=classes[target.index] if classes else None,
        against_label=classes[against] if classes and against is not None else None,
    )  # fmt: skip


def _notes(known_by: str, groups: Sequence[Group], target: Target | None, reading: Reading) -> list[str]:
    notes = ["Strengths are bounds from weights: how strongly inputs can interact, not how they do at one input."]
    if known_by == "unknown":
        notes.append(
            "scale: unknown. Strengths compare features only if all inputs vary alike; give `scale`, each input's "
            "standard deviation, if they are not standardised."
        )
    if any(group.kind == "one-hot" and not group.shares for group in groups):
        notes.append("Categories count as equally frequent; give `shares` in `groups` where they are not.")
    if target is None and reading.outputs > 1:
        all_outputs = f"Strengths are summed over all {reading.outputs} outputs"
        notes.append(f"{all_outputs}; name a target for one class or a contrast.")
    if reading.blind:
        where = ", ".join(reading.blind[:5])
        notes.append(
            f"Some inputs go past the first hidden units and meet them in a later layer ({where}). What they do "
            "together there is not in these strengths; and-or and multi-order ask the network itself."
        )
    return notes
