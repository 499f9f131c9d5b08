"""The earlier checkpoints that a request names: usable, different, and of one kind with the model."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from app.errors import invalid_at
from app.support import ready, require_support
from jobs.catalog import MethodSpec
from jobs.errors import FieldError, RequestError, UnsupportedModel
from jobs.schemas import ExplanationRequest, Model


def checked_checkpoints(
    request: ExplanationRequest, spec: MethodSpec, model: Model, find_model: Callable[[str], Model]
) -> Iterator[Model]:
    """Yield the earlier checkpoints: usable, different, and of one kind with the model."""
    seen = {request.model}
    for position, model_id in enumerate(request.checkpoints):
        pointer = f"/checkpoints/{position}"
        if model_id in seen:
            raise invalid_at(pointer, f"expected different models, the explained one the last; got {model_id} twice")
        seen.add(model_id)
        try:
            earlier = find_model(model_id)
            require_support(spec, earlier.manifest, ready(earlier), pointer=pointer)
        except RequestError as error:
            raise type(error)(error.detail, errors=[FieldError(pointer=pointer, detail=error.detail)]) from error
        if difference := _difference(earlier, model):
            raise invalid_at(
                pointer, f"expected a checkpoint of {model.id}, got a model {difference}", UnsupportedModel
            )
        yield earlier


def _difference(one: Model, other: Model) -> str:
    """Say in what respect two models cannot be checkpoints of one, if they cannot."""
    if one.manifest.input != other.manifest.input or one.manifest.preprocessing != other.manifest.preprocessing:
        return "of other input or preprocessing"
    if ready(one).outputs != ready(other).outputs:
        return f"with {ready(one).outputs} outputs instead of {ready(other).outputs}"
    return "with other classes" if one.manifest.classes != other.manifest.classes else ""
