"""Tables (CSV and Parquet): read twice, first to learn what the columns are, then to write them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet

from jobs.datasets import Column, DatasetInspection, DatasetManifest, Task
from jobs.errors import InputTooLarge, InvalidInput
from worker.datasets._reading import (
    ReadReport,
    check_cells,
    check_classes,
    check_rows,
    classes_of,
    coded,
    counts_of,
    fault_in,
    task_of,
    warn_of_classes,
)
from worker.datasets.columns import Codes, Survey, as_text, cleaned, parsed
from worker.datasets.csv_text import MAX_COLUMNS, checked_names, csv_batches, csv_columns
from worker.datasets.tensors import Spill

_ROWS_AT_ONCE = 1 << 14


@dataclass(frozen=True)
class Source:
    """A table that can be read again and again.

    Attributes:
        batches: Yields portions of rows, one Arrow array a column.
    """

    names: list[str]
    batches: Callable[[], Iterator[Sequence[Any]]]


def read_table(
    manifest: DatasetManifest, path: Path, spill: Spill, report: ReadReport, max_pixels: int
) -> DatasetInspection:
    """Read a CSV or Parquet file; see `inspect_dataset`."""
    del max_pixels
    warnings: list[str] = []
    source = _csv(path, manifest, warnings) if manifest.format == "csv" else _parquet(path, warnings)
    return write_table(source, manifest, spill, report, warnings)


def write_table(
    source: Source, manifest: DatasetManifest, spill: Spill, report: ReadReport, warnings: list[str]
) -> DatasetInspection:
    """Survey the columns of `source`, write them, and say what they are."""
    target = _target(source.names, manifest, warnings)
    _check_names(source.names, manifest)
    surveys = _surveyed(source, manifest, report)
    rows = surveys[0].rows
    check_rows(rows)
    check_cells(rows, len(source.names))
    types = {survey.name: survey.type(warnings) for survey in surveys}
    by_name = {survey.name: survey for survey in surveys}
    _check_target(by_name[target])
    task, classes = _task(by_name[target], types[target], manifest, warnings)
    codes = {name: Codes(name) for name, type in types.items() if type == "categorical"}
    _write(source, manifest, spill, report, types=types, codes=codes, target=target)
    found, classes = _described(by_name, types, codes, spill, target, task, classes, warnings)
    if types[target] == "categorical" and manifest.task is None:
        task = "binary" if len(classes) == 2 else "multiclass"
    labels = _labels(spill, task, by_name[target], manifest, categorical=types[target] == "categorical")
    counts = () if task == "regression" else counts_of(labels, len(classes))
    _check_features(found, target)
    warn_of_classes(classes, counts, warnings)
    return DatasetInspection(
        kind="table", format=manifest.format or "csv", task=task, rows=rows, target=target, columns=found,
        classes=classes, class_counts=counts, warnings=tuple(warnings),
    )  # fmt: skip


def _csv(path: Path, manifest: DatasetManifest, warnings: list[str]) -> Source:
    names, delimiter = csv_columns(path, manifest, warnings)
    return Source(names, lambda: csv_batches(path, names, delimiter, manifest))


def _parquet(path: Path, warnings: list[str]) -> Source:
    try:
        file = pyarrow.parquet.ParquetFile(path)
    except (pa.ArrowException, OSError) as error:
        raise InvalidInput(f"the Parquet file is damaged: {str(error)[:200]}") from error
    names = [field.name for field in file.schema_arrow]
    if not 0 < len(names) <= MAX_COLUMNS:
        raise InputTooLarge(f"expected 1 to {MAX_COLUMNS} columns, got {len(names)}")
    check_cells(file.metadata.num_rows, len(names))

    def batches() -> Iterator[Sequence[Any]]:
        try:
            for batch in pyarrow.parquet.ParquetFile(path).iter_batches(_ROWS_AT_ONCE, use_threads=False):
                yield batch.columns
        except (pa.ArrowException, OSError) as error:
            raise InvalidInput(f"the Parquet file is damaged: {str(error)[:200]}") from error

    return Source(checked_names(names, warnings), batches)


def _target(names: Sequence[str], manifest: DatasetManifest, warnings: list[str]) -> str:
    if manifest.target is None:
        used = [name for name in names if manifest.columns.get(name) != "ignore"]
        if not used:
            raise InvalidInput("every column is to be ignored; there is no target")
        warnings.append(f"no target was named, so the last column, {used[-1]!r}, is taken")
        return used[-1]
    if manifest.target not in names:
        raise fault_in("target", f"there is no target column {manifest.target!r}; the columns are {_listed(names)}")
    return manifest.target


def _check_names(names: Sequence[str], manifest: DatasetManifest) -> None:
    if unknown := sorted(set(manifest.columns) - set(names)):
        raise fault_in("columns", f"the manifest declares a column {unknown[0]!r}; the columns are {_listed(names)}")
    if len(names) < 2:
        raise InvalidInput(f"expected a target and at least one more column, got only {names[0]!r}")


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names[:20]) + (f" and {len(names) - 20} more" if len(names) > 20 else "")


def _surveyed(source: Source, manifest: DatasetManifest, report: ReadReport) -> list[Survey]:
    surveys = [Survey(name, manifest.columns.get(name)) for name in source.names]
    missing = pa.array(manifest.missing, pa.string())
    for columns in source.batches():
        for survey, values in zip(surveys, columns, strict=True):
            if survey.declared == "ignore":
                survey.rows += len(values)
            else:
                survey.see(_cleaned(survey.name, values, missing))
        report("survey", surveys[0].rows, 0)
    return surveys


def _cleaned(name: str, values: Any, missing: Any) -> Any:
    try:
        return cleaned(values, missing)
    except (InvalidInput, pa.ArrowException) as error:
        raise InvalidInput(f"column {name!r}: {error}") from error


def _check_target(target: Survey) -> None:
    if target.missing == target.rows:
        raise fault_in("target", f"the target {target.name!r} has no value in any of {target.rows} row(s)")
    if target.missing:
        raise fault_in(
            "target",
            f"the target {target.name!r} lacks a value in {target.missing} of {target.rows} rows; leave these rows "
            "out, or fill them",
        )


def _task(target: Survey, type: str, manifest: DatasetManifest, warnings: list[str]) -> tuple[Task, tuple[str, ...]]:
    """Return the task, and the classes of a numeric target; those of a categorical one are known after writing."""
    if type == "categorical":
        if manifest.task == "regression":
            raise fault_in(
                "task", f"the task regression needs numbers, but the target {target.name!r} holds categories"
            )
        return manifest.task or "multiclass", ()
    if target.minimum == target.maximum:
        raise fault_in("target", f"the target {target.name!r} is constant: every row has {target.minimum:g}")
    task = task_of(target.distinct, manifest, warnings)
    return task, () if task == "regression" else classes_of(target.distinct, task, manifest)


def _write(
    source: Source, manifest: DatasetManifest, spill: Spill, report: ReadReport,
    *, types: dict[str, Any], codes: dict[str, Codes], target: str,
) -> None:  # fmt: skip
    missing = pa.array(manifest.missing, pa.string())
    rows = 0
    for columns in source.batches():
        for name, values in zip(source.names, columns, strict=True):
            key = "labels" if name == target else f"column.{name}"
            if types[name] == "categorical":
                spill.append(key, codes[name].encode(as_text(_cleaned(name, values, missing))))
            elif types[name] == "numeric":
                spill.append(key, parsed(_cleaned(name, values, missing))[0])
        rows += len(columns[0])
        report("write", rows, 0)


def _described(
    surveys: dict[str, Survey], types: dict[str, Any], codes: dict[str, Codes], spill: Spill, target: str, task: Task,
    classes: tuple[str, ...], warnings: list[str],
) -> tuple[tuple[Column, ...], tuple[str, ...]]:  # fmt: skip
    """Describe the columns in file order, and give every category its sorted code."""
    found: list[Column] = []
    for name, survey in surveys.items():
        if types[name] == "ignore":
            found.append(Column(name=name, type="ignore"))
        elif types[name] == "numeric":
            found.append(survey.numeric(warnings))
        else:
            key = "labels" if name == target else f"column.{name}"
            categories, place = codes[name].sorted()
            if survey.rows:
                written = spill.mapped(key)
                written[...] = place[written]
            if name == target:
                classes = tuple(categories)
                check_classes(classes, task)
            else:
                spill.categories[key] = categories
            found.append(codes[name].described(categories, [] if name == target else warnings))
    return tuple(found), classes


def _labels(spill: Spill, task: Task, target: Survey, manifest: DatasetManifest, *, categorical: bool) -> Any:
    """Turn the labels, as written, into class indices where classes are learned; return them."""
    written = spill.mapped("labels")
    if task == "regression":
        return written
    if not categorical and target.distinct is None:
        raise InvalidInput("the target has too many different values for classes")
    labels = written.astype(np.int64) if categorical else coded(written, target.distinct, manifest)  # type: ignore[arg-type]
    spill.replace("labels", labels)
    return labels


def _check_features(columns: Sequence[Column], target: str) -> None:
    used = [column for column in columns if column.name != target and column.type != "ignore"]
    if not used:
        raise InvalidInput("every column but the target is to be ignored; there is nothing to learn from")
    known = [column for column in used if column.cardinality or column.mean is not None]
    if not known:
        raise InvalidInput("no column but the target has a value in any row")
