"""Where the training of an ensemble is, and how it can be laid down and taken up again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from worker.methods.nid.descent import Standing
from worker.methods.nid.networks import Design, Parameters, initial


@dataclass(frozen=True)
class Fitted:
    """Trained networks, each as it was in its best epoch.

    Attributes:
        loss: `(members,)`, on the validation rows.
        epochs: `(members,)`, until the best one.
        history: Validation loss by epoch, a list for each network.
    """

    design: Design
    parameters: Parameters
    loss: Tensor
    epochs: Tensor
    history: list[list[float]]


@dataclass
class Course:
    """A training between two epochs.

    Attributes:
        epoch: Epochs that are done.
        standing: The networks that are still training.
        generators: Of every network, for the order of its rows.
        fitted: What every network was like in its best epoch so far; changed in place.
    """

    epoch: int
    standing: Standing
    generators: list[torch.Generator]
    fitted: Fitted

    @classmethod
    def fresh(cls, design: Design, seeds: Sequence[int]) -> Course:
        """Begin; network k draws its parameters and orders by `seeds[k]`."""
        generators = [torch.Generator().manual_seed(seed) for seed in seeds]
        parameters = initial(design, generators)
        best = Parameters(parameters.deep.clone(), parameters.mains.clone())
        loss, epochs = torch.full((design.members,), torch.inf), torch.zeros(design.members, dtype=torch.int64)
        fitted = Fitted(design, best, loss, epochs, [[] for _ in range(design.members)])
        return cls(0, Standing.fresh(design, parameters), generators, fitted)

    def orders(self, standing: Standing, rows: int) -> Tensor:
        """Draw the order in which networks see their rows in the next epoch: `(members, rows)`."""
        generators = (self.generators[name] for name in standing.names.tolist())
        return torch.stack([torch.randperm(rows, generator=generator) for generator in generators])

    def record(self, standing: Standing, losses: Tensor, *, patience: int) -> None:
        """End an epoch: keep what is better than before (what is not a number never is), and let the others go."""
        self.epoch += 1
        fitted = self.fitted
        for name, loss in zip(standing.names.tolist(), losses.tolist(), strict=True):
            fitted.history[name].append(loss)
        better = losses < fitted.loss[standing.names]
        self._take(standing, better, losses)
        going = self.epoch - fitted.epochs[standing.names] < patience
        self.standing = standing if going.all() else standing.of(going)

    def _take(self, standing: Standing, better: Tensor, losses: Tensor) -> None:
        fitted = self.fitted
        improved = torch.zeros_like(fitted.epochs, dtype=torch.bool)
        improved[standing.names[better]] = True
        fitted.loss[improved], fitted.epochs[improved] = losses[better], self.epoch
        onto, source = fitted.design.rows(improved), standing.design.rows(better)
        fitted.parameters.deep[onto[0]] = standing.parameters.deep[source[0]]
        fitted.parameters.mains[onto[1]] = standing.parameters.mains[source[1]]

    def tensors(self) -> dict[str, Tensor]:
        """Return all that `restored` needs to go on as if nothing had happened; copies."""
        standing, fitted = self.standing, self.fitted
        lengths = torch.tensor([len(losses) for losses in fitted.history])
        history = [torch.tensor(losses, dtype=torch.float64) for losses in fitted.history]
        kept = {
            "epoch": torch.tensor(self.epoch), "steps": torch.tensor(standing.steps), "names": standing.names,
            "generators": torch.stack([generator.get_state() for generator in self.generators]),
            "loss": fitted.loss, "epochs": fitted.epochs, "history": torch.cat(history), "lengths": lengths,
        }  # fmt: skip
        for name, numbers in _numbers(self).items():
            kept |= {f"{name}.deep": numbers.deep, f"{name}.mains": numbers.mains}
        return {name: tensor.clone() for name, tensor in kept.items()}

    @classmethod
    def restored(cls, design: Design, tensors: Mapping[str, Tensor]) -> Course:
        """Take up what `tensors` gave for the same design."""
        tensors = {name: tensor.clone() for name, tensor in tensors.items()}
        numbers = {name: Parameters(tensors[f"{name}.deep"], tensors[f"{name}.mains"]) for name in _NUMBERS}
        history = [losses.tolist() for losses in tensors["history"].split_with_sizes(tensors["lengths"].tolist())]
        fitted = Fitted(design, numbers["best"], tensors["loss"], tensors["epochs"], history)
        kept = torch.zeros(design.members, dtype=torch.bool).index_fill_(0, tensors["names"], True)
        parameters, mean, square = (numbers[name] for name in _NUMBERS[:3])
        standing = Standing(design.of(kept), tensors["names"], parameters, mean, square, int(tensors["steps"]))
        generators = [torch.Generator() for _ in range(design.members)]
        for generator, state in zip(generators, tensors["generators"], strict=True):
            generator.set_state(state.clone())  # of a view into a larger tensor, PyTorch 2.15 reads beyond the end
        return cls(int(tensors["epoch"]), standing, generators, fitted)


_NUMBERS = ("parameters", "mean", "square", "best")


def _numbers(course: Course) -> dict[str, Parameters]:
    standing = course.standing
    every = (standing.parameters, standing.mean, standing.square, course.fitted.parameters)
    return dict(zip(_NUMBERS, every, strict=True))
