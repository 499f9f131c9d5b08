"""The catalogue: the same as the registry, and read the same way by gateway and worker."""

from __future__ import annotations

import time

import pytest
from pydantic import JsonValue

from app.validation import check_explanation
from jobs import catalog
from jobs.errors import InputTooLarge, InvalidParameters, UnknownMethod
from jobs.schemas import Capability, ExplanationRequest, Inspection, Manifest, Model, ModelStatus
from jobs.settings import Settings
from worker.catalog import PATH, text
from worker.methods._registry import methods

READY = Model(
    id="model_0", tenant="local", status=ModelStatus.READY, manifest=Manifest(architecture="resnet18"), sha256="0" * 64,
    size_bytes=1, created_at=0.0,
    inspection=Inspection(
        parameters=1, outputs=10, capabilities=tuple(Capability), seconds_forward=1.0, activation_bytes=1
    ),
)  # fmt: skip


def test_the_catalogue_is_what_the_registry_says():
    assert PATH.read_text("utf-8") == text(), "run `make catalog`"


@pytest.mark.parametrize("method", sorted(methods()))
def test_gateway_and_worker_complete_parameters_alike(method):
    spec, params = catalog.spec(method), methods()[method].params

    for preset in [{}, *({"preset": name} for name in spec.presets)]:
        assert catalog.complete(spec, preset) == params.model_validate(preset).model_dump(mode="json")


def test_what_the_caller_gives_overrides_the_preset():
    completed = catalog.complete(catalog.spec("h-sets"), {"preset": "published", "subsets": 7})

    assert completed["subsets"] == 7
    assert completed["formula"] == "published"


def test_every_fault_is_pointed_at():
    with pytest.raises(InvalidParameters) as refused:
        catalog.complete(catalog.spec("h-sets"), {"sets": 0, "no/such": 1, "prior": "guess"})

    assert {fault.pointer for fault in refused.value.errors} == {"/params/sets", "/params/no~1such", "/params/prior"}


def given(labels: object) -> dict[str, JsonValue]:
    return {"prior": "given", "regions": {"labels": labels}}  # type: ignore[dict-item]


def test_a_label_map_of_the_input_is_taken_in_well_under_a_second():
    begun = time.process_time()

    catalog.complete(catalog.spec("h-sets"), given([[65_535] * 224] * 224))

    assert time.process_time() - begun < 0.5  # 20 ms on a quiet machine


def test_a_label_map_of_wrong_labels_is_answered_with_the_first_faults():
    begun = time.process_time()

    with pytest.raises(InvalidParameters) as refused:
        catalog.complete(catalog.spec("h-sets"), given([[-2] * 512] * 512))

    assert refused.value.errors[0].pointer == "/params/regions/labels/0/0"
    assert len(refused.value.errors) <= catalog.MAX_FAULTS
    assert time.process_time() - begun < 1.0


@pytest.mark.parametrize("wrong", [-2, 65_536, True, 0.5, "0", None, []])
def test_a_single_wrong_label_is_found(wrong):
    with pytest.raises(InvalidParameters) as refused:
        catalog.complete(catalog.spec("h-sets"), given([[0, 1], [2, wrong]]))

    assert refused.value.errors[0].pointer == "/params/regions/labels/1/1"


def test_unknown_names_are_answered_shortened_and_only_the_first():
    with pytest.raises(InvalidParameters) as refused:
        catalog.complete(catalog.spec("h-sets"), {f"{number}{'x' * 1000}": 1 for number in range(100)})

    assert len(refused.value.errors) == catalog.MAX_FAULTS
    assert all(len(fault.pointer) < 200 for fault in refused.value.errors)


def test_parameters_beyond_a_mebibyte_are_refused():
    with pytest.raises(InputTooLarge) as refused:
        catalog.complete(catalog.spec("h-sets"), given([[1] * 1024] * 1024))

    assert refused.value.errors[0].pointer == "/params"


@pytest.mark.parametrize("labels", [[[0] * 224] * 223, [[0] * 223] * 224, [[0] * 224] * 223 + [[0]]])
def test_a_label_map_of_another_shape_than_the_input_is_refused(labels):
    request = ExplanationRequest(model="model_0", params=given(labels))

    with pytest.raises(InvalidParameters, match="expected 224 rows of 224") as refused:
        check_explanation(request, b"", find_model=lambda _: READY, settings=Settings())

    assert refused.value.errors[0].pointer == "/params/regions/labels"


def test_an_unknown_method_is_told_the_known_ones():
    with pytest.raises(UnknownMethod, match="h-sets, integrated-gradients"):
        catalog.spec("no-such-method")


def test_a_preset_that_chooses_the_class_refuses_a_target():
    request = ExplanationRequest(model="model_0", target=3, params={"preset": "published"})

    with pytest.raises(InvalidParameters) as refused:
        check_explanation(request, b"", find_model=lambda _: READY, settings=Settings())

    assert refused.value.errors[0].pointer == "/target"


@pytest.mark.parametrize(
    ("expression", "value"),
    [("2 * steps + 1", 61), ("min(steps, 4) ** 2", 16), ("rows if mode == 'full' else 0", 7), ("steps // 7 - 1", 3)],
)
def test_cost_expressions_are_arithmetic(expression, value):
    assert catalog.evaluate(expression, {"steps": 30, "rows": 7, "mode": "full"}) == value


@pytest.mark.parametrize("expression", ["__import__('os')", "steps.real", "[steps]", "unknown", "min(steps, key=abs)"])
def test_cost_expressions_are_nothing_else(expression):
    with pytest.raises(ValueError, match="expected arithmetic"):
        catalog.evaluate(expression, {"steps": 30})
