"""What a person must know before believing a NID training: how far to trust it, and what was left out."""

from __future__ import annotations

from collections.abc import Iterator

from worker.trainings.nid.found import Found
from worker.trainings.nid.twins import Twins
from worker.trainings.nid.verdict import stability

STABLE = 0.5
"""Mean correlation of trials below which strengths are mostly chance."""
_MOST_NAMED = 5


def notes(found: Found) -> tuple[str, ...]:
    """Return what there is to say, the gravest first."""
    return (
        *_of_trust(found),
        *_of_columns(found),
        *_of_rows_and_networks(found),
        *_of_others(found),
        *_of_cutoff(found),
    )


def distrust(found: Found) -> str | None:
    """Return why the ranking is not to be trusted; None where it may be."""
    if not found.fit.beats_constant:
        return "Not to be trusted: on held-out rows the networks are not clearly better than a constant answer."
    if not found.fit.beats_linear:
        return (
            "Not to be trusted: on held-out rows the networks are not clearly better than a linear model, which has no "
            "interactions."
        )
    return None


def _of_trust(found: Found) -> Iterator[str]:
    if reason := distrust(found):
        yield reason
    if (order := stability(found.pairs.trials)) is not None and order < STABLE:
        yield f"Trials disagree about the strengths of pairs (mean correlation {order:.2f})."


def _of_columns(found: Found) -> Iterator[str]:
    fields = found.material.fields
    if fields.dropped:
        yield f"Left out, as they are the same in all training rows: {', '.join(fields.dropped)}."
    if found.identifiers:
        yield (
            "Columns that only number or name the rows, so that nothing can be learned from them: "
            f"{', '.join(found.identifiers)}. Declare them `ignore`."
        )
    if fields.joined:
        yield f"Rare categories are joined into one in: {', '.join(fields.joined)}."
    if found.twins.same:
        yield f"Columns that are the same but for their unit: {_named(found, found.twins.same)}. Keep one of each pair."
    if found.twins.alike:
        yield (
            f"Columns that are correlated by more than {Twins.MUCH:g} can stand in for each other; interactions of one "
            f"may show at the other, or where there are none: {_named(found, found.twins.alike)}."
        )
    if len(found.known) < len(found.params.known):
        yield "Known interactions with a column that is constant cannot be found and are left out."


def _named(found: Found, pairs: tuple[tuple[int, int, float], ...]) -> str:
    names = found.material.fields.names
    texts = [f"{names[a]} and {names[b]} ({size:.2f})" for a, b, size in pairs[:_MOST_NAMED]]
    return ", ".join(texts) + (f" and {len(pairs) - _MOST_NAMED} more pairs" if len(pairs) > _MOST_NAMED else "")


def _of_rows_and_networks(found: Found) -> Iterator[str]:
    rows = found.material.target.labels.values
    if found.parts.rows < len(rows):
        yield f"{found.parts.rows} of {len(rows)} rows were used; most_rows sets how many."
    if found.networks < len(found.fitted.loss):
        yield f"{len(found.fitted.loss) - found.networks} networks diverged and do not count."
    if any(int(epoch) == found.params.epochs for epoch in found.fitted.epochs):
        yield "Some networks were still getting better in the last epoch; more epochs may do better."


def _of_others(found: Found) -> Iterator[str]:
    for one in found.others:
        if one.strengths is None:
            yield f"The comparison with {one.method} is left out: {one.said}."


def _of_cutoff(found: Found) -> Iterator[str]:
    if found.cutoff and not found.cutoff.reached:
        most = len(found.cutoff.sets) - 1
        yield (
            f"With up to {most} interaction{'' if most == 1 else 's'}, the additive model is short of the whole "
            "networks; a larger cutoff may close the gap."
        )
