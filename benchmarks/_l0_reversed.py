"""Fig. 5: SIGN on the edges that L0-SIGN kept, and on those that it did not.

From either group 20 % to 100 % of the pairs of features are drawn, and SIGN is trained with these as its only edges.
The paper does not say whether both groups are as large; here a third group, drawn from all pairs whatever their gates
and as large as the kept ones, tells what the number of edges does by itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import mean, stdev

import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits

from benchmarks._l0_figure import Point, draw_edges
from benchmarks._l0_trials import Trial, add_spread
from benchmarks._rows import Rows
from worker.methods.l0_sign.explain import PairTable
from worker.methods.l0_sign.model import Design, L0Sign
from worker.methods.l0_sign.pairs import Pairs, pair_keys, pairs_of
from worker.methods.l0_sign.pairs import Rows as Batch
from worker.trainings._fitting import Schedule, fit
from worker.trainings._registry import TrainingTask
from worker.trainings.l0_sign.material import Material
from worker.trainings.l0_sign.measures import accuracy, auc

CONTROL = "random"
MEAN, SPREAD = 0.5, 0.1
"""Of the embeddings at first, as in the main rows."""
SCHEDULE = Schedule(
    epochs=20, batch_size=1024, optimizer="adam", learning_rate=0.01, momentum=0.0, weight_decay=0.0, patience=3,
    minimised="loss",
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Edges:
    """A graph for every row: the pairs of features that are edges.

    Attributes:
        keys: `(edges,)`, sorted.
        features: Of the vocabulary.
    """

    keys: Tensor
    features: int

    def of(self, rows: Batch) -> Pairs:
        """Return the pairs of `rows` that are edges."""
        pairs = pairs_of(rows)
        keys = pair_keys(rows, pairs, features=self.features)
        place = torch.searchsorted(self.keys, keys).clamp(max=len(self.keys) - 1)
        kept = self.keys[place] == keys
        return Pairs(row=pairs.row[kept], first=pairs.first[kept], second=pairs.second[kept], apart=pairs.apart[kept])


def add_reversed(rows: Rows, trials: Sequence[Trial], *, ratios: Sequence[float]) -> None:
    """Add AUC and accuracy of SIGN on each group, one training a trial, ratio and group; and draw them."""
    groups, points = [groups_of(one) for one in trials], list[Point]()
    for group in sorted(set.intersection(*(set(one) for one in groups))):
        for ratio in ratios if group != CONTROL else ratios[-1:]:
            found = [
                sign_on(drawn(groups[at][group], ratio, seed=at), one.material, seed=at)
                for at, one in enumerate(trials)
            ]
            aucs, accuracies, shares = zip(*found, strict=True)
            case = f"twitter_graph, SIGN on {ratio:.0%} of the {group} edges"
            add_spread(rows, "auc", case, aucs, "AUC")
            add_spread(rows, "accuracy", case, accuracies, "of rows")
            add_spread(rows, "edges_kept", case, shares, "of edges")
            points.append(Point(group, mean(shares), mean(aucs), stdev(aucs) if len(aucs) > 1 else 0.0))
    draw_edges(points, seeds=len(trials))


def groups_of(one: Trial) -> dict[str, Edges]:
    """Return all pairs of the data by what their gates are without noise; no group is without pairs."""
    features = one.material.log.features
    table = PairTable.of(one.network, one.material.log.rows)
    open = table.gates > 0
    control = torch.randperm(len(table.keys), generator=torch.Generator().manual_seed(0))[: int(open.sum())]
    keys = {"kept": table.keys[open], "reversed": table.keys[~open], CONTROL: table.keys[control].sort().values}
    return {group: Edges(keys=one, features=features) for group, one in keys.items() if len(one)}


def drawn(edges: Edges, ratio: float, *, seed: int) -> Edges:
    """Draw a share of the edges."""
    generator = torch.Generator().manual_seed(seed)
    chosen = torch.randperm(len(edges.keys), generator=generator)[: round(ratio * len(edges.keys))]
    return Edges(keys=edges.keys[chosen].sort().values, features=edges.features)


def sign_on(edges: Edges, material: Material, *, seed: int) -> tuple[float, float, float]:
    """Train SIGN with these edges alone; return AUC and accuracy on the test rows, and the share of their edges."""
    batches, targets = material.log.rows, material.targets
    generator = torch.Generator().manual_seed(seed)
    network = L0Sign(Design(features=material.log.features, gated=False), generator)
    with torch.no_grad():
        network.nodes[:-1].mul_(SPREAD).add_(MEAN)

    def margins(network: nn.Module, which: Tensor) -> Tensor:
        assert isinstance(network, L0Sign)
        rows = batches.take(which)
        return network.evaluate(rows, edges.of(rows), None).margins

    def loss(network: nn.Module, which: Tensor, wanted: Tensor) -> Tensor:
        return binary_cross_entropy_with_logits(margins(network, which), wanted.float())

    def evaluate(network: nn.Module) -> dict[str, float]:
        which = material.parts.validation
        return {"validation_loss": float(loss(network, which, targets[which]))}

    course = fit(
        network, lambda which: (which, targets[which]), train=material.parts.train, schedule=SCHEDULE,
        task=TrainingTask(data=None, seed=seed), loss=loss, evaluate=evaluate,  # type: ignore[arg-type]
    )  # fmt: skip
    network.load_state_dict(course.best)
    test = material.parts.test
    rows = batches.take(test)
    with torch.no_grad():
        found = margins(network, test)
    share = len(edges.of(rows).row) / len(pairs_of(rows).row)
    return auc(found, targets[test]), accuracy(found, targets[test]), share
