"""The two phases of training seen through AND-OR interactions: the paper's story on digits, with seeds and spreads.

    python -m benchmarks.and_or_dynamics [--quick] [--seeds N]

A CNN learns 400 digits of which 40 have redrawn labels, until it has learned those by heart. At six checkpoints the
sparsest AND-OR model of every explained test digit is solved: 10 of the 16 cells of 2 x 2 on the first ReLU's map are
players, absence is zero, v is the log-odds of the true class. Per checkpoint: the mean order and number of salient
interactions, the spindle's share (mode `self`, at three sizes of delta, because it hangs on that; and mode `later`,
against the last checkpoint), and the loss gap, test minus training.

Then, at the checkpoint with the lowest test loss: how much the interactions change (Eq. 5, from I_noisy - I) when noise
of a relative size enters the weights, or when the input takes an FGSM step; and how much the interactions of training
and of test digits of one class have in common, order by order (Definition 2.2).

`holds` counts the seeds in which a statement of the paper is found. Every other row is a mean over seeds with the
standard deviation beside it. The figure goes to `results/and_or_dynamics.png`.
"""

from __future__ import annotations

import argparse
import copy
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

import torch
from scipy.stats import spearmanr
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from benchmarks import _digits
from benchmarks._rows import RESULTS, Rows
from jobs.order_profiles import Checkpoint, Disentangling, OrderProfile, SignedProfile
from jobs.schemas import Explained, Explanation, Players, Target
from worker.methods import _games
from worker.methods._masking import Masking
from worker.methods._players import chosen, grid_cells
from worker.methods._values import value_function
from worker.methods.and_or import orders, solver
from worker.methods.and_or.disentangling import disentangle
from worker.methods.and_or.problem import sparse_problem
from worker.render.dynamics import dynamics

PLAYERS = 10
TRAINING, REDRAWN = 400, 40
EPOCHS = (0, 3, 8, 20, 60, 150)
NOISE = (0.1, 0.2, 0.4)
STEPS = (2 / 255, 4 / 255, 8 / 255, 16 / 255)
DELTAS = (1e-3, 1e-2, 1e-1)
COMPARED_CLASS = 0
TOLERANCE = 1e-3  # of the solver: orders differ by thousandths, checkpoints by tenths


@dataclass(frozen=True, kw_only=True)
class Moment:
    """A network at some epoch, its losses, and the AND-OR interactions of the explained digits.

    Attributes:
        tables: `(samples, 2^n)`; atoms: `(samples, 2, 2^n)`.
    """

    epoch: int
    network: nn.Sequential
    loss: float
    test_loss: float
    tables: Tensor
    atoms: Tensor

    @property
    def threshold(self) -> float:
        return orders.salience_threshold(self.tables)

    @property
    def profile(self) -> Tensor:
        """A^(m)± of the salient interactions over Z, `(2, n)`."""
        salient = orders.order_profile(self.atoms, threshold=self.threshold).mean(0)
        return salient / orders.normaliser(self.atoms, threshold=self.threshold)

    @property
    def gauges(self) -> dict[str, float]:
        return {
            "mean_order": float(orders.mean_order(self.profile)),
            "salient": float(orders.salient(self.atoms, self.threshold).sum()) / len(self.atoms),
            "loss_gap": self.test_loss - self.loss,
        }

    def spindle_share(self, delta: float) -> float:
        """Disentangle the profile in mode `self`."""
        return disentangle(_mean_profile(self), self.atoms, mode="self", delta=delta).spindle_share


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.and_or_dynamics", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="one seed, two digits, three checkpoints: a minute")
    parser.add_argument("--seeds", type=int, default=5)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    samples, epochs = (2, (0, 8, 60)) if arguments.quick else (8, EPOCHS)
    seeds = range(1 if arguments.quick else arguments.seeds)
    stories = [story(seed, samples=samples, epochs=epochs) for seed in seeds]
    with Rows("and_or_dynamics", threads=1) as rows:
        add_checkpoints(rows, stories)
        add_disturbances(rows, stories)
        add_similarities(rows, stories)
        add_statements(rows, stories)
    draw(stories)


@dataclass(frozen=True, kw_only=True)
class Story:
    """What one seed showed.

    Attributes:
        moments: By epoch.
        weights, inputs: ΔA^(m)± `(2, n)` by size of the disturbance, of the best checkpoint, over its Z.
        similarity: Jaccard by order of training and test digits of one class, `(n,)`, of the best and last checkpoint.
    """

    moments: Sequence[Moment]
    weights: dict[float, Tensor]
    inputs: dict[float, Tensor]
    similarity: tuple[Tensor, Tensor]

    @property
    def best(self) -> Moment:
        return min(self.moments, key=lambda moment: moment.test_loss)


