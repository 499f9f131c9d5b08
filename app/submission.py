"""From a checked request to a job: an earlier answer where there is one, else a new row, and the bell.

Three ways lead to a job that exists already: the same Idempotency-Key, an equal result, an equal job under way.
"""

from __future__ import annotations

import hashlib
import json
import secrets
import time
from collections.abc import Sequence
from dataclasses import dataclass

import structlog
from pydantic import JsonValue

from app.deps import Gateway
from app.validation import Checked
from jobs.datasets import Dataset, DatasetManifest, DatasetStatus
from jobs.errors import Conflict, QueueUnavailable, QuotaExceeded
from jobs.schemas import (
    ExplanationRequest,
    InputKind,
    InputReference,
    Job,
    JobKind,
    Manifest,
    Model,
    ModelStatus,
    Progress,
    Status,
    TrainingSetup,
)
from jobs.store import IdempotencyKey
from jobs.trainings import TrainingRequest
from jobs.version import CODE_VERSION

log = structlog.get_logger()


@dataclass(frozen=True)
class Submitted:
    """The job that answers a request; `replayed` when an earlier request with the same key made it."""

    job: Job
    replayed: bool = False


def replayed(here: Gateway, tenant: str, key: IdempotencyKey | None) -> Submitted | None:
    """Return the job that the key made before.

    Raises:
        IdempotencyMismatch: The key was used with another request.
    """
    job_id = here.store.replay(key) if key else None
    return Submitted(here.store.job(job_id, tenant), replayed=True) if job_id else None


def submit(
    here: Gateway,
    tenant: str,
    request: ExplanationRequest,
    checked: Checked,
    *,
    key: IdempotencyKey | None,
    recompute: bool,
) -> Submitted:
    """Answer a request with an equal job, or record and ring for a new one.

    Raises:
        QuotaExceeded: Too many jobs of this tenant are queued.
    """
    job = _new_job(tenant, request, checked, here)
    if not recompute and (earlier := _reused(here, job, key)):
        return earlier
    check_quota(here, tenant)
    return add(here, job, key=key, inputs=checked.inputs)


def add(here: Gateway, job: Job, *, key: IdempotencyKey | None, inputs: Sequence[bytes] = ()) -> Submitted:
    """Record a queued job and ring for it.

    Args:
        inputs: The bytes of the job's inputs, where they may not be stored yet.
    """
    stored = [(here.artifacts.put(data), data) for data in inputs]
    added = here.store.add(job, idempotency=key)
    for sha256, data in stored:
        if not here.artifacts.exists(sha256):
            # Deleted between put and commit, by someone whose rows no longer needed them; from now on ours does.
            here.artifacts.put(data)
    if added.id == job.id:
        log.info("job_added", job=job.id, tenant=job.tenant, method=job.method, retry_of=job.retry_of)
        ring(here, job)
    return Submitted(added, replayed=added.id != job.id)


def ring(here: Gateway, job: Job) -> None:
    """Ring for a job that is recorded; where the queue is away, the reaper rings later."""
    try:
        here.queue.ring(job)
    except QueueUnavailable as error:
        log.warning("ring_failed", job=job.id, detail=error.detail)


def retry(here: Gateway, tenant: str, job: Job, *, key: IdempotencyKey | None) -> Submitted:
    """Record a new job that does what an unsuccessful one was to do; a training goes on from its last save point.

    Raises:
        Conflict: The job is not finished, succeeded, or was an inspection.
        NotFound: Its model is gone, its dataset, or a checkpoint.
    """
    if not job.status.finished or job.status is Status.SUCCEEDED:
        raise Conflict(
            f"only a job that failed, expired or was canceled can be retried; this one is {job.status.value}"
        )
    if job.kind is JobKind.INSPECTION:
        raise Conflict("an inspection is not retried; upload the file again")
    check_quota(here, tenant)
    now = time.time()
    again = Job(
        **job.model_dump(include=_REPEATED),
        id=new_id("job"),
        status=Status.QUEUED,
        retry_of=job.id,
        created_at=now,
        deadline_at=now + (job.deadline_at - job.created_at),
    )
    return add(here, again, key=key)


_REPEATED = {
    "tenant", "kind", "method", "model_id", "checkpoint_ids", "input", "samples", "target", "params", "seed",
    "priority", "tags", "content_key", "dataset_id", "training", "resume",
}  # fmt: skip


def new_id(kind: str) -> str:
    """Return an id that nobody can guess."""
    return f"{kind}_{secrets.token_hex(16)}"


def new_model(here: Gateway, tenant: str, manifest: Manifest, *, sha256: str, size: int) -> tuple[Model, Job]:
    """Return the rows of an uploaded model and of its inspection, not yet recorded."""
    now = time.time()
    model_id, job_id = new_id("model"), new_id("job")
    model = Model(
        id=model_id, tenant=tenant, status=ModelStatus.INSPECTING, manifest=manifest, sha256=sha256, size_bytes=size,
        created_at=now, job_id=job_id,
    )  # fmt: skip
    inspection = Job(
        id=job_id, tenant=tenant, kind=JobKind.INSPECTION, status=Status.QUEUED, model_id=model_id, created_at=now,
        deadline_at=now + here.settings.deadline_seconds,
    )  # fmt: skip
    return model, inspection


