from __future__ import annotations

from typing import Any

import pytest
from jsonschema import Draft202012Validator
from pydantic import ValidationError

from worker.methods.h_sets import HSetsParams

SCHEMA = HSetsParams.model_json_schema()


def fits_schema(params: dict[str, Any]) -> bool:
    """Validate as the gateway does: defaults filled in, without pydantic."""
    defaults = {name: field["default"] for name, field in SCHEMA["properties"].items() if "default" in field}
    preset = HSetsParams.presets.get(params.get("preset", "paper"), {})
    return Draft202012Validator(SCHEMA).is_valid({**defaults, **preset, **params})


def fits_model(params: dict[str, Any]) -> bool:
    try:
        HSetsParams.model_validate(params)
    except ValidationError:
        return False
    return True


@pytest.mark.parametrize(
    "params",
    [
        {},
        {"preset": "published"},
        {"prior": "given", "regions": {"boxes": [[0, 0, 3, 3]]}},
        {"prior": "given", "regions": {"labels": [[0, -1], [1, 1]]}},
        {"threshold_kind": "absolute", "threshold": 7},
        {"sets": 50, "set_size": 20000, "subsets": 10000},
    ],
)
def test_gateway_and_worker_accept_the_same(params):
    assert fits_schema(params)
    assert fits_model(params)


@pytest.mark.parametrize(
    "params",
    [
        {"prior": "given"},
        {"regions": {"boxes": [[0, 0, 3, 3]]}},
        {"prior": "given", "regions": {"boxes": []}},
        {"prior": "given", "regions": {"boxes": [[0, 0, 3]]}},
        {"prior": "given", "regions": {"boxes": [[0, 0, 3, 3]], "labels": [[0]]}},
        {"prior": "given", "regions": {"labels": [[-2]]}},
        {"threshold": 1.5},
        {"preset": "published", "threshold": 1.5},
        {"threshold": -0.1},
        {"threshold_kind": "half"},
        {"sets": 0},
        {"set_size": 20001},
        {"subsets": 0},
        {"path_steps": 1001},
        {"smoothing_t": 0},
        {"unknown": 1},
    ],
)
def test_gateway_and_worker_refuse_the_same(params):
    assert not fits_schema(params)
    assert not fits_model(params)


def test_what_is_given_overrides_the_preset():
    params = HSetsParams(preset="published", set_size=7)

    assert (params.set_size, params.threshold_kind, params.formula) == (7, "min-max", "published")
    assert params.departures == ["set_size"]


def test_every_parameter_is_described():
    assert all(field.get("description") for field in SCHEMA["properties"].values())
