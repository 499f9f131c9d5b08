"""What the API says about itself (OpenAPI 3.1): bodies, problems, keys, and every method's parameters by name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from app.documents import ProblemDocument, UnfinishedDocument
from app.errors import MEDIA_TYPE
from app.prediction_documents import ExplainRequest, PredictRequest
from app.sets import SetRequest
from app.states import StatesRequest
from jobs import catalog
from jobs.datasets import DatasetManifest
from jobs.schemas import MAX_SAMPLES, ExplanationRequest, Manifest
from jobs.trainings import TrainingRequest
from jobs.version import CODE_VERSION

REFERENCES: Final = "#/components/schemas/"

Schema = dict[str, Any]
Responses = dict[int | str, dict[str, Any]]

_MEANINGS: Final[Mapping[int, str]] = {
    401: "An API key is needed",
    403: "Not from this host or origin",
    404: "There is no such thing, or it is another tenant's",
    409: "The state of the resource does not allow it, or is not there yet",
    413: "Larger than this server takes",
    415: "The body has another media type",
    422: "Something in the request has to be changed; `errors` says what",
    429: "Too many jobs are queued",
    503: "A store or the queue cannot be reached; try again",
}


def problem_content(description: str, model: type[BaseModel] = ProblemDocument) -> dict[str, Any]:
    """Describe a response that is a problem document."""
    return {"description": description, "content": {MEDIA_TYPE: {"schema": {"$ref": REFERENCES + model.__name__}}}}


def problems(*statuses: int) -> Responses:
    """Describe the problems that a route can answer."""
    return {status: problem_content(_MEANINGS[status]) for status in statuses}


def also(status: int, model: type[BaseModel], description: str) -> Responses:
    """Describe a second kind of success."""
    return {status: {"model": model, "description": description}}


def also_csv(description: str) -> Responses:
    """Describe a success that can be CSV as well."""
    return {200: {"content": {"text/csv": {"schema": {"type": "string"}}}, "description": description}}


UNCHANGED: Final[Responses] = {304: {"description": "Unchanged since the version that `If-None-Match` names"}}


def secured(*statuses: int) -> Responses:
    """Describe the problems of a route below /v1, which can always be those of keys, parameters and stores."""
    return problems(*sorted({401, 403, 422, 503, *statuses}))


_EXPLANATION_EXAMPLES: Final = {
    "predicted class": {"value": {"method": "h-sets", "model": "model_0123456789abcdef0123456789abcdef"}},
    "contrast": {
        "value": {
            "method": "h-sets",
            "model": "model_0123456789abcdef0123456789abcdef",
            "target": {"index": 207, "against": 208},
            "params": {"preset": "published"},
            "tags": ["dogs"],
        }
    },
    "tokens": {
        "value": {
            "method": "and-or",
            "model": "model_0123456789abcdef0123456789abcdef",
            "input": {
                "tokens": {
                    "ids": [101, 2025, 1037, 2204, 8, 102],
                    "texts": ["[CLS]", "not", "a", "good", "##ish", "[SEP]"],
                    "words": [None, 0, 1, 2, 2, None],
                }
            },
        }
    },
}

UPLOAD_BODY: Final[Schema] = {
    "requestBody": {
        "required": True,
        "content": {
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "required": ["artifact", "manifest"],
                    "properties": {
                        "artifact": {
                            "type": "string",
                            "contentMediaType": "application/octet-stream",
                            "description": "safetensors, or a state dict written by torch.save; ONNX, JSON or arrays "
                            "where the manifest's architecture says so",
                        },
                        "manifest": {"$ref": REFERENCES + "Manifest"},
                    },
                },
                "encoding": {"manifest": {"contentType": "application/json"}},
                "example": {"manifest": {"architecture": "resnet18", "name": "my resnet"}},
            }
        },
    }
}

DATASET_BODY: Final[Schema] = {
    "requestBody": {
        "required": True,
        "content": {
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "required": ["file"],
                    "properties": {
                        "file": {
                            "type": "string",
                            "contentMediaType": "application/octet-stream",
                            "description": "CSV, Parquet, NPZ, a zip of pictures, libfm, or lines of a label and ids",
                        },
                        "manifest": {"$ref": REFERENCES + "DatasetManifest"},
                    },
                },
                "encoding": {"manifest": {"contentType": "application/json"}},
                "example": {"manifest": {"target": "price", "columns": {"id": "ignore"}}},
            }
        },
    }
}

TRAINING_BODY: Final[Schema] = {
    "requestBody": {
        "required": True,
        "content": {
            "application/json": {
                "schema": {"$ref": REFERENCES + "TrainingRequest"},
                "examples": {
                    "from scratch": {
                        "value": {
                            "method": "classifier",
                            "dataset": "dataset_0123456789abcdef0123456789abcdef",
                            "architecture": {
                                "family": "sequential",
                                "layers": [
                                    {"type": "linear", "outputs": 64},
                                    {"type": "relu"},
                                    {"type": "linear", "outputs": 2},
                                ],
                            },
                            "params": {"epochs": 50},
                        }
                    },
                    "fine-tune": {
                        "value": {
                            "method": "classifier",
                            "dataset": "dataset_0123456789abcdef0123456789abcdef",
                            "model": "model_0123456789abcdef0123456789abcdef",
                            "params": {"learning_rate": 0.0001},
                        }
                    },
                },
            }
        },
    }
}

EXPLANATION_BODY: Final[Schema] = {
    "requestBody": {
        "required": True,
        "content": {
            "application/json": {
                "schema": {"$ref": REFERENCES + "ExplanationRequest"},
                "examples": _EXPLANATION_EXAMPLES,
            },
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "required": ["request"],
                    "properties": {
                        "request": {"$ref": REFERENCES + "ExplanationRequest"},
                        "image": {"type": "string", "contentMediaType": "image/*", "description": "PNG, JPEG or WebP"},
                        "tokens": {"$ref": REFERENCES + "Tokens"},
                        "sample": {
                            "type": "array",
                            "items": {"type": "string", "contentMediaType": "image/*"},
                            "maxItems": MAX_SAMPLES,
                            "description": "Further pictures, for methods whose `series` has samples; one part each",
                        },
                    },
                    "oneOf": [{"required": ["image"]}, {"required": ["tokens"]}],
                },
                "encoding": {
                    "request": {"contentType": "application/json"},
                    "tokens": {"contentType": "application/json"},
                },
            },
        },
    }
}

SET_BODY: Final[Schema] = {
    "requestBody": {
        "required": True,
        "content": {
            "application/json": {
                "schema": {"$ref": REFERENCES + "SetRequest"},
                "examples": {"box": {"value": {"box": [40, 40, 80, 90]}}, "members": {"value": {"members": [0, 1, 2]}}},
            }
        },
    }
}

STATES_BODY: Final[Schema] = {
    "requestBody": {
        "required": True,
        "content": {
            "application/json": {
                "schema": {"$ref": REFERENCES + "StatesRequest"},
                "examples": {
                    "present": {"value": {"present": [[], [0, 2], ["age", "income"]], "top": 5}},
                    "absent": {"value": {"absent": [[3]]}},
                },
            }
        },
    }
}

_TABLE_ROWS: Final = [{"city": "Oslo", "age": 41.5, "app": "Gmail"}, {"city": "Rome", "age": None, "app": "Maps"}]
_SET_ROWS: Final = [[3, 17, 4021], [3, [17, 0.5]]]


def _rows_body(request: type[BaseModel], **more: Any) -> Schema:
    """Describe a body of rows."""
    examples = {"rows of a table": {"rows": _TABLE_ROWS, **more}, "sets of ids": {"rows": _SET_ROWS, **more}}
    content = {
        "schema": {"$ref": REFERENCES + request.__name__},
        "examples": {name: {"value": value} for name, value in examples.items()},
    }
    return {"requestBody": {"required": True, "content": {"application/json": content}}}


PREDICT_BODY: Final = _rows_body(PredictRequest)
EXPLAIN_BODY: Final = _rows_body(ExplainRequest, top=5)

_DESCRIPTION: Final = """\
Explains what a neural network's inputs do *together*. Upload a model, send an input, get the sets of features that the
network combines.