def new_dataset(
    here: Gateway, tenant: str, manifest: DatasetManifest, *, sha256: str, size: int
) -> tuple[Dataset, Job]:
    """Return the rows of an uploaded dataset and of its inspection, not yet recorded."""
    now = time.time()
    dataset_id, job_id = new_id("dataset"), new_id("job")
    dataset = Dataset(
        id=dataset_id, tenant=tenant, status=DatasetStatus.INSPECTING, manifest=manifest, sha256=sha256,
        size_bytes=size, created_at=now, job_id=job_id,
    )  # fmt: skip
    inspection = Job(
        id=job_id, tenant=tenant, kind=JobKind.INSPECTION, status=Status.QUEUED, dataset_id=dataset_id, created_at=now,
        deadline_at=now + here.settings.deadline_seconds,
    )  # fmt: skip
    return dataset, inspection


def new_training(here: Gateway, tenant: str, request: TrainingRequest, params: dict[str, JsonValue]) -> Job:
    """Return the row of a checked training, not yet recorded."""
    now = time.time()
    setup = TrainingSetup(**{name: getattr(request, name) for name in TrainingSetup.model_fields})
    return Job(
        id=new_id("job"), tenant=tenant, kind=JobKind.TRAINING, status=Status.QUEUED, method=request.method,
        model_id=request.model, dataset_id=request.dataset, params=params, seed=request.seed, training=setup,
        priority=request.priority, tags=request.tags, created_at=now,
        deadline_at=now + (request.deadline_seconds or here.settings.training_deadline_seconds),
    )  # fmt: skip


def _new_job(tenant: str, request: ExplanationRequest, checked: Checked, here: Gateway) -> Job:
    now = time.time()
    inputs = [_reference(checked.kind, data) for data in checked.inputs]
    return Job(
        id=new_id("job"),
        tenant=tenant,
        kind=JobKind.EXPLANATION,
        status=Status.QUEUED,
        method=checked.spec.id,
        model_id=checked.model.id,
        checkpoint_ids=tuple(earlier.id for earlier in checked.checkpoints),
        input=inputs[0] if inputs else None,
        samples=tuple(inputs[1:]),
        target=checked.target,
        params=checked.params,
        seed=request.seed,
        priority=request.priority,
        tags=request.tags,
        content_key=content_key(checked, [one.sha256 for one in inputs], request.seed),
        created_at=now,
        deadline_at=now + (request.deadline_seconds or here.settings.deadline_seconds),
    )


def _reference(kind: InputKind, data: bytes) -> InputReference:
    return InputReference(kind=kind, sha256=hashlib.sha256(data).hexdigest(), size_bytes=len(data))


def content_key(checked: Checked, input_sha256s: Sequence[str], seed: int) -> str:
    """Return the digest of everything that the result depends on."""
    models = (checked.model, *checked.checkpoints)
    parts = [
        [(model.weights_sha256 or model.sha256, model.manifest.model_dump(mode="json")) for model in models],
        list(input_sha256s),
        checked.spec.id,
        checked.params,
        checked.target.model_dump() if checked.target else None,
        seed,
        CODE_VERSION,
    ]
    return hashlib.sha256(json.dumps(parts, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def _reused(here: Gateway, job: Job, key: IdempotencyKey | None) -> Submitted | None:
    """Return the answer that an equal job gives, if it serves this request."""
    assert job.content_key is not None  # noqa: S101  # `_new_job` gives every explanation one
    equal = here.store.find_equal(job.tenant, job.content_key)
    if equal is None:
        return None
    if equal.status is Status.SUCCEEDED:
        return _copied(here, job, equal, key)
    if equal.status is Status.QUEUED and (equal.priority, job.priority) == ("batch", "interactive"):
        return None  # who asks for an answer now shall not wait in the slow queue
    joined = equal if key is None else here.store.remember(key, equal)
    return Submitted(joined, replayed=joined.id != equal.id)


def _copied(here: Gateway, job: Job, equal: Job, key: IdempotencyKey | None) -> Submitted | None:
    """Record `job` as finished with the results of an equal job, unless those are being deleted."""
    now = job.created_at
    copy = job.model_copy(
        update={
            **{name: getattr(equal, name) for name in ("artifacts", "timings", "cost", "device")},
            "status": Status.SUCCEEDED,
            "cached": True,
            "progress": Progress(fraction=1.0),
            "started_at": now,
            "finished_at": now,
            "expires_at": now + here.settings.retention_hours * 3600.0,
        }
    )
    added = here.store.add(copy, idempotency=key)
    if added.id != copy.id:
        return Submitted(added, replayed=True)
    # Its row protects the files from now on; those that were deleted just before are found missing here.
    if all(here.artifacts.exists(artifact.sha256) for artifact in copy.artifacts):
        return Submitted(added)
    here.store.discard(here.store.purge(copy.id, copy.tenant), here.artifacts.delete)
    return None


def check_quota(here: Gateway, tenant: str) -> None:
    """Raise `QuotaExceeded` where too many jobs of this tenant are queued."""
    limit = here.settings.max_queued_jobs
    if here.store.queued_count(tenant) >= limit:
        raise QuotaExceeded(f"{limit} jobs are queued already, which is the limit of this server; try again later")