def story(seed: int, *, samples: int, epochs: Sequence[int]) -> Story:
    """Train one network, and follow its interactions."""
    shown = list(range(_digits.TRAINING, _digits.TRAINING + samples))
    moments = []
    for epoch, network, loss, test_loss in training(seed, epochs):
        print(f"seed {seed}: epoch {epoch}, loss {loss:.3f}, test loss {test_loss:.3f}", flush=True)
        tables, atoms = explained(network, shown, seed=seed)
        moments.append(Moment(epoch=epoch, network=network, loss=loss, test_loss=test_loss, tables=tables, atoms=atoms))
    best = min(moments, key=lambda moment: moment.test_loss)
    print(f"seed {seed}: disturbances of epoch {best.epoch}", flush=True)
    return Story(
        moments=moments,
        weights={size: change(best, noisy(best.network, size, seed=seed), shown, seed=seed) for size in NOISE},
        inputs={step: change(best, best.network, shown, seed=seed, step=step) for step in STEPS},
        similarity=(similarity(best.network, samples, seed=seed), similarity(moments[-1].network, samples, seed=seed)),
    )


def training(seed: int, epochs: Sequence[int]) -> Iterator[tuple[int, nn.Sequential, float, float]]:
    """Train on digits of which some have redrawn labels; yield the network and both losses at `epochs`."""
    torch.manual_seed(seed)
    x, y = _digits.pictures()
    labels = y[:TRAINING].clone()
    labels[torch.randperm(TRAINING)[:REDRAWN]] = torch.randint(10, (REDRAWN,))
    network = nn.Sequential(
        nn.Conv2d(1, 32, 3, padding=1), nn.ReLU(), nn.Conv2d(32, 64, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
        nn.Flatten(), nn.Linear(1024, 128), nn.ReLU(), nn.Linear(128, 10),
    )  # fmt: skip
    optimizer = torch.optim.SGD(network.parameters(), 0.02, momentum=0.9)
    for epoch in range(max(epochs) + 1):
        if epoch in epochs:
            frozen = copy.deepcopy(network).requires_grad_(False)
            yield (
                epoch,
                frozen,
                *(
                    float(cross_entropy(frozen(part), truth))
                    for part, truth in ((x[:TRAINING], labels), (x[TRAINING:], y[TRAINING:]))
                ),
            )
        for batch in torch.randperm(TRAINING).split(50):
            optimizer.zero_grad()
            cross_entropy(network(x[batch]), labels[batch]).backward()
            optimizer.step()


def explained(network: nn.Sequential, shown: Sequence[int], *, seed: int, step: float = 0.0) -> tuple[Tensor, Tensor]:
    """Return the tables and interactions of some digits, after an FGSM step where one is given."""
    tables = torch.stack([table(network, index, seed=seed, step=step) for index in shown])
    band = orders.salience_threshold(tables)  # the paper's zeta and tau are the same share of the same mean
    return tables, solver.solve(sparse_problem(tables, band), tolerance=TOLERANCE).atoms


@torch.no_grad()
def table(network: nn.Sequential, index: int, *, seed: int, step: float) -> Tensor:
    """Evaluate all masked states of one digit: `(2^n,)`. The players are the same cells for every digit of a seed."""
    x, y = _digits.pictures()
    start, rest = network[:2], network[2:]
    picture = fgsm(network, x[index], y[index], step) if step else x[index]
    features = start(picture[None])[0]
    cells = torch.randperm(16, generator=torch.Generator().manual_seed(seed))[:PLAYERS].sort().values
    labels = chosen(grid_cells(8, 8, rows=4, columns=4), cells.tolist())
    masking = Masking(input=features, baseline=torch.zeros(()), labels=labels)
    value = value_function("log-odds", Target(index=int(y[index])))
    return _games.table(_games.Game(rest, masking, value, chunk=1024))


@torch.enable_grad()
def fgsm(network: nn.Module, picture: Tensor, label: Tensor, step: float) -> Tensor:
    """Step along the sign of the loss's gradient."""
    moved = picture.clone().requires_grad_()
    (slope,) = torch.autograd.grad(cross_entropy(network(moved[None]), label[None]), moved)
    return (picture + step * slope.sign()).detach()


def noisy(network: nn.Sequential, size: float, *, seed: int) -> nn.Sequential:
    """Add Gaussian noise to every weight tensor, `size` times its root mean square."""
    generator = torch.Generator().manual_seed(seed)
    disturbed = copy.deepcopy(network)
    with torch.no_grad():
        for weight in disturbed.parameters():
            scale = size * weight.square().mean().sqrt()
            weight += scale * torch.randn(weight.shape, generator=generator)
    return disturbed


def change(clean: Moment, network: nn.Sequential, shown: Sequence[int], *, seed: int, step: float = 0.0) -> Tensor:
    """Compute ΔA^(m)±, order by order, of I_noisy - I, over the clean network's Z: `(2, n)`."""
    _, atoms = explained(network, shown, seed=seed, step=step)
    scale = orders.normaliser(clean.atoms, threshold=clean.threshold)
    return orders.order_profile(atoms - clean.atoms).mean(0) / scale


def similarity(network: nn.Sequential, samples: int, *, seed: int) -> Tensor:
    """Compare training and test digits of one class: `(n,)`."""
    _, y = _digits.pictures()
    of_class = (y == COMPARED_CLASS).nonzero().flatten()
    seen, unseen = (part[:samples].tolist() for part in (of_class[of_class < TRAINING], of_class[of_class >= TRAINING]))
    one, two = (explained(network, shown, seed=seed)[1] for shown in (seen, unseen))
    return orders.jaccard_by_order(one, two)


def add_checkpoints(rows: Rows, stories: Sequence[Story]) -> None:
    """Add the gauges at every checkpoint."""
    for moments in zip(*(story.moments for story in stories), strict=True):
        gauges = [moment.gauges for moment in moments]
        epoch = f"epoch {moments[0].epoch}"
        for name, unit in (("mean_order", "players"), ("salient", "interactions"), ("loss_gap", "nats")):
            add_spread(rows, name, epoch, [gauge[name] for gauge in gauges], unit)
        for delta in DELTAS:
            shares = [moment.spindle_share(delta) for moment in moments]
            add_spread(rows, "spindle_share", f"{epoch}, delta {delta:g}", shares, "of strength")
        later = [
            disentangle(_mean_profile(moment), story.moments[-1].atoms, mode="later")
            for moment, story in zip(moments, stories, strict=True)
        ]
        add_spread(rows, "spindle_share", f"{epoch}, later", [fit.spindle_share for fit in later], "of strength")
        add_spread(rows, "fit_error", f"{epoch}, later", [fit.error for fit in later], "of profile")


def add_disturbances(rows: Rows, stories: Sequence[Story]) -> None:
    """Add how strong the newly emerged interactions are, and of which order."""
    for what, sizes, of in (
        ("weight noise", NOISE, lambda story: story.weights), ("FGSM step", STEPS, lambda story: story.inputs),
    ):  # fmt: skip
        for size in sizes:
            changes = [of(story)[size] for story in stories]
            case = f"{what} {size:.3g}"
            add_spread(rows, "emerged_strength", case, [float(one.sum()) for one in changes], "of Z")
            add_spread(rows, "emerged_mean_order", case, [float(orders.mean_order(one)) for one in changes], "players")


def add_similarities(rows: Rows, stories: Sequence[Story]) -> None:
    """Add the Jaccard similarity of training and test digits of one class, and whether it falls with the order."""
    for at, name in enumerate(("best", "last")):
        for order in range(1, PLAYERS + 1):
            found = [float(story.similarity[at][order - 1]) for story in stories]
            add_spread(rows, "jaccard", f"{name} checkpoint, order {order}", found, "of strength")
        ranks = [_rank_correlation(story.similarity[at]) for story in stories]
        add_spread(rows, "jaccard_rank_correlation", f"{name} checkpoint", ranks, "with the order")


def add_statements(rows: Rows, stories: Sequence[Story]) -> None:
    """Count the seeds in which the paper's statements hold."""
    for name, holds in STATEMENTS.items():
        rows.add(metric="holds", case=name, value=sum(map(holds, stories)) / len(stories), unit="of seeds")


def add_spread(rows: Rows, metric: str, case: str, found: Sequence[float], unit: str) -> None:
    """Add a mean and, of several, its standard deviation over seeds."""
    values = torch.tensor(found, dtype=torch.float64)
    rows.add(metric=metric, case=case, value=float(values.mean()), unit=unit)
    if len(found) > 1:
        rows.add(metric=metric, case=f"{case}, deviation over seeds", value=float(values.std()), unit=unit)


def _mean_profile(moment: Moment) -> Tensor:
    return orders.order_profile(moment.atoms).mean(0)


def _peak(moment: Moment) -> int:
    """Return the order of greatest strength."""
    return int(moment.profile.sum(0).argmax()) + 1


def _mean_order(moment: Moment) -> float:
    return moment.gauges["mean_order"]


def _grows(changes: dict[float, Tensor]) -> bool:
    totals = [float(changes[size].sum()) for size in sorted(changes)]
    return totals == sorted(totals)


def _late_change(story: Story) -> Tensor:
    return (story.moments[-1].profile - story.best.profile).sum(0)


def _rank_correlation(similarity: Tensor) -> float:
    """Compute Spearman's correlation of a quantity by order with the order."""
    return float(spearmanr(range(len(similarity)), similarity).statistic)


def _shares_fall(delta: float, story: Story) -> bool:
    return story.moments[0].spindle_share(delta) > story.best.spindle_share(delta)


def _shares_rise(delta: float, story: Story) -> bool:
    return story.moments[-1].spindle_share(delta) > story.best.spindle_share(delta)


def draw(stories: Sequence[Story]) -> None:
    """Write the figure: the service's own picture of a sequence, of means over seeds."""
    best = min(range(len(stories[0].moments)), key=lambda at: sum(story.moments[at].test_loss for story in stories))
    profiles = [_seed_mean([story.moments[at] for story in stories]) for at in range(len(stories[0].moments))]
    explanation = Explanation(
        method="and-or",
        explained=Explained(index=0, label="the true class of each digit", value=_mean_log_odds(stories, best)),
        unit="strength over Z, mean over seeds",
        players=Players(kind="patch", shape=(PLAYERS,)),
    )
    sequence = [
        Checkpoint(
            model=f"epoch-{moment.epoch}",
            name=f"epoch {moment.epoch}",
            orders=profile,
            # Between initialisation and the best checkpoint strength goes; what comes back after it is what counts.
            emerged=_signed(_tensor(profile) - _tensor(profiles[best])) if at > best else None,
        )
        for at, (moment, profile) in enumerate(zip(stories[0].moments, profiles, strict=True))
    ]
    (RESULTS / "and_or_dynamics.png").write_bytes(dynamics(explanation, sequence))


def _seed_mean(moments: Sequence[Moment]) -> OrderProfile:
    """Average one checkpoint over seeds, everything over Z, and disentangle the mean."""
    scales = [orders.normaliser(moment.atoms, threshold=moment.threshold) for moment in moments]
    atoms = torch.cat([moment.atoms / scale for moment, scale in zip(moments, scales, strict=True)])
    every = orders.order_profile(atoms).mean(0)
    salient = torch.stack([moment.profile for moment in moments]).mean(0)
    fit = disentangle(every, atoms, mode="self", delta=DELTAS[-1])
    return OrderProfile(
        all=_signed(every),
        salient=_signed(salient),
        threshold=sum(moment.threshold / scale for moment, scale in zip(moments, scales, strict=True)) / len(moments),
        salient_count=round(sum(moment.gauges["salient"] for moment in moments) / len(moments)),
        mean_order=sum(_mean_order(moment) for moment in moments) / len(moments),
        disentangled=Disentangling(
            mode="self", alpha=fit.alpha, beta=fit.beta, gamma=fit.gamma, delta=fit.delta, decay=_signed(fit.decay),
            spindle=_signed(fit.spindle), residual=_signed(fit.residual), spindle_share=fit.spindle_share,
            error=fit.error,
        ),
    )  # fmt: skip


def _mean_log_odds(stories: Sequence[Story], at: int) -> float:
    return sum(float(story.moments[at].tables[:, -1].mean()) for story in stories) / len(stories)


def _signed(profile: Tensor) -> SignedProfile:
    positive, negative = profile.tolist()
    return SignedProfile(positive=tuple(positive), negative=tuple(negative))


def _tensor(profile: OrderProfile) -> Tensor:
    return torch.tensor([profile.salient.positive, profile.salient.negative], dtype=torch.float64)


STATEMENTS: dict[str, Callable[[Story], bool]] = {
    "at initialisation the profile peaks at order 2 or above": lambda story: _peak(story.moments[0]) >= 2,
    "mean order: initial > best": lambda story: _mean_order(story.moments[0]) > _mean_order(story.best),
    "mean order: best < overfitted": lambda story: _mean_order(story.best) < _mean_order(story.moments[-1]),
    **{f"spindle share: initial > best, delta {delta:g}": partial(_shares_fall, delta) for delta in DELTAS},
    **{f"spindle share: best < overfitted, delta {delta:g}": partial(_shares_rise, delta) for delta in DELTAS},
    "newly emerged: strongest at order 2 or above": lambda story: int(_late_change(story).argmax()) + 1 >= 2,
    "the change grows with weight noise": lambda story: _grows(story.weights),
    "the change grows with the FGSM step": lambda story: _grows(story.inputs),
    "similarity falls with the order, best checkpoint": lambda story: _rank_correlation(story.similarity[0]) < 0,
    "similarity falls with the order, last checkpoint": lambda story: _rank_correlation(story.similarity[1]) < 0,
}


if __name__ == "__main__":
    main()
