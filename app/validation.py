"""Everything that can be said about a request before it is queued, in the order in which a person would fix it."""

from __future__ import annotations

import base64
import binascii
import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Final

from pydantic import JsonValue

from app.documents import SupportDocument
from app.uploads.pictures import check_picture
from jobs import catalog
from jobs.catalog import MethodSpec
from jobs.errors import (
    FieldError,
    InputTooLarge,
    InvalidInput,
    InvalidParameters,
    NotFinished,
    RequestError,
    UnsupportedModel,
)
from jobs.schemas import (
    ExplanationRequest,
    InputKind,
    Inspection,
    Manifest,
    Model,
    ModelStatus,
    Target,
    TorchvisionArchitecture,
)
from jobs.settings import Settings

FLOAT32_MAX: Final = 3.4028235e38  # models compute in float32; what exceeds it would arrive as infinity


@dataclass(frozen=True, kw_only=True)
class Checked:
    """A request that a runner can carry out.

    Attributes:
        params: Completed.
        data: The input's bytes as a runner reads them: the picture's file, or features as a JSON list.
    """

    spec: MethodSpec
    params: dict[str, JsonValue]
    model: Model
    inspection: Inspection
    target: Target | None
    kind: InputKind
    data: bytes


def check_explanation(
    request: ExplanationRequest, picture: bytes | None, *, find_model: Callable[[str], Model], settings: Settings
) -> Checked:
    """Check a request for an explanation.

    Args:
        picture: The multipart request's `image`.
        find_model: Returns the caller's model of an id, or raises `NotFound`.

    Raises:
        RequestError: With a JSON pointer to what to change, where it is a field.
    """
    spec = catalog.spec(request.method)
    params = catalog.complete(spec, request.params)
    _check_settings(spec, params, settings)
    _check_deadline(request.deadline_seconds, settings)
    model = find_model(request.model)
    inspection = ready(model)
    if not (found := support(spec, model.manifest, inspection)).supported:
        raise UnsupportedModel(found.reason or "", errors=[FieldError(pointer="/method", detail=found.reason or "")])
    _check_shapes(spec, params, model.manifest)
    _check_target(request.target, inspection.outputs)
    _check_target_is_used(request.target, spec, params)
    kind = model.manifest.input.kind
    data = _picture(request, picture, settings) if kind == "image" else _features(request, picture, model.manifest)
    return Checked(
        spec=spec, params=params, model=model, inspection=inspection, target=request.target, kind=kind, data=data
    )


def invalid_at(pointer: str, detail: str, kind: type[RequestError] = InvalidParameters) -> RequestError:
    """Return an error about one field."""
    return kind(f"{pointer}: {detail}", errors=[FieldError(pointer=pointer, detail=detail)])


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
    if manifest.input.kind not in spec.inputs:
        expected = " or ".join(spec.inputs)
        return SupportDocument(
            supported=False, reason=f"{spec.id} explains models of {expected} input, not of {manifest.input.kind} input"
        )
    missing = [need for need in spec.needs if need not in inspection.capabilities]
    reasons = [inspection.obstacles.get(need, f"the model offers no {need.value}") for need in missing]
    return SupportDocument(supported=not missing, reason="; ".join(reasons) or None)


def check_architecture(manifest: Manifest) -> None:
    """Check that the architecture's name is one that runners know.

    Raises:
        UnsupportedModel: It is not; with names that are close to it.
    """
    architecture = manifest.architecture
    if not isinstance(architecture, TorchvisionArchitecture) or architecture.name in catalog.architectures():
        return
    close = get_close_matches(architecture.name, sorted(catalog.architectures()), n=3)
    hint = f"; did you mean {' or '.join(close)}?" if close else ""
    detail = f"torchvision has no classification architecture {architecture.name!r}{hint}"
    raise invalid_at("/architecture", detail, UnsupportedModel)


def _check_settings(spec: MethodSpec, params: Mapping[str, JsonValue], settings: Settings) -> None:
    """Some values need something that the operator provides, named by `x-needs-setting` in the parameter's schema."""
    for name, schema in spec.parameters.get("properties", {}).items():
        setting = schema.get("x-needs-setting", {}).get(str(params.get(name)))
        if setting is not None and not getattr(settings, setting):
            detail = f"{params[name]!r} needs INTERPLAY_{setting.upper()} to be set on this server, which it is not"
            raise invalid_at(f"/params/{name}", detail)


