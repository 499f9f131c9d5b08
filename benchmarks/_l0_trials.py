"""One training of L0-SIGN, of SIGN or of a baseline, by the code of the training job."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from statistics import mean, stdev
from typing import Any

from benchmarks._rows import Rows
from worker.methods.l0_sign.losses import Lambdas
from worker.methods.l0_sign.model import L0Sign
from worker.trainings._data import Sets
from worker.trainings._fitting import Course
from worker.trainings._registry import TrainingTask
from worker.trainings._stages import Stages
from worker.trainings.l0_sign.fitting import Measured, measured, network_of, recipe_of, train_network
from worker.trainings.l0_sign.material import Material, material_of
from worker.trainings.l0_sign.params import L0SignParams
from worker.trainings.l0_sign.rivals import trained_rivals

RIVALS = ("fm", "afm", "nfm", "deepfm", "xdeepfm", "autoint")


@dataclass(frozen=True, kw_only=True)
class Trial:
    """A trained network, and what it is worth on rows that nothing was chosen by."""

    network: L0Sign
    material: Material
    course: Course
    test: Measured


def trial(data: Sets, *, seed: int, **params: Any) -> Trial:
    """Train L0-SIGN, or with `gates=False` SIGN; the seed draws the split, the weights and the noise."""
    asked = L0SignParams(**{"chosen_by": "auc", **params})
    material = material_of(data, asked, seed=seed)
    task = TrainingTask(data=data, seed=seed)
    lambdas = Lambdas(gates=float(asked.lambda1), messages=float(asked.lambda2))
    recipe = recipe_of(asked, material, lambdas, gates=asked.gates)
    course = train_network(task, material, recipe)
    network = network_of(recipe, course.best)
    parts, batch = material.parts, material.batch
    test = measured(network, material, parts.test, seed=seed, lambdas=lambdas, batch=batch)
    return Trial(network=network, material=material, course=course, test=test)


def rivals(data: Sets, names: Sequence[str], *, seed: int, **params: Any) -> Iterator[tuple[str, Measured]]:
    """Train baselines on the same split."""
    asked = L0SignParams(**{"chosen_by": "auc", **params}, compare=tuple(names))  # type: ignore[arg-type]
    material = material_of(data, asked, seed=seed)
    stages = Stages(TrainingTask(data=data, seed=seed), epochs=asked.epochs * len(names))
    for rival in trained_rivals(stages, material, asked, Lambdas(gates=0, messages=0)):
        yield rival.name, rival.measured


def add_spread(
    rows: Rows, metric: str, case: str, found: Sequence[float], unit: str, *, peer: str | None = None,
    against: float | None = None,
) -> None:  # fmt: skip
    """Add the mean over seeds, with the standard deviation in the unit; `against`: what the ratio divides by."""
    value = mean(found)
    spread = f" ± {stdev(found):.2g} over {len(found)} seeds" if len(found) > 1 else ", one seed"
    ratio = value / against if against else None
    rows.add(metric=metric, case=case, value=value, unit=f"{unit}{spread}", peer=peer, ratio=ratio)
