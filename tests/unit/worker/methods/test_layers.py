"""Cutting a network at a layer."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from jobs.errors import UnsupportedModel
from worker.methods._layers import cut, layer_names

ROUNDING = 1e-5
"""The tail repeats the network's own operations in float32, in batches of another size."""


class Skipping(nn.Module):
    """Takes the input again behind the cut, adds a parameter, and works in place."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(1, 4, 3, padding=1)
        self.relu = nn.ReLU(inplace=True)
        self.second = nn.Conv2d(4, 4, 3, padding=1)
        self.bias = nn.Parameter(torch.randn(1, 4, 1, 1))
        self.head = nn.Linear(4 * 36, 3)

    def forward(self, x: Tensor) -> Tensor:
        skipped = self.first(x)
        inner = self.relu(self.second(skipped))
        return self.head((inner + skipped + self.bias).flatten(1))


class Branching(Skipping):
    """Cannot be traced: it looks at a value."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x) if x.sum() > -1e9 else x


@pytest.mark.parametrize(("kind", "partial"), [(Skipping, True), (Branching, False)])
@pytest.mark.parametrize("layer", ["second", "relu", "first"])
def test_the_rest_behind_a_layer_gives_the_networks_own_logits(kind, partial, layer):
    torch.manual_seed(0)
    model, input = kind().eval(), torch.randn(1, 6, 6)

    found = cut(model, layer, input)

    assert found.partial == partial
    for _ in range(2):  # nothing may stick from one call to the next
        logits = found.tail(found.activation.repeat(5, 1, 1, 1))
        torch.testing.assert_close(logits, model(input[None]).expand(5, 3), rtol=0, atol=ROUNDING)


@pytest.mark.parametrize("layer", ["second", "relu", "first"])
def test_both_ways_agree_on_masked_activations(layer):
    torch.manual_seed(0)
    traced, input = Skipping().eval(), torch.randn(1, 6, 6)
    hooked = Branching().eval()
    hooked.load_state_dict(traced.state_dict())
    masked = cut(traced, layer, input).activation * (torch.rand(7, 1, 6, 6) > 0.5)

    with torch.no_grad():
        torch.testing.assert_close(
            cut(traced, layer, input).tail(masked), cut(hooked, layer, input).tail(masked), rtol=0, atol=ROUNDING
        )


def test_an_unknown_layer_is_refused_with_some_that_exist():
    with pytest.raises(UnsupportedModel, match=r"such as first, relu, second, head, got 'third'"):
        cut(Skipping(), "third", torch.zeros(1, 6, 6))


def test_a_layer_that_runs_twice_is_refused():
    relu = nn.ReLU()
    model = nn.Sequential(nn.Linear(3, 3), relu, nn.Linear(3, 3), relu)

    with pytest.raises(UnsupportedModel, match="'1': 2 times"):
        cut(model, "1", torch.zeros(3))


def test_only_layers_without_layers_within_are_named():
    assert layer_names(nn.Sequential(nn.Linear(1, 1), nn.Sequential(nn.ReLU()))) == ("0", "1.0")


def test_a_network_with_an_odd_view_is_cut_by_a_hook():
    """`view(x.size(0), …)` of a tensor before the layer fixes a batch of one in the kept values."""

    class Viewing(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.head = nn.Conv2d(1, 2, 1), nn.Linear(8, 2)

        def forward(self, x: Tensor) -> Tensor:
            batch = x.size(0)
            return self.head(self.first(x).view(batch, -1))

    found = cut(Viewing().eval(), "first", torch.randn(1, 2, 2))

    assert not found.partial
    assert found.tail(found.activation.repeat(3, 1, 1, 1)).shape == (3, 2)
