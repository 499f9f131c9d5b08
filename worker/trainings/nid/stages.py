"""The stages of a search that train: they report what they do, and go on after a kill where they were.

A save point holds where every stage is, the finished ones too: what lies between stages follows from them again.
"""

from __future__ import annotations

from torch import Tensor

from worker.methods.nid.course import Course, Fitted
from worker.methods.nid.descent import Recipe, Rows
from worker.methods.nid.networks import Design
from worker.methods.nid.training import finish
from worker.trainings._registry import SavePoint, TrainingTask

_SEEDS_APART = 1_000_003  # a prime: networks of neighbouring seeds do not meet


class Stages:
    """Trains ensembles one after the other for a task, each under a name of its own."""

    def __init__(self, task: TrainingTask) -> None:
        self._task = task
        self._courses: dict[str, Course] = {}
        point = task.checkpoints.latest()
        self._saved: dict[str, dict[str, Tensor]] = {}
        for name, tensor in (point.tensors if point else {}).items():
            stage, _, rest = name.partition("/")
            self._saved.setdefault(stage, {})[rest] = tensor

    def train(
        self, stage: str, design: Design, rows: Rows, validation: Rows, recipe: Recipe, *, first: int = 0
    ) -> Fitted:
        """Train an ensemble, or what is left of its training.

        Args:
            first: Number of its first network among the networks of all stages, for the seeds.

        Raises:
            JobCanceled: Out of the task's `report`.
        """
        saved = self._saved.get(stage)
        if saved:
            course = Course.restored(design, saved)
        else:
            course = Course.fresh(design, _seeds(self._task.seed, design.members, first=first))
        self._courses[stage] = course
        reporter = _Reporter(self._task, stage, recipe.epochs)
        return finish(course, rows, validation, recipe, watch=reporter.watch, beat=reporter.beat, keep=self._keep)

    def _keep(self) -> None:
        """Save where all stages are, if it is time."""
        if not self._task.checkpoints.due():
            return
        tensors = {
            f"{stage}/{name}": tensor
            for stage, course in self._courses.items()
            for name, tensor in course.tensors().items()
        }
        epochs = sum(course.epoch for course in self._courses.values())
        self._task.checkpoints.save(SavePoint(epoch=epochs, tensors=tensors, values={}))


class _Reporter:
    """Reports a training by epoch, and what its last epoch measured again and again during the next."""

    def __init__(self, task: TrainingTask, stage: str, epochs: int) -> None:
        self._task, self._stage, self._epochs = task, stage, epochs
        self._metrics: dict[str, float] = {}

    def watch(self, epoch: int, training: int, loss: float) -> None:
        """Report an epoch: how many networks still train, and the mean of their best losses."""
        self._metrics = {"networks_training": float(training), "validation_loss": loss}
        self.beat(epoch)

    def beat(self, epochs: int) -> None:
        """Report that `epochs` are done; raises when the job was canceled."""
        self._task.report(self._stage, epochs, self._epochs, self._metrics)


def _seeds(seed: int, members: int, *, first: int) -> list[int]:
    return [(seed * _SEEDS_APART + first + member) % 2**63 for member in range(members)]
