"""Score a set that a person draws, from the path gradients that a finished job kept: no network runs."""

from __future__ import annotations

from typing import cast

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from app.deps import Gateway
from app.documents import SetScoreDocument
from app.errors import invalid_at
from app.kept import kept_array, kept_result
from jobs.schemas import Frozen, Job
from jobs.set_scores import Formula, members_of_box, members_of_mask, score

NEEDED = ("path_gradients.npy", "difference.npy")
OTHERWISE = "this job kept no path gradients; only a finished h-sets job can score sets"

# A whole picture of 3 x 224 x 224 at 31 points and 1000 subsets takes 2 s; nothing much larger may hold up a gateway.
MAX_GRADIENTS = 8_000_000
MAX_DRAWS = 200_000_000
MAX_PRODUCTS = 6_000_000_000


class SetRequest(Frozen):
    """A set of features of the job's input, in one of three ways."""

    members: tuple[int, ...] | None = Field(
        None,
        description="Flat indices over the input's shape.",
        min_length=1,
        max_length=1_000_000,
        examples=[[0, 1, 2]],
    )
    mask: tuple[tuple[int, ...], ...] | None = Field(
        None, description="Rows of 0 and 1, as high and wide as the model's input: all channels of the pixels marked 1."
    )
    box: tuple[int, int, int, int] | None = Field(
        None, description="Left, top, right, bottom in pixels of the model's input; right and bottom are excluded."
    )

    @model_validator(mode="after")
    def _check(self) -> SetRequest:
        if sum(given is not None for given in (self.members, self.mask, self.box)) != 1:
            raise ValueError("expected exactly one of members, mask and box")
        return self


def scored(here: Gateway, job: Job, request: SetRequest) -> SetScoreDocument:
    """Score the set as the job scored its own, with the same formula, number of subsets and seed.

    Raises:
        Conflict: The job kept no path gradients.
        InvalidParameters: The set does not lie within the input, or scoring it would take too long.
        NotFound: The job's files are being deleted.
    """
    gradients, difference = (kept_array(here, job, name, otherwise=OTHERWISE) for name in NEEDED)
    result = kept_result(here, job)
    try:
        members = _members(request, tuple(result["players"]["shape"]))
        _check_work(len(members), len(gradients), int(cast(int, job.params["subsets"])))
        found = score(
            gradients,
            difference,
            members,
            formula=cast(Formula, job.params["formula"]),
            subsets=int(cast(int, job.params["subsets"])),
            seed=job.seed,
        )
    except (ValueError, OverflowError) as error:
        raise invalid_at(f"/{_given(request)}", str(error)) from error
    return SetScoreDocument(
        job=job.id,
        members=len(members),
        strength=found.value,
        standard_error=found.standard_error,
        full_set_value=found.full_set_value,
        subsets=found.subsets,
        unit=result["unit"],
    )


def _members(request: SetRequest, shape: tuple[int, ...]) -> NDArray[np.int64]:
    if request.members is not None:
        return np.unique(np.asarray(request.members, dtype=np.int64))
    if len(shape) != 3:
        raise ValueError("the model's input is no picture; send members")
    if request.box is not None:
        return members_of_box(request.box, shape=shape)
    if any(value not in (0, 1) for row in request.mask or () for value in row):
        raise ValueError("expected 0 and 1 in the mask")
    return members_of_mask(request.mask or (), shape=shape)


def _check_work(members: int, points: int, subsets: int) -> None:
    for what, work, limit in (
        ("members x path points", members * points, MAX_GRADIENTS),
        ("members x subsets", members * subsets, MAX_DRAWS),
        ("members x path points x subsets", members * points * subsets, MAX_PRODUCTS),
    ):
        if work > limit:
            raise ValueError(
                f"expected {what} of at most {limit}, got {work}: "
                f"choose a smaller set (this one has {members} members), "
                f"or a job with fewer path_steps ({points} points) or subsets ({subsets})"
            )


def _given(request: SetRequest) -> str:
    return next(name for name in ("members", "mask", "box") if getattr(request, name) is not None)
