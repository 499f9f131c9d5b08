"""What to call a player where a person reads it."""

from __future__ import annotations

import math
from collections.abc import Sequence

from jobs.schemas import Players


def player_names(players: Players) -> Sequence[str]:
    """The players' names, or their numbers, which are those of `members` in result.json."""
    if players.names is not None:
        return players.names
    noun = "" if players.kind in ("patch", "region") else f"{players.kind} "
    return [f"{noun}{index}" for index in range(math.prod(players.shape))]
