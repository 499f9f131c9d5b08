"""Answers for rows: what a predictor says of them, as documents."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from urllib.parse import urlencode

import numpy as np

from app.deps import Gateway
from app.errors import invalid_at
from app.prediction_documents import (
    MAX_LISTED_TOGETHER,
    EdgeDocument,
    ExplainedRowDocument,
    ExplainRequest,
    ExplanationsDocument,
    InteractionsDocument,
    InteractionsQuery,
    OverallDocument,
    PredictionDocument,
    PredictionsDocument,
    PredictRequest,
    TermDocument,
)
from app.support import ready
from jobs.errors import InvalidParameters, UnsupportedModel
from jobs.predictors import Explained, Overall, Part, Predicted, Predictor
from jobs.predictors.tensors import Floats
from jobs.row_models import AdditiveArchitecture, L0SignArchitecture, RowArchitecture, RowTask
from jobs.schemas import Model


def predicted(here: Gateway, model: Model, request: PredictRequest) -> PredictionsDocument:
    """Predict rows.

    Raises:
        NotFinished, NotFound, UnsupportedModel: As `opened`.
        RequestError: A row cannot be read, or there is too much of them; with JSON pointers.
    """
    architecture, predictor = opened(here, model)
    found = predictor.predict(request.rows)
    return PredictionsDocument(
        model=model.id, task=architecture.task, unit=_unit(architecture), classes=_classes(model),
        rows=[PredictionDocument(**row) for row in _predictions(found, architecture.task, model)],
        notes=list(predictor.notes),
    )  # fmt: skip


def explained(here: Gateway, model: Model, request: ExplainRequest) -> ExplanationsDocument:
    """Take predictions apart. Raises as `predicted` does."""
    architecture, predictor = opened(here, model)
    most = MAX_LISTED_TOGETHER // len(request.rows)
    if request.top > most:
        raise invalid_at("/top", f"expected at most {most} with {len(request.rows)} rows, got {request.top}")
    output = _output(request.target, architecture.task, model)
    found, predictions = predictor.explain(request.rows, output=output, top=request.top)
    of_edges = isinstance(architecture, L0SignArchitecture)
    rows = zip(found, _predictions(predictions, architecture.task, model), strict=True)
    return ExplanationsDocument(
        model=model.id, task=architecture.task, unit=_unit(architecture), classes=_classes(model),
        rows=[_explained(one, row, _target(one, architecture.task, model), of_edges=of_edges) for one, row in rows],
        notes=list(predictor.notes),
    )  # fmt: skip


def overall(here: Gateway, model: Model, query: InteractionsQuery) -> InteractionsDocument:
    """Page through what the model learned. Raises as `opened` does, and `InvalidParameters` of an unknown feature."""
    architecture, predictor = opened(here, model)
    begin = int(query.cursor or 0)
    try:
        page = predictor.interactions(feature=query.feature, by=query.by, begin=begin, limit=query.limit)
    except ValueError as error:
        at_fault = "by" if query.feature is None else "feature"
        raise InvalidParameters(f"query parameter {at_fault}: {error}") from error
    end = begin + len(page.items)
    log = architecture if isinstance(architecture, L0SignArchitecture) else None
    return InteractionsDocument(
        model=model.id, by=query.by, unit=_unit(architecture),
        training_rows=log.rows if log else None, networks=log.networks if log else None,
        total=page.total, items=[_overall(item) for item in page.items],
        next=_next(model, query, end) if end < page.total else None,
    )  # fmt: skip


def opened(here: Gateway, model: Model) -> tuple[RowArchitecture, Predictor]:
    """Return what answers for a model.

    Raises:
        NotFinished: It is not inspected yet.
        UnsupportedModel: Its inspection failed, or it is a network, which jobs explain.
        NotFound: It was deleted just now.
    """
    ready(model)
    architecture = model.manifest.architecture
    if not isinstance(architecture, (AdditiveArchitecture, L0SignArchitecture)):
        raise UnsupportedModel(
            f"the model {model.id} is a network of family {architecture.family}, which is asked by POST "
            "/v1/explanations; rows are answered by models that the trainings nid and l0-sign make"
        )
    return architecture, here.predictors.get(model, here.artifacts)


def _unit(architecture: RowArchitecture) -> str:
    return "the target's unit" if architecture.task == "regression" else "logits"


def _classes(model: Model) -> list[str] | None:
    return None if model.manifest.classes is None else list(model.manifest.classes)


def _predictions(found: Predicted, task: RowTask, model: Model) -> Iterator[dict[str, Any]]:
    """Return the fields of each row's prediction."""
    classes = model.manifest.classes or ()
    probabilities = _probabilities(found.margins, task)
    for row, (margins, remarks) in enumerate(zip(found.margins.tolist(), found.remarks, strict=True)):
        shares = None if probabilities is None else probabilities[row].tolist()
        # Of two classes the score is that of class 1, whatever the label, so that rows can be ranked by it.
        label = None if shares is None else int(np.argmax(shares))
        scored = {"regression": 0, "binary": 1, "multiclass": label}[task]
        yield {
            "score": margins[0] if shares is None else shares[scored],
            "label": None if label is None else classes[label],
            "margin": margins[label if task == "multiclass" else 0],
            "probabilities": shares,
            "unknown": list(remarks.unknown),
            "notes": list(remarks.notes),
        }


