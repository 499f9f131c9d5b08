"""Whether a method can explain a model, as far as its inspection tells."""

from __future__ import annotations

from app.documents import SupportDocument
from jobs.catalog import MethodSpec
from jobs.errors import FieldError, NotFinished, UnsupportedModel
from jobs.schemas import Capability, Inspection, Manifest, Model, ModelStatus


def ready(model: Model) -> Inspection:
    """Return what inspection found.

    Raises:
        NotFinished: The model is not inspected yet.
        UnsupportedModel: Inspection failed.
    """
    if model.status is ModelStatus.FAILED:
        reason = model.error.detail if model.error else "its inspection failed"
        raise UnsupportedModel(f"the model {model.id} cannot be used: {reason}")
    if model.inspection is None:
        raise NotFinished(f"the model {model.id} is still being inspected; try again in a moment")
    return model.inspection


def support(spec: MethodSpec, manifest: Manifest, inspection: Inspection) -> SupportDocument:
    """Tell whether a method can explain a model, and why not."""
    if manifest.input.kind == "row":
        reason = "rows are explained at once: ask POST /v1/models/{id}:explain, or :predict"
        return SupportDocument(supported=False, reason=reason)
    if manifest.input.kind not in spec.inputs:
        reason = f"{spec.id} explains models of {' or '.join(spec.inputs)} input, not of {manifest.input.kind} input"
        more = [
            inspection.obstacles[need]
            for need in spec.needs
            if need is Capability.MIXING_LAYER and need in inspection.obstacles
        ]
        return SupportDocument(supported=False, reason="; ".join([reason, *more]))
    missing = [need for need in spec.needs if need not in inspection.capabilities]
    reasons = [inspection.obstacles.get(need, f"the model offers no {need.value}") for need in missing]
    return SupportDocument(supported=not missing, reason="; ".join(reasons) or None)


def require_support(spec: MethodSpec, manifest: Manifest, inspection: Inspection, *, pointer: str) -> None:
    if not (found := support(spec, manifest, inspection)).supported:
        raise UnsupportedModel(found.reason or "", errors=[FieldError(pointer=pointer, detail=found.reason or "")])
