"""Seats: the players of a game on an input, before anything is masked."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from jobs.errors import FieldError, InvalidParameters


@dataclass(frozen=True, kw_only=True)
class Seats:
    """The players.

    Attributes:
        labels: See `worker.methods._players`.
        names: One a player.
        notes: What a reader must know of who does not play.
    """

    labels: Tensor
    names: tuple[str, ...]
    notes: tuple[str, ...] = ()


def refused(parameter: str, detail: str) -> InvalidParameters:
    """Return an error about one parameter."""
    return InvalidParameters(detail, errors=[FieldError(pointer=f"/params/{parameter}", detail=detail)])
