"""Rules: what a method demands of its parameters together, and of the input they meet, as data in the catalogue.

JSON Schema judges one parameter at a time. A rule is arithmetic over all of them, and over the sizes of the input; see
`jobs.quantities`. The schema of a method's parameters carries its rules under `x-rules`, so that the gateway refuses
what a runner would have to.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from jobs.catalog import evaluate
from jobs.errors import FieldError
from jobs.schemas import Frozen

KEYWORD: Final = "x-rules"


class Rule(Frozen):
    """One demand.

    Attributes:
        holds: Arithmetic that must not be 0.
        expected: What is demanded, for the person who broke it.
        fitting: Arithmetic for the number that would fit.
        got: Arithmetic for what there is instead.
        parameter: At fault.
        each: A parameter that is a list of objects: the demand is made of each of them, its fields being names too.
    """

    holds: str
    expected: str
    fitting: str | None = None
    got: str | None = None
    parameter: str
    each: str | None = None


def broken(rules: Sequence[Rule], names: Mapping[str, Any]) -> Iterator[FieldError]:
    """Yield a fault for every rule that does not hold."""
    for rule in rules:
        if rule.each is None:
            yield from _fault(rule, names, rule.parameter)
            continue
        for place, fields in enumerate(names[rule.each]):
            yield from _fault(rule, {**names, **fields}, f"{rule.each}/{place}/{rule.parameter}")


def _fault(rule: Rule, names: Mapping[str, Any], pointer: str) -> Iterator[FieldError]:
    if not evaluate(rule.holds, names):
        fitting = "" if rule.fitting is None else f" ({evaluate(rule.fitting, names):g})"
        got = "" if rule.got is None else f", got {evaluate(rule.got, names):g}"
        yield FieldError(pointer=f"/params/{pointer}", detail=f"expected {rule.expected}{fitting}{got}")


def rules(schema: Mapping[str, Any]) -> list[Rule]:
    """Return the rules in a JSON Schema of parameters."""
    return [Rule.model_validate(rule) for rule in schema.get(KEYWORD, ())]
