"""The public JSON documents, made from rows: times as RFC 3339, errors as problems, links to what comes next."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Literal
from urllib.parse import urlencode

from pydantic import BaseModel, Field, JsonValue

from app.errors import as_document
from jobs.artifact_names import ARTIFACTS
from jobs.catalog import MethodSpec, TrainingSpec
from jobs.datasets import Dataset, DatasetInspection, DatasetKind, DatasetManifest, DatasetStatus, Task
from jobs.errors import FieldError, Problem, from_problem
from jobs.schemas import (
    Capability,
    Cost,
    InputReference,
    Inspection,
    Job,
    JobKind,
    Manifest,
    Model,
    ModelStatus,
    Progress,
    ResumePoint,
    Series,
    Status,
    Target,
    TrainingSetup,
)
from jobs.store import Page
from jobs.trainings import Start


class ProblemDocument(BaseModel):
    """An error (RFC 9457). `code` is stable; `errors` point at the fields at fault."""

    type: str = Field(examples=["/problems/invalid-parameters"])
    title: str
    status: int
    detail: str = Field(description="What is wrong, and what to change.")
    code: str = Field(examples=["invalid-parameters"])
    errors: list[FieldError] = []


class UnfinishedDocument(ProblemDocument):
    """Why there is no result: the job is not finished, or it ended without one."""

    job_status: Status
    job_error: ProblemDocument | None = None


class ArtifactDocument(BaseModel):
    """A file of a finished job."""

    name: str = Field(examples=["saliency.png"])
    media_type: str
    size_bytes: int
    sha256: str
    href: str


class JobDocument(BaseModel):
    """A job as callers see it."""

    id: str = Field(examples=["job_0123456789abcdef0123456789abcdef"])
    kind: JobKind
    status: Status
    method: str | None
    preset: str | None
    model: str | None
    dataset: str | None
    training: TrainingSetup | None = Field(description="What the new model shall be.")
    resume: ResumePoint | None = Field(
        description="Where a training goes on after its runner died, or when it is retried."
    )
    checkpoints: list[str] = Field(description="Ids of earlier checkpoints of the model, first to last.")
    input: InputReference | None
    samples: list[InputReference] = Field(description="Further inputs.")
    target: Target | None = Field(description="None: the predicted class.")
    params: dict[str, JsonValue] = Field(description="Completed with defaults and preset.")
    seed: int
    priority: Literal["interactive", "batch"]
    tags: list[str]
    progress: Progress
    queue_position: int | None = Field(
        description="How many jobs of this priority are ahead; only while queued, and not in lists."
    )
    cancel_requested: bool
    attempt: int
    retry_of: str | None
    cached: bool = Field(description="The result is that of an earlier equal job; cost and timings are that job's.")
    created_at: str = Field(examples=["2026-11-21T08:30:00.000Z"])
    started_at: str | None
    finished_at: str | None
    deadline_at: str
    expires_at: str | None = Field(description="When the job and its files are deleted.")
    timings: dict[str, float] = Field(description="Seconds per stage.")
    cost: Cost | None
    device: str | None
    error: ProblemDocument | None
    artifacts: list[ArtifactDocument]
    links: dict[str, str]


class JobList(BaseModel):
    """A page of jobs, newest first."""

    items: list[JobDocument]
    next: str | None = Field(description="Path of the next page.")


class SupportDocument(BaseModel):
    """Whether a method can explain a model."""

    supported: bool
    reason: str | None = Field(description="Why not.")


class ModelDocument(BaseModel):
    """A model as callers see it; `methods` says for each method whether it can explain this model."""

    id: str = Field(examples=["model_0123456789abcdef0123456789abcdef"])
    status: ModelStatus
    manifest: Manifest
    sha256: str
    weights_sha256: str | None
    size_bytes: int
    created_at: str
    inspection: Inspection | None = Field(description="What a runner found; None while it has not.")
    methods: dict[str, SupportDocument] = Field(description="Empty until the model is ready.")
    trained_by: str | None = Field(description="The training job that made it; None for an upload.")
    error: ProblemDocument | None
    links: dict[str, str]


class ModelList(BaseModel):
    """A page of models, newest first."""

    items: list[ModelDocument]
    next: str | None = Field(description="Path of the next page.")


class DatasetDocument(BaseModel):
    """A dataset as callers see it; `trainings` says for each training method whether it can learn from it."""

    id: str = Field(examples=["dataset_0123456789abcdef0123456789abcdef"])
    status: DatasetStatus
    manifest: DatasetManifest
    sha256: str
    size_bytes: int
    created_at: str
    inspection: DatasetInspection | None = Field(description="What a runner found; None while it has not.")
    trainings: dict[str, SupportDocument] = Field(description="Empty until the dataset is ready.")
    error: ProblemDocument | None
    links: dict[str, str]


class DatasetList(BaseModel):
    """A page of datasets, newest first."""

    items: list[DatasetDocument]
    next: str | None = Field(description="Path of the next page.")


class TrainingMethodDocument(BaseModel):
    """A training method: what it learns from, what it starts from, what it takes, where it comes from."""

    id: str
    title: str
    summary: str
    source: str
    datasets: list[DatasetKind]
    tasks: list[Task]
    starts: list[Start] = Field(
        description="model: one to go on from. architecture: random weights. none: the method makes its own network."
    )
    least_rows: int
    most_inputs: int | None = Field(description="Of a table, every category counted.")
    longest_row: int | None = Field(description="Ids of a set, or columns of a table, at most.")
    presets: dict[str, dict[str, JsonValue]]
    parameters: dict[str, Any] = Field(description="JSON Schema (2020-12) of `params`.")
    links: dict[str, str]


class TrainingMethodList(BaseModel):
    """Every training method of this server."""

    items: list[TrainingMethodDocument]


class MethodDocument(BaseModel):
    """A method: what it needs, what it takes, what it costs, where it comes from."""

    id: str
    title: str
    summary: str
    source: str
    inputs: list[str]
    needs: list[Capability]
    series: list[Series] = Field(description="Which of `samples` and `checkpoints` a request may hold.")
    needs_input: bool = Field(description="Whether a request holds an input; else the network itself is explained.")
    presets: dict[str, dict[str, JsonValue]]
    cost: dict[str, str] = Field(description="Upper bounds as arithmetic over the parameters, `inputs` and `outputs`.")
    parameters: dict[str, Any] = Field(description="JSON Schema (2020-12) of `params`.")
    links: dict[str, str]


class MethodList(BaseModel):
    """Every method of this server."""

    items: list[MethodDocument]


class EstimateDocument(BaseModel):
    """What an explanation would cost: upper bounds, and times scaled from the model's probe, not promises."""

    method: str
    model: str
    params: dict[str, JsonValue]
    cost: Cost
    seconds: float = Field(
        description="On the machine that inspected the model, one sample at a time, without queueing."
    )
    bytes: int = Field(description="Memory of weights and activations.")
    note: str


