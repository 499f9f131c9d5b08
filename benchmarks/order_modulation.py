"""Order modulation: the paper's four networks on digits and on the adult census, with seeds and spreads.

    python -m benchmarks.order_modulation [--quick] [--seeds N]

What a training job does is done as it is (`worker.trainings.order_modulation.train`), from random weights, once for
each preset and seed: normal, low-order (suppress 0.7 to 1), mid-order (encourage 0.3 to 0.7) and high-order (suppress
0 to 0.5), all with weight 1. Digits: a CNN, 500 rows to learn from and 500 held out, 12 cells as players. Adult
census: an MLP of five linear layers, 1500 rows each, 12 columns as players. J^(m) is exact (4096 coalitions a row).

Everything is of the last epoch's network, as the paper has it. `loss_gap` is held-out minus training loss. `holds`
counts the seeds in which a statement of the paper (Sec. 6, Tables II to IV) is found. All other rows are means over
seeds with the standard deviation beside them.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.resources import files

import numpy as np
import pandas as pd
import torch

from benchmarks import _digits
from benchmarks._rows import Rows
from jobs.modulation import Findings
from jobs.schemas import Architecture, SequentialArchitecture
from worker.trainings._data import Data, Feature, Images, Labels, Table
from worker.trainings._registry import TrainingTask
from worker.trainings.order_modulation import OrderModulationParams, train

PRESETS = ("normal", "low-order", "mid-order", "high-order")
DIGITS, CENSUS = 1000, 3000
# `fnlwgt` is a sampling weight, and `education-num` the same as `education`.
LEFT_OUT = ("class", "fnlwgt", "education-num")


@dataclass(frozen=True, kw_only=True)
class Study:
    """A dataset and the network that learns it."""

    name: str
    data: Callable[[int], Data]
    architecture: Architecture
    params: dict[str, object]


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """One network."""

    found: Findings

    @property
    def strength(self) -> torch.Tensor:
        """J^(m), `(orders,)`."""
        relative = self.found.contexts.relative
        return torch.tensor(relative.values if relative else (), dtype=torch.float64)

    def third(self, which: int) -> float:
        """Average J over the low (0), middle (1) or high (2) third of the orders."""
        return float(self.strength.tensor_split(3)[which].mean())

    @property
    def robust(self) -> float:
        """Accuracy under attack, mean over the epsilons."""
        return sum(one.accuracy.value for one in self.found.attacks[1:]) / len(self.found.attacks[1:])


Outcomes = dict[str, Outcome]


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.order_modulation", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="one seed, a fifth of the epochs: a minute")
    parser.add_argument("--seeds", type=int, default=3)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    seeds = range(1 if arguments.quick else arguments.seeds)
    epochs = 12 if arguments.quick else 60
    with Rows("order_modulation", threads=1) as rows:
        for study in STUDIES:
            outcomes = [run(study, seed, epochs=epochs) for seed in seeds]
            add_numbers(rows, study, outcomes)
            add_statements(rows, study, outcomes)


def run(study: Study, seed: int, *, epochs: int) -> Outcomes:
    """Train all four networks on the same rows from the same weights."""
    return {preset: trained(study, preset, seed, epochs=epochs) for preset in PRESETS}


def trained(study: Study, preset: str, seed: int, *, epochs: int) -> Outcome:
    """Train one network."""
    started = time.process_time()
    params = OrderModulationParams.model_validate(
        {"preset": preset, "epochs": epochs, "patience": None, "returned": "last", "validation": 0.5, **study.params}
    )
    task = TrainingTask(data=study.data(seed), architecture=study.architecture, seed=seed)
    result = train(task, params).result
    if result.modulation is None:
        raise ValueError("expected what the modulation did")
    print(f"{study.name}, {preset}, seed {seed}: {time.process_time() - started:.0f} CPU s", flush=True)
    return Outcome(found=result.modulation.after)


def digits(seed: int) -> Images:
    """Return a thousand of scikit-learn's digits; which of them are held out follows from the seed."""
    del seed
    x, y = _digits.pictures()
    labels = Labels(task="multiclass", values=y[:DIGITS], classes=tuple("0123456789"))
    return Images(pixels=x[:DIGITS], labels=labels)


def census(seed: int) -> Table:
    """Return rows of the adult census as shapiq ships it, drawn by the seed."""
    frame = pd.read_csv(str(files("shapiq") / "datasets" / "data" / "adult_census.csv")).sample(
        CENSUS, random_state=seed
    )
    features = tuple(_feature(name, frame[name]) for name in frame.columns if name not in LEFT_OUT)
    rich = torch.from_numpy((frame["class"] == ">50K").to_numpy().astype(np.int64))
    return Table(features=features, labels=Labels(task="binary", values=rich, classes=("<=50K", ">50K")), rows=CENSUS)


def _feature(name: str, column: pd.Series) -> Feature:
    if pd.api.types.is_numeric_dtype(column):
        return Feature(name=name, values=torch.from_numpy(column.to_numpy().astype(np.float64)))
    codes, categories = pd.factorize(column, sort=True)
    return Feature(name=name, values=torch.from_numpy(codes).int(), categories=tuple(map(str, categories)))


def _layers(*layers: dict[str, object]) -> SequentialArchitecture:
    return SequentialArchitecture.model_validate({"family": "sequential", "layers": layers})


