"""What the gateway knows about methods, from `catalog.json`, with no method imported.

`make catalog` writes the file from the worker's registry; a test fails when the two drift apart.
"""

from __future__ import annotations

import ast
import json
import math
import operator
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from importlib.resources import files
from itertools import islice
from typing import Any, Final

from jsonschema import Draft202012Validator
from jsonschema.exceptions import ValidationError
from jsonschema.validators import extend
from pydantic import JsonValue

from jobs.datasets import DatasetKind, Task
from jobs.errors import FieldError, InputTooLarge, InvalidParameters, UnknownMethod
from jobs.schemas import Capability, Cost, Frozen, Series
from jobs.trainings import Start

MAX_FAULTS: Final = 20  # of a label map, each of a quarter million labels can be wrong
MAX_PARAMS_BYTES: Final = 1 << 20


class MethodSpec(Frozen):
    """One method as the catalogue describes it.

    Attributes:
        needs: What the model must offer.
        series: Of what a request may name several.
        needs_input: False where the network itself is explained, and `inputs` are the kinds of its models.
        cost: Upper bounds of `forwards`, `backwards` and `hessian_rows`, as arithmetic; see `evaluate`.
        parameters: JSON Schema (2020-12) of `params`.
    """

    id: str
    title: str
    summary: str
    source: str
    inputs: tuple[str, ...]
    needs: tuple[Capability, ...]
    series: tuple[Series, ...]
    needs_input: bool = True
    presets: dict[str, dict[str, JsonValue]]
    cost: dict[str, str]
    parameters: dict[str, Any]


class TrainingSpec(Frozen):
    """One training method as the catalogue describes it.

    Attributes:
        datasets: Kinds of datasets that it takes.
        tasks: What it can learn.
        starts: What it may start from.
        least_rows: Of a dataset.
        most_inputs: Of a table, every category counted; None: no limit.
        longest_row: Ids of a set, or columns of a table, at most; None: no limit.
        parameters: JSON Schema (2020-12) of `params`.
    """

    id: str
    title: str
    summary: str
    source: str
    datasets: tuple[DatasetKind, ...]
    tasks: tuple[Task, ...]
    starts: tuple[Start, ...]
    least_rows: int
    most_inputs: int | None
    longest_row: int | None
    presets: dict[str, dict[str, JsonValue]]
    parameters: dict[str, Any]


@cache
def _catalog() -> Mapping[str, Any]:
    catalog: Mapping[str, Any] = json.loads((files("jobs") / "catalog.json").read_text("utf-8"))
    return catalog


@cache
def methods() -> Mapping[str, MethodSpec]:
    """Return every method by id."""
    return {entry["id"]: MethodSpec.model_validate(entry) for entry in _catalog()["methods"]}


@cache
def trainings() -> Mapping[str, TrainingSpec]:
    """Return every training method by id."""
    return {entry["id"]: TrainingSpec.model_validate(entry) for entry in _catalog()["trainings"]}


@cache
def architectures() -> frozenset[str]:
    """Return the names of torchvision's classification builders that the worker's torchvision has."""
    return frozenset(_catalog()["architectures"])


def spec(method_id: str) -> MethodSpec:
    """Return one method.

    Raises:
        UnknownMethod: There is none with this id.
    """
    try:
        return methods()[method_id]
    except KeyError:
        raise UnknownMethod(f"expected one of {', '.join(methods())}, got {method_id!r}") from None


def training_spec(method_id: str) -> TrainingSpec:
    """Return one training method.

    Raises:
        UnknownMethod: There is none with this id.
    """
    try:
        return trainings()[method_id]
    except KeyError:
        detail = f"expected one of {', '.join(trainings())}, got {method_id!r}"
        raise UnknownMethod(detail, errors=[FieldError(pointer="/method", detail=detail)]) from None


def complete(spec: MethodSpec | TrainingSpec, params: Mapping[str, JsonValue]) -> dict[str, JsonValue]:
    """Return `params` with the method's defaults and the chosen preset filled in.

    What the caller gives overrides the preset, which overrides the defaults.

    Raises:
        InvalidParameters: With a JSON pointer below `/params` for each of the first faults.
        InputTooLarge: As JSON, the parameters take more than `MAX_PARAMS_BYTES`.
    """
    _check_size(params)
    properties = spec.parameters.get("properties", {})
    defaults = {name: schema["default"] for name, schema in properties.items() if "default" in schema}
    preset = spec.presets.get(str(params.get("preset", defaults.get("preset"))), {})
    completed = {**defaults, **preset, **params}
    found = (
        fault
        for error in _validator(spec.id, isinstance(spec, TrainingSpec)).iter_errors(completed)
        for fault in _field_errors(error)
    )
    faults = list(islice(found, MAX_FAULTS))
    if faults:
        raise InvalidParameters(f"the parameters do not fit method {spec.id}: {faults[0].detail}", errors=faults)
    return completed


def _check_size(params: Mapping[str, JsonValue]) -> None:
    size = len(json.dumps(params, separators=(",", ":")))
    if size > MAX_PARAMS_BYTES:
        detail = f"expected parameters of at most {MAX_PARAMS_BYTES} bytes of JSON, got {size}"
        raise InputTooLarge(detail, errors=[FieldError(pointer="/params", detail=detail)])


@cache
def _validator(method_id: str, trains: bool) -> Any:
    return _Validator((trainings() if trains else methods())[method_id].parameters)