def _probabilities(margins: Floats, task: RowTask) -> Floats | None:
    """Return the probability of each class, `(rows, classes)`; None of numbers."""
    if task == "regression":
        return None
    logits = np.concatenate([np.zeros_like(margins), margins], axis=1) if task == "binary" else margins
    weights = np.exp(logits - logits.max(axis=1, keepdims=True))
    shares: Floats = weights / weights.sum(axis=1, keepdims=True)
    return shares


def _output(target: int | str | None, task: RowTask, model: Model) -> int | None:
    """Return the output whose margin is explained; None: each row's likeliest."""
    if task != "multiclass":
        if target is not None:
            raise invalid_at("/target", "expected no target: only models of three classes or more have several margins")
        return 0
    classes = model.manifest.classes or ()
    if target is None or (isinstance(target, int) and 0 <= target < len(classes)):
        return target
    if target not in classes:
        raise invalid_at("/target", f"expected a class, {', '.join(classes[:12])}, or its index; got {target!r}")
    return classes.index(target)


def _target(found: Explained, task: RowTask, model: Model) -> str | None:
    """Return the class whose margin is explained."""
    if task == "regression":
        return None
    return (model.manifest.classes or ())[1 if task == "binary" else found.output]


def _explained(
    found: Explained, prediction: dict[str, Any], target: str | None, *, of_edges: bool
) -> ExplainedRowDocument:
    return ExplainedRowDocument(
        **prediction,
        target=target,
        explained=found.margin,
        bias=found.bias,
        edges=[_edge(part) for part in found.parts] if of_edges else None,
        terms=None if of_edges else [_term(part) for part in found.parts],
        remainder=found.total - sum(part.contribution for part in found.parts),
        sum=found.total,
        residual=abs(found.bias + found.total - found.margin),
        kept=found.kept,
        possible=found.possible,
    )


def _edge(part: Part) -> EdgeDocument:
    return EdgeDocument(
        features=list(part.features), fields=None if part.fields is None else list(part.fields), gate=part.gate or 0.0,
        contribution=part.contribution,
    )  # fmt: skip


def _term(part: Part) -> TermDocument:
    return TermDocument(columns=list(part.features), contribution=part.contribution)


def _overall(found: Overall) -> OverallDocument:
    return OverallDocument(
        features=list(found.features),
        fields=None if found.fields is None else list(found.fields),
        contribution=None if found.contribution is None else found.contribution[0],
        size=max(found.size),
        by_class=list(found.size) if len(found.size) > 1 else None,
        support=found.support,
        gate=found.gate,
        kept_in=found.kept_in,
        spread=found.spread,
    )


def _next(model: Model, query: InteractionsQuery, begin: int) -> str:
    given = query.model_dump(exclude_none=True, exclude_defaults=True, exclude={"cursor"})
    return f"/v1/models/{model.id}/interactions?{urlencode({**given, 'cursor': begin})}"
