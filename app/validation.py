"""Everything that can be said about a request before it is queued, in the order in which a person would fix it."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any

from pydantic import JsonValue

from app.checkpoints import checked_checkpoints
from app.errors import invalid_at
from app.input_groups import check_groups
from app.inputs import Sent, inputs_bytes
from app.support import ready, require_support
from jobs import catalog
from jobs.catalog import MethodSpec
from jobs.errors import InvalidParameters, UnsupportedModel
from jobs.quantities import quantities
from jobs.rules import broken, rules
from jobs.schemas import (
    Architecture,
    Capability,
    ExplanationRequest,
    InputKind,
    Inspection,
    Manifest,
    Model,
    Series,
    Target,
    TorchvisionArchitecture,
)
from jobs.settings import Settings


@dataclass(frozen=True, kw_only=True)
class Checked:
    """A request that a runner can carry out.

    Attributes:
        params: Completed.
        checkpoints: Earlier ones of the model, first to last.
        data: The input's bytes as a runner reads them; see `app.inputs`. None where the method needs none.
        samples: Those of further inputs.
    """

    spec: MethodSpec
    params: dict[str, JsonValue]
    model: Model
    inspection: Inspection
    target: Target | None
    kind: InputKind
    data: bytes | None
    checkpoints: tuple[Model, ...] = ()
    samples: tuple[bytes, ...] = ()

    @property
    def inputs(self) -> tuple[bytes, ...]:
        """The input and the further ones."""
        return self.samples if self.data is None else (self.data, *self.samples)

    @property
    def quantities(self) -> dict[str, Any]:
        """What the method's arithmetic can name."""
        return quantities(
            self.params, kind=self.kind, shape=self.model.manifest.input.shape, outputs=self.inspection.outputs,
            words=max((_words(data) for data in self.inputs), default=0) if self.kind == "tokens" else 0,
            contrast=self.target is not None and self.target.against is not None,
            samples=1 + len(self.samples), checkpoints=1 + len(self.checkpoints),
        )  # fmt: skip


def check_explanation(
    request: ExplanationRequest,
    part: bytes | None,
    *,
    part_kind: InputKind = "image",
    samples: Sequence[bytes] = (),
    find_model: Callable[[str], Model],
    settings: Settings,
) -> Checked:
    """Check a request for an explanation.

    Args:
        part: The multipart request's `image` or `tokens`.
        samples: Its parts `sample`.
        find_model: Returns the caller's model of an id, or raises `NotFound`.

    Raises:
        RequestError: With a JSON pointer to what to change, where it is a field.
    """
    spec = catalog.spec(request.method)
    params = catalog.complete(spec, request.params)
    _check_series(spec, request, samples)
    _check_settings(spec, params, settings)
    _check_deadline(request.deadline_seconds, settings)
    model = find_model(request.model)
    inspection = ready(model)
    require_support(spec, model.manifest, inspection, pointer="/method")
    _check_shapes(spec, params, model.manifest)
    _check_capabilities(spec, params, model.manifest, inspection)
    check_groups(spec, params, model.manifest)
    _check_target(request.target, inspection.outputs)
    _check_target_is_used(request.target, spec, params)
    checkpoints = tuple(checked_checkpoints(request, spec, model, find_model))
    data, *further = _inputs(spec, request, _sent(request, part, part_kind, samples), model.manifest, settings)
    checked = Checked(
        spec=spec, params=params, model=model, inspection=inspection, target=request.target,
        kind=model.manifest.input.kind, data=data, checkpoints=checkpoints,
        samples=tuple(one for one in further if one is not None),
    )  # fmt: skip
    _check_rules(checked)
    return checked


def check_architecture(architecture: Architecture) -> None:
    """Check that an architecture's name is one that runners know.

    Raises:
        UnsupportedModel: It is not; with names that are close to it.
    """
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


def _check_capabilities(
    spec: MethodSpec, params: Mapping[str, JsonValue], manifest: Manifest, inspection: Inspection
) -> None:
    """Some options, where they are used, need more of the model than the method does; their schemas say what.

    `x-needs-input` lists the kinds of input that they are for, `x-needs-capability` is what the model must offer.
    """
    for name, schema in spec.parameters.get("properties", {}).items():
        kinds, need = schema.get("x-needs-input"), schema.get("x-needs-capability")
        if not params.get(name):
            continue
        if kinds is not None and manifest.input.kind not in kinds:
            detail = f"expected input of {' or '.join(kinds)} for {name}, got a model of {manifest.input.kind} input"
            raise invalid_at(f"/params/{name}", detail)
        if need is not None and need not in inspection.capabilities:
            reason = inspection.obstacles.get(Capability(need), f"the model offers no {need}")
            raise invalid_at(f"/params/{name}", reason, UnsupportedModel)


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


def _check_rules(checked: Checked) -> None:
    """Some values do not go together, or not with this input; see `jobs.rules`."""
    found = list(broken(rules(checked.spec.parameters), checked.quantities))
    if found:
        raise InvalidParameters(f"{found[0].pointer}: {found[0].detail}", errors=found)


def _words(data: bytes) -> int:
    """Count the words of tokens as a runner reads them."""
    return len({word for word in json.loads(data)["words"] if word is not None})


def _check_series(spec: MethodSpec, request: ExplanationRequest, samples: Sequence[bytes]) -> None:
    """Several inputs or checkpoints mean something to some methods only."""
    given: dict[Series, object] = {"samples": request.samples or samples, "checkpoints": request.checkpoints}
    for name, several in given.items():
        if several and name not in spec.series:
            only = "one input" if name == "samples" else "one model"
            raise invalid_at(f"/{name}", f"{spec.id} explains {only} at a time; leave {name} out")
    if request.samples and samples:
        raise invalid_at("/samples", "expected further pictures once: as parts `sample` or in the JSON")


def _inputs(
    spec: MethodSpec, request: ExplanationRequest, sent: Sequence[Sent], manifest: Manifest, settings: Settings
) -> Sequence[bytes | None]:
    """Return the inputs; a single None for a method that explains the network itself."""
    if spec.needs_input:
        return inputs_bytes(sent, manifest, settings)
    if request.input is not None or sent[0].given is not None:
        pointer = "/input" if sent[0].given is None else sent[0].given[1]
        raise invalid_at(pointer, f"{spec.id} explains the network itself, without an input; leave the input out")
    return [None]


def _sent(
    request: ExplanationRequest, part: bytes | None, part_kind: InputKind, samples: Sequence[bytes]
) -> list[Sent]:
    """Return the input, then the further ones, wherever they came."""
    return [
        Sent(pointer="/input", inline=request.input, part=part, part_kind=part_kind, part_pointer=f"/{part_kind}"),
        *(Sent(pointer=f"/samples/{index}", inline=inline) for index, inline in enumerate(request.samples)),
        *(
            Sent(pointer=f"/samples/{index}", part=part, part_pointer=f"/sample/{index}")
            for index, part in enumerate(samples)
        ),
    ]
