"""The Celery tasks: doorbells that name a job."""

from __future__ import annotations

from worker.celery_app import app, desk


@app.task(name="interplay.run")  # type: ignore[untyped-decorator]
def run(job_id: str) -> None:
    """Make one attempt at a job; see `Desk.handle`."""
    desk().handle(job_id)


@app.task(name="interplay.train")  # type: ignore[untyped-decorator]
def train(job_id: str) -> None:
    """Wake the trainers, which look for themselves which training comes first."""
    del job_id
    desk().wake_trainers()
