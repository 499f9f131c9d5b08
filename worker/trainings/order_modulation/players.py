"""Who plays while training: cells of a picture's grid, or columns of a table; and what stands for their absence."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from jobs.errors import InvalidParameters
from jobs.quantities import training_quantities
from jobs.rules import broken
from jobs.schemas import Manifest
from worker.methods._players import grid_cells
from worker.trainings._inputs import Inputs
from worker.trainings.order_modulation.params import RULES, OrderModulationParams

_AT_ONCE = 256


@dataclass(frozen=True, kw_only=True)
class Seating:
    """Players and baseline, on one device.

    Attributes:
        labels: The player that owns each number, over the last axes of an input.
        baseline: `shape` of an input.
        names: Of a table's columns; None for cells.
        grid: Rows and columns of the cells; None for a table.
    """

    labels: Tensor
    baseline: Tensor
    names: tuple[str, ...] | None
    grid: tuple[int, int] | None

    @property
    def players(self) -> int:
        return int(self.labels.max()) + 1

    def masked(self, inputs: Tensor, present: Tensor) -> Tensor:
        """Put the baseline in the place of absent players: `(rows, *shape)` for `(rows, players)` bool."""
        seen = present.to(inputs.device)[:, self.labels]
        spread = seen.reshape(len(inputs), *(1,) * (inputs.ndim - 1 - self.labels.ndim), *self.labels.shape)
        return torch.where(spread, inputs, self.baseline)


def seated(inputs: Inputs, params: OrderModulationParams, train: Tensor, device: torch.device) -> Seating:
    """Return who plays on these inputs.

    Raises:
        InvalidParameters: A parameter does not fit the inputs; the gateway's rules, where it could not know the sizes.
    """
    manifest = inputs.manifest
    image = manifest.input.kind == "image"
    names = None if image else _columns(manifest)
    _check(manifest, params, columns=len(names or ()))
    shape = manifest.input.shape
    grid = (params.grid_rows, params.grid_columns) if image else None
    labels = grid_cells(shape[1], shape[2], rows=grid[0], columns=grid[1]) if grid else _owners(manifest)
    baseline = _baseline(inputs, params, train)
    return Seating(labels=labels.to(device), baseline=baseline.to(device), names=names, grid=grid)


def _check(manifest: Manifest, params: OrderModulationParams, *, columns: int) -> None:
    kind = "images" if manifest.input.kind == "image" else "table"
    task = "binary" if len(manifest.classes or ()) == 2 else "multiclass"
    names = training_quantities(
        params.model_dump(mode="json"), kind=kind, task=task, shape=manifest.input.shape, columns=columns
    )
    if faults := list(broken(RULES, names)):
        raise InvalidParameters(faults[0].detail, errors=faults)


def _columns(manifest: Manifest) -> tuple[str, ...]:
    if manifest.features is not None:
        return tuple(column.name for column in manifest.features.columns)
    return manifest.input.names or tuple(f"column {index}" for index in range(manifest.input.shape[0]))


def _owners(manifest: Manifest) -> Tensor:
    """Give all inputs of a column, one for each of its categories, to one player."""
    if manifest.features is None:
        return torch.arange(manifest.input.shape[0])
    sizes = [1 if column.categories is None else len(column.categories) for column in manifest.features.columns]
    return torch.repeat_interleave(torch.arange(len(sizes)), torch.tensor(sizes))


def _baseline(inputs: Inputs, params: OrderModulationParams, train: Tensor) -> Tensor:
    shape = inputs.manifest.input.shape
    if params.baseline == "training-mean":
        total = sum(inputs.batch(rows).double().sum(0) for rows in torch.split(train, _AT_ONCE))
        return torch.as_tensor(total / len(train)).float()
    if params.baseline == "black":
        looks = inputs.manifest.preprocessing
        black = -torch.tensor(looks.mean) / torch.tensor(looks.std)
        return black[:, None, None].expand(*shape).contiguous()
    return torch.zeros(shape)
