"""Games: coalitions of players in, values of a model's output out.

A game joins a masking, a network and a value function, evaluates in chunks that fit the memory, counts what it
evaluates, and names the masked state whose output is not finite. With up to 20 players or so all 2^n states are
evaluated once, and every index and interaction follows from that table.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable

import torch
from torch import Tensor

from jobs.errors import InvalidParameters, NumericalError
from jobs.schemas import Target
from worker.methods._chunks import map_chunks
from worker.methods._coalitions import all_coalitions, members
from worker.methods._masking import Masking
from worker.methods._registry import TableCache

BYTES_PER_STATE = 8 * 6
"""A float64 of the table, and the few copies of it that transforms hold at once."""


class Game:
    """A value function over coalitions, played by a network.

    Args:
        forward: `(batch, *shape)` to logits `(batch, outputs)`; a model, or its part behind a layer.
        masking: Whose `input` has that shape.
        value: Logits to `(batch,)`; see `worker.methods._values`.
        chunk: Masked inputs that go forward at once.
        expected: Evaluations over all calls, where that is known: what progress is measured by.
        report: Told the stage, the evaluations done and those expected; may raise to cancel.
        on_halved: Told the new chunk when memory ran out.
    """

    def __init__(
        self,
        forward: Callable[[Tensor], Tensor],
        masking: Masking,
        value: Callable[[Tensor], Tensor],
        *,
        chunk: int = 8,
        expected: int = 0,
        report: Callable[[str, int, int], None] = lambda stage, done, total: None,
        on_halved: Callable[[int], None] = lambda chunk: None,
    ) -> None:
        self.masking = masking
        self.evaluations = 0
        self.chunk = chunk
        self.expected = expected
        self._forward = forward
        self._value = value
        self._report = report
        self._on_halved = on_halved

    @property
    def players(self) -> int:
        return self.masking.players

    def __call__(self, coalitions: Tensor) -> Tensor:
        """Evaluate `(n_coalitions, players)` bool: `(n_coalitions,)` float64 on the CPU.

        Raises:
            NumericalError: A value is not finite.
            OutOfMemory: One masked input does not fit.
        """
        total = max(self.expected, self.evaluations + len(coalitions))

        def evaluate(part: Tensor) -> Tensor:
            values = self._evaluate(part)
            self.evaluations += len(part)
            self._report("masked inputs", self.evaluations, total)
            return values

        found = map_chunks(evaluate, coalitions, chunk=self.chunk, on_halved=self._halve)
        return torch.cat(found) if found else torch.empty(0, dtype=torch.float64)

    @torch.no_grad()
    def _evaluate(self, coalitions: Tensor) -> Tensor:
        values = self._value(self._forward(self.masking(coalitions))).double().cpu()
        broken = (~values.isfinite()).nonzero().flatten()
        if len(broken):
            state, value = members(coalitions[broken[0]]), float(values[broken[0]])
            raise NumericalError(
                f"the output is {value} when {_named(state, self.players)}; no interaction can be computed"
            )
        return values

    def _halve(self, chunk: int) -> None:
        self.chunk = chunk
        self._on_halved(chunk)


def _named(state: list[int], players: int) -> str:
    if len(state) == players:
        return "all players are present"
    return f"only players {state} are present" if state else "all players are masked"


def table(game: Game) -> Tensor:
    """Evaluate all 2^n states: `(2^n,)` float64; player k is bit k of the index.

    Call `check_players` first.

    Raises:
        NumericalError: A value is not finite, or all are the same.
    """
    values = game(all_coalitions(game.players))
    if bool((values == values[0]).all()):
        raise NumericalError(
            f"the output is {float(values[0])} in all {len(values)} masked states, from all players masked to all "
            "present: the players do not reach it"
        )
    return values


def cached_table(game: Game, key: str, tables: TableCache) -> tuple[Tensor, bool]:
    """Return the table of a game, evaluated only where it is not known yet, and whether it was.

    Args:
        key: From `table_key`.

    Raises:
        NumericalError: As `table`.
    """
    known = tables.get(key)
    if known is not None and known.shape == (1 << game.players,):
        return known, True
    values = table(game)
    tables.put(key, values)
    return values, False


def table_key(masking: Masking, *, layer: str | None, value: str, target: Target) -> str:
    """Name the table of a game among those of one network.

    Args:
        layer: Behind which the players are masked; None for the input.
        value: Name of the value function.
    """
    text = f"layer={layer} value={value} target={target.index} against={target.against}"
    return content_key(text, masking.input, masking.baseline, masking.labels)


def check_players(players: int, *, most: int, budget_bytes: int | None, cells: int | None = None) -> None:
    """Refuse more players than can be had, before anything is evaluated.

    Args:
        most: The cap of the method.
        budget_bytes: Memory for the table and its transforms; None where there is no table.
        cells: Cells that there are to draw players from.

    Raises:
        InvalidParameters: With the number that would fit.
    """
    if cells is not None and players > cells:
        raise InvalidParameters(f"expected at most {cells} players, one a cell, got {players}")
    tabled = most if budget_bytes is None else max(budget_bytes // BYTES_PER_STATE, 1).bit_length() - 1
    fitting = min(most, tabled)
    if players > fitting:
        why = f"the cap is {most}" if fitting == most else f"2^n values need {BYTES_PER_STATE << players} bytes"
        raise InvalidParameters(f"expected at most {fitting} players, got {players}: {why}")


def content_key(*parts: str | Tensor) -> str:
    """Name a table by what decides it: 64 hexadecimal digits.

    Args:
        parts: In a fixed order: the model's hash, the layer, the value function and target as text; input, baseline
            and labels as tensors, whose type and shape count too.
    """
    digest = hashlib.sha256()
    for part in parts:
        content = part.encode() if isinstance(part, str) else _bytes(part)
        digest.update(len(content).to_bytes(8, "big") + content)
    return digest.hexdigest()


def _bytes(tensor: Tensor) -> bytes:
    plain = tensor.detach().cpu().contiguous()
    return f"{plain.dtype}{list(plain.shape)}".encode() + plain.flatten().view(torch.uint8).numpy().tobytes()