def _linear(*sizes: int) -> list[dict[str, object]]:
    hidden = [layer for size in sizes[:-1] for layer in ({"type": "linear", "outputs": size}, {"type": "relu"})]
    return [*hidden, {"type": "linear", "outputs": sizes[-1]}]


def _convolution(outputs: int) -> list[dict[str, object]]:
    return [{"type": "conv2d", "inputs": 1, "outputs": outputs, "kernel": 3, "padding": 1}, {"type": "relu"}]


STUDIES = (
    Study(
        name="digits",
        data=digits,
        architecture=_layers(
            *_convolution(16), {"type": "conv2d", "outputs": 32, "kernel": 3, "padding": 1}, {"type": "relu"},
            {"type": "max-pool", "kernel": 2}, {"type": "flatten"}, *_linear(64, 10),
        ),
        params={
            "batch_size": 50, "learning_rate": 2e-3, "grid_rows": 4, "grid_columns": 3, "baseline": "training-mean",
            "measured_inputs": 20, "epsilons": (0.05, 0.1),
        },
    ),
    Study(
        name="adult census",
        data=census,
        architecture=_layers(*_linear(100, 100, 100, 100, 2)),
        params={"batch_size": 50, "learning_rate": 1e-3, "measured_inputs": 50, "epsilons": (0.1, 0.2, 0.4)},
    ),
)  # fmt: skip


def add_numbers(rows: Rows, study: Study, outcomes: Sequence[Outcomes]) -> None:
    """Add what the paper's tables hold, and J^(m)."""
    for preset in PRESETS:
        found = [outcome[preset] for outcome in outcomes]
        case = f"{study.name}, {preset}"
        add_spread(rows, "accuracy", case, [one.found.accuracy.value for one in found], "of rows")
        add_spread(rows, "train_loss", case, [one.found.train_loss for one in found], "nats")
        add_spread(rows, "loss_gap", case, [one.found.loss_gap for one in found], "nats")
        for at, attack in list(enumerate(found[0].found.attacks))[1:]:
            values = [one.found.attacks[at].accuracy.value for one in found]
            add_spread(rows, "pgd_accuracy", f"{case}, epsilon {attack.epsilon:g}", values, "of rows")
        if found[0].found.structure is not None:
            add_spread(rows, "structure", case, [one.found.structure or 0.0 for one in found], "of rows")
        for at, order in enumerate(found[0].found.contexts.orders):
            add_spread(rows, "strength", f"{case}, m = {order}", [float(one.strength[at]) for one in found], "of mean")


def add_statements(rows: Rows, study: Study, outcomes: Sequence[Outcomes]) -> None:
    """Count the seeds in which the paper's statements hold."""
    for name, holds in STATEMENTS.items():
        if name.startswith("structure") and outcomes[0]["normal"].found.structure is None:
            continue
        share = sum(map(holds, outcomes)) / len(outcomes)
        rows.add(metric="holds", case=f"{study.name}: {name}", value=share, unit="of seeds")


def add_spread(rows: Rows, metric: str, case: str, found: Sequence[float], unit: str) -> None:
    """Add a mean and, of several, its standard deviation over seeds."""
    values = torch.tensor(found, dtype=torch.float64)
    rows.add(metric=metric, case=case, value=float(values.mean()), unit=unit)
    if len(found) > 1:
        rows.add(metric=metric, case=f"{case}, deviation over seeds", value=float(values.std()), unit=unit)


def _structure(outcome: Outcome) -> float:
    return outcome.found.structure or 0.0


STATEMENTS: dict[str, Callable[[Outcomes], bool]] = {
    "mid lifts middle orders above normal": lambda of: of["mid-order"].third(1) > of["normal"].third(1),
    "high empties low orders below normal": lambda of: of["high-order"].third(0) < of["normal"].third(0),
    "low empties high orders below normal": lambda of: of["low-order"].third(2) < of["normal"].third(2),
    "PGD: low > normal": lambda of: of["low-order"].robust > of["normal"].robust,
    "PGD: low > high": lambda of: of["low-order"].robust > of["high-order"].robust,
    "PGD: normal > high": lambda of: of["normal"].robust > of["high-order"].robust,
    "PGD: mid between low and high": lambda of: (
        of["low-order"].robust > of["mid-order"].robust > of["high-order"].robust
    ),
    "training loss: low > normal": lambda of: of["low-order"].found.train_loss > of["normal"].found.train_loss,
    "training loss: normal >= high": lambda of: of["normal"].found.train_loss >= of["high-order"].found.train_loss,
    "loss gap: low < normal": lambda of: of["low-order"].found.loss_gap < of["normal"].found.loss_gap,
    "loss gap: normal < high": lambda of: of["normal"].found.loss_gap < of["high-order"].found.loss_gap,
    "accuracies within 3 points": lambda of: (
        max(one.found.accuracy.value for one in of.values()) - min(one.found.accuracy.value for one in of.values())
        <= 0.03
    ),
    "structure: high > low": lambda of: _structure(of["high-order"]) > _structure(of["low-order"]),
    "structure: mid between low and high": lambda of: (
        _structure(of["low-order"]) < _structure(of["mid-order"]) < _structure(of["high-order"])
    ),
}


if __name__ == "__main__":
    main()
