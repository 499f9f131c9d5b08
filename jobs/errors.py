"""Every failure that Interplay reports, as one tree with stable codes, ignorant of HTTP.

    InterplayError             code, detail, errors, retryable
    ├ RequestError             the caller can fix it; never retried
    │   InvalidParameters · InvalidInput · InputTooLarge · UnsafeModel · UnsupportedModel
    │   UnknownMethod · NotFound · NotFinished · Conflict · IdempotencyMismatch · Unauthorized · Forbidden
    │   QuotaExceeded
    ├ ComputeError             valid request, failed computation; recorded on the job; never retried
    │   OutOfMemory · NumericalError · DeadlineExceeded · RunnerCrashed · InternalError
    └ InfrastructureError      retried with backoff
        StoreUnavailable · QueueUnavailable · ArtifactsUnavailable

An error crosses a process or the database as a `Problem` (`problem()`), and comes back through `from_problem`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import ClassVar

from pydantic import BaseModel, ConfigDict


class FieldError(BaseModel):
    """One fault in a request, at a JSON pointer (RFC 6901) into the body; ``""`` is the whole body."""

    model_config = ConfigDict(frozen=True)

    pointer: str
    detail: str


class Problem(BaseModel):
    """An error as data: what a job row stores, and what a runner sends to its parent."""

    model_config = ConfigDict(frozen=True)

    code: str
    detail: str
    errors: tuple[FieldError, ...] = ()


class InterplayError(Exception):
    """Base of all errors that cross a package border.

    Args:
        detail: A sentence for the person who reads it: what is wrong and what to change.
        errors: The single faults, where the request's fields are at fault.
    """

    code: ClassVar[str] = "internal-error"
    title: ClassVar[str] = "Internal error"
    retryable: ClassVar[bool] = False

    def __init__(self, detail: str, *, errors: Sequence[FieldError] = ()) -> None:
        super().__init__(detail)
        self.detail = detail
        self.errors = tuple(errors)

    def problem(self) -> Problem:
        """Return the error as data."""
        return Problem(code=self.code, detail=self.detail, errors=self.errors)


class RequestError(InterplayError):
    """The caller can fix it; the same request fails again."""


class ComputeError(InterplayError):
    """The request was valid, the computation failed."""


class InfrastructureError(InterplayError):
    """A store, queue or disk failed; the same request may succeed later."""

    retryable = True


class InvalidParameters(RequestError):
    code = "invalid-parameters"
    title = "A field or parameter of the request is not valid"


class InvalidInput(RequestError):
    code = "invalid-input"
    title = "The input could not be read"


class InputTooLarge(RequestError):
    code = "input-too-large"
    title = "The upload exceeds a limit of this server"


class UnsafeModel(RequestError):
    code = "unsafe-model"
    title = "The model file could run code and was refused"


class UnsupportedModel(RequestError):
    code = "unsupported-model"
    title = "The model cannot be used like this"


class UnknownMethod(RequestError):
    code = "unknown-method"
    title = "There is no such method"


class NotFound(RequestError):
    code = "not-found"
    title = "There is no such resource"


class NotFinished(RequestError):
    code = "not-finished"
    title = "The job or model is not ready yet"


class Conflict(RequestError):
    code = "conflict"
    title = "The resource's state does not allow this"


class IdempotencyMismatch(RequestError):
    code = "idempotency-mismatch"
    title = "The Idempotency-Key was used with another request"


class Unauthorized(RequestError):
    code = "unauthorized"
    title = "A valid API key is needed"


class Forbidden(RequestError):
    code = "forbidden"
    title = "The request does not come from where this server expects it"


class QuotaExceeded(RequestError):
    code = "quota-exceeded"
    title = "Too many jobs are queued"


class OutOfMemory(ComputeError):
    code = "out-of-memory"
    title = "The computation needs more memory than the worker has"


class NumericalError(ComputeError):
    code = "numerical-error"
    title = "The computation met values that are not finite, or that never change"


class DeadlineExceeded(ComputeError):
    code = "deadline-exceeded"
    title = "The job passed its deadline"


class RunnerCrashed(ComputeError):
    code = "runner-crashed"
    title = "The process that computed the job died"


class InternalError(ComputeError):
    code = "internal-error"
    title = "Internal error"


class StoreUnavailable(InfrastructureError):
    code = "store-unavailable"
    title = "The job store cannot be reached"


class QueueUnavailable(InfrastructureError):
    code = "queue-unavailable"
    title = "The queue cannot be reached"


class ArtifactsUnavailable(InfrastructureError):
    code = "artifacts-unavailable"
    title = "The artifact store cannot be read or written"


def concrete_errors() -> Iterator[type[InterplayError]]:
    """Yield every error class that can be raised, that is, the leaves of the tree."""
    for branch in InterplayError.__subclasses__():
        yield from branch.__subclasses__()


def from_problem(problem: Problem) -> InterplayError:
    """Rebuild the error that `problem` was made from; an unknown code becomes an `InternalError`."""
    by_code = {error.code: error for error in concrete_errors()}
    return by_code.get(problem.code, InternalError)(problem.detail, errors=problem.errors)
