"""Train a classifier or regressor, from random weights or from a model: what other methods then explain.

Nothing new is done here: cross-entropy over classes or the squared error of a standardised number, Adam or SGD, early
stopping on rows that are held out. The weights of the epoch with the lowest validation loss are the result.

Source: Kingma and Ba, "Adam", https://arxiv.org/abs/1412.6980
"""

from __future__ import annotations

from torch import Tensor, nn

from jobs.trainings import TrainingResult
from worker.trainings._fitting import Course, curves, fit
from worker.trainings._inputs import Inputs
from worker.trainings._registry import NewModel, Trained, TrainingTask, register_training
from worker.trainings.classifier.goals import Goal, goal_of
from worker.trainings.classifier.params import ClassifierParams
from worker.trainings.classifier.splits import Split, split_of
from worker.trainings.classifier.start import inputs_for, network_for, schedule_of

SOURCE = "https://arxiv.org/abs/1412.6980"


@register_training(
    "classifier",
    title="Classifier or regressor",
    summary="Trains or fine-tunes a network on pictures or a table, with early stopping.",
    source=SOURCE,
    params=ClassifierParams,
    datasets=("table", "images"),
    starts=("model", "architecture"),
    least_rows=4,
    most_inputs=4096,
)
def train(task: TrainingTask, params: ClassifierParams) -> Trained:
    """Train as `params` say; see the module."""
    split = split_of(task.data, share=params.validation, seed=task.seed)
    inputs = inputs_for(task, split.train)
    goal = goal_of(task.data.labels, split.train, balanced=params.balanced)
    network = network_for(task, inputs, goal)

    def batch(rows: Tensor) -> tuple[Tensor, Tensor]:
        return inputs.batch(rows).to(task.device), goal.targets(rows).to(task.device)

    course = fit(
        network, batch, train=split.train, schedule=schedule_of(params), task=task, loss=goal.loss,
        evaluate=lambda network: goal.measured(network, batch, split.validation),
    )  # fmt: skip
    kept = [(f"{task.name[:180]} epoch {epoch}", state, epoch) for epoch, state in sorted(course.kept.items())]
    models = [_model(inputs, goal, *one, network) for one in (*kept, (task.name, course.best, None))]
    return Trained(result=_result(task, params, course, split, goal), models=tuple(models))


def _model(
    inputs: Inputs, goal: Goal, name: str, state: dict[str, Tensor], epoch: int | None, network: nn.Module
) -> NewModel:
    manifest = inputs.manifest.model_copy(update={"name": name, "classes": goal.classes or None})
    return NewModel(state=goal.in_units(network, state), manifest=manifest, epoch=epoch)


def _result(task: TrainingTask, params: ClassifierParams, course: Course, split: Split, goal: Goal) -> TrainingResult:
    best = {name: values[course.best_epoch - 1] for name, values in course.history.items()}
    return TrainingResult(
        method="classifier",
        task=task.data.labels.task,
        metrics={**best, "best_epoch": float(course.best_epoch), "epochs": float(course.epoch)},
        curves=curves(course),
        details={
            "training_rows": len(split.train),
            "validation_rows": len(split.validation),
            "stopped_early": course.epoch < params.epochs,
            "baseline_validation": goal.baseline(split.validation),
        },
        notes=tuple(_notes(params, course)),
    )


def _notes(params: ClassifierParams, course: Course) -> list[str]:
    notes: list[str] = []
    if absent := sorted(set(params.keep_checkpoints) - set(course.kept)):
        notes.append(
            f"Training stopped after epoch {course.epoch}, before the checkpoints {', '.join(map(str, absent))} that "
            "were to be kept."
        )
    if course.best_epoch == params.epochs:
        notes.append("The validation loss was still falling at the last epoch; more epochs may do better.")
    return notes
