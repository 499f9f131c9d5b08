"""The SQL job store: the only truth about jobs, models and datasets.

A job row is a state machine with a lease and an attempt counter:

    queued ──claim──▶ running ──succeed │ fail │ canceled──▶ final
      ▲                  │
      └─release, reap────┘        queued ──cancel──▶ canceled     queued ──reap──▶ expired, failed

Every method opens its own short transaction. What a runner writes carries its attempt number, and is written only
while that attempt still runs: a late runner changes nothing. All methods raise `StoreUnavailable` when the database
fails; the same call may succeed later.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from jobs.store._attempts import Attempts, Beat
from jobs.store._database import Database
from jobs.store._datasets import Datasets
from jobs.store._idempotency import IdempotencyKey
from jobs.store._jobs import Jobs
from jobs.store._models import Models
from jobs.store._paging import Page
from jobs.store._reaping import Reaped, Reaping
from jobs.store._trainings import Trainings

__all__ = ["Beat", "IdempotencyKey", "JobStore", "Page", "Reaped"]


class JobStore(Models, Datasets, Jobs, Attempts, Trainings, Reaping):
    """Models, datasets, jobs and idempotency keys in one SQL database; threads and processes may share it.

    Args:
        url: SQLAlchemy URL. Tables are created where missing.
        clock: POSIX seconds; tests give their own.
    """

    def __init__(self, url: str, *, clock: Callable[[], float] = time.time) -> None:
        self._database = Database(url)
        self._clock = clock

    def ping(self) -> None:
        """Raise `StoreUnavailable` unless the database answers."""
        with self._database.read() as connection:
            connection.exec_driver_sql("SELECT 1")

    def close(self) -> None:
        """Close pooled connections; the store opens new ones when used again."""
        self._database.close()
