"""From a subject to the game that a method plays on it: the players, the masking, the network's part, the value.

Everything that can be refused by the parameters and the input's size is refused before the network runs.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from jobs.errors import InvalidParameters
from jobs.schemas import Explained, Passage, Players, Target
from worker.methods import _absence, _who_plays
from worker.methods._game_params import Absence, GameParams
from worker.methods._games import Game, cached_table, check_players, content_key, table_key
from worker.methods._layers import check_layer, cut
from worker.methods._masking import Masking
from worker.methods._outputs import explained, resolve
from worker.methods._registry import Subject
from worker.methods._seats import Seats, refused
from worker.methods._values import value_function
from worker.methods._who_plays import Resolved


@dataclass(frozen=True, kw_only=True)
class Played:
    """A game on a subject, and everything that an answer says about it.

    Attributes:
        game: `game.players` is n; set `game.expected` where evaluations other than 2^n are due.
        players: Kind, shape `(n,)`, names.
        who, baseline: As the parameters have it, with `auto` decided; `mixed` where each player has its own.
        target: The explained class, also where the request named none.
        logits: `(outputs,)` at the input; `absent_logits`, with all players masked.
        player_labels: `(height, width)` of the picture, the owner of each pixel, -1 nobody; None without a picture.
        key: Names the table of the game among those of the subject's model.
        notes: What a reader must know of the players.
        forwards: Passes that making the game took; those of the game come on top.
        halved: Chunks to which memory forced the game, in order.
    """

    game: Game
    players: Players
    who: Resolved
    baseline: Absence | str
    layer: str | None
    value: str
    target: Target
    logits: Tensor
    absent_logits: Tensor
    player_labels: Tensor | None
    key: str
    notes: tuple[str, ...]
    forwards: int
    halved: list[int]

    @property
    def n(self) -> int:
        """Number of players."""
        return self.game.players

    def table(self, subject: Subject) -> tuple[Tensor, bool]:
        """Return all 2^n values, `(2^n,)` float64, and whether they were known before.

        Raises:
            NumericalError: A value is not finite, or all are the same.
        """
        return cached_table(self.game, self.key, subject.tables)

    def explained(self, subject: Subject) -> Explained:
        """Describe the explained output."""
        absent = explained(self.target, self.absent_logits, baseline_value=None, classes=None).value
        return explained(self.target, self.logits, baseline_value=absent, classes=subject.classes)


def play(subject: Subject, params: GameParams, *, most: int, tabled: bool = True) -> Played:
    """Make the game that the parameters ask for.

    Args:
        most: Players that the method can have.
        tabled: Whether all 2^n states are evaluated, so that their table has to fit the memory too.

    Raises:
        InvalidInput: The players need a picture or words, and the subject has none.
        InvalidParameters: Players, a baseline or a value that cannot be had; with the number that would fit.
        UnsupportedModel: No such layer, or one that gives no feature map.
    """
    who = _who_plays.resolve(subject, params)
    budget = subject.memory_bytes if tabled else None
    _check_number(_who_plays.announced(subject, params, who), who, most=most, budget=budget)
    _who_plays.check_cells(params, who)
    _check_layer(subject, params, who)
    _absence.check(subject, params)
    _check_value(subject, params)
    masked, forward, forwards = _network(subject, params)
    seats = _who_plays.seats(subject, params, who, shape=tuple(masked.shape))
    n = len(seats.names)
    _check_number(n, who, most=most, budget=budget)
    masking = Masking(
        input=masked, baseline=_absence.absent(subject, params, masked, seats.labels), labels=seats.labels
    )
    logits, absent_logits = _ends(subject, masking, forward)
    target = resolve(subject.target, logits)
    halved: list[int] = []
    game = Game(
        forward, masking, value_function(params.value, target), chunk=subject.chunk,
        expected=1 << n if tabled else 0, report=subject.report, on_halved=halved.append,
    )  # fmt: skip
    return Played(
        game=game, players=_players(subject, who, seats), who=who,
        baseline="mixed" if params.player_baselines else _absence.resolve(subject, params), layer=params.layer,
        value=params.value if target.against is None else "contrast", target=target, logits=logits,
        absent_logits=absent_logits, player_labels=_over_picture(subject, seats.labels),
        key=_key(subject, params, masking, target), notes=seats.notes, forwards=forwards + 2, halved=halved,
    )  # fmt: skip


def _check_number(n: int | None, who: Resolved, *, most: int, budget: int | None) -> None:
    if n is None:
        return
    if n < 2:
        raise refused("players", f"expected at least 2 players, as one alone cannot interact, got {n}")
    try:
        check_players(n, most=most, budget_bytes=budget)
    except InvalidParameters as error:
        raise InvalidParameters(f"{error.detail}; {_who_plays.hint(who)}") from error


def _check_value(subject: Subject, params: GameParams) -> None:
    if params.value == "probability" and subject.target is not None and subject.target.against is not None:
        raise refused("value", "expected log-odds or logit for a contrast of two classes, got probability")


def _check_layer(subject: Subject, params: GameParams, who: Resolved) -> None:
    if params.layer is None:
        return
    if who not in ("grid", "cells"):
        raise refused("layer", f"expected players grid or cells behind a layer, got {who}")
    check_layer(subject.model, params.layer)


def _network(subject: Subject, params: GameParams) -> tuple[Tensor, Callable[[Tensor], Tensor], int]:
    """Return what is masked, what maps it to logits, and the forward passes that this took."""
    if params.layer is None:
        return subject.input, subject.model, 0
    found = cut(subject.model, params.layer, subject.input)
    if found.activation.ndim != 3:
        raise refused(
            "layer",
            f"expected a layer that gives a feature map (channels, height, width), got {params.layer!r}, which gives "
            f"{list(found.activation.shape)}",
        )
    return found.activation, found.tail, found.forwards


@torch.no_grad()
def _ends(subject: Subject, masking: Masking, forward: Callable[[Tensor], Tensor]) -> tuple[Tensor, Tensor]:
    """Return the logits with all players present and with all masked."""
    nobody = masking(torch.zeros(1, masking.players, dtype=torch.bool))
    return subject.model(subject.input[None])[0], forward(nobody)[0]


def _players(subject: Subject, who: Resolved, seats: Seats) -> Players:
    kind, names = _who_plays.KINDS[who], seats.names
    texts = subject.names or tuple(str(int(id)) for id in subject.input.flatten())
    passage = None if subject.words is None else _passage(texts, seats.labels)
    return Players(kind=kind, shape=(len(names),), names=names, passage=passage)


def _passage(texts: Sequence[str], labels: Tensor) -> Passage:
    """Return the text without the padding behind it, which has neither text nor player."""
    players = labels.tolist()
    length = len(players)
    while length and players[length - 1] < 0 and not texts[length - 1]:
        length -= 1
    return Passage(texts=tuple(texts[:length]), players=tuple(players[:length]))


def _over_picture(subject: Subject, labels: Tensor) -> Tensor | None:
    """Spread labels of a feature map over the picture, each cell over the pixels at its place."""
    if subject.input.ndim != 3:
        return None
    height, width = subject.input.shape[-2:]
    rows, columns = labels.shape
    down, across = torch.arange(height) * rows // height, torch.arange(width) * columns // width
    return labels[down][:, across]


def _key(subject: Subject, params: GameParams, masking: Masking, target: Target) -> str:
    key = table_key(masking, layer=params.layer, value=params.value, target=target)
    # Behind a layer, what else the network makes of the input (a skip connection) decides the table too.
    return key if params.layer is None else content_key(key, subject.input)