class SetScoreDocument(BaseModel):
    """The score of a set that the caller drew, comparable with the scores of the job's own sets."""

    job: str
    members: int = Field(description="How many features the set has.")
    strength: float
    standard_error: float | None
    full_set_value: float = Field(description="The directional gradient of the whole set.")
    subsets: int
    unit: str


def rfc3339(seconds: float) -> str:
    """Return a POSIX time as RFC 3339 in UTC, to the millisecond."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _moment(seconds: float | None) -> str | None:
    return None if seconds is None else rfc3339(seconds)


def problem_document(problem: Problem | None) -> ProblemDocument | None:
    """Return a stored problem as a problem document."""
    return None if problem is None else ProblemDocument.model_validate(as_document(from_problem(problem)))


def job_document(job: Job, *, queue_position: int | None = None) -> JobDocument:
    """Return the document of a job."""
    fields = job.model_dump(include=_SHARED_JOB_FIELDS)
    return JobDocument(
        **fields,
        preset=str(job.params["preset"]) if "preset" in job.params else None,
        model=job.model_id,
        dataset=job.dataset_id,
        checkpoints=list(job.checkpoint_ids),
        tags=list(job.tags),
        queue_position=queue_position,
        created_at=rfc3339(job.created_at),
        started_at=_moment(job.started_at),
        finished_at=_moment(job.finished_at),
        deadline_at=rfc3339(job.deadline_at),
        expires_at=_moment(job.expires_at),
        error=problem_document(job.error),
        artifacts=artifact_documents(job),
        links=_job_links(job),
    )


_SHARED_JOB_FIELDS = set(JobDocument.model_fields) & set(Job.model_fields) - {
    "tags", "created_at", "started_at", "finished_at", "deadline_at", "expires_at", "error", "artifacts",
}  # fmt: skip


def _job_links(job: Job) -> dict[str, str]:
    here = f"/v1/jobs/{job.id}"
    links = {"self": here}
    if job.model_id is not None:
        links["model"] = f"/v1/models/{job.model_id}"
    if job.dataset_id is not None:
        links["dataset"] = f"/v1/datasets/{job.dataset_id}"
    if job.status is Status.SUCCEEDED and job.kind is not JobKind.INSPECTION:
        links |= {"result": f"{here}/result", "artifacts": f"{here}/artifacts"}
    if any(artifact.name == "path_gradients.npy" for artifact in job.artifacts):
        links["sets"] = f"{here}/sets"
    if any(artifact.name == "atoms.npy" for artifact in job.artifacts):
        links["states"] = f"{here}/states"
    if not job.status.finished:
        links["cancel"] = f"{here}:cancel"
    elif job.status is not Status.SUCCEEDED and job.kind is not JobKind.INSPECTION:
        links["retry"] = f"{here}:retry"
    return links


def artifact_documents(job: Job) -> list[ArtifactDocument]:
    """Return what describes the job's files."""
    return [
        ArtifactDocument(
            name=artifact.name,
            media_type=ARTIFACTS.get(artifact.name, "application/octet-stream"),
            size_bytes=artifact.size_bytes,
            sha256=artifact.sha256,
            href=f"/v1/jobs/{job.id}/artifacts/{artifact.name}",
        )
        for artifact in job.artifacts
    ]


