"""Train an ensemble as one: own batches, own penalty and own early stopping for each network, one step for all.

The losses are added up, so that no network's gradient feels another's, and Adam works number by number: each network
goes exactly where it would go alone. A network whose validation loss has stopped falling leaves with its best
parameters, and the others go on in a smaller batch.

Some networks at a time take an epoch's steps together: so few that their numbers stay in a core's cache, so many that
the time between matrix products does not count.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import partial

import torch
from torch import Tensor

from worker.methods.nid.course import Course, Fitted
from worker.methods.nid.crew import Crew
from worker.methods.nid.descent import Descent, Recipe, Rows, Standing, joined
from worker.methods.nid.losses import Task, losses
from worker.methods.nid.networks import Design, Parameters, forward

Watch = Callable[[int, int, float], None]
"""`watch(epoch, networks still training, best mean validation loss)`; may raise to cancel."""

_ROWS_AT_ONCE = 500
_NUMBERS_AT_ONCE = 130_000
"""Of a group of networks at most: with slopes and Adam's means 2 MB, and five of the paper's networks."""
_WORTH_A_THREAD = 30_000
"""Numbers of a group at least, before another thread gets one: below, Python takes longer than the computation."""


def train(
    design: Design,
    rows: Rows,
    validation: Rows,
    recipe: Recipe,
    *,
    seeds: Sequence[int],
    watch: Watch = lambda epoch, training, loss: None,
) -> Fitted:
    """Train every network of `design` on `rows`; network k draws its parameters and batches by `seeds[k]`."""
    return finish(Course.fresh(design, seeds), rows, validation, recipe, watch=watch)


def finish(
    course: Course,
    rows: Rows,
    validation: Rows,
    recipe: Recipe,
    *,
    watch: Watch = lambda epoch, training, loss: None,
    beat: Callable[[int], None] = lambda epochs: None,
    keep: Callable[[], None] = lambda: None,
) -> Fitted:
    """Train the networks of a course from where they are to the end; `course` moves with them.

    Args:
        beat: Called often with the epochs that are done; may raise to cancel.
        keep: Called after every epoch, when `course` can be laid down.
    """
    with Crew() as crew:
        while course.epoch < recipe.epochs and len(course.standing.names):
            _train_an_epoch(course, rows, validation, recipe, crew, lambda: beat(course.epoch))
            watch(course.epoch, len(course.standing.names), float(course.fitted.loss.mean()))
            keep()
    return course.fitted


def _train_an_epoch(
    course: Course, rows: Rows, validation: Rows, recipe: Recipe, crew: Crew, beat: Callable[[], None]
) -> None:
    rate = recipe.learning_rate * recipe.decay**course.epoch

    def descend(standing: Standing, check: Callable[[], None]) -> tuple[Standing, Tensor]:
        descent = Descent(standing, recipe)
        descent.run(rows, course.orders(standing, len(rows.x)), learning_rate=rate, beat=check)
        after = descent.standing()
        return after, evaluate(after.design, after.parameters, validation, recipe.task)

    groups = _groups(course.standing, crew.threads)
    after, found = zip(*crew.run([partial(descend, group) for group in groups], beat), strict=True)
    course.record(joined(course.standing, after), torch.cat(found), patience=recipe.patience)


def _groups(standing: Standing, threads: int) -> list[Standing]:
    """Cut networks into groups that are trained one after the other, or by different threads."""
    members = torch.arange(standing.design.members)
    numbers = standing.parameters.deep.numel() + standing.parameters.mains.numel()
    for_threads = min(threads, numbers // _WORTH_A_THREAD)
    count = min(len(members), max(1, for_threads, math.ceil(numbers / _NUMBERS_AT_ONCE)))
    return [standing.of((members >= group[0]) & (members <= group[-1])) for group in members.tensor_split(count)]


@torch.no_grad()
def evaluate(design: Design, parameters: Parameters, rows: Rows, task: Task) -> Tensor:
    """Return every network's mean loss, `(members,)`."""
    total = torch.zeros(design.members)
    for x, y in zip(_chunks(rows.x), _chunks(rows.y), strict=True):
        spread = x.expand(design.members, *x.shape)
        total += len(x) * losses(forward(design, parameters, spread), y.expand(design.members, *y.shape), task)
    return total / len(rows.x)


@torch.no_grad()
def predict(design: Design, parameters: Parameters, x: Tensor) -> Tensor:
    """Evaluate every network on the same rows: `(rows, inputs)` to `(members, rows, outputs)`."""
    parts = [forward(design, parameters, part.expand(design.members, *part.shape)) for part in _chunks(x)]
    return torch.cat(parts, dim=1)


def _chunks(rows: Tensor) -> tuple[Tensor, ...]:
    parts: tuple[Tensor, ...] = torch.split(rows, _ROWS_AT_ONCE)
    return parts
