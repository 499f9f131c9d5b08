"""What the readers of all formats share: how they report, and how labels become classes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from jobs.datasets import DatasetManifest, Task
from jobs.errors import FieldError, InputTooLarge, InvalidInput

ReadReport = Callable[[str, int, int], None]

MAX_CLASSES: Final = 1000
MAX_CELLS: Final = 2**28
"""Numbers in a dataset, 2 GiB of float64: what a small file may expand to."""

FEW_INTEGERS: Final = 20
"""Whole numbers of at most so many different values are taken for classes rather than amounts."""

Numbers = NDArray[np.float64]


def fault_in(field: str, detail: str) -> InvalidInput:
    """Return an error that a field of the manifest can mend."""
    return InvalidInput(detail, errors=(FieldError(pointer=f"/{field}", detail=detail),))


def check_cells(rows: int, width: int) -> None:
    """Raise `InputTooLarge` where `rows` of `width` numbers are more than are taken."""
    if rows * width > MAX_CELLS:
        raise InputTooLarge(f"expected at most {MAX_CELLS} numbers in a dataset, got {rows} rows of {width}")


def check_rows(rows: int) -> None:
    """Raise `InvalidInput` where there are too few rows to learn anything."""
    if rows < 2:
        raise InvalidInput(f"expected at least 2 rows of data, got {rows}")


def task_of(distinct: Numbers | None, manifest: DatasetManifest, warnings: list[str]) -> Task:
    """Return the manifest's task, or the one that numeric labels suggest.

    Args:
        distinct: The different labels, sorted; None where there are more than `MAX_CLASSES`.
    """
    if manifest.task is not None:
        return manifest.task
    whole = distinct is not None and bool(np.all(distinct == np.rint(distinct)))
    if distinct is None or not whole or len(distinct) > FEW_INTEGERS:
        return "regression"
    task: Task = "binary" if len(distinct) == 2 else "multiclass"
    warnings.append(
        f"the target holds {len(distinct)} different whole numbers and is taken for {task} classes; set task to "
        "regression if they are amounts"
    )
    return task


def classes_of(distinct: Numbers | None, task: Task, manifest: DatasetManifest) -> tuple[str, ...]:
    """Return a name for each of the sorted different labels, for tasks other than regression.

    Raises:
        InvalidInput: There are not as many classes as the task or the manifest's names ask for.
    """
    if distinct is None:
        raise fault_in("task", f"expected at most {MAX_CLASSES} classes in the target, got more; set it to regression")
    names = tuple(f"{value:g}" if value != int(value) else str(int(value)) for value in distinct.tolist())
    if manifest.classes is not None:
        names = _named(distinct, manifest.classes)
    check_classes(names, task)
    return names


def _named(distinct: Numbers, classes: Sequence[str]) -> tuple[str, ...]:
    if any(value != int(value) or not 0 <= value < len(classes) for value in distinct.tolist()):
        raise fault_in("classes", f"expected labels from 0 to {len(classes) - 1}, one for each name in classes")
    return tuple(classes)


def check_classes(names: Sequence[str], task: Task) -> None:
    """Raise `InvalidInput` unless there are as many classes as the task needs."""
    if len(names) < 2:
        raise fault_in("target", f"expected at least two classes in the target, got only {', '.join(names) or 'none'}")
    if task == "binary" and len(names) != 2:
        raise fault_in("task", f"expected two classes for the task binary, got {len(names)}: {', '.join(names[:5])}, …")
    if len(names) > MAX_CLASSES:
        raise InvalidInput(f"expected at most {MAX_CLASSES} classes in the target, got {len(names)}")


def coded(labels: Numbers, distinct: Numbers, manifest: DatasetManifest) -> NDArray[np.int64]:
    """Return class indices of labels: their own value where the manifest names the classes, else their rank."""
    if manifest.classes is not None:
        return labels.astype(np.int64)
    return np.searchsorted(distinct, labels).astype(np.int64)


def distinct_of(values: Numbers) -> Numbers | None:
    """Return the different values, sorted; None where there are more than `MAX_CLASSES`."""
    found = np.unique(values)
    return found if len(found) <= MAX_CLASSES else None


def merged(one: Numbers | None, other: Numbers | None) -> Numbers | None:
    """Return the different values of two parts of a column, as `distinct_of` does of the whole."""
    return None if one is None or other is None else distinct_of(np.concatenate([one, other]))


def counts_of(codes: NDArray[Any], classes: int) -> tuple[int, ...]:
    """Return how many rows each class has."""
    return tuple(np.bincount(codes, minlength=classes).tolist())


def warn_of_classes(classes: Sequence[str], counts: Sequence[int], warnings: list[str]) -> None:
    """Warn of classes that are too rare to be learned or validated."""
    rare = [f"{name} ({count})" for name, count in zip(classes, counts, strict=True) if count < 2]
    if rare:
        more = f" and {len(rare) - 5} more" if len(rare) > 5 else ""
        warnings.append(f"classes with fewer than two rows: {', '.join(rare[:5])}{more}")