def model_document(model: Model, methods: Mapping[str, SupportDocument]) -> ModelDocument:
    """Return the document of a model."""
    here = f"/v1/models/{model.id}"
    links = {"self": here} | ({"inspection": f"/v1/jobs/{model.job_id}"} if model.job_id else {})
    links |= {"training": f"/v1/jobs/{model.trained_by}"} if model.trained_by else {}
    if model.manifest.input.kind == "row":
        links |= {"predict": f"{here}:predict", "explain": f"{here}:explain", "interactions": f"{here}/interactions"}
    return ModelDocument(
        **model.model_dump(include={"id", "status", "sha256", "weights_sha256", "size_bytes", "trained_by"}),
        manifest=model.manifest,
        created_at=rfc3339(model.created_at),
        inspection=model.inspection,
        methods=dict(methods),
        error=problem_document(model.error),
        links=links,
    )


def dataset_document(dataset: Dataset, trainings: Mapping[str, SupportDocument]) -> DatasetDocument:
    """Return the document of a dataset."""
    links = {"self": f"/v1/datasets/{dataset.id}"}
    links |= {"inspection": f"/v1/jobs/{dataset.job_id}"} if dataset.job_id else {}
    return DatasetDocument(
        id=dataset.id,
        status=dataset.status,
        manifest=dataset.manifest,
        sha256=dataset.sha256,
        size_bytes=dataset.size_bytes,
        created_at=rfc3339(dataset.created_at),
        inspection=dataset.inspection,
        trainings=dict(trainings),
        error=problem_document(dataset.error),
        links=links,
    )


def training_method_document(spec: TrainingSpec) -> TrainingMethodDocument:
    """Return the document of a training method."""
    return TrainingMethodDocument(**spec.model_dump(), links={"self": f"/v1/trainings/methods/{spec.id}"})


def method_document(spec: MethodSpec) -> MethodDocument:
    """Return the document of a method."""
    return MethodDocument(**spec.model_dump(), links={"self": f"/v1/methods/{spec.id}"})


def next_link(path: str, query: Mapping[str, object], page: Page[Any]) -> str | None:
    """Return the path of the page after `page`, with the same filters."""
    if page.next_cursor is None:
        return None
    given = {name: value for name, value in query.items() if value is not None}
    return f"{path}?{urlencode({**given, 'cursor': page.next_cursor})}"
