"""What stands for absence: the parameters' choice of baseline, over the input or a feature map."""

from __future__ import annotations

import torch
from torch import Tensor

from worker.methods._baselines import baseline as known_baseline
from worker.methods._game_params import Absence, GameParams
from worker.methods._masking import per_player
from worker.methods._registry import Subject
from worker.methods._seats import refused


def resolve(subject: Subject, params: GameParams) -> Absence:
    """Return the baseline, with `auto` decided.

    Raises:
        InvalidParameters: One that inputs of this kind, or feature maps, do not have.
    """
    tokens = subject.words is not None
    if params.baseline == "auto":
        return "mask" if tokens else "zeros"
    if tokens != (params.baseline == "mask"):
        expected = "mask for a text" if tokens else "zeros or another, as only a text has a mask token"
        raise refused("baseline", f"expected baseline {expected}, got {params.baseline}")
    return params.baseline


def check(subject: Subject, params: GameParams) -> None:
    """Check what can be known of the baselines before the network runs.

    Raises:
        InvalidParameters: One that inputs of this kind, or feature maps, do not have.
    """
    kinds = {resolve(subject, params), *(params.player_baselines or ())}
    if params.player_baselines is not None and subject.words is not None:
        raise refused("player_baselines", f"expected none for a text, got {len(params.player_baselines)}")
    if params.layer is not None and kinds & {"black", "given"}:
        raise refused("baseline", "expected zeros, mean or blur for a feature map, got a colour")
    if "mask" in kinds and subject.mask_id is None:
        raise refused("baseline", "expected a model with a mask token, got one whose manifest names no mask_id")


def absent(subject: Subject, params: GameParams, masked: Tensor, labels: Tensor) -> Tensor:
    """Return the baseline, shaped like what is masked.

    Args:
        masked: The input, or the layer's feature map at it.
        labels: Who owns what of it.

    Raises:
        InvalidParameters: A baseline that does not fit it.
    """
    if params.player_baselines is None:
        return _one(subject, params, resolve(subject, params), masked)
    players = int(labels.max()) + 1
    if len(params.player_baselines) != players:
        raise refused("player_baselines", f"expected {players}, one a player, got {len(params.player_baselines)}")
    kinds = {kind: _one(subject, params, kind, masked) for kind in set(params.player_baselines)}
    return per_player(labels, [kinds[kind] for kind in params.player_baselines])


def _one(subject: Subject, params: GameParams, kind: Absence, masked: Tensor) -> Tensor:
    if kind == "mask" or kind == "auto":
        return torch.full_like(masked, subject.mask_id or 0)
    if kind == "given":
        return _given(subject, params, masked)
    return known_baseline(kind, masked, mean=subject.mean, std=subject.std)


def _given(subject: Subject, params: GameParams, masked: Tensor) -> Tensor:
    given = params.baseline_values or ()
    if len(given) != len(masked):
        what = "channels" if masked.ndim == 3 else "columns"
        raise refused("baseline_values", f"expected {len(masked)} {what}, got {len(given)}")
    values = torch.tensor(given, dtype=torch.float64)
    if masked.ndim == 3:
        if not 0 <= min(given) <= max(given) <= 1:
            raise refused("baseline_values", f"expected a colour from 0 to 1 in every channel, got {list(given)}")
        values = (values - torch.tensor(subject.mean)) / torch.tensor(subject.std)
        return values.to(masked)[:, None, None].expand_as(masked).clone()
    return values.to(masked)
