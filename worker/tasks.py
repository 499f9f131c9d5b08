"""The one Celery task: a doorbell that names a job."""

from __future__ import annotations

from worker.celery_app import app, desk


@app.task(name="interplay.run")  # type: ignore[untyped-decorator]
def run(job_id: str) -> None:
    """Make one attempt at a job; see `Desk.handle`."""
    desk().handle(job_id)
