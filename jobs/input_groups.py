"""Groups of a model's inputs in a method's parameters, such as the categories of a one-hot column.

The parameter's schema carries the keyword `x-groups-inputs`, so that the gateway refuses what a runner would have to.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from jobs.errors import FieldError

KEYWORD: Final = "x-groups-inputs"


def places(inputs: Sequence[int | str], names: Sequence[str]) -> list[int]:
    """Return where a group's inputs, given by number or by name, are among all; -1: nowhere."""
    known = {name: place for place, name in enumerate(names)}
    found = [known.get(one, -1) if isinstance(one, str) else one for one in inputs]
    return [place if place < len(names) else -1 for place in found]


def input_names(names: Sequence[str] | None, count: int) -> tuple[str, ...]:
    """Return what a model's inputs are called where nobody named them, too."""
    return tuple(names) if names else tuple(f"feature {index}" for index in range(count))


def group_faults(groups: Sequence[Mapping[str, Any]], names: Sequence[str], *, pointer: str) -> Iterator[FieldError]:
    """Yield what is wrong with groups: inputs that are not there or in two groups, names and shares that do not fit.

    Args:
        groups: With `inputs`, and perhaps `name`, `kind` and `shares`.
        names: Of all inputs of the model.
    """
    seen: set[int] = set()
    called: set[str] = set()
    for index, group in enumerate(groups):
        for at, place in enumerate(places(group["inputs"], names)):
            if place < 0 or place in seen:
                got = group["inputs"][at]
                detail = f"expected one of the {len(names)} inputs, each once, got {got!r}"
                yield FieldError(pointer=f"{pointer}/{index}/inputs/{at}", detail=detail)
            seen.add(place)
        if (name := group.get("name")) is not None:
            if name in called:
                yield FieldError(pointer=f"{pointer}/{index}/name", detail=f"expected another name than {name!r}")
            called.add(name)
        yield from _share_faults(group, f"{pointer}/{index}/shares")


def _share_faults(group: Mapping[str, Any], pointer: str) -> Iterator[FieldError]:
    shares, inputs = group.get("shares") or (), group["inputs"]
    if not shares:
        return
    if group.get("kind", "one-hot") != "one-hot":
        yield FieldError(pointer=pointer, detail=f"expected no shares of {group['kind']}, only of one-hot inputs")
    elif len(shares) != len(inputs):
        yield FieldError(
            pointer=pointer, detail=f"expected a share for each of {len(inputs)} inputs, got {len(shares)}"
        )
    elif not sum(shares) > 0:
        yield FieldError(pointer=pointer, detail="expected shares of which one is above 0")