def _any_of(validator: Any, branches: list[Any], instance: Any, _: Any) -> Iterator[ValidationError]:
    """Check a union as jsonschema does, but without collecting every fault of every branch."""
    context: list[ValidationError] = []
    for index, branch in enumerate(branches):
        faults = list(islice(validator.descend(instance, branch, schema_path=index), MAX_FAULTS))
        if not faults:
            return
        context += faults
    yield ValidationError("expected one of the union's kinds", context=context)


def _items(validator: Any, items: Any, instance: Any, schema: Any) -> Iterator[ValidationError]:
    """Check a list as jsonschema does, but pass integers within bounds at once: it takes 6 µs for each of them."""
    plain = isinstance(items, dict) and set(items) == {"type", "minimum", "maximum"} and items["type"] == "integer"
    integers = plain and isinstance(instance, list) and set(map(type, instance)) == {int}
    if not (integers and items["minimum"] <= min(instance) and max(instance) <= items["maximum"]):
        yield from Draft202012Validator.VALIDATORS["items"](validator, items, instance, schema)


_Validator: Final[Any] = extend(  # type: ignore[no-untyped-call]  # its stubs say nothing of it
    Draft202012Validator, {"anyOf": _any_of, "items": _items}
)


def _field_errors(error: ValidationError) -> Iterator[FieldError]:
    """Translate one schema violation; for a union, the branch that came closest speaks, or all if none comes close."""
    pointer = "".join(f"/{_escaped(part)}" for part in ("params", *error.absolute_path))
    if error.context:
        closest = max(error.context, key=_closeness)
        if _closeness(closest) > (len(error.absolute_path), False):
            yield from _field_errors(closest)
        else:
            kinds = [inner.message for inner in error.context if inner.validator_value != "null"]
            yield FieldError(pointer=pointer, detail=_shortened("; or ".join(kinds)))
        return
    if error.validator == "additionalProperties":
        schema: Mapping[str, Any] = error.schema  # type: ignore[assignment]  # a boolean schema has no such keyword
        yield from _unknown_fields(pointer, schema.get("properties", {}), error.instance)
        return
    yield FieldError(pointer=pointer, detail=_shortened(error.message))


def _closeness(error: ValidationError) -> tuple[int, bool]:
    """Tell how deep a branch's fault lies, and whether what is there is at least of the branch's kind."""
    return len(error.absolute_path), error.validator not in ("type", "const", "enum")


def _unknown_fields(pointer: str, known: Mapping[str, Any], given: Any) -> Iterator[FieldError]:
    for name in sorted(set(given) - set(known)):
        detail = f"unknown parameter; known are {', '.join(sorted(known))}"
        yield FieldError(pointer=f"{pointer}/{_escaped(name)}", detail=detail)


def _escaped(part: object) -> str:
    return _shortened(str(part), limit=100).replace("~", "~0").replace("/", "~1")


def _shortened(message: str, *, limit: int = 300) -> str:
    return message if len(message) <= limit else f"{message[:limit]}…"


def estimate(spec: MethodSpec, names: Mapping[str, Any]) -> Cost:
    """Return an upper bound of what a job would evaluate.

    Args:
        names: Of `jobs.quantities`.
    """
    return Cost(**{quantity: math.ceil(evaluate(expression, names)) for quantity, expression in spec.cost.items()})


_OPERATORS: Final[Mapping[type[ast.AST], Callable[[Any, Any], Any]]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.FloorDiv: operator.floordiv,
    ast.Div: operator.truediv,
    ast.Pow: operator.pow,
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.In: lambda item, items: item in items,
    ast.NotIn: lambda item, items: item not in items,
}
_FUNCTIONS: Final[Mapping[str, Callable[..., Any]]] = {"min": min, "max": max, "len": len}


def evaluate(expression: str, names: Mapping[str, Any]) -> float:
    """Evaluate arithmetic: constants, names, + - * / // **, == != < <= in, and or not, `a if b else c`, min max len.

    Raises:
        ValueError: The expression holds anything else.
    """
    return float(_value(ast.parse(expression, mode="eval").body, names))


def _value(node: ast.AST, names: Mapping[str, Any]) -> Any:
    match node:
        case ast.Constant(value=value):
            return value
        case ast.Name(id=name) if name in names:
            return names[name]
        case ast.BinOp(left=left, op=op, right=right) if type(op) in _OPERATORS:
            return _OPERATORS[type(op)](_value(left, names), _value(right, names))
        case ast.Compare(left=left, ops=[op], comparators=[right]) if type(op) in _OPERATORS:
            return _OPERATORS[type(op)](_value(left, names), _value(right, names))
        case ast.UnaryOp(op=ast.Not(), operand=operand):
            return not _value(operand, names)
        case ast.BoolOp(op=op, values=values):
            # Lazily, as Python does: the later ones may make no sense where an earlier one decides.
            decides = any if isinstance(op, ast.Or) else all
            return decides(_value(value, names) for value in values)
        case ast.IfExp(test=test, body=body, orelse=orelse):
            return _value(body if _value(test, names) else orelse, names)
        case ast.Call(func=ast.Name(id=name), args=arguments, keywords=[]) if name in _FUNCTIONS:
            return _FUNCTIONS[name](*(_value(argument, names) for argument in arguments))
    raise ValueError(f"expected arithmetic over {sorted(names)}, got {ast.unparse(node)!r}")
