"""What a reader must know before relying on an answer."""

from __future__ import annotations

from collections.abc import Iterator

from worker.methods.and_or.findings import Findings
from worker.methods.and_or.params import MOST_PLAYERS, AndOrParams

_ABSENCE = {
    "zeros": "zero in the model's own space (of a normalized picture, mean grey)",
    "black": "black",
    "mean": "the mean colour",
    "blur": "the picture, blurred",
    "given": "the given values",
    "mask": "the mask token",
    "mixed": "each player's own baseline",
}


def notes(params: AndOrParams, found: Findings, *, listed: int) -> Iterator[str]:
    """Yield the notes of one answer."""
    played = found.played
    where = (
        f"in the feature map of layer {played.layer!r}, zero" if _is_plain(found) else _ABSENCE[str(played.baseline)]
    )
    yield (
        f"An absent player is replaced by {where}. Other baselines and other players give other interactions; compare "
        "only answers that share both."
    )
    yield (
        "Unless the network was trained on inputs with masked parts, interactions also tell how it behaves on what it "
        "never saw."
    )
    yield from played.notes
    yield (
        f"{len(found.table)} masked states were evaluated, each twice as many for one more player, so at most "
        f"{MOST_PLAYERS} players are told apart; what happens inside a player is not seen."
    )
    yield "AND and OR of a single player are the same function, so its strength is given once, as a main effect."
    yield (
        "Profiles over orders show a general trend. Whether a single interaction generalizes cannot be told from them."
    )
    yield from _exceptions(params, found, listed)


def _is_plain(found: Findings) -> bool:
    return found.played.layer is not None and found.played.baseline == "zeros"


def _exceptions(params: AndOrParams, found: Findings, listed: int) -> Iterator[str]:
    salient = int((found.atoms[:, 1:].abs() > found.threshold).sum())
    if found.cached:
        yield "The masked states were evaluated for an earlier job on the same network and input; none was run again."
    if params.top_k is None and salient > listed:
        yield f"Only the {listed} strongest of {salient} salient interactions are listed; the arrays hold all."
    if params.solver == "published":
        yield "The published recipe stops far from the sparsest model and overstates the number of interactions."
    elif float(found.solution.gap[0]) > params.tolerance:
        yield (
            f"The solver reached a gap of {float(found.solution.gap[0]):.1e}, not {params.tolerance:g}: the model "
            "matches every state, but a sparser one may exist."
        )
    if found.played.value == "log-odds" and len(found.played.logits) == 1:
        yield "The network has one output, which is explained as it is."