def _check_shapes(spec: MethodSpec, params: Mapping[str, JsonValue], manifest: Manifest) -> None:
    """Some values hold a number a pixel, in the member that `x-shape-of-input` names in the parameter's schema."""
    for name, schema in spec.parameters.get("properties", {}).items():
        member, value = schema.get("x-shape-of-input"), params.get(name)
        if member is None or not isinstance(value, dict) or not isinstance(rows := value.get(member), list):
            continue
        height, width = manifest.input.shape[-2:]
        widths = sorted({len(row) for row in rows if isinstance(row, list)})
        if len(rows) != height or widths != [width]:
            got = f"{len(rows)} rows of {' and '.join(map(str, widths[:3]))}"
            raise invalid_at(f"/params/{name}/{member}", f"expected {height} rows of {width}, as the input; got {got}")


def _check_deadline(seconds: float | None, settings: Settings) -> None:
    if seconds is not None and seconds > settings.deadline_seconds:
        raise invalid_at("/deadline_seconds", f"expected at most {settings.deadline_seconds:g}, got {seconds:g}")


def _check_target(target: Target | None, outputs: int) -> None:
    if target is None:
        return
    for name, index in (("index", target.index), ("against", target.against)):
        if index is not None and index >= outputs:
            raise invalid_at(f"/target/{name}", f"expected a class from 0 to {outputs - 1}, got {index}")


def _check_target_is_used(target: Target | None, spec: MethodSpec, params: Mapping[str, JsonValue]) -> None:
    """Some values leave no choice of class; the parameter's schema lists them under `x-refuses-target`."""
    if target is None:
        return
    for name, schema in spec.parameters.get("properties", {}).items():
        if params.get(name) in schema.get("x-refuses-target", ()):
            detail = f"expected no target with {name} {params[name]!r}, which chooses the class itself; leave one out"
            raise invalid_at("/target", detail)


def _picture(request: ExplanationRequest, picture: bytes | None, settings: Settings) -> bytes:
    if request.input is not None and picture is not None:
        raise invalid_at("/input", "expected the picture once: as the part `image` or as input.image")
    if request.input is not None and request.input.features is not None:
        raise invalid_at("/input/features", "this model takes a picture; send input.image", InvalidInput)
    data = picture if request.input is None else _decoded(request.input.image or "")
    if data is None:
        raise invalid_at("/input", "expected a picture: input.image in base64, or a multipart part `image`")
    limit = settings.max_input_mib << 20
    if len(data) > limit:
        raise InputTooLarge(f"expected a picture of at most {limit} bytes, got {len(data)}")
    pointer = "/image" if request.input is None else "/input/image"
    try:
        check_picture(data, max_pixels=settings.max_pixels)
    except RequestError as error:
        raise type(error)(error.detail, errors=[FieldError(pointer=pointer, detail=error.detail)]) from error
    return data


def _decoded(text: str) -> bytes:
    if text.startswith("data:"):
        text = text.partition(",")[2]
    try:
        return base64.b64decode(text.encode("ascii"), validate=True)
    except (binascii.Error, UnicodeEncodeError) as error:
        raise invalid_at("/input/image", f"expected base64: {error}", InvalidInput) from error


def _features(request: ExplanationRequest, picture: bytes | None, manifest: Manifest) -> bytes:
    if picture is not None or (request.input is not None and request.input.image is not None):
        raise invalid_at("/input", "this model takes features, not a picture; send input.features", InvalidInput)
    if request.input is None or request.input.features is None:
        raise invalid_at("/input", "expected input.features")
    values, expected = request.input.features, manifest.input.shape[0]
    if len(values) != expected:
        raise invalid_at("/input/features", f"expected {expected} features, got {len(values)}", InvalidInput)
    for index, value in enumerate(values):
        if not (math.isfinite(value) and abs(value) <= FLOAT32_MAX):
            raise invalid_at(
                f"/input/features/{index}", f"expected a number that float32 holds, got {value}", InvalidInput
            )
    return json.dumps(values).encode()
