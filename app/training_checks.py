"""Everything that can be said about a training before it is queued, from what inspections found; hours are at stake."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from pydantic import JsonValue

from app.documents import SupportDocument
from app.errors import invalid_at
from app.support import ready
from app.validation import check_architecture
from jobs import catalog
from jobs.catalog import TrainingSpec
from jobs.datasets import Dataset, DatasetInspection, DatasetStatus
from jobs.errors import InvalidInput, InvalidParameters, NotFinished, UnsupportedModel
from jobs.quantities import training_quantities
from jobs.rules import broken, rules
from jobs.schemas import Architecture, Model, SequentialArchitecture, TorchvisionArchitecture
from jobs.settings import Settings
from jobs.trainings import TrainingRequest

_MEANINGS = {
    "model": "a `model` to go on from", "architecture": "an `architecture`", "none": "neither model nor architecture",
}  # fmt: skip


def check_training(
    request: TrainingRequest,
    *,
    find_model: Callable[[str], Model],
    find_dataset: Callable[[str], Dataset],
    settings: Settings,
) -> dict[str, JsonValue]:
    """Check a request for a training; return its completed parameters.

    Raises:
        RequestError: With a JSON pointer to what to change, where it is a field.
    """
    spec = catalog.training_spec(request.method)
    params = catalog.complete(spec, request.params)
    _check_deadline(request.deadline_seconds, settings)
    if request.start not in spec.starts:
        expected = " or ".join(_MEANINGS[start] for start in spec.starts)
        raise invalid_at("/method", f"{spec.id} expects {expected}, got {_MEANINGS[request.start]}")
    found = _read(find_dataset(request.dataset))
    if not (support := dataset_support(spec, found)).supported:
        raise invalid_at("/dataset", support.reason or "", InvalidInput)
    if request.model is not None:
        _check_model(find_model(request.model), found)
    if request.architecture is not None:
        _check_architecture(request.architecture, found)
    _check_columns(spec, params, found)
    _check_rules(spec, params, found, find_model(request.model) if request.model is not None else None)
    return params


def dataset_support(spec: TrainingSpec, found: DatasetInspection) -> SupportDocument:
    """Tell whether a training method can learn from a dataset, and why not."""
    reason = _obstacle(spec, found)
    return SupportDocument(supported=reason is None, reason=reason)


def _obstacle(spec: TrainingSpec, found: DatasetInspection) -> str | None:
    if found.kind not in spec.datasets:
        return f"{spec.id} learns from {' or '.join(spec.datasets)}, not from {found.kind}"
    if found.task not in spec.tasks:
        return f"{spec.id} learns {' or '.join(spec.tasks)}, not {found.task}"
    if found.rows < spec.least_rows:
        return f"{spec.id} needs at least {spec.least_rows} rows, the dataset has {found.rows}"
    longest = found.longest if found.kind == "sets" else len(found.feature_columns)
    if spec.longest_row is not None and (longest or 0) > spec.longest_row:
        return (
            f"{spec.id} pairs what is in a row and takes rows of at most {spec.longest_row}; the longest one has "
            f"{longest}: leave the rest out"
        )
    inputs = table_inputs(found)
    if spec.most_inputs is not None and inputs > spec.most_inputs:
        widest = max(found.feature_columns, key=lambda column: column.cardinality or 1)
        return (
            f"{spec.id} takes tables of at most {spec.most_inputs} inputs, every category counted; this one has "
            f"{inputs}, of which the column {widest.name!r} gives {widest.cardinality or 1}: declare such columns "
            "`ignore`"
        )
    return None


def table_inputs(found: DatasetInspection) -> int:
    """Return how many inputs a table gives when every category becomes one."""
    return sum(column.cardinality or 1 for column in found.feature_columns)


def _read(dataset: Dataset) -> DatasetInspection:
    if dataset.status is DatasetStatus.FAILED:
        reason = dataset.error.detail if dataset.error else "its inspection failed"
        raise invalid_at("/dataset", f"the dataset {dataset.id} cannot be used: {reason}", InvalidInput)
    if dataset.inspection is None:
        raise NotFinished(f"the dataset {dataset.id} is still being read; try again in a moment")
    return dataset.inspection


def _outputs(found: DatasetInspection) -> int:
    return len(found.classes) or 1


def _check_model(model: Model, found: DatasetInspection) -> None:
    inspection, kind = ready(model), model.manifest.input.kind
    expected = {"image": "images", "features": "table"}.get(kind)
    if expected != found.kind:
        raise invalid_at("/model", f"the model takes {kind} input, the dataset holds {found.kind}", UnsupportedModel)
    if inspection.outputs != _outputs(found):
        detail = f"the model has {inspection.outputs} output(s), the dataset needs {_needed(found)}"
        raise invalid_at("/model", detail, UnsupportedModel)
    names, columns = _columns_of(model), [column.name for column in found.feature_columns]
    if kind == "features" and names is not None and names != columns:
        detail = f"the model takes the columns {', '.join(names[:20])}; the dataset has {', '.join(columns[:20])}"
        raise invalid_at("/model", detail, UnsupportedModel)


def _check_rules(
    spec: TrainingSpec, params: dict[str, JsonValue], found: DatasetInspection, model: Model | None
) -> None:
    """Some values do not go together, or not with these rows; see `jobs.rules`."""
    shape = (model.manifest.input.shape if model else found.shape) or ()
    names = training_quantities(
        params, kind=found.kind, task=found.task, shape=shape, columns=len(found.feature_columns)
    )
    if faults := list(broken(rules(spec.parameters), names)):
        raise InvalidParameters(f"the parameters do not fit the training {spec.id}: {faults[0].detail}", errors=faults)


def _check_columns(spec: TrainingSpec, params: dict[str, JsonValue], found: DatasetInspection) -> None:
    """Some values are lists of columns' names; the parameter's schema says so by `x-names-columns`."""
    columns = [column.name for column in found.feature_columns]
    for name, schema in spec.parameters.get("properties", {}).items():
        listed: Any = params.get(name) if schema.get("x-names-columns") else ()
        for index, names in enumerate(listed):
            for at, one in enumerate(names):
                if one not in columns:
                    detail = f"expected a column to learn from, such as {columns[0]!r}, got {one!r}"
                    raise invalid_at(f"/params/{name}/{index}/{at}", detail)


def _columns_of(model: Model) -> list[str] | None:
    features = model.manifest.features
    return None if features is None else [column.name for column in features.columns]


def _check_architecture(architecture: Architecture, found: DatasetInspection) -> None:
    if isinstance(architecture, TorchvisionArchitecture):
        check_architecture(architecture)
        if found.kind != "images":
            raise invalid_at("/architecture", f"{architecture.name} takes pictures, the dataset holds {found.kind}")
        given = architecture.arguments.get("num_classes", _outputs(found))
    elif isinstance(architecture, SequentialArchitecture):
        given = _last_outputs(architecture, found)
    else:
        detail = (
            f"a training starts from a torchvision or sequential architecture, not from family {architecture.family}"
        )
        raise invalid_at("/architecture", detail, UnsupportedModel)
    if given != _outputs(found):
        detail = f"the architecture has {given} output(s), the dataset needs {_needed(found)}"
        raise invalid_at("/architecture", detail, UnsupportedModel)


def _last_outputs(architecture: SequentialArchitecture, found: DatasetInspection) -> int:
    """Return how many numbers the layers give, as far as can be told here; the runner tells the rest."""
    linear = [layer.outputs for layer in architecture.layers if layer.type == "linear"]
    return linear[-1] or 0 if linear else _outputs(found)


def _needed(found: DatasetInspection) -> str:
    if not found.classes:
        return "1, the number to be predicted"
    return (
        f"{len(found.classes)}, one for each class ({', '.join(found.classes[:5])}{', …' * (len(found.classes) > 5)})"
    )


def _check_deadline(seconds: float | None, settings: Settings) -> None:
    limit = settings.training_deadline_seconds
    if seconds is not None and seconds > limit:
        raise invalid_at("/deadline_seconds", f"expected at most {limit:g}, got {seconds:g}")