Errors are `application/problem+json` (RFC 9457) with a stable `code`. Every POST takes an `Idempotency-Key`.
"""


def describe(app: FastAPI) -> None:
    """Let `app` describe itself, once asked; the description does not change while it runs."""

    def openapi() -> Schema:
        if app.openapi_schema is None:
            app.openapi_schema = _description(app)
        return app.openapi_schema

    app.openapi = openapi  # type: ignore[method-assign]  # FastAPI's documented way


def _description(app: FastAPI) -> Schema:
    document = get_openapi(
        title="Interplay", version=CODE_VERSION, description=_DESCRIPTION, routes=app.routes, openapi_version="3.1.0"
    )
    components = document.setdefault("components", {})
    schemas = components.setdefault("schemas", {})
    for unused in ("HTTPValidationError", "ValidationError"):
        schemas.pop(unused, None)  # this API's 422 is a problem
    schemas |= _own_schemas() | _parameter_schemas()
    components["securitySchemes"] = {
        "bearer": {"type": "http", "scheme": "bearer"},
        "apiKey": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
    }
    for path, operations in document["paths"].items():
        if path.startswith("/v1/"):
            for operation in operations.values():
                operation["security"] = [{"bearer": []}, {"apiKey": []}, {}]
    return document


_REQUESTS: Final = (
    ExplanationRequest, Manifest, SetRequest, StatesRequest, DatasetManifest, TrainingRequest, PredictRequest,
    ExplainRequest,
)  # fmt: skip


def _own_schemas() -> Schema:
    """Return the schemas of the bodies, which routes read themselves, and of problems."""
    requests = [(model, "validation") for model in _REQUESTS]
    answers = [(model, "serialization") for model in (ProblemDocument, UnfinishedDocument)]
    _, schemas = models_json_schema([*requests, *answers], ref_template=REFERENCES + "{model}")  # type: ignore[list-item]
    definitions: Schema = schemas["$defs"]
    params = [{"$ref": REFERENCES + _params_name(spec.id)} for spec in catalog.methods().values()]
    if params:
        definitions["ExplanationRequest"]["properties"]["params"] |= {"anyOf": [*params, {"type": "object"}]}
    return definitions


def _parameter_schemas() -> Schema:
    """Return the schema of every method's parameters, its own definitions beside it."""
    found: Schema = {}
    for spec in catalog.methods().values():
        name = _params_name(spec.id)
        schema = _relocated(spec.parameters, name)
        for inner, definition in schema.pop("$defs", {}).items():
            found[f"{name}.{inner}"] = definition
        found[name] = schema
    return found


def _params_name(method: str) -> str:
    return f"{method}.params"


def _relocated(schema: Any, name: str) -> Any:
    """Return the schema with `#/$defs/X` pointing to where X stands in an OpenAPI document."""
    if isinstance(schema, list):
        return [_relocated(item, name) for item in schema]
    if not isinstance(schema, dict):
        return schema
    return {
        key: value.replace("#/$defs/", f"{REFERENCES}{name}.") if key == "$ref" else _relocated(value, name)
        for key, value in schema.items()
    }
