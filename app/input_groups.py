"""Groups of a model's inputs in a request's parameters, checked before a job exists."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import islice
from typing import Any

from pydantic import JsonValue

from jobs import input_groups
from jobs.catalog import MAX_FAULTS, MethodSpec
from jobs.errors import InvalidParameters
from jobs.schemas import Manifest


def check_groups(spec: MethodSpec, params: Mapping[str, JsonValue], manifest: Manifest) -> None:
    """Check the parameters that group the model's inputs; see `jobs.input_groups`.

    Raises:
        InvalidParameters: With a JSON pointer for each of the first faults.
    """
    names = input_groups.input_names(manifest.input.names, manifest.input.shape[0])
    for name, schema in spec.parameters.get("properties", {}).items():
        groups: Any = params.get(name)
        if groups and schema.get(input_groups.KEYWORD):
            faults = input_groups.group_faults(groups, names, pointer=f"/params/{name}")
            if found := list(islice(faults, MAX_FAULTS)):
                raise InvalidParameters(f"{found[0].pointer}: {found[0].detail}", errors=found)
