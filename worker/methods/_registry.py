"""The registry of methods: what a method module declares, and what it is given.

A method is one module: a docstring with its source, a `Params` model with described defaults, one `@register`ed
entry point, and pure functions on tensors below it. `jobs/catalog.json` is generated from this registry, so that the
gateway can validate, estimate and document a method without importing it.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal, Protocol, Self, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError, model_validator
from torch import Tensor, nn

from jobs.errors import InvalidParameters
from jobs.schemas import Capability, Explanation, FeatureEncoding, InputKind, Players, Series, Target

Report = Callable[[str, int, int], None]
"""`report(stage, done, total)`: progress; raises when the job was canceled, so call it between chunks."""


class TableCache(Protocol):
    """Tables of 2^n values that were evaluated before; whoever provides it keeps models and tenants apart."""

    def get(self, key: str) -> Tensor | None:
        """Return the `(2^n,)` float64 table that was put under `key`, or None."""

    def put(self, key: str, table: Tensor) -> None:
        """Keep a table, if there is room; never fails."""


class NoTables:
    """Keeps nothing."""

    def get(self, key: str) -> Tensor | None:  # noqa: ARG002 (the protocol's)
        return None

    def put(self, key: str, table: Tensor) -> None:
        pass


class Params(BaseModel):
    """Base of a method's parameters. A preset overrides defaults; what the caller gives overrides the preset."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {}

    @classmethod
    def of(cls, given: Mapping[str, Any], *, method: str) -> Self:
        """Return the parameters of a job.

        Raises:
            InvalidParameters: They contradict each other; the gateway has checked each against the schema.
        """
        try:
            return cls.model_validate(given)
        except ValidationError as error:
            faults = "; ".join(fault["msg"].removeprefix("Value error, ") for fault in error.errors()[:3])
            raise InvalidParameters(f"the parameters do not fit {method}: {faults}") from error

    @model_validator(mode="before")
    @classmethod
    def _apply_preset(cls, data: Any) -> Any:
        if not (cls.presets and isinstance(data, dict)):
            return data
        preset = data.get("preset", cls.model_fields["preset"].default)
        return {**cls.presets.get(preset, {}), **data}


@dataclass(frozen=True, kw_only=True)
class Checkpoint:
    """An earlier network of the model that is explained.

    Attributes:
        load: Return it as `Subject.model` is. Call it when its turn comes and let go of it then: the networks of a
            long sequence need not fit the memory together.
        tables: Tables of this very network.
    """

    id: str
    name: str
    load: Callable[[], nn.Module]
    tables: TableCache = field(default_factory=NoTables)


@dataclass(frozen=True, kw_only=True)
class Subject:
    """What is explained: a model, one input, and the output in question; in a series, further inputs and networks.

    Attributes:
        model: In eval mode, parameters frozen; maps `(batch, *shape)` to logits `(batch, outputs)`.
        input: `shape`, as the model takes it: normalised for images, int64 ids filled up with padding for tokens. Zeros
            for a method that needs no input.
        target: None means the predicted class.
        pixels: `(height, width, 3)` float in [0, 1]: the picture as the model sees it; None for features and tokens.
        mean, std: Per channel; `input = (pixels - mean) / std` for images.
        names: Of the features; of tokens, the text of each.
        words: The number of the word that each token is part of; None for padding and special tokens, which never
            play. None altogether for images and features.
        features: How the features were encoded, where the manifest says so.
        mask_id: Id that stands for an absent token.
        seed: Of every random draw.
        chunk: Samples that may go forward and backward at once under the memory budget.
        memory_bytes: That an intermediate result, such as a table of 2^n values, may take.
        report: Progress; see `Report`.
        resources: What the operator provides by name, such as `sam_model`.
        tables: Tables of this very model, whoever asked for them before; a model that a method changes needs its own.
        model_id, model_name: Of the model, for answers that name several.
        samples: Further inputs, each with everything else as here; for methods whose `series` has them.
        checkpoints: Earlier networks, first to last; the model is the last. Likewise.
    """

    model: nn.Module
    input: Tensor
    target: Target | None = None
    pixels: Tensor | None = None
    mean: tuple[float, ...] = ()
    std: tuple[float, ...] = ()
    classes: tuple[str, ...] | None = None
    names: tuple[str, ...] | None = None
    words: tuple[int | None, ...] | None = None
    features: FeatureEncoding | None = None
    mask_id: int | None = None
    seed: int = 0
    chunk: int = 8
    memory_bytes: int = 2**31
    report: Report = lambda stage, done, total: None
    resources: Mapping[str, str] = field(default_factory=dict)
    tables: TableCache = field(default_factory=NoTables)
    model_id: str = "model"
    model_name: str = "model"
    samples: tuple[Subject, ...] = ()
    checkpoints: tuple[Checkpoint, ...] = ()

    @property
    def players(self) -> Players:
        """Every number of the input as a player of its own."""
        kind: Literal["pixel-channel", "feature", "token"] = "pixel-channel" if self.input.ndim == 3 else "feature"
        return Players(kind=kind if self.words is None else "token", shape=tuple(self.input.shape), names=self.names)


@dataclass(frozen=True, kw_only=True)
class Method:
    """A registered method."""

    id: str
    title: str
    summary: str
    source: str
    params: type[Params]
    explain: Callable[[Subject, Any], Explanation]
    needs: tuple[Capability, ...]
    inputs: tuple[InputKind, ...]
    cost: Mapping[str, str]
    series: tuple[Series, ...] = ()
    needs_input: bool = True


P = TypeVar("P", bound=Params)

_methods: dict[str, Method] = {}


def register(
    id: str,
    *,
    title: str,
    summary: str,
    source: str,
    params: type[P],
    needs: tuple[Capability, ...],
    inputs: tuple[InputKind, ...],
    cost: Mapping[str, str],
    series: tuple[Series, ...] = (),
    needs_input: bool = True,
) -> Callable[[Callable[[Subject, P], Explanation]], Callable[[Subject, P], Explanation]]:
    """Register the decorated function as the entry point of method `id`.

    Args:
        cost: Upper bounds of `forwards`, `backwards` and `hessian_rows`, as arithmetic over parameter names and
            what else `jobs.quantities` names, such as `inputs`; see `jobs.catalog.evaluate`.
        series: Whether the method takes further inputs (`Subject.samples`) and earlier networks (`.checkpoints`).
        needs_input: False for a method that explains the network itself; then `inputs` are the kinds of its models.

    Raises:
        ValueError: The id is taken.
    """

    def add(explain: Callable[[Subject, P], Explanation]) -> Callable[[Subject, P], Explanation]:
        if id in _methods:
            raise ValueError(f"expected a new method id, got {id!r}, which is registered already")
        _methods[id] = Method(
            id=id, title=title, summary=summary, source=source, params=params, explain=explain,
            needs=needs, inputs=inputs, cost=cost, series=series, needs_input=needs_input,
        )  # fmt: skip
        return explain

    return add


def methods() -> Mapping[str, Method]:
    """Import every public module of `worker.methods` and return what they registered, by id."""
    import worker.methods as package

    for module in pkgutil.iter_modules(package.__path__):
        if not module.name.startswith("_"):
            importlib.import_module(f"{package.__name__}.{module.name}")
    return dict(sorted(_methods.items()))
