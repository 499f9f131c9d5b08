"""The explained output: which number of the model's answer a method explains."""

from __future__ import annotations

from torch import Tensor

from jobs.errors import FieldError, InvalidParameters
from jobs.schemas import Explained, Target


def resolve(target: Target | None, logits: Tensor) -> Target:
    """Return `target`, or the predicted class where none is given.

    Args:
        logits: `(outputs,)`, at the explained input.

    Raises:
        InvalidParameters: The target is not an output of the model.
    """
    if target is None:
        return Target(index=int(logits.argmax()))
    if max(target.index, target.against or 0) >= len(logits):
        detail = f"expected a class below {len(logits)}, got {max(target.index, target.against or 0)}"
        raise InvalidParameters(detail, errors=[FieldError(pointer="/target", detail=detail)])
    return target


def output(logits: Tensor, target: Target) -> Tensor:
    """Return `(batch,)`, the logit of the target, or the difference of two, from `(batch, outputs)`."""
    value = logits[:, target.index]
    return value if target.against is None else value - logits[:, target.against]


def explained(
    target: Target, logits: Tensor, *, baseline_value: float | None, classes: tuple[str, ...] | None
) -> Explained:
    """Describe the explained output from `(outputs,)` logits at the input."""
    return Explained(
        index=target.index,
        against=target.against,
        label=_label(classes, target.index),
        against_label=_label(classes, target.against),
        value=float(output(logits[None], target)),
        baseline_value=baseline_value,
        probability=float(logits.double().softmax(dim=0)[target.index]),
    )


def _label(classes: tuple[str, ...] | None, index: int | None) -> str | None:
    return classes[index] if classes is not None and index is not None and index < len(classes) else None
