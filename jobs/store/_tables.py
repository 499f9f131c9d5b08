"""The tables of the job store; portable between SQLite and PostgreSQL.

A column of `jobs`, `models` or `datasets` is the field of that name in `Job`, `Model` or `Dataset`, nested values as
JSON; the few columns beyond the fields are explained where they stand.
"""

from __future__ import annotations

from sqlalchemy import JSON, BigInteger, Boolean, Column, Double, ForeignKey, Index, Integer, MetaData, String, Table

ID, SHA256, NAME = String(64), String(64), String(256)
DOCUMENT = JSON(none_as_null=True)

metadata = MetaData()

jobs = Table(
    "jobs",
    metadata,
    Column("id", ID, primary_key=True),
    Column("tenant", NAME, nullable=False),
    Column("kind", ID, nullable=False),
    Column("status", ID, nullable=False),
    Column("method", ID),
    Column("model_id", ID),
    Column("dataset_id", ID),
    Column("checkpoint_ids", DOCUMENT, nullable=False),
    Column("input", DOCUMENT),
    Column("samples", DOCUMENT, nullable=False),
    Column("target", DOCUMENT),
    Column("params", DOCUMENT, nullable=False),
    Column("seed", BigInteger, nullable=False),
    Column("priority", ID, nullable=False),
    Column("tags", DOCUMENT, nullable=False),
    Column("content_key", NAME),
    Column("retry_of", ID),
    Column("cached", Boolean, nullable=False),
    Column("training", DOCUMENT),
    Column("resume", DOCUMENT),
    Column("attempt", Integer, nullable=False),
    Column("excused", Integer, nullable=False),
    Column("cancel_requested", Boolean, nullable=False),
    Column("progress", DOCUMENT, nullable=False),
    Column("created_at", Double, nullable=False),
    Column("started_at", Double),
    Column("finished_at", Double),
    Column("deadline_at", Double, nullable=False),
    Column("expires_at", Double),
    Column("lease_until", Double),
    Column("worker", NAME),
    Column("error", DOCUMENT),
    Column("artifacts", DOCUMENT, nullable=False),
    Column("timings", DOCUMENT, nullable=False),
    Column("cost", DOCUMENT),
    Column("device", NAME),
    # When the bell last rang for the queued row, and how many base intervals pass before it rings again.
    Column("rung_at", Double, nullable=False),
    Column("ring_gap", Integer, nullable=False),
    Index("jobs_by_lease", "status", "lease_until"),
    Index("jobs_by_age", "status", "priority", "created_at", "id"),
    Index("jobs_by_expiry", "expires_at"),
    Index("jobs_by_tenant", "tenant", "created_at", "id"),
    Index("jobs_by_tenant_status", "tenant", "status", "created_at", "id"),
    Index("jobs_by_content", "tenant", "content_key"),
    Index("jobs_by_model", "model_id", "status"),
    Index("jobs_by_dataset", "dataset_id", "status"),
)

# A job's tags are read from its row; this table exists to search by them.
job_tags = Table(
    "job_tags",
    metadata,
    Column("tag", ID, primary_key=True),
    Column("job_id", ID, ForeignKey("jobs.id", ondelete="CASCADE"), primary_key=True),
    Index("job_tags_by_job", "job_id"),
)

# A job's checkpoints are read from its row, in their order; this table exists to ask which jobs use a model.
job_checkpoints = Table(
    "job_checkpoints",
    metadata,
    Column("model_id", ID, primary_key=True),
    Column("job_id", ID, ForeignKey("jobs.id", ondelete="CASCADE"), primary_key=True),
    Index("job_checkpoints_by_job", "job_id"),
)

models = Table(
    "models",
    metadata,
    Column("id", ID, primary_key=True),
    Column("tenant", NAME, nullable=False),
    Column("status", ID, nullable=False),
    Column("manifest", DOCUMENT, nullable=False),
    Column("sha256", SHA256, nullable=False),
    Column("weights_sha256", SHA256),
    Column("size_bytes", BigInteger, nullable=False),
    Column("created_at", Double, nullable=False),
    Column("inspection", DOCUMENT),
    Column("error", DOCUMENT),
    Column("job_id", ID),
    Column("trained_by", ID),
    # JSON has no equality; the digest of the manifest tells whether two uploads are the same model.
    Column("manifest_sha256", SHA256, nullable=False),
    Index("models_equal", "tenant", "sha256", "manifest_sha256", unique=True),
    Index("models_by_tenant", "tenant", "created_at", "id"),
    Index("models_by_job", "job_id"),
)

datasets = Table(
    "datasets",
    metadata,
    Column("id", ID, primary_key=True),
    Column("tenant", NAME, nullable=False),
    Column("status", ID, nullable=False),
    Column("manifest", DOCUMENT, nullable=False),
    Column("sha256", SHA256, nullable=False),
    Column("data_sha256", SHA256),
    Column("size_bytes", BigInteger, nullable=False),
    Column("data_bytes", BigInteger),
    Column("created_at", Double, nullable=False),
    Column("inspection", DOCUMENT),
    Column("error", DOCUMENT),
    Column("job_id", ID),
    # As of models.
    Column("manifest_sha256", SHA256, nullable=False),
    Index("datasets_equal", "tenant", "sha256", "manifest_sha256", unique=True),
    Index("datasets_by_tenant", "tenant", "created_at", "id"),
    Index("datasets_by_job", "job_id"),
)

# Which jobs, models and datasets need which bytes: one row per owner and digest, so that "does anything need it
# still?" is one indexed question whatever the bytes are for (input, upload, weights, result).
byte_references = Table(
    "byte_references",
    metadata,
    Column("sha256", SHA256, primary_key=True),
    Column("owner_id", ID, primary_key=True),
    Index("byte_references_by_owner", "owner_id"),
)

idempotency_keys = Table(
    "idempotency_keys",
    metadata,
    Column("tenant", NAME, primary_key=True),
    Column("key", NAME, primary_key=True),
    Column("fingerprint", NAME, nullable=False),
    Column("resource_id", ID, nullable=False),
    Column("created_at", Double, nullable=False),
    Index("idempotency_keys_by_resource", "resource_id"),
    Index("idempotency_keys_by_age", "created_at"),
)
