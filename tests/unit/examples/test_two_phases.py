"""The example that draws the pictures of docs/images."""

from __future__ import annotations

import torch

from examples import two_phases


def test_the_example_draws_both_pictures(tmp_path, monkeypatch):
    monkeypatch.setattr(two_phases, "EPOCHS", (0, 1))
    monkeypatch.setattr(two_phases, "EXPLAINED", two_phases.EXPLAINED[:1])
    monkeypatch.setattr("sys.argv", ["two_phases", str(tmp_path)])

    two_phases.main()

    assert {path.name for path in tmp_path.iterdir()} == {"and-or.png", "two-phases.png"}
    assert all(path.read_bytes().startswith(b"\x89PNG") for path in tmp_path.iterdir())


def test_networks_of_different_epochs_are_different_and_frozen():
    (_, start), (_, later) = two_phases.training((0, 1))

    assert not torch.equal(start[0].weight, later[0].weight)
    assert not later[0].weight.requires_grad
