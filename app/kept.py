"""What a finished job kept for later questions: arrays, and its result."""

from __future__ import annotations

import io
import json
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from app.deps import Gateway
from jobs.errors import Conflict, NotFinished, NotFound
from jobs.schemas import Job, Status


def kept_array(here: Gateway, job: Job, name: str, *, otherwise: str) -> NDArray[Any]:
    """Return an array that the job kept, mapped into memory where its bytes are a file.

    Args:
        otherwise: What to tell a caller whose job did not keep it.

    Raises:
        NotFinished: The job has not ended.
        Conflict: It kept no such array.
        NotFound: Its files are being deleted.
    """
    sha256 = _digest(job, name, otherwise)
    path = here.artifacts.local_path(sha256)
    if path is not None:
        try:
            return cast(NDArray[Any], np.load(path, mmap_mode="r", allow_pickle=False))
        except FileNotFoundError as error:
            raise NotFound(f"the file {name} was deleted just now") from error
    return cast(NDArray[Any], np.load(io.BytesIO(here.artifacts.get(sha256)), allow_pickle=False))


def kept_result(here: Gateway, job: Job) -> dict[str, Any]:
    """Return the content of the job's result.json. Raises as `kept_array` does."""
    sha256 = _digest(job, "result.json", "this job has no result")
    result: dict[str, Any] = json.loads(here.artifacts.get(sha256))
    return result


def _digest(job: Job, name: str, otherwise: str) -> str:
    if not job.status.finished:
        raise NotFinished(f"the job is {job.status.value}; ask again when it has succeeded")
    for artifact in job.artifacts:
        if artifact.name == name and job.status is Status.SUCCEEDED:
            return artifact.sha256
    raise Conflict(otherwise)
