"""Writes `jobs/catalog.json`, the gateway's view of the registry: `python -m worker.catalog [--check]`."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

import torchvision

import jobs
from worker.methods._registry import Method, methods
from worker.trainings._registry import TrainingMethod, trainings

PATH = Path(jobs.__file__).with_name("catalog.json")


def catalog() -> dict[str, Any]:
    """Return the catalogue as JSON-ready data."""
    return {
        "architectures": sorted(torchvision.models.list_models(module=torchvision.models)),
        "methods": [_entry(method) for method in methods().values()],
        "trainings": [_training_entry(method) for method in trainings().values()],
    }


def _entry(method: Method) -> dict[str, Any]:
    return {
        "id": method.id,
        "title": method.title,
        "summary": method.summary,
        "source": method.source,
        "inputs": list(method.inputs),
        "needs": [str(capability) for capability in method.needs],
        "series": list(method.series),
        "needs_input": method.needs_input,
        "presets": {name: dict(values) for name, values in method.params.presets.items()},
        "cost": dict(method.cost),
        "parameters": method.params.model_json_schema(),
    }


def _training_entry(method: TrainingMethod) -> dict[str, Any]:
    return {
        "id": method.id,
        "title": method.title,
        "summary": method.summary,
        "source": method.source,
        "datasets": list(method.datasets),
        "tasks": list(method.tasks),
        "starts": list(method.starts),
        "least_rows": method.least_rows,
        "most_inputs": method.most_inputs,
        "longest_row": method.longest_row,
        "presets": {name: dict(values) for name, values in method.params.presets.items()},
        "parameters": method.params.model_json_schema(),
    }


def text() -> str:
    """Return the catalogue as the file's text."""
    return json.dumps(catalog(), indent=1, ensure_ascii=False, sort_keys=True) + "\n"


def main() -> int:
    """Write the file, or with `--check` say whether it is up to date."""
    parser = argparse.ArgumentParser(prog="python -m worker.catalog", description=main.__doc__)
    parser.add_argument("--check", action="store_true", help="exit 1 when jobs/catalog.json is not what the code says")
    if not parser.parse_args().check:
        PATH.write_text(text(), "utf-8")
        return 0
    if PATH.exists() and PATH.read_text("utf-8") == text():
        return 0
    sys.stderr.write("jobs/catalog.json differs from the registered methods: run `make catalog`\n")
    return 1


if __name__ == "__main__":
    sys.exit(main())
